//! Parquet tables: only the wanted columns, a thousand rows at a time, however large the row group.
//!
//! Text is asked for as bytes and checked here, because a writer that did not check its UTF-8 must cost characters,
//! not the rest of the file. The parquet crate panics on some damaged pages, so [`guarded`] stands around it.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::array::{
    Array, ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions, StringArray, StringBuilder,
};
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use pairmill_shards::guard;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use super::columns::Plan;
use super::error::{TableError, one_line};
use super::records::Oddities;
use super::text::{Counted, decode};

/// Rows decoded at a time. URLs and captions of so many take well under a megabyte.
const READ_BATCH_ROWS: usize = 1_024;

/// A file whose reads are counted.
struct CountedFile {
    file: File,
    consumed: Arc<AtomicU64>,
}

impl Length for CountedFile {
    fn len(&self) -> u64 {
        self.file.metadata().map_or(0, |found| found.len())
    }
}

impl ChunkReader for CountedFile {
    type T = BufReader<Counted<File>>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        // Small: the page reader asks for a page header with it, and for the page itself with `get_bytes`.
        Ok(BufReader::with_capacity(512, Counted::new(file, self.consumed.clone())))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<bytes::Bytes> {
        // A damaged length must not allocate what the file cannot hold.
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.len()) {
            return Err(ParquetError::EOF("a page reaches past the end of the file".to_owned()));
        }
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = vec![0; length];
        Counted::new(file, self.consumed.clone()).read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// What a Parquet footer tells.
pub(super) struct Footer {
    pub(super) rows: u64,
    /// Type of each planned column in blocks of this file alone.
    pub(super) types: Vec<DataType>,
}

/// One open Parquet file.
pub(super) struct ParquetTable {
    path: Arc<Path>,
    consumed: Arc<AtomicU64>,
    metadata: ArrowReaderMetadata,
    /// Top-level field of each planned column.
    places: Vec<usize>,
    schema: SchemaRef,
    rows: u64,
    /// Next row to hand out.
    row: u64,
    reader: Option<ParquetRecordBatchReader>,
    /// Decoded rows that the last block had no room for.
    pending: Option<RecordBatch>,
    invalid_utf8: u64,
}

/// Rows and column types of `path`, with every planned column checked.
pub(super) fn footer(path: &Path, plan: &Plan) -> Result<Footer, TableError> {
    let opened = load(path, plan, &Arc::default())?;
    let mut types = Vec::with_capacity(plan.columns.len());
    for (column, place) in plan.columns.iter().zip(&opened.places) {
        let found = opened.schema.field(*place).data_type();
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
    Ok(Footer { rows: opened.rows, types })
}

/// Names of the top-level columns of `path`.
pub(super) fn names(path: &Path) -> Result<Vec<String>, TableError> {
    let nothing = Plan { columns: Vec::new() };
    let opened = load(path, &nothing, &Arc::default())?;
    Ok(opened.schema.fields().iter().map(|field| field.name().clone()).collect())
}

struct Opened {
    metadata: ArrowReaderMetadata,
    /// As the file has it, before text is read as bytes.
    schema: SchemaRef,
    places: Vec<usize>,
    rows: u64,
}

fn load(path: &Path, plan: &Plan, consumed: &Arc<AtomicU64>) -> Result<Opened, TableError> {
    let corrupt = |error: ParquetError| corrupt(path, None, &error);
    let file = File::open(path).map_err(|error| TableError::Unreadable { path: path.to_owned(), error })?;
    let file = CountedFile { file, consumed: consumed.clone() };
    let metadata =
        guarded(|| ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())).map_err(corrupt)?;
    let schema = metadata.schema().clone();
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let places = plan.locate(path, &names)?;

    let as_bytes: Vec<bool> = (0..names.len())
        .map(|index| places.contains(&index) && plain_type(schema.field(index).data_type()) == DataType::Utf8)
        .collect();
    let fields = schema.fields().iter().zip(&as_bytes).map(|(field, as_bytes)| {
        if *as_bytes { Arc::new(Field::clone(field).with_data_type(DataType::Binary)) } else { field.clone() }
    });
    let byte_schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone());
    let file_schema = metadata.parquet_schema().root_schema();
    let stripped = without_text_annotation(file_schema, &as_bytes).map_err(corrupt)?;
    let options = ArrowReaderOptions::new()
        .with_schema(Arc::new(byte_schema))
        .with_parquet_schema(Arc::new(SchemaDescriptor::new(stripped)));
    let metadata = guarded(|| ArrowReaderMetadata::load(&file, options)).map_err(corrupt)?;
    let rows = u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0);
    Ok(Opened { metadata, schema, places, rows })
}

/// The file's schema with the marked top-level fields as plain byte arrays.
fn without_text_annotation(root: &Type, as_bytes: &[bool]) -> parquet::errors::Result<TypePtr> {
    let mut fields = Vec::with_capacity(root.get_fields().len());
    for (field, as_bytes) in root.get_fields().iter().zip(as_bytes) {
        if *as_bytes && field.is_primitive() {
            let info = field.get_basic_info();
            let plain = Type::primitive_type_builder(field.name(), field.get_physical_type())
                .with_repetition(info.repetition())
                .with_id(info.has_id().then(|| info.id()))
                .build()?;
            fields.push(Arc::new(plain));
        } else {
            fields.push(field.clone());
        }
    }
    Type::group_type_builder(root.name()).with_fields(fields).build().map(Arc::new)
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
        let opened = load(path, plan, &consumed)?;
        Ok(Self {
            path: path.clone(),
            consumed,
            metadata: opened.metadata,
            places: opened.places,
            schema,
            rows: opened.rows,
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
        let skipped = rows.min(self.rows - self.row);
        if skipped > 0 {
            self.row += skipped;
            (self.reader, self.pending) = (None, None);
        }
        skipped
    }

    /// Up to `limit` more rows, as batches; none at the end.
    pub(super) fn read(&mut self, limit: u64) -> Result<Vec<RecordBatch>, TableError> {
        let limit = limit.min(self.rows - self.row);
        let mut batches = Vec::new();
        let mut taken = 0;
        let mut bytes = 0;
        while taken < limit {
            let batch = match self.pending.take() {
                Some(batch) => batch,
                None => self.next_batch()?,
            };
            let wanted = usize::try_from(limit - taken).unwrap_or(usize::MAX);
            let used = if batch.num_rows() > wanted {
                self.pending = Some(batch.slice(wanted, batch.num_rows() - wanted));
                batch.slice(0, wanted)
            } else {
                batch
            };
            bytes += used.columns().iter().map(sliced_bytes).sum::<usize>();
            if bytes > super::error::MAX_BLOCK_BYTES {
                let (first_row, path) = (self.row, self.path.to_path_buf());
                return Err(TableError::BlockTooLarge { path, first_row, rows: taken });
            }
            taken += used.num_rows() as u64;
            batches.push(used);
        }
        self.row += taken;
        Ok(batches)
    }

    fn next_batch(&mut self) -> Result<RecordBatch, TableError> {
        let at = self.row;
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => {
                let reader = self.reader_from(at)?;
                self.reader.insert(reader)
            }
        };
        match guarded(|| reader.next().transpose().map_err(ParquetError::from)).transpose() {
            Some(Ok(batch)) => self.in_plan_order(&batch),
            Some(Err(error)) => Err(corrupt(&self.path, Some(at), &error)),
            None => Err(corrupt(&self.path, Some(at), &"it has fewer rows than its footer says")),
        }
    }

    /// A reader that begins at row `first`, without touching row groups before it.
    fn reader_from(&self, first: u64) -> Result<ParquetRecordBatchReader, TableError> {
        let file = File::open(&self.path)
            .map_err(|error| TableError::Unreadable { path: self.path.to_path_buf(), error })?;
        let file = CountedFile { file, consumed: self.consumed.clone() };
        let mut before = 0;
        let mut groups = Vec::new();
        let mut offset = 0;
        for (index, group) in self.metadata.metadata().row_groups().iter().enumerate() {
            let rows = u64::try_from(group.num_rows()).unwrap_or(0);
            if before + rows > first {
                if groups.is_empty() {
                    offset = first.saturating_sub(before);
                }
                groups.push(index);
            }
            before += rows;
        }
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), self.places.iter().copied());
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_projection(mask)
            .with_row_groups(groups)
            .with_offset(usize::try_from(offset).unwrap_or(usize::MAX))
            .with_batch_size(READ_BATCH_ROWS);
        guarded(|| builder.build()).map_err(|error| corrupt(&self.path, Some(first), &error))
    }

    /// From file order and types to those of our blocks.
    fn in_plan_order(&mut self, batch: &RecordBatch) -> Result<RecordBatch, TableError> {
        let failed =
            |path: &Path, row: u64, error: &arrow::error::ArrowError| corrupt(path, Some(row), error);
        // A projection keeps file order and holds each column once.
        let mut read: Vec<usize> = self.places.clone();
        read.sort_unstable();
        read.dedup();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.places.len());
        for (place, field) in self.places.iter().zip(self.schema.fields()) {
            let index = read.partition_point(|other| other < place);
            let column = batch.column(index);
            let column = match (column.as_any().downcast_ref::<BinaryArray>(), field.data_type()) {
                (Some(bytes), DataType::Utf8) => Arc::new(text_of(bytes, &mut self.invalid_utf8)),
                (_, wanted) if column.data_type() == wanted => column.clone(),
                (_, wanted) => cast(column, wanted).map_err(|error| failed(&self.path, self.row, &error))?,
            };
            columns.push(column);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| failed(&self.path, self.row, &error))
    }
}

/// Runs the parquet crate on bytes that may be damaged: a panic becomes an error. What was being read is not used again.
fn guarded<T>(read: impl FnOnce() -> parquet::errors::Result<T>) -> parquet::errors::Result<T> {
    guard::guarded(read).unwrap_or_else(|panic| Err(ParquetError::General(panic)))
}

fn text_of(bytes: &BinaryArray, invalid: &mut u64) -> StringArray {
    if let Ok(text) = StringArray::try_from_binary(bytes.clone()) {
        return text;
    }
    let mut builder = StringBuilder::with_capacity(bytes.len(), bytes.value_data().len());
    for value in bytes {
        builder.append_option(value.map(|value| decode(value, invalid)));
    }
    builder.finish()
}

/// Bytes that the rows of a slice take, not those of the buffers behind it.
fn sliced_bytes(column: &ArrayRef) -> usize {
    column.to_data().get_slice_memory_size().unwrap_or(usize::MAX / 1_024)
}

fn corrupt(path: &Path, row: Option<u64>, error: &impl std::fmt::Display) -> TableError {
    TableError::CorruptParquet { path: path.to_owned(), row, reason: one_line(error) }
}

/// The first planned column whose types in two files have nothing in common.
pub(super) fn conflict<'a>(plan: &'a Plan, a: &[DataType], b: &[DataType]) -> Option<(usize, &'a str)> {
    let columns = plan.columns.iter().zip(a.iter().zip(b)).enumerate();
    columns
        .filter(|(_, (column, _))| !column.role.is_text())
        .find(|(_, (_, (a, b)))| common_type(a, b).is_none())
        .map(|(index, (column, _))| (index, column.source.as_str()))
}
