//! The bytes of a Parquet file, on disk or in memory, read by place. Nothing is read past the length the file had when it
//! was opened, and what is read can be counted.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::thrift::{self, BadHeader};

/// What is read ahead of a page header; the page itself is read with its exact length.
const HEADER_BUFFER_BYTES: usize = 512;

/// An opened input.
#[derive(Debug)]
pub struct ParquetInput {
    kind: Kind,
    len: u64,
    read: Option<Arc<AtomicU64>>,
}

#[derive(Debug)]
enum Kind {
    File(File),
    Memory(Bytes),
}

impl ParquetInput {
    /// The file at `path`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { kind: Kind::File(file), len, read: None })
    }

    /// Bytes in memory.
    pub fn memory(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        Self { kind: Kind::Memory(bytes), len, read: None }
    }

    /// Adds what is read from now on to `read`.
    #[must_use]
    pub fn counted(self, read: Arc<AtomicU64>) -> Self {
        Self { read: Some(read), ..self }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// As many bytes as there are from `at` on, up to the length of `into`.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = into.len().min(left);
        let into = &mut into[..wanted];
        let read = match &self.kind {
            Kind::File(file) => file.read_at(into, at)?,
            Kind::Memory(bytes) => {
                let start = usize::try_from(at).unwrap_or(usize::MAX);
                bytes.get(start..).map_or(Ok(0), |mut rest| rest.read(into))?
            }
        };
        if let Some(count) = &self.read {
            count.fetch_add(read as u64, Ordering::Relaxed);
        }
        Ok(read)
    }

    /// Exactly `length` bytes from `at` on. Memory is taken only for bytes that the file has.
    pub(super) fn bytes(&self, at: u64, length: usize) -> io::Result<Bytes> {
        if at.checked_add(length as u64).is_none_or(|end| end > self.len) {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file ends before what it promises",
            ));
        }
        if let Kind::Memory(bytes) = &self.kind {
            let start = usize::try_from(at).unwrap_or(usize::MAX);
            return Ok(bytes.slice(start..start + length));
        }
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.read_at(&mut bytes[filled..], at + filled as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        Ok(bytes.into())
    }
}

/// Reads on from a place.
#[derive(Debug)]
pub(super) struct Cursor {
    input: Arc<ParquetInput>,
    /// Place of the first byte that is not in the buffer.
    next: u64,
    buffer: Box<[u8; HEADER_BUFFER_BYTES]>,
    at: usize,
    filled: usize,
}

impl Cursor {
    pub(super) fn new(input: Arc<ParquetInput>, at: u64) -> Self {
        Self { input, next: at, buffer: Box::new([0; HEADER_BUFFER_BYTES]), at: 0, filled: 0 }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.at == self.filled {
            (self.at, self.filled) = (0, self.input.read_at(self.buffer.as_mut_slice(), self.next)?);
            self.next += self.filled as u64;
        }
        Ok(())
    }
}

impl Read for Cursor {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let read = (&self.buffer[self.at..self.filled]).read(into)?;
        self.at += read;
        Ok(read)
    }
}

impl thrift::Bytes for Cursor {
    fn byte(&mut self) -> Result<u8, BadHeader> {
        self.fill().map_err(|_| BadHeader)?;
        let byte = self.buffer[..self.filled].get(self.at).copied().ok_or(BadHeader)?;
        self.at += 1;
        Ok(byte)
    }

    fn skip(&mut self, count: u64) -> Result<(), BadHeader> {
        let buffered = (self.filled - self.at) as u64;
        if count <= buffered {
            self.at += count as usize;
            return Ok(());
        }
        let next = self.next.checked_add(count - buffered).filter(|next| *next <= self.input.len());
        (self.next, self.at, self.filled) = (next.ok_or(BadHeader)?, 0, 0);
        Ok(())
    }
}
