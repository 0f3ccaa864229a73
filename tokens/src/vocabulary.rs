//! The merges of CLIP's byte-pair encoding: from the bytes of one word to ids, and from an id back to bytes.
//!
//! Ids 0–255 are the bytes, those that print in Latin-1 first; 256–511 are the same bytes at the end of a word; the
//! merges follow in order, so a smaller id is also the merge to do first. The build script recovers the merges.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::Error;

/// Made by build.rs: the two parts of each merge, 16-bit little-endian ids.
const MERGES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/merges.bin"));
/// The first id that is a merge.
const FIRST_MERGED: u16 = 512;
/// Slots of the pair table; 48,894 pairs fill three eighths of it, so that a miss ends after one or two probes.
const SLOTS: usize = 1 << 17;
const EMPTY: u64 = u64::MAX;
/// Words of more symbols go through a heap; below, scanning for the smallest rank is faster.
const SCANNED: usize = 64;
/// No merge of this pair.
const NONE: u16 = u16::MAX;

/// The tables of the encoding; immutable, 1.2 MB.
pub(crate) struct Vocabulary {
    /// The id of each byte inside a word; 256 more at its end.
    byte_ids: [u16; 256],
    /// The other way.
    bytes: [u8; 256],
    /// Open addressing: the pair in the upper 32 bits, the merged id in the lower.
    slots: Box<[u64]>,
}

impl Vocabulary {
    pub(crate) fn new() -> Result<Self, Error> {
        let count = usize::from(crate::START as u16 - FIRST_MERGED);
        if MERGES.len() != count * 4 {
            return Err(Error::Merges { bytes: MERGES.len() });
        }
        let mut byte_ids = [0; 256];
        let mut bytes = [0; 256];
        for (id, byte) in (0..).zip(byte_order()) {
            byte_ids[usize::from(byte)] = id;
            bytes[usize::from(id)] = byte;
        }
        let mut slots = vec![EMPTY; SLOTS].into_boxed_slice();
        for (id, parts) in (u64::from(FIRST_MERGED)..).zip(MERGES.chunks_exact(4)) {
            let (first, second) =
                (u16::from_le_bytes([parts[0], parts[1]]), u16::from_le_bytes([parts[2], parts[3]]));
            let pair = pair_of(first, second);
            let mut at = slot_of(pair);
            while slots[at] != EMPTY {
                at = (at + 1) % SLOTS;
            }
            slots[at] = u64::from(pair) << 32 | id;
        }
        Ok(Self { byte_ids, bytes, slots })
    }

    /// What two neighbours merge into, or [`NONE`].
    fn merged(&self, first: u16, second: u16) -> u16 {
        let pair = pair_of(first, second);
        let mut at = slot_of(pair);
        loop {
            let slot = self.slots[at];
            if slot == EMPTY {
                return NONE;
            }
            if (slot >> 32) as u32 == pair {
                return slot as u16;
            }
            at = (at + 1) % SLOTS;
        }
    }

    /// Appends the ids of one word (not empty, no space in it).
    ///
    /// The pair of the smallest id merges first, the leftmost of equals first. The reference merges all equal pairs of
    /// a word at once, which is the same: a merge never makes a pair that is older than itself.
    pub(crate) fn encode_word(&self, word: &[u8], out: &mut Vec<u16>) {
        if word.len() > SCANNED {
            return self.encode_long_word(word, out);
        }
        let mut symbols = [0_u16; SCANNED];
        let mut merges = [NONE; SCANNED];
        let mut len = word.len();
        for (symbol, byte) in symbols.iter_mut().zip(word) {
            *symbol = self.byte_ids[usize::from(*byte)];
        }
        symbols[len - 1] += 256;
        for i in 1..len {
            merges[i - 1] = self.merged(symbols[i - 1], symbols[i]);
        }
        loop {
            let (mut best, mut at) = (NONE, 0);
            for (i, &merge) in merges[..len - 1].iter().enumerate() {
                if merge < best {
                    (best, at) = (merge, i);
                }
            }
            if best == NONE {
                break;
            }
            symbols[at] = best;
            symbols.copy_within(at + 2..len, at + 1);
            merges.copy_within(at + 1..len - 1, at);
            len -= 1;
            merges[len - 1] = NONE;
            if at > 0 {
                merges[at - 1] = self.merged(symbols[at - 1], best);
            }
            if at + 1 < len {
                merges[at] = self.merged(best, symbols[at + 1]);
            }
        }
        out.extend_from_slice(&symbols[..len]);
    }

    /// The same in n log n: symbols as a linked list, candidate merges in a heap, stale ones skipped.
    fn encode_long_word(&self, word: &[u8], out: &mut Vec<u16>) {
        let mut symbols: Vec<u16> = word.iter().map(|b| self.byte_ids[usize::from(*b)]).collect();
        let len = symbols.len();
        symbols[len - 1] += 256;
        let mut next: Vec<usize> = (1..=len).collect();
        let mut previous: Vec<Option<usize>> = (0..len).map(|i| i.checked_sub(1)).collect();
        let mut heap: BinaryHeap<Reverse<(u16, usize)>> = (1..len)
            .map(|i| (self.merged(symbols[i - 1], symbols[i]), i - 1))
            .filter(|(merge, _)| *merge != NONE)
            .map(Reverse)
            .collect();
        let mut gone = vec![false; len];
        while let Some(Reverse((merge, at))) = heap.pop() {
            let right = next[at];
            if gone[at] || right == len || self.merged(symbols[at], symbols[right]) != merge {
                continue;
            }
            symbols[at] = merge;
            gone[right] = true;
            next[at] = next[right];
            let mut candidate = |left: usize, right: usize| {
                let merge = self.merged(symbols[left], symbols[right]);
                if merge != NONE {
                    heap.push(Reverse((merge, left)));
                }
            };
            if let Some(left) = previous[at] {
                candidate(left, at);
            }
            if next[at] < len {
                previous[next[at]] = Some(at);
                candidate(at, next[at]);
            }
        }
        let mut at = 0;
        while at < len {
            out.push(symbols[at]);
            at = next[at];
        }
    }

    /// Appends the bytes of an id below the start token, and says whether it ends a word.
    pub(crate) fn decode(&self, id: u16, out: &mut Vec<u8>) -> bool {
        // No pair goes deeper than a token is long; an explicit stack instead of recursion all the same.
        let mut stack = vec![id];
        let mut ends_word = false;
        while let Some(id) = stack.pop() {
            match id.checked_sub(FIRST_MERGED) {
                None => {
                    out.push(self.bytes[usize::from(id % 256)]);
                    ends_word = id >= 256;
                }
                Some(merge) => {
                    let at = usize::from(merge) * 4;
                    let parts = &MERGES[at..at + 4];
                    stack.push(u16::from_le_bytes([parts[2], parts[3]]));
                    stack.push(u16::from_le_bytes([parts[0], parts[1]]));
                }
            }
        }
        ends_word
    }
}

/// The bytes in the order of their ids: those that print in Latin-1, then the others.
fn byte_order() -> impl Iterator<Item = u8> {
    let prints = |b: &u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    (0..=255).filter(prints).chain((0..=255).filter(move |b| !prints(b)))
}

fn pair_of(first: u16, second: u16) -> u32 {
    u32::from(first) << 16 | u32::from(second)
}

/// Fibonacci hashing: the upper 17 bits of a product.
fn slot_of(pair: u32) -> usize {
    (u64::from(pair).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 47) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &[u8]) -> Vec<u16> {
        let mut ids = Vec::new();
        Vocabulary::new().unwrap().encode_word(text, &mut ids);
        ids
    }

    #[test]
    fn every_token_encodes_to_itself_or_decodes_back() {
        let vocabulary = Vocabulary::new().unwrap();
        for id in 0..crate::START as u16 {
            let (mut bytes, mut ids) = (Vec::new(), Vec::new());
            let ends_word = vocabulary.decode(id, &mut bytes);
            vocabulary.encode_word(&bytes, &mut ids);
            // A token inside a word has no spelling of its own; its bytes as a whole word must come back all the same.
            let mut again = Vec::new();
            let ends: Vec<bool> = ids.iter().map(|id| vocabulary.decode(*id, &mut again)).collect();
            assert_eq!(again, bytes, "token {id}");
            assert!(
                ends.split_last().is_some_and(|(last, before)| *last && !before.contains(&true)),
                "token {id}"
            );
            if ends_word {
                assert_eq!(ids, [id]);
            }
        }
    }

    #[test]
    fn the_heap_merges_as_the_scan_does() {
        let text = "donaudampfschifffahrtsgesellschaftskapitänsmützeaaaaaaaaaaabababab".repeat(3);
        let vocabulary = Vocabulary::new().unwrap();
        for length in 1..=SCANNED {
            for start in (0..text.len() - length).step_by(7) {
                let (mut scanned, mut heaped) = (Vec::new(), Vec::new());
                let word = &text.as_bytes()[start..start + length];
                vocabulary.encode_word(word, &mut scanned);
                vocabulary.encode_long_word(word, &mut heaped);
                assert_eq!(scanned, heaped, "{}", String::from_utf8_lossy(word));
            }
        }
    }

    #[test]
    fn known_words() {
        assert_eq!(word(b"motorcycle"), [10297]);
        assert_eq!(word("båstad".as_bytes()), [65, 23176, 16485]);
    }
}
