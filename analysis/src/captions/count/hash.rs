//! Keys of the table and their hash. A string of at most 15 bytes *is* its key, so most words are never compared
//! byte by byte and never stored twice.

use std::hash::BuildHasher;
use std::sync::LazyLock;

/// Longest string that fits a key.
pub(super) const INLINE_BYTES: usize = 15;

/// Multipliers of the hash, drawn anew by every process: captions that collide cannot be written in advance.
static SECRET: LazyLock<[u64; 2]> = LazyLock::new(|| {
    let state = std::hash::RandomState::new();
    [state.hash_one(0_u64) | 1, state.hash_one(1_u64) | 1]
});

/// Hashes with the process's secret.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hasher([u64; 2]);

impl Hasher {
    pub(super) fn new() -> Self {
        Self(*SECRET)
    }

    /// The two halves of a product of 64 × 64 bits, folded.
    #[inline]
    pub(super) fn fold(self, low: u64, high: u64) -> u64 {
        let product = u128::from(low ^ self.0[0]) * u128::from(high ^ self.0[1]);
        (product as u64) ^ ((product >> 64) as u64)
    }

    /// Of a string of any length.
    pub(super) fn long(self, bytes: &[u8]) -> u64 {
        let mut hash = bytes.len() as u64;
        let (chunks, rest) = bytes.as_chunks::<16>();
        for chunk in chunks {
            let value = u128::from_le_bytes(*chunk);
            hash = self.fold(value as u64 ^ hash, (value >> 64) as u64 ^ hash.rotate_left(32));
        }
        let mut last = [0; 16];
        last[..rest.len()].copy_from_slice(rest);
        let value = u128::from_le_bytes(last);
        self.fold(value as u64 ^ hash, (value >> 64) as u64 ^ hash.rotate_left(32))
    }
}

/// The bytes below each length: `KEEP[3]` keeps three.
const KEEP: [u128; 16] = {
    let mut keep = [0; 16];
    let mut n = 1;
    while n < 16 {
        keep[n] = (1 << (8 * n)) - 1;
        n += 1;
    }
    keep
};

/// The key of `buffer[start..end]`, or `None` when it is too long for one: its bytes, then zeros, then its length.
/// Reads past `end` when the buffer goes on, which is faster than copying.
#[inline]
pub(super) fn inline_key(buffer: &[u8], start: usize, end: usize) -> Option<[u64; 2]> {
    let len = end.wrapping_sub(start);
    let mask = KEEP.get(len)?;
    let value = match buffer.get(start..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(chunk) => u128::from_le_bytes(*chunk),
        None => {
            let mut chunk = [0; 16];
            chunk[..len].copy_from_slice(buffer.get(start..end)?);
            u128::from_le_bytes(chunk)
        }
    };
    let key = (value & mask) | (len as u128) << 120;
    Some([key as u64, (key >> 64) as u64])
}

/// The string of an inline key.
pub(super) fn inline_bytes(key: [u64; 2]) -> ([u8; 16], usize) {
    let bytes = (u128::from(key[0]) | u128::from(key[1]) << 64).to_le_bytes();
    (bytes, usize::from(bytes[INLINE_BYTES]))
}
