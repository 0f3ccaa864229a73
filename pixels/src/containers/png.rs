//! Chunks of a PNG that the picture does not need. A compressed colour profile of 500 kB can unpack to half a gigabyte,
//! and the decoder unpacks it although nobody asks for it.

use std::borrow::Cow;

/// Up to this many bytes of extras are harmless: they unpack to 16 MB at most.
const HARMLESS_BYTES: usize = 16 << 10;

/// The file without colour profile, texts and EXIF where there is much of them.
pub(super) fn without_extras(bytes: &[u8]) -> Cow<'_, [u8]> {
    let extras = chunks(bytes).filter(|chunk| is_extra(chunk)).map(<[u8]>::len).sum::<usize>();
    if extras <= HARMLESS_BYTES {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len() - extras);
    out.extend_from_slice(&bytes[..8]);
    chunks(bytes).filter(|chunk| !is_extra(chunk)).for_each(|chunk| out.extend_from_slice(chunk));
    Cow::Owned(out)
}

/// All chunks with length and checksum; the last one may be cut.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes.get(8..).unwrap_or(&[]);
    std::iter::from_fn(move || {
        let length = rest.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize)?;
        let (chunk, behind) = rest.split_at_checked(length.saturating_add(12)).unwrap_or((rest, &[]));
        rest = behind;
        Some(chunk)
    })
}

fn is_extra(chunk: &[u8]) -> bool {
    matches!(chunk.get(4..8), Some(b"iCCP" | b"tEXt" | b"zTXt" | b"iTXt" | b"eXIf"))
}
