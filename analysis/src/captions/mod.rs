//! What the captions of sources say: `pairmill-report captions`.
//!
//! The flow: `source` finds files → `read` takes captions out of them, a batch at a time → `scan` spreads batches over
//! threads → `tally` measures each caption (`rule` cuts it into words, `count` counts them exactly in bounded memory)
//! → `measure` boils the counts down to a [`CaptionsResult`], with `compare` between sources → `output` renders it.
//! Everything rendered is a pure function of the result; only `words.csv`, which holds every word, is streamed.

pub mod args;
mod classes;
mod compare;
mod config;
pub mod count;
pub mod error;
mod growth;
mod lengths;
mod measure;
mod output;
pub mod read;
pub mod result;
pub mod rule;
mod sample;
mod scan;
pub mod source;
mod tally;

pub use args::CaptionsArgs;
pub use error::CaptionsError;
pub use output::{sections, to_files};
pub use result::CaptionsResult;

use pairmill_shards::atomic::{FileAction, FileError};

use self::args::{DEFAULT_MEMORY_MB, DEFAULT_NGRAMS, DEFAULT_SHOWN, Measure};
use self::classes::Classes;
use self::config::Config;
use self::rule::WordRule;
use self::source::Input;

/// Measures and writes everything into the folder; returns what was found and the names of the files.
///
/// # Errors
/// When an input is bad or a file cannot be written.
pub fn captions(args: &CaptionsArgs) -> Result<(CaptionsResult, Vec<String>), CaptionsError> {
    let config = Config::new(args)?;
    let sources = source::resolve(&args.inputs)?;
    let classes = Classes::read(&args.classes)?;
    let out = &args.out;
    std::fs::create_dir_all(out).map_err(|e| FileError::new(out, FileAction::Create, e))?;
    let result = measure::measure(&config, &sources, &classes, out, args.top)?;
    let names = output::write(&result, out)?;
    Ok((result, names))
}

/// What is read for a page, where the files of [`captions`] are not wanted; everything else as by default.
#[derive(Debug)]
pub struct Reading<'a> {
    /// The sources.
    pub inputs: &'a [Input],
    /// Column with the captions; told by its name when absent.
    pub caption_col: Option<&'a str>,
    /// What a word is.
    pub word_rule: &'a WordRule,
    /// Captions drawn of each source; all without.
    pub sample: Option<u64>,
    /// Of the draw.
    pub seed: u64,
}

/// Measures the sources and keeps nothing on disk.
///
/// # Errors
/// When an input is bad or a temporary file cannot be written.
pub fn read_only(reading: &Reading<'_>) -> Result<CaptionsResult, CaptionsError> {
    let scratch =
        tempfile::tempdir().map_err(|e| FileError::new(std::env::temp_dir(), FileAction::Create, e))?;
    let config = Config {
        caption_col: reading.caption_col.map(str::to_owned),
        word_rule: reading.word_rule.clone(),
        sample: reading.sample,
        seed: reading.seed,
        measures: Measure::all(),
        ngrams: DEFAULT_NGRAMS,
        memory_bytes: DEFAULT_MEMORY_MB << 20,
        num_threads: scan::num_cores(),
    };
    let sources = source::resolve(reading.inputs)?;
    measure::measure(&config, &sources, &Classes::default(), scratch.path(), Some(DEFAULT_SHOWN))
}
