//! Parquet tables: only the wanted columns, a thousand rows at a time, however large the row group. What is doubted of
//! the file itself is [`parquet_file`](pairmill_shards::parquet_file)'s.
//!
//! Text is asked for as bytes and checked here, because a writer that did not check its UTF-8 must cost characters,
//! not the rest of the file. It comes as views of the pages, so that the bytes of a block are known before they are
//! copied: in a column of a dictionary each row may have the same megabyte.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, RecordBatch, RecordBatchOptions, StringBuilder,
};
use arrow::compute::{can_cast_types, cast, concat};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use pairmill_shards::guard::guarded;
use pairmill_shards::parquet_file::{
    Batches, ParquetFault, ParquetFile, ParquetInput, ReadPlan, unpacked_bytes,
};

use super::columns::Plan;
use super::error::{MAX_BLOCK_BYTES, TableError, one_line};
use super::records::Oddities;
use super::text::Decoding;

/// Rows decoded at a time. URLs and captions of so many take well under a megabyte.
const READ_BATCH_ROWS: usize = 1_024;

/// What a Parquet footer tells.
pub(super) struct Footer {
    pub(super) rows: u64,
    /// Type of each planned column in blocks of this file alone.
    pub(super) types: Vec<DataType>,
}

/// One open Parquet file.
pub(super) struct ParquetTable {
    path: Arc<Path>,
    file: ParquetFile,
    /// Top-level field of each planned column.
    places: Vec<usize>,
    /// Name in the file and decoding of each planned column.
    sources: Vec<(String, Decoding)>,
    schema: SchemaRef,
    /// Next row to hand out.
    row: u64,
    reader: Option<Batches>,
    /// Decoded rows that the last block had no room for.
    pending: Option<RecordBatch>,
    invalid_utf8: u64,
}

/// Rows and column types of `path`, with every planned column checked.
pub(super) fn footer(path: &Path, plan: &Plan) -> Result<Footer, TableError> {
    let opened = load(path, plan, &Arc::default())?;
    let mut types = Vec::with_capacity(plan.columns.len());
    for (column, place) in plan.columns.iter().zip(&opened.places) {
        let found = opened.file.schema().field(*place).data_type();
        let plain = plain_type(found);
        if column.role.is_text() && (plain.is_nested() || !can_cast_types(&plain, &DataType::Utf8)) {
            return Err(TableError::NotText {
                path: path.to_owned(),
                column: column.source.clone(),
                asked_by: column.role.asked_by(),
                found: found.to_string(),
            });
        }
        types.push(if column.role.is_text() { DataType::Utf8 } else { plain });
    }
    Ok(Footer { rows: opened.file.num_rows(), types })
}

/// Names of the top-level columns of `path`.
pub(super) fn names(path: &Path) -> Result<Vec<String>, TableError> {
    let nothing = Plan { columns: Vec::new() };
    let opened = load(path, &nothing, &Arc::default())?;
    Ok(opened.file.schema().fields().iter().map(|field| field.name().clone()).collect())
}

struct Opened {
    file: ParquetFile,
    places: Vec<usize>,
}

fn load(path: &Path, plan: &Plan, consumed: &Arc<AtomicU64>) -> Result<Opened, TableError> {
    let input =
        ParquetInput::open(path).map_err(|error| TableError::Unreadable { path: path.to_owned(), error })?;
    let file =
        ParquetFile::open(input.counted(consumed.clone())).map_err(|fault| refused(path, None, fault))?;
    let names: Vec<String> = file.schema().fields().iter().map(|field| field.name().clone()).collect();
    let places = plan.locate(path, &names)?;
    Ok(Opened { file, places })
}

/// The type a column has in our blocks: dictionaries, views and 64-bit offsets are how, not what.
fn plain_type(found: &DataType) -> DataType {
    match found {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        other => other.clone(),
    }
}

/// One type for a column that two files hold as `a` and `b`, if there is one.
pub(super) fn common_type(a: &DataType, b: &DataType) -> Option<DataType> {
    match (a, b) {
        (a, b) if a == b => Some(a.clone()),
        (DataType::Null, other) | (other, DataType::Null) => Some(other.clone()),
        (a, b) if a.is_signed_integer() && b.is_signed_integer() => Some(DataType::Int64),
        (a, b) if a.is_integer() && b.is_integer() && *a != DataType::UInt64 && *b != DataType::UInt64 => {
            Some(DataType::Int64)
        }
        // pandas turns integers with nulls into doubles, so parts of one table differ this way.
        (a, b) if a.is_numeric() && b.is_numeric() && (a.is_floating() || b.is_floating()) => {
            Some(DataType::Float64)
        }
        (a, b) if !a.is_nested() && !b.is_nested() && can_cast_types(a, &DataType::Utf8) => {
            can_cast_types(b, &DataType::Utf8).then_some(DataType::Utf8)
        }
        _ => None,
    }
}

impl ParquetTable {
    pub(super) fn open(
        path: &Arc<Path>,
        plan: &Plan,
        schema: SchemaRef,
        consumed: Arc<AtomicU64>,
    ) -> Result<Self, TableError> {
        let Opened { file, places } = load(path, plan, &consumed)?;
        Ok(Self {
            path: path.clone(),
            file,
            places,
            sources: plan
                .columns
                .iter()
                .map(|column| (column.source.clone(), Decoding::of(column.role)))
                .collect(),
            schema,
            row: 0,
            reader: None,
            pending: None,
            invalid_utf8: 0,
        })
    }

    pub(super) fn row(&self) -> u64 {
        self.row
    }

    pub(super) fn oddities(&self) -> Oddities {
        Oddities { invalid_utf8: self.invalid_utf8, ..Oddities::default() }
    }

    /// Passes over up to `rows` rows; nothing is decoded until the next read, which begins at the new place.
    pub(super) fn skip(&mut self, rows: u64) -> u64 {
        let skipped = rows.min(self.file.num_rows() - self.row);
        if skipped > 0 {
            self.row += skipped;
            (self.reader, self.pending) = (None, None);
        }
        skipped
    }

    /// Up to `limit` more rows; none at the end.
    pub(super) fn read(&mut self, limit: u64) -> Result<RecordBatch, TableError> {
        let limit = limit.min(self.file.num_rows() - self.row);
        let mut columns: Vec<Column> =
            self.schema.fields().iter().map(|field| Column::new(field.data_type())).collect();
        let mut taken = 0;
        let mut bytes = 0;
        while taken < limit {
            let batch = match self.pending.take() {
                Some(batch) => batch,
                None => self.next_batch(self.row + taken)?,
            };
            let wanted = usize::try_from(limit - taken).unwrap_or(usize::MAX);
            let used = if batch.num_rows() > wanted {
                self.pending = Some(batch.slice(wanted, batch.num_rows() - wanted));
                batch.slice(0, wanted)
            } else {
                batch
            };
            let used = self.in_plan_order(&used);
            bytes += used.iter().map(|column| unpacked_bytes(column)).sum::<u64>();
            if bytes > MAX_BLOCK_BYTES as u64 {
                let (first_row, path) = (self.row, self.path.to_path_buf());
                return Err(TableError::BlockTooLarge { path, first_row, rows: taken });
            }
            let rows = used.first().map_or(0, |column| column.len());
            let invalid_utf8 = &mut self.invalid_utf8;
            let sources = &self.sources;
            let appended = guarded(|| {
                let mut cells = columns.iter_mut().zip(&used).zip(sources);
                cells.try_for_each(|((column, array), (name, decoding))| {
                    let appended = column.append(array, *decoding, invalid_utf8);
                    appended.map_err(|error| (name.clone(), array.data_type().to_string(), error))
                })
            });
            match appended {
                Err(panicked) => self.arrow(taken, Err(panicked))?,
                Ok(Err((column, found, error))) => {
                    let (path, row) = (self.path.to_path_buf(), self.row + taken);
                    let reason = one_line(&error);
                    return Err(TableError::NotConverted { path, row, column, found, reason });
                }
                Ok(Ok(())) => {}
            }
            taken += rows as u64;
        }
        let schema = self.schema.clone();
        let block = guarded(|| {
            let columns = columns.into_iter().map(Column::finish).collect::<Result<Vec<_>, _>>()?;
            let options = RecordBatchOptions::new().with_row_count(usize::try_from(taken).ok());
            RecordBatch::try_new_with_options(schema, columns, &options)
        });
        let block = self.arrow(0, block)?;
        self.row += taken;
        if self.row == self.file.num_rows() {
            self.expect_end()?;
        }
        Ok(block)
    }

    /// What arrow made of rows that were read from the current one on.
    fn arrow<T>(&self, rows: u64, done: Result<Result<T, ArrowError>, String>) -> Result<T, TableError> {
        let corrupt = |reason| {
            let (path, row) = (self.path.to_path_buf(), Some(self.row + rows));
            TableError::CorruptParquet { path, row, reason }
        };
        done.map_err(corrupt)?.map_err(|error| corrupt(one_line(&error)))
    }

    fn next_batch(&mut self, at: u64) -> Result<RecordBatch, TableError> {
        let refused = |fault| refused(&self.path, Some(at), fault);
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => {
                let plan = ReadPlan {
                    columns: Some(self.places.clone()),
                    first_row: at,
                    batch_rows: READ_BATCH_ROWS,
                    text_as_bytes: true,
                    ..ReadPlan::default()
                };
                self.reader.insert(self.file.views(&plan).map_err(refused)?)
            }
        };
        match reader.next() {
            Some(batch) => batch.map_err(refused),
            None => Err(refused(ParquetFault::Contradiction("fewer rows than the footer says".to_owned()))),
        }
    }

    /// After the last row: the pages must hold no more.
    fn expect_end(&mut self) -> Result<(), TableError> {
        match self.reader.take().and_then(|mut reader| reader.next()) {
            Some(Err(fault)) => Err(refused(&self.path, Some(self.row), fault)),
            _ => Ok(()),
        }
    }

    /// The columns of a batch from file order to that of our blocks.
    fn in_plan_order(&self, batch: &RecordBatch) -> Vec<ArrayRef> {
        // A projection keeps file order and holds each column once.
        let mut read: Vec<usize> = self.places.clone();
        read.sort_unstable();
        read.dedup();
        let places = self.places.iter().map(|place| read.partition_point(|other| other < place));
        places.map(|index| batch.column(index).clone()).collect()
    }
}

/// A column of a block in the making.
enum Column {
    Text(StringBuilder),
    Other { kind: DataType, parts: Vec<ArrayRef> },
}

impl Column {
    fn new(kind: &DataType) -> Self {
        match kind {
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            kind => Self::Other { kind: kind.clone(), parts: Vec::new() },
        }
    }

    fn append(
        &mut self,
        array: &ArrayRef,
        decoding: Decoding,
        invalid_utf8: &mut u64,
    ) -> Result<(), ArrowError> {
        match self {
            Self::Text(builder) => match array.as_any().downcast_ref::<BinaryViewArray>() {
                Some(bytes) => bytes.iter().for_each(|value| {
                    builder.append_option(value.map(|value| decoding.decode(value, invalid_utf8)));
                }),
                None => builder.append_array(to_text(array)?.as_string())?,
            },
            Self::Other { kind, parts } => {
                parts.push(if array.data_type() == kind { array.clone() } else { cast(array, kind)? });
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Text(mut builder) => Ok(Arc::new(builder.finish())),
            Self::Other { kind, parts } if parts.is_empty() => Ok(arrow::array::new_empty_array(&kind)),
            Self::Other { parts, .. } => {
                concat(&parts.iter().map(|part| part.as_ref() as &dyn Array).collect::<Vec<_>>())
            }
        }
    }
}

/// The values as text. Instants of any time zone are told in UTC, for which arrow needs no table of zones.
pub(crate) fn to_text(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let plain = match array.data_type() {
        DataType::Dictionary(_, values) => return to_text(&cast(array, values)?),
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("+00:00".into())),
        // Written as the wider floats are: 5.0, not 5.
        DataType::Float16 => DataType::Float32,
        _ => return cast(array, &DataType::Utf8),
    };
    cast(&cast(array, &plain)?, &DataType::Utf8)
}

fn refused(path: &Path, row: Option<u64>, fault: ParquetFault) -> TableError {
    let path = path.to_owned();
    match fault {
        ParquetFault::Read(error) => TableError::Unreadable { path, error },
        ParquetFault::Lookalike(what) => TableError::NotATable { path, what },
        ParquetFault::Damaged(reason) | ParquetFault::Panic(reason) => {
            TableError::CorruptParquet { path, row, reason }
        }
        fault @ (ParquetFault::Encrypted | ParquetFault::Contradiction(_) | ParquetFault::TooLarge(_)) => {
            TableError::RefusedParquet { path, row, reason: fault.to_string() }
        }
    }
}

/// The first planned column whose types in two files have nothing in common.
pub(super) fn conflict<'a>(plan: &'a Plan, a: &[DataType], b: &[DataType]) -> Option<(usize, &'a str)> {
    let columns = plan.columns.iter().zip(a.iter().zip(b)).enumerate();
    columns
        .filter(|(_, (column, _))| !column.role.is_text())
        .find(|(_, (_, (a, b)))| common_type(a, b).is_none())
        .map(|(index, (column, _))| (index, column.source.as_str()))
}
