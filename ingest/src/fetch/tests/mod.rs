//! The whole stage against small servers on 127.0.0.0/8, one behaviour each.

mod answers;
mod crooked;
mod dns_stub;
mod limits;
mod names;
mod politeness;
mod secrets;
mod server;
mod tls;

use std::sync::Arc;

use crossbeam_channel::bounded;

use super::*;
use pairmill_shards::status::FailureClass;

/// Settings for servers on this machine: everything allowed, short waits.
fn config() -> FetchConfig {
    FetchConfig {
        timeout_ms: 5_000,
        connect_timeout_ms: 2_000,
        backoff_base_ms: 10,
        backoff_max_ms: 50,
        allow_private_addresses: true,
        ..FetchConfig::default()
    }
}

/// Fetches `urls` (tickets 0, 1, …) and returns the results in the order they came.
fn fetch_in_order<S: AsRef<str>>(config: FetchConfig, urls: &[S]) -> Vec<Fetched> {
    fetch_counted(config, urls, &Arc::default())
}

fn fetch_counted<S: AsRef<str>>(
    config: FetchConfig,
    urls: &[S],
    counters: &Arc<FetchCounters>,
) -> Vec<Fetched> {
    let (requests, to_fetch) = bounded(urls.len());
    let (results, fetched) = bounded(2);
    let handle = start(config, to_fetch, results, counters.clone(), 2).unwrap();
    for (ticket, url) in urls.iter().enumerate() {
        requests.send(Request { ticket: ticket as u64, url: url.as_ref().to_owned() }).unwrap();
    }
    drop(requests);
    let all: Vec<Fetched> = fetched.iter().collect();
    handle.join().unwrap();
    let mut tickets: Vec<u64> = all.iter().map(|f| f.ticket).collect();
    tickets.sort_unstable();
    assert_eq!(tickets, (0..urls.len() as u64).collect::<Vec<_>>(), "every row exactly once");
    let after = counters.snapshot();
    assert_eq!((after.rows, after.in_flight, after.parked), (urls.len() as u64, 0, 0));
    all
}

/// Fetches `urls` and returns the results in their order.
fn fetch_all<S: AsRef<str>>(config: FetchConfig, urls: &[S]) -> Vec<Fetched> {
    let mut all = fetch_in_order(config, urls);
    all.sort_by_key(|f| f.ticket);
    all
}

fn fetch_one(config: FetchConfig, url: impl AsRef<str>) -> Fetched {
    fetch_all(config, &[url]).remove(0)
}

fn class(fetched: &Fetched) -> Option<FailureClass> {
    fetched.result.as_ref().err().map(|f| f.class)
}

fn message(fetched: &Fetched) -> &str {
    fetched.result.as_ref().err().map_or("success", |f| &f.message)
}

#[test]
fn resolved_settings_survive_toml() {
    let ours = FetchConfig { user_agent_token: Some("bot".to_owned()), ..config() };
    let text = toml::to_string(&ours).unwrap();
    assert_eq!(toml::from_str::<FetchConfig>(&text).unwrap(), ours);
    assert_eq!(toml::from_str::<FetchConfig>("").unwrap(), FetchConfig::default());
    assert!(toml::from_str::<FetchConfig>("timeout = 3").is_err(), "an unknown setting is an error");
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let error = |config: FetchConfig| {
        let (_requests, to_fetch) = bounded(1);
        let (results, _fetched) = bounded(1);
        start(config, to_fetch, results, Arc::default(), 1).unwrap_err().to_string()
    };
    assert!(error(FetchConfig { user_agent: "a\nb".to_owned(), ..config() }).contains("User-Agent"));
    assert!(error(FetchConfig { allowed_networks: vec!["ten".to_owned()], ..config() }).contains("`ten`"));
    let dns = DnsConfig { nameservers: vec!["dns.example".to_owned()], ..DnsConfig::default() };
    assert!(error(FetchConfig { dns, ..config() }).contains("`dns.example`"));
}
