//! The one-byte encodings text is most often misread in, both ways, and UTF-8 with the faults ftfy forgives.

use std::collections::HashMap;
use std::sync::LazyLock;

use encoding_rs::{
    ISO_8859_2, MACINTOSH, WINDOWS_1250, WINDOWS_1251, WINDOWS_1252, WINDOWS_1253, WINDOWS_1254, WINDOWS_1257,
};

/// Bytes 0x80–0xFF of the IBM PC's first code page.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// One encoding of 256 characters.
pub(crate) struct Charmap {
    decoded: [char; 256],
    encoded: HashMap<char, u8>,
    pub(crate) kind: Kind,
}

/// What ftfy does differently by encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Latin1,
    /// Windows code pages with their gaps filled from Latin-1, and U+FFFD standing for byte 1A.
    Sloppy,
    Mac,
    /// ISO 8859-2 and code page 437.
    Plain,
}

/// In the order they are tried.
pub(crate) static CHARMAPS: LazyLock<[Charmap; 10]> = LazyLock::new(|| {
    let sloppy = |encoding| Charmap::new(Kind::Sloppy, by(encoding));
    [
        Charmap::new(Kind::Latin1, char::from),
        sloppy(WINDOWS_1252),
        sloppy(WINDOWS_1251),
        sloppy(WINDOWS_1250),
        sloppy(WINDOWS_1253),
        sloppy(WINDOWS_1254),
        sloppy(WINDOWS_1257),
        Charmap::new(Kind::Plain, by(ISO_8859_2)),
        Charmap::new(Kind::Mac, by(MACINTOSH)),
        Charmap::new(Kind::Plain, |byte| {
            let upper = byte.checked_sub(0x80).and_then(|at| CP437.chars().nth(usize::from(at)));
            upper.unwrap_or(char::from(byte))
        }),
    ]
});

/// The Latin-1-like encodings, whose letters mark pieces of UTF-8: all up to the first that is none.
pub(crate) fn latin_like() -> impl Iterator<Item = &'static Charmap> {
    CHARMAPS.iter().take_while(|c| matches!(c.kind, Kind::Latin1 | Kind::Sloppy))
}

fn by(encoding: &'static encoding_rs::Encoding) -> impl Fn(u8) -> char {
    move |byte| {
        let bytes = [byte];
        let (text, _) = encoding.decode_without_bom_handling(&bytes);
        text.chars().next().filter(|c| *c != '\u{fffd}').unwrap_or(char::from(byte))
    }
}

impl Charmap {
    fn new(kind: Kind, decode: impl Fn(u8) -> char) -> Self {
        let mut decoded = ['\0'; 256];
        for (byte, c) in (0..=255).zip(&mut decoded) {
            *c = decode(byte);
        }
        if kind == Kind::Sloppy {
            decoded[0x1a] = '\u{fffd}';
        }
        let encoded = decoded.iter().zip(0..=255).map(|(c, byte)| (*c, byte)).collect();
        Self { decoded, encoded, kind }
    }

    /// The bytes of `text`, if it can have been decoded from this encoding.
    pub(crate) fn encode(&self, text: &str) -> Option<Vec<u8>> {
        text.chars()
            .map(|c| match c {
                '\x1a' => self.encoded.get(&c).copied(),
                '\0'..='\x7f' => Some(c as u8),
                _ => self.encoded.get(&c).copied(),
            })
            .collect()
    }

    pub(crate) fn decode(&self, byte: u8) -> char {
        self.decoded[usize::from(byte)]
    }
}

/// A byte of Windows-1252; what it leaves open as in Latin-1.
pub(crate) fn windows_1252(byte: u8) -> char {
    CHARMAPS[1].decode(byte)
}

/// UTF-8, strictly, unless bytes ED or C0 tell of Java or Oracle: then surrogate pairs in three bytes each and zero in
/// two are taken as well.
pub(crate) fn decode_utf8(mut bytes: &[u8]) -> Option<String> {
    let mut out = String::new();
    while let Some(at) = bytes.iter().enumerate().find_map(|(at, _)| variant(&bytes[at..]).map(|v| (at, v))) {
        let (at, (length, c)) = at;
        out.push_str(std::str::from_utf8(&bytes[..at]).ok()?);
        out.push(c);
        bytes = &bytes[at + length..];
    }
    out.push_str(std::str::from_utf8(bytes).ok()?);
    Some(out)
}

fn variant(bytes: &[u8]) -> Option<(usize, char)> {
    match *bytes {
        [0xc0, 0x80, ..] => Some((2, '\0')),
        // ftfy's pattern for a cut-off zero also fits before a last line break, and swallows it.
        [0xc0, b'\n'] => Some((2, '\0')),
        [0xed, a @ 0xa0..=0xaf, b @ 0x80..=0xbf, 0xed, c @ 0xb0..=0xbf, d @ 0x80..=0xbf, ..] => {
            let bits = |byte: u8, mask: u8, shift: u32| u32::from(byte & mask) << shift;
            let code = bits(a, 0x0f, 16) + bits(b, 0x3f, 10) + bits(c, 0x0f, 6) + bits(d, 0x3f, 0) + 0x1_0000;
            Some((6, char::from_u32(code)?))
        }
        _ => None,
    }
}
