//! The folder that fetched shards lie in: a folder for each folder of URLs, within it the shards under their own names.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pairmill_shards::words::hex;
use sha2::{Digest, Sha256};

use crate::error::LoaderError;

/// End of the names of files that are being fetched.
pub(super) const PART: &str = ".part";
/// Silence after which such a file is a killed process's: longer than any pause and time-out of a transfer.
const ABANDONED: Duration = Duration::from_secs(3600);
/// Bytes of a folder's hash that name it.
const NAME_BYTES: usize = 8;

#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    bytes: u64,
}

/// A shard that nobody else fetches or deletes while this lives.
#[derive(Debug)]
pub(super) struct Held {
    // Closing the file ends the lock.
    _lock: File,
}

impl Held {
    /// Says that the shard was used just now. Failing costs only the order of deletion.
    pub fn touch(&self, path: &Path) {
        let _ = File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
    }
}

impl Cache {
    pub fn new(folder: Option<&Path>, bytes: u64) -> Result<Self, LoaderError> {
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => default_folder().ok_or(LoaderError::Option {
                option: "remote.cache",
                value: "not set".to_owned(),
                rule: "a folder, as neither XDG_CACHE_HOME nor HOME is set",
            })?,
        };
        Ok(Self { folder, bytes })
    }

    /// Where the file `name` of the URL `folder` belongs.
    pub fn path(&self, folder: &str, name: &str) -> PathBuf {
        self.folder.join(hex(&Sha256::digest(folder.as_bytes())[..NAME_BYTES])).join(name)
    }

    /// Waits until the shard at `path` is nobody else's.
    pub fn hold(&self, path: &Path) -> Result<Held, LoaderError> {
        let parent = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).map_err(|source| failed("make", parent, source))?;
        let name = lock_path(path);
        let lock = File::create(&name).map_err(|source| failed("write", &name, source))?;
        lock.lock().map_err(|source| failed("lock", &name, source))?;
        Ok(Held { _lock: lock })
    }

    /// Deletes the shards used longest ago until the rest fits, but not `newest` and none that is held; and what killed
    /// processes left half fetched.
    pub fn shrink(&self, newest: &Path) -> Result<(), LoaderError> {
        let mut shards = self.shards().map_err(|source| failed("list", &self.folder, source))?;
        let mut total: u64 = shards.iter().map(|(_, bytes, _)| bytes).sum();
        shards.sort();
        for (_, bytes, path) in shards {
            if total <= self.bytes {
                break;
            }
            let free = File::create(lock_path(&path)).is_ok_and(|lock| lock.try_lock().is_ok());
            if path != newest && free && fs::remove_file(&path).is_ok() {
                total -= bytes;
            }
        }
        Ok(())
    }

    /// Time of last use, size and place of every shard that is whole.
    fn shards(&self) -> std::io::Result<Vec<(SystemTime, u64, PathBuf)>> {
        let mut found = Vec::new();
        for folder in fs::read_dir(&self.folder)? {
            let folder = folder?.path();
            if !folder.is_dir() {
                continue;
            }
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                let is_shard = path.extension().is_some_and(|ext| ext == "tar" || ext == "parquet");
                if hidden && path.to_string_lossy().ends_with(PART) && is_abandoned(&path) {
                    let _ = fs::remove_file(&path);
                    continue;
                }
                // Another process may delete it meanwhile.
                if let (false, true, Ok(meta)) = (hidden, is_shard, fs::metadata(&path)) {
                    found.push((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), meta.len(), path));
                }
            }
        }
        Ok(found)
    }
}

fn is_abandoned(path: &Path) -> bool {
    let silent = fs::metadata(path).and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
    silent.is_some_and(|silent| silent > ABANDONED)
}

fn lock_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.lock"))
}

fn default_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(base.join("pairmill/shards"))
}

fn failed(action: &'static str, path: &Path, source: std::io::Error) -> LoaderError {
    LoaderError::File { path: path.to_owned(), action, source }
}
