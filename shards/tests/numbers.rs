//! Every number of the command line at its extremes, and whose samples a folder is made of.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "helpers of tests; clippy knows only functions marked as tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use pairmill_shards::tar::TarWriter;

fn shards(folder: &Path, line: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pairmill-shards")).current_dir(folder).args(line).output().unwrap()
}

/// A tar of samples in this order; captions are of one length, so that the order does not show in the size.
fn make_tar(path: &Path, numbers: impl Iterator<Item = u32>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut tar = TarWriter::new(fs::File::create(path).unwrap());
    for (at, number) in numbers.enumerate() {
        let caption = format!("caption {number:05}");
        let json = format!("{{\n    \"url\": \"http://x/{number:05}\",\n    \"key\": \"{at:05}\"\n}}");
        let members = [("jpg", caption.as_bytes()), ("json", json.as_bytes()), ("txt", caption.as_bytes())];
        tar.append(&format!("{at:05}"), &members).unwrap();
    }
    tar.finish().unwrap();
}

#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), text.lines().count()), (Some(2), 1), "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` not in: {text}");
    }
}

#[test]
fn f20_each_number_of_the_flags_is_taken_or_refused_in_a_line_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    make_tar(&dir.path().join("in/00000.tar"), 0..9);
    let cases: [(&[&str], &[&str]); 4] = [
        (&["head", "in"], &["num"]),
        (&["contact-sheet", "in", "--out", "sheet.png"], &["num", "seed", "columns"]),
        (
            &["reshard", "in", "--out", "out"],
            &["number-sample-per-shard", "shuffle", "memory", "oom-shard-count"],
        ),
        (
            &["subset", "in", "--out", "out", "--drop-duplicate-images", "exact"],
            &["size", "seed", "threads", "number-sample-per-shard", "shuffle", "memory", "oom-shard-count"],
        ),
    ];
    let (mut taken, mut turned_down) = (0, 0);
    for (line, flags) in cases {
        for flag in flags {
            for value in ["0", "1", "-1", "100", "4294967295", "18446744073709551615", "1e30", "NaN"] {
                let (flag, typed) = (format!("--{flag}"), [format!("--{flag}={value}")]);
                let mut spaced = vec![flag.clone(), value.to_owned()];
                // A seed is no use without what it is of.
                if flag == "--seed" && line[0] == "subset" {
                    spaced.extend(["--size".to_owned(), "5".to_owned()]);
                }
                if flag == "--memory" {
                    spaced.extend(["--shuffle".to_owned(), "1".to_owned()]);
                }
                for words in [&spaced[..], &typed[..]] {
                    let all: Vec<&str> =
                        line.iter().copied().chain(words.iter().map(String::as_str)).collect();
                    let output = shards(dir.path(), &all);
                    let text = String::from_utf8_lossy(&output.stderr).into_owned();
                    match output.status.code() {
                        Some(0) => taken += 1,
                        Some(2) => {
                            turned_down += 1;
                            // Two settings of a layout are told as one, and pictures that are none as such.
                            let named = text.contains(&flag[2..])
                                || text.contains("keys of")
                                || text.contains("samples per shard");
                            let picture = line[0] == "contact-sheet" && text.contains("sample");
                            assert!((named || picture) && text.lines().count() == 1, "{all:?}: {text}");
                        }
                        code => panic!("{all:?}: {code:?} {text}"),
                    }
                    fs::remove_dir_all(dir.path().join("out")).ok();
                }
            }
        }
    }
    assert!(taken > 40 && turned_down > 60, "{taken} {turned_down}");
}

#[test]
fn f04_subset_and_reshard_go_on_only_over_the_samples_they_began_with() {
    let dir = tempfile::tempdir().unwrap();
    let tar = dir.path().join("in/00000.tar");
    make_tar(&tar, 0..40);
    let bytes = fs::metadata(&tar).unwrap().len();
    for (out, line) in [
        ("subset", &["subset", "in", "--size", "20"][..]),
        ("first", &["subset", "in", "--size", "20", "--prefix"]),
        ("reshard", &["reshard", "in"]),
    ] {
        make_tar(&tar, 0..40);
        let line: Vec<&str> =
            line.iter().copied().chain(["--number-sample-per-shard", "5", "--out", out]).collect();
        let done = shards(dir.path(), &line);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        // As if it had been killed before its last shard.
        let last = fs::read_dir(dir.path().join(out)).unwrap().map(|entry| entry.unwrap().path());
        let last = last.filter(|path| path.extension().is_some_and(|e| e == "tar")).max().unwrap();
        fs::remove_file(&last).unwrap();
        make_tar(&tar, (0..40).rev());
        assert_eq!(fs::metadata(&tar).unwrap().len(), bytes, "the size shows nothing");
        refused(&shards(dir.path(), &line), &["in/00000.tar", "other content", "bring the former one back"]);
        assert!(!last.exists());
        // A record of an earlier version has names and sizes alone.
        let record = dir.path().join(out).join("_pairmill/rewrite.json");
        let mut noted: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
        let content = noted["inputs"][0].as_object_mut().unwrap().remove("content").unwrap();
        assert!(content.as_str().unwrap().starts_with("shard-sha256:"), "{content}");
        fs::write(&record, noted.to_string()).unwrap();
        make_tar(&tar, 0..40);
        let again = shards(dir.path(), &line);
        let said = String::from_utf8_lossy(&again.stderr).into_owned();
        assert!(again.status.success() && said.contains("warning: an earlier version began"), "{said}");
        assert!(last.exists() && fs::read_to_string(&record).unwrap().contains("shard-sha256:"));
        let silent = shards(dir.path(), &line);
        assert!(!String::from_utf8_lossy(&silent.stderr).contains("warning"));
    }
}

#[test]
fn f04_a_sidecar_that_changed_is_another_input() {
    let dir = tempfile::tempdir().unwrap();
    make_tar(&dir.path().join("in/00000.tar"), 0..9);
    let line = ["reshard", "in", "--number-sample-per-shard", "5", "--out", "out"];
    assert!(shards(dir.path(), &line).status.success());
    // What is beside the tar decides over the rows of the new shards.
    let pixel = ["convert", "in", "as-parquet"];
    assert!(shards(dir.path(), &pixel).status.success());
    fs::copy(dir.path().join("as-parquet/00000.parquet"), dir.path().join("in/00000.parquet")).unwrap();
    refused(&shards(dir.path(), &line), &["in/00000.tar", "other content"]);
}

#[test]
fn f04_convert_goes_on_over_the_same_inputs_only() {
    let dir = tempfile::tempdir().unwrap();
    make_tar(&dir.path().join("in/00000.tar"), 0..9);
    make_tar(&dir.path().join("in/00001.tar"), 9..18);
    let line = ["convert", "in", "out"];
    assert!(shards(dir.path(), &line).status.success());
    // Killed before its second shard, and then over other samples.
    let second = dir.path().join("out/00001.parquet");
    fs::remove_file(&second).unwrap();
    make_tar(&dir.path().join("in/00001.tar"), 0..9);
    refused(
        &shards(dir.path(), &line),
        &["shard 00001", "another in/00001.tar", "other content", "--overwrite"],
    );
    assert!(!second.exists());
    make_tar(&dir.path().join("in/00001.tar"), 9..18);
    assert!(shards(dir.path(), &line).status.success() && second.exists());
}
