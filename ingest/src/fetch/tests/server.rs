//! A raw HTTP/1.1 server: each test writes the very bytes it wants.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Ask {
    pub path: String,
    /// Lower-cased `name: value` lines.
    pub headers: Vec<String>,
    pub at: Instant,
}

impl Ask {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|h| h.strip_prefix(name)?.strip_prefix(": "))
    }
}

#[derive(Debug, Default)]
pub struct Seen {
    pub asks: Mutex<Vec<Ask>>,
    pub connections: AtomicUsize,
}

pub struct Server {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
}

impl Server {
    /// Serves on 127.0.0.1. `answer` writes the reply; an error or `Ok(false)` closes the connection.
    pub fn start(answer: impl Fn(&Ask, &mut TcpStream) -> io::Result<bool> + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer)
    }

    pub fn start_at(
        address: &str,
        answer: impl Fn(&Ask, &mut TcpStream) -> io::Result<bool> + Send + Sync + 'static,
    ) -> Self {
        Self::serve(address, move |ask, _, stream| answer(ask, stream))
    }

    /// `answer` also hears the number of the request on its connection, from 0.
    pub fn start_with_turns(
        answer: impl Fn(&Ask, usize, &mut TcpStream) -> io::Result<bool> + Send + Sync + 'static,
    ) -> Self {
        Self::serve("127.0.0.1:0", answer)
    }

    fn serve(
        address: &str,
        answer: impl Fn(&Ask, usize, &mut TcpStream) -> io::Result<bool> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, answer) = (Arc::new(Seen::default()), Arc::new(answer));
        let server = Self { address, seen: seen.clone() };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, answer, stream) = (seen.clone(), answer.clone(), stream.unwrap());
                seen.connections.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn num_asks(&self) -> usize {
        self.seen.asks.lock().unwrap().len()
    }

    pub fn asks(&self) -> Vec<Ask> {
        self.seen.asks.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Seen,
    answer: &(dyn Fn(&Ask, usize, &mut TcpStream) -> io::Result<bool> + Send + Sync),
) {
    // The replies are written in pieces on purpose.
    stream.set_nodelay(true).unwrap();
    for turn in 0.. {
        let Some(ask) = read_ask(&stream) else { return };
        seen.asks.lock().unwrap().push(ask.clone());
        let keep = answer(&ask, turn, &mut stream);
        if !keep.is_ok_and(|keep| keep) {
            return;
        }
    }
}

/// A path that begins with `/reset` has its headers left unread: closing such a connection resets it.
fn read_ask(stream: &TcpStream) -> Option<Ask> {
    let mut lines = BufReader::with_capacity(1, stream);
    let mut line = String::new();
    lines.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    while !path.starts_with("/reset") {
        let mut line = String::new();
        lines.read_line(&mut line).ok().filter(|n| *n > 0)?;
        match line.trim() {
            "" => break,
            header => headers.push(header.to_ascii_lowercase()),
        }
    }
    Some(Ask { path, headers, at: Instant::now() })
}

/// Writes a whole reply with its length, and keeps the connection.
pub fn reply(stream: &mut TcpStream, status: &str, headers: &[&str], body: &[u8]) -> io::Result<bool> {
    let mut head = format!("HTTP/1.1 {status}\r\n");
    for header in headers {
        head += &format!("{header}\r\n");
    }
    if !status.starts_with("204") && !status.starts_with("304") {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    stream.write_all(body)?;
    Ok(true)
}

pub fn ok(stream: &mut TcpStream, body: &[u8]) -> io::Result<bool> {
    reply(stream, "200 OK", &["Content-Type: image/jpeg"], body)
}

/// Sends `piece` every `every` until the client goes away.
pub fn drip(stream: &mut TcpStream, piece: &[u8], every: Duration) -> io::Result<bool> {
    loop {
        stream.write_all(piece)?;
        thread::sleep(every);
    }
}

/// Waits until the client closes.
pub fn hang(stream: &mut TcpStream) -> io::Result<bool> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest)?;
    Ok(false)
}

/// An address of this machine where nobody listens.
pub fn closed_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
