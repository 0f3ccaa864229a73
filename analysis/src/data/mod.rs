//! The data half of a report: what became of the rows of each source ([`funnel`]) and what its captions say
//! ([`captions`]). `report` puts it before the provenance of the page; it reads shards and tables as
//! `pairmill-report captions` does.

mod funnel;

pub use funnel::Funnel;

use std::path::PathBuf;

use clap::Args;
use pairmill_shards::account::AccountError;
use pairmill_shards::atomic::{FileAction, FileError};
use pairmill_shards::words::parse_count;

use crate::captions::rule::WordRule;
use crate::captions::source::Input;
use crate::captions::{self, CaptionsError, Reading};
use crate::report::{Block, Section, Table, Value};

/// Sources on the page of `report`.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// Put a source's funnel and captions on the page: INPUT or NAME=INPUT, as `captions` takes them; repeatable
    #[arg(long = "captions", value_name = "INPUT")]
    pub inputs: Vec<Input>,
    /// Column with the captions [default: by its name]
    #[arg(long, value_name = "NAME", requires = "inputs")]
    pub caption_col: Option<String>,
    /// What a word is: letters, words, nouns or regex:EXPRESSION
    #[arg(long, value_name = "RULE", default_value = "letters", requires = "inputs")]
    pub word_rule: WordRule,
    /// Draw so many captions of each source, e.g. 1M [default: all]
    #[arg(long, value_name = "N", value_parser = parse_count, requires = "inputs")]
    pub sample: Option<u64>,
}

/// Why a source cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Its captions.
    #[error(transparent)]
    Captions(#[from] CaptionsError),
    /// A folder that cannot be listed.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its account.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Its dataset card.
    #[error("{}: not a dataset card ({problem}); run the same pairmill-ingest command again to have it made anew", path.display())]
    Card {
        /// The card.
        path: PathBuf,
        /// What the parser said.
        problem: String,
    },
}

impl DataError {
    /// Whether the input is at fault, not the disk or the program.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Captions(error) => error.is_bad_input(),
            Self::File(error) => matches!(error.action, FileAction::Read | FileAction::List),
            Self::Account(_) | Self::Card { .. } => true,
        }
    }
}

/// What a report says of the sources.
#[derive(Debug, Default)]
pub struct DataSections {
    /// Funnels, then captions, in reading order.
    pub sections: Vec<Section>,
    /// Where they come from, for the end of the page.
    pub provenance: Vec<Block>,
}

/// Reads the sources of `args`; without any, nothing.
///
/// # Errors
/// When one cannot be read or holds no caption.
pub fn sections(args: &DataArgs, seed: u64) -> Result<DataSections, DataError> {
    if args.inputs.is_empty() {
        return Ok(DataSections::default());
    }
    let mut funnels = Vec::new();
    for input in &args.inputs {
        for folder in input.folders() {
            funnels.extend(Funnel::of(&input.name_of(&folder), &folder)?);
        }
    }
    let result = captions::read_only(&Reading {
        inputs: &args.inputs,
        caption_col: args.caption_col.as_deref(),
        word_rule: &args.word_rule,
        sample: args.sample,
        seed,
    })?;
    let mut sections = Vec::new();
    if !funnels.is_empty() {
        sections.push(funnel::section(&funnels));
    }
    sections.extend(captions::sections(&result));
    Ok(DataSections { sections, provenance: vec![Block::Table(provenance(args, &funnels))] })
}

fn provenance(args: &DataArgs, funnels: &[Funnel]) -> Table {
    let mut table = Table::new("Sources", &["source", "input", "made by", "shards", "bytes"]);
    for input in &args.inputs {
        let folders: Vec<PathBuf> = input.folders();
        let mine: Vec<&Funnel> = funnels.iter().filter(|f| folders.contains(&f.folder)).collect();
        if mine.is_empty() {
            table.rows.push(vec![
                Value::Blank,
                input.to_string().into(),
                Value::Blank,
                Value::Blank,
                Value::Blank,
            ]);
        }
        for funnel in mine {
            table.rows.push(vec![
                funnel.source.as_str().into(),
                funnel.folder.display().to_string().into(),
                funnel.made_by.as_str().into(),
                Value::Number(funnel.shards as f64, 0),
                Value::Number(funnel.bytes as f64, 0),
            ]);
        }
    }
    table
}
