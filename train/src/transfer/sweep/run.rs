//! A plan to its end: task by task the pictures are decoded, unit by unit the runs are done, each leaving its record. What
//! is done stays done: a sweep that was stopped or killed goes on where it was, run by run and pass by pass.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tch::Device;

use super::config::SweepConfig;
use super::frozen::{self, ProbeEnd};
use super::heads::Heads;
use super::plan::{Plan, Point, Todo, Unit};
use super::progress::Progress;
use crate::error::TrainError;
use crate::eval::scores::Scale;
use crate::model::Clip;
use crate::optim::{Schedule, Shape};
use crate::torch::rng;
use crate::transfer::classifier::{Classifier, Head};
use crate::transfer::cohort::{Cohort, Failed, Finished};
use crate::transfer::config::{HeadStart, Method, TuneConfig};
use crate::transfer::draw::{Draw, Key};
use crate::transfer::evaluation::EvalSet;
use crate::transfer::keeper::Keeper;
use crate::transfer::member::Member;
use crate::transfer::pictures::{Pictures, Wanted};
use crate::transfer::protocol::Rules;
use crate::transfer::record::{Measured, RESULT, Record, defects, rows};
use crate::transfer::source::Source;
use crate::transfer::stream::{Augmentation, Stream, square};
use crate::transfer::tune::{Tuner, adamw};

/// Folder of the runs within a sweep's.
pub const RUNS: &str = "runs";
const HEADS: &str = "heads";

/// How a sweep ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Runs done now.
    pub done: usize,
    /// Runs that could not be done, with their reasons.
    pub failed: Vec<(String, String)>,
    /// Whether it was stopped.
    pub interrupted: bool,
}

/// What units work with.
pub(super) struct Shop<'a> {
    pub plan: &'a Plan,
    pub heads: Heads,
    pub folder: PathBuf,
    pub device: Device,
    pub cores: NonZeroUsize,
    pub keep_every: Duration,
    pub stop: &'a AtomicBool,
}

impl Shop<'_> {
    /// The folder of a run.
    pub fn folder(&self, point: &Point) -> PathBuf {
        self.folder.join(RUNS).join(&point.run)
    }

    /// A whole model of the source.
    pub fn load(&self, point: &Point) -> Result<Clip, TrainError> {
        self.plan.sources[point.source].load(self.device, point.config.seed)
    }

    /// Images of the set that are looked at in the run's way.
    pub fn look_at(&self, pictures: &Arc<Pictures>, point: &Point, keys: Vec<Key>) -> EvalSet {
        EvalSet {
            pictures: Arc::clone(pictures),
            square: square(point.config.transform.preset, point.side(self.plan)),
            labels: self.plan.tasks[point.task].labels(&keys),
            keys,
        }
    }

    /// The images of a run without those that cannot be decoded.
    ///
    /// # Errors
    /// When none is left to train or to test on.
    pub fn draw(&self, pictures: &Pictures, point: &Point) -> Result<Cow<'_, Draw>, TrainError> {
        let draw = self.plan.draw(point);
        let readable = pictures.readable(draw);
        let task = &self.plan.tasks[point.task].set.name;
        for (what, all, left) in
            [("train", &draw.train, &readable.train), ("test", &draw.test, &readable.test)]
        {
            if left.is_empty() && !all.is_empty() {
                return Err(TrainError::Transfer(format!(
                    "{task}: none of the images to {what} on can be decoded"
                )));
            }
        }
        Ok(readable)
    }

    /// Leaves the record of a finished run.
    pub fn record(
        &self,
        pictures: &Pictures,
        point: &Point,
        draw: &Draw,
        done: Done<'_>,
    ) -> Result<(), TrainError> {
        let task = &self.plan.tasks[point.task];
        let source = &self.plan.sources[point.source];
        let drawn = self.plan.draw(point);
        let left_out = |all: &[Key], left: &[Key]| (all.len() - left.len()) as u64;
        let unreadable = [
            left_out(&drawn.train, &draw.train),
            left_out(&drawn.val, &draw.val),
            left_out(&drawn.test, &draw.test),
        ];
        let mut keys = drawn.train.iter().chain(&drawn.val).chain(&drawn.test);
        let unreadable_example = keys.find_map(|key| pictures.unreadable().get(key)).cloned();
        let record = Record {
            run: point.run.clone(),
            config: point.config.clone(),
            defects: defects(point.config.protocol),
            notes: task.set.notes.iter().cloned().chain(source.notes()).collect(),
            images: [draw.train.len(), draw.val.len(), draw.test.len()].map(|n| n as u64),
            epochs: done.epochs,
            chosen_epoch: done.chosen_epoch,
            strength: done.probe.as_ref().map(|probe| probe.strength),
            converged: done.probe.as_ref().map(|probe| probe.converged),
            unconverged_strengths: done.probe.map(|probe| probe.unconverged).unwrap_or_default(),
            unreadable,
            unreadable_example,
            rows: rows(&point.run, &point.config, source, task, &done.measured)?,
        };
        record.write(&self.folder(point), done.measured.test, &task.set.classes)
    }

    /// Whether the user wants no more.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What is known of a run when it is over.
pub(super) struct Done<'a> {
    pub epochs: Vec<crate::transfer::member::EpochLine>,
    pub chosen_epoch: Option<u64>,
    pub probe: Option<ProbeEnd>,
    pub measured: Measured<'a>,
}

/// What of `units` is not done in `folder`.
///
/// # Errors
/// When a record there cannot be read.
pub fn left<'a>(plan: &Plan, units: &[&'a Unit], folder: &Path) -> Result<Vec<Todo<'a>>, TrainError> {
    let mut todo = Vec::new();
    for &unit in units {
        let mut left = Vec::new();
        for &index in unit.points() {
            if Record::read(&folder.join(RUNS).join(&plan.points[index].run))?.is_none() {
                left.push(index);
            }
        }
        if !left.is_empty() {
            todo.push(Todo { unit, left });
        }
    }
    Ok(todo)
}

/// Does `todo` of `plan`, leaving everything in `folder`.
///
/// # Errors
/// When input or machine fail all runs; what fails one run alone is in the [`Outcome`].
pub fn run(
    plan: &Plan,
    todo: Vec<Todo<'_>>,
    folder: &Path,
    config: &SweepConfig,
    device: Device,
    progress: &mut Progress,
    stop: &AtomicBool,
) -> Result<Outcome, TrainError> {
    let (runtime, max_unreadable) = (&config.runtime, config.max_unreadable);
    let cores = cores(runtime.threads);
    // Of this thread, which only hands batches on: the runs have threads of their own, and the threads that wait for this
    // one to need them would take their cores.
    tch::set_num_threads(1);
    let heads = Heads::new(&folder.join(HEADS), cores)?;
    let keep_every = Duration::from_secs(runtime.keep_s);
    let shop = Shop { plan, heads, folder: folder.to_path_buf(), device, cores, keep_every, stop };
    for point in &plan.points {
        // Killed between the record and the tidying: what was kept is of no use any more.
        let folder = shop.folder(point);
        if folder.join(RESULT).exists() {
            Keeper::clear(&folder);
        }
    }
    let mut outcome = Outcome::default();
    let mut told = BTreeSet::new();
    let scratch = runtime.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let mut by_task: BTreeMap<usize, Vec<Todo<'_>>> = BTreeMap::new();
    for todo in todo {
        if let Some(&first) = todo.left.first() {
            by_task.entry(plan.points[first].task).or_default().push(todo);
        }
    }
    for (task, units) in by_task {
        // 1. The task's pictures, decoded once for all of its runs.
        let set = &plan.tasks[task].set;
        progress.note(&format!("{}: reading and decoding", set.name));
        let wanted = wanted(&shop, &units);
        let pictures = Arc::new(Pictures::collect(set, &wanted, runtime.pictures, &scratch, cores.get())?);
        if let Some(left_out) = pictures.check_unreadable(&set.name, max_unreadable)? {
            progress.note(&left_out);
        }
        // 2. Its runs.
        for todo in units {
            if shop.stopped() {
                outcome.interrupted = true;
                return Ok(outcome);
            }
            let finished = match todo.unit {
                Unit::Frozen(_) => frozen::run(&shop, &pictures, &todo, progress)?,
                Unit::Cohort(_) => cohorts(&shop, &pictures, &todo, progress)?,
            };
            let Some(failed) = finished else {
                outcome.interrupted = true;
                return Ok(outcome);
            };
            for note in plan.sources.iter().flat_map(Source::notes) {
                if told.insert(note.clone()) {
                    progress.note(&note);
                }
            }
            outcome.done += todo.left.len() - failed.len();
            outcome.failed.extend(failed);
        }
    }
    Ok(outcome)
}

/// Does `work`, which takes a tower through many images or prompts, with this thread's operations on all `cores`.
pub(super) fn on_cores<T>(cores: NonZeroUsize, work: impl FnOnce() -> T) -> T {
    tch::set_num_threads(i32::try_from(cores.get()).unwrap_or(1));
    let done = work();
    tch::set_num_threads(1);
    done
}

/// Cores to use where the user says `threads`.
pub fn cores(threads: usize) -> NonZeroUsize {
    NonZeroUsize::new(threads)
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN)
}

/// Pictures that `units` need.
fn wanted(shop: &Shop<'_>, units: &[Todo<'_>]) -> Wanted {
    let mut wanted = Wanted::default();
    // Features are computed of the whole unit's images, whatever is left of it.
    let of = |todo: &Todo<'_>| match todo.unit {
        Unit::Frozen(points) => points.clone(),
        Unit::Cohort(_) => todo.left.clone(),
    };
    for index in units.iter().flat_map(of) {
        let point = &shop.plan.points[index];
        let draw = shop.plan.draw(point);
        if point.config.tune.is_some() {
            wanted.whole.extend(&draw.train);
        }
        let square = square(point.config.transform.preset, point.side(shop.plan));
        let squares = wanted.squares.entry(square).or_default();
        squares.extend(draw.test.iter().chain(&draw.val));
        if point.config.tune.is_none() || point.config.method == Method::LpFt {
            squares.extend(&draw.train);
        }
    }
    wanted
}

/// Failures of a unit by run; `None` when it was stopped.
pub(super) type Failures = Option<Vec<(String, String)>>;

/// A cohort may have been stopped in the middle, and its runs kept at different passes: those at one pass go together.
fn cohorts(
    shop: &Shop<'_>,
    pictures: &Arc<Pictures>,
    todo: &Todo<'_>,
    progress: &mut Progress,
) -> Result<Failures, TrainError> {
    let mut by_pass: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for &index in &todo.left {
        let folder = shop.folder(&shop.plan.points[index]);
        by_pass.entry(Keeper::kept_epochs(&folder)).or_default().push(index);
    }
    let mut failures = Vec::new();
    for points in by_pass.into_values() {
        match cohort(shop, pictures, &points, todo.unit.points().len(), progress)? {
            Some(failed) => failures.extend(failed),
            None => return Ok(None),
        }
    }
    Ok(Some(failures))
}

fn cohort(
    shop: &Shop<'_>,
    pictures: &Arc<Pictures>,
    indices: &[usize],
    planned: usize,
    progress: &mut Progress,
) -> Result<Failures, TrainError> {
    let begun = Instant::now();
    let points: Vec<&Point> = indices.iter().map(|&index| &shop.plan.points[index]).collect();
    let Some((first, tune)) = points.first().and_then(|point| Some((*point, point.config.tune?))) else {
        return Ok(Some(Vec::new()));
    };
    let plan = shop.plan;
    let rules = Rules::of(first.config.protocol);
    let draw = shop.draw(pictures, first)?;
    let draw = &*draw;
    let labels = plan.tasks[first.task].labels(&draw.train);
    let stream = Arc::new(Stream {
        pictures: Arc::clone(pictures),
        examples: draw.train.iter().copied().zip(labels).collect(),
        augmentation: Augmentation::new(first.config.transform, first.side(plan)),
        batch_size: tune.batch_size as usize,
        seed: first.config.seed,
    });
    let cohort = Cohort {
        epochs: u64::from(tune.epochs),
        val: (!draw.val.is_empty()).then(|| shop.look_at(pictures, first, draw.val.clone())),
        test: shop.look_at(pictures, first, draw.test.clone()),
        selection: first.config.selection,
        tests_start: rules.test_subsets,
        alphas: first.config.alphas.clone(),
        statistics: first.config.transform.statistics,
        device: shop.device,
        cores: shop.cores,
        planned,
        stream,
    };
    progress.begin(plan, first, points.len());
    let mut members = Vec::new();
    let mut probes: BTreeMap<String, ProbeEnd> = BTreeMap::new();
    let mut models: Option<(usize, Clip)> = None;
    for point in &points {
        if models.as_ref().is_none_or(|(source, _)| *source != point.source) {
            models = Some((point.source, shop.load(point)?));
        }
        if let Some((_, model)) = &models {
            let (member, probe) = member(shop, &cohort, point, model, draw)?;
            probes.extend(probe.map(|probe| (point.run.clone(), probe)));
            members.push(member);
        }
    }
    drop(models);
    let epochs = cohort.epochs;
    let mut told = |done: u64, report: &_| progress.epoch(done, epochs, report);
    let Some(finished) = cohort.run(members, shop.stop, &mut told)? else { return Ok(None) };
    let wall_s = begun.elapsed().as_secs_f64() / points.len() as f64;
    let mut failures = Vec::new();
    for result in finished {
        let run = match &result {
            Ok(finished) => finished.member.run.clone(),
            Err(failed) => failed.run.clone(),
        };
        let Some(point) = points.iter().find(|point| point.run == run) else { continue };
        match result {
            Ok(finished) => {
                tuned(shop, (pictures, draw), point, probes.remove(&run), &finished, wall_s)?;
                Keeper::clear(&shop.folder(point));
                progress.finished(plan, point, finished.test.acc1(Scale::Percent));
            }
            Err(Failed { why, .. }) => {
                progress.failed(plan, point, &why);
                failures.push((run, why));
            }
        }
    }
    Ok(Some(failures))
}

/// A run at its first step, or where it was kept, and how the probe ended that its head is from.
fn member(
    shop: &Shop<'_>,
    cohort: &Cohort,
    point: &Point,
    model: &Clip,
    draw: &Draw,
) -> Result<(Member, Option<ProbeEnd>), TrainError> {
    let plan = shop.plan;
    let Some(tune) = point.config.tune else {
        return Err(TrainError::Transfer(format!("run {}: nothing to tune", point.run)));
    };
    let num_classes = plan.tasks[point.task].set.classes.len();
    // A random head is the seed's, whatever was drawn before.
    rng::seed(point.config.seed);
    let classifier = Classifier::new(model.architecture(), num_classes, shop.device)?;
    classifier.take_tower(model)?;
    let (head, probe) = first_head(shop, cohort, point, &classifier, model, draw, tune)?;
    if let Some(head) = head {
        classifier.head().take(&head)?;
    }
    if shop.device.is_cuda() {
        classifier.weights().channels_last()?;
    }
    let steps = cohort.stream.steps_per_epoch() * cohort.epochs;
    let schedule = Schedule {
        base_lr: tune.lr,
        warmup_steps: Rules::of(point.config.protocol).warmup(tune.warmup_steps, steps),
        total_steps: steps,
        shape: Shape::Cosine,
    };
    let tuner = Tuner::new(classifier, adamw(tune.weight_decay), schedule, tune.precision)?;
    let keeper = Keeper::new(&shop.folder(point), shop.keep_every);
    let mut member = Member::new(point.run.clone(), tuner, keeper, num_classes);
    if !cohort.alphas.is_empty() {
        member.before = Some(member.classifier().snapshot()?);
    }
    Keeper::resume(&mut member)?;
    Ok((member, probe))
}

/// The head that a fine-tuning begins with (`None` for the random one that is there) and its probe, where it is one's.
fn first_head(
    shop: &Shop<'_>,
    cohort: &Cohort,
    point: &Point,
    classifier: &Classifier,
    model: &Clip,
    draw: &Draw,
    tune: TuneConfig,
) -> Result<(Option<Head>, Option<ProbeEnd>), TrainError> {
    match (point.config.method, tune.head) {
        (Method::LpFt, _) => {
            let zero = match Rules::of(point.config.protocol).probe_on_test {
                true => Some(shop.heads.get(shop.plan, point, model)?),
                false => None,
            };
            let (head, probe) = frozen::probe_head(shop, cohort, point, classifier, zero, draw)?;
            Ok((Some(head), probe))
        }
        (_, HeadStart::ZeroShot) => Ok((Some(shop.heads.get(shop.plan, point, model)?), None)),
        (_, HeadStart::Random) => Ok((None, None)),
    }
}

/// The record of a fine-tuned run.
fn tuned(
    shop: &Shop<'_>,
    (pictures, draw): (&Pictures, &Draw),
    point: &Point,
    probe: Option<ProbeEnd>,
    finished: &Finished,
    wall_s: f64,
) -> Result<(), TrainError> {
    let member = &finished.member;
    let val = match (&member.best, point.config.selection) {
        (Some(best), pairmill_shards::results::Selection::ValBest) => {
            Some((best.scores.acc1(Scale::Percent), best.scores.num_samples()))
        }
        _ => None,
    };
    let converged = probe.as_ref().map(|probe| probe.converged);
    shop.record(
        pictures,
        point,
        draw,
        Done {
            epochs: member.history.clone(),
            chosen_epoch: member.best.as_ref().map(|best| best.epoch),
            probe,
            measured: Measured {
                test: &finished.test,
                val,
                start: member.start.as_ref(),
                mixed: &finished.mixed,
                converged,
                seconds: [wall_s, member.device_s],
            },
        },
    )
}
