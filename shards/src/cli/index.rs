//! `pairmill-shards index`: side indexes for anyone's tars.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

use super::ShardArgs;
use super::output::{Output, complain};
use crate::index::{IndexError, dali, energon, sizes};
use crate::tar::MappedTar;
use crate::words::grouped;

/// Arguments of `index`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without a flag all three are written. img2dataset takes every top-level .json of its output folder \
                  for shard statistics, so write sizes.json only when img2dataset is done with the folder.\n\n\
                  Examples:\n  pairmill-shards index laion\n  pairmill-shards index --dali 'laion/{00000..00012}.tar'"
)]
pub struct IndexArgs {
    #[command(flatten)]
    shards: ShardArgs,
    /// Write 00000.idx, for DALI's webdataset reader
    #[arg(long)]
    dali: bool,
    /// Write 00000.tar.idx, for Megatron-Energon
    #[arg(long)]
    energon: bool,
    /// Write sizes.json in each folder, for open_clip
    #[arg(long)]
    sizes: bool,
}

/// Writes the indexes asked for.
///
/// # Errors
/// When a tar cannot be read or an index not be written.
pub fn index(args: &IndexArgs, out: &mut Output) -> anyhow::Result<()> {
    let all = !(args.dali || args.energon || args.sizes);
    let mut folders: BTreeMap<PathBuf, BTreeMap<String, u64>> = BTreeMap::new();
    let (mut num_tars, mut num_samples) = (0u64, 0u64);
    for path in args.shards.tars()? {
        let tar = MappedTar::open_with(&path, args.shards.end_marker())?;
        let samples = tar.len() as u64;
        num_tars += 1;
        num_samples += samples;
        if all || args.dali {
            match dali::write(tar.index(), &dali::path_for(&path)) {
                // Only DALI has this limit; the others are still worth having.
                Err(e @ IndexError::Blank { .. }) if !args.dali => complain(&format!("warning: {e}")),
                other => other?,
            }
        }
        if all || args.energon {
            energon::write(tar.index(), &energon::path_for(&path))?;
        }
        if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
            let folder = path.parent().unwrap_or(Path::new(""));
            folders.entry(folder.to_path_buf()).or_default().insert(name.to_owned(), samples);
        }
    }
    if all || args.sizes {
        for (folder, counts) in &folders {
            write_sizes(folder, counts)?;
        }
    }
    writeln!(out, "indexed {} samples in {} tars", grouped(num_samples), grouped(num_tars))?;
    Ok(())
}

/// Tars that were counted earlier and are still there keep their counts.
fn write_sizes(folder: &Path, counts: &BTreeMap<String, u64>) -> anyhow::Result<()> {
    let path = sizes::path_in(folder);
    let mut merged = if path.exists() { sizes::read(&path)? } else { BTreeMap::new() };
    merged.retain(|name, _| folder.join(name).is_file());
    merged.extend(counts.iter().map(|(name, count)| (name.clone(), *count)));
    if merged.is_empty() {
        bail!("{}: no tar to count", folder.display());
    }
    Ok(sizes::write(&merged, &path)?)
}
