//! A run that was killed goes on as if nothing had happened.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::{Bench, checkpoints, succeed};

const STEPS: &[&str] = &["--duration", "14", "--set", "checkpoint.every=3"];

#[test]
fn killed_in_mid_epoch_the_losses_go_on_bit_for_bit() {
    let bench = Bench::new(3, 20);
    succeed(&mut bench.run("whole", STEPS));
    let whole = bench.losses("whole");
    assert_eq!(whole.iter().map(|(step, _)| *step).collect::<Vec<_>>(), (1..=14).collect::<Vec<_>>());

    // Kill it once there is a checkpoint within the first epoch (7 steps), and again within the second.
    for kept in ["step-00000003", "step-00000009"] {
        let mut child = bench.run("killed", STEPS).arg("--quiet").spawn().unwrap();
        let patience = Instant::now() + Duration::from_secs(120);
        while !bench.path("killed/checkpoints").join(kept).exists() {
            assert!(Instant::now() < patience && child.try_wait().unwrap().is_none(), "never kept {kept}");
            sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    succeed(&mut bench.run("killed", STEPS));
    assert_eq!(bench.losses("killed"), whole);
    let model =
        |run: &str| std::fs::read(bench.path(run).join("checkpoints/epoch_2/model.safetensors")).unwrap();
    assert!(model("killed") == model("whole"), "weights differ");
    // Only the newest two stay.
    assert_eq!(checkpoints(&bench.path("whole")), ["epoch_2", "latest", "step-00000012"]);
}

#[test]
fn a_finished_run_given_again_has_nothing_to_do_and_another_one_is_refused() {
    let bench = Bench::new(1, 16);
    succeed(&mut bench.run("out", &["--duration", "2"]));
    let losses = bench.losses("out");
    succeed(&mut bench.run("out", &["--duration", "2"]));
    assert_eq!(bench.losses("out"), losses);
    let output = bench.run("out", &["--duration", "2", "--lr", "0.5"]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("optim.lr was 0.001, is 0.5"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[cfg(unix)]
#[test]
fn interrupted_it_keeps_the_step_and_says_how_to_go_on() {
    let bench = Bench::new(1, 32);
    let mut child =
        bench.run("out", &["--duration", "4000"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(120);
    while !bench.path("out/metrics.jsonl").exists() || bench.losses("out").len() < 2 {
        assert!(Instant::now() < patience && child.try_wait().unwrap().is_none(), "never took a step");
        sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&output.stderr).contains("give the same command again"));
    let steps = bench.losses("out").len() as u64;
    let outcome = bench.run("out", &["--duration", "4000", "--dry-run"]).output().unwrap();
    let plan = String::from_utf8(outcome.stdout).unwrap();
    assert!(plan.contains(&format!("goes on at step {steps}")), "{plan}");
}
