//! A grid of two towers and two tasks, whole, in parts, killed.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use pairmill_shards::results::{Protocol, Shots, Split, read_tsv};

use crate::harness::{Bench, TEST, pairmill_train, runs, succeed};

/// Of a source on the counts: zero-shot 1; probes 2 + 1; fine-tuning and LP-FT 2 × 2 each. On the backdrops: zero-shot 1;
/// probes 2; fine-tuning and LP-FT 2 × 2 each. Two sources.
const RUNS: usize = 2 * ((1 + 3 + 8) + (1 + 2 + 8));

#[test]
fn a_grid_leaves_a_table_and_rows_that_reports_read() {
    let bench = Bench::new();
    let output = succeed(&mut bench.sweep("out", &[]));
    let (table, progress) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(runs(&bench.path("out")), (RUNS, 0), "{progress}");
    let head = table.lines().next().unwrap();
    assert_eq!(head.split_whitespace().collect::<Vec<_>>()[4..], ["zero", "1", "2", "full"], "{table}");
    // Two tasks, two sources; four methods, and mixtures for the two that tune.
    assert_eq!(table.lines().count(), 1 + 2 * 2 * 6, "{table}");
    assert!(table.lines().nth(1).unwrap().contains('±'), "{table}");
    assert!(progress.contains("46 runs, 0 done, 46 left"), "{progress}");

    let rows = bench.rows("out");
    assert!(rows.iter().all(|row| row.protocol == Protocol::Corrected && row.seed.is_some()));
    let full =
        |row: &&pairmill_shards::results::ResultRow| row.shots == Shots::All && row.split == Split::Test;
    let classes =
        |ds: &str| if ds == "counts" { 5 } else { pairmill_world::Task::Backdrops.class_names().len() };
    for row in rows.iter().filter(full) {
        assert_eq!(row.num_test, Some(TEST * classes(&row.config.ds) as u64), "{row:?}");
    }
    assert!(rows.iter().any(|row| row.config.loss() == "CLIP_WiSE-FT-0.5" && row.config.us == "B"));
    // 2 shots have no column in the paper's table.
    assert!(progress.contains("results.tsv was not written") && !bench.path("out/results.tsv").exists());

    // The same command again has nothing to do and says the same.
    let again = succeed(&mut bench.sweep("out", &[]));
    assert_eq!(String::from_utf8(again.stdout).unwrap(), table);
    let progress = String::from_utf8(again.stderr).unwrap();
    assert!(progress.contains("46 done, 0 left"), "{progress}");
}

#[test]
fn the_same_grid_gives_the_same_numbers_whole_in_parts_and_after_kills() {
    let bench = Bench::new();
    succeed(&mut bench.sweep("whole", &["--quiet"]));
    let whole = bench.numbers("whole");

    for part in ["2/2", "1/2"] {
        succeed(&mut bench.sweep("parts", &["--quiet", "--part", part]));
    }
    assert_eq!(bench.numbers("parts"), whole);

    // Every pass is kept, so that runs go on in their middle.
    let grid = fs::read_to_string(bench.path("grid.toml")).unwrap();
    fs::write(bench.path("grid.toml"), grid.replace("together = 3", "together = 3\nkeep_s = 0")).unwrap();
    let mut caught = 0;
    for wait in [8, 5, 7] {
        let before = runs(&bench.path("killed")).0;
        let mut child = bench.sweep("killed", &["--quiet"]).stdout(Stdio::null()).spawn().unwrap();
        // Killed when so many runs more are done, in the middle of the next ones.
        let begun = Instant::now();
        while runs(&bench.path("killed")).0 < before + wait && begun.elapsed() < Duration::from_secs(60) {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(3));
        }
        child.kill().unwrap();
        caught += usize::from(!child.wait().unwrap().success());
    }
    assert!(caught > 1, "the process was never caught alive");
    succeed(&mut bench.sweep("killed", &["--quiet"]));
    assert_eq!(bench.numbers("killed"), whole);
    assert_eq!(runs(&bench.path("killed")), (RUNS, 0));
    let leftovers = fs::read_dir(bench.path("killed/runs")).unwrap().flat_map(|run| {
        let files = fs::read_dir(run.unwrap().path()).unwrap().map(|file| file.unwrap().file_name());
        files.filter(|file| file.to_string_lossy().contains("progress")).collect::<Vec<_>>()
    });
    assert_eq!(leftovers.collect::<Vec<_>>(), Vec::<std::ffi::OsString>::new());
}

#[test]
fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let bench = Bench::new();
    let output = succeed(&mut bench.sweep("out", &["--dry-run", "--part", "1/4"]));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("of part 1/4") && text.contains("core seconds"), "{text}");
    assert!(!bench.path("out").exists());
}

#[test]
fn one_transfer_is_a_grid_of_flags() {
    let bench = Bench::new();
    let flags = ["--shots", "1,full", "--lr", "1e-3", "--epochs", "2", "--batch-size", "16", "--seeds", "1"];
    let output = succeed(&mut bench.transfer("out", &flags));
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(table.lines().count(), 2, "{table}");
    assert_eq!(runs(&bench.path("out")), (2, 0));
    let tsv = bench.path("out/results.tsv");
    let lines = read_tsv(&tsv, &fs::read(&tsv).unwrap()).unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].1.config.ds, "counts");
    let folder = fs::read_dir(bench.path("out/runs")).unwrap().next().unwrap().unwrap().path();
    for file in ["per_class.tsv", "confusion.tsv", "result.json"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    // From scratch: a random head, and nothing to be zero-shot of.
    let mut scratch = pairmill_train();
    scratch.args(["transfer", "--scratch", "rn-tiny", "--task", "folder", "--device", "cpu", "--data"]);
    scratch.arg(bench.path("counts")).arg("--out").arg(bench.path("scratch"));
    let output = succeed(scratch.args(flags).args(["--method", "zero-shot,fine-tune"]));
    let (table, notes) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(table.contains("Scratch") && table.contains("CLIP_random-head"), "{table}");
    assert!(notes.contains("there is no zero-shot of it"), "{notes}");
}
