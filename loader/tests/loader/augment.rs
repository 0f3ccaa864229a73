//! What the loader draws for augmentation against what timm 0.4.12 draws (`reference/augment.py` wrote
//! `reference/augment.json`): not the same numbers, the same distribution. Seeds are fixed, so these tests are no gamble.

use std::collections::BTreeMap;

use pairmill_loader::order::Rng;
use pairmill_loader::{EraseBox, ImageTransform, RandAugment, RandomErasing};
use pairmill_pixels::{Op, Scratch};
use serde_json::Value;

/// Differences of means and shares may be so many standard errors.
const ERRORS: f64 = 4.5;
/// The square operations are drawn for; a translation comes in its pixels.
const SIDES: (u32, u32) = (224, 160);

fn reference() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/augment.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// timm's name of the operation and its argument, in timm's terms.
fn in_timms_terms(op: Op) -> (&'static str, Option<f64>) {
    match op {
        Op::AutoContrast => ("auto_contrast", None),
        Op::Equalize => ("equalize", None),
        Op::Invert => ("invert", None),
        Op::Rotate { degrees } => ("rotate", Some(degrees)),
        Op::Posterize { bits } => ("posterize", Some(bits.into())),
        Op::Solarize { threshold } => ("solarize", Some(threshold.into())),
        Op::SolarizeAdd { add } => ("solarize_add", Some(add.into())),
        Op::Color(factor) => ("color", Some(factor)),
        Op::Contrast(factor) => ("contrast", Some(factor)),
        Op::Brightness(factor) => ("brightness", Some(factor)),
        Op::Sharpness(factor) => ("sharpness", Some(factor)),
        Op::ShearX(factor) => ("shear_x", Some(factor)),
        Op::ShearY(factor) => ("shear_y", Some(factor)),
        Op::TranslateX(pixels) => ("translate_x_rel", Some(pixels / f64::from(SIDES.0))),
        Op::TranslateY(pixels) => ("translate_y_rel", Some(pixels / f64::from(SIDES.1))),
    }
}

fn moments(numbers: &[f64]) -> (f64, f64) {
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    let variance = numbers.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / numbers.len() as f64;
    (mean, variance.sqrt())
}

/// Holds two counts of something against each other: both binomial, of `of` tries each.
fn same_share(what: &str, ours: usize, theirs: f64, of: f64) {
    let share = (ours as f64 + theirs) / (2.0 * of);
    let error = (2.0 * of * share * (1.0 - share)).sqrt();
    assert!((ours as f64 - theirs).abs() <= ERRORS * error, "{what}: {ours} against timm's {theirs} of {of}");
}

/// Mean, spread, bounds and signs of numbers against timm's summary of its own.
fn same_numbers(what: &str, ours: &[f64], theirs: &Value) {
    let number = |name: &str| theirs[name].as_f64().unwrap();
    let (count, std) = (number("count"), number("std"));
    let (mean, spread) = moments(ours);
    let error = std * (1.0 / count + 1.0 / ours.len() as f64).sqrt();
    assert!(
        (mean - number("mean")).abs() <= ERRORS * error,
        "{what}: mean {mean} against {}",
        number("mean")
    );
    assert!((spread - std).abs() <= ERRORS * error, "{what}: spread {spread} against {std}");
    let (low, high) = ours.iter().fold((f64::MAX, f64::MIN), |(l, h), n| (l.min(*n), h.max(*n)));
    // The ends of a few thousand normal numbers lie a third of their spread apart, often enough.
    let slack = 0.1 * (number("high") - number("low")) + std;
    assert!(
        (low - number("low")).abs() <= slack && (high - number("high")).abs() <= slack,
        "{what}: {low} to {high} against {theirs}"
    );
    let negative = ours.iter().filter(|n| **n < 0.0).count() as f64 / ours.len() as f64;
    same_share(what, (negative * count).round() as usize, number("negative"), count);
}

#[test]
fn operations_come_as_often_and_as_strong_as_timms() {
    let default = RandAugment::default();
    for (case, config) in reference()["rand_augment"]
        .as_array()
        .unwrap()
        .iter()
        .zip([default, RandAugment { num_ops: 3, magnitude: 5.0, std: 2.0, increasing: false, ..default }])
    {
        let pictures = case["pictures"].as_u64().unwrap();
        let mut drawn: BTreeMap<&str, Vec<Option<f64>>> = BTreeMap::new();
        for picture in 0..pictures {
            let mut rng = Rng::new(&[11, picture]);
            for op in config.draw(&mut rng, SIDES.0, SIDES.1) {
                let (name, argument) = in_timms_terms(op);
                drawn.entry(name).or_default().push(argument);
            }
        }
        let timms = case["ops"].as_object().unwrap();
        assert_eq!(timms.len(), drawn.len());
        for (name, theirs) in timms {
            let ours = &drawn[name.as_str()];
            let what = format!("{} {name}", case["config"]);
            let tries = (pictures * u64::from(config.num_ops)) as f64;
            same_share(&what, ours.len(), theirs["count"].as_f64().unwrap(), tries);
            let arguments: Vec<f64> = ours.iter().flatten().copied().collect();
            assert_eq!(arguments.is_empty(), theirs["mean"].is_null(), "{what}");
            if !arguments.is_empty() {
                assert_eq!(arguments.len(), ours.len());
                same_numbers(&what, &arguments, theirs);
                // Without the sign, whose spread would hide that of the magnitude.
                let neutral =
                    f64::from(["color", "contrast", "brightness", "sharpness"].contains(&name.as_str()));
                let strengths: Vec<f64> = arguments.iter().map(|n| (n - neutral).abs()).collect();
                same_numbers(&what, &strengths, &theirs["strength"]);
            }
        }
    }
}

#[test]
fn no_magnitude_leaves_its_range() {
    let wild = RandAugment { std: 50.0, num_ops: 8, probability: 1.0, ..RandAugment::default() };
    let mut darkest = 8;
    for seed in 0..5_000 {
        for op in wild.draw(&mut Rng::new(&[seed]), SIDES.0, SIDES.1) {
            let (name, argument) = in_timms_terms(op);
            let range = match name {
                "rotate" => -30.0..=30.0,
                "posterize" => 0.0..=4.0,
                "solarize" => 0.0..=256.0,
                "solarize_add" => 0.0..=110.0,
                "shear_x" | "shear_y" => -0.3..=0.3,
                "translate_x_rel" | "translate_y_rel" => -0.45..=0.45,
                _ => 0.1 - 1e-12..=1.9 + 1e-12,
            };
            assert!(argument.is_none_or(|argument| range.contains(&argument)), "{op:?}");
            if let Op::Posterize { bits } = op {
                darkest = darkest.min(bits);
            }
        }
    }
    assert_eq!(darkest, 0, "the strongest magnitude keeps no bit");
}

#[test]
fn boxes_are_erased_as_often_and_as_large_as_timms() {
    for case in reference()["erasing"].as_array().unwrap() {
        let number = |name: &str| case[name].as_u64().unwrap();
        let (width, height) = (number("width") as u32, number("height") as u32);
        let probability = case["probability"].as_f64().unwrap();
        let config = RandomErasing { probability, ..RandomErasing::default() };
        let boxes: Vec<EraseBox> = (0..number("draws"))
            .filter_map(|seed| config.draw(&mut Rng::new(&[3, seed]), width, height))
            .collect();
        let what = format!("{width}x{height} at {probability}");
        same_share(&what, boxes.len(), number("erased") as f64, number("draws") as f64);
        for b in &boxes {
            assert!(b.width < width && b.height < height, "{what}: {b:?}");
            assert!(b.left + b.width <= width && b.top + b.height <= height, "{what}: {b:?}");
        }
        let of = |measure: &dyn Fn(&EraseBox) -> f64| boxes.iter().map(measure).collect::<Vec<f64>>();
        let area = |b: &EraseBox| f64::from(b.width * b.height) / f64::from(width * height);
        same_numbers(&format!("{what}: area"), &of(&area), &case["area"]);
        same_numbers(&format!("{what}: rows"), &of(&|b| b.height.into()), &case["rows"]);
        same_numbers(&format!("{what}: columns"), &of(&|b| b.width.into()), &case["columns"]);
        same_numbers(&format!("{what}: top"), &of(&|b| b.top.into()), &case["top"]);
        same_numbers(&format!("{what}: left"), &of(&|b| b.left.into()), &case["left"]);
        let aspects: Vec<f64> = boxes
            .iter()
            .filter(|b| b.width > 0 && b.height > 0)
            .map(|b| (f64::from(b.height) / f64::from(b.width)).ln())
            .collect();
        same_numbers(&format!("{what}: aspect"), &aspects, &case["log_aspect"]);
        if width == 224 {
            // The rule itself, with half a pixel of rounding on each side.
            for b in &boxes {
                assert!((0.019..=1.0 / 3.0 + 0.003).contains(&area(b)), "{b:?}");
                let aspect = f64::from(b.height) / f64::from(b.width);
                assert!((0.28..=3.57).contains(&aspect), "{b:?}");
            }
        }
    }
}

#[test]
fn a_box_is_filled_with_noise_and_nothing_else_is_touched() {
    let (width, height) = (30, 20);
    let mut seen = Vec::new();
    for seed in 0..3_000 {
        let mut planes = vec![7.5_f32; 3 * 30 * 20];
        let Some(b) = RandomErasing::default().apply(&mut planes, width, height, &mut Rng::new(&[seed]))
        else {
            assert!(planes.iter().all(|value| *value == 7.5));
            continue;
        };
        for (at, value) in planes.iter().enumerate() {
            let (x, y) = ((at % 30) as u32, (at / 30 % 20) as u32);
            let inside = (b.left..b.left + b.width).contains(&x) && (b.top..b.top + b.height).contains(&y);
            assert_eq!(inside, *value != 7.5, "{b:?} at {x},{y}");
            if inside {
                seen.push(f64::from(*value));
            }
        }
    }
    let (mean, std) = moments(&seen);
    let error = 1.0 / (seen.len() as f64).sqrt();
    assert!(
        seen.len() > 100_000 && mean.abs() < ERRORS * error && (std - 1.0).abs() < ERRORS * error,
        "{mean} {std}"
    );
}

#[test]
fn what_is_drawn_is_a_function_of_the_generator_alone() {
    let transform = ImageTransform::fine_tuning(32);
    let untouched: Vec<u8> = (0..32 * 32 * 3).map(|at| (at * 7 % 251) as u8).collect();
    let square = |seed: u64, scratch: &mut Scratch| {
        let mut pixels = untouched.clone();
        let mut rng = Rng::new(&[seed]);
        let placement = transform.place(100, 80, &mut rng);
        transform.augment(&mut pixels, &mut rng, scratch).unwrap();
        (placement, pixels)
    };
    let mut scratch = Scratch::default();
    let first: Vec<_> = (0..60).map(|seed| square(seed, &mut scratch)).collect();
    let again: Vec<_> = (0..60).rev().map(|seed| square(seed, &mut Scratch::default())).collect();
    assert!(first.iter().eq(again.iter().rev()));
    let changed = first.iter().filter(|(_, pixels)| *pixels != untouched).count();
    // Each of two operations is applied to half of the pictures, and one in ten does nothing to this one.
    assert!((30..60).contains(&changed), "{changed}");
    assert!(transform.augment(&mut [0; 5], &mut Rng::new(&[0]), &mut scratch).is_err());
}
