//! Encoded bodies kept in memory up to a number of bytes; the second-chance rule decides which one goes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::fault::Fault;
use crate::source::Source;

/// Encoded bytes, shared between connections.
pub(super) type Body = Arc<[u8]>;

/// What a body is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum BodyKey {
    Picture(Source, u64),
    Fault(Fault, Source, u64),
}

struct Entry {
    body: Body,
    used: bool,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<BodyKey, Entry>,
    /// Every key of `by_key` once, oldest first.
    order: VecDeque<BodyKey>,
    num_bytes: usize,
}

pub(super) struct BodyCache {
    max_bytes: usize,
    entries: Mutex<Entries>,
}

impl BodyCache {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, entries: Mutex::default() }
    }

    pub(super) fn get(&self, key: BodyKey) -> Option<Body> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.by_key.get_mut(&key)?;
        entry.used = true;
        Some(Arc::clone(&entry.body))
    }

    pub(super) fn put(&self, key: BodyKey, body: &Body) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if body.len() > self.max_bytes || entries.by_key.contains_key(&key) {
            return;
        }
        while entries.num_bytes + body.len() > self.max_bytes {
            let Some(oldest) = entries.order.pop_front() else { break };
            let spared = entries.by_key.get_mut(&oldest).is_some_and(|entry| std::mem::take(&mut entry.used));
            if spared {
                entries.order.push_back(oldest);
            } else if let Some(gone) = entries.by_key.remove(&oldest) {
                entries.num_bytes -= gone.body.len();
            }
        }
        entries.num_bytes += body.len();
        entries.by_key.insert(key, Entry { body: Arc::clone(body), used: false });
        entries.order.push_back(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_it_may_and_spares_what_is_used() {
        let cache = BodyCache::new(1000);
        let key = |i| BodyKey::Picture(Source::Laion, i);
        let body: Body = vec![0; 300].into();
        cache.put(key(0), &body);
        for i in 1..50 {
            assert!(cache.get(key(0)).is_some(), "used every round, still gone at {i}");
            cache.put(key(i), &body);
            let entries = cache.entries.lock().unwrap();
            assert!(entries.num_bytes <= 1000 && entries.num_bytes == entries.by_key.len() * 300);
            assert_eq!(entries.order.len(), entries.by_key.len());
        }
        assert!(cache.get(key(1)).is_none());
        cache.put(key(99), &vec![0; 2000].into());
        assert!(cache.get(key(99)).is_none(), "too large to keep at all");
    }
}
