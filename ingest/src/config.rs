//! What a run was resolved to: defaults, overlaid by the TOML file, overlaid by the flags.
//!
//! Only a [`Config`] does work; [`crate::args`] is what the user typed. The resolved form is written beside the
//! output (`_pairmill/runs/`), can be given back as `--config`, and identifies the run: a folder is only continued
//! by a config that would write the same bytes ([`Config::differences`]).

use std::path::{Path, PathBuf};

use pairmill_pixels::TransformConfig;
use pairmill_shards::key::{KeyError, KeyLayout};
use pairmill_shards::storage::{Location, Scheme, StorageConfig, StorageError, without_secrets};
use pairmill_shards::table::HashKind;
use serde::{Deserialize, Serialize};

use crate::fetch::FetchConfig;
use crate::filter::{FilterConfig, SubsetConfig};
use crate::imagenet::ImageNetConfig;
use crate::ranges;
use crate::small_file::{CONFIG_BYTES, read_text};
use crate::source::{Source, SourceConfig};
use crate::table::YfccOptions;

/// One resolved run of ingest.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whose files are read, if they are one of the known sources'.
    pub source: SourceConfig,
    /// Which table is read and which of its columns are used.
    pub input: InputConfig,
    /// Which of its rows are taken.
    pub filter: FilterConfig,
    /// How many of those.
    pub subset: SubsetConfig,
    /// What is written where.
    pub output: OutputConfig,
    /// How pictures are checked, resized and encoded.
    pub pixels: TransformConfig,
    /// How URLs are fetched.
    pub fetch: FetchConfig,
    /// How buckets are spoken to, where input or output is one.
    #[serde(skip_serializing_if = "StorageConfig::is_default")]
    pub storage: StorageConfig,
    /// Threads, memory and reporting; nothing here changes a byte of the output.
    pub runtime: RuntimeConfig,
}

/// The table of URLs and captions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputConfig {
    /// A file, a folder or a glob; or the URL of a file or of a prefix of a bucket.
    pub url_list: String,
    /// `parquet`, `csv`, `tsv`, `json`, `jsonl` or `txt` (with `.gz`, `.bz2`, `.xz`, `.zst`); by extension when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_format: Option<String>,
    /// Column with the image URL, or alternatives (`URL|url`).
    pub url_col: String,
    /// Column with the caption, or alternatives; without one no `txt` member is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption_col: Option<String>,
    /// Further columns carried into JSON and sidecar, in this order.
    pub save_additional_columns: Vec<String>,
    /// Column with the promised hash of the image bytes, and its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify_hash: Option<(String, HashKind)>,
    /// Names for the columns of a csv or tsv without header line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Whether a file may have a header line in spite of `columns`: it has if its first row holds no URL.
    pub header_optional: bool,
    /// JSON tables: the member of one object that holds the array of records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_at: Option<String>,
    /// Whether `"` quotes fields in csv and tsv; by default yes, but not in a tsv without header line, since CC3M and
    /// CC12M have bare quotes in their captions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoting: Option<bool>,
    /// Whether additional columns of text tables get types, for which the input is read once beforehand.
    pub infer_types: bool,
    /// The input is ImageNet's images and no table: `url_list` is the tar or folder, and this says how they are
    /// labelled and captioned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imagenet: Option<ImageNetConfig>,
    /// How YFCC100M's metadata is read, for `input_format = "yfcc"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub yfcc: Option<YfccOptions>,
}

impl Default for InputConfig {
    fn default() -> Self {
        Self {
            url_list: String::new(),
            input_format: None,
            url_col: "url".to_owned(),
            caption_col: None,
            save_additional_columns: Vec::new(),
            verify_hash: None,
            columns: None,
            header_optional: false,
            records_at: None,
            quoting: None,
            infer_types: true,
            imagenet: None,
            yfcc: None,
        }
    }
}

/// Container of the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// A folder per shard with one file per member (img2dataset's default).
    Files,
    /// One tar per shard.
    Webdataset,
    /// One Parquet file per shard with the image bytes in its last column.
    Parquet,
}

/// What to do with a folder that already holds shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncrementalMode {
    /// Go on: finished shards are kept, the rest is written.
    Incremental,
    /// Remove what is there and start anew.
    Overwrite,
    /// Add this input behind the shards that are there.
    Extend,
}

/// Where shards go and how they are cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputConfig {
    /// Folder of the shards, or the URL of a prefix of a bucket.
    pub output_folder: PathBuf,
    /// Container of the images.
    pub output_format: OutputFormat,
    /// Input rows per shard.
    pub number_sample_per_shard: u64,
    /// Digits of a shard name.
    pub oom_shard_count: u32,
    /// What to do with what is there.
    pub incremental_mode: IncrementalMode,
    /// Hash of the bytes as downloaded, written to JSON and sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_hash: Option<HashKind>,
    /// Parquet images as Hugging Face's `struct{bytes,path}` instead of plain binary.
    pub image_as_struct: bool,
    /// Whether `.idx` (DALI) and `.tar.idx` (Energon) are written beside each tar.
    pub indexes: bool,
}

impl Default for OutputConfig {
    fn default() -> Self {
        Self {
            output_folder: PathBuf::from("images"),
            output_format: OutputFormat::Files,
            number_sample_per_shard: KeyLayout::DEFAULT_SAMPLES_PER_SHARD,
            oom_shard_count: KeyLayout::DEFAULT_OOM_SHARD_COUNT,
            incremental_mode: IncrementalMode::Incremental,
            compute_hash: Some(HashKind::Sha256),
            image_as_struct: false,
            indexes: true,
        }
    }
}

impl OutputConfig {
    /// Where the shards go.
    ///
    /// # Errors
    /// When it is a URL that cannot be written to.
    pub fn location(&self) -> Result<Location, ConfigError> {
        let location = match self.output_folder.to_str() {
            Some(typed) => Location::parse(typed)?,
            None => Location::Local(self.output_folder.clone()),
        };
        if let Location::Bucket(url) = &location {
            if url.scheme() == Scheme::Http {
                let advice = "give --output-folder s3://, gs://, az:// or a local folder";
                return Err(StorageError::Web { url: url.to_string(), advice }.into());
            }
            if self.output_format == OutputFormat::Files {
                return Err(ConfigError::FilesByUrl { url: url.to_string() });
            }
        }
        Ok(location)
    }

    /// How keys and shard names are padded.
    ///
    /// # Errors
    /// As [`KeyLayout::new`].
    pub fn layout(&self) -> Result<KeyLayout, KeyError> {
        KeyLayout::new(self.number_sample_per_shard, self.oom_shard_count)
    }
}

/// Shards put up at a time: latency of their small files is hidden, and no more lie in the staging folder.
const DEFAULT_UPLOADS: usize = 2;

/// Runs that never saw a bucket say nothing of one.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_default_uploads(uploads: &usize) -> bool {
    *uploads == DEFAULT_UPLOADS
}

/// Threads, memory and reporting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeConfig {
    /// Threads that decode, resize and encode; 0 means one per core.
    pub workers: usize,
    /// Threads of the fetch runtime; 0 means one per four cores.
    pub fetch_threads: usize,
    /// Input rows read but not yet written; a shard is opened only when it fits (one always does).
    pub window_rows: u64,
    /// Encoded images held in memory while an earlier row of their shard is outstanding; beyond it they spill to an
    /// unnamed file in the output folder.
    pub reorder_bytes: u64,
    /// Seconds between two progress lines when standard error is not a terminal.
    pub progress_interval_s: u64,
    /// Where counters are written: `.prom` is rewritten as Prometheus text, anything else grows by JSON lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<PathBuf>,
    /// No progress, only errors and the final account.
    pub quiet: bool,
    /// Folder in which shards for a bucket are made and tables by URL lie while they are read; without one, in the
    /// system's folder for temporary files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staging: Option<PathBuf>,
    /// Shards that are put up to a bucket at a time.
    #[serde(skip_serializing_if = "is_default_uploads")]
    pub uploads: usize,
    /// Only these shards, first to one past the last: the unit that Slurm, Ray or Spark hands out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shards: Option<(u64, u64)>,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            workers: 0,
            fetch_threads: 0,
            window_rows: 30_000,
            reorder_bytes: 64 << 20,
            progress_interval_s: 10,
            metrics: None,
            quiet: false,
            staging: None,
            uploads: DEFAULT_UPLOADS,
            shards: None,
        }
    }
}

/// A config that cannot be run. Each message says which setting and what it may be.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The TOML file is not there or not readable.
    #[error("{path}: cannot read the config file: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The TOML file is not TOML or names a setting that does not exist.
    #[error("{path}: {message}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Line, column and reason on one line.
        message: String,
    },
    /// No input was named.
    #[error("no input: give --url-list a file, a folder, a glob or a URL")]
    NoInput,
    /// `--verify-hash` and `--compute-hash` differ.
    #[error("--verify-hash checks {verify} but --compute-hash computes {compute}: give both the same kind")]
    HashKinds {
        /// Kind to verify.
        verify: String,
        /// Kind computed, or `none`.
        compute: String,
    },
    /// A shard layout that cannot be.
    #[error("--number-sample-per-shard / --oom-shard-count: {0}")]
    Layout(#[from] KeyError),
    /// A picture setting that cannot be.
    #[error("{0}")]
    Pixels(#[from] pairmill_pixels::ConfigError),
    /// A source whose pictures are not free, and no word that the user may have them.
    #[error("source {source_name}: {licence}")]
    Terms {
        /// Which.
        source_name: Source,
        /// Its licence note, which names the flag.
        licence: &'static str,
    },
    /// A source whose host wants to know who asks.
    #[error(
        "source {source_name}: its hosts refuse clients that name no contact; give --contact an e-mail address or a page \
         about you"
    )]
    NoContact {
        /// Which.
        source_name: Source,
    },
    /// A contact that is none.
    #[error("--contact `{contact}`: give an e-mail address or the address of a page, in plain ASCII")]
    Contact {
        /// What was given.
        contact: String,
    },
    /// `--subset` with `--prefix`.
    #[error("--subset and --prefix exclude each other: a sample, or the first rows")]
    TwoSubsets,
    /// A place that cannot be.
    #[error(transparent)]
    Place(#[from] StorageError),
    /// Loose files in a bucket.
    #[error("{url}: a bucket takes whole shards; give --output-format webdataset or parquet")]
    FilesByUrl {
        /// The output.
        url: String,
    },
    /// A number outside its range.
    #[error("{setting} is {value}: {rule}")]
    Range {
        /// Flag or TOML key.
        setting: &'static str,
        /// What was given.
        value: String,
        /// What it may be.
        rule: &'static str,
    },
    /// A whole number outside its range.
    #[error("{setting} is {value}; give a number from {least} to {most}")]
    OutOfRange {
        /// Flag or TOML key.
        setting: &'static str,
        /// What was given.
        value: u64,
        /// The least it may be.
        least: u64,
        /// The most.
        most: u64,
    },
}

impl Config {
    /// The config that a source begins from: its manners over the defaults, tars instead of loose files.
    pub fn of_source(source: Source) -> Self {
        let manners = source.manners();
        let table = &manners.table;
        let owned = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let mut config = Self {
            source: SourceConfig { name: Some(source), ..SourceConfig::default() },
            input: InputConfig {
                input_format: table.format.map(str::to_owned),
                url_col: table.url.to_owned(),
                caption_col: Some(table.caption.to_owned()),
                save_additional_columns: owned(table.extra),
                columns: table.headerless.map(owned),
                header_optional: table.headerless.is_some(),
                records_at: table.records_at.map(str::to_owned),
                quoting: table.quoting,
                // For the few columns that are carried, a pass over the whole input is too much.
                infer_types: false,
                imagenet: manners.table.imagenet.map(ImageNetConfig::of),
                ..InputConfig::default()
            },
            filter: manners.filter,
            ..Self::default()
        };
        config.output.output_format = OutputFormat::Webdataset;
        config.pixels.image_size = manners.image_size;
        config.pixels.resize_mode = manners.resize_mode;
        let fetch = &mut config.fetch;
        fetch.per_host = manners.fetch.per_host.unwrap_or(fetch.per_host);
        fetch.max_bytes = manners.fetch.max_bytes.unwrap_or(fetch.max_bytes);
        fetch.host_interval_ms = manners.fetch.host_interval_ms;
        fetch.removed_images = owned(manners.fetch.removed_images);
        config
    }

    /// Reads a TOML file over the config of `source`, or of the source that the file names, or the defaults; settings
    /// it does not name stay.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or names an unknown setting.
    pub fn read_over(source: Option<Source>, path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Ok(source.map_or_else(Self::default, Self::of_source));
        };
        let text = read_text(path, CONFIG_BYTES)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let broken = |message| ConfigError::Toml { path: path.to_owned(), message };
        // Alone first: its errors know the line.
        let alone = Self::parse(&text).map_err(broken)?;
        let Some(source) = source.or(alone.source.name) else { return Ok(alone) };
        let inner = |error: &dyn std::fmt::Display| broken(error.to_string().replace('\n', " "));
        let mut settings = toml::Table::try_from(Self::of_source(source)).map_err(|error| inner(&error))?;
        let typed: toml::Table = toml::from_str(&text).map_err(|error| inner(&error))?;
        lay_over(&mut settings, typed);
        let mut config: Self = settings.try_into().map_err(|error| inner(&error))?;
        config.source.name = Some(source);
        Ok(config)
    }

    /// Whether rows are dropped before they are cut into shards.
    pub fn is_filtered(&self) -> bool {
        self.source.name.is_some() || self.filter.is_on() || self.subset.leaves_out() || self.subset.shuffle
    }

    /// Parses TOML; the error is one line.
    ///
    /// # Errors
    /// When the text is not TOML or names an unknown setting.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            // Long enough for the list of settings there are; a number may have 300 digits.
            let message: String = error.message().replace('\n', " ").chars().take(700).collect();
            let Some(span) = error.span() else { return message };
            let start = span.start.min(text.len());
            let line = text.get(..start).unwrap_or_default().matches('\n').count() + 1;
            // A value that cannot be is told without its name.
            let key = text.lines().nth(line - 1).and_then(|line| line.split_once('='));
            match key.map(|(key, _)| key.trim()).filter(|key| !key.is_empty() && !message.contains(key)) {
                Some(key) => format!("line {line}: {}: {message}", key.escape_debug()),
                None => format!("line {line}: {message}"),
            }
        })
    }

    /// Checks what single settings cannot say alone.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.input.url_list.trim().is_empty() {
            return Err(ConfigError::NoInput);
        }
        self.validate_source()?;
        ranges::check(self)?;
        self.output.layout()?;
        self.output.location()?;
        if let Some((setting, value, rule)) = self.storage.refusal() {
            return Err(ConfigError::Range { setting, value, rule });
        }
        self.pixels.validate()?;
        if let Some((_, verify)) = &self.input.verify_hash
            && self.output.compute_hash != Some(*verify)
        {
            return Err(ConfigError::HashKinds {
                verify: verify.as_str().to_owned(),
                compute: self.output.compute_hash.map_or("none", HashKind::as_str).to_owned(),
            });
        }
        let is_url = matches!(Location::parse(&self.input.url_list)?, Location::Bucket(_));
        if is_url && (self.input.imagenet.is_some() || self.input.input_format.as_deref() == Some("yfcc")) {
            return Err(ConfigError::Range {
                setting: "--url-list",
                value: without_secrets(&self.input.url_list),
                rule: "the archives of ImageNet and YFCC must lie on this machine; download them first",
            });
        }
        let takes_part = self.filter.is_on() || self.subset.leaves_out() || self.subset.shuffle;
        if self.input.imagenet.is_some() && takes_part {
            return Err(ConfigError::Range {
                setting: "[filter], --where, --subset, --prefix or [subset]",
                value: "set".to_owned(),
                rule: "ImageNet's images are no table of rows; leave it out and draw from the finished shards with \
                       `pairmill-shards subset`",
            });
        }
        if self.input.imagenet.is_some() && self.input.verify_hash.is_some() {
            return Err(ConfigError::Range {
                setting: "--verify-hash",
                value: "set".to_owned(),
                rule: "ImageNet's archives promise no hash of an image; leave it out",
            });
        }
        if let Some((first, end)) = self.runtime.shards
            && first >= end
        {
            return Err(ConfigError::Range {
                setting: "--shards",
                value: format!("{first}..{end}"),
                rule: "the second number is one past the last shard and must be larger than the first",
            });
        }
        Ok(())
    }

    fn validate_source(&self) -> Result<(), ConfigError> {
        if let Some(source_name) = self.source.name {
            let manners = source_name.manners();
            if manners.needs_terms && !self.source.accept_terms {
                return Err(ConfigError::Terms { source_name, licence: manners.licence });
            }
            if manners.fetch.needs_contact && self.source.contact.is_none() {
                return Err(ConfigError::NoContact { source_name });
            }
        }
        if let Some(contact) = &self.source.contact {
            let names_someone = contact.contains('@') || contact.contains("://");
            if !names_someone || !contact.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(ConfigError::Contact { contact: contact.clone() });
            }
        }
        if self.subset.rows.is_some() && self.subset.prefix.is_some() {
            return Err(ConfigError::TwoSubsets);
        }
        Ok(())
    }

    /// Settings that decide the bytes of the output and differ between `self` and `other`, as
    /// `section.setting: theirs → ours`. Fetching, threads and reporting may change between two runs of one folder.
    ///
    /// # Errors
    /// When a config cannot be written as TOML.
    pub fn differences(&self, other: &Self) -> Result<Vec<String>, toml::ser::Error> {
        let (ours, theirs) = (self.identity()?, other.identity()?);
        let mut differences = Vec::new();
        for section in ["source", "input", "filter", "subset", "output", "pixels"] {
            let empty = toml::Table::new();
            let table = |all: &toml::Table| all.get(section).and_then(toml::Value::as_table).cloned();
            let (ours, theirs) = (table(&ours).unwrap_or(empty.clone()), table(&theirs).unwrap_or(empty));
            let mut names: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                if ours.get(name) != theirs.get(name) {
                    let show = |v: Option<&toml::Value>| v.map_or("unset".to_owned(), ToString::to_string);
                    let (theirs, ours) = (show(theirs.get(name)), show(ours.get(name)));
                    differences.push(format!("{section}.{name}: {theirs} there, {ours} here"));
                }
            }
        }
        Ok(differences)
    }

    /// The config as it is noted beside the output: without the user, password and query of a web address, which may
    /// sign it. None of them identifies the run, so it is continued with others.
    pub fn noted(&self) -> Self {
        let mut config = self.clone();
        config.input.url_list = without_secrets(&config.input.url_list);
        config
    }

    fn identity(&self) -> Result<toml::Table, toml::ser::Error> {
        let mut config = self.clone();
        config.output.output_folder = PathBuf::new();
        config.output.incremental_mode = IncrementalMode::Incremental;
        // The files are compared by name and size, wherever they lie (run folder, `[[inputs]]`).
        config.input.url_list = String::new();
        config.source.accept_terms = false;
        config.source.contact = None;
        toml::Table::try_from(config)
    }
}

/// Settings of `over` replace those of `under`, table by table.
fn lay_over(under: &mut toml::Table, over: toml::Table) {
    for (name, value) in over {
        match (under.get_mut(&name), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => lay_over(under, over),
            (_, value) => drop(under.insert(name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imagenet_is_a_table_of_the_input() {
        let text = "[input]\nurl_list = \"train.tar\"\n[input.imagenet]\nlabels = \"kit.tar.gz\"\n\
                    captions = { kind = \"flickr\", captions = \"c.json\", order = \"title_tags_description\" }\n";
        let mut config = Config::parse(text).unwrap();
        assert!(config.input.imagenet.is_some());
        let again = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(&again).unwrap(), config);
        assert!(config.validate().is_ok());
        config.input.verify_hash = Some(("md5".to_owned(), HashKind::Sha256));
        assert!(config.validate().unwrap_err().to_string().contains("leave it out"));
        assert!(Config::parse("[input.imagenet]\ncaptions = { kind = \"prompt\" }").is_err());
    }

    #[test]
    fn resolved_config_reads_back_the_same() {
        let mut config = Config::default();
        config.input.url_list = "urls.parquet".to_owned();
        config.input.verify_hash = Some(("md5".to_owned(), HashKind::Md5));
        config.runtime.shards = Some((3, 9));
        let text = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(&text).unwrap(), config);
    }

    #[test]
    fn unknown_setting_is_refused_with_its_line() {
        let error = Config::parse("[output]\noutput_format = \"parquet\"\nshard_size = 3\n").unwrap_err();
        assert!(error.starts_with("line 3:") && error.contains("shard_size"), "{error}");
    }

    #[test]
    fn only_what_changes_bytes_counts_as_a_difference() {
        let (mut ours, mut theirs) = (Config::default(), Config::default());
        ours.fetch.retries = 3;
        ours.runtime.workers = 9;
        ours.output.output_folder = PathBuf::from("elsewhere");
        assert_eq!(ours.differences(&theirs).unwrap(), Vec::<String>::new());
        ours.pixels.image_size = 224;
        theirs.input.caption_col = Some("TEXT".to_owned());
        assert_eq!(
            ours.differences(&theirs).unwrap(),
            ["input.caption_col: \"TEXT\" there, unset here", "pixels.image_size: 256 there, 224 here"]
        );
    }

    #[test]
    fn hashes_must_agree() {
        let mut config = Config::default();
        config.input.url_list = "x".to_owned();
        config.input.verify_hash = Some(("md5".to_owned(), HashKind::Md5));
        assert!(matches!(config.validate(), Err(ConfigError::HashKinds { .. })));
        config.output.compute_hash = Some(HashKind::Md5);
        config.validate().unwrap();
    }
}
