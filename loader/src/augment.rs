//! From an image's size to the window that is cut out of it, and to what is done to the square afterwards: the rules of
//! torchvision and timm, with a random generator of our own that depends on the sample's position alone.
//!
//! [`ImageTransform`] is the whole of it: [`RandomCrop`] or a centre decides the window before decoding ends,
//! [`RandAugment`] changes the finished bytes in place. [`RandomErasing`] works on normalised floats, which the loader
//! does not make; whoever normalises calls it.

mod crop;
mod erasing;
mod rand_augment;

use pairmill_pixels::{CropConfig, PixelError, Placement, Rgb8Mut, Scratch, View};
use serde::{Deserialize, Serialize};

pub use self::crop::{DEFAULT_RATIO, DEFAULT_SCALE, RandomCrop, SLIP_SCALE};
pub use self::erasing::{EraseBox, RandomErasing};
pub use self::rand_augment::RandAugment;
use crate::error::LoaderError;
use crate::order::Rng;

/// timm's evaluation shows this share of the resized picture's shorter side.
const CENTRE_SHARE: f64 = 0.875;

/// Which part of the picture is shown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Augment {
    /// torchvision's `RandomResizedCrop`, then maybe a flip.
    RandomCrop(RandomCrop),
    /// Shorter side to the target, centre square.
    Centre,
    /// Shorter side to `resize`, centre square.
    CentreOf {
        /// In pixels, at least the target's side.
        resize: u32,
    },
}

/// From image bytes to pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageTransform {
    /// Size and decoding.
    pub pixels: CropConfig,
    /// The part that is shown.
    pub augment: Augment,
    /// What is done to the square; nothing without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rand_augment: Option<RandAugment>,
}

impl Default for ImageTransform {
    fn default() -> Self {
        Self::training(pairmill_pixels::DEFAULT_SIDE)
    }
}

impl ImageTransform {
    /// open_clip's training transform to `side` × `side` pixels.
    pub fn training(side: u32) -> Self {
        let pixels = CropConfig { side, ..CropConfig::default() };
        Self { pixels, augment: Augment::RandomCrop(RandomCrop::default()), rand_augment: None }
    }

    /// open_clip's evaluation transform.
    pub fn evaluation(side: u32) -> Self {
        Self { augment: Augment::Centre, ..Self::training(side) }
    }

    /// timm's training transform as far as bytes go: windows of 8 to 100 % of the area, half of them mirrored, then
    /// [`RandAugment`]. [`RandomErasing`] follows once the pixels are normalised.
    pub fn fine_tuning(side: u32) -> Self {
        let crop = RandomCrop { scale: SLIP_SCALE, flip: 0.5, ..RandomCrop::default() };
        Self {
            augment: Augment::RandomCrop(crop),
            rand_augment: Some(RandAugment::default()),
            ..Self::training(side)
        }
    }

    /// timm's evaluation transform: the centre 224 of 256, and so in proportion.
    pub fn fine_tuning_evaluation(side: u32) -> Self {
        let resize = (f64::from(side) / CENTRE_SHARE) as u32;
        Self { augment: Augment::CentreOf { resize }, ..Self::training(side) }
    }

    /// Bytes of one finished picture.
    pub fn slot_bytes(&self) -> usize {
        self.pixels.side as usize * self.pixels.side as usize * 3
    }

    pub(crate) fn validate(&self) -> Result<(), LoaderError> {
        match &self.augment {
            Augment::RandomCrop(crop) => crop.validate()?,
            Augment::CentreOf { resize } if *resize < self.pixels.side => {
                return Err(LoaderError::Option {
                    option: "centre_of resize",
                    value: resize.to_string(),
                    rule: "at least the side of the finished picture",
                });
            }
            Augment::Centre | Augment::CentreOf { .. } => {}
        }
        self.rand_augment.as_ref().map_or(Ok(()), RandAugment::validate)
    }

    /// The window of a picture of `width` × `height` pixels; the first part of a sample's random numbers.
    pub fn place(&self, width: u32, height: u32, rng: &mut Rng) -> Placement {
        let unturned = |view| Placement { view, mirrored: false };
        match &self.augment {
            Augment::Centre => unturned(View::Centre),
            Augment::CentreOf { resize } => unturned(View::CentreOf { resize: *resize }),
            Augment::RandomCrop(crop) => {
                let view = View::Crop(crop.draw(width, height, rng));
                Placement { view, mirrored: crop.flip > 0.0 && rng.unit() < crop.flip }
            }
        }
    }

    /// What is done to the finished square, in place; the second part of the random numbers.
    ///
    /// # Errors
    /// [`PixelError::Encode`] where `square` has not [`slot_bytes`](Self::slot_bytes) bytes.
    pub fn augment(&self, square: &mut [u8], rng: &mut Rng, scratch: &mut Scratch) -> Result<(), PixelError> {
        let Some(rand_augment) = &self.rand_augment else { return Ok(()) };
        let side = self.pixels.side;
        let mut picture = Rgb8Mut::new(square, side, side)?;
        for op in rand_augment.draw(rng, side, side) {
            op.apply(&mut picture, rand_augment.fill, scratch);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_of_older_runs_read_and_write_the_same() {
        let older = r#"{"pixels":{"side":224,"planes":false,"dct_scaling":true,"truncated":"fail","limits":LIMITS},"augment":{"random_crop":{"scale":[0.9,1.0],"ratio":[0.75,1.3333333333333333],"flip":0.0}}}"#;
        let limits = serde_json::to_string(&pairmill_pixels::Limits::default()).unwrap();
        let older = older.replace("LIMITS", &limits);
        let read: ImageTransform = serde_json::from_str(&older).unwrap();
        assert_eq!(read, ImageTransform::training(224));
        assert_eq!(serde_json::to_string(&read).unwrap(), older);
    }

    #[test]
    fn presets_survive_the_disk_and_are_valid() {
        for preset in [ImageTransform::fine_tuning(224), ImageTransform::fine_tuning_evaluation(224)] {
            preset.validate().unwrap();
            let written = serde_json::to_string(&preset).unwrap();
            assert_eq!(serde_json::from_str::<ImageTransform>(&written).unwrap(), preset);
        }
        let evaluation = ImageTransform::fine_tuning_evaluation(224);
        assert_eq!(evaluation.augment, Augment::CentreOf { resize: 256 });
        let narrow = ImageTransform { augment: Augment::CentreOf { resize: 223 }, ..evaluation };
        assert!(matches!(narrow.validate(), Err(LoaderError::Option { option: "centre_of resize", .. })));
    }
}
