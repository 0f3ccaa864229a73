//! GIFs without any table of colours: the specification leaves the colours to the decoder, and Pillow takes greys.

use std::borrow::Cow;

/// Where the global table of colours lies.
const TABLE: usize = 13;

/// The bytes with a table of greys where the first frame has no colours; the file's own otherwise.
pub(crate) fn with_colours(bytes: &[u8]) -> Cow<'_, [u8]> {
    let (Some(flags), Some(has_own)) = (bytes.get(10), first_frame_has_colours(bytes)) else {
        return Cow::Borrowed(bytes);
    };
    if flags & 0x80 != 0 || has_own {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len() + 3 * 256);
    out.extend_from_slice(&bytes[..TABLE]);
    out[10] |= 0x87;
    out.extend((0..=255_u8).flat_map(|grey| [grey; 3]));
    out.extend_from_slice(&bytes[TABLE..]);
    Cow::Owned(out)
}

/// `None` where no frame is met. Only called on files without a global table.
fn first_frame_has_colours(bytes: &[u8]) -> Option<bool> {
    let mut at = TABLE;
    loop {
        match *bytes.get(at)? {
            0x2C => return Some(bytes.get(at + 9)? & 0x80 != 0),
            0x21 => {
                at += 2;
                while let Some(length) = bytes.get(at).filter(|length| **length > 0) {
                    at += 1 + usize::from(*length);
                }
                at += 1;
            }
            _ => return None,
        }
    }
}
