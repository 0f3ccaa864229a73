//! `pairmill-shards subset` and `pairmill-shards reshard`: shards to other shards of the same samples. What may lie
//! elsewhere, or be of the other kind, is [`Carried`]'s.

use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::str::FromStr;

use clap::Args;
use pairmill_pixels::{Limits, perceptual_hash};

use super::carry::Carried;
use super::incomplete::IncompleteArgs;
use super::output::{Output, after, complain};
use super::{KINDS, ShardArgs};
use crate::funnel::total;
use crate::key::KeyLayout;
use crate::rewrite::{
    Choice, Duplicates, Look, MAX_DISTANCE, Progress, RewriteConfig, Rewritten, Stage, rewrite_by,
};
use crate::words::{grouped, parse_count};

/// Where new shards go and how large they are.
#[derive(Debug, Args)]
pub struct NewShardArgs {
    #[command(flatten)]
    shards: ShardArgs,
    /// Folder or URL (s3://, gs://, az://) for the new shards; made if missing. A run that was cut short goes on there
    #[arg(long, value_name = "DIR")]
    out: String,
    #[command(flatten)]
    incomplete: IncompleteArgs,
    /// Samples in a shard
    #[arg(long, value_name = "N", default_value_t = KeyLayout::DEFAULT_SAMPLES_PER_SHARD)]
    number_sample_per_shard: u64,
    /// Shuffle all samples, over shards and folders, by this seed
    #[arg(long, value_name = "SEED")]
    shuffle: Option<u64>,
    /// Megabytes of samples sorted at a time by a shuffle; the rest waits on the disk of DIR
    #[arg(long, value_name = "MB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
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
                  pairmill-shards subset yfcc redcaps --size 1M --shuffle 0 --out mixed\n  \
                  pairmill-shards subset wit --drop-duplicate-images near --out wit-once\n  \
                  pairmill-shards subset s3://bucket/laion --size 1M --out s3://bucket/laion-1M"
)]
pub struct SubsetArgs {
    #[command(flatten)]
    new: NewShardArgs,
    /// Samples to keep, such as 2.7M or 500k; all if there are fewer
    #[arg(long, value_name = "N", value_parser = parse_count, required_unless_present = "drop_duplicate_images")]
    size: Option<u64>,
    /// Of the draw
    #[arg(long, value_name = "SEED", default_value_t = 0, conflicts_with = "prefix")]
    seed: u64,
    /// Take the first samples instead of random ones, as the study did
    #[arg(long, requires = "size")]
    prefix: bool,
    /// Before that, drop each sample whose picture an earlier one has: `exact` (equal bytes), or `near` (perceptual hashes
    /// that differ in at most 4 of 64 bits; `near:D` for another number, up to 15). `_pairmill/duplicates.tsv` says which
    #[arg(long, value_name = "exact|near[:D]")]
    drop_duplicate_images: Option<DuplicateRule>,
    /// Threads that look at pictures; all cores unless given. The result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    threads: Option<u16>,
}

/// What `--drop-duplicate-images` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DuplicateRule {
    Exact,
    Near { distance: u32 },
}

/// Bits of 64 that copies of a picture may differ in. Of 200 photographs, every copy as JPEG of quality 10 to 95, as WebP,
/// or of 64 to 1,024 pixels differs in no more, and no two photographs in fewer than 14
/// (pixels/examples/near_duplicates.rs). Each two bits more multiply the chance hits among millions by about a hundred.
const NEAR: u32 = 4;

impl FromStr for DuplicateRule {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let distance = match typed.split_once(':') {
            None if typed == "exact" => return Ok(Self::Exact),
            None if typed == "near" => Some(NEAR),
            Some(("near", bits)) => bits.parse().ok().filter(|bits| *bits <= MAX_DISTANCE),
            _ => None,
        };
        let refused = || format!("give `exact`, `near`, or `near:D` with D from 0 to {MAX_DISTANCE}");
        distance.map(|distance| Self::Near { distance }).ok_or_else(refused)
    }
}

/// What the near rule sees of a picture.
fn look(picture: &[u8]) -> Look {
    match perceptual_hash(picture, &Limits::default()) {
        Ok(Some(hash)) => Look::Hash(hash),
        Ok(None) => Look::Flat,
        Err(_) => Look::Unreadable,
    }
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
/// As [`rewrite_by`].
pub fn subset(args: &SubsetArgs, out: &mut Output) -> anyhow::Result<()> {
    let choice = match args.size {
        None => Choice::All,
        Some(size) if args.prefix => Choice::Prefix { size },
        Some(size) => Choice::Subset { size, seed: args.seed },
    };
    let duplicates = args.drop_duplicate_images.map(|rule| match rule {
        DuplicateRule::Exact => Duplicates::Exact,
        DuplicateRule::Near { distance } => Duplicates::Near { distance, look },
    });
    write_shards(&args.new, choice, duplicates, args.threads, out)
}

/// Writes the same samples into other shards.
///
/// # Errors
/// As [`rewrite_by`].
pub fn reshard(args: &ReshardArgs, out: &mut Output) -> anyhow::Result<()> {
    write_shards(&args.new, Choice::All, None, None, out)
}

fn write_shards(
    args: &NewShardArgs,
    choice: Choice,
    duplicates: Option<Duplicates>,
    threads: Option<u16>,
    out: &mut Output,
) -> anyhow::Result<()> {
    let layout = KeyLayout::new(args.number_sample_per_shard, args.oom_shard_count)?;
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    args.incomplete.check(&args.shards.shards, KINDS)?;
    let carried = Carried::new(args.shards.places()?, &args.out, args.shards.read_options())?;
    let config = RewriteConfig {
        inputs: carried.inputs.clone(),
        output: carried.output.clone(),
        layout,
        choice,
        duplicates,
        threads: threads.map_or_else(cores, usize::from),
        shuffle: args.shuffle,
        bucket_bytes: args.memory << 20,
        tar: args.shards.tar_options(),
        members: args.shards.tar.members.clone(),
    };
    let shows = !args.quiet && io::stderr().is_terminal();
    let done = rewrite_by(&config, &carried, &mut |progress| {
        if shows {
            // Nobody can be told if that fails.
            let _ = write!(io::stderr(), "\r\x1b[K{}", line(&progress));
        }
    });
    if shows {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    let done = done.map_err(|error| carried.rename(error.into()))?;
    let Rewritten { samples_in, samples_out, rules, mut skipped, unseen, shards, shards_found, .. } = done;
    carried.add_skipped(&mut skipped);
    if let Some(input) = done.untold_input {
        complain(&format!(
            "warning: an earlier version began {} and noted only names and sizes, so nothing shows whether {input} \
             holds the same samples in the same order; went on as if it did",
            args.out
        ));
    }
    if let Some(reason) = done.without_tables {
        complain(&format!("the new shards have no sidecar tables: {reason}"));
    }
    for (count, what) in [
        (unseen.without_image, "have no image"),
        (unseen.unreadable, "have an image that cannot be decoded"),
        (unseen.flat, "have an image too flat to compare"),
    ] {
        if count > 0 {
            complain(&format!("passed as no duplicates: {} samples that {what}", grouped(count)));
        }
    }
    let wanted = match choice {
        Choice::All => 0,
        Choice::Prefix { size } | Choice::Subset { size, .. } => size,
    };
    if samples_out < wanted {
        let left =
            if duplicates.is_some() { "only {} are left without duplicates" } else { "there are only {}" };
        let left = left.replace("{}", &grouped(samples_out));
        complain(&format!("note: --size asks for {} samples, but {left}: all were taken", grouped(wanted)));
    }
    if duplicates.is_some() {
        writeln!(out, "{}", total("samples in", samples_in))?;
        for rule in &rules {
            writeln!(out, "{rule}")?;
        }
        writeln!(out, "{}", total("samples kept", samples_out))?;
    }
    let found =
        if shards_found > 0 { format!(", {} of them found", grouped(shards_found)) } else { String::new() };
    writeln!(
        out,
        "{} of {} samples in {} shards{found}{}",
        grouped(samples_out),
        grouped(samples_in),
        grouped(shards),
        after(&skipped)
    )?;
    Ok(())
}

/// The progress, for a terminal.
fn line(progress: &Progress) -> String {
    let Progress { stage, inputs_done, inputs, samples } = progress;
    let shards = format!("{} of {} shards", grouped(*inputs_done), grouped(*inputs));
    match stage {
        Stage::Duplicates => format!("looking for duplicates: {shards}, {} pictures", grouped(*samples)),
        Stage::Draw => format!("drawing: {shards}"),
        Stage::Write => format!("writing: {shards} read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_typed_in_a_word() {
        assert_eq!("exact".parse(), Ok(DuplicateRule::Exact));
        assert_eq!("near".parse(), Ok(DuplicateRule::Near { distance: NEAR }));
        assert_eq!("near:0".parse(), Ok(DuplicateRule::Near { distance: 0 }));
        for bad in ["", "Exact", "exact:1", "near:", "near:16", "near:-1", "nearly"] {
            assert!(bad.parse::<DuplicateRule>().unwrap_err().contains("near:D"), "{bad}");
        }
    }
}
