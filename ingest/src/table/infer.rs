//! Types of the additional columns of text tables, and cells put into columns of those types.
//!
//! A text table says nothing about types, but a training loader wants `"similarity": 0.31`, not `"0.31"`. Guessing
//! from the first rows fails hours later on the first row that differs (img2dataset's way: pyarrow looks at the first
//! megabyte). So when there are additional columns the whole input is scanned once before the run, which costs far
//! less than fetching a single image per row; a column is a number only if every value of every file is one.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, ListArray, NullBufferBuilder,
    StringBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use serde_json::Value;

use super::records::Cell;

/// Type of a text table's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Float,
    Bool,
    List(Box<Self>),
}

impl Kind {
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::List(element) => DataType::List(element_field(element)),
        }
    }
}

fn element_field(element: &Kind) -> Arc<Field> {
    Arc::new(Field::new("item", element.data_type(), true))
}

/// Integers beyond this do not survive as a double.
const MAX_EXACT_INT: u64 = 1 << 53;

/// What has been seen of a column; [`Seen::join`] only ever moves towards `Text`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Seen {
    /// Nothing but nulls.
    #[default]
    Nothing,
    Bool,
    /// `wide`: some do not fit a double, so they cannot share a column with fractions.
    Int {
        wide: bool,
    },
    Float,
    List(Box<Self>),
    Text,
}

impl Seen {
    pub(super) fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, seen) | (seen, Self::Nothing) => seen,
            (Self::Int { wide: a }, Self::Int { wide: b }) => Self::Int { wide: a || b },
            (Self::Int { wide: false }, Self::Float) | (Self::Float, Self::Int { wide: false }) => {
                Self::Float
            }
            (Self::List(a), Self::List(b)) => Self::List(Box::new(a.join(*b))),
            (a, b) if a == b => a,
            _ => Self::Text,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Nothing | Self::Text => Kind::Text,
            Self::Bool => Kind::Bool,
            Self::Int { .. } => Kind::Int,
            Self::Float => Kind::Float,
            Self::List(element) => Kind::List(Box::new(element.kind())),
        }
    }

    pub(super) fn of(cell: &Cell<'_>) -> Self {
        match cell {
            Cell::Null => Self::Nothing,
            Cell::Text(text) => Self::of_text(text),
            Cell::Json(value) => Self::of_json(value),
        }
    }

    fn of_text(text: &str) -> Self {
        if is_null_word(text) {
            return Self::Nothing;
        }
        if parse_bool(text).is_some() {
            return Self::Bool;
        }
        if let Some(int) = parse_int(text) {
            return Self::Int { wide: int.unsigned_abs() > MAX_EXACT_INT };
        }
        if parse_float(text).is_some() { Self::Float } else { Self::Text }
    }

    fn of_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Nothing,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) => match number.as_i64() {
                Some(int) => Self::Int { wide: int.unsigned_abs() > MAX_EXACT_INT },
                // Above i64: as text, so that no digit is lost.
                None if number.is_u64() => Self::Text,
                None => Self::Float,
            },
            Value::String(_) => Self::Text,
            Value::Array(elements) => {
                let nested = |element: &Value| element.is_array() || element.is_object();
                let element = elements.iter().fold(Self::Nothing, |seen, element| {
                    seen.join(if nested(element) { Self::Text } else { Self::of_json(element) })
                });
                Self::List(Box::new(element))
            }
            // As JSON text.
            Value::Object(_) => Self::Text,
        }
    }
}

/// The spellings that pyarrow's CSV reader takes for null in a column that is not text.
fn is_null_word(text: &str) -> bool {
    matches!(
        text,
        "" | "#N/A"
            | "#N/A N/A"
            | "#NA"
            | "-1.#IND"
            | "-1.#QNAN"
            | "-NaN"
            | "-nan"
            | "1.#IND"
            | "1.#QNAN"
            | "N/A"
            | "NA"
            | "NULL"
            | "NaN"
            | "n/a"
            | "nan"
            | "null"
    )
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// Only what prints back the same: `007` and `+1` are identifiers, not numbers.
fn parse_int(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = digits == "0" && text == "0" || !digits.starts_with('0');
    (canonical && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn parse_float(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let leading_zero = matches!(digits, [b'0', b'0'..=b'9', ..]);
    let has_point_or_exponent = digits.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    let starts_as_number = matches!(digits, [b'0'..=b'9' | b'.', ..]);
    if leading_zero || !has_point_or_exponent || !starts_as_number {
        return None;
    }
    text.parse().ok().filter(|float: &f64| float.is_finite())
}

/// A value that does not fit the column's type: the file changed after the scan.
#[derive(Debug)]
pub(super) struct Misfit;

/// A column of a block under construction.
pub(super) enum Assembly {
    Text(StringBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    List { element: Box<Assembly>, field: Arc<Field>, ends: Vec<i32>, valid: NullBufferBuilder },
}

impl Assembly {
    pub(super) fn new(kind: &Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Int => Self::Int(Int64Builder::new()),
            Kind::Float => Self::Float(Float64Builder::new()),
            Kind::Bool => Self::Bool(BooleanBuilder::new()),
            Kind::List(element) => Self::List {
                element: Box::new(Self::new(element)),
                field: element_field(element),
                ends: vec![0],
                valid: NullBufferBuilder::new(0),
            },
        }
    }

    /// Appends `cell` and says how many bytes of text that took.
    pub(super) fn push(&mut self, cell: &Cell<'_>) -> Result<usize, Misfit> {
        let value = match cell {
            Cell::Null => None,
            Cell::Text(text) => return self.push_text(text),
            Cell::Json(value) => Some(*value),
        };
        self.push_json(value)
    }

    fn push_text(&mut self, text: &str) -> Result<usize, Misfit> {
        match self {
            Self::Text(builder) => {
                builder.append_value(text);
                return Ok(text.len());
            }
            _ if is_null_word(text) => return self.push_json(None),
            Self::Int(builder) => builder.append_value(parse_int(text).ok_or(Misfit)?),
            Self::Float(builder) => builder.append_value(text.parse().map_err(|_| Misfit)?),
            Self::Bool(builder) => builder.append_value(parse_bool(text).ok_or(Misfit)?),
            Self::List { .. } => return Err(Misfit),
        }
        Ok(8)
    }

    fn push_json(&mut self, value: Option<&Value>) -> Result<usize, Misfit> {
        let value = value.filter(|value| !value.is_null());
        match (&mut *self, value) {
            (Self::Text(builder), None) => builder.append_null(),
            (Self::Int(builder), None) => builder.append_null(),
            (Self::Float(builder), None) => builder.append_null(),
            (Self::Bool(builder), None) => builder.append_null(),
            (Self::List { element, ends, valid, .. }, None) => {
                valid.append_null();
                ends.push(i32::try_from(element.len()).map_err(|_| Misfit)?);
            }
            (Self::Text(builder), Some(Value::String(text))) => {
                builder.append_value(text);
                return Ok(text.len());
            }
            (Self::Text(builder), Some(value)) => {
                let text = value.to_string();
                builder.append_value(&text);
                return Ok(text.len());
            }
            (Self::Int(builder), Some(value)) => builder.append_value(value.as_i64().ok_or(Misfit)?),
            (Self::Float(builder), Some(value)) => builder.append_value(value.as_f64().ok_or(Misfit)?),
            (Self::Bool(builder), Some(value)) => builder.append_value(value.as_bool().ok_or(Misfit)?),
            (Self::List { element, ends, valid, .. }, Some(Value::Array(values))) => {
                let mut bytes = 8;
                for value in values {
                    bytes += element.push_json(Some(value))?;
                }
                valid.append_non_null();
                ends.push(i32::try_from(element.len()).map_err(|_| Misfit)?);
                return Ok(bytes);
            }
            (Self::List { .. }, Some(_)) => return Err(Misfit),
        }
        Ok(8)
    }

    fn len(&self) -> usize {
        use arrow::array::ArrayBuilder as _;
        match self {
            Self::Text(builder) => builder.len(),
            Self::Int(builder) => builder.len(),
            Self::Float(builder) => builder.len(),
            Self::Bool(builder) => builder.len(),
            Self::List { ends, .. } => ends.len() - 1,
        }
    }

    pub(super) fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Int(mut builder) => Arc::new(builder.finish()),
            Self::Float(mut builder) => Arc::new(builder.finish()),
            Self::Bool(mut builder) => Arc::new(builder.finish()),
            Self::List { element, field, ends, mut valid } => {
                let element = element.finish();
                debug_assert_eq!(ends.last().copied(), i32::try_from(element.len()).ok());
                Arc::new(ListArray::new(field, OffsetBuffer::new(ends.into()), element, valid.finish()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_texts(texts: &[&str]) -> Kind {
        texts.iter().fold(Seen::default(), |seen, text| seen.join(Seen::of_text(text))).kind()
    }

    #[test]
    fn a_column_is_a_number_only_if_every_value_is() {
        for (texts, kind) in [
            (vec!["1", "-20", "", "0"], Kind::Int),
            (vec!["1", "2.5", "nan", "1e-3", ".5", "3."], Kind::Float),
            (vec!["True", "false", "NULL"], Kind::Bool),
            (vec!["1", "true"], Kind::Text),
            (vec!["1", "x"], Kind::Text),
            (vec!["", "NA"], Kind::Text),
            // Identifiers that only look like numbers.
            (vec!["007", "12"], Kind::Text),
            (vec!["00.5"], Kind::Text),
            (vec!["+1"], Kind::Text),
            (vec!["-0"], Kind::Text),
            (vec!["123456789012345678901"], Kind::Text),
            (vec!["9007199254740993", "0.5"], Kind::Text),
            (vec!["9007199254740993"], Kind::Int),
            (vec!["inf"], Kind::Text),
            (vec!["1e999"], Kind::Text),
            (vec!["1_000"], Kind::Text),
        ] {
            assert_eq!(of_texts(&texts), kind, "{texts:?}");
        }
    }

    #[test]
    fn json_lists_keep_their_element_type() {
        let kind = |values: &[&str]| {
            let seen = values.iter().map(|text| Seen::of_json(&serde_json::from_str(text).unwrap()));
            seen.fold(Seen::default(), Seen::join).kind()
        };
        let list = |element| Kind::List(Box::new(element));
        assert_eq!(kind(&["[1, 2]", "[]", "null", "[0.5]"]), list(Kind::Float));
        assert_eq!(kind(&["[\"a\"]", "[1]"]), list(Kind::Text));
        assert_eq!(kind(&["[[1]]"]), list(Kind::Text));
        assert_eq!(kind(&["[1]", "1"]), Kind::Text);
        assert_eq!(kind(&["{\"a\": 1}"]), Kind::Text);
        assert_eq!(kind(&["18446744073709551615"]), Kind::Text);
    }
}
