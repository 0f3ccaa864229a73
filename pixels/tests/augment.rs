//! RandAugment's operations against timm 0.4.12 over Pillow 9.5 (`reference/augment.py` wrote
//! `reference/augment.json`): every byte the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod support;

use base64::Engine as _;
use pairmill_pixels::{Op, PixelError, Rgb8, Rgb8Mut, Scratch};
use serde_json::Value;
use sha2::{Digest, Sha256};
use support::{formula, noise};

fn reference() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/augment.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The reference's pictures, by the label they have there.
fn picture(label: &str) -> Rgb8 {
    let (kind, size) = label.rsplit_once(' ').unwrap();
    let (width, height) = size.split_once('x').unwrap();
    let (width, height): (u32, u32) = (width.parse().unwrap(), height.parse().unwrap());
    let data = match kind {
        "noise" => noise(width, height),
        "ramps" => formula(width, height, 3),
        "constant" => return Rgb8::filled(width, height, [7, 130, 255]),
        "one channel" => {
            let two = |value: u8| if value < 128 { 3 } else { 250 };
            noise(width, height).chunks(3).flat_map(|p| [p[0], 0, two(p[2])]).collect()
        }
        _ => panic!("{label}"),
    };
    Rgb8 { width, height, data }
}

/// timm's function and its argument; translations are shares of the side there.
fn op(name: &str, argument: &Value, picture: &Rgb8) -> Op {
    let number = || argument.as_f64().unwrap();
    let whole = || argument.as_u64().unwrap();
    match name {
        "auto_contrast" => Op::AutoContrast,
        "equalize" => Op::Equalize,
        "invert" => Op::Invert,
        "rotate" => Op::Rotate { degrees: number() },
        "posterize" => Op::Posterize { bits: whole() as u8 },
        "solarize" => Op::Solarize { threshold: whole() as u16 },
        "solarize_add" => Op::SolarizeAdd { add: whole() as u8 },
        "color" => Op::Color(number()),
        "contrast" => Op::Contrast(number()),
        "brightness" => Op::Brightness(number()),
        "sharpness" => Op::Sharpness(number()),
        "shear_x" => Op::ShearX(number()),
        "shear_y" => Op::ShearY(number()),
        "translate_x_rel" => Op::TranslateX(number() * f64::from(picture.width)),
        "translate_y_rel" => Op::TranslateY(number() * f64::from(picture.height)),
        _ => panic!("{name}"),
    }
}

#[test]
fn every_byte_of_every_operation_is_timms() {
    let reference = reference();
    let fill: Vec<u8> =
        reference["fill"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as u8).collect();
    let whole = reference["whole"].as_str().unwrap();
    let cases = reference["cases"].as_array().unwrap();
    assert!(cases.len() >= 70);
    // One scratch for all: nothing of one picture may be seen in the next.
    let mut scratch = Scratch::default();
    let mut wrong = Vec::new();
    for case in cases {
        let name = case["op"].as_str().unwrap();
        for (label, digest) in case["sha256"].as_object().unwrap() {
            let mut made = picture(label);
            let op = op(name, &case["argument"], &made);
            op.apply(&mut made.as_mut().unwrap(), [fill[0], fill[1], fill[2]], &mut scratch);
            let ours: String =
                Sha256::digest(&made.data)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
            if ours != digest.as_str().unwrap() {
                wrong.push(format!("{op:?} on {label}"));
            }
            if label == whole {
                let timms =
                    base64::engine::general_purpose::STANDARD.decode(case["pixels"].as_str().unwrap());
                let differences = made.data.iter().zip(timms.unwrap()).map(|(a, b)| a.abs_diff(b));
                let (worst, count) = differences.fold((0, 0), |(w, n), d| (d.max(w), n + u32::from(d > 0)));
                assert_eq!((worst, count), (0, 0), "{op:?}: worst difference and how many bytes differ");
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ: {wrong:#?}", wrong.len());
}

#[test]
fn magnitudes_that_change_nothing_change_nothing() {
    let before = picture("noise 33x20");
    let mut scratch = Scratch::default();
    for op in [
        Op::Rotate { degrees: 0.0 },
        Op::Rotate { degrees: 720.0 },
        Op::Posterize { bits: 8 },
        Op::Solarize { threshold: 256 },
        Op::SolarizeAdd { add: 0 },
        Op::Color(1.0),
        Op::Contrast(1.0),
        Op::Brightness(1.0),
        Op::Sharpness(1.0),
        Op::ShearX(0.0),
        Op::ShearY(0.0),
        Op::TranslateX(0.0),
        Op::TranslateY(0.0),
    ] {
        let mut after = before.clone();
        op.apply(&mut after.as_mut().unwrap(), [9, 9, 9], &mut scratch);
        assert_eq!(after, before, "{op:?}");
    }
}

#[test]
fn what_comes_from_outside_is_the_fill() {
    let fill = [124, 116, 104];
    for op in
        [Op::TranslateX(1e9), Op::TranslateY(-40.0), Op::ShearX(f64::INFINITY), Op::TranslateX(f64::NAN)]
    {
        let mut made = picture("noise 33x20");
        op.apply(&mut made.as_mut().unwrap(), fill, &mut Scratch::default());
        assert_eq!(made, Rgb8::filled(33, 20, fill), "{op:?}");
    }
}

#[test]
fn a_picture_of_another_size_is_refused() {
    for (bytes, width, height) in [(11, 2, 2), (13, 2, 2), (0, 0, 5), (0, 0, 0), (12, u32::MAX, u32::MAX)] {
        let mut data = vec![0; bytes];
        let refused = Rgb8Mut::new(&mut data, width, height).map(|_| ());
        assert!(matches!(refused, Err(PixelError::Encode(_))), "{bytes} bytes, {width}x{height}");
    }
}
