//! `pairmill-shards subset` and `pairmill-shards reshard`: shards to other shards of the same samples.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;

use super::ShardArgs;
use super::output::{Output, complain};
use crate::key::KeyLayout;
use crate::rewrite::{Choice, RewriteConfig, Rewritten, rewrite};
use crate::words::{grouped, parse_count};

/// Where new shards go and how large they are.
#[derive(Debug, Args)]
pub struct NewShardArgs {
    #[command(flatten)]
    shards: ShardArgs,
    /// Folder for the new shards; made if missing. A run that was cut short goes on there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Samples in a shard
    #[arg(long, value_name = "N", default_value_t = KeyLayout::DEFAULT_SAMPLES_PER_SHARD)]
    number_sample_per_shard: u64,
    /// Shuffle all samples, over shards and folders, by this seed
    #[arg(long, value_name = "SEED")]
    shuffle: Option<u64>,
    /// Megabytes of samples sorted at a time by a shuffle; the rest waits on the disk of DIR
    #[arg(long, value_name = "MB", default_value_t = 1024)]
    memory: u64,
    /// Digits a shard's name is padded to
    #[arg(long, value_name = "N", default_value_t = KeyLayout::DEFAULT_OOM_SHARD_COUNT)]
    oom_shard_count: u32,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
}

/// Arguments of `subset`.
#[derive(Debug, Args)]
#[command(
    after_help = "With one seed the smaller of two subsets lies within the larger, and neither depends on the order of the \
                  shards.\n\nExamples:\n  \
                  pairmill-shards subset laion --size 2.7M --seed 0 --out laion-2.7M\n  \
                  pairmill-shards subset laion --size 500k --prefix --out laion-first\n  \
                  pairmill-shards subset yfcc redcaps --size 1M --shuffle 0 --out mixed"
)]
pub struct SubsetArgs {
    #[command(flatten)]
    new: NewShardArgs,
    /// Samples to keep, such as 2.7M or 500k; all if there are fewer
    #[arg(long, value_name = "N", value_parser = parse_count)]
    size: u64,
    /// Of the draw
    #[arg(long, value_name = "SEED", default_value_t = 0, conflicts_with = "prefix")]
    seed: u64,
    /// Take the first samples instead of random ones, as the study did
    #[arg(long)]
    prefix: bool,
}

/// Arguments of `reshard`.
#[derive(Debug, Args)]
#[command(after_help = "Several inputs are merged in the order given.\n\nExamples:\n  \
                  pairmill-shards reshard laion --number-sample-per-shard 1000 --out laion-small\n  \
                  pairmill-shards reshard yfcc redcaps --shuffle 0 --out mixed\n  \
                  pairmill-shards reshard 'old/{00000..00099}.tar' --out new && pairmill-shards index new")]
pub struct ReshardArgs {
    #[command(flatten)]
    new: NewShardArgs,
}

/// Writes the shards of a subset.
///
/// # Errors
/// As [`rewrite`].
pub fn subset(args: &SubsetArgs, out: &mut Output) -> anyhow::Result<()> {
    let choice = match args.prefix {
        true => Choice::Prefix { size: args.size },
        false => Choice::Subset { size: args.size, seed: args.seed },
    };
    write_shards(&args.new, choice, out)
}

/// Writes the same samples into other shards.
///
/// # Errors
/// As [`rewrite`].
pub fn reshard(args: &ReshardArgs, out: &mut Output) -> anyhow::Result<()> {
    write_shards(&args.new, Choice::All, out)
}

fn write_shards(args: &NewShardArgs, choice: Choice, out: &mut Output) -> anyhow::Result<()> {
    let config = RewriteConfig {
        inputs: args.shards.tars()?,
        output: args.out.clone(),
        layout: KeyLayout::new(args.number_sample_per_shard, args.oom_shard_count)?,
        choice,
        shuffle: args.shuffle,
        bucket_bytes: args.memory << 20,
        end_marker: args.shards.end_marker(),
    };
    let shows = !args.quiet && io::stderr().is_terminal();
    let done = rewrite(&config, &mut |done, total| {
        if shows {
            // Nobody can be told if that fails.
            let _ = write!(io::stderr(), "\r{done} of {total} tars read");
        }
    });
    if shows {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    let Rewritten { samples_in, samples_out, shards, shards_found, without_tables } = done?;
    if let Some(reason) = without_tables {
        complain(&format!("the new shards have no sidecar tables: {reason}"));
    }
    let found =
        if shards_found > 0 { format!(", {} of them found", grouped(shards_found)) } else { String::new() };
    writeln!(
        out,
        "{} of {} samples in {} shards{found}",
        grouped(samples_out),
        grouped(samples_in),
        grouped(shards)
    )?;
    Ok(())
}
