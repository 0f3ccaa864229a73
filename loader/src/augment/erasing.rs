//! Random erasing (Zhong et al. 2020): a rectangle of the normalised picture becomes noise. The rules are those of timm
//! 0.4.12's `RandomErasing` with one box and `mode='pixel'`.

use serde::{Deserialize, Serialize};

use crate::error::LoaderError;
use crate::order::Rng;

/// Rectangles that are tried before the picture stays whole.
const TRIES: usize = 10;

/// When, and how large. The default is the study's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomErasing {
    /// Probability that anything is erased.
    pub probability: f64,
    /// Smallest and largest share of the picture's area.
    pub area: (f64, f64),
    /// Smallest and largest height over width; drawn evenly on the logarithm.
    pub aspect: (f64, f64),
}

impl Default for RandomErasing {
    fn default() -> Self {
        Self { probability: 0.25, area: (0.02, 1.0 / 3.0), aspect: (0.3, 1.0 / 0.3) }
    }
}

/// A rectangle in pixels, inside the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EraseBox {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Columns; may be 0 in a picture of a few pixels.
    pub width: u32,
    /// Rows; may be 0 in a picture of a few pixels.
    pub height: u32,
}

impl RandomErasing {
    /// Refuses what is no probability, share or ratio.
    ///
    /// # Errors
    /// [`LoaderError::Option`] with the rule.
    pub fn validate(&self) -> Result<(), LoaderError> {
        let ordered = |(low, high): (f64, f64), max: f64| low > 0.0 && low <= high && high <= max;
        for (option, value, fine, rule) in [
            (
                "erasing probability",
                (self.probability, 1.0),
                (0.0..=1.0).contains(&self.probability),
                "a probability",
            ),
            (
                "erasing area",
                self.area,
                ordered(self.area, 1.0),
                "two shares of the area, 0 < low <= high <= 1",
            ),
            ("erasing aspect", self.aspect, ordered(self.aspect, f64::MAX), "two ratios, 0 < low <= high"),
        ] {
            if !fine {
                return Err(LoaderError::Option { option, value: format!("{value:?}"), rule });
            }
        }
        Ok(())
    }

    /// What is erased of a picture of `width` × `height` pixels; nothing too where no rectangle fits in ten tries.
    pub fn draw(&self, rng: &mut Rng, width: u32, height: u32) -> Option<EraseBox> {
        if rng.unit() >= self.probability {
            return None;
        }
        let (full_width, full_height) = (f64::from(width), f64::from(height));
        let (low, high) = (self.aspect.0.ln(), self.aspect.1.ln());
        for _ in 0..TRIES {
            let area = rng.between(self.area.0, self.area.1) * (full_width * full_height);
            let aspect = rng.between(low, high).exp();
            let down = (area * aspect).sqrt().round_ties_even();
            let across = (area / aspect).sqrt().round_ties_even();
            if across < full_width && down < full_height {
                let (across, down) = (across as u32, down as u32);
                let top = rng.below(u64::from(height - down) + 1) as u32;
                let left = rng.below(u64::from(width - across) + 1) as u32;
                return Some(EraseBox { left, top, width: across, height: down });
            }
        }
        None
    }

    /// Draws, and fills what was drawn with noise N(0, 1): `planes` are normalised CHW floats, each plane `width` ×
    /// `height`.
    pub fn apply(&self, planes: &mut [f32], width: u32, height: u32, rng: &mut Rng) -> Option<EraseBox> {
        let drawn = self.draw(rng, width, height)?;
        drawn.fill(planes, width, height, rng);
        Some(drawn)
    }
}

impl EraseBox {
    /// Fills the rectangle of each plane with noise N(0, 1), every value its own.
    pub fn fill(&self, planes: &mut [f32], width: u32, height: u32, rng: &mut Rng) {
        let Self { left, top, width: across, height: down } = *self;
        let (width, height) = (width.max(1) as usize, height.max(1) as usize);
        for plane in planes.chunks_exact_mut(width * height) {
            for row in plane.chunks_exact_mut(width).skip(top as usize).take(down as usize) {
                if let Some(part) = row.get_mut(left as usize..(left + across) as usize) {
                    rng.fill_normal(part);
                }
            }
        }
    }
}
