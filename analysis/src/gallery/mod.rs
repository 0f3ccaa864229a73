//! `pairmill-report gallery`: random samples of each source with their captions, as HTML and PNG (the study's Figures
//! 9–14). Drawing and rendering are the contact sheet's of `shards`; here sources are told apart and named.

use std::path::PathBuf;

use clap::Args;
use pairmill_shards::atomic::{FileAction, FileError};
use pairmill_shards::cli::ReadOptions;
use pairmill_shards::cli::contact_sheet::{SheetRequest, write_sheet};
use pairmill_shards::printable::error_line;
use pairmill_shards::tar::EndMarker;

use crate::captions::CaptionsError;
use crate::captions::source::{Input, resolve};

/// Samples in a gallery unless another number is given: about the study's.
pub const DEFAULT_SAMPLES: usize = 12;

/// `gallery`.
#[derive(Debug, Args)]
#[command(after_help = "Writes NAME.html and NAME.png for each source:\n  \
                        pairmill-report gallery laion cc12m --out gallery\n  \
                        pairmill-report gallery yfcc='yfcc/{00000..00099}.tar' --num 24 --seed 7 --out gallery")]
pub struct GalleryArgs {
    /// Tars or Parquet image shards: SHARDS or NAME=SHARDS
    #[arg(required = true, value_name = "SHARDS")]
    pub inputs: Vec<Input>,
    /// Folder for the pages; made if missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Samples of each source
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SAMPLES)]
    pub num: usize,
    /// The same seed over the same shards gives the same pages
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Pictures in a row of the PNG
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub columns: u32,
}

/// Why there is no gallery.
#[derive(Debug, thiserror::Error)]
pub enum GalleryError {
    /// The shards cannot be found.
    #[error(transparent)]
    Source(#[from] CaptionsError),
    /// The folder cannot be made.
    #[error(transparent)]
    Folder(#[from] FileError),
    /// A sheet cannot be made; says of which source.
    #[error("source `{name}`: {reason}")]
    Sheet {
        /// The source.
        name: String,
        /// What the contact sheet said.
        reason: String,
    },
}

/// Writes the pages and returns a line about each.
///
/// # Errors
/// When shards cannot be read, hold no sample, or a page cannot be written.
pub fn gallery(args: &GalleryArgs) -> anyhow::Result<String> {
    Ok(write_pages(args)?)
}

fn write_pages(args: &GalleryArgs) -> Result<String, GalleryError> {
    let sources = resolve(&args.inputs)?;
    std::fs::create_dir_all(&args.out).map_err(|e| FileError::new(&args.out, FileAction::Create, e))?;
    let options = ReadOptions { tar: EndMarker::Optional.into(), ..ReadOptions::default() };
    let mut text = String::new();
    for source in sources {
        for ext in ["html", "png"] {
            let out = args.out.join(format!("{}.{ext}", source.name));
            let request = SheetRequest {
                paths: &source.paths,
                out: &out,
                num: args.num,
                seed: args.seed,
                columns: args.columns,
                title: &source.name,
                tar: &options,
            };
            let failed =
                |e: anyhow::Error| GalleryError::Sheet { name: source.name.clone(), reason: error_line(&*e) };
            let skipped = write_sheet(&request).map_err(failed)?;
            let skipped = if skipped.is_empty() { String::new() } else { format!("; {skipped}") };
            text.push_str(&format!("{}{skipped}\n", out.display()));
        }
    }
    Ok(text)
}
