//! A run goes on only over the input it began with: rows in another order would be lost and doubled, and nothing in
//! the shards would show it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use pairmill_world::{Source, TableConfig};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use crate::harness::{Job, bytes_of, command, finish, stderr};

/// Rows enough that a run is still under way when its first shard is finished.
const ROWS: usize = 400;

fn rows(job: &Job, count: usize) -> Vec<[String; 2]> {
    let mut config = TableConfig::new(Source::Laion, count as u64, job.server.base_url());
    config.base_urls = job.server.base_urls();
    job.world.rows(&config).map(|row| [row.url, row.caption.text.replace(['"', '\t'], " ")]).collect()
}

/// Writes a table whose size does not depend on the order of its rows.
fn write(path: &Path, rows: &[[String; 2]]) {
    let lines = |head: &str, line: fn(&[String; 2]) -> String| {
        let lines: String = rows.iter().map(line).collect();
        fs::write(path, format!("{head}{lines}")).unwrap();
    };
    match path.extension().and_then(|extension| extension.to_str()).unwrap() {
        "csv" => lines("url,caption\n", |[url, caption]| format!("{url},\"{caption}\"\n")),
        "tsv" => lines("url\tcaption\n", |[url, caption]| format!("{url}\t{caption}\n")),
        "txt" => lines("", |[url, _]| format!("{url}\n")),
        "jsonl" => {
            lines("", |[url, caption]| format!("{}\n", serde_json::json!({ "url": url, "caption": caption })))
        }
        "parquet" => {
            let column = |at: usize| -> ArrayRef {
                Arc::new(rows.iter().map(|row| Some(row[at].as_str())).collect::<StringArray>())
            };
            let batch = RecordBatch::try_from_iter([("url", column(0)), ("caption", column(1))]).unwrap();
            let plain = WriterProperties::builder()
                .set_dictionary_enabled(false)
                .set_statistics_enabled(EnabledStatistics::None);
            let file = File::create(path).unwrap();
            let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(plain.build())).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
        }
        other => panic!("{other}"),
    }
}

fn run(table: &Path, out: &Path) -> Command {
    let mut command = command();
    command.arg("run").arg("--url-list").arg(table).arg("--output-folder").arg(out);
    command.args(["--output-format", "webdataset", "--number-sample-per-shard", "50", "--image-size", "32"]);
    command.args(["--allow-private-addresses", "--timeout", "5", "--quiet"]);
    command
}

/// Begins a run and kills it when its first shard is finished.
fn kill_after_first_shard(command: &mut Command, out: &Path) {
    let mut child =
        command.args(["--thread-count", "2"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !out.join("00000_stats.json").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!out.join("_pairmill/runs/00000.done").exists(), "the run was too fast to be killed");
}

#[track_caller]
fn refused(mut command: Command, file: &str) -> String {
    let text = stderr(&finish(&mut command, 2));
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(file) && text.contains("bring the former input back"), "{text}");
    text
}

#[test]
fn f04_a_killed_run_does_not_go_on_over_rows_in_another_order() {
    let job = Job::new();
    let forward = rows(&job, ROWS);
    let mut backward = forward.clone();
    backward.reverse();
    // Two neighbours near the end, as one line moved in an editor.
    let mut swapped = forward.clone();
    swapped.swap(ROWS - 2, ROWS - 3);
    for extension in ["csv", "tsv", "txt", "jsonl", "parquet"] {
        let (table, out) = (job.path(&format!("t.{extension}")), job.path(&format!("{extension}-out")));
        write(&table, &forward);
        let bytes = fs::metadata(&table).unwrap().len();
        kill_after_first_shard(&mut run(&table, &out), &out);
        let before = bytes_of(&out);
        for other in [&backward, &swapped] {
            write(&table, other);
            assert_eq!(fs::metadata(&table).unwrap().len(), bytes, "{extension}: the size shows nothing");
            let said = refused(run(&table, &out), &format!("t.{extension}"));
            assert!(
                said.contains("the content of") && said.contains("--incremental-mode overwrite"),
                "{said}"
            );
            assert_eq!(bytes_of(&out), before, "{extension}: nothing was written");
        }
        write(&table, &forward);
        finish(&mut run(&table, &out), 0);
        let calm = job.path(&format!("{extension}-calm"));
        finish(&mut run(&table, &calm), 0);
        assert_eq!(bytes_of(&out), bytes_of(&calm), "{extension}");
    }
}

#[test]
fn f04_two_files_of_a_folder_that_changed_places_are_noticed() {
    let job = Job::new();
    let all = rows(&job, ROWS);
    let (folder, out) = (job.path("tables"), job.path("out"));
    fs::create_dir(&folder).unwrap();
    let path = |name: &str| folder.join(name);
    write(&path("a.csv"), &all[..ROWS / 2]);
    // Of the same size, so that only its content tells it apart.
    let mut other = fs::read(path("a.csv")).unwrap();
    let caption_end = other.len() - 3;
    other[caption_end] = b'~';
    fs::write(path("b.csv"), &other).unwrap();
    kill_after_first_shard(&mut run(&folder, &out), &out);
    fs::rename(path("a.csv"), path("c")).unwrap();
    fs::rename(path("b.csv"), path("a.csv")).unwrap();
    fs::rename(path("c"), path("b.csv")).unwrap();
    refused(run(&folder, &out), "a.csv");
    fs::remove_file(path("b.csv")).unwrap();
    refused(run(&folder, &out), "2 files");
}

#[test]
fn f04_lists_that_decide_over_rows_are_part_of_the_input() {
    let job = Job::new();
    let (table, out, list, toml) =
        (job.path("t.csv"), job.path("out"), job.path("words.txt"), job.path("c.toml"));
    write(&table, &rows(&job, 120));
    fs::write(&list, "zebra\n").unwrap();
    fs::write(&toml, format!("[filter]\nprofanity = \"{}\"\n", list.display())).unwrap();
    let run = || {
        let mut command = run(&table, &out);
        command.args(["--caption-col", "caption", "--config"]).arg(&toml);
        command
    };
    finish(run().args(["--shards", "0..1"]), 0);
    fs::write(&list, "the\nof\n").unwrap();
    refused(run(), "words.txt");
    fs::write(&list, "zebra\n").unwrap();
    finish(&mut run(), 0);
}

#[test]
fn f04_a_run_that_an_earlier_version_began_goes_on_and_says_so() {
    let job = Job::new();
    let (table, out) = (job.path("t.csv"), job.path("out"));
    write(&table, &rows(&job, 150));
    finish(run(&table, &out).args(["--shards", "0..1"]), 0);
    // Such versions noted names and sizes.
    let note = out.join("_pairmill/runs/00000.toml");
    let text = fs::read_to_string(&note).unwrap();
    assert!(text.contains("content = \"sha256:"), "{text}");
    let earlier: String =
        text.lines().filter(|line| !line.starts_with("content = ")).map(|line| format!("{line}\n")).collect();
    fs::write(&note, earlier).unwrap();
    let warned = stderr(&finish(run(&table, &out).args(["--shards", "1..2"]), 0));
    assert_eq!(warned.lines().count(), 1, "{warned}");
    assert!(warned.starts_with("warning: ") && warned.contains("t.csv"), "{warned}");
    // From here on the content is known.
    assert_eq!(fs::read_to_string(&note).unwrap(), text);
    let silent = stderr(&finish(&mut run(&table, &out), 0));
    assert_eq!(silent, "");
}

#[test]
fn f04_a_table_that_changes_under_the_run_is_no_success() {
    let job = Job::new();
    let (table, out) = (job.path("t.csv"), job.path("out"));
    write(&table, &rows(&job, ROWS));
    let mut command = run(&table, &out);
    let child = command.args(["--thread-count", "2"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    while !out.join("00000_stats.json").exists() {
        std::thread::yield_now();
    }
    let mut grown = fs::OpenOptions::new().append(true).open(&table).unwrap();
    std::io::Write::write_all(&mut grown, b"http://127.0.0.1:1/x.jpg,more\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("t.csv: changed while it was read") && text.lines().count() == 1, "{text}");
}

#[test]
fn f29_a_finished_run_given_again_has_nothing_to_do() {
    let job = Job::new();
    let (table, out) = (job.path("t.csv"), job.path("out"));
    write(&table, &rows(&job, 120));
    let said = |command: &mut Command| String::from_utf8(finish(command, 0).stdout).unwrap();
    let first = said(&mut run(&table, &out));
    assert!(first.contains("success") && first.contains("3 shards"), "{first}");
    let again = said(&mut run(&table, &out));
    assert!(again.starts_with("nothing to do: all 3 shards in ") && again.lines().count() == 1, "{again}");
    assert!(again.contains("120 rows") && again.contains(out.to_str().unwrap()), "{again}");
    let part = said(run(&table, &out).args(["--shards", "1..2"]));
    assert!(part.starts_with("nothing to do: all 1 shards in "), "{part}");
    // A shard that is lost is made again, and then there is an account.
    fs::remove_file(out.join("00001_stats.json")).unwrap();
    assert!(said(&mut run(&table, &out)).contains("success"));
    // Parts by several processes leave the closing run with an account of the whole.
    let parts = job.path("parts");
    finish(run(&table, &parts).args(["--shards", "0..3"]), 0);
    let closing = said(&mut run(&table, &parts));
    assert!(closing.contains("success") && closing.contains("3 shards"), "{closing}");
}

#[test]
fn f25_a_table_may_lie_in_the_output_folder() {
    let job = Job::new();
    let out = job.path("both");
    fs::create_dir(&out).unwrap();
    let table = out.join("urls.csv");
    write(&table, &rows(&job, 60));
    finish(run(&table, &out).args(["--shards", "0..1"]), 0);
    finish(&mut run(&table, &out), 0);
    assert!(table.exists() && out.join("00001.tar").exists());
    // As a folder it would be joined by what the run writes.
    let other = job.path("folder");
    fs::create_dir(&other).unwrap();
    let list_of = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    write(&other.join("part.parquet"), &rows(&job, 60));
    let text = stderr(&finish(&mut run(&other, &other), 2));
    assert!(text.contains("among the input") && text.lines().count() == 1, "{text}");
    assert_eq!(list_of(&other), [other.join("part.parquet")], "nothing was written");
}

#[test]
fn f25_no_cause_is_told_twice() {
    let job = Job::new();
    for arguments in [
        vec!["run", "--url-list", "t.csv", "--config", "nowhere.toml"],
        vec!["run", "--url-list", "t.csv", "--number-sample-per-shard", "0"],
        vec!["run", "--url-list", "t.csv", "--encode-quality", "300"],
        vec!["run", "--url-list", "nowhere.csv"],
        vec!["retry", "--class", "transient", "nowhere"],
        vec!["run", "--url-list", "t.csv", "--user-agent-token", "caf\u{e9}\u{1}"],
    ] {
        let table = job.path("t.csv");
        fs::write(&table, "url\nhttp://127.0.0.1:1/a.jpg\n").unwrap();
        let output = command().args(&arguments).current_dir(table.parent().unwrap()).output().unwrap();
        let text = stderr(&output);
        assert_eq!((output.status.code(), text.lines().count()), (Some(2), 1), "{arguments:?}: {text}");
        let parts: Vec<&str> = text.trim().split(": ").collect();
        let mut once = parts.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), parts.len(), "{text}");
    }
}
