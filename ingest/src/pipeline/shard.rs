//! Shards that are being made: their rows, and how many may be open at once.
//!
//! A fetch ticket is `slot << 32 | row`; the slot finds the shard again when bytes come back, in whatever order.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use arrow::array::{Array, Int64Array, RecordBatch, StringArray};
use pairmill_shards::key::{Key, KeyLayout, ShardId};

/// A shard whose rows are being fetched.
#[derive(Debug)]
pub struct OpenShard {
    /// Number in order of opening, unique in the process.
    pub slot: u32,
    /// Which shard.
    pub id: ShardId,
    /// The input rows, reader columns in reader order.
    pub rows: RecordBatch,
    /// Under `retry`: the key each row had before.
    pub retry_of: Option<Vec<String>>,
    layout: KeyLayout,
    /// Rows that have the URL of an earlier one, by that row.
    sharers: HashMap<u32, Vec<u32>>,
}

impl OpenShard {
    /// A shard of `rows`.
    pub fn new(
        slot: u32,
        id: ShardId,
        rows: RecordBatch,
        retry_of: Option<Vec<String>>,
        layout: KeyLayout,
    ) -> Self {
        Self { slot, id, rows, retry_of, layout, sharers: HashMap::new() }
    }

    /// The same with each URL fetched once: for the first row that has it, and the answer, well or not, is that of all.
    /// Only within a shard, so that what a shard holds does not depend on which others are being made. Takes four bytes
    /// for each row that shares, and while it looks about 30 for each row.
    #[must_use]
    pub fn shared(mut self) -> Self {
        let mut sharers: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut first: HashMap<&str, u32> = HashMap::new();
        for row in 0..self.len() {
            // Rows without one fail each for themselves.
            let Some(url) = self.text("url", row).filter(|url| !url.trim().is_empty()) else { continue };
            let earlier = *first.entry(url).or_insert(row);
            if earlier != row {
                sharers.entry(earlier).or_default().push(row);
            }
        }
        self.sharers = sharers;
        self
    }

    /// All rows that get what is fetched for another.
    pub fn all_sharers(&self) -> HashSet<u32> {
        self.sharers.values().flatten().copied().collect()
    }

    /// The other rows that get what is fetched for `row`, in order.
    pub fn sharers(&self, row: u32) -> &[u32] {
        self.sharers.get(&row).map_or(&[], Vec::as_slice)
    }

    /// Number of rows; fits `u32` because the feeder refuses larger blocks.
    pub fn len(&self) -> u32 {
        u32::try_from(self.rows.num_rows()).unwrap_or(u32::MAX)
    }

    /// Key of a row.
    pub fn key(&self, row: u32) -> Key {
        self.layout.key(self.id, u64::from(row))
    }

    /// Ticket of a row.
    pub fn ticket(&self, row: u32) -> u64 {
        u64::from(self.slot) << 32 | u64::from(row)
    }

    /// A text cell; `None` when null or when there is no such column.
    pub fn text(&self, column: &str, row: u32) -> Option<&str> {
        let cells = self.rows.column_by_name(column)?.as_any().downcast_ref::<StringArray>()?;
        let row = row as usize;
        (row < cells.len() && cells.is_valid(row)).then(|| cells.value(row))
    }

    /// A cell of a column of 64-bit integers; `None` when null or when there is no such column.
    pub fn integer(&self, column: &str, row: u32) -> Option<i64> {
        let cells = self.rows.column_by_name(column)?.as_any().downcast_ref::<Int64Array>()?;
        let row = row as usize;
        (row < cells.len() && cells.is_valid(row)).then(|| cells.value(row))
    }
}

/// Slot and row of a ticket.
pub fn split_ticket(ticket: u64) -> (u32, u32) {
    ((ticket >> 32) as u32, ticket as u32)
}

/// The open shards, and the bounds on their rows and on their number.
#[derive(Debug)]
pub struct OpenShards {
    by_slot: RwLock<HashMap<u32, Arc<OpenShard>>>,
    rows: Mutex<u64>,
    closed: Condvar,
    max_rows: u64,
    max_shards: u64,
}

impl OpenShards {
    /// At most `max_rows` rows and `max_shards` shards open at once, but always one shard. Each has files open.
    pub fn new(max_rows: u64, max_shards: u64) -> Self {
        Self { by_slot: RwLock::default(), rows: Mutex::new(0), closed: Condvar::new(), max_rows, max_shards }
    }

    /// Waits until the shard fits, then opens it. `false` when `stopped` says so first.
    pub fn open(&self, shard: Arc<OpenShard>, stopped: impl Fn() -> bool) -> bool {
        let needed = u64::from(shard.len());
        let mut rows = lock(&self.rows);
        while *rows > 0 && (*rows + needed > self.max_rows || self.len() >= self.max_shards) {
            if stopped() {
                return false;
            }
            // The timeout only bounds how late a stop is seen.
            let wait = std::time::Duration::from_millis(100);
            rows = self.closed.wait_timeout(rows, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        *rows += needed;
        self.by_slot.write().unwrap_or_else(PoisonError::into_inner).insert(shard.slot, shard);
        !stopped()
    }

    /// The open shard in `slot`.
    pub fn get(&self, slot: u32) -> Option<Arc<OpenShard>> {
        self.by_slot.read().unwrap_or_else(PoisonError::into_inner).get(&slot).cloned()
    }

    /// Whether no shard is open: after the line has drained, that every row came through.
    pub fn is_empty(&self) -> bool {
        self.by_slot.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn len(&self) -> u64 {
        self.by_slot.read().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// Lets the next shard in.
    pub fn close(&self, slot: u32) {
        let shard = self.by_slot.write().unwrap_or_else(PoisonError::into_inner).remove(&slot);
        if let Some(shard) = shard {
            *lock(&self.rows) -= u64::from(shard.len());
            self.closed.notify_all();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every critical section leaves the value whole, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn shard(slot: u32, rows: usize) -> Arc<OpenShard> {
        let urls = StringArray::from(vec![Some("u"); rows]);
        let schema = Schema::new(vec![Field::new("url", DataType::Utf8, true)]);
        let rows = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(urls)]).unwrap();
        let layout = KeyLayout::new(1000, 5).unwrap();
        Arc::new(OpenShard::new(slot, ShardId(u64::from(slot)), rows, None, layout))
    }

    #[test]
    fn a_shard_waits_until_others_close_but_one_always_fits() {
        let open = Arc::new(OpenShards::new(10, 9));
        assert!(open.open(shard(0, 50), || false), "larger than the window, yet the only one");
        let waiting = {
            let open = open.clone();
            std::thread::spawn(move || open.open(shard(1, 5), || false))
        };
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(open.get(1).is_none());
        open.close(0);
        assert!(waiting.join().unwrap());
        assert!(open.get(1).is_some() && open.get(0).is_none());
        assert!(!open.open(shard(2, 9), || true), "a stopped run opens nothing");
    }

    #[test]
    fn f14_a_shard_waits_until_there_are_files_for_it() {
        let open = Arc::new(OpenShards::new(1_000, 2));
        assert!(open.open(shard(0, 1), || false) && open.open(shard(1, 1), || false));
        assert!(!open.open(shard(2, 1), || true), "two have their files open");
        open.close(0);
        assert!(open.open(shard(3, 1), || false));
    }

    #[test]
    fn rows_of_one_url_share_the_first_ones_fetch() {
        let urls = ["a", "b", "a", "", "a ", "b", "a", ""].map(|url| (!url.is_empty()).then_some(url));
        let schema = Schema::new(vec![Field::new("url", DataType::Utf8, true)]);
        let rows =
            RecordBatch::try_new(Arc::new(schema), vec![Arc::new(StringArray::from(urls.to_vec()))]).unwrap();
        let shard = OpenShard::new(0, ShardId(0), rows, None, KeyLayout::new(1000, 5).unwrap());
        assert!(shard.sharers(0).is_empty());
        let shard = shard.shared();
        let all: Vec<&[u32]> = (0..8).map(|row| shard.sharers(row)).collect();
        assert_eq!(all, [&[2, 6][..], &[5], &[], &[], &[], &[], &[], &[]]);
    }

    #[test]
    fn tickets_split_again() {
        let shard = shard(7, 3);
        assert_eq!(split_ticket(shard.ticket(2)), (7, 2));
        assert_eq!(shard.key(2).as_str(), "00007002");
        assert_eq!(shard.text("url", 1), Some("u"));
        assert_eq!(shard.text("caption", 1), None);
    }
}
