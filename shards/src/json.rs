//! JSON as Python's `json.dumps` writes it: the form of the `json` member of every sample and of `_stats.json`.
//!
//! Readers parse any JSON, but people diff shards, and img2dataset's own output is the yardstick; so escapes,
//! indent and the shape of floats are Python's (FORMAT.md §3). serde_json cannot hold NaN and prints `1e16` where
//! Python prints `1e+16`, hence the small value type here.

use std::fmt::Write as _;

use arrow::array::cast::AsArray;
use arrow::array::types::{
    ArrowDictionaryKeyType, Date32Type, Date64Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::temporal_conversions as temporal;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// A JSON value that can hold what a Python `dict` can: 64-bit integers of either sign, NaN and infinities, and
/// object keys in insertion order.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer; `i128` holds every `i64` and `u64`.
    Int(i128),
    /// A float, written as Python's `repr` writes it.
    Float(f64),
    /// A string.
    Str(String),
    /// An array.
    List(Vec<Json>),
    /// An object, in the order given. Keys are expected to be distinct.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// `Str` of `text`, or `Null`.
    pub fn opt_str(text: Option<&str>) -> Self {
        text.map_or(Self::Null, |t| Self::Str(t.to_owned()))
    }

    /// `Int` of `number`, or `Null`.
    pub fn opt_int(number: Option<impl Into<i128>>) -> Self {
        number.map_or(Self::Null, |n| Self::Int(n.into()))
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(*b),
            Value::Number(n) => n
                .as_i64()
                .map(i128::from)
                .or_else(|| n.as_u64().map(i128::from))
                .map_or_else(|| Self::Float(n.as_f64().unwrap_or(f64::NAN)), Self::Int),
            Value::String(s) => Self::Str(s.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(map) => Self::Object(map.iter().map(|(k, v)| (k.clone(), Self::from(v))).collect()),
        }
    }
}

/// `json.dumps(value)`: one line, `", "` and `": "` between things. The form of the `exif` string.
pub fn dumps(value: &Json) -> String {
    let mut out = String::new();
    write_value(&mut out, value, None);
    out
}

/// `json.dumps(value, indent=4)`: four spaces a level, no newline at the end. The form of a `json` member.
pub fn dumps_indented(value: &Json) -> String {
    let mut out = String::new();
    write_value(&mut out, value, Some(0));
    out
}

/// Writes `value`; `depth` is the indent level of the enclosing container, `None` for the one-line form.
fn write_value(out: &mut String, value: &Json, depth: Option<usize>) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        // Writing to a String cannot fail.
        Json::Int(n) => _ = write!(out, "{n}"),
        Json::Float(x) => out.push_str(&float_repr(*x)),
        Json::Str(s) => write_string(out, s),
        Json::List(items) => {
            write_items(out, ('[', ']'), items, depth, write_value);
        }
        Json::Object(fields) => {
            write_items(out, ('{', '}'), fields, depth, |out, (key, item), depth| {
                write_string(out, key);
                out.push_str(": ");
                write_value(out, item, depth);
            });
        }
    }
}

fn write_items<T>(
    out: &mut String,
    (open, close): (char, char),
    items: &[T],
    depth: Option<usize>,
    write_item: impl Fn(&mut String, &T, Option<usize>),
) {
    out.push(open);
    let inner = depth.map(|d| d + 1);
    let newline = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("    ", depth));
    };
    for (i, item) in items.iter().enumerate() {
        match (i, inner) {
            (0, None) => {}
            (_, None) => out.push_str(", "),
            (i, Some(d)) => {
                if i > 0 {
                    out.push(',');
                }
                newline(out, d);
            }
        }
        write_item(out, item, inner);
    }
    if let (Some(d), false) = (depth, items.is_empty()) {
        newline(out, d);
    }
    out.push(close);
}

/// A quoted string with everything outside printable ASCII escaped, as with `ensure_ascii=True`.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// Python's `repr` of a float: the shortest digits that read back, an exponent outside `1e-4 ≤ |x| < 1e16`; NaN and
/// infinities as the `json` module spells them.
pub fn float_repr(x: f64) -> String {
    if x.is_nan() {
        return "NaN".to_owned();
    }
    if x.is_infinite() {
        return if x > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    // Rust's `{:e}` has the same shortest digits: `d.ddde±x`.
    let scientific = format!("{x:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        // `{}` never uses an exponent; Python marks whole floats with `.0`.
        let plain = format!("{x}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// One cell of a table as JSON.
///
/// | Arrow type | JSON |
/// |---|---|
/// | integers, floats, booleans, strings | themselves (32- and 16-bit floats widened to 64, as pyarrow does) |
/// | lists, maps, structs | arrays, arrays of `[key, value]`, objects |
/// | dictionary, run-end encoded | the value |
/// | date, time, timestamp | ISO 8601 string; with a time zone the instant in UTC and `+00:00` |
/// | binary | lower-case hex string |
/// | decimal, duration, interval, anything else | its text as a string |
///
/// `row` outside the array and null cells give `Null`. img2dataset stops at dates, decimals and binary, so these
/// three rows are ours alone.
pub fn cell_to_json(array: &dyn Array, row: usize) -> Json {
    if row >= array.len() || array.is_null(row) {
        return Json::Null;
    }
    macro_rules! int {
        ($t:ty) => {
            Json::Int(array.as_primitive::<$t>().value(row).into())
        };
    }
    match array.data_type() {
        DataType::Null => Json::Null,
        DataType::Boolean => Json::Bool(array.as_boolean().value(row)),
        DataType::Int8 => int!(Int8Type),
        DataType::Int16 => int!(Int16Type),
        DataType::Int32 => int!(Int32Type),
        DataType::Int64 => int!(Int64Type),
        DataType::UInt8 => int!(UInt8Type),
        DataType::UInt16 => int!(UInt16Type),
        DataType::UInt32 => int!(UInt32Type),
        DataType::UInt64 => int!(UInt64Type),
        DataType::Float16 => Json::Float(array.as_primitive::<Float16Type>().value(row).to_f64()),
        DataType::Float32 => Json::Float(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => Json::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Json::Str(array.as_string::<i32>().value(row).to_owned()),
        DataType::LargeUtf8 => Json::Str(array.as_string::<i64>().value(row).to_owned()),
        DataType::Utf8View => Json::Str(array.as_string_view().value(row).to_owned()),
        DataType::Binary => hex_json(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => hex_json(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => hex_json(array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => hex_json(array.as_fixed_size_binary().value(row)),
        DataType::List(_) => list_json(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list_json(&array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(_, _) => list_json(&array.as_fixed_size_list().value(row)),
        DataType::Struct(_) => {
            let columns = array.as_struct();
            let names = columns.column_names();
            let fields = names.iter().zip(columns.columns());
            Json::Object(fields.map(|(&name, column)| (name.to_owned(), cell_to_json(column, row))).collect())
        }
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            let pair = |i| Json::List(entries.columns().iter().map(|c| cell_to_json(c, i)).collect());
            Json::List((0..entries.len()).map(pair).collect())
        }
        DataType::Dictionary(key, _) => match **key {
            DataType::Int8 => dictionary_json::<Int8Type>(array, row),
            DataType::Int16 => dictionary_json::<Int16Type>(array, row),
            DataType::Int32 => dictionary_json::<Int32Type>(array, row),
            DataType::Int64 => dictionary_json::<Int64Type>(array, row),
            DataType::UInt8 => dictionary_json::<UInt8Type>(array, row),
            DataType::UInt16 => dictionary_json::<UInt16Type>(array, row),
            DataType::UInt32 => dictionary_json::<UInt32Type>(array, row),
            DataType::UInt64 => dictionary_json::<UInt64Type>(array, row),
            _ => Json::Null,
        },
        DataType::Date32 => {
            iso(temporal::as_date::<Date32Type>(array.as_primitive::<Date32Type>().value(row).into()), "")
        }
        DataType::Date64 => {
            iso(temporal::as_date::<Date64Type>(array.as_primitive::<Date64Type>().value(row)), "")
        }
        DataType::Timestamp(unit, zone) => {
            let zone = if zone.is_some() { "+00:00" } else { "" };
            macro_rules! timestamp {
                ($t:ty) => {
                    iso(temporal::as_datetime::<$t>(array.as_primitive::<$t>().value(row)), zone)
                };
            }
            match unit {
                TimeUnit::Second => timestamp!(TimestampSecondType),
                TimeUnit::Millisecond => timestamp!(TimestampMillisecondType),
                TimeUnit::Microsecond => timestamp!(TimestampMicrosecondType),
                TimeUnit::Nanosecond => timestamp!(TimestampNanosecondType),
            }
        }
        DataType::Time32(unit) => match unit {
            TimeUnit::Second => iso(
                temporal::as_time::<Time32SecondType>(
                    array.as_primitive::<Time32SecondType>().value(row).into(),
                ),
                "",
            ),
            _ => iso(
                temporal::as_time::<Time32MillisecondType>(
                    array.as_primitive::<Time32MillisecondType>().value(row).into(),
                ),
                "",
            ),
        },
        DataType::Time64(unit) => match unit {
            TimeUnit::Nanosecond => iso(
                temporal::as_time::<Time64NanosecondType>(
                    array.as_primitive::<Time64NanosecondType>().value(row),
                ),
                "",
            ),
            _ => iso(
                temporal::as_time::<Time64MicrosecondType>(
                    array.as_primitive::<Time64MicrosecondType>().value(row),
                ),
                "",
            ),
        },
        // Decimals, durations, intervals, unions: Arrow's own text.
        _ => ArrayFormatter::try_new(array, &FormatOptions::default())
            .ok()
            .and_then(|f| f.value(row).try_to_string().ok())
            .map_or(Json::Null, Json::Str),
    }
}

/// chrono's `Debug` is ISO 8601; an instant outside its range is null.
fn iso(moment: Option<impl std::fmt::Debug>, zone: &str) -> Json {
    moment.map_or(Json::Null, |m| Json::Str(format!("{m:?}{zone}")))
}

fn hex_json(bytes: &[u8]) -> Json {
    Json::Str(to_hex(bytes))
}

/// Lower-case hex of `bytes`.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        _ = write!(out, "{byte:02x}");
        out
    })
}

fn list_json(items: &ArrayRef) -> Json {
    Json::List((0..items.len()).map(|i| cell_to_json(items, i)).collect())
}

fn dictionary_json<K: ArrowDictionaryKeyType>(array: &dyn Array, row: usize) -> Json {
    let dictionary = array.as_dictionary::<K>();
    dictionary.key(row).map_or(Json::Null, |at| cell_to_json(dictionary.values(), at))
}

/// One cell as the `txt` member holds it: Python's `str(cell)` for strings, numbers and booleans, the one-line JSON
/// for anything nested. `None` when the cell is null.
pub fn cell_to_text(array: &dyn Array, row: usize) -> Option<String> {
    match cell_to_json(array, row) {
        Json::Null => None,
        Json::Str(text) => Some(text),
        Json::Bool(b) => Some(if b { "True" } else { "False" }.to_owned()),
        Json::Float(x) if x.is_nan() => Some("nan".to_owned()),
        Json::Float(x) if x.is_infinite() => Some(if x > 0.0 { "inf" } else { "-inf" }.to_owned()),
        other => Some(dumps(&other)),
    }
}

/// Parses JSON that Python may have written: strict JSON, and also the bare words `NaN`, `Infinity` and `-Infinity`
/// (read as null).
///
/// # Errors
/// serde_json's, with line and column.
pub fn parse_python_json(text: &str) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_str(text).or_else(|strict| {
        let cleaned = replace_bare_words(text);
        if cleaned == text { Err(strict) } else { serde_json::from_str(&cleaned) }
    })
}

/// `text` with NaN and infinities outside strings turned into `null`.
fn replace_bare_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let end = string_end(rest);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if let Some(after) =
            ["-Infinity", "Infinity", "NaN"].iter().find_map(|word| rest.strip_prefix(word))
        {
            out.push_str("null");
            rest = after;
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Length of the string literal at the start of `text`, quotes included.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return i + 1,
            _ => {}
        }
    }
    text.len()
}
