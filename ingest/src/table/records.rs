//! A text table as a sequence of records, whatever its format: advance to the next, then look at its cells.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde_json::Value;

use super::columns::Plan;
use super::delimited::{Delimited, Dialect};
use super::error::{MAX_RECORD_BYTES, TableError};
use super::format::InputFormat;
use super::json::{Framing, JsonRecords};
use super::text::{Text, TextSource};
use crate::address::percent_encoded;

/// One cell of the current record.
#[derive(Debug)]
pub(super) enum Cell<'a> {
    /// Absent or null.
    Null,
    /// Of a CSV, TSV or txt file.
    Text(Cow<'a, str>),
    /// Of a JSON file; never [`Value::Null`].
    Json(&'a Value),
}

/// Flaws of the input that cost no row of the output but are worth telling the user. Counted per read row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Oddities {
    /// Rows with more or fewer fields than the header: which field is whose cannot be told, so their row has nulls only
    /// and fails as `bad_url`.
    pub ragged_rows: u64,
    /// Cells whose invalid UTF-8 was replaced by U+FFFD. URLs are none of them: they are percent-encoded instead.
    pub invalid_utf8: u64,
    /// CSV rows with a line end inside quotes. Many of them in a file of captions hint at stray quotes.
    pub multi_line_rows: u64,
    /// JSON records that do not parse; their row has nulls only, so it fails as `bad_url`.
    pub malformed_rows: u64,
}

impl Oddities {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            ragged_rows: self.ragged_rows + other.ragged_rows,
            invalid_utf8: self.invalid_utf8 + other.invalid_utf8,
            multi_line_rows: self.multi_line_rows + other.multi_line_rows,
            malformed_rows: self.malformed_rows + other.malformed_rows,
        }
    }
}

/// The records of one open text table.
pub(super) enum Records {
    Delimited(Box<Delimited>),
    Json(Box<JsonRecords>),
    Lines(UrlLines),
}

impl Records {
    /// Opens `source`; a CSV or TSV must have the planned columns. `None` for a file without any record or header.
    pub(super) fn open(
        source: &TextSource,
        format: InputFormat,
        dialect: &Dialect,
        plan: &Plan,
        consumed: Arc<AtomicU64>,
    ) -> Result<Option<Self>, TableError> {
        let framing = match (format, &dialect.records_at) {
            (InputFormat::Jsonl, _) => Some(Framing::Lines),
            (InputFormat::Json, Some(member)) => Some(Framing::Member(member.clone())),
            (InputFormat::Json, None) => Some(Framing::Array),
            _ => None,
        };
        if let Some(framing) = framing {
            return Ok(JsonRecords::open(source, framing, plan, consumed)?.map(Box::new).map(Self::Json));
        }
        let text = Text::open(source, consumed)?;
        Ok(match format {
            InputFormat::Txt => Some(Self::Lines(UrlLines::new(text))),
            // The last ones never come here.
            _ => Delimited::open(text, dialect, plan)?.map(Box::new).map(Self::Delimited),
        })
    }

    /// Whether the table has a row; and for JSON, whether its first objects have the planned columns.
    pub(super) fn check(self, plan: &Plan) -> Result<bool, TableError> {
        match self {
            Self::Json(records) => records.check_columns(plan).map(|()| true),
            mut other => other.advance(),
        }
    }

    /// Column names; of JSON those of its first objects.
    pub(super) fn names(self) -> Result<Vec<String>, TableError> {
        match self {
            Self::Delimited(records) => Ok(records.into_names()),
            Self::Json(records) => Ok(records.first_keys(|_| false)?.1),
            Self::Lines(_) => Ok(vec!["url".to_owned()]),
        }
    }

    /// Moves on to the next record; `false` at the end.
    pub(super) fn advance(&mut self) -> Result<bool, TableError> {
        match self {
            Self::Delimited(records) => records.advance(),
            Self::Json(records) => records.advance(),
            Self::Lines(records) => records.advance(),
        }
    }

    /// Cell of the planned column `column` in the current record.
    pub(super) fn cell(&mut self, column: usize) -> Cell<'_> {
        match self {
            Self::Delimited(records) => records.cell(column),
            Self::Json(records) => records.cell(column),
            Self::Lines(records) => records.cell(),
        }
    }

    /// 1-based line on which the current record begins.
    pub(super) fn line(&self) -> u64 {
        match self {
            Self::Delimited(records) => records.line(),
            Self::Json(records) => records.record_line(),
            Self::Lines(records) => records.line,
        }
    }

    pub(super) fn oddities(&self) -> Oddities {
        match self {
            Self::Delimited(records) => records.oddities(),
            Self::Json(records) => records.oddities(),
            Self::Lines(records) => records.oddities,
        }
    }
}

/// One URL per line. Blank lines are no rows, and white space around a URL is not part of it.
pub(super) struct UrlLines {
    text: Text,
    raw: Vec<u8>,
    row: u64,
    line: u64,
    oddities: Oddities,
}

impl UrlLines {
    fn new(text: Text) -> Self {
        Self { text, raw: Vec::new(), row: 0, line: 0, oddities: Oddities::default() }
    }

    fn advance(&mut self) -> Result<bool, TableError> {
        loop {
            self.raw.clear();
            if !self.text.line(&mut self.raw, self.row)? {
                return Ok(false);
            }
            self.line += 1;
            if self.raw.len() > MAX_RECORD_BYTES {
                let hint = "; a txt table has one URL per line, is it another format (--input-format)?";
                let path = self.text.path.to_path_buf();
                return Err(TableError::RecordTooLong { path, row: self.row, line: self.line, hint });
            }
            if !self.raw.trim_ascii().is_empty() {
                self.row += 1;
                return Ok(true);
            }
        }
    }

    fn cell(&mut self) -> Cell<'_> {
        Cell::Text(percent_encoded(self.raw.trim_ascii()))
    }
}
