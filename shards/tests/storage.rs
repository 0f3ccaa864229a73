//! Buckets against a real S3 server in this process, healthy and failing. Clients read credentials and endpoint from the
//! environment, so what uses one runs in a process of its own: this test binary again, an ignored test each.
#![cfg(feature = "storage")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pairmill_bucket::{Fault, S3};
use pairmill_shards::storage::{Bucket, Lease, Location, StorageConfig, StorageError};

const MARK: &str = "PAIRMILL_TEST_INNER";
/// Larger than three parts of 5 MiB.
const LARGE: usize = 17 << 20;

/// Runs the ignored test `name` with the environment of `s3`.
#[track_caller]
fn run(name: &str, s3: &S3) {
    run_with(name, s3.env());
}

#[track_caller]
fn run_with(name: &str, environment: Vec<(&'static str, String)>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.envs(environment).env(MARK, "1").args(["--exact", name, "--ignored", "--nocapture"]);
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

/// The bucket, if this is the process that [`run`] started.
fn bucket() -> Option<Bucket> {
    std::env::var_os(MARK)?;
    let config = StorageConfig {
        retries: Some(4),
        retry_s: 20,
        stall_s: 2,
        part_bytes: 5 << 20,
        parts: 2,
        lease_s: 1,
    };
    let url = Location::parse("s3://bucket/set").unwrap().bucket().unwrap();
    Some(Bucket::connect(&url, &config).unwrap())
}

fn large() -> Vec<u8> {
    (0..LARGE as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn write(dir: &Path, bytes: &[u8]) -> std::path::PathBuf {
    let path = dir.join("file");
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn objects_come_and_go() {
    let s3 = S3::start();
    for number in 0..1100 {
        s3.put(&format!("set/many/{number:04}"), b"x");
    }
    s3.put("set/a b+c%20d.txt", b"odd name");
    run("come_and_go", &s3);
    assert_eq!(s3.objects("set").len(), 1100, "what was removed is gone");
}

#[test]
#[ignore = "run by objects_come_and_go"]
fn come_and_go() {
    let Some(bucket) = bucket() else { return };
    let dir = tempfile::tempdir().unwrap();
    // More than one page of a list.
    let many = bucket.at(bucket.url().join("many"));
    let names: Vec<String> = many.list().unwrap().into_iter().map(|object| object.name).collect();
    assert_eq!(names, (0..1100).map(|number| format!("{number:04}")).collect::<Vec<_>>());
    assert_eq!(bucket.get("a b+c%20d.txt").unwrap().unwrap(), "odd name");
    assert_eq!(bucket.at(bucket.url().join("none")).list().unwrap(), []);
    assert_eq!(bucket.head("none").unwrap(), None);
    assert_eq!(bucket.get("none").unwrap(), None);

    bucket.put("small", "abcdef".as_bytes().to_vec()).unwrap();
    assert_eq!(bucket.get_range("small", 2..4).unwrap(), "cd");
    let object = bucket.fetch("small", &dir.path().join("small")).unwrap();
    assert_eq!((object.bytes, object.etag.is_some()), (6, true));
    assert_eq!(fs::read(dir.path().join("small")).unwrap(), b"abcdef");
    let missing = bucket.fetch("none", &dir.path().join("none")).unwrap_err();
    assert_eq!(missing.to_string(), "s3://bucket/set/none: there is no such object; check the URL");
    assert!(missing.is_bad_input() && !dir.path().join("none").exists());
    bucket.delete(&["small", "a b+c%20d.txt", "none"].map(str::to_owned)).unwrap();
}

#[test]
fn large_files_go_up_by_parts_whatever_fails_in_between() {
    let s3 = S3::start();
    let mut count = 0;
    // Every request of the upload fails once, each otherwise; a completion's answer is lost.
    let faults = [
        Fault::Status(500),
        Fault::Reset,
        Fault::Status(503),
        Fault::Stall(Duration::from_secs(3)),
        Fault::Status(429),
    ];
    let mut seen = std::collections::BTreeSet::new();
    let mut completions = 0;
    s3.fail(move |asked| {
        let is_completion = asked.method == "POST" && asked.query.starts_with("uploadId");
        completions += usize::from(is_completion);
        if is_completion && completions == 1 {
            return Some(Fault::LoseAnswer);
        }
        let key = format!("{} {}", asked.method, asked.query.split("uploadId").next().unwrap_or_default());
        (asked.method != "GET" && seen.insert(key)).then(|| {
            count += 1;
            faults[count % faults.len()]
        })
    });
    run("upload_large", &s3);
    assert!(s3.objects("set")["large"] == large());
    let parts = s3.asked().iter().filter(|asked| asked.query.contains("partNumber=4")).count();
    assert!(parts >= 1, "it went up by parts");
    assert_eq!(s3.open_parts(), 0);
}

#[test]
#[ignore = "run by large_files_go_up_by_parts_whatever_fails_in_between"]
fn upload_large() {
    let Some(bucket) = bucket() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), &large());
    assert_eq!(bucket.upload(&path, "large").unwrap(), LARGE as u64);
    assert_eq!(bucket.head("large").unwrap().unwrap().bytes, LARGE as u64);
}

#[test]
fn an_upload_that_fails_for_good_leaves_the_old_object_and_no_parts() {
    let s3 = S3::start();
    s3.put("set/large", b"old");
    s3.fail(|asked| asked.query.contains("partNumber=3").then_some(Fault::Status(503)));
    run("upload_in_vain", &s3);
    assert_eq!(s3.objects("set")["large"], b"old");
    assert_eq!(s3.open_parts(), 0, "aborted");
}

#[test]
#[ignore = "run by an_upload_that_fails_for_good_leaves_the_old_object_and_no_parts"]
fn upload_in_vain() {
    let Some(bucket) = bucket() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), &large());
    match bucket.upload(&path, "large").unwrap_err() {
        StorageError::Busy { url, detail } => {
            assert_eq!(
                (url.as_str(), detail.as_str()),
                ("s3://bucket/set/large", "503 SlowDown, 5 attempts")
            );
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_transfer_goes_on_in_the_middle() {
    let s3 = S3::start();
    s3.put("set/large", &large());
    s3.fail_first(3, Fault::CutBody, |asked| asked.method == "GET");
    run("fetch_large", &s3);
}

#[test]
#[ignore = "run by a_transfer_goes_on_in_the_middle"]
fn fetch_large() {
    let Some(bucket) = bucket() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large");
    bucket.fetch("large", &path).unwrap();
    assert!(fs::read(&path).unwrap() == large());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// A store that refuses everything it is asked for, in `faults` in turn, until `outage` is over.
fn away(s3: &S3, outage: Duration, faults: &'static [Fault]) {
    let mut since = None;
    s3.fail(move |asked| {
        let since = *since.get_or_insert_with(std::time::Instant::now);
        (since.elapsed() < outage).then(|| faults[asked.number % faults.len()])
    });
}

#[test]
fn f09_a_store_that_is_away_for_a_while_is_waited_for() {
    // So many refusals come within the outage that no fixed number of attempts outlasts it.
    const FAULTS: [&[Fault]; 3] =
        [&[Fault::Status(503)], &[Fault::Reset], &[Fault::CutBody, Fault::LoseAnswer, Fault::Reset]];
    std::thread::scope(|scope| {
        for faults in FAULTS {
            scope.spawn(move || {
                let s3 = S3::start();
                s3.put("set/large", &large());
                s3.put("set/small", b"small");
                away(&s3, Duration::from_secs(4), faults);
                run("wait_for_the_store", &s3);
                assert!(s3.objects("set")["copy"] == large());
                assert_eq!(s3.objects("set")["put"], b"put");
                assert!(!s3.objects("set").contains_key("small"), "deleted");
                assert_eq!(s3.open_parts(), 0);
            });
        }
    });
}

#[test]
#[ignore = "run by f09_a_store_that_is_away_for_a_while_is_waited_for"]
fn wait_for_the_store() {
    if std::env::var_os(MARK).is_none() {
        return;
    }
    // What users have, but for the size of parts.
    let config = StorageConfig { part_bytes: 5 << 20, ..StorageConfig::default() };
    let url = Location::parse("s3://bucket/set").unwrap().bucket().unwrap();
    let bucket = Bucket::connect(&url, &config).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large");
    // All at once, so that each meets the outage.
    std::thread::scope(|scope| {
        let work: [Box<dyn Fn() + Send>; 6] = [
            Box::new(|| assert_eq!(bucket.list().unwrap().iter().filter(|o| o.name == "large").count(), 1)),
            Box::new(|| assert_eq!(bucket.head("large").unwrap().unwrap().bytes, LARGE as u64)),
            Box::new(|| bucket.put("put", "put").unwrap()),
            Box::new(|| drop(bucket.fetch("large", &path).unwrap())),
            Box::new(|| {
                let dir = tempfile::tempdir().unwrap();
                bucket.upload(&write(dir.path(), &large()), "copy").unwrap();
            }),
            Box::new(|| bucket.delete(&["small".to_owned()]).unwrap()),
        ];
        for work in work {
            scope.spawn(work);
        }
    });
    assert!(fs::read(&path).unwrap() == large());
    // And a lease, whose puts the client does not repeat.
    Lease::take(&bucket, "lock", None).unwrap().unwrap().check().unwrap();
}

#[test]
fn f09_an_endpoint_where_nothing_listens_is_named_soon() {
    let mut environment = S3::start().env();
    for (name, value) in &mut environment {
        if *name == "AWS_ENDPOINT_URL" {
            *value = "http://127.0.0.1:1".to_owned();
        }
    }
    run_with("connect_to_nobody", environment);
}

#[test]
#[ignore = "run by f09_an_endpoint_where_nothing_listens_is_named_soon"]
fn connect_to_nobody() {
    if std::env::var_os(MARK).is_none() {
        return;
    }
    let config = StorageConfig { retry_s: 1, ..StorageConfig::default() };
    let url = Location::parse("s3://bucket/set").unwrap().bucket().unwrap();
    let error = Bucket::connect(&url, &config).unwrap_err().to_string();
    assert!(
        error.contains("no answer from the store (127.0.0.1:1: ") && error.contains("endpoint"),
        "{error}"
    );
}

#[test]
#[cfg(feature = "cli")]
fn f09_a_store_where_nobody_listens_is_given_up_and_the_wait_is_told() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = format!("127.0.0.1:{port}");
    let (place, endpoint) = (place.as_str(), format!("http://{place}"));
    let cases = [
        (format!("{endpoint}/set/00000.tar"), vec![]),
        (
            "az://container/set".to_owned(),
            vec![("AZURE_STORAGE_USE_EMULATOR", "true"), ("AZURITE_BLOB_STORAGE_URL", &endpoint)],
        ),
        (
            "s3://bucket/set".to_owned(),
            vec![("AWS_ENDPOINT_URL", &endpoint), ("AWS_ALLOW_HTTP", "true"), ("AWS_SKIP_SIGNATURE", "true")],
        ),
    ];
    std::thread::scope(|scope| {
        for (url, environment) in &cases {
            scope.spawn(move || {
                let mut command = Command::new(env!("CARGO_BIN_EXE_pairmill-shards"));
                let output = command.args(["head", url]).envs(environment.iter().copied()).output().unwrap();
                let told = String::from_utf8(output.stderr).unwrap();
                assert_eq!(output.status.code(), Some(2), "{url}: {told}");
                let waiting = format!("note: waiting for {place} (");
                assert!(told.contains(&waiting) && told.contains("tried again for 5 s"), "{url}: {told}");
                let last = told.trim_end().lines().last().unwrap();
                assert!(
                    last.starts_with("error: ")
                        && last.contains(&format!("no answer from the store ({place}: ")),
                    "{url}: {told}"
                );
                assert!(last.contains("check the endpoint"), "{told}");
            });
        }
    });
}

#[test]
fn a_lease_has_one_owner() {
    let s3 = S3::start();
    run("one_owner", &s3);
    assert!(s3.objects("set").is_empty(), "given back");
}

#[test]
#[ignore = "run by a_lease_has_one_owner"]
fn one_owner() {
    let Some(bucket) = bucket() else { return };
    let first = Lease::take(&bucket, "lock", None).unwrap().unwrap();
    match Lease::take(&bucket, "lock", None).unwrap_err() {
        StorageError::Leased { url, wait_s, .. } => {
            assert_eq!((url.as_str(), wait_s), ("s3://bucket/set/lock", 3))
        }
        other => panic!("{other}"),
    }
    first.check().unwrap();
    // Somebody else took it while its owner slept: it finds out and stops.
    let other = br#"{"host":"elsewhere","pid":7,"token":"x","lease_s":1,"beat":1}"#;
    bucket.put("lock", other.to_vec()).unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    let lost = first.check().unwrap_err();
    assert!(lost.to_string().contains("process 7 on elsewhere has taken over"), "{lost}");
    drop(first);
    assert_eq!(bucket.get("lock").unwrap().unwrap(), &other[..], "not ours to remove");
    // That one is silent, so its lease can be had after three of its intervals.
    let taken = Lease::take(&bucket, "lock", None).unwrap().unwrap();
    taken.check().unwrap();
}
