//! `convert` as users meet it: what it makes of other people's sets, and what becomes of a run that is killed. Tests are
//! named by the fault's number in the list they came from.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use pairmill_shards::table::{SidecarReader, VERSION_KEY};
use pairmill_shards::tar::TarWriter;
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

/// A copy of img2dataset's two shards, seven samples of fourteen rows.
fn dataset(output: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/img2dataset-1.47").join(output);
    for entry in fs::read_dir(fixture).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, dir.path().join(from.file_name().unwrap())).unwrap();
    }
    dir
}

/// A tar of so many samples.
fn write_tar(path: &Path, samples: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let mut tar = TarWriter::new(File::create(path).unwrap());
    for at in 0..samples {
        let caption = format!("{stem} {at}");
        tar.append(&format!("{stem}-{at}"), &[("jpg", &[7; 900]), ("txt", caption.as_bytes())]).unwrap();
    }
    tar.finish().unwrap();
}

/// The files of shards in a folder.
fn shards(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file());
    files
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect()
}

fn version(table: &Path) -> Option<String> {
    SidecarReader::open(table).unwrap().key_value(VERSION_KEY).map(str::to_owned)
}

#[test]
fn f27_a_converted_set_of_img2dataset_keeps_to_img2datasets_rules() {
    for kind in ["webdataset", "parquet"] {
        let (set, dir) = (dataset(kind), tempfile::tempdir().unwrap());
        let (there, back) = (dir.path().join("there"), dir.path().join("back"));
        run(&["convert", utf8(set.path()), utf8(&there)], 0);
        run(&["convert", utf8(&there), utf8(&back)], 0);
        for folder in [&there, &back] {
            let (verdict, _) = run(&["verify", utf8(folder)], 0);
            assert!(verdict.contains("2 shards: nothing found"), "{kind}: {verdict}");
            assert_eq!(version(&folder.join("00000.parquet")), None, "{kind}");
        }
        // Rows of ours stay ours, to the byte.
        let [ours, there, back] = ["ours", "there-1", "back-1"].map(|name| dir.path().join(name));
        run(&["reshard", "-q", utf8(set.path()), "--out", utf8(&ours)], 0);
        run(&["convert", utf8(&ours), utf8(&there)], 0);
        run(&["convert", utf8(&there), utf8(&back)], 0);
        assert_eq!(version(&there.join("00000.parquet")).as_deref(), Some("1"));
        for name in ["00000.tar", "00000.parquet", "00000_stats.json"] {
            assert!(fs::read(ours.join(name)).unwrap() == fs::read(back.join(name)).unwrap(), "{name}");
        }
    }
}

#[test]
fn f15_a_convert_that_was_cut_short_is_told_from_a_whole_one_and_goes_on() {
    for kind in ["webdataset", "parquet"] {
        let (set, dir) = (dataset(kind), tempfile::tempdir().unwrap());
        let out = dir.path().join("out");
        let convert = ["convert", utf8(set.path()), utf8(&out)];
        run(&convert, 0);
        let whole = shards(&out);
        let (said, _) = run(&convert, 0);
        assert_eq!(said, "nothing to do: 2 of 2 shards are there\n");

        // As a kill leaves it: the second shard is not there, or its first files are.
        let files: Vec<String> = whole.keys().filter(|name| name.starts_with("00001")).cloned().collect();
        let without_stats: Vec<String> = vec!["00001_stats.json".to_owned()];
        for gone in [&files, &without_stats] {
            for name in gone {
                fs::remove_file(out.join(name)).unwrap();
            }
            let (verdict, _) = run(&["verify", utf8(&out)], 1);
            assert!(verdict.contains("give the same convert again to finish it"), "{verdict}");
            if gone.len() > 1 {
                let made_of =
                    format!("R27: shard 00001 is missing: convert was to make it of {}", utf8(set.path()));
                assert!(verdict.contains(&made_of), "{verdict}");
            }
            let (_, refusal) = run(&["reshard", utf8(&out), "--out", utf8(&dir.path().join("new"))], 2);
            assert!(
                refusal.contains("shard 00001 is not whole") && refusal.contains("--incomplete"),
                "{refusal}"
            );
            let (json, _) = run(&["stat", "--json", utf8(&out)], 0);
            assert!(json.contains("\"missing_shards\": 1"), "{json}");
            let (said, _) = run(&convert, 0);
            assert!(said.contains("in 1 shards, 1 more were there"), "{said}");
            assert!(shards(&out) == whole);
            run(&["verify", utf8(&out)], 0);
        }
    }
}

#[test]
fn f15_a_convert_goes_on_over_the_same_input_with_the_same_settings_only() {
    let dir = tempfile::tempdir().unwrap();
    let (set, out) = (dir.path().join("set"), dir.path().join("out"));
    let tars = ["00000.tar", "00001.tar"].map(|name| set.join(name));
    tars.iter().for_each(|tar| write_tar(tar, 5));
    let convert = ["convert", utf8(&set), utf8(&out)];
    run(&convert, 0);
    let whole = shards(&out);
    let other = [&convert[..], &["--hf-images"]].concat();
    let (_, refusal) = run(&other, 2);
    assert!(
        refusal.contains("00000.parquet was made of another") && refusal.contains("--overwrite"),
        "{refusal}"
    );
    // Same name and size, other content.
    let mut bytes = fs::read(&tars[1]).unwrap();
    bytes[600] ^= 1;
    fs::write(&tars[1], &bytes).unwrap();
    let (_, refusal) = run(&convert, 2);
    assert!(refusal.contains("00001.parquet was made of another"), "{refusal}");
    assert!(shards(&out) == whole, "something was written");
    run(&[&convert[..], &["--overwrite"]].concat(), 0);
    assert!(shards(&out) != whole);
    assert_eq!(run(&convert, 0).0, "nothing to do: 2 of 2 shards are there\n");

    // A note that is damaged is a finding, and stops whoever goes by it.
    let note = out.join("_pairmill/convert.json");
    let noted = fs::read(&note).unwrap();
    fs::write(&note, "{").unwrap();
    let (verdict, _) = run(&["verify", utf8(&out)], 1);
    assert!(
        verdict.contains("R27: ") && verdict.contains("not a record of subset, reshard or convert"),
        "{verdict}"
    );
    assert!(run(&convert, 2).1.contains("convert.json: not a record"));
    fs::write(&note, noted).unwrap();

    // Other shards may come to the same folder; what nobody noted stays.
    let more = dir.path().join("more/00002.tar");
    write_tar(&more, 3);
    run(&["convert", utf8(&more), utf8(&out)], 0);
    run(&["verify", utf8(&out)], 0);
    fs::write(out.join("00003.parquet"), "x").unwrap();
    write_tar(&more.with_file_name("00003.tar"), 3);
    let (_, refusal) = run(&["convert", utf8(&more.with_file_name("00003.tar")), utf8(&out)], 2);
    assert!(refusal.contains("00003.parquet exists; give another folder, or --overwrite"), "{refusal}");
}

#[test]
fn f15_a_killed_convert_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("set");
    (0..40).for_each(|shard| write_tar(&set.join(format!("{shard:05}.tar")), 60));
    let (whole, out) = (dir.path().join("whole"), dir.path().join("out"));
    run(&["convert", utf8(&set), utf8(&whole)], 0);
    let convert = ["convert", utf8(&set), utf8(&out)];
    for until in [1, 7, 20] {
        let mut child = command(&convert).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let made =
            || out.is_dir() && shards(&out).keys().filter(|name| !name.starts_with('.')).count() >= until;
        while !made() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let _ = child.kill();
        child.wait().unwrap();
        let left = shards(&out).keys().filter(|name| !name.starts_with('.')).count();
        if left < 40 {
            let (verdict, _) = run(&["verify", utf8(&out)], 1);
            assert_eq!(verdict.contains("R27: shard 00039 is missing"), 40 - left <= 5, "{verdict}");
            assert!(verdict.contains("is missing: convert was to make it of"), "{verdict}");
        }
    }
    run(&convert, 0);
    assert!(shards(&out) == shards(&whole));
    run(&["verify", utf8(&out)], 0);
}

#[test]
fn f15_a_reshard_that_was_cut_short_is_told_from_a_whole_one() {
    let (set, dir) = (dataset("webdataset"), tempfile::tempdir().unwrap());
    let out = dir.path().join("out");
    let reshard = ["reshard", "-q", utf8(set.path()), "--number-sample-per-shard", "2", "--out", utf8(&out)];
    run(&reshard, 0);
    let done = out.join("_pairmill/rewrite.done");
    assert_eq!(fs::read_to_string(&done).unwrap(), "shards = 4\n");
    // A kill leaves a prefix of whole shards, without the two files that are written at the end.
    for name in ["00003.tar", "00003.parquet", "00003_stats.json", "sizes.json", "_pairmill/rewrite.done"] {
        fs::remove_file(out.join(name)).unwrap();
    }
    let (verdict, _) = run(&["verify", utf8(&out)], 1);
    assert!(verdict.contains("R27: the subset or reshard that fills this folder has not ended"), "{verdict}");
    let (_, refusal) = run(&["convert", utf8(&out), utf8(&dir.path().join("tables"))], 2);
    assert!(refusal.contains("has not ended") && refusal.contains("--incomplete"), "{refusal}");
    assert!(run(&["stat", "--json", utf8(&out)], 0).0.contains("\"unfinished_runs\": 1"));
    run(&reshard, 0);
    run(&["verify", utf8(&out)], 0);

    // A shard that is lost later is missed.
    for name in ["00003.tar", "00003.parquet", "00003_stats.json", "sizes.json"] {
        fs::remove_file(out.join(name)).unwrap();
    }
    let (verdict, _) = run(&["verify", utf8(&out)], 1);
    assert!(verdict.contains("R27: shard 00003 is missing: the run from shard 00000 made 4"), "{verdict}");
    // Earlier versions wrote no number; that they had ended is seen by `sizes.json`.
    run(&reshard, 0);
    fs::remove_file(&done).unwrap();
    run(&["verify", utf8(&out)], 0);
}

#[test]
fn f25_a_folder_of_converted_tars_of_any_name_is_verified() {
    let dir = tempfile::tempdir().unwrap();
    let (set, out) = (dir.path().join("set"), dir.path().join("out"));
    ["train-0.tar", "train-1.tar"].iter().for_each(|name| write_tar(&set.join(name), 3));
    run(&["convert", utf8(&set), utf8(&out)], 0);
    let (verdict, _) = run(&["verify", utf8(&out)], 0);
    assert_eq!(verdict, "2 shards: nothing found\n");
    fs::remove_file(out.join("train-1.parquet")).unwrap();
    let (verdict, _) = run(&["verify", utf8(&out)], 1);
    assert!(
        verdict.contains("R27: shard train-1 is missing") && verdict.contains("same convert again"),
        "{verdict}"
    );
    // One key in two shards is found in the folder, as in files that are named.
    fs::copy(out.join("train-0.parquet"), out.join("train-1.parquet")).unwrap();
    let (verdict, _) = run(&["verify", utf8(&out)], 1);
    assert!(verdict.contains("train-1.parquet: key train-0-0: R8: the key is in"), "{verdict}");
}
