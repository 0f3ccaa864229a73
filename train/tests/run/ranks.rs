//! Several processes make the run that one would.

use std::net::TcpListener;
use std::process::{Child, Command};

use crate::harness::{Bench, succeed};

const STEPS: &[&str] = &["--duration", "20"];

/// Starts `world` ranks as torchrun would, waits for all.
fn launch(bench: &Bench, out: &str, world: usize, more: &[&str]) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ranks: Vec<(Command, Child)> = (0..world)
        .map(|rank| {
            let mut command = bench.run(out, more);
            command.env("RANK", rank.to_string()).env("WORLD_SIZE", world.to_string());
            command.env("LOCAL_RANK", rank.to_string());
            command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
            let child = command.spawn().unwrap();
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
    launch(&bench, "two", 2, STEPS);
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
    launch(&bench, "moved", 2, &steps);
    let (one, moved) = (bench.losses("one"), bench.losses("moved"));
    assert_eq!(moved.first().map(|(step, _)| *step), Some(11));
    for ((step, a), (_, b)) in one[10..].iter().zip(&moved) {
        assert!((a - b).abs() <= 1e-5 * a.abs(), "step {step}: {a} and {b}");
    }
}
