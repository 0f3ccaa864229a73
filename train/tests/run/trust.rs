//! What a run keeps can be trusted: nothing that is not finite is kept, a checkpoint says what it is of, a folder is one
//! run's, and what changes on the way is said.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use pairmill_train::checkpoint::{export_weights, named};
use pairmill_train::config::TrainConfig;
use pairmill_train::launch::Launch;
use pairmill_train::model::{Architecture, Clip};
use pairmill_train::ranks::Meeting;
use pairmill_train::trainer::bad_batch::{Guard, Unseen};
use pairmill_train::trainer::setup::{Setup, prepare};
use pairmill_train::weights::Role;
use serde_json::Value;
use tch::{Device, no_grad};

use crate::agreement::{assert_refused, ends, two};
use crate::harness::{Bench, checkpoints, pairmill_train, succeed};

/// Learns for eight steps, then by a rate of 10²⁹: step 10 spoils the weights, step 11 has no loss.
const DIVERGES: &[&str] = &[
    "--duration",
    "12",
    "--set",
    "optim.schedule={name=\"const-cooldown\", steps=4, power=1.0, end_lr=1e30}",
    "--set",
    "optim.warmup=2",
    "--set",
    "log.every_steps=10",
    "--quiet",
];

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Expects a refusal: exit code `code`, one line that holds all of `words`.
fn refused(command: &mut Command, code: i32, words: &[&str]) -> String {
    let output = command.output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{message}");
    for word in words {
        assert!(message.contains(word), "{word}: {message}");
    }
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

fn state(checkpoint: &Path) -> Value {
    serde_json::from_slice(&fs::read(checkpoint.join("state.json")).unwrap()).unwrap()
}

fn evaluate(subject: &Path, more: &[&str]) -> Command {
    let mut command = pairmill_train();
    command.args(["evaluate", "--json", "--device", "cpu"]).arg(subject).args(more);
    command
}

#[test]
fn t01_the_last_good_checkpoint_stays_and_a_rerun_goes_on_from_it() {
    let bench = Bench::new(2, 24);
    let run = [DIVERGES, &["--set", "checkpoint.every=3"]].concat();
    let words = [
        "the loss became NaN at step 11 (seen in steps 11 to 12); batch of step 11: 0000",
        "step-00000009 (step 9) stays and the same command goes on from it",
        "--skip-bad-batches",
    ];
    let first = refused(&mut bench.run("out", &run), 1, &words);
    let kept = ["latest", "step-00000009"];
    assert!(kept.iter().all(|name| checkpoints(&bench.path("out")).contains(&(*name).to_owned())));
    let before = checkpoints(&bench.path("out"));
    // All eight keys are in the log.
    let log = fs::read_to_string(bench.path("out/metrics.jsonl")).unwrap();
    let bad: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&bad["kind"], &bad["step"], &bad["bad_loss"]),
        (&"bad-batch".into(), &11.into(), &"NaN".into())
    );
    assert_eq!(bad["keys"].as_array().unwrap().len(), 8);
    // The rerun makes the same steps from step 9 on, and evaluation sees step 9.
    assert_eq!(refused(&mut bench.run("out", &run), 1, &words), first);
    assert_eq!(checkpoints(&bench.path("out")), before);
    let data = bench.path("data").to_string_lossy().into_owned();
    let output = succeed(&mut evaluate(&bench.path("out"), &["--validation", &data]));
    assert!(stderr(&output).contains("step-00000009: step 9"), "{}", stderr(&output));
}

#[test]
fn t01_every_rank_of_a_run_that_loses_its_numbers_ends() {
    let bench = Bench::new(2, 24);
    let run = [DIVERGES, &["--set", "checkpoint.every=9"]].concat();
    for (code, message) in ends(two([bench.run("out", &run), bench.run("out", &run)])) {
        assert_eq!(code, Some(1), "{message}");
        assert!(message.contains("the loss became NaN at step 11"), "{message}");
    }
    assert_eq!(checkpoints(&bench.path("out")), ["latest", "step-00000009"]);
    // The folder is free again.
    succeed(&mut bench.run("out", &[&run[..], &["--dry-run"]].concat()));
}

#[test]
fn t01_weights_that_are_lost_in_the_last_step_are_not_kept() {
    let bench = Bench::new(1, 24);
    let words = ["the weights were lost (", "at step 12", "step-00000011 (step 11) stays"];
    let rate = "optim.schedule={name=\"const-cooldown\", steps=2, power=1.0, end_lr=1e300}";
    let mut run =
        bench.run("out", &["--duration", "12", "--set", "checkpoint.every=11", "--set", rate, "--quiet"]);
    refused(run.args(["--set", "optim.warmup=2"]), 1, &words);
    assert_eq!(checkpoints(&bench.path("out")), ["latest", "step-00000011"]);
}

#[test]
fn t01_batches_may_be_left_out_but_not_a_model_that_is_lost() {
    let bench = Bench::new(2, 24);
    let run = [DIVERGES, &["--set", "checkpoint.every=9"]].concat();
    let words =
        ["at step 12", "after 1 batches that --skip-bad-batches allows", "step-00000009 (step 9) stays"];
    refused(&mut bench.run("one", &[&run[..], &["--skip-bad-batches", "1"]].concat()), 1, &words);
    // Every batch from step 11 on is bad: such weights are finite and push out good ones all the same.
    let words = ["at step 12", "it is the weights that make batches bad", "step-00000009 (step 9) stays"];
    refused(&mut bench.run("five", &[&run[..], &["--skip-bad-batches", "5"]].concat()), 1, &words);
    assert_eq!(checkpoints(&bench.path("five")), ["latest", "step-00000009"]);
    // A run without bad batches is the same run to the bit.
    let good = ["--duration", "6", "--quiet"];
    succeed(&mut bench.run("plain", &good));
    succeed(&mut bench.run("guarded", &[&good[..], &["--skip-bad-batches", "5"]].concat()));
    assert_eq!(bench.losses("plain"), bench.losses("guarded"));
    let model = |run: &str| fs::read(bench.path(run).join("checkpoints/epoch_1/model.safetensors")).unwrap();
    assert!(model("plain") == model("guarded"));
}

/// Values of all tensors of a run, as bits.
fn bits(setup: &Setup) -> Vec<(String, Vec<u64>)> {
    let tensors = named(setup.stepper.model.weights()).into_iter().chain(setup.stepper.optimiser.state());
    let bits = |tensor: tch::Tensor| {
        let values = tensor.detach().to_kind(tch::Kind::Double).reshape([-1]);
        Vec::<f64>::try_from(&values).unwrap().into_iter().map(f64::to_bits).collect()
    };
    tensors.map(|(name, tensor)| (name, bits(tensor))).collect()
}

#[test]
fn t01_a_bad_batch_leaves_no_trace_in_weights_moments_or_running_means() {
    let bench = Bench::new(1, 32);
    let data = format!(
        "batch_size = 8\nskip_bad_batches = 3\n[[data.sources]]\nshards = {:?}\n",
        bench.path("data")
    );
    let layers = vec![TrainConfig::recipe("clip-rn-tiny").unwrap(), ("test".into(), data.parse().unwrap())];
    let config = TrainConfig::from_layers(layers).unwrap();
    let run = |spoils: bool| {
        let mut setup = prepare(&config, &bench.path("none"), &Launch::single(), &Meeting::alone()).unwrap();
        assert!(setup.stepper.guard.as_ref().is_some_and(|guard: &Guard| guard.flag().numel() == 1));
        let mut unseen = Unseen::default();
        for step in 0..3 {
            let batch = setup.feed.next().unwrap().unwrap();
            if spoils && step == 1 {
                // A weight that is no number makes this batch a bad one; it was good before and after.
                let weights = setup.stepper.model.weights().all();
                let first = weights.iter().find(|weight| weight.role == Role::Parameter).unwrap();
                let before = first.tensor.detach().copy();
                let _ = no_grad(|| first.tensor.shallow_clone().fill_(f64::NAN));
                let outcome = setup.stepper.step(&batch, 1, 1e-3, &setup.ranks).unwrap();
                assert!(outcome.left_out.as_ref().unwrap().int64_value(&[]) == 1);
                unseen.push(step, &outcome, Vec::new());
                no_grad(|| first.tensor.shallow_clone().copy_(&before));
            }
            let outcome = setup.stepper.step(&batch, 1, 1e-3, &setup.ranks).unwrap();
            unseen.push(step, &outcome, Vec::new());
        }
        let (_, seen) = unseen.ask(&setup.ranks).unwrap().unwrap().look().unwrap();
        (bits(&setup), seen.into_iter().filter(|step| step.is_left_out).count())
    };
    let ((plain, none), (spoiled, one)) = (run(false), run(true));
    assert_eq!((none, one), (0, 1));
    for ((name, plain), (_, spoiled)) in plain.iter().zip(&spoiled) {
        assert!(plain == spoiled, "{name}");
    }
}

/// A file of weights of vit-tiny; the image tower's first is `value`.
fn weights_file(bench: &Bench, name: &str, value: Option<f64>) -> String {
    let path = bench.path(name);
    let clip = Clip::new(&Architecture::find("vit-tiny").unwrap(), Device::Cpu).unwrap();
    if let Some(value) = value {
        let all = clip.weights().all();
        let conv1 = all.iter().find(|weight| weight.name == "visual.conv1.weight").unwrap();
        let _ = no_grad(|| conv1.tensor.shallow_clone().fill_(value));
    }
    export_weights(clip.weights(), &path).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn t03_a_model_that_is_not_a_number_is_measured_as_such_and_handed_on_by_nobody() {
    let bench = Bench::new(1, 24);
    let tasks = bench.path("tasks");
    let world = pairmill_world::World::new(pairmill_world::WorldConfig::default());
    pairmill_world::Task::Counts
        .write_shard(&world, pairmill_world::Split::Test, pairmill_world::Shift::None, 4, &tasks)
        .unwrap();
    let file = weights_file(&bench, "nan.safetensors", Some(f64::NAN));
    let data = bench.path("data").to_string_lossy().into_owned();
    let task = tasks.join("counts.toml").to_string_lossy().into_owned();
    let more = ["--model", "vit-tiny", "--validation", &data, "--zero-shot", &task];
    let output = succeed(&mut evaluate(Path::new(&file), &more));
    let lines: Vec<Value> = String::from_utf8(output.stdout.clone())
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert!(lines.len() > 8 && lines.iter().all(|line| line["value"] == "NaN"), "{lines:?}");
    assert!(
        stderr(&output).contains("visual.conv1.weight holds values that are not finite"),
        "{}",
        stderr(&output)
    );
    let table = succeed(pairmill_train().args(["evaluate", &file, "--device", "cpu"]).args(more));
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.lines().all(|line| line.contains(" NaN ")), "{table}");

    let words = ["nan.safetensors: visual.conv1.weight holds values that are not finite"];
    refused(&mut bench.run("out", &["--duration", "1", "--init-from", &file]), 2, &words);
    assert!(!bench.path("out").exists());
    let to = bench.path("imported.safetensors").to_string_lossy().into_owned();
    refused(pairmill_train().args(["import", &file, "--model", "vit-tiny", &to]), 2, &words);
    assert!(!bench.path("imported.safetensors").exists());
}

const MINE: &str = "name=\"mine\"\nembed_dim=32\nactivation=\"gelu\"\n[visual]\nkind=\"transformer\"\nimage_size=32\n\
                    patch_size=8\nlayers=1\nwidth=32\nhead_width=16\n[text]\nwidth=32\nheads=2\nlayers=1\n";

#[test]
fn t07_an_architecture_file_that_is_edited_or_gone_changes_no_checkpoint() {
    let bench = Bench::new(1, 24);
    let mine = bench.path("mine.toml");
    fs::write(&mine, MINE).unwrap();
    let data = bench.path("data").to_string_lossy().into_owned();
    // By a relative path, as people give it.
    let run = |out: &str, more: &[&str]| {
        let mut command = bench.run(out, &["--model", "mine.toml", "--quiet"]);
        command.args(more).current_dir(bench.folder.path());
        command
    };
    succeed(&mut run("out", &["--duration", "3"]));
    let measure = |subject: &str| {
        let output = succeed(&mut evaluate(&bench.path(subject), &["--validation", &data]));
        assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let found = measure("out");
    let edited = MINE.replace("gelu", "quick_gelu");
    fs::write(&mine, &edited).unwrap();
    assert_eq!(measure("out"), found);
    refused(&mut run("out", &["--duration", "6"]), 2, &["model.activation was \"gelu\", is \"quick_gelu\""]);
    let output = succeed(&mut run("from", &["--duration", "1", "--init-from", "out"]));
    assert_eq!(stderr(&output), "", "quiet");
    let notes = state(&bench.path("from/checkpoints/step-00000001"))["notes"].to_string();
    assert!(notes.contains("another model than this run's: model.activation was"), "{notes}");
    fs::remove_file(&mine).unwrap();
    assert_eq!(measure("out"), found);
    let exported = bench.path("out.safetensors");
    succeed(pairmill_train().arg("export").arg(bench.path("out")).arg(&exported));

    // A checkpoint of format 1 has the name alone: it opens where the file is, and says so.
    let path = bench.path("out/checkpoints/epoch_1/state.json");
    let mut old: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    old.as_object_mut().unwrap().remove("model");
    old["format"] = 1.into();
    fs::write(&path, old.to_string()).unwrap();
    refused(&mut evaluate(&bench.path("out"), &["--validation", &data]), 2, &["epoch_1", "mine.toml"]);
    fs::write(&mine, MINE).unwrap();
    let mut command = evaluate(&bench.path("out"), &["--validation", &data]);
    let output = succeed(command.current_dir(bench.folder.path()));
    assert!(
        stderr(&output).contains("warning: ") && stderr(&output).contains("does not carry its architecture")
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap(), found);
    // Or with the model named.
    let model = mine.to_string_lossy().into_owned();
    let output = succeed(&mut evaluate(&bench.path("out"), &["--validation", &data, "--model", &model]));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), found);
}

#[test]
fn t08_a_second_process_in_one_folder_is_refused_and_a_killed_one_blocks_nobody() {
    let bench = Bench::new(1, 32);
    let steps = ["--duration", "100000", "--set", "checkpoint.every=2", "--quiet"];
    let mut first = bench.run("out", &steps).spawn().unwrap();
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while !bench.path("out/checkpoints/latest").exists() {
        assert!(
            std::time::Instant::now() < patience && first.try_wait().unwrap().is_none(),
            "never kept a step"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let pid = format!("process {} on ", first.id());
    let words = [&pid, "is training in this folder", "give another --out"];
    refused(&mut bench.run("out", &steps), 2, &words);
    // Another command line is refused for the same reason: it is found before anything of the data is read.
    refused(&mut bench.run("out", &["--duration", "5", "--data", "nowhere"]), 2, &words);
    // All ranks of a second run are told.
    assert_refused(&ends(two([bench.run("out", &steps), bench.run("out", &steps)])), &words);
    // Looking is free.
    let data = bench.path("data").to_string_lossy().into_owned();
    succeed(&mut bench.run("out", &[&steps[..], &["--dry-run"]].concat()));
    let _ = evaluate(&bench.path("out"), &["--validation", &data]).output().unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    let log = fs::read_to_string(bench.path("out/metrics.jsonl")).unwrap();
    let whole = log.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
    assert!(whole + 1 >= log.lines().count(), "{log}");
    let made = bench.losses("out").len() as u64;
    let duration = (made + 4).to_string();
    // The killed run was of 100,000 steps: a shorter one is another run, and says so instead of being blocked.
    refused(&mut bench.run("out", &["--duration", &duration]), 2, &["duration = ", "100000"]);
}

#[test]
fn t11_keep_best_alone_keeps_the_newest_two_and_the_best() {
    let bench = Bench::new(1, 48);
    let data = bench.path("data").to_string_lossy().into_owned();
    let keep = |metric: &str| format!("checkpoint.keep.best={{metric=\"{metric}\", direction=\"highest\"}}");
    let run = |out: &str, metric: &str| {
        let mut command =
            bench.run(out, &["--duration", "6", "--set", "checkpoint.every=1", "--validation", &data]);
        command.args(["--set", "eval.every=1", "--quiet", "--set", &keep(metric)]);
        command
    };
    // The loss falls, so the highest is the first: three stay.
    succeed(&mut run("out", "validation/validation_loss"));
    assert_eq!(checkpoints(&bench.path("out")), ["epoch_1", "latest", "step-00000001", "step-00000005"]);
    let words = ["keep.best.metric = validation/val_loss", "this run measures validation/validation_loss, "];
    refused(&mut run("typo", "validation/val_loss"), 2, &words);
    assert!(!bench.path("typo").exists());
}

#[test]
fn t11_resized_position_embeddings_are_said_and_recorded() {
    let bench = Bench::new(1, 24);
    let file = weights_file(&bench, "small.safetensors", None);
    let known = include_str!("../../models/vit_tiny.toml");
    let model = bench.path("larger.toml").to_string_lossy().into_owned();
    fs::write(&model, known.replace("image_size = 64", "image_size = 96")).unwrap();
    let sentence = "position embeddings resized from 8×8 to 12×12 patches";
    let output =
        succeed(&mut bench.run("out", &["--model", &model, "--duration", "1", "--init-from", &file]));
    assert!(stderr(&output).contains(sentence), "{}", stderr(&output));
    let notes = state(&bench.path("out/checkpoints/step-00000001"))["notes"].to_string();
    assert!(notes.contains(sentence), "{notes}");
    // A resumed run does not resize again, and does not forget.
    succeed(&mut bench.run("out", &["--model", &model, "--duration", "2", "--init-from", &file]));
    let notes = state(&bench.path("out/checkpoints/step-00000002"))["notes"].to_string();
    assert_eq!(notes.matches(sentence).count(), 1, "{notes}");

    let data = bench.path("data").to_string_lossy().into_owned();
    let output = succeed(&mut evaluate(Path::new(&file), &["--model", &model, "--validation", &data]));
    assert!(stderr(&output).contains(sentence), "{}", stderr(&output));

    // The same for transfer.
    let set = bench.path("set");
    for (class, from) in [("even", 0u64), ("odd", 1)] {
        fs::create_dir_all(set.join(class)).unwrap();
        for sample in 0..4u64 {
            let world = pairmill_world::World::new(pairmill_world::WorldConfig::default());
            let picture =
                world.picture(pairmill_world::Source::Shutterstock, from + 2 * sample).bytes().unwrap();
            fs::write(set.join(class).join(format!("{sample}.jpg")), picture).unwrap();
        }
    }
    let mut transfer = pairmill_train();
    transfer.args([
        "transfer",
        &file,
        "--model",
        &model,
        "--task",
        "folder",
        "--method",
        "zero-shot",
        "--seeds",
        "1",
    ]);
    let output = succeed(transfer.arg("--data").arg(&set).arg("--out").arg(bench.path("results")));
    assert!(stderr(&output).contains(sentence), "{}", stderr(&output));
    let run = fs::read_dir(bench.path("results/runs")).unwrap().next().unwrap().unwrap().path();
    let record: Value = serde_json::from_slice(&fs::read(run.join("result.json")).unwrap()).unwrap();
    assert!(record["notes"].to_string().contains(sentence), "{}", record["notes"]);
}

#[test]
fn t11_a_large_seed_is_a_seed_of_its_own() {
    let bench = Bench::new(1, 24);
    let run = |out: &str, seed: &str| {
        succeed(&mut bench.run(out, &["--duration", "1", "--quiet", "--seed", seed]));
        let state = state(&bench.path(out).join("checkpoints/step-00000001"));
        assert_eq!(state["seed"].to_string(), seed);
        bench.losses(out)
    };
    let zero = run("zero", "0");
    // The first differs in its upper half alone.
    let (high, largest) = (run("high", "4294967296"), run("largest", "18446744073709551615"));
    assert!(zero != high && zero != largest && high != largest);
    // It can be gone on with, and is the same run.
    succeed(&mut bench.run("largest", &["--duration", "1", "--quiet", "--seed", "18446744073709551615"]));
    refused(
        &mut bench.run("largest", &["--duration", "1", "--seed", "0"]),
        2,
        &["seed was", "18446744073709551615"],
    );
}

#[test]
fn t14_a_longer_duration_goes_on_by_the_longer_schedule_and_says_so() {
    let bench = Bench::new(1, 32);
    let run = |out: &str, duration: &str| {
        bench.run(out, &["--duration", duration, "--set", "optim.warmup=2", "--set", "checkpoint.every=4"])
    };
    succeed(&mut run("out", "6"));
    let dry = succeed(run("out", "12").arg("--dry-run"));
    let sentence =
        "the run grows from 6 to 12 steps: from step 7 on, learning rates follow the longer schedule";
    assert!(String::from_utf8(dry.stdout).unwrap().contains(sentence));
    let output = succeed(&mut run("out", "12"));
    assert!(stderr(&output).contains(sentence), "{}", stderr(&output));
    assert_eq!(bench.losses("out").len(), 12);
    let checkpoint = state(&bench.path("out/checkpoints/epoch_3"));
    assert_eq!(checkpoint["schedule"]["total_steps"], 12);
    assert!(checkpoint["notes"].to_string().contains("grows from 6 to 12"), "{}", checkpoint["notes"]);
    // Its rates are those of a run that was so long from the start.
    let rates = |out: &str| -> Vec<(u64, f64)> {
        let text = fs::read_to_string(bench.path(out).join("metrics.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| Some((line["step"].as_u64()?, line["lr"].as_f64()?))).collect()
    };
    succeed(&mut run("long", "12"));
    assert_eq!(rates("out")[6..], rates("long")[6..]);
    // The same length in other words is no change; a shorter one cannot be.
    let output = succeed(run("out", "3 epochs").arg("--dry-run"));
    assert!(!String::from_utf8(output.stdout).unwrap().contains("grows"));
    let words =
        ["duration = 6 steps: that is 6 steps", "give 12 or more, or start a new run with --init-from"];
    refused(&mut run("out", "6"), 2, &words);
}

#[test]
fn t14_a_file_of_weights_is_evaluated_by_itself() {
    let bench = Bench::new(1, 24);
    let data = bench.path("data").to_string_lossy().into_owned();
    succeed(&mut bench.run("out", &["--duration", "2", "--quiet"]));
    let found = succeed(&mut evaluate(&bench.path("out"), &["--validation", &data])).stdout;
    let exported = bench.path("out.safetensors");
    succeed(pairmill_train().arg("export").arg(bench.path("out")).arg(&exported));
    let words = ["out.safetensors: ", "give --model, such as RN50"];
    refused(&mut evaluate(&exported, &["--validation", &data]), 2, &words);
    let named = ["--validation", &data, "--model", "vit-tiny"];
    assert_eq!(succeed(&mut evaluate(&exported, &named)).stdout, found);
    // The file within a checkpoint is that checkpoint.
    let within = bench.path("out/checkpoints/step-00000002/model.safetensors");
    assert_eq!(succeed(&mut evaluate(&within, &["--validation", &data])).stdout, found);
    refused(
        &mut evaluate(&exported, &["--validation", &data, "--model", "rn-tiny"]),
        2,
        &["not this model's tensors"],
    );
}
