//! Bytes that are kept for many runs: in memory up to a budget, beyond it in an unnamed file, up to a second budget.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

/// How much may be kept, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// In memory.
    pub memory: u64,
    /// In a file.
    pub disk: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { memory: 2 << 30, disk: 20 << 30 }
    }
}

/// Where some bytes are.
#[derive(Debug, Clone)]
pub enum Blob {
    /// Here.
    Memory(Arc<[u8]>),
    /// In the file.
    File {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: usize,
    },
}

/// All that is kept. Appended to and read from by many threads.
#[derive(Debug)]
pub struct Blobs {
    budget: Budget,
    memory: AtomicU64,
    end: AtomicU64,
    folder: PathBuf,
    file: OnceLock<File>,
}

impl Blobs {
    /// Nothing yet; a file, if one is needed, goes into `folder` without a name, so that it is gone with the process.
    pub fn new(budget: Budget, folder: &Path) -> Self {
        Self {
            budget,
            memory: AtomicU64::new(0),
            end: AtomicU64::new(0),
            folder: folder.to_path_buf(),
            file: OnceLock::new(),
        }
    }

    /// Whether so many bytes more fit into either budget.
    pub fn has_room(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        self.memory.load(Ordering::Relaxed) + bytes <= self.budget.memory
            || self.end.load(Ordering::Relaxed) + bytes <= self.budget.disk
    }

    /// Keeps bytes: in memory while there is room, in the file from then on, whatever its budget ([`has_room`] is for
    /// those who can do without).
    ///
    /// # Errors
    /// When the file cannot be written.
    ///
    /// [`has_room`]: Self::has_room
    pub fn keep(&self, bytes: Vec<u8>) -> io::Result<Blob> {
        let len = bytes.len() as u64;
        let taken = self.memory.fetch_add(len, Ordering::Relaxed);
        if taken + len <= self.budget.memory {
            return Ok(Blob::Memory(bytes.into()));
        }
        self.memory.fetch_sub(len, Ordering::Relaxed);
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let made = tempfile::tempfile_in(&self.folder)?;
                self.file.get_or_init(|| made)
            }
        };
        let offset = self.end.fetch_add(len, Ordering::Relaxed);
        file.write_all_at(&bytes, offset)?;
        Ok(Blob::File { offset, len: bytes.len() })
    }

    /// The bytes, from memory or by way of `scratch`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read<'a>(&self, blob: &'a Blob, scratch: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        match blob {
            Blob::Memory(bytes) => Ok(bytes),
            Blob::File { offset, len } => {
                scratch.resize(*len, 0);
                let file = self.file.get().ok_or_else(|| io::Error::other("nothing was spilled"))?;
                file.read_exact_at(scratch, *offset)?;
                Ok(scratch)
            }
        }
    }

    /// Bytes in memory and in the file.
    pub fn sizes(&self) -> (u64, u64) {
        (self.memory.load(Ordering::Relaxed), self.end.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_into_memory_comes_back_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(Budget { memory: 10, disk: 12 }, folder.path());
        let kept: Vec<Blob> = [b"12345678", b"abcdefgh"].map(|b| blobs.keep(b.to_vec()).unwrap()).into();
        assert!(matches!((&kept[0], &kept[1]), (Blob::Memory(_), Blob::File { offset: 0, len: 8 })));
        let mut scratch = Vec::new();
        assert_eq!(blobs.read(&kept[0], &mut scratch).unwrap(), b"12345678");
        assert_eq!(blobs.read(&kept[1], &mut scratch).unwrap(), b"abcdefgh");
        assert_eq!((blobs.sizes(), blobs.has_room(4), blobs.has_room(5)), ((8, 8), true, false));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
    }
}
