//! A bzip2 (or already unpacked) text file, or an SQLite file, as lines, one at a time in one reused buffer. Files of
//! several bzip2 streams one after the other are read to the end of the last.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bzip2::read::MultiBzDecoder;

use super::MAX_LINE_BYTES;
use super::database::{Database, MAGIC};
use super::error::YfccError;

const BUFFER_BYTES: usize = 256 << 10;

/// Counts what comes from the disk.
struct Counted {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let found = self.file.read(into)?;
        self.bytes.fetch_add(found as u64, Ordering::Relaxed);
        Ok(found)
    }
}

pub(super) struct Lines {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    number: u64,
    bytes: Arc<AtomicU64>,
    is_database: bool,
}

impl Lines {
    pub fn open(path: &Path) -> Result<Self, YfccError> {
        let unreadable = |error| YfccError::Unreadable { path: path.to_owned(), error };
        let bytes: Arc<AtomicU64> = Arc::default();
        let file = File::open(path).map_err(unreadable)?;
        let mut file = BufReader::with_capacity(BUFFER_BYTES, Counted { file, bytes: bytes.clone() });
        // Some unpack the file first; the bytes say so, whatever the name.
        let head = file.fill_buf().map_err(unreadable)?;
        let (packed, is_database) = (head.starts_with(b"BZh"), head.starts_with(MAGIC));
        let input: Box<dyn BufRead + Send> = if packed {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiBzDecoder::new(file)))
        } else if is_database {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, Database::open(path, bytes.clone())?))
        } else {
            Box::new(file)
        };
        Ok(Self { path: path.to_owned(), input, line: Vec::new(), number: 0, bytes, is_database })
    }

    /// Whether the lines are the rows of the SQLite release, which have no numbers.
    pub fn is_database(&self) -> bool {
        self.is_database
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines read so far: the 1-based number of the current one.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Bytes read from the disk.
    pub fn bytes_read(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The current line, without its end.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// Reads on to the next line that is not empty; false at the end of the file.
    pub fn advance(&mut self) -> Result<bool, YfccError> {
        loop {
            self.line.clear();
            let limit = MAX_LINE_BYTES as u64 + 2;
            let found = Read::take(&mut self.input, limit)
                .read_until(b'\n', &mut self.line)
                .map_err(|error| self.broken(error))?;
            if found == 0 {
                return Ok(false);
            }
            self.number += 1;
            while matches!(self.line.last(), Some(b'\n' | b'\r')) {
                self.line.pop();
            }
            if self.line.len() > MAX_LINE_BYTES {
                return Err(YfccError::LineTooLong { path: self.path.clone(), line: self.number });
            }
            if !self.line.is_empty() {
                return Ok(true);
            }
        }
    }

    fn broken(&self, error: io::Error) -> YfccError {
        let error = match error.downcast::<YfccError>() {
            Ok(of_database) => return of_database,
            Err(error) => error,
        };
        let reason = error.to_string();
        YfccError::Broken { path: self.path.clone(), line: self.number, reason }
    }
}
