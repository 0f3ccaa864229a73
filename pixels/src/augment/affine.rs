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

/// Red, green, blue and one unused byte: four lanes.
type Pixel = [u8; 4];
type Lanes = [f64; 4];

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
        let before = &mut scratch.before;
        before.clear();
        before.extend(picture.data.as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*r, *g, *b, 0]));
        let source = Source { pixels: before.as_chunks::<4>().0, width, height };
        let rows = picture.data.chunks_exact_mut(width.max(1) * 3).enumerate();
        let centre = |at: usize| at as f64 + 0.5;
        if [d, e, f] == [0.0, 1.0, 0.0] {
            for (y, row) in rows {
                let line = source.line(y);
                for (x, out) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                    let at = Tap::new(a * centre(x) + b * centre(y) + c, width);
                    *out = at.map_or(fill, |at| bytes(along(line, at)));
                }
            }
        } else if [a, b, c] == [1.0, 0.0, 0.0] {
            for (y, row) in rows {
                for (x, out) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                    let at = Tap::new(d * centre(x) + e * centre(y) + f, height);
                    *out = at.map_or(fill, |at| bytes(source.down(x, at)));
                }
            }
        } else {
            for (y, row) in rows {
                for (x, out) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                    let across = Tap::new(a * centre(x) + b * centre(y) + c, width);
                    let down = Tap::new(d * centre(x) + e * centre(y) + f, height);
                    *out = across.zip(down).map_or(fill, |(across, down)| bytes(source.around(across, down)));
                }
            }
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
    pixels: &'a [Pixel],
    width: usize,
    height: usize,
}

impl<'a> Source<'a> {
    #[inline]
    fn line(&self, y: usize) -> &'a [Pixel] {
        &self.pixels[y * self.width..(y + 1) * self.width]
    }

    #[inline]
    fn down(&self, x: usize, at: Tap) -> Lanes {
        let places = at.places(self.height);
        cubic_of_bytes(&places.map(|y| self.pixels[y * self.width + x]), at.past)
    }

    #[inline]
    fn around(&self, across: Tap, down: Tap) -> Lanes {
        cubic(&down.places(self.height).map(|y| along(self.line(y), across)), down.past)
    }
}

#[inline]
fn along(line: &[Pixel], at: Tap) -> Lanes {
    let first = usize::try_from(at.first).unwrap_or(usize::MAX);
    match line.get(first..).and_then(|rest| rest.first_chunk::<4>()) {
        Some(taps) => cubic_of_bytes(taps, at.past),
        None => cubic_of_bytes(&at.places(line.len()).map(|x| line[x]), at.past),
    }
}

/// The cubic through the second and third of four bytes. The coefficients are small whole numbers, exact in any order.
#[inline]
fn cubic_of_bytes(taps: &[Pixel; 4], past: f64) -> Lanes {
    let [v1, v2, v3, v4] = taps.map(|pixel| pixel.map(i32::from));
    std::array::from_fn(|i| {
        let p2 = v3[i] - v1[i];
        let p3 = 2 * (v1[i] - v2[i]) + v3[i] - v4[i];
        let p4 = v2[i] - v1[i] + v4[i] - v3[i];
        f64::from(v2[i]) + past * (f64::from(p2) + past * (f64::from(p3) + past * f64::from(p4)))
    })
}

/// The same of numbers with a fraction, in PIL's order.
#[inline]
fn cubic(taps: &[Lanes; 4], past: f64) -> Lanes {
    let [v1, v2, v3, v4] = taps;
    std::array::from_fn(|i| {
        let p2 = -v1[i] + v3[i];
        let p3 = 2.0 * (v1[i] - v2[i]) + v3[i] - v4[i];
        let p4 = -v1[i] + v2[i] - v3[i] + v4[i];
        v2[i] + past * (p2 + past * (p3 + past * p4))
    })
}

/// Cut towards zero and to 0–255.
#[inline]
fn bytes([red, green, blue, _]: Lanes) -> [u8; 3] {
    [red as u8, green as u8, blue as u8]
}
