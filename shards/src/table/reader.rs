//! Reads sidecars and Parquet image shards: ours, and img2dataset's, which have no `failure_class`, `attempts`,
//! `final_url` or `retry_of`. The bytes are not trusted: whatever they hold ends in a row or a [`TableError`].

use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, SchemaRef};

use super::{MEMBERS_KEY, TableError, VERSION_KEY, classify_message, column, final_url};
use crate::atomic::{FileAction, FileError};
use crate::folder::{PAIRMILL_FOLDER, RUNS_FOLDER};
use crate::parquet_file::{ParquetFile, ParquetInput, PlainBatches, ReadPlan};
use crate::status::{FailureClass, Status};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1_000;

/// Which parts of a [`SidecarRow`] to read; columns not read are never touched on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowColumns {
    /// What the account needs: everything but `url`, `caption` and `final_url`.
    Account,
    /// Every field.
    All,
}

/// One row of a sidecar in the columns that every tool knows. Missing columns read as `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SidecarRow {
    /// The sample's key.
    pub key: String,
    /// img2dataset's status.
    pub status: Status,
    /// Message of a failure.
    pub error_message: Option<String>,
    /// Class of a failure; derived from the message where the table has none.
    pub failure_class: Option<FailureClass>,
    /// The URL.
    pub url: Option<String>,
    /// The caption, as text whatever its type.
    pub caption: Option<String>,
    /// Pixels after the resize.
    pub width: Option<i32>,
    /// Pixels after the resize.
    pub height: Option<i32>,
    /// Pixels as downloaded.
    pub original_width: Option<i32>,
    /// Pixels as downloaded.
    pub original_height: Option<i32>,
    /// Requests made.
    pub attempts: Option<i32>,
    /// Where redirects ended, when not at `url`.
    pub final_url: Option<String>,
    /// Key of the row this one supersedes.
    pub retry_of: Option<String>,
}

/// Whether a table is a sidecar, ours or img2dataset's, with or without images, or was made from a tar's members: only the
/// rows whose `status` is `success` are samples then. Tables of other tools may have a `key` and a `status` of their own,
/// and every row of theirs is a sample.
pub fn is_sidecar(file: &ParquetFile) -> bool {
    let has = |name| file.schema().field_with_name(name).is_ok();
    let is_of_a_run = has(column::ERROR_MESSAGE) || key_value(file, MEMBERS_KEY).is_some();
    has(column::KEY) && has(column::STATUS) && is_of_a_run
}

fn key_value<'a>(file: &'a ParquetFile, key: &str) -> Option<&'a str> {
    let entries = file.metadata().file_metadata().key_value_metadata()?;
    entries.iter().find(|e| e.key == key)?.value.as_deref()
}

/// An open table. Cheap to read several times with different columns: the footer is parsed once.
#[derive(Debug)]
pub struct SidecarReader {
    path: PathBuf,
    file: ParquetFile,
}

impl SidecarReader {
    /// Opens the table at `path`.
    ///
    /// # Errors
    /// When it cannot be opened, is no Parquet, is of a newer format version, or lacks the columns `key` and `status`.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        let input =
            ParquetInput::open(path).map_err(|source| FileError::new(path, FileAction::Read, source))?;
        Self::from_input(path, input)?.checked()
    }

    /// Opens a Parquet image shard of anyone's, which need not have a sidecar's columns.
    ///
    /// # Errors
    /// When it cannot be opened, is no Parquet, or is of a newer format version.
    pub fn open_any(path: &Path) -> Result<Self, TableError> {
        let input =
            ParquetInput::open(path).map_err(|source| FileError::new(path, FileAction::Read, source))?;
        Self::from_input(path, input)
    }

    /// A table held in memory; `path` is for messages.
    ///
    /// # Errors
    /// As [`SidecarReader::open`].
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, TableError> {
        Self::from_input(path, ParquetInput::memory(bytes))?.checked()
    }

    fn from_input(path: &Path, input: ParquetInput) -> Result<Self, TableError> {
        let file = ParquetFile::open(input)
            .map_err(|fault| TableError::of_fault(path, fault, is_among_ours(path)))?;
        super::check_version(path, file.metadata().file_metadata().key_value_metadata())?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn checked(self) -> Result<Self, TableError> {
        match [column::KEY, column::STATUS].into_iter().find(|name| !self.has_column(name)) {
            Some(column) => Err(TableError::MissingColumn { path: self.path, column }),
            None => Ok(self),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All columns.
    pub fn schema(&self) -> &SchemaRef {
        self.file.schema()
    }

    /// Whether there is a column `name`.
    pub fn has_column(&self, name: &str) -> bool {
        self.schema().field_with_name(name).is_ok()
    }

    /// Whether `final_url` holds whole addresses, with user names, passwords and queries.
    pub fn has_whole_final_urls(&self) -> bool {
        let field = self.schema().field_with_name(column::FINAL_URL);
        field.is_ok_and(|f| f.metadata().get(final_url::WHOLE_KEY).is_some_and(|v| v == final_url::WHOLE))
    }

    /// Rows of the table, on which footer and row groups agree.
    pub fn num_rows(&self) -> u64 {
        self.file.num_rows()
    }

    /// Rows of the largest row group, which is what one has to hold to read it.
    pub fn max_group_rows(&self) -> u64 {
        let groups = self.file.metadata().row_groups().iter();
        groups.map(|g| u64::try_from(g.num_rows()).unwrap_or(0)).max().unwrap_or(0)
    }

    /// Whether the table was made from a tar that had none ([`MEMBERS_KEY`]): it has no statistics and only the columns
    /// that its members gave.
    pub fn is_of_members(&self) -> bool {
        self.key_value(MEMBERS_KEY).is_some()
    }

    /// Whether the table is a sidecar; see [`is_sidecar`].
    pub fn is_sidecar(&self) -> bool {
        is_sidecar(&self.file)
    }

    /// Whether Pairmill wrote the table: it names its format version.
    fn is_ours(&self) -> bool {
        self.key_value(VERSION_KEY).is_some()
    }

    /// The version of the format that the rows keep; `None` in tables of other tools.
    pub fn format_version(&self) -> Option<u32> {
        self.key_value(VERSION_KEY)?.parse().ok()
    }

    /// Value of a key in the file's metadata, such as `pairmill.format_version`.
    pub fn key_value(&self, key: &str) -> Option<&str> {
        key_value(&self.file, key)
    }

    /// The rows as record batches with all columns, or only those named (in the file's order; unknown names are
    /// passed over).
    ///
    /// # Errors
    /// When the file cannot be read; damage inside shows as the iterator goes.
    pub fn batches(&self, columns: Option<&[&str]>) -> Result<Batches, TableError> {
        self.batches_of(columns, BATCH_ROWS)
    }

    /// As [`SidecarReader::batches`] with at most `batch_rows` rows each, for columns of large cells.
    ///
    /// # Errors
    /// As [`SidecarReader::batches`].
    pub fn batches_of(&self, columns: Option<&[&str]>, batch_rows: usize) -> Result<Batches, TableError> {
        let columns = columns.map(|names| {
            let fields = self.schema().fields().iter().enumerate();
            fields.filter(|(_, f)| names.contains(&f.name().as_str())).map(|(place, _)| place).collect()
        });
        let plan = ReadPlan { columns, batch_rows, ..ReadPlan::default() };
        let is_ours = self.is_ours();
        let failed = |fault| TableError::of_fault(&self.path, fault, is_ours);
        let inner = self.file.batches(&plan).map_err(failed)?;
        Ok(Batches { path: self.path.clone(), is_ours, inner: Some(inner) })
    }

    /// The rows, typed.
    ///
    /// # Errors
    /// When the file cannot be read; damage and rows that break the format show as the iterator goes.
    pub fn rows(&self, columns: RowColumns) -> Result<Rows, TableError> {
        let mut names = vec![
            column::KEY,
            column::STATUS,
            column::ERROR_MESSAGE,
            column::WIDTH,
            column::HEIGHT,
            column::ORIGINAL_WIDTH,
            column::ORIGINAL_HEIGHT,
            column::FAILURE_CLASS,
            column::ATTEMPTS,
            column::RETRY_OF,
        ];
        if columns == RowColumns::All {
            names.extend([column::URL, column::CAPTION, column::FINAL_URL]);
        }
        Ok(Rows { batches: self.batches(Some(&names))?, batch: None, next_row: 0, at: 0 })
    }
}

/// Whether a table whose footer cannot be read lies where runs of ingest wrote.
fn is_among_ours(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.join(PAIRMILL_FOLDER).join(RUNS_FOLDER).is_dir())
}

/// Iterator over a table's record batches. Ends after the first error.
#[derive(Debug)]
pub struct Batches {
    path: PathBuf,
    is_ours: bool,
    inner: Option<PlainBatches>,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let inner = self.inner.as_mut()?;
        let next = inner.next();
        if !matches!(next, Some(Ok(_))) {
            self.inner = None;
        }
        next.map(|batch| batch.map_err(|fault| TableError::of_fault(&self.path, fault, self.is_ours)))
    }
}

/// Iterator over a table's typed rows. Ends after the first damage; a row that breaks the format is an error of its
/// own and the next row follows.
#[derive(Debug)]
pub struct Rows {
    batches: Batches,
    batch: Option<RowBatch>,
    /// Row within the file.
    next_row: u64,
    /// Row within the batch.
    at: usize,
}

impl Iterator for Rows {
    type Item = Result<SidecarRow, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|b| self.at < b.num_rows) {
                let row = batch.row(&self.batches.path, self.at, self.next_row);
                self.at += 1;
                self.next_row += 1;
                return Some(row);
            }
            match self.batches.next()? {
                Ok(batch) => match RowBatch::new(&self.batches.path, &batch) {
                    Ok(batch) => (self.batch, self.at) = (Some(batch), 0),
                    Err(error) => {
                        self.batches.inner = None;
                        self.batch = None;
                        return Some(Err(error));
                    }
                },
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The known columns of a batch, as strings and 32-bit integers whatever their width in the file.
#[derive(Debug)]
struct RowBatch {
    num_rows: usize,
    key: Option<ArrayRef>,
    status: Option<ArrayRef>,
    error_message: Option<ArrayRef>,
    failure_class: Option<ArrayRef>,
    url: Option<ArrayRef>,
    caption: Option<ArrayRef>,
    width: Option<ArrayRef>,
    height: Option<ArrayRef>,
    original_width: Option<ArrayRef>,
    original_height: Option<ArrayRef>,
    attempts: Option<ArrayRef>,
    final_url: Option<ArrayRef>,
    retry_of: Option<ArrayRef>,
}

impl RowBatch {
    fn new(path: &Path, batch: &RecordBatch) -> Result<Self, TableError> {
        let text = |name| column_as(path, batch, name, &DataType::Utf8, "text");
        let number = |name| column_as(path, batch, name, &DataType::Int32, "an integer");
        // A nested caption (a list of several) has no text; its length is then unknown, which is no error.
        let caption = batch.column_by_name(column::CAPTION).and_then(|a| cast(a, &DataType::Utf8).ok());
        Ok(Self {
            num_rows: batch.num_rows(),
            key: text(column::KEY)?,
            status: text(column::STATUS)?,
            error_message: text(column::ERROR_MESSAGE)?,
            failure_class: text(column::FAILURE_CLASS)?,
            url: text(column::URL)?,
            caption,
            width: number(column::WIDTH)?,
            height: number(column::HEIGHT)?,
            original_width: number(column::ORIGINAL_WIDTH)?,
            original_height: number(column::ORIGINAL_HEIGHT)?,
            attempts: number(column::ATTEMPTS)?,
            final_url: text(column::FINAL_URL)?,
            retry_of: text(column::RETRY_OF)?,
        })
    }

    fn row(&self, path: &Path, at: usize, row: u64) -> Result<SidecarRow, TableError> {
        let text = |column: &Option<ArrayRef>| {
            column.as_ref().and_then(|c| (!c.is_null(at)).then(|| c.as_string::<i32>().value(at).to_owned()))
        };
        let number = |column: &Option<ArrayRef>| {
            column.as_ref().and_then(|c| (!c.is_null(at)).then(|| c.as_primitive::<Int32Type>().value(at)))
        };
        let bad = |column, problem| TableError::Cell { path: path.to_owned(), row, column, problem };
        let key = text(&self.key).ok_or_else(|| bad(column::KEY, "is null".to_owned()))?;
        let status = text(&self.status).ok_or_else(|| bad(column::STATUS, "is null".to_owned()))?;
        let status: Status = status.parse().map_err(|e| bad(column::STATUS, format!("{e}")))?;
        let error_message = text(&self.error_message);
        let failure_class = match text(&self.failure_class) {
            Some(word) => Some(word.parse().map_err(|e| bad(column::FAILURE_CLASS, format!("{e}")))?),
            None => classify_message(status, error_message.as_deref()),
        };
        Ok(SidecarRow {
            key,
            status,
            failure_class,
            error_message,
            url: text(&self.url),
            caption: text(&self.caption),
            width: number(&self.width),
            height: number(&self.height),
            original_width: number(&self.original_width),
            original_height: number(&self.original_height),
            attempts: number(&self.attempts),
            final_url: text(&self.final_url),
            retry_of: text(&self.retry_of),
        })
    }
}

/// Column `name` of a batch of the table at `path` as text, whatever kind of text or number it is; `None` when there is
/// no such column.
///
/// # Errors
/// When the column holds something that has no text, such as a list.
pub fn text_column(path: &Path, batch: &RecordBatch, name: &str) -> Result<Option<StringArray>, TableError> {
    Ok(column_as(path, batch, name, &DataType::Utf8, "text")?.map(|array| array.as_string().clone()))
}

fn column_as(
    path: &Path,
    batch: &RecordBatch,
    name: &str,
    to: &DataType,
    expected: &'static str,
) -> Result<Option<ArrayRef>, TableError> {
    let Some(array) = batch.column_by_name(name) else { return Ok(None) };
    cast(array, to).map(Some).map_err(|_| TableError::ColumnType {
        path: path.to_owned(),
        column: name.to_owned(),
        expected,
        found: array.data_type().to_string(),
    })
}
