//! Pixels to the file formats of the web's ordinary pictures. Its odd ones (CMYK, 16-bit, animated …) are in `odd`.

use image::codecs::gif::GifEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use turbojpeg::{Compressor, PixelFormat, Subsamp};

use crate::error::{Error, Result};
use crate::raster::Pixels;

/// Chroma sampling of a JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chroma {
    /// 4:4:4.
    Full,
    /// 4:2:2.
    Half,
    /// 4:2:0.
    Quarter,
    /// One component.
    Grey,
}

/// How a picture is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// JPEG in the JFIF colour space.
    Jpeg {
        /// libjpeg's quality, 1–100.
        quality: u8,
        /// Chroma sampling.
        chroma: Chroma,
        /// Progressive scans.
        progressive: bool,
    },
    /// 8-bit RGB PNG.
    Png,
    /// WebP; lossless at quality 100.
    Webp {
        /// libwebp's quality, 1–100.
        quality: u8,
    },
    /// GIF of one frame.
    Gif,
}

impl Encoding {
    /// Plain baseline 4:2:0, the fault pictures' format.
    pub const PLAIN: Self = Self::Jpeg { quality: 88, chroma: Chroma::Quarter, progressive: false };

    /// File name ending.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg { .. } => "jpg",
            Self::Png => "png",
            Self::Webp { .. } => "webp",
            Self::Gif => "gif",
        }
    }

    /// MIME type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg { .. } => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp { .. } => "image/webp",
            Self::Gif => "image/gif",
        }
    }

    /// Encodes.
    ///
    /// # Errors
    /// [`Error::Encode`] where the encoder refuses, as none does for the sizes the world draws.
    pub fn encode(self, pixels: &Pixels) -> Result<Vec<u8>> {
        let failed = |reason: String| encode_error(self.extension(), pixels, reason);
        match self {
            Self::Jpeg { quality, chroma, progressive } => {
                jpeg(pixels, quality, chroma, progressive).map_err(|e| failed(e.to_string()))
            }
            Self::Png => {
                let mut out = Vec::new();
                PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Adaptive)
                    .write_image(&pixels.rgb, pixels.width, pixels.height, ExtendedColorType::Rgb8)
                    .map_err(|e| failed(e.to_string()))?;
                Ok(out)
            }
            Self::Webp { quality } => {
                let encoder = webp::Encoder::from_rgb(&pixels.rgb, pixels.width, pixels.height);
                let lossless = quality >= 100;
                let bytes = encoder
                    .encode_simple(lossless, if lossless { 30.0 } else { f32::from(quality) })
                    .map_err(|e| failed(format!("{e:?}")))?;
                Ok(bytes.to_vec())
            }
            Self::Gif => {
                let mut out = Vec::new();
                GifEncoder::new_with_speed(&mut out, 30)
                    .encode(&pixels.rgb, pixels.width, pixels.height, ExtendedColorType::Rgb8)
                    .map_err(|e| failed(e.to_string()))?;
                Ok(out)
            }
        }
    }
}

pub(crate) fn encode_error(format: &'static str, pixels: &Pixels, reason: String) -> Error {
    Error::Encode { format, width: pixels.width, height: pixels.height, reason }
}

fn jpeg(pixels: &Pixels, quality: u8, chroma: Chroma, progressive: bool) -> turbojpeg::Result<Vec<u8>> {
    let mut compressor = Compressor::new()?;
    compressor.set_quality(i32::from(quality))?;
    compressor.set_subsamp(match chroma {
        Chroma::Full => Subsamp::None,
        Chroma::Half => Subsamp::Sub2x1,
        Chroma::Quarter => Subsamp::Sub2x2,
        Chroma::Grey => Subsamp::Gray,
    })?;
    if progressive {
        compressor.set_progressive(true)?;
    }
    compressor.compress_to_vec(turbojpeg::Image {
        pixels: pixels.rgb.as_slice(),
        width: pixels.width as usize,
        pitch: pixels.width as usize * 3,
        height: pixels.height as usize,
        format: PixelFormat::RGB,
    })
}
