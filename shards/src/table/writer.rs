//! Writes sidecars and Parquet image shards. The bytes depend on the rows and their order alone: not on the clock,
//! not on the version of a library, not on how the rows were cut into batches.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Int32Array, RecordBatch, StringArray, StructArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::schema::image_struct_fields;
use super::{RowOutcome, SidecarSchema, TableError, column, final_url, message};
use crate::FORMAT_VERSION;

/// Rows of a row group in a sidecar. img2dataset writes 100. Measured on 10,000 rows of LAION captions and URLs
/// (release build, one shared 2-core EPYC, best of 7): 100 rows a group 2.46 MB, 27 ms to write, 1.3 ms to read two
/// columns; 1,000 rows 2.06 MB, 16 ms, 0.45 ms. Readers see no difference.
pub const SIDECAR_ROW_GROUP_ROWS: usize = 1_000;

/// Rows of a row group in a Parquet image shard, as in img2dataset: a group is held in memory when written and
/// usually when read, and 100 images of 100 kB are 10 MB.
pub const IMAGE_ROW_GROUP_ROWS: usize = 100;

/// Writes one shard's table to `W`. Call [`SidecarWriter::write`] in input order, then [`SidecarWriter::finish`];
/// without it the file has no footer and is worthless.
pub struct SidecarWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: SidecarSchema,
    /// Rows not yet in a row group, fewer than one group after each call.
    pending: Vec<RecordBatch>,
    num_pending: usize,
    group_rows: usize,
}

impl<W: Write + Send> std::fmt::Debug for SidecarWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SidecarWriter")
            .field("schema", &self.schema)
            .field("num_pending", &self.num_pending)
            .finish()
    }
}

impl<W: Write + Send> SidecarWriter<W> {
    /// A table with the columns of `schema`, to `out`.
    ///
    /// # Errors
    /// When a reader's column is of a type Parquet cannot hold (a union, say).
    pub fn new(out: W, schema: &SidecarSchema) -> Result<Self, TableError> {
        let has_images = schema.options().image.is_some();
        let group_rows = if has_images { IMAGE_ROW_GROUP_ROWS } else { SIDECAR_ROW_GROUP_ROWS };
        let images = schema.options().image.as_ref().map(|ext| {
            if schema.options().image_as_struct {
                ColumnPath::new(vec![column::IMAGE.to_owned(), "bytes".to_owned()])
            } else {
                ColumnPath::new(vec![ext.clone()])
            }
        });
        let properties = shard_properties(schema.arrow_schema(), images, group_rows, Some(FORMAT_VERSION));
        let writer = ArrowWriter::try_new(out, Arc::clone(schema.arrow_schema()), Some(properties))?;
        Ok(Self { writer, schema: schema.clone(), pending: Vec::new(), num_pending: 0, group_rows })
    }

    /// Adds `outcomes.len()` rows: `rows` holds the reader's columns, `images` the encoded images of an image shard
    /// (`None` for failures).
    ///
    /// # Errors
    /// When the lengths or columns differ from the schema's, or the output cannot be written.
    pub fn write(
        &mut self,
        rows: &RecordBatch,
        outcomes: &[RowOutcome],
        images: Option<&[Option<Vec<u8>>]>,
    ) -> Result<(), TableError> {
        let batch = self.assemble(rows, outcomes, images)?;
        self.num_pending += batch.num_rows();
        self.pending.push(batch);
        while self.num_pending >= self.group_rows {
            self.write_group(self.group_rows)?;
        }
        Ok(())
    }

    /// Writes what is left and the footer, and gives the output back.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn finish(mut self) -> Result<W, TableError> {
        if self.num_pending > 0 {
            self.write_group(self.num_pending)?;
        }
        Ok(self.writer.into_inner()?)
    }

    /// Writes the first `num_rows` pending rows as one row group.
    fn write_group(&mut self, num_rows: usize) -> Result<(), TableError> {
        let mut group = Vec::new();
        let mut missing = num_rows;
        let mut rest = Vec::new();
        for batch in self.pending.drain(..) {
            let take = missing.min(batch.num_rows());
            if take > 0 {
                group.push(batch.slice(0, take));
            }
            if take < batch.num_rows() {
                rest.push(batch.slice(take, batch.num_rows() - take));
            }
            missing -= take;
        }
        self.pending = rest;
        self.num_pending -= num_rows;
        // One contiguous batch, so that pages are cut alike however the rows came in.
        let batch = concat_batches(self.schema.arrow_schema(), &group)?;
        self.writer.write(&batch)?;
        self.writer.flush()?;
        Ok(())
    }

    fn assemble(
        &self,
        rows: &RecordBatch,
        outcomes: &[RowOutcome],
        images: Option<&[Option<Vec<u8>>]>,
    ) -> Result<RecordBatch, TableError> {
        let fields = self.schema.reader_fields();
        let shape = |what: String| Err(TableError::Shape(what));
        if rows.num_columns() != fields.len() {
            return shape(format!("{} columns, expected {}", rows.num_columns(), fields.len()));
        }
        if rows.num_rows() != outcomes.len() {
            return shape(format!("{} rows with {} outcomes", rows.num_rows(), outcomes.len()));
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.arrow_schema().fields().len());
        for (at, (array, field)) in rows.columns().iter().zip(fields).enumerate() {
            if array.data_type() != field.data_type() {
                let found = array.data_type();
                return shape(format!(
                    "column `{}` is {found}, expected {}",
                    field.name(),
                    field.data_type()
                ));
            }
            if self.schema.verify_hash_at() == Some(at) {
                columns.push(verified_hashes(array, outcomes)?);
            } else {
                columns.push(Arc::clone(array));
            }
        }
        columns.push(strings(outcomes, |o| Some(o.key.as_str())));
        columns.push(strings(outcomes, |o| Some(o.status().as_str())));
        let messages = outcomes.iter().map(|o| o.error_message().map(message::bounded));
        columns.push(Arc::new(messages.collect::<StringArray>()));
        columns.push(pixels(outcomes, |o| o.size().width));
        columns.push(pixels(outcomes, |o| o.size().height));
        columns.push(pixels(outcomes, |o| o.size().original_width));
        columns.push(pixels(outcomes, |o| o.size().original_height));
        let options = self.schema.options();
        if options.exif {
            columns.push(strings(outcomes, |o| o.exif.as_deref()));
        }
        if options.hash.is_some() && self.schema.verify_hash_at().is_none() {
            columns.push(strings(outcomes, |o| o.hash.as_deref()));
        }
        columns.push(strings(outcomes, |o| o.failure_class().map(crate::status::FailureClass::as_str)));
        columns.push(pixels(outcomes, |o| Some(o.attempts)));
        columns.push(strings(outcomes, |o| o.final_url.as_deref().map(final_url::bounded)));
        if options.retry {
            columns.push(strings(outcomes, |o| o.retry_of.as_deref()));
        }
        match (&options.image, images) {
            (None, None) => {}
            (Some(ext), Some(images)) => {
                if images.len() != outcomes.len() {
                    return shape(format!("{} images for {} rows", images.len(), outcomes.len()));
                }
                columns.push(image_column(ext, options.image_as_struct, outcomes, images)?);
            }
            (Some(_), None) => return shape("an image shard needs images".to_owned()),
            (None, Some(_)) => return shape("images for a table without an image column".to_owned()),
        }
        Ok(RecordBatch::try_new(Arc::clone(self.schema.arrow_schema()), columns)?)
    }
}

/// How every shard table is written, so that `convert` gives the same bytes as ingest. `images` is the column of
/// encoded images, `version` that of the format which the rows keep: none for rows of another tool, whose keys and
/// messages follow its own rules.
pub(crate) fn shard_properties(
    schema: &Schema,
    images: Option<ColumnPath>,
    group_rows: usize,
    version: Option<u32>,
) -> WriterProperties {
    let version = version.map(|version| KeyValue::new(super::VERSION_KEY.to_owned(), version.to_string()));
    let mut metadata: Vec<KeyValue> = version.into_iter().collect();
    metadata.extend(schema.metadata().iter().map(|(k, v)| KeyValue::new(k.clone(), v.clone())));
    metadata.sort_by(|a, b| a.key.cmp(&b.key));
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("pairmill version {FORMAT_VERSION}.0.0 (build shards)"))
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(group_rows))
        .set_key_value_metadata(Some(metadata));
    if let Some(path) = images {
        // Encoded images neither compress nor repeat, and their minimum and maximum help nobody.
        properties = properties
            .set_column_compression(path.clone(), Compression::UNCOMPRESSED)
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    properties.build()
}

fn image_column(
    ext: &str,
    as_struct: bool,
    outcomes: &[RowOutcome],
    images: &[Option<Vec<u8>>],
) -> Result<ArrayRef, TableError> {
    // 32-bit offsets carry 2 GiB in one batch; beyond that Arrow would panic.
    let num_bytes: u64 = images.iter().flatten().map(|i| i.len() as u64).sum();
    if i32::try_from(num_bytes).is_err() {
        return Err(TableError::Shape(format!(
            "{num_bytes} bytes of images in one call; write fewer rows at once"
        )));
    }
    let bytes: ArrayRef = Arc::new(images.iter().map(Option::as_deref).collect::<BinaryArray>());
    if !as_struct {
        return Ok(bytes);
    }
    let paths = outcomes.iter().zip(images).map(|(o, i)| i.as_ref().map(|_| format!("{}.{ext}", o.key)));
    let paths: ArrayRef = Arc::new(paths.collect::<StringArray>());
    let nulls = arrow::buffer::NullBuffer::from_iter(images.iter().map(Option::is_some));
    Ok(Arc::new(StructArray::try_new(image_struct_fields(), vec![bytes, paths], Some(nulls))?))
}

/// The computed hash where there is one; a failed row keeps the hash its input promised, so that `retry` can verify.
fn verified_hashes(promised: &ArrayRef, outcomes: &[RowOutcome]) -> Result<ArrayRef, TableError> {
    let promised = cast(promised, &DataType::Utf8)?;
    let promised = promised.as_string::<i32>();
    let hashes =
        outcomes.iter().zip(promised).map(|(outcome, promised)| outcome.hash.as_deref().or(promised));
    Ok(Arc::new(hashes.collect::<StringArray>()))
}

fn strings<'a>(outcomes: &'a [RowOutcome], get: impl Fn(&'a RowOutcome) -> Option<&'a str>) -> ArrayRef {
    Arc::new(outcomes.iter().map(get).collect::<StringArray>())
}

fn pixels(outcomes: &[RowOutcome], get: impl Fn(&RowOutcome) -> Option<u32>) -> ArrayRef {
    Arc::new(outcomes.iter().map(|o| get(o).and_then(|n| i32::try_from(n).ok())).collect::<Int32Array>())
}
