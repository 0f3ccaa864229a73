//! A dataset folder: which shards are there, which of them are done, and what else lies about (FORMAT.md §1).
//!
//! Done means a `NNNNN_stats.json` is there, nothing else: it is written last. img2dataset parses the part before
//! the first `_` of *every* top-level `.json`; files it would trip over are listed as such.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::atomic::{FileAction, FileError};
use crate::key::{KeyLayout, ShardId};
use crate::leftover::name_of_temp;
use crate::table::{RowColumns, SidecarReader, TableError};
use crate::tar::{is_tar_name, shard_stem};

/// Subfolder with what Pairmill keeps about a dataset; readers of shards never look inside.
pub const PAIRMILL_FOLDER: &str = "_pairmill";
/// Scratch folder of a running img2dataset.
pub const IMG2DATASET_SCRATCH: &str = "_tmp";
/// open_clip's shard sizes.
pub const SIZES_FILE: &str = "sizes.json";
/// Name of the dataset card for people, beside the shards.
pub const CARD_TEXT_FILE: &str = "DATASET.md";
/// Within [`PAIRMILL_FOLDER`]: the lock of a folder's writer, the lease of a bucket's (FORMAT.md §1).
pub const LOCK_FILE: &str = "lock";

/// Within [`PAIRMILL_FOLDER`]: the runs of ingest, `00000.toml` and, once it is finished, `00000.done` (FORMAT.md §1).
pub const RUNS_FOLDER: &str = "runs";
/// A `.done` longer than this is none of ours.
const MAX_DONE_BYTES: u64 = 4096;

/// A run of ingest over a folder: one for the first `run`, one for each `extend` and each `retry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunMark {
    /// Number of its first shard.
    pub first_shard: u64,
    /// How many shards it made; `None` while it is unfinished.
    pub shards: Option<u64>,
}

/// A kind of file that belongs to a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShardFile {
    /// `00000_stats.json`
    Stats,
    /// `00000.tar`
    Tar,
    /// `00000.parquet`
    Table,
    /// `00000.idx`, DALI's index
    DaliIndex,
    /// `00000.tar.idx`, Energon's index
    EnergonIndex,
    /// `00000/`, output format `files`
    Files,
    /// `00000.tfrecord`
    TfRecord,
}

impl ShardFile {
    /// Every kind; the longer of two suffixes that end alike comes first.
    const ALL: [Self; 7] = [
        Self::Stats,
        Self::EnergonIndex,
        Self::Tar,
        Self::Table,
        Self::DaliIndex,
        Self::TfRecord,
        Self::Files,
    ];

    /// Those that go into a bucket, in the order they are put up: the stats last, which say that the others are there.
    pub const PUT_UP: [Self; 5] = [Self::Tar, Self::DaliIndex, Self::EnergonIndex, Self::Table, Self::Stats];

    /// What follows the shard's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Stats => "_stats.json",
            Self::Tar => ".tar",
            Self::Table => ".parquet",
            Self::DaliIndex => ".idx",
            Self::EnergonIndex => ".tar.idx",
            Self::Files => "",
            Self::TfRecord => ".tfrecord",
        }
    }

    /// Name of this file of the shard called `shard_name`.
    pub fn name(self, shard_name: &str) -> String {
        format!("{shard_name}{}", self.suffix())
    }
}

/// The files of one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardFiles {
    /// Number of the shard.
    pub id: ShardId,
    /// `00042`: the stem as found, with the padding it has on disk.
    pub name: String,
    files: BTreeMap<ShardFile, PathBuf>,
}

impl ShardFiles {
    /// Path of a file, if it is there.
    pub fn get(&self, file: ShardFile) -> Option<&Path> {
        self.files.get(&file).map(PathBuf::as_path)
    }

    /// Whether the shard is finished.
    pub fn is_done(&self) -> bool {
        self.files.contains_key(&ShardFile::Stats)
    }

    /// The files there are.
    pub fn files(&self) -> impl Iterator<Item = (ShardFile, &Path)> {
        self.files.iter().map(|(kind, path)| (*kind, path.as_path()))
    }
}

/// What lies in a dataset folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatasetFolder {
    /// The folder.
    pub dir: PathBuf,
    /// Shards by number, finished or not.
    pub shards: BTreeMap<ShardId, ShardFiles>,
    /// Files of a shard that is there under another padding (`0001.tar` beside `00001.tar`).
    pub clashes: Vec<PathBuf>,
    /// Tars that are not named by a number, or are compressed; sorted.
    pub other_tars: Vec<PathBuf>,
    /// Top-level `.json` files that are no stats, sorted: img2dataset raises on them or takes them for a done shard.
    pub foreign_json: Vec<PathBuf>,
    /// Temporary files and folders of a writer that was stopped, sorted; safe to delete when no run is going on.
    pub stale: Vec<PathBuf>,
    /// open_clip's `sizes.json`.
    pub sizes: Option<PathBuf>,
    /// img2dataset's `_tmp/`: it is running, or was stopped.
    pub scratch: Option<PathBuf>,
    /// Parquet files that are not named by a number and that the user chose; only in a [`part`](Self::part), as they may be
    /// anything.
    pub other_tables: Vec<PathBuf>,
    /// All Parquet files that are not named by a number, sorted.
    pub unnumbered_tables: Vec<PathBuf>,
    /// Whether this is a part of what is there, chosen by the user.
    pub is_part: bool,
}

/// Paddings of a dataset's names, as far as its files tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessedLayout {
    /// Digits of a shard name (`oom_shard_count`).
    pub shard_digits: u32,
    /// Digits of the index in a key (`D`); `None` when no table could tell.
    pub index_digits: Option<u32>,
}

impl GuessedLayout {
    /// Whether a run of `layout` would continue these names. Unknown digits agree with anything.
    pub fn agrees_with(&self, layout: &KeyLayout) -> bool {
        self.shard_digits == layout.oom_shard_count()
            && self.index_digits.is_none_or(|digits| digits == layout.index_digits())
    }
}

impl DatasetFolder {
    /// Lists `dir`, without opening any file.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn scan(dir: &Path) -> Result<Self, FileError> {
        Ok(Self::of_names(dir, Self::names_in(dir)?))
    }

    /// Names in `dir`, each with whether it is a folder, for [`of_names`](Self::of_names).
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn names_in(dir: &Path) -> Result<Vec<(String, bool)>, FileError> {
        let failed = |source| FileError::new(dir, FileAction::List, source);
        let mut names = Vec::new();
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // Follows links: shards may be symlinked together from several places.
            let is_dir = fs::metadata(entry.path()).is_ok_and(|m| m.is_dir());
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry.file_name().into_string() {
                names.push((name, is_dir));
            }
        }
        Ok(names)
    }

    /// The same of a list of names under `dir`, each with whether it is a folder, wherever they are listed.
    pub fn of_names(dir: &Path, mut names: Vec<(String, bool)>) -> Self {
        names.sort_unstable();
        let mut folder = Self { dir: dir.to_owned(), ..Self::default() };
        let mut named = BTreeMap::new();
        for (name, is_dir) in names {
            folder.add(&name, is_dir, &mut named);
        }
        for shard in named.into_values() {
            folder.settle(shard);
        }
        folder.clashes.sort_unstable();
        folder
    }

    /// Takes a shard in. Of two paddings of one number the finished one is the shard, else the one with more files;
    /// the other's files are clashes.
    fn settle(&mut self, shard: ShardFiles) {
        let rank = |s: &ShardFiles| (s.is_done(), s.files.len());
        let loser = match self.shards.get_mut(&shard.id) {
            None => {
                self.shards.insert(shard.id, shard);
                return;
            }
            Some(held) if rank(&shard) > rank(held) => std::mem::replace(held, shard),
            Some(_) => shard,
        };
        self.clashes.extend(loser.files.into_values());
    }

    fn add(&mut self, name: &str, is_dir: bool, named: &mut BTreeMap<String, ShardFiles>) {
        let path = self.dir.join(name);
        if is_dir && name == IMG2DATASET_SCRATCH {
            self.scratch = Some(path);
        } else if let Some((stem, kind)) = shard_file(name, is_dir) {
            let Ok(number) = stem.parse() else { return };
            let id = ShardId(number);
            let new = || ShardFiles { id, name: stem.to_owned(), files: BTreeMap::new() };
            named.entry(stem.to_owned()).or_insert_with(new).files.insert(kind, path);
        } else if name_of_temp(name).is_some() {
            self.stale.push(path);
        } else if is_dir {
            // Any other folder is the user's.
        } else if is_tar_name(name) {
            self.other_tars.push(path);
        } else if name.ends_with(ShardFile::Table.suffix()) && !name.starts_with('.') {
            self.unnumbered_tables.push(path);
        } else if name.ends_with(".json") {
            if name == SIZES_FILE {
                self.sizes = Some(path.clone());
            }
            self.foreign_json.push(path);
        }
    }

    /// Of this folder the shards whose tar or table is one of `paths`, and those of `paths` that no number names.
    pub fn part(mut self, paths: &[PathBuf]) -> Self {
        let chosen: HashSet<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let numbered: HashSet<PathBuf> =
            self.shards.values().flat_map(ShardFiles::files).map(|(_, path)| path.to_owned()).collect();
        // A compressed tar stands for its shard as the plain one does.
        let packed: HashSet<&str> = (self.other_tars.iter().filter(|tar| chosen.contains(tar.as_path())))
            .filter_map(|tar| Some(shard_stem(tar.file_name()?.to_str()?)))
            .collect();
        self.shards.retain(|_, shard| {
            let files = [ShardFile::Tar, ShardFile::Table].map(|kind| shard.get(kind));
            packed.contains(shard.name.as_str())
                || files.into_iter().flatten().any(|path| chosen.contains(path))
        });
        self.other_tars.retain(|path| chosen.contains(path.as_path()));
        let is_other = |path: &&PathBuf| {
            !numbered.contains(*path) && path.extension().is_some_and(|extension| extension == "parquet")
        };
        self.other_tables = paths.iter().filter(is_other).cloned().collect();
        self.is_part = true;
        self
    }

    /// Shards that are finished, ascending.
    pub fn done(&self) -> impl Iterator<Item = &ShardFiles> {
        self.shards.values().filter(|s| s.is_done())
    }

    /// Shards with files but without stats, ascending: a run was stopped amid them. Their files are to be replaced.
    pub fn unfinished(&self) -> impl Iterator<Item = &ShardFiles> {
        self.shards.values().filter(|s| !s.is_done())
    }

    /// Whether `id` is finished.
    pub fn is_done(&self, id: ShardId) -> bool {
        self.shards.get(&id).is_some_and(ShardFiles::is_done)
    }

    /// The highest finished number; `extend` starts behind it, as in img2dataset.
    pub fn max_done(&self) -> Option<ShardId> {
        self.done().map(|s| s.id).max()
    }

    /// The runs that ingest noted here, ascending. None in folders of other tools.
    ///
    /// # Errors
    /// When the notes cannot be read, or are none.
    pub fn runs(&self) -> Result<Vec<RunMark>, FileError> {
        let folder = self.dir.join(PAIRMILL_FOLDER).join(RUNS_FOLDER);
        let failed = |path: &Path, e| FileError::new(path, FileAction::Read, e);
        let entries = match fs::read_dir(&folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|e| failed(&folder, e))?,
        };
        let mut runs = BTreeMap::new();
        for entry in entries {
            let path = entry.map_err(|e| failed(&folder, e))?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            let Some(first_shard) = number else { continue };
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("toml") => _ = runs.entry(first_shard).or_insert(None),
                Some("done") => {
                    let shards = done_shards(&path).map_err(|e| failed(&path, e))?;
                    runs.insert(first_shard, Some(shards));
                }
                _ => {}
            }
        }
        Ok(runs.into_iter().map(|(first_shard, shards)| RunMark { first_shard, shards }).collect())
    }

    /// Shards that `run` made and of which no file is here, as ranges from first to last, and how many they are.
    pub fn missing(&self, run: &RunMark) -> (Vec<(u64, u64)>, u64) {
        // A range a gap, however many shards a damaged note claims.
        let Some(end) = run.shards.map(|shards| run.first_shard.saturating_add(shards)) else {
            return (Vec::new(), 0);
        };
        let (mut gaps, mut total, mut next) = (Vec::new(), 0, run.first_shard);
        let there = self.shards.range(ShardId(run.first_shard)..ShardId(end)).map(|(id, _)| id.0);
        for id in there.chain([end]) {
            if id > next {
                gaps.push((next, id - 1));
                total += id - next;
            }
            next = id.saturating_add(1);
        }
        (gaps, total)
    }

    /// Whether a file of a shard, or a tar or table of another name, is here under this name.
    pub fn has(&self, name: &str) -> bool {
        if let Some((stem, kind)) = shard_file(name, false) {
            let shard = stem.parse().ok().and_then(|number| self.shards.get(&ShardId(number)));
            return shard.is_some_and(|shard| shard.name == stem && shard.get(kind).is_some());
        }
        let path = self.dir.join(name);
        [&self.other_tars, &self.unnumbered_tables, &self.foreign_json]
            .into_iter()
            .any(|paths| paths.binary_search(&path).is_ok())
    }

    /// Whether there is nothing of any dataset here.
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty() && self.other_tars.is_empty() && self.other_tables.is_empty()
    }

    /// Guesses the paddings from the names and the first key of the first readable table. `None` without shards.
    ///
    /// # Errors
    /// When the first table cannot be read.
    pub fn guess_layout(&self) -> Result<Option<GuessedLayout>, TableError> {
        // The narrowest name: wider ones may have outgrown the padding.
        let Some(width) = self.shards.values().map(|s| s.name.len()).min() else { return Ok(None) };
        let shard_digits = u32::try_from(width).unwrap_or(u32::MAX);
        let mut index_digits = None;
        for shard in self.done() {
            let Some(table) = shard.get(ShardFile::Table) else { continue };
            if let Some(row) = SidecarReader::open(table)?.rows(RowColumns::Account)?.next() {
                let key_digits = u32::try_from(row?.key.len()).unwrap_or(u32::MAX);
                let name_digits = u32::try_from(shard.name.len()).unwrap_or(u32::MAX);
                index_digits = key_digits.checked_sub(name_digits);
                break;
            }
        }
        Ok(Some(GuessedLayout { shard_digits, index_digits }))
    }
}

/// The file of this kind that belongs to the shard whose tar or Parquet file is `shard`.
pub fn beside(shard: &Path, kind: ShardFile) -> PathBuf {
    let name = shard.file_name().unwrap_or_default().to_string_lossy();
    shard.with_file_name(kind.name(shard_stem(&name)))
}

/// What a `.done` says: `shards = 8`.
pub(crate) fn done_shards(path: &Path) -> std::io::Result<u64> {
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_DONE_BYTES).read_to_string(&mut text)?;
    let value = text.lines().find_map(|line| line.split_once('=').filter(|(key, _)| key.trim() == "shards"));
    value.and_then(|(_, number)| number.trim().parse().ok()).ok_or_else(|| {
        let problem = "it must say `shards = N`; give the run's command again, which writes it anew";
        std::io::Error::new(std::io::ErrorKind::InvalidData, problem)
    })
}

/// The number in the name of a shard's file or folder; `None` for any other name.
pub fn shard_of(name: &str) -> Option<ShardId> {
    let (stem, _) = shard_file(name, false).or_else(|| shard_file(name, true))?;
    stem.parse().ok().map(ShardId)
}

/// Whether a file of this name may be one that a command writes into a folder of shards.
pub fn is_dataset_file(name: &str) -> bool {
    let is_shard = |kind: &ShardFile| *kind != ShardFile::Files && name.ends_with(kind.suffix());
    shard_of(name).is_some()
        || [SIZES_FILE, CARD_TEXT_FILE].contains(&name)
        || ShardFile::ALL.iter().any(is_shard)
}

/// Cuts the name of a shard's file into number and kind.
fn shard_file(name: &str, is_dir: bool) -> Option<(&str, ShardFile)> {
    ShardFile::ALL.iter().find_map(|&kind| {
        let stem = name.strip_suffix(kind.suffix())?;
        let is_number = !stem.is_empty() && stem.len() <= 19 && stem.bytes().all(|b| b.is_ascii_digit());
        (is_number && is_dir == (kind == ShardFile::Files)).then_some((stem, kind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> (tempfile::TempDir, DatasetFolder) {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            if let Some(sub) = name.strip_suffix('/') {
                fs::create_dir(dir.path().join(sub)).unwrap();
            } else {
                fs::write(dir.path().join(name), b"").unwrap();
            }
        }
        let scanned = DatasetFolder::scan(dir.path()).unwrap();
        (dir, scanned)
    }

    #[test]
    fn only_stats_make_a_shard_done() {
        let (_dir, f) = folder(&[
            "00000.tar",
            "00000.tfrecord",
            "00000_stats.json",
            "00000.idx",
            "00000.tar.idx",
            "00001.tar",
            "00003/",
            "00003_stats.json",
            "_pairmill/",
            "_tmp/",
        ]);
        assert_eq!(f.done().map(|s| s.id.0).collect::<Vec<_>>(), [0, 3]);
        assert_eq!(f.unfinished().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["00001"]);
        assert_eq!(f.max_done(), Some(ShardId(3)));
        let kinds: Vec<_> = f.shards[&ShardId(0)].files().map(|(k, _)| k).collect();
        assert_eq!(kinds.len(), 5);
        assert!(f.scratch.is_some());
        assert_eq!(f.guess_layout().unwrap(), Some(GuessedLayout { shard_digits: 5, index_digits: None }));
    }

    #[test]
    fn foreign_files_are_told_apart() {
        let (_dir, f) = folder(&[
            "sizes.json",
            "00012_index.json",
            "shardindex.json",
            "train.tar",
            "00001.tar",
            "0001.tar",
            "notes.txt",
        ]);
        let names = |paths: &[PathBuf]| {
            paths
                .iter()
                .map(|p| p.file_name().unwrap().to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(names(&f.foreign_json), "00012_index.json shardindex.json sizes.json");
        assert_eq!(names(&f.other_tars), "train.tar");
        assert_eq!(names(&f.clashes), "0001.tar");
        assert!(f.sizes.is_some() && f.done().count() == 0);
    }

    #[test]
    fn of_two_paddings_the_finished_one_is_the_shard() {
        for finished in ["0001", "00001"] {
            let (_dir, f) =
                folder(&["0001.tar", "0001.parquet", "00001.tar", &format!("{finished}_stats.json")]);
            assert_eq!(f.done().map(|s| s.name.as_str()).collect::<Vec<_>>(), [finished]);
            assert!(!f.clashes.is_empty());
        }
    }

    #[test]
    fn paddings_are_guessed_from_names_and_keys() {
        let fixture =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/img2dataset-1.47/webdataset");
        let guessed = DatasetFolder::scan(&fixture).unwrap().guess_layout().unwrap().unwrap();
        assert_eq!(guessed, GuessedLayout { shard_digits: 5, index_digits: Some(1) });
        assert!(guessed.agrees_with(&KeyLayout::new(10, 5).unwrap()));
        assert!(!guessed.agrees_with(&KeyLayout::new(10_000, 5).unwrap()));
        assert!(!guessed.agrees_with(&KeyLayout::new(10, 8).unwrap()));
    }

    #[test]
    fn f13_shards_that_a_finished_run_made_are_missed() {
        let (dir, f) = folder(&["00000.tar", "00001_stats.json", "00004.parquet", "00007.tar"]);
        let runs = dir.path().join("_pairmill/runs");
        fs::create_dir_all(&runs).unwrap();
        let note = |name: &str, text: &str| fs::write(runs.join(name), text).unwrap();
        note("00000.toml", "");
        note("00000.done", "shards = 6\n");
        note("00006.toml", "");
        note(".00006.done.1.tmp", "");
        let marks = f.runs().unwrap();
        assert_eq!(
            marks,
            [(0, Some(6)), (6, None)].map(|(first_shard, shards)| RunMark { first_shard, shards })
        );
        assert_eq!(f.missing(&marks[0]), (vec![(2, 3), (5, 5)], 3));
        assert_eq!(f.missing(&marks[1]), (vec![], 0), "an unfinished run has not made them yet");
        // A damaged note costs no memory.
        let huge = RunMark { first_shard: 1, shards: Some(u64::MAX) };
        assert_eq!(f.missing(&huge).0.len(), 3);
        note("00006.done", "done");
        assert!(f.runs().unwrap_err().to_string().contains("shards = N"));
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_it() {
        let error = DatasetFolder::scan(Path::new("no/such/folder")).unwrap_err();
        assert!(error.to_string().contains("no/such/folder"), "{error}");
    }
}
