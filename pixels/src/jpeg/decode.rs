//! libjpeg-turbo's decoder, wrapped: scan and memory limits, and its warnings (which it reports as errors after it
//! has decoded all it could) sorted into harmless, truncated and damaged. It reports the first warning only, so a
//! harmless one settles nothing: oddities of headers are taken out before decoding ([`cleaned`]), and where one comes up
//! amid the data, the data is gone through ([`check_blocks`]).

use std::borrow::Cow;

use turbojpeg::{Colorspace, DecompressHeader, Decompressor, Image, PixelFormat, ScalingFactor, YuvImage};

use super::segments::{Survey, cleaned};
use super::{Markers, check_blocks};
use crate::config::{Limits, TruncatedPolicy};
use crate::error::PixelError;
use crate::geometry::Size;
use crate::raster::Raster;

/// Buffers above this many bytes are let go after each image.
pub(super) const KEPT_BYTES: usize = 16 << 20;

/// A decoder with its output buffer, reused from image to image.
#[derive(Debug)]
pub(crate) struct JpegDecoder {
    codec: Decompressor,
    pub yuv: Vec<u8>,
}

/// A JPEG whose header has been read.
#[derive(Debug)]
pub(crate) struct OpenJpeg<'a> {
    pub header: DecompressHeader,
    /// The file, or where its headers are odd a copy with sound ones.
    pub bytes: Cow<'a, [u8]>,
    survey: Survey,
}

/// Where a decode call ended.
enum Verdict {
    Whole,
    /// The first warning is harmless; others are not heard.
    Odd,
    Truncated,
    Damaged(String),
}

impl JpegDecoder {
    pub fn new() -> Result<Self, turbojpeg::Error> {
        Ok(Self { codec: Decompressor::new()?, yuv: Vec::new() })
    }

    /// libjpeg-turbo's view of the header, after our own checks of size, scans and memory.
    pub fn open<'a>(
        &mut self,
        bytes: &'a [u8],
        markers: &Markers<'_>,
        limits: &Limits,
    ) -> Result<OpenJpeg<'a>, PixelError> {
        if markers.precision != 8 {
            return Err(PixelError::Unsupported(format!("{}-bit JPEG", markers.precision)));
        }
        check_memory(markers, limits)?;
        let survey = Survey::of(bytes, limits)?;
        self.set_scan_limit(limits)?;
        let mut bytes = Cow::Borrowed(bytes);
        let header = match self.codec.read_header(&bytes) {
            Ok(header) => header,
            Err(error) => {
                let message = message(&error);
                match sort(&message, limits)? {
                    Verdict::Odd => bytes = Cow::Owned(cleaned(&bytes)),
                    Verdict::Truncated => return Err(PixelError::Truncated),
                    Verdict::Whole | Verdict::Damaged(_) => return Err(PixelError::Corrupt(message)),
                }
                self.renew();
                self.set_scan_limit(limits)?;
                let again = self.codec.read_header(&bytes);
                again.map_err(|_| PixelError::Corrupt(message))?
            }
        };
        // The markers were checked against the limits; a second, larger frame header must not slip through.
        if (header.width, header.height) != (markers.width as usize, markers.height as usize) {
            return Err(PixelError::Corrupt("JPEG: two frame headers of different size".to_owned()));
        }
        Ok(OpenJpeg { header, bytes, survey })
    }

    fn set_scan_limit(&mut self, limits: &Limits) -> Result<(), PixelError> {
        let set = self.codec.set_scan_limit(limits.max_scans.min(i32::MAX as u32));
        set.map_err(|error| PixelError::Corrupt(error.to_string()))
    }

    /// Decodes to planes in `self.yuv`, without colour conversion, at 1/`shrink` of the size (1, 2, 4 or 8).
    pub fn planes(
        &mut self,
        jpeg: &OpenJpeg<'_>,
        shrink: usize,
        policy: TruncatedPolicy,
        limits: &Limits,
    ) -> Result<(), PixelError> {
        let header = &jpeg.header;
        let scaled = self.set_shrink(header, shrink)?;
        let codec_error = |error: turbojpeg::Error| PixelError::Corrupt(message(&error));
        let length =
            turbojpeg::yuv_pixels_len(scaled.width, 1, scaled.height, header.subsamp).map_err(codec_error)?;
        self.yuv.resize(length, 0);
        let Self { codec, yuv } = self;
        settle(jpeg, policy, limits, |bytes| {
            codec.decompress_to_yuv(
                bytes,
                YuvImage {
                    pixels: yuv.as_mut_slice(),
                    width: scaled.width,
                    align: 1,
                    height: scaled.height,
                    subsamp: header.subsamp,
                },
            )
        })
    }

    /// Decodes to grey or RGB at 1/`shrink` of the size. Says whether four-colour inks were converted.
    pub fn raster(
        &mut self,
        jpeg: &OpenJpeg<'_>,
        shrink: usize,
        policy: TruncatedPolicy,
        limits: &Limits,
    ) -> Result<(Raster, bool), PixelError> {
        let header = &jpeg.header;
        let scaled = self.set_shrink(header, shrink)?;
        let (format, channels) = match header.colorspace {
            Colorspace::Gray => (PixelFormat::GRAY, 1),
            Colorspace::CMYK | Colorspace::YCCK => (PixelFormat::CMYK, 4),
            _ => (PixelFormat::RGB, 3),
        };
        let mut pixels = vec![0; scaled.width * scaled.height * channels];
        let codec = &mut self.codec;
        settle(jpeg, policy, limits, |bytes| {
            let (width, height) = (scaled.width, scaled.height);
            let pitch = width * channels;
            codec.decompress(bytes, Image { pixels: pixels.as_mut_slice(), width, pitch, height, format })
        })?;
        let inks = channels == 4;
        if inks {
            pixels = inks_to_rgb(&pixels);
        }
        let channels = if inks { 3 } else { channels };
        Ok((
            Raster { size: Size { width: scaled.width, height: scaled.height }, channels, data: pixels },
            inks,
        ))
    }

    fn set_shrink(
        &mut self,
        header: &DecompressHeader,
        shrink: usize,
    ) -> Result<DecompressHeader, PixelError> {
        let factor = match shrink {
            2 => ScalingFactor::ONE_HALF,
            4 => ScalingFactor::ONE_QUARTER,
            8 => ScalingFactor::ONE_EIGHTH,
            _ => ScalingFactor::ONE,
        };
        self.codec.set_scaling_factor(factor).map_err(|error| PixelError::Corrupt(message(&error)))?;
        Ok(header.scaled(factor))
    }

    /// Takes a fresh codec handle, so that nothing of a broken image reaches the next.
    pub fn renew(&mut self) {
        if let Ok(codec) = Decompressor::new() {
            self.codec = codec;
        }
    }

    /// Lets go of large buffers.
    pub fn trim(&mut self) {
        if self.yuv.capacity() > KEPT_BYTES {
            self.yuv = Vec::new();
        }
    }
}

/// The largest of 1, 2, 4, 8 by which a picture of `from` can be shrunk while decoding and still have at least `to`
/// on both sides. These are the factors with SIMD, and libjpeg-turbo's reduced transforms yield exact averages of
/// 2×2, 4×4 and 8×8 pixels (jidctred.c), so the area filter may go on from them.
pub(crate) fn shrink_for(from: Size, to: Size) -> usize {
    let fits = |shrink: usize| from.width >= to.width * shrink && from.height >= to.height * shrink;
    [8, 4, 2].into_iter().find(|shrink| fits(*shrink)).unwrap_or(1)
}

/// libjpeg keeps every coefficient of a progressive image (2 bytes each).
fn check_memory(markers: &Markers<'_>, limits: &Limits) -> Result<(), PixelError> {
    let samples = u64::from(markers.width) * u64::from(markers.height) * u64::from(markers.components.min(4));
    let needed = if markers.progressive { samples * 2 } else { samples };
    if needed > limits.max_decode_bytes {
        return Err(PixelError::Bomb {
            what: "bytes of memory",
            value: needed,
            max: limits.max_decode_bytes,
        });
    }
    Ok(())
}

/// Runs a decode and applies the policy to what it warned of. A damaged picture is never a success under
/// [`TruncatedPolicy::Fail`].
fn settle(
    jpeg: &OpenJpeg<'_>,
    policy: TruncatedPolicy,
    limits: &Limits,
    mut decode: impl FnMut(&[u8]) -> Result<(), turbojpeg::Error>,
) -> Result<(), PixelError> {
    if policy == TruncatedPolicy::Fail && !jpeg.survey.is_whole {
        return Err(PixelError::Truncated);
    }
    let mut attempt = |bytes: &[u8]| match decode(bytes) {
        Ok(()) => Ok(Verdict::Whole),
        Err(error) => sort(&message(&error), limits),
    };
    match (attempt(&jpeg.bytes)?, policy) {
        (Verdict::Whole, _) | (_, TruncatedPolicy::Keep) => Ok(()),
        (Verdict::Damaged(what), TruncatedPolicy::Fail) => Err(PixelError::Corrupt(what)),
        (Verdict::Odd, TruncatedPolicy::Fail) => check_blocks(&jpeg.bytes),
        (Verdict::Truncated, TruncatedPolicy::Fail) => {
            // All pixels may be there and only the end marker missing.
            let mut ended = Vec::with_capacity(jpeg.bytes.len() + 2);
            ended.extend_from_slice(&jpeg.bytes);
            ended.extend_from_slice(&[0xFF, 0xD9]);
            match attempt(&ended)? {
                Verdict::Whole => Ok(()),
                Verdict::Odd => check_blocks(&ended),
                Verdict::Truncated | Verdict::Damaged(_) => Err(PixelError::Truncated),
            }
        }
    }
}

fn message(error: &turbojpeg::Error) -> String {
    match error {
        turbojpeg::Error::TurboJpegError(message) => message.clone(),
        other => other.to_string(),
    }
}

/// Sorts libjpeg-turbo's message. Warnings end in a verdict, everything else in an error.
fn sort(message: &str, limits: &Limits) -> Result<Verdict, PixelError> {
    const TRUNCATED: [&str; 2] = ["Premature end of JPEG file", "premature end of data segment"];
    const DAMAGED: [&str; 4] =
        ["bad Huffman code", "bad arithmetic code", "instead of RST", "Inconsistent progression"];
    const HARMLESS: [&str; 5] = [
        "extraneous bytes before marker",
        "unknown JFIF revision",
        "Unknown Adobe color",
        "bad ICC marker",
        "Invalid SOS parameters",
    ];
    const UNSUPPORTED: [&str; 2] = ["Unsupported JPEG process", "Unsupported JPEG data precision"];
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if has(&TRUNCATED) {
        Ok(Verdict::Truncated)
    } else if has(&DAMAGED) {
        Ok(Verdict::Damaged(message.to_owned()))
    } else if has(&HARMLESS) {
        Ok(Verdict::Odd)
    } else if message.contains("scans") {
        let max = u64::from(limits.max_scans);
        Err(PixelError::Bomb { what: "scans", value: max + 1, max })
    } else if has(&UNSUPPORTED) {
        Err(PixelError::Unsupported(format!("JPEG ({message})")))
    } else {
        Err(PixelError::Corrupt(message.to_owned()))
    }
}

/// Adobe writes inverted inks (255 = none), and so does nearly everything found on the web; OpenCV assumes the same.
fn inks_to_rgb(inks: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(inks.len() / 4 * 3);
    for [c, m, y, k] in inks.as_chunks::<4>().0 {
        let mix = |ink: u8| ((u16::from(ink) * u16::from(*k) + 127) / 255) as u8;
        rgb.extend([mix(*c), mix(*m), mix(*y)]);
    }
    rgb
}
