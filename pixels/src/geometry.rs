//! Sizes: from the original size and the configuration to resize, crop and border. The rounding is img2dataset's
//! (Python's `round`: halves to even, on f64), checked against its `Resizer` in `tests/parity.rs`.

use crate::config::{Interpolation, ResizeMode, TransformConfig};
use crate::error::PixelError;

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub width: usize,
    pub height: usize,
}

impl Size {
    pub fn new(width: u32, height: u32) -> Self {
        Self { width: width as usize, height: height as usize }
    }

    pub fn swapped(self) -> Self {
        Self { width: self.height, height: self.width }
    }
}

/// A window into, or a place on, a larger picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rect {
    pub left: usize,
    pub top: usize,
    pub size: Size,
}

/// What happens to one image: resize to `resized`, keep the window `crop` of that, put it at `place` on a white canvas
/// of `canvas`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Geometry {
    pub resized: Size,
    pub crop: Rect,
    /// Left and top of the window on the canvas.
    pub place: (usize, usize),
    pub canvas: Size,
    pub interpolation: Interpolation,
    /// Whether the mode touched the image at all; img2dataset re-encodes then, also where the size stays.
    pub touched: bool,
}

impl Geometry {
    fn untouched(original: Size) -> Self {
        Self {
            resized: original,
            crop: Rect { left: 0, top: 0, size: original },
            place: (0, 0),
            canvas: original,
            interpolation: Interpolation::Area,
            touched: false,
        }
    }

    pub fn plan(original: Size, config: &TransformConfig) -> Self {
        let target = config.image_size as usize;
        let short = original.width.min(original.height);
        let long = original.width.max(original.height);
        let deciding = match config.resize_mode {
            ResizeMode::No => return Self::untouched(original),
            ResizeMode::KeepRatio | ResizeMode::CenterCrop => short,
            ResizeMode::Border | ResizeMode::KeepRatioLargest => long,
        };
        let shrinks = deciding > target;
        if config.resize_only_if_bigger && !shrinks {
            return Self::untouched(original);
        }
        let scale = target as f64 / deciding as f64;
        let scaled = |side: usize| ((side as f64 * scale).round_ties_even() as usize).max(1);
        let resized = Size { width: scaled(original.width), height: scaled(original.height) };
        let square = Size { width: target, height: target };
        let mut geometry = Self {
            resized,
            crop: Rect { left: 0, top: 0, size: resized },
            place: (0, 0),
            canvas: resized,
            interpolation: if shrinks { config.downscale } else { config.upscale },
            touched: true,
        };
        match config.resize_mode {
            ResizeMode::CenterCrop => {
                let (left, top) = ((resized.width - target) / 2, (resized.height - target) / 2);
                geometry.crop = Rect { left, top, size: square };
                geometry.canvas = square;
            }
            ResizeMode::Border => {
                geometry.place = ((target - resized.width) / 2, (target - resized.height) / 2);
                geometry.canvas = square;
            }
            ResizeMode::No | ResizeMode::KeepRatio | ResizeMode::KeepRatioLargest => {}
        }
        geometry
    }
}

/// Applies the size gates to the original size, in img2dataset's order: side, area, aspect.
pub(crate) fn check_gates(original: Size, config: &TransformConfig) -> Result<(), PixelError> {
    let (width, height) = (original.width as u32, original.height as u32);
    let (short, long) = (width.min(height), width.max(height));
    if short < config.min_image_size {
        return Err(PixelError::TooSmall { width, height, min: config.min_image_size });
    }
    if f64::from(width) * f64::from(height) > config.max_image_area {
        return Err(PixelError::TooBig { width, height, max: config.max_image_area });
    }
    if f64::from(long) / f64::from(short) > config.max_aspect_ratio {
        return Err(PixelError::Aspect { width, height, max: config.max_aspect_ratio });
    }
    Ok(())
}
