//! `Cropper` against torchvision over PIL (`reference/crop.py` wrote `reference/crop.json`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod support;

use std::path::Path;

use base64::Engine as _;
use pairmill_pixels::{CropBox, CropConfig, Cropper, Limits, PixelError, Placement, TruncatedPolicy, View};
use serde_json::Value;
use support::noise;

/// Mean over all pixels of |ours - PIL's| of one picture, in levels of 255: the filters round differently.
const MEAN_TOLERANCE: f64 = 0.5;
/// Any one pixel of a picture that no lossy codec has touched.
const PIXEL_TOLERANCE: u8 = 2;
/// Noise that is enlarged overshoots and is clipped between the two passes; PIL runs across first, our resizer down.
/// PIL against itself with the passes swapped (the picture transposed) differs by 7 levels on the same picture.
const ENLARGED_TOLERANCE: u8 = 7;
/// Any block mean of a photograph: the means are rounded, and chroma takes another way.
const BLOCK_TOLERANCE: f64 = 2.0;
/// Over planes, where chroma comes straight from its own grid: one block in fifty pictures is off by 2.4 levels.
const PLANES_BLOCK_TOLERANCE: f64 = 2.5;
/// Mean over the blocks of a photograph.
const BLOCK_MEAN_TOLERANCE: f64 = 0.6;

fn reference() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/crop.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn views(case: &Value, resize: &Value) -> [(&'static str, View); 3] {
    let numbers: Vec<u32> =
        case["box"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as u32).collect();
    let [left, top, width, height] = numbers[..] else { panic!("{case}") };
    [
        ("centre", View::Centre),
        ("centre_of", View::CentreOf { resize: resize.as_u64().unwrap() as u32 }),
        ("window", View::Crop(CropBox { left, top, width, height })),
    ]
}

fn crop(cropper: &mut Cropper, image: &[u8], view: View, mirrored: bool) -> Vec<u8> {
    let mut out = vec![0; cropper.out_bytes()];
    cropper.write(image, |_, _| Placement { view, mirrored }, &mut out).unwrap();
    out
}

fn cropper(side: u32, planes: bool) -> Cropper {
    Cropper::new(&CropConfig { side, planes, ..CropConfig::default() }).unwrap()
}

fn block_means(pixels: &[u8], side: usize, blocks: usize) -> Vec<f64> {
    let size = side / blocks;
    let mut sums = vec![0.0; blocks * blocks * 3];
    for (at, value) in pixels.iter().enumerate() {
        let (row, column, channel) = (at / (side * 3), at / 3 % side, at % 3);
        sums[(row / size * blocks + column / size) * 3 + channel] += f64::from(*value);
    }
    sums.iter().map(|sum| sum / (size * size) as f64).collect()
}

#[test]
fn every_pixel_of_made_up_pictures_is_pils() {
    let reference = reference();
    let side = reference["formula_side"].as_u64().unwrap() as u32;
    for case in reference["formula"].as_array().unwrap() {
        let (width, height) =
            (case["width"].as_u64().unwrap() as u32, case["height"].as_u64().unwrap() as u32);
        let png = support::encode_png(&noise(width, height), width, height, 3);
        for (name, view) in views(case, &reference["formula_resize"]) {
            let (ours, pils) = (crop(&mut cropper(side, true), &png, view, false), bytes(&case[name]));
            let differences = ours.iter().zip(&pils).map(|(a, b)| a.abs_diff(*b));
            let (worst, sum) =
                differences.fold((0, 0.0), |(worst, sum), d| (d.max(worst), sum + f64::from(d)));
            let mean = sum / pils.len() as f64;
            let tolerance = if width.min(height) < side { ENLARGED_TOLERANCE } else { PIXEL_TOLERANCE };
            assert!(
                worst <= tolerance && mean < MEAN_TOLERANCE,
                "{width}x{height} {name}: worst {worst}, mean {mean}"
            );
        }
    }
}

#[test]
fn fifty_photographs_are_pils_over_planes_and_over_rgb() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/imagenet-samples");
    if !folder.is_dir() {
        eprintln!("SKIPPED fifty_photographs: no folder {}; its pixels were NOT compared", folder.display());
        return;
    }
    let reference = reference();
    let (side, blocks) =
        (reference["side"].as_u64().unwrap(), reference["blocks"].as_u64().unwrap() as usize);
    let cases = reference["real"].as_array().unwrap();
    assert_eq!(cases.len(), 50);
    for planes in [true, false] {
        let mut cropper = cropper(side as u32, planes);
        for case in cases {
            let file = case["file"].as_str().unwrap();
            let image = std::fs::read(folder.join(file)).unwrap();
            for (name, view) in views(case, &reference["resize"]) {
                let ours = block_means(&crop(&mut cropper, &image, view, false), side as usize, blocks);
                let differences: Vec<f64> =
                    ours.iter().zip(bytes(&case[name])).map(|(a, b)| (a - f64::from(b)).abs()).collect();
                let worst = differences.iter().copied().fold(0.0, f64::max);
                let mean = differences.iter().sum::<f64>() / differences.len() as f64;
                assert!(
                    worst < if planes { PLANES_BLOCK_TOLERANCE } else { BLOCK_TOLERANCE }
                        && mean < BLOCK_MEAN_TOLERANCE,
                    "{file} {name}, planes {planes}: worst block {worst:.2}, mean {mean:.2}"
                );
            }
        }
    }
}

#[test]
fn a_picture_decoded_once_is_cut_as_from_its_bytes() {
    let (width, height) = (90, 70);
    let rgba: Vec<u8> = noise(width, height).chunks(3).flat_map(|p| [p[0], p[1], p[2], 9]).collect();
    let grey: Vec<u8> = noise(width, height).chunks(3).map(|p| p[0]).collect();
    // Without scaling in the decoder, which `decode_rgb` never does.
    let config = CropConfig { side: 16, dct_scaling: false, ..CropConfig::default() };
    let mut cropper = Cropper::new(&config).unwrap();
    for bytes in [
        support::encode_jpeg(&noise(width, height), width, height, 3),
        support::encode_jpeg(&grey, width, height, 1),
        support::encode_png(&rgba, width, height, 4),
        support::to_webp(&noise(width, height), width, height),
    ] {
        let picture = cropper.decode_rgb(&bytes).unwrap();
        assert_eq!((picture.width, picture.height), (width, height));
        for mirrored in [false, true] {
            for view in [
                View::Centre,
                View::CentreOf { resize: 18 },
                View::Crop(CropBox { left: 3, top: 5, width: 60, height: 41 }),
            ] {
                let direct = crop(&mut cropper, &bytes, view, mirrored);
                let mut out = vec![0; cropper.out_bytes()];
                let placement = Placement { view, mirrored };
                cropper.write_rgb(&picture.data, width, height, placement, &mut out).unwrap();
                assert_eq!(out, direct, "{view:?}, mirrored {mirrored}");
            }
        }
    }
}

#[test]
fn decoding_alone_keeps_to_limits_and_policy() {
    let jpeg = support::encode_jpeg(&noise(64, 64), 64, 64, 3);
    let half = &jpeg[..jpeg.len() / 2];
    let mut strict = cropper(16, true);
    assert_eq!(strict.decode_rgb(half), Err(PixelError::Truncated));
    assert_eq!(strict.decode_rgb(b"<html>"), Err(PixelError::NotAnImage));
    assert_eq!(strict.decode_rgb(&jpeg).unwrap().data.len(), 64 * 64 * 3);
    let lenient = CropConfig { truncated: TruncatedPolicy::Keep, ..CropConfig::default() };
    let kept = Cropper::new(&lenient).unwrap().decode_rgb(half).unwrap();
    assert_eq!((kept.width, kept.height), (64, 64));
    let limits = Limits { max_pixels: 64 * 63, ..Limits::default() };
    let narrow = CropConfig { limits, ..CropConfig::default() };
    let refused = Cropper::new(&narrow).unwrap().decode_rgb(&jpeg);
    assert!(matches!(refused, Err(PixelError::Bomb { what: "pixels", .. })), "{refused:?}");
}

#[test]
fn pictures_and_slots_of_another_size_are_refused() {
    let mut cropper = cropper(16, false);
    let mut out = vec![0; cropper.out_bytes()];
    let placement = Placement { view: View::Centre, mirrored: false };
    let mut write = |rgb: &[u8], width, height, out: &mut [u8]| {
        matches!(cropper.write_rgb(rgb, width, height, placement, out), Err(PixelError::Encode(_)))
    };
    let rgb = noise(20, 20);
    assert!(
        write(&rgb, 20, 21, &mut out) && write(&rgb, 0, 20, &mut out) && write(&rgb, 20, 20, &mut [0; 5])
    );
    assert!(!write(&rgb, 20, 20, &mut out));
}

#[test]
fn f05_damage_below_the_window_is_seen() {
    for (width, height) in [(200, 160), (96, 333), (161, 241)] {
        let jpeg = support::encode_jpeg(&noise(width, height), width, height, 3);
        let view = View::Crop(CropBox { left: 3, top: 5, width: 60, height: 41 });
        for planes in [false, true] {
            let mut cropper = cropper(32, planes);
            let mut out = vec![0; cropper.out_bytes()];
            let mut write =
                |bytes: &[u8]| cropper.write(bytes, |_, _| Placement { view, mirrored: false }, &mut out);
            assert_eq!(write(&jpeg), Ok(()));
            assert_eq!(write(&jpeg[..jpeg.len() - jpeg.len() / 10]), Err(PixelError::Truncated));
        }
    }
}

#[test]
fn a_mirrored_picture_is_the_mirror_image() {
    let jpeg = support::encode_jpeg(&noise(90, 70), 90, 70, 3);
    let plain = crop(&mut cropper(16, true), &jpeg, View::Centre, false);
    let mirrored = crop(&mut cropper(16, true), &jpeg, View::Centre, true);
    for (row, turned) in plain.chunks(48).zip(mirrored.chunks(48)) {
        let back: Vec<u8> = turned.chunks(3).rev().flatten().copied().collect();
        assert_eq!(row, back);
    }
}

#[test]
fn alpha_is_dropped_and_grey_has_three_channels() {
    let mut rgba: Vec<u8> = noise(20, 20).chunks(3).flat_map(|p| [p[0], p[1], p[2], 0]).collect();
    let png = support::encode_png(&rgba, 20, 20, 4);
    rgba.chunks_mut(4).for_each(|p| p[3] = 255);
    let opaque = support::encode_png(&rgba, 20, 20, 4);
    let [clear, solid] = [png, opaque].map(|png| crop(&mut cropper(20, true), &png, View::Centre, false));
    assert_eq!(clear, solid);
    let grey: Vec<u8> = noise(20, 20).chunks(3).map(|p| p[0]).collect();
    for image in [support::encode_jpeg(&grey, 20, 20, 1), support::encode_png(&grey, 20, 20, 1)] {
        let out = crop(&mut cropper(10, true), &image, View::Centre, false);
        assert!(out.chunks(3).all(|p| p[0] == p[1] && p[1] == p[2]));
    }
}

#[test]
fn what_cannot_be_used_is_typed_and_the_next_picture_is_fine() {
    let jpeg = support::encode_jpeg(&noise(64, 64), 64, 64, 3);
    let mut cropper = cropper(16, true);
    let good = crop(&mut cropper, &jpeg, View::Centre, false);
    let centre = |_, _| Placement { view: View::Centre, mirrored: false };
    let mut out = vec![0; cropper.out_bytes()];
    assert_eq!(cropper.write(b"<html>", centre, &mut out), Err(PixelError::NotAnImage));
    assert_eq!(cropper.write(&jpeg[..jpeg.len() / 2], centre, &mut out), Err(PixelError::Truncated));
    assert!(matches!(cropper.write(&jpeg, centre, &mut out[1..]), Err(PixelError::Encode(_))));
    assert_eq!(crop(&mut cropper, &jpeg, View::Centre, false), good);
}

/// Sizes of which, enlarged, the first column of the centre lies on a column of the picture exactly: a slope of colours
/// stays one.
#[test]
fn centres_of_every_size_are_cut_where_they_lie() {
    let sizes =
        [(60, 52, 73, 64), (68, 59, 73, 64), (70, 52, 73, 64), (77, 76, 256, 224), (110, 63, 256, 224)];
    for (width, height, resize, side) in sizes {
        let rgb: Vec<u8> = (0..height).flat_map(|_| (0..width).flat_map(|x| [x as u8 * 2; 3])).collect();
        let mut cropper = cropper(side, false);
        let mut out = vec![0; cropper.out_bytes()];
        let placement = Placement { view: View::CentreOf { resize }, mirrored: false };
        cropper.write_rgb(&rgb, width, height, placement, &mut out).unwrap();
        let resized = resize * width / height;
        let scale = f64::from(width) / f64::from(resized);
        let start = (f64::from(resized - side) / 2.0).round_ties_even();
        for row in out.chunks(side as usize * 3) {
            for (column, pixel) in row.chunks(3).enumerate() {
                let expected = 2.0 * ((start + column as f64 + 0.5) * scale - 0.5);
                assert!(
                    (f64::from(pixel[0]) - expected).abs() < 1.0,
                    "{width}x{height} column {column}: {pixel:?}"
                );
            }
        }
    }
}
