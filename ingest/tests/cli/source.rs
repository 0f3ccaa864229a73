//! `run --source`: rows are dropped by rule before they are cut into shards, and the folder says so; resumed or not,
//! the bytes are the same.

use std::fs;
use std::path::Path;

use crate::harness::{Job, bytes_of, command, finish, stderr};

/// CC12M's file over the served world: every third row twice, every fifth without a caption.
fn cc12m(job: &Job, rows: u64) -> std::path::PathBuf {
    let csv = job.table_of("t.csv", rows, pairmill_world::FaultMix::Quick, |row| row.fault.is_none());
    let text = fs::read_to_string(csv).unwrap();
    let urls =
        text.lines().skip(1).filter_map(|line| line.split('"').nth(1)).filter(|url| url.starts_with("http"));
    let mut tsv = String::new();
    for (index, url) in urls.enumerate() {
        let caption = if index % 5 == 0 { String::new() } else { format!("caption \" number {index}") };
        let line = format!("{url}\t{caption}\n");
        tsv.push_str(&line.repeat(if index % 3 == 0 { 2 } else { 1 }));
    }
    let path = job.path("cc12m.tsv");
    fs::write(&path, tsv).unwrap();
    path
}

fn run(job: &Job, table: &Path, out: &Path) -> std::process::Command {
    let config = job.path("run.toml");
    fs::write(&config, "[filter]\nduplicate_url = true\n").unwrap();
    let mut command = command();
    command.args(["run", "--source", "cc12m", "--url-list"]).arg(table).arg("--output-folder").arg(out);
    command.arg("--config").arg(config);
    command.args([
        "--number-sample-per-shard",
        "20",
        "--image-size",
        "32",
        "--allow-private-addresses",
        "--quiet",
    ]);
    command
}

fn card(out: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(out.join("_pairmill/card.json")).unwrap()).unwrap()
}

#[test]
fn the_funnel_accounts_for_every_row_and_survives_a_resume() {
    let job = Job::new();
    let (table, out) = (cc12m(&job, 90), job.path("out"));
    let lines = fs::read_to_string(&table).unwrap().lines().count() as u64;
    let dry = finish(run(&job, &table, &out).arg("--dry-run"), 0);
    let dry = String::from_utf8(dry.stdout).unwrap();
    assert!(dry.contains("blank_caption") && dry.contains("rows/s") && !out.exists(), "{dry}");

    let printed = String::from_utf8(finish(&mut run(&job, &table, &out), 0).stdout).unwrap();
    let funnel: Vec<&str> = printed.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(dry.lines().take(funnel.len() + 1).skip(1).collect::<Vec<_>>(), funnel, "as the dry run said");

    let card_before = card(&out);
    let run_card = &card_before["runs"][0];
    assert_eq!(run_card["source"], "cc12m");
    assert_eq!(run_card["rows_in"], lines);
    let rules = run_card["rules"].as_array().unwrap();
    let dropped: u64 = rules.iter().map(|rule| rule["dropped"].as_u64().unwrap()).sum();
    let kept = run_card["rows_kept"].as_u64().unwrap();
    assert_eq!(kept + dropped, lines);
    let failed: u64 =
        run_card["failures"].as_object().unwrap().values().map(|rows| rows.as_u64().unwrap()).sum();
    assert_eq!(run_card["pictures"].as_u64().unwrap() + failed, kept);
    assert_eq!(run_card["paper_rows"], 9_594_338);
    assert_eq!(run_card["inputs"][0]["bytes"], fs::metadata(&table).unwrap().len());
    let markdown = fs::read_to_string(out.join("DATASET.md")).unwrap();
    assert!(markdown.contains("dropped by `duplicate_url`") && markdown.contains("9,594,338"), "{markdown}");
    // Shards are full but for the last, whatever was dropped.
    let rows = |shard: u64| -> u64 {
        let stats = fs::read_to_string(out.join(format!("{shard:05}_stats.json"))).unwrap();
        serde_json::from_str::<serde_json::Value>(&stats).unwrap()["count"].as_u64().unwrap()
    };
    assert_eq!((0..kept / 20).map(rows).collect::<Vec<_>>(), vec![20; (kept / 20) as usize]);

    let before = bytes_of(&out);
    fs::remove_file(out.join("00001_stats.json")).unwrap();
    fs::remove_file(out.join("_pairmill/card.json")).unwrap();
    fs::remove_file(out.join("DATASET.md")).unwrap();
    let again = String::from_utf8(finish(&mut run(&job, &table, &out), 0).stdout).unwrap();
    assert_eq!(again.lines().take(funnel.len()).collect::<Vec<_>>(), funnel);
    assert_eq!(bytes_of(&out), before);
    assert_eq!(card(&out), card_before);

    let other = finish(run(&job, &table, &out).args(["--subset", "10"]), 2);
    assert!(stderr(&other).contains("subset.rows"), "{}", stderr(&other));
}

#[test]
fn where_takes_sql_over_the_tables_own_columns() {
    let job = Job::new();
    let csv = job.table_of("t.csv", 60, pairmill_world::FaultMix::Quick, |row| row.fault.is_none());
    let text = fs::read_to_string(csv).unwrap();
    let rows =
        text.lines().skip(1).filter_map(|line| line.split('"').nth(1)).filter(|url| url.starts_with("http"));
    let table = job.path("scored.csv");
    let rows = rows.enumerate().map(|(row, url)| format!("{url},caption {row},{},0.{row:02}\n", row * 10));
    fs::write(&table, "url,caption,width,Score\n".to_owned() + &rows.collect::<String>()).unwrap();
    let run = |expression: &str, out: &Path| {
        let mut command = command();
        command.args(["run", "--caption-col", "caption", "--output-format", "files", "--image-size", "32"]);
        command
            .args(["--allow-private-addresses", "--quiet", "--where", expression, "--url-list"])
            .arg(&table);
        command.arg("--output-folder").arg(out);
        command
    };
    // Numbers as numbers: as text, "90" would be above "200".
    let out = job.path("out");
    let printed = finish(&mut run("width >= 200 AND score < 0.5 AND caption NOT LIKE '%9'", &out), 0).stdout;
    let printed = String::from_utf8(printed).unwrap();
    assert!(printed.contains("- where"), "{printed}");
    let run_card = &card(&out)["runs"][0];
    assert_eq!((run_card["rows_in"].as_u64(), run_card["rows_kept"].as_u64()), (Some(60), Some(27)));
    let kept: Vec<String> = samples(&out).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert_eq!(kept.len(), 27);
    // What the expression looks at is not carried along.
    assert!(kept.iter().all(|json| !json.contains("Score") && !json.contains("caption 29")), "{kept:?}");

    for (expression, reason) in [
        ("score > ", "syntax error"),
        ("scor > 0.5", "no such column: scor; the columns are url, caption, width, Score"),
    ] {
        let refused = job.path("refused");
        let ended = finish(&mut run(expression, &refused), 2);
        assert!(stderr(&ended).contains(reason) && stderr(&ended).lines().count() == 1, "{}", stderr(&ended));
        assert!(!refused.exists());
    }
    let other = finish(&mut run("score > 0.5", &out), 2);
    assert!(stderr(&other).contains("filter.where"), "{}", stderr(&other));
}

#[test]
fn subsets_are_nested_and_parts_of_a_run_fit_together() {
    let job = Job::new();
    let table = cc12m(&job, 90);
    let urls = |size: &str| {
        let out = job.path(&format!("out-{size}"));
        finish(
            run(&job, &table, &out).args(["--subset", size, "--seed", "3", "--output-format", "files"]),
            0,
        );
        let mut urls = Vec::new();
        for path in samples(&out) {
            let text = fs::read_to_string(path).unwrap();
            urls.push(serde_json::from_str::<serde_json::Value>(&text).unwrap()["caption"].to_string());
        }
        urls.sort();
        urls
    };
    let (small, large) = (urls("11"), urls("31"));
    assert_eq!((small.len(), large.len()), (11, 31));
    assert!(small.iter().all(|url| large.contains(url)));

    let (whole, parts) = (job.path("whole"), job.path("parts"));
    finish(&mut run(&job, &table, &whole), 0);
    for shards in ["1..2", "0..1", "2..100"] {
        finish(run(&job, &table, &parts).args(["--shards", shards]), 0);
    }
    let card_free = |folder: &Path| {
        let mut files = bytes_of(folder);
        // Only a whole run knows them.
        files.retain(|name, _| name != "DATASET.md" && name != "sizes.json");
        files
    };
    assert_eq!(card_free(&parts), card_free(&whole));
    assert!(!parts.join("DATASET.md").exists());
}

#[test]
fn a_shuffle_changes_the_order_and_nothing_else() {
    let job = Job::new();
    let table = cc12m(&job, 90);
    let captions = |out: &str, settings: &str| {
        let out = job.path(out);
        let mut command = run(&job, &table, &out);
        let toml = format!("[filter]\nduplicate_url = true\n{settings}");
        fs::write(job.path("run.toml"), toml).unwrap();
        finish(command.args(["--output-format", "files"]), 0);
        let mut paths = samples(&out);
        paths.sort();
        let caption = |path: &std::path::PathBuf| {
            let text = fs::read_to_string(path).unwrap();
            serde_json::from_str::<serde_json::Value>(&text).unwrap()["caption"].to_string()
        };
        paths.iter().map(caption).collect::<Vec<_>>()
    };
    let in_order = captions("in-order", "");
    let shuffled = captions("shuffled", "[subset]\nshuffle = true\nseed = 5\n");
    assert_eq!(captions("again", "[subset]\nshuffle = true\nseed = 5\n"), shuffled);
    assert_ne!(captions("other", "[subset]\nshuffle = true\nseed = 6\n"), shuffled);
    assert_ne!(shuffled, in_order);
    let sorted = |captions: &[String]| {
        let mut captions = captions.to_vec();
        captions.sort();
        captions
    };
    assert_eq!(sorted(&shuffled), sorted(&in_order));
}

/// The json members under `folder`.
fn samples(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("_pairmill") {
            for entry in fs::read_dir(&path).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "json") {
                    found.push(path);
                }
            }
        }
    }
    found
}

#[test]
fn every_source_has_a_guide() {
    let listed = String::from_utf8(finish(command().arg("sources"), 0).stdout).unwrap();
    assert!(listed.lines().count() >= 8, "{listed}");
    for line in listed.lines() {
        let name = line.split(' ').next().unwrap();
        let guide = String::from_utf8(finish(command().args(["sources", name]), 0).stdout).unwrap();
        for word in ["download", "rows", "disk", "time", "licence", &format!("--source {name}")] {
            assert!(guide.contains(word), "`{word}` not in: {guide}");
        }
    }
    let unknown = finish(command().args(["sources", "laion5b"]), 2);
    assert!(stderr(&unknown).contains("laion2b"), "{}", stderr(&unknown));
}

#[test]
fn the_licence_note_is_shown_once_and_rights_are_asked_for() {
    let job = Job::new();
    let (table, out) = (cc12m(&job, 10), job.path("out"));
    let mut command = command();
    command
        .args(["run", "--source", "shutterstock", "--url-list"])
        .arg(&table)
        .arg("--output-folder")
        .arg(&out);
    let refused = finish(&mut command, 2);
    assert!(stderr(&refused).contains("--accept-terms") && stderr(&refused).lines().count() == 1);
    assert!(!out.exists());
    command.args(["--accept-terms", "--image-size", "32", "--allow-private-addresses"]);
    let shown = stderr(&finish(&mut command, 0));
    assert_eq!(shown.matches("proprietary").count(), 1, "{shown}");
}
