//! Times training steps on one batch again and again, or fed from shards: the trainer's side of `bench/step.py`.
//!
//! `step_bench MODEL BATCH PRECISION DEVICE STEPS (fixed|fed) SHARDS [KEY=VALUE...]` prints one JSON object.
#![allow(clippy::print_stdout, reason = "an example that prints its result")]

use std::path::Path;
use std::time::Instant;

use pairmill_train::config::TrainConfig;
use pairmill_train::launch::Launch;
use pairmill_train::log::progress::peak_resident_bytes;
use pairmill_train::ranks::{Meeting, number};
use pairmill_train::torch::profile::Profile;
use pairmill_train::torch::{cuda, memory};
use pairmill_train::trainer::setup::prepare;
use toml::Table;

/// Steps that are recorded for `STEP_BENCH_TRACE`, after those that are timed.
const TRACED: usize = 3;

/// Steps before the clock starts: caches fill, algorithms are chosen. `STEP_BENCH_WARM_UP` says another number.
fn warm_up() -> usize {
    std::env::var("STEP_BENCH_WARM_UP").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

fn main() -> anyhow::Result<()> {
    cuda::load();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [model, batch, precision, device, steps, how, shards, more @ ..] = words.as_slice() else {
        anyhow::bail!("step_bench MODEL BATCH PRECISION DEVICE STEPS (fixed|fed) SHARDS [KEY=VALUE...]");
    };
    let mut text = format!(
        "model = {model:?}\nbatch_size = {batch}\nduration = 1000000\nprecision = {precision:?}\n\
         optim = {{ lr = 1e-4, warmup = 10, weight_decay = 0.1 }}\ndata = {{ sources = [{{ shards = {shards:?} }}] }}\n\
         runtime.device = {device:?}\n"
    );
    for setting in more {
        text.push_str(setting);
        text.push('\n');
    }
    let config = TrainConfig::from_layers(vec![("step_bench".into(), text.parse::<Table>()?)])?;
    let steps: usize = steps.parse()?;
    let warm = warm_up();
    let folder = std::env::temp_dir().join(format!("pairmill-step-bench-{}", std::process::id()));
    let launch = Launch::from_env()?;
    let meeting = Meeting::open(&launch)?;
    let mut setup = prepare(&config, &folder, &launch, &meeting)?;
    let next = |setup: &mut pairmill_train::trainer::setup::Setup| -> anyhow::Result<_> {
        setup.feed.next()?.ok_or_else(|| anyhow::anyhow!("the shards are empty"))
    };
    let fixed = next(&mut setup)?;
    let fed = how == "fed";
    let mut loss = f64::NAN;
    let (mut begun, mut cpu, mut waited) = (Instant::now(), cpu_s(), setup.feed.waited());
    for step in 0..warm + steps {
        if step == warm {
            (begun, cpu, waited) = (Instant::now(), cpu_s(), setup.feed.waited());
        }
        let fresh = if fed { Some(next(&mut setup)?) } else { None };
        let batch = fresh.as_ref().unwrap_or(&fixed);
        let outcome = setup.stepper.step(batch, config.accum_freq, 1e-4, &setup.ranks)?;
        if fed {
            setup.feed.prefetch();
        }
        if step + 1 == warm || step + 1 == warm + steps {
            // Waits for the device.
            loss = number(&outcome.loss)?;
        }
    }
    let wall_s = begun.elapsed().as_secs_f64();
    let samples = (steps * config.batch_size) as f64;
    let cpu_s_per_sample = (cpu_s() - cpu) / samples;
    let wait_share = (setup.feed.waited() - waited).as_secs_f64() / wall_s;
    if let Some(path) = std::env::var_os("STEP_BENCH_TRACE") {
        let profile = Profile::begin(setup.device)?;
        for _ in 0..TRACED {
            setup.stepper.step(&fixed, config.accum_freq, 1e-4, &setup.ranks)?;
        }
        // Kernels that are still queued belong to the steps.
        number(setup.stepper.model.logit_scale())?;
        profile.save(Path::new(&path))?;
    }
    let report = serde_json::json!({
        "tool": "pairmill",
        "model": model,
        "batch": config.batch_size,
        "precision": precision,
        "feed": how,
        "samples_per_s": samples / wall_s,
        "cpu_s_per_sample": cpu_s_per_sample,
        "wait_share": wait_share,
        "peak_bytes": memory::peak_bytes(setup.device).or_else(peak_resident_bytes),
        "loss": loss,
        "text_positions": fixed.part(0, config.batch_size)?.tokens.size().last(),
    });
    println!("{report}");
    Ok(())
}

/// User and system seconds of this process so far.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    // USER_HZ is 100 on every Linux there is.
    ticks / 100.0
}
