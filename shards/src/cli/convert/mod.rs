//! `pairmill-shards convert`: tar shards to Parquet image shards and back.
//!
//! With a sidecar table beside the tar (ours or img2dataset's) the Parquet shard is that table with the images in
//! its last column, failures included, and going back gives the same tar and table byte for byte. A tar without one
//! becomes a table of what its members hold: `caption`, `json`, `key`, `status`, other members as binary columns.

mod to_parquet;
mod to_tar;

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::bail;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use clap::Args;
use parquet::arrow::ArrowWriter;
use parquet::schema::types::ColumnPath;

use super::image_table::{each_sample, is_parquet};
use super::incomplete::IncompleteArgs;
use super::output::{Output, after};
use super::place::{self, Shard};
use super::staging::Staging;
use super::{KINDS, TarArgs};
use crate::atomic::{AtomicFile, FileAction, FileError, remove_stale_temps, write_atomic};
use crate::folder::{ShardFile, is_dataset_file};
use crate::printable::excerpt;
use crate::sample::IMAGE_EXTS;
use crate::spec::ShardSpec;
use crate::storage::Location;
use crate::table::shard_properties;
use crate::tar::{Skipped, TarOptions, is_tar_name, shard_stem};
use crate::words::grouped;

/// Arguments of `convert`.
#[derive(Debug, Args)]
#[command(
    after_help = "Tars may be compressed (.tar.gz, .tgz, .tar.bz2, .tar.zst), and Parquet anyone's with a column of images.\n\n\
    Examples:\n  \
    pairmill-shards convert laion laion-parquet\n  \
    pairmill-shards convert 'laion-parquet/{00000..00012}.parquet' laion-again"
)]
pub struct ConvertArgs {
    /// Tars, or Parquet image shards: a folder, file, glob, pattern or URL
    input: ShardSpec,
    /// Folder or URL (s3://, gs://, az://) to write to; made if it is not there
    output: String,
    /// Write the images as Hugging Face's struct column `image` instead of a binary column named by the format
    #[arg(long)]
    hf_images: bool,
    /// Replace shards of the same name in the output folder
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    incomplete: IncompleteArgs,
    /// Accept tars that end without their closing zero blocks
    #[arg(long)]
    lenient: bool,
    #[command(flatten)]
    tar: TarArgs,
}

/// Converts every shard of the input.
///
/// # Errors
/// When a shard cannot be read, its tar and table disagree, or the output cannot be written.
pub fn convert(args: &ConvertArgs, out: &mut Output) -> anyhow::Result<()> {
    let inputs = place::shards(&args.input, KINDS)?;
    args.incomplete.check([&args.input], KINDS)?;
    let to = Location::parse(&args.output)?;
    if inputs.iter().any(|input| place::is_same_folder(&input.folder(), &to)) {
        bail!("{}: the output is the input's own folder; give another", args.output);
    }
    let shown: Vec<String> = inputs.iter().map(Shard::shown).collect();
    let stems = stems(&shown)?;
    let (folder, staging) = match to {
        Location::Local(folder) => {
            fs::create_dir_all(&folder).map_err(|e| FileError::new(&folder, FileAction::Create, e))?;
            remove_stale_temps(&folder, is_dataset_file)?;
            (folder, None)
        }
        Location::Bucket(url) => {
            let staging = Staging::open(&url)?;
            (staging.path().to_owned(), Some(staging))
        }
    };
    let (mut num_samples, mut skipped) = (0, Skipped::default());
    let mut set = SetFormat { inputs: &inputs, options: args.tar.options(args.lenient), known: None };
    for ((input, shown), stem) in inputs.iter().zip(&shown).zip(stems) {
        let target = Target { folder: &folder, stem, overwrite: args.overwrite };
        let beside = [ShardFile::Table.name(stem), ShardFile::Stats.name(stem)];
        let done = input.read_with(&beside, |path| convert_one(path, args, &target, &mut set));
        let done = done.and_then(|done| {
            staging.as_ref().map_or(Ok(()), |staging| staging.upload_shard(stem))?;
            Ok(done)
        });
        let done = match &staging {
            Some(staging) => done.map_err(|error| staging.rename(error))?,
            None => done?,
        };
        num_samples += done.samples;
        skipped.add_shard(shown, &done.skipped);
    }
    let (samples, shards) = (grouped(num_samples), grouped(inputs.len() as u64));
    writeln!(out, "converted {samples} samples in {shards} shards{}", after(&skipped))?;
    Ok(())
}

/// The names of the new shards. No two inputs may become one, of which only the last would stay.
fn stems(inputs: &[String]) -> anyhow::Result<Vec<&str>> {
    let mut taken: HashMap<&str, &str> = HashMap::new();
    let mut stems = Vec::with_capacity(inputs.len());
    for input in inputs {
        let stem = shard_stem(input.rsplit('/').next().unwrap_or_default());
        if stem.is_empty() {
            bail!("{input}: no file name");
        }
        if let Some(other) = taken.insert(stem, input) {
            bail!(
                "{other} and {input} would both become shard `{}`; convert them into two folders, or merge them with \
                 `pairmill-shards reshard`",
                excerpt(stem, 60)
            );
        }
        stems.push(stem);
    }
    Ok(stems)
}

/// What became of a shard.
struct Converted {
    samples: u64,
    skipped: Skipped,
}

fn convert_one(
    input: &Path,
    args: &ConvertArgs,
    target: &Target<'_>,
    set: &mut SetFormat<'_>,
) -> anyhow::Result<Converted> {
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    let done = if is_tar_name(&name) {
        to_parquet::convert(input, args.hf_images, set, target)?
    } else if is_parquet(input) {
        to_tar::convert(input, target)?
    } else {
        bail!("{}: neither .tar nor .parquet; name the shard by its format", input.display())
    };
    copy_stats(input, target.stem, target)?;
    Ok(done)
}

/// The image format of a set: what a shard that holds no image calls its column.
struct SetFormat<'a> {
    inputs: &'a [Shard],
    options: TarOptions,
    known: Option<&'static str>,
}

impl SetFormat<'_> {
    /// That of the shards so far, or of the first shard that has an image.
    fn get(&mut self) -> anyhow::Result<&'static str> {
        if let Some(known) = self.known {
            return Ok(known);
        }
        for input in self.inputs {
            let mut found = None;
            input.read(|path| {
                each_sample(path, &self.options, |sample| {
                    found = IMAGE_EXTS.into_iter().find(|ext| sample.get(ext).is_some());
                    Ok(if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                })
            })?;
            if found.is_some() {
                self.known = found;
                break;
            }
        }
        Ok(*self.known.get_or_insert(IMAGE_EXTS[0]))
    }
}

/// Turns a Parquet image shard into `tar` and, unless it was made of bare members, the sidecar beside it.
///
/// # Errors
/// When the table has no images, or the tar cannot be written.
pub(super) fn parquet_to_tar(input: &Path, tar: &Path) -> anyhow::Result<Skipped> {
    let folder = tar.parent().unwrap_or(Path::new("."));
    let stem = tar.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    Ok(to_tar::convert(input, &Target { folder, stem, overwrite: true })?.skipped)
}

/// Where a shard's files go.
struct Target<'a> {
    folder: &'a Path,
    stem: &'a str,
    overwrite: bool,
}

impl Target<'_> {
    /// Starts one of the shard's files.
    fn create(&self, file: ShardFile) -> anyhow::Result<AtomicFile> {
        let path = self.folder.join(file.name(self.stem));
        if !self.overwrite && path.exists() {
            bail!("{} exists; give another folder, or --overwrite", path.display());
        }
        Ok(AtomicFile::create(path)?)
    }
}

/// The statistics are the mark of a finished shard, so they come last.
fn copy_stats(input: &Path, stem: &str, target: &Target<'_>) -> anyhow::Result<()> {
    let name = ShardFile::Stats.name(stem);
    match fs::read(input.with_file_name(&name)) {
        Ok(bytes) => Ok(write_atomic(target.folder.join(name), &bytes)?),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(FileError::new(input.with_file_name(name), FileAction::Read, e).into()),
    }
}

/// A Parquet shard being written: row groups of a fixed number of rows, whatever batches come in, so that the bytes
/// are those ingest writes.
struct TableOutput {
    writer: ArrowWriter<AtomicFile>,
    schema: SchemaRef,
    pending: Vec<RecordBatch>,
    num_pending: usize,
    group_rows: usize,
}

impl TableOutput {
    fn new(
        file: AtomicFile,
        schema: SchemaRef,
        images: Option<ColumnPath>,
        group_rows: usize,
    ) -> anyhow::Result<Self> {
        let properties = shard_properties(&schema, images, group_rows);
        let writer = ArrowWriter::try_new(file, SchemaRef::clone(&schema), Some(properties))?;
        Ok(Self { writer, schema, pending: Vec::new(), num_pending: 0, group_rows })
    }

    /// `batch` never straddles a row group: callers read in divisors of `group_rows`.
    fn write(&mut self, batch: RecordBatch) -> anyhow::Result<()> {
        self.num_pending += batch.num_rows();
        self.pending.push(batch);
        if self.num_pending >= self.group_rows { self.write_group() } else { Ok(()) }
    }

    fn write_group(&mut self) -> anyhow::Result<()> {
        let group = arrow::compute::concat_batches(&self.schema, &self.pending)?;
        self.pending.clear();
        self.num_pending = 0;
        self.writer.write(&group)?;
        Ok(self.writer.flush()?)
    }

    fn finish(mut self) -> anyhow::Result<AtomicFile> {
        if self.num_pending > 0 {
            self.write_group()?;
        }
        Ok(self.writer.into_inner()?)
    }
}
