//! A server of this machine that answers as servers do: ranges, resets in the middle, other files.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

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
