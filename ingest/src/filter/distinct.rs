//! Which values were seen before: a set of 128-bit fingerprints, so that its memory does not depend on how long the
//! values are. Among 10^9 values the chance of any false duplicate is below 10^-20.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use siphasher::sip128::SipHasher13;

/// The values seen so far, at most so many.
#[derive(Debug)]
pub(super) struct Distinct {
    seen: HashSet<u128, BuildHasherDefault<Fingerprint>>,
    max: u64,
}

/// There are more values than were allowed.
#[derive(Debug)]
pub(super) struct Full;

impl Distinct {
    pub(super) fn new(max: u64) -> Self {
        Self { seen: HashSet::default(), max }
    }

    /// How many there may be.
    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// Whether `value` is new.
    pub(super) fn insert(&mut self, value: &str) -> Result<bool, Full> {
        let fingerprint = SipHasher13::new_with_keys(0, 0).hash(value.as_bytes()).as_u128();
        if self.seen.len() as u64 >= self.max {
            return if self.seen.contains(&fingerprint) { Ok(false) } else { Err(Full) };
        }
        Ok(self.seen.insert(fingerprint))
    }
}

/// Takes the low half of a fingerprint for its hash: it is as random as any hash of it.
#[derive(Debug, Default)]
struct Fingerprint(u64);

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, fingerprint: u128) {
        self.0 = fingerprint as u64;
    }
}
