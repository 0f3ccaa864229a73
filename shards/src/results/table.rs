//! Any file of result rows, in either form, into one table that knows where each row stood. What the reader did on
//! its own account (`Nan` cells, repeated rows) is a note, never silence.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::{Protocol, ResultRow, ResultsError, Shots, Split, read_parquet, read_tsv};
use crate::atomic::{FileAction, FileError};

/// More than a billion cells of results; a file beyond it is something else.
const MAX_BYTES: u64 = 1 << 30;

/// Where a row stood.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// Row: the number in the first column of a TSV, or the place from 0 in a Parquet file.
    pub row: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} row {}", self.file, self.row)
    }
}

/// A row and where it stood.
#[derive(Debug, Clone, PartialEq)]
pub struct SourcedRow {
    /// The row.
    pub row: ResultRow,
    /// Its place.
    pub origin: Origin,
}

/// Something the reader decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadNote {
    /// A cell said `Nan`: left out, as if it had not been run.
    Nan {
        /// The row.
        origin: Origin,
        /// The cell's shots.
        shots: Shots,
    },
    /// A Parquet row repeats an earlier one, value and all: counted once.
    Repeated {
        /// The later one.
        origin: Origin,
        /// The earlier one.
        of: Origin,
    },
}

/// Result rows of one or more files.
#[derive(Debug, Clone, Default)]
pub struct ResultTable {
    /// Rows in the order read. Rows of a TSV are all here, repeated ones too: the file names no runs, so a repetition
    /// may be a second run.
    pub rows: Vec<SourcedRow>,
    /// What was left out, in the order read.
    pub notes: Vec<ReadNote>,
    /// First place of each Parquet row.
    seen: HashMap<Key, usize>,
}

/// What a value is of. Two rows with the same are one measurement; a mixture is another than the run it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    run: String,
    loss: String,
    seed: Option<u64>,
    shots: Shots,
    split: Split,
    metric: String,
}

impl Key {
    fn of(row: &ResultRow) -> Self {
        Self {
            run: row.run.clone(),
            loss: row.config.loss(),
            seed: row.seed,
            shots: row.shots,
            split: row.split,
            metric: row.metric.clone(),
        }
    }
}

impl ResultTable {
    /// The bytes of a file of results, for [`ResultTable::add_bytes`].
    ///
    /// # Errors
    /// When it cannot be read or is larger than any table of results.
    pub fn read_bytes(path: &Path) -> Result<Vec<u8>, ResultsError> {
        let read = |source| FileError::new(path, FileAction::Read, source);
        let bytes = std::fs::metadata(path).map_err(read)?.len();
        if bytes > MAX_BYTES {
            return Err(ResultsError::TooLarge { path: path.to_owned(), bytes, limit: MAX_BYTES });
        }
        Ok(std::fs::read(path).map_err(read)?)
    }

    /// Adds the rows of `path`, Parquet or TSV by its first bytes. A TSV says nothing of its protocol: `tsv_protocol`.
    ///
    /// # Errors
    /// When the file cannot be read or breaks the format, or contradicts what was added before.
    pub fn add_file(&mut self, path: &Path, tsv_protocol: Protocol) -> Result<(), ResultsError> {
        self.add_bytes(path, Self::read_bytes(path)?, tsv_protocol)
    }

    /// Adds the rows of a file held in memory; `path` is for messages.
    ///
    /// # Errors
    /// As [`ResultTable::add_file`].
    pub fn add_bytes(
        &mut self,
        path: &Path,
        bytes: Vec<u8>,
        tsv_protocol: Protocol,
    ) -> Result<(), ResultsError> {
        let file: Arc<str> = path.display().to_string().into();
        if bytes.starts_with(b"PAR1") {
            for (row, at) in read_parquet(path, Bytes::from(bytes))?.into_iter().zip(0u64..) {
                self.add_run_row(SourcedRow { row, origin: Origin { file: Arc::clone(&file), row: at } })?;
            }
            return Ok(());
        }
        for (_, line) in read_tsv(path, &bytes)? {
            let origin = Origin { file: Arc::clone(&file), row: u64::from(line.index) };
            let (rows, nans) = line.to_rows(tsv_protocol);
            self.rows.extend(rows.into_iter().map(|row| SourcedRow { row, origin: origin.clone() }));
            self.notes.extend(nans.into_iter().map(|shots| ReadNote::Nan { origin: origin.clone(), shots }));
        }
        Ok(())
    }

    fn add_run_row(&mut self, new: SourcedRow) -> Result<(), ResultsError> {
        let row = &new.row;
        if row.value.is_nan() {
            self.notes.push(ReadNote::Nan { origin: new.origin, shots: row.shots });
            return Ok(());
        }
        let key = Key::of(row);
        if let Some(&at) = self.seen.get(&key) {
            let old = &self.rows[at];
            if old.row.value.to_bits() != row.value.to_bits() || old.row.protocol != row.protocol {
                return Err(ResultsError::Conflict {
                    first: old.origin.to_string(),
                    second: new.origin.to_string(),
                    what: format!(
                        "run {} ({}) at {} shots, {} {}",
                        row.run, key.loss, row.shots, row.split, row.metric
                    ),
                    a: old.row.value,
                    b: row.value,
                });
            }
            self.notes.push(ReadNote::Repeated { origin: new.origin, of: old.origin.clone() });
            return Ok(());
        }
        self.seen.insert(key, self.rows.len());
        self.rows.push(new);
        Ok(())
    }

    /// The protocols present, in order.
    pub fn protocols(&self) -> Vec<Protocol> {
        Protocol::ALL.iter().copied().filter(|p| self.rows.iter().any(|r| r.row.protocol == *p)).collect()
    }

    /// Keeps only the rows of `protocol`. For when all files are in: what is added later is not compared with them.
    pub fn retain_protocol(&mut self, protocol: Protocol) {
        self.rows.retain(|r| r.row.protocol == protocol);
        self.seen.clear();
    }
}
