//! The user's own rule, `--where`: an SQL expression over the table's columns, true for the rows that stay. SQLite evaluates
//! it, so its words mean what they mean there (<https://sqlite.org/lang_expr.html>); `REGEXP` is the regex crate's.
//!
//! [`columns`] finds out which columns an expression names, so that only those are read; [`Judge`] asks it of batches, whose
//! rows it puts into a table in memory.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, Schema};
use regex::Regex;
use rusqlite::config::DbConfig;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection, ToSql, params_from_iter};

use super::error::FilterError;
use crate::table::to_text;

/// The flag, for messages.
pub(super) const FLAG: &str = "--where";
/// Begins the names that the columns have in blocks.
const PREFIX: &str = "filter:where:";
const TABLE: &str = "input";
/// The number of a row, under a name that no column of a table has.
const ROW: &str = "filter:where row";
/// Functions whose answers differ from run to run: what is kept must not.
const UNSTEADY: [&str; 8] = [
    "random",
    "randomblob",
    "changes",
    "total_changes",
    "last_insert_rowid",
    "current_date",
    "current_time",
    "current_timestamp",
];

/// Whether a table's cells have types of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    /// Parquet: text is text.
    Typed,
    /// CSV, TSV and JSON: a cell that reads as a number is one, as in a column of affinity NUMERIC.
    Text,
}

/// The name in blocks of the table's column `name`.
pub(super) fn block_name(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Which of `names`, the columns of the table, `expression` names, in the table's order.
///
/// # Errors
/// When it is no SQL expression over them.
pub fn columns(expression: &str, names: &[String]) -> Result<Vec<String>, FilterError> {
    let wrong = |error: &rusqlite::Error| {
        let reason = format!("{}; the columns are {}", message(error), names.join(", "));
        FilterError::Where { expression: expression.to_owned(), reason }
    };
    let found: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let into = Arc::clone(&found);
    let prepare = || -> rusqlite::Result<()> {
        let mut connection = open()?;
        create(&connection, names.iter().map(|name| (name.as_str(), "")))?;
        connection.authorizer(Some(move |asked: AuthContext<'_>| allow(&asked, &into)))?;
        // All of it: what is more than one expression is more than one statement.
        let query = query(expression);
        let mut statements = Batch::new(&connection, &query);
        while statements.next()?.is_some() {}
        Ok(())
    };
    prepare().map_err(|error| wrong(&error))?;
    let found = found.lock().map(|found| found.clone()).unwrap_or_default();
    Ok(names.iter().filter(|name| found.contains(*name)).cloned().collect())
}

/// Notes the columns; nothing but looking at the one table is allowed.
fn allow(asked: &AuthContext<'_>, columns: &Mutex<BTreeSet<String>>) -> Authorization {
    match asked.action {
        AuthAction::Read { table_name: TABLE, column_name } => {
            if let Ok(mut columns) = columns.lock() {
                columns.insert(column_name.to_owned());
            }
            Authorization::Allow
        }
        AuthAction::Function { function_name }
            if UNSTEADY.contains(&function_name.to_lowercase().as_str()) =>
        {
            Authorization::Deny
        }
        AuthAction::Select | AuthAction::Function { .. } | AuthAction::Recursive => Authorization::Allow,
        _ => Authorization::Deny,
    }
}

fn open() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    // "caption" in double quotes is a column and never a text.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.execute_batch("PRAGMA journal_mode = OFF")?;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("regexp", 2, flags, matches)?;
    Ok(connection)
}

/// `text REGEXP pattern`, which calls `regexp(pattern, text)`; null where the text is.
fn matches(context: &mut Context<'_>) -> rusqlite::Result<Option<bool>> {
    let compile = |pattern: ValueRef<'_>| -> Result<Regex, Box<dyn Error + Send + Sync>> {
        Ok(Regex::new(pattern.as_str()?)?)
    };
    let pattern: Arc<Regex> = context.get_or_create_aux(0, compile)?;
    Ok(match context.get_raw(1) {
        ValueRef::Text(text) => Some(pattern.is_match(&String::from_utf8_lossy(text))),
        ValueRef::Integer(number) => Some(pattern.is_match(&number.to_string())),
        ValueRef::Real(number) => Some(pattern.is_match(&number.to_string())),
        ValueRef::Null | ValueRef::Blob(_) => None,
    })
}

/// Makes the table of columns with their affinities.
fn create<'a>(
    connection: &Connection,
    columns: impl Iterator<Item = (&'a str, &'a str)>,
) -> rusqlite::Result<()> {
    let mut sql = format!("CREATE TABLE {TABLE} ({} INTEGER PRIMARY KEY", quoted(ROW));
    for (name, affinity) in columns {
        // Writing to a string does not fail.
        let _ = write!(sql, ", {} {affinity}", quoted(name));
    }
    connection.execute_batch(&format!("{sql})"))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn query(expression: &str) -> String {
    // The line break ends a comment.
    format!("SELECT {row} FROM {TABLE} WHERE ({expression}\n) ORDER BY {row}", row = quoted(ROW))
}

fn message(error: &rusqlite::Error) -> String {
    let text = match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    };
    text.replace('\n', " ")
}

/// The expression over batches of one schema.
#[derive(Debug)]
pub(super) struct Judge {
    connection: Connection,
    expression: String,
    /// Names in the batches.
    columns: Vec<String>,
}

impl Judge {
    /// For batches of `schema`, where the columns that the expression names are those of [`block_name`].
    pub fn new(expression: &str, schema: &Schema, cells: Cells) -> Result<Self, FilterError> {
        let fields =
            || schema.fields().iter().filter_map(|field| Some((field.name().strip_prefix(PREFIX)?, field)));
        let prepare = || -> rusqlite::Result<Connection> {
            let connection = open()?;
            create(&connection, fields().map(|(name, field)| (name, affinity(field.data_type(), cells))))?;
            connection.prepare(&query(expression))?;
            Ok(connection)
        };
        let connection = prepare().map_err(|error| FilterError::Where {
            expression: expression.to_owned(),
            reason: message(&error),
        })?;
        let columns = fields().map(|(_, field)| field.name().clone()).collect();
        Ok(Self { connection, expression: expression.to_owned(), columns })
    }

    /// Removes from `alive`, the rows of `batch` that are left, those for which the expression is not true.
    pub fn retain(&mut self, batch: &RecordBatch, alive: &mut Vec<u32>) -> Result<(), FilterError> {
        let mut values = Vec::with_capacity(self.columns.len());
        for name in &self.columns {
            if let Some(column) = batch.column_by_name(name) {
                values.push(Values::of(column).ok_or_else(|| FilterError::Where {
                    expression: self.expression.clone(),
                    reason: format!(
                        "column {} is {}, which has no SQL value",
                        name.trim_start_matches(PREFIX),
                        column.data_type()
                    ),
                })?);
            }
        }
        self.ask(&values, alive).map_err(|error| FilterError::Where {
            expression: self.expression.clone(),
            reason: message(&error),
        })
    }

    fn ask(&mut self, values: &[Values], alive: &mut Vec<u32>) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute(&format!("DELETE FROM {TABLE}"), [])?;
        let places = vec!["?"; values.len() + 1].join(", ");
        let mut insert = transaction.prepare(&format!("INSERT INTO {TABLE} VALUES ({places})"))?;
        for &row in &*alive {
            let cells = values.iter().map(|values| values.cell(row as usize));
            insert.execute(params_from_iter(
                std::iter::once(Cell(ValueRef::Integer(row.into()))).chain(cells),
            ))?;
        }
        drop(insert);
        alive.clear();
        let mut kept = transaction.prepare(&query(&self.expression))?;
        for row in kept.query_map([], |row| row.get(0))? {
            alive.push(row?);
        }
        drop(kept);
        transaction.commit()
    }
}

fn affinity(kind: &DataType, cells: Cells) -> &'static str {
    match (kind, cells) {
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, Cells::Text) => "NUMERIC",
        (DataType::Boolean, _) => "INTEGER",
        (kind, _) if kind.is_integer() => "INTEGER",
        (kind, _) if kind.is_floating() || kind.is_decimal() => "REAL",
        _ => "TEXT",
    }
}

/// A column as SQL sees it: dates, times and what else has a text are text.
struct Values(arrow::array::ArrayRef);

impl Values {
    fn of(column: &arrow::array::ArrayRef) -> Option<Self> {
        let kind = column.data_type();
        let to = match kind {
            DataType::Boolean => DataType::Int64,
            kind if kind.is_integer() => DataType::Int64,
            kind if kind.is_floating() || kind.is_decimal() => DataType::Float64,
            // Casting would write lists and structs down as text.
            kind if kind.is_nested() => return None,
            _ => return to_text(column).ok().map(Self),
        };
        cast(column, &to).ok().map(Self)
    }

    fn cell(&self, row: usize) -> Cell<'_> {
        let array = &self.0;
        Cell(if array.is_null(row) {
            ValueRef::Null
        } else if let Some(numbers) = array.as_primitive_opt::<Int64Type>() {
            ValueRef::Integer(numbers.value(row))
        } else if let Some(numbers) = array.as_primitive_opt::<Float64Type>() {
            ValueRef::Real(numbers.value(row))
        } else {
            let text = array.as_string_opt::<i32>();
            text.map_or(ValueRef::Null, |text| ValueRef::Text(text.value(row).as_bytes()))
        })
    }
}

struct Cell<'a>(ValueRef<'a>);

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(rusqlite::types::ToSqlOutput::Borrowed(self.0))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int32Array, StringArray};

    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    fn kept(expression: &str, cells: Cells, columns: Vec<(&str, ArrayRef)>) -> Vec<u32> {
        let columns = columns.into_iter().map(|(name, array)| (block_name(name), array, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let mut judge = Judge::new(expression, &batch.schema(), cells).unwrap();
        let mut alive: Vec<u32> = (0..batch.num_rows() as u32).collect();
        // Twice: nothing is left over from a batch before.
        judge.retain(&batch, &mut alive.clone()).unwrap();
        judge.retain(&batch, &mut alive).unwrap();
        alive
    }

    fn text(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(values.iter().copied().collect::<StringArray>())
    }

    #[test]
    fn an_expression_names_its_columns_in_any_case() {
        let table = names(&["URL", "TEXT", "similarity", "a column", "group"]);
        let of = |expression: &str| columns(expression, &table).unwrap();
        assert_eq!(of("similarity > 0.3 AND text NOT LIKE '%lorem%'"), ["TEXT", "similarity"]);
        assert_eq!(of("\"a column\" IS NULL OR \"group\" IN (1, 2) -- all"), ["a column", "group"]);
        assert_eq!(of("1 = 1"), [""; 0]);
    }

    #[test]
    fn what_is_no_expression_over_the_table_is_refused() {
        for (expression, reason) in [
            ("similarty > 0.3", "no such column: similarty; the columns are url, similarity"),
            ("similarity >", "syntax error"),
            ("url = \"photo\"", "no such column: \"photo\""),
            ("random() % 2", "not authorized to use function: random"),
            ("url IN (SELECT name FROM sqlite_master)", "prohibited"),
            ("1); DROP TABLE input; --", "; the columns are"),
        ] {
            let refusal = columns(expression, &names(&["url", "similarity"])).unwrap_err().to_string();
            assert!(refusal.starts_with(&format!("--where `{expression}`: ")), "{refusal}");
            assert!(refusal.contains(reason), "{refusal}");
        }
    }

    #[test]
    fn typed_columns_compare_as_what_they_are_and_null_is_not_true() {
        let width: ArrayRef = Arc::new(Int32Array::from(vec![Some(100), Some(1024), None, Some(20)]));
        let score: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.2), Some(0.31), Some(0.9), None]));
        let safe: ArrayRef = Arc::new(BooleanArray::from(vec![true, true, false, true]));
        let code = text(&[Some("007"), Some("7"), None, Some("x")]);
        let of = |expression: &str| {
            let columns = vec![
                ("width", width.clone()),
                ("score", score.clone()),
                ("safe", safe.clone()),
                ("code", code.clone()),
            ];
            kept(expression, Cells::Typed, columns)
        };
        assert_eq!(of("width >= 100 AND score > 0.3"), [1]);
        assert_eq!(of("NOT (width >= 100)"), [3]);
        assert_eq!(of("safe"), [0, 1, 3]);
        assert_eq!(of("code = '007' OR code IS NULL"), [0, 2]);
        assert_eq!(of("width > 0 OR 1"), [0, 1, 2, 3]);
    }

    #[test]
    fn numbers_in_text_tables_are_numbers() {
        let width = text(&[Some("100"), Some("1024"), Some("wide"), None, Some("99.5")]);
        assert_eq!(kept("width BETWEEN 100 AND 2000", Cells::Text, vec![("width", width.clone())]), [0, 1]);
        assert_eq!(kept("width = '1024'", Cells::Text, vec![("width", width.clone())]), [1]);
        // In Parquet the same cells are words, and compared letter by letter.
        assert_eq!(kept("width > 2000", Cells::Typed, vec![("width", width)]), [2, 4]);
    }

    #[test]
    fn regexp_is_the_regex_crates() {
        let caption = text(&[Some("A Dog"), Some("dogma"), None, Some("hot dog")]);
        assert_eq!(kept(r"caption REGEXP '(?i)\bdog\b'", Cells::Typed, vec![("caption", caption)]), [0, 3]);
    }
}
