//! Which samples stay.
//!
//! A subset is what has the smallest places in a seeded draw ([`crate::draw`]), which are hashes of URL and caption. So
//! it is uniform, the same whatever the files are called and in which order they come, and nested: with one seed the
//! smaller of two subsets lies within the larger.

use std::collections::BinaryHeap;

use serde::Deserialize;

use super::carrier::Inputs;
use super::duplicates::Found;
use super::{Choice, RewriteError, Stage, Watch};
use crate::draw::place;
use crate::tar::MappedSample;

/// Where a subset ends: the greatest (place, ordinal) that still belongs. Samples of one place are the same
/// picture with the same caption; of those the first come first.
type Rank = (u64, u64);

/// The rule, ready to be asked.
pub(super) enum Chooser {
    All,
    First(u64),
    UpTo { seed: u64, last: Option<Rank> },
}

impl Chooser {
    /// For a subset this reads all tars. Duplicates are gone before, so a subset of N has N other pictures.
    pub(super) fn of(
        choice: Choice,
        inputs: &Inputs<'_>,
        duplicates: &Found,
        watch: &mut Watch<'_>,
    ) -> Result<Self, RewriteError> {
        let (size, seed) = match choice {
            Choice::All => return Ok(Self::All),
            Choice::Prefix { size } => return Ok(Self::First(size)),
            Choice::Subset { size, seed } => (usize::try_from(size).unwrap_or(usize::MAX), seed),
        };
        // The greatest is on top, to make room for a lesser one.
        let mut least: BinaryHeap<Rank> = BinaryHeap::new();
        let mut ordinal = 0;
        watch.begin(Stage::Draw);
        inputs.each(|tar| {
            for sample in tar.iter() {
                let rank = (place_of(seed, &sample), ordinal);
                ordinal += 1;
                if duplicates.drops(rank.1) {
                    continue;
                }
                if least.len() < size {
                    least.push(rank);
                } else if least.peek().is_some_and(|greatest| rank < *greatest) {
                    least.pop();
                    least.push(rank);
                }
            }
            watch.input_done();
            Ok(())
        })?;
        Ok(Self::UpTo { seed, last: least.peek().copied() })
    }

    /// Whether a sample that is no duplicate stays; `position` is its number among those.
    pub(super) fn keeps(&self, sample: &MappedSample<'_>, ordinal: u64, position: u64) -> bool {
        match self {
            Self::All => true,
            Self::First(size) => position < *size,
            Self::UpTo { seed, last } => last.is_some_and(|last| (place_of(*seed, sample), ordinal) <= last),
        }
    }
}

/// The place of a sample in the draw of `seed`: by URL and caption, or by its image where its `json` names no URL.
pub fn place_of(seed: u64, sample: &MappedSample<'_>) -> u64 {
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
    place(seed, what, sample.caption().unwrap_or_default())
}
