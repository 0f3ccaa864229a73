//! One run of a cohort: a classifier that learns, what it has reached, and its part of a folder. Everything here happens
//! on the thread that holds the run.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::classifier::Classifier;
use super::keeper::Keeper;
use super::tune::Tuner;
use crate::error::TrainError;
use crate::eval::scores::{Scale, Scores};
use crate::model::Mode;

/// What one pass did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochLine {
    /// Passes done.
    pub epoch: u64,
    /// Mean training loss over the pass.
    pub loss: f64,
    /// Accuracy on what chooses the epoch, percent; absent where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acc1: Option<f64>,
}

/// The epoch to keep.
#[derive(Debug)]
pub struct Best {
    /// Its number, from 1.
    pub epoch: u64,
    /// What the set that chose it says.
    pub scores: Scores,
    /// The weights.
    pub weights: Vec<Tensor>,
}

/// A run that learns.
#[derive(Debug)]
pub struct Member {
    /// Names it.
    pub run: String,
    /// What learns.
    pub tuner: Tuner,
    /// Passes done.
    pub history: Vec<EpochLine>,
    /// The epoch to keep so far.
    pub best: Option<Best>,
    /// What the test set said before the first step, where that was asked for.
    pub start: Option<Scores>,
    /// Weights before the first step, where mixtures with them are wanted.
    pub before: Option<Vec<Tensor>>,
    /// Where it is kept.
    pub keeper: Keeper,
    /// Seconds it computed.
    pub device_s: f64,
    /// Why it ended early.
    pub failed: Option<String>,
    /// What the classifier says of the set that is being judged.
    judged: Scores,
    loss: Option<Tensor>,
    steps: u32,
    num_classes: usize,
}

impl Member {
    /// A run at its first step.
    pub fn new(run: String, tuner: Tuner, keeper: Keeper, num_classes: usize) -> Self {
        Self {
            run,
            tuner,
            history: Vec::new(),
            best: None,
            start: None,
            before: None,
            keeper,
            device_s: 0.0,
            failed: None,
            judged: Scores::new(num_classes),
            loss: None,
            steps: 0,
            num_classes,
        }
    }

    /// Number of classes.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// The classifier.
    pub fn classifier(&self) -> &Classifier {
        &self.tuner.classifier
    }

    /// Does something unless the run has failed; a failure ends it and no other.
    pub fn attempt(&mut self, work: impl FnOnce(&mut Self) -> Result<(), TrainError>) {
        if self.failed.is_some() {
            return;
        }
        let begun = Instant::now();
        if let Err(error) = work(self) {
            self.failed = Some(error.to_string());
        }
        self.device_s += begun.elapsed().as_secs_f64();
    }

    /// One step.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn step(&mut self, step: u64, pixels: &Tensor, labels: &Tensor) -> Result<(), TrainError> {
        let loss = self.tuner.step(step, pixels, labels)?;
        // Summed on the device: reading it would wait for the step.
        self.loss = Some(match self.loss.take() {
            Some(sum) => sum.f_add(&loss)?,
            None => loss,
        });
        self.steps += 1;
        Ok(())
    }

    /// Begins to judge a set.
    pub fn begin_judging(&mut self) {
        self.judged = Scores::new(self.num_classes);
    }

    /// Adds some images of it.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn judge(&mut self, pixels: &Tensor, labels: &[i64]) -> Result<(), TrainError> {
        let _no_grad = tch::no_grad_guard();
        let features = self.classifier().features(pixels, Mode::Eval)?;
        let logits = self.classifier().score(&features)?;
        Ok(self.judged.add(&logits, labels)?)
    }

    /// What was judged.
    pub fn judged(&self) -> &Scores {
        &self.judged
    }

    /// Ends pass `epoch` (from 1): its loss, and whether it is the best so far by what was `judged`.
    ///
    /// # Errors
    /// When the loss is no number any more, or the run cannot be kept.
    pub fn end_epoch(&mut self, epoch: u64, judged: bool) -> Result<(), TrainError> {
        let sum = match self.loss.take() {
            Some(sum) => sum.f_to_kind(Kind::Double)?.f_double_value(&[])?,
            None => 0.0,
        };
        let loss = sum / f64::from(self.steps.max(1));
        self.steps = 0;
        if !loss.is_finite() {
            return Err(TrainError::Transfer(format!(
                "the loss of epoch {epoch} is {loss}; a smaller learning rate may help"
            )));
        }
        let acc1 = judged.then(|| self.judged.acc1(Scale::Percent));
        self.history.push(EpochLine { epoch, loss, acc1 });
        let better = match (&self.best, acc1) {
            (Some(best), Some(acc1)) => acc1 > best.scores.acc1(Scale::Percent),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if better {
            let weights = self.classifier().snapshot()?;
            self.best = Some(Best { epoch, scores: self.judged.clone(), weights });
        }
        Keeper::save(self)
    }

    /// Goes back to the weights of the best epoch; the last one's stay where none was chosen.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn take_best(&mut self) -> Result<(), TrainError> {
        if let Some(best) = &self.best {
            self.tuner.classifier.restore(&best.weights)?;
        }
        Ok(())
    }
}

/// Work for every run of a cohort, as it travels to the threads that hold them.
pub enum Job {
    /// A step of all.
    Step {
        /// Its number, from 0.
        step: u64,
        /// As the tower takes them.
        pixels: Tensor,
        /// Class numbers.
        labels: Tensor,
    },
    /// Images to judge.
    Judge {
        /// As the tower takes them.
        pixels: Tensor,
        /// Class numbers.
        labels: Arc<[i64]>,
    },
    /// Anything else.
    Do(Arc<Work>),
}

/// What a [`Job::Do`] does.
pub type Work = dyn Fn(&mut Member) -> Result<(), TrainError> + Send + Sync;

impl Job {
    /// The same work for another thread, sharing memory.
    pub fn share(&self) -> Self {
        match self {
            Self::Step { step, pixels, labels } => {
                Self::Step { step: *step, pixels: pixels.shallow_clone(), labels: labels.shallow_clone() }
            }
            Self::Judge { pixels, labels } => {
                Self::Judge { pixels: pixels.shallow_clone(), labels: Arc::clone(labels) }
            }
            Self::Do(work) => Self::Do(Arc::clone(work)),
        }
    }

    /// Does it to one run.
    pub fn apply(&self, member: &mut Member) {
        match self {
            Self::Step { step, pixels, labels } => member.attempt(|m| m.step(*step, pixels, labels)),
            Self::Judge { pixels, labels } => member.attempt(|m| m.judge(pixels, labels)),
            Self::Do(work) => member.attempt(|m| work(m)),
        }
    }
}
