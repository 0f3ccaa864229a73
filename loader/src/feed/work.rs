//! A worker: takes a slot, reads the sample that belongs there, decodes it into the slot, tokenises its caption. A bad
//! sample is replaced here; what replaces it depends on (seed, epoch, position) alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use pairmill_pixels::{Cropper, Scratch};

use super::{Encode, Filled, Message, Place, Task};
use crate::batch::{Origin, Slot};
use crate::config::{BadSamples, CaptionChoice, LoaderConfig};
use crate::dataset::Dataset;
use crate::error::LoaderError;
use crate::order::Rng;
use crate::sample::RawSample;
use crate::skipped::{BadReason, SkippedSample, in_words};
use crate::stats::Counters;

/// Keeps the streams of random numbers apart.
const PIXELS: u64 = 4;
const SUBSTITUTE: u64 = 5;
const CAPTION: u64 = 6;
/// Substitutes that are drawn from outside the batch.
const OUTSIDE_TRIES: u64 = 32;
/// Substitutes that are drawn from anywhere in the window, where outside there is nothing.
const ANYWHERE_TRIES: u64 = 32;
/// Substitutes that are tried one after the other at last.
const LAST_TRIES: u64 = 1_024;
/// Bad samples remembered per slot.
const MAX_SKIPPED: usize = 2_048;

/// What every worker needs.
#[derive(Clone)]
pub(crate) struct WorkerSetup {
    pub dataset: Dataset,
    pub config: Arc<LoaderConfig>,
    pub encode: Encode,
    pub counters: Arc<Counters>,
}

pub(crate) struct Worker {
    setup: WorkerSetup,
    cropper: Cropper,
    /// Bytes of the sample being read.
    scratch: Vec<u8>,
    augmenting: Scratch,
    decode: Duration,
    read_bytes: u64,
}

/// What a slot was filled with, besides the pixels.
struct Loaded {
    tokens: Vec<i32>,
    label: Option<i64>,
    is_recoded: bool,
    sample: Slot,
}

/// What a sample gives besides the pixels.
struct Finished {
    tokens: Vec<i32>,
    label: Option<i64>,
    is_recoded: bool,
}

impl Worker {
    pub fn new(setup: WorkerSetup) -> Result<Self, LoaderError> {
        let cropper = Cropper::new(&setup.config.image.pixels)?;
        Ok(Self {
            setup,
            cropper,
            scratch: Vec::new(),
            augmenting: Scratch::default(),
            decode: Duration::ZERO,
            read_bytes: 0,
        })
    }

    /// Fills slots until there are no more, or nobody wants them.
    pub fn run<S: AsMut<[u8]>>(mut self, tasks: &Receiver<Task<S>>, filled: &Sender<Message<S>>) {
        while let Ok(task) = tasks.recv() {
            let begun = Instant::now();
            let message = self.fill(task);
            self.setup.counters.add(begun.elapsed(), self.decode, self.read_bytes);
            (self.decode, self.read_bytes) = (Duration::ZERO, 0);
            if filled.send(message).is_err() {
                return;
            }
        }
    }

    fn fill<S: AsMut<[u8]>>(&mut self, task: Task<S>) -> Message<S> {
        let Task { batch, slot, mut memory, place } = task;
        let mut skipped = Vec::new();
        let loaded = match &place {
            None => Ok(None),
            Some(place) => self.place(place, memory.as_mut(), &mut skipped),
        };
        let Loaded { tokens, label, is_recoded, sample } = match loaded {
            Ok(Some(loaded)) => loaded,
            Ok(None) => {
                memory.as_mut().fill(0);
                let sample =
                    Slot { origin: Origin::Empty, source: 0, shard: 0, sample: 0, key: String::new() };
                let tokens = vec![0; self.setup.config.context_length];
                Loaded { tokens, label: None, is_recoded: false, sample }
            }
            Err(error) => return Message::Failed(batch, error),
        };
        let is_due = place.is_some();
        Message::Filled(Filled { batch, slot, memory, tokens, label, sample, is_recoded, is_due, skipped })
    }

    /// The place's own sample, else a substitute, else nothing.
    fn place(
        &mut self,
        place: &Place,
        out: &mut [u8],
        skipped: &mut Vec<SkippedSample>,
    ) -> Result<Option<Loaded>, LoaderError> {
        let own = self.load(place, place.at, 0, out, skipped);
        if own.is_some() || self.setup.config.bad_samples == BadSamples::LeaveEmpty {
            return Ok(own);
        }
        let len = place.window.order.len();
        let mut rng = Rng::new(&[self.setup.config.seed, SUBSTITUTE, place.epoch, place.position]);
        let outside = len - (place.batch.end - place.batch.start);
        for attempt in 1..=OUTSIDE_TRIES + ANYWHERE_TRIES + LAST_TRIES.min(len) {
            let at = if attempt <= OUTSIDE_TRIES {
                if outside == 0 {
                    continue;
                }
                let drawn = rng.below(outside);
                if drawn < place.batch.start { drawn } else { drawn + (place.batch.end - place.batch.start) }
            } else if attempt <= OUTSIDE_TRIES + ANYWHERE_TRIES {
                rng.below(len)
            } else {
                (place.at + attempt) % len
            };
            if let Some(mut found) = self.load(place, at, attempt, out, skipped) {
                found.sample.origin = Origin::Substitute;
                return Ok(Some(found));
            }
        }
        Err(nothing(place, skipped))
    }

    fn load(
        &mut self,
        place: &Place,
        at: u64,
        attempt: u64,
        out: &mut [u8],
        skipped: &mut Vec<SkippedSample>,
    ) -> Option<Loaded> {
        let found = place.window.sample(at)?;
        let mut scratch = std::mem::take(&mut self.scratch);
        let (key, result) = match found.shard.read(found.sample as usize, &mut scratch) {
            Err(reason) => (format!("sample {}", found.sample), Err(reason)),
            Ok(raw) => {
                self.read_bytes += raw.num_bytes();
                // The cropper has a wall of its own around its decoders; this one is for everything else. Nothing here
                // is to panic on any bytes; what does costs its sample and not the run.
                let result = pairmill_guard::caught(|| self.finish(&raw, place, attempt, out));
                let result = result.unwrap_or_else(|_| {
                    if let Ok(fresh) = Cropper::new(&self.setup.config.image.pixels) {
                        self.cropper = fresh;
                    }
                    Err(BadReason::Panic)
                });
                (raw.key.into_owned(), result)
            }
        };
        self.scratch = scratch;
        match result {
            Ok(Finished { tokens, label, is_recoded }) => {
                let source = place.window.source as u32;
                let (shard, sample) = (found.shard_number, found.sample);
                let sample = Slot { origin: Origin::Own, source, shard, sample, key };
                Some(Loaded { tokens, label, is_recoded, sample })
            }
            Err(reason) => {
                if skipped.len() < MAX_SKIPPED {
                    skipped.push(SkippedSample { shard: found.shard.path.clone(), key, reason });
                }
                None
            }
        }
    }

    /// Pixels into `out`; token ids and class number.
    fn finish(
        &mut self,
        raw: &RawSample<'_>,
        place: &Place,
        attempt: u64,
        out: &mut [u8],
    ) -> Result<Finished, BadReason> {
        let Self { setup, cropper, augmenting, .. } = self;
        let chosen = raw.choose(setup.dataset.config(), |captions| match setup.config.captions {
            CaptionChoice::First => 0,
            CaptionChoice::Draw => {
                let words = [setup.config.seed, CAPTION, place.epoch, place.position, attempt];
                Rng::new(&words).below(captions as u64) as usize
            }
        })?;
        let transform = &setup.config.image;
        let mut rng = Rng::new(&[setup.config.seed, PIXELS, place.epoch, place.position, attempt]);
        let begun = Instant::now();
        let written =
            cropper.write(chosen.image, |width, height| transform.place(width, height, &mut rng), out);
        let written = written.and_then(|()| transform.augment(out, &mut rng, augmenting));
        self.decode += begun.elapsed();
        written?;
        let mut tokens = vec![0; self.setup.config.context_length];
        (self.setup.encode)(&chosen.caption, &mut tokens);
        Ok(Finished { tokens, label: chosen.label, is_recoded: chosen.is_recoded })
    }
}

fn nothing(place: &Place, skipped: &[SkippedSample]) -> LoaderError {
    let mut distinct: Vec<&SkippedSample> = skipped.iter().collect();
    distinct.sort_by(|a, b| (&a.shard, &a.key).cmp(&(&b.shard, &b.key)));
    distinct.dedup_by(|a, b| (&a.shard, &a.key) == (&b.shard, &b.key));
    let mut paths = place.window.paths();
    let more = paths.len().saturating_sub(1);
    let first = paths.next().map_or(String::new(), |path| path.display().to_string());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    LoaderError::Nothing {
        share: "100 %",
        tried: distinct.len(),
        place: format!("in {first}{more}"),
        reasons: in_words(distinct.iter().map(|sample| &sample.reason)),
    }
}
