//! Runs into a bucket, and out of one: an S3 server in this process, healthy, failing and gone, against which the command
//! is started, killed and started again. What counts are the objects: those of a local run, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use pairmill_bucket::{Asked, Fault, S3};

use crate::harness::{Job, bytes_of, command, finish, stderr};
use crate::web_table::signal;

/// `run` of `table` to `to`, which the environment of `s3` leads to.
fn run_to(job: &Job, s3: &S3, table: &str, to: &str) -> Command {
    let mut command = job.run(table.as_ref(), to.as_ref());
    with_env(&mut command, s3);
    command.arg("--staging").arg(job.path("staging"));
    command
}

/// The environment of `s3` and nothing else that speaks of a store.
fn with_env(command: &mut Command, s3: &S3) {
    let foreign = |name: &str| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|start| name.starts_with(start));
    for (name, _) in std::env::vars().filter(|(name, _)| foreign(name)) {
        command.env_remove(name);
    }
    command.envs(s3.env());
}

/// Settings under which a failing store is given up soon, and files go up by parts.
fn impatient(job: &Job, retries: usize) -> String {
    let path = job.path("storage.toml");
    let text = format!("[storage]\nretries = {retries}\nretry_s = 20\nstall_s = 1\npart_bytes = 5242880\n");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Objects that must not depend on when they were made.
fn data(s3: &S3, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    let mut objects = s3.objects(prefix);
    objects.retain(|name, _| !name.contains('/') && !name.ends_with("_stats.json"));
    objects
}

fn names(s3: &S3, prefix: &str) -> Vec<String> {
    s3.objects(prefix).into_keys().collect()
}

#[track_caller]
fn assert_same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{name} differs");
    }
}

/// Whatever looks finished is finished, and is what the undisturbed run made.
#[track_caller]
fn assert_finished_are_whole(s3: &S3, prefix: &str, expected: &BTreeMap<String, Vec<u8>>) {
    let objects = s3.objects(prefix);
    for shard in objects.keys().filter_map(|name| name.strip_suffix("_stats.json")) {
        for suffix in [".tar", ".parquet", ".idx", ".tar.idx"] {
            let file = format!("{shard}{suffix}");
            assert!(objects.get(&file) == expected.get(&file), "{file}");
        }
    }
}

fn is_shard(asked: &Asked) -> bool {
    [".tar", ".parquet", ".idx", "_stats.json"].iter().any(|end| asked.path.ends_with(end))
}

#[test]
fn a_bucket_holds_what_a_folder_would() {
    let (job, s3) = (Job::new(), S3::start());
    let (table, local) = (job.table("t.csv", 220), job.path("local"));
    finish(&mut job.run(&table, &local), 0);
    let table = table.to_str().unwrap();
    let printed = finish(&mut run_to(&job, &s3, table, &s3.url("set")), 0);
    assert_same(&data(&s3, "set"), &bytes_of(&local));
    let notes: Vec<_> = names(&s3, "set").into_iter().filter(|name| name.contains('/')).collect();
    assert_eq!(notes, ["_pairmill/runs/00000.done", "_pairmill/runs/00000.toml"], "and the lease is gone");
    assert_eq!(s3.open_parts(), 0);
    assert!(!staged(&job), "the staging folder is gone");

    // Again: nothing to do, nothing written but the end of the run.
    let before = s3.asked().len();
    let again = finish(&mut run_to(&job, &s3, table, &s3.url("set")), 0);
    assert!(String::from_utf8_lossy(&printed.stdout).contains("success"));
    let said = String::from_utf8(again.stdout).unwrap();
    assert!(said.starts_with(&format!("nothing to do: all 5 shards in {} ", s3.url("set"))), "{said}");
    let asked = s3.asked().split_off(before);
    assert!(!asked.iter().any(|asked| asked.method == "PUT" && is_shard(asked)), "{asked:?}");
    assert_same(&data(&s3, "set"), &bytes_of(&local));

    // Another config is refused and touches nothing.
    let refused = finish(run_to(&job, &s3, table, &s3.url("set")).args(["--image-size", "48"]), 2);
    let text = stderr(&refused);
    assert!(
        text.contains("s3://bucket/set: holds another run's shards") && text.lines().count() == 1,
        "{text}"
    );
    assert!(text.contains("pixels.image_size: 32 there, 48 here"), "{text}");
    assert_same(&data(&s3, "set"), &bytes_of(&local));

    // A dry run counts what is there, and `overwrite` leaves what is not ours.
    s3.put("set/notes.txt", b"mine");
    let dry = finish(run_to(&job, &s3, table, &s3.url("set")).arg("--dry-run"), 0);
    let text = String::from_utf8(dry.stdout).unwrap();
    assert!(text.contains("s3://bucket/set (5 shards finished)"), "{text}");
    let overwrite = ["--image-size", "48", "--incremental-mode", "overwrite", "--output-format", "parquet"];
    finish(run_to(&job, &s3, table, &s3.url("set")).args(overwrite), 0);
    let left = names(&s3, "set");
    assert!(left.contains(&"notes.txt".to_owned()) && !left.contains(&"00000.tar".to_owned()), "{left:?}");
}

fn staged(job: &Job) -> bool {
    fs::read_dir(job.path("staging"))
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.path().is_dir()))
}

#[test]
fn a_store_that_fails_now_and_then_gets_the_same_objects() {
    let (job, s3) = (Job::new(), S3::start());
    let (table, local) = (job.table("t.csv", 220), job.path("local"));
    finish(&mut job.run(&table, &local), 0);
    let faults = [
        Fault::Status(503),
        Fault::Status(500),
        Fault::Status(429),
        Fault::Reset,
        Fault::LoseAnswer,
        Fault::Stall(Duration::from_millis(1500)),
    ];
    // Every third request fails, each time otherwise.
    let mut failed = 0;
    s3.fail(move |asked| {
        (asked.number % 3 == 0).then(|| {
            failed += 1;
            faults[failed % faults.len()]
        })
    });
    let table = table.to_str().unwrap();
    finish(run_to(&job, &s3, table, &s3.url("set")).args(["--config", &impatient(&job, 10)]), 0);
    assert_same(&data(&s3, "set"), &bytes_of(&local));
}

#[test]
fn a_store_that_fails_for_ever_ends_the_run_with_one_line() {
    let (job, s3) = (Job::new(), S3::start());
    let table = job.table("t.csv", 220);
    let table = table.to_str().unwrap();
    let config = impatient(&job, 2);
    for (fault, words) in [
        (Fault::Status(503), "throttles (503 SlowDown, 3 attempts)"),
        (Fault::Reset, "no answer from the store"),
        (Fault::Status(403), "the store refuses (403 AccessDenied)"),
    ] {
        s3.fail(move |asked| (asked.method != "GET" && is_shard(asked)).then_some(fault));
        let code = if fault == Fault::Status(403) { 2 } else { 1 };
        let output = finish(run_to(&job, &s3, table, &s3.url("set")).args(["--config", &config]), code);
        let text = stderr(&output);
        assert!(text.lines().count() == 1 && text.starts_with("error: s3://bucket/set/0000"), "{text}");
        assert!(text.contains(words), "{text}");
        let finished = names(&s3, "set").into_iter().filter(|name| name.ends_with("_stats.json")).count();
        assert_eq!(finished, 0);
    }
    s3.heal();
    finish(run_to(&job, &s3, table, &s3.url("set")).args(["--config", &config]), 0);
    let local = job.path("local");
    finish(&mut job.run(table.as_ref(), &local), 0);
    assert_same(&data(&s3, "set"), &bytes_of(&local));
}

#[test]
fn killed_writers_leave_whole_shards_or_none() {
    let (job, s3) = (Job::new(), S3::start());
    let (table, local) = (job.table("t.csv", 600), job.path("local"));
    finish(&mut job.run(&table, &local), 0);
    let expected = bytes_of(&local);
    let table = table.to_str().unwrap();
    // Uploads take a while, so that some die in the middle.
    let slow = Fault::Stall(Duration::from_millis(15));
    s3.fail(move |asked| (asked.method != "GET" && is_shard(asked)).then_some(slow));
    let started = Instant::now();
    finish(&mut run_to(&job, &s3, table, &s3.url("calm")), 0);
    let whole = started.elapsed();
    let (mut kills, mut attempts) = (0u32, 0u32);
    while kills < 8 {
        attempts += 1;
        assert!(attempts < 60, "only {kills} kills came before the end");
        let to = s3.url("rough");
        let mut run = run_to(&job, &s3, table, &to);
        let mut child = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(whole * (attempts * 7 % 20) / 40);
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        let ended = child.wait().unwrap();
        assert_finished_are_whole(&s3, "rough", &expected);
        if ended.success() {
            assert_same(&data(&s3, "rough"), &expected);
            for name in names(&s3, "rough") {
                s3.remove(&format!("rough/{name}"));
            }
        }
    }
    // The lease that the last one left is no obstacle: the next run knows that its owner is dead.
    finish(&mut run_to(&job, &s3, table, &s3.url("rough")), 0);
    assert_same(&data(&s3, "rough"), &expected);
    assert!(!names(&s3, "rough").contains(&"_pairmill/lock".to_owned()));
}

#[test]
fn two_writers_do_not_share_a_prefix() {
    let (job, s3) = (Job::new(), S3::start());
    let table = job.table("t.csv", 600);
    let table = table.to_str().unwrap();
    s3.fail(|asked| is_shard(asked).then_some(Fault::Stall(Duration::from_millis(300))));
    // A sign of life every second, so that the other one need not wait long to see it.
    let config = job.path("lease.toml");
    fs::write(&config, "[storage]\nlease_s = 1\n").unwrap();
    let config = config.to_str().unwrap();
    let mut first = run_to(&job, &s3, table, &s3.url("set"));
    let child =
        first.args(["--config", config]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while !s3.objects("set").contains_key("_pairmill/lock") {
        thread::sleep(Duration::from_millis(5));
    }
    // As if from another machine: another staging folder.
    let mut second = run_to(&job, &s3, table, &s3.url("set"));
    let output = finish(second.args(["--config", config, "--staging"]).arg(job.path("elsewhere")), 2);
    let text = stderr(&output);
    assert!(text.contains("_pairmill/lock: process ") && text.contains("is writing here"), "{text}");
    let output = finish(run_to(&job, &s3, table, &s3.url("set")).args(["--config", config]), 2);
    assert!(stderr(&output).contains("another pairmill-ingest is writing here"), "{}", stderr(&output));
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", stderr(&ended));

    // A lease whose owner is silent is taken over.
    let silent = r#"{"host":"gone","pid":1,"token":"x","lease_s":1,"beat":3}"#;
    s3.put("other/_pairmill/lock", silent.as_bytes());
    s3.heal();
    let table = job.table("u.csv", 60);
    finish(&mut run_to(&job, &s3, table.to_str().unwrap(), &s3.url("other")), 0);
    assert!(!names(&s3, "other").contains(&"_pairmill/lock".to_owned()));
}

#[test]
fn parts_of_a_run_and_retries_work_in_a_bucket() {
    let (job, s3) = (Job::new(), S3::start());
    let (table, local) = (job.table("t.csv", 400), job.path("local"));
    finish(&mut job.run(&table, &local), 0);
    let text = table.to_str().unwrap();
    let part = |range: &str| {
        let mut run = run_to(&job, &s3, text, &s3.url("set"));
        run.args(["--shards", range]).stdout(Stdio::null()).spawn().unwrap()
    };
    for mut process in [part("0..3"), part("3..6"), part("6..8")] {
        assert!(process.wait().unwrap().success());
    }
    assert!(!names(&s3, "set").contains(&"sizes.json".to_owned()));
    finish(&mut run_to(&job, &s3, text, &s3.url("set")), 0);
    assert_same(&data(&s3, "set"), &bytes_of(&local));

    let retry = |folder: &str| {
        let mut retry = command();
        with_env(&mut retry, &s3);
        retry.args(["retry", "--class", "http_4xx", "--allow-private-addresses", "-q", folder]);
        retry.arg("--staging").arg(job.path("staging"));
        retry
    };
    let dry = finish(retry(&s3.url("set")).arg("--dry-run"), 0);
    let rows: u64 = String::from_utf8(dry.stdout).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(rows > 0);
    let mut on_disk = retry(local.to_str().unwrap());
    finish(&mut on_disk, 0);
    finish(&mut retry(&s3.url("set")), 0);
    assert_same(&data(&s3, "set"), &bytes_of(&local));
    let missing = finish(&mut retry(&s3.url("nothing")), 2);
    assert!(
        stderr(&missing).contains("s3://bucket/nothing: no run of pairmill-ingest"),
        "{}",
        stderr(&missing)
    );
}

#[test]
fn tables_come_by_url_too() {
    let (job, s3) = (Job::new(), S3::start());
    let (table, other) = (job.table("a.csv", 120), job.path("b.csv"));
    let text = fs::read_to_string(&table).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&table, lines[..60].join("\n")).unwrap();
    fs::write(&other, format!("{}\n{}", lines[0], lines[60..].join("\n"))).unwrap();
    let meta = job.path("meta");
    fs::create_dir(&meta).unwrap();
    for (name, from) in [("a.csv", &table), ("b.csv", &other)] {
        fs::copy(from, meta.join(name)).unwrap();
        s3.put(&format!("meta/{name}"), &fs::read(from).unwrap());
    }
    s3.put("meta/README.md", b"no table");
    s3.put("meta/c.csv", b"");
    let local = job.path("local");
    finish(&mut job.run(&meta, &local), 0);
    // The server breaks off in the middle of each table once.
    s3.fail_first(2, Fault::CutBody, |asked| asked.method == "GET" && asked.path.ends_with(".csv"));
    for (number, url_list) in [s3.url("meta/"), s3.url("meta/*.csv")].iter().enumerate() {
        let out = job.path(&format!("out-{number}"));
        finish(&mut run_to(&job, &s3, url_list, out.to_str().unwrap()), 0);
        assert_same(&bytes_of(&out), &bytes_of(&local));
        let segment = fs::read_to_string(out.join("_pairmill/runs/00000.toml")).unwrap();
        assert!(segment.contains("etag = "), "{segment}");
        assert!(!staged(&job), "what was fetched is gone once the run is whole");
    }
    // The same folder goes on with the files themselves, but not with another content of the same length.
    let first = job.path("out-0");
    finish(&mut job.run(&meta, &first), 0);
    let changed = fs::read_to_string(&other).unwrap().replace("http://", "HTTP://");
    s3.put("meta/b.csv", changed.as_bytes());
    let refused = finish(&mut run_to(&job, &s3, &s3.url("meta"), first.to_str().unwrap()), 2);
    assert!(stderr(&refused).contains("the content of b.csv has changed"), "{}", stderr(&refused));
    // From bucket to bucket.
    finish(&mut run_to(&job, &s3, &s3.url("meta/a.csv"), &s3.url("set")), 0);
    assert_eq!(names(&s3, "set").iter().filter(|name| name.ends_with(".tar")).count(), 2);
}

/// Serves `bytes` at every path. Every other answer to a GET breaks off in the middle.
fn web_server(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut gets = 0;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let Some(first) = head.first() else { continue };
            gets += usize::from(first.starts_with("GET "));
            let sent = match (first.starts_with("GET "), gets % 2) {
                (false, _) => 0,
                (true, 1) => bytes.len() / 2,
                _ => bytes.len(),
            };
            let head =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", bytes.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes[..sent]));
        }
    });
    format!("http://{address}")
}

#[test]
fn a_table_comes_from_a_web_server() {
    let (job, s3) = (Job::new(), S3::start());
    let (table, local, out) = (job.table("t.csv", 60), job.path("local"), job.path("out"));
    finish(&mut job.run(&table, &local), 0);
    let web = web_server(fs::read(&table).unwrap());
    let url = format!("{web}/meta/t.csv?signature=secret");
    let output = finish(&mut run_to(&job, &s3, &url, out.to_str().unwrap()), 0);
    assert!(!stderr(&output).contains("secret"), "{}", stderr(&output));
    let noted = fs::read_to_string(out.join("_pairmill/runs/00000.toml")).unwrap();
    assert!(noted.contains("/meta/t.csv\"") && !noted.contains("secret"), "{noted}");
    assert_same(&bytes_of(&out), &bytes_of(&local));
    // A server that gives no mark of the content: what counts is name and length, as with files.
    finish(&mut job.run(&table, &out), 0);
}

#[test]
fn the_card_of_a_filtered_run_lies_in_the_bucket() {
    let (job, s3) = (Job::new(), S3::start());
    let (table, local) = (job.table("t.csv", 220), job.path("local"));
    let filter = ["--prefix", "130"];
    finish(job.run(&table, &local).args(filter), 0);
    let text = table.to_str().unwrap();
    finish(run_to(&job, &s3, text, &s3.url("set")).args(filter), 0);
    assert_same(&data(&s3, "set"), &bytes_of(&local));
    let card = fs::read(local.join("_pairmill/card.json")).unwrap();
    assert!(s3.objects("set")["_pairmill/card.json"] == card && s3.objects("set").contains_key("DATASET.md"));
    // Another run behind it adds its card to the one that is there.
    let other = job.table("u.csv", 60);
    let extend = ["--prefix", "60", "--incremental-mode", "extend"];
    finish(job.run(&other, &local).args(extend), 0);
    finish(run_to(&job, &s3, other.to_str().unwrap(), &s3.url("set")).args(extend), 0);
    assert_same(&data(&s3, "set"), &bytes_of(&local));
    assert!(s3.objects("set")["_pairmill/card.json"] == fs::read(local.join("_pairmill/card.json")).unwrap());
}

#[test]
fn each_mistake_is_one_line() {
    let (job, s3) = (Job::new(), S3::start());
    let table = job.table("t.csv", 60);
    let table = table.to_str().unwrap();
    let refused = |command: &mut Command, words: &[&str]| {
        let output = finish(command, 2);
        let text = stderr(&output);
        assert!(
            text.lines().count() == 1 && words.iter().all(|word| text.contains(word)),
            "{words:?} in: {text}"
        );
    };
    refused(&mut run_to(&job, &s3, table, "s3://nowhere/x"), &["s3://nowhere/x", "no such bucket"]);
    refused(&mut run_to(&job, &s3, table, "s4://bucket/x"), &["s4://bucket/x", "gs://"]);
    refused(&mut run_to(&job, &s3, table, "https://host/x"), &["https://host/x", "only be read"]);
    refused(run_to(&job, &s3, table, &s3.url("x")).args(["--output-format", "files"]), &["webdataset"]);
    let mut bare = run_to(&job, &s3, table, &s3.url("x"));
    // Nothing listens at port 1, as nothing does at the metadata address of a machine that is not Amazon's.
    bare.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    refused(
        bare.env("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1"),
        &["no credentials", "AWS_ACCESS_KEY_ID"],
    );
    let mut half = run_to(&job, &s3, table, &s3.url("x"));
    refused(half.env_remove("AWS_SECRET_ACCESS_KEY"), &["s3://bucket/x"]);
    let mut wrong = run_to(&job, &s3, table, &s3.url("x"));
    refused(wrong.env("AWS_SECRET_ACCESS_KEY", "guess"), &["SignatureDoesNotMatch", "credentials"]);
    let mut plain = run_to(&job, &s3, table, &s3.url("x"));
    refused(plain.env_remove("AWS_ALLOW_HTTP"), &["AWS_ALLOW_HTTP=true"]);
    let mut azure = run_to(&job, &s3, table, "az://bucket/x");
    azure.env_remove("AZURE_STORAGE_USE_EMULATOR").env_remove("AZURE_STORAGE_ACCOUNT_NAME");
    refused(&mut azure, &["az://bucket/x", "no credentials", "AZURE_STORAGE_ACCOUNT_NAME"]);
    azure.env("AZURE_STORAGE_ACCOUNT_NAME", "me").env("AZURE_STORAGE_ACCOUNT_KEY", "AAAA");
    azure.env("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:1").env_remove("AZURE_ALLOW_HTTP");
    refused(&mut azure, &["http://127.0.0.1:1", "AZURE_ALLOW_HTTP=true"]);
    refused(&mut run_to(&job, &s3, &s3.url("empty/"), "out"), &["s3://bucket/empty", "holds no parquet"]);
    refused(&mut run_to(&job, &s3, &s3.url("a.csv"), "out"), &["s3://bucket/a.csv", "holds no"]);
    assert_eq!(names(&s3, ""), Vec::<String>::new(), "wrote something");
    assert!(!staged(&job));
}

#[test]
fn f09_a_wait_for_a_silent_store_ends_with_the_first_signal() {
    let job = Job::new();
    let s3 = S3::start();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let table = job.path("table.csv");
    fs::write(&table, "url,caption\nhttp://127.0.0.1:1/0.jpg,a\n").unwrap();
    let mut command = run_to(&job, &s3, table.to_str().unwrap(), "s3://bucket/set");
    command.env("AWS_ENDPOINT_URL", endpoint).args(["--input-format", "csv"]);
    let child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    // A request has come, and stays without an answer. The first connection only looks whether anybody listens.
    let asked = loop {
        let mut connection = silent.accept().unwrap().0;
        if connection.read(&mut [0]).is_ok_and(|bytes| bytes > 0) {
            break connection;
        }
    };
    signal(&child, "INT");
    let ended = child.wait_with_output().unwrap();
    drop(asked);
    assert_eq!(ended.status.code(), Some(130), "{}", stderr(&ended));
    assert!(
        stderr(&ended).contains("interrupted: 0 finished shards in s3://bucket/set"),
        "{}",
        stderr(&ended)
    );
}
