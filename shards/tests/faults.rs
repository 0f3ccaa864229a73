//! What goes wrong around shards in the real world: killed commands, missing shards, shards of a newer Pairmill, names
//! and captions that would steer a terminal. Tests are named by the fault's number in the list they came from.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use pairmill_shards::printable::steers;
use pairmill_shards::table::SidecarReader;
use pairmill_shards::tar::{EndMarker, TarReader, TarWriter};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pairmill-shards"));
    command.args(args).stdin(Stdio::null());
    command
}

#[track_caller]
fn run(args: &[&str], code: i32) -> (String, String) {
    let Output { status, stdout, stderr } = command(args).output().unwrap();
    let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(code), "{args:?}\n{out}\n{err}");
    (out, err)
}

fn utf8(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn fixture(output: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/img2dataset-1.47").join(output)
}

/// A copy of img2dataset's two shards, `webdataset` or `parquet`, seven samples of fourteen rows.
fn dataset(output: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(output)).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, dir.path().join(from.file_name().unwrap())).unwrap();
    }
    dir
}

fn jpeg() -> Vec<u8> {
    let tar = TarReader::open(fixture("webdataset").join("00000.tar"), EndMarker::Required).unwrap();
    let sample = tar.map(Result::unwrap).find(|sample| sample.image().is_some()).unwrap();
    sample.image().unwrap().data.clone()
}

type Member<'a> = (&'a str, &'a [u8]);

fn write_tar(path: &Path, samples: &[(&str, &[Member<'_>])]) {
    let mut tar = TarWriter::new(File::create(path).unwrap());
    for (key, members) in samples {
        tar.append(key, members).unwrap();
    }
    tar.finish().unwrap();
}

fn hidden(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn f13_verify_and_stat_miss_whole_shards_of_a_finished_run() {
    let dir = dataset("webdataset");
    let runs = dir.path().join("_pairmill/runs");
    fs::create_dir_all(&runs).unwrap();
    fs::write(runs.join("00000.toml"), "").unwrap();
    let folder = utf8(dir.path());
    // Unfinished: what is not there may still come.
    fs::write(runs.join("00002.toml"), "").unwrap();
    fs::write(runs.join("00000.done"), "shards = 2\n").unwrap();
    let (verdict, _) = run(&["verify", folder], 0);
    assert!(verdict.contains("2 shards: nothing found"), "{verdict}");
    let (account, _) = run(&["stat", folder], 0);
    assert!(!account.contains("missing") && account.contains("unfinished runs"), "{account}");

    fs::remove_file(runs.join("00002.toml")).unwrap();
    for name in ["00001.tar", "00001.parquet", "00001_stats.json"] {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    let (verdict, _) = run(&["verify", folder], 1);
    assert!(verdict.contains("R27: shard 00001 is missing: the run from shard 00000 made 2"), "{verdict}");
    let (account, _) = run(&["stat", folder], 0);
    assert!(
        account.lines().any(|line| line.trim_start().starts_with("missing") && line.contains(" 1 ")),
        "{account}"
    );
    let (json, _) = run(&["stat", folder, "--json"], 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["missing_shards"], &json["unfinished_runs"]), (&1.into(), &0.into()));

    // One shard by itself promises nothing of the others.
    let (account, _) = run(&["stat", utf8(&dir.path().join("00000.tar"))], 0);
    assert!(!account.contains("missing"), "{account}");
}

#[test]
fn f13_a_tar_that_sizes_json_lists_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["00000.tar", "00001.tar", "extra.tar"] {
        write_tar(
            &dir.path().join(name),
            &[(name.trim_end_matches(".tar"), &[("jpg", &jpeg()), ("txt", b"x")])],
        );
    }
    let folder = utf8(dir.path());
    run(&["index", folder], 0);
    for gone in ["00001", "extra"] {
        for suffix in ["tar", "idx", "tar.idx"] {
            fs::remove_file(dir.path().join(format!("{gone}.{suffix}"))).unwrap();
        }
    }
    let (account, _) = run(&["stat", folder, "--json"], 0);
    assert!(account.contains("\"missing_shards\": 2"), "{account}");
    let (verdict, _) = run(&["verify", folder], 1);
    assert!(verdict.contains("key extra.tar: R21: no such tar; fetch it or make it again"), "{verdict}");
}

/// A folder of 12 MB, so that what reads it can be caught at it.
fn large(dir: &Path) -> PathBuf {
    let folder = dir.join("large");
    fs::create_dir(&folder).unwrap();
    let noise: Vec<u8> = (0..8_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for shard in 0..3 {
        let mut tar = TarWriter::new(File::create(folder.join(format!("{shard:05}.tar"))).unwrap());
        for i in 0..500 {
            let caption = format!("sample {i} of shard {shard}");
            tar.append(&format!("{shard}{i:04}"), &[("jpg", &noise), ("txt", caption.as_bytes())]).unwrap();
        }
        tar.finish().unwrap();
    }
    folder
}

#[test]
fn f15_a_killed_command_leaves_nothing_once_it_is_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let input = large(dir.path());
    let input = utf8(&input);
    for (name, args) in [
        (
            "subset",
            &["subset", input, "--size", "1000", "--number-sample-per-shard", "100", "-q", "--out"][..],
        ),
        ("reshard", &["reshard", input, "--shuffle", "1", "--number-sample-per-shard", "100", "-q", "--out"]),
        ("convert", &["convert", "--overwrite", input]),
    ] {
        let out = dir.path().join(name);
        let args: Vec<&str> = args.iter().copied().chain([utf8(&out)]).collect();
        let mut child = command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Kill it as soon as something is half written; one that is faster than us has left nothing either.
        let is_half_written = || fs::read_dir(&out).is_ok_and(|_| !hidden(&out).is_empty());
        while !is_half_written() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let _ = child.kill();
        child.wait().unwrap();
        run(&args, 0);
        assert_eq!(hidden(&out), Vec::<String>::new(), "{name}");
        assert!(!out.join("_pairmill/shuffle").exists(), "{name}");
        let (verdict, _) = run(&["verify", utf8(&out)], 0);
        assert!(verdict.contains("nothing found"), "{name}: {verdict}");
    }
}

#[test]
fn f15_what_a_live_process_writes_is_left_alone_and_verify_says_so() {
    let dir = dataset("webdataset");
    let out = tempfile::tempdir().unwrap();
    let other = out.path().join("other.tar");
    write_tar(&other, &[("k", &[("jpg", &jpeg())])]);
    // Process numbers prove nothing: the first file's is nobody's and yet it is being written, the second's is ours.
    let (live, dead) = (".00007.tar.99999999.tmp", format!(".00008.tar.{}.tmp", std::process::id()));
    for args in
        [&["convert", utf8(dir.path()), utf8(out.path()), "--overwrite"][..], &["index", utf8(&other)]]
    {
        let held = File::create(out.path().join(live)).unwrap();
        held.lock().unwrap();
        fs::write(out.path().join(&dead), "half").unwrap();
        run(args, 0);
        assert_eq!(hidden(out.path()), [live], "{args:?}");
        let (verdict, _) = run(&["verify", utf8(out.path())], 1);
        assert!(
            verdict.contains("R3: a process is writing it") && !verdict.contains("delete it"),
            "{verdict}"
        );
        drop(held);
        let (verdict, _) = run(&["verify", utf8(out.path())], 1);
        assert!(verdict.contains("R3: left behind by a writer that was stopped; delete it"), "{verdict}");
    }
}

#[test]
fn f15_two_reshards_do_not_write_to_one_folder() {
    let (dir, out) = (dataset("webdataset"), tempfile::tempdir().unwrap());
    let args = ["reshard", utf8(dir.path()), "--out", utf8(out.path())];
    run(&args, 0);
    let lock = File::options().write(true).open(out.path().join("_pairmill/lock")).unwrap();
    lock.lock().unwrap();
    assert!(run(&args, 2).1.contains("is writing here; wait for it or stop it"));
    drop(lock);
    run(&args, 0);
}

#[test]
fn f15_a_shuffle_that_fails_leaves_no_buckets() {
    let (set, dir) = (dataset("webdataset"), tempfile::tempdir().unwrap());
    let out = dir.path().join("out");
    let tar = set.path().join("00001.tar");
    let whole = fs::read(&tar).unwrap();
    fs::write(&tar, &whole[..whole.len() / 2]).unwrap();
    let reshard = ["reshard", "-q", utf8(set.path()), "--shuffle", "1", "--out", utf8(&out)];
    let (_, error) = run(&reshard, 2);
    assert!(error.contains("00001.tar"), "{error}");
    assert!(!out.join("_pairmill/shuffle").exists());
    fs::write(&tar, &whole).unwrap();
    run(&reshard, 0);
    assert!(!out.join("_pairmill/shuffle").exists());
    run(&["verify", utf8(&out)], 0);
}

#[test]
fn f15_buckets_of_a_killed_shuffle_are_told_apart_and_swept() {
    let (set, dir) = (dataset("webdataset"), tempfile::tempdir().unwrap());
    let out = dir.path().join("out");
    let reshard = ["reshard", "-q", utf8(set.path()), "--out", utf8(&out)];
    run(&reshard, 0);
    let more = dir.path().join("00007.tar");
    write_tar(&more, &[("k", &[("jpg", &jpeg())])]);
    let buckets = out.join("_pairmill/shuffle");
    for again in
        [&reshard[..], &["convert", utf8(&more), utf8(&out)], &["index", utf8(&out.join("00000.tar"))]]
    {
        fs::create_dir_all(&buckets).unwrap();
        fs::write(buckets.join("000.tar"), "half").unwrap();
        let lock = File::options().write(true).open(out.join("_pairmill/lock")).unwrap();
        lock.lock().unwrap();
        let (verdict, _) = run(&["verify", utf8(&out)], 1);
        assert!(verdict.contains("_pairmill/shuffle: R3: a shuffle that is under way"), "{verdict}");
        assert!(!verdict.contains("delete it"), "{verdict}");
        drop(lock);
        let (verdict, _) = run(&["verify", utf8(&out)], 1);
        assert!(verdict.contains("R3: left behind by a shuffle that was stopped; delete it"), "{verdict}");
        run(again, 0);
        assert!(!buckets.exists(), "{again:?}");
    }
}

#[test]
fn f25_stat_takes_files_globs_and_several_folders() {
    let (tars, tables) = (dataset("webdataset"), dataset("parquet"));
    let count = |args: &[&str]| -> (u64, u64, u64) {
        let args: Vec<&str> = ["stat", "--json"].iter().chain(args).copied().collect();
        let json: serde_json::Value = serde_json::from_str(&run(&args, 0).0).unwrap();
        let of = |key: &str| json[key].as_u64().unwrap();
        (of("shards"), of("rows"), of("successes"))
    };
    let whole = count(&[utf8(tars.path())]);
    assert_eq!(whole, (2, 14, 7));
    let first = count(&[utf8(&tars.path().join("00000.tar"))]);
    let second = count(&[utf8(&tars.path().join("00001.parquet"))]);
    assert_eq!((first.0, second.0, first.1 + second.1, first.2 + second.2), (1, 1, 14, 7));
    assert_eq!(count(&[utf8(&tars.path().join("*.tar"))]), whole);
    assert_eq!(count(&[utf8(&tars.path().join("{00000..00001}.tar"))]), whole);
    assert_eq!(count(&[utf8(&tables.path().join("0000?.parquet"))]), whole);
    assert_eq!(count(&[utf8(tars.path()), utf8(tables.path())]), (4, 28, 14));
    // The same from within the folder, where paths have no folder.
    let here = command(&["stat", "00000.tar", "--json"]).current_dir(tars.path()).output().unwrap();
    assert!(String::from_utf8(here.stdout).unwrap().contains("\"shards\": 1"));

    // A tar that no number names, and one that has no table.
    let bare = tars.path().join("train.tar");
    write_tar(&bare, &[("a", &[("jpg", b"x"), ("txt", b"one")]), ("b", &[("jpg", b"x")])]);
    let (account, _) = run(&["stat", utf8(&bare)], 0);
    assert!(
        account.contains("in shards that say nothing of failed rows") && account.contains("samples"),
        "{account}"
    );
    assert!(run(&["stat", utf8(&tars.path().join("no.tar"))], 2).1.contains("no.tar"));
    assert!(run(&["stat", utf8(tempfile::tempdir().unwrap().path())], 2).1.contains("no shards here"));
}

#[test]
fn f25_verify_of_a_converted_foreign_tar_gives_advice_that_fits() {
    let dir = tempfile::tempdir().unwrap();
    let (tars, tables) = (dir.path().join("tars"), dir.path().join("tables"));
    fs::create_dir(&tars).unwrap();
    let image = jpeg();
    write_tar(
        &tars.join("train-0.tar"),
        &[("a", &[("jpg", &image), ("json", b"{\"key\": \"a\"}"), ("txt", b"one")])],
    );
    write_tar(&tars.join("00001.tar"), &[("b", &[("jpg", &image), ("txt", b"two")])]);
    run(&["convert", utf8(&tars), utf8(&tables)], 0);
    // Sound: nothing is asked of it that only ingest could have given.
    let (verdict, _) = run(&["verify", utf8(&tables), "--images"], 0);
    assert!(verdict.contains("nothing found"), "{verdict}");
    let (verdict, _) = run(&["verify", utf8(&tables.join("train-0.parquet"))], 0);
    assert!(verdict.contains("nothing found"), "{verdict}");
    let (account, _) = run(&["stat", utf8(&tables)], 0);
    assert!(!account.contains("unfinished"), "{account}");

    // Unsound: the advice is nothing about an ingest that never was.
    write_tar(
        &tars.join("00001.tar"),
        &[
            ("b", &[("jpg", b"no image"), ("json", b"{\"key\": \"c\"}")]),
            ("d", &[("jpg", &image), ("json", b"no json")]),
        ],
    );
    run(&["convert", utf8(&tars), utf8(&tables), "--overwrite"], 0);
    let (verdict, _) = run(&["verify", utf8(&tables), "--images"], 1);
    for part in [
        "key b: R10: ",
        "key b: R15: `json` says its key is c",
        "key d: R15: `json` is not JSON; convert the shard again",
    ] {
        assert!(verdict.contains(part), "{part} is not in\n{verdict}");
    }
    assert!(!verdict.contains("ingest") && !verdict.contains("refetch"), "{verdict}");
    let (verdict, _) = run(&["verify", utf8(&tars), "--images"], 1);
    assert!(
        verdict.contains("R15") && !verdict.contains("ingest") && !verdict.contains("refetch"),
        "{verdict}"
    );
}

#[test]
fn f25_verify_of_a_rewritten_set_names_the_command_that_made_it() {
    let (dir, out) = (dataset("webdataset"), tempfile::tempdir().unwrap());
    run(&["reshard", utf8(dir.path()), "--out", utf8(out.path())], 0);
    fs::write(out.path().join("00000.parquet"), "no table").unwrap();
    let (verdict, _) = run(&["verify", utf8(out.path())], 1);
    assert!(verdict.contains("R11") && !verdict.contains("ingest"), "{verdict}");
    fs::remove_file(out.path().join("00000_stats.json")).unwrap();
    let (verdict, _) = run(&["verify", utf8(out.path())], 1);
    assert!(verdict.contains("R2") && verdict.contains("give the same subset or reshard again"), "{verdict}");
}

/// ESC, C1's CSI, and the override and isolate that turn text round.
const STEERING: &str = "a\x1b]0;x\x07\u{9b}2J\u{202e}gpj\u{2066}\u{200f}z";

#[track_caller]
fn assert_plain(what: &str, text: &str) {
    let bad: Vec<char> = text.chars().filter(|c| steers(*c) && *c != '\n' && *c != '\t').collect();
    assert!(bad.is_empty(), "{what} has {bad:?}:\n{text}");
}

#[test]
fn f25_nothing_from_outside_steers_the_terminal_a_card_or_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(STEERING);
    fs::create_dir(&folder).unwrap();
    let tar = folder.join("00000.tar");
    let json = serde_json::json!({"key": STEERING, STEERING: STEERING}).to_string();
    let image = jpeg();
    write_tar(
        &tar,
        &[
            (STEERING, &[("jpg", &image), ("json", json.as_bytes()), ("txt", STEERING.as_bytes())]),
            ("b", &[("jpg", &image), ("txt", STEERING.as_bytes())]),
        ],
    );
    let (tar, out) = (utf8(&tar).to_owned(), dir.path().join("out"));
    let folder = utf8(&folder).to_owned();
    let (page, picture) = (dir.path().join("sheet.html"), dir.path().join("sheet.png"));
    let unknown = format!("--{STEERING}");
    let missing = format!("{folder}/no.tar");
    for args in [
        &["head", &tar][..],
        &["cat", &tar],
        &["stat", &folder],
        &["stat", &folder, "--json"],
        &["verify", &folder, "--images", "--against", "hf", "--against", "dali"],
        &["index", &folder],
        &["convert", &tar, utf8(&dir.path().join("tables"))],
        &["subset", &folder, "--size", "1", "--drop-duplicate-images", "exact", "--out", utf8(&out)],
        &["contact-sheet", &folder, "--out", utf8(&page)],
        &["contact-sheet", &folder, "--out", utf8(&picture)],
        // Refusals repeat what they refuse.
        &["head", &missing],
        &["cat", &tar, "--key", STEERING, "--ext", STEERING],
        &["cat", &tar, "--key", "none-\u{202e}"],
        &["stat", &unknown],
        &[STEERING],
        &["subset", &folder, "--size", STEERING, "--out", "x"],
    ] {
        let Output { stdout, stderr, .. } = command(args).output().unwrap();
        for bytes in [stdout, stderr] {
            assert_plain(&format!("{args:?}"), &String::from_utf8(bytes).unwrap());
        }
    }
    for file in ["DATASET.md", "_pairmill/card.json", "_pairmill/duplicates.tsv"] {
        assert_plain(file, &fs::read_to_string(out.join(file)).unwrap());
    }
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("gpj"), "the caption is on it");
    assert_plain("the contact sheet", &page);
    // JSON lines are the same JSON to a program.
    let (lines, _) = run(&["cat", &tar], 0);
    let line: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&line["caption"], &line["metadata"][STEERING]), (&STEERING.into(), &STEERING.into()));
    // And what goes into a pipe by name is as it is.
    assert!(run(&["cat", &tar, "--ext", "txt"], 0).0.starts_with(STEERING));
}

/// No clause of more than a word or two stands in a message twice.
#[track_caller]
fn assert_said_once(message: &str) {
    let mut seen = HashSet::new();
    for clause in message.trim().split([':', ';', '(', ')']).map(str::trim).filter(|c| c.len() >= 12) {
        assert!(seen.insert(clause.to_owned()), "`{clause}` stands twice in: {message}");
    }
}

#[test]
fn f25_error_texts_are_not_printed_twice() {
    let dir = dataset("webdataset");
    let folder = utf8(dir.path());
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        utf8(&path).to_owned()
    };
    let (tar, table, text) =
        (file("cut.tar", b"xx"), file("odd.parquet", b"PAR1 no PAR1"), file("t.txt", b"x"));
    let out = dir.path().join("out");
    let inside = format!("{text}/out");
    for args in [
        &["head", &tar][..],
        &["head", &table],
        &["cat", &text],
        &["index", &tar],
        &["convert", &table, utf8(&out)],
        &["convert", folder, folder],
        &["convert", folder, &inside],
        &["reshard", &tar, "--out", utf8(&out)],
        &["reshard", folder, "--out", &inside],
        &["subset", folder, "--size", "1", "--out", folder],
        &["contact-sheet", &tar],
        &["contact-sheet", folder, "--out", &format!("{inside}/x.html")],
        &["stat", "no/such/folder"],
        &["verify", "no/such/folder"],
    ] {
        let (_, error) = run(args, 2);
        assert!(error.starts_with("error: ") && error.trim_end().lines().count() == 1, "{args:?}: {error}");
        assert_said_once(error.trim_start_matches("error: "));
    }
    file("00000.parquet", b"PAR1 no PAR1");
    file("00001_stats.json", b"{}");
    file("sizes.json", b"[]");
    file("00000.idx", b"v0");
    file("00000.tar.idx", b"odd");
    let (verdict, _) = run(&["verify", folder], 1);
    for rule in ["R11", "R17", "R19", "R20", "R21"] {
        assert!(verdict.contains(rule), "{rule} is not in\n{verdict}");
    }
    verdict.lines().for_each(assert_said_once);
}

/// Gives the table at `path` another format version.
fn set_version(path: &Path, version: &str) {
    let reader = SidecarReader::open(path).unwrap();
    let entry = KeyValue::new("pairmill.format_version".to_owned(), version.to_owned());
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![entry])).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(reader.schema()), Some(properties)).unwrap();
    for batch in reader.batches(None).unwrap() {
        writer.write(&batch.unwrap()).unwrap();
    }
    fs::write(path, writer.into_inner().unwrap()).unwrap();
}

#[test]
fn f26_every_command_stops_at_a_newer_format() {
    let (tars, tables) = (dataset("webdataset"), dataset("parquet"));
    for dir in [&tars, &tables] {
        set_version(&dir.path().join("00001.parquet"), "2");
    }
    let out = tempfile::tempdir().unwrap();
    let to = |name: &str| utf8(&out.path().join(name)).to_owned();
    for folder in [utf8(tars.path()), utf8(tables.path())] {
        for args in [
            &["stat", folder][..],
            &["head", folder, "-n", "20"],
            &["cat", folder],
            &["cat", folder, "--ext", "jpg"],
            &["cat", folder, "--key", "000019"],
            &["convert", folder, &to("convert"), "--overwrite"],
            &["subset", folder, "--size", "3", "--out", &to("subset")],
            &["reshard", folder, "--out", &to("reshard")],
            &["index", folder],
            &["contact-sheet", folder, "--out", &to("sheet.html")],
        ] {
            if folder == utf8(tables.path()) && args[0] == "index" {
                continue;
            }
            let Output { status, stderr, .. } = command(args).output().unwrap();
            let error = String::from_utf8(stderr).unwrap();
            assert_eq!(status.code(), Some(2), "{args:?}: {error}");
            assert!(
                error
                    .contains("00001.parquet: written in format version `2`, and this program reads up to 1"),
                "{args:?}: {error}"
            );
        }
        let (verdict, _) = run(&["verify", folder], 1);
        assert!(verdict.contains("00001.parquet: R25: written in format version `2`"), "{verdict}");
    }
    // What is no version is none that we know; the own one and none at all are.
    set_version_of_all(tars.path(), "1");
    run(&["stat", utf8(tars.path())], 0);
    let table = tars.path().join("00000.parquet");
    fs::copy(fixture("webdataset").join("00000.parquet"), &table).unwrap();
    set_version(&table, "next\x1b");
    let (_, error) = run(&["stat", utf8(tars.path())], 2);
    assert!(error.contains("`next\\u{1b}`"), "{error}");
}

fn set_version_of_all(folder: &Path, version: &str) {
    for name in ["00000.parquet", "00001.parquet"] {
        fs::copy(fixture("webdataset").join(name), folder.join(name)).unwrap();
        set_version(&folder.join(name), version);
    }
}

#[test]
fn f29_a_subset_of_everything_says_so() {
    let dir = dataset("webdataset");
    let out = tempfile::tempdir().unwrap();
    let to = |name: &str| utf8(&out.path().join(name)).to_owned();
    for (name, extra) in [("drawn", &[][..]), ("first", &["--prefix"])] {
        let to = to(name);
        let args: Vec<&str> = ["subset", utf8(dir.path()), "--size", "2.7M", "--out", &to]
            .iter()
            .chain(extra)
            .copied()
            .collect();
        let (text, note) = run(&args, 0);
        assert!(text.contains("7 of 7 samples"), "{text}");
        assert_eq!(note, "note: --size asks for 2,700,000 samples, but there are only 7: all were taken\n");
    }
    let (_, note) = run(&["subset", utf8(dir.path()), "--size", "7", "--out", &to("exact")], 0);
    assert_eq!(note, "");
    let (once, note) = run(
        &[
            "subset",
            utf8(dir.path()),
            utf8(dir.path()),
            "--size",
            "8",
            "--drop-duplicate-images",
            "exact",
            "--out",
            &to("once"),
        ],
        0,
    );
    assert!(
        note.contains("only") && note.contains("are left without duplicates: all were taken"),
        "{once}{note}"
    );
}

#[test]
fn f13_f25_f26_the_same_holds_in_a_bucket() {
    let (dir, s3) = (dataset("webdataset"), pairmill_bucket::S3::start());
    let put = |name: &str| s3.put(&format!("set/{name}"), &fs::read(dir.path().join(name)).unwrap());
    for entry in fs::read_dir(dir.path()).unwrap() {
        put(entry.unwrap().file_name().to_str().unwrap());
    }
    let by_url = |args: &[&str], code: i32| {
        let Output { status, stdout, stderr } = command(args).envs(s3.env()).output().unwrap();
        let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert_eq!(status.code(), Some(code), "{args:?}\n{out}\n{err}");
        (out, err)
    };
    let (set, first) = (s3.url("set"), s3.url("set/00000.tar"));
    // Single objects and patterns are counted by the tables beside them.
    let rows = |target: &str| -> u64 {
        let json: serde_json::Value =
            serde_json::from_str(&by_url(&["stat", target, "--json"], 0).0).unwrap();
        json["rows"].as_u64().unwrap()
    };
    assert_eq!((rows(&set), rows(&s3.url("set/{00000..00001}.tar"))), (14, 14));
    assert_eq!(rows(&first) + rows(&s3.url("set/00001.tar")), 14);

    s3.put("set/_pairmill/runs/00000.toml", b"");
    s3.put("set/_pairmill/runs/00000.done", b"shards = 3\n");
    assert!(by_url(&["verify", &set], 1).0.contains("R27: shard 00002 is missing"));
    assert!(by_url(&["stat", &set, "--json"], 0).0.contains("\"missing_shards\": 1"));

    set_version(&dir.path().join("00000.parquet"), "2");
    put("00000.parquet");
    for args in
        [&["head", &first][..], &["cat", &first], &["index", &first], &["stat", &first], &["stat", &set]]
    {
        let (_, error) = by_url(args, 2);
        assert!(error.contains("00000.parquet: written in format version `2`"), "{args:?}: {error}");
    }
    assert!(by_url(&["verify", &set], 1).0.contains("R25"));
}
