//! Bad input is one line, exit code 2, and leaves nothing behind.

use std::fs;
use std::process::Command;

use crate::harness::{Bench, checkpoints, pairmill_train, succeed};

#[test]
fn each_is_one_line_that_names_what_to_do() {
    let bench = Bench::new(1, 16);
    fs::create_dir(bench.path("empty")).unwrap();
    fs::write(bench.path("cut.tar"), &fs::read(bench.path("data/00000.tar")).unwrap()[..5000]).unwrap();
    fs::write(bench.path("text.tar"), "this is no tar\n".repeat(100)).unwrap();
    fs::write(bench.path("task.toml"), "shards = \"t.tar\"\nclasses = [\"a\"]\ntemplates = [\"{}\"]")
        .unwrap();
    let path = |name: &str| bench.path(name).to_string_lossy().into_owned();
    let cases: Vec<(Vec<String>, &str)> = vec![
        (vec!["--data".into(), path("nowhere")], "nowhere"),
        (vec!["--data".into(), path("empty")], "empty"),
        (vec!["--data".into(), path("cut.tar")], "cut.tar"),
        (vec!["--data".into(), path("text.tar")], "text.tar"),
        (vec!["--batch-size".into(), "64".into()], "no whole batch of 64"),
        (vec!["--batch-size".into(), "9".into(), "--set".into(), "accum_freq=2".into()], "a multiple of 2"),
        (vec!["--model".into(), "RN51".into()], "RN51"),
        (vec!["--init-from".into(), path("nowhere.safetensors")], "nowhere.safetensors"),
        (vec!["--zero-shot".into(), path("task.toml")], "at least two"),
        (vec!["--config".into(), path("no.toml")], "no.toml: cannot be read"),
        (vec!["--precision".into(), "fp8".into()], "fp8"),
    ];
    for (index, (words, expected)) in cases.iter().enumerate() {
        let mut command = pairmill_train();
        command
            .args(["run", "clip-vit-tiny", "--device", "cpu", "--out"])
            .arg(bench.path(&format!("out{index}")));
        if words[0] != "--data" {
            command.arg("--data").arg(bench.path("data"));
        }
        if words[0] != "--batch-size" {
            command.args(["--batch-size", "8"]);
        }
        let output = command.args(words).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
        assert!(message.contains(expected) && message.lines().count() == 1, "{words:?}: {message}");
        assert!(!bench.path(&format!("out{index}")).exists(), "{words:?} left a folder");
    }
}

#[test]
fn want_of_memory_says_what_stays_and_what_helps() {
    let bench = Bench::new(1, 16);
    // A batch of more bytes than an address can count: the loader's first buffer cannot be had on any machine.
    let huge = "batch_size=17179869184";
    let said = |command: &mut Command| {
        let output = command.output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        let line = message.lines().last().unwrap().to_string();
        assert!(line.starts_with("error: out of memory on the CPU, 211106232532992 bytes more"), "{message}");
        line
    };

    let mut fresh = pairmill_train();
    fresh.args(["run", "clip-vit-tiny", "--device", "cpu", "--set", huge]);
    fresh.args(["--set", "data.epoch_samples=17179869184", "--data"]).arg(bench.path("data"));
    let line = said(fresh.arg("--out").arg(bench.path("fresh")));
    for words in
        ["no checkpoint was written", "accum_freq=2 (now 1)", "recompute=true", "amp_bf16", "--batch-size"]
    {
        assert!(line.contains(words), "{words}: {line}");
    }
    assert!(!bench.path("fresh").exists());

    // In the middle of a run: the evaluation after the second step, when the first one's checkpoint is there.
    let mut run = bench.run("out", &["--duration", "2", "--set", "checkpoint.every=1", "--quiet"]);
    let validation = format!("eval.validation={:?}", bench.path("data").to_str().unwrap());
    let line = said(run.args(["--set", &format!("eval.{huge}"), "--set", &validation]));
    assert!(line.contains("checkpoints/step-00000001 stays"), "{line}");
    assert_eq!(checkpoints(&bench.path("out")), ["latest", "step-00000001"]);
    succeed(&mut bench.run("out", &["--duration", "2", "--quiet"]));
}

#[test]
fn cuda_that_is_not_there_is_said() {
    if has_gpu() {
        eprintln!("SKIPPED: there is a GPU here");
        return;
    }
    let bench = Bench::new(1, 16);
    let mut command = pairmill_train();
    command.args(["run", "clip-vit-tiny", "--device", "cuda", "--batch-size", "8", "--data"]);
    let output = command.arg(bench.path("data")).arg("--out").arg(bench.path("out")).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.starts_with("error: no CUDA device 0: ") && message.lines().count() == 1, "{message}");
}

fn has_gpu() -> bool {
    std::path::Path::new("/dev/nvidiactl").exists()
}
