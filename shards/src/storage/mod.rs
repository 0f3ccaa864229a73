//! Where shards lie when it is not on this machine: a bucket of S3, Google Cloud Storage or Azure, or a web server,
//! named by URL. `ingest` puts finished shards there, the command line and the loader read them; local folders go past
//! this module.
//!
//! ```text
//! url      what the user typed → local path or URL of a bucket
//! connect  URL and the usual environment variables → client: TLS, time-outs, retries
//! contact  whether anything listens there
//! bucket   list, head, get, fetch to a file, put, delete; blocks, whoever calls it
//! upload   a file as one object, by parts, in bounded memory: completion is the commit
//! lease    who may write under a prefix
//! patience how long what the client leaves is tried again
//! stop     ends a wait from outside
//! watch    each request: says what is waited for, and gives up a host that was never there
//! error    what a store's refusal means, and what to do
//! ```
//!
//! An object appears whole or not at all: a put is atomic, and a multipart upload shows nothing before it is completed.

mod bucket;
mod connect;
mod contact;
mod error;
mod lease;
mod patience;
mod stop;
mod upload;
mod url;
mod watch;

use serde::{Deserialize, Serialize};

pub use self::bucket::{Bucket, Object};
pub use self::error::StorageError;
pub use self::lease::Lease;
pub use self::stop::Stop;
pub use self::url::{BucketUrl, Location, Scheme, without_secrets};
pub use self::watch::on_waits;

/// Smallest part of an upload but the last that S3 takes.
pub const MIN_PART_BYTES: u64 = 5 << 20;
/// Most parts of one upload (S3's limit, and the lowest of the stores').
pub const MAX_PARTS: u64 = 10_000;

/// How patient the client is, and how much it holds. Nothing here changes what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// Further attempts at one request after 5xx, 429, a time-out or a broken connection; without a number, as many as
    /// `retry_s` has room for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<usize>,
    /// Seconds for which a request is tried again: a store that is gone for less than that ends no run. One that this
    /// process has never reached is given up after some five seconds.
    pub retry_s: u64,
    /// Seconds without a byte after which an attempt has failed.
    pub stall_s: u64,
    /// Bytes of one part of an upload, at least 5 MiB; files up to that size are put whole.
    pub part_bytes: u64,
    /// Parts in memory and on their way at a time, over all uploads.
    pub parts: usize,
    /// Seconds between two signs of life of a writer; another one waits three times that for a sign.
    pub lease_s: u64,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self { retries: None, retry_s: 180, stall_s: 60, part_bytes: 8 << 20, parts: 4, lease_s: 15 }
    }
}

impl StorageConfig {
    /// Whether nothing is set, so that files without such a section stay without.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The first setting that cannot be: its name, value and rule.
    pub fn refusal(&self) -> Option<(&'static str, String, &'static str)> {
        let positive = [
            ("storage.retry_s", self.retry_s),
            ("storage.stall_s", self.stall_s),
            ("storage.parts", self.parts as u64),
            ("storage.lease_s", self.lease_s),
        ];
        if let Some((setting, value)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Some((setting, value.to_string(), "must be at least 1"));
        }
        let bounded = [
            ("storage.retries", self.retries.unwrap_or_default() as u64, 1_000, "must be at most 1000"),
            ("storage.retry_s", self.retry_s, 604_800, "must be at most 604800 (a week)"),
            ("storage.stall_s", self.stall_s, 86_400, "must be at most 86400 (a day)"),
            ("storage.parts", self.parts as u64, 1_024, "must be at most 1024"),
            ("storage.lease_s", self.lease_s, 86_400, "must be at most 86400 (a day)"),
        ];
        if let Some((setting, value, _, rule)) = bounded.into_iter().find(|(_, value, most, _)| value > most)
        {
            return Some((setting, value.to_string(), rule));
        }
        let range = MIN_PART_BYTES..=(5 << 30);
        (!range.contains(&self.part_bytes)).then(|| {
            ("storage.part_bytes", self.part_bytes.to_string(), "must lie between 5242880 (5 MiB) and 5 GiB")
        })
    }
}
