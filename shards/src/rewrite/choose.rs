//! Which samples stay.
//!
//! A subset is what has the least priority, and a priority is a hash of the seed and of what the sample is: its URL
//! and caption, or its image where no URL is known. So it is uniform, the same whatever the files are called and in
//! which order they come, and nested: with one seed the smaller of two subsets lies within the larger.

use std::collections::BinaryHeap;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Choice, RewriteConfig, RewriteError};
use crate::tar::{MappedSample, MappedTar};

/// Where a subset ends: the greatest (priority, ordinal) that still belongs. Samples of one priority are the same
/// picture with the same caption; of those the first come first.
type Rank = (u64, u64);

/// The rule, ready to be asked.
pub(super) enum Chooser {
    All,
    First(u64),
    UpTo { seed: u64, last: Option<Rank> },
}

impl Chooser {
    /// For a subset this reads all tars; `tick` is called after each.
    pub(super) fn of(config: &RewriteConfig, tick: &mut impl FnMut()) -> Result<Self, RewriteError> {
        let (size, seed) = match config.choice {
            Choice::All => return Ok(Self::All),
            Choice::Prefix { size } => return Ok(Self::First(size)),
            Choice::Subset { size, seed } => (usize::try_from(size).unwrap_or(usize::MAX), seed),
        };
        // The greatest is on top, to make room for a lesser one.
        let mut least: BinaryHeap<Rank> = BinaryHeap::new();
        let mut ordinal = 0;
        for path in &config.inputs {
            let tar = MappedTar::open_with(path, config.end_marker)?;
            for sample in tar.iter() {
                let rank = (priority(seed, identity_hash(&sample)), ordinal);
                ordinal += 1;
                if least.len() < size {
                    least.push(rank);
                } else if least.peek().is_some_and(|greatest| rank < *greatest) {
                    least.pop();
                    least.push(rank);
                }
            }
            tick();
        }
        Ok(Self::UpTo { seed, last: least.peek().copied() })
    }

    pub(super) fn keeps(&self, sample: &MappedSample<'_>, ordinal: u64) -> bool {
        match self {
            Self::All => true,
            Self::First(size) => ordinal < *size,
            Self::UpTo { seed, last } => {
                last.is_some_and(|last| (priority(*seed, identity_hash(sample)), ordinal) <= last)
            }
        }
    }
}

/// What a sample is, as a hash: SHA-256 of URL and caption, each behind its length as 8 bytes, little-endian; of a
/// sample whose `json` names no URL, of its image instead of the URL.
pub fn identity_hash(sample: &MappedSample<'_>) -> [u8; 32] {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        url: Option<std::borrow::Cow<'a, str>>,
    }
    let url = sample
        .metadata()
        .and_then(|json| std::str::from_utf8(json).ok())
        .and_then(|json| serde_json::from_str::<Named<'_>>(json).ok())
        .and_then(|named| named.url);
    let what = match &url {
        Some(url) => url.as_bytes(),
        None => sample.image().map_or(&[][..], |(_, bytes)| bytes),
    };
    let mut hash = Sha256::new();
    for part in [what, sample.caption().unwrap_or_default()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The first 8 bytes, little-endian, of SHA-256 over the seed (8 bytes, little-endian) and an identity.
pub fn priority(seed: u64, identity: [u8; 32]) -> u64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(identity);
    let digest: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
