//! `pairmill-shards convert`: tar shards to Parquet image shards and back.
//!
//! With a sidecar table beside the tar (ours or img2dataset's) the Parquet shard is that table with the images in
//! its last column, failures included, and going back gives the same tar and table byte for byte. A tar without one
//! becomes a table of what its members hold: `caption`, `json`, `key`, `status`, other members as binary columns.

mod plan;
mod to_parquet;
mod to_tar;

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

use self::plan::{Job, Ledger};
use super::image_table::{ReadOptions, each_sample};
use super::incomplete::IncompleteArgs;
use super::output::{Output, after};
use super::place::{self, Shard};
use super::staging::Staging;
use super::{KINDS, TarArgs};
use crate::atomic::{AtomicFile, FileAction, FileError, write_atomic};
use crate::folder::ShardFile;
use crate::sample::IMAGE_EXTS;
use crate::spec::ShardSpec;
use crate::storage::Location;
use crate::table::shard_properties;
use crate::tar::Skipped;
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
    /// Folder or URL (s3://, gs://, az://) to write to; made if it is not there. A run that was cut short goes on there
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
    let mut jobs = plan::jobs(&inputs, &shown, args)?;
    let (folder, staging) = match to {
        Location::Local(folder) => {
            fs::create_dir_all(&folder).map_err(|e| FileError::new(&folder, FileAction::Create, e))?;
            (folder, None)
        }
        Location::Bucket(url) => {
            let staging = Staging::open(&url)?;
            (staging.path().to_owned(), Some(staging))
        }
    };
    let ledger = Ledger { folder: &folder, staging: staging.as_ref(), overwrite: args.overwrite };
    let done = convert_all(args, &inputs, &mut jobs, &ledger);
    let (num_samples, skipped) = match &staging {
        Some(staging) => done.map_err(|error| staging.rename(error))?,
        None => done?,
    };
    let num_found = jobs.iter().filter(|job| job.is_made).count();
    let (samples, shards) = (grouped(num_samples), grouped((jobs.len() - num_found) as u64));
    let found = grouped(num_found as u64);
    if num_found == jobs.len() {
        writeln!(out, "nothing to do: {found} of {found} shards are there")?;
    } else if num_found > 0 {
        let rest = after(&skipped);
        writeln!(out, "converted {samples} samples in {shards} shards, {found} more were there{rest}")?;
    } else {
        writeln!(out, "converted {samples} samples in {shards} shards{}", after(&skipped))?;
    }
    Ok(())
}

/// Makes what is not there, and says how many samples that are and what was passed over.
fn convert_all(
    args: &ConvertArgs,
    inputs: &[Shard],
    jobs: &mut [Job<'_>],
    ledger: &Ledger<'_>,
) -> anyhow::Result<(u64, Skipped)> {
    ledger.begin(jobs)?;
    let (mut num_samples, mut skipped) = (0, Skipped::default());
    let mut set = SetFormat { inputs, options: args.tar.read_options(args.lenient), known: None };
    for job in jobs.iter().filter(|job| !job.is_made) {
        let target = Target { folder: ledger.folder, stem: job.stem };
        let beside = [ShardFile::Table.name(job.stem), ShardFile::Stats.name(job.stem)];
        let done = job.input.read_with(&beside, |path| convert_one(path, args, job, &target, &mut set))?;
        ledger.publish(job)?;
        num_samples += done.samples;
        skipped.add_shard(job.shown, &done.skipped);
    }
    ledger.finish(jobs)?;
    Ok((num_samples, skipped))
}

/// What became of a shard.
struct Converted {
    samples: u64,
    skipped: Skipped,
}

fn convert_one(
    input: &Path,
    args: &ConvertArgs,
    job: &Job<'_>,
    target: &Target<'_>,
    set: &mut SetFormat<'_>,
) -> anyhow::Result<Converted> {
    let done = match job.is_to_parquet() {
        true => to_parquet::convert(input, args.hf_images, set, target)?,
        false => to_tar::convert(input, &set.options, target)?,
    };
    copy_stats(input, target.stem, target)?;
    Ok(done)
}

/// The image format of a set: what a shard that holds no image calls its column.
struct SetFormat<'a> {
    inputs: &'a [Shard],
    options: ReadOptions,
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
pub(super) fn parquet_to_tar(input: &Path, options: &ReadOptions, tar: &Path) -> anyhow::Result<Skipped> {
    let folder = tar.parent().unwrap_or(Path::new("."));
    let stem = tar.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    Ok(to_tar::convert(input, options, &Target { folder, stem })?.skipped)
}

/// Where a shard's files go.
struct Target<'a> {
    folder: &'a Path,
    stem: &'a str,
}

impl Target<'_> {
    /// Starts one of the shard's files.
    fn create(&self, file: ShardFile) -> anyhow::Result<AtomicFile> {
        Ok(AtomicFile::create(self.folder.join(file.name(self.stem)))?)
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
        version: Option<u32>,
    ) -> anyhow::Result<Self> {
        let properties = shard_properties(&schema, images, group_rows, version);
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
