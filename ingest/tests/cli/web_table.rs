//! Tables behind a web address: nobody there, a server that stays silent, and addresses with a password or a signature
//! in them. Tests are named by the fault's number in the list they came from.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::harness::{Job, bytes_of, finish, stderr};

const SECRET: &str = "QZX7QZJ3XX";

/// `run` of the table at `url`, spoken to directly.
fn run(job: &Job, url: &str, out: &Path) -> Command {
    let mut command = job.run(url.as_ref(), out);
    for proxy in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(proxy);
    }
    command.arg("--staging").arg(job.path("staging"));
    command
}

#[test]
fn f09_a_table_url_where_nothing_listens_is_named_and_not_waited_for_again() {
    let job = Job::new();
    let config = job.path("storage.toml");
    fs::write(&config, "[storage]\nretry_s = 1\n").unwrap();
    let url = format!("http://me:{SECRET}@127.0.0.1:1/x.parquet?{SECRET}");
    for dry in [false, true] {
        let mut command = run(&job, &url, &job.path("out"));
        command.arg("--config").arg(&config).args(dry.then_some("--dry-run"));
        let text = stderr(&finish(&mut command, 1));
        let expected = "error: http://127.0.0.1:1/x.parquet: no answer from the store (127.0.0.1:1: ";
        assert!(text.starts_with(expected) && text.lines().count() == 1, "{text}");
        assert!(!text.contains(SECRET), "{text}");
    }
    // That nothing may be written to the web is known without asking anybody.
    let table = job.table("t.csv", 60);
    let text = stderr(&finish(&mut job.run(&table, "http://127.0.0.1:1/out".as_ref()), 2));
    assert!(text.contains("a web address can only be read") && text.contains("s3://"), "{text}");
}

pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
}

#[test]
fn f09_a_wait_for_a_table_url_says_so_and_ends_with_the_first_signal() {
    let job = Job::new();
    // Its connections are never accepted, but the system takes them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}/x.parquet", silent.local_addr().unwrap());
    for (url, name) in [("http://127.0.0.1:1/x.parquet", "TERM"), (&silent, "INT")] {
        let command = run(&job, url, &job.path("out"));
        let arguments: Vec<_> =
            command.get_args().filter(|arg| *arg != "--quiet").map(ToOwned::to_owned).collect();
        let mut command = Command::new(command.get_program());
        let mut child = command.args(arguments).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let told = format!("note: waiting for an answer from {url}");
        assert!(lines.any(|line| line == told), "{told}");
        signal(&child, name);
        let rest: Vec<String> = lines.collect();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
        assert!(rest.iter().any(|line| line.starts_with("interrupted: ")), "{rest:?}");
    }
}

/// Serves `bytes` at every path to whoever gives the password; heads of requests are noted.
fn guarded_server(bytes: Vec<u8>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heads = asked.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let head = head.join("\n");
            if head.is_empty() {
                continue;
            }
            let is_signed = head.to_lowercase().contains("authorization: basic ") && head.contains(SECRET);
            let (status, body) = if is_signed { ("200 OK", bytes.as_slice()) } else { ("403 No", &b""[..]) };
            let body = if head.starts_with("GET ") { body } else { b"" };
            heads.lock().unwrap().push(head);
            let length = if is_signed { bytes.len() } else { 0 };
            let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
            // A client that has seen enough is no failure.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    (address, asked)
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn f03_what_signs_a_table_url_is_kept_nowhere_and_the_run_goes_on_with_another_signature() {
    let job = Job::new();
    let (table, local, out) = (job.table("t.csv", 120), job.path("local"), job.path("out"));
    let filter = ["--prefix", "110"];
    finish(job.run(&table, &local).args(filter), 0);
    let (address, asked) = guarded_server(fs::read(&table).unwrap());
    let metrics = job.path("metrics.prom");
    let url = |more: &str| format!("hTTp://me:{SECRET}@{address}/meta/t.csv?{SECRET}{more}");
    let said = |command: &mut Command, code: i32| {
        let output = finish(command.args(filter).arg("--metrics").arg(&metrics), code);
        let text = format!("{}{}", stderr(&output), String::from_utf8_lossy(&output.stdout));
        assert!(!text.contains(SECRET), "{text}");
        text
    };
    // One shard first, so that the second run goes on.
    said(run(&job, &url(""), &out).args(["--shards", "0..1"]), 0);
    said(&mut run(&job, &url("&again"), &out), 0);
    assert_eq!(bytes_of(&out), bytes_of(&local));
    let noted = fs::read_to_string(out.join("_pairmill/runs/00000.toml")).unwrap();
    assert!(noted.contains(&format!("url_list = \"hTTp://{address}/meta/t.csv\"")), "{noted}");
    let again = said(&mut run(&job, &url("&third"), &out), 0);
    assert!(again.starts_with("nothing to do: all 3 shards"), "{again}");
    let other = said(run(&job, &url(""), &out).args(["--image-size", "48"]), 2);
    assert!(other.contains("pixels.image_size: 32 there, 48 here"), "{other}");
    for path in files_below(&out).into_iter().chain([metrics.clone()]) {
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes()), "{}", path.display());
    }
    assert!(asked.lock().unwrap().iter().any(|head| head.starts_with("GET /meta/t.csv?")));
    // Refusals and typing errors say no more.
    let table = url("");
    said(crate::harness::command().args(["run", &table]), 2);
    said(crate::harness::command().args(["run", "--shards", &table]), 2);
    for typed in [
        format!("http://me:{SECRET}@{address}/../t.csv?{SECRET}"),
        format!("http://me:{SECRET}@{address}/?{SECRET}"),
        format!("ftp://me:{SECRET}@{address}/t.csv?{SECRET}"),
        format!("http://me:wrong-{SECRET}@127.0.0.1:1/yfcc?{SECRET}"),
    ] {
        said(run(&job, &typed, &out).args(["--input-format", "yfcc"]), 2);
        if !typed.contains("wrong") {
            said(&mut run(&job, &typed, &out), 2);
        }
    }
}

/// Answers every request with `head` and, where it is no HEAD, with `body`.
fn odd_server(head: &'static str, body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let asked: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let is_get = asked.first().is_some_and(|line| line.starts_with("GET "));
            let answer =
                format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{}", if is_get { body } else { "" });
            // A client that has seen enough is no failure.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn f09_an_answer_that_stays_the_same_is_not_asked_for_again() {
    let job = Job::new();
    for (head, problem) in [
        ("302 Found\r\nContent-Length: 0\r\nLocation: /again", "redirects in a circle"),
        ("200 OK", "does not say how long the file is"),
        ("200 OK\r\nContent-Length: 2\r\nLast-Modified: yesterday", "a date that cannot be read"),
    ] {
        let url = format!("http://{}/t.csv", odd_server(head, "u\n"));
        let text = stderr(&finish(&mut run(&job, &url, &job.path("out")), 2));
        assert!(text.starts_with(&format!("error: {url}: ")) && text.contains(problem), "{text}");
    }
}
