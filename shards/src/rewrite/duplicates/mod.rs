//! Which samples repeat the picture of an earlier one: a pass over all tars before anything is written.
//!
//! A sample is dropped if its picture is that of an earlier sample that stays, so of each picture the first stays, and
//! nothing depends on threads. **Exact**: the same bytes in the shard. A sidecar may hold a hash of the download, but
//! that finds no more in shards of one run, where the same download gives the same bytes, and less where two downloads
//! differ in what encoding leaves out (EXIF, a comment); and it is not always there. What two runs with other settings
//! made of one download differs in its bytes, and is near. **Near**: perceptual hashes that differ in at most so many
//! bits from that of an earlier sample that stays; the nearest is taken for the original. It is not transitive: what is
//! near to a dropped sample only, stays.
//!
//! Pictures are hashed on all threads, one input at a time, and judged one after the other. Memory, beside one input's
//! hashes: 29 to 57 bytes for each sample that stays (exact), 51 to 103 and 6 MB once (near), 24 for each that is dropped,
//! and about 80 for each that is repeated while the list of them is written.

mod near;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest, Sha256};

pub use self::near::MAX_DISTANCE;
use self::near::NearIndex;
use super::{Inputs, RewriteError, Stage, Watch};
use crate::tar::MappedTar;

/// Samples hashed between two signs of life.
const BLOCK: usize = 256;

/// When a picture is a duplicate.
#[derive(Debug, Clone, Copy)]
pub enum Duplicates {
    /// Of equal bytes.
    Exact,
    /// Of nearly the same hash.
    Near {
        /// Bits that may differ, at most [`MAX_DISTANCE`].
        distance: u32,
        /// The hash; this crate's library decodes no pictures.
        look: fn(&[u8]) -> Look,
    },
}

/// What a picture shows to the near rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Its perceptual hash.
    Hash(u64),
    /// Too little to be told from other pictures.
    Flat,
    /// It cannot be decoded.
    Unreadable,
}

/// Samples that stay because nothing can be said about them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unseen {
    /// Without an image.
    pub without_image: u64,
    /// Whose image cannot be decoded (near rule).
    pub unreadable: u64,
    /// Whose image is too flat (near rule).
    pub flat: u64,
}

/// A sample that repeats another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repeat {
    /// Its number over all inputs.
    pub ordinal: u64,
    /// That of the sample it repeats.
    pub of: u64,
    /// Bits between their hashes.
    pub distance: u32,
}

/// What the pass found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By [`Repeat::ordinal`].
    pub repeats: Vec<Repeat>,
    pub unseen: Unseen,
}

impl Duplicates {
    /// The rule in reports.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Exact => "duplicate_image",
            Self::Near { .. } => "near_duplicate",
        }
    }

    /// The rule with its number, for the record.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Exact => "exact".to_owned(),
            Self::Near { distance, .. } => format!("near, within {distance} of 64 bits"),
        }
    }

    /// Looks at every picture.
    pub(super) fn find(
        self,
        inputs: &Inputs<'_>,
        threads: usize,
        watch: &mut Watch<'_>,
    ) -> Result<Found, RewriteError> {
        match self {
            Self::Exact => {
                let mut first: HashMap<[u8; 16], u64> = HashMap::new();
                pass(inputs, threads, watch, digest, |found, ordinal, digest| {
                    let Some(digest) = digest else { return found.unseen.without_image += 1 };
                    match first.entry(digest) {
                        std::collections::hash_map::Entry::Vacant(entry) => drop(entry.insert(ordinal)),
                        std::collections::hash_map::Entry::Occupied(entry) => {
                            found.repeats.push(Repeat { ordinal, of: *entry.get(), distance: 0 });
                        }
                    }
                })
            }
            Self::Near { distance, look } => {
                let mut index = NearIndex::new(distance);
                pass(inputs, threads, watch, look, |found, ordinal, look| match look {
                    None => found.unseen.without_image += 1,
                    Some(Look::Unreadable) => found.unseen.unreadable += 1,
                    Some(Look::Flat) => found.unseen.flat += 1,
                    Some(Look::Hash(hash)) => match index.nearest(hash) {
                        Some((distance, of)) => found.repeats.push(Repeat { ordinal, of, distance }),
                        None => index.insert(hash, ordinal),
                    },
                })
            }
        }
    }
}

impl Found {
    /// Whether the sample is dropped.
    pub fn drops(&self, ordinal: u64) -> bool {
        self.place(ordinal).is_ok()
    }

    /// What the sample repeats, if it does.
    pub fn repeat(&self, ordinal: u64) -> Option<&Repeat> {
        self.place(ordinal).ok().map(|at| &self.repeats[at])
    }

    fn place(&self, ordinal: u64) -> Result<usize, usize> {
        self.repeats.binary_search_by_key(&ordinal, |repeat| repeat.ordinal)
    }
}

/// Half of SHA-256: pictures are anyone's, and 128 bits of it are out of reach for whoever wants two to collide.
fn digest(picture: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&Sha256::digest(picture)[..16]);
    half
}

/// Shows `judge` what `look` says of each sample's picture, in order.
fn pass<T: Send>(
    inputs: &Inputs<'_>,
    threads: usize,
    watch: &mut Watch<'_>,
    look: impl Fn(&[u8]) -> T + Sync,
    mut judge: impl FnMut(&mut Found, u64, Option<T>),
) -> Result<Found, RewriteError> {
    let mut found = Found::default();
    let mut ordinal = 0;
    watch.begin(Stage::Duplicates);
    inputs.each(|tar: &MappedTar| {
        for start in (0..tar.len()).step_by(BLOCK) {
            let count = BLOCK.min(tar.len() - start);
            let looks = side_by_side(count, threads, |at| {
                tar.sample(start + at).and_then(|sample| sample.image()).map(|(_, picture)| look(picture))
            });
            for look in looks {
                judge(&mut found, ordinal, look);
                ordinal += 1;
            }
            watch.samples(count as u64);
        }
        watch.input_done();
        Ok(())
    })?;
    Ok(found)
}

/// `work` of 0 to `count`, in order, done by `threads`.
fn side_by_side<T: Send>(count: usize, threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let turns = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return done;
            }
            done.push((at, work(at)));
        }
    };
    let mut done: Vec<(usize, T)> = if threads <= 1 {
        turns()
    } else {
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.min(count)).map(|_| scope.spawn(turns)).collect();
            let joined = workers.into_iter().map(|worker| worker.join());
            joined.flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    };
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
