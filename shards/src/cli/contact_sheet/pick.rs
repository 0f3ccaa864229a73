//! A uniform draw of samples without replacement over any number of shards, reading only the shards it hits. Each picture
//! is made small as it is drawn, so memory holds one at full size, whatever the members and the links to them say.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::super::image_table::{ReadOptions, each_sample, is_parquet};
use crate::folder::{ShardFile, beside};
use crate::random::SplitMix64;
use crate::stats::ShardStats;
use crate::status::Status;
use crate::table::{SidecarReader, check_version_beside, column, text_column};
use crate::tar::{MappedTar, Skipped};

/// Largest encoded image that is decoded for a sheet.
pub const MAX_IMAGE_BYTES: usize = 64 << 20;
/// Most of a caption that a sheet keeps.
const MAX_CAPTION_BYTES: usize = 64 << 10;

/// One drawn sample.
pub struct Picked<P> {
    pub key: String,
    pub caption: String,
    /// As it stands on the sheet.
    pub picture: Result<P, NoPicture>,
}

/// Why a sample has no picture on the sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPicture {
    #[error("not decodable")]
    Undecodable,
    #[error("more than {} MiB", MAX_IMAGE_BYTES >> 20)]
    TooLarge,
}

/// The samples of a sheet.
pub struct Picks<P> {
    pub samples: Vec<Picked<P>>,
    /// How many there were to draw from.
    pub total: u64,
    /// What the readers passed over in the shards that were opened.
    pub skipped: Skipped,
}

/// Draws `num` samples. `picture` makes of an encoded image what stands on the sheet, or nothing where it does not decode.
pub fn pick<P>(
    paths: &[PathBuf],
    num: usize,
    seed: u64,
    options: &ReadOptions,
    picture: impl Fn(&[u8]) -> Option<P>,
) -> anyhow::Result<Picks<P>> {
    let mut skipped = vec![Skipped::default(); paths.len()];
    let counted = paths.iter().zip(&mut skipped).map(|(path, skipped)| count(path, options, skipped));
    let counts = counted.collect::<anyhow::Result<Vec<u64>>>()?;
    let total: u64 = counts.iter().sum();
    let mut chosen: Vec<u64> = draw(total, num as u64, seed).into_iter().collect();
    chosen.sort_unstable();
    let mut samples = Vec::new();
    let mut first = 0;
    for ((path, count), skipped) in paths.iter().zip(counts).zip(&mut skipped) {
        let here: BTreeSet<u64> =
            chosen.iter().filter(|n| (first..first + count).contains(n)).map(|n| n - first).collect();
        first += count;
        if !here.is_empty() {
            samples.extend(drawn(path, &here, options, skipped, &picture)?);
        }
    }
    let mut all = Skipped::default();
    paths
        .iter()
        .zip(&skipped)
        .for_each(|(path, skipped)| all.add_shard(&path.display().to_string(), skipped));
    Ok(Picks { samples, total, skipped: all })
}

/// Number of samples: by the stats where there are any, since opening every tar of a large set takes minutes.
fn count(path: &Path, options: &ReadOptions, skipped: &mut Skipped) -> anyhow::Result<u64> {
    let stats = beside(path, ShardFile::Stats);
    if stats.exists() {
        return Ok(ShardStats::read(&stats)?.successes);
    }
    if !is_parquet(path) {
        check_version_beside(path)?;
        let tar = MappedTar::open_with(path, &options.tar)?;
        *skipped = tar.skipped().clone();
        return Ok(tar.len() as u64);
    }
    let table = SidecarReader::open_any(path)?;
    let mut samples = 0;
    if table.is_sidecar() {
        for batch in table.batches(Some(&[column::STATUS]))? {
            let statuses = text_column(path, &batch?, column::STATUS)?;
            let is_success = |status: &Option<&str>| *status == Some(Status::Success.as_str());
            samples += statuses.map_or(0, |all| all.iter().filter(is_success).count() as u64);
        }
        return Ok(samples);
    }
    // Which rows of another tool's table have an image, only the images say.
    *skipped = each_sample(path, options, |_| {
        samples += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(samples)
}

/// The samples of these numbers.
fn drawn<P>(
    path: &Path,
    numbers: &BTreeSet<u64>,
    options: &ReadOptions,
    skipped: &mut Skipped,
    picture: &impl Fn(&[u8]) -> Option<P>,
) -> anyhow::Result<Vec<Picked<P>>> {
    let mut found = Vec::new();
    let mut add = |key: &str, caption: Option<&[u8]>, image: Option<&[u8]>| {
        let Some(image) = image else { return };
        let picture = match image.len() > MAX_IMAGE_BYTES {
            true => Err(NoPicture::TooLarge),
            false => picture(image).ok_or(NoPicture::Undecodable),
        };
        found.push(Picked { key: key.to_owned(), caption: beginning(caption.unwrap_or_default()), picture });
    };
    if !is_parquet(path) {
        check_version_beside(path)?;
        let tar = MappedTar::open_with(path, &options.tar)?;
        *skipped = tar.skipped().clone();
        for sample in numbers.iter().filter_map(|n| tar.sample(usize::try_from(*n).ok()?)) {
            add(sample.key(), sample.caption(), sample.image().map(|(_, bytes)| bytes));
        }
        return Ok(found);
    }
    let (mut number, last) = (0, numbers.last().copied().unwrap_or(0));
    let passed_over = each_sample(path, options, |sample| {
        if numbers.contains(&number) {
            add(&sample.key, sample.caption(), sample.image().map(|image| image.data.as_slice()));
        }
        number += 1;
        Ok(if number > last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    if skipped.is_empty() {
        *skipped = passed_over;
    }
    Ok(found)
}

/// A caption as text, and of a very long one as much as a sheet keeps.
fn beginning(caption: &[u8]) -> String {
    match caption.get(..MAX_CAPTION_BYTES) {
        Some(head) if head.len() < caption.len() => format!("{}…", String::from_utf8_lossy(head)),
        _ => String::from_utf8_lossy(caption).into_owned(),
    }
}

/// `num` distinct numbers below `total`, each set equally likely (Floyd's algorithm).
fn draw(total: u64, num: u64, seed: u64) -> BTreeSet<u64> {
    let mut rng = SplitMix64::new(seed);
    let mut chosen = BTreeSet::new();
    for top in total.saturating_sub(num)..total {
        let at = rng.below(top + 1);
        if !chosen.insert(at) {
            chosen.insert(top);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_distinct_seeded_and_even() {
        assert_eq!(draw(10, 20, 1).len(), 10, "no more than there are");
        assert_eq!(draw(1000, 50, 1), draw(1000, 50, 1));
        assert_ne!(draw(1000, 50, 1), draw(1000, 50, 2));
        let mut hits = [0u32; 10];
        for seed in 0..3000 {
            for n in draw(10, 3, seed) {
                hits[n as usize] += 1;
            }
        }
        assert!(hits.iter().all(|h| (800..1000).contains(h)), "{hits:?}");
    }
}
