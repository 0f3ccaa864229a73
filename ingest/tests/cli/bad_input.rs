//! Bad input: one line that names the culprit and the fix, exit code 2, nothing written.

use std::fs;

use crate::harness::{Job, command, finish, stderr};

#[track_caller]
fn refused(job: &Job, arguments: &[&str], expected: &[&str]) {
    let out = job.path("refused-out");
    let output = finish(command().arg("run").args(arguments).arg("--output-folder").arg(&out), 2);
    let text = stderr(&output);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 1, "one line: {text}");
    for word in expected {
        assert!(text.contains(word), "`{word}` not in: {text}");
    }
    assert_said_once(&text);
    assert!(
        !out.exists() || !fs::read_dir(&out).unwrap().any(|e| e.unwrap().path().is_file()),
        "wrote something"
    );
}

/// No part of the line stands in it twice.
#[track_caller]
fn assert_said_once(line: &str) {
    let parts: Vec<&str> = line.trim().split(": ").filter(|part| part.len() > 12).collect();
    for (at, part) in parts.iter().enumerate() {
        assert!(!parts[at + 1..].contains(part), "`{part}` twice in: {line}");
    }
}

#[test]
fn f25_errors_are_told_once() {
    let job = Job::new();
    let csv = job.path("t.csv");
    fs::write(&csv, "url,caption\nhttp://a/,x\n").unwrap();
    let csv = csv.to_str().unwrap();
    // Each names its cause, and has it as its source.
    refused(&job, &["--url-list", csv, "--oom-shard-count", "30"], &["--oom-shard-count"]);
    refused(&job, &["--url-list", csv, "--encode-quality", "300"], &["quality"]);
    refused(&job, &["--url-list", csv, "--user-agent-token", "a\u{7f}b"], &["User-Agent"]);
}

#[test]
fn each_is_one_line_naming_file_and_fix() {
    let job = Job::new();
    let write = |name: &str, bytes: &[u8]| {
        let path = job.path(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let csv = write("good.csv", b"link,text\nhttp://a/,x\n");
    refused(&job, &["--url-list", &csv], &["good.csv", "`url`", "link"]);
    let broken = write("broken.parquet", b"PAR1 this is no parquet");
    refused(&job, &["--url-list", &broken], &["broken.parquet"]);
    let empty = write("empty.csv", b"");
    refused(&job, &["--url-list", &empty], &["empty.csv"]);
    let head_only = write("head.csv", b"url,caption\n");
    refused(&job, &["--url-list", &head_only], &["head.csv"]);
    let odd = write("table.xlsx", b"PK");
    refused(&job, &["--url-list", &odd], &["table.xlsx", "--input-format"]);
    refused(&job, &["--url-list", "nowhere.csv"], &["nowhere.csv"]);
    refused(&job, &["--url-list", &csv, "--url-col", "link", "--image-size", "0"], &["image"]);
    refused(&job, &["--url-list", &csv, "--url-col", "link", "--caption-col", "txt"], &["`txt`", "text"]);
    refused(&job, &["--url-list", &csv, "--url-col", "link", "--encode-quality", "300"], &["quality", "300"]);
    refused(&job, &[], &["--url-list"]);
    let config = write("run.toml", b"[pixels]\nimage_sise = 3\n");
    refused(&job, &["--url-list", &csv, "--config", &config], &["run.toml", "line 2", "image_sise"]);
}

#[test]
fn a_folder_of_another_run_is_left_alone() {
    let job = Job::new();
    let (table, out) = (job.table("t.csv", 60), job.path("out"));
    finish(&mut job.run(&table, &out), 0);
    let before = crate::harness::bytes_of(&out);
    let output = finish(job.run(&table, &out).args(["--image-size", "48"]), 2);
    let text = stderr(&output);
    assert!(text.contains("pixels.image_size: 32 there, 48 here") && text.lines().count() == 1, "{text}");
    assert_eq!(crate::harness::bytes_of(&out), before);
}

#[test]
fn help_and_completions_answer() {
    let help = finish(command().args(["run", "--help"]), 0);
    let text = String::from_utf8(help.stdout).unwrap();
    for flag in ["--url-list", "--max-aspect-ratio", "--incremental-mode", "Examples:"] {
        assert!(text.contains(flag), "{flag}");
    }
    let short = String::from_utf8(finish(command().args(["run", "-h"]), 0).stdout).unwrap();
    assert!(
        short.contains("--url-list") && !short.contains("--max-aspect-ratio"),
        "short help is for every day"
    );
    let zsh = finish(command().args(["completions", "zsh"]), 0);
    assert!(String::from_utf8(zsh.stdout).unwrap().contains("pairmill-ingest"));
}

#[test]
fn flaws_of_the_table_that_cost_no_row_are_in_the_account() {
    let job = Job::new();
    let table = job.path("odd.csv");
    // Nothing listens at port 1; it is the table that is looked at.
    let row = "http://127.0.0.1:1/a.jpg";
    let mut bytes = format!("url,caption\n{row},x,surplus\n{row}\n{row},").into_bytes();
    bytes.extend(b"caf\xe9\n");
    fs::write(&table, bytes).unwrap();
    let output = finish(&mut job.run(&table, &job.path("out")), 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("rows") && text.contains("The table: 2 rows have more or fewer fields"), "{text}");
    assert!(text.contains("The table: 1 cells are not UTF-8"), "{text}");
}
