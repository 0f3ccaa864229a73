//! What the commands that make shards of shards left in a folder beside the shards, for whoever asks whether it is whole:
//! `verify`, `stat`, and the commands that take a folder for its shards.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::{Conversions, RECORD_FILE, RewriteError, shuffle};
use crate::atomic::{FileAction, FileError, remove_stale_temps, write_atomic};
use crate::folder::{DatasetFolder, LOCK_FILE, PAIRMILL_FOLDER, RunMark, done_shards, is_dataset_file};

/// In `_pairmill`: `shards = N`, once all shards of a subset or reshard are written.
pub const DONE_FILE: &str = "rewrite.done";

/// What is noted about shards that were made of shards.
#[derive(Debug, Default)]
pub struct Notes {
    /// The subset or reshard, and how many shards it made if it is finished. None for a finished one of earlier versions,
    /// which noted no number.
    pub rewrite: Option<RunMark>,
    /// What `convert` was to make.
    pub conversions: Conversions,
}

impl Notes {
    /// Those of `folder`.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn of(folder: &DatasetFolder) -> Result<Self, RewriteError> {
        let notes = folder.dir.join(PAIRMILL_FOLDER);
        let conversions = Conversions::read(&folder.dir)?;
        if !notes.join(RECORD_FILE).is_file() {
            return Ok(Self { rewrite: None, conversions });
        }
        let path = notes.join(DONE_FILE);
        let shards = match done_shards(&path) {
            Ok(shards) => Some(shards),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(FileError::new(path, FileAction::Read, e).into()),
        };
        // Earlier versions wrote `sizes.json` at the end, and nothing after it.
        let is_untold = shards.is_none() && folder.sizes.is_some();
        let rewrite = (!is_untold).then_some(RunMark { first_shard: 0, shards });
        Ok(Self { rewrite, conversions })
    }

    /// Whether a subset or reshard began here and did not end.
    pub fn is_unfinished(&self) -> bool {
        self.rewrite.is_some_and(|run| run.shards.is_none())
    }
}

/// Notes that all shards are written.
pub(super) fn write_done(folder: &Path, shards: u64) -> Result<(), FileError> {
    write_atomic(folder.join(PAIRMILL_FOLDER).join(DONE_FILE), format!("shards = {shards}\n").as_bytes())
}

/// Keeps other runs out of `folder`, which is made if it is not there, for as long as the file lives, and removes what a
/// killed one left there.
///
/// # Errors
/// When another one holds it, or the disk refuses.
pub fn lock_output(folder: &Path) -> Result<File, RewriteError> {
    let notes = folder.join(PAIRMILL_FOLDER);
    fs::create_dir_all(&notes).map_err(|e| FileError::new(&notes, FileAction::Create, e))?;
    let Some(lock) = try_lock(&notes.join(LOCK_FILE))? else {
        return Err(RewriteError::Locked { folder: folder.to_owned() });
    };
    remove_stale_temps(folder, is_dataset_file)?;
    remove_stale_temps(&notes, |_| true)?;
    shuffle::remove_leftover(folder);
    Ok(lock)
}

/// `None` when another process holds it. Some network file systems have no locks: better an unguarded run than none.
fn try_lock(path: &Path) -> Result<Option<File>, FileError> {
    let opened = File::options().create(true).truncate(false).write(true).open(path);
    let lock = opened.map_err(|e| FileError::new(path, FileAction::Create, e))?;
    let is_held = matches!(lock.try_lock(), Err(TryLockError::WouldBlock));
    Ok((!is_held).then_some(lock))
}

/// The buckets of a shuffle in `folder`, and whether the process that fills them lives.
pub fn shuffle_in(folder: &Path) -> Option<(PathBuf, bool)> {
    let buckets = shuffle::folder_in(folder);
    if !buckets.is_dir() {
        return None;
    }
    let lock = File::open(folder.join(PAIRMILL_FOLDER).join(LOCK_FILE));
    let is_live = lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
    Some((buckets, is_live))
}

/// Removes the buckets that a killed shuffle left in `folder`, for commands that do not lock it otherwise. Where it cannot
/// be told whether their process lives, they stay.
pub fn sweep_shuffle(folder: &Path) {
    if !shuffle::folder_in(folder).is_dir() {
        return;
    }
    let opened = File::options().write(true).open(folder.join(PAIRMILL_FOLDER).join(LOCK_FILE));
    // Held while they are removed, so that no run begins meanwhile.
    if let Ok(lock) = opened
        && lock.try_lock().is_ok()
    {
        shuffle::remove_leftover(folder);
    }
}
