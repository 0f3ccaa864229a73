//! The random window: torchvision's `RandomResizedCrop`, then maybe a flip.

use pairmill_pixels::CropBox;
use serde::{Deserialize, Serialize};

use crate::error::LoaderError;
use crate::order::Rng;

/// Area of the window, as shares of the picture's: open_clip's.
pub const DEFAULT_SCALE: (f64, f64) = (0.9, 1.0);
/// Area of the window for SimCLR, SLIP and fine-tuning.
pub const SLIP_SCALE: (f64, f64) = (0.08, 1.0);
/// Width over height of the window.
pub const DEFAULT_RATIO: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);
/// Windows that are tried before the centre is taken.
const TRIES: usize = 10;

/// A random window, and maybe a mirrored one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomCrop {
    /// Smallest and largest share of the picture's area, in (0, 1].
    pub scale: (f64, f64),
    /// Smallest and largest width over height; drawn evenly on the logarithm.
    pub ratio: (f64, f64),
    /// Probability of mirroring left and right.
    pub flip: f64,
}

impl Default for RandomCrop {
    fn default() -> Self {
        Self { scale: DEFAULT_SCALE, ratio: DEFAULT_RATIO, flip: 0.0 }
    }
}

impl RandomCrop {
    pub(super) fn validate(&self) -> Result<(), LoaderError> {
        let ordered = |(low, high): (f64, f64), max: f64| low > 0.0 && low <= high && high <= max;
        for (option, value, fine, rule) in [
            (
                "crop scale",
                self.scale,
                ordered(self.scale, 1.0),
                "two shares of the area, 0 < low <= high <= 1",
            ),
            ("crop ratio", self.ratio, ordered(self.ratio, f64::MAX), "two ratios, 0 < low <= high"),
            ("crop flip", (self.flip, 1.0), (0.0..=1.0).contains(&self.flip), "a probability"),
        ] {
            if !fine {
                return Err(LoaderError::Option { option, value: format!("{value:?}"), rule });
            }
        }
        Ok(())
    }

    /// torchvision's `RandomResizedCrop.get_params`.
    pub(super) fn draw(&self, width: u32, height: u32, rng: &mut Rng) -> CropBox {
        let (full_width, full_height) = (f64::from(width), f64::from(height));
        let area = full_width * full_height;
        let (low, high) = (self.ratio.0.ln(), self.ratio.1.ln());
        for _ in 0..TRIES {
            let target = area * rng.between(self.scale.0, self.scale.1);
            let ratio = rng.between(low, high).exp();
            let across = (target * ratio).sqrt().round_ties_even();
            let down = (target / ratio).sqrt().round_ties_even();
            if across > 0.0 && across <= full_width && down > 0.0 && down <= full_height {
                let (across, down) = (across as u32, down as u32);
                let top = rng.below(u64::from(height - down) + 1) as u32;
                let left = rng.below(u64::from(width - across) + 1) as u32;
                return CropBox { left, top, width: across, height: down };
            }
        }
        let shape = full_width / full_height;
        let (across, down) = if shape < self.ratio.0 {
            (width, (full_width / self.ratio.0).round_ties_even() as u32)
        } else if shape > self.ratio.1 {
            ((full_height * self.ratio.1).round_ties_even() as u32, height)
        } else {
            (width, height)
        };
        let (across, down) = (across.clamp(1, width), down.clamp(1, height));
        CropBox { left: (width - across) / 2, top: (height - down) / 2, width: across, height: down }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_keep_to_scale_and_ratio() {
        let crop = RandomCrop { scale: SLIP_SCALE, ..RandomCrop::default() };
        let (mut smallest, mut largest) = (f64::MAX, 0.0_f64);
        for seed in 0..2_000 {
            let mut rng = Rng::new(&[seed]);
            let CropBox { left, top, width, height } = crop.draw(500, 375, &mut rng);
            assert!(left + width <= 500 && top + height <= 375);
            let ratio = f64::from(width) / f64::from(height);
            assert!((0.73..1.36).contains(&ratio), "{width}x{height}");
            let share = f64::from(width * height) / (500.0 * 375.0);
            (smallest, largest) = (smallest.min(share), largest.max(share));
        }
        assert!((0.075..0.1).contains(&smallest) && largest > 0.95, "{smallest} {largest}");
    }

    #[test]
    fn a_strip_falls_back_to_its_centre() {
        let mut rng = Rng::new(&[1]);
        let found = RandomCrop::default().draw(1000, 30, &mut rng);
        assert_eq!(found, CropBox { left: 480, top: 0, width: 40, height: 30 });
    }
}
