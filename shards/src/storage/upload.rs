//! A local file as one object. Small ones are put whole; larger ones go up by parts, a bounded number of them in memory
//! over all uploads of a [`Bucket`], and the object appears when the last request, the completion, succeeds. After a
//! failure the upload is aborted; what a killed process leaves behind is no object, only parts that the bucket's
//! lifecycle rule removes (FORMAT.md).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use object_store::{Error as StoreError, MultipartUpload, ObjectStoreExt, PutPayload};
use tokio::task::JoinSet;

use super::MAX_PARTS;
use super::bucket::{Bucket, block_on};
use super::error::StorageError;
use super::patience::Patience;
use crate::atomic::{FileAction, FileError};

/// Whole uploads tried. A second one is needed where the answer to the completion is lost: asked again, the store knows
/// no such upload, and whether it was completed cannot be told for certain.
const UPLOADS: usize = 2;

/// An upload that ended early.
struct Failed {
    error: StorageError,
    /// Whether the completion was asked for, so that the object may have appeared.
    may_be_there: bool,
}

/// Whether the store gave no answer rather than a refusal.
fn is_outage(error: &StorageError) -> bool {
    matches!(error, StorageError::Busy { .. } | StorageError::Unreachable { .. })
}

impl Bucket {
    /// Stores the file `from` as `name`, over whatever has that name. Returns its size.
    ///
    /// # Errors
    /// When the file cannot be read or the store refuses; then an object of that name is as it was.
    pub fn upload(&self, from: &Path, name: &str) -> Result<u64, StorageError> {
        self.check_writable()?;
        let unreadable = |e| FileError::new(from, FileAction::Read, e);
        let mut file = File::open(from).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        if size <= self.config.part_bytes {
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            file.read_to_end(&mut bytes).map_err(unreadable)?;
            self.put(name, bytes)?;
            return Ok(size);
        }
        let mut patience = Patience::new(&self.config);
        for attempt in 1.. {
            match block_on(self.url(), self.by_parts(from, size, name))? {
                Err(Failed { error, may_be_there: true }) if attempt < UPLOADS && !is_outage(&error) => {}
                Err(Failed { error, .. }) if patience.bears(&error) => {}
                done => return done.map(|()| size).map_err(|failed| failed.error),
            }
        }
        Ok(size)
    }

    async fn by_parts(&self, from: &Path, size: u64, name: &str) -> Result<(), Failed> {
        let failed = |may_be_there| move |error| Failed { error, may_be_there };
        let path = self.path_of(name).map_err(failed(false))?;
        let begun = self.store.put_multipart(&path).await.map_err(|error| self.refused(name, &error));
        let mut upload = begun.map_err(failed(false))?;
        let done = match self.send_parts(from, size, name, &mut *upload).await {
            Ok(()) => {
                let completed = upload.complete().await.map(drop);
                completed.map_err(|error| failed(true)(self.refused(name, &error)))
            }
            Err(error) => Err(failed(false)(error)),
        };
        if done.is_err() {
            // If this fails too, the lifecycle rule has to do it; the first error says more.
            let _ = upload.abort().await;
        }
        done
    }

    /// Reads the file part by part on this thread, while the runtime's threads send those before.
    async fn send_parts(
        &self,
        from: &Path,
        size: u64,
        name: &str,
        upload: &mut dyn MultipartUpload,
    ) -> Result<(), StorageError> {
        let unreadable = |e| StorageError::from(FileError::new(from, FileAction::Read, e));
        let part_bytes = self.config.part_bytes.max(size.div_ceil(MAX_PARTS));
        let mut file = File::open(from).map_err(unreadable)?;
        let mut sent: JoinSet<Result<(), StoreError>> = JoinSet::new();
        let mut left = size;
        while left > 0 {
            let Ok(permit) = self.shared.parts.clone().acquire_owned().await else { break };
            let length = left.min(part_bytes);
            let mut part = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            file.read_exact(&mut part).map_err(unreadable)?;
            left -= length;
            let put = upload.put_part(PutPayload::from(Bytes::from(part)));
            sent.spawn(async move {
                let done = put.await;
                drop(permit);
                done
            });
            while let Some(done) = sent.try_join_next() {
                self.part_sent(name, done)?;
            }
        }
        while let Some(done) = sent.join_next().await {
            self.part_sent(name, done)?;
        }
        Ok(())
    }

    fn part_sent(
        &self,
        name: &str,
        done: Result<Result<(), StoreError>, tokio::task::JoinError>,
    ) -> Result<(), StorageError> {
        match done {
            Ok(sent) => sent.map_err(|error| self.refused(name, &error)),
            Err(_) => {
                let detail = "a thread that sent it has died; please report this".to_owned();
                Err(StorageError::Other { url: self.url_of(name), detail })
            }
        }
    }
}
