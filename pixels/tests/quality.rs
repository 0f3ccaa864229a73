//! Pixels no worse than the obvious path: PSNR against an exact-area float reference of the fully decoded picture, for
//! our plane path and for a path like OpenCV's (decode to RGB, area resize, encode 4:2:0 at quality 95).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod support;

use pairmill_pixels::{
    Interpolation, Limits, ResizeMode, Rgb8, TransformConfig, Transformer, decode_rgb, resize_rgb,
};
use support::{area_reference, jpeg, psnr, scene, shared_jpegs};
use turbojpeg::Subsamp;

/// Mean PSNR of (ours, RGB path) and the worst difference of one picture, in dB.
fn compare(files: &[(String, Vec<u8>)], shrunk: bool) -> (f64, f64, f64) {
    let config = TransformConfig {
        resize_mode: ResizeMode::KeepRatio,
        resize_only_if_bigger: true,
        ..TransformConfig::default()
    };
    let limits = Limits::default();
    let mut transformer = Transformer::new(&config).unwrap();
    let (mut ours, mut theirs, mut worst) = (0.0, 0.0, f64::INFINITY);
    for (name, file) in files {
        let done = transformer.transform(file).unwrap();
        assert!(done.applied.planes, "{name} left the plane path");
        let (width, height) = (done.original_width.unwrap(), done.original_height.unwrap());
        assert_eq!(done.applied.coefficients, shrunk, "{name}: {width}x{height}");
        let full = decode_rgb(file, &limits).unwrap();
        let (width, height) = (done.width.unwrap(), done.height.unwrap());
        let from = (full.width as usize, full.height as usize);
        let reference = area_reference(&full.data, from, (width as usize, height as usize));
        let resized = resize_rgb(&full, width, height, Interpolation::Area).unwrap();
        let other =
            jpeg(&resized.data, width, height, 3, Subsamp::Sub2x2, |codec| codec.set_quality(95).unwrap());
        let measure = |bytes: &[u8]| psnr(&decode_rgb(bytes, &limits).unwrap().data, &reference);
        let (a, b) = (measure(&done.image), measure(&other));
        ours += a;
        theirs += b;
        worst = worst.min(a - b);
    }
    let count = files.len() as f64;
    (ours / count, theirs / count, worst)
}

/// `slack` is how much worse the mean may be, in dB.
fn judge(label: &str, files: &[(String, Vec<u8>)], shrunk: bool, slack: f64) {
    let (ours, theirs, worst) = compare(files, shrunk);
    eprintln!(
        "{label}: {} pictures, planes {ours:.2} dB, RGB {theirs:.2} dB, worst {worst:+.2} dB",
        files.len()
    );
    assert!(ours >= theirs - slack, "{label}: planes {ours:.2} dB, RGB {theirs:.2} dB");
}

const KINDS: [Subsamp; 5] =
    [Subsamp::None, Subsamp::Sub2x2, Subsamp::Sub2x1, Subsamp::Sub1x2, Subsamp::Sub4x1];

fn synthetic(width: u32, height: u32, kinds: &[Subsamp]) -> Vec<(String, Vec<u8>)> {
    (kinds.iter().enumerate())
        .map(|(seed, kind)| {
            let pixels = scene(width, height, seed as u32 + 1);
            (format!("{kind:?}"), jpeg(&pixels, width, height, 3, *kind, |_| {}))
        })
        .collect()
}

#[test]
fn planes_are_no_worse_on_pictures_of_web_size() {
    judge("synthetic 501x377", &synthetic(501, 377, &KINDS), false, 0.05);
    let real: Vec<_> = shared_jpegs("imagenet-samples", 60)
        .into_iter()
        .filter(|(_, file)| {
            let header = pairmill_pixels::probe(file).unwrap();
            header.channels == 3 && (257..512).contains(&header.width.min(header.height))
        })
        .collect();
    if !real.is_empty() {
        judge("imagenet-samples", &real, false, 0.05);
    }
}

#[test]
fn planes_are_no_worse_on_large_pictures_decoded_small() {
    // Saturated edges and stripes up to the finest: far harsher than photographs. 4:1:1 has too little chroma to be
    // decoded small at this size.
    judge("synthetic 1301x1101", &synthetic(1301, 1101, &KINDS[..4]), true, 0.15);
    let real: Vec<_> = shared_jpegs("imagenet-samples", 6)
        .iter()
        .flat_map(|(name, file)| {
            let small = decode_rgb(file, &Limits::default()).unwrap();
            [2_200, 1_700].map(|short| (format!("{name} at {short}"), enlarged(&small, short)))
        })
        .collect();
    if !real.is_empty() {
        judge("imagenet-samples enlarged", &real, true, 0.05);
    }
}

/// A large photograph: enlarged until its shorter side has `short` pixels, with grain.
fn enlarged(small: &Rgb8, short: u32) -> Vec<u8> {
    let scaled = |side: u32| side * short / small.width.min(small.height);
    let (width, height) = (scaled(small.width), scaled(small.height));
    let mut big = resize_rgb(small, width, height, Interpolation::Cubic).unwrap();
    let mut state = 1_u32;
    for value in &mut big.data {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value = value.saturating_add((state >> 28) as u8);
    }
    jpeg(&big.data, width, height, 3, Subsamp::Sub2x2, |_| {})
}

#[test]
fn border_and_crop_at_odd_places_match_the_rgb_path() {
    // Odd offsets put chroma samples half on the picture; the RGB path (PNG out) is the judge.
    for (width, height, size) in [(501, 300, 99), (300, 501, 98), (333, 331, 97), (90, 61, 64)] {
        for mode in [ResizeMode::Border, ResizeMode::CenterCrop] {
            let file = jpeg(&scene(width, height, 9), width, height, 3, Subsamp::None, |_| {});
            let planes = TransformConfig {
                image_size: size,
                resize_mode: mode,
                upscale: Interpolation::Area,
                ..TransformConfig::default()
            };
            let exact = TransformConfig {
                encode_format: pairmill_pixels::EncodeFormat::Png,
                encode_quality: 1,
                ..planes.clone()
            };
            let done = Transformer::new(&planes).unwrap().transform(&file).unwrap();
            assert!(done.applied.planes);
            let limits = Limits::default();
            let exact = Transformer::new(&exact).unwrap().transform(&file).unwrap();
            let exact = decode_rgb(&exact.image, &limits).unwrap();
            let made = decode_rgb(&done.image, &limits).unwrap();
            let reference: Vec<f64> = exact.data.iter().map(|v| f64::from(*v)).collect();
            let direct =
                jpeg(&exact.data, size, size, 3, Subsamp::Sub2x2, |codec| codec.set_quality(95).unwrap());
            let obvious = psnr(&decode_rgb(&direct, &limits).unwrap().data, &reference);
            let ours = psnr(&made.data, &reference);
            assert!(
                ours > obvious - 0.6,
                "{width}x{height} {mode} to {size}: {ours:.2} dB against {obvious:.2} dB"
            );
        }
    }
}
