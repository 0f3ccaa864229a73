//! A picture's perceptual hash: 64 bits that stay nearly the same when the picture is compressed again, resized or
//! brought to another format, and have nothing to do with each other for different pictures. What
//! `pairmill-shards subset --drop-duplicate-images near` compares; of the pipeline it knows nothing.
//!
//! The formula is the DCT hash of C. Zauner, *Implementation and Benchmarking of Perceptual Image Hash Functions* (2010,
//! §3.2.1): luminance at 32×32 pixels, its two-dimensional DCT-II, and one bit for each of 64 low frequencies, set
//! where the coefficient is above their median. Two choices are ours: the resize is the exact area average (instead of
//! a 7×7 mean filter), and the frequencies are the 64 lowest without the constant one, along the diagonals (instead of
//! a square of 8×8 without the first row and column), which loses fewer bits to recompression on real pictures.

use std::f64::consts::PI;

use crate::config::{Interpolation, Limits};
use crate::decode::decode_rgb_at_least;
use crate::error::PixelError;
use crate::raster::Rgb8;
use crate::resize::resize_rgb;

/// Side of the picture that is transformed, in pixels.
const SIDE: usize = 32;
/// A JPEG may be decoded small, but not below this side: twice the samples that are needed.
const DECODED_SIDE: u32 = 2 * SIDE as u32;
/// A picture whose 32×32 luminances differ by less says nothing: its bits would be the noise of its encoder.
const LEAST_CONTRAST: f64 = 8.0;

/// The hash of an encoded picture of any format; `None` for one that is too flat to be told from others (a single
/// colour, say). Bits: row by row of the diagonals, lowest frequency first in the highest bit.
///
/// # Errors
/// As [`decode_rgb_at_least`].
pub fn perceptual_hash(bytes: &[u8], limits: &Limits) -> Result<Option<u64>, PixelError> {
    hash_rgb(&decode_rgb_at_least(bytes, limits, DECODED_SIDE, DECODED_SIDE)?)
}

fn hash_rgb(picture: &Rgb8) -> Result<Option<u64>, PixelError> {
    let small = resize_rgb(picture, SIDE as u32, SIDE as u32, Interpolation::Area)?;
    // ITU-R BT.601's weights, as JPEG has them.
    let luminance =
        |[r, g, b]: &[u8; 3]| 0.299 * f64::from(*r) + 0.587 * f64::from(*g) + 0.114 * f64::from(*b);
    let pixels: Vec<f64> = small.data.as_chunks::<3>().0.iter().map(luminance).collect();
    let (least, most) = pixels.iter().fold((f64::MAX, f64::MIN), |(a, b), p| (a.min(*p), b.max(*p)));
    if most - least < LEAST_CONTRAST {
        return Ok(None);
    }
    let values = low_frequencies(&pixels);
    let mut sorted = values;
    sorted.sort_unstable_by(f64::total_cmp);
    let median = f64::midpoint(sorted[31], sorted[32]);
    Ok(Some(values.iter().fold(0, |bits, value| bits << 1 | u64::from(*value > median))))
}

/// The 64 coefficients of lowest frequency but the constant one: down the diagonals of the two-dimensional DCT-II.
fn low_frequencies(pixels: &[f64]) -> [f64; 64] {
    /// The diagonals 1 to 10 hold 65 frequencies; the last one is left out.
    const FREQUENCIES: usize = 11;
    let wave: [[f64; SIDE]; FREQUENCIES] = std::array::from_fn(|u| {
        // Orthonormal, so that no frequency is larger for its formula's sake.
        let scale = if u == 0 { (1.0 / SIDE as f64).sqrt() } else { (2.0 / SIDE as f64).sqrt() };
        std::array::from_fn(|x| scale * (PI / SIDE as f64 * (x as f64 + 0.5) * u as f64).cos())
    });
    let dot =
        |a: &[f64; SIDE], b: &mut dyn Iterator<Item = f64>| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    // Rows first, then columns.
    let across: Vec<[f64; FREQUENCIES]> = pixels
        .chunks_exact(SIDE)
        .map(|row| std::array::from_fn(|u| dot(&wave[u], &mut row.iter().copied())))
        .collect();
    let diagonals = (1..FREQUENCIES).flat_map(|sum| (0..=sum).map(move |v| (v, sum - v)));
    let mut values = [0.0; 64];
    for (value, (v, u)) in values.iter_mut().zip(diagonals) {
        *value = dot(&wave[v], &mut across.iter().map(|row| row[u]));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blobs of light that no two seeds have in the same places.
    fn picture(seed: u32, width: u32, height: u32) -> Rgb8 {
        let mut data = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let (x, y) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
                let wave = |k: u32| (f64::from((seed * 7 + k * 13) % 29) * (x + f64::from(k) * y)).sin();
                let light = 127.0 + 40.0 * (wave(1) + wave(2) + wave(3));
                data.extend([light as u8, (light * 0.8) as u8, 255 - light as u8]);
            }
        }
        Rgb8 { width, height, data }
    }

    #[test]
    fn half_the_bits_are_set_and_size_does_not_matter() {
        for seed in 1..20 {
            let hash = hash_rgb(&picture(seed, 200, 150)).unwrap().unwrap();
            assert_eq!(hash.count_ones(), 32);
            let other = hash_rgb(&picture(seed, 320, 240)).unwrap().unwrap();
            assert!((hash ^ other).count_ones() <= 4, "seed {seed}: {hash:016x} {other:016x}");
            let different = hash_rgb(&picture(seed + 1, 200, 150)).unwrap().unwrap();
            assert!((hash ^ different).count_ones() > 8, "seed {seed}");
        }
    }

    #[test]
    fn a_wave_sets_its_own_frequency() {
        // One period of a cosine down the picture: frequency 2 of the columns, place (2, 0).
        let light = |y: u32| (127.0 + 100.0 * (2.0 * PI * (f64::from(y) + 0.5) / 32.0).cos()).round() as u8;
        let data: Vec<u8> = (0..32).flat_map(|y| [light(y); 96]).collect();
        let values = low_frequencies(&data.iter().step_by(3).map(|v| f64::from(*v)).collect::<Vec<_>>());
        let greatest = (0..64).max_by(|a, b| values[*a].total_cmp(&values[*b]));
        // Diagonal 1 has (0, 1) and (1, 0), diagonal 2 (0, 2), (1, 1), (2, 0).
        assert_eq!(greatest, Some(4));
        // Orthonormal: the wave's own length, 100 times the root of half the pixels.
        assert!((values[4] - 100.0 * 512.0_f64.sqrt()).abs() < 5.0, "{}", values[4]);
    }

    #[test]
    fn a_flat_picture_has_none() {
        assert_eq!(hash_rgb(&Rgb8::filled(90, 40, [250, 250, 251])), Ok(None));
    }
}
