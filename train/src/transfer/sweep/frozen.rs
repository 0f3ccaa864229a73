//! Runs whose tower stays as it is: zero-shot heads and linear probes, over features that are computed once for all of
//! them; and the probe that an LP-FT run begins with.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use pairmill_shards::results::Protocol;
use tch::{Tensor, no_grad};

use super::plan::{Point, Todo};
use super::progress::Progress;
use super::run::{Done, Failures, Shop};
use crate::error::TrainError;
use crate::eval::scores::{Scale, Scores};
use crate::feed::Normalise;
use crate::model::Mode;
use crate::optim::{Schedule, Shape};
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
        let draw = shop.plan.draw(point);
        keys.extend(draw.test.iter().copied());
        if point.config.method != Method::ZeroShot {
            keys.extend(draw.train.iter().chain(&draw.val).copied());
        }
    }
    let set = shop.look_at(pictures, first, keys.into_iter().collect());
    let table = FeatureTable::compute(&classifier, &set, first.config.transform.statistics)?;
    // The features are of all runs.
    let share_s = begun.elapsed().as_secs_f64() / points.len() as f64;
    for point in points {
        if shop.stopped() {
            return Ok(None);
        }
        let begun = Instant::now();
        let draw = shop.plan.draw(point);
        let test = select(shop, point, &table, &draw.test)?;
        let (head, strength, val) = match point.config.method {
            Method::ZeroShot => (shop.heads.get(shop.plan, point, &model)?, None, None),
            _ if point.config.protocol == Protocol::AsPublished => {
                let zero = shop.heads.get(shop.plan, point, &model)?;
                (published(shop, pictures, point, &classifier, &zero, draw, &test)?, None, None)
            }
            _ => {
                let (head, strength, val_acc1) = probe(shop, point, &table, draw, num_classes)?;
                (head, Some(strength), val_acc1.map(|value| (value, draw.val.len() as u64)))
            }
        };
        classifier.head().take(&head)?;
        let mut scores = Scores::new(num_classes);
        let logits = no_grad(|| classifier.score(&test.values))?;
        scores.add(&logits, &shop.plan.tasks[point.task].labels(&draw.test))?;
        let seconds = share_s + begun.elapsed().as_secs_f64();
        let measured = Measured { test: &scores, val, start: None, mixed: &[], seconds: [seconds, seconds] };
        shop.record(point, draw, Done { epochs: Vec::new(), chosen_epoch: None, strength, measured })?;
        progress.finished(shop.plan, point, scores.acc1(Scale::Percent));
    }
    Ok(Some(Vec::new()))
}

fn select(
    shop: &Shop<'_>,
    point: &Point,
    table: &FeatureTable,
    keys: &[Key],
) -> Result<Features, TrainError> {
    table.select(keys, &shop.plan.tasks[point.task].labels(keys))
}

/// Head, strength and validation accuracy in percent.
fn probe(
    shop: &Shop<'_>,
    point: &Point,
    table: &FeatureTable,
    draw: &Draw,
    num_classes: usize,
) -> Result<(Head, f64, Option<f64>), TrainError> {
    let train = select(shop, point, table, &draw.train)?;
    let val = match draw.val.is_empty() {
        true => None,
        false => Some(select(shop, point, table, &draw.val)?),
    };
    let found = fit(&train, val.as_ref(), num_classes, &point.config.strengths, Limits::default())?;
    Ok((found.head, found.strength, val.is_some().then_some(found.val_acc1)))
}

/// The head an LP-FT run begins with. `zero` is the study's start.
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
) -> Result<Head, TrainError> {
    let num_classes = classifier.head().bias.numel();
    let statistics = cohort.statistics;
    let pictures = &cohort.stream.pictures;
    if let Some(zero) = zero {
        let set = shop.look_at(pictures, point, draw.test.clone());
        let table = FeatureTable::compute(classifier, &set, statistics)?;
        let test = select(shop, point, &table, &draw.test)?;
        return published(shop, pictures, point, classifier, &zero, draw, &test);
    }
    let keys: BTreeSet<_> = draw.train.iter().chain(&draw.val).copied().collect();
    let set = shop.look_at(pictures, point, keys.into_iter().collect());
    let table = FeatureTable::compute(classifier, &set, statistics)?;
    let (head, _, _) = probe(shop, point, &table, draw, num_classes)?;
    Ok(head)
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
