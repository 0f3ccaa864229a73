//! First stage of the flow: input tables to blocks of rows, in bounded memory.
//!
//! [`Tables::open`] finds the files and refuses at once whatever can be refused (missing columns in any file, broken
//! footers, empty input); [`Tables::blocks`] then streams them. A block is the content of one shard and the unit of
//! resume, so the same input always gives the same blocks.
//!
//! ```text
//! files   url_list → ordered files, one format
//! columns which columns, in which order, under which names
//! text    file → bytes (byte order mark), unpack: gzip and bzip2 members, marks of the end
//! delimited, json, records   bytes → records → cells
//! infer   cells → typed columns (additional columns of text tables)
//! parquet row groups → batches
//! yfcc    YFCC100M's metadata and list → batches
//! blocks  batches → blocks, one per shard
//! ```
//!
//! Never a row less: blank URLs, ragged rows, invalid UTF-8 and unparsable JSON lines stay rows (see [`Oddities`]).
//!
//! Libraries run behind the wall of `shards`' `guard`: a panic in one is an error that names the file ([`walled`]).

mod blocks;
mod columns;
mod delimited;
mod error;
mod files;
mod format;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod infer;
mod json;
mod parquet;
mod records;
#[cfg(test)]
mod tests;
mod text;
mod unpack;
mod yfcc;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

pub use blocks::{Blocks, RowBlock};
pub use error::{MAX_BLOCK_BYTES, MAX_RECORD_BYTES, MAX_RECORD_LINES, TableError};
pub use files::InputFile;
pub use format::InputFormat;
pub use records::Oddities;
pub use yfcc::YfccOptions;

pub(crate) use parquet::to_text;

use crate::yfcc::YfccConfig;
use columns::{Plan, Role};
use delimited::Dialect;
use infer::{Kind, Seen};
use pairmill_shards::guard::guarded;
use records::Records;
use text::TextSource;

/// Which table to read and which of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableConfig {
    /// A file, a folder (its direct members of the format) or a glob.
    pub url_list: String,
    /// Format of every file; told from the names when absent.
    pub input_format: Option<InputFormat>,
    /// Column with the URL. Default `url`.
    pub url_col: String,
    /// Column with the caption.
    pub caption_col: Option<String>,
    /// Column with the promised hash and its kind: `md5`, `sha256` or `sha512`.
    pub verify_hash: Option<(String, String)>,
    /// Further columns, in output order.
    pub save_additional_columns: Vec<String>,
    /// Column names of a CSV or TSV without header, all of them in file order.
    pub headerless: Option<Vec<String>>,
    /// Whether a file may have a header in spite of `headerless`: it has if its first row holds no URL. And `headerless`
    /// means nothing to formats that name their columns, and may be short of columns that nobody wants.
    pub header_optional: bool,
    /// How CSV and TSV fields are told apart.
    pub csv: CsvOptions,
    /// Columns that filters look at, behind the others in each block and in this order.
    pub looked_at: Vec<LookedAt>,
    /// JSON tables: the array of records is the member of this name in one object (RedCaps: `annotations`). A file
    /// that is an array itself is taken as well.
    pub records_at: Option<String>,
    /// How YFCC100M's metadata is read, for that format.
    pub yfcc: YfccOptions,
    /// Whether additional columns of text tables get types (int64, float64, bool, list), for which the input is
    /// scanned once by [`Tables::open`]; otherwise they are strings. Default true.
    pub infer_types: bool,
}

impl Default for TableConfig {
    fn default() -> Self {
        Self {
            url_list: String::new(),
            input_format: None,
            url_col: "url".to_owned(),
            caption_col: None,
            verify_hash: None,
            save_additional_columns: Vec::new(),
            headerless: None,
            header_optional: false,
            csv: CsvOptions::default(),
            looked_at: Vec::new(),
            records_at: None,
            yfcc: YfccOptions::default(),
            infer_types: true,
        }
    }
}

/// A column that is read but is no part of the rows. In Parquet it has the file's type, in text tables it is text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedAt {
    /// Its name in the table, or alternatives (`NSFW|nsfw`).
    pub column: String,
    /// Its name in the blocks.
    pub name: Cow<'static, str>,
    /// The setting that names it, for errors.
    pub asked_by: &'static str,
    /// Whether a table without it is refused; otherwise it is left out.
    pub required: bool,
}

/// How CSV and TSV fields are told apart. Quotes are `"`, doubled inside quotes (RFC 4180).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CsvOptions {
    /// Byte between fields; a tab for tsv, a comma for csv (a semicolon where the first line has no comma) when absent.
    pub delimiter: Option<u8>,
    /// Whether quotes quote. When absent: yes, but not in a headerless tsv, as CC3M, CC12M and YFCC write captions
    /// with bare quotes there.
    pub quoting: Option<bool>,
}

/// The tables of one run, checked and ready to be read.
#[derive(Debug, Clone)]
pub struct Tables {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    files: Vec<InputFile>,
    format: InputFormat,
    plan: Plan,
    /// The two files of YFCC100M, of which one is the table.
    yfcc: Option<YfccConfig>,
    dialect: Dialect,
    schema: SchemaRef,
    /// Types of the columns of a text table.
    kinds: Vec<Kind>,
    /// Exact number of rows, when known.
    rows: Option<u64>,
}

impl Tables {
    /// Resolves the files and checks every one of them: readable, not all empty, every wanted column there.
    ///
    /// Text tables with additional columns are read once from end to end for their types.
    ///
    /// # Errors
    /// One line naming the file, the place and the fix.
    pub fn open(config: &TableConfig) -> Result<Self, TableError> {
        // Nobody sets it, so there is always a result.
        let never = AtomicBool::new(false);
        Self::open_until(config, &never)?
            .ok_or_else(|| TableError::Empty { url_list: config.url_list.clone() })
    }

    /// As [`Tables::open`]; `None` when `stop` was set while it scanned.
    ///
    /// # Errors
    /// As [`Tables::open`].
    pub fn open_until(config: &TableConfig, stop: &AtomicBool) -> Result<Option<Self>, TableError> {
        let Found { yfcc, format, files, dialect } =
            walled(Path::new(&config.url_list), 0, || Found::look(config))?;
        let mut config = config.clone();
        if config.looked_at.iter().any(|column| !column.required) {
            let existing = names(&files, format, &dialect)?;
            config.looked_at.retain(|looked| looked.required || columns::is_among(&looked.column, &existing));
        }
        let config = &config;
        let plan = Plan::new(config, format)?;
        let mut inner = Inner {
            files,
            format,
            plan,
            yfcc,
            dialect,
            schema: Arc::new(Schema::empty()),
            kinds: Vec::new(),
            rows: None,
        };
        let types = if let Some(yfcc) = &inner.yfcc {
            walled(&yfcc.dataset, 0, || yfcc::check(yfcc, &inner.plan))?
        } else if format == InputFormat::Parquet {
            inner.check_footers(config)?
        } else {
            inner.check_heads(config)?;
            let Some(kinds) = inner.scan(config.infer_types, stop)? else { return Ok(None) };
            inner.kinds = kinds;
            inner.kinds.iter().map(Kind::data_type).collect()
        };
        let fields =
            inner.plan.columns.iter().zip(types).map(|(column, kind)| Field::new(&column.name, kind, true));
        inner.schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Some(Self { inner: Arc::new(inner) }))
    }

    /// Names of the columns that the tables of `config` have, by the first file that has any.
    ///
    /// # Errors
    /// When there is no table, or its head cannot be read.
    pub fn column_names(config: &TableConfig) -> Result<Vec<String>, TableError> {
        let Found { format, files, dialect, .. } = Found::look(config)?;
        names(&files, format, &dialect)
    }

    /// The files, in reading order.
    pub fn files(&self) -> &[InputFile] {
        &self.inner.files
    }

    /// The format of every file.
    pub fn format(&self) -> InputFormat {
        self.inner.format
    }

    /// Columns of every block, all nullable: additional columns as given, `caption`, the hash column under its
    /// kind's name, `url`. All but the additional ones are strings.
    pub fn schema(&self) -> SchemaRef {
        self.inner.schema.clone()
    }

    /// The schema without the columns that are only looked at.
    pub fn kept_schema(&self) -> SchemaRef {
        let kept = self.inner.schema.fields().iter().take(self.num_kept_columns()).cloned();
        Arc::new(Schema::new(kept.collect::<Vec<_>>()))
    }

    /// Number of columns in front of those that are only looked at.
    pub fn num_kept_columns(&self) -> usize {
        let looked = |column: &&columns::Column| matches!(column.role, Role::Looked { .. });
        self.inner.plan.columns.iter().take_while(|column| !looked(column)).count()
    }

    /// Streams the rows in blocks of at most `rows_per_block` (0 counts as 1).
    pub fn blocks(&self, rows_per_block: u64) -> Blocks {
        Blocks::new(self.inner.clone(), rows_per_block)
    }

    /// Exact number of rows where it costs nothing: Parquet, and text tables that were scanned for types.
    pub fn count_rows(&self) -> Option<u64> {
        self.inner.rows
    }
}

/// What a config stands for before any column is known.
struct Found {
    yfcc: Option<YfccConfig>,
    format: InputFormat,
    files: Vec<InputFile>,
    dialect: Dialect,
}

impl Found {
    fn look(config: &TableConfig) -> Result<Self, TableError> {
        let yfcc = match config.input_format {
            Some(InputFormat::Yfcc) => Some(yfcc::find(&config.url_list, &config.yfcc)?),
            _ => None,
        };
        let (format, files) = match &yfcc {
            Some(yfcc) => (InputFormat::Yfcc, yfcc::files(yfcc)?),
            None => files::resolve(&config.url_list, config.input_format)?,
        };
        let headerless_tsv = format == InputFormat::Tsv && config.headerless.is_some();
        let dialect = Dialect {
            delimiter: config.csv.delimiter.or(format.delimiter()).unwrap_or(b','),
            or_named: config.csv.delimiter.is_none(),
            or_semicolon: config.csv.delimiter.is_none() && format == InputFormat::Csv,
            quoting: config.csv.quoting.unwrap_or(!headerless_tsv),
            headerless: config.headerless.clone(),
            header_optional: config.header_optional,
            records_at: config.records_at.clone(),
        };
        Ok(Self { yfcc, format, files, dialect })
    }
}

/// Column names of the first file that has any.
fn names(files: &[InputFile], format: InputFormat, dialect: &Dialect) -> Result<Vec<String>, TableError> {
    if format == InputFormat::Yfcc {
        return Ok(yfcc::names());
    }
    for file in files {
        let names = walled(&file.path, 0, || {
            if format == InputFormat::Parquet {
                return parquet::names(&file.path);
            }
            let nothing = Plan { columns: Vec::new() };
            let source = TextSource::file(&file.path.as_path().into());
            let records = Records::open(&source, format, dialect, &nothing, Arc::default())?;
            records.map_or_else(|| Ok(Vec::new()), Records::names)
        })?;
        if !names.is_empty() {
            return Ok(names);
        }
    }
    Ok(Vec::new())
}

/// Runs `work` on the table at `path`, of which `row` rows were read before. A panic in a library becomes an error; what
/// was worked on must not be used again then.
fn walled<T>(path: &Path, row: u64, work: impl FnOnce() -> Result<T, TableError>) -> Result<T, TableError> {
    guarded(work).unwrap_or_else(|reason| Err(TableError::Panic { path: path.to_owned(), row, reason }))
}

impl Inner {
    /// Reads every Parquet footer and gives the type of each column over all files.
    fn check_footers(&mut self, config: &TableConfig) -> Result<Vec<DataType>, TableError> {
        let mut rows = 0;
        let mut types: Option<Vec<DataType>> = None;
        for file in &self.files {
            let footer = parquet::footer(&file.path, &self.plan)?;
            rows += footer.rows;
            let Some(known) = &mut types else {
                types = Some(footer.types);
                continue;
            };
            if let Some((index, column)) = parquet::conflict(&self.plan, known, &footer.types) {
                return Err(TableError::TypeConflict {
                    path: file.path.clone(),
                    column: column.to_owned(),
                    found: footer.types[index].to_string(),
                    first: self.files[0].path.clone(),
                    expected: known[index].to_string(),
                });
            }
            for (known, found) in known.iter_mut().zip(&footer.types) {
                if let Some(common) = parquet::common_type(known, found) {
                    *known = common;
                }
            }
        }
        if rows == 0 {
            return Err(TableError::Empty { url_list: config.url_list.clone() });
        }
        self.rows = Some(rows);
        Ok(types.unwrap_or_default())
    }

    /// Opens every text file: its head must be readable, and one of them must have a row.
    fn check_heads(&self, config: &TableConfig) -> Result<(), TableError> {
        let mut has_row = false;
        for file in &self.files {
            has_row |= walled(&file.path, 0, || match self.records(&file.path, &Arc::default())? {
                Some(records) => records.check(&self.plan),
                None => Ok(false),
            })?;
        }
        if has_row { Ok(()) } else { Err(TableError::Empty { url_list: config.url_list.clone() }) }
    }

    /// Types of the columns of a text table, from all of its rows; `None` when `stop` was set first.
    fn scan(&mut self, infer_types: bool, stop: &AtomicBool) -> Result<Option<Vec<Kind>>, TableError> {
        let num_columns = self.plan.columns.len();
        if !infer_types || !self.plan.has_extras() {
            return Ok(Some(vec![Kind::Text; num_columns]));
        }
        const ROWS_BETWEEN_LOOKS: u64 = 4_096;
        let extras: Vec<usize> =
            (0..num_columns).filter(|&index| self.plan.columns[index].role == Role::Extra).collect();
        let mut seen = vec![Seen::default(); num_columns];
        let mut rows = 0;
        for file in &self.files {
            let before = rows;
            let seen = &mut seen;
            let ended = walled(&file.path, 0, || {
                let Some(mut records) = self.records(&file.path, &Arc::default())? else { return Ok(true) };
                while records.advance()? {
                    for &index in &extras {
                        let found = std::mem::take(&mut seen[index]);
                        seen[index] = if found == Seen::Text {
                            found
                        } else {
                            found.join(Seen::of(&records.cell(index)))
                        };
                    }
                    rows += 1;
                    if rows % ROWS_BETWEEN_LOOKS == 0 && stop.load(Ordering::Relaxed) {
                        return Ok(false);
                    }
                }
                Ok(true)
            });
            if !ended.map_err(|error| error.after(rows - before))? {
                return Ok(None);
            }
        }
        self.rows = Some(rows);
        for index in (0..num_columns).filter(|index| !extras.contains(index)) {
            seen[index] = Seen::Text;
        }
        Ok(Some(seen.iter().map(Seen::kind).collect()))
    }

    fn records(&self, path: &Path, consumed: &Arc<AtomicU64>) -> Result<Option<Records>, TableError> {
        Records::open(
            &TextSource::file(&path.into()),
            self.format,
            &self.dialect,
            &self.plan,
            consumed.clone(),
        )
    }
}
