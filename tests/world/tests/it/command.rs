//! The program: what a script relies on.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::client::Client;

fn world() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pairmill-world"))
}

fn text(output: &Output) -> (String, String) {
    let of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (of(&output.stdout), of(&output.stderr))
}

#[test]
fn serve_writes_its_port_and_ends_on_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let port_file = dir.path().join("port.txt");
    let child = world()
        .args(["serve", "--seed", "3", "--size", "small", "--port-file"])
        .arg(&port_file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let port: u16 = loop {
        if let Ok(text) = fs::read_to_string(&port_file) {
            break text.trim().parse().unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no port file");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(Client::connect(([127, 0, 0, 1], port).into()).get("/laion/1.jpg").status, 200);
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let (stdout, _) = text(&output);
    assert!(stdout.contains(&format!("world of seed 3 at http://127.0.0.1:{port}")), "{stdout}");
    assert!(stdout.contains("served 1 requests"), "{stdout}");
}

#[test]
fn table_writes_the_account_it_must_end_in() {
    let dir = tempfile::tempdir().unwrap();
    let expect = dir.path().join("expected.json");
    let output = world()
        .args([
            "table",
            "--source",
            "cc3m",
            "--rows",
            "200",
            "--base-url",
            "http://127.0.0.1:9/",
            "--faults",
            "0.5",
        ])
        .args(["--mix", "every", "--out"])
        .arg(dir.path().join("t.tsv"))
        .arg("--expect")
        .arg(&expect)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let account: serde_json::Value = serde_json::from_slice(&fs::read(expect).unwrap()).unwrap();
    assert_eq!(account["rows"], 200);
    let sum: u64 = account["outcomes"].as_object().unwrap().values().map(|v| v.as_u64().unwrap()).sum();
    assert_eq!(sum, 200);
    let table = fs::read_to_string(dir.path().join("t.tsv")).unwrap();
    assert!(!table.contains("9//"), "the slash at the end of the base URL is not doubled");
}

#[test]
fn picture_tells_what_it_shows_and_task_writes_folders() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("p.jpg");
    let output =
        world().args(["picture", "--source", "yfcc", "--index", "2", "--out"]).arg(&out).output().unwrap();
    let truth: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(truth["format"], "jpg");
    assert!(image::open(&out).is_ok());
    let folder = dir.path().join("counts");
    let output = world()
        .args(["task", "--task", "counts", "--per-class", "1", "--out"])
        .arg(&folder)
        .output()
        .unwrap();
    assert!(output.status.success() && folder.join("three/00000.jpg").is_file(), "{output:?}");
}

#[test]
fn mistakes_are_one_line_with_the_fix_and_status_2() {
    let fails = |args: &[&str], hint: &str| {
        let output = world().args(args).output().unwrap();
        let (_, stderr) = text(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr.contains(hint), "{args:?}: {stderr}");
    };
    fails(&["picture", "--source", "flickr", "--index", "1", "--out", "x"], "known: laion, redcaps");
    fails(&["serve", "--slow-host", "9"], "host 9 does not exist");
    fails(&["serve", "--root", "/no/such/folder"], "/no/such/folder");
    fails(&["task", "--task", "colours", "--shift", "sketch", "--out", "x"], "choose another shift");
    fails(&["table", "--source", "wit", "--rows", "1", "--base-url", "http://h", "--out", "t.doc"], "t.doc");
}

#[test]
fn faults_lists_every_fault_once() {
    let output = world().args(["faults", "--base-url", "http://h"]).output().unwrap();
    let (stdout, _) = text(&output);
    assert_eq!(stdout.lines().count(), pairmill_world::Fault::ALL.len() + 1);
    assert!(stdout.lines().any(|l| l.starts_with("html ") && l.contains("not_an_image")));
}
