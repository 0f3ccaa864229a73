//! Pictures made in code, their encodings, and measures, for all integration tests of this crate.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::Cursor;
use std::path::PathBuf;

use image::{ExtendedColorType, ImageEncoder};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

/// The picture of `reference/resizer.py`: three ramps, at most 200; grey is the third, alpha a pattern.
pub fn formula(width: u32, height: u32, channels: usize) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let rgb = [x * 200 / width, y * 200 / height, (x + y) * 200 / (width + height)].map(|v| v as u8);
            match channels {
                1 => pixels.push(rgb[2]),
                3 => pixels.extend(rgb),
                _ => pixels.extend([rgb[0], rgb[1], rgb[2], ((x * 7 + y * 13) % 256) as u8]),
            }
        }
    }
    pixels
}

/// The `noise` of `reference/crop.py` and `reference/augment.py`: a ramp plus pseudo-random noise, RGB.
pub fn noise(width: u32, height: u32) -> Vec<u8> {
    let row = width * 3;
    let sample = |at: u32| {
        let mut mixed = at.wrapping_mul(2_654_435_761);
        mixed ^= mixed >> 15;
        mixed = mixed.wrapping_mul(2_246_822_519);
        mixed ^= mixed >> 13;
        (at % row * 128 / row + mixed % 128) as u8
    };
    (0..row * height).map(sample).collect()
}

/// A picture with edges, texture and saturated colour at every scale, RGB.
pub fn scene(width: u32, height: u32, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let blobs: Vec<[f32; 7]> = (0..24)
        .map(|_| {
            let mut unit = || (random() >> 8) as f32 / (1 << 24) as f32;
            let (x, y, radius) = (unit() * width as f32, unit() * height as f32, 0.02 + unit() * 0.2);
            [x, y, radius * width as f32, unit() * 255.0, unit() * 255.0, unit() * 255.0, unit() * 0.8]
        })
        .collect();
    let mut pixels = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            let mut rgb =
                [120.0 + 60.0 * (x as f32 / width as f32), 110.0, 150.0 - 70.0 * (y as f32 / height as f32)];
            for [cx, cy, radius, r, g, b, stripe] in &blobs {
                let (dx, dy) = (x as f32 - cx, y as f32 - cy);
                if dx * dx + dy * dy < radius * radius {
                    let shade = 1.0 + 0.25 * ((dx * stripe).sin() * (dy * stripe * 0.7).cos());
                    rgb = [r * shade, g * shade, b * shade];
                }
            }
            let grain = (random() % 9) as f32 - 4.0;
            pixels.extend(rgb.map(|v| (v + grain).clamp(0.0, 255.0) as u8));
        }
    }
    pixels
}

pub fn encode_png(pixels: &[u8], width: u32, height: u32, channels: usize) -> Vec<u8> {
    let colour = match channels {
        1 => ExtendedColorType::L8,
        2 => ExtendedColorType::La8,
        3 => ExtendedColorType::Rgb8,
        _ => ExtendedColorType::Rgba8,
    };
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new(Cursor::new(&mut bytes))
        .write_image(pixels, width, height, colour)
        .unwrap();
    bytes
}

pub fn encode_jpeg(pixels: &[u8], width: u32, height: u32, channels: usize) -> Vec<u8> {
    let subsamp = if channels == 1 { Subsamp::Gray } else { Subsamp::Sub2x2 };
    jpeg(pixels, width, height, channels, subsamp, |_| {})
}

/// A JPEG of quality 90; `tune` may set further options.
pub fn jpeg(
    pixels: &[u8],
    width: u32,
    height: u32,
    channels: usize,
    subsamp: Subsamp,
    tune: impl FnOnce(&mut Compressor),
) -> Vec<u8> {
    let mut codec = Compressor::new().unwrap();
    codec.set_quality(90).unwrap();
    codec.set_subsamp(subsamp).unwrap();
    tune(&mut codec);
    let format = match channels {
        1 => PixelFormat::GRAY,
        3 => PixelFormat::RGB,
        _ => PixelFormat::CMYK,
    };
    let (width, height) = (width as usize, height as usize);
    codec.compress_to_vec(Image { pixels, width, pitch: width * channels, height, format }).unwrap()
}

pub fn to_webp(pixels: &[u8], width: u32, height: u32) -> Vec<u8> {
    webp::Encoder::from_rgb(pixels, width, height).encode_lossless().to_vec()
}

/// Adds an EXIF segment with nothing but an orientation right after the start of a JPEG.
pub fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut out = vec![0xFF, 0xD8, 0xFF, 0xE1];
    out.extend((exif.len() as u16 + 2).to_be_bytes());
    out.extend(exif);
    out.extend(&jpeg[2..]);
    out
}

/// A little-endian TIFF of the given tags (numbers as 32 bits), with the places and lengths of its strips or tiles under
/// the tags `places`.
pub fn tiff(tags: &[(u16, &[u32])], places: (u16, u16), chunks: &[&[u8]]) -> Vec<u8> {
    let mut out = b"II*\0\0\0\0\0".to_vec();
    let (mut offsets, mut lengths) = (Vec::new(), Vec::new());
    for chunk in chunks {
        offsets.push(out.len() as u32);
        lengths.push(chunk.len() as u32);
        out.extend(*chunk);
    }
    let mut tags: Vec<(u16, Vec<u32>)> = tags.iter().map(|(tag, values)| (*tag, values.to_vec())).collect();
    tags.extend([(places.0, offsets), (places.1, lengths)]);
    tags.sort();
    let mut entries = Vec::new();
    for (tag, values) in tags {
        entries.extend(tag.to_le_bytes());
        entries.extend(4_u16.to_le_bytes());
        entries.extend((values.len() as u32).to_le_bytes());
        match values.as_slice() {
            [value] => entries.extend(value.to_le_bytes()),
            list => {
                entries.extend((out.len() as u32).to_le_bytes());
                out.extend(list.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
    }
    let directory = out.len() as u32;
    out[4..8].copy_from_slice(&directory.to_le_bytes());
    out.extend((entries.len() as u16 / 12).to_le_bytes());
    out.extend(entries);
    out.extend([0; 4]);
    out
}

/// A TIFF of one strip that is a JPEG of three components, whose colours are taken for RGB.
pub fn tiff_of_jpeg(width: u32, height: u32, jpeg: &[u8]) -> Vec<u8> {
    let tags: [(u16, &[u32]); 7] = [
        (256, &[width]),
        (257, &[height]),
        (258, &[8, 8, 8]),
        (259, &[7]),
        (262, &[2]),
        (277, &[3]),
        (278, &[height]),
    ];
    tiff(&tags, (273, 279), &[jpeg])
}

/// A TIFF of 24×24 pixels in three planes of four tiles, which makes tiff 0.11 panic.
pub fn planar_tiled_tiff() -> Vec<u8> {
    let tags: [(u16, &[u32]); 9] = [
        (256, &[24]),
        (257, &[24]),
        (258, &[8, 8, 8]),
        (259, &[1]),
        (262, &[2]),
        (277, &[3]),
        (284, &[2]),
        (322, &[16]),
        (323, &[16]),
    ];
    let tile: &[u8] = &[90; 256];
    tiff(&tags, (324, 325), &[tile; 12])
}

/// The area average in f64: `pixels` is RGB, the result too.
pub fn area_reference(pixels: &[u8], size: (usize, usize), out: (usize, usize)) -> Vec<f64> {
    let windows = |from: usize, to: usize| -> Vec<Vec<(usize, f64)>> {
        let scale = from as f64 / to as f64;
        let cover = |k: usize, i: usize| {
            let (low, high) = (k as f64 * scale, (k as f64 + 1.0) * scale);
            (high.min(i as f64 + 1.0) - low.max(i as f64)) / scale
        };
        (0..to)
            .map(|k| {
                let first = (k as f64 * scale) as usize;
                let end = (((k + 1) as f64 * scale).ceil() as usize).min(from);
                (first..end).map(|i| (i, cover(k, i))).filter(|(_, w)| *w > 0.0).collect()
            })
            .collect()
    };
    let (across, down) = (windows(size.0, out.0), windows(size.1, out.1));
    let mut made = Vec::with_capacity(out.0 * out.1 * 3);
    let mut row = vec![0.0; size.0 * 3];
    for window in &down {
        row.fill(0.0);
        for (y, weight) in window {
            for (sum, value) in row.iter_mut().zip(&pixels[y * size.0 * 3..][..size.0 * 3]) {
                *sum += weight * f64::from(*value);
            }
        }
        for window in &across {
            for channel in 0..3 {
                made.push(window.iter().map(|(x, weight)| weight * row[x * 3 + channel]).sum());
            }
        }
    }
    made
}

/// Peak signal to noise ratio in dB.
pub fn psnr(pixels: &[u8], reference: &[f64]) -> f64 {
    assert_eq!(pixels.len(), reference.len());
    let squares: f64 = pixels.iter().zip(reference).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    10.0 * (255.0 * 255.0 / (squares / pixels.len() as f64)).log10()
}

/// JPEGs of the data folder beside the checkout, where there is one.
pub fn shared_jpegs(folder: &str, most: usize) -> Vec<(String, Vec<u8>)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(folder);
    let Ok(entries) = std::fs::read_dir(&path) else {
        eprintln!("SKIPPED: {} is not there; only synthetic pictures are used", path.display());
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.retain(|p| {
        p.extension().is_some_and(|e| e.eq_ignore_ascii_case("jpeg") || e.eq_ignore_ascii_case("jpg"))
    });
    paths.sort();
    paths.truncate(most);
    paths.iter().map(|p| (p.display().to_string(), std::fs::read(p).unwrap())).collect()
}
