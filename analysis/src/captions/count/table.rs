//! One thread's table: open addressing by the leading bits of the hash, 32 bytes a slot, longer strings in an arena.

use std::sync::Arc;

use super::hash::{Hasher, INLINE_BYTES, inline_bytes, inline_key};
use super::spill::{Spill, SpillError};
use super::{List, PARTITION_BITS, PARTITIONS};

/// Marks the key of a string in the arena; above any inline length.
const LONG: u64 = 0xff << 56;
const MIN_SLOTS_LOG2: u32 = 10;
const SLOT_BYTES: usize = size_of::<Slot>();

/// A string and its counts. A free slot has count 0.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// The string itself ([`inline_key`]), or its hash and where it lies in the arena.
    key: [u64; 2],
    /// Times it was seen.
    count: u64,
    /// Captions it was seen in.
    captions: u32,
    /// The caption it was last seen in.
    last: u32,
}

/// Counts strings, and how many captions each occurs in.
#[derive(Debug)]
pub struct Counter {
    slots: Vec<Slot>,
    /// Lengths (4 bytes) and bytes of the strings that do not fit a slot.
    arena: Vec<u8>,
    hasher: Hasher,
    num_used: usize,
    slots_log2: u32,
    max_slots_log2: u32,
    max_arena: usize,
    /// Number of the caption, from 1.
    caption: u32,
    /// Whether the table is to be spilled when the caption ends: amid one, its words would be counted as two captions'.
    is_due: bool,
    spill: Arc<Spill>,
}

impl Counter {
    /// A counter of about `budget` bytes at most, which spills into `spill`.
    pub fn new(budget: usize, spill: Arc<Spill>) -> Self {
        // Growing holds the old table beside the new one, so the table may take a half and the arena a fourth.
        let max_slots = (budget / 2 / SLOT_BYTES).max(1 << MIN_SLOTS_LOG2);
        Self {
            slots: vec![Slot::default(); 1 << MIN_SLOTS_LOG2],
            arena: Vec::new(),
            hasher: Hasher::new(),
            num_used: 0,
            slots_log2: MIN_SLOTS_LOG2,
            max_slots_log2: max_slots.ilog2(),
            max_arena: (budget / 4).clamp(1 << 12, 1 << 39),
            caption: 1,
            is_due: false,
            spill,
        }
    }

    /// Says that the strings from here on are of another caption.
    ///
    /// # Errors
    /// When a spill that falls due fails.
    #[inline]
    pub fn next_caption(&mut self) -> Result<(), SpillError> {
        // When caption numbers run out they start over, and then no slot may remember one.
        if self.is_due || self.caption == u32::MAX {
            self.spill()?;
        }
        self.caption += 1;
        Ok(())
    }

    /// Counts `buffer[start..end]` once.
    #[inline]
    pub fn add(&mut self, buffer: &[u8], start: usize, end: usize) {
        let Some(key) = inline_key(buffer, start, end) else {
            return self.add_long(buffer.get(start..end).unwrap_or_default());
        };
        let mut at = self.slot_of(self.hasher.fold(key[0], key[1]));
        loop {
            let slot = &mut self.slots[at];
            if slot.key == key {
                slot.count += 1;
                slot.captions += u32::from(slot.last != self.caption);
                slot.last = self.caption;
                return;
            }
            if slot.count == 0 {
                *slot = Slot { key, count: 1, captions: 1, last: self.caption };
                return self.used_one();
            }
            at = self.after(at);
        }
    }

    #[inline(never)]
    fn add_long(&mut self, bytes: &[u8]) {
        let hash = self.hasher.long(bytes);
        let mut at = self.slot_of(hash);
        loop {
            let slot = self.slots[at];
            if slot.count == 0 {
                let key = [hash, LONG | self.arena.len() as u64];
                self.arena.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                self.arena.extend_from_slice(bytes);
                self.slots[at] = Slot { key, count: 1, captions: 1, last: self.caption };
                return self.used_one();
            }
            if slot.key[0] == hash && slot.key[1] >= LONG && long_bytes(&self.arena, slot.key[1]) == bytes {
                let slot = &mut self.slots[at];
                slot.count += 1;
                slot.captions += u32::from(slot.last != self.caption);
                slot.last = self.caption;
                return;
            }
            at = self.after(at);
        }
    }

    #[inline]
    fn slot_of(&self, hash: u64) -> usize {
        (hash >> (64 - self.slots_log2)) as usize
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }

    fn used_one(&mut self) {
        self.num_used += 1;
        let is_full = self.num_used * 4 > self.slots.len() * 3;
        let may_not_grow = self.slots_log2 >= self.max_slots_log2;
        self.is_due |= self.arena.len() > self.max_arena || (is_full && may_not_grow);
        // One caption with a vocabulary of its own may take the table past its limit.
        if is_full && (!may_not_grow || self.num_used * 16 > self.slots.len() * 15) {
            self.grow();
        }
    }

    fn grow(&mut self) {
        self.slots_log2 += 1;
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); 1 << self.slots_log2]);
        for slot in old.into_iter().filter(|s| s.count > 0) {
            let mut at = self.slot_of(self.hash(slot.key));
            while self.slots[at].count > 0 {
                at = self.after(at);
            }
            self.slots[at] = slot;
        }
    }

    fn hash(&self, key: [u64; 2]) -> u64 {
        if key[1] >= LONG { key[0] } else { self.hasher.fold(key[0], key[1]) }
    }

    /// Writes every entry out and empties the table.
    fn spill(&mut self) -> Result<(), SpillError> {
        let spill = Arc::clone(&self.spill);
        let mut out = spill.writer();
        self.each(|partition, word, count, captions| out.push(partition, word, count, captions))?;
        out.flush()?;
        if self.slots_log2 > self.max_slots_log2 {
            self.slots_log2 = self.max_slots_log2;
            self.slots = Vec::new();
        }
        self.slots.clear();
        self.slots.resize(1 << self.slots_log2, Slot::default());
        self.arena.clear();
        self.arena.shrink_to(self.max_arena);
        self.is_due = false;
        self.num_used = 0;
        self.caption = 0;
        Ok(())
    }

    /// Gives every entry to `take`: partition, string, count, captions.
    fn each<E>(&self, mut take: impl FnMut(usize, &[u8], u64, u64) -> Result<(), E>) -> Result<(), E> {
        for slot in self.slots.iter().filter(|s| s.count > 0) {
            let partition = (self.hash(slot.key) >> (64 - PARTITION_BITS)) as usize;
            let captions = u64::from(slot.captions);
            if slot.key[1] >= LONG {
                take(partition, long_bytes(&self.arena, slot.key[1]), slot.count, captions)?;
            } else {
                let (bytes, len) = inline_bytes(slot.key);
                take(partition, &bytes[..len.min(INLINE_BYTES)], slot.count, captions)?;
            }
        }
        Ok(())
    }

    /// Distinct strings that are in memory now.
    pub(super) fn num_used(&self) -> usize {
        self.num_used
    }

    /// Ends counting: entries that are still in memory, by partition, or everything in the spill's files when
    /// `to_files`.
    ///
    /// # Errors
    /// When the spill fails.
    pub(super) fn finish(mut self, to_files: bool) -> Result<Vec<List>, SpillError> {
        if to_files {
            self.spill()?;
            return Ok(Vec::new());
        }
        let mut lists = vec![List::default(); PARTITIONS];
        self.each(|partition, word, count, captions| {
            lists[partition].push(word, count, captions);
            Ok::<(), SpillError>(())
        })?;
        Ok(lists)
    }
}

fn long_bytes(arena: &[u8], key: u64) -> &[u8] {
    let rest = arena.get((key & !LONG) as usize..).unwrap_or_default();
    let Some((len, rest)) = rest.split_first_chunk::<4>() else { return &[] };
    rest.get(..u32::from_le_bytes(*len) as usize).unwrap_or_default()
}
