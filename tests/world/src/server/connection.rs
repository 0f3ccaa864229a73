//! One connection: read a request, route it, send the answer, again until either side has had enough.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::reply::{Reply, Wire};
use super::{HostBehaviour, State, route, wire};

/// Longest request head, bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// What a request asks.
pub(super) struct Request {
    /// Path and query.
    pub target: String,
    pub user_agent: Option<String>,
    pub is_head: bool,
    /// Whether the client can take another answer on this connection.
    pub keep_alive: bool,
    /// Whether the client speaks HTTP/1.1, and so understands chunks.
    pub is_http_11: bool,
}

enum Read {
    Request(Request),
    /// Not a request this server takes; answer with this status and close.
    Refused(u16),
    /// The client is done.
    Closed,
}

pub(super) async fn serve(mut stream: TcpStream, host: usize, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::with_capacity(2048);
    let mut head = Vec::with_capacity(512);
    loop {
        let request = match read_request(&mut stream, &mut input).await? {
            Read::Request(request) => request,
            Read::Refused(status) => {
                return wire::send_simple(&mut stream, &Reply::page(status), &mut head).await;
            }
            Read::Closed => return Ok(()),
        };
        let in_flight = state.stats.enter(host, &request.target, request.user_agent.as_deref());
        if !state.latency.is_zero() {
            tokio::time::sleep(state.latency).await;
        }
        let reply = match state.hosts[host] {
            HostBehaviour::Down => Reply::bare(200).over(Wire::Reset),
            HostBehaviour::Unavailable => Reply::page(503),
            HostBehaviour::Slow { latency_ms } => {
                tokio::time::sleep(std::time::Duration::from_millis(latency_ms)).await;
                route::route(&request.target, host, state).await
            }
            HostBehaviour::Normal => route::route(&request.target, host, state).await,
        };
        let stays_open = wire::send(&mut stream, &request, &reply, &mut head).await?;
        state.stats.sent(reply.body.len());
        drop(in_flight);
        if !stays_open {
            return Ok(());
        }
    }
}

async fn read_request(stream: &mut TcpStream, input: &mut Vec<u8>) -> io::Result<Read> {
    loop {
        if !input.is_empty() {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut parsed = httparse::Request::new(&mut headers);
            match parsed.parse(input) {
                Ok(httparse::Status::Complete(len)) if len > MAX_HEAD_BYTES => return Ok(Read::Refused(431)),
                Ok(httparse::Status::Complete(len)) => {
                    let read = understand(&parsed);
                    input.drain(..len);
                    return Ok(read);
                }
                Ok(httparse::Status::Partial) if input.len() > MAX_HEAD_BYTES => {
                    return Ok(Read::Refused(431));
                }
                Ok(httparse::Status::Partial) => {}
                Err(httparse::Error::TooManyHeaders) => return Ok(Read::Refused(431)),
                Err(_) => return Ok(Read::Refused(400)),
            }
        }
        if stream.read_buf(input).await? == 0 {
            return Ok(Read::Closed);
        }
    }
}

fn understand(parsed: &httparse::Request<'_, '_>) -> Read {
    let is_head = match parsed.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Read::Refused(405),
    };
    let header = |name: &str| {
        let found = parsed.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(found.value).into_owned())
    };
    let is_http_11 = parsed.version == Some(1);
    let connection = header("connection").unwrap_or_default().to_ascii_lowercase();
    let keep_alive = if is_http_11 { connection != "close" } else { connection == "keep-alive" };
    let target = parsed.path.unwrap_or("/");
    // A proxy's absolute form names the host again.
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target,
    };
    Read::Request(Request {
        target: target.to_owned(),
        user_agent: header("user-agent"),
        is_head,
        keep_alive,
        is_http_11,
    })
}
