//! Positions to places: which batches an epoch has, which positions of each are this rank's, and which sample of which
//! source stands there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};

use super::window::Windows;
use super::{Message, Place, Task};
use crate::buffer::ImageBuffer;
use crate::config::{LastBatch, LoaderConfig};
use crate::dataset::Dataset;
use crate::error::LoaderError;
use crate::order::Mixer;

/// The arithmetic of epochs, batches and ranks.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub config: LoaderConfig,
    /// Positions of an epoch, over all ranks.
    pub epoch_samples: u64,
    /// Whether an epoch is a pass of the only source.
    epoch_is_pass: bool,
    weights: Vec<f64>,
}

impl Plan {
    pub fn new(dataset: &Dataset, config: &LoaderConfig) -> Result<Self, LoaderError> {
        config.validate()?;
        let epoch_is_pass = dataset.sources().len() == 1 && config.epoch_samples.is_none();
        let epoch_samples = config.epoch_samples.unwrap_or_else(|| dataset.num_samples());
        let batch = config.global_batch();
        if config.last_batch == LastBatch::Drop && epoch_samples < batch {
            return Err(LoaderError::ShortEpoch { samples: epoch_samples, batch });
        }
        let weights = dataset.sources().iter().map(|source| source.weight()).collect();
        let plan = Self { config: config.clone(), epoch_samples, epoch_is_pass, weights };
        plan.mixer().map_err(|source| {
            let spec = &dataset.sources()[source].spec;
            let weight = plan.weights[source];
            let rule = "it must be a positive number of at least 1/8192 of the sum of all weights";
            LoaderError::Weight { source_spec: spec.shards.clone(), weight, rule }
        })?;
        Ok(plan)
    }

    fn mixer(&self) -> Result<Mixer, usize> {
        Mixer::new(&self.weights, self.config.seed)
    }

    /// Whether a batch begins at position `at` of an epoch.
    pub fn begins_at(&self, at: u64) -> bool {
        match self.config.last_batch {
            LastBatch::Drop => at + self.config.global_batch() <= self.epoch_samples,
            LastBatch::Short => at < self.epoch_samples,
        }
    }

    /// Whether this is an epoch at all.
    pub fn has_epoch(&self, epoch: u64) -> bool {
        self.config.epochs.is_none_or(|epochs| epoch < epochs)
    }

    /// Position in the endless stream of all epochs.
    fn stream(&self, epoch: u64, at: u64) -> u64 {
        epoch.wrapping_mul(self.epoch_samples).wrapping_add(at)
    }
}

/// The planner's thread.
pub(crate) struct Planner<B: ImageBuffer> {
    pub plan: Plan,
    pub dataset: Dataset,
    pub epoch: u64,
    pub position: u64,
    pub buffers: Receiver<B>,
    pub tasks: Sender<Task<B::Slot>>,
    pub failures: Sender<Message<B::Slot>>,
    /// Set when the loader is dropped.
    pub stop: Arc<AtomicBool>,
}

impl<B: ImageBuffer> Planner<B> {
    /// Hands out slots, batch after batch, until there is no epoch left or the loader is gone.
    pub fn run(mut self) {
        let mut batch = 0;
        // A weight that cannot be honoured was refused when the plan was made.
        let Ok(mut mixer) = self.plan.mixer() else { return };
        let mut windows: Vec<Windows> = (0..self.dataset.sources().len()).map(Windows::new).collect();
        while self.plan.has_epoch(self.epoch) {
            while self.plan.begins_at(self.position) {
                let Ok(buffer) = self.buffers.recv() else { return };
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                match self.batch(batch, buffer, &mut mixer, &mut windows) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => {
                        let _ = self.failures.send(Message::Failed(batch, error));
                        return;
                    }
                }
                batch += 1;
                self.position += self.plan.config.global_batch();
            }
            self.epoch += 1;
            self.position = 0;
        }
    }

    /// Hands out the slots of one batch. False when nobody takes them any more.
    fn batch(
        &mut self,
        batch: u64,
        buffer: B,
        mixer: &mut Mixer,
        windows: &mut [Windows],
    ) -> Result<bool, LoaderError> {
        let config = &self.plan.config;
        let slots = buffer.split(config.batch_size, config.image.slot_bytes());
        let step_end = (self.position + config.global_batch()).min(self.plan.epoch_samples);
        let ends = [self.position, step_end].map(|at| self.plan.stream(self.epoch, at));
        // Samples of each source since the beginning, up to the step's first position and past its last.
        let steps: Vec<[u64; 2]> = match windows.len() {
            1 => vec![ends],
            sources => {
                let before = ends.map(|at| mixer.before_each(at, sources));
                (0..sources).map(|source| [before[0][source], before[1][source]]).collect()
            }
        };
        let first = self.position + config.rank as u64 * config.batch_size as u64;
        for (slot, memory) in slots.into_iter().enumerate() {
            let position = first + slot as u64;
            let place = match position < self.plan.epoch_samples {
                true => Some(self.place(position, &steps, mixer, windows)?),
                false => None,
            };
            if self.tasks.send(Task { batch, slot, memory, place }).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn place(
        &self,
        position: u64,
        steps: &[[u64; 2]],
        mixer: &mut Mixer,
        windows: &mut [Windows],
    ) -> Result<Place, LoaderError> {
        let Self { plan, dataset, epoch, .. } = self;
        let stream = plan.stream(*epoch, position);
        let (source, number) = if windows.len() == 1 { (0, stream) } else { mixer.locate(stream) };
        let [from, to] = steps[source];
        let samples = dataset.sources()[source].num_samples;
        let (pass, at) =
            if plan.epoch_is_pass { (*epoch, position) } else { (number / samples, number % samples) };
        let window = windows[source].at(dataset, &plan.config, pass, at)?;
        // Where the step lies, counted from the window's first sample.
        let zero = pass.wrapping_mul(samples) + window.start;
        let len = window.order.len();
        let batch = from.saturating_sub(zero).min(len)..to.saturating_sub(zero).min(len);
        Ok(Place { at: at - window.start, window: Arc::clone(&window), epoch: *epoch, position, batch })
    }
}
