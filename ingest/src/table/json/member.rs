//! An array that is a member of one object: the way to it, and what follows it. Nothing but the member's name is held,
//! so what else the object has (RedCaps: `info`) may be of any size.

use super::{Framing, JsonRecords};
use crate::table::error::TableError;

/// Longest name of a member that is looked at.
const MAX_NAME_BYTES: usize = 1_024;

impl JsonRecords {
    /// From the `{` of the object to the value of the wanted member, which comes next.
    pub(super) fn enter_object(&mut self) -> Result<(), TableError> {
        let wanted = match &self.framing {
            Framing::Member(name) => name.clone(),
            Framing::Array | Framing::Lines => String::new(),
        };
        self.text.consume(1);
        while let Some(name) = self.next_member()? {
            if name == wanted.as_bytes() {
                return Ok(());
            }
            self.skip_value()?;
        }
        Err(self.malformed(format!("the object has no `{wanted}`; it should be an array of objects")))
    }

    /// From behind the array to the end of the object that holds it.
    pub(super) fn leave_object(&mut self) -> Result<(), TableError> {
        while self.next_member()?.is_some() {
            self.skip_value()?;
        }
        Ok(())
    }

    /// The name of the next member, its `:` consumed; `None` behind the closing brace.
    fn next_member(&mut self) -> Result<Option<Vec<u8>>, TableError> {
        let mut found = self.expect_solid()?;
        if found == b',' {
            self.text.consume(1);
            found = self.expect_solid()?;
        }
        match found {
            b'}' => {
                self.text.consume(1);
                Ok(None)
            }
            b'"' => {
                self.text.consume(1);
                let name = self.rest_of_string()?;
                if self.expect_solid()? != b':' {
                    return Err(self.malformed("expected `:` behind the name of a member".to_owned()));
                }
                self.text.consume(1);
                Ok(Some(name))
            }
            _ => Err(self.malformed("expected the name of a member or `}`".to_owned())),
        }
    }

    fn expect_solid(&mut self) -> Result<u8, TableError> {
        match self.next_solid()? {
            Some(byte) => Ok(byte),
            None => {
                Err(self.malformed("the object has no end; the file is cut short, fetch it again".to_owned()))
            }
        }
    }

    fn next_byte(&mut self) -> Result<u8, TableError> {
        match self.text.fill(self.row)?.first().copied() {
            Some(byte) => {
                self.text.consume(1);
                self.line += u64::from(byte == b'\n');
                Ok(byte)
            }
            None => {
                Err(self.malformed("the object has no end; the file is cut short, fetch it again".to_owned()))
            }
        }
    }

    /// A string whose opening quote is consumed, escapes as they stand; only its beginning if it is long.
    fn rest_of_string(&mut self) -> Result<Vec<u8>, TableError> {
        let mut string = Vec::new();
        let mut escaped = false;
        loop {
            let byte = self.next_byte()?;
            match byte {
                b'"' if !escaped => return Ok(string),
                _ => escaped = byte == b'\\' && !escaped,
            }
            if string.len() < MAX_NAME_BYTES {
                string.push(byte);
            }
        }
    }

    /// Passes over one value of any size.
    fn skip_value(&mut self) -> Result<(), TableError> {
        let mut depth = 0_u64;
        self.expect_solid()?;
        loop {
            let Some(&byte) = self.text.fill(self.row)?.first() else {
                return self.next_byte().map(|_| ());
            };
            if depth == 0 && matches!(byte, b',' | b'}' | b']') {
                return Ok(());
            }
            match self.next_byte()? {
                b'"' => drop(self.rest_of_string()?),
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
        }
    }
}
