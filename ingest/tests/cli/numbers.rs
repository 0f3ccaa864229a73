//! Every number of config and flags at its extremes: a run that works, or one line that names it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::CommandFactory;
use pairmill_ingest::args::Cli;
use pairmill_ingest::config::Config;
use pairmill_ingest::run;

use crate::harness::{Job, command, finish, stderr};

/// Longer than any of these runs takes on a slow machine.
const HANGS_AFTER: Duration = Duration::from_secs(120);

/// Runs `config` in a thread of its own; a panic or a hang fails the test in its name.
#[track_caller]
fn survives(what: &str, config: Config) {
    let (done, ended) = mpsc::sync_channel(1);
    let worker = thread::spawn(move || {
        let result = run::run(&config, &AtomicBool::new(false)).map(|report| report.account.outcomes.rows);
        // Nobody listens after a hang.
        let _ = done.send(result);
    });
    match ended.recv_timeout(HANGS_AFTER) {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            let text = error.to_string();
            assert!(error.is_bad_input() && !text.contains('\n'), "{what}: {text}");
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: still running after {HANGS_AFTER:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{what}: {:?}", worker.join().unwrap_err()),
    }
}

fn base(job: &Job, table: &Path, out: &Path) -> Config {
    let mut config = Config::default();
    config.input.url_list = table.to_str().unwrap().to_owned();
    config.input.caption_col = Some("caption".to_owned());
    config.output.output_folder = out.to_owned();
    config.output.output_format = pairmill_ingest::config::OutputFormat::Webdataset;
    config.pixels.image_size = 32;
    config.fetch.allow_private_addresses = true;
    config.runtime.quiet = true;
    config.runtime.metrics = Some(job.path("metrics.jsonl"));
    config
}

/// A table with a picture, a URL twice and a row without one.
fn table(job: &Job) -> std::path::PathBuf {
    let whole = fs::read_to_string(job.table("whole.csv", 3)).unwrap();
    let rows: Vec<&str> = whole.lines().collect();
    let path = job.path("t.csv");
    fs::write(&path, format!("{}\n{}\n{}\n,none\n", rows[0], rows[1], rows[1])).unwrap();
    path
}

/// All `section.key`s that hold a number, with sub-tables and lists.
fn numbers_of(value: &toml::Value, above: &str, found: &mut BTreeSet<String>) {
    match value {
        toml::Value::Integer(_) | toml::Value::Float(_) => drop(found.insert(above.to_owned())),
        toml::Value::Table(table) => {
            table.iter().for_each(|(key, value)| {
                numbers_of(value, format!("{above}.{key}").trim_start_matches('.'), found);
            });
        }
        _ => {}
    }
}

#[test]
fn f20_each_number_of_the_config_at_its_extremes_runs_or_is_refused_in_a_line() {
    let job = Job::new();
    let table = table(&job);
    let mut written = toml::Value::try_from(Config::default()).unwrap();
    // What is left out of a config that does not set it.
    let optional = "[filter]\nmin_caption_chars = 1\nmax_caption_chars = 1\nmin_caption_words = 1\n\
        max_caption_words = 1\nmin_width = 1\nmin_height = 1\nmax_aspect_ratio = 2.0\n\
        [subset]\nrows = 1\n[pixels]\nmax_image_area = 1e6\nmax_aspect_ratio = 3.0\n[runtime]\nuploads = 3\n\
        [storage]\nretries = 10\nretry_s = 180\nstall_s = 60\npart_bytes = 8388608\nparts = 4\nlease_s = 15\n";
    let mut places = BTreeSet::new();
    numbers_of(&written, "", &mut places);
    written = toml::from_str(optional).unwrap();
    numbers_of(&written, "", &mut places);
    assert!(places.len() > 50, "{places:?}");
    let values = ["0", "1", "-1", "4294967295", "9223372036854775807", "nan", "inf", "1000000000"];
    let mut ran = 0;
    for place in &places {
        let (section, key) = place.rsplit_once('.').unwrap();
        for value in values {
            let what = format!("{place} = {value}");
            let text = format!("[{section}]\n{key} = {value}\n");
            let out = job.path("out");
            let Ok(set) = Config::parse(&text) else { continue };
            let mut config = base(&job, &table, &out);
            let mut whole = toml::Table::try_from(&config).unwrap();
            lay(&mut whole, toml::Table::try_from(&set).unwrap(), toml::from_str(&text).unwrap());
            config = whole.try_into().unwrap();
            if let Err(refused) = config.validate() {
                let refused = refused.to_string();
                let named = refused.contains(key) || refused.contains(&key.replace('_', "-"));
                let option =
                    [("workers", "processes-count"), ("rows", "subset"), ("concurrency", "thread-count")];
                let named = named || option.iter().any(|(of, name)| *of == key && refused.contains(name));
                assert!(named && !refused.contains('\n'), "{what}: {refused}");
                continue;
            }
            survives(&what, config);
            ran += 1;
            fs::remove_dir_all(&out).ok();
        }
    }
    assert!(ran > 60, "{ran}");
}

/// Puts what `typed` names of `set` into `whole`.
fn lay(whole: &mut toml::Table, set: toml::Table, typed: toml::Table) {
    for (name, value) in typed {
        match (value, whole.get_mut(&name), set.get(&name)) {
            (toml::Value::Table(typed), Some(toml::Value::Table(whole)), Some(toml::Value::Table(set))) => {
                lay(whole, set.clone(), typed);
            }
            (_, _, Some(set)) => drop(whole.insert(name, set.clone())),
            (value, _, None) => drop(whole.insert(name, value)),
        }
    }
}

#[test]
fn f20_the_largest_numbers_that_are_taken_work() {
    let job = Job::new();
    let table = table(&job);
    type Set = fn(&mut Config);
    let largest: [(&str, Set); 6] = [
        ("workers", |config| config.runtime.workers = 1_024),
        ("fetch_threads", |config| config.runtime.fetch_threads = 1_024),
        ("concurrency", |config| config.fetch.concurrency = 65_535),
        ("per_host", |config| config.fetch.per_host = 65_535),
        ("uploads", |config| config.runtime.uploads = 1_024),
        ("progress_interval_s", |config| config.runtime.progress_interval_s = 86_400),
    ];
    for (what, change) in largest {
        let out = job.path(what);
        let mut config = base(&job, &table, &out);
        change(&mut config);
        survives(what, config);
        assert!(out.join("00000_stats.json").exists(), "{what}");
    }
}

#[test]
fn f20_each_number_of_the_flags_is_taken_or_refused_in_a_line_with_its_name() {
    let job = Job::new();
    let table = table(&job);
    let cli = Cli::command();
    let mut refused = 0;
    for (subcommand, fixed) in [
        ("run", vec!["--dry-run", "--url-list", table.to_str().unwrap(), "--output-folder", "out"]),
        ("retry", vec!["--dry-run", "--class", "transient", "nowhere"]),
    ] {
        let found = cli.find_subcommand(subcommand).unwrap();
        for flag in found.get_arguments().filter_map(|argument| argument.get_long()) {
            if matches!(flag, "url-list" | "output-folder" | "dry-run" | "class") {
                continue;
            }
            let values = [
                "0",
                "1",
                "-1",
                "18446744073709551615",
                "340282366920938463463374607431768211456",
                "NaN",
                "1e9",
            ];
            for value in values {
                let mut command = command();
                command.arg(subcommand).args(&fixed).arg(format!("--{flag}={value}"));
                let output = command.current_dir(table.parent().unwrap()).output().unwrap();
                let text = stderr(&output);
                let code = output.status.code();
                assert!(matches!(code, Some(0 | 2)), "{subcommand} --{flag}={value}: {code:?} {text}");
                if code == Some(2) {
                    assert_eq!(text.lines().count(), 1, "--{flag}={value}: {text}");
                    // Of `retry` the folder may be the first thing that is wrong.
                    let named = text.contains(flag) || text.contains(value) || text.contains("nowhere");
                    assert!(named, "--{flag}={value}: {text}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn f20_settings_and_lists_without_an_end_are_refused() {
    let job = Job::new();
    let table = table(&job);
    let long = job.path("long.toml");
    fs::File::create(&long).unwrap().set_len(5 << 20).unwrap();
    let endless = job.path("endless.toml");
    fs::write(&endless, "[filter]\nprofanity = \"/dev/zero\"\n").unwrap();
    let binary = job.path("binary.toml");
    fs::write(&binary, b"[filter]\n# \xff\n").unwrap();
    for (config, problem) in [
        (Path::new("/dev/zero"), "/dev/zero: cannot read the config file: it has more than 4 MiB"),
        (&long, "long.toml: cannot read the config file: it has more than 4 MiB"),
        (&endless, "/dev/zero: "),
        (&binary, "binary.toml: cannot read the config file: it is not a text in UTF-8"),
    ] {
        let mut run = job.run(&table, &job.path("out"));
        let text = stderr(&finish(run.arg("--config").arg(config), 2));
        assert!(text.contains(problem) && text.lines().count() == 1, "{text}");
    }
    // A pipe is a config file like any other: `--config <(…)`.
    let pipe = job.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = {
        let pipe = pipe.clone();
        thread::spawn(move || fs::write(pipe, "[pixels]\nimage_size = 48\n").unwrap())
    };
    let mut run = job.run(&table, &job.path("out"));
    finish(run.arg("--config").arg(&pipe).arg("--dry-run"), 0);
    writer.join().unwrap();
}
