//! Names on disk: which shard a sample is in and what it is called there.
//!
//! The numbers are img2dataset's (FORMAT.md §1): a shard id is zero-padded to `oom_shard_count` digits, a key is
//! `10^D × shard + index` padded to `D + oom_shard_count`, with `D = ceil(log10(samples per shard))`. `D` is
//! computed with integers, where img2dataset's floats agree and cannot drift.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

/// Number of a shard: its tar, sidecar and stats share the padded form as file stem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardId(pub u64);

/// Unique sample name inside a dataset; also the member stem in a tar, so it never holds a dot or a slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// The key as it stands in member names and sidecars.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How keys and shard names of one dataset are padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLayout {
    samples_per_shard: u64,
    oom_shard_count: u32,
}

/// Why a [`KeyLayout`] or a key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A shard must hold at least one sample.
    #[error("number of samples per shard is 0; give at least 1")]
    NoSamples,
    /// The padding would not fit a `u64`.
    #[error("keys of {digits} digits do not fit 64 bits; lower the samples per shard or the shard digits")]
    TooWide {
        /// Digits that were asked for.
        digits: u32,
    },
    /// Not a key of this layout.
    #[error("`{key}` is not a key of {width} digits")]
    NotAKey {
        /// What was read.
        key: String,
        /// Digits a key of this layout has at least.
        width: u32,
    },
}

/// Digits a full key may have so that the number always fits a `u64`.
const MAX_KEY_DIGITS: u32 = 19;

impl KeyLayout {
    /// img2dataset's default for `number_sample_per_shard`.
    pub const DEFAULT_SAMPLES_PER_SHARD: u64 = 10_000;
    /// img2dataset's default for `oom_shard_count` ("order of magnitude of the shard count").
    pub const DEFAULT_OOM_SHARD_COUNT: u32 = 5;

    /// A layout for shards of at most `samples_per_shard` rows, shard names at least `oom_shard_count` digits wide.
    ///
    /// # Errors
    /// When a shard would be empty or a key would not fit 64 bits.
    pub fn new(samples_per_shard: u64, oom_shard_count: u32) -> Result<Self, KeyError> {
        if samples_per_shard == 0 {
            return Err(KeyError::NoSamples);
        }
        let layout = Self { samples_per_shard, oom_shard_count };
        let digits = layout.index_digits().saturating_add(oom_shard_count);
        if digits > MAX_KEY_DIGITS {
            return Err(KeyError::TooWide { digits });
        }
        Ok(layout)
    }

    /// Rows a shard holds at most.
    pub fn samples_per_shard(&self) -> u64 {
        self.samples_per_shard
    }

    /// Digits a shard name is padded to.
    pub fn oom_shard_count(&self) -> u32 {
        self.oom_shard_count
    }

    /// `D`: decimal digits that the index inside a shard takes, `ceil(log10(samples_per_shard))`.
    pub fn index_digits(&self) -> u32 {
        // ceil(log10(n)) = digits of n − 1, and 0 for n = 1.
        (self.samples_per_shard - 1).checked_ilog10().map_or(0, |d| d + 1)
    }

    /// `00042`: the stem of the shard's files. A larger id just grows wider.
    pub fn shard_name(&self, shard: ShardId) -> String {
        format!("{:0width$}", shard.0, width = self.oom_shard_count as usize)
    }

    /// The key of row `index` (0-based) of `shard`.
    pub fn key(&self, shard: ShardId, index: u64) -> Key {
        let step = 10u128.pow(self.index_digits());
        let number = step * u128::from(shard.0) + u128::from(index);
        let width = (self.index_digits() + self.oom_shard_count) as usize;
        Key(format!("{number:0width$}"))
    }

    /// The shard and index a key of this layout names.
    ///
    /// # Errors
    /// When `key` is not decimal digits of at least the layout's width.
    pub fn parse(&self, key: &str) -> Result<(ShardId, u64), KeyError> {
        let width = self.index_digits() + self.oom_shard_count;
        let refuse = || KeyError::NotAKey { key: key.to_owned(), width };
        if key.len() < width as usize || !key.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse());
        }
        let number: u128 = key.parse().map_err(|_| refuse())?;
        let step = 10u128.pow(self.index_digits());
        let shard = u64::try_from(number / step).map_err(|_| refuse())?;
        let index = u64::try_from(number % step).map_err(|_| refuse())?;
        Ok((ShardId(shard), index))
    }
}

/// A key as 128 bits, for sets of very many: two of a billion keys are mistaken for each other with a chance of 1 in 10^20.
pub fn fingerprint(key: &str) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, key).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// Cuts a tar member's path into key and extension as webdataset does: at the first dot of the base name, the
/// folder part staying with the key. `None` when the base name has no dot or nothing before it.
pub fn split_member(path: &str) -> Option<(&str, &str)> {
    let base = path.rfind('/').map_or(0, |slash| slash + 1);
    let dot = base + path[base..].find('.')?;
    (dot > base).then(|| (&path[..dot], &path[dot + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn widths_follow_img2dataset() {
        for (samples, oom, shard, index, expected) in [
            (10_000, 5, 7, 42, "000070042"),
            (5_000, 5, 7, 42, "000070042"),
            (1_000, 5, 7, 42, "00007042"),
            (100_000, 5, 7, 42, "0000700042"),
            (10_000, 8, 7, 42, "000000070042"),
            (1, 5, 7, 0, "00007"),
            (10_000, 5, 123_456, 1, "1234560001"),
        ] {
            let layout = KeyLayout::new(samples, oom).unwrap();
            assert_eq!(
                layout.key(ShardId(shard), index).as_str(),
                expected,
                "{samples} per shard, oom {oom}"
            );
        }
    }

    #[test]
    fn members_are_cut_at_the_first_dot_of_the_base_name() {
        assert_eq!(split_member("a.b/000.seg.png"), Some(("a.b/000", "seg.png")));
        assert_eq!(split_member("000.jpg"), Some(("000", "jpg")));
        assert_eq!(split_member("plain"), None);
        assert_eq!(split_member("dir/.hidden"), None);
    }

    proptest! {
        #[test]
        fn key_round_trips(samples in 1u64..10_000_000, oom in 1u32..9, shard in 0u64..1_000_000_000, at in 0.0f64..1.0) {
            let layout = KeyLayout::new(samples, oom).unwrap();
            let index = ((samples - 1) as f64 * at) as u64;
            let key = layout.key(ShardId(shard), index);
            prop_assert_eq!(layout.parse(key.as_str()), Ok((ShardId(shard), index)));
        }

        #[test]
        fn keys_sort_as_rows_come(samples in 2u64..100_000, shard in 0u64..99_999, at in 0.0f64..1.0) {
            let layout = KeyLayout::new(samples, 5).unwrap();
            let index = ((samples - 2) as f64 * at) as u64;
            prop_assert!(layout.key(ShardId(shard), index) < layout.key(ShardId(shard), index + 1));
            prop_assert!(layout.key(ShardId(shard), index) < layout.key(ShardId(shard + 1), 0));
        }
    }
}
