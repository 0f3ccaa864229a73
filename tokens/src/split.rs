//! From cleaned text to words: what the reference's regular expression finds, without a regular expression.
//!
//! At each place, in this order: `<start_of_text>` and `<end_of_text>`; the contractions 's 't 're 've 'm 'll 'd; a run
//! of letters; one number; a run of what is neither letter, number nor space. The expression ignores case, which after
//! lower-casing is felt in two places: U+017F (long s) counts as the s of a special token or of 's, and U+0345, a mark
//! whose upper case is a letter, falls through all classes and is dropped.

use std::ops::{ControlFlow, Range};

use crate::classes::{Class, class};

/// One find of the pre-split.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Piece {
    /// The text at these bytes is a word of its own.
    Word(Range<usize>),
    /// A special token, spelt out in the text.
    Special(u16),
}

const LONG_S: [u8; 2] = [0xc5, 0xbf];

/// What one place of the text starts with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Space,
    Letter,
    Number,
    Other,
    /// U+0345 only.
    Dropped,
}

/// Kinds of ASCII bytes; cleaned text has no other space than ' ', but none of the others may become part of a word.
static ASCII: [Kind; 128] = {
    let mut kinds = [Kind::Other; 128];
    let mut b = 0;
    while b < 128 {
        kinds[b] = match b as u8 {
            b'\t'..=b'\r' | b' ' => Kind::Space,
            b'a'..=b'z' | b'A'..=b'Z' => Kind::Letter,
            b'0'..=b'9' => Kind::Number,
            _ => Kind::Other,
        };
        b += 1;
    }
    kinds
};

/// Calls `found` for each piece of `text` in turn until it breaks.
pub(crate) fn split(text: &str, mut found: impl FnMut(Piece) -> ControlFlow<()>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let (kind, width) = kind_at(text, at);
        let piece = match kind {
            Kind::Space | Kind::Dropped => {
                at += width;
                continue;
            }
            Kind::Number => Piece::Word(at..at + width),
            Kind::Letter => Piece::Word(at..run_end(text, at + width, Kind::Letter)),
            Kind::Other => match special(bytes, at).or_else(|| contraction(bytes, at)) {
                Some((piece, end)) => {
                    at = end;
                    if found(piece).is_break() {
                        return;
                    }
                    continue;
                }
                None => Piece::Word(at..run_end(text, at + width, Kind::Other)),
            },
        };
        if let Piece::Word(range) = &piece {
            at = range.end;
        }
        if found(piece).is_break() {
            return;
        }
    }
}

#[inline]
fn kind_at(text: &str, at: usize) -> (Kind, usize) {
    let byte = text.as_bytes()[at];
    if byte < 128 { (ASCII[usize::from(byte)], 1) } else { wide_kind_at(text, at) }
}

fn wide_kind_at(text: &str, at: usize) -> (Kind, usize) {
    let c = text[at..].chars().next().unwrap_or('\u{fffd}');
    let kind = match class(c) {
        _ if c == '\u{345}' => Kind::Dropped,
        Class::Letter => Kind::Letter,
        Class::Decimal | Class::Number => Kind::Number,
        Class::Other if c.is_whitespace() => Kind::Space,
        Class::Other => Kind::Other,
    };
    (kind, c.len_utf8())
}

#[inline]
fn run_end(text: &str, mut at: usize, wanted: Kind) -> usize {
    while at < text.len() {
        let (kind, width) = kind_at(text, at);
        if kind != wanted {
            break;
        }
        at += width;
    }
    at
}

/// `<start_of_text>` or `<end_of_text>` at `at`. Spelt with a long s it is matched, but no special token: then it is
/// one word.
fn special(bytes: &[u8], at: usize) -> Option<(Piece, usize)> {
    if bytes[at] != b'<' {
        return None;
    }
    for (name, id) in [(&b"<start_of_text>"[..], crate::START), (b"<end_of_text>", crate::END)] {
        if bytes[at..].starts_with(name) {
            return Some((Piece::Special(id as u16), at + name.len()));
        }
    }
    let rest = bytes[at..].strip_prefix(b"<")?.strip_prefix(&LONG_S)?;
    rest.starts_with(b"tart_of_text>").then(|| {
        let end = at + 1 + LONG_S.len() + 13;
        (Piece::Word(at..end), end)
    })
}

fn contraction(bytes: &[u8], at: usize) -> Option<(Piece, usize)> {
    if bytes[at] != b'\'' {
        return None;
    }
    let length = match bytes[at + 1..] {
        [b's' | b't' | b'm' | b'd', ..] => 2,
        [b'r' | b'v', b'e', ..] | [b'l', b'l', ..] => 3,
        [first, second, ..] if [first, second] == LONG_S => 3,
        _ => return None,
    };
    Some((Piece::Word(at..at + length), at + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<&str> {
        let mut all = Vec::new();
        split(text, |piece| {
            all.push(match piece {
                Piece::Word(range) => &text[range],
                Piece::Special(id) if u32::from(id) == crate::START => "START",
                Piece::Special(_) => "END",
            });
            ControlFlow::Continue(())
        });
        all
    }

    #[test]
    fn runs_contractions_and_single_numbers() {
        assert_eq!(
            pieces("we've 20½ 'llamas' it's!!"),
            ["we", "'ve", "2", "0", "½", "'ll", "amas", "'", "it", "'s", "!!"]
        );
        assert_eq!(pieces("état 東京"), ["état", "東京"]);
        assert!(pieces(" ").is_empty());
    }

    #[test]
    fn special_tokens_count_only_at_the_start_of_a_piece() {
        assert_eq!(pieces("<start_of_text>hi<end_of_text>"), ["START", "hi", "END"]);
        assert_eq!(pieces("!<end_of_text>"), ["!<", "end", "_", "of", "_", "text", ">"]);
    }

    #[test]
    fn ignoring_case_reaches_the_long_s_and_drops_the_iota_subscript() {
        assert_eq!(pieces("<ſtart_of_text>it'ſ"), ["<ſtart_of_text>", "it", "'ſ"]);
        assert_eq!(pieces("a\u{345}b"), ["a", "b"]);
    }
}
