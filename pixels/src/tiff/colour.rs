//! 8-bit samples of a row to grey, RGB or RGBA.

use image::{DynamicImage, GrayImage, RgbImage, RgbaImage};

use super::directory::{Directory, JPEG};
use crate::error::PixelError;

/// How a page's samples become colours.
#[derive(Debug)]
pub(super) struct Colour {
    kind: Kind,
    /// The first sample after the colours is alpha; `true` where the colours are multiplied by it.
    alpha: Option<bool>,
}

#[derive(Debug)]
enum Kind {
    Grey {
        white_is_zero: bool,
    },
    Rgb,
    Palette(Vec<[u8; 3]>),
    /// Four inks, 0 for none.
    Inks,
    Luma(Box<YccTable>),
}

impl Colour {
    pub fn of(page: &Directory<'_>) -> Result<Self, PixelError> {
        let kind = match page.photometric {
            // JPEG brings YCbCr to RGB itself.
            6 if page.compression == JPEG && page.samples >= 3 && !page.planar => Kind::Rgb,
            white @ (0 | 1) => Kind::Grey { white_is_zero: white == 0 },
            2 => Kind::Rgb,
            3 => Kind::Palette(palette(page)?),
            // A transparency mask on its own: white where there is something.
            4 => Kind::Grey { white_is_zero: false },
            5 => Kind::Inks,
            6 if page.samples >= 3 => Kind::Luma(Box::new(YccTable::new(page))),
            6 => Kind::Grey { white_is_zero: false },
            8..=10 => return Err(PixelError::Unsupported("TIFF (CIE L*a*b*)".to_owned())),
            other => return Err(PixelError::Unsupported(format!("TIFF (colour space {other})"))),
        };
        let mut colour = Self { kind, alpha: None };
        let colours = colour.colours();
        if page.samples < colours {
            let message = format!("TIFF: {} samples a pixel for {colours} colours", page.samples);
            return Err(PixelError::Corrupt(message));
        }
        colour.alpha = match page.extra {
            _ if page.samples == colours || matches!(colour.kind, Kind::Inks) => None,
            Some(1) => Some(true),
            Some(2) => Some(false),
            // A fourth sample without a word about it is alpha to everybody.
            None if page.samples == 4 && matches!(colour.kind, Kind::Rgb) => Some(false),
            _ => None,
        };
        Ok(colour)
    }

    pub fn is_indexed(&self) -> bool {
        matches!(self.kind, Kind::Palette(_))
    }

    fn colours(&self) -> usize {
        match self.kind {
            Kind::Grey { .. } | Kind::Palette(_) => 1,
            Kind::Rgb | Kind::Luma(_) => 3,
            Kind::Inks => 4,
        }
    }

    /// Samples of a pixel that are looked at.
    pub fn samples(&self) -> usize {
        self.colours() + usize::from(self.alpha.is_some())
    }

    /// Bytes of a pixel that [`Self::write`] writes.
    pub fn channels(&self) -> usize {
        match (&self.kind, self.alpha) {
            (_, Some(_)) => 4,
            (Kind::Grey { .. }, None) => 1,
            _ => 3,
        }
    }

    /// Writes a row; `values` has `samples` numbers a pixel.
    pub fn write(&self, values: &[u8], samples: usize, out: &mut [u8]) {
        let pixels = values.chunks_exact(samples);
        match (&self.kind, self.alpha) {
            (Kind::Grey { white_is_zero }, None) => {
                let flip = if *white_is_zero { 255 } else { 0 };
                out.iter_mut().zip(pixels).for_each(|(grey, pixel)| *grey = pixel[0] ^ flip);
            }
            (Kind::Rgb, None) if samples == 3 => out.copy_from_slice(&values[..out.len()]),
            (_, None) => {
                for (rgb, pixel) in out.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
                    *rgb = self.rgb(pixel);
                }
            }
            (_, Some(associated)) => {
                let at = self.colours();
                for (rgba, pixel) in out.as_chunks_mut::<4>().0.iter_mut().zip(pixels) {
                    let alpha = pixel[at];
                    let [r, g, b] = match associated {
                        true => self.rgb(pixel).map(|colour| divided(colour, alpha)),
                        false => self.rgb(pixel),
                    };
                    *rgba = [r, g, b, alpha];
                }
            }
        }
    }

    fn rgb(&self, pixel: &[u8]) -> [u8; 3] {
        match &self.kind {
            Kind::Grey { white_is_zero } => [if *white_is_zero { !pixel[0] } else { pixel[0] }; 3],
            Kind::Rgb => [pixel[0], pixel[1], pixel[2]],
            Kind::Palette(palette) => palette[usize::from(pixel[0])],
            Kind::Inks => {
                let mix = |ink: u8| {
                    let light = u16::from(255 - ink) * u16::from(255 - pixel[3]);
                    ((light + 127) / 255) as u8
                };
                [mix(pixel[0]), mix(pixel[1]), mix(pixel[2])]
            }
            Kind::Luma(table) => table.rgb([pixel[0], pixel[1], pixel[2]]),
        }
    }

    /// The finished picture.
    pub fn picture(&self, width: usize, height: usize, data: Vec<u8>) -> Result<DynamicImage, PixelError> {
        let (width, height) = (width as u32, height as u32);
        let picture = match self.channels() {
            1 => GrayImage::from_raw(width, height, data).map(DynamicImage::ImageLuma8),
            3 => RgbImage::from_raw(width, height, data).map(DynamicImage::ImageRgb8),
            _ => RgbaImage::from_raw(width, height, data).map(DynamicImage::ImageRgba8),
        };
        picture.ok_or_else(|| PixelError::Corrupt("TIFF: the picture is not of its size".to_owned()))
    }
}

/// A colour that was multiplied by its alpha. Where nothing shows, nothing is known of it.
fn divided(colour: u8, alpha: u8) -> u8 {
    match alpha {
        0 => colour,
        _ => ((u32::from(colour) * 255 + u32::from(alpha) / 2) / u32::from(alpha)).min(255) as u8,
    }
}

/// 256 colours, black where the file has fewer.
fn palette(page: &Directory<'_>) -> Result<Vec<[u8; 3]>, PixelError> {
    let entries = page.palette.len() / 3;
    if entries == 0 {
        return Err(PixelError::Corrupt("TIFF: palette indices without a palette".to_owned()));
    }
    // Numbers of 16 bits by the specification; some writers put 8 bits into them.
    let shift = if page.palette.iter().all(|value| *value < 256) { 0 } else { 8 };
    let colour = |index: usize, from: usize| (page.palette[from * entries + index] >> shift) as u8;
    let mut palette = vec![[0; 3]; 256];
    for (index, place) in palette.iter_mut().enumerate().take(entries) {
        *place = [colour(index, 0), colour(index, 1), colour(index, 2)];
    }
    Ok(palette)
}

/// YCbCr to RGB by the page's weights and ranges (TIFF 6.0, section 21).
#[derive(Debug)]
struct YccTable {
    luma: [f32; 3],
    /// Black and span of each component.
    ranges: [(f32, f32); 3],
}

impl YccTable {
    fn new(page: &Directory<'_>) -> Self {
        let luma = page.luma.filter(|luma| luma[1] > 0.0).unwrap_or([0.299, 0.587, 0.114]);
        let [y0, y1, cb0, cb1, cr0, cr1] = page.reference.unwrap_or([0.0, 255.0, 128.0, 255.0, 128.0, 255.0]);
        let span = |from: f32, to: f32, full: f32| if to > from { full / (to - from) } else { 1.0 };
        let ranges = [(y0, span(y0, y1, 255.0)), (cb0, span(cb0, cb1, 127.0)), (cr0, span(cr0, cr1, 127.0))];
        Self { luma, ranges }
    }

    fn rgb(&self, ycc: [u8; 3]) -> [u8; 3] {
        let [y, cb, cr] =
            [0, 1, 2].map(|index| (f32::from(ycc[index]) - self.ranges[index].0) * self.ranges[index].1);
        let [red, green, blue] = self.luma;
        let r = y + cr * (2.0 - 2.0 * red);
        let b = y + cb * (2.0 - 2.0 * blue);
        let g = (y - red * r - blue * b) / green;
        [r, g, b].map(|colour| colour.round().clamp(0.0, 255.0) as u8)
    }
}
