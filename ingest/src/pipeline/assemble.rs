//! Rows in the order they finish, into shards in the order they were read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pairmill_shards::key::ShardId;
use pairmill_shards::stats::{FetchMs, ShardStats};

use super::shard::OpenShard;
use super::spill::{Extent, Spill};
use super::transform::Processed;
use super::write::{ShardOutput, WriteStage};
use crate::error::IngestError;

/// Encoded bytes that all open shards together may hold in memory out of order.
#[derive(Debug)]
pub struct ReorderBudget {
    held: u64,
    max: u64,
}

impl ReorderBudget {
    /// At most `max` bytes.
    pub fn new(max: u64) -> Self {
        Self { held: 0, max }
    }
}

#[derive(Debug)]
enum Held {
    Memory(Processed),
    Spilled(Processed, Extent),
}

/// A shard on its way to disk: what is written, and what waits for an earlier row.
pub struct Assembly {
    shard: Arc<OpenShard>,
    next: u32,
    waiting: BTreeMap<u32, Held>,
    output: ShardOutput,
    stats: ShardStats,
    fetch_ms: Vec<f64>,
    spill: Option<Spill>,
}

impl Assembly {
    /// An empty shard.
    ///
    /// # Errors
    /// When its temporary files cannot be created.
    pub fn open(shard: Arc<OpenShard>, stage: &WriteStage) -> Result<Self, IngestError> {
        let output = stage.open(&shard)?;
        let stats = ShardStats { start_time: unix_seconds(), ..ShardStats::default() };
        let waiting = BTreeMap::new();
        Ok(Self { shard, next: 0, waiting, output, stats, fetch_ms: Vec::new(), spill: None })
    }

    /// Takes one row, in any order.
    ///
    /// # Errors
    /// When the disk refuses, or a row comes twice.
    pub fn accept(
        &mut self,
        row: Processed,
        budget: &mut ReorderBudget,
        folder: &Path,
    ) -> Result<(), IngestError> {
        let size = row.image.as_ref().map_or(0, Vec::len) as u64;
        self.stats.record(row.outcome.result.as_ref().err());
        *self.stats.fetched_bytes.get_or_insert(0) += row.fetched_bytes;
        *self.stats.image_bytes.get_or_insert(0) += size;
        if let Some(place) = &row.panic {
            self.stats.record_panic(place, 1);
        }
        self.stats.exif_dropped += u64::from(row.exif_dropped);
        match row.fetch_ms {
            Some(ms) => self.fetch_ms.push(f64::from(ms)),
            None => self.stats.fetches_saved += 1,
        }
        if row.row == self.next {
            self.write(row)?;
        } else {
            // Exactly once is the invariant everything else rests on, so it is checked, not assumed.
            if row.row < self.next || self.waiting.contains_key(&row.row) {
                return Err(IngestError::Internal(format!(
                    "row {} of shard {} came twice",
                    row.row, self.shard.id.0
                )));
            }
            self.hold(row, size, budget, folder)?;
        }
        while let Some(held) = self.waiting.remove(&self.next) {
            let row = match held {
                Held::Memory(row) => {
                    budget.held -= row.image.as_ref().map_or(0, Vec::len) as u64;
                    row
                }
                Held::Spilled(mut row, extent) => {
                    if let Some(spill) = &mut self.spill {
                        row.image = Some(spill.take(extent).map_err(|e| IngestError::folder(folder, e))?);
                    }
                    row
                }
            };
            self.write(row)?;
        }
        Ok(())
    }

    fn hold(
        &mut self,
        mut row: Processed,
        size: u64,
        budget: &mut ReorderBudget,
        folder: &Path,
    ) -> Result<(), IngestError> {
        let number = row.row;
        let held = match row.image.take() {
            Some(image) if budget.held + size > budget.max => {
                let spill = match &mut self.spill {
                    Some(spill) => spill,
                    none => none.insert(Spill::create(folder).map_err(|e| IngestError::folder(folder, e))?),
                };
                let extent = spill.put(&image).map_err(|e| IngestError::folder(folder, e))?;
                Held::Spilled(row, extent)
            }
            image => {
                budget.held += size;
                row.image = image;
                Held::Memory(row)
            }
        };
        self.waiting.insert(number, held);
        Ok(())
    }

    fn write(&mut self, row: Processed) -> Result<(), IngestError> {
        self.output.push(&self.shard, row.row, row.outcome, row.image)?;
        self.next += 1;
        Ok(())
    }

    /// Which shard.
    pub fn shard(&self) -> ShardId {
        self.shard.id
    }

    /// Whether every row is in.
    pub fn is_complete(&self) -> bool {
        self.next == self.shard.len()
    }

    /// Puts the shard's files in place, stats last.
    ///
    /// # Errors
    /// When the disk refuses; nothing of the shard is visible as finished then.
    pub fn commit(mut self) -> Result<(), IngestError> {
        self.stats.fetch_ms = FetchMs::of(&mut self.fetch_ms);
        self.stats.end_time = unix_seconds();
        self.output.commit(&self.shard, &self.stats)
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
