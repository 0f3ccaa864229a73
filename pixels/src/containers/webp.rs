//! The picture inside a WebP container. The decoder makes room for the size that the picture names for itself before it
//! compares it with the canvas, and takes what is missing at the end for zeros.

use crate::error::PixelError;
use crate::header::Header;

/// Where the chunks of an animation's frame begin in its body.
const FRAME_HEADER: usize = 16;

/// Of the RIFF header and of a chunk's.
const HEADER: usize = 8;

pub(super) fn check(bytes: &[u8], header: &Header) -> Result<(), PixelError> {
    if is_cut(bytes) {
        return Err(PixelError::Truncated);
    }
    for (kind, body) in chunks(bytes.get(12..).unwrap_or(&[])) {
        let inner = match &kind {
            b"ANMF" => {
                chunks(body.get(FRAME_HEADER..).unwrap_or(&[])).find_map(|(kind, body)| size(kind, body))
            }
            _ => size(kind, body),
        };
        let Some((width, height)) = inner else { continue };
        if width > header.width || height > header.height {
            return Err(PixelError::Corrupt("WebP: the picture is larger than its canvas".to_owned()));
        }
    }
    Ok(())
}

/// Whether the file ends before its RIFF header or a chunk of the picture says. The zero behind a chunk of odd length is
/// no loss, and some programs write the size of the whole file into the RIFF header, or leave that zero uncounted.
fn is_cut(bytes: &[u8]) -> bool {
    let length = |at: usize| {
        let field = bytes.get(at..)?.first_chunk::<4>()?;
        usize::try_from(u32::from_le_bytes(*field)).ok()
    };
    let riff = length(4).unwrap_or_default();
    let mut at = HEADER + 4;
    while let (Some(kind), Some(length)) = (bytes.get(at..at + 4), length(at + 4)) {
        let end = at.saturating_add(HEADER).saturating_add(length);
        if matches!(kind, b"VP8 " | b"VP8L" | b"VP8X" | b"ALPH" | b"ANMF") && end > bytes.len() {
            return true;
        }
        at = end.saturating_add(length & 1);
        // What follows the RIFF chunk is nobody's.
        if at >= riff.saturating_add(HEADER) {
            break;
        }
    }
    let is_whole_files_size = riff == bytes.len() && at >= bytes.len() && at - bytes.len() <= 1;
    riff.saturating_add(HEADER) > bytes.len() + 1 && !is_whole_files_size
}

/// Chunks with their bodies; the last one may be cut.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (kind, behind) = rest.split_first_chunk::<4>()?;
        let (length, behind) = behind.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let body = behind.get(..length).unwrap_or(behind);
        rest = behind.get(length.saturating_add(length & 1)..).unwrap_or(&[]);
        Some((*kind, body))
    })
}

/// Width and height of a chunk that is a picture.
fn size(kind: [u8; 4], body: &[u8]) -> Option<(u32, u32)> {
    match &kind {
        b"VP8 " => {
            let [w0, w1, h0, h1] = *body.get(6..10)?.first_chunk::<4>()?;
            let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
            Some((side(w0, w1), side(h0, h1)))
        }
        b"VP8L" => {
            let packed = u32::from_le_bytes(*body.get(1..5)?.first_chunk::<4>()?);
            Some(((packed & 0x3FFF) + 1, ((packed >> 14) & 0x3FFF) + 1))
        }
        _ => None,
    }
}
