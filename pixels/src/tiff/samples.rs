//! Raw samples of a row to 8 bits: fewer bits are spread over the range, more are rounded, floats are taken from 0 to 1.

use super::directory::{Directory, JPEG, Number};
use super::rows::is_big_endian;
use crate::error::PixelError;

/// How a page's samples become 8 bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Samples {
    kind: Kind,
    big_endian: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// 1, 2 or 4 bits, each step worth so much of the 8-bit range.
    Small {
        bits: usize,
        step: u8,
    },
    Eight,
    Twelve,
    Sixteen,
    Float32,
    Float64,
}

impl Samples {
    /// The rule for a page; palette indices keep their value.
    pub fn of(page: &Directory<'_>, indexed: bool) -> Result<Self, PixelError> {
        let kind = match (page.number, page.bits) {
            (_, 8) => Kind::Eight,
            (Number::Unsigned, bits @ (1 | 2 | 4)) => {
                Kind::Small { bits, step: if indexed { 1 } else { (255 / ((1 << bits) - 1)) as u8 } }
            }
            (Number::Unsigned, 12) if !indexed && page.compression != JPEG => Kind::Twelve,
            (Number::Unsigned, 16) if !indexed => Kind::Sixteen,
            (Number::Float, 32) if !indexed => Kind::Float32,
            (Number::Float, 64) if !indexed => Kind::Float64,
            (number, bits) => {
                let kind = match number {
                    Number::Unsigned => "",
                    Number::Signed => "signed ",
                    Number::Float => "float ",
                };
                return Err(PixelError::Unsupported(format!("TIFF ({kind}samples of {bits} bits)")));
            }
        };
        if page.compression == JPEG && kind != Kind::Eight {
            return Err(PixelError::Unsupported(format!("TIFF (JPEG of {} bits)", page.bits)));
        }
        Ok(Self { kind, big_endian: is_big_endian(page) })
    }

    /// Unpacks `count` samples to every `stride`-th place of `out`.
    pub fn unpack(&self, row: &[u8], out: &mut [u8], (stride, count): (usize, usize)) {
        let places = out.iter_mut().step_by(stride).take(count);
        match self.kind {
            Kind::Small { bits, step } => {
                let per_byte = 8 / bits;
                for (index, place) in places.enumerate() {
                    let shift = 8 - bits * (index % per_byte + 1);
                    *place = ((row[index / per_byte] >> shift) & ((1 << bits) - 1) as u8) * step;
                }
            }
            Kind::Eight if stride == 1 => out[..count].copy_from_slice(&row[..count]),
            Kind::Eight => places.zip(row).for_each(|(place, byte)| *place = *byte),
            Kind::Twelve => {
                for (index, place) in places.enumerate() {
                    let at = index / 2 * 3 + index % 2;
                    let pair = u32::from(row[at]) << 8 | u32::from(row[at + 1]);
                    let value = if index % 2 == 0 { pair >> 4 } else { pair & 0xFFF };
                    *place = ((value * 255 + 2_047) / 4_095) as u8;
                }
            }
            Kind::Sixteen => {
                for (place, raw) in places.zip(row.as_chunks::<2>().0) {
                    let value =
                        if self.big_endian { u16::from_be_bytes(*raw) } else { u16::from_le_bytes(*raw) };
                    *place = ((u32::from(value) + 128) / 257) as u8;
                }
            }
            Kind::Float32 => {
                for (place, raw) in places.zip(row.as_chunks::<4>().0) {
                    let value =
                        if self.big_endian { f32::from_be_bytes(*raw) } else { f32::from_le_bytes(*raw) };
                    *place = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
                }
            }
            Kind::Float64 => {
                for (place, raw) in places.zip(row.as_chunks::<8>().0) {
                    let value =
                        if self.big_endian { f64::from_be_bytes(*raw) } else { f64::from_le_bytes(*raw) };
                    *place = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
                }
            }
        }
    }
}
