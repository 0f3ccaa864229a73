//! JPEG inside TIFF: chunks that share their tables, and the old style's whole file. libjpeg-turbo decodes them as it does
//! JPEG files, after the same checks.

use image::{DynamicImage, RgbImage};
use turbojpeg::{Decompressor, Image, PixelFormat};

use super::directory::Directory;
use crate::config::{Limits, TruncatedPolicy};
use crate::error::PixelError;
use crate::jpeg::decode::JpegDecoder;
use crate::jpeg::{Markers, check_blocks};

/// Decodes a chunk to rows of `page.samples` samples (of one, where each plane has its own chunks), as wide as the chunk.
pub(super) fn chunk(data: &[u8], page: &Directory<'_>, limits: &Limits) -> Result<Vec<u8>, PixelError> {
    let samples = if page.planar { 1 } else { page.samples };
    let stream = joined(data, page, samples);
    let markers = Markers::read(&stream)?;
    if usize::from(markers.components) != samples || markers.width as usize != page.chunk_width {
        return Err(PixelError::Corrupt("TIFF: a JPEG strip or tile of another shape".to_owned()));
    }
    // Taller than its chunk would be memory that nobody checked.
    if markers.height as usize > page.chunk_height.max(page.height) {
        return Err(PixelError::Corrupt("TIFF: a JPEG strip or tile that is too tall".to_owned()));
    }
    if samples == 4 {
        return four_samples(&stream, &markers, limits);
    }
    let (raster, _) = decode(&stream, &markers, limits)?;
    if raster.channels != samples {
        return Err(PixelError::Corrupt("TIFF: JPEG data of another colour space".to_owned()));
    }
    Ok(raster.data)
}

/// The JPEG file inside a TIFF of the old style.
pub(super) fn old_style(
    bytes: &[u8],
    page: &Directory<'_>,
    limits: &Limits,
) -> Result<DynamicImage, PixelError> {
    let unsupported = || PixelError::Unsupported("TIFF (JPEG of the old style in pieces)".to_owned());
    let (at, _) = page.old_jpeg.ok_or_else(unsupported)?;
    let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).ok_or(PixelError::Truncated)?;
    if !rest.starts_with(b"\xFF\xD8\xFF") {
        return Err(unsupported());
    }
    let markers = Markers::read(rest)?;
    if (markers.width as usize, markers.height as usize) != (page.width, page.height) {
        return Err(unsupported());
    }
    let (raster, _) = decode(rest, &markers, limits)?;
    let picture = raster.into_rgb8();
    RgbImage::from_raw(picture.width, picture.height, picture.data)
        .map(DynamicImage::ImageRgb8)
        .ok_or_else(|| PixelError::Corrupt("TIFF: the picture is not of its size".to_owned()))
}

fn decode(
    stream: &[u8],
    markers: &Markers<'_>,
    limits: &Limits,
) -> Result<(crate::raster::Raster, bool), PixelError> {
    let mut decoder = JpegDecoder::new().map_err(|error| PixelError::Corrupt(error.to_string()))?;
    let jpeg = decoder.open(stream, markers, limits)?;
    decoder.raster(&jpeg, 1, TruncatedPolicy::Fail, limits)
}

/// Four inks as they are: TIFF says what they mean, not JPEG.
fn four_samples(stream: &[u8], markers: &Markers<'_>, limits: &Limits) -> Result<Vec<u8>, PixelError> {
    let failed = |error: turbojpeg::Error| PixelError::Corrupt(format!("TIFF: {error}"));
    let mut decoder = Decompressor::new().map_err(failed)?;
    decoder.set_scan_limit(limits.max_scans).map_err(failed)?;
    let header = decoder.read_header(stream).map_err(failed)?;
    let (width, height) = (markers.width as usize, markers.height as usize);
    if (header.width, header.height) != (width, height) {
        return Err(PixelError::Corrupt("TIFF: a JPEG strip or tile of another shape".to_owned()));
    }
    let mut pixels = vec![0; width * height * 4];
    let image =
        Image { pixels: pixels.as_mut_slice(), width, pitch: width * 4, height, format: PixelFormat::CMYK };
    decoder.decompress(stream, image).map_err(failed)?;
    check_blocks(stream)?;
    Ok(pixels)
}

/// One stream of the shared tables and a chunk. An Adobe segment says what the colours are, as TIFF does and the
/// chunk need not; what the chunk itself says of it is left out.
fn joined(data: &[u8], page: &Directory<'_>, samples: usize) -> Vec<u8> {
    let mut stream = Vec::with_capacity(data.len() + page.jpeg_tables.len() + 18);
    stream.extend_from_slice(b"\xFF\xD8");
    if samples > 1 {
        stream.extend_from_slice(b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0");
        stream.push(u8::from(page.photometric == 6));
    }
    for part in [page.jpeg_tables, data] {
        append(part, &mut stream);
    }
    stream
}

/// Appends the segments of `part` but for its start, its application data and, if nothing else follows, its end.
fn append(part: &[u8], stream: &mut Vec<u8>) {
    let mut rest = part;
    loop {
        match *rest {
            [0xFF, 0xFF, ..] => rest = &rest[1..],
            [0xFF, 0xD8, ..] => rest = &rest[2..],
            [0xFF, 0xD9] => return,
            [0xFF, code @ (0xC0..=0xCF | 0xDB..=0xDF | 0xE0..=0xEF | 0xFE), high, low, ..]
                if code != 0xDA =>
            {
                let end = (2 + usize::from(u16::from_be_bytes([high, low]))).min(rest.len());
                if code < 0xE0 {
                    stream.extend_from_slice(&rest[..end]);
                }
                rest = &rest[end..];
            }
            _ => break,
        }
    }
    stream.extend_from_slice(rest);
}
