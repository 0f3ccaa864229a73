//! A batch spread over ranks and micro-batches is the batch.

use std::ops::Range;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use tch::{Device, Kind, Reduction, Tensor, no_grad};

use super::clip::{Contrastive, clamp_logit_scale};
use super::features::{Alone, Exchange, FeatureCache, Solved};
use super::{FeatureLoss, normalise};
use crate::torch::TorchError;

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);
const WIDTHS: [i64; 2] = [6, 5];
const FEATURES: i64 = 8;

/// Towers of one matrix each, and a scale.
struct Towers {
    matrices: [Tensor; 2],
    logit_scale: Tensor,
}

impl Towers {
    fn new() -> Self {
        let matrix = |rows: i64| {
            let values: Vec<f32> =
                (0..rows * FEATURES).map(|i| ((i * 37 % 19) as f32 - 9.0) / 10.0).collect();
            Tensor::from_slice(&values).reshape([rows, FEATURES]).set_requires_grad(true)
        };
        let scale = Tensor::from_slice(&[2.0f32]).squeeze().set_requires_grad(true);
        Self { matrices: WIDTHS.map(matrix), logit_scale: scale }
    }

    fn encode(&self, inputs: [&Tensor; 2]) -> [Tensor; 2] {
        [0, 1].map(|i| normalise(&inputs[i].matmul(&self.matrices[i])).unwrap())
    }

    fn gradients(&self) -> Vec<Tensor> {
        let [image, text] = &self.matrices;
        [image, text, &self.logit_scale].iter().map(|weight| weight.grad().copy()).collect()
    }
}

fn inputs(count: i64) -> [Tensor; 2] {
    WIDTHS.map(|width| {
        let values: Vec<f32> =
            (0..count * width).map(|i| ((i * i * 31 + i * 7) % 101) as f32 / 50.0 - 1.0).collect();
        Tensor::from_slice(&values).reshape([count, width])
    })
}

/// Threads that play ranks.
struct Simulated {
    rank: usize,
    world: usize,
    slots: Arc<Mutex<Vec<Option<Tensor>>>>,
    barrier: Arc<Barrier>,
}

impl Simulated {
    fn all(&self, mine: &Tensor) -> Vec<Tensor> {
        self.slots.lock().unwrap()[self.rank] = Some(mine.copy());
        self.barrier.wait();
        let all = self.slots.lock().unwrap().iter().map(|slot| slot.as_ref().unwrap().copy()).collect();
        self.barrier.wait();
        all
    }
}

impl Exchange for Simulated {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world(&self) -> usize {
        self.world
    }

    fn gather(&self, local: &Tensor) -> Result<Tensor, TorchError> {
        Ok(Tensor::cat(&self.all(local), 0))
    }

    fn sum(&self, tensor: &Tensor) -> Result<(), TorchError> {
        let total = Tensor::stack(&self.all(tensor), 0).sum_dim_intlist(0, false, Kind::Float);
        no_grad(|| tensor.shallow_clone().copy_(&total));
        Ok(())
    }
}

/// One step of a rank whose samples are `rows`, in micro-batches of `micro`.
fn rank_step(exchange: &impl Exchange, rows: Range<i64>, micro: i64, total: i64) -> (f64, Vec<Tensor>) {
    let (towers, [images, texts]) = (Towers::new(), inputs(total));
    let batches: Vec<[Tensor; 2]> = (rows.start..rows.end)
        .step_by(micro as usize)
        .map(|start| [images.narrow(0, start, micro), texts.narrow(0, start, micro)])
        .collect();
    let mut cache = FeatureCache::new();
    for [image, text] in &batches {
        let [image, text] = no_grad(|| towers.encode([image, text]));
        cache.push([&image, &text]).unwrap();
    }
    let solved: Solved = cache.solve(&Contrastive::new(&towers.logit_scale), exchange, None).unwrap();
    for (i, [image, text]) in batches.iter().enumerate() {
        let [image, text] = towers.encode([image, text]);
        solved.backward(i, [&image, &text]).unwrap();
    }
    // Data parallel training averages the gradients of parameters, and the reported loss is the mean over ranks.
    let mean = |tensor: Tensor| {
        exchange.sum(&tensor).unwrap();
        tensor / exchange.world() as f64
    };
    let gradients = towers.gradients().into_iter().map(mean).collect();
    (mean(solved.loss.copy()).double_value(&[]), gradients)
}

/// The definition, in one graph.
fn reference(total: i64) -> (f64, Vec<Tensor>) {
    let (towers, [images, texts]) = (Towers::new(), inputs(total));
    let [image, text] = towers.encode([&images, &texts]);
    let logits = towers.logit_scale.exp() * image.matmul(&text.transpose(0, 1));
    let rows = |logits: Tensor| -logits.log_softmax(1, Kind::Float).diagonal(0, 0, 1).mean(Kind::Float);
    let loss = (rows(logits.shallow_clone()) + rows(logits.transpose(0, 1))) / 2.0;
    loss.backward();
    (loss.double_value(&[]), towers.gradients())
}

fn same(found: &(f64, Vec<Tensor>), expected: &(f64, Vec<Tensor>)) {
    assert!((found.0 - expected.0).abs() < 1e-6, "loss {} for {}", found.0, expected.0);
    for (found, expected) in found.1.iter().zip(&expected.1) {
        assert!(expected.abs().max().double_value(&[]) > 1e-3, "a gradient that proves little");
        let difference = (found - expected).abs().max().double_value(&[]);
        assert!(difference < 1e-6, "gradient off by {difference}");
    }
}

#[test]
fn one_process_gives_the_gradients_of_the_definition() {
    same(&rank_step(&Alone, 0..12, 12, 12), &reference(12));
    same(&rank_step(&Alone, 0..12, 3, 12), &reference(12));
}

#[test]
fn four_ranks_with_three_micro_batches_are_one_batch() {
    let (world, micro, accumulation) = (4, 2, 3);
    let local = micro * accumulation;
    let total = local * world as i64;
    let slots = Arc::new(Mutex::new((0..world).map(|_| None).collect()));
    let barrier = Arc::new(Barrier::new(world));
    let ranks: Vec<_> = (0..world)
        .map(|rank| {
            let exchange =
                Simulated { rank, world, slots: Arc::clone(&slots), barrier: Arc::clone(&barrier) };
            let start = rank as i64 * local;
            thread::spawn(move || rank_step(&exchange, start..start + local, micro, total))
        })
        .collect();
    let expected = reference(total);
    for rank in ranks {
        same(&rank.join().unwrap(), &expected);
    }
}

#[test]
fn a_loss_scale_multiplies_gradients_and_not_the_loss() {
    let [image, text] = Towers::new().encode([&inputs(4)[0], &inputs(4)[1]]);
    let step = |scale: Option<f64>| {
        let leaf = image.detach().copy().set_requires_grad(true);
        let logit_scale = Tensor::from_slice(&[1.5f32]).squeeze().set_requires_grad(true);
        let mut cache = FeatureCache::new();
        cache.push([&leaf, &text]).unwrap();
        let scale = scale.map(|value| Tensor::from(value).to_kind(Kind::Float));
        let solved = cache.solve(&Contrastive::new(&logit_scale), &Alone, scale.as_ref()).unwrap();
        solved.backward(0, [&(&leaf * 1.0), &(&leaf * 0.0)]).unwrap();
        (solved.loss, leaf.grad(), logit_scale.grad())
    };
    let (plain, scaled) = (step(None), step(Some(1024.0)));
    assert_eq!(plain.0, scaled.0);
    assert_eq!(plain.1 * 1024.0, scaled.1);
    assert_eq!(plain.2 * 1024.0, scaled.2);
}

#[test]
fn accuracy_counts_the_rows_that_find_their_own() {
    let eye = Tensor::eye(4, CPU);
    // Captions 0 and 1 change places: pictures 0 and 1 find the wrong one.
    let swapped = eye.index_select(0, &Tensor::from_slice(&[1i64, 0, 2, 3]));
    let scale = Tensor::from_slice(&[4.0f32]).squeeze().set_requires_grad(true);
    let outcome = Contrastive::new(&scale).on_features([&eye, &swapped], 1..4).unwrap();
    for accuracy in outcome.accuracy {
        assert!((accuracy.double_value(&[]) - 2.0 / 3.0).abs() < 1e-6);
    }
    let labels = Tensor::from_slice(&[1i64, 2, 3]);
    let logits = scale.exp() * eye.narrow(0, 1, 3).matmul(&swapped.transpose(0, 1));
    let expected = logits.cross_entropy_loss(&labels, None::<&Tensor>, Reduction::Mean, -100, 0.0);
    assert!((outcome.loss - expected).abs().double_value(&[]) < 1e-6, "both directions are alike here");
}

#[test]
fn the_scale_stays_between_one_and_a_hundred() {
    for (before, after) in [(-0.5f32, 0.0f32), (3.0, 3.0), (9.0, 100f32.ln())] {
        let scale = Tensor::from_slice(&[before]).squeeze().set_requires_grad(true);
        clamp_logit_scale(&scale).unwrap();
        assert!((scale.double_value(&[]) as f32 - after).abs() < 1e-6);
        assert!(scale.requires_grad());
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let scale = Tensor::from_slice(&[1.0f32]).squeeze();
    let loss = Contrastive::new(&scale);
    let (four, three) = (Tensor::zeros([4, 2], CPU), Tensor::zeros([3, 2], CPU));
    assert!(loss.on_features([&four, &three], 0..3).is_err());
    assert!(loss.on_features([&four, &four], 2..5).is_err());
    assert!(FeatureCache::new().push([&four, &three]).is_err());
    assert!(FeatureCache::new().solve(&loss, &Alone, None).is_err());
}
