//! Decoded pictures: 8 bits per channel, grey or RGB, rows without padding.

use crate::error::PixelError;
use crate::geometry::{Geometry, Size};

/// An RGB picture, 8 bits per channel, interleaved, rows without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb8 {
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub data: Vec<u8>,
}

impl Rgb8 {
    /// A picture of one colour.
    pub fn filled(width: u32, height: u32, colour: [u8; 3]) -> Self {
        Self { width, height, data: colour.repeat(width as usize * height as usize) }
    }

    /// The picture to work on in place.
    ///
    /// # Errors
    /// As [`Rgb8Mut::new`].
    pub fn as_mut(&mut self) -> Result<Rgb8Mut<'_>, PixelError> {
        Rgb8Mut::new(&mut self.data, self.width, self.height)
    }
}

/// An [`Rgb8`] in memory that somebody lends.
#[derive(Debug, PartialEq, Eq)]
pub struct Rgb8Mut<'a> {
    pub(crate) data: &'a mut [u8],
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl<'a> Rgb8Mut<'a> {
    /// A picture of `width` × `height` pixels, each at least 1.
    ///
    /// # Errors
    /// [`PixelError::Encode`] where `data` has not `width * height * 3` bytes, or there are none.
    pub fn new(data: &'a mut [u8], width: u32, height: u32) -> Result<Self, PixelError> {
        check_bytes(data.len(), width, height)?;
        Ok(Self { data, width, height })
    }
}

/// Whether so many bytes are an RGB picture of that size.
pub(crate) fn check_bytes(given: usize, width: u32, height: u32) -> Result<(), PixelError> {
    let wanted = u128::from(width) * u128::from(height) * 3;
    if wanted == 0 || given as u128 != wanted {
        let message = format!("a picture of {width}x{height} has {wanted} bytes, given were {given}");
        return Err(PixelError::Encode(message));
    }
    Ok(())
}

/// What the formats decode to: 1 channel (grey) or 3 (RGB).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Raster {
    pub size: Size,
    pub channels: usize,
    pub data: Vec<u8>,
}

impl Raster {
    pub fn into_rgb8(self) -> Rgb8 {
        let (width, height) = (self.size.width as u32, self.size.height as u32);
        let data = match self.channels {
            1 => self.data.iter().flat_map(|v| [*v; 3]).collect(),
            _ => self.data,
        };
        Rgb8 { width, height, data }
    }

    /// Turns the picture upright. `orientation` is the EXIF value: 2–4 mirror and half turns, 5–8 swap the sides.
    pub fn upright(self, orientation: u8) -> Self {
        if !(2..=8).contains(&orientation) {
            return self;
        }
        let Size { width, height } = self.size;
        let size = if orientation >= 5 { self.size.swapped() } else { self.size };
        let mut data = Vec::with_capacity(self.data.len());
        for y in 0..size.height {
            for x in 0..size.width {
                // Where the upright pixel (x, y) is stored.
                let (from_x, from_y) = match orientation {
                    2 => (width - 1 - x, y),
                    3 => (width - 1 - x, height - 1 - y),
                    4 => (x, height - 1 - y),
                    5 => (y, x),
                    6 => (y, height - 1 - x),
                    7 => (width - 1 - y, height - 1 - x),
                    _ => (width - 1 - y, x),
                };
                let at = (from_y * width + from_x) * self.channels;
                data.extend_from_slice(&self.data[at..at + self.channels]);
            }
        }
        Self { size, channels: self.channels, data }
    }

    /// Cuts the window of `geometry` out of the resized picture and puts it on its white canvas.
    pub fn cut_and_place(self, geometry: &Geometry) -> Self {
        let crop = geometry.crop;
        if crop.size == self.size && geometry.canvas == self.size {
            return self;
        }
        let Self { size, channels, data } = self;
        let canvas = geometry.canvas;
        let mut out = vec![255; canvas.width * canvas.height * channels];
        let (left, top) = geometry.place;
        let row_bytes = crop.size.width * channels;
        for y in 0..crop.size.height {
            let from = ((crop.top + y) * size.width + crop.left) * channels;
            let to = ((top + y) * canvas.width + left) * channels;
            out[to..to + row_bytes].copy_from_slice(&data[from..from + row_bytes]);
        }
        Self { size: canvas, channels, data: out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_orientation_turns_upright() {
        // Upright picture: rows "ab" / "cd" / "ef". Each case holds how a camera stores it under that tag value.
        let cases: [(u8, usize, &[u8]); 8] = [
            (1, 2, b"abcdef"),
            (2, 2, b"badcfe"),
            (3, 2, b"fedcba"),
            (4, 2, b"efcdab"),
            (5, 3, b"acebdf"),
            (6, 3, b"bdface"),
            (7, 3, b"fdbeca"),
            (8, 3, b"ecafdb"),
        ];
        for (orientation, width, stored) in cases {
            let size = Size { width, height: 6 / width };
            let upright = Raster { size, channels: 1, data: stored.to_vec() }.upright(orientation);
            assert_eq!(upright.data, b"abcdef", "orientation {orientation}");
            assert_eq!(upright.size, Size { width: 2, height: 3 });
        }
    }
}
