//! What lies in an output folder that is none of this run's doing, and text from outside in what is printed. Tests are
//! named by the fault's number in the list they came from.

use std::fs::{self, File};
use std::process::Stdio;
use std::sync::Arc;

use pairmill_shards::printable::steers;
use pairmill_shards::table::{SidecarReader, VERSION_KEY};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::harness::{Job, bytes_of, command, finish, hidden, stderr};

#[test]
fn f15_leftovers_of_dead_runs_go_and_those_of_live_ones_stay() {
    let job = Job::new();
    let (table, out) = (job.table("t.csv", 100), job.path("out"));
    for format in ["webdataset", "files"] {
        let run = || {
            let mut run = job.run(&table, &out);
            run.args(["--output-format", format, "--incremental-mode", "overwrite"]);
            run
        };
        finish(&mut run(), 0);
        let mine = std::process::id();
        let dead = [
            format!(".00001.tar.{mine}.tmp"),
            format!(".DATASET.md.{mine}.tmp"),
            format!("_pairmill/.card.json.{mine}.tmp"),
            format!("_pairmill/runs/.00000.done.{mine}.tmp"),
        ];
        for name in &dead {
            fs::write(out.join(name), "half").unwrap();
        }
        let folder = out.join(format!(".00000.{mine}.tmp"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("000.jpg"), "x").unwrap();
        // Somebody else's: no name of a dataset's file.
        fs::write(out.join(".notes.12.tmp"), "mine").unwrap();
        let live = File::create(out.join(".00009.tar.12.tmp")).unwrap();
        live.lock().unwrap();
        finish(&mut run(), 0);
        let mut left = hidden(&out);
        left.sort();
        assert_eq!(left, [".00009.tar.12.tmp", ".notes.12.tmp"], "{format}");
        assert!(dead.iter().all(|name| !out.join(name).exists()), "{format}");
    }
}

/// Gives a table another format version.
fn set_version(path: &std::path::Path, version: &str) {
    let reader = SidecarReader::open(path).unwrap();
    let entry = KeyValue::new(VERSION_KEY.to_owned(), version.to_owned());
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![entry])).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(reader.schema()), Some(properties)).unwrap();
    for batch in reader.batches(None).unwrap() {
        writer.write(&batch.unwrap()).unwrap();
    }
    fs::write(path, writer.into_inner().unwrap()).unwrap();
}

#[test]
fn f26_a_run_and_a_retry_do_not_go_on_behind_shards_of_a_newer_format() {
    let job = Job::new();
    let (table, out) = (job.table("t.csv", 120), job.path("out"));
    finish(&mut job.run(&table, &out), 0);
    set_version(&out.join("00001.parquet"), "2");
    let before = bytes_of(&out);
    let retry = {
        let mut retry = command();
        retry.args(["retry", "--class", "http_4xx"]).arg(&out);
        retry
    };
    for mut again in [job.run(&table, &out), retry] {
        let output = finish(&mut again, 2);
        let text = stderr(&output);
        assert!(
            text.contains("00001.parquet: written in format version `2`") && text.lines().count() == 1,
            "{text}"
        );
        assert_eq!(bytes_of(&out), before);
    }
    // Beginning anew is no going on.
    finish(job.run(&table, &out).args(["--incremental-mode", "overwrite"]), 0);
}

#[test]
fn f25_names_from_outside_do_not_steer_the_terminal_or_the_card() {
    let job = Job::new();
    let odd = "t\x1b]0;x\x07\u{9b}2J\u{202e}fdp\u{2066}.csv";
    let table = job.table(odd, 60);
    let out = job.path("out-\x1b[2J\u{202e}");
    let mut run = job.run(&table, &out);
    run.args(["--where", "url <> '\x1b\u{202e}|`'"]);
    let mut dry = job.run(&table, &out);
    let mut refused = command();
    refused.args(["run", "--image-size", "3\u{202e}\x1b"]);
    let mut missing = command();
    missing.args(["run", "--url-list"]).arg(job.path("no\x1b\u{9b}.csv")).arg("--output-folder").arg(&out);
    let no_column = job.path("columns.csv");
    fs::write(&no_column, "link\x1b[2J\u{202e},x\nhttp://a/,1\n").unwrap();
    for command in
        [&mut run, dry.arg("--dry-run"), &mut refused, &mut missing, &mut job.run(&no_column, &out)]
    {
        let output = command.stdin(Stdio::null()).output().unwrap();
        for bytes in [output.stdout, output.stderr] {
            let text = String::from_utf8(bytes).unwrap();
            assert!(!text.chars().any(|c| steers(c) && c != '\n'), "{command:?}: {text:?}");
        }
    }
    for card in ["DATASET.md", "_pairmill/card.json"] {
        let text = fs::read_to_string(out.join(card)).unwrap();
        assert!(!text.chars().any(|c| steers(c) && c != '\n') && text.contains("fdp"), "{card}: {text:?}");
    }
}

#[test]
fn f29_a_subset_of_everything_says_so() {
    let job = Job::new();
    let table = job.table("t.csv", 60);
    for (name, flag, size, told) in [
        ("drawn", "--subset", "2.7M", Some("note: --subset asks for 2,700,000 rows, but only 60 are left")),
        ("first", "--prefix", "61", Some("note: --prefix asks for 61 rows, but only 60 are left")),
        ("exact", "--subset", "60", None),
    ] {
        for dry in [true, false] {
            let mut run = job.run(&table, &job.path(name));
            run.args([flag, size]).args(dry.then_some("--dry-run"));
            let text = stderr(&finish(&mut run, 0));
            match told {
                Some(told) => assert!(text.contains(told) && text.contains("all were taken"), "{text}"),
                None => assert!(!text.contains("note: --"), "{text}"),
            }
        }
    }
    let card = fs::read_to_string(job.path("drawn").join("DATASET.md")).unwrap();
    assert!(card.contains("Subset: 60 rows drawn with seed 0."), "{card}");
}

#[test]
fn f29_shards_that_the_input_does_not_make_are_told() {
    let job = Job::new();
    let (table, out) = (job.table("t.csv", 60), job.path("out"));
    let run = |range: &str| {
        let output = finish(job.run(&table, &out).args(["--shards", range]), 0);
        (String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output))
    };
    let (said, _) = run("7..9");
    assert_eq!(said, "nothing to do: the input makes 2 shards (0..2), and --shards asks for 7..9\n");
    let (said, noted) = run("1..9");
    assert_eq!(noted, "note: the input makes 2 shards (0..2), and --shards asks for 1..9\n");
    assert!(said.contains("rows          10 ") && said.contains("1 shard,"), "{said}");
    let (said, noted) = run("0..2");
    assert!(said.contains("rows          60 ") && noted.is_empty(), "{said}{noted}");
    let (said, _) = run("0..2");
    assert!(said.starts_with("nothing to do: all 2 shards in "), "{said}");
}
