//! A uniform draw of samples without replacement over any number of shards, reading only the shards it hits.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use arrow::array::{Array, BinaryArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::super::image_table::is_parquet;
use crate::folder::ShardFile;
use crate::random::SplitMix64;
use crate::stats::ShardStats;
use crate::status::Status;
use crate::table::{SidecarReader, check_version_beside, column, text_column};
use crate::tar::{EndMarker, MappedTar};

/// One drawn sample.
pub struct Picked {
    pub key: String,
    pub caption: String,
    /// Still encoded.
    pub image: Vec<u8>,
}

/// Draws `num` samples and says how many there were.
pub fn pick(paths: &[PathBuf], num: usize, seed: u64) -> anyhow::Result<(Vec<Picked>, u64)> {
    let counts = paths.iter().map(|path| count(path)).collect::<anyhow::Result<Vec<u64>>>()?;
    let total: u64 = counts.iter().sum();
    let mut chosen: Vec<u64> = draw(total, num as u64, seed).into_iter().collect();
    chosen.sort_unstable();
    let mut picked = Vec::new();
    let mut first = 0;
    for (path, count) in paths.iter().zip(counts) {
        let here: Vec<u64> =
            chosen.iter().filter(|n| (first..first + count).contains(n)).map(|n| n - first).collect();
        first += count;
        if !here.is_empty() {
            picked.extend(if is_parquet(path) { from_parquet(path, &here)? } else { from_tar(path, &here)? });
        }
    }
    Ok((picked, total))
}

/// Number of samples: by the stats where there are any, since opening every tar of a large set takes minutes.
fn count(path: &Path) -> anyhow::Result<u64> {
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let stats = path.with_file_name(ShardFile::Stats.name(&stem));
    if stats.exists() {
        return Ok(ShardStats::read(&stats)?.successes);
    }
    if is_parquet(path) {
        let mut successes = 0;
        for batch in SidecarReader::open(path)?.batches(Some(&[column::STATUS]))? {
            successes += succeeded(path, &batch?)?.into_iter().filter(|s| *s).count() as u64;
        }
        return Ok(successes);
    }
    Ok(MappedTar::open_with(path, EndMarker::Optional)?.len() as u64)
}

fn from_tar(path: &Path, ordinals: &[u64]) -> anyhow::Result<Vec<Picked>> {
    check_version_beside(path)?;
    let tar = MappedTar::open_with(path, EndMarker::Optional)?;
    let sample = |n: &u64| {
        let sample = tar.sample(usize::try_from(*n).ok()?)?;
        let caption = String::from_utf8_lossy(sample.caption().unwrap_or_default()).into_owned();
        Some(Picked { key: sample.key().to_owned(), caption, image: sample.image()?.1.to_vec() })
    };
    Ok(ordinals.iter().filter_map(sample).collect())
}

fn from_parquet(path: &Path, ordinals: &[u64]) -> anyhow::Result<Vec<Picked>> {
    let reader = SidecarReader::open(path)?;
    let image_column = ["jpg", "png", "webp"].into_iter().find(|name| reader.has_column(name));
    let image_column = image_column.with_context(|| {
        format!(
            "{}: no image column (jpg, png, webp): give image shards, not sidecars of tars",
            path.display()
        )
    })?;
    let mut columns = vec![column::KEY, column::STATUS, image_column];
    columns.extend(reader.has_column(column::CAPTION).then_some(column::CAPTION));
    let wanted: BTreeSet<u64> = ordinals.iter().copied().collect();
    let mut picked = Vec::new();
    let mut ordinal = 0;
    for batch in reader.batches(Some(&columns))? {
        let batch = batch?;
        let keys = text_column(path, &batch, column::KEY)?.context("no column `key`")?;
        let captions = text_column(path, &batch, column::CAPTION)?;
        let images = batch.column_by_name(image_column).map(|c| cast(c, &DataType::Binary)).transpose()?;
        let images = images.as_deref().and_then(|c| c.as_any().downcast_ref::<BinaryArray>());
        for (row, success) in succeeded(path, &batch)?.into_iter().enumerate() {
            if !success {
                continue;
            }
            if let Some(images) = images.filter(|i| wanted.contains(&ordinal) && i.is_valid(row)) {
                let caption = captions.as_ref().filter(|c| c.is_valid(row)).map_or("", |c| c.value(row));
                let (key, caption) = (keys.value(row).to_owned(), caption.to_owned());
                picked.push(Picked { key, caption, image: images.value(row).to_vec() });
            }
            ordinal += 1;
        }
    }
    Ok(picked)
}

fn succeeded(path: &Path, batch: &RecordBatch) -> anyhow::Result<Vec<bool>> {
    let statuses = text_column(path, batch, column::STATUS)?.context("no column `status`")?;
    Ok(statuses.iter().map(|status| status == Some(Status::Success.as_str())).collect())
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
