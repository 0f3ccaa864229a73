//! Repairs of single characters: C1 controls, ligatures, widths, quotes, line breaks, and what no text should hold.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::charmap::windows_1252;
use crate::classes::{Class, class};

/// C1 controls as Windows-1252, ligatures and digraphs of Latin letters apart, full- and half-width forms in their usual
/// width, straight quotes, line breaks as `\n`; then terminal escapes and control characters out, then NFC.
pub(crate) fn fix_characters(text: &str) -> Cow<'_, str> {
    let (mut replaced, mut controls, mut marks) = (false, false, false);
    for c in text.chars() {
        replaced |= is_replaced(c);
        controls |= is_control(c);
        // Below is nothing that NFC changes.
        marks |= c >= '\u{300}';
    }
    let mut fixed = Cow::Borrowed(text);
    if replaced {
        fixed = Cow::Owned(replace(text));
        // What a wide form stands for may be a control character or a mark.
        (controls, marks) = (true, true);
    }
    if controls && fixed.contains('\x1b') {
        fixed = Cow::Owned(without_escapes(&fixed));
    }
    if controls && fixed.chars().any(is_control) {
        fixed = Cow::Owned(fixed.chars().filter(|c| !is_control(*c)).collect());
    }
    if marks && !fixed.is_ascii() && is_nfc_quick(fixed.chars()) != IsNormalized::Yes {
        fixed = Cow::Owned(fixed.nfc().collect());
    }
    fixed
}

fn is_replaced(c: char) -> bool {
    match c {
        '\0'..='\x7f' => c == '\r',
        '\u{80}'..='\u{9f}' | '\u{2018}'..='\u{201f}' | '\u{2028}' | '\u{2029}' | '\u{2bc}' | '\u{3000}' => {
            true
        }
        '\u{ff01}'..='\u{ffef}' => true,
        _ => apart(c).is_some(),
    }
}

/// The letters of a ligature, or of a digraph that is one character only for the sake of an old encoding.
fn apart(c: char) -> Option<&'static str> {
    Some(match c {
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        // The apostrophe becomes straight with the other quotes.
        'ŉ' => "'n",
        'Ǆ' => "DŽ",
        'ǅ' => "Dž",
        'ǆ' => "dž",
        'Ǉ' => "LJ",
        'ǈ' => "Lj",
        'ǉ' => "lj",
        'Ǌ' => "NJ",
        'ǋ' => "Nj",
        'ǌ' => "nj",
        'Ǳ' => "DZ",
        'ǲ' => "Dz",
        'ǳ' => "dz",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' => "ſt",
        'ﬆ' => "st",
        _ => return None,
    })
}

fn replace(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let c = if matches!(c, '\u{80}'..='\u{9f}') { windows_1252(c as u8) } else { c };
        match c {
            '\r' => {
                chars.next_if_eq(&'\n');
                out.push('\n');
            }
            '\u{2028}' | '\u{2029}' => out.push('\n'),
            '\u{3000}' => out.push(' '),
            '\u{2bc}' | '\u{2018}'..='\u{201b}' => out.push('\''),
            '\u{201c}'..='\u{201f}' => out.push('"'),
            '\u{ff01}'..='\u{ffef}' => out.extend(std::iter::once(c).nfkc()),
            _ => match apart(c) {
                Some(letters) => out.push_str(letters),
                None => out.push(c),
            },
        }
    }
    out
}

/// Without ESC `[`, numbers and semicolons, and a letter.
fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("\x1b[") {
        let body = &rest[start + 2..];
        let end = body.find(|c: char| c != ';' && class(c) != Class::Decimal);
        match end.filter(|end| body[*end..].starts_with(|c: char| c.is_ascii_alphabetic())) {
            Some(end) => {
                out.push_str(&rest[..start]);
                rest = &body[end + 1..];
            }
            None => {
                out.push_str(&rest[..start + 2]);
                rest = body;
            }
        }
    }
    out.push_str(rest);
    out
}

fn is_control(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0b' | '\x0e'..='\x1f' | '\x7f' | '\u{206a}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{fff9}'..='\u{fffc}')
}
