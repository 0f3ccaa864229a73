//! Pages, each weighed before the parquet crate takes memory for it.
//!
//! [`Chunk`] is what the crate reads a column chunk through: it looks at each page header first, and at what a gzip or
//! Brotli page unpacks to, where the crate does not ask the header. [`BoundedPages`] looks at what the page holds, and keeps
//! [`Budget`] up to date with the pages that are still in use.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use super::delta;
use super::fault::ParquetFault;
use super::input::{Cursor, ParquetInput};
use super::thrift::{BadHeader, Compact, I32, STRUCT};

/// A page may be this large whatever it takes in the file. Writers aim at 1 MiB.
const FREE_PAGE_BYTES: u64 = 64 << 20;
/// A larger page must unpack to no more than this many times its bytes in the file, as pages of images do.
const MAX_RATIO: u64 = 4;
/// And no page may be larger than this.
const MAX_PAGE_BYTES: u64 = 512 << 20;
/// All pages that are in use at a time, by what they unpack to beyond [`MAX_RATIO`].
const MAX_UNEARNED_BYTES: u64 = 256 << 20;
/// And all together.
const MAX_LIVE_BYTES: u64 = 1 << 30;
/// What lists of one batch may take: 20 bytes an element while it is put together, and its value.
const MAX_LIST_BYTES: u64 = 128 << 20;
const ELEMENT_BYTES: u64 = 20;
/// What values of one batch that repeat each other's beginnings may unpack to.
const MAX_EXPANDED_BYTES: u64 = 256 << 20;
/// Values of a page whose lengths the crate unpacks all at once.
const MAX_DELTA_VALUES: u64 = 4 << 20;
/// Bytes that a view of a text takes.
const VIEW_BYTES: u64 = 16;

/// Memory that the pages of one reader take, and why it refused one.
#[derive(Debug, Default)]
pub(super) struct Budget {
    live: AtomicU64,
    unearned: AtomicU64,
    /// Of the batch that is being read.
    lists: AtomicU64,
    expanded: AtomicU64,
    fault: Mutex<Option<ParquetFault>>,
}

impl Budget {
    pub(super) fn begin_batch(&self) {
        self.lists.store(0, Ordering::Relaxed);
        self.expanded.store(0, Ordering::Relaxed);
    }

    /// Why a page was refused; the parquet crate only hands the text on.
    pub(super) fn take_fault(&self) -> Option<ParquetFault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn refuse(&self, fault: ParquetFault) -> ParquetError {
        let error = ParquetError::General(fault.to_string());
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        error
    }

    fn too_large(&self, reason: String) -> ParquetError {
        self.refuse(ParquetFault::TooLarge(reason))
    }
}

/// A page's bytes, given back to the budget when nobody looks at them any more.
struct Held {
    bytes: Bytes,
    live: u64,
    unearned: u64,
    budget: Arc<Budget>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.live.fetch_sub(self.live, Ordering::Relaxed);
        self.budget.unearned.fetch_sub(self.unearned, Ordering::Relaxed);
    }
}

/// What a page header says, as far as memory depends on it.
#[derive(Debug, Clone, Copy, Default)]
struct Header {
    unpacked: u64,
    packed: u64,
    /// Bytes before the compressed part (format's page version 2), and whether it is compressed.
    levels: u64,
    plain: bool,
}

impl Header {
    fn read(cursor: Cursor) -> std::result::Result<Self, BadHeader> {
        let size = |number: i64| u64::try_from(number).map_err(|_| BadHeader);
        let mut compact = Compact(cursor);
        let (mut header, mut last) = (Self::default(), 0);
        while let Some(field) = compact.field(&mut last)? {
            match (field.id, field.kind) {
                (2, I32) => header.unpacked = size(compact.integer()?)?,
                (3, I32) => header.packed = size(compact.integer()?)?,
                (8, STRUCT) => {
                    let mut last = 0;
                    while let Some(field) = compact.field(&mut last)? {
                        match (field.id, field.kind) {
                            (5 | 6, I32) => header.levels += size(compact.integer()?)?,
                            (7, kind) => header.plain = kind != 1,
                            (_, kind) => compact.skip(kind)?,
                        }
                    }
                }
                (_, kind) => compact.skip(kind)?,
            }
        }
        Ok(header)
    }

    /// Whether the page's size is that of bytes which are really there.
    fn is_earned(&self) -> bool {
        self.unpacked <= self.packed.saturating_mul(MAX_RATIO)
    }
}

/// A column chunk as the parquet crate reads it.
struct Chunk {
    input: Arc<ParquetInput>,
    compression: Compression,
    budget: Arc<Budget>,
    /// Of the page that comes next, or that was read last.
    header: Mutex<Header>,
}

impl Chunk {
    fn header(&self) -> Header {
        *self.header.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_at_header(&self, at: u64) -> Result<()> {
        let header = Header::read(Cursor::new(self.input.clone(), at))
            .map_err(|_| ParquetError::General("a page header is damaged".to_owned()))?;
        *self.header.lock().unwrap_or_else(PoisonError::into_inner) = header;
        let limit = if header.is_earned() { MAX_PAGE_BYTES } else { FREE_PAGE_BYTES };
        if header.unpacked > limit {
            return Err(self.budget.too_large(format!(
                "a page of {} bytes that unpacks to {}, more than the {} MiB that are read; write the file with smaller pages",
                header.packed,
                header.unpacked,
                limit >> 20
            )));
        }
        Ok(())
    }

    /// Refuses a page that unpacks to more than its header says, where the crate would unpack it all the same.
    fn look_at_content(&self, packed: &[u8]) -> Result<()> {
        let header = self.header();
        let levels = usize::try_from(header.levels).unwrap_or(usize::MAX);
        let Some(packed) = packed.get(levels..).filter(|packed| !header.plain && !packed.is_empty()) else {
            return Ok(());
        };
        let bits = packed[0] & 0x7f;
        let reader: Box<dyn Read + '_> = match self.compression {
            Compression::GZIP(_) => Box::new(flate2::read::MultiGzDecoder::new(packed)),
            // A window of up to a gigabyte (RFC 9841), which the format does not know.
            Compression::BROTLI(_) if bits == 0x11 => {
                return Err(self.budget.too_large("a Brotli page with a large window".to_owned()));
            }
            Compression::BROTLI(_) => Box::new(brotli::Decompressor::new(packed, 64 << 10)),
            Compression::LZ4 if packed.starts_with(&[0x04, 0x22, 0x4d, 0x18]) => {
                Box::new(lz4_flex::frame::FrameDecoder::new(packed))
            }
            _ => return Ok(()),
        };
        let limit = header.unpacked.saturating_sub(header.levels);
        // What is wrong with the bytes, the crate will say.
        let unpacked = std::io::copy(&mut reader.take(limit + 1), &mut std::io::sink()).unwrap_or(0);
        if unpacked > limit {
            return Err(self
                .budget
                .too_large(format!("a page that unpacks to more than the {limit} bytes of its header")));
        }
        Ok(())
    }
}

impl Length for Chunk {
    fn len(&self) -> u64 {
        self.input.len()
    }
}

/// A page header on its way to the crate; looked at when it is asked for.
struct HeaderBytes {
    cursor: Cursor,
    seen: bool,
    at: u64,
    chunk: Arc<Chunk>,
}

impl Read for HeaderBytes {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if !self.seen {
            self.seen = true;
            self.chunk.look_at_header(self.at).map_err(std::io::Error::other)?;
        }
        self.cursor.read(into)
    }
}

/// The crate wants its reader by value.
struct ChunkInput(Arc<Chunk>);

impl Length for ChunkInput {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for ChunkInput {
    type T = HeaderBytes;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let cursor = Cursor::new(self.0.input.clone(), start);
        Ok(HeaderBytes { cursor, seen: false, at: start, chunk: self.0.clone() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.0.input.bytes(start, length)?;
        self.0.look_at_content(&bytes)?;
        Ok(bytes)
    }
}

/// The pages of one column chunk.
struct BoundedPages {
    inner: SerializedPageReader<ChunkInput>,
    chunk: Arc<Chunk>,
    column: String,
    kind: Type,
    fixed_bytes: u64,
    max_rep_level: i16,
    max_def_level: i16,
    /// Values that the chunk's metadata and its pages so far have.
    promised: u64,
    seen: u64,
}

impl BoundedPages {
    fn new(
        input: &Arc<ParquetInput>,
        budget: &Arc<Budget>,
        column: &ColumnChunkMetaData,
        rows: usize,
    ) -> Result<Self> {
        let chunk = Arc::new(Chunk {
            input: input.clone(),
            compression: column.compression(),
            budget: budget.clone(),
            header: Mutex::default(),
        });
        let inner = SerializedPageReader::new(Arc::new(ChunkInput(chunk.clone())), column, rows, None)?;
        let described = column.column_descr();
        Ok(Self {
            inner,
            chunk,
            column: column.column_path().string(),
            kind: column.column_type(),
            fixed_bytes: if column.column_type() == Type::FIXED_LEN_BYTE_ARRAY {
                u64::try_from(described.type_length()).unwrap_or(0)
            } else {
                0
            },
            max_rep_level: described.max_rep_level(),
            max_def_level: described.max_def_level(),
            promised: u64::try_from(column.num_values()).unwrap_or(0),
            seen: 0,
        })
    }

    fn contradiction(&self, what: &str) -> ParquetError {
        let (column, promised) = (self.column.escape_debug(), self.promised);
        let reason =
            format!("column `{column}` has {what} than the {promised} values its column chunk promises");
        self.chunk.budget.refuse(ParquetFault::Contradiction(reason))
    }

    fn count(&mut self, values: u64) -> Result<()> {
        self.seen = self.seen.saturating_add(values);
        if self.seen > self.promised { Err(self.contradiction("more values in its pages")) } else { Ok(()) }
    }

    /// Takes the page into the budget.
    fn admit(&mut self, page: Page) -> Result<Page> {
        let (values, unpacked) = (u64::from(page.num_values()), page.buffer().len() as u64);
        let header = self.chunk.header();
        let mut live = unpacked;
        if page.is_dictionary_page() {
            let width = match self.kind {
                Type::BYTE_ARRAY | Type::INT32 | Type::FLOAT => 4,
                Type::INT64 | Type::DOUBLE => 8,
                Type::INT96 => 12,
                Type::FIXED_LEN_BYTE_ARRAY => self.fixed_bytes,
                Type::BOOLEAN => 1,
            };
            if values.saturating_mul(width) > unpacked {
                let reason =
                    format!("a dictionary of {unpacked} bytes cannot hold the {values} values of its header");
                return Err(self.chunk.budget.refuse(ParquetFault::Contradiction(reason)));
            }
            live += values * VIEW_BYTES;
        } else {
            self.count(values)?;
            if self.max_rep_level > 0 {
                let bytes = values.saturating_mul(ELEMENT_BYTES + self.fixed_bytes);
                if self.chunk.budget.lists.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes)
                    > MAX_LIST_BYTES
                {
                    return Err(self.chunk.budget.too_large(format!(
                        "lists of more than {} elements in column `{}` would have to be held at a time",
                        MAX_LIST_BYTES / (ELEMENT_BYTES + self.fixed_bytes),
                        self.column.escape_debug()
                    )));
                }
            }
            self.look_at_deltas(&page, values)?;
        }
        let unearned = if header.is_earned() { 0 } else { live };
        self.hold(page, live, unearned)
    }

    /// Adds up what a page of delta encoding unpacks to.
    fn look_at_deltas(&self, page: &Page, values: u64) -> Result<()> {
        let encoding = page.encoding();
        if !matches!(encoding, Encoding::DELTA_LENGTH_BYTE_ARRAY | Encoding::DELTA_BYTE_ARRAY) {
            return Ok(());
        }
        let budget = &self.chunk.budget;
        let damaged = || ParquetError::General("a page of delta-encoded texts is damaged".to_owned());
        if values > MAX_DELTA_VALUES {
            return Err(budget.too_large(format!(
                "a page of {values} delta-encoded texts; write the file with smaller pages"
            )));
        }
        let data = self.values_of(page).ok_or_else(damaged)?;
        let first = delta::add_up(data, values).ok_or_else(damaged)?;
        if encoding == Encoding::DELTA_BYTE_ARRAY {
            let rest = data.get(first.end..).ok_or_else(damaged)?;
            let second = delta::add_up(rest, values).ok_or_else(damaged)?;
            let expanded = first.sum.saturating_add(second.sum);
            let in_batch = budget.expanded.fetch_add(expanded.min(MAX_EXPANDED_BYTES), Ordering::Relaxed);
            if expanded > FREE_PAGE_BYTES || in_batch.saturating_add(expanded) > MAX_EXPANDED_BYTES {
                return Err(budget.too_large(format!(
                    "a page of {} bytes whose texts unpack to {expanded}; write the file with smaller pages",
                    page.buffer().len()
                )));
            }
        }
        Ok(())
    }

    /// The part of a page behind its levels.
    fn values_of<'a>(&self, page: &'a Page) -> Option<&'a [u8]> {
        match page {
            Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, .. } => {
                buf.get(*def_levels_byte_len as usize..)?.get(*rep_levels_byte_len as usize..)
            }
            Page::DataPage { buf, num_values, def_level_encoding, rep_level_encoding, .. } => {
                let mut rest: &[u8] = buf;
                for (level, encoding) in
                    [(self.max_rep_level, rep_level_encoding), (self.max_def_level, def_level_encoding)]
                {
                    if level == 0 {
                        continue;
                    }
                    rest = if *encoding == Encoding::RLE {
                        let (length, after) = rest.split_first_chunk::<4>()?;
                        after.get(u32::from_le_bytes(*length) as usize..)?
                    } else {
                        let bits = u64::from(16 - (level as u16).leading_zeros());
                        rest.get((u64::from(*num_values) * bits).div_ceil(8) as usize..)?
                    };
                }
                Some(rest)
            }
            Page::DictionaryPage { buf, .. } => Some(buf),
        }
    }

    fn hold(&self, mut page: Page, live: u64, unearned: u64) -> Result<Page> {
        let budget = &self.chunk.budget;
        let all = budget.live.fetch_add(live, Ordering::Relaxed) + live;
        let all_unearned = budget.unearned.fetch_add(unearned, Ordering::Relaxed) + unearned;
        let (Page::DataPage { buf, .. } | Page::DataPageV2 { buf, .. } | Page::DictionaryPage { buf, .. }) =
            &mut page;
        // From here on what was added is taken off again, also where the page is refused.
        *buf = Bytes::from_owner(Held { bytes: std::mem::take(buf), live, unearned, budget: budget.clone() });
        if all > MAX_LIVE_BYTES || all_unearned > MAX_UNEARNED_BYTES {
            return Err(budget.too_large(format!(
                "its pages would take more than {} MiB at a time; write the file with smaller pages, or read fewer columns",
                if all > MAX_LIVE_BYTES { MAX_LIVE_BYTES >> 20 } else { MAX_UNEARNED_BYTES >> 20 }
            )));
        }
        Ok(page)
    }
}

impl Iterator for BoundedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for BoundedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        match self.inner.get_next_page()? {
            Some(page) => self.admit(page).map(Some),
            None if self.seen < self.promised => Err(self.contradiction("fewer values in its pages")),
            None => Ok(None),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        if let Some(page) = self.inner.peek_next_page()?
            && !page.is_dict
        {
            self.count(page.num_levels.or(page.num_rows).unwrap_or(0) as u64)?;
        }
        self.inner.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.inner.at_record_boundary()
    }
}

/// Row groups of a file, for the crate's record reader.
pub(super) struct BoundedGroups {
    pub(super) input: Arc<ParquetInput>,
    pub(super) budget: Arc<Budget>,
    pub(super) metadata: Arc<ParquetMetaData>,
    /// Which, in order.
    pub(super) groups: Vec<usize>,
}

impl RowGroups for BoundedGroups {
    fn num_rows(&self) -> usize {
        self.row_groups().map(|group| usize::try_from(group.num_rows()).unwrap_or(0)).sum()
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let (input, budget) = (self.input.clone(), self.budget.clone());
        let (metadata, groups) = (self.metadata.clone(), self.groups.clone().into_iter());
        Ok(Box::new(Chunks { input, budget, metadata, groups, column }))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.groups.iter().map(|group| self.metadata.row_group(*group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// The chunks of one column.
struct Chunks {
    input: Arc<ParquetInput>,
    budget: Arc<Budget>,
    metadata: Arc<ParquetMetaData>,
    groups: std::vec::IntoIter<usize>,
    column: usize,
}

impl Iterator for Chunks {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        let group = self.metadata.row_group(self.groups.next()?);
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let pages = BoundedPages::new(&self.input, &self.budget, group.column(self.column), rows);
        Some(pages.map(|pages| Box::new(pages) as Box<dyn PageReader>))
    }
}

impl PageIterator for Chunks {}
