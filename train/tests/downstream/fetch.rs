//! Downloads from a server of this machine that answers as servers do: ranges, resets in the middle, other files.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use md5::{Digest, Md5};
use pairmill_train::downstream::catalogue::RemoteFile;
use pairmill_train::downstream::fetch::{Fetched, Fetcher};

/// Serves one body; each request is answered by the next of these, the last for ever.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    /// All of it, or the range asked for.
    Whole,
    /// So many bytes of what was asked for, then the connection is reset.
    Reset(usize),
    /// 503.
    Busy,
    /// 404.
    Gone,
    /// All of it, whatever was asked for.
    NoRanges,
}

pub struct Server {
    pub url: String,
    /// `Range` header of every request.
    pub asked: Arc<Mutex<Vec<Option<String>>>>,
    pub etag: Arc<Mutex<Option<String>>>,
}

impl Server {
    pub fn start(body: Vec<u8>, answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let etag = Arc::new(Mutex::new(Some("\"v1\"".to_owned())));
        let (log, version) = (asked.clone(), etag.clone());
        let next = AtomicUsize::new(0);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let answer = answers[next.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1)];
                let version = version.lock().unwrap().clone();
                let _ = serve(stream.unwrap(), &body, answer, version.as_deref(), &log);
            }
        });
        Self { url, asked, etag }
    }
}

fn serve(
    mut stream: TcpStream,
    body: &[u8],
    answer: Answer,
    etag: Option<&str>,
    log: &Mutex<Vec<Option<String>>>,
) -> std::io::Result<()> {
    let (mut range, mut if_range) = (None, None);
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "range" => range = Some(value.to_owned()),
                "if-range" => if_range = Some(value.to_owned()),
                _ => {}
            }
        }
    }
    log.lock().unwrap().push(range.clone());
    match answer {
        Answer::Busy | Answer::Gone => {
            let status = if answer == Answer::Busy { "503 Service Unavailable" } else { "404 Not Found" };
            return write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
        _ => {}
    }
    let same = if_range.as_deref() == etag;
    let start = range
        .filter(|_| same && answer != Answer::NoRanges)
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok())
        .unwrap_or(0);
    let rest = &body[start.min(body.len())..];
    let status = if start > 0 { "206 Partial Content" } else { "200 OK" };
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n", rest.len())?;
    if let Some(etag) = etag {
        write!(stream, "etag: {etag}\r\n")?;
    }
    if start > 0 {
        write!(stream, "content-range: bytes {start}-{}/{}\r\n", body.len() - 1, body.len())?;
    }
    write!(stream, "\r\n")?;
    match answer {
        Answer::Reset(bytes) => stream.write_all(&rest[..bytes.min(rest.len())]),
        _ => stream.write_all(rest),
    }
}

fn body() -> Vec<u8> {
    (0..300_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn fetcher() -> Fetcher {
    Fetcher::with_pause(Duration::from_millis(1))
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_reset_transfer_goes_on_where_it_broke() {
    let body = body();
    let server = Server::start(
        body.clone(),
        vec![Answer::Busy, Answer::Reset(500_000), Answer::Reset(200_000), Answer::Whole],
    );
    let folder = tempfile::tempdir().unwrap();
    let md5 = md5(&body);
    let file =
        RemoteFile { path: "a/set.zip", url: &server.url, bytes: None, md5: Some(&md5), unpacked: None };
    let mut last = (0, None);
    let fetched = fetcher().fetch(&file, folder.path(), &mut |at, all| last = (at, all)).unwrap();
    assert_eq!(std::fs::read(folder.path().join("a/set.zip")).unwrap(), body);
    assert_eq!(names(&folder.path().join("a")), ["set.zip"]);
    assert_eq!(fetched, Fetched::Bytes(body.len() as u64), "no byte comes twice");
    assert_eq!(last, (body.len() as u64, Some(body.len() as u64)));
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked, [None, None, Some("bytes=500000-".into()), Some("bytes=700000-".into())]);
    // It is there: nothing more is asked.
    assert_eq!(fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap(), Fetched::There);
    assert_eq!(server.asked.lock().unwrap().len(), 4);
}

#[test]
fn another_call_goes_on_and_a_changed_file_begins_anew() {
    let body = body();
    let resets = vec![Answer::Reset(400_000), Answer::Gone, Answer::Whole];
    let server = Server::start(body.clone(), resets);
    let folder = tempfile::tempdir().unwrap();
    let bytes = Some(body.len() as u64);
    let file = RemoteFile { path: "set.zip", url: &server.url, bytes, md5: None, unpacked: None };
    let error = fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("404 Not Found") && !error.contains('\n'), "{error}");
    assert_eq!(names(folder.path()), [".set.zip.part", ".set.zip.part.version"]);
    *server.etag.lock().unwrap() = Some("\"v2\"".to_owned());
    let fetched = fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap();
    assert_eq!(fetched, Fetched::Bytes(body.len() as u64), "If-Range says it is another file: all of it");
    assert_eq!(names(folder.path()), ["set.zip"]);
    assert_eq!(std::fs::read(folder.path().join("set.zip")).unwrap(), body);

    // The same file still: only the rest.
    let server = Server::start(body.clone(), vec![Answer::Reset(400_000), Answer::Gone, Answer::Whole]);
    let file = RemoteFile { url: &server.url, path: "b.zip", ..file };
    fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap_err();
    let fetched = fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap();
    assert_eq!(fetched, Fetched::Bytes(body.len() as u64 - 400_000));
    // Nor does a server matter that knows no ranges.
    let server = Server::start(body.clone(), vec![Answer::Reset(400_000), Answer::NoRanges]);
    let file = RemoteFile { url: &server.url, path: "c.zip", ..file };
    fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap();
    assert_eq!(std::fs::read(folder.path().join("c.zip")).unwrap(), body);
}

#[test]
fn another_file_is_refused_and_nothing_is_left() {
    let body = body();
    let server = Server::start(body.clone(), vec![Answer::Whole]);
    let folder = tempfile::tempdir().unwrap();
    let wrong = "0123456789abcdef0123456789abcdef";
    let file =
        RemoteFile { path: "set.zip", url: &server.url, bytes: None, md5: Some(wrong), unpacked: None };
    let error = fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap_err().to_string();
    let found = md5(&body);
    assert!(error.contains("set.zip") && error.contains(wrong) && error.contains(&found), "{error}");
    assert!(names(folder.path()).is_empty());
    // One of another length, where that is all that is known.
    let file = RemoteFile { bytes: Some(5), md5: None, ..file };
    let error = fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("1200000 bytes in place of 5"), "{error}");
    // One that lies there already.
    std::fs::write(folder.path().join("set.zip"), "other").unwrap();
    let file = RemoteFile { md5: Some(wrong), ..file };
    let error = fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("it is there, but its MD5 is") && error.contains("remove it"), "{error}");
}

#[test]
fn a_server_that_stays_away_is_given_up() {
    let server = Server::start(Vec::new(), vec![Answer::Busy]);
    let folder = tempfile::tempdir().unwrap();
    let file = RemoteFile { path: "set.zip", url: &server.url, bytes: None, md5: None, unpacked: None };
    let error = fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap_err().to_string();
    let asked = server.asked.lock().unwrap().len();
    assert!(asked >= 5, "{asked}");
    let all = format!("503 Service Unavailable, {asked} times in a row; the same command goes on");
    assert!(error.contains(&all), "{error}");
}
