//! The rule `letters`, the one that is compared with other tools: the caption in lower case, then maximal runs of
//! `\p{L}`. Nearly every caption is ASCII, and there the letters of eight bytes are found with a few operations on
//! one 64-bit number.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex_syntax::hir::{Class, HirKind};

use super::Words;

/// Bytes behind the text that a reader of sixteen may touch, and the zero that ends the last word.
const PADDING: usize = 16;

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// One bit for each character: whether it is a letter. 136 kB, of which text of one script touches very little.
static LETTERS: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let mut bits = vec![0; 0x11_0000 / 64];
    let parsed = regex_syntax::parse(r"\p{L}");
    if let Ok(HirKind::Class(Class::Unicode(class))) = parsed.as_ref().map(regex_syntax::hir::Hir::kind) {
        for range in class.ranges() {
            for c in u32::from(range.start())..=u32::from(range.end()) {
                bits[c as usize / 64] |= 1 << (c % 64);
            }
        }
    }
    bits
});

fn is_letter(c: char) -> bool {
    let c = c as usize;
    LETTERS[c / 64] >> (c % 64) & 1 == 1
}

/// `caption` in lower case by Unicode's full mapping, the final sigma included.
pub fn lower_case(caption: &str) -> Cow<'_, str> {
    if caption.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) {
        Cow::Owned(caption.to_lowercase())
    } else {
        Cow::Borrowed(caption)
    }
}

/// The rule, with one bit for each byte of the caption.
#[derive(Debug, Default)]
pub struct Letters {
    masks: Vec<u64>,
}

impl Letters {
    #[inline]
    pub(super) fn split(&mut self, caption: &str, words: &mut Words) {
        if caption.is_ascii() {
            self.split_ascii(caption.as_bytes(), words);
        } else {
            split_any(caption, words);
        }
    }

    #[inline]
    fn split_ascii(&mut self, text: &[u8], words: &mut Words) {
        let blocks = text.len() / 64 + 1;
        // Whole blocks, zeros behind the text.
        words.buffer.resize(blocks * 64 + PADDING, 0);
        self.masks.clear();
        let (whole, rest) = text.as_chunks::<64>();
        let (lowered, _) = words.buffer.as_chunks_mut::<64>();
        let mut last = [0; 64];
        last[..rest.len()].copy_from_slice(rest);
        for (from, to) in whole.iter().chain([&last]).zip(lowered) {
            self.masks.push(lower_block(from, to));
        }
        // Where a bit differs from the one before it a word begins or, the next time, ends.
        let (mut before, mut start) = (0, None);
        for (block, mask) in self.masks.iter().enumerate() {
            let mut edges = mask ^ (mask << 1 | before);
            before = mask >> 63;
            while edges != 0 {
                let at = block * 64 + edges.trailing_zeros() as usize;
                edges &= edges - 1;
                match start.take() {
                    None => start = Some(at),
                    Some(start) => words.spans.push((start, at)),
                }
            }
        }
    }
}

/// Writes 64 ASCII bytes with bit 5 set, which is lower case for letters, and says which are letters. Bytes that are
/// no letters change too; no word holds one.
#[inline]
fn lower_block(from: &[u8; 64], to: &mut [u8; 64]) -> u64 {
    let (from, _) = from.as_chunks::<8>();
    let (to, _) = to.as_chunks_mut::<8>();
    let mut mask = 0;
    for (n, (from, to)) in from.iter().zip(to).enumerate() {
        let lower = u64::from_le_bytes(*from) | (ONES * 0x20);
        *to = lower.to_le_bytes();
        // Bit 7 of each byte: not below 'a', and not above 'z'. No sum leaves its byte, since all are below 128.
        let from_a = lower + ONES * (0x80 - 0x61);
        let above_z = lower + ONES * (0x80 - 0x7b);
        let letters = (from_a & !above_z & HIGH) >> 7;
        // Gathers the eight bits in the top byte.
        mask |= (letters.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * n);
    }
    mask
}

fn split_any(caption: &str, words: &mut Words) {
    let lower = caption.to_lowercase();
    let mut start = None;
    for (at, c) in lower.char_indices() {
        let is_in_word = if c.is_ascii() { c.is_ascii_lowercase() } else { is_letter(c) };
        if is_in_word {
            start = start.or(Some(at));
        } else if let Some(start) = start.take() {
            words.spans.push((start, at));
        }
    }
    words.spans.extend(start.map(|start| (start, lower.len())));
    words.buffer.extend_from_slice(lower.as_bytes());
    words.buffer.resize(lower.len() + PADDING, 0);
}
