//! Bytes of one row, or of all rows of a shard that have its URL, to what the shard keeps: hash, verify, decode, resize,
//! encode. Runs on the worker threads.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use pairmill_pixels::{ExifFault, PixelError, TransformConfig, Transformed, Transformer};
use pairmill_shards::status::{Failure, FailureClass};
use pairmill_shards::table::{HashKind, ImageSize, RowOutcome, message};

use super::shard::{OpenShard, OpenShards, split_ticket};
use crate::error::IngestError;
use crate::fetch::Fetched;
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
    /// Time the fetch took; `None` where it was another row's.
    pub fetch_ms: Option<u32>,
    /// Size of the body, failures after the fetch included; 0 where it was fetched for another row.
    pub fetched_bytes: u64,
    /// Where a decoder panicked on the image or its EXIF.
    pub panic: Option<String>,
    /// Whether the EXIF was too large to keep.
    pub exif_dropped: bool,
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
            let rows: Vec<u32> = std::iter::once(row).chain(shard.sharers(row).iter().copied()).collect();
            let Fetched { result, attempts, fetch_ms, final_url, .. } = answer;
            let fetched_bytes = result.as_ref().map_or(0, |body| body.bytes.len() as u64);
            let hash = match (&result, self.hash) {
                (Ok(body), Some(kind)) => Some(kind.hex_digest(&body.bytes)),
                _ => None,
            };
            // Each row has its own promise.
            let keeps = |row: u32| match &self.verify_column {
                Some(column) => {
                    shard.text(column, row).is_some_and(|promised| hash.as_deref() == Some(promised))
                }
                None => true,
            };
            let (mut panic, mut exif_dropped) = (None, false);
            // The bytes are looked at once, whoever shares them, and not at all if they are nobody's.
            let looked = result.and_then(|body| match rows.iter().any(|row| keeps(*row)) {
                true => {
                    let transformed = transformer.transform(&body.bytes);
                    (panic, exif_dropped) = faults(&transformed);
                    transformed.map_err(|error| failure(&error)).map(Some)
                }
                false => Ok(None),
            });
            counters.row_decoded();
            let mut left = Some(looked);
            for (at, &row) in rows.iter().enumerate() {
                // A copy for all but the last, made when the queue has room for it.
                let looked = if at + 1 == rows.len() { left.take() } else { left.clone() };
                let result = match looked {
                    Some(Ok(Some(picture))) if keeps(row) => Ok(picture),
                    Some(Err(failure)) => Err(failure),
                    _ => Err(Failure::new(FailureClass::HashMismatch, message::HASH_MISMATCH)),
                };
                // What it cost stands with the row it was fetched for.
                let is_shared = at > 0;
                // A row whose hash does not agree has nothing to do with the image.
                let is_looked_at =
                    result.as_ref().err().is_none_or(|failure| failure.class != FailureClass::HashMismatch);
                let (outcome, image) = outcome(&shard, row, result, hash.clone());
                let done = Processed {
                    panic: panic.clone().filter(|_| is_looked_at),
                    exif_dropped: exif_dropped && is_looked_at,
                    outcome: RowOutcome {
                        final_url: final_url.clone(),
                        attempts: if is_shared { 0 } else { attempts },
                        ..outcome
                    },
                    shard: Arc::clone(&shard),
                    row,
                    image,
                    fetch_ms: (!is_shared).then_some(fetch_ms),
                    fetched_bytes: if is_shared { 0 } else { fetched_bytes },
                };
                if processed.send(done).is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Sidecar and JSON of a row, and its image.
fn outcome(
    shard: &OpenShard,
    row: u32,
    result: Result<Transformed, Failure>,
    hash: Option<String>,
) -> (RowOutcome, Option<Vec<u8>>) {
    let mut outcome = RowOutcome {
        key: shard.key(row),
        result: Ok(ImageSize::default()),
        exif: None,
        hash: None,
        final_url: None,
        attempts: 0,
        retry_of: shard.retry_of.as_ref().and_then(|keys| keys.get(row as usize).cloned()),
    };
    match result {
        Ok(transformed) => {
            outcome.result = Ok(ImageSize {
                width: transformed.width,
                height: transformed.height,
                original_width: transformed.original_width,
                original_height: transformed.original_height,
            });
            outcome.exif = transformed.exif;
            outcome.hash = hash;
            (outcome, Some(transformed.image))
        }
        Err(failure) => {
            outcome.result = Err(failure);
            (outcome, None)
        }
    }
}

/// Where a decoder panicked, and whether EXIF was dropped for its size.
fn faults(transformed: &Result<Transformed, PixelError>) -> (Option<String>, bool) {
    match transformed {
        Err(PixelError::Panicked(place)) => (Some(place.clone()), false),
        Err(_) => (None, false),
        Ok(done) => match &done.exif_fault {
            Some(ExifFault::Panicked(place)) => (Some(place.clone()), false),
            Some(ExifFault::TooLarge) => (None, true),
            None => (None, false),
        },
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
        PixelError::Panicked(_) => return Failure::new(FailureClass::Corrupt, message::DECODER_PANICKED),
        PixelError::Encode(_) => FailureClass::Encode,
    };
    Failure::new(class, message::default_message(class))
}
