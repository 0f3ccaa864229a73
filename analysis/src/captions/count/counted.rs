//! What was counted, partition by partition: in memory when it is small, else in the spill's files.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::path::Path;
use std::sync::Arc;

use super::{Counter, Entry, List, PARTITIONS, Spill, SpillError};

/// The counts of every string. Partitions are sorted by string and have none in common.
#[derive(Debug)]
pub struct Counted {
    store: Store,
    /// Distinct strings.
    pub num_distinct: u64,
    /// Strings in all.
    pub num_total: u64,
}

#[derive(Debug)]
enum Store {
    Memory(Vec<List>),
    Files(Arc<Spill>),
}

impl Counted {
    /// Puts the counts of all threads together. `spill` is the one the counters were made with; when there are more
    /// than `max_in_memory` entries they go into its files.
    ///
    /// # Errors
    /// When a temporary file fails.
    pub fn new(counters: Vec<Counter>, spill: Arc<Spill>, max_in_memory: usize) -> Result<Self, SpillError> {
        let in_memory: usize = counters.iter().map(Counter::num_used).sum();
        let to_files = in_memory > max_in_memory || spill.is_used();
        let (mut num_distinct, mut num_total) = (0, 0);
        let mut tally = |list: &List| {
            num_distinct += list.len() as u64;
            num_total += list.iter().map(|e| e.count).sum::<u64>();
        };
        let mut merged = vec![List::default(); PARTITIONS];
        for counter in counters {
            for (into, list) in merged.iter_mut().zip(counter.finish(to_files)?) {
                list.iter().for_each(|e| into.push(e.word.as_bytes(), e.count, e.captions));
            }
        }
        if to_files {
            for number in 0..PARTITIONS {
                let mut list = spill.read(number)?;
                list.merge();
                tally(&list);
                spill.write(number, &list)?;
            }
            return Ok(Self { store: Store::Files(spill), num_distinct, num_total });
        }
        for list in &mut merged {
            list.merge();
            tally(list);
        }
        Ok(Self { store: Store::Memory(merged), num_distinct, num_total })
    }

    /// Partition `number`, sorted by string.
    ///
    /// # Errors
    /// When a temporary file fails.
    pub fn partition(&self, number: usize) -> Result<List, SpillError> {
        match &self.store {
            Store::Memory(lists) => Ok(lists[number].clone()),
            Store::Files(spill) => spill.read(number),
        }
    }

    /// Gives every entry to `take`, in no useful order.
    ///
    /// # Errors
    /// When a temporary file fails.
    pub fn each(&self, mut take: impl FnMut(Entry<'_>)) -> Result<(), SpillError> {
        for number in 0..PARTITIONS {
            self.partition(number)?.iter().for_each(&mut take);
        }
        Ok(())
    }

    /// The `num` most frequent, by falling count, equal counts by string.
    ///
    /// # Errors
    /// When a temporary file fails.
    pub fn top(&self, num: usize) -> Result<Vec<OwnedEntry>, SpillError> {
        let mut heap: BinaryHeap<OwnedEntry> = BinaryHeap::new();
        self.each(|entry| {
            if heap.len() < num {
                heap.push(entry.into());
            } else if let Some(mut worst) = heap.peek_mut()
                && (entry.count, worst.word.as_str()) > (worst.count, entry.word)
            {
                *worst = entry.into();
            }
        })?;
        Ok(heap.into_sorted_vec())
    }

    /// Gives every entry to `take` by falling count, equal counts by string; memory holds a piece of each partition.
    ///
    /// # Errors
    /// When a temporary file fails, or `take` does.
    pub fn each_by_count<E: From<SpillError>>(
        &self,
        folder: &Path,
        mut take: impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Store::Memory(lists) = &self.store {
            let mut all = List::default();
            for list in lists {
                list.iter().for_each(|e| all.push(e.word.as_bytes(), e.count, e.captions));
            }
            all.sort_by_count();
            return all.iter().try_for_each(take);
        }
        let sorted = Spill::new(folder);
        for number in 0..PARTITIONS {
            let mut list = self.partition(number)?;
            list.sort_by_count();
            sorted.write(number, &list)?;
        }
        let mut cursors = Vec::new();
        for number in 0..PARTITIONS {
            cursors.push(sorted.cursor(number)?);
        }
        let mut heap: BinaryHeap<Reverse<(OwnedEntry, usize)>> = BinaryHeap::new();
        for (number, cursor) in cursors.iter_mut().enumerate() {
            heap.extend(cursor.next_entry().map_err(|e| sorted.failed(e))?.map(|e| Reverse((e, number))));
        }
        while let Some(Reverse((entry, number))) = heap.pop() {
            take(Entry { word: &entry.word, count: entry.count, captions: entry.captions })?;
            heap.extend(
                cursors[number].next_entry().map_err(|e| sorted.failed(e))?.map(|e| Reverse((e, number))),
            );
        }
        Ok(())
    }
}

/// An [`Entry`] that owns its string. The order is that of output: falling count, then string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedEntry {
    /// The string.
    pub word: String,
    /// Times it was seen.
    pub count: u64,
    /// Captions it was seen in.
    pub captions: u64,
}

impl From<Entry<'_>> for OwnedEntry {
    fn from(entry: Entry<'_>) -> Self {
        Self { word: entry.word.to_owned(), count: entry.count, captions: entry.captions }
    }
}

impl Ord for OwnedEntry {
    fn cmp(&self, other: &Self) -> Ordering {
        other.count.cmp(&self.count).then_with(|| self.word.cmp(&other.word))
    }
}

impl PartialOrd for OwnedEntry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
