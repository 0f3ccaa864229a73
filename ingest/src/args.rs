//! What the user types. Names, meanings and defaults are img2dataset's (peers and switchers should need no manual),
//! in kebab-case; [`crate::spelling`] reads `--url_list=x`, `--noextract_exif` and `'["uid"]'` as img2dataset's own
//! command line would. Everything rarer is in the TOML file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use pairmill_pixels::{EncodeFormat, Interpolation, ResizeMode};
use pairmill_shards::status::FailureClass;
use pairmill_shards::table::HashKind;
use pairmill_shards::words::parse_count;

use crate::config::{Config, ConfigError, IncrementalMode, OutputFormat};
use crate::fetch::DEFAULT_USER_AGENT;
use crate::fetch::config::DEFAULT_DISALLOWED_HEADER_DIRECTIVES;
use crate::img2dataset::{Img2datasetArgs, output_format};
use crate::source::Source;
use crate::spelling::{OrNone, literal_list, number, or_none, truth, word};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "pairmill-ingest",
    version,
    args_override_self = true,
    about = "Turn a table of image URLs and captions into training shards",
    after_help = "Exit codes: 0 every row is accounted for, 1 the run broke off, 2 bad input, 130 interrupted.\n\
                  Run the same command again to go on where it stopped."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "parsed once per process")]
pub enum Command {
    /// Download, resize and pack a table into shards
    #[command(after_long_help = RUN_EXAMPLES, args_override_self = true, allow_negative_numbers = true)]
    Run(RunArgs),
    /// Fetch again the rows of a finished run that failed for the named reasons, into new shards
    #[command(after_long_help = RETRY_EXAMPLES, allow_negative_numbers = true)]
    Retry(RetryArgs),
    /// List the known sources; with a name: what to download, how many rows, how much disk, whose rights
    Sources {
        /// One of them
        #[arg(value_parser = word::<Source>)]
        name: Option<Source>,
    },
    /// Print a completion script for a shell
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
}

const RUN_EXAMPLES: &str = "\
Examples:
  # LAION metadata to WebDataset tars, shorter side 256
  pairmill-ingest run --url-list part-00000.parquet --url-col URL --caption-col TEXT \\
      --output-folder laion --output-format webdataset --resize-mode keep_ratio

  # CC3M: a headerless tsv, caption first
  pairmill-ingest run --url-list Train_GCC-training.tsv --columns caption,url \\
      --caption-col caption --output-folder cc3m --output-format webdataset

  # One of the study's sources: its columns, filters and manners are known (`pairmill-ingest sources`)
  pairmill-ingest run --source laion400m --url-list laion400m-meta --output-folder laion \\
      --subset 2.7M --seed 0

  # Straight into a bucket (credentials, region and endpoint from the environment: AWS_ACCESS_KEY_ID, ...)
  pairmill-ingest run --url-list s3://mine/laion-meta/ --output-folder s3://mine/laion \
      --output-format webdataset

  # See what would be done, then do shards 0 to 99 here and the rest elsewhere
  pairmill-ingest run --url-list urls.csv --output-folder out --dry-run
  pairmill-ingest run --url-list urls.csv --output-folder out --shards 0..100";

const RETRY_EXAMPLES: &str = "\
Examples:
  # Once more for everything that may be different tomorrow
  pairmill-ingest retry --class transient laion

  pairmill-ingest retry --class dns,timeout,http_5xx --retries 2 --timeout 30 laion";

const RARE: &str = "Rarely changed (all of these, and more, can stand in the TOML file)";

/// `run`: every flag is optional so that the TOML file can set it; unset flags leave it alone.
#[derive(Debug, Args, Default)]
pub struct RunArgs {
    /// Known source of the table, which sets its columns, filters and manners (see `pairmill-ingest sources`)
    #[arg(long, value_name = "SOURCE", value_parser = word::<Source>)]
    pub source: Option<Source>,
    /// Table of URLs: a file, a folder, a glob or a URL (parquet, csv, tsv, json, jsonl, txt; .gz, .bz2, .xz, .zst)
    #[arg(long, short = 'i', value_name = "PATH")]
    pub url_list: Option<String>,
    /// Format of the table [default: by extension]
    #[arg(long, value_name = "FORMAT")]
    pub input_format: Option<String>,
    /// Column with the URL [default: url]
    #[arg(long, value_name = "NAME")]
    pub url_col: Option<String>,
    /// Column with the caption [default: none, and then no txt members]
    #[arg(long, value_name = "NAME", value_parser = or_none)]
    pub caption_col: Option<OrNone<String>>,
    /// More columns to carry into JSON and sidecar, comma-separated
    #[arg(long, value_name = "NAMES", value_parser = names)]
    pub save_additional_columns: Option<Names>,
    /// Where the shards go: a folder, or s3://BUCKET/PREFIX, gs://, az:// [default: images]
    #[arg(long, short = 'o', value_name = "FOLDER")]
    pub output_folder: Option<PathBuf>,
    /// files, webdataset or parquet [default: files]
    #[arg(long, value_name = "FORMAT", value_parser = output_format)]
    pub output_format: Option<OutputFormat>,
    /// Side length in pixels [default: 256]
    #[arg(long, value_name = "PX", value_parser = number::<u32>)]
    pub image_size: Option<u32>,
    /// no, border, keep_ratio (shorter side), keep_ratio_largest or center_crop [default: border]
    #[arg(long, value_name = "MODE", value_parser = word::<ResizeMode>)]
    pub resize_mode: Option<ResizeMode>,
    /// jpg, png or webp [default: jpg]
    #[arg(long, value_name = "FORMAT", value_parser = word::<EncodeFormat>)]
    pub encode_format: Option<EncodeFormat>,
    /// jpg 0-100, png compression 0-9, webp 0-100 and above 100 lossless [default: 95, png 6]
    #[arg(long, value_name = "Q", value_parser = number::<u32>)]
    pub encode_quality: Option<u32>,
    /// Input rows per shard [default: 10000]
    #[arg(long, value_name = "N", value_parser = number::<u64>)]
    pub number_sample_per_shard: Option<u64>,
    /// Simultaneous downloads [default: 256]
    #[arg(long, value_name = "N", value_parser = number::<usize>)]
    pub thread_count: Option<usize>,
    /// Further attempts for failures that may pass [default: 0]
    #[arg(long, value_name = "N", value_parser = number::<u32>)]
    pub retries: Option<u32>,
    /// Draw so many of the rows that pass the filters: 2.7M, 500k; smaller draws of one seed are part of larger ones
    #[arg(long, value_name = "ROWS", value_parser = parse_count)]
    pub subset: Option<u64>,
    /// Seed of the draw [default: 0]
    #[arg(long, value_name = "N", value_parser = number::<u64>)]
    pub seed: Option<u64>,
    /// Settings from a TOML file; flags win over it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Say what would be done, do nothing
    #[arg(long)]
    pub dry_run: bool,

    /// SQL expression over the table's columns, in SQLite's words; rows for which it is not true are dropped:
    /// "similarity > 0.3 AND TEXT NOT LIKE '%lorem%'"
    #[arg(long = "where", value_name = "SQL", help_heading = RARE, hide_short_help = true)]
    pub predicate: Option<String>,
    /// Only the first rows that pass the filters, in the order of the table
    #[arg(long, value_name = "ROWS", value_parser = parse_count, help_heading = RARE, hide_short_help = true)]
    pub prefix: Option<u64>,
    /// Confirm that you have the rights that the source's licence note speaks of
    #[arg(long, help_heading = RARE, hide_short_help = true)]
    pub accept_terms: bool,
    /// E-mail address or page for the operators of sites, sent in the user agent (wit needs one)
    #[arg(long, value_name = "CONTACT", help_heading = RARE, hide_short_help = true)]
    pub contact: Option<String>,
    /// Names for the columns of a csv or tsv without header, comma-separated
    #[arg(long, value_name = "NAMES", value_parser = names, help_heading = RARE, hide_short_help = true)]
    pub columns: Option<Names>,
    /// Whether double quotes quote fields in csv and tsv [default: yes, but not in a tsv without header]
    #[arg(long, value_parser = truth, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = RARE, hide_short_help = true)]
    pub quoting: Option<bool>,
    /// Leave images alone that are small enough
    #[arg(long, value_parser = truth, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = RARE, hide_short_help = true)]
    pub resize_only_if_bigger: Option<bool>,
    /// nearest, linear, cubic, area or lanczos, when enlarging [default: lanczos]
    #[arg(long, value_name = "FILTER", value_parser = interpolation, help_heading = RARE, hide_short_help = true)]
    pub upscale_interpolation: Option<Interpolation>,
    /// The same when shrinking [default: area]
    #[arg(long, value_name = "FILTER", value_parser = interpolation, help_heading = RARE, hide_short_help = true)]
    pub downscale_interpolation: Option<Interpolation>,
    /// Keep the bytes of images that need no resize and are of the right format
    #[arg(long, value_parser = truth, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = RARE, hide_short_help = true)]
    pub skip_reencode: Option<bool>,
    /// Keep all bytes as downloaded
    #[arg(long, value_parser = truth, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = RARE, hide_short_help = true)]
    pub disable_all_reencoding: Option<bool>,
    /// Shorter sides below this fail as too_small [default: 0]
    #[arg(long, value_name = "PX", value_parser = number::<u32>, help_heading = RARE, hide_short_help = true)]
    pub min_image_size: Option<u32>,
    /// Areas above this fail as too_big [default: inf]
    #[arg(long, value_name = "PX2", value_parser = number::<f64>, help_heading = RARE, hide_short_help = true)]
    pub max_image_area: Option<f64>,
    /// Longer over shorter side above this fails as aspect [default: inf]
    #[arg(long, value_name = "RATIO", value_parser = number::<f64>, help_heading = RARE, hide_short_help = true)]
    pub max_aspect_ratio: Option<f64>,
    /// Carry EXIF tags into JSON and sidecar [default: true]
    #[arg(long, value_parser = truth, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = RARE, hide_short_help = true)]
    pub extract_exif: Option<bool>,
    /// md5, sha256, sha512 or none: hash of the downloaded bytes [default: sha256]
    #[arg(long, value_name = "KIND", value_parser = hash, help_heading = RARE, hide_short_help = true)]
    pub compute_hash: Option<Hash>,
    /// COLUMN,KIND: fail rows whose bytes do not have the hash in that column
    #[arg(long, value_name = "COLUMN,KIND", value_parser = verify_hash, help_heading = RARE, hide_short_help = true)]
    pub verify_hash: Option<OrNone<VerifyHash>>,
    /// Digits of a shard name [default: 5]
    #[arg(long, value_name = "N", value_parser = number::<u32>, help_heading = RARE, hide_short_help = true)]
    pub oom_shard_count: Option<u32>,
    /// Seconds one attempt may take in all, redirects and body included [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = RARE, hide_short_help = true)]
    pub timeout: Option<u64>,
    /// Token added to the user agent, and the agent name that X-Robots-Tag directives may address
    #[arg(long, value_name = "TOKEN", value_parser = or_none, help_heading = RARE, hide_short_help = true)]
    pub user_agent_token: Option<OrNone<String>>,
    /// X-Robots-Tag directives that forbid use; `[]` honours none [default: noai,noimageai,noindex,noimageindex]
    #[arg(long, value_name = "NAMES", value_parser = directives, help_heading = RARE, hide_short_help = true)]
    pub disallowed_header_directives: Option<Names>,
    /// incremental, overwrite or extend [default: incremental]
    #[arg(long, value_name = "MODE", value_parser = word::<IncrementalMode>, help_heading = RARE, hide_short_help = true)]
    pub incremental_mode: Option<IncrementalMode>,
    /// Threads that decode and encode [default: one per core]
    #[arg(long, value_name = "N", value_parser = number::<usize>, help_heading = RARE, hide_short_help = true)]
    pub processes_count: Option<usize>,
    /// Fetch from loopback and private networks too (tests, intranets)
    #[arg(long, help_heading = RARE, hide_short_help = true)]
    pub allow_private_addresses: bool,
    /// Accept any TLS certificate (TLS 1.2 or 1.3 with ECDHE is still needed)
    #[arg(long, value_parser = truth, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = RARE, hide_short_help = true)]
    pub ignore_ssl_certificate: Option<bool>,
    /// Only shards FIRST..END (END excluded): the unit other machines can be given
    #[arg(long, value_name = "FIRST..END", value_parser = shard_range, help_heading = RARE, hide_short_help = true)]
    pub shards: Option<ShardRange>,
    /// Folder in which shards for a bucket are made, and tables by URL lie while they are read [default: in the system's
    /// folder for temporary files]
    #[arg(long, value_name = "FOLDER", help_heading = RARE, hide_short_help = true)]
    pub staging: Option<PathBuf>,
    /// Write counters there: FILE.prom as Prometheus text, else JSON lines
    #[arg(long, value_name = "FILE", help_heading = RARE, hide_short_help = true)]
    pub metrics: Option<PathBuf>,
    /// No progress, only errors and the final account
    #[arg(long, short, help_heading = RARE, hide_short_help = true)]
    pub quiet: bool,
    /// What img2dataset has and this has not.
    #[command(flatten)]
    pub img2dataset: Img2datasetArgs,
}

/// `retry`.
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// Folder or bucket of a finished run
    pub folder: PathBuf,
    /// Failure classes to fetch again, comma-separated, or `transient` for all that may pass
    #[arg(long, value_name = "CLASSES", value_parser = classes, required = true)]
    pub class: Classes,
    /// Simultaneous downloads [default: as the run]
    #[arg(long, value_name = "N", value_parser = number::<usize>)]
    pub thread_count: Option<usize>,
    /// Further attempts for failures that may pass [default: as the run]
    #[arg(long, value_name = "N", value_parser = number::<u32>)]
    pub retries: Option<u32>,
    /// Seconds one attempt may take in all [default: as the run]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<u64>,
    /// Fetch from loopback and private networks too
    #[arg(long)]
    pub allow_private_addresses: bool,
    /// Say how many rows would be fetched again, do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Folder in which shards for a bucket are made [default: in the system's folder for temporary files]
    #[arg(long, value_name = "FOLDER")]
    pub staging: Option<PathBuf>,
    /// Write counters there: FILE.prom as Prometheus text, else JSON lines
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
    /// No progress, only errors and the final account
    #[arg(long, short)]
    pub quiet: bool,
}

impl RunArgs {
    /// Defaults, then what the source is known for, then the TOML file, then these flags.
    ///
    /// # Errors
    /// When the file cannot be read or a setting cannot be.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let mut config = Config::read_over(self.source, self.config.as_deref())?;
        config.source.accept_terms |= self.accept_terms;
        set_some(&mut config.source.contact, self.contact);
        set_some(&mut config.filter.predicate, self.predicate);
        set_some(&mut config.subset.rows, self.subset);
        set_some(&mut config.subset.prefix, self.prefix);
        set(&mut config.subset.seed, self.seed);
        let input = &mut config.input;
        if self.columns.is_some() {
            input.header_optional = false;
        }
        set(&mut input.url_list, self.url_list);
        set_some(&mut input.input_format, self.input_format);
        set(&mut input.url_col, self.url_col);
        set_or_none(&mut input.caption_col, self.caption_col);
        set(&mut input.save_additional_columns, self.save_additional_columns.map(|n| n.0));
        set_some(&mut input.columns, self.columns.map(|n| n.0));
        set_some(&mut input.quoting, self.quoting);
        set_or_none(&mut input.verify_hash, self.verify_hash.map(|v| v.map(|v| (v.0, v.1))));
        let output = &mut config.output;
        set(&mut output.output_folder, self.output_folder);
        set(&mut output.output_format, self.output_format);
        set(&mut output.number_sample_per_shard, self.number_sample_per_shard);
        set(&mut output.oom_shard_count, self.oom_shard_count);
        set(&mut output.incremental_mode, self.incremental_mode);
        set(&mut output.compute_hash, self.compute_hash.map(|h| h.0));
        let pixels = &mut config.pixels;
        if let Some(format) = self.encode_format
            && format != pixels.encode_format
        {
            pixels.encode_format = format;
            pixels.encode_quality = default_quality(format);
        }
        set(&mut pixels.encode_quality, self.encode_quality);
        set(&mut pixels.image_size, self.image_size);
        set(&mut pixels.resize_mode, self.resize_mode);
        set(&mut pixels.resize_only_if_bigger, self.resize_only_if_bigger);
        set(&mut pixels.upscale, self.upscale_interpolation);
        set(&mut pixels.downscale, self.downscale_interpolation);
        set(&mut pixels.skip_reencode, self.skip_reencode);
        set(&mut pixels.disable_all_reencoding, self.disable_all_reencoding);
        set(&mut pixels.min_image_size, self.min_image_size);
        set(&mut pixels.max_image_area, self.max_image_area);
        set(&mut pixels.max_aspect_ratio, self.max_aspect_ratio);
        set(&mut pixels.extract_exif, self.extract_exif);
        let fetch = &mut config.fetch;
        set(&mut fetch.concurrency, self.thread_count);
        set(&mut fetch.retries, self.retries);
        set(&mut fetch.timeout_ms, self.timeout);
        set_or_none(&mut fetch.user_agent_token, self.user_agent_token);
        set(&mut fetch.disallowed_header_directives, self.disallowed_header_directives.map(|n| n.0));
        set(&mut fetch.ignore_tls_errors, self.ignore_ssl_certificate);
        fetch.allow_private_addresses |= self.allow_private_addresses;
        if let Some(contact) = config.source.contact.as_deref()
            && fetch.user_agent == DEFAULT_USER_AGENT
        {
            fetch.user_agent = format!("Pairmill/{} ({contact})", env!("CARGO_PKG_VERSION"));
        }
        let runtime = &mut config.runtime;
        set(&mut runtime.workers, self.processes_count);
        set_some(&mut runtime.metrics, self.metrics);
        set_some(&mut runtime.staging, self.staging);
        set_some(&mut runtime.shards, self.shards.map(|s| (s.0, s.1)));
        runtime.quiet |= self.quiet;
        config.validate()?;
        Ok(config)
    }
}

/// img2dataset's 95, which for png would be no compression level.
fn default_quality(format: EncodeFormat) -> u32 {
    match format {
        EncodeFormat::Png => 6,
        EncodeFormat::Jpg | EncodeFormat::Webp => 95,
    }
}

fn set<T>(setting: &mut T, typed: Option<T>) {
    if let Some(value) = typed {
        *setting = value;
    }
}

fn set_or_none<T>(setting: &mut Option<T>, typed: Option<OrNone<T>>) {
    if let Some(typed) = typed {
        *setting = typed.0;
    }
}

fn set_some<T>(setting: &mut Option<T>, typed: Option<T>) {
    if typed.is_some() {
        *setting = typed;
    }
}

/// A list of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

/// A hash kind, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hash(pub Option<HashKind>);

/// A column and the kind of hash in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyHash(pub String, pub HashKind);

/// First shard and one past the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardRange(pub u64, pub u64);

/// Failure classes, sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes(pub Vec<FailureClass>);

/// img2dataset also takes OpenCV-flavoured names.
fn interpolation(typed: &str) -> Result<Interpolation, String> {
    word(match typed {
        "bilinear" => "linear",
        "bicubic" => "cubic",
        "lanczos4" => "lanczos",
        other => other,
    })
}

/// `a,b` as well as img2dataset's Python literal `["a","b"]` and `None`.
fn names(typed: &str) -> Result<Names, String> {
    literal_list(typed).map(Names)
}

/// The same for what has a default that is not empty, which img2dataset calls `None`.
fn directives(typed: &str) -> Result<Names, String> {
    match typed.trim() {
        "None" => Ok(Names(DEFAULT_DISALLOWED_HEADER_DIRECTIVES.map(str::to_owned).to_vec())),
        list => names(list),
    }
}

fn hash(typed: &str) -> Result<Hash, String> {
    match typed {
        "none" | "None" => Ok(Hash(None)),
        kind => word(kind).map(|kind| Hash(Some(kind))),
    }
}

fn verify_hash(typed: &str) -> Result<OrNone<VerifyHash>, String> {
    match names(typed)?.0.as_slice() {
        [column, kind] => Ok(OrNone(Some(VerifyHash(column.clone(), word(kind)?)))),
        [] if typed.trim() == "None" => Ok(OrNone(None)),
        _ => Err("give the column and the kind, as in md5,md5".to_owned()),
    }
}

fn seconds(typed: &str) -> Result<u64, String> {
    let seconds: f64 = typed.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if !(0.001..=86_400.0).contains(&seconds) {
        return Err("must be between 0.001 and 86400 seconds".to_owned());
    }
    Ok((seconds * 1000.0).round() as u64)
}

fn shard_range(typed: &str) -> Result<ShardRange, String> {
    let parts = typed.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    parts.map(|(first, end)| ShardRange(first, end)).ok_or_else(|| "give FIRST..END, as in 0..100".to_owned())
}

fn classes(typed: &str) -> Result<Classes, String> {
    let mut classes = Vec::new();
    for name in names(typed)?.0 {
        if name == "transient" {
            classes.extend(FailureClass::ALL.iter().filter(|c| c.is_transient()));
        } else {
            classes.push(name.parse().map_err(|_| {
                let all: Vec<_> = FailureClass::ALL.iter().map(|c| c.as_str()).collect();
                format!("`{name}` is no failure class; there are transient, {}", all.join(", "))
            })?);
        }
    }
    classes.sort();
    classes.dedup();
    Ok(Classes(classes))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::spelling::familiar;

    fn resolve(line: &[&str]) -> Result<Config, ConfigError> {
        let words = ["pairmill-ingest", "run"].iter().chain(line).map(OsString::from);
        match Cli::try_parse_from(familiar(words)).unwrap().command {
            Command::Run(args) => args.resolve(),
            _ => unreachable!(),
        }
    }

    #[test]
    fn defaults_are_img2datasets() {
        let config = resolve(&["--url-list", "x.txt"]).unwrap();
        assert_eq!(config.pixels.image_size, 256);
        assert_eq!(config.pixels.resize_mode, ResizeMode::Border);
        assert_eq!(config.pixels.encode_quality, 95);
        assert_eq!(config.output.output_format, OutputFormat::Files);
        assert_eq!(config.output.output_folder, PathBuf::from("images"));
        assert_eq!(config.fetch.timeout_ms, 10_000);
        assert_eq!(config.fetch.concurrency, 256);
        assert_eq!(config.fetch.retries, 0);
        assert_eq!(config.output.compute_hash, Some(HashKind::Sha256));
        assert_eq!(
            config.fetch.disallowed_header_directives,
            ["noai", "noimageai", "noindex", "noimageindex"]
        );
    }

    #[test]
    fn img2datasets_own_spelling_is_understood() {
        let config = resolve(&[
            "--url_list=a_b.parquet",
            "--save_additional_columns=[\"NSFW\",'similarity']",
            "--resize_only_if_bigger=True",
            "--extract_exif",
            "False",
            "--compute_hash=md5",
            "--verify_hash=[\"md5_col\",\"md5\"]",
            "--disallowed_header_directives=[]",
            "--upscale_interpolation=bicubic",
        ])
        .unwrap();
        assert_eq!(config.input.url_list, "a_b.parquet");
        assert_eq!(config.input.save_additional_columns, ["NSFW", "similarity"]);
        assert!(config.pixels.resize_only_if_bigger && !config.pixels.extract_exif);
        assert_eq!(config.input.verify_hash, Some(("md5_col".to_owned(), HashKind::Md5)));
        assert!(config.fetch.disallowed_header_directives.is_empty());
        assert_eq!(config.pixels.upscale, Interpolation::Cubic);
    }

    #[test]
    fn bad_words_name_the_good_ones() {
        let words = ["pairmill-ingest", "run", "--resize-mode", "shrink"].map(OsString::from);
        let error = Cli::try_parse_from(words).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("keep_ratio_largest"), "{error}");
    }

    #[test]
    fn flags_win_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.toml");
        std::fs::write(
            &file,
            "[input]\nurl_list = \"t.csv\"\n[pixels]\nimage_size = 300\n[fetch]\nretries = 2\n",
        )
        .unwrap();
        let config = resolve(&["--config", file.to_str().unwrap(), "--image-size", "224"]).unwrap();
        assert_eq!((config.pixels.image_size, config.fetch.retries), (224, 2));
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_source() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.toml");
        std::fs::write(&file, "[filter]\nnsfw = [\"UNSURE\"]\n[filter.columns]\nwidth = \"W\"\n").unwrap();
        let file = file.to_str().unwrap();
        let line = ["--source", "laion2b", "--url-list", "x", "--config", file, "--image-size", "224"];
        let config = resolve(&line).unwrap();
        assert_eq!(config.filter.nsfw, ["UNSURE"]);
        assert_eq!(
            (config.filter.columns.width.as_str(), config.filter.columns.height.as_str()),
            ("W", "WIDTH|width")
        );
        assert!(config.filter.blank_caption, "the source's own rules stay");
        assert_eq!(config.pixels.image_size, 224);
        assert_eq!(
            (config.pixels.resize_mode, config.output.output_format),
            (ResizeMode::KeepRatio, OutputFormat::Webdataset)
        );
        std::fs::write(folder.path().join("own.toml"), "[source]\nname = \"cc3m\"\n").unwrap();
        let own = folder.path().join("own.toml");
        let config = resolve(&["--url-list", "x", "--config", own.to_str().unwrap()]).unwrap();
        assert_eq!(config.input.columns.unwrap(), ["caption", "url"]);
    }

    #[test]
    fn rights_and_contact_are_asked_for() {
        let refusal = |line: &[&str]| resolve(line).unwrap_err().to_string();
        let terms = refusal(&["--source", "shutterstock", "--url-list", "x"]);
        assert!(terms.contains("--accept-terms"), "{terms}");
        resolve(&["--source", "shutterstock", "--url-list", "x", "--accept-terms"]).unwrap();
        assert!(refusal(&["--source", "wit", "--url-list", "x"]).contains("--contact"));
        assert!(refusal(&["--source", "wit", "--url-list", "x", "--contact", "me"]).contains("`me`"));
        let config = resolve(&["--source", "wit", "--url-list", "x", "--contact", "me@lab.org"]).unwrap();
        assert!(config.fetch.user_agent.ends_with("(me@lab.org)"), "{}", config.fetch.user_agent);
        assert!(refusal(&["--url-list", "x", "--subset", "5", "--prefix", "5"]).contains("--prefix"));
    }

    #[test]
    fn transient_is_a_set_of_classes() {
        let set = classes("transient,http_4xx").unwrap().0;
        assert!(set.contains(&FailureClass::Dns) && set.contains(&FailureClass::Http4xx));
        assert!(!set.contains(&FailureClass::NotAnImage));
    }
}
