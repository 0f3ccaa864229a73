//! As much of Thrift's compact protocol as it takes to look at a Parquet header before the parquet crate does. The crate
//! reserves memory by the lengths it finds; here every length is only compared.

/// Elements that a list inside a header may have. Encodings, paths and histograms have a handful.
const MAX_LIST: u64 = 65_536;
/// Structs within structs. A row group's statistics are five deep.
const MAX_DEPTH: u32 = 32;

// Types of fields and elements.
const BOOL_TRUE: u8 = 1;
const BOOL_FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
pub(super) const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
pub(super) const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
pub(super) const STRUCT: u8 = 12;
const UUID: u8 = 13;

/// The header ends too early, or is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadHeader;

/// Where a header's bytes come from.
pub(super) trait Bytes {
    fn byte(&mut self) -> Result<u8, BadHeader>;
    fn skip(&mut self, count: u64) -> Result<(), BadHeader>;
}

impl Bytes for &[u8] {
    fn byte(&mut self) -> Result<u8, BadHeader> {
        let (&first, rest) = self.split_first().ok_or(BadHeader)?;
        *self = rest;
        Ok(first)
    }

    fn skip(&mut self, count: u64) -> Result<(), BadHeader> {
        let count = usize::try_from(count).map_err(|_| BadHeader)?;
        *self = self.get(count..).ok_or(BadHeader)?;
        Ok(())
    }
}

/// A field of a struct: its id and type.
pub(super) struct Field {
    pub(super) id: i64,
    pub(super) kind: u8,
}

pub(super) struct Compact<B>(pub(super) B);

impl<B: Bytes> Compact<B> {
    fn varint(&mut self) -> Result<u64, BadHeader> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.0.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(BadHeader)
    }

    pub(super) fn integer(&mut self) -> Result<i64, BadHeader> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The next field of a struct, `None` at its end. `last` begins at 0.
    pub(super) fn field(&mut self, last: &mut i64) -> Result<Option<Field>, BadHeader> {
        let head = self.0.byte()?;
        if head & 0x0f == 0 {
            return Ok(None);
        }
        let delta = i64::from(head >> 4);
        *last = if delta == 0 { self.integer()? } else { last.checked_add(delta).ok_or(BadHeader)? };
        Ok(Some(Field { id: *last, kind: head & 0x0f }))
    }

    /// Type and number of the elements that follow.
    pub(super) fn list(&mut self) -> Result<(u8, u64), BadHeader> {
        let head = self.0.byte()?;
        let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        Ok((head & 0x0f, count))
    }

    /// Passes over a field's value.
    pub(super) fn skip(&mut self, kind: u8) -> Result<(), BadHeader> {
        self.skip_within(kind, MAX_DEPTH)
    }

    fn skip_within(&mut self, kind: u8, depth: u32) -> Result<(), BadHeader> {
        let depth = depth.checked_sub(1).ok_or(BadHeader)?;
        match kind {
            BOOL_TRUE | BOOL_FALSE => Ok(()),
            BYTE => self.0.skip(1),
            I16 | I32 | I64 => self.varint().map(drop),
            DOUBLE => self.0.skip(8),
            BINARY => {
                let length = self.varint()?;
                self.0.skip(length)
            }
            LIST | SET => {
                let (element, count) = self.list()?;
                self.skip_elements(&[element], count, depth)
            }
            MAP => {
                let count = self.varint()?;
                let kinds = if count == 0 { 0 } else { self.0.byte()? };
                self.skip_elements(&[kinds >> 4, kinds & 0x0f], count, depth)
            }
            STRUCT => {
                let mut last = 0;
                while let Some(field) = self.field(&mut last)? {
                    self.skip_within(field.kind, depth)?;
                }
                Ok(())
            }
            UUID => self.0.skip(16),
            _ => Err(BadHeader),
        }
    }

    fn skip_elements(&mut self, kinds: &[u8], count: u64, depth: u32) -> Result<(), BadHeader> {
        if count > MAX_LIST {
            return Err(BadHeader);
        }
        for _ in 0..count {
            for &kind in kinds {
                // Inside a collection a boolean is a byte, not a part of the field's type.
                let kind = if matches!(kind, BOOL_TRUE | BOOL_FALSE) { BYTE } else { kind };
                self.skip_within(kind, depth)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f02_every_length_in_a_header_is_doubted() {
        let skip = |kind, bytes: &[u8]| {
            let mut compact = Compact(bytes);
            compact.skip(kind).map(|()| compact.0.len())
        };
        assert_eq!(skip(BINARY, b"\x03abcd"), Ok(1));
        assert_eq!(skip(BINARY, b"\xff\xff\xff\xff\xff\xff\xff\xff\x7fabc"), Err(BadHeader));
        // A list of 2^31 empty structs in six bytes.
        assert_eq!(skip(LIST, b"\xfc\xff\xff\xff\xff\x07"), Err(BadHeader));
        assert_eq!(skip(LIST, b"\x25\x02\x04!"), Ok(1));
        assert_eq!(skip(MAP, b"\x00!"), Ok(1));
        assert_eq!(skip(STRUCT, b"\x15\x02\x11\x18\x01a\x00!"), Ok(1));
        // Structs without end.
        assert_eq!(skip(STRUCT, &[0x1c; 4_096]), Err(BadHeader));
        assert_eq!(skip(I64, &[0xff; 32]), Err(BadHeader));
    }
}
