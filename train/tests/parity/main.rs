//! The model against open_clip 3.3.0 on the same libtorch: features, loss and every gradient, from weights that a
//! formula gives to both. `dump.py` made the fixtures; no Python is needed to run this.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail"
)]

mod formula;
mod transfer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pairmill_train::checkpoint::{Resized, export_weights, import_weights};
use pairmill_train::model::{Activation, Architecture, Clip, Mode, trimmed};
use pairmill_train::objective::clip::{Contrastive, clamp_logit_scale};
use pairmill_train::objective::features::{Alone, FeatureCache};
use pairmill_train::objective::normalise;
use pairmill_train::optim::{AdamW, AdamWConfig, Schedule, Shape};
use pairmill_train::torch::flags::Flags;
use pairmill_train::torch::{cuda, layout, rng};
use pairmill_train::weights::{Role, Weights};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor, no_grad};

use formula::{DIGEST, digest};

/// Largest difference of a feature, of order 1/4 before normalising; on the CPU.
const FEATURE: f64 = 1e-5;
/// How many times as far apart f32 may be on a GPU, which sums in another order than the CPU that made the fixtures.
const ON_GPU: f64 = 10.0;
/// Largest difference of a gradient, relative to its norm.
const GRADIENT: f64 = 1e-4;
const BATCH: usize = 4;

/// Number of samples a fixture was made with; the formula's first ones.
fn batch(expected: &BTreeMap<String, Tensor>) -> usize {
    expected["image_features"].size()[0] as usize
}

/// A file beside this one. `PAIRMILL_PARITY` names the folder where the binary was built elsewhere.
fn here(file: &str) -> PathBuf {
    let folder = std::env::var_os("PAIRMILL_PARITY").map(PathBuf::from);
    folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity")).join(file)
}

/// Where the models compute: on the CPU, or with `PAIRMILL_TEST_DEVICE=cuda` on a GPU, without TF32.
fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    *DEVICE.get_or_init(|| match std::env::var("PAIRMILL_TEST_DEVICE").as_deref() {
        Err(_) | Ok("cpu") => Device::Cpu,
        Ok("cuda") => {
            assert_eq!(cuda::load(), &cuda::Cuda::Loaded);
            assert!(tch::Cuda::is_available(), "PAIRMILL_TEST_DEVICE=cuda, but there is no GPU");
            Flags { tf32: false, cudnn_benchmark: false, ..Flags::default() }.apply().unwrap();
            Device::Cuda(0)
        }
        Ok(other) => panic!("PAIRMILL_TEST_DEVICE={other}: cpu or cuda"),
    })
}

/// The bound of a difference in f32 on the device of the test.
fn bound(on_cpu: f64) -> f64 {
    if device().is_cuda() { on_cpu * ON_GPU } else { on_cpu }
}

fn fixture(name: &str) -> BTreeMap<String, Tensor> {
    Tensor::read_safetensors(here(&format!("fixtures/{name}.safetensors"))).unwrap().into_iter().collect()
}

fn micro(name: &str) -> Architecture {
    Architecture::read(&here(&format!("{name}.toml"))).unwrap()
}

/// A model whose weights are the formula's.
fn filled(architecture: &Architecture) -> Clip {
    let clip = Clip::new(architecture, device()).unwrap();
    let all = clip.weights().all();
    clip.assign(all.into_iter().map(|weight| {
        let value = match weight.tensor.kind() {
            Kind::Float => formula::weight(&weight.name, &weight.tensor.size()),
            _ => weight.tensor,
        };
        (weight.name, value)
    }))
    .unwrap();
    clip
}

/// Turns every f32 weight into f64, so that rounding stays far below what a test compares: in f32 it grows a
/// thousandfold in a hundred steps, and differs from one kind of processor to the next.
fn to_double(weights: &Weights) {
    for mut weight in weights.all().into_iter().filter(|weight| weight.tensor.kind() == Kind::Float) {
        let values = no_grad(|| weight.tensor.detach().to_kind(Kind::Double));
        weight.tensor.f_set_data(&values).unwrap();
    }
}

fn inputs(clip: &Clip, count: usize) -> (Tensor, Tensor) {
    let text = &clip.architecture().text;
    let tokens = formula::tokens(count, text.context_length as usize, text.vocab_size as usize);
    let pixels = formula::pixels(count, clip.architecture().image_size() as usize);
    (pixels.to_device(device()), tokens.to_device(device()))
}

fn largest(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a.to_device(Device::Cpu) - b.to_device(Device::Cpu)).abs().max().double_value(&[])
}

/// `tolerance` is the CPU's.
fn near(what: &str, ours: &Tensor, theirs: &Tensor, tolerance: f64) {
    let tolerance = bound(tolerance);
    let difference = largest(&ours.detach().to_kind(Kind::Float), theirs);
    assert!(difference <= tolerance, "{what}: {difference:e}");
}

/// Features of both towers with the running statistics of batch norm, raw and normalised.
fn check_features(clip: &Clip, expected: &BTreeMap<String, Tensor>) {
    let (pixels, tokens) = inputs(clip, batch(expected));
    let (image, text) =
        no_grad(|| (clip.encode_image(&pixels, Mode::Eval).unwrap(), clip.encode_text(&tokens).unwrap()));
    for (name, ours) in [("image_features", &image), ("text_features", &text)] {
        let theirs = &expected[name];
        let size = theirs.abs().max().double_value(&[]);
        assert!((0.02..10.0).contains(&size), "{name} of a size that proves little: {size}");
        near(name, ours, theirs, FEATURE);
        near(name, &normalise(ours).unwrap(), &normalise(theirs).unwrap(), FEATURE);
    }
}

/// One batch forward and backward, as the trainer does it.
fn step(clip: &Clip, pixels: &Tensor, tokens: &Tensor) -> (Tensor, Tensor, Tensor) {
    let image = normalise(&clip.encode_image(pixels, Mode::Train).unwrap()).unwrap();
    let text = normalise(&clip.encode_text(tokens).unwrap()).unwrap();
    let mut cache = FeatureCache::new();
    cache.push([&image, &text]).unwrap();
    let solved = cache.solve(&Contrastive::new(clip.logit_scale()), &Alone, None).unwrap();
    solved.backward(0, [&image, &text]).unwrap();
    (image, text, solved.loss)
}

fn check_step(clip: &Clip, expected: &BTreeMap<String, Tensor>) {
    // In f64, so that rounding is the same on every kind of processor.
    to_double(clip.weights());
    let (pixels, tokens) = inputs(clip, batch(expected));
    let (image, text, loss) = step(clip, &pixels.to_kind(Kind::Double), &tokens);
    near("image features in training", &image, &expected["train_image_features"], FEATURE);
    near("text features in training", &text, &expected["train_text_features"], FEATURE);
    near("loss", &loss, &expected["loss"], FEATURE);
    let mut weights = clip.weights().all();
    weights.sort_by(|a, b| a.name.cmp(&b.name));
    let gradients = weights.iter().filter(|weight| weight.role == Role::Parameter);
    check_digests(
        gradients.map(|weight| (weight.name.as_str(), weight.tensor.grad())),
        &expected["gradients"],
    );
    let running = weights.iter().filter(|weight| weight.name.contains("running"));
    if let Some(theirs) = expected.get("running") {
        check_digests(running.map(|weight| (weight.name.as_str(), weight.tensor.shallow_clone())), theirs);
    }
    for counter in weights.iter().filter(|weight| weight.name.ends_with("num_batches_tracked")) {
        assert_eq!(counter.tensor.int64_value(&[]), 1, "{}", counter.name);
    }
}

/// Digests in the order of names. A key's bias has no gradient but rounding (softmax does not see what it adds).
fn check_digests<'a>(ours: impl Iterator<Item = (&'a str, Tensor)>, theirs: &Tensor) {
    let theirs: Vec<Vec<f64>> = Vec::try_from(theirs).unwrap();
    let mut count = 0;
    for ((name, tensor), expected) in ours.zip(&theirs) {
        let found = digest(name, &tensor.to_device(Device::Cpu));
        count += 1;
        let norm = expected[0];
        if name.ends_with("attnpool.k_proj.bias") {
            assert!(found[0] < 1e-6 && norm < 1e-6, "{name}: {} {norm}", found[0]);
            continue;
        }
        assert!(norm > 0.0, "{name} has no gradient");
        for i in 0..DIGEST {
            let difference = (found[i] - expected[i]).abs() / norm;
            assert!(
                difference <= GRADIENT,
                "{name}: number {i} of the digest is off by {difference:e} of the norm"
            );
        }
    }
    assert_eq!(count, theirs.len());
}

/// Every entry of the state dictionary: what open_clip's strict loading compares, and whether it learns.
fn check_names(name: &str, clip: &Clip) {
    let text = std::fs::read_to_string(here("fixtures/shapes.json")).unwrap();
    let shapes: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let expected = &shapes[name];
    let mut weights = clip.weights().all();
    weights.sort_by(|a, b| a.name.cmp(&b.name));
    let listing: String = weights
        .iter()
        .map(|weight| {
            let role = if weight.role == Role::Parameter { "parameter" } else { "buffer" };
            format!("{} {role} {:?}\n", weight.name, weight.tensor.size())
        })
        .collect();
    assert_eq!(clip.weights().num_parameters() as u64, expected["parameters"].as_u64().unwrap(), "{name}");
    let hash: String = Sha256::digest(listing).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, expected["sha256"].as_str().unwrap(), "{name} differs in a name, role or shape");
}

#[test]
fn micro_models_give_open_clips_gradients_value_by_value() {
    for name in ["rn_micro", "vit_micro"] {
        let (clip, expected) = (filled(&micro(name)), fixture(name));
        check_features(&clip, &expected);
        check_step(&clip, &expected);
        for weight in
            clip.weights().parameters().iter().filter(|weight| !weight.name.ends_with("k_proj.bias"))
        {
            let theirs = &expected[&format!("gradient.{}", weight.name)];
            let difference = (weight.tensor.grad().to_device(Device::Cpu) - theirs).norm().double_value(&[]);
            let norm = theirs.norm().double_value(&[]);
            assert!(difference <= GRADIENT * norm, "{name} {}: {difference:e} of {norm:e}", weight.name);
        }
    }
}

/// Largest difference of a loss in many steps in f64, relative.
const TRAINED: f64 = 1e-8;

#[test]
fn a_hundred_steps_follow_open_clips_losses() {
    const STEPS: u64 = 100;
    const BATCH: i64 = 8;
    const BATCHES: i64 = 4;
    // Small f64 operations gain nothing from threads.
    tch::set_num_threads(1);
    for name in ["rn_micro", "vit_micro"] {
        let clip = filled(&micro(name));
        to_double(clip.weights());
        let losses = Vec::<f64>::try_from(&fixture(name)["losses"]).unwrap();
        assert_eq!(losses.len() as u64, STEPS);
        let (pixels, tokens) = inputs(&clip, (BATCH * BATCHES) as usize);
        let pixels = pixels.to_kind(Kind::Double);
        let config = AdamWConfig { weight_decay: 0.2, ..AdamWConfig::for_model("vit") };
        let mut optimiser = AdamW::new(clip.weights(), config).unwrap();
        let schedule = Schedule { base_lr: 5e-4, warmup_steps: 10, total_steps: STEPS, shape: Shape::Cosine };
        for (at, theirs) in (0..STEPS).zip(losses) {
            optimiser.drop_gradients().unwrap();
            let from = at as i64 % BATCHES * BATCH;
            let (_, _, loss) = step(&clip, &pixels.narrow(0, from, BATCH), &tokens.narrow(0, from, BATCH));
            optimiser.step(schedule.lr(at), None).unwrap();
            clamp_logit_scale(clip.logit_scale()).unwrap();
            let ours = loss.double_value(&[]);
            assert!((ours - theirs).abs() <= TRAINED * theirs, "{name}, step {at}: {ours} and {theirs}");
        }
    }
}

#[test]
fn tiny_models_agree_with_open_clip() {
    for name in ["rn-tiny", "vit-tiny"] {
        let (clip, expected) = (filled(&Architecture::find(name).unwrap()), fixture(&name.replace('-', "_")));
        check_features(&clip, &expected);
        check_step(&clip, &expected);
    }
}

#[test]
fn rn50_with_quickgelu_agrees_with_open_clip() {
    let clip = filled(&Architecture::find("RN50-quickgelu").unwrap());
    let expected = fixture("RN50-quickgelu");
    check_names("RN50", &clip);
    check_features(&clip, &expected);
    check_step(&clip, &expected);
}

#[test]
fn vit_b_32_agrees_with_open_clip() {
    let clip = filled(&Architecture::find("ViT-B-32").unwrap());
    let expected = fixture("ViT-B-32");
    check_names("ViT-B-32", &clip);
    check_features(&clip, &expected);
    check_step(&clip, &expected);
}

#[test]
fn the_other_activation_agrees_too() {
    for name in ["RN50", "ViT-B-32-quickgelu"] {
        check_features(&filled(&Architecture::find(name).unwrap()), &fixture(name));
    }
}

#[test]
fn names_roles_and_shapes_of_the_others_are_open_clips() {
    for name in ["RN101", "RN50x4", "ViT-B-16"] {
        let architecture = Architecture::find(name).unwrap();
        assert_eq!(architecture.activation, Activation::Gelu);
        check_names(name, &Clip::new(&architecture, Device::Cpu).unwrap());
    }
}

/// Fresh weights have open_clip's distributions: constants exactly, the others by spread and by the largest magnitude,
/// which tells a uniform (√3 standard deviations) from a normal (more).
#[test]
fn fresh_weights_are_drawn_as_open_clip_draws() {
    for name in ["rn-tiny", "vit-tiny"] {
        rng::seed(7);
        let clip = Clip::new(&Architecture::find(name).unwrap(), Device::Cpu).unwrap();
        let theirs: Vec<Vec<f64>> =
            Vec::try_from(&fixture(&name.replace('-', "_"))["initial"].to_kind(Kind::Double)).unwrap();
        let mut weights = clip.weights().parameters();
        weights.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(weights.len(), theirs.len());
        for (weight, theirs) in weights.iter().zip(&theirs) {
            let values = weight.tensor.detach().to_kind(Kind::Double).view(-1);
            let number = |t: Tensor| t.double_value(&[]);
            let (mean, std) = (number(values.mean(Kind::Double)), number(values.std(false)));
            let largest = number(values.abs().max());
            let count = values.numel() as f64;
            if theirs[1] == 0.0 {
                assert!((mean - theirs[0]).abs() < 1e-6 && std < 1e-6, "{} is not constant", weight.name);
                continue;
            }
            // Five standard errors of the difference of two samples.
            assert!(
                (mean - theirs[0]).abs() < 5.0 * theirs[1] * (2.0 / count).sqrt(),
                "{} mean",
                weight.name
            );
            assert!(
                (std / theirs[1] - 1.0).abs() < 5.0 / count.sqrt(),
                "{}: {std} {}",
                weight.name,
                theirs[1]
            );
            if count > 500.0 {
                let uniform = |largest: f64, std: f64| largest / std < 1.9;
                assert_eq!(
                    uniform(largest, std),
                    uniform(theirs[2], theirs[1]),
                    "{} has another shape",
                    weight.name
                );
            }
        }
    }
}

#[test]
fn layout_and_padding_change_no_feature() {
    for name in ["rn_micro", "vit_micro"] {
        let clip = filled(&micro(name));
        let (pixels, tokens) = inputs(&clip, BATCH);
        let tokens = tokens.narrow(0, 2, 2);
        let encode = |pixels: &Tensor, tokens: &Tensor| {
            no_grad(|| (clip.encode_image(pixels, Mode::Train).unwrap(), clip.encode_text(tokens).unwrap()))
        };
        let (image, text) = encode(&pixels, &tokens);
        let short = trimmed(&tokens).unwrap();
        assert_eq!(short.size(), [2, 8], "the longer of these texts has 7 tokens of 13");
        clip.weights().channels_last().unwrap();
        let (turned, cut) = encode(&layout::channels_last(&pixels).unwrap(), &short);
        // Another layout sums convolutions in another order: as far apart as from open_clip.
        near("channels-last", &turned, &image, FEATURE);
        near("trimmed", &cut, &text, 1e-6);
    }
}

#[test]
fn position_embeddings_for_another_image_size_are_open_clips() {
    let expected = fixture("resized");
    let name = "visual.positional_embedding";
    let folder = tempfile::tempdir().unwrap();
    let weights_of = |architecture: &str| {
        let path = folder.path().join(format!("{architecture}.safetensors"));
        export_weights(filled(&micro(architecture)).weights(), &path).unwrap();
        path
    };
    let file = weights_of("vit_micro");
    for (pixels, to) in [(16, 2), (40, 5)] {
        let clip = Clip::new(&micro("vit_micro").with_image_size(pixels).unwrap(), Device::Cpu).unwrap();
        assert_eq!(import_weights(&file, clip.weights()).unwrap(), Some(Resized { from: 3, to }));
        for weight in clip.weights().all() {
            let theirs = match weight.name == name {
                true => expected[&pixels.to_string()].shallow_clone(),
                false => formula::weight(&weight.name, &weight.tensor.size()),
            };
            near(&weight.name, &weight.tensor, &theirs, if weight.name == name { 1e-7 } else { 0.0 });
        }
    }
    let clip = Clip::new(&micro("vit_micro"), Device::Cpu).unwrap();
    assert_eq!(import_weights(&file, clip.weights()).unwrap(), None, "nothing to resize");
    // open_clip resizes no attention pool, and neither do we.
    let other = micro("rn_micro");
    let larger = other.image_size() * 2;
    let clip = Clip::new(&other.with_image_size(larger).unwrap(), Device::Cpu).unwrap();
    let message = import_weights(&weights_of("rn_micro"), clip.weights()).unwrap_err().to_string();
    assert!(message.contains("visual.attnpool.positional_embedding"), "{message}");
}
