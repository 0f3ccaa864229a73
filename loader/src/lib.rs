//! Shards to batches in memory: the trainer's feed. It knows `shards` and `pixels`, and no libtorch.
//!
//! In flow order: [`Dataset::open`] finds the shards of every source, files or URLs, and counts their samples; [`order`] says which
//! sample stands at which position of an epoch, a pure function of (seed, epoch, position); a planner thread opens
//! windows of shards and hands out positions; workers read, decode, cut and tokenise, each sample straight into its
//! slot of a buffer the caller has lent; [`Loader::next`] delivers whole batches in order. Samples stay encoded until
//! a worker has them.
//!
//! What the order rests on, and so what a resumed run may change: the number of ranks, the batch size, threads and
//! prefetch may change at any step; the seed, [`Order`], the window and the shards may not, and a [`LoaderState`]
//! refuses them.
//!
//! ```
//! use std::sync::Arc;
//! use pairmill_loader::{Dataset, DatasetConfig, Encode, HeapBuffer, Loader, LoaderConfig, SourceSpec};
//!
//! # fn main() -> Result<(), pairmill_loader::LoaderError> {
//! # let Some(folder) = std::env::var_os("NO_SUCH_SHARDS") else { return Ok(()) };
//! # let folder = folder.to_string_lossy().into_owned();
//! let dataset = Dataset::open(&[SourceSpec::new(folder)], &DatasetConfig::default())?;
//! let config = LoaderConfig { batch_size: 256, rank: 0, world: 1, ..LoaderConfig::default() };
//! let encode: Encode = Arc::new(|caption, ids| ids[0] = caption.len() as i32);
//! let mut loader = Loader::start(dataset, &config, encode, HeapBuffer::pool(&config))?;
//! while let Some(batch) = loader.next()? {
//!     // batch.images holds uint8 NHWC pixels, batch.tokens the ids of batch.slots[i] at i * context_length.
//!     loader.recycle(batch.images);
//! }
//! let resumable = loader.state(); // serde; Loader::resume takes it, on any number of ranks
//! # Ok(())
//! # }
//! ```
//!
#![doc = include_str!("../README.md")]

mod augment;
mod batch;
mod buffer;
mod config;
mod dataset;
mod error;
mod feed;
pub mod http;
mod loader;
pub mod order;
mod remote;
mod sample;
mod shard;
mod skipped;
mod state;
mod stats;
mod tally;
mod text;

pub use augment::{
    Augment, DEFAULT_RATIO, DEFAULT_SCALE, EraseBox, ImageTransform, RandAugment, RandomCrop, RandomErasing,
    SLIP_SCALE,
};
pub use batch::{Batch, Origin, Slot};
pub use buffer::{HeapBuffer, ImageBuffer};
pub use config::{
    BadSamples, BlankCaptions, CaptionChoice, CaptionFrom, Counts, DEFAULT_CONTEXT_LENGTH, DEFAULT_PREFETCH,
    DEFAULT_WINDOW_SHARDS, DatasetConfig, LabelFrom, LastBatch, LoaderConfig, Order, SourceSpec,
};
pub use dataset::{Dataset, ShardInfo, Source};
pub use error::LoaderError;
pub use feed::Encode;
pub use loader::Loader;
pub use pairmill_shards::tar::Unsorted;
pub use remote::{DEFAULT_CACHE_BYTES, DEFAULT_CONNECTIONS, RemoteConfig};
pub use skipped::{BadReason, SkippedSample};
pub use state::LoaderState;
pub use stats::LoaderStats;
pub use tally::Tally;
