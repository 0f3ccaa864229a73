//! Shards out of a bucket: an S3 server in this process. The loader reads credentials and endpoint from its environment,
//! so the half that loads runs in a process of its own: this test binary again, with that environment.

use std::fs;
use std::process::Command;

use pairmill_bucket::{Fault, S3};
use pairmill_loader::{Dataset, DatasetConfig, LoaderConfig, LoaderError, SourceSpec};

use crate::remote::{by_url, cached};
use crate::shards::{Folder, config, run};

const FOLDER: &str = "PAIRMILL_TEST_FOLDER";

/// Runs the ignored test `inner` beside a server that holds the files of `folder` under `set/`.
fn run_inner(inner: &str, s3: &S3, folder: &Folder) {
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        s3.put(&format!("set/{name}"), &fs::read(&path).unwrap());
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.envs(s3.env()).env(FOLDER, folder.path());
    let output = command.args(["--exact", &format!("bucket::{inner}"), "--ignored"]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

fn open(spec: &str, cache: &Folder) -> Result<Dataset, LoaderError> {
    Dataset::open(&[SourceSpec::new(spec)], &by_url(cache))
}

#[test]
fn a_bucket_gives_what_the_files_give() {
    let (folder, s3) = (Folder::with_tars(&[3, 5, 4]), S3::start());
    fs::write(folder.path().join("sizes.json"), r#"{"00000.tar": 3, "00001.tar": 5, "00002.tar": 4}"#)
        .unwrap();
    // Each shard breaks off once, and the store is busy now and then.
    s3.fail(|asked| {
        let is_tar = asked.path.ends_with(".tar");
        (asked.number % 2 == 0).then_some(if is_tar { Fault::CutBody } else { Fault::Status(503) })
    });
    run_inner("shards_by_pattern_and_by_prefix", &s3, &folder);
}

#[test]
#[ignore = "run by a_bucket_gives_what_the_files_give, with its environment"]
fn shards_by_pattern_and_by_prefix() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let local = Dataset::open(&[SourceSpec::new(folder.as_str())], &DatasetConfig::default()).unwrap();
    let loader = LoaderConfig { window_shards: 2, epochs: Some(2), ..config(4) };
    for spec in ["s3://bucket/set/{00000..00002}.tar", "s3://bucket/set"] {
        let cache = Folder::new();
        let dataset = open(spec, &cache).unwrap();
        assert_eq!(cached(&cache), ["sizes.json"], "counted by sizes.json");
        assert_eq!(dataset.fingerprint(), local.fingerprint(), "a run may move from files to a bucket");
        assert_eq!(run(&dataset, &loader).unwrap(), run(&local, &loader).unwrap());
        assert_eq!(cached(&cache), ["00000.tar", "00001.tar", "00002.tar", "sizes.json"]);
    }
}

#[test]
fn what_a_bucket_lacks_is_named() {
    let (folder, s3) = (Folder::with_tars(&[2]), S3::start());
    run_inner("missing_shards_and_buckets", &s3, &folder);
}

#[test]
#[ignore = "run by what_a_bucket_lacks_is_named, with its environment"]
fn missing_shards_and_buckets() {
    if std::env::var(FOLDER).is_err() {
        return;
    }
    let cache = Folder::new();
    let message = |spec: &str| open(spec, &cache).unwrap_err().to_string();
    assert_eq!(
        message("s3://bucket/set/00007.tar"),
        "cannot fetch s3://bucket/set/00007.tar: the server says 404 Not Found"
    );
    assert!(message("s3://nowhere/set").starts_with("s3://nowhere/set: there is no such bucket"));
    assert!(message("s3://bucket/empty").starts_with("s3://bucket/empty: holds no .tar"));
    assert_eq!(cached(&cache), Vec::<String>::new());
}
