//! Captions of CSV, TSV and JSON lines, plain or gzipped. A number as column name that no header has means a table
//! without header (CC3M, CC12M), and in such a TSV quotes are ordinary characters.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use arrow::array::StringViewBuilder;
use flate2::read::MultiGzDecoder;
use pairmill_shards::atomic::{FileAction, FileError};
use serde_json::Value;

use super::{BATCH_ROWS, Batch, CaptionColumn, Format};
use crate::captions::error::CaptionsError;

const BUFFER_BYTES: usize = 128 << 10;
/// Longest line of a JSON table.
const MAX_LINE_BYTES: u64 = 64 << 20;

type Bytes = Box<dyn BufRead + Send>;

fn open(path: &Path) -> Result<Bytes, CaptionsError> {
    let file = File::open(path).map_err(|e| FileError::new(path, FileAction::Read, e))?;
    let is_gzip = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
    Ok(if is_gzip {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(BufReader::new(file))))
    } else {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, file))
    })
}

fn problem(path: &Path, problem: impl ToString) -> CaptionsError {
    CaptionsError::Table { path: path.to_owned(), problem: problem.to_string() }
}

fn delimited(input: Bytes, format: Format, has_header: bool) -> csv::Reader<Bytes> {
    csv::ReaderBuilder::new()
        .delimiter(if format == Format::Tsv { b'\t' } else { b',' })
        .quoting(format == Format::Csv || has_header)
        .has_headers(has_header)
        .flexible(true)
        .from_reader(input)
}

/// The column of captions.
pub(super) fn inspect(
    path: &Path,
    format: Format,
    wanted: Option<&str>,
) -> Result<CaptionColumn, CaptionsError> {
    if format == Format::JsonLines {
        let mut lines = JsonLines { path: path.to_owned(), input: open(path)?, number: 0, line: Vec::new() };
        let Some(first) = lines.next_object()? else {
            return Ok(CaptionColumn::named(wanted.unwrap_or("caption")));
        };
        let names: Vec<&str> = first.keys().map(String::as_str).collect();
        return CaptionColumn::find(path, &names, wanted);
    }
    let mut table = delimited(open(path)?, format, true);
    let header = table.byte_headers().map_err(|e| problem(path, e))?;
    let names: Vec<String> = header
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let name = String::from_utf8_lossy(name);
            if n == 0 { name.trim_start_matches('\u{feff}').to_owned() } else { name.into_owned() }
        })
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if let Some(index) = wanted.filter(|w| !names.contains(w)).and_then(|w| w.parse::<usize>().ok()) {
        if index >= names.len() && !names.is_empty() {
            let advice = format!("columns are numbered from 0 to {}", names.len() - 1);
            let column = wanted.unwrap_or_default().to_owned();
            return Err(CaptionsError::NoColumn { path: path.to_owned(), column, advice });
        }
        return Ok(CaptionColumn { name: index.to_string(), index, has_header: false });
    }
    CaptionColumn::find(path, &names, wanted)
}

/// Reads a text table.
pub struct TextReader {
    path: PathBuf,
    rows: Rows,
}

enum Rows {
    Delimited { table: Box<csv::Reader<Bytes>>, record: csv::ByteRecord, index: usize },
    Json { lines: Box<JsonLines>, name: String },
}

impl TextReader {
    /// Opens it.
    ///
    /// # Errors
    /// When that fails.
    pub fn open(path: &Path, format: Format, column: &CaptionColumn) -> Result<Self, CaptionsError> {
        let input = open(path)?;
        let rows = if format == Format::JsonLines {
            let lines = JsonLines { path: path.to_owned(), input, number: 0, line: Vec::new() };
            Rows::Json { lines: Box::new(lines), name: column.name.clone() }
        } else {
            let table = Box::new(delimited(input, format, column.has_header));
            Rows::Delimited { table, record: csv::ByteRecord::new(), index: column.index }
        };
        Ok(Self { path: path.to_owned(), rows })
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<Batch>, CaptionsError> {
        let mut captions = StringViewBuilder::new();
        let (mut num_rows, mut num_not_utf8) = (0, 0);
        while num_rows < BATCH_ROWS {
            match &mut self.rows {
                Rows::Delimited { table, record, index } => {
                    if !table.read_byte_record(record).map_err(|e| problem(&self.path, e))? {
                        break;
                    }
                    match record.get(*index) {
                        Some(bytes) => {
                            let text = String::from_utf8_lossy(bytes);
                            num_not_utf8 += u64::from(text.as_bytes() != bytes);
                            captions.append_value(text);
                        }
                        None => captions.append_null(),
                    }
                }
                Rows::Json { lines, name } => {
                    let Some(object) = lines.next_object()? else { break };
                    match object.get(name) {
                        Some(Value::String(text)) => captions.append_value(text),
                        None | Some(Value::Null) => captions.append_null(),
                        Some(other) => {
                            let problem = format!(
                                "line {}: `{name}` is {other}, not text; name the column of captions with --caption-col",
                                lines.number
                            );
                            return Err(CaptionsError::Table { path: self.path.clone(), problem });
                        }
                    }
                }
            }
            num_rows += 1;
        }
        Ok((num_rows > 0).then(|| Batch { captions: captions.finish(), num_failed: 0, num_not_utf8 }))
    }
}

struct JsonLines {
    path: PathBuf,
    input: Bytes,
    number: u64,
    line: Vec<u8>,
}

impl JsonLines {
    /// The object of the next line that is not blank.
    fn next_object(&mut self) -> Result<Option<serde_json::Map<String, Value>>, CaptionsError> {
        loop {
            self.line.clear();
            let mut input = self.input.as_mut().take(MAX_LINE_BYTES);
            let read = input.read_until(b'\n', &mut self.line);
            if read.map_err(|e| FileError::new(&self.path, FileAction::Read, e))? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.line.len() as u64 == MAX_LINE_BYTES {
                return Err(problem(&self.path, format!("line {} is longer than 64 MiB", self.number)));
            }
            if self.line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let object = serde_json::from_slice(&self.line);
            return object.map(Some).map_err(|e| problem(&self.path, format!("line {}: {e}", self.number)));
        }
    }
}
