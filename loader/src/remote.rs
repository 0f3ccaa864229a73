//! Shards by URL, of web servers and buckets: each is fetched whole into a bounded folder of the cache and then is a file
//! like any other. The window that is opened ahead is fetched ahead, several shards at a time.
//!
//! Whoever opens a shard holds its lock, a hidden file beside it, from before it is fetched until it is open. So of
//! several processes one fetches and the others wait, and nothing is deleted between fetched and opened. An open shard
//! may be deleted: its bytes stay until it is closed.

mod buckets;
mod cache;
mod fetch;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pairmill_shards::index::sizes;
use pairmill_shards::spec::ShardSpec;
use pairmill_shards::tar::is_tar_name;
use serde::{Deserialize, Serialize};

use self::buckets::Buckets;
use self::cache::Cache;
use self::fetch::{Fetched, Fetcher};
use crate::config::{Counts, DatasetConfig};
use crate::dataset::ShardInfo;
use crate::error::LoaderError;
use crate::http::PATIENCE;
use crate::shard::{self, OpenShard};

/// Bytes the cache may hold.
pub const DEFAULT_CACHE_BYTES: u64 = 50_000_000_000;
/// Shards that are fetched at a time.
pub const DEFAULT_CONNECTIONS: usize = 4;
/// Largest file beside a shard that is fetched: an index of millions of samples.
const MAX_BESIDE_BYTES: u64 = 64 << 20;

/// How shards by URL are fetched and kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemoteConfig {
    /// Folder for fetched shards; `pairmill/shards` in the user's cache folder (`XDG_CACHE_HOME` or `~/.cache`) without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
    /// Bytes it may hold; those used longest ago go first. Open shards (two windows of each source) are counted only
    /// while they have a name, so the disk may hold that much more.
    pub cache_bytes: u64,
    /// Shards fetched at a time.
    pub connections: usize,
    /// Seconds for which a web server may bring nothing before a shard is given up.
    #[serde(skip_serializing_if = "is_default_patience")]
    pub retry_s: u64,
}

impl Default for RemoteConfig {
    fn default() -> Self {
        Self {
            cache: None,
            cache_bytes: DEFAULT_CACHE_BYTES,
            connections: DEFAULT_CONNECTIONS,
            retry_s: PATIENCE.as_secs(),
        }
    }
}

/// A setting that says nothing changes no run's name.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_default_patience(retry_s: &u64) -> bool {
    *retry_s == PATIENCE.as_secs()
}

/// Samples per shard of a folder, `None` where it has no `sizes.json`.
type Sizes = Option<Arc<BTreeMap<String, u64>>>;

/// Fetches shards and keeps them. Shared by the threads of a dataset.
#[derive(Debug)]
pub(crate) struct Remote {
    cache: Cache,
    fetcher: Fetcher,
    buckets: Buckets,
    connections: usize,
    sizes: Mutex<HashMap<String, Sizes>>,
}

/// Whether a name is a URL that can be fetched.
pub(crate) fn is_url(name: &str) -> bool {
    is_web(name) || buckets::is_bucket(name)
}

fn is_web(name: &str) -> bool {
    name.starts_with("http://") || name.starts_with("https://")
}

/// The URLs a specification stands for, in the order written; `None` when it stands for files. A bucket's may name a
/// prefix.
pub(crate) fn urls(spec: &ShardSpec) -> Result<Option<Vec<String>>, LoaderError> {
    let remote = spec.names().iter().filter(|name| is_url(name)).count();
    if remote == 0 {
        return Ok(None);
    }
    let url =
        |url: &String, problem: &str| LoaderError::Url { url: url.clone(), problem: problem.to_owned() };
    if let Some(local) = spec.names().iter().find(|name| !is_url(name)) {
        return Err(url(local, "URLs and files in one source; make them two"));
    }
    if let Some(glob) = spec
        .names()
        .iter()
        .find(|name| is_web(name) && (name.contains(['*', '[']) || file_name(name).is_none()))
    {
        return Err(url(
            glob,
            "a URL must name one .tar (also .tar.gz and the like) or .parquet; servers list no folders, so write a range",
        ));
    }
    Ok(Some(spec.names().to_vec()))
}

/// URL of the folder, and name of the file within it.
fn split(url: &str) -> (&str, &str) {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rfind('/').map_or(("", path), |at| (&path[..at], &path[at + 1..]))
}

/// The name, where it is that of a shard and of nothing outside the folder.
fn file_name(url: &str) -> Option<&str> {
    let (folder, name) = split(url);
    let is_shard = is_tar_name(name) || name.ends_with(".parquet");
    let has_host = folder.split_once("://").is_some_and(|(_, host)| !host.is_empty());
    (has_host && is_shard && !name.starts_with('.')).then_some(name)
}

/// The URL of another file of the same folder, under the same `?query`.
fn beside(url: &str, name: &str) -> String {
    let (folder, own) = split(url);
    format!("{folder}/{name}{}", &url[folder.len() + 1 + own.len()..])
}

impl Remote {
    pub fn new(config: &RemoteConfig) -> Result<Self, LoaderError> {
        if config.connections == 0 {
            let value = "0".to_owned();
            return Err(LoaderError::Option { option: "remote.connections", value, rule: "at least 1" });
        }
        Ok(Self {
            cache: Cache::new(config.cache.as_deref(), config.cache_bytes)?,
            fetcher: Fetcher::new(Duration::from_secs(config.retry_s)),
            buckets: Buckets::default(),
            connections: config.connections,
            sizes: Mutex::default(),
        })
    }

    /// The shards that URLs stand for: a bucket's prefix for its tars, or if it has none for its Parquet files.
    pub fn expand(&self, urls: Vec<String>) -> Result<Vec<String>, LoaderError> {
        let mut shards = Vec::with_capacity(urls.len());
        for url in urls {
            match file_name(&url) {
                Some(_) => shards.push(url),
                None => shards.extend(self.buckets.shards_under(&url)?),
            }
        }
        Ok(shards)
    }

    /// Fetches a file whole, from a web server or a bucket.
    fn whole(&self, url: &str, path: &Path, max_bytes: u64) -> Result<Fetched, LoaderError> {
        match buckets::is_bucket(url) {
            true => self.buckets.whole(url, path, max_bytes),
            false => self.fetcher.whole(url, path, max_bytes),
        }
    }

    /// Fetches a file that need not be there; false when it is not.
    fn small(&self, url: &str, path: &Path) -> Result<bool, LoaderError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| fetch::file("make", folder, source))?;
        }
        let there = self.whole(url, path, MAX_BESIDE_BYTES)? == Fetched::Whole;
        if !there {
            // One of an earlier run would speak for a file that is gone.
            let _ = std::fs::remove_file(path);
        }
        Ok(there)
    }

    /// Where the shard of a URL lies once it is fetched.
    pub fn path(&self, url: &str) -> PathBuf {
        let (folder, name) = split(url);
        self.cache.path(folder, name)
    }

    /// Opens a shard, fetching it first if need be.
    pub fn open(&self, url: &str, path: &Path, config: &DatasetConfig) -> Result<OpenShard, LoaderError> {
        self.with_shard(url, path, || OpenShard::open(path, config))
    }

    /// Opens several shards side by side. The first error in their order is the one that is returned.
    pub fn open_all(
        &self,
        infos: &[&ShardInfo],
        config: &DatasetConfig,
    ) -> Result<Vec<OpenShard>, LoaderError> {
        let mut opened = Vec::with_capacity(infos.len());
        for some in infos.chunks(self.connections) {
            let results: Vec<_> = std::thread::scope(|scope| {
                let open =
                    |info: &ShardInfo| self.open(info.url.as_deref().unwrap_or_default(), &info.path, config);
                let threads: Vec<_> = some.iter().map(|info| scope.spawn(move || open(info))).collect();
                threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
            });
            for result in results {
                opened.push(result.map_err(|_| LoaderError::Thread("that fetched shards has died"))??);
            }
        }
        Ok(opened)
    }

    /// Samples of a shard, and where that is known from: `sizes.json` of its folder, a file beside it, or else the shard
    /// itself, which is fetched for that.
    pub fn count(
        &self,
        url: &str,
        path: &Path,
        config: &DatasetConfig,
    ) -> Result<(usize, String), LoaderError> {
        if config.counts == Counts::Beside {
            let (_, name) = split(url);
            if let Some(count) = self.sizes(url, path)?.and_then(|sizes| sizes.get(name).copied()) {
                return Ok((
                    usize::try_from(count).unwrap_or(usize::MAX),
                    format!("by {}", sizes::FILE_NAME),
                ));
            }
            for file in shard::beside_names(path) {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                if self.small(&beside(url, &name), &file)? {
                    return shard::count(path, config);
                }
            }
        }
        let by_scanning = DatasetConfig { counts: Counts::Scan, ..config.clone() };
        self.with_shard(url, path, || shard::count(path, &by_scanning))
    }

    /// `sizes.json` beside a shard, asked for once.
    fn sizes(&self, url: &str, path: &Path) -> Result<Sizes, LoaderError> {
        let (folder, _) = split(url);
        let mut known = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sizes) = known.get(folder) {
            return Ok(sizes.clone());
        }
        let file = path.with_file_name(sizes::FILE_NAME);
        let sizes = match self.small(&beside(url, sizes::FILE_NAME), &file)? {
            true => Some(Arc::new(sizes::read(&file).map_err(|error| LoaderError::Url {
                url: beside(url, sizes::FILE_NAME),
                problem: error.to_string(),
            })?)),
            false => None,
        };
        known.insert(folder.to_owned(), sizes.clone());
        Ok(sizes)
    }

    /// Runs `then` while the shard is there and cannot go.
    fn with_shard<T>(
        &self,
        url: &str,
        path: &Path,
        then: impl FnOnce() -> Result<T, LoaderError>,
    ) -> Result<T, LoaderError> {
        let held = self.cache.hold(path)?;
        if !path.exists()
            && let Fetched::Missing(status) = self.whole(url, path, u64::MAX)?
        {
            return Err(LoaderError::Fetch {
                url: url.to_owned(),
                status: Some(status),
                problem: crate::http::words(status),
            });
        }
        held.touch(path);
        let result = then();
        drop(held);
        self.cache.shrink(path)?;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_one_shard_each() {
        let spec = |text: &str| urls(&text.parse().unwrap());
        assert_eq!(spec("data/{0..1}.tar").unwrap(), None);
        let prefix = spec("s3://b/set::gs://b/0.tar").unwrap().unwrap();
        assert_eq!(prefix, ["s3://b/set", "gs://b/0.tar"]);
        assert_eq!((file_name(&prefix[0]), file_name(&prefix[1])), (None, Some("0.tar")));
        let two = spec("https://h/a/{08..09}.tar?key=1").unwrap().unwrap();
        assert_eq!(two, ["https://h/a/08.tar?key=1", "https://h/a/09.tar?key=1"]);
        assert_eq!(split(&two[0]), ("https://h/a", "08.tar"));
        assert_eq!(beside(&two[0], "sizes.json"), "https://h/a/sizes.json?key=1");
        for (text, words) in [
            ("http://h/a/", "must name one"),
            ("http://h/a/*.tar", "must name one"),
            ("http://h/a/.tar", "must name one"),
            ("http://a.tar", "must name one"),
            ("http://h/a.zip", "must name one"),
            ("http://h/0.tar::b/1.tar", "make them two"),
        ] {
            let message = spec(text).unwrap_err().to_string();
            assert!(message.contains(words), "{text}: {message}");
        }
    }
}
