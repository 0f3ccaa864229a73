//! Runs that see the same images in the same order, trained side by side: each batch is decoded, cut and distorted once
//! for all of them. Reads from top to bottom: steps, judging, keeping, pass after pass; then the test.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pairmill_pixels::Normalisation;
use pairmill_shards::results::Selection;
use tch::Device;

use super::crew::{Crew, Report};
use super::evaluation::EvalSet;
use super::member::{Job, Member, Work};
use super::stream::{Batches, Stream};
use crate::error::TrainError;
use crate::eval::scores::Scores;
use crate::feed::Normalise;

/// What a cohort has in common.
#[derive(Debug)]
pub struct Cohort {
    /// The training images.
    pub stream: Arc<Stream>,
    /// Passes over them.
    pub epochs: u64,
    /// What chooses the epoch, if anything does.
    pub val: Option<EvalSet>,
    /// What is reported.
    pub test: EvalSet,
    /// Which epoch counts.
    pub selection: Selection,
    /// Whether the model before the first step is tested too.
    pub tests_start: bool,
    /// Mixtures with the weights before that are tested too.
    pub alphas: Vec<f64>,
    /// Mean and standard deviation of pixels.
    pub statistics: Normalisation,
    /// Where it computes.
    pub device: Device,
    /// Cores to use.
    pub cores: NonZeroUsize,
    /// Runs the cohort was planned with; of one that was stopped fewer may be left.
    pub planned: usize,
}

/// A run that came to its end.
#[derive(Debug)]
pub struct Finished {
    /// The run, at the weights that count.
    pub member: Member,
    /// On the test set.
    pub test: Scores,
    /// Of mixtures, on the test set.
    pub mixed: Vec<(f64, Scores)>,
}

/// A run that did not.
#[derive(Debug)]
pub struct Failed {
    /// Its name.
    pub run: String,
    /// The reason.
    pub why: String,
}

/// What is told after every pass: how many are done, and how the runs stand.
pub type Told<'a> = &'a mut dyn FnMut(u64, &Report);

impl Cohort {
    /// Trains `members`, all of which have done the same passes, to the end. `None` when `stop` was set: what was kept
    /// stays.
    ///
    /// # Errors
    /// When pictures cannot be read back or a thread dies.
    pub fn run(
        &self,
        members: Vec<Member>,
        stop: &AtomicBool,
        told: Told<'_>,
    ) -> Result<Option<Vec<Result<Finished, Failed>>>, TrainError> {
        let done = members.first().map_or(0, |member| member.history.len() as u64);
        let normalise = Normalise::new(self.statistics, self.device)?;
        // A GPU has one queue; on the CPU each core takes a run.
        let threads = if self.device.is_cuda() { 1 } else { self.planned.clamp(1, self.cores.get()) };
        std::thread::scope(|scope| {
            let crew = Crew::start(scope, members, threads, self.cores.get() / threads)?;
            let tested = Tested { crew: &crew, cohort: self, normalise: &normalise };
            if self.tests_start && done == 0 {
                judge_set(&crew, &self.test, &normalise, self.device, stop)?;
                crew.give(&Job::Do(Arc::new(|member: &mut Member| {
                    member.start = Some(member.judged().clone());
                    Ok(())
                })));
            }
            if self.train(&crew, done, &normalise, stop, told)?.is_break() {
                return Ok(None);
            }
            crew.give(&Job::Do(Arc::new(|member: &mut Member| member.take_best())));
            let test = match self.selection {
                // The epoch was chosen by the test itself: its scores are known.
                Selection::TestBest => {
                    by_run(&crew, |member| member.best.as_ref().map(|best| best.scores.clone()))
                }
                _ => tested.now(stop)?,
            };
            let mut mixed = Vec::new();
            for &alpha in &self.alphas {
                crew.give(&Job::Do(Arc::new(move |member: &mut Member| mix(member, alpha))));
                mixed.push((alpha, tested.now(stop)?));
            }
            crew.give(&Job::Do(Arc::new(|member: &mut Member| member.take_best())));
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let members = crew.finish()?;
            Ok(Some(members.into_iter().map(|member| collect(member, &test, &mixed)).collect()))
        })
    }

    fn train(
        &self,
        crew: &Crew<'_>,
        done: u64,
        normalise: &Normalise,
        stop: &AtomicBool,
        told: Told<'_>,
    ) -> Result<ControlFlow<()>, TrainError> {
        let mut batches = Batches::start(&self.stream, done..self.epochs, self.cores)?;
        let steps = self.stream.steps_per_epoch();
        let side = self.stream.augmentation.side();
        for epoch in done..self.epochs {
            // 1. A pass: each batch is made once and goes to every run.
            for step in 0..steps {
                if stop.load(Ordering::Relaxed) {
                    return Ok(ControlFlow::Break(()));
                }
                let Some(batch) = batches.next_batch()? else { break };
                let (pixels, labels) = batch.to_device(side, normalise, self.device)?;
                crew.give(&Job::Step { step: epoch * steps + step, pixels, labels });
            }
            // 2. How good each run is now.
            let judge = match self.selection {
                Selection::ValBest => self.val.as_ref(),
                Selection::TestBest => Some(&self.test),
                Selection::Last => None,
            };
            if let Some(set) = judge {
                judge_set(crew, set, normalise, self.device, stop)?;
                if stop.load(Ordering::Relaxed) {
                    return Ok(ControlFlow::Break(()));
                }
            }
            // 3. Keep it.
            let judged = judge.is_some();
            let end = move |member: &mut Member| member.end_epoch(epoch + 1, judged);
            crew.give(&Job::Do(Arc::new(end)));
            told(epoch + 1, &crew.wait());
        }
        Ok(ControlFlow::Continue(()))
    }
}

fn judge_set(
    crew: &Crew<'_>,
    set: &EvalSet,
    normalise: &Normalise,
    device: Device,
    stop: &AtomicBool,
) -> Result<(), TrainError> {
    let begin: Arc<Work> = Arc::new(|member| {
        member.begin_judging();
        Ok(())
    });
    crew.give(&Job::Do(begin));
    for places in set.batches() {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let labels: Arc<[i64]> = set.labels[places.clone()].into();
        crew.give(&Job::Judge { pixels: set.pixels(places, normalise, device)?, labels });
    }
    Ok(())
}

/// Scores by the name of the run.
type ByRun = std::collections::BTreeMap<String, Scores>;

/// Judges the test set with the weights as they are.
struct Tested<'a, 'scope> {
    crew: &'a Crew<'scope>,
    cohort: &'a Cohort,
    normalise: &'a Normalise,
}

impl Tested<'_, '_> {
    fn now(&self, stop: &AtomicBool) -> Result<ByRun, TrainError> {
        judge_set(self.crew, &self.cohort.test, self.normalise, self.cohort.device, stop)?;
        Ok(by_run(self.crew, |member| Some(member.judged().clone())))
    }
}

/// Something of every run, by its name.
fn by_run(crew: &Crew<'_>, of: fn(&Member) -> Option<Scores>) -> ByRun {
    let found = Arc::new(std::sync::Mutex::new(ByRun::new()));
    let into = Arc::clone(&found);
    crew.give(&Job::Do(Arc::new(move |member: &mut Member| {
        if let (Some(scores), Ok(mut found)) = (of(member), into.lock()) {
            found.insert(member.run.clone(), scores);
        }
        Ok(())
    })));
    crew.wait();
    found.lock().map(|found| found.clone()).unwrap_or_default()
}

fn mix(member: &mut Member, alpha: f64) -> Result<(), TrainError> {
    member.take_best()?;
    let Some(before) = &member.before else { return Ok(()) };
    let tuned = member.classifier().snapshot()?;
    Ok(member.classifier().interpolate(before, &tuned, alpha)?)
}

fn collect(member: Member, test: &ByRun, mixed: &[(f64, ByRun)]) -> Result<Finished, Failed> {
    let of = |scores: &ByRun| scores.get(&member.run).cloned();
    match (of(test), &member.failed) {
        (Some(test), None) => Ok(Finished {
            mixed: mixed.iter().filter_map(|(alpha, scores)| Some((*alpha, of(scores)?))).collect(),
            test,
            member,
        }),
        (_, why) => {
            let why = why.clone().unwrap_or_else(|| "it was never tested".into());
            Err(Failed { run: member.run, why })
        }
    }
}
