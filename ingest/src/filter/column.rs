//! Cells that rules look at, whatever type the table gives them.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;

use super::config::FilterConfig;
use super::error::FilterError;
use crate::table::to_text;

/// A column that only rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Text.
    Nsfw,
    /// Cosine.
    Similarity,
    /// Probability.
    Punsafe,
    /// Probability.
    Pwatermark,
    /// Pixels.
    Width,
    /// Pixels.
    Height,
    /// Code.
    Language,
    /// Media type.
    MimeType,
    /// Word.
    Status,
}

impl Column {
    /// Its name in blocks, which no column of a table is likely to have.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nsfw => "filter:nsfw",
            Self::Similarity => "filter:similarity",
            Self::Punsafe => "filter:punsafe",
            Self::Pwatermark => "filter:pwatermark",
            Self::Width => "filter:width",
            Self::Height => "filter:height",
            Self::Language => "filter:language",
            Self::MimeType => "filter:mime_type",
            Self::Status => "filter:status",
        }
    }

    /// The setting that names it.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Nsfw => "[filter.columns] nsfw",
            Self::Similarity => "[filter.columns] similarity",
            Self::Punsafe => "[filter.columns] punsafe",
            Self::Pwatermark => "[filter.columns] pwatermark",
            Self::Width => "[filter.columns] width",
            Self::Height => "[filter.columns] height",
            Self::Language => "[filter.columns] language",
            Self::MimeType => "[filter.columns] mime_type",
            Self::Status => "[filter.columns] status",
        }
    }

    /// What the config calls it in the table.
    pub fn source(self, config: &FilterConfig) -> &str {
        let columns = &config.columns;
        match self {
            Self::Nsfw => &columns.nsfw,
            Self::Similarity => &columns.similarity,
            Self::Punsafe => &columns.punsafe,
            Self::Pwatermark => &columns.pwatermark,
            Self::Width => &columns.width,
            Self::Height => &columns.height,
            Self::Language => &columns.language,
            Self::MimeType => &columns.mime_type,
            Self::Status => &columns.status,
        }
    }
}

/// The column `name` of `batch` as text; `None` when the batch has none.
pub(super) fn text<'a>(
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<Option<Cow<'a, StringArray>>, FilterError> {
    let Some(array) = batch.column_by_name(name) else { return Ok(None) };
    if let Some(text) = array.as_string_opt::<i32>() {
        return Ok(Some(Cow::Borrowed(text)));
    }
    let array = to_text(array).map_err(|error| unusable(name, &error))?;
    Ok(array.as_string_opt::<i32>().cloned().map(Cow::Owned))
}

/// The column `name` of `batch` as numbers; text that is no number is null.
pub(super) fn numbers(batch: &RecordBatch, name: &'static str) -> Result<Option<Float64Array>, FilterError> {
    let Some(array) = batch.column_by_name(name) else { return Ok(None) };
    let array = converted(array, name, &DataType::Float64)?;
    Ok(array.as_primitive_opt::<Float64Type>().cloned())
}

fn converted(array: &ArrayRef, column: &'static str, to: &DataType) -> Result<ArrayRef, FilterError> {
    cast(array, to).map_err(|error| unusable(column, &error))
}

fn unusable(column: &'static str, error: &ArrowError) -> FilterError {
    FilterError::Column { column, reason: error.to_string().replace('\n', " ") }
}

/// A cell; `None` for null.
pub(super) fn cell(array: &StringArray, row: u32) -> Option<&str> {
    let row = row as usize;
    array.is_valid(row).then(|| array.value(row))
}

/// A cell; `None` for null and NaN.
pub(super) fn number(array: &Float64Array, row: u32) -> Option<f64> {
    let row = row as usize;
    array.is_valid(row).then(|| array.value(row)).filter(|value| !value.is_nan())
}
