//! Tables and their text forms: CSV with every digit, Markdown with the digits people read.

use std::fmt::Write;

use pairmill_shards::markup::markdown;

use crate::stats::short;

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A number, and how many digits behind the point people are shown at most.
    Number(f64, usize),
    /// Nothing.
    Blank,
}

impl Value {
    /// A number or nothing.
    pub fn optional(x: Option<f64>, decimals: usize) -> Self {
        x.map_or(Self::Blank, |x| Self::Number(x, decimals))
    }

    /// As people are shown it.
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(x, decimals) => short(*x, *decimals),
            Self::Blank => String::new(),
        }
    }

    /// With every digit.
    pub fn exact(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(x, _) => x.to_string(),
            Self::Blank => String::new(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Above it; may be blank.
    pub title: String,
    /// Names of its columns.
    pub columns: Vec<String>,
    /// Its rows, each as long as `columns`.
    pub rows: Vec<Vec<Value>>,
}

impl Table {
    /// An empty table.
    pub fn new(title: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|c| (*c).to_owned()).collect();
        Self { title: title.to_owned(), columns, rows: Vec::new() }
    }

    /// The text of a CSV file (RFC 4180, but lines end in a line feed).
    pub fn to_csv(&self) -> String {
        let mut text = String::new();
        let line = |text: &mut String, cells: &mut dyn Iterator<Item = String>| {
            let quoted: Vec<String> = cells.map(|cell| quote(&cell)).collect();
            text.push_str(&quoted.join(","));
            text.push('\n');
        };
        line(&mut text, &mut self.columns.iter().cloned());
        for row in &self.rows {
            line(&mut text, &mut row.iter().map(Value::exact));
        }
        text
    }

    /// Whether every filled cell of a column is a number.
    pub fn is_numeric(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.clone().any(|c| matches!(c, Value::Number(..))) && cells.all(|c| !matches!(c, Value::Text(_)))
    }

    /// A Markdown table.
    pub fn to_markdown(&self) -> String {
        let cell = |text: String| markdown(&text);
        let mut text = String::new();
        let names: Vec<String> = self.columns.iter().cloned().map(cell).collect();
        let rules: Vec<&str> =
            (0..self.columns.len()).map(|n| if self.is_numeric(n) { "--:" } else { "---" }).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} |\n| {} |", names.join(" | "), rules.join(" | "));
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|value| cell(value.shown())).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }
}

fn quote(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}
