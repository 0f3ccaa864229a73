//! Nothing half-written is ever visible (ARCHITECTURE.md, invariant 3): a file is written under a hidden temporary
//! name in its own folder and takes its real name only when every byte is on disk. Every writer of the workspace
//! goes through [`AtomicFile`], and every file error of this crate is a [`FileError`], which names the path and
//! says what to do.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::leftover::{claim_file, claim_folder, sweep_once, temp_path};
pub use crate::leftover::{is_being_written, remove_stale_temps};

/// What was being done to a file when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileAction {
    /// Making or opening it for writing.
    Create,
    /// Writing bytes.
    Write,
    /// Waiting for the bytes to be on disk.
    Sync,
    /// Giving it its final name.
    Rename,
    /// Opening or reading it.
    Read,
    /// Listing a folder.
    List,
    /// Deleting it.
    Remove,
}

impl fmt::Display for FileAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Write => "write",
            Self::Sync => "finish writing",
            Self::Rename => "put in place",
            Self::Read => "read",
            Self::List => "list",
            Self::Remove => "remove",
        })
    }
}

/// A file operation that failed: which file, what was tried, why, and what helps.
#[derive(Debug)]
pub struct FileError {
    /// The file as the user knows it (never the temporary name).
    pub path: PathBuf,
    /// What was tried.
    pub action: FileAction,
    /// What the system said.
    pub source: io::Error,
}

impl FileError {
    /// An error about `path`.
    pub fn new(path: impl Into<PathBuf>, action: FileAction, source: io::Error) -> Self {
        Self { path: path.into(), action, source }
    }

    /// The same as an [`io::Error`] of the same kind, for use behind `std::io` traits.
    pub fn into_io(self) -> io::Error {
        io::Error::new(self.source.kind(), self)
    }

    fn advice(&self) -> Option<&'static str> {
        match (self.source.kind(), self.action) {
            (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded, _) => {
                Some("the disk is full; free space or choose another output folder")
            }
            (io::ErrorKind::ReadOnlyFilesystem, _) => {
                Some("the file system is read-only; choose another output folder")
            }
            (io::ErrorKind::NotFound, FileAction::Read | FileAction::List) => {
                Some("there is no such file or folder; check the path")
            }
            (io::ErrorKind::NotFound, _) => Some(
                "its folder does not exist or has been removed; create it, or check that the disk is still mounted",
            ),
            (io::ErrorKind::PermissionDenied, FileAction::Read | FileAction::List) => {
                Some("no permission to read it; check its owner and mode")
            }
            (io::ErrorKind::PermissionDenied, _) => {
                Some("no permission to write there; check the folder's owner and mode")
            }
            (io::ErrorKind::NotADirectory, _) => Some("a part of the path is a file, not a folder"),
            (io::ErrorKind::IsADirectory, _) => Some("it is a folder; name a file"),
            _ => None,
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: ", self.action, self.path.display())?;
        match self.advice() {
            Some(advice) => f.write_str(advice),
            None => write!(f, "{}", self.source),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The advice replaces the system's sentence; the sentence itself is already part of the text otherwise.
        self.advice().map(|_| &self.source as _)
    }
}

/// A file that appears under its name complete or not at all.
///
/// Writes go to `.{name}.{pid}-{host}.tmp` beside it, which is locked until then. Dropped without
/// [`commit`](Self::commit), the temporary file is removed; a killed process leaves it behind for
/// [`remove_stale_temps`]. Writes are not buffered.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    temp: PathBuf,
    // None once committed, so that drop leaves the renamed file alone.
    file: Option<File>,
}

impl AtomicFile {
    /// Starts a file that will be called `path`. A temporary file left by an earlier process of the same number
    /// is overwritten.
    ///
    /// # Errors
    /// When the folder is missing or not writable, or `path` names no file.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, FileError> {
        let path = path.into();
        let Some(temp) = temp_path(&path) else {
            return Err(FileError::new(
                path,
                FileAction::Create,
                io::Error::new(io::ErrorKind::InvalidInput, "the path ends in no file name"),
            ));
        };
        sweep_once(&path);
        // Readable too: a Parquet or zip writer may want to look back.
        match claim_file(&temp) {
            Ok(file) => Ok(Self { path, temp, file: Some(file) }),
            Err(e) => Err(FileError::new(path, FileAction::Create, e)),
        }
    }

    /// The name the file will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until all bytes are on disk, then gives the file its name, replacing an older file of that name.
    ///
    /// # Errors
    /// When the disk refuses; the temporary file is then removed and an older file of that name is untouched.
    pub fn commit(mut self) -> Result<(), FileError> {
        let Some(file) = self.file.as_ref() else { return Ok(()) };
        file.sync_all().map_err(|e| FileError::new(&self.path, FileAction::Sync, e))?;
        fs::rename(&self.temp, &self.path).map_err(|e| FileError::new(&self.path, FileAction::Rename, e))?;
        self.file = None;
        sync_folder(&self.path).map_err(|e| FileError::new(&self.path, FileAction::Sync, e))
    }

    /// Leaves nothing in it, to be written anew.
    #[cfg(feature = "storage")]
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        let begun = self.open().and_then(|file| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))
        });
        begun.map(drop).map_err(|e| self.named(e))
    }

    fn open(&mut self) -> io::Result<&mut File> {
        self.file.as_mut().ok_or_else(|| io::Error::other("file already committed"))
    }

    fn named(&self, e: io::Error) -> io::Error {
        // `write_all` and friends retry on Interrupted; wrapping keeps the kind, so they still do.
        FileError::new(&self.path, FileAction::Write, e).into_io()
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open()?.write(bytes).map_err(|e| self.named(e))
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.open()?.write_vectored(slices).map_err(|e| self.named(e))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open()?.flush().map_err(|e| self.named(e))
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.open()?.seek(to).map_err(|e| self.named(e))
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Nothing can be done about a failure here; a resumed run removes what is left.
            let _ = fs::remove_file(&self.temp);
        }
    }
}

/// A folder of files that appears under its name complete or not at all, as [`AtomicFile`] does.
#[derive(Debug)]
pub struct AtomicFolder {
    target: PathBuf,
    temp: PathBuf,
    // None once committed.
    lock: Option<File>,
}

impl AtomicFolder {
    /// Starts a folder that will be called `path`. A temporary folder left by an earlier process of the same number is
    /// emptied.
    ///
    /// # Errors
    /// When its folder is missing or not writable, or `path` ends in no name.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, FileError> {
        let path = path.into();
        let temp = temp_path(&path)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path ends in no name"));
        sweep_once(&path);
        match temp.and_then(|temp| claim_folder(&temp).map(|lock| (temp, lock))) {
            Ok((temp, lock)) => Ok(Self { target: path, temp, lock: Some(lock) }),
            Err(e) => Err(FileError::new(path, FileAction::Create, e)),
        }
    }

    /// Where its files are written until it has its name.
    pub fn path(&self) -> &Path {
        &self.temp
    }

    /// Waits until all files are on disk, then gives the folder its name. An older folder of that name is removed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn commit(mut self) -> Result<(), FileError> {
        let sync = |e| FileError::new(&self.target, FileAction::Sync, e);
        for entry in fs::read_dir(&self.temp).map_err(sync)? {
            let file = entry.and_then(|entry| File::open(entry.path()));
            file.and_then(|file| file.sync_all()).map_err(sync)?;
        }
        // The entry of any file in it stands for the folder itself.
        sync_folder(&self.temp.join("_")).map_err(sync)?;
        match fs::remove_dir_all(&self.target) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(FileError::new(&self.target, FileAction::Remove, e));
            }
            _ => {}
        }
        fs::rename(&self.temp, &self.target)
            .map_err(|e| FileError::new(&self.target, FileAction::Rename, e))?;
        self.lock = None;
        sync_folder(&self.target).map_err(|e| FileError::new(&self.target, FileAction::Sync, e))
    }
}

impl Drop for AtomicFolder {
    fn drop(&mut self) {
        if self.lock.is_some() {
            // Nothing can be done about a failure here; a resumed run removes what is left.
            let _ = fs::remove_dir_all(&self.temp);
        }
    }
}

/// Writes `bytes` as the whole of `path`, atomically.
///
/// # Errors
/// When the file cannot be written; an older file of that name is then untouched.
pub fn write_atomic(path: impl Into<PathBuf>, bytes: &[u8]) -> Result<(), FileError> {
    let mut file = AtomicFile::create(path)?;
    match file.file.as_mut().map_or(Ok(()), |f| f.write_all(bytes)) {
        Ok(()) => file.commit(),
        Err(e) => Err(FileError::new(&file.path, FileAction::Write, e)),
    }
}

/// A rename is only durable once the folder's own entry is on disk.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match File::open(folder)?.sync_all() {
        // Some network file systems cannot sync a folder; the rename has happened all the same.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
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

    #[test]
    fn a_file_is_invisible_until_committed_and_gone_if_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000.tar");
        fs::write(&path, "old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(file);
        assert_eq!(names(dir.path()), ["00000.tar"]);
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["00000.tar"]);
    }

    #[test]
    fn f15_the_first_file_in_a_folder_takes_leftovers_away() {
        let dir = tempfile::tempdir().unwrap();
        let left = temp_path(&dir.path().join("figure.svg")).unwrap();
        fs::write(&left, "half").unwrap();
        // Anybody may have called a file so.
        fs::write(dir.path().join(".notes.12.tmp"), "mine").unwrap();
        write_atomic(dir.path().join("report.html"), b"x").unwrap();
        assert_eq!(names(dir.path()), [".notes.12.tmp", "report.html"]);
    }

    #[test]
    fn f15_a_folder_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000");
        let folder = AtomicFolder::create(&path).unwrap();
        fs::write(folder.path().join("000.jpg"), "x").unwrap();
        assert!(!path.exists());
        drop(folder);
        assert_eq!(names(dir.path()), Vec::<String>::new());
        fs::create_dir(&path).unwrap();
        fs::write(path.join("old.jpg"), "x").unwrap();
        let folder = AtomicFolder::create(&path).unwrap();
        fs::write(folder.path().join("000.jpg"), "x").unwrap();
        folder.commit().unwrap();
        assert_eq!((names(dir.path()), names(&path)), (vec!["00000".to_owned()], vec!["000.jpg".to_owned()]));
    }

    #[test]
    fn a_vanished_folder_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        let message = AtomicFile::create(gone.join("a.tar")).unwrap_err().to_string();
        assert!(message.contains("gone/a.tar") && message.contains("create it"), "{message}");

        fs::create_dir(&gone).unwrap();
        let mut file = AtomicFile::create(gone.join("a.tar")).unwrap();
        file.write_all(b"x").unwrap();
        fs::remove_dir_all(&gone).unwrap();
        let message = file.commit().unwrap_err().to_string();
        assert!(message.starts_with("cannot put in place") && message.contains("a.tar"), "{message}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named_with_what_to_do() {
        // /dev/full answers every write with ENOSPC.
        let mut full = AtomicFile {
            path: PathBuf::from("out/00000.tar"),
            temp: PathBuf::from("out/none"),
            file: Some(fs::OpenOptions::new().write(true).open("/dev/full").unwrap()),
        };
        let error = full.write_all(b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(
            error.to_string(),
            "cannot write out/00000.tar: the disk is full; free space or choose another output folder"
        );
    }
}
