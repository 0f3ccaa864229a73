//! The HTTP client: one connection pool for the whole run, our resolver, our trust roots, no proxy, no redirects of
//! its own.
//!
//! Proxy variables of the environment are not read: a proxy resolves names itself, so the address guard could not
//! hold. No `Accept-Encoding` is sent; pictures do not compress. A server that compresses all the same has its bytes
//! judged as they are, as img2dataset does: hashes are of what was served, and a body cannot swell after the cap.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::FetchError;
use super::config::FetchConfig;
use super::resolver::CachingResolver;

/// TLS sessions remembered for resumption.
const TLS_SESSIONS: usize = 4_096;
/// Bytes a server may send ahead on one HTTP/2 stream, and on one connection. Large enough not to wait for window
/// updates at 10 ms round trips and 100 MB/s; small enough to bound what a slow reader holds.
const HTTP2_STREAM_WINDOW: u32 = 1 << 20;
const HTTP2_CONNECTION_WINDOW: u32 = 4 << 20;

pub(super) fn build(
    config: &FetchConfig,
    resolver: CachingResolver,
    idle_timeout: Duration,
) -> Result<reqwest::Client, FetchError> {
    reqwest::Client::builder()
        .user_agent(user_agent(config)?)
        .dns_resolver(resolver)
        .tls_backend_preconfigured(tls(config.ignore_tls_errors)?)
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(Duration::from_millis(config.connect_timeout_ms.max(1)))
        .pool_max_idle_per_host(config.per_host.max(1))
        .pool_idle_timeout(idle_timeout)
        .tcp_nodelay(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http2_initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .http2_initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .build()
        .map_err(|e| FetchError::Client(e.to_string()))
}

/// The `User-Agent` header.
pub(super) fn user_agent(config: &FetchConfig) -> Result<HeaderValue, FetchError> {
    let text = match &config.user_agent_token {
        Some(token) => format!("{} {}", config.user_agent, token.trim()),
        None => config.user_agent.clone(),
    };
    HeaderValue::from_str(&text).map_err(|_| FetchError::UserAgent(text))
}

/// Whom we trust, and what we speak: TLS 1.2 and 1.3.
pub(super) fn tls(ignore_errors: bool) -> Result<ClientConfig, FetchError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| FetchError::Client(e.to_string()))?;
    let mut config = if ignore_errors {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAnyone)).with_no_client_auth()
    } else {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        builder.with_root_certificates(roots).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.resumption = rustls::client::Resumption::in_memory_sessions(TLS_SESSIONS);
    Ok(config)
}

/// `ignore_tls_errors`: takes any certificate, of any version, key and curve. The signature of the handshake goes
/// unchecked too: it proves that the peer holds the certificate's key, and whoever stands in between could have made
/// that certificate. So keys that rustls cannot check (RSA below 2,048 bits, P-521) are taken as well.
#[derive(Debug)]
struct AcceptAnyone;

impl ServerCertVerifier for AcceptAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        use SignatureScheme as Scheme;
        vec![
            Scheme::ECDSA_NISTP256_SHA256,
            Scheme::ECDSA_NISTP384_SHA384,
            Scheme::ECDSA_NISTP521_SHA512,
            Scheme::ED25519,
            Scheme::ED448,
            Scheme::RSA_PSS_SHA256,
            Scheme::RSA_PSS_SHA384,
            Scheme::RSA_PSS_SHA512,
            Scheme::RSA_PKCS1_SHA256,
            Scheme::RSA_PKCS1_SHA384,
            Scheme::RSA_PKCS1_SHA512,
            Scheme::ECDSA_SHA1_Legacy,
            Scheme::RSA_PKCS1_SHA1,
        ]
    }
}
