//! Windows bitmaps as other programs write them: headers of OS/2 2.x, which begin as the usual one does, a wrong number of
//! planes, and pixels that are said to begin inside the palette. They are put right for the decoder.

use std::borrow::Cow;

use crate::error::PixelError;

/// Bytes of the file header before the info header.
const FILE_HEADER: usize = 14;
/// Bytes of the usual info header.
const INFO_HEADER: usize = 40;

fn number(bytes: &[u8], at: usize) -> Result<u32, PixelError> {
    let raw = bytes.get(at..at + 4).and_then(|raw| raw.try_into().ok());
    raw.map(u32::from_le_bytes).ok_or(PixelError::Truncated)
}

/// The bytes with headers that the decoder knows; the file's own where there is nothing to put right.
pub(crate) fn usual(bytes: &[u8]) -> Result<Cow<'_, [u8]>, PixelError> {
    let length = number(bytes, FILE_HEADER)? as usize;
    let bytes = match length {
        16..=64 if !matches!(length, 40 | 52 | 56) => Cow::Owned(of_os_2(bytes, length)?),
        40 | 52 | 56 | 108 | 124 => Cow::Borrowed(bytes),
        _ => return Ok(Cow::Borrowed(bytes)),
    };
    let header = number(&bytes, FILE_HEADER)? as usize;
    let planes_are_wrong = bytes.get(26..28) != Some(&[1, 0]);
    let depth = u32::from(*bytes.get(28).ok_or(PixelError::Truncated)?);
    let colours = match (depth, number(&bytes, 46)?) {
        (1 | 2 | 4 | 8, 0) => 1 << depth,
        (1 | 2 | 4 | 8, colours) => colours.min(1 << depth),
        _ => 0,
    };
    let least = (FILE_HEADER + header) as u32 + colours * 4;
    if !planes_are_wrong && number(&bytes, 10)? >= least {
        return Ok(bytes);
    }
    let mut bytes = bytes.into_owned();
    bytes[26..28].copy_from_slice(&[1, 0]);
    let pixels = number(&bytes, 10)?.max(least);
    bytes[10..14].copy_from_slice(&pixels.to_le_bytes());
    Ok(Cow::Owned(bytes))
}

/// OS/2 2.x may leave out all but the first 16 bytes of its header and has up to 64; the fields that it shares with Windows
/// lie at the same places.
fn of_os_2(bytes: &[u8], length: usize) -> Result<Vec<u8>, PixelError> {
    let header = bytes.get(FILE_HEADER..FILE_HEADER + length).ok_or(PixelError::Truncated)?;
    let mut info = header[..length.min(INFO_HEADER)].to_vec();
    info.resize(INFO_HEADER, 0);
    info[..4].copy_from_slice(&(INFO_HEADER as u32).to_le_bytes());
    // 3 and 4 mean other things in Windows: Huffman codes and runs of 24-bit pixels.
    if info[16] >= 3 {
        return Err(PixelError::Unsupported("BMP (a compression of OS/2)".to_owned()));
    }
    let pixels = u64::from(number(bytes, 10)?);
    let moved = (pixels + INFO_HEADER as u64).saturating_sub(length as u64) as u32;
    let mut out = Vec::with_capacity(bytes.len() + INFO_HEADER);
    out.extend_from_slice(&bytes[..10]);
    out.extend_from_slice(&moved.to_le_bytes());
    out.extend_from_slice(&info);
    out.extend_from_slice(&bytes[FILE_HEADER + length..]);
    Ok(out)
}

/// Whether a sample's fourth channel is alpha: with 16 bits a pixel it is not, to OpenCV, Pillow and the programs that write
/// it as 0.
pub(crate) fn has_alpha(bytes: &[u8]) -> bool {
    bytes.get(28..30) != Some(&[16, 0])
}
