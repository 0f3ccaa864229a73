//! What weights know of the run that made them, and what a rerun knows of the steps before it.

use std::path::Path;

use crate::harness::{Bench, checkpoints, pairmill_train, succeed};

/// All numbers that an evaluation prints, as text.
fn numbers(subject: &Path, data: &Path, model: &[&str]) -> String {
    let mut command = pairmill_train();
    command.args(["evaluate", "--json", "--device", "cpu"]).arg(subject).args(model);
    let output = succeed(command.arg("--validation").arg(data));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("{\"task\"")).collect();
    assert!(lines.len() > 1, "{text}");
    lines.join("\n")
}

#[test]
fn t14_exported_weights_carry_the_mean_and_std_of_their_run() {
    let bench = Bench::new(1, 16);
    let own = "data.normalise={own={mean=[0.1,0.2,0.3],std=[0.4,0.5,0.6]}}";
    succeed(&mut bench.run("out", &["--duration", "3", "--quiet", "--set", own]));
    succeed(&mut bench.run("clip", &["--duration", "3", "--quiet"]));
    let data = bench.path("data");
    let tiny = ["--model", "vit-tiny"];
    for (run, carries) in [("out", true), ("clip", false)] {
        let (exported, imported) = (bench.path("exported.safetensors"), bench.path("imported.safetensors"));
        succeed(pairmill_train().arg("export").arg(bench.path(run)).arg(&exported));
        let expected = numbers(&bench.path(run), &data, &[]);
        assert_eq!(numbers(&exported, &data, &tiny), expected);
        // So do weights that are turned into others, with a model and without.
        for model in [&tiny[..], &[]] {
            succeed(pairmill_train().arg("import").arg(&exported).arg(&imported).args(model));
            assert_eq!(numbers(&imported, &data, &tiny), expected);
        }
        let bytes = std::fs::read(&exported).unwrap();
        let key = b"pairmill.normalise";
        assert_eq!(bytes.windows(key.len()).any(|window| window == key), carries);
        // The same checkpoint gives the same bytes.
        succeed(pairmill_train().arg("export").arg(bench.path(run)).arg(&imported));
        assert_eq!(std::fs::read(&imported).unwrap(), bytes);
    }
}

#[test]
fn t01_reruns_of_lost_weights_do_not_push_out_a_good_checkpoint() {
    let bench = Bench::new(2, 24);
    // Step 3 spoils the weights without making them infinite; every loss is NaN from step 4 on.
    let rate = "optim.schedule={name=\"const-cooldown\", steps=4, power=1.0, end_lr=1e30}";
    let run = ["--duration", "6", "--quiet", "--skip-bad-batches", "9", "--set", rate];
    let run = [&run[..], &["--set", "optim.warmup=1", "--set", "checkpoint.every=1"]].concat();
    let failed = |run: &[&str]| {
        let output = bench.run("out", run).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        message
    };
    let first = failed(&run);
    assert!(first.contains("it is the weights that make batches bad"), "{first}");
    let before = checkpoints(&bench.path("out"));
    assert_eq!(before.len(), 3, "{before:?}");
    for _ in 0..2 {
        assert_eq!(failed(&run), first);
        assert_eq!(checkpoints(&bench.path("out")), before);
    }
}

#[test]
fn t09_a_dry_run_that_cannot_go_on_ends_as_the_run_would() {
    let bench = Bench::new(1, 16);
    succeed(&mut bench.run("out", &["--duration", "2", "--quiet"]));
    for more in [&[][..], &["--dry-run"]] {
        let mut run = bench.run("out", &[&["--duration", "2", "--lr", "0.5", "--quiet"], more].concat());
        let output = run.output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("optim.lr was"), "{message}");
    }
}
