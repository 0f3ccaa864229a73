//! Where the shards go: a local folder, written in place, or the prefix of a bucket, for which they are made in a
//! staging folder and put up when whole. To everything else both look like one local folder; of a bucket's finished
//! shards it holds only the stats.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use pairmill_shards::folder::{DatasetFolder, LOCK_FILE, PAIRMILL_FOLDER, SIZES_FILE, ShardFile};
use pairmill_shards::storage::{Bucket, BucketUrl, Lease, Location, Stop, StorageError};
use pairmill_shards::table::check_version_of;
use pairmill_shards::words::hex;
use sha2::{Digest, Sha256};

use crate::card::{CARD_FILE, CARD_TEXT_FILE};
use crate::config::Config;
use crate::error::IngestError;

/// How late a stop is seen at most.
const POLL: Duration = Duration::from_millis(50);
/// Folder of staging folders within the system's one for temporary files.
const STAGING: &str = "pairmill-staging";
/// Bytes of a URL's hash that name its staging folder.
const NAME_BYTES: usize = 8;

/// A place this process may write to, until dropped.
#[derive(Debug)]
pub(super) enum Place {
    /// A folder, locked unless only some of its shards are made here.
    Folder { path: PathBuf, _lock: Option<File> },
    /// A bucket and its staging folder.
    Bucket(Box<Staged>),
}

/// A bucket's prefix as one local folder.
#[derive(Debug)]
pub(super) struct Staged {
    /// As the user named it.
    shown: PathBuf,
    path: PathBuf,
    bucket: Bucket,
    /// The shards that are made here, first to one past the last.
    range: (u64, u64),
    lease: Option<Lease>,
    lock: File,
}

/// Waits until the store that `config` writes to has answered; `false` when `stop` was set first. A local folder has
/// nothing to wait for.
///
/// # Errors
/// When the store refuses, or has no answer within its time.
pub fn reach(config: &Config, stop: &AtomicBool) -> Result<bool, IngestError> {
    let Location::Bucket(url) = config.output.location()? else { return Ok(true) };
    let ended = Stop::default();
    let within = &ended;
    let answered = thread::scope(|scope| {
        let worker = thread::Builder::new().spawn_scoped(scope, move || {
            Bucket::connect_until(&url.join(PAIRMILL_FOLDER), &config.storage, within)?.list().map(drop)
        });
        let worker = worker.map_err(IngestError::Thread)?;
        while !worker.is_finished() {
            if stop.load(Ordering::Relaxed) {
                ended.set();
            }
            thread::sleep(POLL);
        }
        let answered = worker.join();
        answered.map_err(|_| IngestError::Internal("asking the store ended by itself".to_owned()))
    })?;
    match answered {
        Err(_) if ended.is_set() => Ok(false),
        answered => Ok(answered.map(|()| true)?),
    }
}

impl Place {
    /// Makes the output of `config` ready to be looked at and written: created and locked.
    pub fn open(config: &Config) -> Result<Self, IngestError> {
        let place = Self::look_at(config)?;
        Ok(match place {
            Self::Bucket(staged) => Self::Bucket(Box::new(staged.leased(config)?)),
            folder => folder,
        })
    }

    /// The same of a bucket without keeping others from writing there.
    pub fn look_at(config: &Config) -> Result<Self, IngestError> {
        match config.output.location()? {
            Location::Local(path) => {
                let runs = path.join(PAIRMILL_FOLDER).join("runs");
                fs::create_dir_all(&runs).map_err(|e| IngestError::folder(&path, e))?;
                let is_whole = config.runtime.shards.is_none();
                let lock =
                    is_whole.then(|| lock(&path.join(PAIRMILL_FOLDER), LOCK_FILE, &path)).transpose()?;
                Ok(Self::Folder { path, _lock: lock })
            }
            Location::Bucket(url) => Ok(Self::Bucket(Box::new(Staged::open(config, &url)?))),
        }
    }

    /// The folder to work in.
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder { path, .. } => path,
            Self::Bucket(staged) => &staged.path,
        }
    }

    /// The place as the user named it, for messages.
    pub fn shown(&self) -> &Path {
        match self {
            Self::Folder { path, .. } => path,
            Self::Bucket(staged) => &staged.shown,
        }
    }

    /// What is there now. Of a bucket's finished shards that are made here, the stats can be read at their paths.
    pub fn dataset(&self) -> Result<DatasetFolder, IngestError> {
        match self {
            Self::Folder { path, .. } => Ok(DatasetFolder::scan(path)?),
            Self::Bucket(staged) => staged.dataset(),
        }
    }

    /// Refuses to go on behind shards of a newer format. Of a bucket's only the last finished one is looked at.
    pub fn check_versions(&self, dataset: &DatasetFolder) -> Result<(), IngestError> {
        let mut tables = dataset.done().filter_map(|shard| shard.get(ShardFile::Table));
        match self {
            Self::Folder { .. } => Ok(tables.try_for_each(check_version_of)?),
            Self::Bucket(staged) => {
                let name = tables.last().and_then(|path| path.file_name()).map(|name| name.to_string_lossy());
                Ok(name.map_or(Ok(()), |name| staged.bucket.check_version(&name))?)
            }
        }
    }

    /// Removes what Pairmill or img2dataset wrote. Anything else is the user's and stays.
    pub fn clear(&self) -> Result<(), IngestError> {
        match self {
            Self::Folder { path, .. } => clear_folder(path),
            Self::Bucket(staged) => staged.clear(),
        }
    }

    /// Puts a file of the folder up; nothing to be done where the folder is the place.
    pub fn publish(&self, name: &str) -> Result<(), IngestError> {
        match self {
            Self::Folder { .. } => Ok(()),
            Self::Bucket(staged) => staged.publish(name),
        }
    }

    /// The same for the files of a finished shard, stats last. Only the stats stay in the staging folder.
    pub fn publish_shard(&self, shard: &str) -> Result<(), IngestError> {
        match self {
            Self::Folder { .. } => Ok(()),
            Self::Bucket(staged) => staged.publish_shard(shard),
        }
    }

    /// Sees to it that the tables of the finished shards can be read at their paths.
    pub fn fetch_tables(&self) -> Result<(), IngestError> {
        match self {
            Self::Folder { .. } => Ok(()),
            Self::Bucket(staged) => staged.fetch_tables(),
        }
    }
}

impl Staged {
    fn open(config: &Config, url: &BucketUrl) -> Result<Self, IngestError> {
        let bucket = Bucket::connect(url, &config.storage)?;
        let shown = config.output.output_folder.clone();
        // Processes that make some shards each, on one machine, must not share a folder.
        let part = config.runtime.shards.map_or(String::new(), |(from, to)| format!("-{from}-{to}"));
        let root = staging_root(config);
        let name = format!("{}{part}", name_of(&url.to_string()));
        let path = root.join(&name);
        fs::create_dir_all(&root).map_err(|e| staging_error(&root, e))?;
        let lock = lock(&root, &format!("{name}.{LOCK_FILE}"), &shown)?;
        empty(&path)?;
        let runs = path.join(PAIRMILL_FOLDER).join("runs");
        fs::create_dir_all(&runs).map_err(|e| staging_error(&runs, e))?;
        let range = config.runtime.shards.unwrap_or((0, u64::MAX));
        let staged = Self { shown, path, bucket, range, lease: None, lock };
        staged.fetch_notes()?;
        Ok(staged)
    }

    /// Takes the lease, if the whole run is made here, and looks once more: somebody may just have finished.
    fn leased(mut self, config: &Config) -> Result<Self, IngestError> {
        if config.runtime.shards.is_none() {
            let name = format!("{PAIRMILL_FOLDER}/{LOCK_FILE}");
            self.lease = Lease::take(&self.bucket, &name, Some(&self.lock))?;
            self.fetch_notes()?;
        }
        Ok(self)
    }

    /// The configs of earlier runs and the card.
    fn fetch_notes(&self) -> Result<(), IngestError> {
        let mut names = Vec::new();
        let own = self.bucket.at(self.bucket.url().join(PAIRMILL_FOLDER));
        let runs = own.at(own.url().join("runs"));
        for (folder, within) in [(own, PAIRMILL_FOLDER.to_owned()), (runs, format!("{PAIRMILL_FOLDER}/runs"))]
        {
            let wanted =
                |name: &str| name == CARD_FILE || [".toml", ".done"].iter().any(|end| name.ends_with(end));
            let found = folder.list()?.into_iter().filter(|object| wanted(&object.name));
            names.extend(found.map(|object| format!("{within}/{}", object.name)));
        }
        Ok(self.bucket.fetch_small(&names, &self.path)?)
    }

    fn dataset(&self) -> Result<DatasetFolder, IngestError> {
        let names = self.bucket.list()?.into_iter().map(|object| (object.name, false));
        let dataset = DatasetFolder::of_names(&self.path, names.collect());
        self.fetch_missing(&dataset, ShardFile::Stats)?;
        Ok(dataset)
    }

    fn fetch_tables(&self) -> Result<(), IngestError> {
        self.fetch_missing(&self.dataset()?, ShardFile::Table)
    }

    fn fetch_missing(&self, dataset: &DatasetFolder, kind: ShardFile) -> Result<(), IngestError> {
        let own = dataset.done().filter(|shard| (self.range.0..self.range.1).contains(&shard.id.0));
        let paths = own.filter_map(|shard| shard.get(kind)).filter(|path| !path.exists());
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let names: Vec<String> = paths.filter_map(name).collect();
        Ok(self.bucket.fetch_small(&names, &self.path)?)
    }

    fn clear(&self) -> Result<(), IngestError> {
        let mut names: Vec<String> = self.bucket.list()?.into_iter().map(|object| object.name).collect();
        names.retain(|name| is_ours(name, false));
        // Stats first: a shard that is losing its files must not look finished.
        let (stats, others): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| name.ends_with(ShardFile::Stats.suffix()));
        let runs = format!("{PAIRMILL_FOLDER}/runs");
        let listed = self.bucket.at(self.bucket.url().join(&runs)).list()?;
        let mut notes: Vec<String> =
            listed.into_iter().map(|object| format!("{runs}/{}", object.name)).collect();
        notes.push(format!("{PAIRMILL_FOLDER}/{CARD_FILE}"));
        for some in [stats, others, notes] {
            self.bucket.delete(&some)?;
        }
        empty(&self.path)?;
        let runs = self.path.join(runs);
        fs::create_dir_all(&runs).map_err(|e| staging_error(&runs, e))
    }

    fn publish(&self, name: &str) -> Result<(), IngestError> {
        let done = self.check_lease().and_then(|()| self.bucket.upload(&self.path.join(name), name));
        done.map(drop).map_err(|error| self.failed(error))
    }

    fn publish_shard(&self, shard: &str) -> Result<(), IngestError> {
        let [files @ .., stats] = ShardFile::PUT_UP;
        for kind in files {
            let name = kind.name(shard);
            let path = self.path.join(&name);
            if path.exists() {
                self.bucket.upload(&path, &name).map_err(|error| self.failed(error))?;
                fs::remove_file(&path).map_err(|e| staging_error(&path, e))?;
            }
        }
        self.publish(&stats.name(shard))
    }

    fn check_lease(&self) -> Result<(), StorageError> {
        self.lease.as_ref().map_or(Ok(()), Lease::check)
    }

    fn failed(&self, error: StorageError) -> IngestError {
        if let (StorageError::Busy { .. } | StorageError::Unreachable { .. }, Some(lease)) =
            (&error, &self.lease)
        {
            lease.keep();
        }
        error.into()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // What is whole has been put up, and the rest is made anew; a killed run's folder is emptied by the next one.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Where staging folders lie.
pub(crate) fn staging_root(config: &Config) -> PathBuf {
    config.runtime.staging.clone().unwrap_or_else(|| std::env::temp_dir().join(STAGING))
}

/// A folder's name for what lies at `url`.
pub(crate) fn name_of(url: &str) -> String {
    hex(&Sha256::digest(url.as_bytes())[..NAME_BYTES])
}

pub(crate) fn staging_error(path: &Path, error: io::Error) -> IngestError {
    let path = path.to_owned();
    IngestError::Io { path, reason: format!("{error}; choose another folder with --staging") }
}

fn empty(path: &Path) -> Result<(), IngestError> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(staging_error(path, e)),
        _ => Ok(()),
    }
}

/// Locks the file `name` of `folder` for the place `shown`.
fn lock(folder: &Path, name: &str, shown: &Path) -> Result<File, IngestError> {
    fs::create_dir_all(folder).map_err(|e| IngestError::folder(shown, e))?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(name))
        .map_err(|e| IngestError::folder(folder, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(IngestError::Locked { folder: shown.to_owned() }),
        // Some network file systems have no locks: better an unguarded run than none.
        Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// Whether Pairmill or img2dataset wrote a file or folder of this name: it begins with a shard number, or is a note.
pub(super) fn is_ours(name: &str, is_dir: bool) -> bool {
    let stem_len = name.bytes().take_while(u8::is_ascii_digit).count();
    name == SIZES_FILE
        || name == CARD_TEXT_FILE
        || (is_dir && name == "_tmp")
        || stem_len > 0
            && match &name[stem_len..] {
                "" => is_dir,
                ".tar" | ".parquet" | ".idx" | ".tar.idx" | "_stats.json" | ".tfrecord" => !is_dir,
                _ => false,
            }
}

fn clear_folder(path: &Path) -> Result<(), IngestError> {
    let error = |at: &Path, e| IngestError::folder(at, e);
    for entry in fs::read_dir(path).map_err(|e| error(path, e))? {
        let entry = entry.map_err(|e| error(path, e))?;
        let at = entry.path();
        let is_dir = entry.file_type().map_err(|e| error(&at, e))?.is_dir();
        if is_ours(&entry.file_name().to_string_lossy(), is_dir) {
            if is_dir { fs::remove_dir_all(&at) } else { fs::remove_file(&at) }.map_err(|e| error(&at, e))?;
        }
    }
    let card = path.join(PAIRMILL_FOLDER).join(CARD_FILE);
    match fs::remove_file(&card) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(error(&card, e)),
        _ => {}
    }
    let runs = path.join(PAIRMILL_FOLDER).join("runs");
    match fs::remove_dir_all(&runs) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(error(&runs, e)),
        _ => {}
    }
    fs::create_dir_all(&runs).map_err(|e| error(path, e))
}
