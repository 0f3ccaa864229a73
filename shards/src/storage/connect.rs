//! From a URL and the environment to a client. The variables are the stores' own: `AWS_ACCESS_KEY_ID`,
//! `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`,
//! `AWS_SKIP_SIGNATURE`, …, `GOOGLE_*` and `AZURE_*`, as `object_store` reads them; `SSL_CERT_FILE` and `AWS_CA_BUNDLE`
//! name further certificate authorities. Other servers than the stores' own are named by `AWS_ENDPOINT_URL`,
//! `GOOGLE_BASE_URL` and `AZURE_STORAGE_ENDPOINT`, Azurite by `AZURE_STORAGE_USE_EMULATOR` and `AZURITE_BLOB_STORAGE_URL`.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as S3Key};
use object_store::azure::{AzureConfigKey as AzureKey, MicrosoftAzureBuilder};
use object_store::client::{HttpClient, HttpConnector};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::StorageConfig;
use super::contact::{CONNECT_TIMEOUT, check_listening};
use super::error::{StorageError, credentials_advice};
use super::patience::{FIRST_PAUSE, LONGEST_PAUSE};
use super::stop::Stop;
use super::url::{BucketUrl, Scheme, without_secrets};
use super::watch::Watched;

/// A pause before a request is tried again is drawn between the first one and this many times the one before. With a
/// factor of 2, pauses do not grow (the logarithm of the drawn share is below 0 on average), and ten retries are spent
/// in two seconds.
const PAUSE_FACTOR: f64 = 4.0;
/// How long a machine of Amazon's may take to say that it is one.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
/// Where such a machine has its credentials from.
const METADATA_ADDRESS: &str = "169.254.169.254:80";

pub(super) fn connect(
    url: &BucketUrl,
    config: &StorageConfig,
    stop: Option<&Stop>,
) -> Result<Arc<dyn ObjectStore>, StorageError> {
    let retry = RetryConfig {
        backoff: BackoffConfig { init_backoff: FIRST_PAUSE, max_backoff: LONGEST_PAUSE, base: PAUSE_FACTOR },
        // An outage is a matter of time, however many requests are refused in it.
        max_retries: config.retries.unwrap_or(usize::MAX),
        retry_timeout: Duration::from_secs(config.retry_s),
    };
    let connector = Connector {
        patience: retry.retry_timeout,
        stall: Duration::from_secs(config.stall_s),
        tls: Arc::new(tls(url)?),
        signed: None,
    };
    // Only the host and container; what lies within is said with each request.
    let root = url.root().to_owned();
    let built = match url.scheme() {
        Scheme::S3 => {
            let builder = AmazonS3Builder::from_env();
            let endpoint = check_s3(url, &builder)?;
            check_listening(url, endpoint.as_deref(), config, stop)?;
            let bucket = root.split_once("://").map_or("", |(_, bucket)| bucket);
            let builder = builder.with_bucket_name(bucket).with_retry(retry).with_http_connector(connector);
            builder.build().map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
        }
        Scheme::Gcs => {
            let builder = GoogleCloudStorageBuilder::from_env().with_url(root);
            let store = builder.with_retry(retry).with_http_connector(connector).build();
            store.map(|store| Arc::new(store) as _)
        }
        Scheme::Azure => {
            let builder = MicrosoftAzureBuilder::from_env();
            check_azure(url, &builder)?;
            let builder = builder.with_url(root);
            let store = builder.with_retry(retry).with_http_connector(connector).build();
            store.map(|store| Arc::new(store) as _)
        }
        Scheme::Http => {
            let options = ClientOptions::new().with_allow_http(true);
            // A client takes no user from an address; the connector makes a header of it.
            let (plain, signed) = (without_secrets(&root), root.contains('@').then_some(root));
            let connector = Connector { signed, ..connector };
            let builder = HttpBuilder::new().with_url(format!("{plain}/{}", url.query()));
            let builder = builder.with_client_options(options).with_retry(retry);
            builder.with_http_connector(connector).build().map(|store| Arc::new(store) as _)
        }
    };
    built.map_err(|error| settings(url, one_line(&error.to_string())))
}

fn settings(url: &BucketUrl, problem: String) -> StorageError {
    StorageError::Settings { url: url.to_string(), problem }
}

/// Finds at once what the client would only find out after many attempts.
fn check_s3(url: &BucketUrl, builder: &AmazonS3Builder) -> Result<Option<String>, StorageError> {
    let set = |key: S3Key| builder.get_config_value(&key);
    let endpoint = set(S3Key::S3Endpoint).or_else(|| set(S3Key::Endpoint));
    let allows_http = set(S3Key::Client(ClientConfigKey::AllowHttp));
    check_encrypted(url, endpoint.clone(), allows_http, "AWS_ALLOW_HTTP")?;
    let signs = !is_on(set(S3Key::SkipSignature));
    let has_source = [
        S3Key::AccessKeyId,
        S3Key::SecretAccessKey,
        S3Key::WebIdentityTokenFile,
        S3Key::ContainerCredentialsRelativeUri,
        S3Key::ContainerCredentialsFullUri,
    ]
    .into_iter()
    .any(|key| set(key).is_some());
    if signs && !has_source && !is_on_amazons_machine(set(S3Key::MetadataEndpoint).as_deref()) {
        let advice = credentials_advice(Scheme::S3);
        return Err(StorageError::NoCredentials { url: url.to_string(), advice });
    }
    Ok(endpoint)
}

/// Says which variable to set where the client has only words of its own.
fn check_azure(url: &BucketUrl, builder: &MicrosoftAzureBuilder) -> Result<(), StorageError> {
    let set = |key: AzureKey| builder.get_config_value(&key);
    if is_on(set(AzureKey::UseEmulator)) {
        return Ok(());
    }
    let url_names_account = url.root().contains('@');
    if !url_names_account && set(AzureKey::AccountName).is_none() {
        let advice = credentials_advice(Scheme::Azure);
        return Err(StorageError::NoCredentials { url: url.to_string(), advice });
    }
    let allows_http = set(AzureKey::Client(ClientConfigKey::AllowHttp));
    check_encrypted(url, set(AzureKey::Endpoint), allows_http, "AZURE_ALLOW_HTTP")
}

fn check_encrypted(
    url: &BucketUrl,
    endpoint: Option<String>,
    allows_http: Option<String>,
    variable: &str,
) -> Result<(), StorageError> {
    match endpoint.filter(|endpoint| endpoint.starts_with("http://")) {
        Some(endpoint) if !is_on(allows_http) => {
            let problem =
                format!("the endpoint {endpoint} is not encrypted; set {variable}=true if that is meant");
            Err(settings(url, problem))
        }
        _ => Ok(()),
    }
}

/// Whether a variable says yes, in the words that the client takes for it.
fn is_on(value: Option<String>) -> bool {
    value.is_some_and(|value| ["1", "true", "on", "yes", "y"].contains(&value.to_ascii_lowercase().as_str()))
}

/// Whether the machine itself has credentials to give: something listens where they would come from.
fn is_on_amazons_machine(endpoint: Option<&str>) -> bool {
    let address = match endpoint.map(|endpoint| endpoint.trim_start_matches("http://").trim_end_matches('/'))
    {
        None => METADATA_ADDRESS.to_owned(),
        Some(host) if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => {
            host.to_owned()
        }
        Some(host) => format!("{host}:80"),
    };
    let addresses = address.to_socket_addrs().into_iter().flatten();
    addresses.into_iter().any(|address| TcpStream::connect_timeout(&address, METADATA_TIMEOUT).is_ok())
}

/// Makes HTTP clients with the one TLS stack of the workspace. Proxies of the environment are honoured.
#[derive(Debug)]
struct Connector {
    patience: Duration,
    stall: Duration,
    tls: Arc<ClientConfig>,
    /// An address with user name and password, which go with every request.
    signed: Option<String>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let set = |key: ClientConfigKey| options.get_config_value(&key);
        let allows_http = is_on(set(ClientConfigKey::AllowHttp));
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("pairmill/", env!("CARGO_PKG_VERSION")))
                .tls_backend_preconfigured((*self.tls).clone())
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(self.stall)
                .tcp_nodelay(true)
                .http1_only()
                .https_only(!allows_http)
        };
        let client = builder().build().and_then(|client| match &self.signed {
            Some(address) => {
                let headers = client.get(address).build()?.headers().clone();
                builder().default_headers(headers).build()
            }
            None => Ok(client),
        });
        match client {
            Ok(client) => Ok(HttpClient::new(Watched { client, patience: self.patience })),
            Err(error) => {
                let source = Box::new(error.without_url());
                Err(object_store::Error::Generic { store: "HTTP", source })
            }
        }
    }
}

fn tls(url: &BucketUrl) -> Result<ClientConfig, StorageError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for variable in ["SSL_CERT_FILE", "AWS_CA_BUNDLE"] {
        let Some(file) = std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
        else {
            continue;
        };
        let unusable = |why: String| {
            let file = file.display();
            settings(
                url,
                format!("{variable} names {file}, which holds no certificates that can be read: {why}"),
            )
        };
        let certificates =
            CertificateDer::pem_file_iter(&file).map_err(|error| unusable(error.to_string()))?;
        let certificates: Vec<_> =
            certificates.collect::<Result<_, _>>().map_err(|error| unusable(error.to_string()))?;
        roots.add_parsable_certificates(certificates);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| settings(url, error.to_string()))?;
    let mut tls = builder.with_root_certificates(roots).with_no_client_auth();
    // A connection for each transfer: over one of HTTP/2, large ones would share a window.
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
