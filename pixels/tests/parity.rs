//! Sizes, borders, crops, matting, gates and re-encode rules against img2dataset's own `Resizer`
//! (`reference/resizer.py` wrote `reference/resizer.json`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod support;

use pairmill_pixels::{
    EncodeFormat, Interpolation, Limits, PixelError, TransformConfig, Transformer, decode_rgb,
};
use serde_json::Value;
use support::{encode_png, formula, to_webp};

/// OpenCV's own fixed-point resize, and enlarging with other tap positions, differ by up to this many levels.
const TOLERANCE: i64 = 2;

fn reference() -> Value {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/resizer.json"))
        .unwrap();
    serde_json::from_str(&text).unwrap()
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap() as u32
}

#[test]
fn sizes_borders_crops_and_pixels_are_img2datasets() {
    let reference = reference();
    let cases = reference["cases"].as_array().unwrap();
    assert!(cases.len() > 300);
    let (mut wrong, mut spots) = (Vec::new(), 0);
    for case in cases {
        let (width, height) = (number(&case["width"]), number(&case["height"]));
        let channels = number(&case["channels"]) as usize;
        let config = TransformConfig {
            image_size: number(&case["size"]),
            resize_mode: case["mode"].as_str().unwrap().parse().unwrap(),
            resize_only_if_bigger: case["only_if_bigger"].as_bool().unwrap(),
            upscale: Interpolation::Linear,
            encode_format: EncodeFormat::Png,
            encode_quality: 1,
            ..TransformConfig::default()
        };
        let source = encode_png(&formula(width, height, channels), width, height, channels);
        let done = Transformer::new(&config).unwrap().transform(&source).unwrap();
        let label = format!("{case}");
        let out = &case["out"];
        if (done.width, done.height) != (Some(number(&out[0])), Some(number(&out[1]))) {
            wrong.push(format!("size {:?}x{:?}: {label}", done.width, done.height));
            continue;
        }
        assert_eq!(done.original_width, Some(width));
        assert_eq!(pairmill_pixels::probe(&done.image).unwrap().channels, if channels == 1 { 1 } else { 3 });
        // 700x2 grows to 89,600x256.
        let limits = Limits { max_side: 100_000, ..Limits::default() };
        let made = decode_rgb(&done.image, &limits).unwrap();
        let pixel = |x: usize, y: usize| &made.data[(y * made.width as usize + x) * 3..][..3];
        if case["border"].is_array() {
            let dark = |x: usize, y: usize| pixel(x, y).iter().any(|v| *v < 220);
            let (w, h) = (made.width as usize, made.height as usize);
            let column = |x: &usize| (0..h).any(|y| dark(*x, y));
            let row = |y: &usize| (0..w).any(|x| dark(x, *y));
            let found = [
                (0..w).position(|x| column(&x)).unwrap(),
                (0..h).position(|y| row(&y)).unwrap(),
                (0..w).rev().position(|x| column(&x)).unwrap(),
                (0..h).rev().position(|y| row(&y)).unwrap(),
            ];
            let expected: Vec<usize> =
                case["border"].as_array().unwrap().iter().map(|v| number(v) as usize).collect();
            if found.as_slice() != expected {
                wrong.push(format!("border {found:?}: {label}"));
            }
        }
        for spot in case["spots"].as_array().unwrap() {
            let spot: Vec<i64> = spot.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
            let found = pixel(spot[0] as usize, spot[1] as usize);
            spots += 1;
            if found.iter().zip(&spot[2..]).any(|(a, b)| (i64::from(*a) - b).abs() > TOLERANCE) {
                wrong.push(format!("pixel {spot:?} is {found:?}: {label}"));
            }
        }
    }
    assert!(spots > 1_500);
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}

#[test]
fn the_first_broken_gate_is_img2datasets() {
    for case in reference()["gates"].as_array().unwrap() {
        let bound = |name: &str| case[name].as_f64().unwrap_or(f64::INFINITY);
        let config = TransformConfig {
            min_image_size: case["min_image_size"].as_u64().unwrap_or(0) as u32,
            max_image_area: bound("max_image_area"),
            max_aspect_ratio: bound("max_aspect_ratio"),
            ..TransformConfig::default()
        };
        let (width, height) = (number(&case["width"]), number(&case["height"]));
        let source = encode_png(&formula(width, height, 3), width, height, 3);
        let error = match Transformer::new(&config).unwrap().transform(&source) {
            Ok(_) => None,
            Err(PixelError::TooSmall { .. }) => Some("image too small"),
            Err(PixelError::TooBig { .. }) => Some("image area too large"),
            Err(PixelError::Aspect { .. }) => Some("aspect ratio too large"),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(error, case["error"].as_str(), "{case}");
    }
}

#[test]
fn bytes_are_kept_where_img2dataset_keeps_them() {
    for case in reference()["reencodes"].as_array().unwrap() {
        let channels = number(&case["channels"]) as usize;
        let pixels = formula(120, 100, channels);
        let source = match case["format"].as_str().unwrap() {
            "jpg" => support::encode_jpeg(&pixels, 120, 100, channels),
            "png" => encode_png(&pixels, 120, 100, channels),
            _ => to_webp(&pixels, 120, 100),
        };
        let target: EncodeFormat = case["target"].as_str().unwrap().parse().unwrap();
        let config = TransformConfig {
            image_size: number(&case["size"]),
            resize_mode: case["mode"].as_str().unwrap().parse().unwrap(),
            resize_only_if_bigger: case["only_if_bigger"].as_bool().unwrap(),
            encode_format: target,
            encode_quality: if target == EncodeFormat::Png { 1 } else { 95 },
            skip_reencode: true,
            ..TransformConfig::default()
        };
        let done = Transformer::new(&config).unwrap().transform(&source).unwrap();
        let kept = done.image == source;
        assert_eq!(Some(kept), case["kept"].as_bool(), "{case}");
        assert_eq!(done.applied.reencoded, !kept);
    }
}
