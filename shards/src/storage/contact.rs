//! First contact: whether anything listens where requests are about to go. A mistyped host or port would otherwise be
//! waited for as long as a store that is away.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep, timeout};

use super::StorageConfig;
use super::bucket::drive;
use super::error::StorageError;
use super::stop::Stop;
use super::url::BucketUrl;
use super::watch::{Attempt, FIRST_CONTACT, note};

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether somebody was there once; from then on an outage is waited for.
#[derive(Debug, Default)]
pub(super) struct Contact(OnceLock<()>);

impl Contact {
    /// Makes contact with the web server of `url`, the first time that anything is asked of it.
    pub fn make(
        &self,
        url: &BucketUrl,
        config: &StorageConfig,
        stop: Option<&Stop>,
    ) -> Result<(), StorageError> {
        if self.0.get().is_none() {
            check_listening(url, Some(url.root()), config, stop)?;
            let _ = self.0.set(());
        }
        Ok(())
    }
}

/// How long is waited for the first contact.
pub(super) fn longest(config: &StorageConfig) -> Duration {
    FIRST_CONTACT.min(Duration::from_secs(config.retry_s))
}

/// Whether anything listens at `endpoint`. Behind a proxy, nobody can tell.
pub(super) fn check_listening(
    url: &BucketUrl,
    endpoint: Option<&str>,
    config: &StorageConfig,
    stop: Option<&Stop>,
) -> Result<(), StorageError> {
    let proxies = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let has_proxy = proxies.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let Some(address) = endpoint.filter(|_| !has_proxy).and_then(address_of) else { return Ok(()) };
    let longest = longest(config);
    let until = Instant::now() + longest;
    drive(url, stop, async {
        loop {
            match connect_to(&address).await {
                Ok(()) => {
                    note(&address, &Attempt::Answered, longest);
                    return Ok(());
                }
                Err(error) if Instant::now() >= until => {
                    let detail = format!("{address}: {error}");
                    return Err(StorageError::NeverThere { url: url.to_string(), detail });
                }
                Err(error) => {
                    note(&address, &Attempt::NotConnected(error.to_string()), longest);
                    sleep(PAUSE).await;
                }
            }
        }
    })?
}

/// Host and port of an endpoint.
fn address_of(endpoint: &str) -> Option<String> {
    let (scheme, rest) = endpoint.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Some(match scheme {
        _ if has_port => host.to_owned(),
        "http" => format!("{host}:80"),
        _ => format!("{host}:443"),
    })
}

/// Connects to the first of the host's addresses that takes a connection.
async fn connect_to(address: &str) -> io::Result<()> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host(address).await? {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_a_host_and_a_port() {
        for (endpoint, address) in [
            ("http://h", "h:80"),
            ("https://h/x", "h:443"),
            ("http://me:PASSWORD@h:8080/x?y", "h:8080"),
            ("http://[::1]:9", "[::1]:9"),
            ("https://[::1]", "[::1]:443"),
        ] {
            assert_eq!(address_of(endpoint).as_deref(), Some(address));
        }
        assert_eq!(address_of("h"), None);
    }
}
