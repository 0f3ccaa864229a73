//! Puts an answer on the socket, in good order or in the way its fault asks for.

use std::io::{self, IoSlice, Write as _};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::connection::Request;
use super::reply::{Reply, Wire, reason};

/// Pause between single bytes and lines of the slow faults.
const DRIP: Duration = Duration::from_secs(1);
/// Time for the first half of a body to reach the client before the connection is reset under it.
const BEFORE_RESET: Duration = Duration::from_millis(30);
/// Longest wait for a refused client to leave.
const LINGER: Duration = Duration::from_millis(500);
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// How the head says where the body ends.
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
    /// 204 and 304 have no body by definition.
    NoBody,
}

/// Sends `reply`; true where the connection can take another request. `head` is scratch space.
pub(super) async fn send(
    stream: &mut TcpStream,
    request: &Request,
    reply: &Reply,
    head: &mut Vec<u8>,
) -> io::Result<bool> {
    let length = Framing::Length(reply.body.len() as u64);
    let half = &reply.body[..reply.body.len() / 2];
    match reply.wire {
        Wire::Whole | Wire::Close => {
            let stays_open = request.keep_alive && reply.wire == Wire::Whole;
            let framing = if matches!(reply.status, 204 | 304) { Framing::NoBody } else { length };
            write_head(head, reply, &framing, stays_open);
            let body: &[u8] = if request.is_head { &[] } else { &reply.body };
            write_both(stream, head, body).await?;
            Ok(stays_open)
        }
        Wire::Chunked if request.is_http_11 && !request.is_head => {
            write_head(head, reply, &Framing::Chunked, request.keep_alive);
            stream.write_all(head).await?;
            for chunk in reply.body.chunks(1500) {
                write_chunk(stream, chunk).await?;
            }
            stream.write_all(b"0\r\n\r\n").await?;
            Ok(request.keep_alive)
        }
        Wire::Chunked => {
            write_head(head, reply, &length, false);
            let body: &[u8] = if request.is_head { &[] } else { &reply.body };
            write_both(stream, head, body).await?;
            Ok(false)
        }
        Wire::ShortChunked => {
            write_head(head, reply, &Framing::Chunked, true);
            stream.write_all(head).await?;
            write_chunk(stream, half).await?;
            Ok(false)
        }
        Wire::ShortBody => {
            write_head(head, reply, &length, true);
            write_both(stream, head, half).await?;
            Ok(false)
        }
        Wire::Reset => reset(stream),
        Wire::ResetMidBody => {
            write_head(head, reply, &length, true);
            write_both(stream, head, half).await?;
            tokio::time::sleep(BEFORE_RESET).await;
            reset(stream)
        }
        Wire::CloseAtOnce => Ok(false),
        Wire::Silence => {
            until_client_leaves(stream).await?;
            Ok(false)
        }
        Wire::DripHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            loop {
                stream.write_all(b"X-Wait: yes\r\n").await?;
                tokio::time::sleep(DRIP).await;
            }
        }
        Wire::DripBody => {
            write_head(head, reply, &length, false);
            stream.write_all(head).await?;
            for byte in reply.body.chunks(1) {
                stream.write_all(byte).await?;
                tokio::time::sleep(DRIP).await;
            }
            Ok(false)
        }
        Wire::EndlessChunked => {
            write_head(head, reply, &Framing::Chunked, true);
            stream.write_all(head).await?;
            write_chunk(stream, &reply.body).await?;
            loop {
                write_chunk(stream, &ZEROS).await?;
            }
        }
        Wire::Endless(promised) => {
            let framing = promised.map_or(Framing::UntilClose, Framing::Length);
            write_head(head, reply, &framing, false);
            write_both(stream, head, &reply.body).await?;
            loop {
                stream.write_all(&ZEROS).await?;
            }
        }
        Wire::NotHttp => {
            stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await?;
            Ok(false)
        }
    }
}

/// Sends a whole reply to whatever was no proper request, and is done with the connection.
pub(super) async fn send_simple(stream: &mut TcpStream, reply: &Reply, head: &mut Vec<u8>) -> io::Result<()> {
    write_head(head, reply, &Framing::Length(reply.body.len() as u64), false);
    write_both(stream, head, &reply.body).await?;
    stream.shutdown().await?;
    // Closing with input unread would reset the connection and take the answer with it.
    let drained = tokio::time::timeout(LINGER, until_client_leaves(stream)).await;
    drained.unwrap_or(Ok(()))
}

fn write_head(head: &mut Vec<u8>, reply: &Reply, framing: &Framing, stays_open: bool) {
    head.clear();
    // Writing to a Vec cannot fail.
    let _ = write!(head, "HTTP/1.1 {} {}\r\nServer: pairmill-world\r\n", reply.status, reason(reply.status));
    if let Some(content_type) = reply.content_type {
        let _ = write!(head, "Content-Type: {content_type}\r\n");
    }
    let _ = match framing {
        Framing::Length(length) => write!(head, "Content-Length: {length}\r\n"),
        Framing::Chunked => write!(head, "Transfer-Encoding: chunked\r\n"),
        Framing::UntilClose | Framing::NoBody => Ok(()),
    };
    for (name, value) in &reply.headers {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(if stays_open { b"\r\n" } else { b"Connection: close\r\n\r\n" });
}

/// Head and body in one system call where the socket takes them.
async fn write_both(stream: &mut TcpStream, head: &[u8], body: &[u8]) -> io::Result<()> {
    if body.is_empty() {
        return stream.write_all(head).await;
    }
    let written = stream.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]).await?;
    if written < head.len() {
        stream.write_all(&head[written..]).await?;
        return stream.write_all(body).await;
    }
    stream.write_all(&body[written - head.len()..]).await
}

async fn write_chunk(stream: &mut TcpStream, chunk: &[u8]) -> io::Result<()> {
    let size = format!("{:x}\r\n", chunk.len());
    write_both(stream, size.as_bytes(), chunk).await?;
    stream.write_all(b"\r\n").await
}

/// Makes the close that follows a reset.
fn reset(stream: &TcpStream) -> io::Result<bool> {
    stream.set_zero_linger()?;
    Ok(false)
}

async fn until_client_leaves(stream: &mut TcpStream) -> io::Result<()> {
    let mut scratch = [0; 256];
    while stream.read(&mut scratch).await? > 0 {}
    Ok(())
}
