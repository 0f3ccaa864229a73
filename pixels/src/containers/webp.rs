//! The picture inside a WebP container. The decoder makes room for the size that the picture names for itself before it
//! compares it with the canvas.

use crate::error::PixelError;
use crate::header::Header;

/// Where the chunks of an animation's frame begin in its body.
const FRAME_HEADER: usize = 16;

pub(super) fn check(bytes: &[u8], header: &Header) -> Result<(), PixelError> {
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
