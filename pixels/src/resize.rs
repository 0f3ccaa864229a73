//! Resizing of decoded pictures. `Area` is ours and exact (`area.rs`); the other filters are `fast_image_resize`'s.

use fast_image_resize as fir;

use crate::area::{Axis, Source, Span, resample};
use crate::config::Interpolation;
use crate::error::PixelError;
use crate::geometry::Size;
use crate::raster::{Raster, Rgb8};

/// Resizes an RGB picture to `width` × `height` pixels.
///
/// # Errors
/// [`PixelError::Encode`] where a target side is 0 or `image.data` is not `width * height * 3` bytes.
pub fn resize_rgb(image: &Rgb8, width: u32, height: u32, filter: Interpolation) -> Result<Rgb8, PixelError> {
    if width == 0 || height == 0 || image.width == 0 || image.height == 0 {
        return Err(PixelError::Encode(format!(
            "no resize from {}x{} to {width}x{height}: a side is 0",
            image.width, image.height
        )));
    }
    let from = Size::new(image.width, image.height);
    if image.data.len() != from.width * from.height * 3 {
        return Err(PixelError::Encode("picture data is not width * height * 3 bytes".to_owned()));
    }
    let extent = (from.width as f64, from.height as f64);
    let to = Size::new(width, height);
    let data = Resizer::default().resize(&image.data, from, extent, 3, to, filter)?;
    Ok(Rgb8 { width, height, data })
}

/// Reusable buffers of the resizers.
#[derive(Default)]
pub(crate) struct Resizer {
    across: Axis,
    down: Axis,
    scratch: Vec<u16>,
    engine: fir::Resizer,
}

impl std::fmt::Debug for Resizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resizer").finish_non_exhaustive()
    }
}

impl Resizer {
    /// Resizes a raster; `extent` is the part of its width and height that holds picture (a DCT-scaled decode ends in
    /// a fraction of a pixel).
    pub fn raster(
        &mut self,
        raster: Raster,
        extent: (f64, f64),
        to: Size,
        filter: Interpolation,
    ) -> Result<Raster, PixelError> {
        if raster.size == to {
            return Ok(raster);
        }
        let data = self.resize(&raster.data, raster.size, extent, raster.channels, to, filter)?;
        Ok(Raster { size: to, channels: raster.channels, data })
    }

    fn resize(
        &mut self,
        data: &[u8],
        from: Size,
        extent: (f64, f64),
        channels: usize,
        to: Size,
        filter: Interpolation,
    ) -> Result<Vec<u8>, PixelError> {
        if filter == Interpolation::Area {
            let span = |samples: usize, extent: f64, count: usize| Span {
                samples,
                offset: 0.0,
                scale: extent / count as f64,
                clip: (0.0, extent),
                count,
            };
            self.across.set(span(from.width, extent.0, to.width));
            self.down.set(span(from.height, extent.1, to.height));
            let mut out = vec![0; to.width * to.height * channels];
            let source = Source { data, stride: from.width * channels };
            let stride = to.width * channels;
            match channels {
                1 => resample::<1>(source, &self.across, &self.down, &mut self.scratch, &mut out, stride),
                _ => resample::<3>(source, &self.across, &self.down, &mut self.scratch, &mut out, stride),
            }
            return Ok(out);
        }
        let algorithm = match filter {
            Interpolation::Nearest => fir::ResizeAlg::Nearest,
            Interpolation::Linear => fir::ResizeAlg::Convolution(fir::FilterType::Bilinear),
            Interpolation::Cubic => fir::ResizeAlg::Convolution(fir::FilterType::CatmullRom),
            Interpolation::Area | Interpolation::Lanczos => {
                fir::ResizeAlg::Convolution(fir::FilterType::Lanczos3)
            }
        };
        let pixel = if channels == 1 { fir::PixelType::U8 } else { fir::PixelType::U8x3 };
        let refused = |error: &dyn std::fmt::Display| PixelError::Encode(format!("resize refused: {error}"));
        let source = fir::images::ImageRef::new(from.width as u32, from.height as u32, data, pixel)
            .map_err(|error| refused(&error))?;
        let mut out = fir::images::Image::new(to.width as u32, to.height as u32, pixel);
        let options = fir::ResizeOptions::new().resize_alg(algorithm).crop(0.0, 0.0, extent.0, extent.1);
        self.engine.resize(&source, &mut out, &options).map_err(|error| refused(&error))?;
        Ok(out.into_vec())
    }

    /// Bytes held between images.
    pub fn held_bytes(&self) -> usize {
        self.scratch.capacity() * 2 + self.engine.size_of_internal_buffers()
    }
}
