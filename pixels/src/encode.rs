//! Finished pixels to bytes. Settings follow OpenCV's encoders, which img2dataset uses: baseline JPEG with fixed
//! Huffman tables, WebP of default effort, no metadata.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use turbojpeg::{Compressor, Image, OutputBuf, PixelFormat, Subsamp};

use crate::config::{EncodeFormat, TransformConfig};
use crate::error::PixelError;
use crate::geometry::Size;
use crate::raster::Raster;

/// Longest side of a JPEG that libjpeg writes, in pixels.
const MAX_JPEG_SIDE: usize = 65_500;
/// Longest side of a WebP, in pixels.
const MAX_WEBP_SIDE: usize = 16_383;

/// Encoder handles and the buffer they write to, reused from image to image.
#[derive(Debug)]
pub(crate) struct Encoder {
    pub jpeg: Compressor,
    pub buffer: Vec<u8>,
    format: EncodeFormat,
    quality: u32,
}

impl Encoder {
    pub fn new(config: &TransformConfig) -> Result<Self, turbojpeg::Error> {
        let mut jpeg = Compressor::new()?;
        if config.encode_format == EncodeFormat::Jpg {
            // libjpeg counts from 1; OpenCV takes 0 for 1 as well.
            jpeg.set_quality(config.encode_quality.clamp(1, 100) as i32)?;
        }
        let (format, quality) = (config.encode_format, config.encode_quality);
        Ok(Self { jpeg, buffer: Vec::new(), format, quality })
    }

    /// Refuses a size that the format cannot hold.
    pub fn check(&self, size: Size) -> Result<(), PixelError> {
        let max = match self.format {
            EncodeFormat::Jpg => MAX_JPEG_SIDE,
            EncodeFormat::Webp => MAX_WEBP_SIDE,
            EncodeFormat::Png => return Ok(()),
        };
        if size.width.max(size.height) > max {
            let Size { width, height } = size;
            let format = self.format;
            return Err(PixelError::Encode(format!(
                "{width}x{height} is too large, {format} holds {max} pixels a side"
            )));
        }
        Ok(())
    }

    /// Encodes; `subsamp` matters to colour JPEGs only.
    pub fn encode(&mut self, raster: &Raster, subsamp: Subsamp) -> Result<Vec<u8>, PixelError> {
        let Size { width, height } = raster.size;
        self.check(raster.size)?;
        match self.format {
            EncodeFormat::Jpg => {
                let failed = |error: turbojpeg::Error| PixelError::Encode(error.to_string());
                let (format, subsamp) = match raster.channels {
                    1 => (PixelFormat::GRAY, Subsamp::Gray),
                    _ => (PixelFormat::RGB, subsamp),
                };
                let length = turbojpeg::compressed_buf_len(width, height, subsamp).map_err(failed)?;
                self.buffer.resize(length, 0);
                let mut output = OutputBuf::borrowed(&mut self.buffer);
                self.jpeg.set_subsamp(subsamp).map_err(failed)?;
                let (pixels, pitch) = (raster.data.as_slice(), width * raster.channels);
                self.jpeg
                    .compress(Image { pixels, width, pitch, height, format }, &mut output)
                    .map_err(failed)?;
                Ok(output.to_vec())
            }
            EncodeFormat::Png => {
                let level = match self.quality {
                    0 => CompressionType::Uncompressed,
                    level => CompressionType::Level(level.min(9) as u8),
                };
                let mut bytes = Vec::new();
                let colour =
                    if raster.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
                PngEncoder::new_with_quality(&mut bytes, level, FilterType::Adaptive)
                    .write_image(&raster.data, width as u32, height as u32, colour)
                    .map_err(|error| PixelError::Encode(error.to_string()))?;
                Ok(bytes)
            }
            EncodeFormat::Webp => {
                let expanded: Vec<u8>;
                let rgb = if raster.channels == 1 {
                    expanded = raster.data.iter().flat_map(|v| [*v; 3]).collect();
                    &expanded
                } else {
                    &raster.data
                };
                let encoder = webp::Encoder::from_rgb(rgb, width as u32, height as u32);
                let lossless = self.quality > 100;
                let quality = if lossless { 70.0 } else { self.quality.max(1) as f32 };
                let memory = encoder
                    .encode_simple(lossless, quality)
                    .map_err(|error| PixelError::Encode(format!("WebP: {error:?}")))?;
                Ok(memory.to_vec())
            }
        }
    }
}
