//! What a run says while it goes on, from one call a logged step: a line for people ([`progress`]), a line of JSON for
//! programs ([`metrics`]), an event for TensorBoard ([`events`]). [`curve`] draws the JSON afterwards. Comes after the
//! optimiser's step; only rank 0 logs.

pub mod crc;
pub mod curve;
pub mod diverged;
pub mod events;
pub mod metrics;
pub mod progress;

use std::path::Path;

use pairmill_shards::atomic::FileError;

pub use diverged::{Diverged, Lost, StepWindow};
pub use metrics::{BadBatchLine, EvalLine, Line, SkippedLine, StepLine};
pub use progress::Target;

use events::EventFile;
use metrics::MetricsFile;
use progress::Progress;

/// JSON lines of a run, in its folder.
pub const METRICS: &str = "metrics.jsonl";
/// TensorBoard's folder within a run's.
pub const TENSORBOARD: &str = "tensorboard";

/// The log of a run.
#[derive(Debug)]
pub struct TrainLog {
    metrics: MetricsFile,
    events: Option<EventFile>,
    progress: Progress,
    last_eval: Option<u64>,
}

impl TrainLog {
    /// Opens the log of a run of `total_steps` in its `folder`. `resumed_at` is the number of steps already made: what the
    /// log has beyond is taken back, so a killed and resumed run leaves the lines of one that was not. 0 starts afresh.
    ///
    /// # Errors
    /// When a file cannot be made, read or cut.
    pub fn open(
        folder: &Path,
        resumed_at: u64,
        total_steps: u64,
        tensorboard: bool,
        target: Target,
    ) -> Result<Self, FileError> {
        let (metrics, last_eval) = MetricsFile::resume(&folder.join(METRICS), resumed_at)?;
        let events =
            if tensorboard { Some(EventFile::create(&folder.join(TENSORBOARD), resumed_at)?) } else { None };
        Ok(Self { metrics, events, progress: Progress::new(target, resumed_at, total_steps), last_eval })
    }

    /// Step of the last evaluation in the log. A run that evaluates after it saves may find its last one missing here.
    pub fn last_eval(&self) -> Option<u64> {
        self.last_eval
    }

    /// Logs a step.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn step(&mut self, line: StepLine) -> Result<(), FileError> {
        self.progress.step(&line);
        self.write(Line::Step(line))
    }

    /// Logs an evaluation.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn eval(&mut self, line: EvalLine) -> Result<(), FileError> {
        self.progress.eval(&line);
        self.last_eval = Some(line.step);
        self.write(Line::Eval(line))
    }

    /// Logs a batch that was left out or ended the run.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn bad_batch(&mut self, line: BadBatchLine) -> Result<(), FileError> {
        self.write(Line::BadBatch(line))
    }

    /// Logs samples that could not be used; `text` says it to people.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn skipped(&mut self, line: SkippedLine, text: &str) -> Result<(), FileError> {
        self.progress.note(text);
        self.write(Line::Skipped(line))
    }

    /// Says something in between, without breaking the progress line.
    pub fn note(&mut self, text: &str) {
        self.progress.note(text);
    }

    /// Waits until everything is on disk. Before a checkpoint is saved, so that no checkpoint is ahead of the log.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&mut self) -> Result<(), FileError> {
        self.metrics.sync()?;
        self.events.as_mut().map_or(Ok(()), EventFile::sync)
    }

    /// Takes the progress line down.
    pub fn finish(mut self) {
        self.progress.finish();
    }

    fn write(&mut self, line: Line) -> Result<(), FileError> {
        if let Some(events) = &mut self.events {
            events.line(&line)?;
        }
        self.metrics.line(&line)
    }
}
