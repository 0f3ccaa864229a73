//! Captions of a Parquet file: one column is decoded, as views of the decoded pages, so no caption is copied. A
//! sidecar counts only rows that succeeded, so that it says what the tar says.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch, StringViewArray};
use arrow::compute::{cast, filter};
use arrow::datatypes::DataType;
use pairmill_shards::atomic::{FileAction, FileError};
use pairmill_shards::guard::guarded;
use pairmill_shards::parquet_file::{Batches, ParquetFault, ParquetFile, ParquetInput, ReadPlan};
use pairmill_shards::table::{check_version, column, is_sidecar};

use super::{BATCH_ROWS, Batch, CaptionColumn};
use crate::captions::error::CaptionsError;

const SUCCESS: &str = "success";

fn table_error(path: &Path, problem: impl ToString) -> CaptionsError {
    CaptionsError::Table { path: path.to_owned(), problem: problem.to_string() }
}

fn of_fault(path: &Path, fault: ParquetFault) -> CaptionsError {
    match fault {
        ParquetFault::Read(error) => FileError::new(path, FileAction::Read, error).into(),
        ParquetFault::Damaged(reason) => table_error(path, format!("not a readable Parquet file: {reason}")),
        fault => table_error(path, fault),
    }
}

fn load(path: &Path) -> Result<ParquetFile, CaptionsError> {
    let input = ParquetInput::open(path).map_err(|e| FileError::new(path, FileAction::Read, e))?;
    let file = ParquetFile::open(input).map_err(|fault| of_fault(path, fault))?;
    check_version(path, file.metadata().file_metadata().key_value_metadata())?;
    Ok(file)
}

/// The column of captions and the number of row groups.
pub(super) fn inspect(path: &Path, wanted: Option<&str>) -> Result<(CaptionColumn, usize), CaptionsError> {
    let file = load(path)?;
    let schema = file.schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let found = CaptionColumn::find(path, &names, wanted)?;
    let held = schema.field(found.index).data_type();
    let is_text = match held {
        DataType::Dictionary(_, values) => is_text(values),
        other => is_text(other),
    };
    if !is_text {
        let found_type = held.to_string();
        return Err(CaptionsError::ColumnType {
            path: path.to_owned(),
            column: found.name,
            found: found_type,
        });
    }
    Ok((found, file.metadata().num_row_groups()))
}

/// A column of nothing but nulls is written as Null by some tools.
fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
}

/// Reads one column.
pub struct ParquetReader {
    path: PathBuf,
    batches: Batches,
    name: String,
    has_status: bool,
}

impl ParquetReader {
    /// Opens row groups of a file, or all.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(
        path: &Path,
        caption: &CaptionColumn,
        row_groups: Option<Range<usize>>,
    ) -> Result<Self, CaptionsError> {
        let file = load(path)?;
        let schema = file.schema();
        let has_status = is_sidecar(&file) && caption.name != column::STATUS;
        let mut columns = vec![caption.index];
        columns.extend(schema.index_of(column::STATUS).ok().filter(|_| has_status));
        let plan =
            ReadPlan { columns: Some(columns), row_groups, batch_rows: BATCH_ROWS, ..ReadPlan::default() };
        let batches = file.views(&plan).map_err(|fault| of_fault(path, fault))?;
        Ok(Self { path: path.to_owned(), batches, name: caption.name.clone(), has_status })
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<Batch>, CaptionsError> {
        let Some(batch) = self.batches.next() else { return Ok(None) };
        let batch = batch.map_err(|fault| of_fault(&self.path, fault))?;
        guarded(|| self.captions(&batch))
            .map_err(|panic| of_fault(&self.path, ParquetFault::Panic(panic)))?
            .map(Some)
    }

    fn captions(&self, batch: &RecordBatch) -> Result<Batch, CaptionsError> {
        let path = &self.path;
        let column =
            batch.column_by_name(&self.name).ok_or_else(|| table_error(path, "the column is gone"))?;
        let succeeded =
            self.has_status.then(|| succeeded(batch)).transpose().map_err(|e| table_error(path, e))?;
        let (column, num_failed) = match &succeeded {
            Some(mask) if mask.true_count() < mask.len() => {
                let kept = filter(column, mask).map_err(|e| table_error(path, e))?;
                (kept, (mask.len() - mask.true_count()) as u64)
            }
            _ => (Arc::clone(column), 0),
        };
        let column = match column.data_type() {
            DataType::Utf8View => column,
            _ => cast(&column, &DataType::Utf8View).map_err(|e| table_error(path, e))?,
        };
        let captions = column.as_any().downcast_ref::<StringViewArray>().cloned();
        let captions = captions.ok_or_else(|| table_error(path, "the column is not text"))?;
        Ok(Batch { captions, num_failed, num_not_utf8: 0 })
    }
}

fn succeeded(batch: &RecordBatch) -> Result<BooleanArray, arrow::error::ArrowError> {
    let Some(status) = batch.column_by_name(column::STATUS) else {
        return Ok(BooleanArray::from(vec![true; batch.num_rows()]));
    };
    let status = cast(status, &DataType::Utf8View)?;
    let status = status.as_any().downcast_ref::<StringViewArray>();
    Ok(status.into_iter().flatten().map(|s| Some(s == Some(SUCCESS))).collect())
}
