//! PIL's `ImageEnhance`: the picture blended with what is left of it at a factor of 0 (grey, mean grey, smooth).

use super::Scratch;
use crate::raster::Rgb8Mut;

/// Pixels at a time: whole vectors, and all arrays in the first-level cache.
const RUN: usize = 64;

/// PIL's `Image.blend`: single precision, cut towards zero and then to 0–255.
#[inline]
pub(super) fn blend(degenerate: u8, value: u8, factor: f32) -> u8 {
    (f32::from(degenerate) + factor * (f32::from(value) - f32::from(degenerate))) as u8
}

/// PIL's `convert("L")`: ITU-R 601-2 luma in 16-bit fixed point.
#[inline]
fn grey([red, green, blue]: [u8; 3]) -> u8 {
    ((u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471 + 0x8000) >> 16) as u8
}

/// The mean of the grey picture, rounded half up; 0 for no pixels.
pub(super) fn mean_grey(pixels: &[u8]) -> u8 {
    let pixels = pixels.as_chunks::<3>().0;
    let sum: u64 = pixels.iter().map(|pixel| u64::from(grey(*pixel))).sum();
    (sum as f64 / pixels.len().max(1) as f64 + 0.5) as u8
}

/// `ImageEnhance.Color`.
pub(super) fn colour(pixels: &mut [u8], factor: f32) {
    for run in pixels.as_chunks_mut::<3>().0.chunks_mut(RUN) {
        // Grey three times over, so that the blend is one plain loop over bytes.
        let mut greys = [[0_u8; 3]; RUN];
        for (greys, pixel) in greys.iter_mut().zip(run.iter()) {
            *greys = [grey(*pixel); 3];
        }
        for (value, grey) in run.as_flattened_mut().iter_mut().zip(greys.as_flattened()) {
            *value = blend(*grey, *value, factor);
        }
    }
}

/// `ImageEnhance.Sharpness`: against PIL's `SMOOTH`, a 3×3 mean with the centre five times. The outermost pixels, and
/// pictures of less than three pixels a side, are left as they are.
pub(super) fn sharpen(picture: &mut Rgb8Mut<'_>, factor: f32, scratch: &mut Scratch) {
    let stride = picture.width as usize * 3;
    if picture.width < 3 || picture.height < 3 {
        return;
    }
    let Scratch { before, sums } = scratch;
    before.clear();
    before.extend_from_slice(picture.data);
    sums.resize(stride, 0);
    for (y, row) in
        picture.data.chunks_exact_mut(stride).enumerate().skip(1).take(picture.height as usize - 2)
    {
        let above = &before[(y - 1) * stride..y * stride];
        let here = &before[y * stride..(y + 1) * stride];
        let below = &before[(y + 1) * stride..(y + 2) * stride];
        for (((sum, above), here), below) in sums.iter_mut().zip(above).zip(here).zip(below) {
            *sum = u16::from(*above) + u16::from(*here) + u16::from(*below);
        }
        let columns = sums.iter().zip(&sums[3..]).zip(&sums[6..]);
        for ((value, centre), ((left, middle), right)) in row[3..].iter_mut().zip(&here[3..]).zip(columns) {
            let sum = left + middle + right + 4 * u16::from(*centre);
            // The sum over 13, rounded; a half cannot occur.
            let smooth = ((2 * sum + 13) / 26) as u8;
            *value = blend(smooth, *value, factor);
        }
    }
}
