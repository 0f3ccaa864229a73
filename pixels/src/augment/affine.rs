//! Shears, translations and rotations: PIL's `Image.transform` with its bicubic filter, which is Keys' cubic with
//! a = -1 (its resizer has -1/2) over 4×4 pixels, with values truncated rather than rounded.
//!
//! The filter is evaluated in double precision and in PIL's order of operations, so that truncation meets the same
//! numbers. Where a map leaves rows or columns in place the filter's other direction is the identity, exactly, and is
//! skipped.

use super::Scratch;
use crate::raster::Rgb8Mut;

/// From a target pixel's centre to a point of the source: `x' = ax + by + c`, `y' = dx + ey + f`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Affine(pub [f64; 6]);

/// Pixels at a time: the loops over a run are plain ones over arrays, which become vectors.
const RUN: usize = 16;

/// A run of pixels, one number a channel.
type Run<T> = [[T; 3]; RUN];

impl Affine {
    /// PIL's `Image.rotate` about the centre, counter-clockwise.
    pub fn rotation(degrees: f64, width: u32, height: u32) -> Self {
        let angle = -degrees.rem_euclid(360.0).to_radians();
        let (sin, cos) = (rounded(angle.sin()), rounded(angle.cos()));
        let (x, y) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
        let minus_sin = rounded(-angle.sin());
        let left = cos * -x + sin * -y + 0.0 + x;
        let top = minus_sin * -x + cos * -y + 0.0 + y;
        Self([cos, sin, left, minus_sin, cos, top])
    }

    /// Maps the picture in place.
    pub fn apply(self, picture: &mut Rgb8Mut<'_>, fill: [u8; 3], scratch: &mut Scratch) {
        let Self([a, b, c, d, e, f]) = self;
        let (width, height) = (picture.width as usize, picture.height as usize);
        scratch.before.clear();
        scratch.before.extend_from_slice(picture.data);
        let source = Source { pixels: scratch.before.as_chunks::<3>().0, width, height };
        let centre = |at: usize| at as f64 + 0.5;
        let across = |x: usize, y: usize| Tap::new(a * centre(x) + b * centre(y) + c, width);
        let down = |x: usize, y: usize| Tap::new(d * centre(x) + e * centre(y) + f, height);
        if [d, e, f] == [0.0, 1.0, 0.0] {
            map_runs::<1>(picture, fill, |taps, x, y| {
                let at = across(x, y)?;
                taps.put(0, source.along(y, at));
                Some([at.past, 0.0])
            });
        } else if [a, b, c] == [1.0, 0.0, 0.0] {
            map_runs::<1>(picture, fill, |taps, x, y| {
                let at = down(x, y)?;
                taps.put(0, source.down(x, at));
                Some([at.past, 0.0])
            });
        } else {
            map_runs::<4>(picture, fill, |taps, x, y| {
                let (across, down) = (across(x, y)?, down(x, y)?);
                for (row, y) in down.places(height).into_iter().enumerate() {
                    taps.put(row, source.along(y, across));
                }
                Some([across.past, down.past])
            });
        }
    }
}

/// Rounded to 15 decimals, as PIL does so that right angles are exact.
fn rounded(value: f64) -> f64 {
    format!("{value:.15}").parse().unwrap_or(value)
}

/// Where the filter's four taps lie along one side: the first of them, and how far the point is past the second.
#[derive(Clone, Copy)]
struct Tap {
    first: isize,
    past: f64,
}

impl Tap {
    /// Nothing where the point lies outside the picture.
    #[inline]
    fn new(at: f64, side: usize) -> Option<Self> {
        if !(at >= 0.0 && at < side as f64) {
            return None;
        }
        let at = at - 0.5;
        // At least -0.5, so this is the floor.
        let second = if at < 0.0 { -1 } else { at as isize };
        Some(Self { first: second - 1, past: at - second as f64 })
    }

    /// The four places, those outside moved to the edge.
    #[inline]
    fn places(self, side: usize) -> [usize; 4] {
        let last = side as isize - 1;
        [0, 1, 2, 3].map(|step| (self.first + step).clamp(0, last) as usize)
    }
}

struct Source<'a> {
    pixels: &'a [[u8; 3]],
    width: usize,
    height: usize,
}

impl Source<'_> {
    #[inline]
    fn along(&self, y: usize, at: Tap) -> [[u8; 3]; 4] {
        let line = &self.pixels[y * self.width..(y + 1) * self.width];
        let first = usize::try_from(at.first).unwrap_or(usize::MAX);
        match line.get(first..).and_then(|rest| rest.first_chunk::<4>()) {
            Some(taps) => *taps,
            None => at.places(self.width).map(|x| line[x]),
        }
    }

    #[inline]
    fn down(&self, x: usize, at: Tap) -> [[u8; 3]; 4] {
        at.places(self.height).map(|y| self.pixels[y * self.width + x])
    }
}

/// The pixels that a run of targets is computed from: `ROWS` times four for each.
struct Taps<const ROWS: usize> {
    values: [[Run<u8>; 4]; ROWS],
    /// Where in the run the next are put.
    at: usize,
}

impl<const ROWS: usize> Taps<ROWS> {
    #[inline]
    fn put(&mut self, row: usize, taps: [[u8; 3]; 4]) {
        for (run, tap) in self.values[row].iter_mut().zip(taps) {
            run[self.at % RUN] = tap;
        }
    }
}

/// Fills the picture run by run. `gather` puts the taps of one target and gives how far the point is past the second one
/// in a row, and past the second row; nothing where it lies outside.
#[inline]
fn map_runs<const ROWS: usize>(
    picture: &mut Rgb8Mut<'_>,
    fill: [u8; 3],
    mut gather: impl FnMut(&mut Taps<ROWS>, usize, usize) -> Option<[f64; 2]>,
) {
    let mut taps = Taps { values: [[[[0; 3]; RUN]; 4]; ROWS], at: 0 };
    let mut past: [Run<f64>; 2] = [[[0.0; 3]; RUN]; 2];
    let mut rows: [Run<f64>; ROWS] = [[[0.0; 3]; RUN]; ROWS];
    let mut made: Run<f64> = [[0.0; 3]; RUN];
    for (y, line) in picture.data.chunks_exact_mut(picture.width as usize * 3).enumerate() {
        for (number, out) in line.as_chunks_mut::<3>().0.chunks_mut(RUN).enumerate() {
            let mut inside = [false; RUN];
            for (at, inside) in inside.iter_mut().enumerate().take(out.len()) {
                taps.at = at;
                if let Some([along, across]) = gather(&mut taps, number * RUN + at, y) {
                    *inside = true;
                    past[0][at] = [along; 3];
                    past[1][at] = [across; 3];
                }
            }
            if !inside.contains(&true) {
                out.fill(fill);
                continue;
            }
            for (row, taps) in rows.iter_mut().zip(&taps.values) {
                cubic_of_bytes(taps, &past[0], row);
            }
            let made = match rows.first_chunk::<4>() {
                Some(rows) => {
                    cubic(rows, &past[1], &mut made);
                    &made
                }
                None => &rows[0],
            };
            for ((out, inside), made) in out.iter_mut().zip(inside).zip(made) {
                *out = if inside { made.map(|value| value as u8) } else { fill };
            }
        }
    }
}

/// The cubic through the second and third of four bytes. The coefficients are small whole numbers, exact in any order.
fn cubic_of_bytes(taps: &[Run<u8>; 4], past: &Run<f64>, out: &mut Run<f64>) {
    let mut coefficients = [[[0_i16; 3]; RUN]; 4];
    let [c1, c2, c3, c4] = &mut coefficients;
    let [v1, v2, v3, v4] = taps.each_ref().map(|run| run.as_flattened());
    let c = c1.as_flattened_mut().iter_mut().zip(c2.as_flattened_mut()).zip(c3.as_flattened_mut());
    let v = v1.iter().zip(v2).zip(v3).zip(v4);
    for ((((c1, c2), c3), c4), (((v1, v2), v3), v4)) in c.zip(c4.as_flattened_mut()).zip(v) {
        let [v1, v2, v3, v4] = [*v1, *v2, *v3, *v4].map(i16::from);
        *c1 = v2;
        *c2 = v3 - v1;
        *c3 = 2 * (v1 - v2) + v3 - v4;
        *c4 = v2 - v1 + v4 - v3;
    }
    let [c1, c2, c3, c4] = coefficients.each_ref().map(|run| run.as_flattened());
    let c = c1.iter().zip(c2).zip(c3).zip(c4);
    for ((out, past), (((c1, c2), c3), c4)) in
        out.as_flattened_mut().iter_mut().zip(past.as_flattened()).zip(c)
    {
        let [c1, c2, c3, c4] = [*c1, *c2, *c3, *c4].map(f64::from);
        *out = c1 + past * (c2 + past * (c3 + past * c4));
    }
}

/// The same of numbers with a fraction, in PIL's order.
fn cubic(taps: &[Run<f64>; 4], past: &Run<f64>, out: &mut Run<f64>) {
    let [v1, v2, v3, v4] = taps.each_ref().map(|run| run.as_flattened());
    let v = v1.iter().zip(v2).zip(v3).zip(v4);
    for ((out, past), (((v1, v2), v3), v4)) in
        out.as_flattened_mut().iter_mut().zip(past.as_flattened()).zip(v)
    {
        let c2 = -v1 + v3;
        let c3 = 2.0 * (v1 - v2) + v3 - v4;
        let c4 = -v1 + v2 - v3 + v4;
        *out = v2 + past * (c2 + past * (c3 + past * c4));
    }
}
