//! CSV and TSV, one record at a time, on csv-core's state machine.
//!
//! csv-core and not the `csv` crate's reader, because the latter grows its buffer without limit when a quote never
//! closes, and because only the former lets us see that a file ends inside a quote: rows swallowed by a stray quote
//! must not vanish silently.

use csv_core::ReadRecordResult;

use super::columns::Plan;
use super::error::{MAX_RECORD_BYTES, MAX_RECORD_LINES, TableError};
use super::records::{Cell, Oddities};
use super::text::{Decoding, Text, decode};

/// Fields one record may have.
const MAX_FIELDS: usize = 100_000;

/// How fields and records are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    /// Whether a file whose first line has no `delimiter` but semicolons is separated by these, as spreadsheets write it
    /// where the comma is the decimal point.
    pub(super) or_semicolon: bool,
    /// Whether a first line `sep=;`, as Excel writes and reads it, names the delimiter.
    pub(super) or_named: bool,
    pub(super) quoting: bool,
    pub(super) headerless: Option<Vec<String>>,
    /// Whether a first record without a URL is a header all the same.
    pub(super) header_optional: bool,
    /// Of JSON: the member that holds the records.
    pub(super) records_at: Option<String>,
}

/// The records of an open CSV or TSV file.
pub(super) struct Delimited {
    text: Text,
    core: csv_core::Reader,
    /// Unescaped fields of the current record, back to back.
    fields: Vec<u8>,
    fields_len: usize,
    /// End of each field in `fields`.
    ends: Vec<usize>,
    ends_len: usize,
    /// The header.
    names: Vec<String>,
    /// Field index of each planned column, and how it becomes text.
    places: Vec<(usize, Decoding)>,
    /// Line on which the current record begins, 1-based.
    line: u64,
    row: u64,
    /// The first record, when it was read to check `--columns`.
    peeked: bool,
    at_end: bool,
    /// Whether the current record has another number of fields than the header, so that nobody can say which is whose.
    is_ragged: bool,
    oddities: Oddities,
}

impl Delimited {
    /// Reads the header, or takes the given names, and finds the planned columns. `None` for a file without a byte.
    pub(super) fn open(mut text: Text, dialect: &Dialect, plan: &Plan) -> Result<Option<Self>, TableError> {
        let named = named_delimiter(text.fill(0)?).filter(|_| dialect.or_named);
        if let Some((_, length)) = named {
            // Its line end stays, so that lines are counted right.
            text.consume(length);
        }
        let semicolon = dialect.or_semicolon && has_semicolons(text.fill(0)?, dialect);
        let delimiter = match named {
            Some((delimiter, _)) => delimiter,
            None if semicolon => b';',
            None => dialect.delimiter,
        };
        let core = csv_core::ReaderBuilder::new().delimiter(delimiter).quoting(dialect.quoting).build();
        let mut records = Self {
            text,
            core,
            fields: vec![0; 4096],
            fields_len: 0,
            ends: vec![0; 64],
            ends_len: 0,
            names: Vec::new(),
            places: Vec::new(),
            line: 1,
            row: 0,
            peeked: false,
            at_end: false,
            is_ragged: false,
            oddities: Oddities::default(),
        };
        if !records.read()? {
            return Ok(None);
        }
        let path = records.text.path.clone();
        let names = match &dialect.headerless {
            Some(names) if dialect.header_optional && records.has_url() => {
                let mut names = names.clone();
                // Columns behind those named are nobody's.
                names.extend((names.len()..records.ends_len).map(|index| format!("column {index}")));
                if names.len() != records.ends_len {
                    let (named, found) = (names.len(), records.ends_len);
                    return Err(TableError::HeaderCount { path: path.to_path_buf(), named, found });
                }
                records.peeked = true;
                names
            }
            Some(names) if !dialect.header_optional => {
                if names.len() != records.ends_len {
                    let (named, found) = (names.len(), records.ends_len);
                    return Err(TableError::HeaderCount { path: path.to_path_buf(), named, found });
                }
                records.peeked = true;
                names.clone()
            }
            _ => {
                let mut invalid = 0;
                let fields = (0..records.ends_len).map(|index| records.field(index).unwrap_or_default());
                fields.map(|name| decode(name, &mut invalid).into_owned()).collect()
            }
        };
        let decodings = plan.columns.iter().map(|column| Decoding::of(column.role));
        records.places = plan.locate(&path, &names)?.into_iter().zip(decodings).collect();
        records.names = names;
        Ok(Some(records))
    }

    /// Whether a field of the current record begins as a URL does.
    fn has_url(&self) -> bool {
        (0..self.ends_len).filter_map(|index| self.field(index)).any(|field| {
            let field = field.trim_ascii_start();
            field.starts_with(b"http://") || field.starts_with(b"https://")
        })
    }

    pub(super) fn into_names(self) -> Vec<String> {
        self.names
    }

    pub(super) fn advance(&mut self) -> Result<bool, TableError> {
        if self.peeked {
            self.peeked = false;
        } else if !self.read()? {
            return Ok(false);
        }
        self.row += 1;
        self.is_ragged = self.ends_len != self.names.len();
        self.oddities.ragged_rows += u64::from(self.is_ragged);
        Ok(true)
    }

    pub(super) fn cell(&mut self, column: usize) -> Cell<'_> {
        // A comma in an unquoted URL makes two fields of it, and half of it must not be fetched.
        let Some(&(place, decoding)) = self.places.get(column).filter(|_| !self.is_ragged) else {
            return Cell::Null;
        };
        let range = self.range(place);
        match range.and_then(|range| self.fields.get(range)) {
            Some(bytes) => Cell::Text(decoding.decode(bytes, &mut self.oddities.invalid_utf8)),
            None => Cell::Null,
        }
    }

    pub(super) fn line(&self) -> u64 {
        self.line
    }

    pub(super) fn oddities(&self) -> Oddities {
        self.oddities
    }

    fn range(&self, index: usize) -> Option<std::ops::Range<usize>> {
        let ends = self.ends.get(..self.ends_len)?;
        let start = if index == 0 { 0 } else { *ends.get(index - 1)? };
        Some(start..*ends.get(index)?)
    }

    fn field(&self, index: usize) -> Option<&[u8]> {
        self.fields.get(self.range(index)?)
    }

    /// Parses one record into `fields` and `ends`.
    fn read(&mut self) -> Result<bool, TableError> {
        (self.fields_len, self.ends_len) = (0, 0);
        // Blank lines first, so that `line` is where the record begins.
        while let Some(&end @ (b'\n' | b'\r')) = self.text.fill(self.row)?.first() {
            self.core.read_record(&[end], &mut self.fields, &mut self.ends);
            self.text.consume(1);
        }
        self.line = self.core.line();
        loop {
            let input = self.text.fill(self.row)?;
            let ending = input.is_empty();
            if ending && self.at_end {
                return Ok(false);
            }
            // A line end instead of csv-core's own end of input: inside a quote it comes out as data, and shows
            // that the quote never closed.
            let input: &[u8] = if ending { b"\n" } else { input };
            let (result, used, written, ended) = self.core.read_record(
                input,
                &mut self.fields[self.fields_len..],
                &mut self.ends[self.ends_len..],
            );
            if !ending {
                self.text.consume(used);
            }
            self.fields_len += written;
            self.ends_len += ended;
            match result {
                ReadRecordResult::Record => {
                    self.at_end |= ending;
                    if self.lines_inside()? > 0 {
                        self.oddities.multi_line_rows += 1;
                    }
                    return Ok(true);
                }
                ReadRecordResult::OutputFull => {
                    if self.fields_len > MAX_RECORD_BYTES {
                        return Err(self.too_long());
                    }
                    self.fields.resize((self.fields.len() * 2).min(MAX_RECORD_BYTES + 1), 0);
                }
                ReadRecordResult::OutputEndsFull => {
                    if self.ends_len > MAX_FIELDS {
                        return Err(self.too_long());
                    }
                    self.ends.resize(self.ends.len() * 2, 0);
                }
                ReadRecordResult::InputEmpty | ReadRecordResult::End if ending => {
                    self.at_end = true;
                    if written > 0 {
                        return Err(self.open_quote("never closes".to_owned()));
                    }
                    return Ok(false);
                }
                ReadRecordResult::InputEmpty => {
                    self.lines_inside()?;
                }
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    /// Line ends inside the record so far.
    fn lines_inside(&self) -> Result<u64, TableError> {
        if self.core.line() <= self.line + 1 {
            return Ok(0);
        }
        let inside = self.fields[..self.fields_len].iter().filter(|&&byte| byte == b'\n').count() as u64;
        if inside > MAX_RECORD_LINES {
            return Err(self.open_quote(format!("is still open {MAX_RECORD_LINES} lines on")));
        }
        Ok(inside)
    }

    fn open_quote(&self, ends: String) -> TableError {
        TableError::OpenQuote { path: self.text.path.to_path_buf(), row: self.row, line: self.line, ends }
    }

    fn too_long(&self) -> TableError {
        let hint = "; is a quote unclosed (--quoting false), or the delimiter another (--input-format)?";
        TableError::RecordTooLong { path: self.text.path.to_path_buf(), row: self.row, line: self.line, hint }
    }
}

/// The delimiter that a first line `sep=;` names, and the length of that line without its end.
fn named_delimiter(head: &[u8]) -> Option<(u8, usize)> {
    let line =
        head.split(|byte| matches!(byte, b'\r' | b'\n')).next().filter(|line| line.len() < head.len())?;
    let bare = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    match bare {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] if !delimiter.is_ascii_alphanumeric() => {
            Some((*delimiter, line.len()))
        }
        _ => None,
    }
}

/// Whether the first line is separated by semicolons rather than by the dialect's delimiter.
fn has_semicolons(head: &[u8], dialect: &Dialect) -> bool {
    let mut in_quotes = false;
    let (mut delimiters, mut semicolons) = (0, 0);
    for &byte in head.trim_ascii_start() {
        match byte {
            b'"' if dialect.quoting => in_quotes = !in_quotes,
            _ if in_quotes => {}
            b'\n' | b'\r' => break,
            b';' => semicolons += 1,
            _ => delimiters += usize::from(byte == dialect.delimiter),
        }
    }
    match &dialect.headerless {
        Some(names) => delimiters + 1 != names.len() && semicolons + 1 == names.len(),
        None => delimiters == 0 && semicolons > 0,
    }
}
