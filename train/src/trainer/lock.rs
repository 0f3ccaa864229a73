//! One run a folder. The process that writes there, rank 0, holds a locked file for as long as it lives; the system frees
//! it when the process ends, however that is, so a killed run blocks nobody. The other ranks of a run write nothing and
//! hold nothing.

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use pairmill_shards::atomic::{FileAction, FileError};

use crate::error::TrainError;
use crate::log::events::host;

/// The file within a run's folder.
pub const LOCK: &str = ".lock";
/// How much of it is shown.
const SHOWN_BYTES: u64 = 200;
/// Times that the file may vanish under our hands.
const TRIES: u32 = 100;

/// A folder that is ours alone. Dropped, it is free again; if nothing came of the run, it is gone.
#[derive(Debug)]
pub struct RunLock {
    path: PathBuf,
    _file: File,
    /// Folders made for it, the innermost first.
    made: Vec<PathBuf>,
}

impl RunLock {
    /// Takes the run's `folder`, which is made if need be.
    ///
    /// # Errors
    /// [`TrainError::Locked`] when another process has it, or when it cannot be written.
    pub fn take(folder: &Path) -> Result<Self, TrainError> {
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let made: Vec<PathBuf> = folder.ancestors().take_while(missing).map(Path::to_path_buf).collect();
        let path = folder.join(LOCK);
        let failed = |error| FileError::new(&path, FileAction::Create, error);
        let ours = format!("process {} on {}\n", std::process::id(), host());
        for _ in 0..TRIES {
            fs::create_dir_all(folder).map_err(failed)?;
            let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = file.map_err(failed)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    return Err(TrainError::Locked { folder: folder.to_path_buf(), holder: holder(&path) });
                }
                // Some network file systems have no locks: better an unguarded run than none.
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            file.set_len(0).and_then(|()| file.write_all(ours.as_bytes())).map_err(failed)?;
            // A run that ended before its first step takes its folder away, perhaps between our two calls.
            if fs::read(&path).is_ok_and(|found| found == ours.as_bytes()) {
                return Ok(Self { path, _file: file, made });
            }
        }
        Err(failed(std::io::Error::other("it does not stay")).into())
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Bad input leaves nothing behind: a folder that was made for this run and holds nothing else goes.
        let Some(folder) = self.made.first() else { return };
        let is_empty = fs::read_dir(folder).is_ok_and(|entries| entries.count() == 1);
        if is_empty && fs::remove_file(&self.path).is_ok() {
            for folder in &self.made {
                if fs::remove_dir(folder).is_err() {
                    break;
                }
            }
        }
    }
}

/// Who holds the lock, as it says itself.
fn holder(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(SHOWN_BYTES).read_to_string(&mut text).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t08_a_folder_is_one_runs_and_nothing_is_left_of_a_run_that_did_nothing() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("runs/a");
        let lock = RunLock::take(&folder).unwrap();
        let message = RunLock::take(&folder).unwrap_err().to_string();
        let ours = format!("process {} on ", std::process::id());
        assert!(message.contains("runs/a: ") && message.contains(&ours), "{message}");
        assert!(message.contains("give another --out") && !message.contains('\n'), "{message}");
        RunLock::take(&root.path().join("runs/b")).unwrap();
        drop(lock);
        assert!(!root.path().join("runs").exists());

        let lock = RunLock::take(&folder).unwrap();
        fs::write(folder.join("config.toml"), "").unwrap();
        drop(lock);
        assert!(folder.join("config.toml").exists());
        // The file that stays blocks nobody.
        assert!(folder.join(LOCK).exists());
        RunLock::take(&folder).unwrap();
        fs::write(folder.join(LOCK), "process 1 on a machine that is long gone\n").unwrap();
        RunLock::take(&folder).unwrap();
    }
}
