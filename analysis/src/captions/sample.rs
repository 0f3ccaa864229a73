//! A uniform draw of captions without replacement, the same for any number of threads: every row has a number of
//! its own, mixed with the seed by a bijection, and the smallest are drawn.

use std::collections::BinaryHeap;

use super::error::CaptionsError;
use super::read::{Batch, Piece};
use super::scan::{Worker, scan};

/// Bits of a row's number inside its piece.
const ROW_BITS: u32 = 40;

/// Rows whose rank is at most a threshold.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    seed: u64,
    threshold: u64,
}

impl Draw {
    /// Whether a row is drawn.
    pub fn takes(&self, piece: usize, row: u64) -> bool {
        rank(self.seed, piece, row) <= self.threshold
    }
}

/// Steele, Lea and Flood's finalizer (OOPSLA 2014): distinct rows have distinct ranks.
fn rank(seed: u64, piece: usize, row: u64) -> u64 {
    let mut z = ((piece as u64) << ROW_BITS | row) ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The smallest ranks of captions that are there and not blank.
struct Smallest {
    seed: u64,
    num: usize,
    ranks: BinaryHeap<u64>,
}

impl Worker for Smallest {
    fn take(&mut self, batch: &Batch, piece: usize, row: u64) -> Result<(), CaptionsError> {
        for (n, caption) in batch.captions.iter().enumerate() {
            if caption.is_none_or(|c| c.trim().is_empty()) {
                continue;
            }
            let rank = rank(self.seed, piece, row + n as u64);
            if self.ranks.len() < self.num {
                self.ranks.push(rank);
            } else if let Some(mut largest) = self.ranks.peek_mut()
                && rank < *largest
            {
                *largest = rank;
            }
        }
        Ok(())
    }
}

/// Draws `num` captions, or all when there are no more: one pass that looks only at which rows have one.
///
/// # Errors
/// When a file cannot be read.
pub fn draw(pieces: &[Piece], num: u64, seed: u64, num_threads: usize) -> Result<Draw, CaptionsError> {
    let num = usize::try_from(num).unwrap_or(usize::MAX);
    let workers = (0..num_threads).map(|_| Smallest { seed, num, ranks: BinaryHeap::new() }).collect();
    let mut ranks: Vec<u64> = scan(pieces, workers)?.into_iter().flat_map(|w| w.ranks).collect();
    // A full heap says nothing of how many it refused, so only a short list means that there are no more.
    let threshold = match num.checked_sub(1) {
        Some(last) if ranks.len() >= num => *ranks.select_nth_unstable(last).1,
        _ => u64::MAX,
    };
    Ok(Draw { seed, threshold })
}
