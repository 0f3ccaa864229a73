//! Exact-area resampling of 8-bit planes: each output sample is the average of the source area it covers, fractions of
//! samples included (the definition of OpenCV's `INTER_AREA`; Cykooz's and Pillow's "box" take whole samples only).
//! Separable: rows are blended into one wide row first (that loop vectorises), then the row is narrowed.
//!
//! Arithmetic is integer and thus the same on every machine. Row weights are 8-bit fractions for up to
//! [`FINE_TAPS`] rows (sums stay in 16 bits, twice the lanes), 16-bit ones beyond; column weights are 16-bit.

use crate::smooth::{self, SmoothAxis};

/// From this many source rows per output row on, row weights have 16 bits.
const FINE_TAPS: usize = 9;

/// The window of source samples, and their weights, of every output sample along one axis.
#[derive(Debug, Clone, Default)]
pub(crate) struct Axis {
    /// First source sample of any window; `starts` count from here.
    first: usize,
    /// Source samples from `first` to the end of the last window.
    len: usize,
    /// Weights per output sample.
    taps: usize,
    /// First source sample of each window, from `first`.
    starts: Vec<u32>,
    /// `taps` weights per output sample, in 1/65536; each window's sum is 65536.
    weights: Vec<u32>,
}

/// Where output samples lie on the source axis, in units of source samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// Stored source samples.
    pub samples: usize,
    /// Start of output sample 0; may be negative.
    pub offset: f64,
    /// Source samples per output sample.
    pub scale: f64,
    /// Valid source range; windows are cut to it.
    pub clip: (f64, f64),
    /// Output samples.
    pub count: usize,
}

impl Axis {
    /// Rebuilds the table in place. Every window must overlap `span.clip`, which must lie in `0..=samples`.
    pub fn set(&mut self, span: Span) {
        let Span { samples, offset, scale, clip, count } = span;
        // Rounding noise below a millionth of a sample must not add a tap.
        const EPSILON: f64 = 1e-6;
        let enlarging = scale < 1.0 - EPSILON;
        let aligned = |value: f64| (value - value.round()).abs() < EPSILON;
        let taps = if enlarging {
            2
        } else if aligned(scale) && aligned(offset) {
            scale.round() as usize
        } else {
            (scale - EPSILON).ceil() as usize + 1
        };
        self.taps = taps.min(samples).max(1);
        self.starts.clear();
        self.weights.clear();
        let cut = |index: usize| -> (usize, f64, f64) {
            if enlarging {
                // Bilinear between sample centres, clamped at the ends.
                let centre = offset + (index as f64 + 0.5) * scale - 0.5;
                let centre = centre.clamp(0.0, (samples - 1) as f64);
                let start = (centre as usize).min(samples.saturating_sub(self.taps));
                (start, centre, centre + 1.0)
            } else {
                let low = (offset + index as f64 * scale).clamp(clip.0, clip.1);
                let high = (offset + (index as f64 + 1.0) * scale).clamp(clip.0, clip.1);
                let start = ((low + EPSILON) as usize).min(samples - self.taps);
                (start, low, high.max(low + EPSILON))
            }
        };
        let (mut first, mut end) = (usize::MAX, 0);
        for index in 0..count {
            let (start, low, high) = cut(index);
            // Rounding the running sum, not each weight, keeps the total exact.
            let mut done = 0_u32;
            let mut covered = 0.0;
            for tap in 0..self.taps {
                let left = (start + tap) as f64;
                covered += (high.min(left + 1.0) - low.max(left)).max(0.0);
                let sum = if tap + 1 == self.taps {
                    65_536
                } else {
                    ((covered / (high - low)).min(1.0) * 65_536.0).round() as u32
                };
                self.weights.push(sum - done);
                done = sum;
            }
            self.starts.push(start as u32);
            first = first.min(start);
            end = end.max(start + self.taps);
        }
        self.first = first.min(end);
        self.len = end - self.first;
        for start in &mut self.starts {
            *start -= self.first as u32;
        }
    }

    /// Output samples.
    pub fn count(&self) -> usize {
        self.starts.len()
    }
}

/// The tables and buffers of one resampling at a time, reused: exact-area integer arithmetic for pictures decoded at
/// full size, [`crate::smooth`] for those that are block averages already.
#[derive(Debug, Default)]
pub(crate) struct Resampler {
    across: Axis,
    down: Axis,
    smooth_across: SmoothAxis,
    smooth_down: SmoothAxis,
    samples_across: usize,
    of_blocks: bool,
    scratch: Vec<u16>,
    smooth_scratch: Vec<f32>,
}

impl Resampler {
    /// Prepares for sources and targets that lie as the spans say.
    pub fn set(&mut self, across: Span, down: Span, of_blocks: bool) {
        self.of_blocks = of_blocks;
        self.samples_across = across.samples;
        if of_blocks {
            self.smooth_across.set(across);
            self.smooth_down.set(down);
        } else {
            self.across.set(across);
            self.down.set(down);
        }
    }

    /// Resamples `source` with `C` interleaved channels into `out`, whose rows are `out_stride` bytes apart.
    pub fn run<const C: usize>(&mut self, source: Source<'_>, out: &mut [u8], out_stride: usize) {
        if self.of_blocks {
            let tables = (self.samples_across, &self.smooth_across, &self.smooth_down);
            smooth::resample::<C>(source, tables, &mut self.smooth_scratch, out, out_stride);
        } else {
            resample::<C>(source, &self.across, &self.down, &mut self.scratch, out, out_stride);
        }
    }

    /// Bytes held between images, tables left aside.
    pub fn held_bytes(&self) -> usize {
        self.scratch.capacity() * 2 + self.smooth_scratch.capacity() * 4
    }
}

/// One plane, or interleaved picture, of 8-bit samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub data: &'a [u8],
    /// Bytes from row to row.
    pub stride: usize,
}

/// Resamples `source` with `C` interleaved channels into `out`, whose rows are `out_stride` bytes apart.
fn resample<const C: usize>(
    source: Source<'_>,
    across: &Axis,
    down: &Axis,
    scratch: &mut Vec<u16>,
    out: &mut [u8],
    out_stride: usize,
) {
    let (from, wide) = (across.first * C, across.len * C);
    scratch.clear();
    scratch.resize(wide, 0);
    let row = |index: usize| &source.data[(down.first + index) * source.stride + from..][..wide];
    let whole = across.taps == 1 && across.count() == across.len;
    for (index, out_row) in out.chunks_mut(out_stride).take(down.count()).enumerate() {
        let start = down.starts[index] as usize;
        let mut weights = &down.weights[index * down.taps..][..down.taps];
        let leading = weights.iter().take_while(|w| **w == 0).count().min(weights.len() - 1);
        let start = start + leading;
        weights = &weights[leading..];
        while let [rest @ .., 0] = weights {
            weights = rest;
        }
        let narrowed = &mut out_row[..across.count() * C];
        if whole && weights.len() == 1 {
            narrowed.copy_from_slice(row(start));
            continue;
        }
        blend_rows(weights, |tap| row(start + tap), scratch);
        narrow::<C>(scratch, across, narrowed);
    }
}

/// Weighted sum of source rows into 8.8 fixed point.
fn blend_rows<'a>(weights: &[u32], row: impl Fn(usize) -> &'a [u8], wide: &mut [u16]) {
    if weights.len() >= FINE_TAPS {
        return blend_many(weights, row, wide);
    }
    let mut coarse = [0_u16; FINE_TAPS];
    let (mut sum, mut done) = (0, 0);
    for (weight, coarse) in weights.iter().zip(&mut coarse) {
        sum += weight;
        let rounded = (sum + 128) >> 8;
        *coarse = (rounded - done) as u16;
        done = rounded;
    }
    match weights.len() {
        1 => blend([row(0)], [coarse[0]], wide),
        2 => blend([row(0), row(1)], [coarse[0], coarse[1]], wide),
        3 => blend([row(0), row(1), row(2)], [coarse[0], coarse[1], coarse[2]], wide),
        n => {
            blend([row(0), row(1), row(2), row(3)], [coarse[0], coarse[1], coarse[2], coarse[3]], wide);
            for (tap, weight) in coarse.iter().enumerate().take(n).skip(4) {
                blend_onto(row(tap), *weight, wide);
            }
        }
    }
}

#[inline]
fn blend<const T: usize>(rows: [&[u8]; T], weights: [u16; T], wide: &mut [u16]) {
    let rows = rows.map(|row| &row[..wide.len()]);
    for (i, sum) in wide.iter_mut().enumerate() {
        let mut total = 0_u16;
        for tap in 0..T {
            total = total.wrapping_add(u16::from(rows[tap][i]).wrapping_mul(weights[tap]));
        }
        *sum = total;
    }
}

fn blend_onto(row: &[u8], weight: u16, wide: &mut [u16]) {
    for (sum, sample) in wide.iter_mut().zip(row) {
        *sum = sum.wrapping_add(u16::from(*sample).wrapping_mul(weight));
    }
}

/// Many rows: 32-bit sums, in pieces that stay in the first-level cache.
fn blend_many<'a>(weights: &[u32], row: impl Fn(usize) -> &'a [u8], wide: &mut [u16]) {
    let mut sums = [0_u32; 1024];
    for (piece, wide) in wide.chunks_mut(sums.len()).enumerate() {
        let sums = &mut sums[..wide.len()];
        sums.fill(128);
        for (tap, weight) in weights.iter().enumerate() {
            for (sum, sample) in sums.iter_mut().zip(&row(tap)[piece * 1024..]) {
                *sum += u32::from(*sample) * weight;
            }
        }
        for (wide, sum) in wide.iter_mut().zip(sums) {
            *wide = (*sum >> 8) as u16;
        }
    }
}

fn narrow<const C: usize>(wide: &[u16], axis: &Axis, out: &mut [u8]) {
    match axis.taps {
        1 => narrow_taps::<C, 1>(wide, axis, out),
        2 => narrow_taps::<C, 2>(wide, axis, out),
        3 => narrow_taps::<C, 3>(wide, axis, out),
        4 => narrow_taps::<C, 4>(wide, axis, out),
        5 => narrow_taps::<C, 5>(wide, axis, out),
        6 => narrow_taps::<C, 6>(wide, axis, out),
        taps => {
            let windows = axis.starts.iter().zip(axis.weights.chunks_exact(taps));
            for ((start, weights), out) in windows.zip(out.chunks_exact_mut(C)) {
                let window = &wide[*start as usize * C..][..taps * C];
                for (channel, out) in out.iter_mut().enumerate() {
                    let sum: u32 = (window[channel..].iter().step_by(C).zip(weights))
                        .map(|(value, weight)| u32::from(*value) * weight)
                        .sum();
                    *out = (sum.saturating_add(1 << 23) >> 24) as u8;
                }
            }
        }
    }
}

#[inline]
fn narrow_taps<const C: usize, const T: usize>(wide: &[u16], axis: &Axis, out: &mut [u8]) {
    let (weights, _) = axis.weights.as_chunks::<T>();
    for ((start, weights), out) in axis.starts.iter().zip(weights).zip(out.chunks_exact_mut(C)) {
        let window = &wide[*start as usize * C..][..T * C];
        for channel in 0..C {
            let mut sum = 1_u32 << 23;
            for tap in 0..T {
                sum = sum.wrapping_add(u32::from(window[tap * C + channel]).wrapping_mul(weights[tap]));
            }
            out[channel] = (sum >> 24) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(samples: usize, count: usize) -> Axis {
        let mut axis = Axis::default();
        let extent = samples as f64;
        let scale = extent / count as f64;
        axis.set(Span { samples, offset: 0.0, scale, clip: (0.0, extent), count });
        axis
    }

    /// Area average in f64, straight from the definition.
    fn reference(source: &[u8], width: usize, height: usize, out_w: usize, out_h: usize) -> Vec<f64> {
        let (sx, sy) = (width as f64 / out_w as f64, height as f64 / out_h as f64);
        let cover = |index: usize, scale: f64, at: usize| {
            let (low, high) = (index as f64 * scale, (index as f64 + 1.0) * scale);
            (high.min(at as f64 + 1.0) - low.max(at as f64)).max(0.0)
        };
        let mut out = Vec::new();
        for y in 0..out_h {
            for x in 0..out_w {
                let mut sum = 0.0;
                for sample_y in 0..height {
                    let weight_y = cover(y, sy, sample_y);
                    for sample_x in 0..width {
                        let weight = weight_y * cover(x, sx, sample_x);
                        sum += weight * f64::from(source[sample_y * width + sample_x]);
                    }
                }
                out.push(sum / (sx * sy));
            }
        }
        out
    }

    #[test]
    fn matches_the_definition_at_any_ratio() {
        for (width, height, out_w, out_h) in [
            (50, 37, 34, 25),
            (50, 37, 50, 37),
            (90, 80, 13, 7),
            (64, 64, 16, 64),
            (200, 3, 1, 1),
            (7, 150, 6, 4),
        ] {
            let source: Vec<u8> =
                (0..width * height).map(|i| ((i * 7919 + i / 3 * 31) % 256) as u8).collect();
            let mut out = vec![0; out_w * out_h];
            let source_plane = Source { data: &source, stride: width };
            let (across, down) = (plain(width, out_w), plain(height, out_h));
            resample::<1>(source_plane, &across, &down, &mut Vec::new(), &mut out, out_w);
            for (got, want) in out.iter().zip(reference(&source, width, height, out_w, out_h)) {
                assert!(
                    (f64::from(*got) - want).abs() < 1.01,
                    "{width}x{height}→{out_w}x{out_h}: {got} vs {want}"
                );
            }
        }
    }

    #[test]
    fn flat_stays_flat_also_at_full_white() {
        for level in [0, 128, 255] {
            let source = vec![level; 300 * 40 * 3];
            let mut out = vec![7; 21 * 9 * 3];
            let plane = Source { data: &source, stride: 900 };
            resample::<3>(plane, &plain(300, 21), &plain(40, 9), &mut Vec::new(), &mut out, 63);
            assert!(out.iter().all(|v| *v == level));
        }
    }
}
