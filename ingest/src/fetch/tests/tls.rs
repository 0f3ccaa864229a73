//! TLS: trust, and what is no TLS at all. The key in `self_signed.key.pem` guards nothing; it was made with
//! `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500` for these tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// Answers every connection's first request over TLS with a certificate nobody signed.
fn tls_server() -> SocketAddr {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("self_signed.crt.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("self_signed.key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut reader = BufReader::new(StreamOwned::new(connection, stream.unwrap()));
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                line.clear();
            }
            // The client may have hung up over the certificate.
            let _ = reader
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\npixels");
            reader.get_mut().conn.send_close_notify();
            let _ = reader.get_mut().flush();
        }
    });
    address
}

#[test]
fn an_untrusted_certificate_is_refused_unless_told_otherwise() {
    let address = tls_server();
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
        stream.read(&mut [0; 4_096]).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let row = fetch_one(config(), format!("https://{address}/"));
    assert_eq!(class(&row), Some(FailureClass::Tls), "{}", message(&row));
}
