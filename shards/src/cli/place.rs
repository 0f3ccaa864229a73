//! Shards that the commands read, wherever they lie: files as they are, objects of a bucket one at a time, fetched into a
//! temporary folder for as long as they are looked at.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use tempfile::TempDir;

use super::image_table::is_parquet;
use crate::atomic::{FileAction, FileError};
use crate::folder::DatasetFolder;
use crate::spec::{ShardSpec, of_kind};
use crate::storage::{Bucket, BucketUrl, Location, Object, Scheme, StorageConfig};
use crate::tar::is_tar_name;

/// One shard.
pub(super) enum Shard {
    File(PathBuf),
    Object {
        bucket: Bucket,
        name: String,
        /// As far as a list said.
        bytes: Option<u64>,
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

    /// Runs `read` on the shard as a file of this machine.
    ///
    /// # Errors
    /// When the store refuses, or `read` fails; its error then speaks of the URL.
    pub fn read<T>(&self, read: impl FnOnce(&Path) -> anyhow::Result<T>) -> anyhow::Result<T> {
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
            found.push(Shard::Object { bucket: bucket.at(url.parent()), name, bytes: None });
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

/// A prefix as a local folder, whose files come and go as they are needed.
pub(super) struct Copy {
    dir: TempDir,
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

    /// Where an object belongs once it is fetched.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Whether there is an object of this name.
    pub fn has(&self, name: &str) -> bool {
        self.objects.contains_key(name)
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
        let made = fs::File::create(path).and_then(|file| file.set_len(bytes));
        Ok(made.map_err(|e| FileError::new(path, FileAction::Create, e))?)
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

/// `error` with `url` where it speaks of the temporary folder `dir`.
pub(super) fn renamed(error: anyhow::Error, dir: &Path, url: &str) -> anyhow::Error {
    // The reader of our own output going away is told by its type.
    if super::output::is_broken_pipe(&error) {
        return error;
    }
    let text = format!("{error:#}");
    let dir = dir.to_string_lossy();
    if text.contains(&*dir) { anyhow!("{}", text.replace(&*dir, url)) } else { error }
}

/// A folder for temporary files, removed when it is dropped.
///
/// # Errors
/// When the disk refuses.
pub(super) fn temp_dir() -> anyhow::Result<TempDir> {
    let made = tempfile::Builder::new().prefix("pairmill-shards-").tempdir();
    Ok(made.map_err(|e| FileError::new(std::env::temp_dir(), FileAction::Create, e))?)
}
