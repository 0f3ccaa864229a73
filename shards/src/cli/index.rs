//! `pairmill-shards index`: side indexes for anyone's tars.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::bail;
use clap::Args;

use super::ShardArgs;
use super::incomplete::IncompleteArgs;
use super::output::{Output, after, complain};
use super::staging::Staging;
use crate::atomic::remove_stale_temps;
use crate::folder::{SIZES_FILE, ShardFile, is_dataset_file};
use crate::index::{IndexError, dali, energon, sizes};
use crate::rewrite::sweep_shuffle;
use crate::storage::Location;
use crate::table::check_version_beside;
use crate::tar::{BadSamples, MappedTar, Skipped};
use crate::words::grouped;

/// Arguments of `index`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without a flag all three are written. img2dataset takes every top-level .json of its output folder \
                  for shard statistics, so write sizes.json only when img2dataset is done with the folder.\n\
                  With --bad-samples skip, samples that cannot be read are counted all the same: other readers count them too.\n\n\
                  Examples:\n  pairmill-shards index laion\n  pairmill-shards index --dali 'laion/{00000..00012}.tar'"
)]
pub struct IndexArgs {
    #[command(flatten)]
    shards: ShardArgs,
    #[command(flatten)]
    incomplete: IncompleteArgs,
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

impl IndexArgs {
    fn all(&self) -> bool {
        !(self.dali || self.energon || self.sizes)
    }
}

/// Writes the indexes asked for.
///
/// # Errors
/// When a tar cannot be read or an index not be written.
pub fn index(args: &IndexArgs, out: &mut Output) -> anyhow::Result<()> {
    args.incomplete.check(&args.shards.shards, &["tar"])?;
    let mut folders: Vec<Folder> = Vec::new();
    let (mut num_tars, mut num_samples) = (0u64, 0u64);
    let mut skipped = Skipped::default();
    for shard in args.shards.places_of(&["tar"])? {
        let at = shard.folder();
        let known = match folders.iter().position(|folder| folder.at == at) {
            Some(known) => known,
            None => {
                folders.push(Folder::open(at)?);
                folders.len() - 1
            }
        };
        let samples = shard.read(|path| index_one(args, path, &mut folders[known], &mut skipped))?;
        num_tars += 1;
        num_samples += samples;
    }
    if args.all() || args.sizes {
        folders.iter().try_for_each(Folder::write_sizes)?;
    }
    let (samples, tars) = (grouped(num_samples), grouped(num_tars));
    writeln!(out, "indexed {samples} samples in {tars} tars{}", after(&skipped))?;
    Ok(())
}

/// A folder or prefix whose tars are indexed.
struct Folder {
    at: Location,
    staging: Option<Staging>,
    counts: BTreeMap<String, u64>,
}

impl Folder {
    fn open(at: Location) -> anyhow::Result<Self> {
        let staging = match &at {
            Location::Local(path) => {
                remove_stale_temps(path, is_dataset_file)?;
                sweep_shuffle(path);
                None
            }
            Location::Bucket(url) => Some(Staging::open(url)?),
        };
        Ok(Self { at, staging, counts: BTreeMap::new() })
    }

    /// Where the indexes are written.
    fn path(&self) -> &Path {
        match (&self.at, &self.staging) {
            (_, Some(staging)) => staging.path(),
            (Location::Local(path), None) => path,
            (Location::Bucket(_), None) => Path::new(""),
        }
    }

    fn write_sizes(&self) -> anyhow::Result<()> {
        let Some(staging) = &self.staging else { return write_sizes(self.path(), &self.counts) };
        staging.bring(SIZES_FILE)?;
        write_sizes(staging.path(), &self.counts).map_err(|error| staging.rename(error))?;
        staging.upload(SIZES_FILE)
    }
}

/// Writes the indexes of one tar, and says how many samples it has.
fn index_one(
    args: &IndexArgs,
    path: &Path,
    folder: &mut Folder,
    skipped: &mut Skipped,
) -> anyhow::Result<u64> {
    check_version_beside(path)?;
    let mut options = args.shards.tar_options();
    if options.bad_samples == BadSamples::Skip {
        // An index is for other readers, and the loader: both count samples that cannot be read.
        options.bad_samples = BadSamples::Keep;
    }
    let tar = MappedTar::open_with(path, &options)?;
    if tar.index().is_joined() {
        bail!(
            "{}: an index cannot say where samples lie that are not together; write sorted shards first \
             (`pairmill-shards reshard --unsorted join`)",
            path.display()
        );
    }
    skipped.add_shard(&path.display().to_string(), tar.skipped());
    let samples = tar.len() as u64;
    let name = path.file_name().unwrap_or_default();
    let beside = folder.path().join(name);
    let rename = |error: IndexError| match &folder.staging {
        Some(staging) => staging.rename(error.into()),
        None => error.into(),
    };
    for (wanted, what, follows_links) in [(args.dali, "DALI", true), (args.energon, "Energon", false)] {
        let reason = if tar.is_unpacked() {
            "the tar is compressed, so places in it are of no use"
        } else if !follows_links && tar.index().has_links() {
            "the tar has links, which it does not follow"
        } else {
            continue;
        };
        let line = format!(
            "{}: no index for {what}: {reason}; write new shards first (`pairmill-shards reshard`)",
            path.display()
        );
        if wanted {
            bail!(line);
        }
        if args.all() {
            complain(&format!("warning: {line}"));
        }
    }
    if (args.all() || args.dali) && !tar.is_unpacked() {
        match dali::write(tar.index(), &dali::path_for(&beside)) {
            // Only DALI has this limit; the others are still worth having.
            Err(e @ IndexError::Blank { .. }) if !args.dali => complain(&format!("warning: {e}")),
            other => other.map_err(rename)?,
        }
    }
    if (args.all() || args.energon) && !tar.is_unpacked() && !tar.index().has_links() {
        energon::write(tar.index(), &energon::path_for(&beside)).map_err(rename)?;
    }
    let Some(name) = name.to_str() else { return Ok(samples) };
    if let (Some(staging), Some(shard)) = (&folder.staging, name.strip_suffix(ShardFile::Tar.suffix())) {
        staging.upload_shard(shard)?;
    }
    folder.counts.insert(name.to_owned(), samples);
    Ok(samples)
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
