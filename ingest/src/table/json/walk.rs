//! A walk over the bytes of a JSON text: white space, names and values are told by brackets and strings alone, and only
//! what is asked for is kept, so that the text may be of any size.

use std::path::Path;
use std::sync::Arc;

use crate::table::error::{MAX_RECORD_BYTES, TableError};
use crate::table::text::Text;

/// Longest name of a member that is looked at.
const MAX_NAME_BYTES: usize = 1_024;

pub(super) const CUT_SHORT: &str = "the object has no end; the file is cut short, fetch it again";

/// Where a text is being read.
pub(super) struct Walk {
    pub(super) text: Text,
    /// Bytes behind us.
    pub(super) offset: u64,
    /// Line the reader stands on, 1-based.
    pub(super) line: u64,
    /// Records behind us, for messages.
    pub(super) row: u64,
}

/// How far a value has been read.
#[derive(Default)]
pub(super) struct Scan {
    depth: u64,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// The index in `bytes` at which the value ends, if it does.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, &byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                // After a number or a string.
                b',' | b']' | b'}' if self.depth == 0 => return Some(index),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(index + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

impl Walk {
    pub(super) fn new(text: Text) -> Self {
        Self { text, offset: 0, line: 1, row: 0 }
    }

    pub(super) fn path(&self) -> &Arc<Path> {
        &self.text.path
    }

    pub(super) fn malformed(&self, reason: impl Into<String>) -> TableError {
        let path = self.text.path.to_path_buf();
        TableError::Malformed { path, row: self.row, line: self.line, reason: reason.into() }
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.text.consume(count);
        self.offset += count as u64;
    }

    /// The next byte that is no white space, not consumed.
    pub(super) fn next_solid(&mut self) -> Result<Option<u8>, TableError> {
        loop {
            let buffer = self.text.fill(self.row)?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let lines = buffer[..blank].iter().filter(|&&byte| byte == b'\n').count();
            let found = buffer.get(blank).copied();
            self.consume(blank);
            self.line += lines as u64;
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// The next byte that is no white space, inside of an object.
    pub(super) fn expect_solid(&mut self) -> Result<u8, TableError> {
        self.next_solid()?.ok_or_else(|| self.malformed(CUT_SHORT))
    }

    /// Copies one value, which begins at the next byte, to the end of `raw`, which then has no more than
    /// [`MAX_RECORD_BYTES`].
    pub(super) fn take_value(&mut self, raw: &mut Vec<u8>, hint: &'static str) -> Result<(), TableError> {
        let began_on = self.line;
        let mut scan = Scan::default();
        loop {
            let buffer = self.text.fill(self.row)?;
            if buffer.is_empty() {
                let reason = "the array ends inside an element; the file is cut short, fetch it again";
                return Err(self.malformed(reason));
            }
            let end = scan.end(buffer);
            let used = end.unwrap_or(buffer.len());
            let lines = buffer[..used].iter().filter(|&&byte| byte == b'\n').count();
            // A buffer beyond the limit at most.
            raw.extend_from_slice(&buffer[..used]);
            self.consume(used);
            self.line += lines as u64;
            if raw.len() > MAX_RECORD_BYTES {
                let (path, row) = (self.text.path.to_path_buf(), self.row);
                return Err(TableError::RecordTooLong { path, row, line: began_on, hint });
            }
            if end.is_some() {
                return Ok(());
            }
        }
    }

    /// Passes over one value of any size; at least one byte, so that whoever asks again gets on.
    pub(super) fn skip_value(&mut self) -> Result<(), TableError> {
        let mut scan = Scan::default();
        if matches!(self.expect_solid()?, b',' | b']' | b'}') {
            return Err(self.malformed("expected a value"));
        }
        loop {
            let buffer = self.text.fill(self.row)?;
            if buffer.is_empty() {
                return Err(self.malformed(CUT_SHORT));
            }
            let end = scan.end(buffer);
            let used = end.unwrap_or(buffer.len());
            let lines = buffer[..used].iter().filter(|&&byte| byte == b'\n').count();
            self.consume(used);
            self.line += lines as u64;
            if end.is_some() {
                return Ok(());
            }
        }
    }

    /// The name of the next member, escapes as they stand and its `:` consumed; `None` behind the closing brace.
    pub(super) fn next_member(&mut self) -> Result<Option<Vec<u8>>, TableError> {
        let mut found = self.expect_solid()?;
        if found == b',' {
            self.consume(1);
            found = self.expect_solid()?;
        }
        match found {
            b'}' => {
                self.consume(1);
                Ok(None)
            }
            b'"' => {
                let name = self.take_name()?;
                if self.expect_solid()? != b':' {
                    return Err(self.malformed("expected `:` after the name of a member"));
                }
                self.consume(1);
                Ok(Some(name))
            }
            _ => Err(self.malformed("expected the name of a member or `}`")),
        }
    }

    /// A string that begins at the next byte, without its quotes; only its beginning if it is long.
    pub(super) fn take_name(&mut self) -> Result<Vec<u8>, TableError> {
        self.consume(1);
        let mut name = Vec::new();
        let mut escaped = false;
        loop {
            let buffer = self.text.fill(self.row)?;
            if buffer.is_empty() {
                return Err(self.malformed(CUT_SHORT));
            }
            let end = buffer.iter().position(|&byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            });
            let bytes = &buffer[..end.unwrap_or(buffer.len())];
            name.extend(bytes.iter().take(MAX_NAME_BYTES - name.len()));
            let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
            let used = bytes.len() + usize::from(end.is_some());
            self.consume(used);
            self.line += lines as u64;
            if end.is_some() {
                return Ok(name);
            }
        }
    }
}
