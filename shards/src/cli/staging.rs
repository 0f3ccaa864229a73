//! Where commands write that were given a URL: a temporary folder, whose files are put up as soon as they are whole. An
//! empty file stands for each object that is there already, so that who looks for a file's name finds it.

use std::fs::{self, File};
use std::path::Path;

use super::place::{Scratch, renamed, temp_dir};
use crate::atomic::{FileAction, FileError};
use crate::folder::{LOCK_FILE, PAIRMILL_FOLDER, ShardFile};
use crate::storage::{Bucket, BucketUrl, Lease, StorageConfig};

/// A prefix that this process writes to, as a folder.
pub(super) struct Staging {
    dir: Scratch,
    bucket: Bucket,
    /// `None` where the store has no conditional puts.
    lease: Option<Lease>,
}

impl Staging {
    /// Takes the prefix for this process, and lists it.
    ///
    /// # Errors
    /// When the store refuses, it is a web server, or another process writes there.
    pub fn open(url: &BucketUrl) -> anyhow::Result<Self> {
        let bucket = Bucket::connect(url, &StorageConfig::default())?;
        let lease = Lease::take(&bucket, &format!("{PAIRMILL_FOLDER}/{LOCK_FILE}"), None)?;
        let staging = Self { dir: temp_dir()?, bucket, lease };
        let notes = staging.path().join(PAIRMILL_FOLDER);
        fs::create_dir_all(&notes).map_err(|e| FileError::new(&notes, FileAction::Create, e))?;
        for object in staging.bucket.list()? {
            staging.stand_in(&object.name)?;
        }
        Ok(staging)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Brings a small object, if there is one of this name.
    ///
    /// # Errors
    /// When store or disk refuse.
    pub fn bring(&self, name: &str) -> anyhow::Result<()> {
        if let Some(bytes) = self.bucket.get(name)? {
            let path = self.path().join(name);
            fs::write(&path, bytes).map_err(|e| FileError::new(&path, FileAction::Write, e))?;
        }
        Ok(())
    }

    /// Puts up a file of the folder, which then stands for it.
    ///
    /// # Errors
    /// When the store refuses, or another process has taken the prefix over.
    pub fn upload(&self, name: &str) -> anyhow::Result<()> {
        self.lease.as_ref().map_or(Ok(()), Lease::check)?;
        self.bucket.upload(&self.path().join(name), name)?;
        self.stand_in(name)
    }

    /// The same for the files of a shard that are not mere stand-ins, the statistics last.
    ///
    /// # Errors
    /// As [`upload`](Self::upload).
    pub fn upload_shard(&self, shard: &str) -> anyhow::Result<()> {
        self.upload_files(shard, &ShardFile::PUT_UP)
    }

    /// The same for some kinds of files, in the order given.
    ///
    /// # Errors
    /// As [`upload`](Self::upload).
    pub fn upload_files(&self, shard: &str, kinds: &[ShardFile]) -> anyhow::Result<()> {
        for name in kinds.iter().map(|kind| kind.name(shard)) {
            if fs::metadata(self.path().join(&name)).is_ok_and(|found| found.len() > 0) {
                self.upload(&name)?;
            }
        }
        Ok(())
    }

    /// `error` with the URL where it speaks of the folder.
    pub fn rename(&self, error: anyhow::Error) -> anyhow::Error {
        renamed(error, self.path(), &self.bucket.url().to_string())
    }

    fn stand_in(&self, name: &str) -> anyhow::Result<()> {
        let path = self.path().join(name);
        File::create(&path).map_err(|e| FileError::new(&path, FileAction::Create, e))?;
        Ok(())
    }
}
