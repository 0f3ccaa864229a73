//! Which keys a tar has had, so that one that returns is noticed: 64 bits a key, whatever its length. Keyed the same on
//! every machine, so both readers give the same answer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Keys by hash, each with the number of its first run.
#[derive(Debug, Default)]
pub(super) struct SeenKeys(HashMap<u64, usize>);

impl SeenKeys {
    /// Notes that run number `run` has this key; returns the first run that has it, if it is another.
    pub fn returning(&mut self, key: &str, run: usize) -> Option<usize> {
        let mut hasher = SipHasher13::new();
        hasher.write(key.as_bytes());
        match self.0.entry(hasher.finish()) {
            Entry::Vacant(entry) => {
                entry.insert(run);
                None
            }
            Entry::Occupied(first) => Some(*first.get()),
        }
    }
}
