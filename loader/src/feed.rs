//! The threads between a dataset and a batch: one planner that walks the order, opens windows of shards and hands out
//! places; workers that fill them. Both end when the loader is dropped, since the queue they wait on closes.

mod plan;
mod window;
mod work;

use std::ops::Range;
use std::sync::Arc;

pub(crate) use self::plan::{Plan, Planner};
pub(crate) use self::window::OpenWindow;
pub(crate) use self::work::{Worker, WorkerSetup};
use crate::batch::Slot;
use crate::error::LoaderError;
use crate::skipped::SkippedSample;

/// Caption to token ids: fills the whole slice, which comes zeroed.
pub type Encode = Arc<dyn Fn(&str, &mut [i32]) + Send + Sync>;

/// One slot to be filled.
pub(crate) struct Task<S> {
    /// Batches since the loader started.
    pub batch: u64,
    pub slot: usize,
    pub memory: S,
    /// `None` beyond the last sample.
    pub place: Option<Place>,
}

/// Which sample belongs in a slot.
#[derive(Clone)]
pub(crate) struct Place {
    pub window: Arc<OpenWindow>,
    /// Position within the window.
    pub at: u64,
    pub epoch: u64,
    /// Global position within the epoch.
    pub position: u64,
    /// Positions of the window that are in the same global batch: no substitutes from there.
    pub batch: Range<u64>,
}

/// A filled slot.
pub(crate) struct Filled<S> {
    pub batch: u64,
    pub slot: usize,
    pub memory: S,
    pub tokens: Vec<i32>,
    pub label: Option<i64>,
    pub sample: Slot,
    /// Whether the text was in another encoding than UTF-8.
    pub is_recoded: bool,
    /// Whether a sample was due here: not beyond the last one.
    pub is_due: bool,
    pub skipped: Vec<SkippedSample>,
}

/// From planner and workers to the loader.
pub(crate) enum Message<S> {
    Filled(Filled<S>),
    /// The loader stops when it comes to this batch.
    Failed(u64, LoaderError),
}
