//! What a user of the model would notice: clear refusals, and options that change cost but not values.

use std::path::Path;

use tch::{Device, Kind, Tensor, no_grad};

use super::*;
use crate::objective::normalise;
use crate::torch::autocast::Autocast;
use crate::torch::{gradients, rng};
use crate::weights::Role;

fn micro(name: &str) -> Architecture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity");
    Architecture::read(&folder.join(format!("{name}_micro.toml"))).unwrap()
}

/// A model whose every weight takes part (a fresh ResNet block is its shortcut alone).
fn model(name: &str) -> Clip {
    rng::seed(3);
    let clip = Clip::new(&micro(name), Device::Cpu).unwrap();
    for mut weight in clip.weights().parameters() {
        if weight.name.ends_with("bn3.weight") {
            let _ = no_grad(|| weight.tensor.fill_(1.0));
        }
    }
    clip
}

fn pixels(clip: &Clip) -> Tensor {
    let size = clip.architecture().image_size();
    Tensor::randn([3, 3, size, size], (Kind::Float, Device::Cpu))
}

fn tokens() -> Tensor {
    let rows = [[58i64, 4, 9, 33, 59, 0, 0, 0, 0, 0, 0, 0, 0], [58, 7, 59, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]];
    Tensor::from_slice2(&[rows[0], rows[1], [58, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 59]])
}

fn message<T: std::fmt::Debug>(result: Result<T, impl std::fmt::Display + std::fmt::Debug>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn architectures_are_found_by_open_clips_names_and_refused_with_reasons() {
    let quick = Architecture::find("vit-b-32-QuickGELU").unwrap();
    assert_eq!((quick.name.as_str(), quick.activation), ("ViT-B-32-quickgelu", Activation::QuickGelu));
    assert_eq!(Architecture::find("rn-tiny").unwrap().image_size(), 64);
    let unknown = message(Architecture::find("RN51"));
    assert!(
        unknown.contains("\"RN51\"") && unknown.contains("RN50, RN101") && unknown.contains(".toml"),
        "{unknown}"
    );

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let good = include_str!("../../models/vit_b_32.toml");
    let refused = |from: &str, to: &str| {
        assert!(good.contains(from));
        std::fs::write(&path, good.replace(from, to)).unwrap();
        message(Architecture::find(path.to_str().unwrap()))
    };
    let uneven = refused("patch_size = 32", "patch_size = 30");
    assert!(uneven.contains("image_size is 224, not a multiple of patch_size, 30"), "{uneven}");
    assert!(refused("heads = 8", "heads = 7").contains("text: width is 512, not a multiple of heads, 7"));
    assert!(refused("layers = 12\nwidth", "layers = 0\nwidth").contains("layers is 0"));
    let misspelt = refused("patch_size", "patch_sise");
    assert!(misspelt.contains("mine.toml") && misspelt.contains("patch_sise"), "{misspelt}");
    assert_eq!(misspelt.lines().count(), 1, "{misspelt}");
    let absent = message(Architecture::find("no/such.toml"));
    assert!(absent.contains("no/such.toml"), "{absent}");
}

#[test]
fn batches_of_another_shape_are_refused_with_the_right_one() {
    let clip = model("vit");
    let wrong =
        message(clip.encode_image(&Tensor::zeros([2, 3, 32, 32], (Kind::Float, Device::Cpu)), Mode::Eval));
    assert!(wrong.contains("N × 3 × 24 × 24") && wrong.contains("[2, 3, 32, 32]"), "{wrong}");
    let bytes = Tensor::zeros([2, 3, 24, 24], (Kind::Uint8, Device::Cpu));
    assert!(message(clip.encode_image(&bytes, Mode::Eval)).contains("Uint8"));
    let long = Tensor::zeros([2, 14], (Kind::Int64, Device::Cpu));
    assert!(message(clip.encode_text(&long)).contains("1 to 13"));
    let stranger = Tensor::from_slice2(&[[58i64, 60, 59]]);
    assert!(message(clip.encode_text(&stranger)).contains("index out of range"));
}

#[test]
fn a_checkpoint_of_another_model_changes_nothing_and_is_named_in_full() {
    let clip = model("vit");
    let before = clip.logit_scale().copy();
    let mut named: Vec<(String, Tensor)> =
        clip.weights().all().into_iter().map(|w| (w.name, w.tensor.detach().copy() + 1.0)).collect();
    named.retain(|(name, _)| name != "visual.proj" && name != "ln_final.bias");
    named.push(("visual.head".to_string(), before.copy()));
    for (name, tensor) in &mut named {
        if name == "text_projection" {
            *tensor = tensor.transpose(0, 1);
        }
    }
    let Err(ModelError::Assign(error)) = clip.assign(named) else { panic!("accepted") };
    assert_eq!((error.missing.len(), &error.unexpected[..]), (2, &["visual.head".to_string()][..]));
    let text = error.to_string();
    assert!(text.contains("missing ln_final.bias") || text.contains(", ln_final.bias"), "{text}");
    assert!(text.contains("text_projection ([12, 16] for [16, 12])"), "{text}");
    assert_eq!(*clip.logit_scale(), before);

    // All of them, in another type.
    let halved = clip.weights().all().into_iter().map(|w| (w.name, w.tensor.detach().to_kind(Kind::Half)));
    clip.assign(halved.collect::<Vec<_>>()).unwrap();
    assert!((clip.logit_scale() - before).abs().double_value(&[]) < 1e-3);
}

#[test]
fn recomputed_blocks_give_the_same_gradients_and_running_statistics() {
    for name in ["rn", "vit"] {
        let run = |recompute: Recompute, narrow: bool| {
            let mut clip = model(name);
            clip.set_recompute(recompute);
            let features = {
                let _autocast = narrow.then(|| Autocast::begin(Device::Cpu, Kind::BFloat16).unwrap());
                [
                    clip.encode_image(&pixels(&clip), Mode::Train).unwrap(),
                    clip.encode_text(&tokens()).unwrap(),
                ]
            };
            for view in &features {
                view.to_kind(Kind::Float).square().sum(Kind::Float).backward();
            }
            let mut all =
                features.map(|view| view.detach().to_kind(Kind::Float)).into_iter().collect::<Vec<_>>();
            for weight in clip.weights().all() {
                all.push(match weight.role {
                    Role::Parameter if weight.name == "logit_scale" => continue,
                    Role::Parameter => weight.tensor.grad(),
                    Role::Buffer => weight.tensor,
                });
            }
            all
        };
        for narrow in [false, true] {
            let (kept, again) = (run(Recompute::Never, narrow), run(Recompute::Blocks, narrow));
            assert_eq!(kept.len(), again.len());
            for (kept, again) in kept.iter().zip(&again) {
                assert!(kept.defined() && again.defined());
                let difference = (kept - again).to_kind(Kind::Float).norm().double_value(&[]);
                let norm = kept.to_kind(Kind::Float).norm().double_value(&[]);
                assert!(difference <= 1e-6 * norm + 1e-7, "{name} {narrow}: {difference} of {norm}");
            }
        }
    }
}

#[test]
fn a_replayed_batch_moves_no_running_statistics() {
    let clip = model("rn");
    let x = pixels(&clip);
    let state = || -> Vec<Tensor> {
        let buffers = clip.weights().all().into_iter().filter(|weight| weight.role == Role::Buffer);
        buffers.map(|weight| weight.tensor.copy()).collect()
    };
    let fresh = state();
    let first = no_grad(|| clip.encode_image(&x, Mode::Train).unwrap());
    let trained = state();
    assert!(fresh.iter().zip(&trained).all(|(a, b)| a != b));
    let second = no_grad(|| clip.encode_image(&x, Mode::Replay).unwrap());
    assert_eq!(first, second);
    assert_eq!(state(), trained);
    assert_ne!(no_grad(|| clip.encode_image(&x, Mode::Eval).unwrap()), first);
    assert_eq!(state(), trained);
}

#[test]
fn narrow_types_give_nearly_the_same_features() {
    for name in ["rn", "vit"] {
        let clip = model(name);
        let x = pixels(&clip);
        let encode = || {
            let image = clip.encode_image(&x, Mode::Train).unwrap();
            [image, clip.encode_text(&tokens()).unwrap()].map(|view| normalise(&view).unwrap())
        };
        let wide = no_grad(encode);
        let narrow = {
            let _autocast = Autocast::begin(Device::Cpu, Kind::BFloat16).unwrap();
            no_grad(encode)
        };
        for (wide, narrow) in wide.iter().zip(&narrow) {
            let cosine = (wide * narrow).sum_dim_intlist(1, false, Kind::Float).min().double_value(&[]);
            assert!(cosine > 0.99 && cosine < 0.999_999_9, "{name}: {cosine}");
        }
    }
}

#[test]
fn an_image_tower_stands_alone() {
    let Architecture { visual, activation, .. } = micro("rn");
    let weights = crate::weights::Weights::new(Device::Cpu);
    let tower = Visual::new(&weights.root().part("visual"), &visual, activation, 5).unwrap();
    let features =
        tower.encode(&Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu)), Mode::Train).unwrap();
    assert_eq!(features.size(), [2, 5]);
    features.square().sum(Kind::Float).backward();
    let all: Vec<Tensor> = weights.parameters().into_iter().map(|weight| weight.tensor).collect();
    assert!(all.iter().all(|weight| weight.grad().defined()));
    gradients::drop_gradients(&all).unwrap();
}
