//! From the loader's host batches to the device: pixels travel as bytes on a side stream while the step before runs,
//! and become normalised floats there. On the CPU the same code is a plain copy.

use std::time::{Duration, Instant};

use pairmill_loader::{Batch, ImageBuffer, Loader, LoaderError, LoaderState, Slot, Tally};
use pairmill_pixels::Normalisation;
use tch::{Device, Kind, Tensor};

use crate::model::trimmed;
use crate::torch::TorchError;
use crate::torch::memory::{self, HostBytes, HostSlot};
use crate::torch::stream::{Event, Stream};

/// What can go wrong between the shards and the device.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The loader stopped.
    #[error(transparent)]
    Loader(#[from] LoaderError),
    /// libtorch stopped, for instance for want of memory.
    #[error(transparent)]
    Torch(#[from] TorchError),
    /// Nothing to train on.
    #[error(
        "an epoch of {samples} samples holds no whole batch of {batch}: lower the batch size or set data.epoch_samples"
    )]
    NoBatch {
        /// Samples of an epoch.
        samples: u64,
        /// Global batch size.
        batch: u64,
    },
}

impl From<tch::TchError> for FeedError {
    fn from(error: tch::TchError) -> Self {
        Self::Torch(error.into())
    }
}

/// A tensor of bytes that the loader writes into.
#[derive(Debug)]
pub struct PixelBuffer(HostBytes);

impl PixelBuffer {
    /// `count` buffers of `bytes` each, pinned for a CUDA device.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn pool(count: usize, bytes: usize, device: Device) -> Result<Vec<Self>, TorchError> {
        (0..count).map(|_| HostBytes::new(bytes, device).map(Self)).collect()
    }
}

impl ImageBuffer for PixelBuffer {
    type Slot = HostSlot;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn split(self, count: usize, bytes: usize) -> Vec<HostSlot> {
        self.0.split(count, bytes)
    }

    fn join(slots: Vec<HostSlot>) -> Self {
        Self(HostBytes::join(slots))
    }
}

/// One batch of this rank on the device. Pixels stay bytes until a part of them is used: a quarter of the memory.
#[derive(Debug)]
pub struct DeviceBatch {
    /// uint8, N×H×W×3.
    bytes: Tensor,
    /// Token ids, i64, N×the longest caption (a multiple of 8, at most the context length).
    tokens: Tensor,
    normalise: Normalise,
    /// Class numbers, i64, N; empty where no label is asked for, -1 in empty slots.
    pub labels: Tensor,
    /// Where each sample came from.
    pub slots: Vec<Slot>,
    /// Epoch, from 0.
    pub epoch: u64,
    /// Where the loader stands behind this batch.
    pub state: LoaderState,
}

/// What the model takes of a batch or a part of it.
#[derive(Debug)]
pub struct Views {
    /// Normalised pixels, f32, n×3×H×W in channels-last memory.
    pub pixels: Tensor,
    /// Token ids, i64, n×the longest caption of the batch.
    pub tokens: Tensor,
}

impl DeviceBatch {
    /// Part `index` of `parts` equal ones, in order.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn part(&self, index: usize, parts: usize) -> Result<Views, TorchError> {
        let rows = self.slots.len() as i64 / parts as i64;
        let start = index as i64 * rows;
        let pixels = self.normalise.apply(&self.bytes.f_narrow(0, start, rows)?)?;
        Ok(Views { pixels, tokens: self.tokens.f_narrow(0, start, rows)? })
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`DeviceBatch::part`].
    pub fn whole(&self) -> Result<Views, TorchError> {
        self.part(0, 1)
    }

    /// Everything that was made on the side stream and is used on the step's. Spelt out, so that a tensor more cannot
    /// be forgotten: its memory would be given away while the step still reads it.
    fn staged_tensors(&self) -> [&Tensor; 3] {
        let Self { bytes, tokens, labels, normalise: _, slots: _, epoch: _, state: _ } = self;
        [bytes, tokens, labels]
    }
}

/// Turns bytes into what the model takes: `pixels * scale + shift` per channel.
#[derive(Debug)]
pub(crate) struct Normalise {
    scale: Tensor,
    shift: Tensor,
}

impl Normalise {
    pub(crate) fn new(statistics: Normalisation, device: Device) -> Result<Self, TorchError> {
        let (mean, std) = (statistics.mean(), statistics.std());
        let per_channel = |values: [f64; 3]| -> Result<Tensor, tch::TchError> {
            Tensor::f_from_slice(&values)?.f_to_kind(Kind::Float)?.f_view([1, 3, 1, 1])?.f_to_device(device)
        };
        let scale = [0, 1, 2].map(|c| 1.0 / (255.0 * std[c]));
        let shift = [0, 1, 2].map(|c| -mean[c] / std[c]);
        Ok(Self { scale: per_channel(scale)?, shift: per_channel(shift)? })
    }

    /// uint8 n×H×W×3 to f32 n×3×H×W; memory stays in the bytes' order, which is channels-last.
    pub(crate) fn apply(&self, bytes: &Tensor) -> Result<Tensor, tch::TchError> {
        let pixels = bytes.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?;
        pixels.f_mul(&self.scale)?.f_add(&self.shift)
    }

    /// The same, sharing memory.
    fn share(&self) -> Self {
        Self { scale: self.scale.shallow_clone(), shift: self.shift.shallow_clone() }
    }
}

/// A batch whose bytes are on their way.
#[derive(Debug)]
struct Staged {
    batch: DeviceBatch,
    /// The host memory, which must be left alone until `arrived`.
    buffer: PixelBuffer,
    arrived: Option<Event>,
}

/// The loader as the trainer sees it: batches on the device, one ahead.
#[derive(Debug)]
pub struct Feed {
    loader: Loader<PixelBuffer>,
    device: Device,
    side: Option<Stream>,
    /// Whether batches are staged ahead. Without a second engine that copies, that would only hold memory.
    ahead: bool,
    normalise: Normalise,
    batch_size: i64,
    side_pixels: i64,
    context_length: i64,
    /// What the last [`Feed::prefetch`] came to: an error is kept for the call that would have met it.
    staged: Option<Result<Option<Staged>, FeedError>>,
    /// Host memory of the batch delivered last, until its copy has arrived.
    leaving: Option<(PixelBuffer, Event)>,
    waited: Duration,
}

impl Feed {
    /// Takes over a loader whose buffers are [`PixelBuffer`]s for the same device.
    ///
    /// # Errors
    /// When an epoch holds no whole batch, or the device refuses.
    pub fn new(
        loader: Loader<PixelBuffer>,
        config: &pairmill_loader::LoaderConfig,
        device: Device,
    ) -> Result<Self, FeedError> {
        if loader.batches_per_epoch() == 0 {
            return Err(FeedError::NoBatch { samples: loader.epoch_samples(), batch: config.global_batch() });
        }
        let side = if device.is_cuda() { Some(Stream::side(device)?) } else { None };
        Ok(Self {
            loader,
            device,
            ahead: side.is_some(),
            side,
            normalise: Normalise::new(Normalisation::Clip, device)?,
            batch_size: config.batch_size as i64,
            side_pixels: i64::from(config.image.pixels.side),
            context_length: config.context_length as i64,
            staged: None,
            leaving: None,
            waited: Duration::ZERO,
        })
    }

    /// The next batch, of whatever epoch; `None` when the loader's epochs are over.
    ///
    /// # Errors
    /// [`FeedError`], in order: the batches before it are delivered first.
    #[expect(
        clippy::should_implement_trait,
        reason = "an error does not end it, and it is never used as an iterator"
    )]
    pub fn next(&mut self) -> Result<Option<DeviceBatch>, FeedError> {
        let staged = match self.staged.take() {
            Some(staged) => staged?,
            None => self.stage()?,
        };
        let Some(Staged { batch, buffer, arrived }) = staged else { return Ok(None) };
        match arrived {
            Some(arrived) => {
                // The step waits on the device; this thread does not.
                let current = Stream::current(self.device)?;
                arrived.block(&current)?;
                for tensor in batch.staged_tensors() {
                    current.keeps(tensor)?;
                }
                self.leaving = Some((buffer, arrived));
            }
            None => self.loader.recycle(buffer),
        }
        Ok(Some(batch))
    }

    /// Begins to move the batch after the one delivered last, where the device copies while it computes. To be called
    /// when a step is queued: a loader that is late then delays nothing that is ready.
    pub fn prefetch(&mut self) {
        if self.ahead && self.staged.is_none() {
            self.staged = Some(self.stage());
        }
    }

    /// The same with other statistics of pixels than CLIP's.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn normalised(mut self, statistics: Normalisation) -> Result<Self, FeedError> {
        self.normalise = Normalise::new(statistics, self.device)?;
        Ok(self)
    }

    /// What became of the samples that were due since this was last asked.
    pub fn take_tally(&mut self) -> Tally {
        self.loader.take_tally()
    }

    /// The loader behind it.
    pub fn loader(&self) -> &Loader<PixelBuffer> {
        &self.loader
    }

    /// Time spent waiting for the loader.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    fn stage(&mut self) -> Result<Option<Staged>, FeedError> {
        if let Some((buffer, arrived)) = self.leaving.take() {
            // Arrived a step ago.
            arrived.synchronize()?;
            self.loader.recycle(buffer);
        }
        let begun = Instant::now();
        let mut next = self.loader.next()?;
        if next.is_none() {
            // The end of an epoch; the call after it begins the next one, unless it was the last.
            next = self.loader.next()?;
        }
        self.waited += begun.elapsed();
        let Some(host) = next else { return Ok(None) };
        let state = self.loader.state();
        let entered = self.side.as_ref().map(Stream::enter).transpose()?;
        let (batch, buffer) = self.to_device(host, state)?;
        drop(entered);
        let arrived = match &self.side {
            Some(side) => {
                let mut event = Event::new(self.device, false)?;
                event.record(side)?;
                Some(event)
            }
            None => None,
        };
        Ok(Some(Staged { batch, buffer, arrived }))
    }

    fn to_device(
        &self,
        host: Batch<PixelBuffer>,
        state: LoaderState,
    ) -> Result<(DeviceBatch, PixelBuffer), FeedError> {
        let shape = [self.batch_size, self.side_pixels, self.side_pixels, 3];
        let bytes = host.images.0.copy_to(&shape, self.device)?;
        let rows = Tensor::f_from_slice(&host.tokens)?.f_view([self.batch_size, self.context_length])?;
        // By way of pinned memory: from pageable memory this thread would wait for the pixels before.
        let tokens = memory::to_device(&trimmed(&rows)?, self.device)?.f_to_kind(Kind::Int64)?;
        let labels = memory::to_device(&Tensor::f_from_slice(&host.labels)?, self.device)?;
        let batch = DeviceBatch {
            bytes,
            tokens,
            normalise: self.normalise.share(),
            labels,
            slots: host.slots,
            epoch: host.epoch,
            state,
        };
        Ok((batch, host.images))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;
    use std::sync::Arc;

    use pairmill_loader::{Dataset, DatasetConfig, ImageTransform, LoaderConfig, Order, SourceSpec};
    use pairmill_shards::tar::TarWriter;
    use pairmill_world::{Source, World, WorldConfig};

    use super::*;

    /// One pass in order, in batches of a shard each.
    fn config() -> LoaderConfig {
        LoaderConfig {
            batch_size: 4,
            threads: 1,
            order: Order::Sequential,
            window_shards: 1,
            epochs: Some(1),
            image: ImageTransform::evaluation(32),
            ..LoaderConfig::default()
        }
    }

    /// Shards of a batch each.
    fn shards(folder: &Path, count: u64) {
        let world = World::new(WorldConfig::default());
        for shard in 0..count {
            let mut tar = TarWriter::new(File::create(folder.join(format!("{shard:05}.tar"))).unwrap());
            for sample in 0..4 {
                let picture = world.picture(Source::Shutterstock, shard * 4 + sample).bytes().unwrap();
                let members: [(&str, &[u8]); 2] = [("jpg", &picture), ("txt", b"a caption")];
                tar.append(&format!("{shard}{sample:04}"), &members).unwrap();
            }
            tar.finish().unwrap();
        }
    }

    /// A feed that stages ahead as on a GPU, over a dataset that was opened before `spoil` had its way with the files.
    fn ahead(folder: &Path, spoil: impl FnOnce()) -> Feed {
        let source = SourceSpec::new(folder.to_string_lossy());
        let dataset = Dataset::open(&[source], &DatasetConfig::default()).unwrap();
        spoil();
        let config = config();
        let buffers = PixelBuffer::pool(3, config.image_bytes(), Device::Cpu).unwrap();
        let loader = Loader::start(dataset, &config, Arc::new(|_, _| {}), buffers).unwrap();
        Feed { ahead: true, ..Feed::new(loader, &config, Device::Cpu).unwrap() }
    }

    fn first_key(batch: &DeviceBatch) -> &str {
        &batch.slots[0].key
    }

    #[test]
    fn t12_a_batch_in_hand_survives_that_the_next_one_cannot_be_staged() {
        let folder = tempfile::tempdir().unwrap();
        shards(folder.path(), 3);
        let second = folder.path().join("00001.tar");
        let mut feed = ahead(folder.path(), || fs::write(&second, b"no tar").unwrap());
        let first = feed.next().unwrap().unwrap();
        assert_eq!(first_key(&first), "00000");
        feed.prefetch();
        // Asking twice stages once.
        feed.prefetch();
        let error = feed.next().unwrap_err();
        assert!(error.to_string().contains("00001.tar"), "{error}");
    }

    #[test]
    fn t12_batches_come_in_order_whether_or_not_they_are_staged_ahead() {
        let folder = tempfile::tempdir().unwrap();
        shards(folder.path(), 3);
        let mut feed = ahead(folder.path(), || {});
        let mut keys = Vec::new();
        while let Some(batch) = feed.next().unwrap() {
            // The position that is kept is behind this batch, not behind the one that is staged.
            assert_eq!(serde_json::to_value(&batch.state).unwrap()["consumed"], 4 * (keys.len() as u64 + 1));
            keys.push(first_key(&batch).to_owned());
            if keys.len() != 2 {
                feed.prefetch();
            }
        }
        assert_eq!(keys, ["00000", "10000", "20000"]);
        assert!(feed.next().unwrap().is_none());
    }
}
