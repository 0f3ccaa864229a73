//! The members of a whole tar in memory, put together to samples: keys that return, links and bad names are dealt with as
//! the [`TarOptions`] say.

use super::entries::{Broken, Entries, Entry, Slice};
use super::error::TarRule;
use super::index::{Component, TarIndex, lower_ext};
use super::keys::SeenKeys;
use super::links::{Extent, Link, MAX_LINKED_BYTES, Targets};
use super::skipped::BadMember;
use super::{BadSamples, TarOptions, Unsorted};

/// The samples of a tar.
pub(super) fn index_of(bytes: &[u8], options: &TarOptions) -> Result<TarIndex, Broken> {
    let mut entries = Entries::new(Slice(bytes), options.end_marker);
    let mut entry = Entry::default();
    let mut gatherer = Gatherer::new(options);
    let mut number = 0;
    while entries.next_entry(&mut entry)? {
        match super::sample_name(&entry.name) {
            Some((key, ext)) => gatherer
                .push(&entry, number, key, ext)
                .map_err(|rule| Broken { offset: entry.start, rule })?,
            None if super::is_meta(&entry.name) => {}
            None => entries.skipped().add_member(&entry.name),
        }
        entries.skip_data(&entry)?;
        number += 1;
    }
    gatherer.index.set_end(entry.start);
    if !gatherer.links.is_empty() {
        let targets = targets(bytes, options)?;
        gatherer.follow(&targets)?;
    }
    let mut skipped = std::mem::take(entries.skipped());
    let joins = options.unsorted == Unsorted::Join && gatherer.is_unsorted;
    let drops = options.bad_samples == BadSamples::Skip && gatherer.has_problems;
    let mut index = gatherer.index;
    if joins || drops {
        let own: Vec<usize> = (0..index.len()).collect();
        let owners = if joins { &gatherer.owners } else { &own };
        let kept = index.regrouped(owners, |sample| match sample.problem().filter(|_| drops) {
            Some(problem) => {
                skipped.add_sample(sample.key(), problem);
                false
            }
            None => true,
        });
        index = kept.map_err(|(offset, rule)| Broken { offset, rule })?;
    }
    index.set_skipped(skipped);
    Ok(index)
}

/// Every file and link of the tar by its name: a second walk, which only tars with links need.
fn targets(bytes: &[u8], options: &TarOptions) -> Result<Targets, Broken> {
    let mut entries = Entries::new(Slice(bytes), options.end_marker);
    let mut entry = Entry::default();
    let mut targets = Targets::default();
    let mut number = 0;
    while entries.next_entry(&mut entry)? {
        match &entry.link {
            Some(link) => targets.add_link(&entry.name, number, link),
            None => targets.add_file(&entry.name, number, Extent { offset: entry.data, size: entry.size }),
        }
        entries.skip_data(&entry)?;
        number += 1;
    }
    targets.sort();
    Ok(targets)
}

/// A member whose data is another's.
struct LinkedMember {
    /// Its number among the files and links of the tar.
    number: u64,
    /// Its number in the index.
    member: usize,
    sample: usize,
    start: u64,
    name: String,
    link: Link,
}

struct Gatherer<'a> {
    options: &'a TarOptions,
    index: TarIndex,
    seen: SeenKeys,
    /// For each run of members with one key, the first run of that key.
    owners: Vec<usize>,
    is_unsorted: bool,
    has_problems: bool,
    links: Vec<LinkedMember>,
}

impl<'a> Gatherer<'a> {
    fn new(options: &'a TarOptions) -> Self {
        Self {
            options,
            index: TarIndex::default(),
            seen: SeenKeys::default(),
            owners: Vec::new(),
            is_unsorted: false,
            has_problems: false,
            links: Vec::new(),
        }
    }

    /// Adds a file or link of a sample.
    fn push(&mut self, entry: &Entry, number: u64, key: &str, ext: &str) -> Result<(), TarRule> {
        let problem = entry.is_bad_name.then(|| BadMember::Name { name: entry.name.clone() });
        if let Some(problem) = problem.clone().filter(|_| self.options.bad_samples == BadSamples::Stop) {
            return Err(problem.into());
        }
        let ext = lower_ext(ext);
        if self.index.last().is_some_and(|last| last.key() == key) {
            self.index.admit(self.index.len() - 1, &ext, entry.size)?;
        } else {
            let run = self.index.len();
            let first = self.seen.returning(key, run);
            if first.is_some() {
                if self.options.unsorted == Unsorted::Stop {
                    return Err(TarRule::ReturningKey { key: key.to_owned() });
                }
                self.is_unsorted = true;
            }
            self.owners.push(first.unwrap_or(run));
            self.index.begin_sample(key.len(), entry.start);
        }
        let sample = self.index.len() - 1;
        if let Some(problem) = problem {
            self.has_problems = true;
            self.index.set_problem(sample, problem);
        }
        if let Some(link) = &entry.link {
            let (member, start) = (self.index.num_members(), entry.start);
            let (name, link) = (entry.name.clone(), link.clone());
            self.links.push(LinkedMember { number, member, sample, start, name, link });
        }
        let (offset, size, is_link) = (entry.data, entry.size, entry.link.is_some());
        self.index.push_named(Component { ext: &ext, name: &entry.name, offset, size, is_link }, key.len());
        Ok(())
    }

    /// Gives each link the data it leads to.
    fn follow(&mut self, targets: &Targets) -> Result<(), Broken> {
        let mut linked_bytes = 0u64;
        for link in std::mem::take(&mut self.links) {
            let LinkedMember { number, member, sample, start, name, link } = link;
            let broken = |rule| Broken { offset: start, rule };
            match targets.resolve(&name, number, &link) {
                Ok(Extent { offset, size }) => {
                    linked_bytes = linked_bytes.saturating_add(size);
                    if linked_bytes > MAX_LINKED_BYTES {
                        return Err(broken(TarRule::LinkedTooLarge));
                    }
                    self.index.set_link(member, sample, offset, size).map_err(broken)?;
                }
                Err(problem) => {
                    let problem = BadMember::Link { name, target: link.target, problem };
                    if self.options.bad_samples == BadSamples::Stop {
                        return Err(broken(problem.into()));
                    }
                    self.has_problems = true;
                    self.index.set_problem(sample, problem);
                }
            }
        }
        Ok(())
    }
}
