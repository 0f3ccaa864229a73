//! Temporary names of files that are being written, and which of them a dead process left behind.
//!
//! A writer holds a lock on its temporary file from the first byte to the rename. The kernel lets go of it when the
//! process ends, however it ends, so whoever gets the lock knows that the writer is dead. Numbers of processes, which
//! are used again, decide nothing. The lock of another machine's writer cannot always be seen (some file systems are
//! mounted with local locks or without any), so a file of another machine must also have been left alone for
//! [`UNTOUCHED`].

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::atomic::{FileAction, FileError};
use crate::words::hex;

/// So long must a temporary file be unchanged before it counts as left behind where its lock proves nothing.
pub const UNTOUCHED: Duration = Duration::from_secs(3_600);
/// A sweep holds the lock of a file it looks at for a moment; a writer waits that long for it, and no longer.
const CLAIM_TRIES: u32 = 100;
const CLAIM_PAUSE: Duration = Duration::from_millis(2);
/// Folders of a process that are remembered as swept; beyond that many no more are swept.
const MAX_SWEPT: usize = 10_000;
/// Bytes of the hash of a machine's name.
const HOST_BYTES: usize = 4;

/// The parts of `.00000.tar.4711-0a1b2c3d.tmp`. Earlier versions wrote no machine: `.00000.tar.4711.tmp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TempName<'a> {
    /// The name the file would have had.
    name: &'a str,
    pid: u32,
    host: Option<&'a str>,
}

impl<'a> TempName<'a> {
    fn parse(file_name: &'a str) -> Option<Self> {
        let (name, writer) = file_name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?;
        let (pid, host) = match writer.split_once('-') {
            Some((pid, host)) => (pid, Some(host)),
            None => (writer, None),
        };
        let is_hex = |host: &str| host.len() == 2 * HOST_BYTES && host.bytes().all(|b| b.is_ascii_hexdigit());
        let is_pid = !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit());
        let pid = pid.parse().ok().filter(|_| is_pid && host.is_none_or(is_hex) && !name.is_empty())?;
        Some(Self { name, pid, host })
    }

    fn is_of_this_machine(&self) -> bool {
        self.host.is_none_or(|host| host == this_host())
    }
}

/// `00000.tar` for `.00000.tar.4711-0a1b2c3d.tmp`; `None` for any other name.
pub(crate) fn name_of_temp(file_name: &str) -> Option<&str> {
    TempName::parse(file_name).map(|temp| temp.name)
}

/// A short name of this machine for file names.
pub(crate) fn this_host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        hex(&Sha256::digest(name.trim().as_bytes())[..HOST_BYTES])
    })
}

/// Where this process writes what will be called `path`; `None` when that ends in no name.
pub(crate) fn temp_path(path: &Path) -> Option<PathBuf> {
    let mut name = OsString::from(".");
    name.push(path.file_name()?);
    name.push(format!(".{}-{}.tmp", std::process::id(), this_host()));
    Some(path.with_file_name(name))
}

/// Opens the empty temporary file `temp` and locks it. What an earlier process of the same number left is overwritten.
pub(crate) fn claim_file(temp: &Path) -> io::Result<File> {
    claim(temp, || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(temp))
        .and_then(|file| {
            file.set_len(0)?;
            Ok(file)
        })
}

/// Makes the empty temporary folder `temp` and locks it.
pub(crate) fn claim_folder(temp: &Path) -> io::Result<File> {
    claim(temp, || {
        match fs::create_dir(temp) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                // A leftover of our own number, or a sweep that is just about to remove what we made a moment ago.
                if matches!(Writer::of(temp)?, Writer::Dead(_)) {
                    fs::remove_dir_all(temp)?;
                }
                return Err(io::ErrorKind::NotFound.into());
            }
            other => other?,
        }
        File::open(temp)
    })
}

fn claim(temp: &Path, open: impl Fn() -> io::Result<File>) -> io::Result<File> {
    for _ in 0..CLAIM_TRIES {
        match open() {
            Ok(file) => match file.try_lock() {
                // Where there are no locks, a sweep goes by age and by the process's number.
                Ok(()) | Err(TryLockError::Error(_)) if is_at(&file, temp) => return Ok(file),
                _ => {}
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound && has_folder(temp) => {}
            Err(e) => return Err(e),
        }
        std::thread::sleep(CLAIM_PAUSE);
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process is writing it"))
}

fn has_folder(path: &Path) -> bool {
    path.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir())
}

/// Whether `file` still is what `path` names: a sweep may have removed it since it was opened.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(open), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// What became of the process that made a temporary file.
enum Writer {
    /// It is gone. The lock keeps others away until the file is removed.
    Dead(File),
    /// It lives, or may live.
    Alive,
    /// The file itself is gone, or not ours to touch.
    Gone,
}

impl Writer {
    fn of(path: &Path) -> io::Result<Self> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(temp) = TempName::parse(&name) else { return Ok(Self::Gone) };
        // A lock over the network needs a file open for writing; folders can only be opened for reading.
        let is_dir = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
        let opened = OpenOptions::new().read(true).write(!is_dir).open(path);
        let file = match opened {
            Ok(file) => file,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
                return Ok(Self::Gone);
            }
            Err(e) => return Err(e),
        };
        let is_dead = match file.try_lock() {
            Err(TryLockError::WouldBlock) => false,
            Ok(()) => temp.is_of_this_machine() || is_untouched(&file),
            Err(TryLockError::Error(_)) if temp.host.is_some() && temp.is_of_this_machine() => {
                is_over(temp.pid)
            }
            Err(TryLockError::Error(_)) => is_untouched(&file),
        };
        match is_dead {
            true if is_at(&file, path) => Ok(Self::Dead(file)),
            true => Ok(Self::Gone),
            false => Ok(Self::Alive),
        }
    }
}

fn is_untouched(file: &File) -> bool {
    let changed = file.metadata().and_then(|found| found.modified());
    changed.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age >= UNTOUCHED))
}

/// Whether no process of this machine has the number. A number that is used again keeps the file.
fn is_over(pid: u32) -> bool {
    Path::new("/proc/self").exists() && !Path::new("/proc").join(pid.to_string()).exists()
}

/// Whether the process that writes the temporary file at `path` lives, or may live on another machine.
pub fn is_being_written(path: &Path) -> bool {
    matches!(Writer::of(path), Ok(Writer::Alive))
}

/// Removes temporary files and folders that a dead process left in `folder` for what `owned` says is written here (it
/// is asked by the name that the file would have had), and returns them, sorted. What a live process writes stays.
///
/// Every command that writes a dataset calls this for its output at the start; other files' folders are swept when the
/// first file is written there.
///
/// # Errors
/// When the folder cannot be listed or a file not be removed.
pub fn remove_stale_temps(folder: &Path, owned: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, FileError> {
    remove_temps(folder, |temp| owned(temp.name))
}

fn remove_temps(folder: &Path, wanted: impl Fn(&TempName<'_>) -> bool) -> Result<Vec<PathBuf>, FileError> {
    let list = |e| FileError::new(folder, FileAction::List, e);
    let mut stale = Vec::new();
    for entry in fs::read_dir(folder).map_err(list)? {
        let entry = entry.map_err(list)?;
        let file_name = entry.file_name();
        if file_name.to_str().and_then(TempName::parse).is_some_and(|temp| wanted(&temp)) {
            stale.push(entry.path());
        }
    }
    stale.sort();
    let mut removed = Vec::new();
    for path in stale {
        let refused = |e| FileError::new(&path, FileAction::Remove, e);
        let Writer::Dead(_lock) = Writer::of(&path).map_err(refused)? else { continue };
        match if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) } {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(refused(e)),
            _ => removed.push(path),
        }
    }
    Ok(removed)
}

/// Removes what dead processes left in the folder that `path` is about to be written to, on the first call for it. Only
/// names that nobody else gives their files, as anything may lie there. A leftover that cannot be removed is only in the
/// way; the file can be written all the same.
pub(crate) fn sweep_once(path: &Path) {
    static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let is_new = SWEPT.lock().is_ok_and(|mut swept| {
        swept.len() < MAX_SWEPT && !swept.contains(folder) && swept.insert(folder.to_owned())
    });
    if is_new {
        let _ = remove_temps(folder, |temp| temp.host.is_some());
    }
}

/// Opens the folder `path` and locks it, if no live process holds it.
#[cfg(feature = "cli")]
pub(crate) fn lock_folder(path: &Path) -> io::Result<Option<File>> {
    let folder = File::open(path)?;
    match folder.try_lock() {
        Ok(()) if is_at(&folder, path) => Ok(Some(folder)),
        Err(TryLockError::Error(e)) => Err(e),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn age(path: &Path, by: Duration) {
        let file = File::options().read(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - by).unwrap();
    }

    #[test]
    fn only_temps_of_the_given_names_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        for name in
            [".00000.tar.12.tmp", ".00001.tar.12.tmp", ".00000.tar.tmp", "00000.tar", ".00000.tar.x.tmp"]
        {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let removed = remove_stale_temps(dir.path(), |name| name == "00000.tar").unwrap();
        assert_eq!(removed, [dir.path().join(".00000.tar.12.tmp")]);
        assert_eq!(
            names(dir.path()),
            [".00000.tar.tmp", ".00000.tar.x.tmp", ".00001.tar.12.tmp", "00000.tar"]
        );
    }

    #[test]
    fn f15_a_number_that_is_used_again_keeps_no_leftover() {
        let dir = tempfile::tempdir().unwrap();
        // This very process has the number in the name, and yet nobody writes the file.
        let left = temp_path(&dir.path().join("00000.tar")).unwrap();
        fs::write(&left, "half").unwrap();
        assert!(!is_being_written(&left));
        assert_eq!(remove_stale_temps(dir.path(), |_| true).unwrap(), [left]);
    }

    #[test]
    fn f15_what_a_live_process_writes_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("00000.tar"), dir.path().join("00001"));
        let (file, folder) = (temp_path(&file).unwrap(), temp_path(&folder).unwrap());
        let locks = (claim_file(&file).unwrap(), claim_folder(&folder).unwrap());
        // However old: a slow crawl leaves its files alone for hours.
        age(&file, UNTOUCHED * 30);
        assert!(is_being_written(&file) && is_being_written(&folder));
        assert_eq!(remove_stale_temps(dir.path(), |_| true).unwrap(), Vec::<PathBuf>::new());
        drop(locks);
        assert_eq!(remove_stale_temps(dir.path(), |_| true).unwrap(), [file, folder]);
    }

    #[test]
    fn f15_another_machines_file_must_have_been_left_alone_for_an_hour() {
        let dir = tempfile::tempdir().unwrap();
        let other = if this_host() == "00000000" { "11111111" } else { "00000000" };
        let left = dir.path().join(format!(".00000.tar.12-{other}.tmp"));
        fs::write(&left, "half").unwrap();
        assert!(is_being_written(&left));
        assert_eq!(remove_stale_temps(dir.path(), |_| true).unwrap(), Vec::<PathBuf>::new());
        age(&left, UNTOUCHED + Duration::from_secs(1));
        assert_eq!(remove_stale_temps(dir.path(), |_| true).unwrap(), [left]);
    }

    #[test]
    fn f15_a_folder_of_an_earlier_process_of_our_number_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let temp = temp_path(&dir.path().join("00000")).unwrap();
        fs::create_dir(&temp).unwrap();
        fs::write(temp.join("old.jpg"), "x").unwrap();
        let _lock = claim_folder(&temp).unwrap();
        assert_eq!(names(&temp), Vec::<String>::new());
    }

    #[test]
    fn names_are_read_back() {
        let parse = TempName::parse;
        assert_eq!(parse(".a.tar.7-0a1b2c3d.tmp").unwrap().host, Some("0a1b2c3d"));
        assert_eq!(parse(".a.tar.7.tmp"), Some(TempName { name: "a.tar", pid: 7, host: None }));
        for other in
            [".a.tar.tmp", ".a.7-xyz.tmp", "a.7.tmp", "..7.tmp", ".a.-0a1b2c3d.tmp", ".a.99999999999.tmp"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
