//! As much of MATLAB's level 5 files as `meta.mat` needs: one struct array whose fields are numbers and texts, zlib
//! compressed or not, little-endian (MathWorks, "MAT-File Format"). Every length is doubted, nothing recurses, and
//! what unpacks to more than [`MAX_VARIABLE_BYTES`] is refused.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// Largest file. The real `meta.mat` has some hundred kilobytes.
pub const MAX_BYTES: u64 = 64 << 20;
/// Largest variable once unpacked, each byte of which may be a number of eight.
const MAX_VARIABLE_BYTES: u64 = 16 << 20;
/// Characters of a variable's name that a message repeats, and names that it lists.
const MAX_NAME_CHARS: usize = 40;
const MAX_NAMES: usize = 20;
const HEADER_BYTES: usize = 128;

// Data types.
const INT8: u32 = 1;
const UINT8: u32 = 2;
const INT16: u32 = 3;
const UINT16: u32 = 4;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const SINGLE: u32 = 7;
const DOUBLE: u32 = 9;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const UTF8: u32 = 16;
const UTF16: u32 = 17;
// Array classes.
const STRUCT_CLASS: u8 = 2;
const CHAR_CLASS: u8 = 4;
const NUMBER_CLASSES: std::ops::RangeInclusive<u8> = 6..=15;

/// Why a file is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatError {
    /// Another format.
    #[error("not a MATLAB level 5 file (v7.3 files are HDF5 and are not read)")]
    NotMat,
    /// From a machine of the other byte order.
    #[error("a big-endian MATLAB file, which is not read; save it again on this machine")]
    BigEndian,
    /// The file ends too early, or a length is wrong.
    #[error("the MATLAB file is cut short or damaged: {what} at byte {at}{}", if *unpacked { " of the unpacked variable" } else { "" })]
    Damaged {
        /// What was being read.
        what: &'static str,
        /// Where.
        at: usize,
        /// Whether `at` counts in unpacked data.
        unpacked: bool,
    },
    /// The zlib stream is broken.
    #[error("the MATLAB file's compressed variable is damaged: {0}")]
    Zlib(String),
    /// More data than any devkit has.
    #[error("the MATLAB variable unpacks to more than {} MiB", MAX_VARIABLE_BYTES >> 20)]
    TooLarge,
    /// The variable is not there.
    #[error("no struct array `{name}` in the MATLAB file; it holds {found}")]
    NoVariable {
        /// Its name.
        name: &'static str,
        /// The names there are.
        found: String,
    },
}

/// A field of one struct.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A matrix of numbers, in MATLAB's order; complex parts are left out.
    Numbers(Vec<f64>),
    /// A text.
    Text(String),
    /// Anything else.
    Other,
}

impl Value {
    /// A whole number in a matrix of one.
    pub fn integer(&self) -> Option<u64> {
        match self {
            Self::Numbers(numbers) => match numbers.as_slice() {
                [number] if number.fract() == 0.0 && (0.0..9e15).contains(number) => Some(*number as u64),
                _ => None,
            },
            _ => None,
        }
    }

    /// A text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A struct array: `rows[i][f]` is field `f` of struct `i`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StructArray {
    /// Names of the fields.
    pub fields: Vec<String>,
    /// The structs.
    pub rows: Vec<Vec<Value>>,
}

/// Reads the struct array `name` of a file.
///
/// # Errors
/// When the bytes are no such file, or are damaged.
pub fn read_struct_array(bytes: &[u8], name: &'static str) -> Result<StructArray, MatError> {
    let header = bytes.get(..HEADER_BYTES).ok_or(MatError::NotMat)?;
    match (&header[124..126], &header[126..128]) {
        (_, b"MI") => return Err(MatError::BigEndian),
        ([_, 1], b"IM") => {}
        _ => return Err(MatError::NotMat),
    }
    let mut cursor = Cursor { data: bytes, at: HEADER_BYTES, unpacked: false };
    let mut found = Vec::new();
    while !cursor.is_at_end() {
        let (kind, data) = cursor.element("a variable")?;
        let unpacked;
        let mut variable = match kind {
            COMPRESSED => {
                unpacked = unpack(data)?;
                Cursor { data: &unpacked, at: 0, unpacked: true }
            }
            _ => Cursor { data, at: 0, unpacked: true },
        };
        let data = match kind {
            COMPRESSED => match variable.element("a variable")? {
                (MATRIX, data) => data,
                _ => continue,
            },
            MATRIX => data,
            _ => continue,
        };
        let mut matrix = Matrix::open(data)?;
        if matrix.class == STRUCT_CLASS && matrix.name == name {
            return matrix.structs();
        }
        if found.len() < MAX_NAMES {
            found.push(matrix.name.escape_debug().take(MAX_NAME_CHARS).collect::<String>());
        }
    }
    let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
    Err(MatError::NoVariable { name, found })
}

fn unpack(data: &[u8]) -> Result<Vec<u8>, MatError> {
    let mut unpacked = Vec::new();
    let read = ZlibDecoder::new(data).take(MAX_VARIABLE_BYTES + 1).read_to_end(&mut unpacked);
    read.map_err(|e| MatError::Zlib(e.to_string()))?;
    if unpacked.len() as u64 > MAX_VARIABLE_BYTES { Err(MatError::TooLarge) } else { Ok(unpacked) }
}

/// Elements one after the other.
struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
    unpacked: bool,
}

impl<'a> Cursor<'a> {
    /// Up to seven bytes may be left over, as padding of the last element.
    fn is_at_end(&self) -> bool {
        self.at + 8 > self.data.len()
    }

    fn damaged(&self, what: &'static str) -> MatError {
        MatError::Damaged { what, at: self.at, unpacked: self.unpacked }
    }

    fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.data.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    /// The next element's data type and data. Up to four bytes lie in the tag itself.
    fn element(&mut self, what: &'static str) -> Result<(u32, &'a [u8]), MatError> {
        let tag = self.word(self.at).ok_or_else(|| self.damaged(what))?;
        let (kind, start, len, next) = if tag >> 16 != 0 {
            let len = (tag >> 16) as usize;
            if len > 4 {
                return Err(self.damaged(what));
            }
            (tag & 0xffff, self.at + 4, len, self.at + 8)
        } else {
            let len = self.word(self.at + 4).ok_or_else(|| self.damaged(what))? as usize;
            let start = self.at + 8;
            let end = start.checked_add(len).ok_or_else(|| self.damaged(what))?;
            // Compressed variables are not padded, and neither need the last element be.
            let next = if tag == COMPRESSED { end } else { end.next_multiple_of(8) };
            (tag, start, len, next)
        };
        let data = self.data.get(start..start + len).ok_or_else(|| self.damaged(what))?;
        self.at = next.min(self.data.len());
        Ok((kind, data))
    }
}

/// An array whose head is read.
struct Matrix<'a> {
    class: u8,
    elements: usize,
    name: String,
    body: Cursor<'a>,
}

impl<'a> Matrix<'a> {
    fn open(data: &'a [u8]) -> Result<Self, MatError> {
        let mut body = Cursor { data, at: 0, unpacked: true };
        let (kind, flags) = body.element("array flags")?;
        if kind != UINT32 || flags.len() != 8 {
            return Err(body.damaged("array flags"));
        }
        let class = flags[0];
        let (_, dimensions) = body.element("dimensions")?;
        let mut elements = 1usize;
        for side in dimensions.chunks_exact(4) {
            let side = u32::from_le_bytes([side[0], side[1], side[2], side[3]]);
            elements = elements.checked_mul(side as usize).ok_or_else(|| body.damaged("dimensions"))?;
        }
        let (_, name) = body.element("a name")?;
        Ok(Self { class, elements, name: String::from_utf8_lossy(name).into_owned(), body })
    }

    fn structs(&mut self) -> Result<StructArray, MatError> {
        let (_, width) = self.body.element("field name length")?;
        let width = width.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)) as usize;
        let (_, names) = self.body.element("field names")?;
        if width == 0 || names.len() % width != 0 {
            return Err(self.body.damaged("field names"));
        }
        let fields: Vec<String> = names
            .chunks_exact(width)
            .map(|name| String::from_utf8_lossy(name.split(|&b| b == 0).next().unwrap_or(name)).into_owned())
            .collect();
        let mut rows = Vec::new();
        // Every field takes eight bytes at least, so the data bounds the loop whatever the dimensions say.
        if fields.is_empty() {
            return Ok(StructArray { fields, rows });
        }
        for _ in 0..self.elements {
            let mut row = Vec::with_capacity(fields.len());
            for _ in &fields {
                row.push(match self.body.element("a field")? {
                    (MATRIX, []) => Value::Other,
                    (MATRIX, data) => Matrix::open(data)?.value()?,
                    _ => return Err(self.body.damaged("a field")),
                });
            }
            rows.push(row);
        }
        Ok(StructArray { fields, rows })
    }

    fn value(&mut self) -> Result<Value, MatError> {
        if self.elements == 0 {
            return Ok(if self.class == CHAR_CLASS {
                Value::Text(String::new())
            } else {
                Value::Numbers(Vec::new())
            });
        }
        if self.class != CHAR_CLASS && !NUMBER_CLASSES.contains(&self.class) {
            return Ok(Value::Other);
        }
        let (kind, data) = self.body.element("numbers")?;
        if self.class == CHAR_CLASS {
            return text(kind, data).map(Value::Text).ok_or_else(|| self.body.damaged("a text"));
        }
        numbers(kind, data).map(Value::Numbers).ok_or_else(|| self.body.damaged("numbers"))
    }
}

fn text(kind: u32, data: &[u8]) -> Option<String> {
    match kind {
        UTF8 => Some(String::from_utf8_lossy(data).into_owned()),
        // Latin-1, of which ASCII is all that occurs.
        INT8 | UINT8 => Some(data.iter().map(|&byte| char::from(byte)).collect()),
        UINT16 | UTF16 => {
            let units: Vec<u16> =
                data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            Some(String::from_utf16_lossy(&units))
        }
        _ => None,
    }
}

fn numbers(kind: u32, data: &[u8]) -> Option<Vec<f64>> {
    fn all<const N: usize>(data: &[u8], number: fn([u8; N]) -> f64) -> Vec<f64> {
        data.chunks_exact(N).filter_map(|bytes| bytes.try_into().ok()).map(number).collect()
    }
    Some(match kind {
        INT8 => all(data, |b: [u8; 1]| f64::from(i8::from_le_bytes(b))),
        UINT8 => all(data, |b: [u8; 1]| f64::from(b[0])),
        INT16 => all(data, |b| f64::from(i16::from_le_bytes(b))),
        UINT16 => all(data, |b| f64::from(u16::from_le_bytes(b))),
        INT32 => all(data, |b| f64::from(i32::from_le_bytes(b))),
        UINT32 => all(data, |b| f64::from(u32::from_le_bytes(b))),
        SINGLE => all(data, |b| f64::from(f32::from_le_bytes(b))),
        DOUBLE => all(data, f64::from_le_bytes),
        // 64-bit integers: classes 14 and 15 of 8 bytes each.
        12 => all(data, |b| i64::from_le_bytes(b) as f64),
        13 => all(data, |b| u64::from_le_bytes(b) as f64),
        _ => return None,
    })
}
