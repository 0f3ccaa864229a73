//! The bytes of a text table: opened, decompressed and freed of a byte order mark, a buffer at a time.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lzma_rust2::XzReader;
use pairmill_shards::lookalike::{HEAD_BYTES, Lookalike};

use super::columns::Role;
use super::error::{MAX_RECORD_BYTES, TableError, one_line};
use super::format::Compression;
use super::unpack::{Members, Packing, WithoutEndMark};
use crate::address::percent_encoded;

const FILE_BUFFER_BYTES: usize = 128 << 10;
const TEXT_BUFFER_BYTES: usize = 64 << 10;
/// Memory that an xz file may ask for; `xz -9` asks for 65 MiB.
const XZ_MEMORY_KIB: u32 = 128 << 10;
/// Window of a zstd file, as a power of two: what `zstd --long` writes and the tool itself reads without a flag.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Where the bytes come from; may be opened again.
#[derive(Debug, Clone)]
pub(super) struct TextSource {
    pub(super) path: Arc<Path>,
    /// Instead of the file's.
    bytes: Option<Arc<[u8]>>,
}

impl TextSource {
    pub(super) fn file(path: &Arc<Path>) -> Self {
        Self { path: path.clone(), bytes: None }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn memory(name: &str, bytes: &[u8]) -> Self {
        Self { path: Path::new(name).into(), bytes: Some(bytes.into()) }
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match &self.bytes {
            Some(bytes) => Box::new(Cursor::new(bytes.clone())),
            None => Box::new(File::open(&self.path)?),
        })
    }
}

/// Counts bytes as they leave the file, for progress and for the memory tests.
#[derive(Debug)]
struct Counted<R> {
    inner: R,
    consumed: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.consumed.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// The text behind its beginning, which is looked at first.
type Plain = BufReader<Box<WithoutEndMark<Box<dyn Read + Send>>>>;

/// An open text table.
pub(super) struct Text {
    pub(super) path: Arc<Path>,
    reader: Chain<Cursor<Vec<u8>>, Plain>,
    compression: Compression,
}

impl Text {
    /// Opens `source`; bytes read from disk are added to `consumed`.
    pub(super) fn open(source: &TextSource, consumed: Arc<AtomicU64>) -> Result<Self, TableError> {
        let path = &source.path;
        let unreadable = |error| TableError::Unreadable { path: path.to_path_buf(), error };
        let file = Counted { inner: source.open().map_err(unreadable)?, consumed };
        let mut packed = BufReader::with_capacity(FILE_BUFFER_BYTES, file);
        let head = packed.fill_buf().map_err(unreadable)?;
        let compression = Compression::of_bytes(head);
        if let Some(what) = Lookalike::of(&head[..head.len().min(HEAD_BYTES)]) {
            return Err(TableError::NotATable { path: path.to_path_buf(), what });
        }
        if let Some((extension, named)) = Compression::of_path(path)
            && named != compression
        {
            let compression = named.name();
            return Err(TableError::NotCompressed { path: path.to_path_buf(), extension, compression });
        }
        let plain: Box<dyn Read + Send> = match compression {
            Compression::Plain => Box::new(packed),
            Compression::Gzip => Box::new(Members::new(packed, Packing::Gzip)),
            Compression::Bzip2 => Box::new(Members::new(packed, Packing::Bzip2)),
            Compression::Xz => Box::new(XzReader::new_mem_limit(packed, true, XZ_MEMORY_KIB)),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(unreadable)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(unreadable)?;
                Box::new(decoder)
            }
        };
        let mut reader = BufReader::with_capacity(TEXT_BUFFER_BYTES, Box::new(WithoutEndMark::new(plain)));
        let mut head = Vec::with_capacity(HEAD_BYTES);
        let read = (&mut reader).take(HEAD_BYTES as u64).read_to_end(&mut head);
        if let Some(what) = Lookalike::of(&head) {
            return Err(TableError::NotATable { path: path.to_path_buf(), what });
        }
        if let Some(encoding) = wide_encoding(&head) {
            return Err(TableError::WideText { path: path.to_path_buf(), encoding });
        }
        if head.starts_with(&[0xef, 0xbb, 0xbf]) {
            head.drain(..3);
        }
        let text = Self { path: path.clone(), reader: Cursor::new(head).chain(reader), compression };
        match read {
            Ok(_) => Ok(text),
            Err(error) => Err(text.error(error, 0)),
        }
    }

    /// Opens `source` `at` bytes into its text.
    pub(super) fn open_at(
        source: &TextSource,
        at: u64,
        consumed: Arc<AtomicU64>,
    ) -> Result<Self, TableError> {
        let mut text = Self::open(source, consumed)?;
        match io::copy(&mut (&mut text.reader).take(at), &mut io::sink()) {
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
    let (path, compression, reason) = (path.to_owned(), compression.name(), one_line(&error));
    // The words are zstd's, which has no kind of error for it.
    if error.kind() == io::ErrorKind::OutOfMemory || reason.contains("too much memory") {
        return TableError::UnpackMemory { path, compression };
    }
    TableError::BrokenCompression { path, compression, row, reason }
}

/// The encoding of a text whose characters take two or four bytes: by its byte order mark, or by the zeros that two
/// characters of ASCII have between them. No UTF-8 begins so.
fn wide_encoding(head: &[u8]) -> Option<&'static str> {
    Some(match head {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => "UTF-32",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16",
        [1..=0x7f, 0, 0, 0, 1..=0x7f, 0, 0, 0, ..] => "UTF-32LE",
        [0, 0, 0, 1..=0x7f, 0, 0, 0, 1..=0x7f, ..] => "UTF-32BE",
        [1..=0x7f, 0, 1..=0x7f, 0, ..] => "UTF-16LE",
        [0, 1..=0x7f, 0, 1..=0x7f, ..] => "UTF-16BE",
        _ => return None,
    })
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

/// How a cell's bytes become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoding {
    /// As [`decode`].
    Text,
    /// Bytes that are not UTF-8 go to the server as they came, percent-encoded: only it can read them.
    Url,
}

impl Decoding {
    pub(super) fn of(role: Role) -> Self {
        if role == Role::Url { Self::Url } else { Self::Text }
    }

    pub(super) fn decode<'a>(self, bytes: &'a [u8], invalid: &mut u64) -> Cow<'a, str> {
        match self {
            Self::Text => decode(bytes, invalid),
            Self::Url => percent_encoded(bytes),
        }
    }
}
