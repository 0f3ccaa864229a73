//! Samples that a command would leave out or overwrite without a word: shards of one name, and folders that lack shards
//! or parts of them. Tests are named by the fault's number in the list they came from.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use pairmill_shards::tar::TarWriter;
use tempfile::TempDir;

#[track_caller]
fn run(args: &[&str], code: i32) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pairmill-shards"));
    let Output { status, stdout, stderr } = command.args(args).stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(code), "{args:?}\n{out}\n{err}");
    (out, err)
}

/// The one line that bad input gives.
#[track_caller]
fn refusal(args: &[&str]) -> String {
    let (_, message) = run(args, 2);
    assert_eq!(message.trim_end().lines().count(), 1, "{args:?}: {message}");
    message
}

fn utf8(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A copy of img2dataset's two shards, `webdataset` or `parquet`, seven samples of fourteen rows.
fn dataset(output: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/img2dataset-1.47").join(output);
    for entry in fs::read_dir(fixture).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, dir.path().join(from.file_name().unwrap())).unwrap();
    }
    dir
}

fn write_tar(path: &Path, keys: &[&str]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut tar = TarWriter::new(File::create(path).unwrap());
    for key in keys {
        tar.append(key, &[("jpg", &[1; 40]), ("txt", key.as_bytes())]).unwrap();
    }
    tar.finish().unwrap();
}

#[test]
fn f10_two_inputs_of_one_name_are_not_converted_into_one_shard() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    write_tar(Path::new(&at("x/00000.tar")), &["a"]);
    write_tar(Path::new(&at("y/00000.tar")), &["b"]);
    write_tar(Path::new(&at("y/00001.tar")), &["c"]);
    let packed = File::create(at("x/00000.tar.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
    std::io::copy(&mut File::open(at("x/00000.tar")).unwrap(), &mut packed).unwrap();
    packed.finish().unwrap();

    let out = at("out");
    for (one, other) in [("x/00000.tar", "y/00000.tar"), ("x/00000.tar", "x/00000.tar.gz")] {
        let input = format!("{}::{}::{}", at(one), at("y/00001.tar"), at(other));
        let message = refusal(&["convert", "--overwrite", &input, &out]);
        for part in [&*at(one), &at(other), "both become shard `00000`", "reshard"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(!Path::new(&out).exists(), "something was written: {message}");
    }
    let message = refusal(&["convert", &format!("{0}::{0}", at("y/00001.tar")), &out]);
    assert!(message.contains("shard `00001`"), "{message}");
    // A folder that has a shard plain and compressed has it once.
    let (said, _) = run(&["convert", &at("x"), &out], 0);
    assert!(said.contains("converted 1 samples in 1 shards"), "{said}");
    let (said, _) = run(&["convert", "--overwrite", &at("y"), &out], 0);
    assert!(said.contains("converted 2 samples in 2 shards"), "{said}");
}
