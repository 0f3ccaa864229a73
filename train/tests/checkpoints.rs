//! What needs a process of its own: libtorch's generator and the memory high-water mark are the process's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail"
)]

use std::path::Path;

use pairmill_train::checkpoint::state::FORMAT;
use pairmill_train::checkpoint::{
    Checkpoint, Checkpoints, Keep, Name, State, export_weights, import_weights,
};
use pairmill_train::log::progress::peak_resident_bytes;
use pairmill_train::optim::{AdamW, AdamWConfig, Schedule, Shape};
use pairmill_train::torch::rng;
use pairmill_train::weights::{Init, Weights};
use tch::{Device, Kind, Tensor};

fn model(layers: usize, width: i64) -> (Weights, AdamW) {
    let weights = Weights::new(Device::Cpu);
    for layer in 0..layers {
        let scope = weights.root().part("transformer.resblocks").part(layer);
        let _ = scope.parameter("weight", &[width, width], Init::Normal { std: 1.0 }).unwrap();
    }
    let _ = weights.root().parameter("logit_scale", &[], Init::Constant(2.0)).unwrap();
    let optimizer = AdamW::new(&weights, AdamWConfig::for_model("ViT")).unwrap();
    (weights, optimizer)
}

/// Steps whose gradients come from libtorch's generator, so that its state matters too.
fn train(weights: &Weights, optimizer: &mut AdamW, steps: usize) {
    for _ in 0..steps {
        for weight in weights.parameters() {
            (&weight.tensor * weight.tensor.detach().randn_like()).sum(Kind::Float).backward();
        }
        optimizer.step(0.1, None).unwrap();
        optimizer.drop_gradients().unwrap();
    }
}

fn bits(weights: &Weights) -> Vec<u32> {
    let values = |tensor: &Tensor| Vec::<f32>::try_from(tensor.detach().reshape([-1])).unwrap();
    weights.all().iter().flat_map(|weight| values(&weight.tensor)).map(f32::to_bits).collect()
}

fn state(step: u64) -> State {
    State {
        format: FORMAT,
        tool: State::tool(),
        architecture: "test".into(),
        model: None,
        step,
        epoch: 0,
        samples_seen: step,
        seed: 1,
        world: 1,
        schedule: Schedule { base_lr: 1e-3, warmup_steps: 5, total_steps: 10, shape: Shape::Cosine },
        scaler: None,
        loader: serde_json::Value::Null,
        metrics: Default::default(),
        skipped_batches: 0,
        bad_in_a_row: 0,
        notes: Vec::new(),
        config: serde_json::Value::Null,
    }
}

fn a_resumed_run_goes_on_bit_for_bit(folder: &Path) {
    let all = Checkpoints::open(folder, Keep::default()).unwrap();
    rng::seed(7);
    let (weights, mut optimizer) = model(3, 16);
    train(&weights, &mut optimizer, 3);
    all.save(Name::Step(3), &weights, &optimizer, &state(3)).unwrap();
    let saved = bits(&weights);
    train(&weights, &mut optimizer, 3);
    let uninterrupted = bits(&weights);

    rng::seed(99);
    let (weights, mut optimizer) = model(3, 16);
    let found = Checkpoint::find(folder).unwrap();
    assert_eq!(found.state, state(3));
    found.restore(&weights, &optimizer).unwrap();
    assert_eq!(bits(&weights), saved);
    train(&weights, &mut optimizer, 3);
    assert_eq!(bits(&weights), uninterrupted);
}

/// Saving and loading 16 tensors of 4 MiB takes the room of one, not of all.
fn memory_is_that_of_the_largest_tensor(folder: &Path) {
    const TENSOR: u64 = 4 << 20;
    let Some(_) = peak_resident_bytes() else {
        eprintln!("SKIPPED: the system does not say how much memory a process takes");
        return;
    };
    let (weights, optimizer) = model(16, 1024);
    let path = folder.join("out.safetensors");
    let all = Checkpoints::open(folder, Keep::default()).unwrap();
    // Touch every page, and let libtorch set up what it keeps.
    let _ = bits(&model(1, 1024).0);
    let before = peak_resident_bytes().unwrap();
    let checkpoint = all.save(Name::Step(1), &weights, &optimizer, &state(1)).unwrap();
    Checkpoint::open(&checkpoint).unwrap().restore(&weights, &optimizer).unwrap();
    export_weights(&weights, &path).unwrap();
    import_weights(&path, &weights).unwrap();
    let more = peak_resident_bytes().unwrap() - before;
    eprintln!("saving and loading {} MiB took {} MiB more", 3 * 16 * 4, more >> 20);
    assert!(more <= 8 * TENSOR, "{} MiB", more >> 20);
}

// One after the other: both look at what belongs to the process.
#[test]
fn checkpoints_and_the_process() {
    let folder = tempfile::tempdir().unwrap();
    a_resumed_run_goes_on_bit_for_bit(&folder.path().join("a"));
    memory_is_that_of_the_largest_tensor(&folder.path().join("b"));
}
