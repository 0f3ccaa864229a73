//! One image from bytes to bytes: sniff, header, limits, size gates, decode, resize, encode. JPEG to JPEG stays in
//! planes (`jpeg/planes.rs`), much smaller JPEG even in coefficients (`jpeg/coefficients.rs`); everything else goes over
//! RGB or grey pixels.

use serde::{Deserialize, Serialize};
use turbojpeg::{Colorspace, DecompressHeader, Subsamp};

use crate::config::{ConfigError, DctScaling, EncodeFormat, Interpolation, TransformConfig};
use crate::decode;
use crate::encode::Encoder;
use crate::error::{PixelError, walled};
use crate::exif::{self, ExifFault};
use crate::format::{Format, sniff};
use crate::geometry::{Geometry, Size, check_gates};
use crate::header::{self, Details};
use crate::jpeg::decode::{JpegDecoder, shrink_for};
use crate::jpeg::planes::{PlaneResizer, output_subsamp};
use crate::raster::Raster;
use crate::resize::{Extent, Resizer};

/// Buffers above this many bytes are let go after each image.
const KEPT_BYTES: usize = 16 << 20;

/// A finished image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transformed {
    /// The encoded image.
    pub image: Vec<u8>,
    /// Its width in pixels; all four sizes are `None` under `disable_all_reencoding`.
    pub width: Option<u32>,
    /// Its height in pixels.
    pub height: Option<u32>,
    /// Width before resizing (after turning upright, where that is on), in pixels.
    pub original_width: Option<u32>,
    /// Height before resizing, in pixels.
    pub original_height: Option<u32>,
    /// JSON object of tag name to printable value; `{}` without tags; `None` when not asked for or not readable.
    pub exif: Option<String>,
    /// Why there is no `exif` although the image has tags.
    pub exif_fault: Option<ExifFault>,
    /// What was normalised on the way.
    pub applied: Applied,
}

/// What was normalised on the way from the source to the finished image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "snake_case")]
pub struct Applied {
    /// EXIF orientation that was turned upright (2–8), 0 for none.
    pub orientation: u8,
    /// Four inks were converted to RGB.
    pub cmyk: bool,
    /// 16 bits (or floats) were scaled to 8.
    pub sixteen_bit: bool,
    /// A palette was expanded.
    pub palette: bool,
    /// Of several frames or pages the first was taken.
    pub animation: bool,
    /// Alpha was matted on white.
    pub alpha: bool,
    /// A colour profile was dropped without conversion.
    pub icc_dropped: bool,
    /// The JPEG was decoded at 1/2, 1/4 or 1/8 of its size; 0 or 1 for full size.
    pub dct_shrink: u8,
    /// The planes were resized straight from the JPEG's coefficients, which were never decoded to pixels.
    pub coefficients: bool,
    /// The pixels stayed in YCbCr planes from decoder to encoder.
    pub planes: bool,
    /// The bytes were encoded anew; otherwise they are the source's.
    pub reencoded: bool,
}

/// Transforms image after image; holds codec handles and buffers. One per worker thread.
#[derive(Debug)]
pub struct Transformer {
    config: TransformConfig,
    decoder: JpegDecoder,
    encoder: Encoder,
    planes: PlaneResizer,
    resizer: Resizer,
}

/// A finished picture on the way to [`Transformed`].
struct Finished {
    image: Vec<u8>,
    size: Size,
}

impl Transformer {
    /// Validates the configuration and opens the codecs.
    ///
    /// # Errors
    /// [`ConfigError`] for the first option out of range.
    pub fn new(config: &TransformConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let failed = |error: turbojpeg::Error| ConfigError::Codec(error.to_string());
        Ok(Self {
            config: config.clone(),
            decoder: JpegDecoder::new().map_err(failed)?,
            encoder: Encoder::new(config).map_err(failed)?,
            planes: PlaneResizer::default(),
            resizer: Resizer::default(),
        })
    }

    /// The configuration in use.
    pub fn config(&self) -> &TransformConfig {
        &self.config
    }

    /// Transforms one image. A failed image leaves the transformer ready for the next.
    ///
    /// # Errors
    /// A typed failure of this image. The size gates are held against the header before anything is decoded, so a
    /// small and damaged image is reported as small.
    pub fn transform(&mut self, bytes: &[u8]) -> Result<Transformed, PixelError> {
        let result = walled(|| self.transform_any(bytes));
        match &result {
            Ok(_) => {}
            Err(PixelError::Panicked(_)) => self.renew(),
            // libjpeg-turbo can carry a broken header over into the next image.
            Err(_) => self.decoder.renew(),
        }
        self.trim();
        result
    }

    /// Makes everything anew, so that nothing of a panic reaches the next image.
    fn renew(&mut self) {
        match Self::new(&self.config) {
            Ok(fresh) => *self = fresh,
            // The codec gave a handle before; where it gives none now, the next image fails with its words.
            Err(_) => self.decoder.renew(),
        }
    }

    /// The tags as JSON, where they are asked for.
    fn tags(&self, raw: Option<&[u8]>) -> (Option<String>, Option<ExifFault>) {
        match self.config.extract_exif.then(|| exif::to_json(raw)) {
            None => (None, None),
            Some(Ok(json)) => (json, None),
            Some(Err(fault)) => (None, Some(fault)),
        }
    }

    fn transform_any(&mut self, bytes: &[u8]) -> Result<Transformed, PixelError> {
        if self.config.disable_all_reencoding {
            return self.pass_through(bytes);
        }
        let details = header::read(bytes)?;
        self.config.limits.check(&details.header)?;
        let orientation = if self.config.apply_orientation { exif::orientation(details.exif) } else { 1 };
        let stored = Size::new(details.header.width, details.header.height);
        let original = if orientation >= 5 { stored.swapped() } else { stored };
        check_gates(original, &self.config)?;
        let geometry = Geometry::plan(original, &self.config);
        check_growth(&geometry, &self.config)?;
        self.encoder.check(geometry.canvas)?;

        let mut applied = Applied {
            orientation: if orientation > 1 { orientation } else { 0 },
            palette: details.has_palette,
            animation: details.header.frames > 1,
            reencoded: true,
            ..Applied::default()
        };
        let finished = match &details.jpeg {
            Some(_) => self.jpeg(bytes, &details, orientation, &geometry, &mut applied)?,
            None => self.other(bytes, &details, orientation, &geometry, &mut applied)?,
        };
        applied.icc_dropped = details.has_icc && applied.reencoded;
        let (exif, exif_fault) = self.tags(details.exif);
        Ok(Transformed {
            image: finished.image,
            width: Some(finished.size.width as u32),
            height: Some(finished.size.height as u32),
            original_width: Some(original.width as u32),
            original_height: Some(original.height as u32),
            exif,
            exif_fault,
            applied,
        })
    }

    /// `disable_all_reencoding`: any image format goes through, decoded here or not, as with img2dataset; but what is
    /// no image at all is refused, where img2dataset stores it.
    fn pass_through(&self, bytes: &[u8]) -> Result<Transformed, PixelError> {
        sniff(bytes).ok_or(PixelError::NotAnImage)?;
        let (exif, exif_fault) = self.tags(header::read(bytes).ok().and_then(|details| details.exif));
        Ok(Transformed {
            image: bytes.to_vec(),
            width: None,
            height: None,
            original_width: None,
            original_height: None,
            exif,
            exif_fault,
            applied: Applied::default(),
        })
    }

    fn jpeg(
        &mut self,
        bytes: &[u8],
        details: &Details<'_>,
        orientation: u8,
        geometry: &Geometry,
        applied: &mut Applied,
    ) -> Result<Finished, PixelError> {
        let Some(markers) = &details.jpeg else { return Err(PixelError::NotAnImage) };
        let jpeg = self.decoder.open(bytes, markers, &self.config.limits)?;
        let header = jpeg.header;
        let Self { config, decoder, encoder, planes, resizer } = self;
        let (policy, limits) = (config.truncated, &config.limits);
        if keeps_bytes(config, details.header.format, orientation, geometry) {
            // Nothing but the verdict is wanted, and at an eighth it costs least.
            let shrink = if header.is_lossless { 1 } else { 8 };
            decoder.raster(&jpeg, shrink, policy, limits)?;
            applied.reencoded = false;
            return Ok(Finished { image: bytes.to_vec(), size: geometry.canvas });
        }
        let turned = orientation >= 5;
        let target = if turned { geometry.resized.swapped() } else { geometry.resized };
        let stored = Size { width: header.width, height: header.height };
        let in_planes = fits_planes(config, &header, orientation, geometry);
        if in_planes
            && config.dct_scaling != DctScaling::Off
            && planes.resize_coefficients(&jpeg.bytes, &header, geometry, config.chroma)
        {
            let image = planes.encode(geometry.canvas, &mut encoder.jpeg, &mut encoder.buffer)?;
            applied.planes = true;
            applied.coefficients = true;
            return Ok(Finished { image, size: geometry.canvas });
        }
        let shrink = shrink(config, &header, target, geometry.interpolation);
        applied.dct_shrink = shrink as u8;
        if in_planes {
            decoder.planes(&jpeg, shrink, policy, limits)?;
            planes.resize(decoder, &header, shrink, geometry, config.chroma);
            let image = planes.encode(geometry.canvas, &mut encoder.jpeg, &mut encoder.buffer)?;
            applied.planes = true;
            return Ok(Finished { image, size: geometry.canvas });
        }
        let (raster, inks) = decoder.raster(&jpeg, shrink, policy, limits)?;
        applied.cmyk = inks;
        let extent = Extent {
            width: stored.width as f64 / shrink as f64,
            height: stored.height as f64 / shrink as f64,
            of_blocks: shrink > 1,
        };
        let raster = resizer.raster(raster, extent, target, geometry.interpolation)?;
        let subsamp = output_subsamp(header.subsamp, config.chroma);
        self.finish(raster, orientation, geometry, subsamp)
    }

    /// Every format the `image` crate decodes.
    fn other(
        &mut self,
        bytes: &[u8],
        details: &Details<'_>,
        orientation: u8,
        geometry: &Geometry,
        applied: &mut Applied,
    ) -> Result<Finished, PixelError> {
        let decoded = decode::decode(bytes, details, &self.config.limits)?;
        applied.alpha = decoded.had_alpha;
        applied.sixteen_bit = decoded.was_sixteen_bit;
        let raster = decoded.raster;
        if raster.size != Size::new(details.header.width, details.header.height) {
            let format = details.header.format;
            return Err(PixelError::Corrupt(format!(
                "{format}: the picture is not of the size its header names"
            )));
        }
        if keeps_bytes(&self.config, details.header.format, orientation, geometry) && !decoded.had_alpha {
            applied.reencoded = false;
            return Ok(Finished { image: bytes.to_vec(), size: geometry.canvas });
        }
        let target = if orientation >= 5 { geometry.resized.swapped() } else { geometry.resized };
        let extent = Extent::of(raster.size);
        let raster = self.resizer.raster(raster, extent, target, geometry.interpolation)?;
        let subsamp = output_subsamp(Subsamp::Unknown, self.config.chroma);
        self.finish(raster, orientation, geometry, subsamp)
    }

    fn finish(
        &mut self,
        raster: Raster,
        orientation: u8,
        geometry: &Geometry,
        subsamp: Subsamp,
    ) -> Result<Finished, PixelError> {
        let subsamp =
            if raster.channels == 3 && subsamp == Subsamp::Gray { Subsamp::Sub2x2 } else { subsamp };
        let raster = raster.upright(orientation).cut_and_place(geometry);
        let image = self.encoder.encode(&raster, subsamp)?;
        Ok(Finished { image, size: raster.size })
    }

    fn trim(&mut self) {
        self.decoder.trim();
        self.planes.trim();
        if self.encoder.buffer.capacity() > KEPT_BYTES {
            self.encoder.buffer = Vec::new();
        }
        if self.resizer.held_bytes() > KEPT_BYTES {
            self.resizer = Resizer::default();
        }
    }
}

/// By how much to shrink while decoding. A plane that is decoded small must keep enough samples for the windows of the
/// resize to be fine; chroma planes start with fewer.
fn shrink(config: &TransformConfig, header: &DecompressHeader, target: Size, filter: Interpolation) -> usize {
    // In quarters of the target's samples.
    let spare = match (config.dct_scaling, filter) {
        (DctScaling::Off, _) => return 1,
        (DctScaling::Coarse, Interpolation::Area) => 5,
        (DctScaling::Fine, Interpolation::Area) => 7,
        _ => 8,
    };
    if header.is_lossless {
        return 1;
    }
    let (in_x, in_y) = header.subsamp.size();
    let (out_x, out_y) = output_subsamp(header.subsamp, config.chroma).size();
    let needed =
        |side: usize, sub_in: usize, sub_out: usize| side * spare * sub_in.max(sub_out) / (sub_out * 4);
    let needed =
        Size { width: needed(target.width, in_x, out_x), height: needed(target.height, in_y, out_y) };
    shrink_for(Size { width: header.width, height: header.height }, needed)
}

/// A sliver brought to `image_size` on its short side can grow without bound on the other.
fn check_growth(geometry: &Geometry, config: &TransformConfig) -> Result<(), PixelError> {
    let value = geometry.resized.width as u64 * geometry.resized.height as u64;
    let max = config.limits.max_pixels.max(u64::from(config.image_size).pow(2));
    if geometry.touched && value > max {
        return Err(PixelError::Bomb { what: "pixels after resizing", value, max });
    }
    Ok(())
}

/// img2dataset's rule: bytes are kept only if asked for, nothing touched the pixels and the format is right already.
fn keeps_bytes(config: &TransformConfig, format: Format, orientation: u8, geometry: &Geometry) -> bool {
    let same_format = matches!(
        (format, config.encode_format),
        (Format::Jpeg, EncodeFormat::Jpg)
            | (Format::Png, EncodeFormat::Png)
            | (Format::Webp, EncodeFormat::Webp)
    );
    config.skip_reencode && same_format && !geometry.touched && orientation == 1
}

/// Whether the picture can stay in planes: YCbCr or grey of a regular subsampling, upright, exact-area filter, JPEG out.
fn fits_planes(
    config: &TransformConfig,
    header: &DecompressHeader,
    orientation: u8,
    geometry: &Geometry,
) -> bool {
    config.encode_format == EncodeFormat::Jpg
        && orientation == 1
        && geometry.interpolation == Interpolation::Area
        && header.subsamp != Subsamp::Unknown
        && !header.is_lossless
        && matches!(header.colorspace, Colorspace::YCbCr | Colorspace::Gray)
}
