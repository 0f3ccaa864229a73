//! The head of the pipeline: blocks of the table become open shards, their rows become fetch requests, or, where the
//! bytes are here already, go to the workers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Sender;
use pairmill_shards::key::{KeyLayout, ShardId};
use pairmill_shards::status::{Failure, FailureClass};
use pairmill_shards::table::message;

use super::rows::RowSource;
use super::shard::{OpenShard, OpenShards};
use crate::error::IngestError;
use crate::fetch::{Body, Fetched, Request};
use crate::filter::Funnel;
use crate::imagenet::Images;
use crate::output::OutputFolder;
use crate::progress::Counters;
use crate::table::Oddities;

/// What the feeder needs to know.
pub struct FeedStage<'a> {
    /// Which shards are finished, and the first id.
    pub folder: &'a OutputFolder,
    /// Padding of names.
    pub layout: KeyLayout,
    /// Only these shards.
    pub shards: Option<(u64, u64)>,
    /// Set when the run is to stop.
    pub stop: &'a AtomicBool,
    /// Largest image that is taken from an archive or folder, in bytes.
    pub max_bytes: u64,
}

/// Where rows go on to.
pub struct Onward {
    /// Rows to be fetched.
    pub requests: Sender<Request>,
    /// Rows whose bytes are here.
    pub bodies: Sender<Fetched>,
}

/// How the feeder ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fed {
    /// Shards there are, finished ones included; final only when `complete`.
    pub shards: u64,
    /// Whether the table was read to its end.
    pub complete: bool,
    /// Flaws met in the rows that were read.
    pub oddities: Oddities,
    /// What the filters dropped of the rows that were read.
    pub funnel: Option<Funnel>,
}

impl FeedStage<'_> {
    /// Feeds until the table ends or the run stops. Dropping `onward` tells the fetcher that no more come.
    ///
    /// # Errors
    /// When the table breaks off.
    pub fn feed(
        &self,
        mut source: RowSource,
        open: &OpenShards,
        counters: &Counters,
        onward: Onward,
    ) -> Result<Fed, IngestError> {
        let mut fed = Fed { shards: 0, complete: false, oddities: Oddities::default(), funnel: None };
        fed.complete = self.feed_blocks(&mut source, open, counters, &onward, &mut fed.shards)?;
        fed.oddities = source.oddities();
        fed.funnel = source.funnel();
        Ok(fed)
    }

    /// Counts the blocks that are behind it in `shards`; says whether the table was read to its end.
    fn feed_blocks(
        &self,
        source: &mut RowSource,
        open: &OpenShards,
        counters: &Counters,
        onward: &Onward,
        shards: &mut u64,
    ) -> Result<bool, IngestError> {
        let stopped = || self.stop.load(Ordering::Relaxed);
        let first = self.folder.segment().first_shard;
        let (from, to) = self.shards.unwrap_or((0, u64::MAX));
        let mut slot = 0;
        for ordinal in 0.. {
            let id = ShardId(first + ordinal);
            *shards = ordinal;
            if stopped() || id.0 >= to {
                return Ok(false);
            }
            if id.0 < from || self.folder.is_done(id) {
                match source.skip_block()? {
                    Some(rows) => counters.rows_skipped(rows),
                    None => return Ok(true),
                }
                continue;
            }
            let Some(block) = source.next_block()? else { return Ok(true) };
            counters.rows_read(block.rows.num_rows() as u64);
            let shard = OpenShard::new(slot, id, block.rows, block.retry_of, self.layout);
            let shard = Arc::new(if block.images.is_none() { shard.shared() } else { shard });
            let later = shard.all_sharers();
            slot += 1;
            if !open.open(shard.clone(), stopped) {
                return Ok(false);
            }
            for row in (0..shard.len()).filter(|row| !later.contains(row)) {
                let ticket = shard.ticket(row);
                let sent = match &block.images {
                    Some(images) => onward.bodies.send(self.local(images, ticket, row)?).is_ok(),
                    None => {
                        // A row without URL is a row: fetch fails it as bad_url.
                        let url = shard.text("url", row).unwrap_or("").to_owned();
                        onward.requests.send(Request { ticket, url }).is_ok()
                    }
                };
                if !sent || (block.images.is_some() && stopped()) {
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    /// A row as if it had been fetched. The queue it goes into bounds how many lie in memory.
    fn local(&self, images: &Images, ticket: u64, row: u32) -> Result<Fetched, IngestError> {
        let result = match images.read(row, self.max_bytes)? {
            Some(bytes) => Ok(Body { bytes, content_type: None }),
            None => {
                Err(Failure::new(FailureClass::TooLarge, message::default_message(FailureClass::TooLarge)))
            }
        };
        Ok(Fetched { ticket, result, attempts: 0, fetch_ms: 0, final_url: None })
    }
}
