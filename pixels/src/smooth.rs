//! Area resampling of what a JPEG decoder has already averaged over blocks (by 2, 4 or 8). The windows of the resize
//! cut through those blocks, and to count a cut block as flat would cost up to 1 dB. But the block averages give the
//! running integral of the picture exactly at every block edge, and that integral is smooth: it is interpolated between
//! edges by the polynomial through the [`NODES`] nearest, and a window is the difference of two of its values.
//!
//! Weights can be negative, so this runs in f32. Only mul, add and round to nearest are used, in a fixed order: the
//! bytes are the same on every machine.

use crate::area::{Source, Span};

/// Block edges that the polynomial passes through.
const NODES: i64 = 6;

/// As [`crate::area::Axis`], with signed weights that sum to 1.
#[derive(Debug, Clone, Default)]
pub(crate) struct SmoothAxis {
    taps: usize,
    starts: Vec<u32>,
    weights: Vec<f32>,
}

impl SmoothAxis {
    /// Rebuilds the table in place; the span as for [`crate::area::Axis::set`].
    pub fn set(&mut self, span: Span) {
        let Span { samples, offset, scale, clip, count } = span;
        // A window's own blocks, and those that the polynomial reaches beyond its two edges; whole vectors of four.
        let reach = (NODES / 2 - 1) as usize;
        self.taps = (scale.ceil() as usize + 2 * reach + 1).next_multiple_of(4).min(samples);
        self.starts.clear();
        self.weights.clear();
        for index in 0..count {
            let low = (offset + index as f64 * scale).clamp(clip.0, clip.1);
            let high = (offset + (index as f64 + 1.0) * scale).clamp(clip.0, clip.1).max(low + 1e-6);
            let start = (low as usize).saturating_sub(reach).min(samples - self.taps);
            let first = self.weights.len();
            self.weights.resize(first + self.taps, 0.0);
            let weights = &mut self.weights[first..];
            let mut add = |sample: i64, weight: f64| {
                // Beyond the ends the picture is taken to go on as it ends.
                let sample = sample.clamp(0, samples as i64 - 1) - start as i64;
                weights[sample.clamp(0, weights.len() as i64 - 1) as usize] += (weight / (high - low)) as f32;
            };
            let (from, to) = (low.floor(), high.floor());
            for sample in from as i64..to as i64 {
                add(sample, 1.0);
            }
            beyond_edge(high - to, |at, weight| add(to as i64 + at, weight));
            beyond_edge(low - from, |at, weight| add(from as i64 + at, -weight));
            self.starts.push(start as u32);
        }
    }
}

/// The integral from a block edge to `t` (0–1) behind it, as weights of the blocks around; block 0 follows the edge.
fn beyond_edge(t: f64, mut add: impl FnMut(i64, f64)) {
    if t < 1e-9 {
        return;
    }
    let (first, last) = (1 - NODES / 2, NODES / 2);
    let lagrange = |node: i64| -> f64 {
        (first..=last).filter(|other| *other != node).map(|o| (t - o as f64) / (node - o) as f64).product()
    };
    // The integral at edge k > 0 is the sum of blocks 0..k, at k < 0 minus the sum of blocks k..0.
    for block in 0..last {
        add(block, (block + 1..=last).map(lagrange).sum());
    }
    for block in first..0 {
        add(block, -(first..=block).map(lagrange).sum::<f64>());
    }
}

/// Resamples `source` with `C` interleaved channels into `out`, whose rows are `out_stride` bytes apart.
pub(crate) fn resample<const C: usize>(
    source: Source<'_>,
    (samples, across, down): (usize, &SmoothAxis, &SmoothAxis),
    scratch: &mut Vec<f32>,
    out: &mut [u8],
    out_stride: usize,
) {
    let wide = samples * C;
    scratch.clear();
    scratch.resize(wide, 0.0);
    let windows = down.starts.iter().zip(down.weights.chunks_exact(down.taps));
    for ((start, weights), out) in windows.zip(out.chunks_mut(out_stride)) {
        let mut start = *start as usize;
        let mut weights = weights;
        while let [0.0, rest @ ..] = weights {
            (start, weights) = (start + 1, rest);
        }
        while let [rest @ .., 0.0] = weights {
            weights = rest;
        }
        let row = |tap: usize| &source.data[(start + tap) * source.stride..][..wide];
        scratch.fill(0.0);
        let (groups, rest) = weights.as_chunks::<4>();
        for (group, weights) in groups.iter().enumerate() {
            blend(std::array::from_fn::<_, 4, _>(|tap| row(group * 4 + tap)), *weights, scratch);
        }
        for (tap, weight) in rest.iter().enumerate() {
            blend([row(groups.len() * 4 + tap)], [*weight], scratch);
        }
        let windows = across.starts.iter().zip(across.weights.chunks_exact(across.taps));
        for ((start, weights), out) in windows.zip(out.chunks_exact_mut(C)) {
            let window = &scratch[*start as usize * C..][..across.taps * C];
            if C == 1 {
                out[0] = dot(window, weights);
                continue;
            }
            for (channel, out) in out.iter_mut().enumerate() {
                let mut sum = 0.5;
                for (value, weight) in window[channel..].iter().step_by(C).zip(weights) {
                    sum += value * weight;
                }
                *out = sum as u8;
            }
        }
    }
}

#[inline]
fn blend<const T: usize>(rows: [&[u8]; T], weights: [f32; T], wide: &mut [f32]) {
    let rows = rows.map(|row| &row[..wide.len()]);
    for (i, sum) in wide.iter_mut().enumerate() {
        let mut total = *sum;
        for tap in 0..T {
            total += f32::from(rows[tap][i]) * weights[tap];
        }
        *sum = total;
    }
}

/// The weighted sum, in four lanes that are added in the end, rounded; the cast clamps to 0–255.
#[inline]
fn dot(window: &[f32], weights: &[f32]) -> u8 {
    let (values, values_rest) = window.as_chunks::<4>();
    let (factors, factors_rest) = weights.as_chunks::<4>();
    let mut lanes = [0.0_f32; 4];
    for (values, factors) in values.iter().zip(factors) {
        for lane in 0..4 {
            lanes[lane] += values[lane] * factors[lane];
        }
    }
    let mut sum = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]) + 0.5;
    for (value, factor) in values_rest.iter().zip(factors_rest) {
        sum += value * factor;
    }
    sum as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(samples: usize, count: usize) -> SmoothAxis {
        let mut axis = SmoothAxis::default();
        let scale = samples as f64 / count as f64;
        axis.set(Span { samples, offset: 0.0, scale, clip: (0.0, samples as f64), count });
        axis
    }

    #[test]
    fn weights_sum_to_one_and_whole_blocks_are_plain_averages() {
        for (samples, count) in [(100, 37), (5, 2), (64, 64), (1, 1), (7, 7), (90, 30)] {
            let axis = axis(samples, count);
            for weights in axis.weights.chunks_exact(axis.taps) {
                assert!(
                    (weights.iter().sum::<f32>() - 1.0).abs() < 1e-5,
                    "{samples} to {count}: {weights:?}"
                );
            }
        }
        let third = axis(90, 30);
        assert!(third.weights.iter().all(|w| w.abs() < 1e-6 || (w - 1.0 / 3.0).abs() < 1e-6));
    }

    #[test]
    fn block_averages_of_a_smooth_picture_give_its_exact_area_averages() {
        // Averages over unit blocks and over windows of 1.37 blocks of the same sine wave.
        let integral = |x: f64| 128.0 * x - 90.0 * (x * 0.5).cos() / 0.5;
        let blocks: Vec<u8> =
            (0..80).map(|i| (integral(f64::from(i) + 1.0) - integral(f64::from(i))).round() as u8).collect();
        let count = 58;
        let scale = 80.0 / f64::from(count);
        let mut out = vec![0; count as usize];
        let one = SmoothAxis { taps: 1, starts: vec![0], weights: vec![1.0] };
        let source = Source { data: &blocks, stride: 80 };
        resample::<1>(
            source,
            (80, &axis(80, count as usize), &one),
            &mut Vec::new(),
            &mut out,
            count as usize,
        );
        for (index, got) in out.iter().enumerate().skip(3).take(52) {
            let (low, high) = (index as f64 * scale, (index as f64 + 1.0) * scale);
            let want = (integral(high) - integral(low)) / scale;
            assert!((f64::from(*got) - want).abs() < 1.5, "{index}: {got} is not {want:.2}");
        }
    }
}
