//! Bytes of one row to what its shard keeps: hash, verify, decode, resize, encode. Runs on the worker threads.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use pairmill_pixels::{PixelError, TransformConfig, Transformed, Transformer};
use pairmill_shards::status::{Failure, FailureClass};
use pairmill_shards::table::{HashKind, ImageSize, RowOutcome, message};

use super::shard::{OpenShard, OpenShards, split_ticket};
use crate::error::IngestError;
use crate::fetch::{Body, Fetched};
use crate::progress::Counters;

/// What became of one row, on its way to the shard.
#[derive(Debug)]
pub struct Processed {
    /// The shard.
    pub shard: Arc<OpenShard>,
    /// The row in it.
    pub row: u32,
    /// For sidecar and JSON.
    pub outcome: RowOutcome,
    /// The encoded image of a success.
    pub image: Option<Vec<u8>>,
    /// Time the fetch took.
    pub fetch_ms: u32,
    /// Size of the body, failures after the fetch included.
    pub fetched_bytes: u64,
}

/// What a worker needs to know.
#[derive(Debug, Clone)]
pub struct TransformStage {
    /// Picture settings.
    pub pixels: TransformConfig,
    /// Hash to compute.
    pub hash: Option<HashKind>,
    /// Whether the hash column of the table must agree; its name in the rows.
    pub verify_column: Option<String>,
}

impl TransformStage {
    /// Works until `fetched` is closed or `processed` is.
    ///
    /// # Errors
    /// When the codecs cannot be set up.
    pub fn work(
        &self,
        open: &OpenShards,
        counters: &Counters,
        fetched: &Receiver<Fetched>,
        processed: &Sender<Processed>,
    ) -> Result<(), IngestError> {
        let mut transformer =
            Transformer::new(&self.pixels).map_err(|e| IngestError::Internal(e.to_string()))?;
        for answer in fetched {
            let (slot, row) = split_ticket(answer.ticket);
            // A shard closes only after all its rows, so a miss means the run was stopped.
            let Some(shard) = open.get(slot) else { continue };
            let fetch_ms = answer.fetch_ms;
            let fetched_bytes = answer.result.as_ref().map_or(0, |body| body.bytes.len() as u64);
            let (outcome, image) = self.outcome(&mut transformer, &shard, row, answer);
            counters.row_decoded();
            if processed.send(Processed { shard, row, outcome, image, fetch_ms, fetched_bytes }).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn outcome(
        &self,
        transformer: &mut Transformer,
        shard: &OpenShard,
        row: u32,
        answer: Fetched,
    ) -> (RowOutcome, Option<Vec<u8>>) {
        let mut outcome = RowOutcome {
            key: shard.key(row),
            result: Ok(ImageSize::default()),
            exif: None,
            hash: None,
            final_url: answer.final_url,
            attempts: answer.attempts,
            retry_of: shard.retry_of.as_ref().and_then(|keys| keys.get(row as usize).cloned()),
        };
        let image = match answer.result.and_then(|body| self.transform(transformer, shard, row, &body)) {
            Ok((transformed, hash)) => {
                outcome.result = Ok(ImageSize {
                    width: transformed.width,
                    height: transformed.height,
                    original_width: transformed.original_width,
                    original_height: transformed.original_height,
                });
                outcome.exif = transformed.exif;
                outcome.hash = hash;
                Some(transformed.image)
            }
            Err(failure) => {
                outcome.result = Err(failure);
                None
            }
        };
        (outcome, image)
    }

    fn transform(
        &self,
        transformer: &mut Transformer,
        shard: &OpenShard,
        row: u32,
        body: &Body,
    ) -> Result<(Transformed, Option<String>), Failure> {
        let hash = self.hash.map(|kind| kind.hex_digest(&body.bytes));
        if let Some(column) = &self.verify_column {
            let promised = shard.text(column, row);
            if promised.is_none_or(|promised| hash.as_deref() != Some(promised)) {
                return Err(Failure::new(FailureClass::HashMismatch, message::HASH_MISMATCH));
            }
        }
        let transformed = transformer.transform(&body.bytes).map_err(|error| failure(&error))?;
        Ok((transformed, hash))
    }
}

/// The typed class of a picture that could not be used, with img2dataset's words for it.
fn failure(error: &PixelError) -> Failure {
    let class = match error {
        PixelError::NotAnImage => FailureClass::NotAnImage,
        PixelError::Unsupported(_) => FailureClass::Unsupported,
        PixelError::Truncated => FailureClass::Truncated,
        PixelError::Corrupt(_) => FailureClass::Corrupt,
        PixelError::Bomb { .. } => FailureClass::Bomb,
        PixelError::TooSmall { .. } => FailureClass::TooSmall,
        PixelError::TooBig { .. } => FailureClass::TooBig,
        PixelError::Aspect { .. } => FailureClass::Aspect,
        PixelError::Encode(reason) => return Failure::new(FailureClass::Encode, reason.clone()),
    };
    Failure::new(class, message::default_message(class))
}
