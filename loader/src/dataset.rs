//! The shards of every source, found and counted. What is kept is a name and a number per shard; the samples' places
//! are known only for the shards of the windows that are open.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pairmill_shards::spec::ShardSpec;
use pairmill_shards::tar::{has_indexes, is_tar_name};
use pairmill_shards::words::hex;
use sha2::{Digest, Sha256};

use crate::config::{DatasetConfig, SourceSpec};
use crate::error::LoaderError;
use crate::remote::{self, Remote};
use crate::shard::{self, OpenShard};

/// Hexadecimal digits of a fingerprint.
const FINGERPRINT_DIGITS: usize = 16;
/// Most threads that count shards: they wait for the disk or the network.
const MAX_COUNTERS: usize = 16;

/// Sources of samples, counted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Dataset(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: DatasetConfig,
    sources: Vec<Source>,
    fingerprint: String,
    /// Fetches shards; only where a source has URLs.
    remote: Option<Remote>,
}

/// One source.
#[derive(Debug, Clone)]
pub struct Source {
    /// As given.
    pub spec: SourceSpec,
    /// Its shards in the order given.
    pub shards: Vec<ShardInfo>,
    /// Samples of each shard, in that order.
    pub counts: Vec<u32>,
    /// Samples of all its shards.
    pub num_samples: u64,
}

/// One shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardInfo {
    /// The file; for a shard by URL, where it lies once it is fetched.
    pub path: PathBuf,
    /// Where it is fetched from, unless it is a local file.
    pub url: Option<String>,
    /// Where its count comes from, in words.
    pub counted: String,
}

impl Dataset {
    /// Finds and counts the shards. A folder stands for its tars, or if it has none for its Parquet files.
    ///
    /// # Errors
    /// When a source names no shard, a shard cannot be read or is damaged, or a source has no sample.
    pub fn open(sources: &[SourceSpec], config: &DatasetConfig) -> Result<Self, LoaderError> {
        if sources.is_empty() {
            return Err(LoaderError::NoSource);
        }
        let specs = sources.iter().map(|source| Ok((source, source.shards.parse::<ShardSpec>()?)));
        let specs: Vec<_> = specs.collect::<Result<_, LoaderError>>()?;
        let has_urls = specs.iter().any(|(_, spec)| spec.names().iter().any(|name| remote::is_url(name)));
        let remote = if has_urls { Some(Remote::new(&config.remote)?) } else { None };
        let sources: Vec<Source> = specs
            .into_iter()
            .map(|(source, spec)| Source::open(source, &spec, config, remote.as_ref()))
            .collect::<Result<_, _>>()?;
        let fingerprint = fingerprint(&sources);
        Ok(Self(Arc::new(Inner { config: config.clone(), sources, fingerprint, remote })))
    }

    /// Opens shards of a source by number, fetching those by URL side by side.
    pub(crate) fn open_shards(&self, source: usize, numbers: &[u32]) -> Result<Vec<OpenShard>, LoaderError> {
        let shards = &self.0.sources[source].shards;
        let infos: Vec<&ShardInfo> = numbers.iter().map(|number| &shards[*number as usize]).collect();
        match &self.0.remote {
            // A source has URLs or files, not both.
            Some(remote) if infos.iter().any(|info| info.url.is_some()) => {
                remote.open_all(&infos, self.config())
            }
            _ => infos.into_iter().map(|info| OpenShard::open(&info.path, self.config())).collect(),
        }
    }

    /// What is read from each sample.
    pub fn config(&self) -> &DatasetConfig {
        &self.0.config
    }

    /// The sources in the order given.
    pub fn sources(&self) -> &[Source] {
        &self.0.sources
    }

    /// Samples of all sources.
    pub fn num_samples(&self) -> u64 {
        self.sources().iter().map(|source| source.num_samples).sum()
    }

    /// A hash of names, counts and weights: the same data give the same order only while it is the same. Folders do not
    /// enter, so that data may move.
    pub fn fingerprint(&self) -> &str {
        &self.0.fingerprint
    }

    /// One line for a log.
    pub fn describe(&self) -> String {
        let shards: usize = self.sources().iter().map(|source| source.shards.len()).sum();
        let (samples, sources) = (self.num_samples(), self.sources().len());
        let from = if sources == 1 { String::new() } else { format!(" of {sources} sources") };
        let packed =
            self.sources().iter().flat_map(|source| &source.shards).filter(|shard| shard.is_packed());
        let packed = match packed.count() {
            0 => String::new(),
            count => format!(
                "; {count} are compressed and unpacked each time they are opened, which `pairmill-shards reshard` saves"
            ),
        };
        format!("{samples} samples in {shards} shards{from}, fingerprint {}{packed}", self.fingerprint())
    }
}

impl ShardInfo {
    /// Whether it is a compressed tar.
    fn is_packed(&self) -> bool {
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        is_tar_name(name) && !has_indexes(name)
    }
}

impl Source {
    fn open(
        spec: &SourceSpec,
        shards: &ShardSpec,
        config: &DatasetConfig,
        remote: Option<&Remote>,
    ) -> Result<Self, LoaderError> {
        let places: Vec<(PathBuf, Option<String>)> = match (remote::urls(shards)?, remote) {
            (Some(urls), Some(remote)) => {
                remote.expand(urls)?.into_iter().map(|url| (remote.path(&url), Some(url))).collect()
            }
            _ => shards.resolve_first_of(&["tar", "parquet"])?.into_iter().map(|path| (path, None)).collect(),
        };
        let counted = count_all(&places, config, remote)?;
        let mut source = Self {
            spec: spec.clone(),
            shards: Vec::with_capacity(places.len()),
            counts: Vec::with_capacity(places.len()),
            num_samples: 0,
        };
        for ((path, url), (count, counted)) in places.into_iter().zip(counted) {
            let rule = "a shard of fewer than 4,294,967,296 samples";
            let value = count.to_string();
            source.counts.push(u32::try_from(count).map_err(|_| LoaderError::Option {
                option: "shard",
                value,
                rule,
            })?);
            source.shards.push(ShardInfo { path, url, counted });
            source.num_samples += count as u64;
        }
        if source.num_samples == 0 {
            let (source_spec, shards) = (spec.shards.clone(), source.shards.len());
            return Err(LoaderError::EmptySource { source_spec, shards });
        }
        Ok(source)
    }

    /// What the source weighs among others.
    pub fn weight(&self) -> f64 {
        self.spec.weight.unwrap_or(self.num_samples as f64)
    }
}

/// Samples of a shard, and where that is known from.
type Counted = (usize, String);

/// Counts shards side by side. The first error in the order of the shards is the one that is returned.
fn count_all(
    places: &[(PathBuf, Option<String>)],
    config: &DatasetConfig,
    remote: Option<&Remote>,
) -> Result<Vec<Counted>, LoaderError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_COUNTERS);
    let next = AtomicUsize::new(0);
    let mut counted: Vec<(usize, Result<Counted, LoaderError>)> = std::thread::scope(|scope| {
        let count = || {
            let mut mine = Vec::new();
            while let Some((at, (path, url))) = {
                let at = next.fetch_add(1, Ordering::Relaxed);
                places.get(at).map(|place| (at, place))
            } {
                let result = match (url, remote) {
                    (Some(url), Some(remote)) => remote.count(url, path, config),
                    _ => shard::count(path, config),
                };
                let failed = result.is_err();
                mine.push((at, result));
                if failed {
                    break;
                }
            }
            mine
        };
        let workers: Vec<_> = (0..threads.min(places.len())).map(|_| scope.spawn(count)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    counted.sort_by_key(|(at, _)| *at);
    let counts: Vec<_> = counted.into_iter().map(|(_, result)| result).collect::<Result<_, _>>()?;
    match counts.len() == places.len() {
        true => Ok(counts),
        false => Err(LoaderError::Thread("that counted shards has died")),
    }
}

fn fingerprint(sources: &[Source]) -> String {
    let mut hash = Sha256::new();
    for source in sources {
        hash.update([1]);
        // Without a weight, the numbers of samples are the weights, and they are hashed below.
        hash.update(source.spec.weight.unwrap_or(0.0).to_le_bytes());
        for (shard, count) in source.shards.iter().zip(&source.counts) {
            let name = shard.path.file_name().unwrap_or_default().as_encoded_bytes();
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update(count.to_le_bytes());
        }
    }
    let mut hex = hex(&hash.finalize());
    hex.truncate(FINGERPRINT_DIGITS);
    hex
}
