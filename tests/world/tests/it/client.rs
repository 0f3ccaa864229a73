//! A raw HTTP client: sees the bytes, hides nothing, follows nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use pairmill_world::{Server, ServerConfig};
use pairmill_world::{ServerHandle, WorldConfig};

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Whole, as its own framing says.
    Whole,
    /// The connection was closed in good order.
    Closed,
    /// The connection was reset.
    Reset,
    /// Nothing came for longer than the patience.
    Silent,
    /// More came than asked for.
    Enough,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: Vec<u8>,
    pub body: Vec<u8>,
    pub end: End,
}

impl Answer {
    /// Values of a header, lower-case name.
    pub fn headers(&self, name: &str) -> Vec<String> {
        String::from_utf8_lossy(&self.head)
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .collect()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }
}

pub struct Client {
    stream: TcpStream,
    pending: Vec<u8>,
    max_body: usize,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { stream, pending: Vec::new(), max_body: 4 << 20 }
    }

    /// Gives up when nothing has come for this long.
    pub fn patience(self, patience: Duration) -> Self {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        self
    }

    pub fn send(&mut self, request: &str) {
        self.stream.write_all(request.as_bytes()).unwrap();
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: world\r\nUser-Agent: raw/1\r\n\r\n"));
        self.answer(false)
    }

    pub fn head(&mut self, path: &str) -> Answer {
        self.send(&format!("HEAD {path} HTTP/1.1\r\nHost: world\r\n\r\n"));
        self.answer(true)
    }

    fn more(&mut self) -> Result<(), End> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(End::Closed),
            Ok(n) => {
                self.pending.extend_from_slice(&buffer[..n]);
                Ok(())
            }
            Err(e) if e.kind() == ErrorKind::ConnectionReset => Err(End::Reset),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Err(End::Silent),
            Err(e) => panic!("{e}"),
        }
    }

    /// Reads an answer; status 0 where not even a head came.
    pub fn answer(&mut self, no_body: bool) -> Answer {
        let head_len = loop {
            if let Some(at) = self.pending.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if let Err(end) = self.more() {
                let head = std::mem::take(&mut self.pending);
                return Answer { status: 0, head, body: Vec::new(), end };
            }
        };
        let head: Vec<u8> = self.pending.drain(..head_len).collect();
        let status = String::from_utf8_lossy(&head[9..12]).parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new(), end: End::Whole };
        if no_body || matches!(status, 204 | 304) {
            return answer;
        }
        let length = answer.header("content-length").map(|l| l.parse::<usize>().unwrap());
        if answer.header("transfer-encoding").is_some() {
            (answer.body, answer.end) = self.chunks();
        } else {
            let want = length.unwrap_or(usize::MAX);
            while self.pending.len() < want && answer.end == End::Whole {
                if self.pending.len() > self.max_body {
                    answer.end = End::Enough;
                } else if let Err(end) = self.more() {
                    answer.end = end;
                }
            }
            let have = self.pending.len().min(want);
            answer.body = self.pending.drain(..have).collect();
        }
        answer
    }

    fn chunks(&mut self) -> (Vec<u8>, End) {
        let mut body = Vec::new();
        loop {
            if let Some(at) = self.pending.windows(2).position(|w| w == b"\r\n") {
                let size =
                    usize::from_str_radix(std::str::from_utf8(&self.pending[..at]).unwrap(), 16).unwrap();
                let chunk_end = at + 2 + size;
                if self.pending.len() >= chunk_end + 2 {
                    body.extend_from_slice(&self.pending[at + 2..chunk_end]);
                    self.pending.drain(..chunk_end + 2);
                    if size == 0 {
                        return (body, End::Whole);
                    }
                    if body.len() > self.max_body {
                        return (body, End::Enough);
                    }
                    continue;
                }
            }
            if let Err(end) = self.more() {
                return (body, end);
            }
        }
    }
}

/// A world of small pictures on a free port.
pub fn small_world() -> ServerHandle {
    let world = WorldConfig { seed: 3, sizes: pairmill_world::SizeClass::Small, distinct: None };
    Server::start(ServerConfig { world, ..ServerConfig::default() }).unwrap()
}
