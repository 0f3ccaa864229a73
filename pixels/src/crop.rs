//! Bytes of any image to a square RGB training picture: decode, cut a window, resize it with PIL's bicubic filter,
//! write 8-bit RGB rows into memory that the caller lends. This is what the trainer's loader calls; nothing is encoded.
//!
//! A JPEG goes over RGB at its full size, or with [`CropConfig::planes`] stays in YCbCr planes until the end: each plane
//! is cut and resized by itself (subsampled chroma straight from its own size), and only the finished square is
//! converted. All rows are decoded, those below the window too: whether a file is whole shows at its end. What PIL's
//! `convert("RGB")` does to other pictures is done here: alpha is dropped (not matted), palettes are expanded, inks
//! converted, EXIF orientation left alone. Two differences: 16-bit grey is scaled to 8 bits where PIL saturates it, and
//! rounding inside the filters differs by a level. `tests/crop.rs` holds the result against PIL's.

mod colour;
mod region;

use fast_image_resize as fir;
use serde::{Deserialize, Serialize};
use turbojpeg::{Colorspace, DecompressHeader, Subsamp};

pub use self::region::{CropBox, View};
use self::region::{Region, Window};
use crate::config::{ConfigError, Limits, TruncatedPolicy};
use crate::decode;
use crate::error::{PixelError, walled};
use crate::geometry::Size;
use crate::header;
use crate::jpeg::decode::{JpegDecoder, OpenJpeg, shrink_for};
use crate::raster::{Rgb8, check_bytes};

/// Default side of the finished square, in pixels: what RN50 and ViT-B/32 take.
pub const DEFAULT_SIDE: u32 = 224;
/// A JPEG is shrunk in its decoder only as far as this many source pixels are left per target pixel.
const KEPT_PER_TARGET: usize = 2;
/// PIL's bicubic: Keys' cubic with a = -1/2, widened when it shrinks.
const BICUBIC: fir::FilterType = fir::FilterType::CatmullRom;
/// From this many source samples per target sample on, 4:2:0 chroma is filtered as luma is.
const SHARP_CHROMA: f64 = 2.0;
/// Buffers above this many bytes are let go after each image.
const KEPT_BYTES: usize = 16 << 20;

/// How [`Cropper`] decodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct CropConfig {
    /// Side of the finished square, in pixels, 1–4,096.
    pub side: u32,
    /// Keep JPEGs in YCbCr planes up to the finished size. Off: convert at full size first, as PIL does, which is faster
    /// as things are (three resizes of one channel cost more than one of three) and nearer to PIL's pixels.
    pub planes: bool,
    /// Shrink large JPEGs by 2, 4 or 8 in their decoder while at least twice the finished size is left.
    pub dct_scaling: bool,
    /// JPEGs whose data ends early or is damaged: fail (PIL fails for the former only) or keep.
    pub truncated: TruncatedPolicy,
    /// Bounds on hostile headers.
    pub limits: Limits,
}

impl Default for CropConfig {
    fn default() -> Self {
        Self {
            side: DEFAULT_SIDE,
            planes: false,
            dct_scaling: true,
            truncated: TruncatedPolicy::Fail,
            limits: Limits::default(),
        }
    }
}

/// What to cut, and whether to mirror it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// The window.
    pub view: View,
    /// Mirror left and right.
    pub mirrored: bool,
}

/// Makes square after square; holds codec handles and buffers. One per worker thread.
pub struct Cropper {
    config: CropConfig,
    decoder: JpegDecoder,
    engine: fir::Resizer,
    /// Finished planes before the conversion to RGB.
    planes: [Vec<u8>; 3],
    /// The window of a picture, where it does not have all columns.
    cut: Vec<u8>,
}

impl std::fmt::Debug for Cropper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cropper").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Cropper {
    /// Opens the codecs.
    ///
    /// # Errors
    /// [`ConfigError::Side`] where the side is outside 1–4,096, [`ConfigError::Codec`] where the codec gives no handle.
    pub fn new(config: &CropConfig) -> Result<Self, ConfigError> {
        if !(1..=4_096).contains(&config.side) {
            return Err(ConfigError::Side(config.side));
        }
        Ok(Self {
            config: config.clone(),
            decoder: JpegDecoder::new().map_err(|error| ConfigError::Codec(error.to_string()))?,
            engine: fir::Resizer::new(),
            planes: Default::default(),
            cut: Vec::new(),
        })
    }

    /// Bytes of one finished square: `side * side * 3`.
    pub fn out_bytes(&self) -> usize {
        self.config.side as usize * self.config.side as usize * 3
    }

    /// Decodes `bytes` and writes the finished square into `out`, RGB interleaved, row after row. `place` is told the
    /// stored width and height in pixels and says what to cut. After a failure `out` holds anything, and the cropper
    /// is ready for the next image.
    ///
    /// # Errors
    /// A typed failure of this image; [`PixelError::Encode`] where `out` has not [`out_bytes`](Self::out_bytes) bytes
    /// or the window lies outside the picture.
    pub fn write(
        &mut self,
        bytes: &[u8],
        place: impl FnOnce(u32, u32) -> Placement,
        out: &mut [u8],
    ) -> Result<(), PixelError> {
        let result = walled(|| self.write_any(bytes, place, out));
        self.settle(&result);
        result
    }

    /// Decodes `bytes` at full size to what [`write`](Self::write) cuts from: once, for a picture that
    /// [`write_rgb`](Self::write_rgb) cuts many times. [`CropConfig::planes`] and [`CropConfig::dct_scaling`] do not
    /// enter; alpha is dropped, and EXIF orientation left alone.
    ///
    /// # Errors
    /// A typed failure of this image.
    pub fn decode_rgb(&mut self, bytes: &[u8]) -> Result<Rgb8, PixelError> {
        let result = walled(|| self.decode_any(bytes));
        self.settle(&result);
        result
    }

    /// Brings codecs and buffers in order after an image.
    fn settle<T>(&mut self, result: &Result<T, PixelError>) {
        match result {
            Ok(_) => {}
            // Nothing of a panic may reach the next image.
            Err(PixelError::Panicked(_)) => match Self::new(&self.config) {
                Ok(fresh) => *self = fresh,
                Err(_) => self.decoder.renew(),
            },
            // libjpeg-turbo can carry a broken header over into the next image.
            Err(_) => self.decoder.renew(),
        }
        self.trim();
    }

    fn decode_any(&mut self, bytes: &[u8]) -> Result<Rgb8, PixelError> {
        let details = header::read(bytes)?;
        let CropConfig { limits, truncated, .. } = &self.config;
        limits.check(&details.header)?;
        if let Some(markers) = &details.jpeg {
            let jpeg = self.decoder.open(bytes, markers, limits)?;
            let (raster, _) = self.decoder.raster(&jpeg, 1, *truncated, limits)?;
            return Ok(raster.into_rgb8());
        }
        let picture = decode::decode_any(bytes, &details, limits)?;
        let (width, height) = (picture.width(), picture.height());
        Ok(Rgb8 { width, height, data: picture.into_rgb8().into_raw() })
    }

    /// Cuts and resizes as [`write`](Self::write) does, from a decoded picture: RGB interleaved, rows without padding.
    ///
    /// # Errors
    /// [`PixelError::Encode`] where `rgb` has not `width * height * 3` bytes or `out` not
    /// [`out_bytes`](Self::out_bytes), or the window lies outside the picture.
    pub fn write_rgb(
        &mut self,
        rgb: &[u8],
        width: u32,
        height: u32,
        placement: Placement,
        out: &mut [u8],
    ) -> Result<(), PixelError> {
        self.check_slot(out)?;
        check_bytes(rgb.len(), width, height)?;
        let region = placement.view.region(width, height, self.config.side)?;
        let result = walled(|| self.resize_rgb(rgb, Size::new(width, height), &region.window(1), out));
        mirror(out, placement.mirrored, self.config.side);
        self.settle(&result);
        result
    }

    fn check_slot(&self, out: &[u8]) -> Result<(), PixelError> {
        let (wanted, given) = (self.out_bytes(), out.len());
        if given != wanted {
            return Err(PixelError::Encode(format!("the slot has {given} bytes, the picture {wanted}")));
        }
        Ok(())
    }

    fn write_any(
        &mut self,
        bytes: &[u8],
        place: impl FnOnce(u32, u32) -> Placement,
        out: &mut [u8],
    ) -> Result<(), PixelError> {
        self.check_slot(out)?;
        let details = header::read(bytes)?;
        self.config.limits.check(&details.header)?;
        let (width, height) = (details.header.width, details.header.height);
        let placement = place(width, height);
        let region = placement.view.region(width, height, self.config.side)?;
        let jpeg = match &details.jpeg {
            Some(markers) => Some(self.decoder.open(bytes, markers, &self.config.limits)?),
            None => None,
        };
        match &jpeg {
            Some(jpeg) if self.config.planes && has_planes(&jpeg.header) => {
                self.jpeg_planes(jpeg, &region, placement.mirrored, out)?;
            }
            Some(jpeg) => {
                self.jpeg_pixels(jpeg, &region, out)?;
                mirror(out, placement.mirrored, self.config.side);
            }
            None => {
                let picture = decode::decode_any(bytes, &details, &self.config.limits)?;
                // The decoder's own idea of the size may differ from the container's (a WebP canvas, say).
                let size = Size::new(picture.width(), picture.height());
                let region = match (size == Size::new(width, height), placement.view) {
                    (true, _) => region,
                    (false, View::Crop(_)) => {
                        View::Centre.region(picture.width(), picture.height(), self.config.side)?
                    }
                    (false, view) => view.region(picture.width(), picture.height(), self.config.side)?,
                };
                let pixels = picture.into_rgb8().into_raw();
                self.resize_rgb(&pixels, size, &region.window(1), out)?;
                mirror(out, placement.mirrored, self.config.side);
            }
        }
        Ok(())
    }

    fn jpeg_planes(
        &mut self,
        jpeg: &OpenJpeg<'_>,
        region: &Region,
        mirrored: bool,
        out: &mut [u8],
    ) -> Result<(), PixelError> {
        let header = &jpeg.header;
        let shrink = self.shrink(header, region);
        let (sub_x, sub_y) = header.subsamp.size();
        let Self { config, decoder, engine, planes, cut, .. } = self;
        decoder.planes(jpeg, shrink, config.truncated, &config.limits)?;
        let scaled = Size { width: header.width.div_ceil(shrink), height: header.height.div_ceil(shrink) };
        let count = if header.subsamp == Subsamp::Gray { 1 } else { 3 };
        let side = config.side;
        let mut at = 0;
        for (component, plane) in planes.iter_mut().enumerate().take(count) {
            // libjpeg-turbo pads luma to whole chroma samples, and packs the planes with the alignment of 1 we ask for.
            let (sub, size, stride, rows) = match component {
                0 => {
                    let (stride, rows) =
                        (scaled.width.next_multiple_of(sub_x), scaled.height.next_multiple_of(sub_y));
                    ((1, 1), scaled, stride, rows)
                }
                _ => {
                    let size =
                        Size { width: scaled.width.div_ceil(sub_x), height: scaled.height.div_ceil(sub_y) };
                    ((sub_x, sub_y), size, size.width, size.height)
                }
            };
            let samples = &decoder.yuv[at..at + stride * rows];
            at += stride * rows;
            plane.resize(side as usize * side as usize, 0);
            let window = region.window(shrink).of_plane(sub).within(size);
            let filter = filter_for(sub, &window, side);
            let picture = (samples, Size { width: stride, height: rows }, 1);
            resize::<fir::pixels::U8>((engine, cut), picture, &window, filter, side, plane)?;
        }
        let [luma, blue, red] = planes;
        match count {
            1 => colour::grey_to_rgb(luma, out),
            _ => colour::ycc_to_rgb(luma, blue, red, out),
        }
        mirror(out, mirrored, side);
        Ok(())
    }

    fn jpeg_pixels(
        &mut self,
        jpeg: &OpenJpeg<'_>,
        region: &Region,
        out: &mut [u8],
    ) -> Result<(), PixelError> {
        let shrink = self.shrink(&jpeg.header, region);
        let (policy, limits) = (self.config.truncated, &self.config.limits);
        let (raster, _) = self.decoder.raster(jpeg, shrink, policy, limits)?;
        let picture = raster.into_rgb8();
        let size = Size::new(picture.width, picture.height);
        self.resize_rgb(&picture.data, size, &region.window(shrink).within(size), out)
    }

    fn shrink(&self, header: &DecompressHeader, region: &Region) -> usize {
        if header.is_lossless || !self.config.dct_scaling {
            return 1;
        }
        let (width, height) = region.size();
        let side = self.config.side as usize * KEPT_PER_TARGET;
        shrink_for(
            Size { width: width as usize, height: height as usize },
            Size { width: side, height: side },
        )
    }

    fn resize_rgb(
        &mut self,
        pixels: &[u8],
        size: Size,
        window: &Window,
        out: &mut [u8],
    ) -> Result<(), PixelError> {
        let Self { config, engine, cut, .. } = self;
        let picture = (pixels, size, 3);
        resize::<fir::pixels::U8x3>((engine, cut), picture, window, BICUBIC, config.side, out)
    }

    /// Lets go of large buffers.
    fn trim(&mut self) {
        self.decoder.trim();
        if self.cut.capacity() > KEPT_BYTES {
            self.cut = Vec::new();
        }
        if self.engine.size_of_internal_buffers() > KEPT_BYTES {
            self.engine.reset_internal_buffers();
        }
    }
}

/// PIL's pictures have chroma that libjpeg-turbo's triangle filter has smoothed to full size before the bicubic one. For
/// 4:2:0 both together are nearest to a triangle over the samples themselves, up to a factor of two: the mean
/// difference is 0.3 to 0.4 levels lower than with bicubic on saturated pictures, where it is largest.
fn filter_for(sub: (usize, usize), window: &Window, side: u32) -> fir::FilterType {
    let (_, _, across, down) = window.area;
    let soft = sub.0 > 1 && sub.1 > 1 && across.max(down) < SHARP_CHROMA * f64::from(side);
    if soft { fir::FilterType::Bilinear } else { BICUBIC }
}

/// Whether the picture is YCbCr or grey in planes of a layout that can be cut.
fn has_planes(header: &DecompressHeader) -> bool {
    matches!(header.colorspace, Colorspace::YCbCr | Colorspace::Gray)
        && header.subsamp != Subsamp::Unknown
        && !header.is_lossless
}

/// Resizes the window of a picture with `channels` interleaved channels. The typed call on whole images is the one
/// `resize.rs` makes: another kind of view would compile the whole resizer a second time.
fn resize<P: fir::PixelTrait>(
    (engine, cut): (&mut fir::Resizer, &mut Vec<u8>),
    (samples, size, channels): (&[u8], Size, usize),
    window: &Window,
    filter: fir::FilterType,
    side: u32,
    out: &mut [u8],
) -> Result<(), PixelError> {
    let refused = |error: &dyn std::fmt::Display| PixelError::Encode(format!("resize refused: {error}"));
    let (left, top, width, height) = window.bounds;
    let stride = size.width * channels;
    let rows = samples.get(top as usize * stride..(top + height) as usize * stride);
    let rows = rows.filter(|_| (left + width) as usize <= size.width);
    let rows = rows.ok_or_else(|| refused(&"the window is not inside the picture"))?;
    // Samples outside the bounds must not be seen: a crop is taken before the resize.
    let samples = if width as usize == size.width {
        rows
    } else {
        let columns = left as usize * channels..(left + width) as usize * channels;
        cut.clear();
        rows.chunks_exact(stride).for_each(|row| cut.extend_from_slice(&row[columns.clone()]));
        cut
    };
    let source = fir::images::TypedImageRef::<P>::from_buffer(width, height, samples)
        .map_err(|error| refused(&error))?;
    let mut target =
        fir::images::TypedImage::<P>::from_buffer(side, side, out).map_err(|error| refused(&error))?;
    let (x, y, across, down) = window.area;
    let (x, y) = (beside_sample(x, across, side), beside_sample(y, down, side));
    let options =
        fir::ResizeOptions::new().resize_alg(fir::ResizeAlg::Convolution(filter)).crop(x, y, across, down);
    engine.resize_typed(&source, &mut target, &options).map_err(|error| refused(&error))
}

/// Where a window begins, a millionth of a pixel off where its first output sample would lie on an input sample exactly.
/// There `fast_image_resize` 6.1 leaves the weights of 0 out, begins at the sample itself and, where a picture grows and
/// the second output sample reaches further back, counts below 0: a panic, or in a release build a read elsewhere.
fn beside_sample(start: f64, length: f64, side: u32) -> f64 {
    const NUDGE: f64 = 1e-6;
    let scale = length / f64::from(side);
    let first = start + 0.5 * scale - 0.5;
    let is_on_sample = (first - first.round()).abs() < 1e-9;
    if scale < 1.0 && start > NUDGE && is_on_sample { start - NUDGE } else { start }
}

fn mirror(out: &mut [u8], mirrored: bool, side: u32) {
    if mirrored {
        for row in out.chunks_exact_mut(side as usize * 3) {
            row.as_chunks_mut::<3>().0.reverse();
        }
    }
}
