//! Bytes to 8-bit pixels, any format but the JPEG hot path: libjpeg-turbo for JPEG, the `image` crate (memory-safe
//! decoders) for the rest. Whatever the format holds is brought to grey or RGB: palettes are expanded, 16 bits scaled
//! to 8, alpha matted on white, and of several frames the first is taken.

use std::borrow::Cow;
use std::io::Cursor;

use image::{DynamicImage, ImageError, ImageFormat, ImageReader};

use crate::bmp;
use crate::config::{Limits, TruncatedPolicy};
use crate::containers;
use crate::error::{PixelError, walled};
use crate::format::Format;
use crate::geometry::Size;
use crate::gif;
use crate::header::{self, Details};
use crate::jpeg::decode::{JpegDecoder, shrink_for};
use crate::raster::{Raster, Rgb8};
use crate::tiff;

/// Decodes an image to RGB; grey becomes three equal channels, alpha is matted on white.
///
/// # Errors
/// Any [`PixelError`] but the size gates and `Encode`. Damaged JPEGs fail.
pub fn decode_rgb(bytes: &[u8], limits: &Limits) -> Result<Rgb8, PixelError> {
    decode_rgb_at_least(bytes, limits, u32::MAX, u32::MAX)
}

/// As [`decode_rgb`], but a JPEG may come out at a half, quarter or eighth of its size (rounded up) as long as it has
/// at least `min_width` × `min_height` pixels; that is far cheaper for thumbnails of large photographs.
///
/// # Errors
/// As [`decode_rgb`].
pub fn decode_rgb_at_least(
    bytes: &[u8],
    limits: &Limits,
    min_width: u32,
    min_height: u32,
) -> Result<Rgb8, PixelError> {
    walled(|| decode_at_least(bytes, limits, min_width, min_height))
}

fn decode_at_least(
    bytes: &[u8],
    limits: &Limits,
    min_width: u32,
    min_height: u32,
) -> Result<Rgb8, PixelError> {
    let details = header::read(bytes)?;
    limits.check(&details.header)?;
    if let Some(markers) = &details.jpeg {
        let mut decoder = JpegDecoder::new().map_err(|error| PixelError::Corrupt(error.to_string()))?;
        let jpeg = decoder.open(bytes, markers, limits)?;
        let shrink = match jpeg.header.is_lossless {
            true => 1,
            false => shrink_for(
                Size { width: jpeg.header.width, height: jpeg.header.height },
                Size::new(min_width.max(1), min_height.max(1)),
            ),
        };
        let (raster, _) = decoder.raster(&jpeg, shrink, TruncatedPolicy::Fail, limits)?;
        return Ok(raster.into_rgb8());
    }
    Ok(decode(bytes, &details, limits)?.raster.into_rgb8())
}

/// A decoded picture and what was normalised on the way.
pub(crate) struct Decoded {
    pub raster: Raster,
    pub had_alpha: bool,
    pub was_sixteen_bit: bool,
}

/// Decodes with the `image` crate and brings the picture to grey or RGB.
pub(crate) fn decode(bytes: &[u8], details: &Details<'_>, limits: &Limits) -> Result<Decoded, PixelError> {
    let mut decoded = normalise(decode_any(bytes, details, limits)?);
    decoded.was_sixteen_bit |= details.header.bit_depth > 8;
    Ok(decoded)
}

/// Decodes with the `image` crate.
pub(crate) fn decode_any(
    bytes: &[u8],
    details: &Details<'_>,
    limits: &Limits,
) -> Result<DynamicImage, PixelError> {
    let format = match details.header.format {
        Format::Png => ImageFormat::Png,
        Format::Gif => ImageFormat::Gif,
        Format::Webp => ImageFormat::WebP,
        Format::Bmp => ImageFormat::Bmp,
        Format::Tiff => return tiff::decode(bytes, limits),
        #[cfg(feature = "avif")]
        Format::Avif => return crate::avif::decode(bytes, limits),
        other => return Err(PixelError::Unsupported(other.as_str().to_owned())),
    };
    let checked = containers::checked(bytes, &details.header)?;
    let failed = |error: ImageError| sort(error, details.header.format, limits);
    let usual = match format {
        ImageFormat::Bmp => bmp::usual(&checked)?,
        ImageFormat::Gif => gif::with_colours(&checked),
        _ => Cow::Borrowed(&*checked),
    };
    let mut reader = ImageReader::with_format(Cursor::new(&*usual), format);
    let mut image_limits = image::Limits::default();
    image_limits.max_image_width = Some(limits.max_side);
    image_limits.max_image_height = Some(limits.max_side);
    image_limits.max_alloc = Some(limits.max_decode_bytes);
    reader.limits(image_limits);
    let decoder = reader.into_decoder().map_err(failed)?;
    let promised = image::ImageDecoder::total_bytes(&decoder);
    if promised > limits.max_decode_bytes {
        let (value, max) = (promised, limits.max_decode_bytes);
        return Err(PixelError::Bomb { what: "bytes of memory", value, max });
    }
    // The decoder's own idea of the size may differ from the container's (a WebP canvas, say).
    let (width, height) = image::ImageDecoder::dimensions(&decoder);
    limits.check(&header::Header { width, height, ..details.header })?;
    if width == 0 || height == 0 {
        return Err(PixelError::Corrupt(format!("{}: no width or height", details.header.format)));
    }
    let picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
    Ok(match format {
        ImageFormat::Bmp if !bmp::has_alpha(bytes) => DynamicImage::ImageRgb8(picture.into_rgb8()),
        _ => picture,
    })
}

fn normalise(picture: DynamicImage) -> Decoded {
    let size = Size::new(picture.width(), picture.height());
    let was_sixteen_bit = picture.color().bytes_per_pixel() > picture.color().channel_count();
    let had_alpha = picture.color().has_alpha();
    let (channels, data) = match (picture.color().has_color(), had_alpha) {
        (false, false) => (1, picture.into_luma8().into_raw()),
        (true, false) => (3, picture.into_rgb8().into_raw()),
        // OpenCV reads grey with alpha as colour with alpha, hence three channels in both cases.
        (_, true) => (3, matte(picture.into_rgba8().as_raw())),
    };
    Decoded { raster: Raster { size, channels, data }, had_alpha, was_sixteen_bit }
}

/// Alpha over white, rounded to nearest (a tie cannot occur: 255 is odd).
fn matte(rgba: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(rgba.len() / 4 * 3);
    for [r, g, b, alpha] in rgba.as_chunks::<4>().0 {
        let alpha = u32::from(*alpha);
        let over = |channel: u8| ((u32::from(channel) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        rgb.extend([over(*r), over(*g), over(*b)]);
    }
    rgb
}

fn sort(error: ImageError, format: Format, limits: &Limits) -> PixelError {
    let ended = |error: &(dyn std::error::Error + 'static)| {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let io = error.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::UnexpectedEof) {
                return true;
            }
            cause = error.source();
        }
        let message = error.to_string().to_ascii_lowercase();
        ["unexpected end", "unexpected eof", "premature", "failed to fill", "truncated"]
            .iter()
            .any(|w| message.contains(w))
    };
    match error {
        ImageError::Limits(_) => PixelError::Bomb {
            what: "bytes of memory",
            value: limits.max_decode_bytes + 1,
            max: limits.max_decode_bytes,
        },
        ImageError::Unsupported(error) => PixelError::Unsupported(format!("{format} ({error})")),
        error if ended(&error) => PixelError::Truncated,
        error => PixelError::Corrupt(error.to_string()),
    }
}
