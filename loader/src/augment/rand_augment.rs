//! RandAugment (Cubuk et al. 2020): a few operations at random, each of a magnitude between 0 and 10. The rules from
//! magnitude to argument are timm 0.4.12's, of `rand-m9-mstd0.5` with and without `inc1`.

use pairmill_pixels::{Normalisation, Op};
use serde::{Deserialize, Serialize};

use crate::error::LoaderError;
use crate::order::Rng;

/// The largest magnitude.
const MAX_MAGNITUDE: f64 = 10.0;
/// What the largest magnitude means.
const MAX_DEGREES: f64 = 30.0;
const MAX_BITS: f64 = 4.0;
const MAX_THRESHOLD: f64 = 256.0;
const MAX_ADD: f64 = 110.0;
const MAX_SHEAR: f64 = 0.3;
/// As a share of the side.
const MAX_TRANSLATION: f64 = 0.45;
/// Farthest from a factor of 1.
const MAX_FACTOR: f64 = 0.9;

/// How operations are drawn. The default is the study's `rand-m9-mstd0.5-inc1`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandAugment {
    /// Operations drawn for a picture, with replacement, 1–100.
    pub num_ops: u32,
    /// Mean magnitude, 0–10.
    pub magnitude: f64,
    /// Standard deviation of the magnitude, which is cut to 0–10.
    pub std: f64,
    /// Whether every operation changes more with a larger magnitude. Without it `Posterize` and `Solarize` change less,
    /// and factors go from 0.1 to 1.9 rather than away from 1.
    pub increasing: bool,
    /// Probability that an operation that was drawn is applied.
    pub probability: f64,
    /// Colour of what comes from outside the picture.
    pub fill: [u8; 3],
}

impl Default for RandAugment {
    fn default() -> Self {
        Self {
            num_ops: 2,
            magnitude: 9.0,
            std: 0.5,
            increasing: true,
            probability: 0.5,
            fill: Normalisation::Imagenet.mean_colour(),
        }
    }
}

/// The fifteen operations, before their magnitude is known.
#[derive(Debug, Clone, Copy)]
enum Kind {
    AutoContrast,
    Equalize,
    Invert,
    Rotate,
    Posterize,
    Solarize,
    SolarizeAdd,
    Color,
    Contrast,
    Brightness,
    Sharpness,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
}

const KINDS: [Kind; 15] = [
    Kind::AutoContrast,
    Kind::Equalize,
    Kind::Invert,
    Kind::Rotate,
    Kind::Posterize,
    Kind::Solarize,
    Kind::SolarizeAdd,
    Kind::Color,
    Kind::Contrast,
    Kind::Brightness,
    Kind::Sharpness,
    Kind::ShearX,
    Kind::ShearY,
    Kind::TranslateX,
    Kind::TranslateY,
];

impl RandAugment {
    /// The operations for one picture of `width` × `height` pixels, in the order they are applied.
    pub fn draw<'a>(&'a self, rng: &'a mut Rng, width: u32, height: u32) -> impl Iterator<Item = Op> + 'a {
        (0..self.num_ops).filter_map(move |_| {
            let kind = KINDS[rng.below(KINDS.len() as u64) as usize];
            (rng.unit() < self.probability).then(|| self.op(kind, rng, width, height))
        })
    }

    fn op(&self, kind: Kind, rng: &mut Rng, width: u32, height: u32) -> Op {
        let drawn = if self.std > 0.0 { self.magnitude + self.std * rng.normal() } else { self.magnitude };
        let level = drawn.clamp(0.0, MAX_MAGNITUDE) / MAX_MAGNITUDE;
        let sign = if rng.unit() < 0.5 { 1.0 } else { -1.0 };
        let signed = |most: f64| sign * level * most;
        let factor = || match self.increasing {
            true => 1.0 + signed(MAX_FACTOR),
            false => level * 2.0 * MAX_FACTOR + (1.0 - MAX_FACTOR),
        };
        // Casts cut towards zero, as timm's `int`.
        match kind {
            Kind::AutoContrast => Op::AutoContrast,
            Kind::Equalize => Op::Equalize,
            Kind::Invert => Op::Invert,
            Kind::Posterize => {
                let bits = (level * MAX_BITS) as u8;
                Op::Posterize { bits: if self.increasing { MAX_BITS as u8 - bits } else { bits } }
            }
            Kind::Solarize => {
                let threshold = (level * MAX_THRESHOLD) as u16;
                Op::Solarize {
                    threshold: if self.increasing { MAX_THRESHOLD as u16 - threshold } else { threshold },
                }
            }
            Kind::SolarizeAdd => Op::SolarizeAdd { add: (level * MAX_ADD) as u8 },
            Kind::Color => Op::Color(factor()),
            Kind::Contrast => Op::Contrast(factor()),
            Kind::Brightness => Op::Brightness(factor()),
            Kind::Sharpness => Op::Sharpness(factor()),
            Kind::Rotate => Op::Rotate { degrees: signed(MAX_DEGREES) },
            Kind::ShearX => Op::ShearX(signed(MAX_SHEAR)),
            Kind::ShearY => Op::ShearY(signed(MAX_SHEAR)),
            Kind::TranslateX => Op::TranslateX(signed(MAX_TRANSLATION) * f64::from(width)),
            Kind::TranslateY => Op::TranslateY(signed(MAX_TRANSLATION) * f64::from(height)),
        }
    }

    pub(super) fn validate(&self) -> Result<(), LoaderError> {
        for (option, value, fine, rule) in [
            (
                "rand_augment num_ops",
                f64::from(self.num_ops),
                (1..=100).contains(&self.num_ops),
                "a number of operations, 1 to 100",
            ),
            (
                "rand_augment magnitude",
                self.magnitude,
                (0.0..=MAX_MAGNITUDE).contains(&self.magnitude),
                "a magnitude, 0 to 10",
            ),
            (
                "rand_augment std",
                self.std,
                (0.0..=f64::MAX).contains(&self.std),
                "a standard deviation, 0 or more",
            ),
            (
                "rand_augment probability",
                self.probability,
                (0.0..=1.0).contains(&self.probability),
                "a probability",
            ),
        ] {
            if !fine {
                return Err(LoaderError::Option { option, value: value.to_string(), rule });
            }
        }
        Ok(())
    }
}
