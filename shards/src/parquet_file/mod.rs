//! Parquet from outside: every reader of the workspace opens its files here. The parquet crate takes a file's own word
//! for how much memory to reserve and panics on some damage; [`ParquetFile`] compares each word with what the file can
//! hold before the crate hears of it, checks that counts given twice agree, and keeps [`guard`](crate::guard) around the
//! crate.
//!
//! ```text
//! input    bytes by place, of a file or in memory
//! footer   → is it Parquet, do its lengths and counts hold?      thrift  as much of the encoding as that takes
//! pages    → each page weighed before it is unpacked             delta   what delta-encoded texts come to
//! unpack   batches of views → the file's types, in bounded batches
//! ```

mod delta;
mod fault;
mod footer;
mod input;
mod pages;
mod thrift;
mod unpack;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, Field, Fields, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, RowSelection, RowSelector,
};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ProjectionMask, parquet_to_arrow_field_levels};
use parquet::basic::{ConvertedType, Type as PhysicalType};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

pub use fault::ParquetFault;
pub use input::ParquetInput;
pub use unpack::{MAX_BATCH_BYTES, MAX_ROW_BYTES, PlainBatches, unpacked_bytes};

use crate::guard::guarded;
use pages::{BoundedGroups, Budget};

/// List elements that a batch should have at most; rows are read fewer at a time where a row has many.
const LIST_ELEMENTS: u64 = 1 << 20;

/// What to read of a file.
#[derive(Debug, Clone, Default)]
pub struct ReadPlan {
    /// Top-level columns, by place; all of them when absent. They come in the file's order.
    pub columns: Option<Vec<usize>>,
    /// Row groups; all of them when absent.
    pub row_groups: Option<Range<usize>>,
    /// First row, counted from the first of the row groups.
    pub first_row: u64,
    /// Rows of a batch at most; 0 counts as 1.
    pub batch_rows: usize,
    /// Whether top-level text comes as bytes ([`DataType::BinaryView`]), of which nobody has checked that they are UTF-8.
    pub text_as_bytes: bool,
}

/// An open Parquet file whose footer was checked. Cheap to read several times with different columns.
#[derive(Debug, Clone)]
pub struct ParquetFile {
    input: Arc<ParquetInput>,
    metadata: ArrowReaderMetadata,
    num_rows: u64,
}

impl ParquetFile {
    /// Reads and checks the footer.
    ///
    /// # Errors
    /// When it is no Parquet, damaged or encrypted, or contradicts itself.
    pub fn open(input: ParquetInput) -> Result<Self, ParquetFault> {
        wall(|| {
            let footer = footer::read(&input)?;
            let metadata = ParquetMetaDataReader::decode_metadata(&footer)
                .map_err(|error| ParquetFault::damaged(&error))?;
            let num_rows = footer::count_rows(&metadata)?;
            check_arrow_schema(&metadata)?;
            let metadata = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())
                .map_err(|error| ParquetFault::damaged(&error))?;
            Ok(Self { input: Arc::new(input), metadata, num_rows })
        })
    }

    /// All columns, in the types the file says they have.
    pub fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// The footer.
    pub fn metadata(&self) -> &ParquetMetaData {
        self.metadata.metadata()
    }

    /// Rows of all row groups, which the footer's own number was compared with.
    pub fn num_rows(&self) -> u64 {
        self.num_rows
    }

    /// The rows as batches, texts and bytes as views of the pages they lie in.
    ///
    /// # Errors
    /// When the columns cannot be read; damage inside shows as the iterator goes.
    pub fn views(&self, plan: &ReadPlan) -> Result<Batches, ParquetFault> {
        wall(|| self.open_views(plan))
    }

    /// The rows as batches in the types of [`ParquetFile::schema`], each of at most [`MAX_BATCH_BYTES`] unless a single
    /// row has more.
    ///
    /// # Errors
    /// As [`ParquetFile::views`].
    pub fn batches(&self, plan: &ReadPlan) -> Result<PlainBatches, ParquetFault> {
        let schema = match &plan.columns {
            Some(columns) => {
                let mut columns = columns.clone();
                columns.sort_unstable();
                columns.dedup();
                self.schema().project(&columns).map_err(|error| ParquetFault::damaged(&error))?
            }
            None => self.schema().as_ref().clone(),
        };
        Ok(PlainBatches::new(self.views(plan)?, Arc::new(schema)))
    }

    fn open_views(&self, plan: &ReadPlan) -> Result<Batches, ParquetFault> {
        let file_schema = self.metadata().file_metadata().schema_descr();
        let chosen = |place: usize| plan.columns.as_ref().is_none_or(|columns| columns.contains(&place));
        let mask = match &plan.columns {
            Some(columns) => ProjectionMask::roots(file_schema, columns.iter().copied()),
            None => ProjectionMask::all(),
        };
        let hints = self.schema().fields().iter().map(|field| {
            let view = unpack::view_field(field);
            let castable = match field.data_type() {
                DataType::Dictionary(_, values) => can_cast_types(view.data_type(), values),
                wanted => can_cast_types(view.data_type(), wanted),
            };
            if castable { view } else { Field::clone(field) }
        });
        let mut hints: Vec<Field> = hints.collect();
        let stripped;
        let mut read_schema = file_schema;
        if plan.text_as_bytes {
            stripped = SchemaDescriptor::new(without_text(file_schema.root_schema(), &mut hints)?);
            read_schema = &stripped;
        }
        let levels = parquet_to_arrow_field_levels(read_schema, mask, Some(&Fields::from(hints)))
            .map_err(|error| ParquetFault::damaged(&error))?;

        let all = 0..self.metadata().num_row_groups();
        let wanted = plan.row_groups.clone().unwrap_or(all.clone());
        let (mut before, mut offset) = (plan.first_row, 0);
        let (mut groups, mut rows) = (Vec::new(), 0_u64);
        for group in wanted.filter(|group| all.contains(group)) {
            let in_group = u64::try_from(self.metadata().row_group(group).num_rows()).unwrap_or(0);
            if before >= in_group && groups.is_empty() {
                before -= in_group;
                continue;
            }
            if groups.is_empty() {
                offset = before;
            }
            rows += in_group;
            groups.push(group);
        }
        let repeated = (0..file_schema.num_columns())
            .filter(|leaf| chosen(file_schema.get_column_root_idx(*leaf)))
            .filter(|leaf| file_schema.column(*leaf).max_rep_level() > 0);
        let repeated: Vec<usize> = repeated.collect();
        let batch_rows = self.batch_rows(plan.batch_rows.max(1), &repeated, &groups);
        // Rows with lists are passed over by reading them, a batch at a time; others by their pages.
        let (selection, pass_over) = if offset == 0 || !repeated.is_empty() {
            (None, offset)
        } else {
            let number = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
            let select = vec![RowSelector::skip(number(offset)), RowSelector::select(number(rows - offset))];
            (Some(RowSelection::from(select)), 0)
        };
        let budget = Arc::new(Budget::default());
        let metadata = self.metadata.metadata().clone();
        let groups = BoundedGroups { input: self.input.clone(), budget: budget.clone(), metadata, groups };
        let reader =
            ParquetRecordBatchReader::try_new_with_row_groups(&levels, &groups, batch_rows, selection)
                .map_err(|error| budget.take_fault().unwrap_or_else(|| ParquetFault::damaged(&error)))?;
        Ok(Batches { reader: Some(reader), budget, left: rows - offset, pass_over })
    }

    /// Fewer rows at a time where rows have long lists.
    fn batch_rows(&self, wanted: usize, repeated: &[usize], groups: &[usize]) -> usize {
        let mut rows = wanted as u64;
        for group in groups.iter().map(|group| self.metadata().row_group(*group)) {
            let in_group = u64::try_from(group.num_rows()).unwrap_or(0).max(1);
            for leaf in repeated {
                let elements = u64::try_from(group.column(*leaf).num_values()).unwrap_or(0) / in_group;
                rows = rows.min(LIST_ELEMENTS / elements.max(1));
            }
        }
        usize::try_from(rows.max(1)).unwrap_or(1)
    }
}

/// Iterator over batches of views. Ends after the first error.
pub struct Batches {
    reader: Option<ParquetRecordBatchReader>,
    budget: Arc<Budget>,
    /// Rows that are still to come.
    left: u64,
    /// Rows to be read and dropped before.
    pass_over: u64,
}

impl Batches {
    /// Reads nothing any more.
    pub(crate) fn stop(&mut self) {
        self.reader = None;
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ParquetFault> {
        loop {
            let Some(reader) = &mut self.reader else { return Ok(None) };
            self.budget.begin_batch();
            let batch = wall(|| {
                let failed = |error: ArrowError| {
                    self.budget.take_fault().unwrap_or_else(|| ParquetFault::damaged(&error))
                };
                reader.next().transpose().map_err(failed)
            })?;
            let Some(mut batch) = batch else {
                if self.left > 0 {
                    let reason = format!("{} rows fewer in the pages than in the footer", self.left);
                    return Err(ParquetFault::Contradiction(reason));
                }
                return Ok(None);
            };
            let passed = self.pass_over.min(batch.num_rows() as u64);
            if passed > 0 {
                self.pass_over -= passed;
                batch = batch.slice(passed as usize, batch.num_rows() - passed as usize);
                if batch.num_rows() == 0 {
                    continue;
                }
            }
            let Some(left) = self.left.checked_sub(batch.num_rows() as u64) else {
                return Err(ParquetFault::Contradiction(
                    "more rows in the pages than in the footer".to_owned(),
                ));
            };
            self.left = left;
            return Ok(Some(batch));
        }
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ParquetFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch();
        if !matches!(next, Ok(Some(_))) {
            self.stop();
        }
        next.transpose()
    }
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches").field("left", &self.left).finish_non_exhaustive()
    }
}

/// The wall, for steps of this module.
fn wall<T>(step: impl FnOnce() -> Result<T, ParquetFault>) -> Result<T, ParquetFault> {
    guarded(step).unwrap_or_else(|panic| Err(ParquetFault::Panic(panic)))
}

/// The file's schema with top-level texts as plain bytes, and the hints to match.
fn without_text(root: &Type, hints: &mut [Field]) -> Result<TypePtr, ParquetFault> {
    let mut fields = Vec::with_capacity(root.get_fields().len());
    for (field, hint) in root.get_fields().iter().zip(hints) {
        let info = field.get_basic_info();
        let is_text = matches!(hint.data_type(), DataType::Utf8View)
            && field.is_primitive()
            && field.get_physical_type() == PhysicalType::BYTE_ARRAY;
        if is_text {
            let plain = Type::primitive_type_builder(field.name(), field.get_physical_type())
                .with_repetition(info.repetition())
                .with_converted_type(ConvertedType::NONE)
                .with_id(info.has_id().then(|| info.id()))
                .build()
                .map_err(|error| ParquetFault::damaged(&error))?;
            *hint = hint.clone().with_data_type(DataType::BinaryView);
            fields.push(Arc::new(plain));
        } else {
            fields.push(field.clone());
        }
    }
    let root = Type::group_type_builder(root.name()).with_fields(fields).build();
    root.map(Arc::new).map_err(|error| ParquetFault::damaged(&error))
}

/// The Arrow schema that writers embed. Inside it, parts may be shared, so that a small one unpacks to gigabytes; what it
/// comes to is bounded before arrow unpacks it.
fn check_arrow_schema(metadata: &ParquetMetaData) -> Result<(), ParquetFault> {
    use base64::Engine as _;
    const MAX_TABLES: usize = 100_000;
    const MAX_APPARENT_BYTES: usize = 32 << 20;
    let entries = metadata.file_metadata().key_value_metadata();
    let entry = entries.and_then(|entries| entries.iter().find(|entry| entry.key == ARROW_SCHEMA_META_KEY));
    let Some(text) = entry.and_then(|entry| entry.value.as_deref()) else { return Ok(()) };
    // What is not base64, arrow will say.
    let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(text) else { return Ok(()) };
    // An IPC message has a marker and a length before it.
    let message = match bytes.as_slice() {
        [0xff, 0xff, 0xff, 0xff, _, _, _, _, message @ ..] => message,
        whole => whole,
    };
    let options = flatbuffers::VerifierOptions {
        max_tables: MAX_TABLES,
        max_apparent_size: MAX_APPARENT_BYTES,
        ..flatbuffers::VerifierOptions::default()
    };
    match arrow_ipc::root_as_message_with_opts(&options, message) {
        Err(
            flatbuffers::InvalidFlatbuffer::TooManyTables
            | flatbuffers::InvalidFlatbuffer::ApparentSizeTooLarge,
        ) => Err(ParquetFault::TooLarge("the embedded Arrow schema unpacks to more than is read".to_owned())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
