//! A whole run: batches in, weights out, readable from top to bottom. [`setup`] builds what moves, [`step`] moves it
//! once, this module goes round: step, log, evaluate, keep, stop.

pub mod agreement;
pub mod bad_batch;
pub mod device;
mod line;
pub mod lock;
pub mod setup;
pub mod step;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use pairmill_loader::Slot;
use pairmill_shards::atomic::write_atomic;

use self::bad_batch::{Seen, Unseen};
use self::line::LateLine;
use self::lock::RunLock;
use self::setup::Setup;
use self::step::StepOutcome;
use crate::checkpoint::folder::CHECKPOINTS;
use crate::checkpoint::state::FORMAT;
use crate::checkpoint::{Checkpoint, CheckpointError, Checkpoints, Name, NotFinite, State, named};
use crate::config::TrainConfig;
use crate::error::TrainError;
use crate::eval::{self, EvalSetup, Metric};
use crate::feed::DeviceBatch;
use crate::launch::Launch;
use crate::log::diverged::shown_keys;
use crate::log::progress::peak_resident_bytes;
use crate::log::{BadBatchLine, Diverged, EvalLine, Lost, StepLine, StepWindow, Target, TrainLog};
use crate::optim::Precision;
use crate::ranks::{Meeting, StopVote, together};
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
    together(launch, |meeting| prepare_and_train(config, folder, launch, meeting, quiet, stop))
        .map_err(|error| error.with_memory_advice(|| kept(folder), || smaller(config)))
}

fn prepare_and_train(
    config: &TrainConfig,
    folder: &Path,
    launch: &Launch,
    meeting: &Meeting,
    quiet: bool,
    stop: &AtomicBool,
) -> Result<Report, TrainError> {
    // Of the ranks of a run, the one that writes holds the folder.
    let _lock = if launch.rank == 0 { Some(RunLock::take(folder)?) } else { None };
    let mut setup = setup::prepare(config, folder, launch, meeting)?;
    let writer =
        if setup.ranks.is_first() { Some(Writer::open(config, folder, &setup, quiet)?) } else { None };
    let resumed = setup.resumed.as_ref();
    let kept = resumed.map(|checkpoint| (checkpoint.path.clone(), checkpoint.state.step));
    let skipped_batches = resumed.map_or(0, |checkpoint| checkpoint.state.skipped_batches);
    let bad_in_a_row = resumed.map_or(0, |checkpoint| checkpoint.state.bad_in_a_row);
    let mut run = Run {
        config,
        writer,
        setup: &mut setup,
        metrics: Vec::new(),
        window: Window::default(),
        vote: StopVote::default(),
        line: None,
        unseen: Unseen::default(),
        skipped_batches,
        bad_in_a_row,
        kept,
        skipped: Watch::default(),
    };
    let report = run.train(stop)?;
    setup.ranks.finish()?;
    Ok(report)
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
        let mut log =
            TrainLog::open(folder, setup.done, setup.schedule.total_steps, config.log.tensorboard, target)?;
        for note in &setup.notes {
            log.note(note);
        }
        Ok(Self { checkpoints, log })
    }
}

/// What has happened since the last line of the log.
#[derive(Debug)]
struct Window {
    steps: u64,
    begun: Instant,
    waited_s: f64,
}

impl Default for Window {
    fn default() -> Self {
        Self { steps: 0, begun: Instant::now(), waited_s: 0.0 }
    }
}

struct Run<'a> {
    config: &'a TrainConfig,
    setup: &'a mut Setup,
    writer: Option<Writer>,
    metrics: Vec<Metric>,
    window: Window,
    vote: StopVote,
    /// The look that is still on its way from the device, and the line that waits for it.
    line: Option<LateLine>,
    unseen: Unseen,
    /// Bad batches left out so far.
    skipped_batches: u64,
    /// How many of the last steps were left out.
    bad_in_a_row: u64,
    /// The newest checkpoint and its step.
    kept: Option<(PathBuf, u64)>,
    skipped: Watch,
}

impl Run<'_> {
    fn train(&mut self, stop: &AtomicBool) -> Result<Report, TrainError> {
        let total = self.setup.schedule.total_steps;
        let steps = |span: crate::optim::Span| {
            span.to_steps(self.setup.steps_per_epoch, self.config.batch_size as u64).max(1)
        };
        let (keep_every, eval_every) = (steps(self.config.checkpoint.every), steps(self.config.eval.every));
        self.restart_window();

        for step in self.setup.done..total {
            // 1. One share of the batch from the loader.
            let Some(mut batch) = self.setup.feed.next()? else { break };
            // 2. One move of the weights.
            let lr = self.setup.schedule.lr(step);
            let outcome = self.setup.stepper.step(&batch, self.config.accum_freq, lr, &self.setup.ranks)?;
            let done = step + 1;
            self.window.steps += 1;
            self.unseen.push(done, &outcome, std::mem::take(&mut batch.slots));
            let last = done == total;
            // While the device is busy: the next batch, what the step before asked for, the others' vote.
            self.setup.feed.prefetch();
            self.look()?;
            let stops = stop.load(Ordering::Relaxed);
            let stopping = self.vote.ask(&self.setup.ranks, stops, self.setup.device)?;
            let logs = done % self.config.log.every_steps == 0 || last || stopping;
            let evaluates = (done % eval_every == 0 || last) && !stopping;
            let keeps = done % keep_every == 0 || last || stopping;
            // 3. A look at the losses, before anything is made of them, and a line. Otherwise both wait until the
            //    numbers have arrived: at once on the CPU, a step later on a GPU.
            if logs || evaluates || keeps || self.unseen.is_full() {
                self.ask(done, lr, &outcome, logs)?;
            }
            let arrived = self.line.as_ref().is_some_and(LateLine::is_here);
            let seen = if evaluates || keeps || arrived { self.look()? } else { None };
            if evaluates || keeps {
                // Of batch norm, every rank has statistics of its own.
                self.setup.ranks.share_buffers(self.setup.stepper.model.weights())?;
            }
            self.watch_skipped(done, last || stopping)?;
            // 4. How good it is.
            if evaluates {
                self.evaluate(done)?;
            }
            // 5. Keep it.
            if let (true, Some((window, seen))) = (keeps, &seen) {
                self.keep(*window, seen, &batch, evaluates)?;
            }
            if evaluates {
                // Evaluation and checkpoint are not training: they are no part of the next line's rates.
                self.restart_window();
            }
            self.setup.done = done;
            if stopping && !last {
                return Ok(self.report(false));
            }
        }
        self.look()?;
        Ok(self.report(self.setup.done >= total))
    }

    fn report(&mut self, complete: bool) -> Report {
        let checkpoint = self.kept.take().map(|(path, _)| path);
        if let Some(writer) = self.writer.take() {
            writer.log.finish();
        }
        Report { steps: self.setup.done, complete, checkpoint, metrics: std::mem::take(&mut self.metrics) }
    }

    fn restart_window(&mut self) {
        let waited_s = self.setup.feed.waited().as_secs_f64();
        self.window = Window { steps: 0, begun: Instant::now(), waited_s };
    }

    /// Asks for the losses since the last look, and for a line if one is due, without waiting for them.
    fn ask(&mut self, done: u64, lr: f64, outcome: &StepOutcome, logs: bool) -> Result<(), TrainError> {
        let setup = &self.setup;
        let Some(asked) = self.unseen.ask(&setup.ranks)? else { return Ok(()) };
        let line = if logs { Some(self.begin_line(done, lr)) } else { None };
        self.line = Some(LateLine::begin(asked, line, outcome, &self.setup.stepper)?);
        if logs {
            self.restart_window();
        }
        Ok(())
    }

    /// Reads what was asked for last (the one place that waits for the device), ends a run that has lost its loss, or too
    /// many batches, and writes the line. Gives the last step.
    fn look(&mut self) -> Result<Option<(StepWindow, Seen)>, TrainError> {
        let Some(late) = self.line.take() else { return Ok(None) };
        let (window, mut seen, line) = late.read()?;
        for step in &seen {
            let lost = match step {
                Seen { loss, .. } if !loss.is_finite() => Lost::Loss(*loss),
                Seen { is_left_out: true, .. } => Lost::Gradients,
                _ => {
                    self.bad_in_a_row = 0;
                    continue;
                }
            };
            self.bad_in_a_row += 1;
            self.bad_batch(window, step, lost)?;
        }
        let last = seen.pop();
        if let (Some(line), Some(Seen { loss, accuracy, .. })) = (line, &last) {
            let line =
                StepLine { loss: *loss, accuracy: *accuracy, skipped_batches: self.skipped_batches, ..line };
            if let Some(writer) = &mut self.writer {
                writer.log.step(line)?;
            }
        }
        Ok(last.map(|last| (window, last)))
    }

    /// Writes a bad batch down; one more than may be left out ends the run.
    fn bad_batch(&mut self, window: StepWindow, seen: &Seen, lost: Lost) -> Result<(), TrainError> {
        let keys = self.keys(&seen.slots);
        if let Some(writer) = &mut self.writer {
            writer.log.bad_batch(BadBatchLine {
                step: seen.step,
                bad_loss: seen.loss,
                keys: keys.clone(),
            })?;
        }
        let allowed = self.config.skip_bad_batches;
        if self.skipped_batches >= allowed {
            return Err(self.diverged(lost, seen.step, window, keys));
        }
        self.skipped_batches += 1;
        if let Some(writer) = &mut self.writer {
            writer.log.note(&format!(
                "step {} was left out, {} of {allowed} such batches: {lost}; batch: {}",
                seen.step,
                self.skipped_batches,
                shown_keys(&keys)
            ));
        }
        Ok(())
    }

    fn diverged(&self, lost: Lost, step: u64, window: StepWindow, keys: Vec<String>) -> TrainError {
        let allowed = self.config.skip_bad_batches;
        let left_out = self.skipped_batches;
        Box::new(Diverged { lost, step, window, keys, allowed, left_out, kept: self.kept.clone() }).into()
    }

    /// A line without what is still on the device.
    fn begin_line(&self, done: u64, lr: f64) -> StepLine {
        let setup = &self.setup;
        let elapsed_s = self.window.begun.elapsed().as_secs_f64().max(1e-9);
        StepLine {
            step: done,
            epoch: done as f64 / setup.steps_per_epoch as f64,
            samples_seen: done * self.config.batch_size as u64,
            lr,
            samples_per_s: self.window.steps as f64 * self.config.batch_size as f64 / elapsed_s,
            data_wait: (setup.feed.waited().as_secs_f64() - self.window.waited_s) / elapsed_s,
            memory_bytes: peak_bytes(setup.device).or_else(peak_resident_bytes),
            skipped: setup.feed.loader().stats().skipped.values().sum(),
            // These are on their way.
            loss: f64::NAN,
            accuracy: f64::NAN,
            logit_scale: f64::NAN,
            gradient_norm: None,
            loss_scale: None,
            skipped_batches: 0,
        }
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
    fn keys(&self, slots: &[Slot]) -> Vec<String> {
        let dataset = self.setup.feed.loader().dataset();
        let name = |slot: &Slot| {
            let source = dataset.sources().get(slot.source as usize)?;
            let shard = source.shards.get(slot.shard as usize)?;
            Some(format!("{}/{}", shard.path.file_stem()?.to_string_lossy(), slot.key))
        };
        slots.iter().map(|slot| name(slot).unwrap_or_else(|| slot.key.clone())).collect()
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
            precision: self.config.eval.precision.unwrap_or(self.config.precision),
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

    /// Writes a checkpoint after the last step that was `seen`. What is not finite ends the run instead, on every rank.
    fn keep(
        &mut self,
        window: StepWindow,
        seen: &Seen,
        batch: &DeviceBatch,
        evaluated: bool,
    ) -> Result<(), TrainError> {
        let done = seen.step;
        // Weights may be finite and of no use: every batch is bad then, and such weights must not push out good ones.
        if self.bad_in_a_row > 1 {
            let lost = if seen.loss.is_finite() { Lost::Gradients } else { Lost::Loss(seen.loss) };
            return Err(self.diverged(lost, done, window, self.keys(&seen.slots)));
        }
        let stepper = &self.setup.stepper;
        let found = match NotFinite::among(&named(stepper.model.weights()))? {
            Some(found) => Some(found),
            None => NotFinite::among(&stepper.optimiser.state())?,
        };
        if self.setup.ranks.any(found.is_some(), self.setup.device)? {
            let found = found.map_or_else(|| "on another rank".to_owned(), |found| found.to_string());
            return Err(self.diverged(Lost::Weights(found), done, window, self.keys(&seen.slots)));
        }
        let setup = &self.setup;
        if let Some(writer) = &mut self.writer {
            // No checkpoint may be ahead of the log.
            writer.log.sync()?;
            let metrics = if evaluated { by_name(&self.metrics) } else { BTreeMap::new() };
            let state = State {
                format: FORMAT,
                tool: State::tool(),
                architecture: self.config.model.clone(),
                model: Some(setup.stepper.model.architecture().clone()),
                step: done,
                epoch: done / setup.steps_per_epoch,
                samples_seen: done * self.config.batch_size as u64,
                seed: self.config.seed,
                world: setup.ranks.world() as u64,
                schedule: setup.schedule,
                scaler: setup.stepper.scaler.as_ref().map(|scaler| scaler.state()).transpose()?,
                loader: serde_json::to_value(&batch.state).map_err(|error| CheckpointError::Damaged {
                    path: writer.checkpoints.folder().to_path_buf(),
                    what: format!("the loader's position has no JSON form: {error}"),
                })?,
                metrics,
                skipped_batches: self.skipped_batches,
                bad_in_a_row: self.bad_in_a_row,
                notes: notes(setup),
                config: self.config.to_json()?,
            };
            let name = if done.is_multiple_of(setup.steps_per_epoch) {
                Name::Epoch(done / setup.steps_per_epoch)
            } else {
                Name::Step(done)
            };
            let stepper = &setup.stepper;
            let path = writer.checkpoints.save(name, stepper.model.weights(), &stepper.optimiser, &state)?;
            self.kept = Some((path, done));
        }
        // The others wait, so that a kill of one process finds all of them at the same checkpoint.
        setup.ranks.wait()?;
        Ok(())
    }
}

/// What was said at the start of this process and of those before it, each once.
fn notes(setup: &Setup) -> Vec<String> {
    let mut notes = setup.resumed.as_ref().map_or_else(Vec::new, |found| found.state.notes.clone());
    notes.extend(setup.notes.iter().filter(|note| !notes.contains(note)).cloned().collect::<Vec<_>>());
    notes
}

/// Values by `task/metric`.
fn by_name(metrics: &[Metric]) -> BTreeMap<String, f64> {
    metrics.iter().map(|metric| (format!("{}/{}", metric.task, metric.name), metric.value)).collect()
}
