//! Transfer's zero-shot accuracy is that of `evaluate` on the same pictures as a labelled shard.

use pairmill_world::{Shift, Split, Task, World, WorldConfig};
use serde_json::Value;

use crate::harness::{Bench, TEST, pairmill_train, succeed};

#[test]
fn both_ways_to_a_zero_shot_accuracy_agree() {
    let bench = Bench::new();
    let world = World::new(WorldConfig { seed: 4, sizes: pairmill_world::SizeClass::Small, distinct: None });
    Task::Counts.write_shard(&world, Split::Test, Shift::None, TEST, &bench.path("shard")).unwrap();
    let names = Task::Counts.class_names();
    // Folders are in the order of names, the shard's labels are in the order of numbers.
    let templates = Task::Counts.templates().join("\n");
    std::fs::write(bench.path("templates.txt"), templates).unwrap();
    let templates = bench.path("templates.txt").to_string_lossy().into_owned();
    succeed(&mut bench.transfer("out", &["--method", "zero-shot", "--templates", &templates]));
    let rows = bench.rows("out");
    let ours = rows.iter().find(|row| row.metric == "acc1").unwrap();
    assert_eq!(ours.num_test, Some(TEST * names.len() as u64));

    succeed(
        pairmill_train()
            .args([
                "run",
                "clip-rn-tiny",
                "--device",
                "cpu",
                "--batch-size",
                "4",
                "--duration",
                "1",
                "--lr",
                "1e-30",
            ])
            .args(["--set", "optim.warmup=0", "--init-from"])
            .arg(bench.path("a.safetensors"))
            .arg("--data")
            .arg(bench.path("shard/counts-test.tar"))
            .args(["--set", "data.samples.caption=nowhere", "--out"])
            .arg(bench.path("run")),
    );
    let output = succeed(
        pairmill_train()
            .args(["evaluate", "--json", "--device", "cpu", "--zero-shot"])
            .arg(bench.path("shard/counts.toml"))
            .arg(bench.path("run")),
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let acc1 = lines.into_iter().find(|line| line["name"] == "acc1").unwrap()["value"].as_f64().unwrap();
    assert!((100.0 * acc1 - ours.value).abs() < 1e-9, "{acc1} and {}", ours.value);
}
