//! Repair of text that was misread or mangled before it came here: what ftfy 6.3's `fix_text` does by default.
//!
//! The heart is mojibake, UTF-8 that was decoded as something else: where [`badness`] finds letters that never stand
//! together, the text goes back to bytes in each encoding of [`charmap`] and is decoded again, with [`bytes`] putting
//! right what else was lost. [`characters`] does the rest. A caption in which nothing is wrong is scanned and borrowed.

mod badness;
mod bytes;
mod characters;
mod charmap;

use std::borrow::Cow;

use badness::is_bad;
use characters::fix_characters;
pub(crate) use charmap::windows_1252;
use charmap::{CHARMAPS, Kind, decode_utf8};

use crate::entity::unescape_whole;

/// Characters repaired at once; the text is cut there as the reference cuts it.
const LONGEST_SEGMENT: usize = 1_000_000;

/// ftfy's `fix_text`: line by line, each repaired until nothing changes any more.
pub(crate) fn fix_text(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut changed = false;
    // A `<` says that this is HTML, where references are meant; from there on they stay.
    let mut unescapes = true;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let line = rest.find('\n').map_or(rest.len(), |end| end + 1);
        let segment = match rest[..line].char_indices().nth(LONGEST_SEGMENT) {
            Some((end, _)) => &rest[..end],
            None => &rest[..line],
        };
        unescapes &= !segment.contains('<');
        let fixed = fix_segment(segment, unescapes);
        if !changed && matches!(fixed, Cow::Owned(_)) {
            changed = true;
            out.push_str(&text[..at]);
        }
        if changed {
            out.push_str(&fixed);
        }
        at += segment.len();
    }
    if changed { Cow::Owned(out) } else { Cow::Borrowed(text) }
}

fn fix_segment(text: &str, unescapes: bool) -> Cow<'_, str> {
    let mut current = Cow::Borrowed(text);
    while let Some(fixed) = fix_segment_once(&current, unescapes) {
        current = Cow::Owned(fixed);
    }
    current
}

/// `None` if nothing changes.
fn fix_segment_once(text: &str, unescapes: bool) -> Option<String> {
    let unescaped = if unescapes { unescape_whole(text) } else { Cow::Borrowed(text) };
    let decoded = fix_encoding(&unescaped);
    let fixed = fix_characters(&decoded);
    (*fixed != *text).then(|| fixed.into_owned())
}

/// ftfy's `fix_encoding`: undoes one wrong decoding after the other.
fn fix_encoding(text: &str) -> Cow<'_, str> {
    let mut current = Cow::Borrowed(text);
    while let Some(fixed) = fix_encoding_once(&current) {
        if *fixed == *current {
            break;
        }
        current = Cow::Owned(fixed);
    }
    current
}

fn fix_encoding_once(text: &str) -> Option<String> {
    if text.is_ascii() || !is_bad(text) {
        return None;
    }
    let mut latin1 = None;
    for charmap in CHARMAPS.iter() {
        let Some(mut encoded) = charmap.encode(text) else { continue };
        if charmap.kind == Kind::Latin1 {
            latin1 = Some(encoded.clone());
        }
        // In Mac OS Roman a space cut off is as likely an en dash before a space.
        if charmap.kind != Kind::Mac
            && let Some(restored) = bytes::restore_no_break(&encoded)
        {
            encoded = restored;
        }
        if charmap.kind == Kind::Sloppy {
            encoded = bytes::replace_lossy(&encoded);
        }
        if let Some(fixed) = decode_utf8(&encoded) {
            return Some(fixed);
        }
    }
    let fixed = badness::replace_utf8_like(text, |piece| {
        (piece.len() < text.len() && is_bad(piece)).then(|| fix_encoding(piece).into_owned())
    });
    if let Some(fixed) = fixed.filter(|fixed| fixed != text) {
        return Some(fixed);
    }
    // Latin-1 with C1 controls in it was Windows-1252, if that has a character for each.
    let has_gap = |bytes: &[u8]| bytes.iter().any(|b| matches!(b, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d));
    if let Some(bytes) = latin1.filter(|bytes| !has_gap(bytes)) {
        let fixed: String =
            bytes.into_iter().map(|b| if b < 0x80 { char::from(b) } else { windows_1252(b) }).collect();
        if fixed != text {
            return Some(fixed);
        }
    }
    let is_c1 = |c: char| matches!(c, '\u{80}'..='\u{9f}');
    text.contains(is_c1)
        .then(|| text.chars().map(|c| if is_c1(c) { windows_1252(c as u8) } else { c }).collect())
}
