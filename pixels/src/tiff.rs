//! TIFF to 8-bit pixels, row by row: what Pillow and OpenCV decode and the web has, in the memory of one picture. It is
//! called after the header was held against the limits; everything else that a tag promises is bounded here.
//!
//! ```text
//! entry      bytes → numbers of tags, in either byte order, classic or BigTIFF
//! directory  tags → what one page is and where its chunks (strips or tiles) lie
//! rows       a chunk → rows of raw samples: none, PackBits, LZW, deflate, fax, JPEG
//! fax, jpeg  the two codecs with a shape of their own
//! samples    raw samples → 8 bits
//! colour     samples → grey, RGB or RGBA
//! ```

mod colour;
mod directory;
pub(crate) mod entry;
mod fax;
mod jpeg;
mod rows;
mod samples;

use image::DynamicImage;

use crate::config::Limits;
use crate::error::PixelError;
use colour::Colour;
use directory::Directory;
use rows::Rows;
use samples::Samples;

/// Decodes the first page. The result is grey, RGB or RGBA, 8 bits each; associated alpha is divided out.
pub(crate) fn decode(bytes: &[u8], limits: &Limits) -> Result<DynamicImage, PixelError> {
    let mut page = Directory::read(bytes)?;
    page.check(limits)?;
    if page.compression == directory::OLD_JPEG {
        return jpeg::old_style(bytes, &page, limits);
    }
    let colour = Colour::of(&page)?;
    let samples = Samples::of(&page, colour.is_indexed())?;
    let mut picture = vec![0; page.width * page.height * colour.channels()];
    if page.is_subsampled() {
        subsampled(bytes, &mut page, &colour, limits, &mut picture)?;
    } else {
        whole(bytes, &page, &colour, &samples, limits, &mut picture)?;
    }
    colour.picture(page.width, page.height, picture)
}

/// Chunk by chunk and row by row; the planes of a planar page go in step.
fn whole(
    bytes: &[u8],
    page: &Directory<'_>,
    colour: &Colour,
    samples: &Samples,
    limits: &Limits,
    picture: &mut [u8],
) -> Result<(), PixelError> {
    let channels = colour.channels();
    let planes = if page.planar { colour.samples() } else { 1 };
    let per_row = if page.planar { 1 } else { page.samples };
    let mut row = vec![0; page.row_bytes(per_row)];
    let mut values = vec![0; page.chunk_width * page.samples];
    for (index, (left, top)) in page.chunk_places().enumerate() {
        let mut streams = Vec::with_capacity(planes);
        for plane in 0..planes {
            streams.push(Rows::open(bytes, page, index + plane * page.chunks_in_plane(), limits)?);
        }
        let width = page.chunk_width.min(page.width - left);
        let height = page.chunk_height.min(page.height - top);
        for y in top..top + height {
            for (plane, stream) in streams.iter_mut().enumerate() {
                stream.read(&mut row)?;
                if page.planar {
                    samples.unpack(&row, &mut values[plane..], (page.samples, page.chunk_width));
                } else {
                    let count = page.chunk_width * page.samples;
                    samples.unpack(&row, &mut values, (1, count));
                }
            }
            let at = (y * page.width + left) * channels;
            let values = &values[..width * page.samples];
            colour.write(values, page.samples, &mut picture[at..at + width * channels]);
        }
    }
    Ok(())
}

/// YCbCr whose chroma has fewer samples than luma, not in JPEG: units of luma samples with one of each chroma.
fn subsampled(
    bytes: &[u8],
    page: &mut Directory<'_>,
    colour: &Colour,
    limits: &Limits,
    picture: &mut [u8],
) -> Result<(), PixelError> {
    let (across, down) = page.subsampling;
    if page.planar || page.bits != 8 || page.samples != 3 {
        return Err(PixelError::Unsupported(
            "TIFF (subsampled colour in planes or not of 8 bits)".to_owned(),
        ));
    }
    let unit = across * down + 2;
    let mut row = vec![0; page.chunk_width.div_ceil(across) * unit];
    let mut values = vec![0; page.chunk_width * 3];
    for (index, (left, top)) in page.chunk_places().enumerate() {
        let mut stream = Rows::open(bytes, page, index, limits)?;
        let width = page.chunk_width.min(page.width - left);
        let height = page.chunk_height.min(page.height - top);
        for y in 0..height {
            if y % down == 0 {
                stream.read(&mut row)?;
            }
            for (x, pixel) in values.as_chunks_mut::<3>().0.iter_mut().take(width).enumerate() {
                let unit = &row[x / across * unit..][..unit];
                *pixel = [unit[y % down * across + x % across], unit[unit.len() - 2], unit[unit.len() - 1]];
            }
            let at = ((top + y) * page.width + left) * colour.channels();
            colour.write(&values[..width * 3], 3, &mut picture[at..at + width * colour.channels()]);
        }
    }
    Ok(())
}
