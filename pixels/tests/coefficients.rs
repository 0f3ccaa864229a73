//! The way from JPEG coefficients to a small picture without pixels in between: it takes every regular JPEG, gives what
//! decoding and area averaging give, and says nothing of a damaged file that the full decoder does not say.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod support;

use pairmill_pixels::{
    DctScaling, Limits, PixelError, ResizeMode, TransformConfig, Transformed, Transformer, decode_rgb,
};
use proptest::prelude::*;
use support::{jpeg, scene};
use turbojpeg::Subsamp;

const WITH_RESTARTS: &[u8] = include_bytes!("reference/restart.jpg");

fn config(mode: ResizeMode, image_size: u32, scaling: DctScaling) -> TransformConfig {
    TransformConfig { resize_mode: mode, image_size, dct_scaling: scaling, ..TransformConfig::default() }
}

/// The same picture from its coefficients and from its pixels.
fn both(
    file: &[u8],
    mode: ResizeMode,
    size: u32,
) -> (Result<Transformed, PixelError>, Result<Transformed, PixelError>) {
    let run = |scaling| Transformer::new(&config(mode, size, scaling)).unwrap().transform(file);
    (run(DctScaling::Fine), run(DctScaling::Off))
}

/// Largest and mean difference of two encoded pictures, in levels.
fn difference(a: &[u8], b: &[u8]) -> (u8, f64) {
    let pixels = |bytes| decode_rgb(bytes, &Limits::default()).unwrap().data;
    let (a, b) = (pixels(a), pixels(b));
    assert_eq!(a.len(), b.len());
    let each = || a.iter().zip(&b).map(|(a, b)| a.abs_diff(*b));
    (each().max().unwrap_or(0), each().map(f64::from).sum::<f64>() / a.len() as f64)
}

#[test]
fn every_regular_jpeg_gives_what_its_pixels_give() {
    let mut files = vec![("restart markers".to_owned(), WITH_RESTARTS.to_vec())];
    let pixels = scene(397, 301, 7);
    for subsamp in [Subsamp::None, Subsamp::Sub2x2, Subsamp::Sub2x1, Subsamp::Sub1x2, Subsamp::Sub4x1] {
        for quality in [1, 50, 100] {
            let file = jpeg(&pixels, 397, 301, 3, subsamp, |codec| codec.set_quality(quality).unwrap());
            files.push((format!("{subsamp:?} of quality {quality}"), file));
        }
    }
    let grey: Vec<u8> = pixels.as_chunks::<3>().0.iter().map(|rgb| rgb[1]).collect();
    let file = jpeg(&grey, 397, 301, 1, Subsamp::Gray, |codec| codec.set_optimize(true).unwrap());
    files.push(("grey".to_owned(), file));
    let mut wrong = Vec::new();
    for (name, file) in &files {
        for (mode, size) in [
            (ResizeMode::KeepRatio, 20),
            (ResizeMode::KeepRatio, 37),
            (ResizeMode::CenterCrop, 31),
            (ResizeMode::Border, 33),
            (ResizeMode::Border, 50),
        ] {
            let (small, full) = both(file, mode, size);
            let (small, full) = (small.unwrap(), full.unwrap());
            assert!(small.applied.coefficients, "{name}, {mode} {size}");
            assert!(!full.applied.coefficients && full.applied.planes);
            let (most, mean) = difference(&small.image, &full.image);
            // Both are JPEGs of quality 95, whose steps turn a difference of rounding into whole levels; and at quality
            // 1 the decoder clips a lot of pixels, which this way never makes.
            let coarse = name.ends_with("quality 1");
            let limits = if coarse { (60, 2.0) } else { (16, 1.5) };
            if most > limits.0 || mean > limits.1 {
                wrong.push(format!("{name}, {mode} {size}: {most} at most, {mean:.2} in the mean"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_regular_or_hardly_shrunk_takes_the_other_ways() {
    let pixels = scene(397, 301, 8);
    let progressive =
        jpeg(&pixels, 397, 301, 3, Subsamp::Sub2x2, |codec| codec.set_progressive(true).unwrap());
    let baseline = jpeg(&pixels, 397, 301, 3, Subsamp::Sub2x2, |_| {});
    let (small, full) = both(&progressive, ResizeMode::KeepRatio, 30);
    assert!(!small.unwrap().applied.coefficients && full.is_ok());
    let (large, _) = both(&baseline, ResizeMode::KeepRatio, 200);
    assert!(!large.unwrap().applied.coefficients);
}

fn seeds() -> Vec<Vec<u8>> {
    let pixels = scene(97, 65, 4);
    let mut seeds: Vec<_> = [Subsamp::None, Subsamp::Sub2x2, Subsamp::Sub1x2]
        .map(|subsamp| jpeg(&pixels, 97, 65, 3, subsamp, |_| {}))
        .into();
    seeds.push(WITH_RESTARTS.to_vec());
    seeds
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_a_damaged_file_both_ways_say_the_same(
        seed in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) {
        static SEEDS: std::sync::LazyLock<Vec<Vec<u8>>> = std::sync::LazyLock::new(seeds);
        let mut bytes = seed.get(&SEEDS).clone();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let (small, full) = both(&bytes, ResizeMode::KeepRatio, 16);
        match (small, full) {
            (Ok(small), Ok(full)) => prop_assert_eq!((small.width, small.height), (full.width, full.height)),
            (small, full) => prop_assert_eq!(small.map(|_| ()), full.map(|_| ())),
        }
    }
}

#[test]
fn f05_what_follows_the_scan_is_judged_alike_on_both_ways() {
    let plain = jpeg(&scene(97, 65, 4), 97, 65, 3, Subsamp::Sub2x2, |_| {});
    let end = plain.len() - 2;
    for (marker, is_whole) in [(&[0xFF, 0xD9][..], true), (&[], true), (&[0xFF, 0x02], false)] {
        let (small, full) = both(&[&plain[..end], marker].concat(), ResizeMode::KeepRatio, 16);
        assert_eq!((small.is_ok(), full.is_ok()), (is_whole, is_whole), "{marker:?}");
    }
}
