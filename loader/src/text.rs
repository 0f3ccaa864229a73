//! Bytes of other people's text files to text. What is UTF-8 is borrowed as it is; the two encodings that captions are
//! found in besides, UTF-16 with a byte-order mark and Latin-1, are recoded, which the loader counts.

use std::borrow::Cow;

/// Text, and whether it had to be recoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    pub text: Cow<'a, str>,
    pub is_recoded: bool,
}

/// What Windows-1252, which the web means by Latin-1, has at 0x80 to 0x9f. U+0000 where it has nothing.
const WINDOWS_1252: [char; 32] = [
    '\u{20ac}', '\0', '\u{201a}', '\u{0192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{02c6}',
    '\u{2030}', '\u{0160}', '\u{2039}', '\u{0152}', '\0', '\u{017d}', '\0', '\0', '\u{2018}', '\u{2019}',
    '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{02dc}', '\u{2122}', '\u{0161}',
    '\u{203a}', '\u{0153}', '\0', '\u{017e}', '\u{0178}',
];

/// The text that the bytes are; `None` of bytes that are no text: UTF-16 with a half character, UTF-8 that was damaged or
/// cut within a character, binary data.
pub(crate) fn decoded(bytes: &[u8]) -> Option<Text<'_>> {
    let recoded = |text: String| Text { text: Cow::Owned(text), is_recoded: true };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes).map(recoded),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes).map(recoded),
        _ => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            match std::str::from_utf8(bytes) {
                Ok(text) => Some(Text { text: Cow::Borrowed(text), is_recoded: false }),
                Err(_) => latin1(bytes).map(recoded),
            }
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (units, []) = bytes.as_chunks::<2>() else { return None };
    char::decode_utf16(units.iter().map(|pair| unit(*pair))).collect::<Result<_, _>>().ok()
}

/// Any bytes could be Latin-1; text has no control characters, and what holds whole characters of UTF-8 is UTF-8 that was
/// damaged.
fn latin1(bytes: &[u8]) -> Option<String> {
    let has_utf8 = bytes.utf8_chunks().any(|chunk| !chunk.valid().is_ascii());
    if has_utf8 {
        return None;
    }
    let character = |&byte: &u8| match byte {
        b'\t' | b'\n' | b'\r' | b' '..=b'~' | 0xa0..=0xff => Some(char::from(byte)),
        0x80..=0x9f => Some(WINDOWS_1252[usize::from(byte - 0x80)]).filter(|found| *found != '\0'),
        _ => None,
    };
    bytes.iter().map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Option<(String, bool)> {
        decoded(bytes).map(|found| (found.text.into_owned(), found.is_recoded))
    }

    #[test]
    fn t06_captions_in_utf16_and_latin1_are_text_and_binary_data_is_not() {
        let utf16 = |mark: &[u8], unit: fn(u16) -> [u8; 2]| {
            [mark, &"Käse 🧀".encode_utf16().flat_map(unit).collect::<Vec<_>>()].concat()
        };
        let cheese = Some(("Käse 🧀".to_owned(), true));
        assert_eq!(text(&utf16(b"\xff\xfe", u16::to_le_bytes)), cheese);
        assert_eq!(text(&utf16(b"\xfe\xff", u16::to_be_bytes)), cheese);
        assert_eq!(text(b"caf\xe9 \x80 5"), Some(("café € 5".to_owned(), true)));
        assert_eq!(text("café".as_bytes()), Some(("café".to_owned(), false)));
        assert_eq!(text(b"\xef\xbb\xbfa cat"), Some(("a cat".to_owned(), false)));
        for none in [
            &b"\xff\xfea"[..],
            b"\xff\xfe\x00\xd8a\x00",
            b"ein K\xc3\xa4se, cut within an \xc3",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
            b"\xe9\x81",
        ] {
            assert_eq!(text(none), None, "{none:?}");
        }
    }
}
