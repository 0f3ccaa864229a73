//! A whole run: batches in, weights out, readable from top to bottom. [`setup`] builds what moves, [`step`] moves it
//! once, this module goes round: step, log, evaluate, keep, stop.

pub mod device;
pub mod setup;
pub mod step;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use pairmill_loader::Slot;
use pairmill_shards::atomic::write_atomic;

use self::setup::Setup;
use self::step::StepOutcome;
use crate::checkpoint::folder::CHECKPOINTS;
use crate::checkpoint::state::FORMAT;
use crate::checkpoint::{Checkpoint, Checkpoints, Name, State};
use crate::config::TrainConfig;
use crate::error::TrainError;
use crate::eval::{self, EvalSetup, Metric};
use crate::feed::DeviceBatch;
use crate::launch::Launch;
use crate::log::progress::peak_resident_bytes;
use crate::log::{Diverged, EvalLine, StepLine, StepWindow, Target, TrainLog};
use crate::optim::Precision;
use crate::ranks::number;
use crate::skipped::{self, Skipped, Watch};
use crate::torch::memory::peak_bytes;

/// The resolved config within a run's folder.
pub const CONFIG: &str = "config.toml";

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Steps made in all, earlier processes included.
    pub steps: u64,
    /// Whether it reached the end; otherwise it was interrupted and can go on.
    pub complete: bool,
    /// Where the last checkpoint is.
    pub checkpoint: Option<PathBuf>,
    /// What the last evaluation found.
    pub metrics: Vec<Metric>,
}

/// Trains from where `folder` stands to the end, or until `stop` is set (then the step is finished and kept).
///
/// # Errors
/// [`TrainError`]; what was kept before stays.
pub fn run(
    config: &TrainConfig,
    folder: &Path,
    launch: &Launch,
    quiet: bool,
    stop: &AtomicBool,
) -> Result<Report, TrainError> {
    prepare_and_train(config, folder, launch, quiet, stop)
        .map_err(|error| error.with_memory_advice(|| kept(folder), || smaller(config)))
}

fn prepare_and_train(
    config: &TrainConfig,
    folder: &Path,
    launch: &Launch,
    quiet: bool,
    stop: &AtomicBool,
) -> Result<Report, TrainError> {
    let mut setup = setup::prepare(config, folder, launch)?;
    let writer =
        if setup.ranks.is_first() { Some(Writer::open(config, folder, &setup, quiet)?) } else { None };
    let mut run = Run {
        config,
        writer,
        setup: &mut setup,
        metrics: Vec::new(),
        window: Window::default(),
        skipped: Watch::default(),
    };
    run.train(stop)
}

/// What is left of a run that ended in the middle.
fn kept(folder: &Path) -> String {
    match Checkpoint::find(folder) {
        Ok(checkpoint) => format!("the checkpoint {} stays", checkpoint.path.display()),
        Err(_) => "no checkpoint was written yet".to_string(),
    }
}

/// Settings that make a step need less memory, those first that change nothing else.
fn smaller(config: &TrainConfig) -> String {
    let mut advice = vec![format!("--set accum_freq={} (now {})", config.accum_freq * 2, config.accum_freq)];
    if !config.recompute {
        advice.push("--set recompute=true".to_string());
    }
    if config.precision == Precision::Fp32 {
        advice.push("--precision amp_bf16".to_string());
    }
    advice.push(format!("a --batch-size below {}", config.batch_size));
    advice.push("fewer runtime.prefetch".to_string());
    advice.join(", ")
}

/// What rank 0 writes.
struct Writer {
    checkpoints: Checkpoints,
    log: TrainLog,
}

impl Writer {
    fn open(config: &TrainConfig, folder: &Path, setup: &Setup, quiet: bool) -> Result<Self, TrainError> {
        let keep = config.checkpoint.keep.clone();
        let checkpoints = Checkpoints::open(&folder.join(CHECKPOINTS), keep)?;
        write_atomic(folder.join(CONFIG), config.to_toml()?.as_bytes())?;
        let target = if quiet { Target::Quiet } else { Target::stderr() };
        let log =
            TrainLog::open(folder, setup.done, setup.schedule.total_steps, config.log.tensorboard, target)?;
        Ok(Self { checkpoints, log })
    }
}

/// What has happened since the last line of the log.
#[derive(Debug)]
struct Window {
    first_step: u64,
    steps: u64,
    begun: Instant,
    waited_s: f64,
}

impl Default for Window {
    fn default() -> Self {
        Self { first_step: 0, steps: 0, begun: Instant::now(), waited_s: 0.0 }
    }
}

struct Run<'a> {
    config: &'a TrainConfig,
    setup: &'a mut Setup,
    writer: Option<Writer>,
    metrics: Vec<Metric>,
    window: Window,
    skipped: Watch,
}

impl Run<'_> {
    fn train(&mut self, stop: &AtomicBool) -> Result<Report, TrainError> {
        let total = self.setup.schedule.total_steps;
        let steps = |span: crate::optim::Span| {
            span.to_steps(self.setup.steps_per_epoch, self.config.batch_size as u64).max(1)
        };
        let (keep_every, eval_every) = (steps(self.config.checkpoint.every), steps(self.config.eval.every));
        let mut kept = self.setup.resumed.as_ref().map(|checkpoint| checkpoint.path.clone());
        self.restart_window(self.setup.done);

        for step in self.setup.done..total {
            // 1. One share of the batch from the loader.
            let Some(batch) = self.setup.feed.next()? else { break };
            // 2. One move of the weights.
            let lr = self.setup.schedule.lr(step);
            let outcome = self.setup.stepper.step(&batch, self.config.accum_freq, lr, &self.setup.ranks)?;
            let done = step + 1;
            self.window.steps += 1;
            let last = done == total;
            let stopping = self.setup.ranks.any(stop.load(Ordering::Relaxed), self.setup.device)?;
            // 3. A line.
            if done % self.config.log.every_steps == 0 || last || stopping {
                self.log(done, lr, &outcome, &batch)?;
            }
            self.watch_skipped(done, last || stopping)?;
            // 4. How good it is.
            let evaluated = (done % eval_every == 0 || last) && !stopping;
            if evaluated {
                self.evaluate(done)?;
            }
            // 5. Keep it.
            if done % keep_every == 0 || last || stopping {
                kept = self.keep(done, &batch, evaluated)?.or(kept);
            }
            if evaluated {
                // Evaluation and checkpoint are not training: they are no part of the next line's rates.
                self.restart_window(done);
            }
            self.setup.done = done;
            if stopping && !last {
                return Ok(self.report(false, kept));
            }
        }
        Ok(self.report(self.setup.done >= total, kept))
    }

    fn report(&mut self, complete: bool, checkpoint: Option<PathBuf>) -> Report {
        if let Some(writer) = self.writer.take() {
            writer.log.finish();
        }
        Report { steps: self.setup.done, complete, checkpoint, metrics: std::mem::take(&mut self.metrics) }
    }

    fn restart_window(&mut self, first_step: u64) {
        let waited_s = self.setup.feed.waited().as_secs_f64();
        self.window = Window { first_step, steps: 0, begun: Instant::now(), waited_s };
    }

    /// Reads the loss (the one place that waits for the device), stops a run that has lost it, writes a line.
    fn log(
        &mut self,
        done: u64,
        lr: f64,
        outcome: &StepOutcome,
        batch: &DeviceBatch,
    ) -> Result<(), TrainError> {
        let mut numbers = [number(&outcome.loss)?, number(&outcome.accuracy)?];
        self.setup.ranks.sum_numbers(&mut numbers, self.setup.device)?;
        let world = self.setup.ranks.world() as f64;
        let [loss, accuracy] = numbers.map(|sum| sum / world);
        let window = StepWindow { first: self.window.first_step + 1, last: done };
        Diverged::check(loss, window, || self.keys(batch))?;
        let elapsed_s = self.window.begun.elapsed().as_secs_f64().max(1e-9);
        let line = StepLine {
            step: done,
            epoch: done as f64 / self.setup.steps_per_epoch as f64,
            samples_seen: done * self.config.batch_size as u64,
            loss,
            accuracy,
            logit_scale: number(self.setup.stepper.model.logit_scale())?.exp(),
            lr,
            gradient_norm: outcome.gradient_norm.as_ref().map(number).transpose()?,
            loss_scale: self
                .setup
                .stepper
                .scaler
                .as_ref()
                .map(|scaler| number(scaler.factor()))
                .transpose()?,
            samples_per_s: self.window.steps as f64 * self.config.batch_size as f64 / elapsed_s,
            data_wait: (self.setup.feed.waited().as_secs_f64() - self.window.waited_s) / elapsed_s,
            memory_bytes: peak_bytes(self.setup.device).or_else(peak_resident_bytes),
            skipped: self.setup.feed.loader().stats().skipped.values().sum(),
        };
        if let Some(writer) = &mut self.writer {
            writer.log.step(line)?;
        }
        self.restart_window(done);
        Ok(())
    }

    /// Says at the end of an epoch and of the run what could not be used, and stops a run that loses too much.
    fn watch_skipped(&mut self, done: u64, ends: bool) -> Result<(), TrainError> {
        let Setup { feed, ranks, device, steps_per_epoch, .. } = &mut *self.setup;
        let epoch_ends = done.is_multiple_of(*steps_per_epoch);
        // As many on every rank, so that all of them look or none.
        let since = feed.loader().tally().asked * ranks.world() as u64;
        if !epoch_ends && !ends && since < skipped::LOOK_EVERY {
            return Ok(());
        }
        let found = Skipped::over_ranks(feed.take_tally(), ranks, *device)?;
        let epoch = done as f64 / *steps_per_epoch as f64;
        let limit = self.config.data.max_skipped;
        for report in self.skipped.add(found, epoch_ends, ends, limit) {
            if let Some(writer) = &mut self.writer {
                writer.log.skipped(report.line(done, epoch), &report.to_string())?;
            }
        }
        self.skipped.check(limit)
    }

    /// `SHARD/KEY` of every sample of a batch.
    fn keys(&self, batch: &DeviceBatch) -> Vec<String> {
        let dataset = self.setup.feed.loader().dataset();
        let name = |slot: &Slot| {
            let source = dataset.sources().get(slot.source as usize)?;
            let shard = source.shards.get(slot.shard as usize)?;
            Some(format!("{}/{}", shard.path.file_stem()?.to_string_lossy(), slot.key))
        };
        batch.slots.iter().map(|slot| name(slot).unwrap_or_else(|| slot.key.clone())).collect()
    }

    fn evaluate(&mut self, done: u64) -> Result<(), TrainError> {
        let setup = &self.setup;
        let notes = RefCell::default();
        let eval = EvalSetup {
            ranks: &setup.ranks,
            device: setup.device,
            tokenizer: &setup.tokenizer,
            truncation: self.config.data.truncation,
            batch_size: self.config.eval.batch_size,
            image_size: u32::try_from(setup.stepper.model.architecture().image_size()).unwrap_or(0),
            statistics: self.config.data.normalise,
            context_length: usize::try_from(setup.stepper.model.architecture().text.context_length)
                .unwrap_or(0),
            threads: self.config.runtime.loader_threads,
            notes: &notes,
        };
        let model = &setup.stepper.model;
        let mut metrics = Vec::new();
        if let Some(shards) = &self.config.eval.validation {
            metrics.extend(eval::retrieval::evaluate(model, &eval, shards, &self.config.data.samples)?);
        }
        for task in &setup.tasks {
            metrics.extend(eval::zero_shot::evaluate(model, &eval, task)?);
        }
        if let (Some(writer), false) = (&mut self.writer, metrics.is_empty()) {
            let epoch = done as f64 / setup.steps_per_epoch as f64;
            writer.log.eval(EvalLine { step: done, epoch, metrics: by_name(&metrics) })?;
            for note in notes.into_inner() {
                writer.log.note(&note);
            }
        }
        self.metrics = metrics;
        Ok(())
    }

    fn keep(
        &mut self,
        done: u64,
        batch: &DeviceBatch,
        evaluated: bool,
    ) -> Result<Option<PathBuf>, TrainError> {
        let setup = &self.setup;
        let mut path = None;
        if let Some(writer) = &mut self.writer {
            // No checkpoint may be ahead of the log.
            writer.log.sync()?;
            let metrics = if evaluated { by_name(&self.metrics) } else { BTreeMap::new() };
            let state = State {
                format: FORMAT,
                tool: State::tool(),
                architecture: self.config.model.clone(),
                step: done,
                epoch: done / setup.steps_per_epoch,
                samples_seen: done * self.config.batch_size as u64,
                seed: self.config.seed,
                world: setup.ranks.world() as u64,
                schedule: setup.schedule,
                scaler: setup.stepper.scaler.as_ref().map(|scaler| scaler.state()).transpose()?,
                loader: serde_json::to_value(&batch.state).unwrap_or_default(),
                metrics,
                config: serde_json::to_value(self.config).unwrap_or_default(),
            };
            let name = if done.is_multiple_of(setup.steps_per_epoch) {
                Name::Epoch(done / setup.steps_per_epoch)
            } else {
                Name::Step(done)
            };
            let stepper = &setup.stepper;
            path =
                Some(writer.checkpoints.save(name, stepper.model.weights(), &stepper.optimiser, &state)?);
        }
        // The others wait, so that a kill of one process finds all of them at the same checkpoint.
        setup.ranks.wait()?;
        Ok(path)
    }
}

/// Values by `task/metric`.
fn by_name(metrics: &[Metric]) -> BTreeMap<String, f64> {
    metrics.iter().map(|metric| (format!("{}/{}", metric.task, metric.name), metric.value)).collect()
}
