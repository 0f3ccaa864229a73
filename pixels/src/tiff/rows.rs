//! A chunk as rows of raw samples: decompressed as far as the next row needs, predictors undone.

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind, Read};

use flate2::read::ZlibDecoder;
use weezl::{BitOrder, LzwStatus, decode::Decoder as LzwDecoder};

use super::directory::{Directory, JPEG, Number};
use super::fax::Fax;
use super::jpeg;
use crate::config::Limits;
use crate::error::PixelError;

/// One open chunk.
pub(super) struct Rows<'a> {
    codec: Codec<'a>,
    predictor: Predictor,
    scratch: Vec<u8>,
}

enum Codec<'a> {
    Plain { bytes: Cow<'a, [u8]>, at: usize },
    PackBits { bytes: Cow<'a, [u8]>, at: usize, run: Run },
    Lzw { bytes: Cow<'a, [u8]>, at: usize, decoder: LzwDecoder },
    Deflate(Box<ZlibDecoder<Cursor<Cow<'a, [u8]>>>>),
    Fax(Fax<'a>),
}

/// What a PackBits header left to do.
#[derive(Clone, Copy)]
enum Run {
    Literal(usize),
    Repeat(usize, u8),
}

/// What to undo in each row; the numbers are bytes of a sample and samples of a pixel.
#[derive(Clone, Copy)]
enum Predictor {
    None,
    Difference { bytes: usize, samples: usize, little: bool },
    Float { bytes: usize, samples: usize },
}

impl<'a> Rows<'a> {
    /// Opens a chunk by its number; chunks of later planes follow those of the first.
    pub fn open(
        bytes: &'a [u8],
        page: &Directory<'a>,
        index: usize,
        limits: &Limits,
    ) -> Result<Self, PixelError> {
        let data = chunk(bytes, page, index)?;
        let reversed = page.reversed && page.compression != JPEG;
        let data = match reversed {
            true => Cow::Owned(data.iter().map(|byte| byte.reverse_bits()).collect()),
            false => Cow::Borrowed(data),
        };
        let codec = match page.compression {
            1 => Codec::Plain { bytes: data, at: 0 },
            2..=4 => Codec::Fax(Fax::new(data, page)?),
            5 => {
                // Before TIFF 6.0 some writers began with the low bit; such data starts with a clear code of its own.
                if let [0, second, ..] = *data
                    && second & 1 == 1
                {
                    return Err(PixelError::Unsupported("TIFF (LZW of the old style)".to_owned()));
                }
                let decoder = LzwDecoder::with_tiff_size_switch(BitOrder::Msb, 8);
                Codec::Lzw { bytes: data, at: 0, decoder }
            }
            JPEG => Codec::Plain { bytes: Cow::Owned(jpeg::chunk(&data, page, limits)?), at: 0 },
            8 | 32_946 => Codec::Deflate(Box::new(ZlibDecoder::new(Cursor::new(data)))),
            32_773 => Codec::PackBits { bytes: data, at: 0, run: Run::Literal(0) },
            other => return Err(PixelError::Unsupported(format!("TIFF (compression {other})"))),
        };
        Ok(Self { codec, predictor: Predictor::of(page)?, scratch: Vec::new() })
    }

    /// The next row.
    pub fn read(&mut self, row: &mut [u8]) -> Result<(), PixelError> {
        self.codec.fill(row)?;
        self.predictor.undo(row, &mut self.scratch);
        Ok(())
    }
}

/// The bytes of a chunk, as many of them as the file holds.
fn chunk<'a>(bytes: &'a [u8], page: &Directory<'_>, index: usize) -> Result<&'a [u8], PixelError> {
    let offset = *page.offsets.get(index).ok_or(PixelError::Truncated)?;
    let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).ok_or(PixelError::Truncated)?;
    // Uncompressed rows have the length they have, whatever the tag says; and some writers leave it out.
    let length = match page.counts.get(index) {
        Some(count) if *count > 0 && page.compression != 1 => usize::try_from(*count).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    Ok(&rest[..length.min(rest.len())])
}

impl Codec<'_> {
    fn fill(&mut self, row: &mut [u8]) -> Result<(), PixelError> {
        match self {
            Self::Plain { bytes, at } => {
                let end = *at + row.len();
                row.copy_from_slice(bytes.get(*at..end).ok_or(PixelError::Truncated)?);
                *at = end;
            }
            Self::PackBits { bytes, at, run } => unpack_bits(bytes, at, run, row)?,
            Self::Lzw { bytes, at, decoder } => {
                let mut filled = 0;
                while filled < row.len() {
                    let step = decoder.decode_bytes(&bytes[*at..], &mut row[filled..]);
                    *at += step.consumed_in;
                    filled += step.consumed_out;
                    match step.status {
                        Ok(LzwStatus::Ok) => {}
                        Ok(LzwStatus::NoProgress | LzwStatus::Done) if filled < row.len() => {
                            return Err(PixelError::Truncated);
                        }
                        Ok(_) => {}
                        Err(error) => return Err(PixelError::Corrupt(format!("TIFF: {error}"))),
                    }
                }
            }
            Self::Deflate(reader) => reader.read_exact(row).map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => PixelError::Truncated,
                _ => PixelError::Corrupt(format!("TIFF: {error}")),
            })?,
            Self::Fax(fax) => fax.row(row)?,
        }
        Ok(())
    }
}

fn unpack_bits(bytes: &[u8], at: &mut usize, run: &mut Run, row: &mut [u8]) -> Result<(), PixelError> {
    let mut filled = 0;
    while filled < row.len() {
        let left = row.len() - filled;
        match run {
            Run::Literal(0) | Run::Repeat(0, _) => {
                let length = *bytes.get(*at).ok_or(PixelError::Truncated)?;
                *at += 1;
                match length {
                    0..=127 => *run = Run::Literal(usize::from(length) + 1),
                    128 => {}
                    129..=255 => {
                        let value = *bytes.get(*at).ok_or(PixelError::Truncated)?;
                        *at += 1;
                        *run = Run::Repeat(257 - usize::from(length), value);
                    }
                }
            }
            Run::Literal(count) => {
                let taken = left.min(*count);
                let from = bytes.get(*at..*at + taken).ok_or(PixelError::Truncated)?;
                row[filled..filled + taken].copy_from_slice(from);
                *at += taken;
                *count -= taken;
                filled += taken;
            }
            Run::Repeat(count, value) => {
                let taken = left.min(*count);
                row[filled..filled + taken].fill(*value);
                *count -= taken;
                filled += taken;
            }
        }
    }
    Ok(())
}

impl Predictor {
    /// Only LZW and deflate have predictors; elsewhere the tag means nothing.
    fn of(page: &Directory<'_>) -> Result<Self, PixelError> {
        if !matches!(page.compression, 5 | 8 | 32_946) {
            return Ok(Self::None);
        }
        let samples = if page.planar { 1 } else { page.samples };
        let bytes = page.bits / 8;
        let unsupported = || PixelError::Unsupported(format!("TIFF (predictor {})", page.predictor));
        match page.predictor {
            0 | 1 => Ok(Self::None),
            2 if matches!(page.bits, 8 | 16 | 32) => {
                Ok(Self::Difference { bytes, samples, little: page.little })
            }
            3 if page.number == Number::Float && matches!(page.bits, 16 | 32 | 64) => {
                Ok(Self::Float { bytes, samples })
            }
            _ => Err(unsupported()),
        }
    }

    fn undo(self, row: &mut [u8], scratch: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Difference { bytes: 1, samples, .. } => {
                for at in samples..row.len() {
                    row[at] = row[at].wrapping_add(row[at - samples]);
                }
            }
            Self::Difference { bytes, samples, little } => {
                for at in (samples * bytes..row.len()).step_by(bytes) {
                    add(row, at, at - samples * bytes, bytes, little);
                }
            }
            Self::Float { bytes, samples } => {
                for at in samples..row.len() {
                    row[at] = row[at].wrapping_add(row[at - samples]);
                }
                // The high bytes of all samples, then the next lower ones, and so on.
                scratch.clear();
                scratch.extend_from_slice(row);
                let count = row.len() / bytes;
                for (index, byte) in row.iter_mut().enumerate() {
                    *byte = scratch[index % bytes * count + index / bytes];
                }
            }
        }
    }

    /// Whether floats come out with the high byte first, whatever the file's byte order.
    pub fn is_float(page: &Directory<'_>) -> bool {
        matches!(Self::of(page), Ok(Self::Float { .. }))
    }
}

/// Whether samples come out with the high byte first although the file has the low byte first.
pub(super) fn is_big_endian(page: &Directory<'_>) -> bool {
    !page.little || Predictor::is_float(page)
}

/// Adds the number at `from` to the number at `to`, modulo its width.
fn add(row: &mut [u8], to: usize, from: usize, bytes: usize, little: bool) {
    let mut carry = 0;
    for index in 0..bytes {
        let byte = if little { index } else { bytes - 1 - index };
        let sum = u16::from(row[to + byte]) + u16::from(row[from + byte]) + carry;
        row[to + byte] = sum as u8;
        carry = sum >> 8;
    }
}
