//! Planes of an AV1 frame to RGB (ITU-T H.273): luma and chroma of 8, 10 or 12 bits, chroma interpolated where it has
//! fewer samples.

use re_rav1d::dav1d::{Picture, PixelLayout, PlanarImageComponent as Plane};

use super::boxes::Colour;
use crate::error::PixelError;

/// What the samples of a frame mean.
#[derive(Debug)]
pub(super) struct Conversion {
    layout: PixelLayout,
    /// Bits of a sample.
    bits: u32,
    /// Green, blue and red as they are, instead of luma and chroma.
    identity: bool,
    /// Luma: black and what a step is worth in 8 bits.
    luma: (f32, f32),
    /// Chroma: the same, around its middle.
    chroma: (f32, f32),
    /// Red by Cr, green by Cb and Cr, blue by Cb.
    weights: [f32; 4],
}

/// A row of samples, and of chroma as wide as luma.
#[derive(Default)]
struct Row {
    luma: Vec<u16>,
    near: Vec<u16>,
    far: Vec<u16>,
    blue: Vec<f32>,
    red: Vec<f32>,
}

impl Conversion {
    /// The container's word comes before the stream's.
    pub fn of(frame: &Picture, colour: Colour) -> Result<Self, PixelError> {
        let unsupported = |what: String| PixelError::Unsupported(format!("AVIF ({what})"));
        let bits = frame.bits_per_component().ok_or_else(|| unsupported("bit depth".to_owned()))?.0 as u32;
        let matrix = colour.map_or(frame.matrix_coefficients() as u8, |(matrix, _)| matrix);
        // Of the two ranges the second is the full one.
        let full = colour.map_or(frame.color_range() as u8 == 1, |(_, full)| full);
        let (red, blue) = match matrix {
            0 => (0.0, 0.0),
            1 => (0.2126, 0.0722),
            4 => (0.30, 0.11),
            2 | 5 | 6 => (0.299, 0.114),
            7 => (0.212, 0.087),
            9 => (0.2627, 0.0593),
            other => return Err(unsupported(format!("colour matrix {other}"))),
        };
        let layout = frame.pixel_layout();
        let identity = matrix == 0 && layout != PixelLayout::I400;
        if identity && layout != PixelLayout::I444 {
            return Err(unsupported("RGB with fewer samples of some colours".to_owned()));
        }
        let step = (1_u32 << (bits - 8)) as f32;
        let most = ((1_u32 << bits) - 1) as f32;
        let (luma, chroma) = match full {
            true => ((0.0, 255.0 / most), (128.0 * step, 255.0 / most)),
            false => ((16.0 * step, 255.0 / (219.0 * step)), (128.0 * step, 255.0 / (224.0 * step))),
        };
        let green = 1.0 - red - blue;
        let weights = [
            2.0 * (1.0 - red),
            2.0 * blue * (1.0 - blue) / green,
            2.0 * red * (1.0 - red) / green,
            2.0 * (1.0 - blue),
        ];
        Ok(Self { layout, bits, identity, luma, chroma, weights })
    }

    /// Writes a frame into an RGB picture at (left, top); what reaches beyond the picture is left out.
    pub fn write_rgb(
        &self,
        frame: &Picture,
        out: &mut [u8],
        (width, height): (usize, usize),
        (left, top): (usize, usize),
    ) {
        let (columns, rows) = shown(frame, (width, height), (left, top));
        let luma = frame.plane(Plane::Y);
        let chroma =
            (self.layout != PixelLayout::I400).then(|| [frame.plane(Plane::U), frame.plane(Plane::V)]);
        let strides = (frame.stride(Plane::Y) as usize, frame.stride(Plane::U) as usize);
        let mut row = Row::default();
        for y in 0..rows {
            self.samples(&luma, strides.0, y, columns, &mut row.luma);
            if let Some([blue, red]) = &chroma {
                let Row { near, far, .. } = &mut row;
                let mut spread = |plane: &[u8], out: &mut Vec<f32>| {
                    self.spread(plane, strides.1, y, (columns, frame), (near, far), out);
                };
                spread(blue, &mut row.blue);
                spread(red, &mut row.red);
            }
            let at = ((top + y) * width + left) * 3;
            let pixels = out[at..at + columns * 3].as_chunks_mut::<3>().0;
            for (x, rgb) in pixels.iter_mut().enumerate() {
                let y = (f32::from(row.luma[x]) - self.luma.0) * self.luma.1;
                let round = |value: f32| (value + 0.5) as u8;
                *rgb = match &chroma {
                    None => [round(y); 3],
                    Some(_) if self.identity => {
                        let colour = |value: f32| round((value - self.luma.0) * self.luma.1);
                        [colour(row.red[x]), round(y), colour(row.blue[x])]
                    }
                    Some(_) => {
                        let blue = (row.blue[x] - self.chroma.0) * self.chroma.1;
                        let red = (row.red[x] - self.chroma.0) * self.chroma.1;
                        let [rr, gb, gr, bb] = self.weights;
                        [round(y + rr * red), round(y - gb * blue - gr * red), round(y + bb * blue)]
                    }
                };
            }
        }
    }

    /// Writes a frame's luma into a plane at (left, top).
    pub fn write_luma(
        &self,
        frame: &Picture,
        out: &mut [u8],
        (width, height): (usize, usize),
        (left, top): (usize, usize),
    ) {
        let (columns, rows) = shown(frame, (width, height), (left, top));
        let luma = frame.plane(Plane::Y);
        let mut samples = Vec::new();
        for y in 0..rows {
            self.samples(&luma, frame.stride(Plane::Y) as usize, y, columns, &mut samples);
            let at = (top + y) * width + left;
            for (place, sample) in out[at..at + columns].iter_mut().zip(&samples) {
                *place = ((f32::from(*sample) - self.luma.0) * self.luma.1 + 0.5) as u8;
            }
        }
    }

    fn samples(&self, plane: &[u8], stride: usize, y: usize, count: usize, out: &mut Vec<u16>) {
        let row = &plane[y * stride..];
        out.clear();
        match self.bits {
            8 => out.extend(row[..count].iter().map(|sample| u16::from(*sample))),
            _ => out.extend(row[..count * 2].as_chunks::<2>().0.iter().map(|raw| u16::from_ne_bytes(*raw))),
        }
    }

    /// A row of chroma as wide as luma. A sample that lies between two takes three parts of the nearer one.
    fn spread(
        &self,
        plane: &[u8],
        stride: usize,
        y: usize,
        (columns, frame): (usize, &Picture),
        (near, far): (&mut Vec<u16>, &mut Vec<u16>),
        out: &mut Vec<f32>,
    ) {
        out.clear();
        if self.layout == PixelLayout::I444 {
            self.samples(plane, stride, y, columns, near);
            out.extend(near.iter().map(|sample| f32::from(*sample)));
            return;
        }
        let count = columns.div_ceil(2);
        let neighbour = |at: usize, end: usize| {
            let other = if at % 2 == 0 { (at / 2).saturating_sub(1) } else { at / 2 + 1 };
            other.min(end - 1)
        };
        if self.layout == PixelLayout::I420 {
            self.samples(plane, stride, y / 2, count, near);
            self.samples(plane, stride, neighbour(y, (frame.height() as usize).div_ceil(2)), count, far);
        } else {
            self.samples(plane, stride, y, count, near);
            far.clone_from(near);
        }
        let down = |x: usize| f32::from(near[x]) * 0.75 + f32::from(far[x]) * 0.25;
        out.extend((0..columns).map(|x| down(x / 2) * 0.75 + down(neighbour(x, count)) * 0.25));
    }
}

/// Columns and rows of a frame that lie inside the picture.
fn shown(frame: &Picture, (width, height): (usize, usize), (left, top): (usize, usize)) -> (usize, usize) {
    let inside = |at: usize, length: u32, end: usize| (length as usize).min(end.saturating_sub(at));
    (inside(left, frame.width(), width), inside(top, frame.height(), height))
}
