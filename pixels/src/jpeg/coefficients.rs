//! Large JPEGs go from coefficients straight to the resized planes, with no pixels in between. An area average is a
//! linear function of the coefficients of the blocks it touches, so each coefficient is added to the few averages its
//! block reaches as soon as it is decoded, and most are zero and cost nothing. What remains is the Huffman decoding.
//!
//! The result is the exact area average of the picture that the coefficients describe (pixels are never rounded or
//! clipped on the way). Arithmetic is f32 by mul and add in a fixed order: the bytes are the same on every machine.

use super::baseline::{Baseline, Component, unstuff};
use super::entropy::{BitReader, HuffmanTable};
use crate::area::Span;

/// Averages of one axis that a block may reach.
const REACH: usize = 4;
/// From how many source samples per average on a block reaches no more than [`REACH`] of them.
pub(super) const LEAST_SCALE: f64 = 8.0 / (REACH as f64 - 1.0);

/// Row and column of each zigzag place (T.81, figure A.6).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// How one axis of the blocks of a component maps to averages.
#[derive(Debug, Default)]
struct Axis {
    /// First average that each block reaches.
    starts: Vec<u32>,
    /// By block and frequency: the share in each of the averages reached, from the first.
    weights: Vec<[[f32; REACH]; 8]>,
    /// Averages reached by any block.
    reach: usize,
    count: usize,
}

impl Axis {
    /// The span's samples are those of the component, windows as in [`crate::area::Axis::set`]; never enlarging.
    fn set(&mut self, span: Span, blocks: usize) -> Option<()> {
        let Span { offset, scale, clip, count, .. } = span;
        self.starts.clear();
        self.weights.clear();
        (self.reach, self.count) = (0, count);
        let window = |index: usize| {
            let low = (offset + index as f64 * scale).clamp(clip.0, clip.1);
            let high = (offset + (index as f64 + 1.0) * scale).clamp(clip.0, clip.1);
            (low, high.max(low + 1e-6))
        };
        let basis: [[f64; 8]; 8] =
            std::array::from_fn(|frequency| std::array::from_fn(|x| basis(frequency, x)));
        let mut index = 0;
        for block in 0..blocks {
            let (from, to) = (block as f64 * 8.0, block as f64 * 8.0 + 8.0);
            // Windows of a rounding error's width do not count as reached.
            while index < count && window(index).1 <= from + 1e-6 {
                index += 1;
            }
            let mut weights = [[0.0; REACH]; 8];
            let mut reached = 0;
            while index + reached < count && window(index + reached).0 < to - 1e-6 {
                if reached == REACH {
                    return None;
                }
                let (low, high) = window(index + reached);
                for x in 0..8 {
                    let left = from + x as f64;
                    let covered = (high.min(left + 1.0) - low.max(left)).max(0.0) / (high - low);
                    for (weights, basis) in weights.iter_mut().zip(&basis) {
                        weights[reached] += (covered * basis[x]) as f32;
                    }
                }
                reached += 1;
            }
            self.starts.push(index as u32);
            self.weights.push(weights);
            self.reach = self.reach.max(reached);
        }
        Some(())
    }
}

/// What a coefficient of 1 at `frequency` adds to pixel `x` of 8 along one axis (T.81, A.3.3).
fn basis(frequency: usize, x: usize) -> f64 {
    let norm = if frequency == 0 { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 };
    norm / 2.0 * ((2 * x + 1) as f64 * frequency as f64 * std::f64::consts::PI / 16.0).cos()
}

/// The averages of one component, being summed up.
#[derive(Debug, Default)]
struct Sums {
    across: Axis,
    down: Axis,
    /// By block row of a unit and zigzag place: quantisation step times share in the averages below each other.
    rows: Vec<[[f32; REACH]; 64]>,
    values: Vec<f32>,
    stride: usize,
    predicted: i32,
    /// No block reaches more than 2 × 2 averages: then one vector holds them all, the upper pair first, and the weights
    /// of both axes are laid out to match.
    is_square: bool,
}

impl Sums {
    fn set(&mut self, across: Span, down: Span, blocks: (usize, usize)) -> Option<()> {
        self.across.set(across, blocks.0)?;
        self.down.set(down, blocks.1)?;
        self.is_square = self.across.reach.max(self.down.reach) <= 2;
        if self.is_square {
            for weights in self.across.weights.as_flattened_mut() {
                *weights = [weights[0], weights[1], weights[0], weights[1]];
            }
            for weights in self.down.weights.as_flattened_mut() {
                *weights = [weights[0], weights[0], weights[1], weights[1]];
            }
        }
        // Blocks at the end may reach less than they write.
        self.stride = across.count + REACH;
        self.values.clear();
        self.values.resize(self.stride * (down.count + REACH), 0.0);
        Some(())
    }

    fn begin_unit_row(&mut self, component: &Component, unit_row: usize) {
        self.rows.clear();
        for weights in &self.down.weights[unit_row * component.down..][..component.down] {
            let mut shares = [[0.0; REACH]; 64];
            for ((shares, place), step) in shares.iter_mut().zip(ZIGZAG).zip(component.steps) {
                *shares = weights[usize::from(place / 8)].map(|weight| weight * f32::from(step));
            }
            self.rows.push(shares);
        }
    }

    /// Decodes the block at (`column`, `row`) into the averages it reaches; `line` is its row within the unit. `LINES`
    /// is how many averages are reached below each other; 1 stands for [`Self::is_square`].
    #[inline(always)]
    fn block<const LINES: usize>(
        &mut self,
        bits: &mut BitReader<'_>,
        (dc, ac): (&HuffmanTable, &HuffmanTable),
        (column, row, line): (usize, usize, usize),
    ) -> bool {
        let shares_down = &self.rows[line];
        let shares_across = &self.across.weights[column];
        // Indices, so that the sums stay in registers; the mask spares a check.
        let across_of = |place: usize| shares_across[usize::from(ZIGZAG[place & 63] & 7)];
        let mut sums = [[0.0_f32; REACH]; LINES];
        let whole = bits.block(dc, ac, &mut self.predicted, |place, value| {
            let (across, down) = (across_of(place), shares_down[place & 63]);
            let shares: [f32; REACH] = std::array::from_fn(|at| value as f32 * across[at]);
            if LINES == 1 {
                for at in 0..REACH {
                    sums[0][at] += shares[at] * down[at];
                }
            } else {
                for line in 0..LINES {
                    for at in 0..REACH {
                        sums[line][at] += shares[at] * down[line];
                    }
                }
            }
        });
        let start = self.down.starts[row] as usize * self.stride + self.across.starts[column] as usize;
        let mut add = |line: usize, sums: &[f32]| {
            let Some(values) = self.values.get_mut(start + line * self.stride..) else { return };
            for (value, sum) in values.iter_mut().zip(sums) {
                *value += sum;
            }
        };
        if LINES == 1 {
            add(0, &sums[0][..2]);
            add(1, &sums[0][2..]);
        } else {
            for (line, sums) in sums.iter().enumerate() {
                add(line, sums);
            }
        }
        whole
    }

    /// The averages as samples, row by row.
    fn rows(&self) -> impl Iterator<Item = impl Iterator<Item = u8>> {
        let rows = self.values.chunks_exact(self.stride).take(self.down.count);
        // A coefficient of 0 is the middle of the range; the cast clamps to 0–255.
        rows.map(|row| row[..self.across.count].iter().map(|value| (value + 128.5) as u8))
    }
}

/// Buffers of the way from coefficients to planes, reused from picture to picture.
#[derive(Debug, Default)]
pub(super) struct CoefficientResizer {
    sums: [Sums; 3],
    interval: Vec<u8>,
}

impl CoefficientResizer {
    /// Decodes `bytes` to the averages that `spans` (across, down) ask of each component. `None` for a picture that is
    /// not of the regular kind, or damaged; nothing is wrong with trying.
    ///
    /// `size` is what the header was taken to say.
    pub fn decode(&mut self, bytes: &[u8], size: (usize, usize), spans: &[(Span, Span)]) -> Option<()> {
        let picture = Baseline::read(bytes)?;
        if (picture.width, picture.height) != size || picture.components.len() != spans.len() {
            return None;
        }
        let most = |of: fn(&Component) -> usize| picture.components.iter().map(of).max();
        let (across, down) = (most(|c| c.across)?, most(|c| c.down)?);
        let units = (picture.width.div_ceil(8 * across), picture.height.div_ceil(8 * down));
        for ((sums, component), (span_x, span_y)) in self.sums.iter_mut().zip(&picture.components).zip(spans)
        {
            // The spans are in samples of the subsampling that libjpeg-turbo found.
            let expected = (
                (picture.width * component.across).div_ceil(across),
                (picture.height * component.down).div_ceil(down),
            );
            if (span_x.samples, span_y.samples) != expected {
                return None;
            }
            sums.set(*span_x, *span_y, (units.0 * component.across, units.1 * component.down))?;
        }
        self.scan(&picture, units)
    }

    fn scan(&mut self, picture: &Baseline<'_>, units: (usize, usize)) -> Option<()> {
        let Self { sums, interval } = self;
        let per_interval = match picture.restart_interval {
            0 => usize::MAX,
            units => units,
        };
        let mut rest = unstuff(picture.data, interval);
        let mut bits = BitReader::new(interval);
        let (mut left, mut restarts) = (per_interval, 0_u8);
        for sums in sums.iter_mut() {
            sums.predicted = 0;
        }
        for unit_row in 0..units.1 {
            for (sums, component) in sums.iter_mut().zip(&picture.components) {
                sums.begin_unit_row(component, unit_row);
            }
            for unit in 0..units.0 {
                if left == 0 {
                    if !bits.is_within() {
                        return None;
                    }
                    let [0xFF, marker, ..] = *rest else { return None };
                    if marker != 0xD0 + restarts % 8 {
                        return None;
                    }
                    rest = unstuff(&rest[2..], interval);
                    bits = BitReader::new(interval);
                    (left, restarts) = (per_interval, restarts.wrapping_add(1));
                    for sums in sums.iter_mut() {
                        sums.predicted = 0;
                    }
                }
                left -= 1;
                for (sums, component) in sums.iter_mut().zip(&picture.components) {
                    let tables = (picture.dc[component.dc].as_ref()?, picture.ac[component.ac].as_ref()?);
                    for line in 0..component.down {
                        for column in 0..component.across {
                            let place =
                                (unit * component.across + column, unit_row * component.down + line, line);
                            let whole = match sums.down.reach {
                                _ if sums.is_square => sums.block::<1>(&mut bits, tables, place),
                                ..=2 => sums.block::<2>(&mut bits, tables, place),
                                3 => sums.block::<3>(&mut bits, tables, place),
                                _ => sums.block::<4>(&mut bits, tables, place),
                            };
                            if !whole {
                                return None;
                            }
                        }
                    }
                }
            }
            if !bits.is_within() {
                return None;
            }
        }
        // Whatever else follows is for libjpeg-turbo to judge.
        matches!(rest, [] | [0xFF, 0xD9, ..]).then_some(())
    }

    /// The samples of component `index` as [`Self::decode`] left them, row by row.
    pub fn rows(&self, index: usize) -> impl Iterator<Item = impl Iterator<Item = u8>> {
        self.sums[index].rows()
    }

    /// Bytes held between pictures.
    pub fn held_bytes(&self) -> usize {
        self.interval.capacity() + self.sums.iter().map(|sums| sums.values.capacity() * 4).sum::<usize>()
    }
}
