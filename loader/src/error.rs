//! Why loading stops. A bad sample never does, unless nothing is left; a bad shard always does.

use std::path::PathBuf;

/// A failure of the whole loader.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoaderError {
    /// An option is outside its range.
    #[error("{option} is {value}; it must be {rule}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// Its value.
        value: String,
        /// Its range, in words.
        rule: &'static str,
    },
    /// A shard specification cannot be resolved.
    #[error(transparent)]
    Spec(#[from] pairmill_shards::spec::SpecError),
    /// No source was given.
    #[error("no shards given; name a folder, a pattern or files")]
    NoSource,
    /// A source without a sample.
    #[error("`{source_spec}` has no samples: its {shards} shards are empty")]
    EmptySource {
        /// The source as given.
        source_spec: String,
        /// Shards it has.
        shards: usize,
    },
    /// A weight that cannot be honoured.
    #[error("weight {weight} of `{source_spec}`: {rule}")]
    Weight {
        /// The source as given.
        source_spec: String,
        /// Its weight.
        weight: f64,
        /// What is wrong.
        rule: &'static str,
    },
    /// A file that is neither a tar nor Parquet by its name.
    #[error("{} is neither .tar (also .tar.gz, .tgz, .tar.bz2, .tar.zst) nor .parquet", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// A damaged tar, with file, byte offset and rule.
    #[error(transparent)]
    Tar(#[from] pairmill_shards::tar::TarError),
    /// A Parquet shard of a newer format version.
    #[error(transparent)]
    Table(#[from] pairmill_shards::table::TableError),
    /// A damaged or unsuitable Parquet shard.
    #[error("{}: {problem}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// A file beside a shard that cannot be used.
    #[error("{}: {problem}; mend or delete it, or count by scanning", path.display())]
    Beside {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A URL that names no shard, or a file behind one that cannot be used.
    #[error("{url}: {problem}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// A bucket refused, or gave no answer.
    #[error(transparent)]
    Storage(#[from] pairmill_shards::storage::StorageError),
    /// A shard could not be fetched.
    #[error("cannot fetch {url}: {problem}")]
    Fetch {
        /// The URL.
        url: String,
        /// The last HTTP status, where the server gave one.
        status: Option<u16>,
        /// What went wrong, and how often it was tried.
        problem: String,
    },
    /// A shard does not hold what was counted.
    #[error("{} has {found} samples, but {counted} were counted ({origin}); it changed, or that file is stale: delete it or count by scanning", path.display())]
    Count {
        /// The shard.
        path: PathBuf,
        /// Samples when it was opened.
        found: usize,
        /// Samples counted before.
        counted: usize,
        /// Where the count came from.
        origin: String,
    },
    /// An epoch is shorter than one global batch.
    #[error(
        "an epoch has {samples} samples, less than one global batch of {batch}; use fewer samples per batch or `last_batch = \"short\"`"
    )]
    ShortEpoch {
        /// Samples of an epoch.
        samples: u64,
        /// Global batch.
        batch: u64,
    },
    /// Nothing usable was found where a sample was needed.
    #[error("nothing to load: {share} of {tried} samples tried {place} were dropped: {reasons}")]
    Nothing {
        /// The share that was dropped, `100 %`.
        share: &'static str,
        /// Samples looked at.
        tried: usize,
        /// Where.
        place: String,
        /// Reasons with their counts, and what to do.
        reasons: String,
    },
    /// Lent buffers do not fit the configuration.
    #[error("a lent buffer has {given} bytes; a batch needs {needed}")]
    Buffer {
        /// Bytes of the buffer.
        given: usize,
        /// Bytes of a batch's pixels.
        needed: usize,
    },
    /// The caller holds every buffer.
    #[error(
        "all {0} buffers are with the caller; hand one back with `recycle` before asking for the next batch, or lend more"
    )]
    NoBuffer(usize),
    /// A state of another run.
    #[error("cannot resume: {what} was {then} and is {now}; the order of samples rests on it")]
    Resume {
        /// What differs.
        what: &'static str,
        /// In the state.
        then: String,
        /// Now.
        now: String,
    },
    /// The image options cannot work.
    #[error(transparent)]
    Image(#[from] pairmill_pixels::ConfigError),
    /// A thread could not be started or has died.
    #[error("a loader thread {0}")]
    Thread(&'static str),
}
