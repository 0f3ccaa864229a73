//! The reading commands by URL say what they say of the same files on disk.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pairmill_bucket::{Fault, S3};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/img2dataset-1.47/webdataset")
}

fn run(s3: &S3, temp: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pairmill-shards"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.envs(s3.env()).env("TMPDIR", temp).args(args).output().unwrap()
}

/// The fixture under `set/`, and the URL and path of it.
fn served() -> (S3, String, String) {
    let s3 = S3::start();
    for entry in fs::read_dir(fixture()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_file() {
            s3.put(&format!("set/{name}"), &fs::read(&path).unwrap());
        }
    }
    let url = s3.url("set");
    (s3, url, fixture().to_str().unwrap().to_owned())
}

#[test]
fn commands_by_url_say_what_they_say_of_files() {
    let (s3, url, folder) = served();
    let temp = tempfile::tempdir().unwrap();
    s3.fail(|asked| (asked.number % 4 == 0).then_some(Fault::Status(503)));
    for arguments in [
        vec!["stat", "@"],
        vec!["stat", "@", "--json"],
        vec!["verify", "@"],
        vec!["verify", "@", "--images", "--against", "open-clip", "--against", "webdataset"],
        vec!["verify", "@/00000.tar", "--against", "hf"],
        vec!["head", "-n", "3", "@"],
        vec!["head", "@/{00000..00001}.tar"],
        vec!["cat", "@"],
        vec!["cat", "@", "--ext", "txt"],
    ] {
        let at = |place: &str| arguments.iter().map(|word| word.replace('@', place)).collect::<Vec<_>>();
        let (by_url, by_path) = (at(&url), at(&folder));
        let words = |all: &[String]| all.iter().map(|word| word.as_str().to_owned()).collect::<Vec<_>>();
        let ask = |all: &[String]| {
            let words = words(all);
            run(&s3, temp.path(), &words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let (remote, local) = (ask(&by_url), ask(&by_path));
        let text = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
        assert_eq!(text(&remote), text(&local).replace(&folder, &url), "{by_url:?}: {}", err(&remote));
        assert_eq!(remote.status.code(), local.status.code(), "{by_url:?}");
        assert!(!text(&remote).is_empty());
    }
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0, "left in the folder for temporary files");
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn damage_and_absence_are_named_by_url() {
    let (s3, url, _) = served();
    let temp = tempfile::tempdir().unwrap();
    let tar = s3.objects("set")["00000.tar"].clone();
    s3.put("set/00000.tar", &tar[..tar.len() / 2]);
    let verify = run(&s3, temp.path(), &["verify", &url]);
    let text = String::from_utf8(verify.stdout).unwrap();
    assert!(
        verify.status.code() == Some(1) && text.starts_with(&format!("{url}/00000.tar: offset ")),
        "{text}"
    );
    for (arguments, words) in [
        (vec!["cat", "s3://bucket/set/00000.tar"], "error: s3://bucket/set/00000.tar: "),
        (vec!["head", "s3://bucket/set/00009.tar"], "s3://bucket/set/00009.tar: there is no such object"),
        (vec!["stat", "s3://bucket/other"], "s3://bucket/other: no shards here"),
        (vec!["verify", "s3://nowhere/x"], "s3://nowhere/x: there is no such bucket"),
        (vec!["head", "s5://bucket/x.tar"], "`s5://` is no place for shards"),
        (vec!["subset", "s3://bucket/set", "--size", "1", "--out", "never"], "not a local path"),
    ] {
        let output = run(&s3, temp.path(), &arguments);
        let text = err(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(words) && text.trim_end().lines().count() == 1, "{arguments:?}: {text}");
    }
}
