//! Several processes make the run that one would.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::{Bench, pairmill_train, succeed};

const STEPS: &[&str] = &["--duration", "20"];

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The command as torchrun would start it.
pub fn as_rank(command: &mut Command, rank: usize, world: usize, port: u16) -> &mut Command {
    command.env("RANK", rank.to_string()).env("WORLD_SIZE", world.to_string());
    command.env("LOCAL_RANK", rank.to_string());
    command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string())
}

/// Starts `world` ranks as torchrun would, waits for all.
fn launch(world: usize, command: impl Fn() -> Command) {
    let port = free_port();
    let ranks: Vec<(Command, Child)> = (0..world)
        .map(|rank| {
            let mut command = command();
            let child = as_rank(&mut command, rank, world, port).spawn().unwrap();
            (command, child)
        })
        .collect();
    for (command, mut child) in ranks {
        assert!(child.wait().unwrap().success(), "{command:?}");
    }
}

fn assert_close(a: &[(u64, f64)], b: &[(u64, f64)]) {
    assert_eq!(a.len(), 20);
    for ((step, a), (_, b)) in a.iter().zip(b) {
        assert!((a - b).abs() <= 1e-5 * a.abs(), "step {step}: {a} and {b}");
    }
}

#[test]
fn two_ranks_and_micro_batches_follow_the_losses_of_one_process() {
    let bench = Bench::new(3, 20);
    succeed(&mut bench.run("one", STEPS));
    let one = bench.losses("one");
    launch(2, || bench.run("two", STEPS));
    assert_close(&one, &bench.losses("two"));
    succeed(&mut bench.run("parts", &[STEPS, &["--set", "accum_freq=2"]].concat()));
    // Micro-batches take the loader's order one after the other, so the batch is the same.
    assert_close(&one, &bench.losses("parts"));
}

#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    let bench = Bench::new(2, 24);
    let steps = ["--duration", "20", "--set", "checkpoint.every=10", "--set", "checkpoint.keep.last=9"];
    succeed(&mut bench.run("one", &steps));
    // A copy of the run as it stood after ten steps.
    let from = bench.path("one/checkpoints/step-00000010");
    let to = bench.path("moved/checkpoints/step-00000010");
    std::fs::create_dir_all(&to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    launch(2, || bench.run("moved", &steps));
    let (one, moved) = (bench.losses("one"), bench.losses("moved"));
    assert_eq!(moved.first().map(|(step, _)| *step), Some(11));
    for ((step, a), (_, b)) in one[10..].iter().zip(&moved) {
        assert!((a - b).abs() <= 1e-5 * a.abs(), "step {step}: {a} and {b}");
    }
}

/// The last results of a run, by name.
fn results(bench: &Bench, out: &str) -> BTreeMap<String, f64> {
    let log = std::fs::read_to_string(bench.path(out).join("metrics.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    serde_json::from_value(last["metrics"].clone()).unwrap()
}

#[test]
fn t12_two_ranks_evaluate_the_batch_norm_statistics_that_they_keep() {
    let bench = Bench::new(2, 24);
    let validation = bench.path("data").to_string_lossy().into_owned();
    // A high rate, so that statistics of two halves of the data are far apart.
    let steps = [
        "--model",
        "rn-tiny",
        "--duration",
        "4",
        "--lr",
        "0.01",
        "--validation",
        &validation,
        "--set",
        "eval.batch_size=12",
    ];
    launch(2, || bench.run("two", &steps));
    let trained = results(&bench, "two");
    let found = bench.path("found");
    launch(2, || {
        let mut command = pairmill_train();
        command.args(["evaluate", "--json", "--device", "cpu", "--batch-size", "12", "--validation"]);
        command.arg(&validation).arg(bench.path("two"));
        let out = std::fs::OpenOptions::new().create(true).append(true).open(&found).unwrap();
        command.stdout(out);
        command
    });
    let kept: serde_json::Value =
        serde_json::from_str(std::fs::read_to_string(found).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!(kept["name"], "validation_loss");
    let (trained, kept) = (trained["validation/validation_loss"], kept["value"].as_f64().unwrap());
    assert!((trained - kept).abs() < 1e-5, "{trained} while training, {kept} of what was kept");
}

#[cfg(unix)]
#[test]
fn t12_ranks_stop_together_when_one_of_them_is_told_to() {
    let bench = Bench::new(1, 32);
    let port = free_port();
    let start = |rank| {
        let mut command = bench.run("out", &["--duration", "4000", "--quiet"]);
        as_rank(&mut command, rank, 2, port).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut ranks = [start(0), start(1)];
    let patience = Instant::now() + Duration::from_secs(120);
    while !bench.path("out/metrics.jsonl").exists() || bench.losses("out").len() < 2 {
        assert!(Instant::now() < patience && ranks[0].try_wait().unwrap().is_none(), "never took a step");
        sleep(Duration::from_millis(5));
    }
    let told = ranks[1].id().to_string();
    assert!(Command::new("kill").args(["-INT", &told]).status().unwrap().success());
    for rank in ranks {
        let output = rank.wait_with_output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(130), "{message}");
    }
    let steps = bench.losses("out").len();
    assert!(bench.path(&format!("out/checkpoints/step-{steps:08}")).exists() || steps.is_multiple_of(4));
}
