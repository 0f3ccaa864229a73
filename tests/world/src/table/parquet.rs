//! The Parquet tables: LAION's eight columns, and a plain `url`, `caption` pair.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Builder, Int32Builder, Int64Builder, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::Row;
use super::sink::Sink;
use crate::error::{Error, Result};
use crate::rng::mix;

/// Rows held in memory at once, and rows in a row group.
const ROWS_PER_BATCH: usize = 8 * 1024;
const ROWS_PER_GROUP: usize = 64 * 1024;

/// LAION-400M's columns (sources.md §2). HEIGHT and WIDTH are null in 1 % of rows, NSFW in 1 %.
pub(super) fn write_laion(rows: impl Iterator<Item = Row>, sink: Sink, path: &Path) -> Result<Sink> {
    let field = |name, data_type| Field::new(name, data_type, true);
    let schema = Schema::new(vec![
        field("SAMPLE_ID", DataType::Int64),
        field("URL", DataType::Utf8),
        field("TEXT", DataType::Utf8),
        field("HEIGHT", DataType::Int32),
        field("WIDTH", DataType::Int32),
        field("LICENSE", DataType::Utf8),
        field("NSFW", DataType::Utf8),
        field("similarity", DataType::Float64),
    ]);
    write(rows, schema, sink, path, |rows| {
        let mut ids = Int64Builder::with_capacity(rows.len());
        let [mut urls, mut texts, mut licences, mut nsfw] = std::array::from_fn(|_| StringBuilder::new());
        let [mut heights, mut widths] = std::array::from_fn(|_| Int32Builder::with_capacity(rows.len()));
        let mut similarities = Float64Builder::with_capacity(rows.len());
        for row in rows {
            let chance = mix(row.index ^ 0x6c61_696f);
            ids.append_value((chance >> 1) as i64);
            urls.append_value(&row.url);
            texts.append_value(&row.caption.text);
            let known = !chance.is_multiple_of(100);
            heights.append_option(known.then_some(row.height as i32));
            widths.append_option(known.then_some(row.width as i32));
            licences.append_value(if (chance >> 8).is_multiple_of(20) { "cc-by-2.0" } else { "?" });
            // Labels only: every picture of the world is harmless.
            nsfw.append_option(match (chance >> 16) % 100 {
                0 => None,
                1 => Some("NSFW"),
                2..=6 => Some("UNSURE"),
                _ => Some("UNLIKELY"),
            });
            similarities.append_value(0.3 + ((chance >> 24) % 2000) as f64 / 10_000.0);
        }
        vec![
            Arc::new(ids.finish()),
            Arc::new(urls.finish()),
            Arc::new(texts.finish()),
            Arc::new(heights.finish()),
            Arc::new(widths.finish()),
            Arc::new(licences.finish()),
            Arc::new(nsfw.finish()),
            Arc::new(similarities.finish()),
        ]
    })
}

/// `url`, `caption`; a blank caption is null.
pub(super) fn write_plain(rows: impl Iterator<Item = Row>, sink: Sink, path: &Path) -> Result<Sink> {
    let schema = Schema::new(vec![
        Field::new("url", DataType::Utf8, true),
        Field::new("caption", DataType::Utf8, true),
    ]);
    write(rows, schema, sink, path, |rows| {
        let [mut urls, mut captions] = std::array::from_fn(|_| StringBuilder::new());
        for row in rows {
            urls.append_value(&row.url);
            captions.append_option((!row.caption.text.is_empty()).then_some(&row.caption.text));
        }
        vec![Arc::new(urls.finish()), Arc::new(captions.finish())]
    })
}

fn write(
    mut rows: impl Iterator<Item = Row>,
    schema: Schema,
    sink: Sink,
    path: &Path,
    columns: impl Fn(&[Row]) -> Vec<ArrayRef>,
) -> Result<Sink> {
    let failed = |source| Error::Parquet { path: path.to_owned(), source };
    let schema = Arc::new(schema);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        .build();
    let mut writer = ArrowWriter::try_new(sink, Arc::clone(&schema), Some(properties)).map_err(failed)?;
    let mut batch = Vec::with_capacity(ROWS_PER_BATCH);
    loop {
        batch.clear();
        batch.extend(rows.by_ref().take(ROWS_PER_BATCH));
        if batch.is_empty() {
            return writer.into_inner().map_err(failed);
        }
        let record_batch = RecordBatch::try_new(Arc::clone(&schema), columns(&batch))
            .map_err(|source| Error::Arrow { path: path.to_owned(), source })?;
        writer.write(&record_batch).map_err(failed)?;
    }
}
