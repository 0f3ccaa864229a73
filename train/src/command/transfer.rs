//! `transfer` and `sweep`: a grid of runs, planned, told, done and tabled.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use indicatif::FormattedDuration;
use pairmill_shards::atomic::write_atomic;
use pairmill_train::launch::Launch;
use pairmill_train::log::progress::Target;
use pairmill_train::torch::memory;
use pairmill_train::trainer::device;
use pairmill_train::transfer::args::RunningArgs;
use pairmill_train::transfer::sweep::estimate::{Estimate, estimate};
use pairmill_train::transfer::sweep::progress::{Progress, name};
use pairmill_train::transfer::sweep::{Part, Plan, SweepConfig, datasets, run, summary};

use crate::{FAILED, INTERRUPTED, say, stop_on_signal};

/// The grid beside its results.
const GRID: &str = "sweep.toml";
/// Runs that a dry run names.
const NAMED: usize = 20;

/// Does a grid, or the part of it that is asked for.
pub fn sweep(config: &SweepConfig, args: &RunningArgs, part: Option<Part>) -> anyhow::Result<ExitCode> {
    let plan = Plan::new(config)?;
    let units = plan.part(part);
    let device = device::choose(config.runtime.device, &Launch::single())?;
    let cores = run::cores(config.runtime.threads);
    let todo = run::left(&plan, &units, &args.out)?;
    let predicted = estimate(&plan, &todo, device, cores.get())?;
    let runs: usize = units.iter().map(|unit| unit.points().len()).sum();
    let left: usize = todo.iter().map(|todo| todo.left.len()).sum();
    let told = outline(&plan, part, runs, left, predicted);
    if args.dry_run {
        let mut text = told;
        for point in units.iter().flat_map(|unit| unit.points()).take(NAMED).map(|&i| &plan.points[i]) {
            text.push_str(&format!("  {} {}\n", point.run, name(&plan, point)));
        }
        if runs > NAMED {
            text.push_str(&format!("  and {} more\n", runs - NAMED));
        }
        say(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    fs::create_dir_all(&args.out).with_context(|| format!("{}: cannot be made", args.out.display()))?;
    let untold = datasets::claim(&plan, &args.out)?;
    write_atomic(args.out.join(GRID), config.to_toml()?.as_bytes())?;
    let target = if args.quiet { Target::Quiet } else { Target::stderr() };
    let total = todo.iter().flat_map(|todo| &todo.left).map(|&i| plan.cost_of(&plan.points[i])).sum();
    let mut progress = Progress::new(target, runs, total, predicted.wall_s);
    progress.skip(runs - left);
    for line in told.lines() {
        progress.note(line);
    }
    if let Some(untold) = untold {
        progress.note(&format!("warning: {untold}"));
    }
    let stop = stop_on_signal("what was kept stays")?;
    let outcome = run::run(&plan, todo, &args.out, config, device, &mut progress, &stop);
    progress.finish();
    let outcome = outcome.map_err(|error| {
        error.with_memory_advice(
            || "what was finished stays".to_owned(),
            || "a smaller runtime.together, tune.batch_size or runtime.pictures.memory".to_owned(),
        )
    })?;
    finish(&args.out)?;
    for (run, why) in &outcome.failed {
        eprint_line(&format!("failed: {run}: {why}"))?;
    }
    if let Some(bytes) = memory::peak_bytes(device).filter(|_| device.is_cuda() && !args.quiet) {
        eprint_line(&format!("largest use of the GPU's memory: {}", indicatif::BinaryBytes(bytes)))?;
    }
    Ok(match (outcome.interrupted, outcome.failed.is_empty()) {
        (true, _) => {
            eprint_line("stopped; the same command goes on from here")?;
            ExitCode::from(INTERRUPTED)
        }
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(FAILED),
    })
}

fn outline(plan: &Plan, part: Option<Part>, runs: usize, left: usize, predicted: Estimate) -> String {
    let mut text = String::new();
    for note in &plan.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    for task in &plan.tasks {
        let set = &task.set;
        for note in &set.notes {
            text.push_str(&format!("{}: {note}\n", set.name));
        }
    }
    let part = part.map_or_else(String::new, |part| format!(" of part {part}"));
    text.push_str(&format!(
        "{runs} runs{part}, {} done, {left} left: {:.0} images trained on and {:.0} looked at, about {} ({:.0} core seconds)\n",
        runs - left,
        predicted.trained,
        predicted.looked_at,
        FormattedDuration(Duration::from_secs_f64(predicted.wall_s.max(0.0).ceil())),
        predicted.core_s,
    ));
    text
}

/// Result files and the table, of everything the folder holds.
fn finish(out: &Path) -> anyhow::Result<()> {
    let found = summary::collect(out)?;
    if found.rows.is_empty() {
        return Ok(());
    }
    if let Some(note) = summary::write(out, &found.rows)? {
        eprint_line(&note)?;
    }
    let table = summary::table(&found);
    say(&table.text)?;
    for note in &table.notes {
        eprint_line(&format!("note: {note}"))?;
    }
    Ok(())
}

fn eprint_line(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "{}", pairmill_shards::printable::printable_lines(text))
        .context("standard error")
}
