//! Runs whose tower stays as it is: zero-shot heads and linear probes, over features that are computed once for all of
//! them; and the probe that an LP-FT run begins with. Probes are fitted side by side, a core each: their matrices are too
//! small to be divided, and threads that wait for each other cost more than they do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crossbeam_channel::bounded;
use pairmill_shards::results::Protocol;
use tch::{Tensor, no_grad};

use super::plan::{Point, Todo};
use super::progress::Progress;
use super::run::{Done, Failures, Shop, on_cores};
use crate::error::TrainError;
use crate::eval::scores::{Scale, Scores};
use crate::feed::Normalise;
use crate::model::Mode;
use crate::optim::{Schedule, Shape};
use crate::torch::TorchError;
use crate::transfer::classifier::{Classifier, Head};
use crate::transfer::cohort::Cohort;
use crate::transfer::config::Method;
use crate::transfer::draw::{Draw, Key};
use crate::transfer::evaluation::FeatureTable;
use crate::transfer::pictures::Pictures;
use crate::transfer::probe::lbfgs::Limits;
use crate::transfer::probe::published::PublishedProbe;
use crate::transfer::probe::{Features, fit};
use crate::transfer::protocol::WARMUP_STEPS;
use crate::transfer::record::Measured;
use crate::transfer::stream::{Augmentation, Batches, Stream, order};
use crate::transfer::tune::adamw;

/// The study's probe (protocol §3.7).
const PUBLISHED_LR: f64 = 0.003;
const PUBLISHED_BATCH: usize = 128;
const PUBLISHED_EPOCHS: u32 = 128;
const PUBLISHED_DECAY: f64 = 0.1;

/// Does the runs of one source on one task.
///
/// # Errors
/// When pictures cannot be read back or memory runs out.
pub(super) fn run(
    shop: &Shop<'_>,
    pictures: &Arc<Pictures>,
    todo: &Todo<'_>,
    progress: &mut Progress,
) -> Result<Failures, TrainError> {
    let of = |indices: &[usize]| -> Vec<&Point> { indices.iter().map(|&at| &shop.plan.points[at]).collect() };
    let points = of(&todo.left);
    let Some(first) = points.first() else { return Ok(Some(Vec::new())) };
    progress.begin(shop.plan, first, points.len());
    let begun = Instant::now();
    let num_classes = shop.plan.tasks[first.task].set.classes.len();
    let model = shop.load(first)?;
    let classifier = Classifier::new(model.architecture(), num_classes, shop.device)?;
    classifier.take_tower(&model)?;
    let mut keys = BTreeSet::new();
    for point in of(todo.unit.points()) {
        let draw = shop.draw(pictures, point)?;
        keys.extend(draw.test.iter().copied());
        if point.config.method != Method::ZeroShot {
            keys.extend(draw.train.iter().chain(&draw.val).copied());
        }
    }
    let set = shop.look_at(pictures, first, keys.into_iter().collect());
    let table =
        on_cores(shop.cores, || FeatureTable::compute(&classifier, &set, first.config.transform.statistics))?;
    // The features are of all runs.
    let share_s = begun.elapsed().as_secs_f64() / points.len() as f64;
    let mut record = |point: &Point, fitted: Fitted, seconds: f64| -> Result<(), TrainError> {
        let begun = Instant::now();
        let draw = shop.draw(pictures, point)?;
        let test = select(shop, point, &table, &draw.test)?;
        classifier.head().take(&fitted.head)?;
        let mut scores = Scores::new(num_classes);
        let logits = no_grad(|| classifier.score(&test.values))?;
        scores.add(&logits, &shop.plan.tasks[point.task].labels(&draw.test))?;
        let seconds = share_s + seconds + begun.elapsed().as_secs_f64();
        let val = fitted.val_acc1.map(|value| (value, draw.val.len() as u64));
        let converged = fitted.probe.as_ref().map(|probe| probe.converged);
        let seconds = [seconds, seconds];
        let measured = Measured { test: &scores, val, start: None, mixed: &[], converged, seconds };
        let done = Done { epochs: Vec::new(), chosen_epoch: None, probe: fitted.probe, measured };
        shop.record(pictures, point, &draw, done)?;
        progress.finished(shop.plan, point, scores.acc1(Scale::Percent));
        Ok(())
    };
    let (probes, others): (Vec<&Point>, Vec<&Point>) = points.into_iter().partition(|point| {
        point.config.method != Method::ZeroShot && point.config.protocol == Protocol::Corrected
    });
    for point in others {
        if shop.stopped() {
            return Ok(None);
        }
        let begun = Instant::now();
        let mut head = shop.heads.get(shop.plan, point, &model)?;
        if point.config.method != Method::ZeroShot {
            let draw = shop.draw(pictures, point)?;
            let test = select(shop, point, &table, &draw.test)?;
            head = published(shop, pictures, point, &classifier, &head, &draw, &test)?;
        }
        record(point, Fitted { head, probe: None, val_acc1: None }, begun.elapsed().as_secs_f64())?;
    }
    let planned =
        of(todo.unit.points()).iter().filter(|point| point.config.method != Method::ZeroShot).count();
    fit_all(shop, (pictures, &table), &probes, planned, num_classes, &mut record)
}

/// What a run tests with.
struct Fitted {
    head: Head,
    probe: Option<ProbeEnd>,
    val_acc1: Option<f64>,
}

/// How a probe ended.
#[derive(Debug, Clone)]
pub(super) struct ProbeEnd {
    /// The strength that was chosen.
    pub strength: f64,
    /// Whether its fit reached the optimum.
    pub converged: bool,
    /// Strengths whose fit did not.
    pub unconverged: Vec<f64>,
}

impl Fitted {
    fn fit(
        train: &Features,
        val: Option<&Features>,
        num_classes: usize,
        strengths: &[f64],
    ) -> Result<Self, TorchError> {
        let found = fit(train, val, num_classes, strengths, Limits::default())?;
        let val_acc1 = val.is_some().then_some(found.val_acc1);
        let (strength, converged) = (found.strength, found.converged);
        let probe = Some(ProbeEnd { strength, converged, unconverged: found.unconverged });
        Ok(Self { head: found.head, probe, val_acc1 })
    }
}

/// Fits the probes of `points` and gives each to `record` when it is done. The number that was `planned` and not what is
/// left of it decides how cores are divided, which decides how sums are rounded.
fn fit_all(
    shop: &Shop<'_>,
    (pictures, table): (&Pictures, &FeatureTable),
    points: &[&Point],
    planned: usize,
    num_classes: usize,
    record: &mut dyn FnMut(&Point, Fitted, f64) -> Result<(), TrainError>,
) -> Result<Failures, TrainError> {
    let threads = if shop.device.is_cuda() { 1 } else { planned.clamp(1, shop.cores.get()) };
    let inner = shop.cores.get() / threads;
    thread::scope(|scope| {
        // One probe's features wait while others are fitted.
        let (give, jobs) = bounded::<(usize, Features, Option<Features>)>(1);
        // Room for all of them: nobody waits to answer.
        let (answer, answers) = bounded(points.len().max(1));
        for number in 0..threads {
            let (jobs, answer) = (jobs.clone(), answer.clone());
            let work = move || {
                tch::set_num_threads(i32::try_from(inner).unwrap_or(1));
                for (at, train, val) in jobs {
                    let begun = Instant::now();
                    let fitted = Fitted::fit(&train, val.as_ref(), num_classes, &points[at].config.strengths);
                    // Nobody listening: another one has failed.
                    if answer.send((at, fitted, begun.elapsed().as_secs_f64())).is_err() {
                        return;
                    }
                }
            };
            let builder = thread::Builder::new().name(format!("probe-{number}"));
            builder.spawn_scoped(scope, work).map_err(|error| TrainError::Transfer(error.to_string()))?;
        }
        drop((jobs, answer));
        for (at, point) in points.iter().enumerate() {
            if shop.stopped() {
                return Ok(None);
            }
            let (train, val) = sets(shop, point, table, &*shop.draw(pictures, point)?)?;
            // Closed only when every thread has gone; then no answer comes either.
            let _ = give.send((at, train, val));
            for (at, fitted, seconds) in answers.try_iter() {
                record(points[at], fitted?, seconds)?;
            }
        }
        drop(give);
        for (at, fitted, seconds) in answers {
            record(points[at], fitted?, seconds)?;
        }
        Ok(Some(Vec::new()))
    })
}

fn select(
    shop: &Shop<'_>,
    point: &Point,
    table: &FeatureTable,
    keys: &[Key],
) -> Result<Features, TrainError> {
    table.select(keys, &shop.plan.tasks[point.task].labels(keys))
}

/// The features that a probe is fitted to, and those that choose its strength.
fn sets(
    shop: &Shop<'_>,
    point: &Point,
    table: &FeatureTable,
    draw: &Draw,
) -> Result<(Features, Option<Features>), TrainError> {
    let train = select(shop, point, table, &draw.train)?;
    let val = match draw.val.is_empty() {
        true => None,
        false => Some(select(shop, point, table, &draw.val)?),
    };
    Ok((train, val))
}

/// The head an LP-FT run begins with, and how its probe ended. `zero` is the study's start, whose probe has no optimum.
///
/// # Errors
/// When pictures cannot be read back or memory runs out.
pub(super) fn probe_head(
    shop: &Shop<'_>,
    cohort: &Cohort,
    point: &Point,
    classifier: &Classifier,
    zero: Option<Head>,
    draw: &Draw,
) -> Result<(Head, Option<ProbeEnd>), TrainError> {
    let num_classes = classifier.head().bias.numel();
    let statistics = cohort.statistics;
    let pictures = &cohort.stream.pictures;
    if let Some(zero) = zero {
        let set = shop.look_at(pictures, point, draw.test.clone());
        let table = on_cores(shop.cores, || FeatureTable::compute(classifier, &set, statistics))?;
        let test = select(shop, point, &table, &draw.test)?;
        return Ok((published(shop, pictures, point, classifier, &zero, draw, &test)?, None));
    }
    let keys: BTreeSet<_> = draw.train.iter().chain(&draw.val).copied().collect();
    let set = shop.look_at(pictures, point, keys.into_iter().collect());
    let table = on_cores(shop.cores, || FeatureTable::compute(classifier, &set, statistics))?;
    let (train, val) = sets(shop, point, &table, draw)?;
    let fitted = Fitted::fit(&train, val.as_ref(), num_classes, &point.config.strengths)?;
    Ok((fitted.head, fitted.probe))
}

/// The study's probe with its defect: trained on one pass of augmented training features, then on the test's.
fn published(
    shop: &Shop<'_>,
    pictures: &Arc<Pictures>,
    point: &Point,
    classifier: &Classifier,
    zero: &Head,
    draw: &Draw,
    test: &Features,
) -> Result<Head, TrainError> {
    let labels = shop.plan.tasks[point.task].labels(&draw.train);
    let transform = point.config.transform;
    let seed = point.config.seed;
    let stream = Arc::new(Stream {
        pictures: Arc::clone(pictures),
        examples: draw.train.iter().copied().zip(labels).collect(),
        augmentation: Augmentation::new(transform, point.side(shop.plan)),
        batch_size: PUBLISHED_BATCH,
        seed,
    });
    let normalise = Normalise::new(transform.statistics, shop.device)?;
    let mut batches = Batches::start(&stream, 0..1, shop.cores)?;
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    while let Some(batch) = batches.next_batch()? {
        let (pixels, of_batch) = batch.to_device(stream.augmentation.side(), &normalise, shop.device)?;
        values.push(no_grad(|| classifier.features(&pixels, Mode::Eval))?);
        labels.push(of_batch);
    }
    let train = Features { values: Tensor::f_cat(&values, 0)?, labels: Tensor::f_cat(&labels, 0)? };
    let steps_per_epoch = train.len().div_ceil(PUBLISHED_BATCH) as u64;
    let probe = PublishedProbe {
        epochs: PUBLISHED_EPOCHS,
        batch_size: PUBLISHED_BATCH,
        schedule: Schedule {
            base_lr: PUBLISHED_LR,
            warmup_steps: WARMUP_STEPS,
            total_steps: u64::from(PUBLISHED_EPOCHS) * steps_per_epoch,
            shape: Shape::Cosine,
        },
        optim: adamw(PUBLISHED_DECAY),
    };
    let order = |epoch, len| order(seed, epoch, len).into_iter().map(i64::from).collect();
    let (head, _) = probe.fit(zero, &train, test, &order)?;
    Ok(head)
}
