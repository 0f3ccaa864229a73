//! What a run leaves behind can be evaluated, exported, and started from.

use crate::harness::{Bench, pairmill_train, succeed};

#[test]
fn weights_go_out_and_come_back_in() {
    let bench = Bench::new(1, 24);
    let task = bench.path("tasks");
    let world = pairmill_world::World::new(pairmill_world::WorldConfig::default());
    pairmill_world::Task::Counts
        .write_shard(&world, pairmill_world::Split::Test, pairmill_world::Shift::None, 4, &task)
        .unwrap();
    let validation = bench.path("data").to_string_lossy().into_owned();
    let zero_shot = task.join("counts.toml").to_string_lossy().into_owned();
    succeed(
        &mut bench.run("out", &["--duration", "2", "--validation", &validation, "--zero-shot", &zero_shot]),
    );

    let evaluate = |run: &str| {
        let mut command = pairmill_train();
        command.args([
            "evaluate",
            "--json",
            "--device",
            "cpu",
            "--zero-shot",
            &zero_shot,
            "--validation",
            &validation,
        ]);
        String::from_utf8(succeed(command.arg(bench.path(run))).stdout).unwrap()
    };
    let found = evaluate("out");
    let names: Vec<String> = found
        .lines()
        .map(|line| {
            let metric: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(
                metric["num_samples"].as_u64().unwrap() == if metric["task"] == "counts" { 20 } else { 24 }
            );
            format!("{}/{}", metric["task"].as_str().unwrap(), metric["name"].as_str().unwrap())
        })
        .collect();
    assert!(
        names.contains(&"counts/acc1".into())
            && names.contains(&"validation/image_retrieval_recall@5".into())
    );
    // The run's own last evaluation said the same.
    let log = std::fs::read_to_string(bench.path("out/metrics.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    let first: serde_json::Value = serde_json::from_str(found.lines().next().unwrap()).unwrap();
    let loss = |value: &serde_json::Value| value.as_f64().unwrap();
    assert!((loss(&first["value"]) - loss(&last["metrics"]["validation/validation_loss"])).abs() < 1e-5);

    // Out as a file, in again as the start of another run: the first loss is that of the trained weights.
    let file = bench.path("weights.safetensors");
    succeed(pairmill_train().arg("export").arg(bench.path("out")).arg(&file));
    for from in [bench.path("out"), file] {
        let out = format!("from-{}", from.is_dir());
        let start = ["--duration", "1", "--init-from", &from.to_string_lossy()].map(str::to_owned);
        succeed(&mut bench.run(&out, &start.each_ref().map(String::as_str)));
    }
    assert_eq!(bench.losses("from-true"), bench.losses("from-false"));
    succeed(&mut bench.run("fresh", &["--duration", "1"]));
    assert_ne!(bench.losses("from-true"), bench.losses("fresh"));
}

#[test]
fn t12_evaluation_computes_in_the_precision_of_training_unless_told_otherwise() {
    let bench = Bench::new(1, 24);
    let validation = bench.path("data").to_string_lossy().into_owned();
    let trained = |out: &str, more: &[&str]| {
        let steps = ["--duration", "3", "--precision", "amp_bf16", "--validation", &validation];
        succeed(&mut bench.run(out, &[&steps, more].concat()));
        let log = std::fs::read_to_string(bench.path(out).join("metrics.jsonl")).unwrap();
        let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        last["metrics"]["validation/validation_loss"].as_f64().unwrap()
    };
    let evaluated = |out: &str, more: &[&str]| {
        let mut command = pairmill_train();
        command.args(["evaluate", "--json", "--device", "cpu", "--validation", &validation]).args(more);
        let found = String::from_utf8(succeed(command.arg(bench.path(out))).stdout).unwrap();
        let first: serde_json::Value = serde_json::from_str(found.lines().next().unwrap()).unwrap();
        first["value"].as_f64().unwrap()
    };
    let (narrow, wide) = (trained("narrow", &[]), trained("wide", &["--set", "eval.precision=fp32"]));
    let near = |a: f64, b: f64| (a - b).abs() < 1e-5;
    // The weights are the same; bf16 keeps three digits.
    assert!(!near(narrow, wide) && (narrow - wide).abs() < 0.05, "{narrow} and {wide}");
    assert!(near(evaluated("narrow", &[]), narrow));
    assert!(near(evaluated("narrow", &["--precision", "fp32"]), wide));
    assert!(near(evaluated("wide", &[]), wide));
    assert!(near(evaluated("wide", &["--precision", "amp_bf16"]), narrow));
    let wrong = pairmill_train().args(["evaluate", "x", "--precision", "fp8"]).output().unwrap();
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("amp_bf16"), "{wrong:?}");
}
