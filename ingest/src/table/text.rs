//! The bytes of a text table: opened, decompressed and freed of a byte order mark, a buffer at a time.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{MAX_RECORD_BYTES, TableError, one_line};
use super::format::Compression;

const FILE_BUFFER_BYTES: usize = 128 << 10;
const TEXT_BUFFER_BYTES: usize = 64 << 10;

/// Counts bytes as they leave the file, for progress and for the memory tests.
#[derive(Debug)]
pub(super) struct Counted<R> {
    inner: R,
    consumed: Arc<AtomicU64>,
}

impl<R> Counted<R> {
    pub(super) fn new(inner: R, consumed: Arc<AtomicU64>) -> Self {
        Self { inner, consumed }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.consumed.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// An open text table.
pub(super) struct Text {
    pub(super) path: Arc<Path>,
    reader: Chain<Cursor<Vec<u8>>, BufReader<Box<dyn Read + Send>>>,
    compression: Compression,
}

impl Text {
    /// Opens `path`; bytes read from disk are added to `consumed`.
    pub(super) fn open(path: &Arc<Path>, consumed: Arc<AtomicU64>) -> Result<Self, TableError> {
        let unreadable = |error| TableError::Unreadable { path: path.to_path_buf(), error };
        let file = File::open(path).map_err(unreadable)?;
        let mut packed = BufReader::with_capacity(FILE_BUFFER_BYTES, Counted::new(file, consumed));
        let compression = Compression::of_bytes(packed.fill_buf().map_err(unreadable)?);
        if let Some((extension, named)) = Compression::of_path(path)
            && named != compression
        {
            let compression = named.name();
            return Err(TableError::NotCompressed { path: path.to_path_buf(), extension, compression });
        }
        let plain: Box<dyn Read + Send> = match compression {
            Compression::Plain => Box::new(packed),
            // Multi-member: `cat a.gz b.gz` and bgzip are one text.
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            Compression::Zstd => {
                Box::new(zstd::stream::read::Decoder::with_buffer(packed).map_err(unreadable)?)
            }
        };
        let mut reader = BufReader::with_capacity(TEXT_BUFFER_BYTES, plain);
        let mut head = Vec::with_capacity(3);
        let read = (&mut reader).take(3).read_to_end(&mut head);
        match head.as_slice() {
            [0xef, 0xbb, 0xbf] => head.clear(),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                return Err(TableError::Utf16 { path: path.to_path_buf() });
            }
            _ => {}
        }
        let text = Self { path: path.clone(), reader: Cursor::new(head).chain(reader), compression };
        match read {
            Ok(_) => Ok(text),
            Err(error) => Err(text.error(error, 0)),
        }
    }

    /// What is buffered; empty at the end. `row` is for the error.
    pub(super) fn fill(&mut self, row: u64) -> Result<&[u8], TableError> {
        // Twice, as the borrow of a returned buffer would outlive the error path.
        if let Err(error) = self.reader.fill_buf() {
            return Err(self.error(error, row));
        }
        let (path, compression) = (&self.path, self.compression);
        self.reader.fill_buf().map_err(|error| read_error(path, compression, error, row))
    }

    /// Marks `count` bytes of what [`Text::fill`] gave as used.
    pub(super) fn consume(&mut self, count: usize) {
        self.reader.consume(count);
    }

    /// Appends the next line, its end included, to `line`. Stops past [`MAX_RECORD_BYTES`]; `false` at the end.
    pub(super) fn line(&mut self, line: &mut Vec<u8>, row: u64) -> Result<bool, TableError> {
        let limit = MAX_RECORD_BYTES as u64 + 1;
        match (&mut self.reader).take(limit).read_until(b'\n', line) {
            Ok(read) => Ok(read > 0),
            Err(error) => Err(self.error(error, row)),
        }
    }

    fn error(&self, error: io::Error, row: u64) -> TableError {
        read_error(&self.path, self.compression, error, row)
    }
}

fn read_error(path: &Path, compression: Compression, error: io::Error, row: u64) -> TableError {
    // A decoder's errors carry no OS code; a disk's do.
    if compression == Compression::Plain || error.raw_os_error().is_some() {
        return TableError::Unreadable { path: path.to_owned(), error };
    }
    let compression = compression.name();
    TableError::BrokenCompression { path: path.to_owned(), compression, row, reason: one_line(&error) }
}

/// `bytes` as text; invalid UTF-8 is replaced by U+FFFD and counted, so that no row is lost to it.
pub(super) fn decode<'a>(bytes: &'a [u8], invalid: &mut u64) -> Cow<'a, str> {
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => Cow::Borrowed(text),
        Cow::Owned(text) => {
            *invalid += 1;
            Cow::Owned(text)
        }
    }
}
