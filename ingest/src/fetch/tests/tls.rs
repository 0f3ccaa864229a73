//! TLS: trust, and what is no TLS at all. The key in `self_signed.key.pem` guards nothing; it was made with
//! `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500` for these tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

type TlsStream = StreamOwned<ServerConnection, TcpStream>;

/// Serves every connection on a thread of its own, with a certificate nobody signed. Offers `protocol` by ALPN.
fn tls_server(
    protocol: &str,
    serve: impl Fn(TlsStream) -> io::Result<()> + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("self_signed.crt.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("self_signed.key.pem")).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let (config, serve) = (Arc::new(config), Arc::new(serve));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            let connection = ServerConnection::new(config.clone()).unwrap();
            let (stream, serve) = (StreamOwned::new(connection, stream.unwrap()), serve.clone());
            // The client may hang up, over the certificate or when it is done.
            thread::spawn(move || drop(serve(stream)));
        }
    });
    (address, connections)
}

/// HTTP/1.1, one answer a connection.
fn answer_once(stream: TlsStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let stream = reader.get_mut();
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\npixels")?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// HTTP/2 (RFC 9113), as much of it as answers `GET` with status 200 and six bytes.
fn answer_http2(mut stream: TlsStream) -> io::Result<()> {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const ACK_OR_END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    let frame = |kind: u8, flags: u8, id: [u8; 4], payload: &[u8]| {
        [&[0, 0, payload.len() as u8, kind, flags], &id[..], payload].concat()
    };
    stream.read_exact(&mut [0; 24])?;
    stream.write_all(&frame(SETTINGS, 0, [0; 4], &[]))?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload)?;
        match kind {
            SETTINGS if flags & ACK_OR_END_STREAM == 0 => {
                stream.write_all(&frame(SETTINGS, ACK_OR_END_STREAM, [0; 4], &[]))?;
            }
            HEADERS => {
                // 0x88 is `:status 200` in the static table (RFC 7541, appendix A).
                stream.write_all(&frame(HEADERS, END_HEADERS, id, &[0x88]))?;
                stream.write_all(&frame(DATA, ACK_OR_END_STREAM, id, b"pixels"))?;
            }
            _ => {}
        }
    }
}

#[test]
fn http2_is_spoken_where_offered_over_few_connections() {
    let (address, connections) = tls_server("h2", answer_http2);
    let urls: Vec<String> = (0..40).map(|i| format!("https://localhost:{}/{i}", address.port())).collect();
    let trusting = FetchConfig { ignore_tls_errors: true, per_host: 4, ..config() };
    for row in fetch_all(trusting, &urls) {
        assert_eq!(row.result.map(|body| body.bytes).unwrap(), b"pixels");
    }
    // The first four rows may each have begun one before the first turned out to be enough.
    assert!(connections.load(Ordering::SeqCst) < 10, "{connections:?}");
}

#[test]
fn an_untrusted_certificate_is_refused_unless_told_otherwise() {
    let (address, _) = tls_server("http/1.1", answer_once);
    let url = format!("https://localhost:{}/", address.port());
    let row = fetch_one(FetchConfig { retries: 2, ..config() }, &url);
    assert_eq!((class(&row), row.attempts), (Some(FailureClass::Tls), 1));
    let wanted = "<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: ";
    assert!(message(&row).starts_with(wanted), "{}", message(&row));
    let row = fetch_one(FetchConfig { ignore_tls_errors: true, ..config() }, &url);
    assert_eq!(row.result.unwrap().bytes, b"pixels");
}

#[test]
fn plain_http_where_tls_is_expected_is_a_tls_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // The client's greeting, so that closing does not reset the connection.
        assert!(stream.read(&mut [0; 4_096]).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let row = fetch_one(config(), format!("https://{address}/"));
    assert_eq!(class(&row), Some(FailureClass::Tls), "{}", message(&row));
}
