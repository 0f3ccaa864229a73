//! `pairmill-shards verify`: holds a folder against every rule of FORMAT.md, and says in words what a given reader
//! would choke on.
//!
//! Shard by shard, with memory for one shard's keys: table against stats, images against table, `json` and `txt`
//! against the row they were made from, indexes against the tar. Works on img2dataset's folders, and on tars alone,
//! where only what a tar can show is checked.

mod against;
mod finding;
mod images;
mod shard;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::bail;
use clap::Args;

pub use self::against::Reader;
use self::finding::{Findings, Place};
pub(super) use self::finding::{Origin, Rule};
use super::output::Output;
use super::place::{self, Copy, Shard};
use crate::atomic::is_being_written;
use crate::folder::{DatasetFolder, SIZES_FILE, ShardFile, shard_of};
use crate::index::sizes;
use crate::key::fingerprint;
use crate::printable::{excerpt, printable};
use crate::rewrite::{Notes, shuffle_in};
use crate::spec::ShardSpec;
use crate::table::{SidecarReader, column};
use crate::tar::shard_stem;
use crate::words::grouped;

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: nothing found; 1: findings, one line each; 2: the input could not be looked at.\n\
                  The rules (R1 …) are FORMAT.md's.\n\n\
                  Examples:\n  pairmill-shards verify laion\n  pairmill-shards verify laion --images --against open-clip\n  \
                  pairmill-shards verify 'other/{00000..00012}.tar' --against hf"
)]
pub struct VerifyArgs {
    /// A dataset folder, or tars (globs and patterns too); or URLs of these, of which one shard at a time is fetched into
    /// the folder for temporary files (with --against, all stay there until the end)
    #[arg(required = true, value_name = "SHARDS")]
    pub shards: Vec<ShardSpec>,
    /// Also read every image's header: it must be an image of the promised format and size
    #[arg(long)]
    pub images: bool,
    /// Also check the hash column, as far as possible: it is of the bytes as downloaded, so only images that were
    /// kept as they came can be hashed again
    #[arg(long)]
    pub hashes: bool,
    /// Also say what this reader would choke on (may be given several times)
    #[arg(long, value_name = "READER", value_enum)]
    pub against: Vec<Reader>,
}

/// What was looked at and found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Findings in all; 0 is a clean bill.
    pub findings: u64,
}

/// Which of the costlier checks to make.
#[derive(Debug, Clone, Copy, Default)]
struct Depth {
    images: bool,
    hashes: bool,
}

/// Verifies folders and tars and prints the findings.
///
/// # Errors
/// When there is nothing to look at.
pub fn verify(args: &VerifyArgs, out: &mut Output) -> anyhow::Result<Verdict> {
    let (num_shards, findings) = check(args, &mut |line| writeln!(out, "{}", printable(line)))?;
    if findings == 0 {
        writeln!(out, "{} shards: nothing found", grouped(num_shards))?;
    } else {
        writeln!(out, "{} shards: {} findings", grouped(num_shards), grouped(findings))?;
    }
    Ok(Verdict { findings })
}

/// Runs all checks, handing each line to `print`; returns shards looked at and findings.
fn check(
    args: &VerifyArgs,
    print: &mut dyn FnMut(&str) -> std::io::Result<()>,
) -> anyhow::Result<(u64, u64)> {
    let depth = Depth { images: args.images, hashes: args.hashes };
    let mut checker = Checker {
        findings: Findings::default(),
        keys: KeySet::default(),
        print,
        tars: Vec::new(),
        copies: Vec::new(),
        keeps: !args.against.is_empty(),
    };
    let mut num_shards = 0;
    for spec in &args.shards {
        if let Some(url) = place::prefix(spec)? {
            num_shards += checker.prefix(Copy::of(&url)?, depth)?;
            continue;
        }
        let folder =
            spec.names().first().map(Path::new).filter(|path| spec.names().len() == 1 && path.is_dir());
        match folder {
            Some(dir) => num_shards += checker.folder(dir, depth)?,
            None => {
                for shard in place::shards(spec, &["tar"])? {
                    num_shards += 1;
                    checker.bare_shard(shard, depth)?;
                }
            }
        }
    }
    for reader in &args.against {
        against::check(*reader, &checker.tars, &checker.keys, &mut checker.findings);
        checker.flush()?;
    }
    Ok((num_shards, checker.findings.total()))
}

struct Checker<'a> {
    findings: Findings,
    keys: KeySet,
    print: &'a mut dyn FnMut(&str) -> std::io::Result<()>,
    /// Tars looked at, for the readers.
    tars: Vec<PathBuf>,
    /// Temporary folders of what was fetched.
    copies: Vec<Rc<Copy>>,
    /// Whether fetched tars stay for the readers.
    keeps: bool,
}

impl Checker<'_> {
    fn flush(&mut self) -> std::io::Result<()> {
        for line in self.findings.take_lines() {
            let line = self.copies.iter().fold(line, |line, copy| copy.renamed(&line));
            (self.print)(&line)?;
        }
        Ok(())
    }

    /// A tar without table and stats, or a Parquet shard that was made of one.
    fn bare_shard(&mut self, shard: Shard, depth: Depth) -> anyhow::Result<()> {
        let is_parquet = shard.is_parquet();
        let shown = shard.shown();
        if let (Shard::Object { bucket, name, .. }, false) = (&shard, is_parquet) {
            let table = ShardFile::Table.name(shard_stem(name));
            if let Err(error) = bucket.check_version(&table).map_err(|error| error.to_string()) {
                self.findings.set_origin(Origin::Foreign);
                self.findings.add_error(Rule::Version, Path::new(&bucket.url_of(&table)), Place::File, error);
            }
        }
        let (tar, copy) = match shard {
            Shard::File(path) => (path, None),
            Shard::Object { bucket, name, .. } => {
                let copy = Rc::new(Copy::unlisted(bucket)?);
                self.copies.push(copy.clone());
                (copy.path(&name), Some(copy))
            }
        };
        if let Some(copy) = &copy {
            copy.bring(&tar)?;
        }
        if is_parquet {
            if !is_of_members(&tar) {
                bail!("{shown}: a table belongs to its shard's other files; give the folder of all of them");
            }
            self.findings.set_origin(Origin::Converted);
            shard::check_members(&tar, depth, &mut self.findings, &mut self.keys);
            return Ok(self.flush()?);
        }
        self.findings.set_origin(Origin::Foreign);
        shard::check_bare_tar(&tar, depth, &mut self.findings, &mut self.keys);
        self.flush()?;
        self.put_by(tar, copy.as_deref());
        Ok(())
    }

    /// Keeps a tar in mind for the readers, or lets a fetched one go that no reader will ask for.
    fn put_by(&mut self, tar: PathBuf, copy: Option<&Copy>) {
        match copy {
            Some(copy) if !self.keeps => copy.discard(&tar),
            _ => self.tars.push(tar),
        }
    }

    fn folder(&mut self, dir: &Path, depth: Depth) -> anyhow::Result<u64> {
        self.dataset(&DatasetFolder::scan(dir)?, &dir.display().to_string(), None, depth)
    }

    fn prefix(&mut self, copy: Copy, depth: Depth) -> anyhow::Result<u64> {
        let copy = Rc::new(copy);
        self.copies.push(copy.clone());
        copy.bring_notes()?;
        let folder = copy.folder();
        let shown = copy.renamed(&folder.dir.to_string_lossy());
        self.dataset(&folder, &shown, Some(&copy), depth).map_err(|error| copy.rename(error))
    }

    fn dataset(
        &mut self,
        folder: &DatasetFolder,
        shown: &str,
        copy: Option<&Copy>,
        depth: Depth,
    ) -> anyhow::Result<u64> {
        // Of a tar that no number names, `convert` makes a table that none names.
        let mut converted = Vec::new();
        for table in &folder.unnumbered_tables {
            if let Some(copy) = copy {
                copy.bring(table)?;
            }
            if is_of_members(table) {
                converted.push(table);
            } else if let Some(copy) = copy {
                copy.discard(table);
            }
        }
        let (notes, unread) = match Notes::of(folder) {
            Ok(notes) => (notes, None),
            Err(error) => (Notes::default(), Some(error)),
        };
        if folder.is_empty() && converted.is_empty() && notes.conversions.is_empty() {
            if !folder.unnumbered_tables.is_empty() {
                bail!(
                    "{shown}: tables of another tool, for which there are no rules; `pairmill-shards convert` makes tars of \
                     them, which can be verified"
                );
            }
            bail!("{shown}: no shards here; give the output folder of a run, or tars");
        }
        // A folder of numbered tars without any table or stats is no img2dataset folder.
        let is_dataset = folder.shards.values().any(|s| s.is_done() || s.get(ShardFile::Table).is_some());
        let origin = Origin::of(&folder.dir, is_dataset);
        self.findings.set_origin(origin);
        self.folder_files(folder);
        if let Some(error) = unread {
            self.findings.add_error(Rule::Missing, &folder.dir, Place::File, error);
        }
        self.missing_shards(folder, &notes);
        self.flush()?;
        let mut sizes = std::collections::BTreeMap::new();
        let mut retries = Retries::default();
        for files in folder.shards.values() {
            let tar = files.get(ShardFile::Tar);
            let table = files.get(ShardFile::Table).filter(|_| !files.is_done());
            if let Some(copy) = copy.filter(|_| files.is_done() || table.is_some() || !is_dataset) {
                files.files().try_for_each(|(_, path)| copy.bring(path))?;
            }
            let num_samples = if let Some(table) = table.filter(|table| is_of_members(table)) {
                self.findings.set_origin(Origin::Converted);
                shard::check_members(table, depth, &mut self.findings, &mut self.keys);
                self.findings.set_origin(origin);
                None
            } else if !is_dataset {
                tar.and_then(|tar| shard::check_bare_tar(tar, depth, &mut self.findings, &mut self.keys))
            } else if files.is_done() {
                shard::check_shard(files, depth, &mut self.findings, &mut self.keys, &mut retries)
            } else {
                for (_, path) in files.files() {
                    self.findings.add(
                        Rule::Finished,
                        path,
                        Place::File,
                        "the shard has no stats: it is not finished",
                    );
                }
                self.flush()?;
                continue;
            };
            if let Some(tar) = tar {
                let name = tar.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                sizes.extend(num_samples.map(|n| (name, n)));
                self.tars.push(tar.to_owned());
            }
            self.flush()?;
            if let Some(copy) = copy.filter(|_| !self.keeps) {
                files.files().for_each(|(_, path)| copy.discard(path));
            }
        }
        for tar in &folder.other_tars {
            if let Some(copy) = copy {
                copy.bring(tar)?;
            }
            let num_samples = shard::check_bare_tar(tar, depth, &mut self.findings, &mut self.keys);
            let name = tar.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            sizes.extend(num_samples.map(|n| (name, n)));
            self.flush()?;
            self.put_by(tar.clone(), copy);
        }
        for table in &converted {
            self.findings.set_origin(Origin::Converted);
            shard::check_members(table, depth, &mut self.findings, &mut self.keys);
            self.findings.set_origin(origin);
            self.flush()?;
            if let Some(copy) = copy {
                copy.discard(table);
            }
        }
        if let Some(copy) = copy.filter(|_| !retries.claims.is_empty()) {
            retries.tables.iter().try_for_each(|table| copy.bring(table))?;
        }
        retries.check(&mut self.findings);
        self.sizes(folder, &sizes, copy)?;
        self.flush()?;
        Ok((folder.shards.len() + folder.other_tars.len() + converted.len()) as u64)
    }

    fn folder_files(&mut self, folder: &DatasetFolder) {
        for path in &folder.clashes {
            let problem = "another padding of a shard number that is there already";
            self.findings.add(Rule::ShardName, path, Place::File, problem);
        }
        for path in &folder.stale {
            // Says itself what to do, where the rule's advice would be wrong.
            let problem = match is_being_written(path) {
                true => {
                    "a process is writing it, or another machine's was stopped within the hour; wait until it is done"
                }
                false => "left behind by a writer that was stopped",
            };
            self.findings.add_error(Rule::Stale, path, Place::File, problem);
        }
        if let Some((path, is_live)) = shuffle_in(&folder.dir) {
            let problem = match is_live {
                true => "a shuffle that is under way keeps samples here; wait until it is done",
                false => {
                    "left behind by a shuffle that was stopped; delete it, or give any rewriting command for this folder"
                }
            };
            self.findings.add_error(Rule::Stale, &path, Place::File, problem);
        }
        if let Some(path) = &folder.scratch {
            let problem = "img2dataset's scratch folder: it is still running here, or was stopped";
            self.findings.add(Rule::Stale, path, Place::File, problem);
        }
        for path in folder.foreign_json.iter().filter(|p| p.file_name().is_none_or(|n| n != SIZES_FILE)) {
            let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
            let head = name.split('_').next().unwrap_or_default();
            let problem = if !head.is_empty() && head.bytes().all(|b| b.is_ascii_digit()) {
                format!("img2dataset takes this for the stats of shard {head} and will skip the shard")
            } else {
                "img2dataset cannot resume a folder with this file in it".to_owned()
            };
            self.findings.add(Rule::ForeignJson, path, Place::File, problem);
        }
    }

    /// Shards that a finished run made, and of which nothing is left.
    fn missing_shards(&mut self, folder: &DatasetFolder, notes: &Notes) {
        let mut runs = match folder.runs() {
            Ok(runs) => runs,
            Err(error) => return self.findings.add_error(Rule::Missing, &error.path, Place::File, &error),
        };
        runs.extend(notes.rewrite);
        if notes.is_unfinished() {
            let problem = "the subset or reshard that fills this folder has not ended";
            self.findings.add(Rule::Missing, &folder.dir, Place::File, problem);
        }
        for (name, made_of) in notes.conversions.unmade(|name| folder.has(name)) {
            // Of a shard whose first files are there, the check of the shard itself says that it is not finished.
            let is_begun =
                shard_of(&ShardFile::Table.name(name)).is_some_and(|id| folder.shards.contains_key(&id));
            if !(is_begun && made_of.has_stats) {
                let problem = format!(
                    "shard {} is missing: convert was to make it of {}",
                    excerpt(name, 60),
                    excerpt(&made_of.input, 200)
                );
                self.findings.add(Rule::Missing, &folder.dir, Place::File, problem);
            }
        }
        let width = folder.shards.values().map(|shard| shard.name.len()).min().unwrap_or(0);
        for run in runs {
            let made = run.shards.unwrap_or(0);
            for (first, last) in folder.missing(&run).0 {
                let which = match first == last {
                    true => format!("shard {first:0width$} is"),
                    false => format!("shards {first:0width$} to {last:0width$} are"),
                };
                let begun = run.first_shard;
                let problem =
                    format!("{which} missing: the run from shard {begun:0width$} made {}", grouped(made));
                self.findings.add(Rule::Missing, &folder.dir, Place::File, problem);
            }
        }
    }

    fn sizes(
        &mut self,
        folder: &DatasetFolder,
        counted: &std::collections::BTreeMap<String, u64>,
        copy: Option<&Copy>,
    ) -> anyhow::Result<()> {
        let Some(path) = &folder.sizes else { return Ok(()) };
        if let Some(copy) = copy {
            copy.bring(path)?;
        }
        let listed = match sizes::read(path) {
            Ok(listed) => listed,
            Err(error) => {
                self.findings.add_error(Rule::Sizes, path, Place::File, error);
                return Ok(());
            }
        };
        for (name, count) in counted {
            let problem = match listed.get(name) {
                Some(n) if n == count => continue,
                Some(n) => format!("says {n} samples, the tar has {count}"),
                None => "not listed; open_clip stops at it".to_owned(),
            };
            self.findings.add(Rule::Sizes, path, Place::Key(name.clone()), problem);
        }
        let is_there = |name: &str| match copy {
            Some(copy) => copy.has(name),
            None => folder.dir.join(name).is_file(),
        };
        for name in listed.keys().filter(|name| !is_there(name)) {
            let problem = "no such tar; fetch it or make it again, or, if it was left out on purpose, run \
                           `pairmill-shards index --sizes`";
            self.findings.add_error(Rule::Sizes, path, Place::Key(name.clone()), problem);
        }
        Ok(())
    }
}

/// Whether the table at `path` is one that `convert` made from a tar that had none.
fn is_of_members(path: &Path) -> bool {
    SidecarReader::open(path).is_ok_and(|table| table.is_of_members())
}

/// Keys seen, for tars whose keys the table does not already prove to be their own. Keys are held as 128-bit
/// hashes: 40 bytes each, and a chance of 1 in 10^20 of a false alarm among a billion.
#[derive(Debug, Default)]
struct KeySet {
    seen: HashMap<u128, u32>,
    tars: Vec<PathBuf>,
    num_duplicates: u64,
}

impl KeySet {
    /// Starts a tar; the number stands for it in [`KeySet::insert`].
    fn start(&mut self, tar: &Path) -> u32 {
        self.tars.push(tar.to_owned());
        u32::try_from(self.tars.len() - 1).unwrap_or(u32::MAX)
    }

    /// Adds a key; gives the tar that had it already.
    fn insert(&mut self, key: &str, tar: u32) -> Option<&Path> {
        let earlier = *self.seen.entry(fingerprint(key)).or_insert(tar);
        if earlier == tar {
            return None;
        }
        self.num_duplicates += 1;
        self.tars.get(earlier as usize).map(PathBuf::as_path)
    }
}

/// What retry shards claim to supersede, and which failed keys there are to supersede.
#[derive(Debug, Default)]
struct Retries {
    /// Superseded key, by whom: table, row.
    claims: Vec<(String, PathBuf, u64)>,
    /// Keys of failed rows and of successes in the whole folder, kept only when there are retry shards: the tables.
    tables: Vec<PathBuf>,
}

impl Retries {
    fn check(&self, findings: &mut Findings) {
        if self.claims.is_empty() {
            return;
        }
        let wanted: HashSet<&str> = self.claims.iter().map(|(key, _, _)| key.as_str()).collect();
        let mut failed = HashSet::new();
        let mut succeeded = HashSet::new();
        for path in &self.tables {
            let Ok(rows) = table::rows_of(path) else { continue };
            for row in rows.flatten().filter(|row| wanted.contains(row.key.as_str())) {
                let set =
                    if row.status == crate::status::Status::Success { &mut succeeded } else { &mut failed };
                set.insert(row.key);
            }
        }
        let mut claimed = HashSet::new();
        for (key, path, row) in &self.claims {
            let problem = if succeeded.contains(key) {
                format!("supersedes {key}, which succeeded")
            } else if !failed.contains(key) {
                format!("supersedes {key}, which is in no table")
            } else if !claimed.insert(key.as_str()) {
                format!("supersedes {key}, which another row supersedes too")
            } else {
                continue;
            };
            findings.add(
                Rule::Retry,
                path,
                Place::Row(*row),
                format!("column `{}`: {problem}", column::RETRY_OF),
            );
        }
    }
}
