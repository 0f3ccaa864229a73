//! `write_log FOLDER`: the log of a made-up run that is killed and resumed. What `tests/peers/read_tensorboard.py` reads.
#![allow(clippy::print_stderr, reason = "a command")]

use std::path::Path;
use std::process::ExitCode;

use pairmill_shards::atomic::FileError;
use pairmill_train::log::{EvalLine, StepLine, Target, TrainLog};

const STEPS: u64 = 300;
/// Step of the checkpoint that the second process resumes from, and the step at which the first one dies.
const RESUMED_AT: u64 = 120;
const KILLED_AT: u64 = 173;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: write_log FOLDER");
        return ExitCode::from(2);
    };
    let folder = Path::new(&folder);
    match run(folder, 0, KILLED_AT).and_then(|()| run(folder, RESUMED_AT, STEPS)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run(folder: &Path, resumed_at: u64, until: u64) -> Result<(), FileError> {
    let mut log = TrainLog::open(folder, resumed_at, STEPS, true, Target::stderr())?;
    for step in resumed_at + 1..=until {
        let progress = step as f64 / STEPS as f64;
        log.step(StepLine {
            step,
            epoch: progress * 2.0,
            samples_seen: step * 256,
            // Different in each process, so that a point of the killed one would show.
            loss: 5.5 * (-2.0 * progress).exp() + 1e-3 * resumed_at as f64,
            accuracy: progress,
            logit_scale: 14.3 + progress,
            lr: 1e-3 * (1.0 - progress),
            gradient_norm: (step % 2 == 0).then_some(0.5),
            loss_scale: None,
            samples_per_s: 1234.5,
            data_wait: 0.003,
            memory_bytes: Some(8_100_000_000),
            skipped: 0,
            skipped_batches: 0,
        })?;
        if step % 50 == 0 {
            let metrics =
                [("acc1".to_owned(), progress / 2.0), ("clip_val_loss".to_owned(), 5.0 - progress)].into();
            log.eval(EvalLine { step, epoch: progress * 2.0, metrics })?;
        }
    }
    log.sync()?;
    log.finish();
    Ok(())
}
