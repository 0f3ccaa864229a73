//! What can only be checked on the device itself, each as one JSON line; `bench/gpu.sh` runs it first.
//!
//! `device_checks DEVICE SHARDS [CHECK...]` with DEVICE `cpu` or `cuda`; `-CHECK` leaves one out. A check that fails says so in its line and the
//! next one runs; the exit code is 1 if any failed.
#![allow(clippy::print_stdout, reason = "an example that prints its result")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use pairmill_loader::{
    Dataset, DatasetConfig, HeapBuffer, ImageTransform, Loader, LoaderConfig, Order, SourceSpec,
};
use pairmill_tokens::{Tokenizer, Truncation};
use pairmill_train::eval::encode;
use pairmill_train::feed::{Feed, PixelBuffer};
use pairmill_train::model::{Architecture, Clip, Mode, Recompute};
use pairmill_train::objective::clip::Contrastive;
use pairmill_train::objective::features::{Alone, FeatureCache};
use pairmill_train::objective::normalise;
use pairmill_train::optim::{AdamW, AdamWConfig, Precision};
use pairmill_train::torch::flags::Flags;
use pairmill_train::torch::gradients::drop_gradients;
use pairmill_train::torch::group::{Buckets, Group, Reduce, Rendezvous, Store};
use pairmill_train::torch::memory::Readback;
use pairmill_train::torch::{cuda, rng};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

type Check = fn(&Place) -> anyhow::Result<Value>;

const CHECKS: [(&str, Check); 8] = [
    ("generator", generator),
    ("readback", readback),
    ("group_of_one", group_of_one),
    ("one_query_attention", one_query_attention),
    ("feed_race", feed_race),
    ("recompute", recompute),
    ("curve_fp32", curve_fp32),
    ("curve_bf16", curve_bf16),
];

struct Place {
    device: Device,
    shards: String,
}

fn main() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [device, shards, wanted @ ..] = words.as_slice() else {
        bail!("device_checks DEVICE SHARDS [CHECK...]");
    };
    let device = match device.as_str() {
        "cpu" => Device::Cpu,
        "cuda" if cuda::load() == &cuda::Cuda::Loaded && tch::Cuda::is_available() => Device::Cuda(0),
        other => bail!("{other}: no such device here"),
    };
    let place = Place { device, shards: shards.clone() };
    let mut code = ExitCode::SUCCESS;
    for (name, check) in CHECKS {
        let is_left_out = wanted.iter().any(|word| word.strip_prefix('-') == Some(name));
        let is_chosen =
            wanted.iter().all(|word| word.starts_with('-')) || wanted.iter().any(|word| word == name);
        if is_left_out || !is_chosen {
            continue;
        }
        let begun = Instant::now();
        let found = check(&place);
        let seconds = begun.elapsed().as_secs_f64();
        match found {
            Ok(found) => {
                println!("{}", json!({ "check": name, "ok": true, "seconds": seconds, "found": found }))
            }
            Err(error) => {
                code = ExitCode::FAILURE;
                println!(
                    "{}",
                    json!({ "check": name, "ok": false, "seconds": seconds, "error": format!("{error:#}") })
                );
            }
        }
    }
    Ok(code)
}

/// The device's generator goes on where it was put back.
fn generator(place: &Place) -> anyhow::Result<Value> {
    rng::seed(5);
    let state = rng::state(place.device)?;
    let draw = || Tensor::f_rand([1000], (Kind::Float, place.device));
    let first = draw()?;
    rng::set_state(place.device, &state)?;
    ensure!(draw()? == first, "other numbers after the state was put back");
    Ok(json!({ "state_bytes": state.numel() }))
}

/// Numbers that are asked for before work is queued are those of before.
fn readback(place: &Place) -> anyhow::Result<Value> {
    let mut value = Tensor::f_zeros([4], (Kind::Float, place.device))?;
    let big = Tensor::f_rand([2048, 2048], (Kind::Float, place.device))?;
    let mut late = Vec::new();
    for step in 0..20 {
        let _ = value.f_fill_(f64::from(step))?;
        let _work = big.f_matmul(&big)?;
        late.push(Readback::begin(&value)?);
    }
    for (step, back) in late.into_iter().enumerate() {
        let found = back.wait()?;
        ensure!(found == vec![step as f64; 4], "step {step} reads {found:?}");
    }
    Ok(json!({ "steps": 20 }))
}

/// Every collective of NCCL (Gloo on the CPU) with one rank, buckets and the shutdown.
fn group_of_one(place: &Place) -> anyhow::Result<Value> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let timeout = Duration::from_secs(30);
    let host = "127.0.0.1".to_owned();
    let store = Store::connect(&Rendezvous { host, port, rank: 0, world: 1, agent_attempt: None, timeout })?;
    let group = match place.device {
        Device::Cuda(index) => Group::nccl(&store, index)?,
        _ => Group::gloo(&store)?,
    };
    let ones = |shape: &[i64]| Tensor::f_ones(shape, (Kind::Float, place.device));
    let x = ones(&[3])?;
    group.all_reduce(&x, Reduce::Sum)?;
    group.broadcast(&x, 0)?;
    group.barrier()?;
    ensure!(group.all_gather(&x)? == [ones(&[3])?], "a gathered tensor differs");
    let params = [ones(&[5, 3])?.set_requires_grad(true), ones(&[])?.set_requires_grad(true)];
    let buckets = Buckets::new(&group, &params, 1 << 20)?;
    for _ in 0..3 {
        drop_gradients(&params)?;
        buckets.arm()?;
        (params[0].f_sum(Kind::Float)? * 2.0 + params[1].f_mul(&params[1])?).f_backward()?;
        buckets.finish()?;
    }
    ensure!(params[0].f_grad()? == ones(&[5, 3])? * 2.0, "a gradient differs");
    group.shutdown()?;
    Ok(json!({ "backend": if place.device.is_cuda() { "nccl" } else { "gloo" } }))
}

/// Attention with one query a sequence, forward and backward, in bf16 with and without cuDNN's, against f32.
fn one_query_attention(place: &Place) -> anyhow::Result<Value> {
    let mut found = serde_json::Map::new();
    for length in [50i64, 64, 77, 192] {
        let mask = Tensor::f_arange(length, (Kind::Int64, place.device))?
            .f_le(length / 2)?
            .f_view([1, 1, 1, length])?;
        let draw = |rows: i64| Tensor::f_randn([32, 8, rows, 64], (Kind::Float, place.device));
        let (q, k, v) = (draw(1)?, draw(length)?, draw(length)?);
        let run = |kind: Kind| -> anyhow::Result<Vec<Tensor>> {
            let leaf =
                |x: &Tensor| Ok::<_, tch::TchError>(x.f_to_kind(kind)?.f_detach()?.set_requires_grad(true));
            let all = [leaf(&q)?, leaf(&k)?, leaf(&v)?];
            let y = Tensor::f_scaled_dot_product_attention(
                &all[0],
                &all[1],
                &all[2],
                Some(&mask),
                0.0,
                false,
                None,
                false,
            )?;
            y.f_to_kind(Kind::Float)?.f_sum(Kind::Float)?.f_backward()?;
            let gradients = all.iter().map(|leaf| leaf.f_grad()?.f_to_kind(Kind::Float));
            let mut tensors = vec![y.f_detach()?.f_to_kind(Kind::Float)?];
            tensors.extend(gradients.collect::<Result<Vec<_>, _>>()?);
            Ok(tensors)
        };
        let exact = run(Kind::Float)?;
        for cudnn_attention in [false, true] {
            Flags { cudnn_attention, ..Flags::default() }.apply()?;
            let narrow = run(Kind::BFloat16);
            Flags::default().apply()?;
            let largest = narrow.and_then(|narrow| {
                let pairs = narrow.iter().zip(&exact);
                let far = pairs.map(|(a, b)| Ok((a - b).f_abs()?.f_max()?.f_double_value(&[])?));
                // A maximum that keeps NaN.
                far.collect::<anyhow::Result<Vec<f64>>>()
                    .map(|far| far.into_iter().fold(0.0, |a: f64, b| if b > a || b.is_nan() { b } else { a }))
            });
            let name =
                format!("{length} keys, {}", if cudnn_attention { "cuDNN allowed" } else { "without cuDNN" });
            match (cudnn_attention, largest) {
                (_, Ok(far)) if far < 0.05 => drop(found.insert(name, far.into())),
                // What the default keeps away is reported and is not a failure.
                (true, Ok(far)) => drop(found.insert(name, format!("off by {far}").into())),
                (true, Err(error)) => drop(found.insert(name, format!("{error:#}").into())),
                (false, Ok(far)) => bail!("{name}: off by {far}"),
                (false, Err(error)) => return Err(error.context(name)),
            }
        }
    }
    Ok(Value::Object(found))
}

/// Losses of `steps` on one batch from the same weights.
fn losses(
    place: &Place,
    model: &str,
    precision: Precision,
    recompute: Recompute,
    steps: usize,
) -> anyhow::Result<Vec<f64>> {
    rng::seed(3);
    let mut clip = Clip::new(&Architecture::find(model)?, place.device)?;
    clip.set_recompute(recompute);
    if place.device.is_cuda() {
        clip.weights().channels_last()?;
    }
    let mut optimiser = AdamW::new(clip.weights(), AdamWConfig::for_model(model))?;
    let mut scaler = precision.scaler(place.device)?;
    let (side, batch) = (clip.architecture().image_size(), 16);
    let pixels =
        Tensor::f_randn([batch, 3, side, side], (Kind::Float, Device::Cpu))?.f_to_device(place.device)?;
    let ids = Tensor::f_randint_low(1, 40_000, [batch, 15], (Kind::Int64, Device::Cpu))?;
    let end = Tensor::f_full([batch, 1], 49_407, (Kind::Int64, Device::Cpu))?;
    let tokens = Tensor::f_cat(&[ids, end], 1)?.f_to_device(place.device)?;
    let mut found = Vec::new();
    for _ in 0..steps {
        optimiser.drop_gradients()?;
        let [image, text] = {
            let _autocast = precision.autocast(place.device)?;
            [normalise(&clip.encode_image(&pixels, Mode::Train)?)?, normalise(&clip.encode_text(&tokens)?)?]
        };
        let mut cache = FeatureCache::new();
        cache.push([&image, &text])?;
        let factor = scaler.as_ref().map(|scaler| scaler.factor().shallow_clone());
        let solved = cache.solve(&Contrastive::new(clip.logit_scale()), &Alone, factor.as_ref())?;
        solved.backward(0, [&image, &text])?;
        optimiser.step(1e-3, scaler.as_mut())?;
        found.push(solved.loss.f_to_kind(Kind::Double)?.f_double_value(&[])?);
    }
    Ok(found)
}

const MODELS: [&str; 2] = ["rn-tiny", "vit-tiny"];

/// Recomputing the towers' insides changes no loss beyond rounding.
fn recompute(place: &Place) -> anyhow::Result<Value> {
    let mut found = serde_json::Map::new();
    for model in MODELS {
        let kept = losses(place, model, Precision::AmpBf16, Recompute::Never, 3)?;
        let again = losses(place, model, Precision::AmpBf16, Recompute::Blocks, 3)?;
        let far = kept.iter().zip(&again).map(|(a, b)| (a - b).abs() / a).fold(0.0, f64::max);
        ensure!(far < 0.02, "{model}: {kept:?} and {again:?}");
        found.insert(model.to_owned(), far.into());
    }
    Ok(Value::Object(found))
}

/// Fifty steps: the loss of one batch goes down and is a number throughout.
fn curve(place: &Place, precision: Precision) -> anyhow::Result<Value> {
    let mut found = serde_json::Map::new();
    for model in MODELS {
        let losses = losses(place, model, precision, Recompute::Never, 50)?;
        ensure!(losses.iter().all(|loss| loss.is_finite()), "{model}: {losses:?}");
        ensure!(losses[49] < 0.5 * losses[0], "{model} does not learn one batch: {losses:?}");
        found.insert(model.to_owned(), losses.into());
    }
    Ok(Value::Object(found))
}

fn curve_fp32(place: &Place) -> anyhow::Result<Value> {
    curve(place, Precision::Fp32)
}

fn curve_bf16(place: &Place) -> anyhow::Result<Value> {
    curve(place, Precision::AmpBf16)
}

/// What the feed brings to the device while it is busy is, byte for byte, what the loader read.
fn feed_race(place: &Place) -> anyhow::Result<Value> {
    const BATCHES: usize = 40;
    let config = LoaderConfig {
        batch_size: 16,
        order: Order::Sequential,
        epochs: None,
        image: ImageTransform::evaluation(96),
        ..LoaderConfig::default()
    };
    let open = || Dataset::open(&[SourceSpec::new(place.shards.as_str())], &DatasetConfig::default());
    let encode = encode(&Tokenizer::new()?, Truncation::default());
    let heap = HeapBuffer::pool(&config);
    let mut plain: Loader<HeapBuffer> = Loader::start(open()?, &config, Arc::clone(&encode), heap)?;
    let pinned = PixelBuffer::pool(config.prefetch.max(3), config.image_bytes(), place.device)?;
    let mut feed = Feed::new(Loader::start(open()?, &config, encode, pinned)?, &config, place.device)?;
    let busy = Tensor::f_rand([2048, 2048], (Kind::Float, place.device))?;
    for batch in 0..BATCHES {
        let expected = match plain.next()? {
            Some(expected) => expected,
            None => plain.next()?.ok_or_else(|| anyhow::anyhow!("the shards are empty"))?,
        };
        let Some(found) = feed.next()? else { bail!("the feed ended") };
        // The device works long after this batch would be given away.
        for _ in 0..4 {
            let _work = busy.f_matmul(&busy)?;
        }
        let sums = {
            let views = found.whole()?;
            [
                views.pixels.f_sum(Kind::Double)?,
                views.tokens.f_sum(Kind::Double)?,
                found.labels.f_sum(Kind::Double)?,
            ]
        };
        drop(found);
        feed.prefetch();
        let mean = |bytes: &[u8]| bytes.iter().map(|&byte| f64::from(byte)).sum::<f64>();
        let [pixels, tokens, _labels] = sums.map(|sum| sum.double_value(&[]));
        let statistics = pairmill_pixels::Normalisation::Clip;
        let pixels_of = |channel: usize| -> f64 {
            let bytes: Vec<u8> =
                expected.images.as_slice().iter().skip(channel).step_by(3).copied().collect();
            let (mean_of, std_of) = (statistics.mean()[channel], statistics.std()[channel]);
            (mean(&bytes) / 255.0 - mean_of * bytes.len() as f64) / std_of
        };
        let wanted: f64 = (0..3).map(pixels_of).sum();
        let count = expected.images.as_slice().len() as f64;
        ensure!(
            (pixels - wanted).abs() < 1e-4 * count,
            "batch {batch}: pixels sum to {pixels} instead of {wanted}"
        );
        let ids: f64 = expected.tokens.iter().map(|&id| f64::from(id)).sum();
        ensure!(tokens == ids, "batch {batch}: tokens sum to {tokens} instead of {ids}");
        plain.recycle(expected.images);
    }
    Ok(json!({ "batches": BATCHES }))
}
