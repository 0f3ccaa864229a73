//! What the arguments of `captions` are resolved to.

use super::args::{CaptionsArgs, Measure};
use super::error::CaptionsError;
use super::rule::WordRule;
use super::scan::num_cores;

/// Least memory that counting makes sense with, MiB.
const MIN_MEMORY_MB: usize = 16;

/// How to measure.
#[derive(Debug, Clone)]
pub struct Config {
    /// The user's column of captions.
    pub caption_col: Option<String>,
    /// What a word is.
    pub word_rule: WordRule,
    /// Captions drawn of each source; all without.
    pub sample: Option<u64>,
    /// Of the draw.
    pub seed: u64,
    /// What to measure, each once.
    pub measures: Vec<Measure>,
    /// Longest n-grams, words.
    pub ngrams: usize,
    /// Memory for counting.
    pub memory_bytes: usize,
    /// At least 1.
    pub num_threads: usize,
}

impl Config {
    /// Resolves what the user typed.
    ///
    /// # Errors
    /// When a number is out of range.
    pub fn new(args: &CaptionsArgs) -> Result<Self, CaptionsError> {
        if args.memory < MIN_MEMORY_MB {
            return Err(CaptionsError::Usage(format!("--memory takes at least {MIN_MEMORY_MB} (MiB)")));
        }
        if args.threads == Some(0) || args.top == Some(0) || args.sample == Some(0) {
            return Err(CaptionsError::Usage("--threads, --top and --sample take at least 1".to_owned()));
        }
        let mut measures = args.measure.clone();
        measures.sort_unstable();
        measures.dedup();
        Ok(Self {
            caption_col: args.caption_col.clone(),
            word_rule: args.word_rule.clone(),
            sample: args.sample,
            seed: args.seed,
            measures,
            ngrams: args.ngrams,
            memory_bytes: args.memory << 20,
            num_threads: args.threads.unwrap_or_else(num_cores),
        })
    }
}
