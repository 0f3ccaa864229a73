//! JSON tables: an array of objects walked element by element, one object of columns, or an object per line.
//!
//! The array is never loaded: [`Walk`] finds where each element ends by its brackets and strings alone and hands only
//! that slice to serde_json. Values that no column needs are skipped without being built.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

mod bounded;
mod columns;
mod foreign;
mod member;
mod walk;

use self::bounded::BoundedValue;
use self::columns::{ColumnRecords, Layout};
use self::walk::Walk;
use super::columns::{Plan, is_among, missing, rank};
use super::error::{MAX_RECORD_BYTES, TableError, one_line};
use super::records::{Cell, Oddities};
use super::text::{Decoding, Text, TextSource};

/// Records in which a column must turn up at least once.
const CHECKED_RECORDS: usize = 1_000;

/// How objects are laid out in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Framing {
    /// `[{…}, {…}]`, or one object of columns.
    Array,
    /// `{…, "member": [{…}, {…}], …}`, or the array alone.
    Member(String),
    /// One object per line.
    Lines,
}

/// Where the walker stands in an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    AfterBracket,
    AfterElement,
    End,
    /// Behind the array, but within the object that holds it.
    AfterArray,
    /// Within an object whose members are the records.
    Rows,
}

/// The records of an open JSON file.
pub(super) struct JsonRecords {
    walk: Walk,
    framing: Framing,
    place: Place,
    /// Of a file of columns, in the place of `walk`.
    columns: Option<ColumnRecords>,
    raw: Vec<u8>,
    /// Source name of each planned column.
    names: Vec<String>,
    /// How each planned column becomes text where it is not UTF-8.
    decodings: Vec<Decoding>,
    /// Parsed cell of each planned column, filled when the first cell of a record is asked for.
    cells: Vec<Option<Value>>,
    /// Whether an object holds the array.
    in_object: bool,
    parsed: bool,
    /// The first record, read to check the columns.
    peeked: bool,
    /// Line the current record began on; 1-based.
    record_line: u64,
    oddities: Oddities,
}

impl JsonRecords {
    /// Reads the first record and checks that it is an object. `None` without a record.
    pub(super) fn open(
        source: &TextSource,
        framing: Framing,
        plan: &Plan,
        consumed: Arc<AtomicU64>,
    ) -> Result<Option<Self>, TableError> {
        let names: Vec<String> = plan.columns.iter().map(|column| column.source.clone()).collect();
        let mut walk = Walk::new(Text::open(source, consumed.clone())?);
        let (mut framing, mut place, mut columns) = (framing, Place::Before, None);
        if framing == Framing::Array && walk.next_solid()? == Some(b'{') {
            let mut looking = Walk::new(Text::open(source, Arc::default())?);
            looking.next_solid()?;
            match columns::layout(&mut looking)? {
                Layout::Columns(layout) => {
                    columns = Some(ColumnRecords::open(source, layout, &names, &consumed)?);
                }
                Layout::Table => framing = Framing::Member("data".to_owned()),
                Layout::Rows => {
                    walk.consume(1);
                    place = Place::Rows;
                }
            }
        }
        let mut records = Self {
            walk,
            framing,
            place,
            columns,
            raw: Vec::new(),
            cells: vec![None; names.len()],
            names,
            decodings: plan.columns.iter().map(|column| Decoding::of(column.role)).collect(),
            in_object: false,
            parsed: false,
            peeked: false,
            record_line: 1,
            oddities: Oddities::default(),
        };
        if !records.frame()? {
            return Ok(None);
        }
        records.peeked = true;
        if records.columns.is_some() {
            return Ok(Some(records));
        }
        if let Err(reason) = parse_keys(&records.raw) {
            records.walk.line = records.record_line;
            let is_array =
                records.framing == Framing::Lines && records.raw.trim_ascii_start().starts_with(b"[");
            return Err(records.walk.malformed(if is_array {
                "this line is an array; if the file is one array of objects, give --input-format json"
                    .to_owned()
            } else {
                format!("not a JSON object ({reason}); each element or line must be one, see --input-format")
            }));
        }
        Ok(Some(records))
    }

    /// Reads up to [`CHECKED_RECORDS`] and checks that each planned column is in one of them: writers may leave
    /// out keys whose value is null.
    pub(super) fn check_columns(self, plan: &Plan) -> Result<(), TableError> {
        let complete =
            |existing: &[String]| plan.columns.iter().all(|column| is_among(&column.source, existing));
        let (path, existing) = self.first_keys(complete)?;
        match plan.columns.iter().find(|column| !is_among(&column.source, &existing)) {
            Some(column) => Err(missing(column, &path, &existing)),
            None => Ok(()),
        }
    }

    /// The keys of up to [`CHECKED_RECORDS`], in order of appearance, until `enough` of them are there; and the file.
    pub(super) fn first_keys(
        mut self,
        enough: impl Fn(&[String]) -> bool,
    ) -> Result<(Arc<Path>, Vec<String>), TableError> {
        if let Some(columns) = &self.columns {
            return Ok((self.walk.path().clone(), columns.names.clone()));
        }
        let mut existing: Vec<String> = Vec::new();
        for _ in 0..CHECKED_RECORDS {
            if enough(&existing) || !self.advance()? {
                break;
            }
            for key in parse_keys(&self.raw).unwrap_or_default() {
                if !existing.contains(&key) {
                    existing.push(key);
                }
            }
        }
        Ok((self.walk.path().clone(), existing))
    }

    pub(super) fn advance(&mut self) -> Result<bool, TableError> {
        if self.peeked {
            self.peeked = false;
        } else if !self.frame()? {
            return Ok(false);
        }
        self.parsed = false;
        self.walk.row += 1;
        Ok(true)
    }

    pub(super) fn cell(&mut self, column: usize) -> Cell<'_> {
        if !self.parsed {
            self.parse();
        }
        match self.cells.get(column) {
            Some(Some(value)) if !value.is_null() => Cell::Json(value),
            _ => Cell::Null,
        }
    }

    pub(super) fn record_line(&self) -> u64 {
        self.record_line
    }

    pub(super) fn oddities(&self) -> Oddities {
        self.oddities
    }

    fn parse(&mut self) {
        self.parsed = true;
        let is_utf8 = std::str::from_utf8(&self.raw).is_ok();
        if !is_utf8 {
            self.raw = foreign::marked(&self.raw).into_bytes();
        }
        self.parse_raw();
        if !is_utf8 {
            let cells = self.cells.iter_mut().zip(&self.decodings);
            let mended = cells
                .map(|(cell, decoding)| cell.as_mut().is_some_and(|cell| foreign::mend(cell, *decoding)));
            // Every cell is looked at; a record without one has its damage in what nobody reads.
            self.oddities.invalid_utf8 += u64::from(mended.fold(false, |some, one| some | one));
        }
    }

    fn parse_raw(&mut self) {
        if parse_cells(&self.raw, &self.names, &mut self.cells).is_ok() {
            return;
        }
        // Python writes NaN and lone surrogates, which JSON has not.
        let mended = mend_python(&self.raw);
        if parse_cells(&mended, &self.names, &mut self.cells).is_err() {
            self.cells.fill(None);
            self.oddities.malformed_rows += 1;
        }
    }

    /// Puts the next record's bytes into `raw`.
    fn frame(&mut self) -> Result<bool, TableError> {
        self.raw.clear();
        if let Some(columns) = &mut self.columns {
            self.record_line = columns.line();
            return columns.next(&mut self.raw);
        }
        match self.framing {
            Framing::Array | Framing::Member(_) => self.frame_element(),
            Framing::Lines => self.frame_line(),
        }
    }

    fn frame_line(&mut self) -> Result<bool, TableError> {
        loop {
            self.raw.clear();
            if !self.walk.text.line(&mut self.raw, self.walk.row)? {
                return Ok(false);
            }
            self.record_line = self.walk.line;
            self.walk.line += 1;
            if self.raw.len() > MAX_RECORD_BYTES {
                return Err(TableError::RecordTooLong {
                    path: self.walk.path().to_path_buf(),
                    row: self.walk.row,
                    line: self.record_line,
                    hint: "; is it one array (--input-format json)?",
                });
            }
            if !self.raw.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    fn frame_element(&mut self) -> Result<bool, TableError> {
        loop {
            if self.place == Place::Rows {
                return self.frame_row();
            }
            let Some(byte) = self.walk.next_solid()? else {
                return match self.place {
                    Place::Before | Place::End => Ok(false),
                    _ => Err(self
                        .walk
                        .malformed("the array has no end; the file is cut short, fetch it again")),
                };
            };
            match (self.place, byte) {
                (Place::Before, b'{') if !self.in_object && matches!(self.framing, Framing::Member(_)) => {
                    self.in_object = true;
                    if let Framing::Member(name) = &self.framing {
                        member::enter(&mut self.walk, name)?;
                    }
                }
                (Place::AfterArray, _) => {
                    member::leave(&mut self.walk)?;
                    self.place = Place::End;
                }
                (Place::Before, b'[') => {
                    self.walk.consume(1);
                    self.place = Place::AfterBracket;
                }
                (Place::Before, _) => return Err(self.walk.malformed(columns::SHAPES)),
                (Place::AfterBracket | Place::AfterElement, b']') => {
                    self.walk.consume(1);
                    self.place = if self.in_object { Place::AfterArray } else { Place::End };
                }
                (Place::AfterBracket, b',') => {
                    return Err(self.walk.malformed("an element is missing before `,`"));
                }
                (Place::AfterBracket, _) => {
                    self.take_element()?;
                    self.place = Place::AfterElement;
                    return Ok(true);
                }
                (Place::AfterElement, b',') => {
                    self.walk.consume(1);
                    if matches!(self.walk.next_solid()?, Some(b']' | b',')) {
                        return Err(self.walk.malformed("an element is missing after `,`"));
                    }
                    self.place = Place::AfterBracket;
                }
                (Place::AfterElement, _) => {
                    return Err(self.walk.malformed("expected `,` or `]` after an element of the array"));
                }
                (Place::End | Place::Rows, _) => {
                    return Err(self.walk.malformed(
                        "there is more after the end of the array; a json table is one array or object",
                    ));
                }
            }
        }
    }

    /// The next member of an object whose members are the rows.
    fn frame_row(&mut self) -> Result<bool, TableError> {
        if self.walk.next_member()?.is_none() {
            self.place = Place::End;
            return match self.walk.next_solid()? {
                None => Ok(false),
                Some(_) => Err(self.walk.malformed("there is more after the end of the object")),
            };
        }
        self.walk.expect_solid()?;
        self.take_element()?;
        Ok(true)
    }

    fn take_element(&mut self) -> Result<(), TableError> {
        self.record_line = self.walk.line;
        self.walk.take_value(&mut self.raw, "; the table must be one array of small objects")
    }
}

/// Fills `cells` with the values of `names`; the last of repeated keys wins, as in Python.
fn parse_cells(raw: &[u8], names: &[String], cells: &mut [Option<Value>]) -> Result<(), serde_json::Error> {
    cells.fill(None);
    let mut parser = serde_json::Deserializer::from_slice(raw);
    parser.deserialize_map(CellsVisitor { names, cells })?;
    parser.end()
}

struct CellsVisitor<'a> {
    names: &'a [String],
    cells: &'a mut [Option<Value>],
}

impl<'de> Visitor<'de> for CellsVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // How well the key that filled a cell answered to the column's name.
        let mut ranks = vec![usize::MAX; self.names.len()];
        while let Some(key) = map.next_key_seed(Wanted(self.names))? {
            let Some(key) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value_seed(BoundedValue::new())?;
            // One key may feed several columns, an extra one and the caption say.
            for ((name, cell), best) in self.names.iter().zip(self.cells.iter_mut()).zip(&mut ranks) {
                if let Some(rank) = rank(name, &key).filter(|rank| rank <= best) {
                    (*cell, *best) = (Some(value.clone()), rank);
                }
            }
        }
        Ok(())
    }
}

/// Reads a key, and keeps it if a column wants it.
struct Wanted<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Option<String>;

    fn deserialize<D: serde::Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Wanted<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().any(|name| rank(name, key).is_some()).then(|| key.to_owned()))
    }
}

/// The keys of an object, in order; what they hold is not built.
fn parse_keys(raw: &[u8]) -> Result<Vec<String>, String> {
    let text = String::from_utf8_lossy(raw);
    let parse = |bytes: &[u8]| {
        let mut parser = serde_json::Deserializer::from_slice(bytes);
        let keys = parser.deserialize_map(KeysVisitor)?;
        parser.end().map(|()| keys)
    };
    let keys = parse(text.as_bytes()).or_else(|_| parse(&mend_python(text.as_bytes())));
    keys.map_err(|error| {
        // serde_json would repeat the value, which may be a URL with a password in it.
        if error.is_data() {
            return "it is another kind of value".to_owned();
        }
        let message = one_line(&error);
        // serde_json counts lines from the start of the record, which would mislead.
        message.rsplit_once(" at line ").map_or(message.clone(), |(reason, _)| reason.to_owned())
    })
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
        let mut keys = Vec::new();
        while let Some((key, IgnoredAny)) = map.next_entry()? {
            keys.push(key);
        }
        Ok(keys)
    }
}

/// What Python's `json.dumps` writes beyond JSON, made JSON: `NaN` and `Infinity` become null, and an escaped half
/// of a surrogate pair becomes U+FFFD.
fn mend_python(raw: &[u8]) -> Vec<u8> {
    let mut mended = Vec::with_capacity(raw.len());
    let mut rest = raw;
    let mut in_string = false;
    while let Some((&byte, after)) = rest.split_first() {
        let mut used = 1;
        let mut replacement: Option<&[u8]> = None;
        if in_string {
            if byte == b'\\' {
                used = 2;
                match (escaped_unit(rest), rest.get(6..).and_then(escaped_unit)) {
                    (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => used = 12,
                    (Some(0xd800..=0xdfff), _) => (used, replacement) = (6, Some(b"\\ufffd".as_slice())),
                    _ => {}
                }
            }
            in_string = byte != b'"';
        } else if byte == b'"' {
            in_string = true;
        } else {
            for word in [b"NaN".as_slice(), b"-Infinity", b"Infinity"] {
                if rest.starts_with(word) {
                    (used, replacement) = (word.len(), Some(b"null".as_slice()));
                    break;
                }
            }
        }
        let used = used.min(after.len() + 1);
        mended.extend_from_slice(replacement.unwrap_or(&rest[..used]));
        rest = &rest[used..];
    }
    mended
}

/// The UTF-16 unit of a `\uXXXX` at the start of `text`.
fn escaped_unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_extensions_are_mended_outside_and_inside_strings() {
        for (raw, mended) in [
            (r#"{"a": NaN, "b": "NaN", "c": -Infinity}"#, r#"{"a": null, "b": "NaN", "c": null}"#),
            (r#"{"a": "\ud83d x", "b": "\ud83d\ude00"}"#, r#"{"a": "\ufffd x", "b": "\ud83d\ude00"}"#),
            (r#"{"a": "\\ud83d \" \ude00"}"#, r#"{"a": "\\ud83d \" \ufffd"}"#),
            (r#"{"a": "\"#, r#"{"a": "\"#),
        ] {
            assert_eq!(String::from_utf8(mend_python(raw.as_bytes())).unwrap(), mended, "{raw}");
        }
    }
}
