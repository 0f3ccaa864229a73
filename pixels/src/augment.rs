//! The operations of RandAugment (Cubuk et al. 2020) on finished training pictures, with nothing random in them: the
//! loader draws which ones, with what magnitude, and for fine-tuning lays them over the square that [`Cropper`] made.
//!
//! Names, order and arguments are timm's (`auto_augment`, version 0.4.12), which leaves the work to PIL; so the
//! arithmetic is PIL's, with its integer divisions, its single and double precision and its truncation. On x86-64 every
//! byte is the one that timm 0.4.12 over Pillow 9.5 gives (`tests/augment.rs`, `tests/peers/read_timm.py`).
//!
//! [`Cropper`]: crate::Cropper

mod affine;
mod blend;
mod table;

use self::affine::Affine;
use crate::raster::Rgb8Mut;

/// One operation and its magnitude. Factors of 1 and lengths of 0 change nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Op {
    /// Stretches each channel to 0–255.
    AutoContrast,
    /// Evens out each channel's histogram.
    Equalize,
    /// 255 minus the value.
    Invert,
    /// Turns about the centre.
    Rotate {
        /// Counter-clockwise.
        degrees: f64,
    },
    /// Keeps the highest bits of each value.
    Posterize {
        /// How many: 0 (black) to 8 (unchanged).
        bits: u8,
    },
    /// Inverts values from a threshold on.
    Solarize {
        /// The lowest value that is inverted, 0–256.
        threshold: u16,
    },
    /// Adds to values below 128, up to 255.
    SolarizeAdd {
        /// How much.
        add: u8,
    },
    /// Away from (or, below 1, towards) grey: PIL's `ImageEnhance.Color`.
    Color(f64),
    /// Away from the mean grey.
    Contrast(f64),
    /// Away from black.
    Brightness(f64),
    /// Away from the smoothed picture.
    Sharpness(f64),
    /// Row `y` shows what lies `factor * (y + 0.5)` pixels further to the right.
    ShearX(f64),
    /// Column `x` shows what lies `factor * (x + 0.5)` pixels further down.
    ShearY(f64),
    /// Each pixel shows what lies so many pixels, whole or not, to the right.
    TranslateX(f64),
    /// Each pixel shows what lies so many pixels further down.
    TranslateY(f64),
}

/// Memory that operations use on the way; one per worker, whatever the sizes of pictures.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    /// The picture as it was: RGB, or RGB and one unused byte.
    before: Vec<u8>,
    /// Sums of one row.
    sums: Vec<u16>,
}

impl Op {
    /// Applies the operation in place. `fill` is the colour of what comes from outside the picture.
    pub fn apply(self, picture: &mut Rgb8Mut<'_>, fill: [u8; 3], scratch: &mut Scratch) {
        match self {
            Self::AutoContrast => table::auto_contrast(picture.data),
            Self::Equalize => table::equalize(picture.data),
            Self::Invert => table::map(picture.data, |value| 255 - value),
            Self::Posterize { bits } => {
                let mask = !(0xFF_u16 >> bits.min(8)) as u8;
                table::map(picture.data, |value| value & mask);
            }
            Self::Solarize { threshold } => {
                table::map(
                    picture.data,
                    |value| {
                        if u16::from(value) < threshold { value } else { 255 - value }
                    },
                );
            }
            Self::SolarizeAdd { add } => {
                table::map(picture.data, |value| if value < 128 { value.saturating_add(add) } else { value });
            }
            Self::Brightness(factor) => {
                table::map(picture.data, |value| blend::blend(0, value, factor as f32))
            }
            Self::Contrast(factor) => {
                let mean = blend::mean_grey(picture.data);
                table::map(picture.data, |value| blend::blend(mean, value, factor as f32));
            }
            Self::Color(factor) => blend::colour(picture.data, factor as f32),
            Self::Sharpness(factor) => blend::sharpen(picture, factor as f32, scratch),
            Self::Rotate { degrees } => {
                let turn = Affine::rotation(degrees, picture.width, picture.height);
                turn.apply(picture, fill, scratch);
            }
            Self::ShearX(factor) => {
                Affine([1.0, factor, 0.0, 0.0, 1.0, 0.0]).apply(picture, fill, scratch);
            }
            Self::ShearY(factor) => {
                Affine([1.0, 0.0, 0.0, factor, 1.0, 0.0]).apply(picture, fill, scratch);
            }
            Self::TranslateX(pixels) => {
                Affine([1.0, 0.0, pixels, 0.0, 1.0, 0.0]).apply(picture, fill, scratch);
            }
            Self::TranslateY(pixels) => {
                Affine([1.0, 0.0, 0.0, 0.0, 1.0, pixels]).apply(picture, fill, scratch);
            }
        }
    }
}
