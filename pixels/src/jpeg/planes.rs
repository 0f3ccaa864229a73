//! The hot path: JPEG to JPEG in YCbCr planes. Each plane goes from the decoder's size straight to the encoder's (a
//! full-size chroma plane to half size in one step), so that there is no colour conversion, no chroma upsampling, and
//! no chroma downsampling in the encoder. Resampling is linear, so the order does not matter to the result.
//!
//! Chroma sites are centred (JFIF), so on the luma grid the chroma sample `k` covers `[k * sub, (k + 1) * sub)`, and
//! everything is area algebra on that grid, half-covered samples at odd sizes and borders included.

use turbojpeg::{Compressor, DecompressHeader, Image, OutputBuf, PixelFormat, Subsamp, YuvPlanesImage};

use super::coefficients::{CoefficientResizer, LEAST_SCALE};
use super::decode::{JpegDecoder, KEPT_BYTES};
use crate::area::{Resampler, Source, Span};
use crate::config::ChromaChoice;
use crate::error::PixelError;
use crate::geometry::{Geometry, Size};

/// White in YCbCr.
const WHITE: [u8; 3] = [255, 128, 128];

/// One plane for the encoder, with its size in samples.
#[derive(Debug, Default)]
struct Plane {
    data: Vec<u8>,
    width: usize,
    height: usize,
}

/// Resized planes and the tables to get them, reused from image to image.
#[derive(Debug, Default)]
pub(crate) struct PlaneResizer {
    planes: [Plane; 3],
    subsamp: Option<Subsamp>,
    resampler: Resampler,
    coefficients: CoefficientResizer,
}

/// The subsampling to write for a source's.
pub(crate) fn output_subsamp(source: Subsamp, choice: ChromaChoice) -> Subsamp {
    match (source, choice) {
        (Subsamp::Gray, _) => Subsamp::Gray,
        (_, ChromaChoice::Subsampled420) | (Subsamp::Unknown, ChromaChoice::Keep) => Subsamp::Sub2x2,
        (_, ChromaChoice::Full444) => Subsamp::None,
        (source, ChromaChoice::Keep) => source,
    }
}

/// One axis of the way from source to canvas, in luma pixels.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// Luma samples of the (DCT-scaled) source that hold picture; may end in a fraction.
    extent: f64,
    /// Luma samples of the resized picture.
    resized: usize,
    /// The window kept of it.
    crop: (usize, usize),
    /// Where the window starts on the canvas.
    place: usize,
    canvas: usize,
    /// The canvas, filled up to whole chroma samples.
    padded: usize,
    /// Luma per chroma sample, in the source and on the canvas; 1 for the luma plane itself.
    sub_in: usize,
    sub_out: usize,
}

/// Where a plane's window lies on its canvas, and how much of its first and last sample it covers.
#[derive(Debug, Clone, Copy)]
struct Landing {
    start: usize,
    first_share: f64,
    last_share: f64,
}

impl Way {
    fn samples(&self) -> usize {
        (self.extent / self.sub_in as f64).ceil() as usize
    }

    fn plane_samples(&self) -> usize {
        self.padded / self.sub_out
    }

    fn land(&self) -> (Span, Landing) {
        let (crop_start, crop_len) = self.crop;
        let end = self.place + crop_len;
        let start = self.place / self.sub_out;
        let count = end.div_ceil(self.sub_out) - start;
        // Source luma per resized luma, then everything in source samples of this plane.
        let ratio = self.extent / self.resized as f64;
        let sub_in = self.sub_in as f64;
        let on_source = |resized: f64| resized * ratio / sub_in;
        let offset = (start * self.sub_out) as f64 - self.place as f64 + crop_start as f64;
        let span = Span {
            samples: self.samples(),
            offset: on_source(offset),
            scale: ratio * self.sub_out as f64 / sub_in,
            clip: (on_source(crop_start as f64), on_source((crop_start + crop_len) as f64)),
            count,
        };
        let share = |missing: usize| 1.0 - missing as f64 / self.sub_out as f64;
        // An odd canvas edge is no border: the encoder repeats the last pixel there.
        let past = if end == self.canvas { 0 } else { (self.sub_out - end % self.sub_out) % self.sub_out };
        (span, Landing { start, first_share: share(self.place % self.sub_out), last_share: share(past) })
    }
}

impl PlaneResizer {
    /// Resizes the planes that `decoder` holds for a source of `original` size decoded at 1/`shrink`.
    pub fn resize(
        &mut self,
        decoder: &JpegDecoder,
        header: &DecompressHeader,
        shrink: usize,
        geometry: &Geometry,
        choice: ChromaChoice,
    ) {
        let subsamp = output_subsamp(header.subsamp, choice);
        self.subsamp = Some(subsamp);
        let scaled = Size { width: header.width.div_ceil(shrink), height: header.height.div_ceil(shrink) };
        let (in_x, in_y) = header.subsamp.size();
        let mut at = 0;
        for component in 0..components(subsamp) {
            let (across, down) = ways(component, header, shrink, geometry, subsamp);
            // libjpeg-turbo pads luma to whole chroma samples, and packs the planes with the alignment of 1 we ask for.
            let (stride, rows) = if component > 0 {
                (scaled.width.div_ceil(in_x), scaled.height.div_ceil(in_y))
            } else {
                (scaled.width.next_multiple_of(in_x), scaled.height.next_multiple_of(in_y))
            };
            let source = Source { data: &decoder.yuv[at..at + stride * rows], stride };
            at += stride * rows;

            let plane = &mut self.planes[component];
            let ((span_x, _), (span_y, _)) = plane.prepare(component, across, down, geometry);
            // Both chroma planes share their tables.
            if component < 2 {
                self.resampler.set(span_x, span_y, shrink > 1);
            }
            let stride_out = plane.width;
            self.resampler.run::<1>(source, plane.window(across, down), stride_out);
            plane.finish(component, across, down, geometry);
        }
    }

    /// Resizes a JPEG straight from its coefficients, without decoding it to pixels. False, and nothing is done, where
    /// the picture is shrunk by too little, is not of the regular kind, or is damaged.
    pub fn resize_coefficients(
        &mut self,
        bytes: &[u8],
        header: &DecompressHeader,
        geometry: &Geometry,
        choice: ChromaChoice,
    ) -> bool {
        let subsamp = output_subsamp(header.subsamp, choice);
        let spans: Vec<_> = (0..components(subsamp))
            .map(|component| {
                let (across, down) = ways(component, header, 1, geometry, subsamp);
                (across.land().0, down.land().0)
            })
            .collect();
        if spans.iter().any(|(across, down)| across.scale.min(down.scale) < LEAST_SCALE)
            || self.coefficients.decode(bytes, (header.width, header.height), &spans).is_none()
        {
            return false;
        }
        self.subsamp = Some(subsamp);
        for component in 0..spans.len() {
            let (across, down) = ways(component, header, 1, geometry, subsamp);
            let plane = &mut self.planes[component];
            plane.prepare(component, across, down, geometry);
            let stride = plane.width;
            let window = plane.window(across, down).chunks_mut(stride);
            for (row, samples) in window.zip(self.coefficients.rows(component)) {
                for (to, sample) in row.iter_mut().zip(samples) {
                    *to = sample;
                }
            }
            plane.finish(component, across, down, geometry);
        }
        true
    }

    /// Encodes what the last resize left, into `out` (a buffer reused from image to image).
    pub fn encode(
        &self,
        canvas: Size,
        codec: &mut Compressor,
        out: &mut Vec<u8>,
    ) -> Result<Vec<u8>, PixelError> {
        let failed = |error: turbojpeg::Error| PixelError::Encode(error.to_string());
        let Size { width, height } = canvas;
        let subsamp = self.subsamp.unwrap_or(Subsamp::Gray);
        let length = turbojpeg::compressed_buf_len(width, height, subsamp).map_err(failed)?;
        out.resize(length, 0);
        let [y, u, v] = &self.planes;
        let mut output = OutputBuf::borrowed(out);
        if subsamp == Subsamp::Gray {
            codec.set_subsamp(subsamp).map_err(failed)?;
            let (pixels, format) = (y.data.as_slice(), PixelFormat::GRAY);
            codec
                .compress(Image { pixels, width, pitch: y.width, height, format }, &mut output)
                .map_err(failed)?;
        } else {
            let image = YuvPlanesImage {
                y_plane: y.data.as_slice(),
                u_plane: u.data.as_slice(),
                v_plane: v.data.as_slice(),
                width,
                height,
                y_stride: y.width,
                u_stride: u.width,
                v_stride: v.width,
                subsamp,
            };
            codec.compress_yuv_planes(&image, &mut output).map_err(failed)?;
        }
        Ok(output.to_vec())
    }

    /// Lets go of large buffers.
    pub fn trim(&mut self) {
        let held = self.planes.iter().map(|plane| plane.data.capacity()).max().unwrap_or(0);
        if held.max(self.coefficients.held_bytes()) > KEPT_BYTES {
            *self = Self::default();
        }
    }
}

/// Planes of a picture to be written with `subsamp`.
fn components(subsamp: Subsamp) -> usize {
    if subsamp == Subsamp::Gray { 1 } else { 3 }
}

/// The ways across and down of one component of a source decoded at 1/`shrink`.
fn ways(
    component: usize,
    header: &DecompressHeader,
    shrink: usize,
    geometry: &Geometry,
    subsamp: Subsamp,
) -> (Way, Way) {
    let ((in_x, in_y), (out_x, out_y)) = (header.subsamp.size(), subsamp.size());
    let crop = geometry.crop;
    let sub = |factor: usize| if component > 0 { factor } else { 1 };
    let across = Way {
        extent: header.width as f64 / shrink as f64,
        resized: geometry.resized.width,
        crop: (crop.left, crop.size.width),
        place: geometry.place.0,
        canvas: geometry.canvas.width,
        padded: geometry.canvas.width.next_multiple_of(out_x),
        sub_in: sub(in_x),
        sub_out: sub(out_x),
    };
    let down = Way {
        extent: header.height as f64 / shrink as f64,
        resized: geometry.resized.height,
        crop: (crop.top, crop.size.height),
        place: geometry.place.1,
        canvas: geometry.canvas.height,
        padded: geometry.canvas.height.next_multiple_of(out_y),
        sub_in: sub(in_y),
        sub_out: sub(out_y),
    };
    (across, down)
}

impl Plane {
    /// Takes the size of the canvas; what the window will not cover is white.
    fn prepare(
        &mut self,
        component: usize,
        across: Way,
        down: Way,
        geometry: &Geometry,
    ) -> ((Span, Landing), (Span, Landing)) {
        self.width = across.plane_samples();
        self.height = down.plane_samples();
        let bordered = geometry.canvas != geometry.crop.size;
        if bordered {
            self.data.clear();
        }
        self.data.resize(self.width * self.height, WHITE[component]);
        (across.land(), down.land())
    }

    /// From the first sample of the window to its last row.
    fn window(&mut self, across: Way, down: Way) -> &mut [u8] {
        let ((_, left), (span, top)) = (across.land(), down.land());
        let start = top.start * self.width + left.start;
        let end = (start + span.count * self.width).min(self.data.len());
        &mut self.data[start..end]
    }

    /// Brings edges and padding in order once the window is filled.
    fn finish(&mut self, component: usize, across: Way, down: Way, geometry: &Geometry) {
        if component > 0 {
            let ((span_x, landing_x), (span_y, landing_y)) = (across.land(), down.land());
            self.soften_edges(landing_x, landing_y, (span_x.count, span_y.count));
        } else {
            self.repeat_edge(geometry.canvas);
        }
    }

    /// A chroma sample that lies half on the picture and half on the border is the mean of both.
    fn soften_edges(&mut self, across: Landing, down: Landing, (columns, rows): (usize, usize)) {
        let mix = |sample: &mut u8, share: f64| {
            let grey = f64::from(WHITE[1]);
            *sample = (grey + (f64::from(*sample) - grey) * share).round() as u8;
        };
        let (left, top) = (across.start, down.start);
        for (column, share) in [(left, across.first_share), (left + columns - 1, across.last_share)] {
            if share < 1.0 {
                for row in top..top + rows {
                    mix(&mut self.data[row * self.width + column], share);
                }
            }
        }
        for (row, share) in [(top, down.first_share), (top + rows - 1, down.last_share)] {
            if share < 1.0 {
                for column in left..left + columns {
                    mix(&mut self.data[row * self.width + column], share);
                }
            }
        }
    }

    /// Repeats the last column and row of the canvas up to whole chroma samples.
    fn repeat_edge(&mut self, canvas: Size) {
        if canvas.width < self.width {
            for row in self.data.chunks_exact_mut(self.width) {
                let last = row[canvas.width - 1];
                row[canvas.width..].fill(last);
            }
        }
        for row in canvas.height..self.height {
            let from = (canvas.height - 1) * self.width;
            self.data.copy_within(from..from + self.width, row * self.width);
        }
    }
}
