//! Samples that cannot be used are said with their reasons, once an epoch and at the end, and too many stop the run;
//! captions, pixels and rows of the user's own kind reach the evaluation.

use std::fs;
use std::path::Path;

use pairmill_shards::tar::TarWriter;
use serde_json::Value;

use crate::harness::{Bench, pairmill_train, succeed};

/// Writes the shard again with `change` applied to every sample: its number, its image, its caption.
fn rewrite(path: &Path, change: impl Fn(usize, &mut Vec<u8>, &mut Vec<u8>)) {
    let tar = pairmill_shards::tar::MappedTar::open(path).unwrap();
    let mut samples: Vec<_> = tar.iter().map(|sample| sample.to_sample()).collect();
    drop(tar);
    let mut out = TarWriter::new(fs::File::create(path).unwrap());
    for (number, sample) in samples.iter_mut().enumerate() {
        let [image, caption] = &mut sample.members[..] else { panic!("two members") };
        change(number, &mut image.data, &mut caption.data);
        let members: Vec<_> = sample.members.iter().map(|m| (m.ext.as_str(), m.data.as_slice())).collect();
        out.append(&sample.key, &members).unwrap();
    }
    out.finish().unwrap();
}

/// Every fourth picture of 32 is a page of HTML, every eighth caption UTF-16.
fn spoilt() -> Bench {
    let bench = Bench::new(1, 32);
    rewrite(&bench.path("data/00000.tar"), |number, image, caption| {
        if number % 4 == 1 {
            *image = b"<html>not found</html>".to_vec();
        }
        if number % 8 == 0 {
            let text = String::from_utf8(caption.clone()).unwrap();
            *caption =
                [b"\xff\xfe".to_vec(), text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat();
        }
    });
    bench
}

fn lines(bench: &Bench, out: &str, kind: &str) -> Vec<Value> {
    let text = fs::read_to_string(bench.path(out).join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["kind"] == kind).collect()
}

#[test]
fn t06_too_many_unusable_samples_stop_the_run_in_one_clear_line() {
    let bench = spoilt();
    let output = bench.run("out", &["--duration", "3 epochs", "--quiet"]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    for words in [
        "8 of 32 samples could not be used (25.00 %)",
        "8 not_an_image",
        "00000.tar: 0000000",
        "data.max_skipped = 0.05",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    let said = lines(&bench, "out", "skipped");
    assert_eq!((said.len(), &said[0]["step"], &said[0]["skipped"]), (1, &4.into(), &8.into()));
}

#[test]
fn t06_unusable_samples_are_said_once_an_epoch_and_at_the_end() {
    let bench = spoilt();
    let allowed = ["--duration", "2 epochs", "--set", "data.max_skipped=0.3"];
    let output = succeed(&mut bench.run("out", &allowed));
    let text = String::from_utf8(output.stderr).unwrap();
    let said: Vec<&str> = text.lines().filter(|line| line.contains("could not be used")).collect();
    assert_eq!(said.len(), 3, "{text}");
    assert!(
        said[0].starts_with("this epoch: 8 of 32 samples could not be used (25.00 %): 8 not_an_image"),
        "{text}"
    );
    assert!(said[2].starts_with("in all: 16 of 64 samples"), "{text}");
    assert!(said[0].contains("4 of 32 have text in UTF-16 or Latin-1"), "{text}");
    let written = lines(&bench, "out", "skipped");
    let over: Vec<&Value> = written.iter().map(|line| &line["over"]).collect();
    assert_eq!(over, ["epoch", "epoch", "run"]);
    assert_eq!(written[2]["reasons"]["not_an_image"], 16);
    assert!(written[2]["example"].as_str().unwrap().starts_with("00000.tar: "), "{:?}", written[2]);

    // The limit may be raised for a run that was stopped by it.
    let stopped = ["--duration", "2 epochs", "--quiet", "--set", "checkpoint.every=2"];
    assert_eq!(bench.run("again", &stopped).output().unwrap().status.code(), Some(2));
    succeed(&mut bench.run("again", &[&stopped[..], &["--set", "data.max_skipped=1.0"]].concat()));

    // And `evaluate` says what its numbers do not rest on.
    let data = bench.path("data").to_string_lossy().into_owned();
    let mut evaluate = pairmill_train();
    evaluate.args(["evaluate", "--json", "--device", "cpu", "--validation", &data]).arg(bench.path("out"));
    let output = succeed(&mut evaluate);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("warning: validation: 8 of 32 samples could not be used (25.00 %)"), "{said}");
    let metrics: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let share = metrics.iter().find(|metric| metric["name"] == "skipped_share").unwrap();
    assert_eq!((&share["value"], &share["num_samples"]), (&0.25.into(), &32.into()));
    assert!(
        metrics.iter().filter(|m| m["name"] != "skipped_share").all(|m| m["num_samples"] == 24),
        "{metrics:?}"
    );
}

#[test]
fn t06_two_ranks_count_together_and_stop_together() {
    let bench = spoilt();
    let mut ranks: Vec<_> = (0..2)
        .map(|rank| {
            let mut command = bench.run("out", &["--duration", "3 epochs", "--quiet"]);
            command.env("RANK", rank.to_string()).env("WORLD_SIZE", "2").env("LOCAL_RANK", rank.to_string());
            command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", free_port(&bench));
            command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for rank in ranks.drain(..) {
        let output = rank.wait_with_output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("8 of 32 samples could not be used"), "{message}");
    }
}

/// One port for all ranks of a test.
fn free_port(bench: &Bench) -> String {
    let path = bench.path("port");
    fs::read_to_string(&path).unwrap_or_else(|_| {
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        fs::write(&path, &port).unwrap();
        port
    })
}

#[test]
fn t14_own_statistics_and_context_length_reach_evaluation() {
    let bench = Bench::new(1, 24);
    let model = bench.path("mine.toml");
    let text = include_str!("../../models/vit_tiny.toml");
    fs::write(&model, text.replace("[text]\n", "[text]\ncontext_length = 20\n")).unwrap();
    let data = bench.path("data").to_string_lossy().into_owned();
    let own = "data.normalise={ own = { mean = [0.1, 0.2, 0.3], std = [0.9, 0.8, 0.7] } }";
    let run = |out: &str, more: &[&str]| {
        let model = model.to_string_lossy().into_owned();
        let all = ["--duration", "2", "--quiet", "--model", &model, "--validation", &data];
        succeed(&mut bench.run(out, &[&all[..], more].concat()));
        lines(&bench, out, "eval").last().unwrap()["metrics"]["validation/validation_loss"].as_f64().unwrap()
    };
    let with_own = run("own", &["--set", own]);
    assert_ne!(run("usual", &[]), with_own);
    let mut evaluate = pairmill_train();
    evaluate.args(["evaluate", "--json", "--device", "cpu", "--validation", &data]).arg(bench.path("own"));
    let found = String::from_utf8(succeed(&mut evaluate).stdout).unwrap();
    let loss: Value = serde_json::from_str(found.lines().next().unwrap()).unwrap();
    assert!((loss["value"].as_f64().unwrap() - with_own).abs() < 1e-5, "{loss} against {with_own}");

    // And so does transfer.
    let tar = pairmill_shards::tar::MappedTar::open(bench.path("data/00000.tar")).unwrap();
    for (number, sample) in tar.iter().take(6).enumerate() {
        let class = bench.path("set").join(["one", "other"][number % 2]);
        fs::create_dir_all(&class).unwrap();
        fs::write(class.join(format!("{number}.jpg")), sample.image().unwrap().1).unwrap();
    }
    let mut transfer = pairmill_train();
    transfer.arg("transfer").arg(bench.path("own")).args([
        "--task",
        "folder",
        "--method",
        "zero-shot",
        "--quiet",
    ]);
    transfer.args(["--seeds", "1", "--threads", "1", "--device", "cpu"]);
    succeed(transfer.arg("--data").arg(bench.path("set")).arg("--out").arg(bench.path("transferred")));
    let run = fs::read_dir(bench.path("transferred/runs")).unwrap().next().unwrap().unwrap().path();
    let record = fs::read_to_string(run.join("result.json")).unwrap();
    assert!(record.contains("\"own\"") && record.contains("0.9"), "{record}");

    let output = bench
        .run(
            "wrong",
            &["--set", "data.normalise={ own = { mean = [0.1, 0.2, 0.3], std = [0.0, 1.0, 1.0] } }"],
        )
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && message.contains("above 0"), "{message}");
}
