//! The end of the line: whole shards are put in place while the next ones are being made. Where the output is a bucket,
//! the place is the staging folder, and several threads put shards up from there; the queue between is bounded, so the
//! staging folder holds no more shards than are on their way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use pairmill_shards::key::ShardId;

use super::assemble::Assembly;
use super::{join, spawn};
use crate::error::IngestError;
use crate::output::OutputFolder;
use crate::progress::Counters;

/// Where shards go.
#[derive(Clone, Copy)]
pub struct CommitStage<'a> {
    /// The output.
    pub folder: &'a OutputFolder,
    /// Shards put up at a time.
    pub uploads: usize,
}

impl CommitStage<'_> {
    /// Takes whole shards until none comes any more.
    ///
    /// # Errors
    /// When disk or store refuse; shards that are finished stay.
    pub fn commit(self, complete: Receiver<Assembly>, counters: &Counters) -> Result<(), IngestError> {
        if !self.folder.is_staged() {
            for assembly in complete {
                assembly.commit()?;
                counters.shard_committed();
            }
            return Ok(());
        }
        let gave_out = &AtomicBool::new(false);
        let (to_publish, staged) = bounded(1);
        thread::scope(|scope| {
            let mut publishers = Vec::with_capacity(self.uploads);
            for _ in 0..self.uploads {
                let staged = staged.clone();
                match spawn(scope, move || self.publish(&staged, gave_out, counters)) {
                    Ok(publisher) => publishers.push(publisher),
                    // Fewer take longer.
                    Err(_) if !publishers.is_empty() => break,
                    Err(error) => return Err(error),
                }
            }
            drop(staged);
            let all_staged = stage(complete, to_publish, gave_out);
            let published: Vec<_> =
                publishers.into_iter().map(|publisher| join(publisher).and_then(|done| done)).collect();
            // A store that refuses explains why staging stopped.
            published.into_iter().collect::<Result<Vec<()>, _>>()?;
            all_staged
        })
    }

    fn publish(
        self,
        staged: &Receiver<ShardId>,
        gave_out: &AtomicBool,
        counters: &Counters,
    ) -> Result<(), IngestError> {
        for shard in staged {
            if gave_out.load(Ordering::Relaxed) {
                break;
            }
            if let Err(error) = self.folder.publish_shard(shard) {
                gave_out.store(true, Ordering::Relaxed);
                return Err(error);
            }
            counters.shard_committed();
        }
        Ok(())
    }
}

fn stage(
    complete: Receiver<Assembly>,
    to_publish: Sender<ShardId>,
    gave_out: &AtomicBool,
) -> Result<(), IngestError> {
    for assembly in complete {
        let shard = assembly.shard();
        if gave_out.load(Ordering::Relaxed) {
            break;
        }
        assembly.commit()?;
        if to_publish.send(shard).is_err() {
            break;
        }
    }
    Ok(())
}
