//! What a sweep will take, from a few timed steps: of each architecture one step and one look per image on this device,
//! and what cutting and distorting an image costs. An estimate, good to a factor of about one and a half.

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
use crate::transfer::tune::{Tuner, adamw};

/// Images of a timed step.
const BATCH: i64 = 8;
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
    let mut known: BTreeMap<String, Costs> = BTreeMap::new();
    let mut total = Estimate { wall_s: 0.0, core_s: 0.0, trained: 0.0, looked_at: 0.0 };
    for Todo { unit, left } in todo {
        let mut cut = 0.0;
        for &index in left {
            let point = &plan.points[index];
            let architecture = &plan.sources[point.source].architecture;
            let costs = match known.get(&architecture.name) {
                Some(costs) => *costs,
                None => {
                    let costs = time(plan, index, device)?;
                    known.insert(architecture.name.clone(), costs);
                    costs
                }
            };
            let passes = Passes::of(point, plan.draw(point));
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
    let pixels = Tensor::f_zeros([BATCH, 3, side, side], (Kind::Float, device))?;
    let labels = Tensor::f_zeros([BATCH], (Kind::Int64, device))?;
    let timed = |work: &mut dyn FnMut() -> Result<Tensor, TrainError>| -> Result<f64, TrainError> {
        // The first time memory is allocated and kernels are chosen.
        let _first = work()?;
        let begun = Instant::now();
        // Reading a value waits for the device.
        work()?.f_sum(Kind::Float)?.f_double_value(&[])?;
        Ok(begun.elapsed().as_secs_f64() / BATCH as f64)
    };
    let trained = match point.config.tune {
        Some(_) => timed(&mut || tuner.step(0, &pixels, &labels))?,
        None => 0.0,
    };
    let looked_at = timed(&mut || Ok(no_grad(|| tuner.classifier.features(&pixels, Mode::Eval))?))?;
    Ok(Costs { trained, looked_at, cut: cutting(u32::try_from(side).unwrap_or(1))? })
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
