//! `pairmill-shards contact-sheet`: random samples with their captions on one page, as in the study's Figures 9–14.
//! What statistics cannot say about a source, sixty pictures can.

mod html;
mod pick;
mod png;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use self::pick::{Picked, Picks, pick};
use super::image_table::ReadOptions;
use super::incomplete;
use super::output::{Output, note};
use super::{KINDS, TarArgs};
use crate::atomic::write_atomic;
use crate::printable::printable;
use crate::spec::ShardSpec;
use crate::tar::Skipped;

/// Arguments of `contact-sheet`.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  pairmill-shards contact-sheet laion\n  \
    pairmill-shards contact-sheet 'laion/{00000..00099}.tar' --num 24 --columns 6 --out figure.png\n  \
    pairmill-shards contact-sheet laion --seed 7 --out sheet.html")]
pub struct ContactSheetArgs {
    /// Folders, tars, Parquet image shards, globs or patterns such as `data/{00000..00012}.tar`
    #[arg(required = true, value_name = "SHARDS")]
    shards: Vec<ShardSpec>,
    /// Page to write; .html shows every script, .png suits a document
    #[arg(long, short, value_name = "FILE", default_value = "contact-sheet.html")]
    out: PathBuf,
    /// Samples on the sheet
    #[arg(long, short, value_name = "N", default_value_t = 60)]
    num: usize,
    /// The same seed over the same shards gives the same sheet
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Pictures in a row (png)
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    columns: u32,
    #[command(flatten)]
    tar: TarArgs,
    /// Heading; by default the first argument
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
}

/// What stands above the pictures.
struct Heading {
    title: String,
    /// How many were drawn from how many, and with which seed.
    note: String,
}

/// Largest sheet: beyond it neither browser nor viewer is a pleasure.
const MAX_SAMPLES: usize = 2_000;

/// A sheet to be made.
#[derive(Debug, Clone, Copy)]
pub struct SheetRequest<'a> {
    /// Tars and Parquet image shards.
    pub paths: &'a [PathBuf],
    /// The page: .html or .png.
    pub out: &'a Path,
    /// Samples on it.
    pub num: usize,
    /// Of the draw.
    pub seed: u64,
    /// Pictures in a row (png).
    pub columns: u32,
    /// Its heading.
    pub title: &'a str,
    /// How tars are read.
    pub tar: &'a ReadOptions,
}

/// Draws the samples and writes the page; returns what the readers passed over.
///
/// # Errors
/// When the shards cannot be read, hold no sample, or the page cannot be written.
pub fn write_sheet(request: &SheetRequest<'_>) -> anyhow::Result<Skipped> {
    let out = request.out;
    let extension = out.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if !matches!(extension.as_str(), "html" | "htm" | "png") {
        bail!("{}: a contact sheet is .html or .png", out.display());
    }
    if request.num == 0 || request.num > MAX_SAMPLES || request.columns == 0 {
        bail!("--num takes 1 to {MAX_SAMPLES} and --columns at least 1");
    }
    let (bytes, skipped) = match extension.as_str() {
        "png" => {
            let (heading, samples, skipped) = drawn(request, png::cell)?;
            (png::render(&heading, samples, request.columns)?, skipped)
        }
        _ => {
            let (heading, samples, skipped) = drawn(request, html::data_url)?;
            (html::render(&heading, &samples).into_bytes(), skipped)
        }
    };
    write_atomic(out, &bytes)?;
    Ok(skipped)
}

/// The samples of a sheet with pictures as `picture` makes them, and what stands above them.
fn drawn<P>(
    request: &SheetRequest<'_>,
    picture: impl Fn(&[u8]) -> Option<P>,
) -> anyhow::Result<(Heading, Vec<Picked<P>>, Skipped)> {
    let Picks { samples, total, skipped } =
        pick(request.paths, request.num, request.seed, request.tar, picture)?;
    if samples.is_empty() {
        bail!("{}: no sample to show; `pairmill-shards stat` says what became of the rows", request.title);
    }
    let note = format!("{} of {total} samples, seed {}", samples.len(), request.seed);
    Ok((Heading { title: request.title.to_owned(), note }, samples, skipped))
}

/// Writes the sheet and says where.
///
/// # Errors
/// As [`write_sheet`].
pub fn contact_sheet(args: &ContactSheetArgs, out: &mut Output) -> anyhow::Result<()> {
    let mut paths = Vec::new();
    for spec in &args.shards {
        paths.extend(spec.resolve_first_of(KINDS)?);
    }
    incomplete::warn(&args.shards, KINDS);
    let named = args.shards.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    // A sheet of a tar that was cut off shows what is there.
    let tar = args.tar.read_options(true);
    let skipped = write_sheet(&SheetRequest {
        tar: &tar,
        paths: &paths,
        out: &args.out,
        num: args.num,
        seed: args.seed,
        columns: args.columns,
        title: args.title.as_deref().unwrap_or(&named),
    })?;
    let path = std::path::absolute(&args.out).with_context(|| format!("{}", args.out.display()))?;
    note(&skipped);
    Ok(writeln!(out, "{}", printable(&path.to_string_lossy()))?)
}
