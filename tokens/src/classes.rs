//! Classes of characters, as the pre-split of the reference sees them.

/// Made by build.rs: a block number for each 256 characters, then the blocks.
static CLASSES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/classes.bin"));
const BLOCKS: usize = 0x11_0000 / 256;

/// What a character is to the pre-split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// Neither letter nor number nor space.
    Other,
    /// `\p{L}`
    Letter,
    /// `\p{Nd}`
    Decimal,
    /// `\p{N}` but no decimal digit.
    Number,
}

pub(crate) fn class(c: char) -> Class {
    let c = c as usize;
    match CLASSES[BLOCKS + usize::from(CLASSES[c / 256]) * 256 + c % 256] {
        0 => Class::Other,
        1 => Class::Letter,
        2 => Class::Decimal,
        _ => Class::Number,
    }
}

/// Python's `str.isspace`: Unicode's white space and the four separators of ASCII.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}
