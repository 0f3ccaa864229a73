//! JPEG: a walk over the markers (sizes, EXIF, colour transform, ICC, all before libjpeg-turbo sees a byte), and
//! decoding with libjpeg-turbo's warnings turned into typed failures ([`segments`] and [`whole`] see what it does not
//! say). The fast path is in [`planes`], and for large pictures in
//! [`coefficients`], whose input [`baseline`] and [`entropy`] take apart.

mod baseline;
mod coefficients;
pub(crate) mod decode;
mod entropy;
pub(crate) mod planes;
mod segments;
mod whole;

use crate::error::PixelError;

/// Goes through the data of all scans.
///
/// # Errors
/// [`PixelError::Truncated`] or [`PixelError::Corrupt`] where it does not hold every block.
pub(crate) fn check_blocks(bytes: &[u8]) -> Result<(), PixelError> {
    match whole::blocks(bytes) {
        whole::Blocks::Whole => Ok(()),
        whole::Blocks::Truncated => Err(PixelError::Truncated),
        whole::Blocks::Damaged(what) => Err(PixelError::Corrupt(format!("JPEG: {what}"))),
    }
}

/// What the markers before the first scan say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Markers<'a> {
    pub width: u32,
    pub height: u32,
    /// Bits per sample.
    pub precision: u8,
    pub components: u8,
    pub progressive: bool,
    /// The TIFF structure of the EXIF segment.
    pub exif: Option<&'a [u8]>,
    pub has_icc: bool,
}

impl<'a> Markers<'a> {
    /// Reads segment by segment (ITU-T T.81, B.1.1.4) up to the first frame header and on to the first scan.
    pub fn read(bytes: &'a [u8]) -> Result<Self, PixelError> {
        let mut markers = Self {
            width: 0,
            height: 0,
            precision: 8,
            components: 0,
            progressive: false,
            exif: None,
            has_icc: false,
        };
        let corrupt = |what: &str| PixelError::Corrupt(format!("JPEG: {what}"));
        let mut at = 2;
        loop {
            // Any bytes but 0xFF between segments are skipped, as libjpeg does; 0xFF may repeat as fill.
            let skip = bytes.get(at..).ok_or(PixelError::Truncated)?.iter().position(|b| *b == 0xFF);
            at += skip.ok_or(PixelError::Truncated)?;
            at += bytes[at..].iter().take_while(|b| **b == 0xFF).count();
            let code = *bytes.get(at).ok_or(PixelError::Truncated)?;
            at += 1;
            match code {
                0x00 | 0x01 | 0xD0..=0xD8 => continue,
                0xD9 => return Err(corrupt("it ends before any scan")),
                _ => {}
            }
            let length = bytes.get(at..at + 2).ok_or(PixelError::Truncated)?;
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            // Application data and comments may claim 0 or 1: libjpeg takes the field alone for the segment, so do we.
            let length = if matches!(code, 0xE0..=0xEF | 0xFE) { length.max(2) } else { length };
            if length < 2 {
                return Err(corrupt("a segment is shorter than its own length field"));
            }
            let body = bytes.get(at + 2..at + length).ok_or(PixelError::Truncated)?;
            at += length;
            match code {
                0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                    let [precision, h1, h0, w1, w0, components, ..] = *body else {
                        return Err(corrupt("the frame header is too short"));
                    };
                    markers.precision = precision;
                    markers.height = u32::from(u16::from_be_bytes([h1, h0]));
                    markers.width = u32::from(u16::from_be_bytes([w1, w0]));
                    markers.components = components;
                    markers.progressive = matches!(code, 0xC2 | 0xC6 | 0xCA | 0xCE);
                    if markers.width == 0 || markers.height == 0 {
                        return Err(corrupt("the frame has no width or height"));
                    }
                }
                0xDA => break,
                0xE1 if markers.exif.is_none() => markers.exif = body.strip_prefix(b"Exif\0\0"),
                0xE2 if body.starts_with(b"ICC_PROFILE\0") => markers.has_icc = true,
                _ => {}
            }
        }
        if markers.components == 0 {
            return Err(corrupt("a scan comes before the frame header"));
        }
        Ok(markers)
    }
}
