//! TLS: trust, and what is no TLS at all. The key in `self_signed.key.pem` guards nothing; it was made with
//! `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500` for these tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{
    ServerConfig, ServerConnection, SignatureAlgorithm, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};

use super::*;
use pairmill_shards::table::message;

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
    tls_server_of(config, serve)
}

fn tls_server_of(
    config: ServerConfig,
    serve: impl Fn(TlsStream) -> io::Result<()> + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
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
    assert_eq!(message(&row), message::CERTIFICATE_VERIFY_FAILED);
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

/// Signs with a scheme of its choice. The signature is none: rustls can make none with these keys either.
#[derive(Debug, Clone)]
struct AnyKey(SignatureScheme);

impl SigningKey for AnyKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.0).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0 {
            SignatureScheme::ECDSA_NISTP521_SHA512 => SignatureAlgorithm::ECDSA,
            _ => SignatureAlgorithm::RSA,
        }
    }
}

impl Signer for AnyKey {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(vec![7; 128])
    }

    fn scheme(&self) -> SignatureScheme {
        self.0
    }
}

/// The certificates were made with openssl: `req -newkey rsa:1024` and `x509 -req -signkey` (which leaves version 1),
/// and `req -x509` with a key of the curve secp521r1.
#[test]
fn f17_unchecked_certificates_may_have_any_version_key_and_curve() {
    let rsa = include_bytes!("rsa1024_v1.crt.pem").as_slice();
    let p521 = include_bytes!("p521.crt.pem").as_slice();
    let cases: [(&[u8], SignatureScheme, &SupportedProtocolVersion); 4] = [
        (rsa, SignatureScheme::RSA_PSS_SHA256, &rustls::version::TLS13),
        (rsa, SignatureScheme::RSA_PKCS1_SHA1, &rustls::version::TLS12),
        (p521, SignatureScheme::ECDSA_NISTP521_SHA512, &rustls::version::TLS13),
        (p521, SignatureScheme::ECDSA_NISTP521_SHA512, &rustls::version::TLS12),
    ];
    for (certificate, scheme, version) in cases {
        let certificate = CertificateDer::from_pem_slice(certificate).unwrap();
        let key = CertifiedKey::new(vec![certificate], Arc::new(AnyKey(scheme)));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        let (address, _) = tls_server_of(server, answer_once);
        let url = format!("https://localhost:{}/", address.port());
        let row = fetch_one(FetchConfig { ignore_tls_errors: true, ..config() }, &url);
        assert_eq!(row.result.map(|body| body.bytes), Ok(b"pixels".to_vec()), "{scheme:?} {version:?}");
        let row = fetch_one(config(), &url);
        assert_eq!(
            (class(&row), message(&row)),
            (Some(FailureClass::Tls), message::CERTIFICATE_VERIFY_FAILED)
        );
    }
}

/// A server that ends every handshake with this alert.
fn alerting(description: u8) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // The client's greeting, so that closing does not reset the connection.
        assert!(stream.read(&mut [0; 4_096]).unwrap() > 0);
        stream.write_all(&[21, 3, 3, 0, 2, 2, description]).unwrap();
    });
    address
}

#[test]
fn f17_servers_that_share_no_cipher_with_us_are_counted_apart() {
    const HANDSHAKE_FAILURE: u8 = 40;
    const PROTOCOL_VERSION: u8 = 70;
    const INSUFFICIENT_SECURITY: u8 = 71;
    const INTERNAL_ERROR: u8 = 80;
    let row_of = |description| {
        let counters = Arc::default();
        let urls = [format!("https://{}/", alerting(description))];
        let unchecked = FetchConfig { ignore_tls_errors: true, ..config() };
        let row = fetch_counted(unchecked, &urls, &counters).remove(0);
        assert_eq!(class(&row), Some(FailureClass::Tls));
        (message(&row).to_owned(), counters.snapshot().tls_unsupported)
    };
    for description in [HANDSHAKE_FAILURE, PROTOCOL_VERSION, INSUFFICIENT_SECURITY] {
        assert_eq!(row_of(description), (message::NO_COMMON_CIPHER.to_owned(), 1), "{description}");
    }
    assert_eq!(row_of(INTERNAL_ERROR), (message::HANDSHAKE_FAILED.to_owned(), 0));
}

/// `openssl s_server`, stopped at the end.
struct OpenSsl {
    process: Child,
    url: String,
}

impl OpenSsl {
    /// `None` where there is no openssl that can do it.
    fn start(arguments: &[&str]) -> Option<Self> {
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut lines = BufReader::new(process.stdout.take()?).lines().map_while(Result::ok);
        let found =
            lines.find_map(|line| line.strip_prefix("ACCEPT ")?.rsplit_once(':')?.1.parse::<u16>().ok());
        // It says more later, and must not find the pipe closed.
        thread::spawn(move || lines.for_each(drop));
        if found.is_none() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        Some(Self { process, url: format!("https://localhost:{}/", found?) })
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn f17_openssls_servers_are_reached_or_counted_apart() {
    let folder = tempfile::tempdir().unwrap();
    let key_of = |name: &str, arguments: &[&str]| {
        let [key, certificate] = ["key", "crt"].map(|end| folder.path().join(format!("{name}.{end}")));
        let (key, certificate) = (key.to_str().unwrap().to_owned(), certificate.to_str().unwrap().to_owned());
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", &key, "-out"])
            .arg(&certificate)
            .args(arguments)
            .stderr(Stdio::null())
            .status();
        made.is_ok_and(|status| status.success()).then_some((key, certificate))
    };
    let rsa = key_of("rsa", &["-newkey", "rsa:1024"]);
    let p521 = key_of("p521", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1"]);
    let (Some(rsa), Some(p521)) = (rsa, p521) else {
        eprintln!("SKIPPED: no openssl command that makes keys of RSA-1024 and P-521");
        return;
    };
    let weak = ["-cipher", "DEFAULT@SECLEVEL=0"];
    for (key, arguments, reached) in [
        (&rsa, &[&weak[..], &["-tls1_3"]].concat(), true),
        (&rsa, &[&weak[..], &["-tls1_2"]].concat(), true),
        (&p521, &vec!["-tls1_3"], true),
        // OpenSSL wants the client to name the certificate's curve for the key exchange too, and ring has none.
        (&p521, &vec!["-tls1_2"], false),
        (&rsa, &vec!["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256@SECLEVEL=0"], false),
        (&rsa, &vec!["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256@SECLEVEL=0"], false),
        (&rsa, &vec!["-tls1_1", "-cipher", "ALL@SECLEVEL=0"], false),
    ] {
        let arguments = [&["-key", &key.0, "-cert", &key.1], arguments.as_slice()].concat();
        let Some(server) = OpenSsl::start(&arguments) else {
            eprintln!("SKIPPED: openssl s_server does not take {arguments:?}");
            continue;
        };
        let row = fetch_one(FetchConfig { ignore_tls_errors: true, ..config() }, &server.url);
        let expected = if reached { "success" } else { message::NO_COMMON_CIPHER };
        assert_eq!(message(&row), expected, "{arguments:?}");
    }
}
