//! Answers that hyper refuses to read and browsers and urllib take: a `Content-Length` that is empty, negative or no
//! number, HTTP/1.2, a NUL in a header, chunks under HTTP/1.0, hundreds of headers. hyper has no setting for these, so
//! the row is asked once more, on a connection of its own, and the head of the answer is repaired on its way to hyper:
//! what matters to us is kept in the form hyper wants, the rest is left out. Everything after the head goes through
//! untouched. Few servers need this, and each pays with a second request.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use reqwest::header::{ACCEPT, CONNECTION, HOST, HeaderValue, USER_AGENT};
use reqwest::{Response, Url};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::FetchError;
use super::client;
use super::config::FetchConfig;
use super::resolver::CachingResolver;
use crate::address::percent_encode;

/// Longest head of an answer; hyper's own limit is near.
const MAX_HEAD_BYTES: usize = 400 << 10;
/// Read at once while the head is incomplete.
const READ_BYTES: usize = 4 << 10;

type AnyError = Box<dyn Error + Send + Sync>;

/// Asks again where the client could not read the answer.
pub(super) struct LenientClient {
    resolver: CachingResolver,
    tls: TlsConnector,
    user_agent: HeaderValue,
    connect_timeout: Duration,
}

impl LenientClient {
    pub fn new(config: &FetchConfig, resolver: CachingResolver) -> Result<Self, FetchError> {
        let mut tls = client::tls(config.ignore_tls_errors)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            resolver,
            tls: TlsConnector::from(Arc::new(tls)),
            user_agent: client::user_agent(config)?,
            connect_timeout: Duration::from_millis(config.connect_timeout_ms.max(1)),
        })
    }

    /// The answer to a `GET` of `url`, whose address the caller has checked if it is a literal one.
    pub async fn get(&self, url: &Url) -> Result<Response, AnyError> {
        let tcp = tokio::time::timeout(self.connect_timeout, self.connect(url)).await??;
        if url.scheme() == "https" {
            let name = ServerName::try_from(bare_host(url)?.to_owned())?;
            let tls = tokio::time::timeout(self.connect_timeout, self.tls.connect(name, tcp)).await??;
            self.ask(url, tls).await
        } else {
            self.ask(url, tcp).await
        }
    }

    /// Only to addresses that the resolver gives out.
    async fn connect(&self, url: &Url) -> Result<TcpStream, AnyError> {
        let port = url.port_or_known_default().ok_or("no port")?;
        let host = bare_host(url)?;
        let addresses = match host.parse() {
            Ok(address) => vec![address],
            Err(_) => self.resolver.lookup(host).await?,
        };
        let mut last: AnyError = "no address".into();
        for address in addresses {
            match TcpStream::connect((address, port)).await {
                Ok(tcp) => return Ok(tcp),
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    async fn ask<T>(&self, url: &Url, stream: T) -> Result<Response, AnyError>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(RepairedHead::new(stream))).await?;
        // Ends with the body, or when nobody wants it any more.
        tokio::spawn(connection);
        let authority = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let request = hyper::Request::get(format!("{}{query}", url.path()))
            .header(HOST, authority)
            .header(USER_AGENT, self.user_agent.clone())
            .header(ACCEPT, "*/*")
            .header(CONNECTION, "close")
            .body(String::new())?;
        let answer = sender.send_request(request).await?;
        Ok(answer.map(reqwest::Body::wrap).into())
    }
}

/// An IPv6 address without its brackets.
fn bare_host(url: &Url) -> Result<&str, AnyError> {
    let host = url.host_str().ok_or("no host")?;
    Ok(host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host))
}

/// A connection on which one answer comes, with the head of that answer repaired.
struct RepairedHead<T> {
    stream: T,
    /// What came of the head so far.
    head: Vec<u8>,
    /// What is to be read next: the repaired head and what came with it.
    ready: io::Cursor<Vec<u8>>,
    /// The head is through.
    is_through: bool,
}

impl<T> RepairedHead<T> {
    fn new(stream: T) -> Self {
        Self { stream, head: Vec::new(), ready: io::Cursor::default(), is_through: false }
    }

    /// Looks at what came, with `more` of it.
    fn take_in(&mut self, more: &[u8]) -> io::Result<()> {
        self.head.extend_from_slice(more);
        loop {
            match next_head(&self.head) {
                Head::Incomplete if more.is_empty() || self.head.len() > MAX_HEAD_BYTES => {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                Head::Incomplete => return Ok(()),
                Head::NotHttp => return Err(io::ErrorKind::InvalidData.into()),
                Head::Interim(len) => {
                    self.head.drain(..len);
                }
                Head::Final(len, mut text) => {
                    text.extend_from_slice(&self.head[len..]);
                    self.head = Vec::new();
                    self.ready = io::Cursor::new(text);
                    self.is_through = true;
                    return Ok(());
                }
            }
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for RepairedHead<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while !this.is_through {
            let mut chunk = [0; READ_BYTES];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut chunk))?;
            this.take_in(chunk.filled())?;
        }
        let (position, text) = (this.ready.position() as usize, this.ready.get_ref());
        let left = text.get(position..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, into);
        }
        let len = left.len().min(into.remaining());
        into.put_slice(&left[..len]);
        this.ready.set_position((position + len) as u64);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for RepairedHead<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
enum Head {
    Incomplete,
    NotHttp,
    /// This many bytes of `100 Continue` or the like, after which the answer comes.
    Interim(usize),
    /// This many bytes, and the same in hyper's form.
    Final(usize, Vec<u8>),
}

/// Reads the head that `bytes` begin with.
fn next_head(bytes: &[u8]) -> Head {
    // Some servers end the body before with an empty line.
    let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let start = &bytes[blank..];
    let known = start.len().min(b"HTTP/".len());
    if !start[..known].eq_ignore_ascii_case(&b"HTTP/"[..known]) {
        return Head::NotHttp;
    }
    let Some(len) = head_len(start) else { return Head::Incomplete };
    let mut lines = start[..len].split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end());
    let Some(status) = lines.next().and_then(status_of) else { return Head::NotHttp };
    if (100..200).contains(&status) && status != 101 {
        return Head::Interim(blank + len);
    }
    let mut text = format!("HTTP/1.1 {status} \r\n").into_bytes();
    for (name, value) in Headers::read(lines).repaired() {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(&value);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"Connection: close\r\n\r\n");
    Head::Final(blank + len, text)
}

/// Up to and with the empty line.
fn head_len(bytes: &[u8]) -> Option<usize> {
    let mut line_at = 0;
    while let Some(end) = memchr::memchr(b'\n', &bytes[line_at..]) {
        let line = &bytes[line_at..line_at + end];
        line_at += end + 1;
        if matches!(line, [] | [b'\r']) {
            return Some(line_at);
        }
    }
    None
}

/// The status of `HTTP/1.2 404 Not Found`: three digits after the version, whatever that is.
fn status_of(line: &[u8]) -> Option<u16> {
    let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let (_version, status) = (words.next()?, words.next()?);
    let digits: &[u8; 3] = status.try_into().ok()?;
    let is_status = (b'1'..=b'9').contains(&digits[0]) && digits.iter().all(u8::is_ascii_digit);
    is_status.then(|| digits.iter().fold(0, |n, digit| n * 10 + u16::from(digit - b'0')))
}

/// The headers we use, in the order they came.
struct Headers(Vec<(&'static str, Vec<u8>)>);

impl Headers {
    const USED: [&'static str; 6] =
        ["content-length", "transfer-encoding", "content-type", "location", "x-robots-tag", "retry-after"];

    /// A line that begins with a blank goes on with the one before; one without a colon, or with another name, is
    /// passed over.
    fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut headers: Vec<(&'static str, Vec<u8>)> = Vec::new();
        // Whether the last line was one of ours, which the next may go on with.
        let mut is_ours = false;
        for line in lines {
            if matches!(line, [b' ' | b'\t', ..]) {
                if let Some((_, value)) = headers.last_mut().filter(|_| is_ours) {
                    value.push(b' ');
                    value.extend_from_slice(line.trim_ascii());
                }
                continue;
            }
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
            let used = Self::USED.into_iter().find(|used| name.eq_ignore_ascii_case(used.as_bytes()));
            is_ours = used.is_some();
            headers.extend(used.map(|used| (used, value.to_vec())));
        }
        Self(headers)
    }

    /// What hyper takes: chunks or one length, no control characters.
    fn repaired(self) -> Vec<(&'static str, Vec<u8>)> {
        let last_coding = |value: &[u8]| value.rsplit(|byte| *byte == b',').next().map(<[u8]>::to_vec);
        let mut codings = self.0.iter().filter(|(name, _)| *name == "transfer-encoding");
        let coding = codings.next_back().and_then(|(_, value)| last_coding(value)).unwrap_or_default();
        let is_chunked = coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
        // The first one decides, as in urllib; one that cannot be read is none, and the body ends with the connection.
        let length =
            self.0.iter().find(|(name, _)| *name == "content-length").map(|(_, value)| value.clone());
        let length = length.filter(|value| is_length(value) && !is_chunked);
        let mut headers: Vec<(&'static str, Vec<u8>)> = Vec::new();
        headers.extend(is_chunked.then(|| ("transfer-encoding", b"chunked".to_vec())));
        headers.extend(length.map(|value| ("content-length", value)));
        for (name, value) in self.0 {
            match name {
                "content-length" | "transfer-encoding" => {}
                "location" => headers.push((name, clean(&value, |byte| percent_encode(byte).collect()))),
                _ => headers.push((name, clean(&value, |_| " ".to_owned()))),
            }
        }
        headers
    }
}

/// Digits that u64 holds for certain.
fn is_length(value: &[u8]) -> bool {
    (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit)
}

/// `value` with each control character replaced.
fn clean(value: &[u8], replacement: impl Fn(u8) -> String) -> Vec<u8> {
    let mut cleaned = Vec::with_capacity(value.len());
    for &byte in value {
        match byte.is_ascii_control() && byte != b'\t' {
            true => cleaned.extend_from_slice(replacement(byte).as_bytes()),
            false => cleaned.push(byte),
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repaired(head: &[u8]) -> String {
        match next_head(head) {
            Head::Final(len, text) => {
                assert_eq!(len, head.len());
                String::from_utf8(text).unwrap().replace("\r\n", "|")
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn f24_heads_are_repaired_as_urllib_reads_them() {
        for (head, expected) in [
            (&b"HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\n"[..], "HTTP/1.1 200 |content-length: 5|"),
            (b"http/1.0 404\n\n", "HTTP/1.1 404 |"),
            (b"\r\nHTTP/1.1  200  OK\r\nContent-Length:\r\n\r\n", "HTTP/1.1 200 |"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 |"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0x10\r\n\r\n", "HTTP/1.1 200 |"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\ncontent-length: 9\r\n\r\n",
                "HTTP/1.1 200 |content-length: 7|",
            ),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "HTTP/1.1 200 |"),
            (
                b"HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\nContent-Length: 3\r\n\r\n",
                "HTTP/1.1 200 |transfer-encoding: chunked|",
            ),
            (b"HTTP/1.1 200 OK\r\nX-A: \0\r\nContent-Type: a\0b\r\n\r\n", "HTTP/1.1 200 |content-type: a b|"),
            (b"HTTP/1.1 302 F\r\nLocation: /a\0b\r\n\r\n", "HTTP/1.1 302 |location: /a%00b|"),
            (
                b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Type: a\r\n\tb\r\n\r\n",
                "HTTP/1.1 200 |content-type: a b|",
            ),
            (
                b"HTTP/1.1 200 OK\r\nno colon\r\n: no name\r\nContent-Type : a\r\n\r\n",
                "HTTP/1.1 200 |content-type: a|",
            ),
        ] {
            assert_eq!(repaired(head), format!("{expected}Connection: close||"), "{}", head.escape_ascii());
        }
    }

    #[test]
    fn f24_what_is_not_http_is_seen_at_once() {
        for bytes in [
            &b"SSH-2.0"[..],
            b"<html>",
            b"HTTPS",
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 20\n\n",
            b"HTTP/1.1 OK 200\n\n",
            b"HTTP/1.1 0200 OK\n\n",
        ] {
            assert_eq!(next_head(bytes), Head::NotHttp, "{}", bytes.escape_ascii());
        }
        for bytes in [&b""[..], b"\r\n", b"HT", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n"] {
            assert_eq!(next_head(bytes), Head::Incomplete, "{}", bytes.escape_ascii());
        }
        assert_eq!(next_head(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n"), Head::Interim(28));
    }

    proptest! {
        #[test]
        fn f24_any_bytes_become_a_head_that_hyper_can_read(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [b"HTTP/1.7 200 OK\r\nLocation: ", &tail[..], b"\r\n\r\n"].concat();
            let Head::Final(len, text) = next_head(&bytes) else { panic!("{}", bytes.escape_ascii()) };
            prop_assert!(len <= bytes.len());
            prop_assert!(text.iter().all(|b| !b.is_ascii_control() || matches!(b, b'\r' | b'\n' | b'\t')));
            let mut headers = [httparse::EMPTY_HEADER; 300];
            let mut response = httparse::Response::new(&mut headers);
            prop_assert_eq!(response.parse(&text), Ok(httparse::Status::Complete(text.len())));
        }
    }
}
