//! Samples that came back before their turn, beyond what memory allows.
//!
//! Shards are in input order, but one slow row would otherwise keep every later row of its shard in memory. The
//! overflow goes to an unnamed temporary file in the output folder: it has no name that a crash could leave behind,
//! and it lies on the disk that must hold the shard anyway.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Where bytes lie in the spill file.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    offset: u64,
    len: usize,
}

/// One shard's overflow.
#[derive(Debug)]
pub struct Spill {
    file: File,
    end: u64,
}

impl Spill {
    /// An empty, unnamed file in `folder`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn create(folder: &Path) -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile_in(folder)?, end: 0 })
    }

    /// Puts `bytes` at the end.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<Extent> {
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(bytes)?;
        let extent = Extent { offset: self.end, len: bytes.len() };
        self.end += bytes.len() as u64;
        Ok(extent)
    }

    /// Reads an extent back.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn take(&mut self, extent: Extent) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; extent.len];
        self.file.seek(SeekFrom::Start(extent.offset))?;
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spilled_comes_back_in_any_order_and_leaves_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut spill = Spill::create(dir.path()).unwrap();
        let extents: Vec<_> = (0..20u8).map(|n| spill.put(&vec![n; usize::from(n) * 100]).unwrap()).collect();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        for (n, extent) in extents.iter().enumerate().rev() {
            assert_eq!(spill.take(*extent).unwrap(), vec![n as u8; n * 100]);
        }
    }
}
