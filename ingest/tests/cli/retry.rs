//! `retry`: only the named failures are fetched again, and every row still counts once.

use std::fs;
use std::path::Path;

use pairmill_world::{Fault, FaultMix};

use crate::harness::{Job, bytes_of, command, finish, stderr};

fn successes_and_failures(folder: &Path) -> (u64, u64) {
    let mut counts = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.to_str().unwrap().ends_with("_stats.json") {
            let stats: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            counts.0 += stats["successes"].as_u64().unwrap();
            counts.1 +=
                stats["failed_to_download"].as_u64().unwrap() + stats["failed_to_resize"].as_u64().unwrap();
        }
    }
    counts
}

#[test]
fn rows_that_recover_move_from_failed_to_success() {
    let job = Job::new();
    // Rows that fail with 5xx once or twice and then work, among sound rows and 404s.
    let recovering = |f: Fault| matches!(f, Fault::InternalErrorThenOk | Fault::UnavailableThenOk);
    let keep = |f: Option<Fault>| f.is_none_or(|f| recovering(f) || f == Fault::NotFound);
    let table = job.table_of("t.csv", 400, FaultMix::Quick, |row| keep(row.fault));
    let out = job.path("out");
    // With a rule, so that the folder has a card.
    let run = || {
        let mut command = job.run(&table, &out);
        command.args(["--where", "url IS NOT NULL"]);
        command
    };
    finish(&mut run(), 0);
    let before = bytes_of(&out);
    let (good, bad) = successes_and_failures(&out);
    assert_eq!(good + bad, 400);

    let dry = finish(command().args(["retry", "--dry-run", "--class", "http_5xx"]).arg(&out), 0);
    let again: u64 = String::from_utf8(dry.stdout).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(again > 0 && again < bad, "{again} of {bad}: 404s stay");

    let retry = |code| {
        let mut retry = command();
        retry
            .args(["retry", "--class", "transient", "--retries", "3", "--allow-private-addresses", "-q"])
            .arg(&out);
        finish(&mut retry, code)
    };
    retry(0);
    let (good_after, bad_after) = successes_and_failures(&out);
    // The new shards hold exactly the rows that were tried again, all of them well now.
    assert_eq!((good_after - good, bad_after), (again, bad));
    for (name, bytes) in before {
        if !["sizes.json", "DATASET.md", "_pairmill/card.json"].contains(&name.as_str()) {
            assert_eq!(fs::read(out.join(&name)).unwrap(), bytes, "{name} is of the first run and stays");
        }
    }
    let card = fs::read_to_string(out.join("_pairmill/card.json")).unwrap();
    let card: serde_json::Value = serde_json::from_str(&card).unwrap();
    let retried = &card["retries"][0];
    assert_eq!((retried["rows"].as_u64(), retried["pictures"].as_u64()), (Some(again), Some(again)));
    assert_eq!(card["runs"][0]["pictures"].as_u64(), Some(good));
    let text = fs::read_to_string(out.join("DATASET.md")).unwrap();
    assert!(
        text.contains("Where: `url IS NOT NULL`.") && text.contains("## Fetched again, from shard 8"),
        "{text}"
    );
    // Nothing transient is left, so a second retry has nothing to do.
    let second = retry(0);
    let text = String::from_utf8(second.stdout).unwrap();
    assert!(text.starts_with("0 rows"), "{text}");
    // And the first run's command still finds its work done.
    finish(&mut run(), 0);
    assert_eq!(successes_and_failures(&out), (good_after, bad_after));
}

#[test]
fn an_unfinished_run_must_be_finished_first() {
    let job = Job::new();
    let (table, out) = (job.table("t.csv", 200), job.path("out"));
    finish(job.run(&table, &out).args(["--shards", "0..1"]), 0);
    let output = finish(command().args(["retry", "--class", "transient"]).arg(&out), 2);
    assert!(stderr(&output).contains("finish it first"), "{}", stderr(&output));
    let foreign = finish(command().args(["retry", "--class", "transient"]).arg(job.path("")), 2);
    assert!(stderr(&foreign).contains("no run of pairmill-ingest"), "{}", stderr(&foreign));
    let unknown = finish(command().args(["retry", "--class", "bored"]).arg(&out), 2);
    assert!(stderr(&unknown).contains("http_5xx"), "{}", stderr(&unknown));
}
