//! Ids of words met before, per thread: captions repeat their words, so most never come to the merges.
//!
//! Each word has one place, by its hash, and a later word takes it over: no lists, no clean-up, a fixed two megabytes. It
//! begins with the words that are one id, so that a new encoder is warm for most of what captions say.

use crate::vocabulary::Vocabulary;

/// Words up to this many bytes are kept: longer ones are rare.
const MAX_WORD: usize = 16;
/// Ids up to this many.
const MAX_IDS: usize = 7;
const SLOTS: usize = 1 << 16;

/// 32 bytes: two of them share a cache line.
#[derive(Clone, Copy)]
struct Slot {
    word: u128,
    ids: [u16; MAX_IDS],
    /// 0 if the place is free.
    word_len: u8,
    num_ids: u8,
}

/// A direct-mapped cache from word to ids.
#[derive(Clone)]
pub(crate) struct WordCache {
    slots: Box<[Slot]>,
}

/// A word that fits, as a number, and its place.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    word: u128,
    len: u8,
}

impl Key {
    /// The word `text[start..end]`; `None` if it is too long to be kept.
    #[inline]
    pub(crate) fn new(text: &[u8], start: usize, end: usize) -> Option<Self> {
        let len = end - start;
        if len > MAX_WORD {
            return None;
        }
        let word = match text.get(start..start + MAX_WORD).and_then(|w| <[u8; MAX_WORD]>::try_from(w).ok()) {
            // Sixteen bytes at once, of which those behind the word are shifted out.
            Some(bytes) => u128::from_le_bytes(bytes) << (8 * (MAX_WORD - len)),
            None => {
                let mut bytes = [0; MAX_WORD];
                bytes[MAX_WORD - len..].copy_from_slice(&text[start..end]);
                u128::from_le_bytes(bytes)
            }
        };
        Some(Self { word, len: len as u8 })
    }

    #[inline]
    fn slot(self) -> usize {
        let (low, high) = (self.word as u64, (self.word >> 64) as u64);
        let product = u128::from(low ^ 0x9e37_79b9_7f4a_7c15) * u128::from(high ^ 0xd1b5_4a32_d192_ed03);
        ((product >> 64) as u64 ^ product as u64) as usize % SLOTS
    }
}

impl WordCache {
    /// Holds the words of the vocabulary that are one id.
    pub(crate) fn new(vocabulary: &Vocabulary) -> Self {
        let free = Slot { word: 0, ids: [0; MAX_IDS], word_len: 0, num_ids: 0 };
        let mut cache = Self { slots: vec![free; SLOTS].into_boxed_slice() };
        let mut word = Vec::new();
        // Small ids are the frequent words: they come last, and so stay.
        for id in (0..crate::START as u16).rev() {
            word.clear();
            if vocabulary.decode(id, &mut word)
                && let Some(key) = Key::new(&word, 0, word.len())
            {
                cache.put(key, &[id]);
            }
        }
        cache
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&[u16]> {
        let slot = &self.slots[key.slot()];
        (slot.word == key.word && slot.word_len == key.len).then(|| &slot.ids[..usize::from(slot.num_ids)])
    }

    pub(crate) fn put(&mut self, key: Key, ids: &[u16]) {
        if ids.len() <= MAX_IDS {
            let slot = &mut self.slots[key.slot()];
            (slot.word, slot.word_len, slot.num_ids) = (key.word, key.len, ids.len() as u8);
            slot.ids[..ids.len()].copy_from_slice(ids);
        }
    }
}
