//! Captions of CSV, TSV and JSON lines, plain or gzipped. A number as column name that no header has means a table
//! without header (CC3M, CC12M), and in such a TSV quotes are ordinary characters.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::StringViewBuilder;
use flate2::read::MultiGzDecoder;
use pairmill_shards::atomic::{FileAction, FileError};
use pairmill_shards::guard::guarded;
use pairmill_shards::lookalike::{HEAD_BYTES, Lookalike};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{BATCH_ROWS, Batch, CaptionColumn, Format};
use crate::captions::error::CaptionsError;

const BUFFER_BYTES: usize = 128 << 10;
/// Longest line of a JSON table, and longest record of another.
const MAX_LINE_BYTES: u64 = 16 << 20;

type Bytes = Box<dyn BufRead + Send>;

/// An input that ends in an error where a record does not end: the csv crate would hold all of it.
struct Bounded {
    input: Bytes,
    /// What may still be read for the current record.
    left: Arc<AtomicU64>,
}

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        let spent = |left: u64| left.checked_sub(read as u64);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent) {
            Ok(_) => Ok(read),
            Err(_) => Err(io::Error::other(format!(
                "a record is longer than {} MiB; is a quote unclosed?",
                MAX_LINE_BYTES >> 20
            ))),
        }
    }
}

fn open(path: &Path) -> Result<Bytes, CaptionsError> {
    let file = File::open(path).map_err(|e| FileError::new(path, FileAction::Read, e))?;
    let is_gzip = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
    let mut input: Bytes = if is_gzip {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(BufReader::new(file))))
    } else {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, file))
    };
    // What is wrong with the bytes, the first read will say.
    let head = input.fill_buf().unwrap_or_default();
    match Lookalike::of(&head[..head.len().min(HEAD_BYTES)]) {
        Some(what) => Err(problem(path, what)),
        None => Ok(input),
    }
}

fn problem(path: &Path, problem: impl ToString) -> CaptionsError {
    CaptionsError::Table { path: path.to_owned(), problem: problem.to_string() }
}

fn delimited(input: Bytes, format: Format, has_header: bool) -> (csv::Reader<Bounded>, Arc<AtomicU64>) {
    let left = Arc::new(AtomicU64::new(MAX_LINE_BYTES));
    let input = Bounded { input, left: left.clone() };
    let reader = csv::ReaderBuilder::new()
        .delimiter(if format == Format::Tsv { b'\t' } else { b',' })
        .quoting(format == Format::Csv || has_header)
        .has_headers(has_header)
        .flexible(true)
        .from_reader(input);
    (reader, left)
}

/// The column of captions.
pub(super) fn inspect(
    path: &Path,
    format: Format,
    wanted: Option<&str>,
) -> Result<CaptionColumn, CaptionsError> {
    guarded(|| inspect_inside(path, format, wanted))
        .unwrap_or_else(|panic| Err(problem(path, format!("the reader {panic}"))))
}

fn inspect_inside(path: &Path, format: Format, wanted: Option<&str>) -> Result<CaptionColumn, CaptionsError> {
    if format == Format::JsonLines {
        let mut lines = JsonLines { path: path.to_owned(), input: open(path)?, number: 0, line: Vec::new() };
        if !lines.next_line()? {
            return Ok(CaptionColumn::named(wanted.unwrap_or("caption")));
        }
        let names = lines.keys()?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        return CaptionColumn::find(path, &names, wanted);
    }
    let (mut table, _) = delimited(open(path)?, format, true);
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
    Delimited {
        table: Box<csv::Reader<Bounded>>,
        left: Arc<AtomicU64>,
        record: csv::ByteRecord,
        index: usize,
    },
    Json {
        lines: Box<JsonLines>,
        name: String,
    },
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
            let (table, left) = delimited(input, format, column.has_header);
            Rows::Delimited {
                table: Box::new(table),
                left,
                record: csv::ByteRecord::new(),
                index: column.index,
            }
        };
        Ok(Self { path: path.to_owned(), rows })
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<Batch>, CaptionsError> {
        guarded(|| self.next_batch_inside())
            .unwrap_or_else(|panic| Err(problem(&self.path, format!("the reader {panic}"))))
    }

    fn next_batch_inside(&mut self) -> Result<Option<Batch>, CaptionsError> {
        let mut captions = StringViewBuilder::new();
        let (mut num_rows, mut num_not_utf8) = (0, 0);
        while num_rows < BATCH_ROWS {
            match &mut self.rows {
                Rows::Delimited { table, left, record, index } => {
                    left.store(MAX_LINE_BYTES, Ordering::Relaxed);
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
                    if !lines.next_line()? {
                        break;
                    }
                    captions.append_option(lines.text(name)?);
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
    /// Goes on to the next line that is not blank; `false` at the end.
    fn next_line(&mut self) -> Result<bool, CaptionsError> {
        loop {
            self.line.clear();
            let mut input = self.input.as_mut().take(MAX_LINE_BYTES);
            let read = input.read_until(b'\n', &mut self.line);
            if read.map_err(|e| FileError::new(&self.path, FileAction::Read, e))? == 0 {
                return Ok(false);
            }
            self.number += 1;
            if self.line.len() as u64 == MAX_LINE_BYTES {
                return Err(problem(
                    &self.path,
                    format!("line {} is longer than {} MiB", self.number, MAX_LINE_BYTES >> 20),
                ));
            }
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                return Ok(true);
            }
        }
    }

    /// The keys of the line's object.
    fn keys(&self) -> Result<Vec<String>, CaptionsError> {
        let mut line = Line { wanted: None, keys: Vec::new(), found: Found::Nothing };
        self.read(&mut line)?;
        Ok(line.keys)
    }

    /// The text under a key of the line's object; `None` for null and for no such key.
    fn text(&self, name: &str) -> Result<Option<String>, CaptionsError> {
        let mut line = Line { wanted: Some(name), keys: Vec::new(), found: Found::Nothing };
        self.read(&mut line)?;
        match line.found {
            Found::Nothing => Ok(None),
            Found::Text(text) => Ok(Some(text)),
            Found::Other(what) => {
                let number = self.number;
                let advice = "name the column of captions with --caption-col";
                Err(problem(&self.path, format!("line {number}: `{name}` is {what}, not text; {advice}")))
            }
        }
    }

    fn read(&self, line: &mut Line<'_>) -> Result<(), CaptionsError> {
        let mut json = serde_json::Deserializer::from_slice(&self.line);
        let read = json.deserialize_map(line).and_then(|()| json.end());
        read.map_err(|e| problem(&self.path, format!("line {}: {e}", self.number)))
    }
}

/// What is wanted of a line's object. Other values are passed over without being built, however many they are.
struct Line<'a> {
    /// The key of the caption; without one all keys are collected.
    wanted: Option<&'a str>,
    keys: Vec<String>,
    found: Found,
}

impl<'de> Visitor<'de> for &mut Line<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match self.wanted {
                // Of a repeated key the last counts.
                Some(wanted) if wanted == key => self.found = map.next_value()?,
                Some(_) => drop(map.next_value::<IgnoredAny>()?),
                None => {
                    self.keys.push(key);
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A value where a caption should be.
enum Found {
    Nothing,
    Text(String),
    Other(&'static str),
}

impl<'de> Deserialize<'de> for Found {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FoundVisitor)
    }
}

struct FoundVisitor;

impl<'de> Visitor<'de> for FoundVisitor {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a caption")
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::Nothing)
    }

    fn visit_str<E>(self, text: &str) -> Result<Found, E> {
        Ok(Found::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(Found::Other("true or false"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
        Ok(Found::Other("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found, E> {
        Ok(Found::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(Found::Other("a number"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Found, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Found, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Found::Other("an object"))
    }
}
