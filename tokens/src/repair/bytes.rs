//! Bytes that would be UTF-8 but for one known accident: a no-break space that became a space, or a byte that was lost.

const SPACE: u8 = b' ';
const NO_BREAK: u8 = 0xa0;
/// Stands for a byte that came to us as U+FFFD.
const LOST: u8 = 0x1a;

fn continues(byte: u8) -> bool {
    (0x80..=0xbf).contains(&byte)
}

/// A continuation byte other than 85 (an ellipsis in Windows-1252) and A0 itself.
fn continues_space(byte: u8) -> bool {
    continues(byte) && byte != 0x85 && byte != NO_BREAK
}

/// The length of a sequence at the start of `bytes` that would be a likely character with A0 in place of its space.
fn altered(bytes: &[u8]) -> Option<usize> {
    match *bytes {
        [0xc2 | 0xc3 | 0xc5 | 0xce | 0xd0 | 0xd9, SPACE, ..] => Some(2),
        [0xe2 | 0xe3, SPACE, c, ..] if continues_space(c) => Some(3),
        [0xe0..=0xe3, c, SPACE, ..] if continues_space(c) => Some(3),
        [0xf0, SPACE, c, d, ..] | [0xf0, c, SPACE, d, ..] | [0xf0, c, d, SPACE, ..]
            if continues(c) && continues(d) =>
        {
            Some(4)
        }
        _ => None,
    }
}

/// Puts back no-break spaces where a space cut a likely character in two; `à` as a word of its own keeps its space.
/// `None` if there is no such place.
pub(crate) fn restore_no_break(bytes: &[u8]) -> Option<Vec<u8>> {
    (0..bytes.len()).find(|at| altered(&bytes[*at..]).is_some())?;
    let mut spaced = Vec::with_capacity(bytes.len() + 8);
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let word = rest.strip_prefix(b"\xc3 ").filter(|after| {
            let glued: [&[u8]; 5] = [b" ", b"quele", b"quela", b"quilo", b"s "];
            !glued.iter().any(|g| after.starts_with(g))
        });
        if word.is_some() {
            spaced.extend(b"\xc3\xa0 ");
            at += 2;
        } else {
            spaced.push(bytes[at]);
            at += 1;
        }
    }
    at = 0;
    while at < spaced.len() {
        let length = altered(&spaced[at..]).unwrap_or(0);
        for byte in &mut spaced[at..at + length] {
            if *byte == SPACE {
                *byte = NO_BREAK;
            }
        }
        at += length.max(1);
    }
    Some(spaced)
}

/// The length of a sequence at the start of `bytes` with a byte lost in it; `?` may stand for one of them.
fn lossy(bytes: &[u8]) -> Option<usize> {
    let asked = |byte: u8| byte == LOST || byte == b'?';
    let kept = |byte: u8| byte == LOST || continues(byte);
    match *bytes {
        [0xc2..=0xdf, LOST, ..] | [0xc2 | 0xc3, b'?', ..] => Some(2),
        [0xed, 0xa0..=0xaf, b, 0xed, 0xb0..=0xbf, d, ..]
            if asked(b) && (asked(d) || continues(d)) || (asked(b) || continues(b)) && asked(d) =>
        {
            Some(6)
        }
        [0xe0..=0xef, b, c, ..] if asked(b) && kept(c) || kept(b) && asked(c) => Some(3),
        [0xf0..=0xf4, b, c, d, ..]
            if asked(b) && kept(c) && kept(d)
                || kept(b) && asked(c) && kept(d)
                || kept(b) && kept(c) && asked(d) =>
        {
            Some(4)
        }
        [LOST, ..] => Some(1),
        _ => None,
    }
}

/// Replaces every sequence with a lost byte by U+FFFD.
pub(crate) fn replace_lossy(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match lossy(&bytes[at..]) {
            Some(length) => {
                out.extend("\u{fffd}".as_bytes());
                at += length;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}
