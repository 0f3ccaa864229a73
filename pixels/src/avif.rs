//! AVIF (feature `avif`): the container is taken apart here, the pictures in it are decoded by rav1d, dav1d in Rust. Sizes
//! and memory are checked before it sees a byte, and it is told the largest frame it may open.
//!
//! ```text
//! boxes    bytes → items: the picture, its alpha, their properties and data
//! colour   YCbCr planes → RGB
//! ```
//!
//! As with Pillow, the turn and mirror of `irot` and `imir` are not applied, and of a sequence the still picture is
//! taken.

mod boxes;
mod colour;

use image::{DynamicImage, RgbImage, RgbaImage};
use re_rav1d::dav1d::{Decoder, Error as Av1Error, Picture, Settings};

use crate::config::Limits;
use crate::error::PixelError;
use crate::format::Format;
use crate::header::{Details, Header};
use boxes::{Container, Grid, Item};
use colour::Conversion;

/// Bytes of a pixel in a decoded frame, at most: three planes of 16 bits, and what the decoder notes of each block.
const FRAME_BYTES: u64 = 8;

/// Reads the header only.
pub(crate) fn details(bytes: &[u8]) -> Result<Details<'_>, PixelError> {
    let container = Container::read(bytes)?;
    let picture = container.picture()?;
    let alpha = container.alpha()?.is_some();
    let header = Header {
        format: Format::Avif,
        width: picture.width,
        height: picture.height,
        bit_depth: picture.bit_depth,
        channels: if picture.monochrome { 1 } else { 3 } + u8::from(alpha),
        frames: 1,
    };
    Ok(Details { header, exif: container.exif(), has_icc: picture.has_icc, has_palette: false, jpeg: None })
}

/// Decodes to RGB or RGBA of 8 bits.
pub(crate) fn decode(bytes: &[u8], limits: &Limits) -> Result<DynamicImage, PixelError> {
    let container = Container::read(bytes)?;
    let picture = container.picture()?;
    let (width, height) = (picture.width, picture.height);
    let mut rgb = vec![0; checked_bytes(&container, &picture, limits)?];
    tiles(&container, &picture, limits, |frame, left, top| {
        let conversion = Conversion::of(frame, picture.colour)?;
        conversion.write_rgb(frame, &mut rgb, (width as usize, height as usize), (left, top));
        Ok(())
    })?;
    let damaged = || PixelError::Corrupt("AVIF: the picture is not of its size".to_owned());
    let Some(item) = container.alpha()? else {
        return RgbImage::from_raw(width, height, rgb).map(DynamicImage::ImageRgb8).ok_or_else(damaged);
    };
    if (item.width, item.height) != (width, height) {
        return Err(PixelError::Corrupt("AVIF: alpha of another size than the picture".to_owned()));
    }
    checked_bytes(&container, &item, limits)?;
    let mut alpha = vec![255; width as usize * height as usize];
    tiles(&container, &item, limits, |frame, left, top| {
        let conversion = Conversion::of(frame, item.colour)?;
        conversion.write_luma(frame, &mut alpha, (width as usize, height as usize), (left, top));
        Ok(())
    })?;
    let mut rgba = Vec::with_capacity(alpha.len() * 4);
    for ([r, g, b], alpha) in rgb.as_chunks::<3>().0.iter().zip(&alpha) {
        let colours = match container.premultiplied {
            true => [*r, *g, *b].map(|colour| undivided(colour, *alpha)),
            false => [*r, *g, *b],
        };
        rgba.extend(colours);
        rgba.push(*alpha);
    }
    RgbaImage::from_raw(width, height, rgba).map(DynamicImage::ImageRgba8).ok_or_else(damaged)
}

fn undivided(colour: u8, alpha: u8) -> u8 {
    match alpha {
        0 => colour,
        _ => ((u32::from(colour) * 255 + u32::from(alpha) / 2) / u32::from(alpha)).min(255) as u8,
    }
}

/// Bytes of the picture as RGB, after its promises were held against the limits.
fn checked_bytes(container: &Container<'_>, item: &Item, limits: &Limits) -> Result<usize, PixelError> {
    limits.check(&Header {
        format: Format::Avif,
        width: item.width,
        height: item.height,
        bit_depth: 8,
        channels: 3,
        frames: 1,
    })?;
    let pixels = u64::from(item.width) * u64::from(item.height);
    let frame = match container.grid(item)? {
        Some(grid) => u64::from(grid.tile_width) * u64::from(grid.tile_height),
        None => pixels,
    };
    let needed = pixels.saturating_mul(4).saturating_add(frame.saturating_mul(FRAME_BYTES));
    if needed > limits.max_decode_bytes {
        return Err(PixelError::Bomb {
            what: "bytes of memory",
            value: needed,
            max: limits.max_decode_bytes,
        });
    }
    Ok(pixels as usize * 3)
}

/// Decodes an item's frames, one or the tiles of a grid, and hands over each with its place.
fn tiles(
    container: &Container<'_>,
    item: &Item,
    limits: &Limits,
    mut take: impl FnMut(&Picture, usize, usize) -> Result<(), PixelError>,
) -> Result<(), PixelError> {
    let Some(Grid { columns, tiles, tile_width, tile_height }) = container.grid(item)? else {
        let frame = frame(&container.data(item.id)?, (item.width, item.height), limits)?;
        return take(&frame, 0, 0);
    };
    for (index, id) in tiles.into_iter().enumerate() {
        let frame = frame(&container.data(id)?, (tile_width, tile_height), limits)?;
        take(&frame, index % columns * tile_width as usize, index / columns * tile_height as usize)?;
    }
    Ok(())
}

/// Decodes one AV1 picture, which must be of the size that the container names.
fn frame(data: &[u8], (width, height): (u32, u32), limits: &Limits) -> Result<Picture, PixelError> {
    let pixels = u64::from(width) * u64::from(height);
    let mut settings = Settings::new();
    settings.set_n_threads(1);
    settings.set_max_frame_delay(1);
    settings.set_all_layers(false);
    settings.set_frame_size_limit(u32::try_from(pixels.min(limits.max_pixels)).unwrap_or(u32::MAX));
    let failed = |error: Av1Error| match error {
        Av1Error::NotEnoughMemory => PixelError::Corrupt("AVIF: the decoder has no memory for it".to_owned()),
        Av1Error::UnsupportedBitstream => PixelError::Unsupported("AVIF (AV1 stream)".to_owned()),
        Av1Error::Again => PixelError::Truncated,
        _ => PixelError::Corrupt("AVIF: damaged AV1 data".to_owned()),
    };
    let mut decoder = Decoder::with_settings(&settings).map_err(failed)?;
    let mut sent = decoder.send_data(data.to_vec(), None, None, None);
    // A picture may be ready before all data was taken; the first one counts.
    let picture = loop {
        match (decoder.get_picture(), sent) {
            (Ok(picture), _) => break picture,
            (Err(Av1Error::Again), Err(Av1Error::Again)) => sent = decoder.send_pending_data(),
            (Err(Av1Error::Again), Err(error)) | (Err(error), _) => return Err(failed(error)),
        }
    };
    if (picture.width(), picture.height()) != (width, height) {
        return Err(PixelError::Corrupt("AVIF: the picture is not of the size its header names".to_owned()));
    }
    Ok(picture)
}
