//! What the user typed for `captions`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use pairmill_shards::words::parse_count;

use super::rule::WordRule;
use super::source::Input;

/// Memory for counting unless another amount is given, MiB.
pub const DEFAULT_MEMORY_MB: usize = 256;
/// Rows of the tables that people read.
pub const DEFAULT_SHOWN: usize = 20;
/// Longest n-grams unless others are asked for.
pub const DEFAULT_NGRAMS: usize = 2;

/// Something to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Measure {
    /// Words: counts, document frequencies, vocabulary growth; needed for comparisons
    Words,
    /// Sequences of words
    Ngrams,
    /// Length in characters and words
    Lengths,
    /// Length in CLIP tokens
    Tokens,
    /// Shares of languages
    Languages,
    /// Captions that occur more than once
    Duplicates,
}

impl Measure {
    /// Everything there is.
    pub fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }
}

/// `captions`.
#[derive(Debug, Args)]
#[command(
    after_help = "INPUT is a folder, file, glob or pattern of tar shards, Parquet, CSV, TSV or JSON lines; NAME=INPUT names\n\
                  the source, and inputs of one name are one source:\n  \
                  pairmill-report captions laion --out out\n  \
                  pairmill-report captions part-*.parquet --caption-col TEXT --word-rule nouns --top 20 --out out\n  \
                  pairmill-report captions cc3m=train.tsv --caption-col 0 --out out\n  \
                  pairmill-report captions laion=a yfcc=b --sample 1000000 --classes pets=pets.txt --out out\n  \
                  pairmill-report captions laion --measure words --word-rule 'regex:[A-Z]\\w+' --out out"
)]
pub struct CaptionsArgs {
    /// Sources: INPUT or NAME=INPUT
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<Input>,
    /// Folder for the tables, drawings and captions.md; made if missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Column with the captions, or its number from 0 in a csv or tsv without header [default: by its name]
    #[arg(long, value_name = "NAME")]
    pub caption_col: Option<String>,
    /// What a word is: letters, words, nouns or regex:EXPRESSION
    #[arg(long, value_name = "RULE", default_value = "letters")]
    pub word_rule: WordRule,
    /// Rows of words.csv and the other tables [default: every word; 1000 in the others]
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    /// Draw so many captions of each source, e.g. 1M [default: all]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub sample: Option<u64>,
    /// The same seed over the same files draws the same captions
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// What to measure
    #[arg(
        long,
        value_name = "MEASURES",
        value_delimiter = ',',
        default_value = "words,ngrams,lengths,tokens,languages,duplicates"
    )]
    pub measure: Vec<Measure>,
    /// Longest n-grams
    #[arg(long, value_name = "N", default_value_t = DEFAULT_NGRAMS, value_parser = ngrams)]
    pub ngrams: usize,
    /// Class names of a task, one on each line: FILE or TASK=FILE
    #[arg(long, value_name = "FILE")]
    pub classes: Vec<String>,
    /// Memory for counting, MiB; what does not fit goes to temporary files in DIR
    #[arg(long, value_name = "MB", default_value_t = DEFAULT_MEMORY_MB)]
    pub memory: usize,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

fn ngrams(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (2..=5).contains(n)).ok_or_else(|| "n-grams have 2 to 5 words".to_owned())
}
