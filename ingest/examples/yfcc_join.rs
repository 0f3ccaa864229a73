//! Joins YFCC100M's metadata with OpenAI's list and prints the counts, the time and the most memory the process ever
//! held. `cargo run --release --example yfcc_join -- yfcc100m_dataset.bz2 yfcc100m_subset_data.tsv.bz2`
#![allow(clippy::print_stdout, reason = "a measurement talks to its user")]

use std::time::Instant;

use anyhow::Context;
use pairmill_ingest::yfcc::{JoinOn, YfccConfig, YfccReader};

/// Rows of a shard.
const BATCH_ROWS: usize = 10_000;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dataset = arguments.next().context("usage: yfcc_join DATASET [LIST [photo_id]]")?.into();
    let subset = arguments.next().map(Into::into);
    let join = if arguments.next().as_deref() == Some("photo_id") { JoinOn::PhotoId } else { JoinOn::Line };
    let began = Instant::now();
    let mut reader = YfccReader::open(&YfccConfig { dataset, subset, join, ..YfccConfig::default() })?;
    println!("list read after {:.1} s: {:?} photos", began.elapsed().as_secs_f32(), reader.listed());
    while reader.next_batch(BATCH_ROWS)?.is_some() {}
    println!("{:?} in {:.1} s", reader.counters(), began.elapsed().as_secs_f32());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM: unknown"));
    Ok(())
}
