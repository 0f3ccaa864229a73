//! The `pairmill-ingest` command: arguments in, exit code out; all work is in the library.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use pairmill_ingest::args::{Cli, Command, RetryArgs, RunArgs};
use pairmill_ingest::config::Config;
use pairmill_ingest::error::IngestError;
use pairmill_ingest::filter::Funnel;
use pairmill_ingest::run::{self, Note, Plan, Report};
use pairmill_ingest::source::Source;
use pairmill_ingest::spelling::familiar;
use pairmill_shards::printable::{error_line, printable, printable_lines};
use pairmill_shards::storage::on_waits;
use pairmill_shards::storage::without_secrets;
use pairmill_shards::words::{grouped, usage_line};

const FAILED: u8 = 1;
const BAD_INPUT: u8 = 2;
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(familiar(std::env::args_os())) {
        Ok(cli) => cli,
        // Help and version, too, come as errors.
        Err(said)
            if !said.use_stderr() || said.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            said.exit()
        }
        Err(refused) => {
            complain(&without_typed_secrets(&usage_line(&refused.to_string())));
            return ExitCode::from(BAD_INPUT);
        }
    };
    let outcome = match cli.command {
        Command::Run(args) => run_command(args),
        Command::Retry(args) => retry_command(args),
        Command::Sources { name } => say(&sources(name)).map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "pairmill-ingest", &mut io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|error| {
        let bad_input = error.chain().any(|cause| {
            cause.downcast_ref::<IngestError>().is_some_and(IngestError::is_bad_input)
                || cause.is::<pairmill_ingest::config::ConfigError>()
        });
        // One line: whoever reads logs or pipes gets the whole message.
        complain(&format!("error: {}", error_line(&*error)));
        ExitCode::from(if bad_input { BAD_INPUT } else { FAILED })
    })
}

/// Says a line on standard error; nobody can be told if that fails.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(line));
}

/// The line with each URL in quotes, as clap repeats what was typed, without what may be secret of it.
fn without_typed_secrets(line: &str) -> String {
    line.split('\'').map(without_secrets).collect::<Vec<_>>().join("'")
}

/// Says which store is waited for, and when it answers again.
fn tell_waits(quiet: bool) {
    if !quiet {
        on_waits(|line| complain(&format!("note: {line}")));
    }
}

fn run_command(args: RunArgs) -> anyhow::Result<ExitCode> {
    let dry_run = args.dry_run;
    let notes = args.img2dataset.notes();
    let config = args.resolve()?;
    tell_waits(config.runtime.quiet);
    if !config.runtime.quiet {
        notes.into_iter().for_each(|line| complain(&format!("note: {line}")));
    }
    if dry_run {
        let plan = run::plan_noted(&config, &mut |line| {
            if !config.runtime.quiet {
                complain(&format!("note: {line}"));
            }
        })?;
        tell_shortfall(&config, plan.funnel.map(|(funnel, _)| funnel));
        return say(&describe(&plan, &config.output.output_folder.display().to_string()))
            .map(|()| ExitCode::SUCCESS);
    }
    let stop = stop_on_signal()?;
    let report = run::run_noted(&config, &stop, &mut |note| match note {
        Note::Info(_) if config.runtime.quiet => {}
        Note::Info(line) => complain(&format!("note: {line}")),
        Note::Warning(line) => complain(&format!("warning: {line}")),
    })?;
    tell_shortfall(&config, report.funnel);
    conclude(&report, &config.output.output_folder.display().to_string())
}

/// Says when a subset is all there is.
fn tell_shortfall(config: &Config, funnel: Option<Funnel>) {
    if let Some(note) = funnel.and_then(|funnel| config.subset.shortfall(&funnel)) {
        let _ = writeln!(io::stderr(), "note: {note}");
    }
}

fn retry_command(args: RetryArgs) -> anyhow::Result<ExitCode> {
    let mut config = run::config_of(&args.folder)?;
    config.fetch.concurrency = args.thread_count.unwrap_or(config.fetch.concurrency);
    config.fetch.retries = args.retries.unwrap_or(config.fetch.retries);
    config.fetch.timeout_ms = args.timeout.unwrap_or(config.fetch.timeout_ms);
    config.fetch.allow_private_addresses |= args.allow_private_addresses;
    config.runtime.metrics = args.metrics;
    config.runtime.quiet = args.quiet;
    tell_waits(args.quiet);
    config.runtime.shards = None;
    config.runtime.staging = args.staging.or(config.runtime.staging);
    let tell = |rows: u64| {
        let words: Vec<_> = args.class.0.iter().map(|c| c.as_str()).collect();
        say(&format!("{rows} rows of {} failed with {}\n", args.folder.display(), words.join(", ")))
            .map(|()| ExitCode::SUCCESS)
    };
    if args.dry_run {
        return tell(run::plan_retry(&config, &args.class.0)?.rows);
    }
    let stop = stop_on_signal()?;
    let report = run::retry(&config, &args.class.0, &stop)?;
    if report.complete && report.account.outcomes.rows == 0 {
        return tell(0);
    }
    conclude(&report, &args.folder.display().to_string())
}

/// Ctrl-C asks once and insists the second time.
fn stop_on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        let _ = writeln!(io::stderr(), "stopping: whole shards are kept; once more to stop at once");
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(stop)
}

fn conclude(report: &Report, folder: &str) -> anyhow::Result<ExitCode> {
    match report.beyond.filter(|_| report.complete) {
        Some(beyond) if beyond.is_all() => {
            return say(&format!("nothing to do: {beyond}\n")).map(|()| ExitCode::SUCCESS);
        }
        Some(beyond) => complain(&format!("note: {beyond}")),
        None => {}
    }
    if report.was_finished {
        return say(&nothing_to_do(report, folder)).map(|()| ExitCode::SUCCESS);
    }
    if let Some(funnel) = &report.funnel {
        say(&format!("{funnel}\n\n"))?;
    }
    say(&format!("{}\n", report.account))?;
    if report.complete {
        return Ok(ExitCode::SUCCESS);
    }
    complain(&format!(
        "interrupted: {} finished shards in {folder}; give the same command again to go on",
        report.shards
    ));
    Ok(ExitCode::from(INTERRUPTED))
}

/// Of a run that had been finished before: its account was told then.
fn nothing_to_do(report: &Report, folder: &str) -> String {
    let outcomes = &report.account.outcomes;
    format!(
        "nothing to do: all {} shards in {folder} were finished before ({} rows, {} successes); \
         `pairmill-shards stat {folder}` shows what became of the rows, `retry` fetches failed ones again, \
         --incremental-mode overwrite starts anew\n",
        grouped(report.shards),
        grouped(outcomes.rows),
        grouped(outcomes.successes)
    )
}

fn describe(plan: &Plan, folder: &str) -> String {
    let mut text = String::new();
    for input in &plan.inputs {
        text.push_str(&format!("input   {} ({} bytes)\n", printable(&input.name), input.bytes));
    }
    if let Some((funnel, taken)) = &plan.funnel {
        let rate = funnel.rows_in as f64 / taken.as_secs_f64().max(1e-9);
        text.push_str(&format!("{funnel}\nfiltered in {:.1} s, {rate:.0} rows/s\n", taken.as_secs_f64()));
    }
    match (plan.rows, plan.shards) {
        (Some(rows), Some(shards)) => text.push_str(&format!("rows    {rows} in {shards} shards\n")),
        (Some(rows), None) => text.push_str(&format!("rows    {rows}\n")),
        _ => text.push_str("rows    known only after reading the table\n"),
    }
    text.push_str(&format!("output  {} ({} shards finished)\n", printable(folder), plan.done));
    text
}

/// The list of sources, or the guide to one.
fn sources(name: Option<Source>) -> String {
    let Some(name) = name else {
        let width = Source::ALL.iter().map(|source| source.as_str().len()).max().unwrap_or(0);
        let line = |source: &Source| format!("{source:<width$}  {}\n", source.manners().guide.title);
        return Source::ALL.iter().map(line).collect();
    };
    let manners = name.manners();
    let guide = &manners.guide;
    let mut text = format!("{name}: {}\n\n", guide.title);
    let mut item = |head: &str, body: &str| text.push_str(&format!("{head:<10}{body}\n"));
    for (index, what) in guide.download.iter().enumerate() {
        item(if index == 0 { "download" } else { "" }, what);
    }
    item("rows", guide.rows);
    if let Some(rows) = guide.paper_rows {
        item("study", &format!("{} pictures", grouped(rows)));
    }
    item("disk", guide.disk);
    item("time", guide.time);
    let mode = toml::Value::try_from(manners.resize_mode).map(|word| word.to_string()).unwrap_or_default();
    item("picture", &format!("{} px, {}", manners.image_size, mode.trim_matches('"')));
    item("licence", manners.licence);
    for (index, note) in guide.notes.iter().enumerate() {
        item(if index == 0 { "notes" } else { "" }, note);
    }
    let terms = if manners.needs_terms { " --accept-terms" } else { "" };
    let contact = if manners.fetch.needs_contact { " --contact YOU@EXAMPLE.ORG" } else { "" };
    let run = format!(
        "pairmill-ingest run --source {name} --url-list INPUT --output-folder OUTPUT{terms}{contact}"
    );
    item("run", &run);
    text
}

fn say(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(printable_lines(text).as_bytes()) {
        // `| head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("standard output"),
    }
}
