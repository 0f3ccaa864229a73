//! The `pairmill-train` command: arguments in, exit code out; all work is in the library.

mod command;

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::{CommandFactory, Parser};
use pairmill_pixels::Normalisation;
use pairmill_shards::printable::{
    error_line, is_command_line_plain, printable, printable_json, printable_lines,
};
use pairmill_tokens::{Tokenizer, lines};
use pairmill_train::args::{
    Cli, Command, CurveArgs, EvaluateArgs, ExportArgs, ImportArgs, RunArgs, TokenizeArgs,
};
use pairmill_train::config::RECIPES;
use pairmill_train::datasets::{DatasetsArgs, DatasetsError};
use pairmill_train::error::TrainError;
use pairmill_train::eval::checkpoint::{Evaluation, Request, evaluate};
use pairmill_train::launch::Launch;
use pairmill_train::torch::cuda;
use pairmill_train::trainer::setup::outline;
use pairmill_train::{checkpoint, log, model, ranks, trainer};

const FAILED: u8 = 1;
const BAD_INPUT: u8 = 2;
const INTERRUPTED: u8 = 130;
/// Columns and lines of a curve on the terminal.
const CHART: (usize, usize) = (78, 16);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if is_command_line_plain() => {
            let _ = error.print();
            return refused(&error);
        }
        Err(error) => {
            let _ = write!(io::stderr(), "{}", printable_lines(&error.render().to_string()));
            return refused(&error);
        }
    };
    // Before anything asks libtorch about devices; what needs none does without the second it takes.
    if !matches!(
        cli.command,
        Command::Tokenize(_) | Command::Datasets(_) | Command::List | Command::Completions { .. }
    ) {
        cuda::load();
    }
    let outcome = match cli.command {
        Command::Run(args) => run(&args),
        Command::Evaluate(args) => evaluate_command(&args),
        Command::Transfer(args) => args
            .resolve()
            .map_err(Into::into)
            .and_then(|config| command::transfer::sweep(&config, &args.running, None)),
        Command::Sweep(args) => args
            .resolve()
            .map_err(Into::into)
            .and_then(|config| command::transfer::sweep(&config, &args.running, args.part)),
        Command::Export(args) => export(&args),
        Command::Import(args) => import(&args),
        Command::Curve(args) => curve(&args),
        Command::Tokenize(args) => tokenize(&args),
        Command::Datasets(args) => datasets(&args),
        Command::List => list(),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "pairmill-train", &mut io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|error| {
        let bad_input = error.chain().any(|cause| {
            cause.downcast_ref::<TrainError>().is_some_and(TrainError::is_bad_input)
                || cause.is::<checkpoint::CheckpointError>()
                || cause.is::<pairmill_train::config::ConfigError>()
                || cause.is::<pairmill_train::launch::LaunchError>()
                || cause.is::<DatasetsError>()
        });
        // One line: whoever reads logs or pipes gets the whole message.
        let _ = writeln!(io::stderr(), "error: {}", error_line(&*error));
        ExitCode::from(if bad_input { BAD_INPUT } else { FAILED })
    })
}

/// The exit code of a command line that was not understood; other ranks of a run are told, or they would wait.
fn refused(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    if let Ok(launch) = Launch::from_env() {
        ranks::refuse(&launch, "its command line is wrong");
    }
    ExitCode::from(BAD_INPUT)
}

fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let launch = Launch::from_env()?;
    let config = args.resolve().inspect_err(|error| {
        if !args.dry_run {
            ranks::refuse(&launch, &error.to_string());
        }
    })?;
    if args.dry_run {
        let outline = outline(&config, &args.out, &launch)?;
        let schedule = outline.schedule;
        say(&format!(
            "data       {}\nmodel      {}\nsteps      {} of {} samples, {} an epoch\nrate       {} after {} steps\nrun        {}\noutput     {}{}\n{}",
            outline.dataset.describe(),
            config.model,
            schedule.total_steps,
            config.batch_size,
            outline.steps_per_epoch,
            schedule.base_lr,
            schedule.warmup_steps,
            config.hash()?,
            args.out.display(),
            outline.resume_step.map_or(String::new(), |step| format!(" (goes on at step {step})")),
            outline.extension.map_or(String::new(), |note| format!("note       {note}\n")),
        ))?;
        if let Some(conflict) = outline.conflict {
            return Err(conflict.into());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let stop = stop_on_signal("this step is finished and kept")?;
    let quiet = args.quiet || launch.rank != 0;
    let report = trainer::run(&config, &args.out, &launch, quiet, &stop)?;
    if launch.rank != 0 {
        return Ok(if report.complete { ExitCode::SUCCESS } else { ExitCode::from(INTERRUPTED) });
    }
    let kept = report.checkpoint.as_deref().unwrap_or(&args.out).display().to_string();
    if !report.complete {
        let _ = writeln!(
            io::stderr(),
            "interrupted at step {}, kept in {}; give the same command again to go on",
            report.steps,
            printable(&kept)
        );
        return Ok(ExitCode::from(INTERRUPTED));
    }
    if !args.quiet {
        say(&format!("trained {} steps, weights in {kept}\n", report.steps))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn evaluate_command(args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    let launch = Launch::from_env()?;
    let request = Request {
        checkpoint: &args.checkpoint,
        model: args.model.as_deref(),
        zero_shot: &args.zero_shot,
        validation: args.validation.as_deref(),
        batch_size: args.batch_size,
        device: args.device,
        precision: args.precision,
    };
    let Evaluation { metrics, notes } = evaluate(&request, &launch)?;
    if launch.rank != 0 {
        return Ok(ExitCode::SUCCESS);
    }
    for note in notes {
        let _ = writeln!(io::stderr(), "{}", printable(&note));
    }
    let mut text = String::new();
    for metric in &metrics {
        if args.json {
            text.push_str(&printable_json(&serde_json::to_string(metric)?));
            text.push('\n');
        } else {
            text.push_str(&format!(
                "{:<16} {:<28} {:>8.4}  ({} samples)\n",
                metric.task, metric.name, metric.value, metric.num_samples
            ));
        }
    }
    say(&text).map(|()| ExitCode::SUCCESS)
}

fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let found = checkpoint::Checkpoint::find(&args.checkpoint)?;
    if let Some(warning) = found.warning() {
        let _ = writeln!(io::stderr(), "warning: {}", printable(&warning));
    }
    let clip = model::Clip::new(&found.architecture()?, tch::Device::Cpu).map_err(TrainError::from)?;
    checkpoint::import_weights(&found.model(), clip.weights())?;
    write_weights(&clip, &found.model(), found.state.statistics(), &args.output)?;
    say(&format!("{}: {} of step {}\n", args.output.display(), found.state.architecture, found.state.step))
        .map(|()| ExitCode::SUCCESS)
}

fn import(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let Some(model) = &args.model else {
        checkpoint::convert_weights(&args.weights, &args.output)?;
        return say(&format!("{}: converted\n", args.output.display())).map(|()| ExitCode::SUCCESS);
    };
    let mut architecture = model::Architecture::find(model).map_err(TrainError::from)?;
    checkpoint::check_config(&args.weights, &architecture)?;
    if let Some(pixels) = args.image_size {
        architecture = architecture.with_image_size(pixels.into()).map_err(TrainError::from)?;
    }
    let clip = model::Clip::new(&architecture, tch::Device::Cpu).map_err(TrainError::from)?;
    let resized = checkpoint::import_weights(&args.weights, clip.weights())?;
    let statistics = checkpoint::statistics_of(&args.weights)?.unwrap_or_default();
    write_weights(&clip, &args.weights, statistics, &args.output)?;
    let resized = resized.map_or(String::new(), |resized| format!(", {resized}"));
    say(&format!("{}: {model}{resized}\n", args.output.display())).map(|()| ExitCode::SUCCESS)
}

/// Writes weights that are to be used elsewhere, unless they are those of a run that has lost its numbers.
fn write_weights(
    clip: &model::Clip,
    from: &Path,
    statistics: Normalisation,
    to: &Path,
) -> Result<(), checkpoint::CheckpointError> {
    if let Some(found) = checkpoint::NotFinite::among(&checkpoint::named(clip.weights()))? {
        return Err(checkpoint::CheckpointError::NotFinite { path: from.to_path_buf(), found });
    }
    checkpoint::export_trained(clip.weights(), statistics, to)
}

fn curve(args: &CurveArgs) -> anyhow::Result<ExitCode> {
    let points = log::curve::read(&args.run.join(log::METRICS))?;
    if let Some(path) = &args.out {
        let title = format!("{}: loss by step", args.run.display());
        pairmill_shards::atomic::write_atomic(path, log::curve::svg(&points, &title).as_bytes())?;
    }
    say(&log::curve::chart(&points, CHART.0, CHART.1)).map(|()| ExitCode::SUCCESS)
}

fn tokenize(args: &TokenizeArgs) -> anyhow::Result<ExitCode> {
    let tokenizer = Tokenizer::new()?;
    let threads = NonZeroUsize::new(args.threads)
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN);
    let output = io::BufWriter::new(io::stdout());
    let counts = lines::tokenize_lines(io::stdin().lock(), output, &tokenizer, args.truncation, threads)?;
    if counts.not_utf8 > 0 {
        let _ = writeln!(io::stderr(), "warning: {} lines are not UTF-8; U+FFFD stands in", counts.not_utf8);
    }
    Ok(ExitCode::SUCCESS)
}

fn datasets(args: &DatasetsArgs) -> anyhow::Result<ExitCode> {
    let outcome = args.run()?;
    say(&outcome.text)?;
    Ok(if outcome.is_usable { ExitCode::SUCCESS } else { ExitCode::from(BAD_INPUT) })
}

fn list() -> anyhow::Result<ExitCode> {
    let mut text = String::from("recipes\n");
    for (name, toml) in RECIPES {
        let first = toml.lines().next().unwrap_or_default().trim_start_matches("# ");
        text.push_str(&format!("  {name:<16} {first}\n"));
    }
    text.push_str("architectures\n");
    for name in model::Architecture::names() {
        text.push_str(&format!("  {name}\n"));
    }
    say(&text).map(|()| ExitCode::SUCCESS)
}

/// Ctrl-C asks once and insists the second time.
fn stop_on_signal(kept: &'static str) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        let _ = writeln!(io::stderr(), "stopping: {kept}; once more to stop at once");
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(stop)
}

fn say(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(printable_lines(text).as_bytes()) {
        // `| head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("standard output"),
    }
}
