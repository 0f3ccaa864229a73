//! Shards to other shards of the same samples: all of them or a subset, in the order they come or shuffled over the
//! whole set, from one folder or several, cut at another size. What `pairmill-shards subset` and `reshard` do.
//!
//! ```text
//! choose  which samples stay: all, the first N, or a seeded subset (pass 1 over the tars)
//! shuffle chosen samples into buckets on disk by a seeded order, then bucket by bucket in that order
//! rows    the sidecar's rows of a tar's samples, where there are sidecars
//! output  samples and rows into new shards under new keys
//! ```
//!
//! Samples stay the bytes they are but for the key in their `json`. Memory holds one input's sidecar, one output's
//! rows, 16 bytes for each sample of a subset, and while shuffling one bucket's index. The output is a pure function
//! of inputs and config, so a run that was killed is given again and goes on behind its last whole shard.

mod choose;
mod error;
mod output;
mod record;
mod rows;
mod shuffle;

use std::path::{Path, PathBuf};

use self::choose::Chooser;
pub use self::choose::place_of;
pub use self::error::RewriteError;
use self::output::ShardsOutput;
use self::record::Record;
use self::rows::Tables;
use self::shuffle::Shuffler;
use crate::key::KeyLayout;
use crate::tar::{EndMarker, MappedTar};

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
    /// Seed of a shuffle over all that stay; without, they stay in order.
    pub shuffle: Option<u64>,
    /// Bytes of samples a bucket of the shuffle may hold, about.
    pub bucket_bytes: u64,
    /// What tars must end with.
    pub end_marker: EndMarker,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// Samples of the inputs.
    pub samples_in: u64,
    /// Samples of the new shards.
    pub samples_out: u64,
    /// New shards.
    pub shards: u64,
    /// Of these, shards that an earlier run had finished.
    pub shards_found: u64,
    /// Why the new shards have no sidecars, if they have none.
    pub without_tables: Option<String>,
}

/// Where a sample is in the input.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Its number over all inputs.
    ordinal: u64,
    /// Its number within its tar.
    at: usize,
}

/// Writes the new shards. `watch` gets inputs done and inputs in all, over every pass.
///
/// # Errors
/// When a tar or sidecar is damaged, they do not belong together, the output holds something else, or cannot be
/// written. Whole shards stay; the same call goes on behind them.
pub fn rewrite(config: &RewriteConfig, watch: &mut dyn FnMut(u64, u64)) -> Result<Rewritten, RewriteError> {
    if config.inputs.is_empty() {
        return Err(RewriteError::NoInputs);
    }
    refuse_own_folder(config)?;
    let tables = Tables::of(&config.inputs)?;
    Record::of(config).claim(&config.output)?;
    let num_inputs = config.inputs.len() as u64;
    let passes = if matches!(config.choice, Choice::Subset { .. }) { 2 } else { 1 };
    let mut done = 0;
    let mut tick = move || {
        done += 1;
        watch(done, passes * num_inputs);
    };
    let chooser = Chooser::of(config, &mut tick)?;
    let mut output = ShardsOutput::new(&config.output, config.layout, &tables);
    let mut shuffler = config.shuffle.map(|seed| Shuffler::new(config, seed, &tables)).transpose()?;
    let mut ordinal = 0;
    for path in &config.inputs {
        let tar = MappedTar::open_with(path, config.end_marker)?;
        let rows = tables.rows_of(&tar)?;
        let mut chosen = Vec::new();
        for (at, sample) in tar.iter().enumerate() {
            if chooser.keeps(&sample, ordinal) {
                chosen.push(Place { ordinal, at });
            }
            ordinal += 1;
        }
        match &mut shuffler {
            Some(shuffler) => shuffler.add(&tar, &chosen, rows.as_ref())?,
            None => {
                let places: Vec<usize> = chosen.iter().map(|place| place.at).collect();
                output.add(&tar, &places, rows.as_ref())?;
            }
        }
        tick();
    }
    if let Some(shuffler) = shuffler {
        shuffler.finish(&mut output)?;
    }
    let written = output.finish()?;
    Ok(Rewritten {
        samples_in: ordinal,
        samples_out: written.samples,
        shards: written.shards,
        shards_found: written.found,
        without_tables: tables.why_none().map(str::to_owned),
    })
}

/// New shards under the names of old ones would destroy what is being read.
fn refuse_own_folder(config: &RewriteConfig) -> Result<(), RewriteError> {
    let Ok(output) = std::fs::canonicalize(&config.output) else { return Ok(()) };
    let folder_of = |path: &Path| {
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::canonicalize(folder).ok()
    };
    match config.inputs.iter().any(|input| folder_of(input).as_deref() == Some(&output)) {
        true => Err(RewriteError::OwnFolder { folder: config.output.clone() }),
        false => Ok(()),
    }
}
