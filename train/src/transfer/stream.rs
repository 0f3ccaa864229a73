//! Training batches of a few-shot or full run: a seeded order a pass, each picture cut and distorted anew by a generator
//! of its own position, so what a run sees depends on its seed alone. Runs that differ in learning rate or source only
//! share one stream.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, bounded};
use pairmill_loader::order::Rng;
use pairmill_loader::{Augment, EraseBox, ImageTransform, RandomErasing};
use pairmill_pixels::Scratch;
use tch::{Device, Tensor};

use super::config::{Preset, TransformConfig};
use super::draw::Key;
use super::evaluation::to_device;
use super::pictures::{Cutter, Pictures, Square};
use crate::error::TrainError;
use crate::feed::Normalise;
use crate::torch::TorchError;

/// What the words of a seed are for.
const ORDER: u64 = 0x6f72_6465;
const PICTURE: u64 = 0x7069_6374;

/// How pictures are cut and distorted.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmentation {
    transform: ImageTransform,
    erasing: Option<RandomErasing>,
}

impl Augmentation {
    /// For pictures of `side` pixels.
    pub fn new(config: TransformConfig, side: u32) -> Self {
        let mut transform = match config.preset {
            Preset::Timm => ImageTransform::fine_tuning(side),
            Preset::Clip => ImageTransform::training(side),
            Preset::Plain => ImageTransform::evaluation(side),
        };
        if let Some(rand_augment) = &mut transform.rand_augment {
            rand_augment.fill = config.statistics.mean_colour();
        }
        let erasing = (config.preset == Preset::Timm).then(RandomErasing::default);
        Self { transform, erasing }
    }

    /// Side of the finished pictures, pixels.
    pub fn side(&self) -> u32 {
        self.transform.pixels.side
    }
}

/// The test transform of a preset for pictures of `side` pixels.
pub fn square(preset: Preset, side: u32) -> Square {
    let transform = match preset {
        Preset::Timm => ImageTransform::fine_tuning_evaluation(side),
        Preset::Clip | Preset::Plain => ImageTransform::evaluation(side),
    };
    match transform.augment {
        Augment::CentreOf { resize } => Square { resize, side },
        Augment::Centre | Augment::RandomCrop(_) => Square { resize: side, side },
    }
}

/// A rectangle of noise over normalised pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Erased {
    /// Which picture of the batch.
    pub row: usize,
    /// Where.
    pub area: EraseBox,
    /// What: 3 × height × width.
    pub noise: Vec<f32>,
}

impl Erased {
    fn new(row: usize, area: EraseBox, rng: &mut Rng) -> Self {
        let mut noise = vec![0.0; 3 * area.width as usize * area.height as usize];
        EraseBox { left: 0, top: 0, ..area }.fill(&mut noise, area.width, area.height, rng);
        Self { row, area, noise }
    }

    /// Puts it into `pixels`, N×3×side×side.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn lay_over(&self, pixels: &Tensor) -> Result<(), TorchError> {
        let EraseBox { left, top, width, height } = self.area;
        let [left, top, width, height] = [left, top, width, height].map(i64::from);
        let mut area =
            pixels.f_select(0, self.row as i64)?.f_narrow(1, top, height)?.f_narrow(2, left, width)?;
        area.f_copy_(&Tensor::f_from_slice(&self.noise)?.f_view([3, height, width])?)?;
        Ok(())
    }
}

/// One batch in host memory.
#[derive(Debug, Clone, PartialEq)]
pub struct HostBatch {
    /// N×side×side×3, row after row.
    pub pixels: Vec<u8>,
    /// Class numbers.
    pub labels: Vec<i64>,
    /// What is covered once the pixels are normalised.
    pub erased: Vec<Erased>,
}

impl HostBatch {
    /// Pixels as the tower takes them, and class numbers, on a device. `side` is that of the pictures.
    ///
    /// # Errors
    /// When memory runs out.
    pub(crate) fn to_device(
        &self,
        side: u32,
        normalise: &Normalise,
        device: Device,
    ) -> Result<(Tensor, Tensor), TorchError> {
        let pixels = to_device(&self.pixels, self.labels.len(), side, normalise, device)?;
        for erased in &self.erased {
            erased.lay_over(&pixels)?;
        }
        Ok((pixels, Tensor::f_from_slice(&self.labels)?.f_to_device(device)?))
    }
}

/// A run's training images, in the order of the draw, and how a pass over them is made.
#[derive(Debug)]
pub struct Stream {
    /// The decoded pictures.
    pub pictures: Arc<Pictures>,
    /// Images and classes.
    pub examples: Vec<(Key, i64)>,
    /// Cuts and distortions.
    pub augmentation: Augmentation,
    /// Images a step.
    pub batch_size: usize,
    /// Seed of order and augmentation.
    pub seed: u64,
}

impl Stream {
    /// Steps of one pass; the last may be smaller.
    pub fn steps_per_epoch(&self) -> u64 {
        self.examples.len().div_ceil(self.batch_size.max(1)) as u64
    }

    /// Positions of a pass in its order.
    pub fn order(&self, epoch: u64) -> Vec<u32> {
        order(self.seed, epoch, self.examples.len())
    }

    /// Makes one batch: of pass `epoch`, places `places` of its order.
    fn make(
        &self,
        epoch: u64,
        order: &[u32],
        places: Range<usize>,
        hands: &mut Hands,
    ) -> Result<HostBatch, TrainError> {
        let Augmentation { transform, erasing } = &self.augmentation;
        let side = self.augmentation.side();
        let mut pixels = vec![0; places.len() * transform.slot_bytes()];
        let (mut labels, mut erased) = (Vec::with_capacity(places.len()), Vec::new());
        for (row, out) in pixels.chunks_exact_mut(transform.slot_bytes()).enumerate() {
            let place = places.start + row;
            let (key, label) = self.examples[order[place] as usize];
            let mut rng = Rng::new(&[PICTURE, self.seed, epoch, place as u64]);
            let cut = |width, height| transform.place(width, height, &mut rng);
            self.pictures.cut(key, &mut hands.cutter, cut, out)?;
            transform
                .augment(out, &mut rng, &mut hands.scratch)
                .map_err(|error| TrainError::Transfer(error.to_string()))?;
            if let Some(area) = erasing.as_ref().and_then(|erasing| erasing.draw(&mut rng, side, side)) {
                erased.push(Erased::new(row, area, &mut rng));
            }
            labels.push(label);
        }
        Ok(HostBatch { pixels, labels, erased })
    }
}

/// A permutation of `len` positions for a pass.
pub fn order(seed: u64, epoch: u64, len: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..len as u32).collect();
    Rng::new(&[ORDER, seed, epoch]).shuffle(&mut order);
    order
}

/// What one thread works with.
struct Hands {
    cutter: Cutter,
    scratch: Scratch,
}

/// Batches of a stream from some epoch on, made ahead by threads of their own, in order.
#[derive(Debug)]
pub struct Batches {
    lanes: Vec<Receiver<Result<HostBatch, TrainError>>>,
    threads: Vec<JoinHandle<()>>,
    next: usize,
}

impl Batches {
    /// All batches of the passes `epochs`, on `threads` threads: thread t of T makes batches t, t + T, … and holds one
    /// more in hand.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        stream: &Arc<Stream>,
        epochs: Range<u64>,
        threads: NonZeroUsize,
    ) -> Result<Self, TrainError> {
        let steps = stream.steps_per_epoch();
        let (mut lanes, mut handles) = (Vec::new(), Vec::new());
        for lane in 0..threads.get() as u64 {
            let (send, receive) = bounded(1);
            let (stream, epochs) = (Arc::clone(stream), epochs.clone());
            let made = move || {
                let side = stream.augmentation.side();
                let mut hands = match Cutter::new(side) {
                    Ok(cutter) => Hands { cutter, scratch: Scratch::default() },
                    Err(error) => {
                        let _ = send.send(Err(error));
                        return;
                    }
                };
                let mut order = (u64::MAX, Vec::new());
                let mut at = epochs.start * steps + lane;
                while at < epochs.end * steps {
                    let (epoch, step) = (at / steps, (at % steps) as usize);
                    if order.0 != epoch {
                        order = (epoch, stream.order(epoch));
                    }
                    let start = step * stream.batch_size;
                    let end = (start + stream.batch_size).min(stream.examples.len());
                    let batch = stream.make(epoch, &order.1, start..end, &mut hands);
                    let failed = batch.is_err();
                    // Nobody listening: the run is over.
                    if send.send(batch).is_err() || failed {
                        return;
                    }
                    at += threads.get() as u64;
                }
            };
            let named = thread::Builder::new().name(format!("augment-{lane}"));
            handles.push(named.spawn(made).map_err(|error| TrainError::Transfer(error.to_string()))?);
            lanes.push(receive);
        }
        Ok(Self { lanes, threads: handles, next: 0 })
    }

    /// The next batch; `None` after the last.
    ///
    /// # Errors
    /// When a picture cannot be read back.
    pub fn next_batch(&mut self) -> Result<Option<HostBatch>, TrainError> {
        let lane = self.next % self.lanes.len();
        self.next += 1;
        self.lanes[lane].recv().ok().transpose()
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.lanes.clear();
        for thread in self.threads.drain(..) {
            // A panic of a worker has been told where it happened.
            let _ = thread.join();
        }
    }
}
