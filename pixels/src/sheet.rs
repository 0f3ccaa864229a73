//! Contact sheets: a grid of thumbnails on a light background. Text is somebody else's job.

use crate::config::{Interpolation, Limits};
use crate::decode::decode_rgb_at_least;
use crate::error::PixelError;
use crate::raster::Rgb8;
use crate::resize::resize_rgb;

/// Layout of a contact sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SheetConfig {
    /// Cells per row, at least 1.
    pub columns: u32,
    /// Side of the square that each picture is fitted into, in pixels, at least 1.
    pub cell_size: u32,
    /// Space between cells and around the sheet, in pixels.
    pub gap: u32,
    /// Space above the first row, in pixels, for the caller's heading.
    pub header: u32,
    /// Space under each cell, in pixels, for the caller's text.
    pub footer: u32,
    /// Colour of everything that is not a picture.
    pub background: [u8; 3],
}

impl SheetConfig {
    /// Left and top pixel of cell `index` on a sheet of `count` pictures; its footer begins `cell_size` below.
    pub fn cell(&self, index: usize, count: usize) -> (u32, u32) {
        let columns = (self.columns as usize).min(count.max(1)).max(1);
        let along = |n: usize, pitch: u32| self.gap + n as u32 * pitch;
        let left = along(index % columns, self.cell_size + self.gap);
        (left, self.header + along(index / columns, self.cell_size + self.footer + self.gap))
    }
}

impl Default for SheetConfig {
    fn default() -> Self {
        Self { columns: 8, cell_size: 160, gap: 8, header: 0, footer: 0, background: [245, 245, 242] }
    }
}

/// Lays pictures out row by row, each fitted into its cell with its proportions kept and centred. A picture smaller
/// than the cell is not enlarged. The sheet has room for at least one cell.
///
/// # Errors
/// [`PixelError::Encode`] where the layout has no columns or cells, or the sheet would pass 100 million pixels.
pub fn sheet(pictures: &[Rgb8], config: &SheetConfig) -> Result<Rgb8, PixelError> {
    let SheetConfig { columns, cell_size, gap, header, footer, background } = *config;
    if columns == 0 || cell_size == 0 {
        return Err(PixelError::Encode(
            "a contact sheet needs at least one column and one pixel a cell".to_owned(),
        ));
    }
    let columns = u64::from(columns).min(pictures.len().max(1) as u64);
    let rows = (pictures.len() as u64).div_ceil(columns).max(1);
    let pitch = u64::from(cell_size) + u64::from(gap);
    let width = columns * pitch + u64::from(gap);
    let height = u64::from(header) + rows * (pitch + u64::from(footer)) + u64::from(gap);
    if width.saturating_mul(height) > 100_000_000 {
        return Err(PixelError::Encode(format!("a contact sheet of {width}x{height} is too large")));
    }
    let mut out = Rgb8::filled(width as u32, height as u32, background);
    for (index, picture) in pictures.iter().enumerate() {
        let fitted = fit(picture, cell_size)?;
        let (cell_left, cell_top) = config.cell(index, pictures.len());
        let left = (cell_left + (cell_size - fitted.width) / 2) as usize;
        let top = (cell_top + (cell_size - fitted.height) / 2) as usize;
        let row_bytes = fitted.width as usize * 3;
        for (y, row) in fitted.data.chunks_exact(row_bytes).enumerate() {
            let at = ((top + y) * width as usize + left) * 3;
            out.data[at..at + row_bytes].copy_from_slice(row);
        }
    }
    Ok(out)
}

/// Decodes an image to no more than `side` pixels on its longer side. A page of pictures holds these, so that its memory
/// does not depend on the size of the originals.
///
/// # Errors
/// As [`decode_rgb_at_least`].
pub fn thumbnail(bytes: &[u8], limits: &Limits, side: u32) -> Result<Rgb8, PixelError> {
    let side = side.max(1);
    // Twice the samples that are needed, so that the resize has something to average.
    fit(&decode_rgb_at_least(bytes, limits, side.saturating_mul(2), side.saturating_mul(2))?, side)
}

fn fit(picture: &Rgb8, cell_size: u32) -> Result<Rgb8, PixelError> {
    let long = picture.width.max(picture.height);
    if long <= cell_size {
        return resize_rgb(picture, picture.width, picture.height, Interpolation::Area);
    }
    let scaled = |side: u32| (u64::from(side) * u64::from(cell_size) / u64::from(long)).max(1) as u32;
    resize_rgb(picture, scaled(picture.width), scaled(picture.height), Interpolation::Area)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_sit_centred_in_their_cells() {
        let config = SheetConfig {
            columns: 2,
            cell_size: 10,
            gap: 2,
            header: 0,
            footer: 0,
            background: [250, 250, 250],
        };
        let wide = Rgb8::filled(40, 20, [255, 0, 0]);
        let small = Rgb8::filled(4, 4, [0, 0, 255]);
        let tall = Rgb8::filled(1, 30, [0, 255, 0]);
        let sheet = sheet(&[wide, small, tall], &config).unwrap();
        assert_eq!((sheet.width, sheet.height), (26, 26));
        let at = |x: usize, y: usize| &sheet.data[(y * 26 + x) * 3..][..3];
        assert_eq!(at(2, 3), [250, 250, 250], "above the wide picture");
        assert_eq!(at(2, 4), [255, 0, 0]);
        assert_eq!(at(11, 8), [255, 0, 0]);
        assert_eq!(at(17, 5), [0, 0, 255], "a small picture is not enlarged");
        assert_eq!(at(16, 4), [250, 250, 250]);
        assert_eq!(at(6, 14), [0, 255, 0]);
        assert_eq!(at(20, 20), [250, 250, 250], "an empty cell");
    }

    #[test]
    fn header_and_footers_keep_their_room() {
        let config =
            SheetConfig { columns: 2, cell_size: 10, gap: 2, header: 7, footer: 5, ..SheetConfig::default() };
        let sheet = sheet(&vec![Rgb8::filled(10, 10, [9, 9, 9]); 3], &config).unwrap();
        assert_eq!((sheet.width, sheet.height), (26, 7 + 2 * 17 + 2));
        let (left, top) = config.cell(2, 3);
        assert_eq!((left, top), (2, 7 + 2 + 17));
        let at = |x: u32, y: u32| sheet.data[((y * 26 + x) * 3) as usize];
        assert_eq!((at(left, top - 1), at(left, top), at(left, top + 10)), (245, 9, 245));
    }

    #[test]
    fn a_sheet_without_columns_or_of_absurd_size_is_refused() {
        assert!(sheet(&[], &SheetConfig { columns: 0, ..SheetConfig::default() }).is_err());
        let huge = SheetConfig { cell_size: 20_000, ..SheetConfig::default() };
        assert!(sheet(&[Rgb8::filled(1, 1, [0; 3])], &huge).is_err());
    }
}
