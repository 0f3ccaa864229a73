//! Resizing of decoded pictures. `Area` is ours and exact (`area.rs`); the other filters are `fast_image_resize`'s.

use fast_image_resize as fir;

use crate::area::{Resampler, Source, Span};
use crate::config::Interpolation;
use crate::error::{PixelError, walled};
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
    let to = Size::new(width, height);
    let data = walled(|| Resizer::default().resize(&image.data, from, Extent::of(from), 3, to, filter))?;
    Ok(Rgb8 { width, height, data })
}

/// The part of a decoded picture that holds picture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Width in samples; a JPEG decoded small ends in a fraction of a sample.
    pub width: f64,
    /// Height in samples.
    pub height: f64,
    /// Whether the samples are averages of blocks of the original (a JPEG decoded small).
    pub of_blocks: bool,
}

impl Extent {
    /// All of a picture decoded at full size.
    pub fn of(size: Size) -> Self {
        Self { width: size.width as f64, height: size.height as f64, of_blocks: false }
    }
}

/// Reusable buffers of the resizers.
#[derive(Default)]
pub(crate) struct Resizer {
    resampler: Resampler,
    engine: fir::Resizer,
}

impl std::fmt::Debug for Resizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resizer").finish_non_exhaustive()
    }
}

impl Resizer {
    /// Resizes a raster, of which `extent` holds picture.
    pub fn raster(
        &mut self,
        raster: Raster,
        extent: Extent,
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
        extent: Extent,
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
            let (across, down) =
                (span(from.width, extent.width, to.width), span(from.height, extent.height, to.height));
            self.resampler.set(across, down, extent.of_blocks);
            let mut out = vec![0; to.width * to.height * channels];
            let source = Source { data, stride: from.width * channels };
            let stride = to.width * channels;
            match channels {
                1 => self.resampler.run::<1>(source, &mut out, stride),
                _ => self.resampler.run::<3>(source, &mut out, stride),
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
        let options =
            fir::ResizeOptions::new().resize_alg(algorithm).crop(0.0, 0.0, extent.width, extent.height);
        // The typed call: the untyped one compiles every pixel type of `fast_image_resize` into this crate, minutes
        // of build for types that never occur.
        match channels {
            1 => self.convolve::<fir::pixels::U8>(data, from, to, channels, &options),
            _ => self.convolve::<fir::pixels::U8x3>(data, from, to, channels, &options),
        }
    }

    fn convolve<P: fir::PixelTrait>(
        &mut self,
        data: &[u8],
        from: Size,
        to: Size,
        channels: usize,
        options: &fir::ResizeOptions,
    ) -> Result<Vec<u8>, PixelError> {
        let refused = |error: &dyn std::fmt::Display| PixelError::Encode(format!("resize refused: {error}"));
        let source =
            fir::images::TypedImageRef::<P>::from_buffer(from.width as u32, from.height as u32, data)
                .map_err(|error| refused(&error))?;
        let mut out = vec![0; to.width * to.height * channels];
        let mut target =
            fir::images::TypedImage::<P>::from_buffer(to.width as u32, to.height as u32, &mut out)
                .map_err(|error| refused(&error))?;
        self.engine.resize_typed(&source, &mut target, options).map_err(|error| refused(&error))?;
        Ok(out)
    }

    /// Bytes held between images.
    pub fn held_bytes(&self) -> usize {
        self.resampler.held_bytes() + self.engine.size_of_internal_buffers()
    }
}
