//! The loader itself: starts planner and workers, and puts what they send into batches, in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::batch::{Batch, Origin, Slot};
use crate::buffer::ImageBuffer;
use crate::config::{LabelFrom, LoaderConfig};
use crate::dataset::Dataset;
use crate::error::LoaderError;
use crate::feed::{Encode, Filled, Message, Plan, Planner, Task, Worker, WorkerSetup};
use crate::skipped::{MAX_REMEMBERED, SkippedSample, in_words};
use crate::state::LoaderState;
use crate::stats::{Counters, LoaderStats};
use crate::tally::Tally;

/// Places that may wait for a worker, per worker.
const TASKS_PER_WORKER: usize = 4;

/// Batches of one rank, epoch after epoch. Dropping it stops its threads.
pub struct Loader<B: ImageBuffer> {
    plan: Plan,
    dataset: Dataset,
    /// Where the next batch begins.
    epoch: u64,
    position: u64,
    /// Batches delivered since the start.
    delivered: u64,
    pending: BTreeMap<u64, Gathering<B::Slot>>,
    failed: BTreeMap<u64, LoaderError>,
    messages: Option<Receiver<Message<B::Slot>>>,
    recycled: Option<Sender<B>>,
    tasks: Receiver<Task<B::Slot>>,
    /// Buffers that were lent, and those of them in the caller's hands.
    lent: usize,
    with_caller: usize,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    started: Instant,
    waited: Duration,
    stats: LoaderStats,
    counters: Arc<Counters>,
    remembered: Vec<SkippedSample>,
    tally: Tally,
    epoch_samples_good: u64,
}

/// A batch on its way.
struct Gathering<S> {
    slots: Vec<Option<Filled<S>>>,
    missing: usize,
}

impl<B: ImageBuffer> Loader<B> {
    /// Starts at the beginning. `buffers` are lent: as many batches can be on their way or with the caller at a time,
    /// so lend at least two.
    ///
    /// # Errors
    /// When an option is out of range, a buffer too small, or a thread does not start.
    pub fn start(
        dataset: Dataset,
        config: &LoaderConfig,
        encode: Encode,
        buffers: Vec<B>,
    ) -> Result<Self, LoaderError> {
        Self::start_at(dataset, config, encode, buffers, 0, 0)
    }

    /// Goes on where `state` was taken, with the same samples in the same order from there, on any number of ranks.
    ///
    /// # Errors
    /// As [`start`](Self::start), and when the data or an option that the order rests on are others.
    pub fn resume(
        dataset: Dataset,
        config: &LoaderConfig,
        encode: Encode,
        buffers: Vec<B>,
        state: &LoaderState,
    ) -> Result<Self, LoaderError> {
        state.check(&dataset, config)?;
        Self::start_at(dataset, config, encode, buffers, state.epoch, state.consumed)
    }

    fn start_at(
        dataset: Dataset,
        config: &LoaderConfig,
        encode: Encode,
        buffers: Vec<B>,
        epoch: u64,
        position: u64,
    ) -> Result<Self, LoaderError> {
        let plan = Plan::new(&dataset, config)?;
        let needed = config.image_bytes();
        for given in buffers.iter().map(ImageBuffer::len) {
            if given < needed {
                return Err(LoaderError::Buffer { given, needed });
            }
        }
        let lent = buffers.len();
        if lent == 0 {
            return Err(LoaderError::NoBuffer(0));
        }
        let num_threads = match config.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let (recycled, free) = bounded(lent);
        for buffer in buffers {
            // As many places as buffers.
            let _ = recycled.send(buffer);
        }
        let (to_work, tasks) = bounded(num_threads * TASKS_PER_WORKER);
        // Room for every slot there is and a failure of every thread: workers never wait for the caller.
        let (filled, messages) = bounded(lent * config.batch_size + num_threads + 1);
        let counters = Arc::new(Counters::default());
        let setup = WorkerSetup {
            dataset: dataset.clone(),
            config: Arc::new(config.clone()),
            encode,
            counters: Arc::clone(&counters),
        };
        let mut threads = Vec::with_capacity(num_threads + 1);
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(body);
            spawned.map_err(|_| LoaderError::Thread("could not be started"))
        };
        for _ in 0..num_threads {
            let worker = Worker::new(setup.clone())?;
            let (tasks, filled): (Receiver<Task<B::Slot>>, _) = (tasks.clone(), filled.clone());
            threads.push(spawn("loader-work", Box::new(move || worker.run(&tasks, &filled)))?);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let planner: Planner<B> = Planner {
            plan: plan.clone(),
            dataset: dataset.clone(),
            epoch,
            position,
            buffers: free,
            tasks: to_work,
            failures: filled,
            stop: Arc::clone(&stop),
        };
        threads.push(spawn("loader-plan", Box::new(move || planner.run()))?);
        Ok(Self {
            plan,
            dataset,
            epoch,
            position,
            delivered: 0,
            pending: BTreeMap::new(),
            failed: BTreeMap::new(),
            messages: Some(messages),
            recycled: Some(recycled),
            tasks,
            lent,
            with_caller: 0,
            stats: LoaderStats { threads: num_threads, ..LoaderStats::default() },
            threads,
            stop,
            started: Instant::now(),
            waited: Duration::ZERO,
            counters,
            remembered: Vec::new(),
            tally: Tally::default(),
            epoch_samples_good: 0,
        })
    }

    /// The next batch; `None` once at the end of each epoch, after which the next call begins the next epoch, and
    /// `None` for good after [`LoaderConfig::epochs`].
    ///
    /// # Errors
    /// When a shard is damaged, nothing usable is found, or every buffer is with the caller. Errors come in order: the
    /// batches before are delivered first.
    #[expect(clippy::should_implement_trait, reason = "an epoch ends with None and then it goes on")]
    pub fn next(&mut self) -> Result<Option<Batch<B>>, LoaderError> {
        if !self.plan.has_epoch(self.epoch) {
            return Ok(None);
        }
        if !self.plan.begins_at(self.position) {
            let ended = self.end_epoch();
            self.epoch += 1;
            self.position = 0;
            return ended.map(|()| None);
        }
        let begun = Instant::now();
        let gathered = self.gather();
        self.waited += begun.elapsed();
        gathered.map(|gathered| Some(self.deliver(gathered)))
    }

    /// Hands a batch's memory back, for a batch to come.
    pub fn recycle(&mut self, buffer: B) {
        if let Some(recycled) = &self.recycled {
            // A buffer that was not lent, one too many, is simply dropped.
            if recycled.try_send(buffer).is_ok() {
                self.with_caller = self.with_caller.saturating_sub(1);
            }
        }
    }

    /// Where the loader stands: behind the batch delivered last, whatever is being prepared.
    pub fn state(&self) -> LoaderState {
        LoaderState::at(&self.dataset, &self.plan.config, self.epoch, self.position)
    }

    /// Batches per epoch on each rank, when none of it is skipped by a resume.
    pub fn batches_per_epoch(&self) -> u64 {
        let (samples, batch) = (self.plan.epoch_samples, self.plan.config.global_batch());
        match self.plan.config.last_batch {
            crate::config::LastBatch::Drop => samples / batch,
            crate::config::LastBatch::Short => samples.div_ceil(batch),
        }
    }

    /// Positions of an epoch over all ranks.
    pub fn epoch_samples(&self) -> u64 {
        self.plan.epoch_samples
    }

    /// The dataset.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// What was done so far.
    pub fn stats(&self) -> LoaderStats {
        let mut stats = self.stats.clone();
        stats.waited_s = self.waited.as_secs_f64();
        stats.elapsed_s = self.started.elapsed().as_secs_f64();
        let gathered: usize = self.pending.values().map(|batch| batch.slots.len() - batch.missing).sum();
        stats.ready_samples = gathered + self.messages.as_ref().map_or(0, Receiver::len);
        stats.waiting_samples = self.tasks.len();
        self.counters.fill(&mut stats);
        stats
    }

    /// The first bad samples that were met, up to a thousand; [`LoaderStats::skipped`] counts all.
    pub fn skipped(&self) -> &[SkippedSample] {
        &self.remembered
    }

    /// What became of the samples that were due in the batches delivered since [`Loader::take_tally`].
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The tally so far; a new one begins.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Waits until the next batch is whole.
    fn gather(&mut self) -> Result<Vec<Filled<B::Slot>>, LoaderError> {
        let died = LoaderError::Thread("has died");
        let batch_size = self.plan.config.batch_size;
        loop {
            let whole = self.pending.get(&self.delivered).is_some_and(|batch| batch.missing == 0);
            if whole {
                let batch = self.pending.remove(&self.delivered).ok_or(died)?;
                return Ok(batch.slots.into_iter().flatten().collect());
            }
            if let Some(error) = self.failed.remove(&self.delivered) {
                // Nothing comes after a failure.
                self.messages = None;
                return Err(error);
            }
            let Some(messages) = &self.messages else {
                return Err(LoaderError::Thread("has ended after an error"));
            };
            if self.with_caller == self.lent {
                return Err(LoaderError::NoBuffer(self.lent));
            }
            match messages.recv() {
                Ok(Message::Filled(filled)) => {
                    let batch = self.pending.entry(filled.batch).or_insert_with(|| Gathering {
                        slots: (0..batch_size).map(|_| None).collect(),
                        missing: batch_size,
                    });
                    let slot = filled.slot;
                    if batch.slots[slot].replace(filled).is_none() {
                        batch.missing -= 1;
                    }
                }
                Ok(Message::Failed(batch, error)) => {
                    self.failed.entry(batch).or_insert(error);
                }
                Err(_) => return Err(died),
            }
        }
    }

    fn deliver(&mut self, filled: Vec<Filled<B::Slot>>) -> Batch<B> {
        let config = &self.plan.config;
        let labelled = self.dataset.config().label != LabelFrom::Nowhere;
        let mut tokens = Vec::with_capacity(config.batch_size * config.context_length);
        let mut labels = Vec::with_capacity(if labelled { config.batch_size } else { 0 });
        let mut slots: Vec<Slot> = Vec::with_capacity(config.batch_size);
        let mut memory = Vec::with_capacity(config.batch_size);
        let mut skipped = Vec::new();
        for filled in filled {
            if filled.is_due {
                let is_own = filled.sample.origin == Origin::Own;
                self.tally.count(filled.skipped.first().filter(|_| !is_own), is_own && filled.is_recoded);
            }
            tokens.extend_from_slice(&filled.tokens);
            if labelled {
                labels.push(filled.label.unwrap_or(-1));
            }
            slots.push(filled.sample);
            memory.push(filled.memory);
            skipped.extend(filled.skipped);
        }
        let (epoch, position) = (self.epoch, self.position);
        self.position = (self.position + config.global_batch()).min(self.plan.epoch_samples);
        self.delivered += 1;
        self.with_caller += 1;
        let good = slots.iter().filter(|slot| slot.origin != Origin::Empty).count() as u64;
        self.epoch_samples_good += good;
        self.stats.batches += 1;
        self.stats.samples += good;
        for sample in &skipped {
            *self.stats.skipped.entry(sample.reason.name()).or_default() += 1;
            if self.remembered.len() < MAX_REMEMBERED {
                self.remembered.push(sample.clone());
            }
        }
        Batch { images: B::join(memory), tokens, labels, slots, skipped, epoch, position }
    }

    /// An epoch in which every sample was bad is an error in words, not an empty result.
    fn end_epoch(&mut self) -> Result<(), LoaderError> {
        let good = std::mem::take(&mut self.epoch_samples_good);
        if good > 0 || self.remembered.is_empty() {
            return Ok(());
        }
        Err(LoaderError::Nothing {
            share: "100 %",
            tried: self.remembered.len(),
            place: format!("in epoch {}", self.epoch),
            reasons: in_words(self.remembered.iter().map(|sample| &sample.reason)),
        })
    }
}

impl<B: ImageBuffer> Drop for Loader<B> {
    fn drop(&mut self) {
        // Planner and workers wait on these or send to them; a closed queue ends them.
        self.stop.store(true, Ordering::Relaxed);
        self.recycled = None;
        self.messages = None;
        // The planner may wait for room among the tasks while the workers have ended.
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            while self.tasks.try_recv().is_ok() {}
            std::thread::sleep(Duration::from_micros(200));
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl<B: ImageBuffer> std::fmt::Debug for Loader<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("state", &self.state()).finish_non_exhaustive()
    }
}
