//! Where each sample and member of a tar lies. The writer records it as it goes, [`scan`](super::scan) builds it
//! for anyone's tar, and the index files beside a shard are views of it. Names are kept in one string, so that a
//! shard of 10,000 samples costs a few allocations rather than sixty thousand.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::error::TarRule;
use super::skipped::{BadMember, Skipped};
use super::{MAX_SAMPLE_BYTES, MAX_SAMPLE_MEMBERS, padded};

/// The samples of one tar in file order, and where its data ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TarIndex {
    names: String,
    members: Vec<MemberSpan>,
    samples: Vec<Run>,
    end: u64,
    /// By sample.
    problems: BTreeMap<usize, BadMember>,
    is_joined: bool,
    skipped: Skipped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MemberSpan {
    // Ranges of `TarIndex::names`.
    name: (usize, usize),
    ext: (usize, usize),
    offset: u64,
    size: u64,
    is_link: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    key_len: usize,
    first_member: usize,
    start: u64,
    bytes: u64,
}

/// One member of a sample: where its data lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component<'a> {
    /// Extension, lower-case.
    pub ext: &'a str,
    /// Full name as found in the tar.
    pub name: &'a str,
    /// First byte of its data in the file (not of its header).
    pub offset: u64,
    /// Bytes of data, without padding.
    pub size: u64,
    /// Whether the member is a link, and the data another member's. Readers such as webdataset pass over it.
    pub is_link: bool,
}

/// One sample of a [`TarIndex`].
#[derive(Debug, Clone, Copy)]
pub struct SampleSpan<'a> {
    index: &'a TarIndex,
    at: usize,
}

impl TarIndex {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Number of members in all samples.
    pub fn num_members(&self) -> usize {
        self.members.len()
    }

    /// End of the last member's padding: where the closing zero blocks begin.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Sample number `at`.
    pub fn sample(&self, at: usize) -> Option<SampleSpan<'_>> {
        (at < self.samples.len()).then_some(SampleSpan { index: self, at })
    }

    /// All samples in file order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = SampleSpan<'_>> + DoubleEndedIterator + Clone {
        (0..self.samples.len()).map(|at| SampleSpan { index: self, at })
    }

    /// Whether samples were put together of members that lie apart, so that a sample is no range of the tar.
    pub fn is_joined(&self) -> bool {
        self.is_joined
    }

    /// Whether a member is a link, so that its data is not where its sample is.
    pub fn has_links(&self) -> bool {
        self.members.iter().any(|member| member.is_link)
    }

    /// What the reader passed over.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// Number of the first sample called `key`, found by looking at each.
    pub fn position(&self, key: &str) -> Option<usize> {
        self.iter().position(|sample| sample.key() == key)
    }

    pub(super) fn last(&self) -> Option<SampleSpan<'_>> {
        self.sample(self.samples.len().checked_sub(1)?)
    }

    pub(super) fn set_end(&mut self, end: u64) {
        self.end = end;
    }

    /// Starts a sample at byte `start`; its members follow by [`push_member`](Self::push_member).
    pub(super) fn begin_sample(&mut self, key_len: usize, start: u64) {
        self.samples.push(Run { key_len, first_member: self.members.len(), start, bytes: 0 });
    }

    /// Adds `key.ext` to the sample begun last.
    pub(super) fn push_member(&mut self, key: &str, ext: &str, offset: u64, size: u64) {
        let from = self.names.len();
        self.names.extend([key, ".", ext]);
        let to = self.names.len();
        self.push_span(MemberSpan {
            name: (from, to),
            ext: (to - ext.len(), to),
            offset,
            size,
            is_link: false,
        });
    }

    /// Adds a member under its full name, whose key has `key_len` bytes, to the sample begun last.
    pub(super) fn push_named(&mut self, member: Component<'_>, key_len: usize) {
        let name = self.intern(member.name);
        // The extension is the end of the name, unless its case differs.
        let ext = match member.name[key_len + 1..] == *member.ext {
            true => (name.0 + key_len + 1, name.1),
            false => self.intern(member.ext),
        };
        let Component { offset, size, is_link, .. } = member;
        self.push_span(MemberSpan { name, ext, offset, size, is_link });
    }

    /// Whether one more member may join sample number `at`.
    pub(super) fn admit(&self, at: usize, ext: &str, size: u64) -> Result<(), TarRule> {
        let Some(sample) = self.sample(at) else { return Ok(()) };
        admit(sample.key(), sample.components().map(|c| c.ext), sample.num_bytes(), ext, size)
    }

    /// Gives member number `at`, which is of sample number `sample`, the data that its link leads to.
    pub(super) fn set_link(
        &mut self,
        at: usize,
        sample: usize,
        offset: u64,
        size: u64,
    ) -> Result<(), TarRule> {
        let (member, run) = (&mut self.members[at], &mut self.samples[sample]);
        (member.offset, member.size) = (offset, size);
        run.bytes = run.bytes.saturating_add(size);
        match run.bytes > MAX_SAMPLE_BYTES {
            true => {
                let key = self.sample(sample).map_or("", |sample| sample.key()).to_owned();
                Err(TarRule::SampleTooLarge { key })
            }
            false => Ok(()),
        }
    }

    /// Notes what is wrong with sample number `at`; the first problem stays.
    pub(super) fn set_problem(&mut self, at: usize, problem: BadMember) {
        self.problems.entry(at).or_insert(problem);
    }

    pub(super) fn set_skipped(&mut self, skipped: Skipped) {
        self.skipped = skipped;
    }

    /// The same samples, those of one owner put together, and without those that `keeps` does not want. `owners` has the
    /// first sample of each sample's key.
    pub(super) fn regrouped(
        &self,
        owners: &[usize],
        mut keeps: impl FnMut(SampleSpan<'_>) -> bool,
    ) -> Result<Self, (u64, TarRule)> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|&at| owners[at]);
        let mut new = Self { end: self.end, ..Self::default() };
        for together in order.chunk_by(|one, other| owners[*one] == owners[*other]) {
            let spans: Vec<SampleSpan<'_>> = together.iter().filter_map(|&at| self.sample(at)).collect();
            // One bad part makes the whole bad.
            if spans.iter().any(|span| !keeps(*span)) {
                continue;
            }
            let Some(first) = spans.first() else { continue };
            let number = new.len();
            new.begin_sample(first.key().len(), first.start());
            new.is_joined |= spans.len() > 1;
            for span in &spans {
                if let Some(problem) = span.problem() {
                    new.set_problem(number, problem.clone());
                }
                for component in span.components() {
                    if spans.len() > 1 && new.samples[number].first_member < new.members.len() {
                        let admitted = new.admit(number, component.ext, component.size);
                        admitted.map_err(|rule| (span.start(), rule))?;
                    }
                    new.push_named(component, first.key().len());
                }
            }
        }
        Ok(new)
    }

    fn push_span(&mut self, span: MemberSpan) {
        if let Some(run) = self.samples.last_mut() {
            run.bytes += span.size;
        }
        self.members.push(span);
    }

    fn intern(&mut self, text: &str) -> (usize, usize) {
        let from = self.names.len();
        self.names.push_str(text);
        (from, self.names.len())
    }

    fn component(&self, span: &MemberSpan) -> Component<'_> {
        Component {
            ext: &self.names[span.ext.0..span.ext.1],
            name: &self.names[span.name.0..span.name.1],
            offset: span.offset,
            size: span.size,
            is_link: span.is_link,
        }
    }
}

impl<'a> SampleSpan<'a> {
    fn run(&self) -> &'a Run {
        &self.index.samples[self.at]
    }

    fn spans(&self) -> &'a [MemberSpan] {
        let end =
            self.index.samples.get(self.at + 1).map_or(self.index.members.len(), |next| next.first_member);
        &self.index.members[self.run().first_member..end]
    }

    /// The sample's number in its tar.
    pub fn number(&self) -> usize {
        self.at
    }

    /// The sample's key, as found in the tar, so it may hold folders.
    pub fn key(&self) -> &'a str {
        // A sample has at least one member.
        self.spans()
            .first()
            .map_or("", |span| &self.index.names[span.name.0..span.name.0 + self.run().key_len])
    }

    /// What is wrong with it, where the reader keeps samples with something wrong.
    pub fn problem(&self) -> Option<&'a BadMember> {
        self.index.problems.get(&self.at)
    }

    /// First byte of its first header, extension headers included.
    pub fn start(&self) -> u64 {
        self.run().start
    }

    /// End of its last member's padding.
    pub fn end(&self) -> u64 {
        self.spans().last().map_or(self.run().start, |span| span.offset + padded(span.size))
    }

    /// Bytes of data of all members.
    pub fn num_bytes(&self) -> u64 {
        self.run().bytes
    }

    /// Its members in file order.
    pub fn components(&self) -> impl ExactSizeIterator<Item = Component<'a>> + Clone + use<'a> {
        let index = self.index;
        self.spans().iter().map(move |span| index.component(span))
    }

    /// The member called `ext`.
    pub fn get(&self, ext: &str) -> Option<Component<'a>> {
        self.components().find(|c| c.ext == ext)
    }
}

/// An extension as samples know it.
pub(super) fn lower_ext(ext: &str) -> Cow<'_, str> {
    if ext.chars().any(char::is_uppercase) { Cow::Owned(ext.to_lowercase()) } else { Cow::Borrowed(ext) }
}

/// Whether one more member may join a sample that holds the extensions `held` and `bytes` bytes.
pub(super) fn admit<'a>(
    key: &str,
    mut held: impl ExactSizeIterator<Item = &'a str>,
    bytes: u64,
    ext: &str,
    size: u64,
) -> Result<(), TarRule> {
    if held.len() >= MAX_SAMPLE_MEMBERS {
        return Err(TarRule::TooManyMembers { key: key.to_owned() });
    }
    if bytes.saturating_add(size) > MAX_SAMPLE_BYTES {
        return Err(TarRule::SampleTooLarge { key: key.to_owned() });
    }
    if held.any(|other| other == ext) {
        return Err(TarRule::DuplicateMember { key: key.to_owned(), ext: ext.to_owned() });
    }
    Ok(())
}
