//! YFCC100M's SQLite release as the lines of its text release: the columns of both are the same 23, so a row becomes a line
//! and everything behind [`Lines`](super::lines::Lines) reads one like the other. The database has no line numbers, so
//! lists are joined with it on the photo id.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

use super::MAX_LINE_BYTES;
use super::error::YfccError;

/// What an SQLite file begins with (SQLite, "Database File Format", §1.3).
pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";

const TABLE: &str = "yfcc100m_dataset";
/// In the order of the text release.
const COLUMNS: &str = "photoid, uid, unickname, datetaken, dateuploaded, capturedevice, title, description, usertags, \
                       machinetags, longitude, latitude, accuracy, pageurl, downloadurl, licensename, licenseurl, serverid, \
                       farmid, secret, secretoriginal, ext, marker";
const NUM_COLUMNS: usize = 23;
/// Rows that one query asks for; fewer are taken where they are long.
const PAGE_ROWS: usize = 1024;
const PAGE_BYTES: usize = 1 << 20;

/// The rows in the order of their ids, as bytes.
pub(super) struct Database {
    path: PathBuf,
    connection: Connection,
    /// Lines that nobody has read, from `at` on.
    page: Vec<u8>,
    at: usize,
    /// Id of the last row of the page.
    last: i64,
    /// The largest id, for progress.
    end: i64,
    file_bytes: u64,
    bytes: Arc<AtomicU64>,
}

impl Database {
    /// Opens the file, which nobody writes to; `bytes` will count how far it has been read.
    pub fn open(path: &Path, bytes: Arc<AtomicU64>) -> Result<Self, YfccError> {
        let file_bytes = std::fs::metadata(path)
            .map_err(|error| YfccError::Unreadable { path: path.to_owned(), error })?
            .len();
        let found = || -> Result<(Connection, i64), Fault> {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            // A file from outside: its schema is data, and no cell may be longer than a line.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
            connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_LINE_BYTES as i32)?;
            // A view of the name could compute rows without end.
            let kind = "SELECT count(*) FROM sqlite_schema WHERE name = ?1 AND type = 'table' AND sql LIKE 'CREATE TABLE%'";
            if connection.query_row(kind, [TABLE], |row| row.get::<_, i64>(0))? == 0 {
                return Err(Fault::Shape(format!("it has no table {TABLE}")));
            }
            let last = format!("SELECT max(rowid) FROM {TABLE}");
            let end = connection.query_row(&last, [], |row| row.get::<_, Option<i64>>(0))?;
            Ok((connection, end.unwrap_or(0)))
        };
        let (connection, end) = found().map_err(|fault| broken(path, &fault))?;
        let (page, path) = (Vec::new(), path.to_owned());
        Ok(Self { path, connection, page, at: 0, last: i64::MIN, end, file_bytes, bytes })
    }

    /// Reads the next page, an empty one at the end.
    fn turn(&mut self) -> Result<(), Fault> {
        self.page.clear();
        self.at = 0;
        let query =
            format!("SELECT rowid, {COLUMNS} FROM {TABLE} WHERE rowid > ?1 ORDER BY rowid LIMIT {PAGE_ROWS}");
        let mut statement = self.connection.prepare(&query)?;
        let mut rows = statement.query([self.last])?;
        while self.page.len() < PAGE_BYTES
            && let Some(row) = rows.next()?
        {
            self.last = row.get(0)?;
            let before = self.page.len();
            write_line(row, &mut self.page)?;
            if self.page.len() - before > MAX_LINE_BYTES {
                let reason = format!("row {} is longer than {} MiB", self.last, MAX_LINE_BYTES >> 20);
                return Err(Fault::Shape(reason));
            }
        }
        let share = if self.page.is_empty() { 1.0 } else { self.last as f64 / self.end.max(1) as f64 };
        self.bytes.store((self.file_bytes as f64 * share.clamp(0.0, 1.0)) as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl Read for Database {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.page.len() {
            self.turn().map_err(|fault| io::Error::other(broken(&self.path, &fault)))?;
        }
        let mut left = &self.page[self.at..];
        let read = left.read(into)?;
        self.at += read;
        Ok(read)
    }
}

/// A row as a line; what ends fields and lines in text ends none here.
fn write_line(row: &Row<'_>, line: &mut Vec<u8>) -> rusqlite::Result<()> {
    for column in 1..=NUM_COLUMNS {
        let from = line.len();
        // Writing to memory does not fail.
        let _ = match row.get_ref(column)? {
            ValueRef::Null => Ok(()),
            ValueRef::Integer(number) => write!(line, "{number}"),
            ValueRef::Real(number) => write!(line, "{number}"),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => line.write_all(bytes),
        };
        for byte in &mut line[from..] {
            if matches!(byte, b'\t' | b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        // Each cell is bounded by SQLite; all of them together by the caller, who needs no more to tell.
        if line.len() > PAGE_BYTES + 2 * MAX_LINE_BYTES {
            return Ok(());
        }
        line.push(if column == NUM_COLUMNS { b'\n' } else { b'\t' });
    }
    Ok(())
}

/// Why a page cannot be read.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The database is in order, but not what was released.
    #[error("{0}")]
    Shape(String),
}

fn broken(path: &Path, fault: &Fault) -> YfccError {
    YfccError::Database { path: path.to_owned(), reason: fault.to_string().replace('\n', " ") }
}
