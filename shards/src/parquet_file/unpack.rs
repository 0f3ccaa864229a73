//! Batches of views to batches of the types a file says it has. A view costs 16 bytes however long its text is, and a
//! dictionary's one value of a megabyte may stand in every row, so what a batch unpacks to is added up first, and the
//! batch cut where it is too much.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, SchemaRef};
use arrow::error::ArrowError;
use std::sync::Arc;

use super::Batches;
use super::fault::ParquetFault;

/// Bytes that a batch unpacks to at most, unless a single row has more.
pub const MAX_BATCH_BYTES: u64 = 64 << 20;
/// Bytes that a single row unpacks to at most.
pub const MAX_ROW_BYTES: u64 = 512 << 20;

/// The type that `found` is read as: texts and bytes as views, dictionaries as their values.
pub(super) fn view_type(found: &DataType) -> DataType {
    let field = |field: &FieldRef| Arc::new(view_field(field));
    match found {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::Dictionary(_, values) => match view_type(values) {
            view @ (DataType::Utf8View | DataType::BinaryView) => view,
            // Of values of fixed width a dictionary takes no more than the values do.
            _ => found.clone(),
        },
        DataType::List(inner) => DataType::List(field(inner)),
        DataType::LargeList(inner) => DataType::LargeList(field(inner)),
        DataType::FixedSizeList(inner, size) => DataType::FixedSizeList(field(inner), *size),
        DataType::Map(inner, sorted) => DataType::Map(field(inner), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect::<Fields>()),
        other => other.clone(),
    }
}

pub(super) fn view_field(field: &Field) -> Field {
    field.clone().with_data_type(view_type(field.data_type()))
}

/// Bytes that an array takes when every row has its own.
pub fn unpacked_bytes(array: &dyn Array) -> u64 {
    // The low half of a view is the length of its text.
    let of_views = |views: &[u128]| views.iter().map(|view| u64::from(*view as u32)).sum::<u64>();
    let rows = array.len() as u64;
    match array.data_type() {
        DataType::Utf8View => of_views(array.as_string_view().views()) + 4 * rows,
        DataType::BinaryView => of_views(array.as_binary_view().views()) + 4 * rows,
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let ends = list.value_offsets();
            let (first, last) = (ends.first().copied().unwrap_or(0), ends.last().copied().unwrap_or(0));
            unpacked_bytes(&list.values().slice(first as usize, (last - first) as usize)) + 4 * rows
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let ends = list.value_offsets();
            let (first, last) = (ends.first().copied().unwrap_or(0), ends.last().copied().unwrap_or(0));
            unpacked_bytes(&list.values().slice(first as usize, (last - first) as usize)) + 8 * rows
        }
        DataType::FixedSizeList(..) => unpacked_bytes(array.as_fixed_size_list().values()),
        DataType::Map(..) => {
            let map = array.as_map();
            let ends = map.value_offsets();
            let (first, last) = (ends.first().copied().unwrap_or(0), ends.last().copied().unwrap_or(0));
            unpacked_bytes(&map.entries().slice(first as usize, (last - first) as usize)) + 4 * rows
        }
        DataType::Struct(_) => array.as_struct().columns().iter().map(|column| unpacked_bytes(column)).sum(),
        _ => array.to_data().get_slice_memory_size().map_or(u64::MAX >> 8, |bytes| bytes as u64),
    }
}

/// `array` as `wanted`.
pub(super) fn to_type(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    match wanted {
        _ if array.data_type() == wanted => Ok(array.clone()),
        DataType::Dictionary(_, values) => cast(&cast(array, values)?, wanted),
        _ => cast(array, wanted),
    }
}

/// Batches in the types that the file says its columns have. Ends after the first error.
#[derive(Debug)]
pub struct PlainBatches {
    inner: Batches,
    schema: SchemaRef,
    /// A batch of views of which rows are left, from the given one on.
    held: Option<(RecordBatch, usize)>,
}

impl PlainBatches {
    pub(super) fn new(inner: Batches, schema: SchemaRef) -> Self {
        Self { inner, schema, held: None }
    }

    fn next_plain(&mut self) -> Result<Option<RecordBatch>, ParquetFault> {
        let (batch, from) = match self.held.take() {
            Some(held) => held,
            None => match self.inner.next().transpose()? {
                Some(batch) => (batch, 0),
                None => return Ok(None),
            },
        };
        let mut part = batch.slice(from, batch.num_rows() - from);
        loop {
            let bytes: u64 = part.columns().iter().map(|column| unpacked_bytes(column)).sum();
            if bytes <= MAX_BATCH_BYTES {
                break;
            }
            if part.num_rows() <= 1 {
                if bytes <= MAX_ROW_BYTES {
                    break;
                }
                self.inner.stop();
                let limit = MAX_ROW_BYTES >> 20;
                return Err(ParquetFault::TooLarge(format!(
                    "a row of {bytes} bytes, more than the {limit} MiB that are read"
                )));
            }
            part = part.slice(0, part.num_rows() / 2);
        }
        let end = from + part.num_rows();
        if end < batch.num_rows() {
            self.held = Some((batch, end));
        }
        let columns = part.columns().iter().zip(self.schema.fields());
        let columns: Result<Vec<_>, _> =
            columns.map(|(column, field)| to_type(column, field.data_type())).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(part.num_rows()));
        let plain = columns
            .and_then(|columns| RecordBatch::try_new_with_options(self.schema.clone(), columns, &options));
        plain.map(Some).map_err(|error| {
            self.inner.stop();
            ParquetFault::damaged(&error)
        })
    }
}

impl Iterator for PlainBatches {
    type Item = Result<RecordBatch, ParquetFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = super::wall(|| self.next_plain());
        if next.is_err() {
            self.held = None;
            self.inner.stop();
        }
        next.transpose()
    }
}
