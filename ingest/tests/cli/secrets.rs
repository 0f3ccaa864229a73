//! What URLs and redirects carry stays out of whatever a run says: messages, stats, cards, metrics, log lines.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;

use pairmill_shards::table::{RowColumns, SidecarReader, message};

use crate::harness::{Job, command, finish, stderr};

/// In user name, path and query of every row.
const OURS: &str = "QZX7QZJ3XX";
/// In everything that the server sends.
const THEIRS: &str = "JQ5ZX9QJZ1";

/// Answers by the number in the path, each time with [`THEIRS`] in it; most with redirects that lead nowhere.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut asked = [0; 8_192];
                let len = stream.read(&mut asked).unwrap_or(0);
                let path = String::from_utf8_lossy(&asked[..len]).into_owned();
                let number: usize =
                    path.split('/').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
                let redirect = |to: String| {
                    format!("HTTP/1.1 302 {THEIRS}\r\nContent-Length: 0\r\nLocation: {to}\r\n\r\n")
                };
                let answer = match number % 5 {
                    0 => redirect(format!("ftp://{THEIRS}:{THEIRS}@host/{number}?{}", THEIRS.repeat(30_000))),
                    1 => redirect(format!("http://{THEIRS}@{address}/2/{number}?{THEIRS}")),
                    2 => format!("HTTP/1.1 403 {THEIRS}\r\nContent-Length: 0\r\n\r\n"),
                    3 => format!("{THEIRS} is not HTTP\r\n"),
                    _ => redirect(format!("http://10.0.0.1/{THEIRS}")),
                };
                // A client that has seen enough is no failure.
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    address
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

/// Six characters in a row of a secret: one more than `https` has.
#[track_caller]
fn assert_discreet(text: &[u8], place: &str) {
    for secret in [OURS, THEIRS] {
        for window in secret.as_bytes().windows(6) {
            assert!(!text.windows(6).any(|w| w == window), "{place}: {}", String::from_utf8_lossy(text));
        }
    }
}

#[test]
fn f03_a_run_tells_no_part_of_urls_and_redirects_and_can_be_resumed() {
    let job = Job::new();
    let address = server();
    let mut table = "URL,TEXT\n".to_owned();
    for i in 0..60 {
        table += &format!("http://{OURS}:{OURS}@{address}/{i}/{OURS}.jpg?{OURS},a picture\n");
    }
    for url in [format!("{OURS}/{OURS}.jpg"), format!("http://[{OURS}"), format!("{OURS}://a/")] {
        table += &format!("{url},a picture\n");
    }
    let (csv, out, metrics) = (job.path("t.csv"), job.path("out"), job.path("metrics.prom"));
    fs::write(&csv, table).unwrap();
    let config = job.path("run.toml");
    fs::write(&config, "[filter]\nduplicate_url = true\n[fetch]\nallowed_networks = [\"127.0.0.1\"]\n")
        .unwrap();
    let run = || {
        let mut command = command();
        command.arg("run").arg("--url-list").arg(&csv).arg("--output-folder").arg(&out);
        command.args(["--url-col", "URL", "--caption-col", "TEXT", "--number-sample-per-shard", "40"]);
        command.arg("--config").arg(&config).arg("--metrics").arg(&metrics);
        command
    };
    let said = finish(&mut run(), 0);
    assert_discreet(&said.stdout, "standard output");
    assert_discreet(&said.stderr, "standard error");
    assert_discreet(&fs::read(&metrics).unwrap(), "metrics");
    let mut num_rows = 0;
    for path in files_below(&out) {
        match path.extension().and_then(|ext| ext.to_str()) {
            Some("parquet") => {
                for row in SidecarReader::open(&path).unwrap().rows(RowColumns::All).unwrap() {
                    let row = row.unwrap();
                    num_rows += 1;
                    let message = row.error_message.unwrap();
                    assert!(message::is_listed(row.failure_class.unwrap(), &message), "{message}");
                    assert_discreet(message.as_bytes(), "message");
                    let end = row.final_url.unwrap_or_default();
                    assert!(!end.contains(['@', '?', '#']), "{end}");
                }
            }
            // Its samples have the row's own URL, which is the user's.
            Some("tar") => {}
            _ => assert_discreet(&fs::read(&path).unwrap(), &path.display().to_string()),
        }
        let stats = path.to_string_lossy().ends_with("_stats.json");
        assert!(!stats || fs::metadata(&path).unwrap().len() < 4_096, "{}", path.display());
    }
    assert_eq!(num_rows, 63);
    // The same command again has nothing to do, and does not stumble over what it wrote.
    assert_eq!(stderr(&finish(run().arg("--quiet"), 0)), "");
}
