//! Where text looks misread: neighbours that no language has, by the kinds of some four hundred characters that show up
//! when UTF-8 is read as something else. Kinds and rules decide as those of ftfy 6.3 (its `is_bad`) do; here a character
//! is a set of bits, and a rule says which bits must follow which.

use std::sync::LazyLock;

use super::charmap::{Charmap, latin_like};
use crate::classes::{Class, class, is_space};

type Bits = u32;

const BAD: Bits = 1;
const LAW: Bits = 1 << 1;
const CURRENCY: Bits = 1 << 2;
const OPENING: Bits = 1 << 3;
const CLOSING: Bits = 1 << 4;
const NUMERIC: Bits = 1 << 5;
/// Letters of drawn faces, which stand beside anything.
const FACE: Bits = 1 << 6;
const UPPER: Bits = 1 << 7;
const LOWER: Bits = 1 << 8;
/// Letters that are rarely mojibake: Greek, Cyrillic, thorn.
const UPPER_COMMON: Bits = 1 << 9;
const LOWER_COMMON: Bits = 1 << 10;
const BOX: Bits = 1 << 11;
const C1: Bits = 1 << 12;
/// Stand in any context by themselves.
const COMMON: Bits = 1 << 13;
const A_TO_Z: Bits = 1 << 14;
const CAPITAL_A_TO_Z: Bits = 1 << 15;
/// First characters of the rules that name characters instead of kinds.
const NAMED: Bits = 1 << 16;
/// What bytes C2–DF, E0–EF, F0 and F3, and 80–BF are in the Latin-1-like encodings.
const FIRST_OF_2: Bits = 1 << 17;
const FIRST_OF_3: Bits = 1 << 18;
const FIRST_OF_4: Bits = 1 << 19;
const CONTINUES: Bits = 1 << 20;
/// Of those, what rarely stands for itself beside mojibake: no space, dash, quotation mark, bullet, ellipsis.
const CONTINUES_STRICTLY: Bits = 1 << 21;

const LETTERS: Bits = UPPER | LOWER;
const ODD: Bits = LETTERS | BOX | OPENING | CLOSING | CURRENCY | NUMERIC | LAW;

/// Ranges of two characters, or single ones.
const KINDS: [(Bits, &str); 14] = [
    (COMMON, "\u{a0}\u{ad}·´–—―…’"),
    (BAD, "¦¤¨¬¯¸ªºƒˆˇ˘˛˜†‡‰⌐◊\u{fffd}"),
    (LAW, "¶§"),
    (CURRENCY, "¢£¥₧€"),
    (OPENING, "¡«¿©΄΅‘‚“„•‹\u{f8ff}"),
    (CLOSING, "®»˝”›™"),
    (NUMERIC, "¹²³±¼½¾×µ÷⁄∂∆∏∑√∞∩∫≈≠≡≤≥№"),
    (FACE, "ÒÓÔÕÖÙÚÛÜòóôõöøùúûüŐŌŪŲ°"),
    (UPPER, "ØÜÝĂĀĄĆČĎĐĘĚĒĖĞĢİĪĶĹĽŁĻŃŇŅŒŘŚŞŠŢŤŮŰŸŹŻŽҐ"),
    (LOWER, "ßăąāćčďđęěēėğģįīķĺľłļœŕśşšťüźżžґﬁﬂ"),
    (UPPER_COMMON, "ÞΆΈΉΊΌΎΏΪΫ"),
    (LOWER_COMMON, "άέήίΰ"),
    (BOX, "│┌┐┘├┤┬┼▀▄█▌▐░▒▓"),
    (NAMED, "ŒœÂÃÎÐ×ØÙà√≈‚вВГРСβΒΓΞΟā"),
];
const RANGES: [(Bits, char, char); 10] = [
    (C1, '\u{80}', '\u{9f}'),
    (UPPER, 'À', 'Ñ'),
    (LOWER, 'à', 'ñ'),
    (UPPER_COMMON, 'Α', 'Ω'),
    (UPPER_COMMON, 'Ё', 'Я'),
    (LOWER_COMMON, 'α', 'ω'),
    (LOWER_COMMON, 'а', 'џ'),
    (BOX, '═', '╬'),
    (A_TO_Z, 'a', 'z'),
    (CAPITAL_A_TO_Z, 'A', 'Z'),
];
/// Continuations that stand for themselves often enough.
const NOT_STRICT: &str = "–—―‘’‚“”„•…";

/// Two kinds that are never neighbours.
const PAIRS: [(Bits, Bits); 10] = [
    (ODD | BAD, BAD),
    (BAD, ODD),
    (LOWER | LOWER_COMMON | BOX | CLOSING | CURRENCY | NUMERIC, UPPER),
    (BOX | CLOSING | CURRENCY | NUMERIC, LOWER),
    (LOWER | BOX | CLOSING, CURRENCY),
    (UPPER | BOX, NUMERIC | LAW),
    (CURRENCY | NUMERIC | BOX, OPENING),
    (BOX, FACE),
    (LETTERS | CURRENCY | NUMERIC | OPENING | CLOSING | LAW, BOX),
    (BOX, CLOSING),
];

/// Three kinds that never follow each other.
const TRIPLES: [(Bits, Bits, Bits); 4] = [
    (A_TO_Z | CAPITAL_A_TO_Z, LOWER_COMMON | UPPER_COMMON, BAD),
    (LETTERS | BOX | CURRENCY | CLOSING, OPENING, NUMERIC),
    (LETTERS | CURRENCY | NUMERIC | BOX | LAW, CLOSING, OPENING),
    (A_TO_Z, UPPER, OPENING | CURRENCY),
];

/// Bits of the characters below this are in a table; above are only the private apple, two ligatures and U+FFFD.
const TABLED: usize = 0x2600;

static BITS: LazyLock<Vec<Bits>> = LazyLock::new(|| {
    let mut table = vec![0; TABLED];
    let mut set = |c: char, bits: Bits| {
        if let Some(of_char) = table.get_mut(c as usize) {
            *of_char |= bits;
        }
    };
    for (bits, chars) in KINDS {
        chars.chars().for_each(|c| set(c, bits));
    }
    for (bits, first, last) in RANGES {
        (first..=last).for_each(|c| set(c, bits));
    }
    let bytes = |charmap: &'static Charmap, bytes: &[u8]| {
        bytes.iter().map(|b| charmap.decode(*b)).collect::<Vec<_>>()
    };
    for charmap in latin_like() {
        bytes(charmap, &(0xc2..=0xdf).collect::<Vec<_>>()).into_iter().for_each(|c| set(c, FIRST_OF_2));
        bytes(charmap, &(0xe0..=0xef).collect::<Vec<_>>()).into_iter().for_each(|c| set(c, FIRST_OF_3));
        bytes(charmap, &[0xf0, 0xf3]).into_iter().for_each(|c| set(c, FIRST_OF_4));
        for c in bytes(charmap, &(0x80..=0xbf).collect::<Vec<_>>()) {
            set(c, if NOT_STRICT.contains(c) { CONTINUES } else { CONTINUES | CONTINUES_STRICTLY });
        }
    }
    // A space may have been a no-break space.
    set(' ', CONTINUES);
    table
});

#[inline]
fn bits_of(table: &[Bits], c: char) -> Bits {
    match table.get(c as usize) {
        Some(bits) => *bits,
        None => match c {
            '\u{f8ff}' => OPENING,
            'ﬁ' | 'ﬂ' => LOWER,
            '\u{fffd}' => BAD,
            _ => 0,
        },
    }
}

/// Whether `text` looks like mojibake anywhere.
pub(crate) fn is_bad(text: &str) -> bool {
    let table: &[Bits] = &BITS;
    // The last two characters and their kinds; NUL, of no kind, before the first.
    let (mut before, mut last) = (('\0', 0), ('\0', 0));
    let mut rest = text.chars();
    let mut at_start = true;
    while let Some(c) = rest.next() {
        let bits = bits_of(table, c);
        let closes_word = before.1 & LETTERS != 0 && last.1 & (OPENING | CLOSING) != 0 && is_word(c);
        // No other rule ends in, or starts with, an ASCII character or one of no kind.
        if c.is_ascii() || bits == 0 {
            if closes_word {
                return true;
            }
            (before, last) = (last, (c, bits));
            at_start = false;
            continue;
        }
        if closes_word
            || bits & C1 != 0
            || PAIRS.iter().any(|(a, b)| last.1 & a != 0 && bits & b != 0)
            || TRIPLES.iter().any(|(a, b, d)| before.1 & a != 0 && last.1 & b != 0 && bits & d != 0)
            || is_space(before.0) && last.1 & UPPER != 0 && bits & CURRENCY != 0
            || last.1 & UPPER != 0 && c == '°'
            || bits & NAMED != 0 && named(table, c, rest.clone())
            || matches!(c, 'Â' | 'Ã') && a_before_space(table, at_start, before, last, c, rest.clone().next())
        {
            return true;
        }
        (before, last) = (last, (c, bits));
        at_start = false;
    }
    false
}

/// Python's `\w`.
fn is_word(c: char) -> bool {
    c == '_' || class(c) != Class::Other
}

/// `Â` and `Ã` before a space: the beginning of a character whose second byte was a no-break space; and `Â` between
/// what stands beside a space or quotation mark anyway.
fn a_before_space(
    table: &[Bits],
    at_start: bool,
    before: (char, Bits),
    last: (char, Bits),
    c: char,
    next: Option<char>,
) -> bool {
    let Some(next) = next else { return false };
    let after_letter = last.1 & A_TO_Z != 0 || is_space(last.0) && before.1 & A_TO_Z != 0;
    let doubled = c == 'Â' && (last.1 & (A_TO_Z | CLOSING) != 0 || matches!(last.0, '.' | ',' | '?' | '!'));
    next == ' ' && (at_start || after_letter)
        || doubled && (next == ' ' || bits_of(table, next) & (OPENING | CLOSING) != 0)
}

/// The rules that name characters: `first`, and what follows it.
fn named(table: &[Bits], first: char, mut rest: std::str::Chars<'_>) -> bool {
    let Some(second) = rest.next() else { return false };
    let bits = bits_of(table, second);
    let one_of = |chars: &str| chars.contains(second);
    match first {
        'Œ' | 'œ' => !second.is_ascii_alphabetic(),
        'Â' | 'Ã' | 'Î' | 'Ð' => {
            bits & (OPENING | CLOSING) != 0
                || one_of("€œŠš¢£Ÿž\u{a0}\u{ad}®©°·»–—´")
                || first == 'Ã' && one_of("\u{a0}¡")
        }
        '×' => one_of("²³"),
        // Arabic takes its common characters along, so it needs two of them.
        'Ø' | 'Ù' => {
            let follows = |c: char| {
                bits_of(table, c) & (COMMON | CURRENCY | BAD | NUMERIC | OPENING) != 0 || "ŸŠ®°µ»".contains(c)
            };
            follows(second) && matches!(rest.next(), Some('Ø' | 'Ù')) && rest.next().is_some_and(follows)
        }
        'à' => one_of("²µ¹¼½¾"),
        '√' => one_of("±∂†≠®™´≤≥¥µø"),
        '≈' => one_of("°¢"),
        '‚' => match second {
            'Ä' => rest.next().is_some_and(|c| "ìîïòôúùû†°¢π".contains(c)),
            'â' | 'ó' => rest.next().is_some_and(|c| "àä°ê".contains(c)),
            _ => false,
        },
        'в' => second == 'Ђ',
        'ā' => second == '€',
        'β' => second == '€' && rest.next().is_some_and(|c| "™\u{a0}Ά\u{ad}®°".contains(c)),
        'В' | 'Г' | 'Р' | 'С' => {
            let between = bits & (C1 | BAD | OPENING | CLOSING | CURRENCY) != 0 || one_of("°µ");
            let mut five = rest.clone();
            between && matches!(rest.next(), Some('В' | 'Г' | 'Р' | 'С'))
                || first == 'Г'
                    && second == 'ў'
                    && five.by_ref().take(3).eq("ВЂВ".chars())
                    && five.next().is_some_and(|c| c != '\n')
                    && five.next().is_some_and(|c| c == ' ' || c.is_ascii_alphabetic())
        }
        'Β' | 'Γ' | 'Ξ' | 'Ο' => {
            (bits & (C1 | BAD | OPENING | CLOSING | CURRENCY) != 0 || second == '°')
                && matches!(rest.next(), Some('Β' | 'Γ' | 'Ξ' | 'Ο'))
        }
        _ => false,
    }
}

/// Replaces runs of characters that look like UTF-8 read in a Latin-1-like encoding by what `fix` makes of them.
/// `None` if there is no such run.
pub(crate) fn replace_utf8_like(text: &str, mut fix: impl FnMut(&str) -> Option<String>) -> Option<String> {
    let table: &[Bits] = &BITS;
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    let mut found = false;
    let mut last = 0;
    while let Some(c) = text[at..].chars().next() {
        let length = if last & CONTINUES_STRICTLY == 0 { run_of_sequences(table, &text[at..]) } else { 0 };
        if length == 0 {
            last = bits_of(table, c);
            at += c.len_utf8();
            continue;
        }
        found = true;
        let piece = &text[at..at + length];
        if let Some(fixed) = fix(piece) {
            out.push_str(&text[copied..at]);
            out.push_str(&fixed);
            copied = at + length;
        }
        last = piece.chars().next_back().map_or(0, |c| bits_of(table, c));
        at += length;
    }
    out.push_str(&text[copied..]);
    found.then_some(out)
}

/// The length in bytes of the sequences at the start of `text`: a first character and one to three continuations each.
fn run_of_sequences(table: &[Bits], text: &str) -> usize {
    let mut chars = text.chars();
    let mut length = 0;
    while let Some(first) = chars.next() {
        let bits = bits_of(table, first);
        let continuations = match () {
            () if bits & FIRST_OF_2 != 0 => 1,
            () if bits & FIRST_OF_3 != 0 => 2,
            () if bits & FIRST_OF_4 != 0 => 3,
            () => break,
        };
        let follow = chars.by_ref().take(continuations).filter(|c| bits_of(table, *c) & CONTINUES != 0);
        if follow.count() < continuations {
            break;
        }
        length = text.len() - chars.as_str().len();
    }
    length
}
