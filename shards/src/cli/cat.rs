//! `pairmill-shards cat`: samples for other programs, as JSON lines or raw bytes.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::bail;
use arrow::array::RecordBatch;
use clap::Args;
use serde_json::{Map, Value, json};

use super::ShardArgs;
use super::image_table::{ReadOptions, each_sample, is_parquet};
use super::output::{Output, note};
use crate::json::parse_python_json;
use crate::sample::Sample;
use crate::table::{SidecarReader, check_version_beside, column, text_column};
use crate::tar::{MappedTar, Skipped};

/// Arguments of `cat`.
#[derive(Debug, Args)]
#[command(after_help = "Tars and Parquet image shards alike.\n\nExamples:\n  \
    pairmill-shards cat laion | jq -r .caption\n  \
    pairmill-shards cat laion --ext txt\n  \
    pairmill-shards cat laion/00007.tar --key 000070042 --ext jpg > 000070042.jpg")]
pub struct CatArgs {
    #[command(flatten)]
    shards: ShardArgs,
    /// Only the sample of this key (the first, should several shards have it)
    #[arg(long)]
    key: Option<String>,
    /// The raw bytes of the member with this extension instead of JSON; without --key, those of all samples, each
    /// followed by a line end
    #[arg(long, value_name = "EXT")]
    ext: Option<String>,
}

/// Writes samples or members to `out`.
///
/// # Errors
/// When a shard cannot be read, or the key or extension is in none of them.
pub fn cat(args: &CatArgs, out: &mut Output) -> anyhow::Result<()> {
    let ext = args.ext.as_ref().map(|ext| ext.trim_start_matches('.').to_lowercase());
    match (&args.key, &ext) {
        (Some(key), _) => one(args, key, ext.as_deref(), out),
        (None, Some(ext)) => every_member(args, ext, out),
        (None, None) => every_sample(args, out),
    }
}

fn one(args: &CatArgs, key: &str, ext: Option<&str>, out: &mut Output) -> anyhow::Result<()> {
    let shards = args.shards.places_to_look_at()?;
    for shard in &shards {
        let Some(sample) = shard.read(|path| find(path, key, &args.shards.read_options()))? else { continue };
        match ext {
            None => write_json(&sample, &shard.shown(), out)?,
            Some(ext) => match sample.get(ext) {
                Some(data) => out.write_data(data)?,
                None => {
                    let has: Vec<_> = sample.members.iter().map(|member| member.ext.as_str()).collect();
                    bail!("{}: sample {key} has no member .{ext}; it has {}", shard.shown(), has.join(", "));
                }
            },
        }
        return Ok(());
    }
    bail!(
        "no sample {key} in {} shard(s) searched; `pairmill-shards head` shows what keys look like",
        shards.len()
    )
}

/// The sample of a key in one shard.
fn find(path: &Path, key: &str, options: &ReadOptions) -> anyhow::Result<Option<Sample>> {
    if !is_parquet(path) {
        check_version_beside(path)?;
        let tar = MappedTar::open_with(path, &options.tar)?;
        return Ok(tar.index().position(key).and_then(|at| tar.sample(at)).map(|sample| sample.to_sample()));
    }
    let table = SidecarReader::open_any(path)?;
    let has_key = |batch: RecordBatch| -> anyhow::Result<bool> {
        let keys = text_column(path, &batch, column::KEY)?;
        Ok(keys.is_some_and(|keys| keys.iter().any(|found| found == Some(key))))
    };
    // The keys alone are read first: images are most of a shard. Tables of other tools may have none.
    let there = !table.has_column(column::KEY)
        || table
            .batches(Some(&[column::KEY]))?
            .map(|batch| has_key(batch?))
            .any(|found| found.unwrap_or(true));
    let mut found = None;
    if there {
        each_sample(path, options, |sample| {
            found = (sample.key == key).then_some(sample);
            Ok(if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
    }
    Ok(found)
}

fn every_member(args: &CatArgs, ext: &str, out: &mut Output) -> anyhow::Result<()> {
    let mut found = false;
    let (options, mut skipped) = (args.shards.read_options(), Skipped::default());
    for shard in args.shards.places_to_look_at()? {
        let passed_over = shard.read(|path| {
            each_sample(path, &options, |sample| {
                if let Some(data) = sample.get(ext) {
                    found = true;
                    out.write_data(data)?;
                    out.write_all(b"\n")?;
                }
                Ok(ControlFlow::Continue(()))
            })
        })?;
        skipped.add_shard(&shard.shown(), &passed_over);
    }
    note(&skipped);
    if !found {
        bail!("no sample has a member .{ext}; `pairmill-shards head` shows which members there are");
    }
    Ok(())
}

fn every_sample(args: &CatArgs, out: &mut Output) -> anyhow::Result<()> {
    let (options, mut skipped) = (args.shards.read_options(), Skipped::default());
    for shard in args.shards.places_to_look_at()? {
        let shown = shard.shown();
        let passed_over = shard.read(|path| {
            each_sample(path, &options, |sample| {
                write_json(&sample, &shown, out)?;
                Ok(ControlFlow::Continue(()))
            })
        })?;
        skipped.add_shard(&shown, &passed_over);
    }
    note(&skipped);
    Ok(())
}

/// One line: shard, key, members with their sizes in bytes, caption and metadata (null where there is none or it
/// does not parse).
fn write_json(sample: &Sample, shard: &str, out: &mut Output) -> anyhow::Result<()> {
    let sizes: Map<String, Value> =
        sample.members.iter().map(|m| (m.ext.clone(), Value::from(m.data.len()))).collect();
    let metadata =
        sample.metadata().and_then(|bytes| parse_python_json(&String::from_utf8_lossy(bytes)).ok());
    let line = json!({
        "shard": shard,
        "key": sample.key,
        "members": sizes,
        "caption": sample.caption().map(String::from_utf8_lossy),
        "metadata": metadata,
    });
    Ok(out.write_json(&line.to_string())?)
}
