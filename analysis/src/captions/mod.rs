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

use self::classes::Classes;
use self::config::Config;

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
