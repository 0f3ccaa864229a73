//! `pairmill-shards head`: the first samples of shards, for eyes.

use std::io::Write;
use std::ops::ControlFlow;

use clap::Args;

use super::ShardArgs;
use super::image_table::each_sample;
use super::output::{Output, note};
use crate::json::parse_python_json;
use crate::printable::{excerpt, printable};
use crate::sample::{IMAGE_EXTS, Sample};
use crate::tar::Skipped;
use crate::words::grouped;

/// Characters of a caption or field that are shown.
const MAX_SHOWN_CHARS: usize = 160;
/// Metadata fields that are shown.
const MAX_SHOWN_FIELDS: usize = 12;

/// Arguments of `head`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pairmill-shards head laion/00000.tar\n  pairmill-shards head -n 1 'laion/{00000..00012}.tar'"
)]
pub struct HeadArgs {
    #[command(flatten)]
    shards: ShardArgs,
    /// Samples to show
    #[arg(short, long, value_name = "N", default_value_t = 5)]
    num: usize,
}

/// Shows the first `num` samples.
///
/// # Errors
/// When a shard cannot be read as far as it is shown.
pub fn head(args: &HeadArgs, out: &mut Output) -> anyhow::Result<()> {
    let mut left = args.num;
    let (options, mut skipped) = (args.shards.read_options(), Skipped::default());
    for shard in args.shards.places_to_look_at()? {
        if left == 0 {
            break;
        }
        let shown = shard.shown();
        let passed_over = shard.read(|path| {
            each_sample(path, &options, |sample| {
                show(&sample, &shown, out)?;
                left -= 1;
                Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })
        })?;
        skipped.add_shard(&shown, &passed_over);
    }
    note(&skipped);
    Ok(())
}

fn show(sample: &Sample, shard: &str, out: &mut Output) -> std::io::Result<()> {
    let key = printable(&sample.key);
    writeln!(out, "{}  {}", out.heading(&key), printable(shard))?;
    for member in &sample.members {
        let size = grouped(member.data.len() as u64);
        write!(out, "  {:<8} {size:>11} B", excerpt(&member.ext, 20))?;
        if IMAGE_EXTS.contains(&member.ext.as_str()) {
            match pairmill_pixels::probe(&member.data) {
                Ok(header) => write!(out, "  {} × {}  {}", header.width, header.height, header.format)?,
                Err(e) => write!(out, "  {}", excerpt(&e.to_string(), MAX_SHOWN_CHARS))?,
            }
        }
        writeln!(out)?;
    }
    if let Some(caption) = sample.caption() {
        writeln!(out, "  caption  {}", excerpt(&String::from_utf8_lossy(caption), MAX_SHOWN_CHARS))?;
    }
    match sample.metadata().map(|json| parse_python_json(&String::from_utf8_lossy(json))) {
        Some(Ok(serde_json::Value::Object(fields))) => {
            // The key, the caption and the fact of success have been seen already.
            let seen = ["key", "caption", "status", "width", "height"];
            let told =
                fields.iter().filter(|(name, value)| !seen.contains(&name.as_str()) && !value.is_null());
            for (name, value) in told.take(MAX_SHOWN_FIELDS) {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                writeln!(out, "  {}  {}", excerpt(name, 40), excerpt(&value, MAX_SHOWN_CHARS))?;
            }
        }
        Some(_) => writeln!(out, "  json is not an object")?,
        None => {}
    }
    writeln!(out)
}
