//! What a sweep will take, from a few timed steps: of each architecture one step and one look per image on this device,
//! what cutting and distorting an image costs, and one evaluation of each probe's loss. An estimate, good to a factor of about one and a half.

use std::collections::BTreeMap;
use std::time::Instant;

use pairmill_loader::ImageTransform;
use pairmill_loader::order::Rng;
use pairmill_pixels::{CropConfig, Cropper, Scratch};
use pairmill_shards::results::Protocol;
use tch::{Device, Kind, Tensor, no_grad};

use super::plan::{Passes, Plan, Todo, Unit};
use crate::error::TrainError;
use crate::model::Mode;
use crate::optim::{Precision, Schedule, Shape};
use crate::transfer::classifier::Classifier;
use crate::transfer::probe::Features;
use crate::transfer::probe::lbfgs::Objective as _;
use crate::transfer::probe::logistic::{Basis, Logistic, Plain};
use crate::transfer::tune::{Tuner, adamw};

/// Images of the first timed step; where it is quick, the run's own batch is timed, up to the other number.
const BATCH: u32 = 8;
const MAX_BATCH: u32 = 64;
/// A step that is quick, seconds.
const QUICK_S: f64 = 0.05;
/// Evaluations that L-BFGS takes for one strength of a probe, about.
const EVALUATIONS: f64 = 400.0;
/// Size of the picture that cutting is timed on: that of a common photo of the datasets.
const PHOTO: (u32, u32) = (500, 375);

/// Core seconds an image takes (device seconds on a GPU).
#[derive(Debug, Clone, Copy)]
struct Costs {
    trained: f64,
    looked_at: f64,
    cut: f64,
}

/// What is predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Wall-clock seconds.
    pub wall_s: f64,
    /// Seconds of all cores, or of the GPU and the cores that feed it.
    pub core_s: f64,
    /// Images through towers with gradients.
    pub trained: f64,
    /// Images through towers without.
    pub looked_at: f64,
}

/// Times a few steps and multiplies.
///
/// # Errors
/// When memory runs out.
pub fn estimate(
    plan: &Plan,
    todo: &[Todo<'_>],
    device: Device,
    cores: usize,
) -> Result<Estimate, TrainError> {
    // By architecture, and whether steps are timed, and of how many images.
    let mut known: BTreeMap<(String, Option<u32>), Costs> = BTreeMap::new();
    // By images, width and classes.
    let mut probes: BTreeMap<(usize, i64, usize), f64> = BTreeMap::new();
    let mut total = Estimate { wall_s: 0.0, core_s: 0.0, trained: 0.0, looked_at: 0.0 };
    for Todo { unit, left } in todo {
        let mut cut = 0.0;
        for &index in left {
            let point = &plan.points[index];
            let architecture = &plan.sources[point.source].architecture;
            let kind = (architecture.name.clone(), point.config.tune.map(|tune| tune.batch_size));
            let costs = match known.get(&kind) {
                Some(costs) => *costs,
                None => {
                    let costs = time(plan, index, device)?;
                    known.insert(kind, costs);
                    costs
                }
            };
            let draw = plan.draw(point);
            let passes = Passes::of(point, draw);
            if !point.config.strengths.is_empty() && point.config.protocol == Protocol::Corrected {
                let classes = plan.tasks[point.task].set.classes.len();
                let size = (draw.train.len(), architecture.embed_dim, classes);
                let look = match probes.get(&size) {
                    Some(look) => *look,
                    None => {
                        let look = probing(size.0, size.1, size.2, device)?;
                        probes.insert(size, look);
                        look
                    }
                };
                total.core_s += look * EVALUATIONS * point.config.strengths.len() as f64;
            }
            let looked_at = match (unit, point.config.protocol) {
                // Features are computed once for all of the unit's runs.
                (Unit::Frozen(_), Protocol::Corrected) => passes.looked_at / left.len() as f64,
                _ => passes.looked_at,
            };
            total.core_s += passes.trained * costs.trained + looked_at * costs.looked_at;
            total.trained += passes.trained;
            total.looked_at += looked_at;
            cut = passes.trained * costs.cut;
        }
        total.core_s += cut;
        if device.is_cuda() {
            // The GPU waits for nothing but the cutting, on the host's cores.
            total.wall_s += cut / cores as f64;
        }
    }
    total.wall_s += if device.is_cuda() { total.core_s } else { total.core_s / cores as f64 };
    Ok(total)
}

fn time(plan: &Plan, index: usize, device: Device) -> Result<Costs, TrainError> {
    let point = &plan.points[index];
    let architecture = &plan.sources[point.source].architecture;
    let side = architecture.image_size();
    tch::set_num_threads(1);
    let classifier = Classifier::new(architecture, plan.tasks[point.task].set.classes.len(), device)?;
    let schedule = Schedule { base_lr: 0.0, warmup_steps: 0, total_steps: 8, shape: Shape::Const };
    let mut tuner = Tuner::new(classifier, adamw(0.0), schedule, Precision::Fp32)?;
    // Core seconds an image, by `batch` of them.
    let mut timed = |steps: bool, batch: u32| -> Result<f64, TrainError> {
        let count = i64::from(batch);
        let pixels = Tensor::f_zeros([count, 3, side, side], (Kind::Float, device))?;
        let labels = Tensor::f_zeros([count], (Kind::Int64, device))?;
        let mut work = || -> Result<Tensor, TrainError> {
            match steps {
                true => tuner.step(0, &pixels, &labels),
                false => Ok(no_grad(|| tuner.classifier.features(&pixels, Mode::Eval))?),
            }
        };
        // The first time memory is allocated and kernels are chosen.
        let _first = work()?;
        let begun = Instant::now();
        // Reading a value waits for the device.
        work()?.f_sum(Kind::Float)?.f_double_value(&[])?;
        Ok(begun.elapsed().as_secs_f64() / f64::from(batch))
    };
    let mut cost = |steps: bool, batch: u32| -> Result<f64, TrainError> {
        let first = timed(steps, BATCH)?;
        let quick = first * f64::from(BATCH) < QUICK_S && batch != BATCH;
        if quick { timed(steps, batch.clamp(1, MAX_BATCH)) } else { Ok(first) }
    };
    let trained = point.config.tune.map_or(Ok(0.0), |tune| cost(true, tune.batch_size))?;
    let looked_at = cost(false, MAX_BATCH)?;
    Ok(Costs { trained, looked_at, cut: cutting(u32::try_from(side).unwrap_or(1))? })
}

/// Core seconds of one evaluation of a probe's loss on `images` features.
fn probing(images: usize, width: i64, classes: usize, device: Device) -> Result<f64, TrainError> {
    // Beyond it the time grows with the number.
    const MOST: usize = 4096;
    let rows = images.clamp(1, MOST) as i64;
    let features = Features {
        values: Tensor::f_zeros([rows, width], (Kind::Float, device))?,
        labels: Tensor::f_zeros([rows], (Kind::Int64, device))?,
    };
    let basis = no_grad(|| Basis::new(&features))?;
    let problem = Logistic::new(&basis, classes, 1.0)?;
    let at = problem.point(&Plain::zeros(&features, classes)?)?;
    let _first = problem.value_and_gradient(&at)?;
    let begun = Instant::now();
    let _second = problem.value_and_gradient(&at)?;
    Ok(begun.elapsed().as_secs_f64() * images as f64 / rows as f64)
}

/// Core seconds of cutting and distorting one picture.
fn cutting(side: u32) -> Result<f64, TrainError> {
    const TIMES: u64 = 16;
    let failed = |error: String| TrainError::Transfer(error);
    let mut cropper = Cropper::new(&CropConfig { side, ..CropConfig::default() })
        .map_err(|error| failed(error.to_string()))?;
    let transform = ImageTransform::fine_tuning(side);
    let (width, height) = PHOTO;
    let photo = vec![127; width as usize * height as usize * 3];
    let mut out = vec![0; transform.slot_bytes()];
    let mut scratch = Scratch::default();
    let begun = Instant::now();
    for time in 0..TIMES {
        let mut rng = Rng::new(&[time]);
        let placement = transform.place(width, height, &mut rng);
        cropper
            .write_rgb(&photo, width, height, placement, &mut out)
            .and_then(|()| transform.augment(&mut out, &mut rng, &mut scratch))
            .map_err(|error| failed(error.to_string()))?;
    }
    Ok(begun.elapsed().as_secs_f64() / TIMES as f64)
}
