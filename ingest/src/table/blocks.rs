//! Rows cut into blocks, one block per shard, never across two input files (img2dataset's rule, FORMAT.md §1).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;

use super::Inner;
use super::error::{MAX_BLOCK_BYTES, TableError, one_line};
use super::format::InputFormat;
use super::infer::{Assembly, Kind, Misfit};
use super::parquet::ParquetTable;
use super::records::{Oddities, Records};
use super::text::TextSource;
use super::yfcc::YfccTable;
use crate::yfcc::YfccCounters;

/// Consecutive rows of one input file: the content of one shard.
#[derive(Debug, Clone)]
pub struct RowBlock {
    /// The file they are from.
    pub file: Arc<Path>,
    /// Position of the first row in that file, 0-based; headers and blank lines do not count.
    pub first_row: u64,
    /// 1 to `rows_per_block` rows in the schema of [`Tables::schema`](super::Tables::schema).
    pub rows: RecordBatch,
}

/// Iterator over the blocks of an input, in order. After an error it ends.
pub struct Blocks {
    inner: Arc<Inner>,
    rows_per_block: u64,
    next_file: usize,
    open: Option<OpenTable>,
    failed: bool,
    consumed: Arc<AtomicU64>,
    /// Of the files behind us.
    oddities: Oddities,
    /// Of the metadata behind us.
    yfcc: Option<YfccCounters>,
}

struct OpenTable {
    path: Arc<Path>,
    rows: OpenRows,
}

enum OpenRows {
    Text { records: Records, row: u64 },
    Parquet(Box<ParquetTable>),
    Yfcc(Box<YfccTable>),
}

impl Blocks {
    pub(super) fn new(inner: Arc<Inner>, rows_per_block: u64) -> Self {
        Self {
            inner,
            rows_per_block: rows_per_block.max(1),
            next_file: 0,
            open: None,
            failed: false,
            consumed: Arc::default(),
            oddities: Oddities::default(),
            yfcc: None,
        }
    }

    /// Passes over the next block and says how many rows it has; `None` at the end.
    ///
    /// Parquet rows are not decoded for it; text must still be cut into records.
    ///
    /// # Errors
    /// As reading the block would, but for what only decoding finds.
    pub fn skip_block(&mut self) -> Result<Option<u64>, TableError> {
        self.guarded(|blocks| {
            let rows_per_block = blocks.rows_per_block;
            blocks.in_open_table(|table, _| {
                let skipped = table.rows.skip(rows_per_block)?;
                Ok((skipped > 0).then_some(skipped))
            })
        })
    }

    /// Bytes read from disk so far; of [`InputFile::bytes`](super::InputFile::bytes) when every column is read.
    pub fn bytes_read(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    /// Flaws met so far. Skipped rows are not looked at as closely as read ones.
    pub fn oddities(&self) -> Oddities {
        self.open.iter().fold(self.oddities, |sum, table| sum.plus(table.rows.oddities()))
    }

    /// Lines of YFCC100M's metadata by what became of them so far; `None` for other tables.
    pub fn yfcc_counters(&self) -> Option<YfccCounters> {
        match &self.open {
            Some(OpenTable { rows: OpenRows::Yfcc(table), .. }) => Some(table.counters()),
            _ => self.yfcc,
        }
    }

    fn read_block(&mut self) -> Result<Option<RowBlock>, TableError> {
        self.guarded(|blocks| {
            let rows_per_block = blocks.rows_per_block;
            blocks.in_open_table(|table, inner| table.read_block(inner, rows_per_block))
        })
    }

    fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<Option<T>, TableError>,
    ) -> Result<Option<T>, TableError> {
        if self.failed {
            return Ok(None);
        }
        let result = work(self);
        self.failed = result.is_err();
        result
    }

    /// Runs `work` on the open file, going on to the next one for as long as it finds nothing.
    fn in_open_table<T>(
        &mut self,
        mut work: impl FnMut(&mut OpenTable, &Inner) -> Result<Option<T>, TableError>,
    ) -> Result<Option<T>, TableError> {
        loop {
            if let Some(table) = &mut self.open {
                if let Some(found) = work(table, &self.inner)? {
                    return Ok(Some(found));
                }
                self.oddities = self.oddities.plus(table.rows.oddities());
                if let OpenRows::Yfcc(table) = &table.rows {
                    self.yfcc = Some(table.counters());
                }
                self.open = None;
            }
            // The second file of YFCC100M is its list.
            let is_list = self.next_file > 0 && self.inner.yfcc.is_some();
            let Some(file) = self.inner.files.get(self.next_file).filter(|_| !is_list) else {
                return Ok(None);
            };
            self.next_file += 1;
            let path: Arc<Path> = file.path.as_path().into();
            self.open =
                OpenRows::open(&path, &self.inner, &self.consumed)?.map(|rows| OpenTable { path, rows });
        }
    }
}

impl Iterator for Blocks {
    type Item = Result<RowBlock, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_block().transpose()
    }
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").field("next_file", &self.next_file).finish_non_exhaustive()
    }
}

impl OpenRows {
    fn open(path: &Arc<Path>, inner: &Inner, consumed: &Arc<AtomicU64>) -> Result<Option<Self>, TableError> {
        let consumed = consumed.clone();
        if let Some(yfcc) = &inner.yfcc {
            let table = YfccTable::open(yfcc, &inner.plan, consumed)?;
            return Ok(Some(Self::Yfcc(Box::new(table))));
        }
        if inner.format == InputFormat::Parquet {
            let table = ParquetTable::open(path, &inner.plan, inner.schema.clone(), consumed)?;
            return Ok(Some(Self::Parquet(Box::new(table))));
        }
        let records =
            Records::open(&TextSource::file(path), inner.format, &inner.dialect, &inner.plan, consumed)?;
        Ok(records.map(|records| Self::Text { records, row: 0 }))
    }

    fn oddities(&self) -> Oddities {
        match self {
            Self::Text { records, .. } => records.oddities(),
            Self::Parquet(table) => table.oddities(),
            Self::Yfcc(table) => Oddities { invalid_utf8: table.counters().not_utf8, ..Oddities::default() },
        }
    }

    fn skip(&mut self, rows: u64) -> Result<u64, TableError> {
        match self {
            Self::Parquet(table) => Ok(table.skip(rows)),
            Self::Yfcc(table) => table.skip(rows),
            Self::Text { records, row } => {
                let mut skipped = 0;
                while skipped < rows && records.advance()? {
                    skipped += 1;
                }
                *row += skipped;
                Ok(skipped)
            }
        }
    }
}

impl OpenTable {
    fn read_block(&mut self, inner: &Inner, rows_per_block: u64) -> Result<Option<RowBlock>, TableError> {
        let (first_row, rows) = match &mut self.rows {
            OpenRows::Parquet(table) => {
                let first_row = table.row();
                (first_row, table.read(rows_per_block)?)
            }
            OpenRows::Yfcc(table) => {
                let first_row = table.row();
                match table.read(rows_per_block)? {
                    Some(rows) => (first_row, rows),
                    None => return Ok(None),
                }
            }
            OpenRows::Text { records, row } => {
                let first_row = *row;
                let rows = assemble(records, &self.path, inner, first_row, rows_per_block)?;
                *row += rows.num_rows() as u64;
                (first_row, rows)
            }
        };
        Ok((rows.num_rows() > 0).then(|| RowBlock { file: self.path.clone(), first_row, rows }))
    }
}

fn assemble(
    records: &mut Records,
    path: &Path,
    inner: &Inner,
    first_row: u64,
    limit: u64,
) -> Result<RecordBatch, TableError> {
    let mut columns: Vec<Assembly> = inner.kinds.iter().map(Assembly::new).collect();
    let (mut rows, mut bytes) = (0, 0);
    while rows < limit && records.advance()? {
        for (index, column) in columns.iter_mut().enumerate() {
            match column.push(&records.cell(index)) {
                Ok(pushed) => bytes += pushed,
                Err(Misfit) => return Err(changed(records, path, inner, first_row + rows, index)),
            }
        }
        rows += 1;
        if bytes > MAX_BLOCK_BYTES {
            return Err(TableError::BlockTooLarge { path: path.to_owned(), first_row, rows });
        }
    }
    batch_of(columns, inner.schema.clone(), rows).map_err(|error| TableError::Malformed {
        path: path.to_owned(),
        row: first_row,
        line: records.line(),
        reason: one_line(&error),
    })
}

fn batch_of(
    columns: Vec<Assembly>,
    schema: SchemaRef,
    rows: u64,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let columns = columns.into_iter().map(Assembly::finish).collect();
    let options = RecordBatchOptions::new().with_row_count(usize::try_from(rows).ok());
    RecordBatch::try_new_with_options(schema, columns, &options)
}

fn changed(records: &mut Records, path: &Path, inner: &Inner, row: u64, column: usize) -> TableError {
    let name = inner.plan.columns.get(column).map_or("", |column| &column.source);
    let kind = inner.kinds.get(column).map(Kind::data_type);
    let kind = kind.map_or_else(String::new, |kind| kind.to_string());
    let reason =
        format!("row {row}, line {}, column `{name}` was {kind} when the table was scanned", records.line());
    TableError::Changed { path: path.to_owned(), reason }
}
