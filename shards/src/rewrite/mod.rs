//! Shards to other shards of the same samples: all of them or a subset, in the order they come or shuffled over the
//! whole set, from one folder or several, cut at another size. What `pairmill-shards subset` and `reshard` do.
//!
//! ```text
//! carrier inputs and outputs that are not tars in local folders
//! duplicates  samples whose picture an earlier one has (a pass of its own)
//! choose  which samples stay of the others: all, the first N, or a seeded subset (pass 1 over the tars)
//! shuffle chosen samples into buckets on disk by a seeded order, then bucket by bucket in that order
//! rows    the sidecar's rows of a tar's samples, where there are sidecars
//! output  samples and rows into new shards under new keys
//! record, card  what it is made of, before; what became of the samples, after
//! conversion    the same for `convert`, which keeps shards as they are cut
//! notes         what these say of a folder, to whoever asks whether it is whole; its lock
//! ```
//!
//! Samples stay the bytes they are but for the key in their `json`. Memory holds one input's sidecar, one output's
//! rows, 16 bytes for each sample of a subset, what [`duplicates`] says, and while shuffling one bucket's index. The output is a pure function
//! of inputs and config, so a run that was killed is given again and goes on behind its last whole shard.

mod card;
mod carrier;
mod choose;
mod conversion;
mod duplicates;
mod error;
mod notes;
mod output;
mod record;
mod rows;
mod shuffle;

use std::fs;
use std::path::{Path, PathBuf};

pub use self::card::DUPLICATES_FILE;
use self::card::DuplicatesList;
use self::carrier::Inputs;
pub use self::carrier::{Carrier, InPlace};
use self::choose::Chooser;
pub use self::choose::place_of;
pub use self::conversion::{CONVERSIONS_FILE, Conversion, Conversions};
use self::duplicates::Found;
pub use self::duplicates::{Duplicates, Look, MAX_DISTANCE, Unseen};
pub use self::error::RewriteError;
pub use self::notes::{DONE_FILE, Notes, lock_output, shuffle_in, sweep_shuffle};
use self::output::ShardsOutput;
pub use self::record::RECORD_FILE;
use self::record::Record;
use self::rows::Tables;
use self::shuffle::Shuffler;
use crate::folder::PAIRMILL_FOLDER;
use crate::funnel::RuleCount;
use crate::key::KeyLayout;
use crate::tar::{Skipped, TarOptions};

/// Which samples stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Every one.
    All,
    /// The first so many.
    Prefix {
        /// How many; all if there are fewer.
        size: u64,
    },
    /// So many at random: those of the smallest places ([`crate::draw`]), so that a smaller subset of the same seed lies within a
    /// larger one, and neither depends on the order of the files.
    Subset {
        /// How many; all if there are fewer.
        size: u64,
        /// Of the draw.
        seed: u64,
    },
}

/// What to write.
#[derive(Debug, Clone)]
pub struct RewriteConfig {
    /// Tars, in order.
    pub inputs: Vec<PathBuf>,
    /// Folder of the new shards; made if it is not there.
    pub output: PathBuf,
    /// Samples of a new shard and the digits of its name.
    pub layout: KeyLayout,
    /// Which samples stay.
    pub choice: Choice,
    /// Which samples go before that, because an earlier one has their picture.
    pub duplicates: Option<Duplicates>,
    /// Threads that look at pictures. Nothing depends on them but the time.
    pub threads: usize,
    /// Seed of a shuffle over all that stay; without, they stay in order.
    pub shuffle: Option<u64>,
    /// Bytes of samples a bucket of the shuffle may hold, about.
    pub bucket_bytes: u64,
    /// How the tars are read.
    pub tar: TarOptions,
    /// Columns of bytes that a [`Carrier`] makes members of; here they are only noted.
    pub members: Vec<String>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// Samples of the inputs.
    pub samples_in: u64,
    /// Samples of the new shards.
    pub samples_out: u64,
    /// What each rule dropped, in the order they were applied.
    pub rules: Vec<RuleCount>,
    /// What the readers of the inputs passed over; not part of `samples_in`.
    pub skipped: Skipped,
    /// Samples that the duplicate rule could say nothing about.
    pub unseen: Unseen,
    /// New shards.
    pub shards: u64,
    /// Of these, shards that an earlier run had finished.
    pub shards_found: u64,
    /// Why the new shards have no sidecars, if they have none.
    pub without_tables: Option<String>,
    /// An input that may have changed since an earlier version began the run: it noted only names and sizes.
    pub untold_input: Option<String>,
}

/// Where a sample is in the input.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Its number over all inputs.
    ordinal: u64,
    /// Its number within its tar.
    at: usize,
}

/// What a rewrite is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Looking at pictures for duplicates.
    Duplicates,
    /// Drawing a subset.
    Draw,
    /// Writing new shards.
    Write,
}

/// How far a rewrite is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The pass over the inputs.
    pub stage: Stage,
    /// Inputs it is through with.
    pub inputs_done: u64,
    /// Inputs in all.
    pub inputs: u64,
    /// Samples it has looked at; counted for [`Stage::Duplicates`] alone, which takes long for each.
    pub samples: u64,
}

/// Tells somebody of the progress.
struct Watch<'a> {
    progress: Progress,
    tell: &'a mut dyn FnMut(Progress),
}

impl Watch<'_> {
    fn begin(&mut self, stage: Stage) {
        self.progress = Progress { stage, inputs_done: 0, samples: 0, ..self.progress };
    }

    fn samples(&mut self, count: u64) {
        self.progress.samples += count;
        (self.tell)(self.progress);
    }

    fn input_done(&mut self) {
        self.progress.inputs_done += 1;
        (self.tell)(self.progress);
    }
}

/// Writes new shards of tars in local folders into a local folder. `tell` hears of the progress.
///
/// # Errors
/// When a tar or sidecar is damaged, they do not belong together, the output holds something else, or cannot be
/// written. Whole shards stay; the same call goes on behind them.
pub fn rewrite(config: &RewriteConfig, tell: &mut dyn FnMut(Progress)) -> Result<Rewritten, RewriteError> {
    rewrite_by(config, &InPlace, tell)
}

/// The same with inputs and output where `carrier` has them.
///
/// # Errors
/// As [`rewrite`], and when the carrier fails.
pub fn rewrite_by(
    config: &RewriteConfig,
    carrier: &dyn Carrier,
    tell: &mut dyn FnMut(Progress),
) -> Result<Rewritten, RewriteError> {
    if config.inputs.is_empty() {
        return Err(RewriteError::NoInputs);
    }
    refuse_own_folder(config)?;
    let inputs = Inputs { paths: &config.inputs, options: &config.tar, carrier };
    let tables = Tables::of(&inputs)?;
    let _lock = lock_output(&config.output)?;
    let untold_input = Record::of(config, carrier)?.claim(&config.output, carrier)?;
    let progress =
        Progress { stage: Stage::Write, inputs_done: 0, inputs: config.inputs.len() as u64, samples: 0 };
    let mut watch = Watch { progress, tell };
    let duplicates = match config.duplicates {
        Some(rule) => rule.find(&inputs, config.threads.max(1), &mut watch)?,
        None => Found::default(),
    };
    let chooser = Chooser::of(config.choice, &inputs, &duplicates, &mut watch)?;
    let mut list =
        config.duplicates.map(|_| DuplicatesList::create(&config.output, &duplicates)).transpose()?;
    let mut output = ShardsOutput::new(&config.output, config.layout, &tables, carrier);
    let mut shuffler =
        config.shuffle.map(|seed| Shuffler::new(config, seed, &tables, &inputs)).transpose()?;
    let (mut ordinal, mut position) = (0, 0);
    let mut skipped = Skipped::default();
    watch.begin(Stage::Write);
    inputs.each(|tar| {
        let rows = tables.rows_of(tar)?;
        skipped.add_shard(&carrier.named(tar.path()).0, tar.skipped());
        if let Some(list) = &mut list {
            list.add(tar, carrier.named(tar.path()).0, ordinal)?;
        }
        let mut chosen = Vec::new();
        for (at, sample) in tar.iter().enumerate() {
            if !duplicates.drops(ordinal) {
                if chooser.keeps(&sample, ordinal, position) {
                    chosen.push(Place { ordinal, at });
                }
                position += 1;
            }
            ordinal += 1;
        }
        match &mut shuffler {
            Some(shuffler) => shuffler.add(tar, &chosen, rows.as_ref())?,
            None => {
                let places: Vec<usize> = chosen.iter().map(|place| place.at).collect();
                output.add(tar, &places, rows.as_ref())?;
            }
        }
        watch.input_done();
        Ok(())
    })?;
    if let Some(shuffler) = shuffler {
        shuffler.finish(&mut output)?;
    }
    let written = output.finish()?;
    let count =
        |rule: &str, rows_in, left| RuleCount { rule: rule.to_owned(), rows_in, dropped: rows_in - left };
    let mut rules = Vec::new();
    rules.extend(config.duplicates.map(|rule| count(rule.rule(), ordinal, position)));
    if config.choice != Choice::All {
        rules.push(count("subset", position, written.samples));
    }
    let done = Rewritten {
        samples_in: ordinal,
        samples_out: written.samples,
        rules,
        skipped,
        unseen: duplicates.unseen,
        shards: written.shards,
        shards_found: written.found,
        without_tables: tables.why_none().map(str::to_owned),
        untold_input,
    };
    if let Some(list) = list {
        carrier.publish(&list.finish()?)?;
    }
    if !done.rules.is_empty() {
        card::write(config, &inputs, &done)?.iter().try_for_each(|name| carrier.publish(name))?;
    }
    notes::write_done(&config.output, done.shards)?;
    carrier.publish(&format!("{PAIRMILL_FOLDER}/{DONE_FILE}"))?;
    Ok(done)
}

/// New shards under the names of old ones would destroy what is being read.
fn refuse_own_folder(config: &RewriteConfig) -> Result<(), RewriteError> {
    let Ok(output) = fs::canonicalize(&config.output) else { return Ok(()) };
    let folder_of = |path: &Path| {
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::canonicalize(folder).ok()
    };
    match config.inputs.iter().any(|input| folder_of(input).as_deref() == Some(&output)) {
        true => Err(RewriteError::OwnFolder { folder: config.output.clone() }),
        false => Ok(()),
    }
}
