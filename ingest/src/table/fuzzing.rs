//! Entry points for fuzzers: any bytes as a JSON table.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::columns::{Column, Plan, Role};
use super::json::{Framing, JsonRecords};
use super::records::Cell;
use super::text::TextSource;

/// The columns that are read.
const COLUMNS: [&str; 2] = ["url", "caption"];

type Row = [Option<Value>; 2];

/// Reads `bytes` as an array of objects (or one object of columns) and as an object per line. What serde_json reads as
/// either must come out as the same rows.
///
/// # Errors
/// Where the rows differ.
pub fn json_framing(bytes: &[u8]) -> Result<(), String> {
    let found = rows(bytes, Framing::Array);
    if let Ok(Value::Array(elements)) = serde_json::from_slice(bytes)
        && elements.iter().all(Value::is_object)
    {
        same("array", &found, &elements.iter().map(row_of).collect::<Vec<_>>())?;
    }
    if serde_json::from_slice::<DistinctKeys>(bytes).is_ok()
        && let Ok(Value::Object(object)) = serde_json::from_slice(bytes)
        && let (Ok(found), Some(expected)) = (&found, rows_of_columns(&object))
    {
        same("columns", &Ok(found.clone()), &expected)?;
    }
    let found = rows(bytes, Framing::Lines);
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let lines: Result<Vec<Value>, _> = lines.map(serde_json::from_slice).collect();
    if let Ok(lines) = lines
        && lines.iter().all(Value::is_object)
    {
        same("lines", &found, &lines.iter().map(row_of).collect::<Vec<_>>())?;
    }
    let _ = rows(bytes, Framing::Member("records".to_owned()));
    Ok(())
}

fn same(what: &str, found: &Result<Vec<Row>, String>, expected: &[Row]) -> Result<(), String> {
    match found {
        Ok(rows) if rows == expected => Ok(()),
        found => Err(format!("{what}: read {found:?}, expected {expected:?}")),
    }
}

fn rows(bytes: &[u8], framing: Framing) -> Result<Vec<Row>, String> {
    let columns =
        COLUMNS.map(|name| Column { source: name.to_owned(), name: name.to_owned(), role: Role::Extra });
    let plan = Plan { columns: columns.to_vec() };
    let source = TextSource::memory("bytes.json", bytes);
    let opened =
        JsonRecords::open(&source, framing, &plan, Arc::default()).map_err(|error| error.to_string())?;
    let Some(mut records) = opened else { return Ok(Vec::new()) };
    let mut rows = Vec::new();
    while records.advance().map_err(|error| error.to_string())? {
        let mut cell = |column| match records.cell(column) {
            Cell::Json(value) => Some(value.clone()),
            Cell::Null | Cell::Text(_) => None,
        };
        rows.push([cell(0), cell(1)]);
    }
    Ok(rows)
}

fn row_of(object: &Value) -> Row {
    COLUMNS.map(|name| object.get(name).filter(|value| !value.is_null()).cloned())
}

/// Rows of an object whose members are all objects, or all arrays, of equally many values; `None` of another, and of
/// one that may as well be rows by key.
fn rows_of_columns(object: &Map<String, Value>) -> Option<Vec<Row>> {
    let values = |column: &Value| match column {
        Value::Array(values) => Some(values.clone()),
        Value::Object(values) => Some(values.values().cloned().collect()),
        _ => None,
    };
    if object
        .keys()
        .any(|key| key.bytes().all(|byte| byte.is_ascii_digit()) || key == "data" || key == "columns")
    {
        return None;
    }
    object.values().all(|column| values(column).is_some()).then_some(())?;
    let first = COLUMNS.iter().find_map(|name| object.get(*name)).or_else(|| object.values().next())?;
    let rows = values(first)?.len();
    let cell = |name: &str, row: usize| {
        values(object.get(name)?)?.get(row).filter(|value| !value.is_null()).cloned()
    };
    Some((0..rows).map(|row| COLUMNS.map(|name| cell(name, row))).collect())
}

/// JSON in which no object has a key twice. serde_json keeps the last of several, and a column has one row more.
struct DistinctKeys;

impl<'de> Deserialize<'de> for DistinctKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for DistinctKeys {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated keys")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self, A::Error> {
        while access.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = access.next_key::<String>()? {
            access.next_value::<Self>()?;
            if !seen.insert(key) {
                return Err(A::Error::custom("a repeated key"));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::json_framing;

    #[test]
    fn f02_every_seed_of_the_fuzzer_reads_as_serde_json_does() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/attacks");
        let seeds: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(
            seeds
                .iter()
                .filter(|path| path.extension().is_some_and(|e| e.to_string_lossy().starts_with("json")))
                .count()
                >= 8
        );
        for path in seeds {
            json_framing(&std::fs::read(&path).unwrap())
                .unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn f02_any_text_of_json_signs_reads_as_serde_json_does(
            parts in prop::collection::vec(prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"", "\\", "\"url\"", "\"caption\"", "\"0\"", "\"data\"", "\"columns\"", "1", "null",
                "NaN", " ", "\n", "{\"url\":\"u\"}", "[{\"url\":1},", "{\"url\":{\"0\":\"a\"},", "\\ud800",
            ]), 0..24),
        ) {
            prop_assert_eq!(json_framing(parts.concat().as_bytes()), Ok(()));
        }
    }
}
