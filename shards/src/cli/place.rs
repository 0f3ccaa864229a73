//! Shards that the commands read, wherever they lie: files as they are, objects of a bucket one at a time, fetched into a
//! temporary folder for as long as they are looked at.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::{anyhow, bail};
use tempfile::TempDir;

use super::image_table::is_parquet;
use crate::atomic::{FileAction, FileError};
use crate::folder::{DatasetFolder, PAIRMILL_FOLDER, RUNS_FOLDER, ShardFile};
use crate::leftover::{lock_folder, this_host};
use crate::printable::causes;
use crate::rewrite::{CONVERSIONS_FILE, RECORD_FILE};
use crate::spec::{ShardSpec, of_kind};
use crate::stamp::{Depth, Parts, Stamp};
use crate::storage::{Bucket, BucketUrl, Location, Object, Scheme, StorageConfig};
use crate::tar::{is_tar_name, shard_stem};

/// One shard.
pub(super) enum Shard {
    File(PathBuf),
    Object {
        bucket: Bucket,
        name: String,
        /// As far as a list said.
        bytes: Option<u64>,
        /// The store's mark of its content, likewise.
        etag: Option<String>,
    },
}

impl Shard {
    /// Path or URL, for people.
    pub fn shown(&self) -> String {
        match self {
            Self::File(path) => path.to_string_lossy().into_owned(),
            Self::Object { bucket, name, .. } => bucket.url_of(name),
        }
    }

    /// Folder or prefix that it lies in.
    pub fn folder(&self) -> Location {
        match self {
            Self::File(path) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                Location::Local(folder.unwrap_or(Path::new(".")).to_owned())
            }
            Self::Object { bucket, .. } => Location::Bucket(bucket.url().clone()),
        }
    }

    /// Whether its name is that of a Parquet image shard rather than a tar.
    pub fn is_parquet(&self) -> bool {
        match self {
            Self::File(path) => is_parquet(path),
            Self::Object { name, .. } => is_parquet(Path::new(name)),
        }
    }

    /// Its size; 0 where that cannot be had.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::File(path) => fs::metadata(path).map_or(0, |found| found.len()),
            Self::Object { bytes: Some(bytes), .. } => *bytes,
            Self::Object { bucket, name, .. } => {
                bucket.head(name).ok().flatten().map_or(0, |object| object.bytes)
            }
        }
    }

    /// What it holds, by what it takes to read a part of it or by its store's mark; `None` where there is no mark.
    ///
    /// # Errors
    /// When a file cannot be read or the store refuses.
    pub fn stamp(&self) -> anyhow::Result<Option<Stamp>> {
        let etag = match self {
            Self::File(path) => {
                let stamp = Stamp::of(path, Depth::SAMPLED);
                return Ok(Some(stamp.map_err(|e| FileError::new(path, FileAction::Read, e))?));
            }
            Self::Object { etag: Some(etag), .. } => Some(etag.clone()),
            Self::Object { bucket, name, .. } => bucket.head(name)?.and_then(|object| object.etag),
        };
        Ok(etag.map(|etag| {
            let mut parts = Parts::new("etag");
            parts.add("", &etag);
            parts.finish()
        }))
    }

    /// Runs `read` on the shard as a file of this machine.
    ///
    /// # Errors
    /// When the store refuses, the table beside it is of a newer format, or `read` fails; its error then speaks of the
    /// URL.
    pub fn read<T>(&self, read: impl FnOnce(&Path) -> anyhow::Result<T>) -> anyhow::Result<T> {
        if let Self::Object { bucket, name, .. } = self
            && is_tar_name(name)
        {
            bucket.check_version(&ShardFile::Table.name(shard_stem(name)))?;
        }
        self.read_with(&[], read)
    }

    /// The same with those files of `beside` that there are beside it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_with<T>(
        &self,
        beside: &[String],
        read: impl FnOnce(&Path) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        match self {
            Self::File(path) => read(path),
            Self::Object { bucket, name, .. } => {
                let dir = temp_dir()?;
                let path = dir.path().join(name);
                bucket.fetch(name, &path)?;
                for other in beside.iter().filter(|other| *other != name) {
                    if bucket.head(other)?.is_some() {
                        bucket.fetch(other, &dir.path().join(other))?;
                    }
                }
                let folder = bucket.url().to_string();
                read(&path).map_err(|error| renamed(error, dir.path(), &folder))
            }
        }
    }
}

/// Whether two places are one folder or prefix.
pub(super) fn is_same_folder(one: &Location, other: &Location) -> bool {
    let (Location::Local(one), Location::Local(other)) = (one, other) else { return one == other };
    fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
}

/// The shards a specification stands for; of a folder or prefix those of the first of `kinds` that it has.
///
/// # Errors
/// When one is missing, or a folder or prefix holds none.
pub(super) fn shards(spec: &ShardSpec, kinds: &[&str]) -> anyhow::Result<Vec<Shard>> {
    let Some(names) = urls(spec)? else {
        return Ok(spec.resolve_first_of(kinds)?.into_iter().map(Shard::File).collect());
    };
    let mut found = Vec::new();
    let mut client: Option<Bucket> = None;
    for url in names {
        let bucket = match &client {
            Some(bucket) if bucket.url().root() == url.root() => bucket.at(url.clone()),
            _ => Bucket::connect(&url, &StorageConfig::default())?,
        };
        if names_a_shard(&url) || url.scheme() == Scheme::Http {
            let name = url.file_name().to_owned();
            let bucket = bucket.at(url.parent());
            found.push(Shard::Object { bucket, name, bytes: None, etag: None });
        } else {
            let objects = bucket.list()?;
            let objects_of = |kind: &&str| -> Vec<&Object> {
                let paths = objects.iter().map(|object| PathBuf::from(&object.name)).collect();
                let names = of_kind(paths, kind);
                objects.iter().filter(|object| names.contains(Path::new(&object.name))).collect()
            };
            let Some(shards) = kinds.iter().map(objects_of).find(|shards| !shards.is_empty()) else {
                bail!(
                    "{url} holds no .{} object; give a prefix, object or pattern that does",
                    kinds.join(" or .")
                );
            };
            let shard = |object: &Object| Shard::Object {
                bucket: bucket.clone(),
                name: object.name.clone(),
                bytes: Some(object.bytes),
                etag: object.etag.clone(),
            };
            found.extend(shards.into_iter().map(shard));
        }
        client = Some(bucket);
    }
    Ok(found)
}

/// Whether a URL is that of a shard rather than of a prefix.
fn names_a_shard(url: &BucketUrl) -> bool {
    is_tar_name(url.file_name()) || url.file_name().ends_with(".parquet")
}

/// The URLs of a specification, `None` when it stands for files.
fn urls(spec: &ShardSpec) -> anyhow::Result<Option<Vec<BucketUrl>>> {
    let mut urls = Vec::new();
    for name in spec.names() {
        match Location::parse(name) {
            Ok(Location::Bucket(url)) => urls.push(url),
            // Pipes and the like are refused where files are looked for.
            Ok(Location::Local(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(urls))
}

/// The prefix that a specification stands for, if it is one and no shard.
pub(super) fn prefix(spec: &ShardSpec) -> anyhow::Result<Option<BucketUrl>> {
    let found = urls(spec)?.unwrap_or_default();
    Ok(match found.as_slice() {
        [only] if !names_a_shard(only) => Some(only.clone()),
        _ => None,
    })
}

/// All prefixes of buckets that a specification names.
pub(super) fn prefixes(spec: &ShardSpec) -> Vec<BucketUrl> {
    let urls = urls(spec).ok().flatten().unwrap_or_default();
    urls.into_iter().filter(|url| !names_a_shard(url) && url.scheme() != Scheme::Http).collect()
}

/// A prefix as a local folder, whose files come and go as they are needed.
pub(super) struct Copy {
    dir: Scratch,
    bucket: Bucket,
    objects: BTreeMap<String, Object>,
}

impl Copy {
    /// Lists what lies under `url`.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn of(url: &BucketUrl) -> anyhow::Result<Self> {
        let bucket = Bucket::connect(url, &StorageConfig::default())?;
        let objects = bucket.list()?.into_iter().map(|object| (object.name.clone(), object)).collect();
        Ok(Self { dir: temp_dir()?, bucket, objects })
    }

    /// The same without a list, for files whose names are known.
    ///
    /// # Errors
    /// When there is no room for temporary files.
    pub fn unlisted(bucket: Bucket) -> anyhow::Result<Self> {
        Ok(Self { dir: temp_dir()?, bucket, objects: BTreeMap::new() })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where an object belongs once it is fetched.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Whether there is an object of this name.
    pub fn has(&self, name: &str) -> bool {
        self.objects.contains_key(name)
    }

    /// Names of the shards of the first of `kinds` that is there.
    pub fn shards(&self, kinds: &[&str]) -> impl Iterator<Item = &str> {
        let of = |kind: &&str| {
            let paths = self.objects.keys().map(PathBuf::from).collect();
            let names = of_kind(paths, kind);
            self.objects.keys().filter(|name| names.contains(Path::new(name))).collect::<Vec<_>>()
        };
        let found = kinds.iter().map(of).find(|names| !names.is_empty()).unwrap_or_default();
        found.into_iter().map(String::as_str)
    }

    /// What is there. The paths are those of the files once they are fetched.
    pub fn folder(&self) -> DatasetFolder {
        let names = self.objects.keys().map(|name| (name.clone(), false)).collect();
        DatasetFolder::of_names(self.dir.path(), names)
    }

    /// Fetches the file that belongs at `path`, unless it is there.
    ///
    /// # Errors
    /// When the store or the disk refuses.
    pub fn bring(&self, path: &Path) -> anyhow::Result<()> {
        if !path.exists() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            self.bucket.fetch(&name, path)?;
        }
        Ok(())
    }

    /// Fetches the file of this name if there is one; whether there is. To a web server that refuses to say, there is
    /// none.
    ///
    /// # Errors
    /// When the store or the disk refuses.
    pub fn bring_if_there(&self, name: &str) -> anyhow::Result<bool> {
        let is_there = match self.bucket.url().scheme() {
            Scheme::Http => self.bucket.head(name).is_ok_and(|found| found.is_some()),
            _ => self.bucket.head(name)?.is_some(),
        };
        if is_there {
            self.bring(&self.path(name))?;
        }
        Ok(is_there)
    }

    /// Fetches what Pairmill keeps about the dataset and a command looks at: marks of finished runs, and what subset,
    /// reshard and convert note.
    ///
    /// # Errors
    /// When the store or the disk refuses.
    pub fn bring_notes(&self) -> anyhow::Result<()> {
        let own = self.bucket.at(self.bucket.url().join(PAIRMILL_FOLDER));
        let runs = own.at(own.url().join(RUNS_FOLDER));
        for (bucket, folder) in [
            (own, Path::new(PAIRMILL_FOLDER).to_owned()),
            (runs, Path::new(PAIRMILL_FOLDER).join(RUNS_FOLDER)),
        ] {
            let wanted = |name: &String| {
                [RECORD_FILE, CONVERSIONS_FILE].contains(&name.as_str())
                    || [".toml", ".done"].iter().any(|end| name.ends_with(end))
            };
            let names: Vec<String> =
                bucket.list()?.into_iter().map(|object| object.name).filter(wanted).collect();
            let folder = self.dir.path().join(folder);
            fs::create_dir_all(&folder).map_err(|e| FileError::new(&folder, FileAction::Create, e))?;
            bucket.fetch_small(&names, &folder)?;
        }
        Ok(())
    }

    /// Fetches small files, several at a time.
    ///
    /// # Errors
    /// When the store or the disk refuses.
    pub fn bring_small<'a>(&self, paths: impl Iterator<Item = &'a Path>) -> anyhow::Result<()> {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let names: Vec<String> = paths.map(name).collect();
        Ok(self.bucket.fetch_small(&names, self.dir.path())?)
    }

    /// Puts a file of the right length at `path` that is never read: what is asked is how long it is.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn stand_in(&self, path: &Path) -> anyhow::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let bytes = self.objects.get(&*name).map_or(0, |object| object.bytes);
        stand_in(path, bytes)
    }

    /// The same where nothing was listed.
    ///
    /// # Errors
    /// When the store or the disk refuses.
    pub fn stand_in_unlisted(&self, name: &str) -> anyhow::Result<()> {
        let bytes = self.bucket.head(name).ok().flatten().map_or(0, |object| object.bytes);
        stand_in(&self.path(name), bytes)
    }

    /// Removes a fetched file again.
    pub fn discard(&self, path: &Path) {
        // A leftover goes with the folder.
        let _ = fs::remove_file(path);
    }

    /// `text` with the URL where it speaks of the temporary folder.
    pub fn renamed(&self, text: &str) -> String {
        text.replace(&*self.dir.path().to_string_lossy(), &self.bucket.url().to_string())
    }

    /// The same for an error.
    pub fn rename(&self, error: impl Into<anyhow::Error>) -> anyhow::Error {
        renamed(error.into(), self.dir.path(), &self.bucket.url().to_string())
    }
}

fn stand_in(path: &Path, bytes: u64) -> anyhow::Result<()> {
    let made = File::create(path).and_then(|file| file.set_len(bytes));
    Ok(made.map_err(|e| FileError::new(path, FileAction::Create, e))?)
}

/// `error` with `url` where it speaks of the temporary folder `dir`.
pub(super) fn renamed(error: anyhow::Error, dir: &Path, url: &str) -> anyhow::Error {
    // The reader of our own output going away is told by its type.
    if super::output::is_broken_pipe(&error) {
        return error;
    }
    let text = causes(&*error);
    let dir = dir.to_string_lossy();
    if text.contains(&*dir) { anyhow!("{}", text.replace(&*dir, url)) } else { error }
}

/// What the names of folders for temporary files begin with.
const SCRATCH: &str = "pairmill-shards-";
/// A sweep may take a folder that was made a moment ago; then another one is made.
const SCRATCH_TRIES: u32 = 10;

/// A folder for temporary files, removed when it is dropped. It is locked for as long as its process lives, so that the
/// next command can tell what a killed one left behind.
pub(super) struct Scratch {
    dir: TempDir,
    _lock: File,
}

impl Scratch {
    /// The folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Makes one, and on the first call of a process removes those of dead processes of this machine.
///
/// # Errors
/// When the disk refuses.
pub(super) fn temp_dir() -> anyhow::Result<Scratch> {
    static SWEEP: Once = Once::new();
    let root = std::env::temp_dir();
    let prefix = format!("{SCRATCH}{}-", this_host());
    SWEEP.call_once(|| sweep(&root, &prefix));
    scratch_in(&root, &prefix)
}

fn scratch_in(root: &Path, prefix: &str) -> anyhow::Result<Scratch> {
    let refused = |e| FileError::new(root, FileAction::Create, e);
    for _ in 0..SCRATCH_TRIES {
        let dir = tempfile::Builder::new().prefix(prefix).tempdir_in(root).map_err(refused)?;
        match lock_folder(dir.path()) {
            Ok(Some(lock)) => return Ok(Scratch { dir, _lock: lock }),
            Ok(None) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            // No locks here: nobody will sweep it either.
            Err(_) => {
                let lock = File::open(dir.path()).map_err(refused)?;
                return Ok(Scratch { dir, _lock: lock });
            }
        }
    }
    Err(refused(io::Error::other("every new folder was taken away at once")).into())
}

/// Removes what dead processes left. Whatever cannot be removed stays: it is only in the way.
fn sweep(root: &Path, prefix: &str) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix)
            && let Ok(Some(_lock)) = lock_folder(&entry.path())
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f15_scratch_folders_of_dead_processes_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let live = scratch_in(root.path(), "s-").unwrap();
        let (dead, other) = (root.path().join("s-dead"), root.path().join("t-other"));
        for folder in [&dead, &other] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("00000.tar"), "x").unwrap();
        }
        sweep(root.path(), "s-");
        assert!(live.path().is_dir() && other.is_dir() && !dead.exists());
    }
}
