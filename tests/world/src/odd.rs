//! The bytes of odd pictures: formats and defects that ordinary encoders do not write. Each takes the pixels of an
//! ordinary picture, so that what should decode decodes to that picture.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use image::codecs::gif::GifEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, Frame, ImageEncoder, RgbaImage};
use turbojpeg::{Colorspace, Compressor, PixelFormat, Subsamp};

use crate::encode::{Chroma, Encoding, encode_error};
use crate::error::Result;
use crate::raster::Pixels;

/// JPEG of one component.
pub(crate) fn grey_jpeg(pixels: &Pixels) -> Result<Vec<u8>> {
    Encoding::Jpeg { quality: 88, chroma: Chroma::Grey, progressive: false }.encode(pixels)
}

/// Progressive JPEG.
pub(crate) fn progressive_jpeg(pixels: &Pixels) -> Result<Vec<u8>> {
    Encoding::Jpeg { quality: 88, chroma: Chroma::Quarter, progressive: true }.encode(pixels)
}

/// JPEG of four inks in Adobe's convention, stored inverted (255 = no ink), with the marker libjpeg writes.
pub(crate) fn four_ink_jpeg(pixels: &Pixels, ycck: bool) -> Result<Vec<u8>> {
    let inks: Vec<u8> = pixels
        .rgb
        .chunks_exact(3)
        .flat_map(|p| {
            // Inverted inks: K = max(R, G, B), and C, M, Y such that C·K/255 gives R back.
            let key = p[0].max(p[1]).max(p[2]);
            let ink = |level: u8| match key {
                0 => 255,
                _ => (u32::from(level) * 255 / u32::from(key)) as u8,
            };
            [ink(p[0]), ink(p[1]), ink(p[2]), key]
        })
        .collect();
    let encode = || -> turbojpeg::Result<Vec<u8>> {
        let mut compressor = Compressor::new()?;
        compressor.set_quality(90)?;
        compressor.set_subsamp(Subsamp::None)?;
        compressor.set_colorspace(if ycck { Colorspace::YCCK } else { Colorspace::CMYK })?;
        compressor.compress_to_vec(turbojpeg::Image {
            pixels: inks.as_slice(),
            width: pixels.width as usize,
            pitch: pixels.width as usize * 4,
            height: pixels.height as usize,
            format: PixelFormat::CMYK,
        })
    };
    encode().map_err(|e| encode_error("CMYK JPEG", pixels, e.to_string()))
}

/// JPEG with an EXIF block whose orientation is 6: turn clockwise by 90° to view.
pub(crate) fn exif_rotated(pixels: &Pixels) -> Result<Vec<u8>> {
    let jpeg = Encoding::PLAIN.encode(pixels)?;
    // EXIF 2.3 §4.5: "Exif\0\0", a little-endian TIFF header, one directory entry (0x0112, SHORT, 1, 6), no next.
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    let mut out = jpeg[..2].to_vec();
    out.extend_from_slice(&[0xff, 0xe1]);
    out.extend_from_slice(&(exif.len() as u16 + 2).to_be_bytes());
    out.append(&mut exif);
    out.extend_from_slice(&jpeg[2..]);
    Ok(out)
}

/// JPEG whose frame header says 65,500 × 65,500.
pub(crate) fn bomb_jpeg(pixels: &Pixels) -> Result<Vec<u8>> {
    let mut jpeg = Encoding::PLAIN.encode(pixels)?;
    // SOF0: marker, length, precision, then height and width (ITU T.81 B.2.2).
    if let Some(at) = jpeg.windows(2).position(|w| w == [0xff, 0xc0]) {
        jpeg[at + 5..at + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    }
    Ok(jpeg)
}

/// PNG of 16 bits a channel.
pub(crate) fn png_16(pixels: &Pixels) -> Result<Vec<u8>> {
    // `image` takes native-endian samples; v·257 maps 0–255 onto 0–65535 and both bytes are equal, so order is moot.
    let wide: Vec<u8> = pixels.rgb.iter().flat_map(|&level| [level, level]).collect();
    png_of(pixels, &wide, ExtendedColorType::Rgb16)
}

/// PNG with alpha: opaque but for a soft hole in the left upper corner.
pub(crate) fn png_alpha(pixels: &Pixels) -> Result<Vec<u8>> {
    let width = pixels.width as usize;
    let rgba: Vec<u8> = pixels
        .rgb
        .chunks_exact(3)
        .enumerate()
        .flat_map(|(i, p)| [p[0], p[1], p[2], ((i % width + i / width) * 4).min(255) as u8])
        .collect();
    png_of(pixels, &rgba, ExtendedColorType::Rgba8)
}

fn png_of(pixels: &Pixels, samples: &[u8], colour: ExtendedColorType) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    PngEncoder::new(&mut out)
        .write_image(samples, pixels.width, pixels.height, colour)
        .map_err(|e| encode_error("PNG", pixels, e.to_string()))?;
    Ok(out)
}

/// PNG with a palette of 6 × 6 × 6 colours.
pub(crate) fn png_palette(pixels: &Pixels) -> Result<Vec<u8>> {
    let palette: Vec<u8> =
        (0..216u32).flat_map(|i| [i / 36, i / 6 % 6, i % 6].map(|level| (level * 51) as u8)).collect();
    let row_len = pixels.width as usize * 3;
    let mut rows = Vec::with_capacity(pixels.rgb.len() / 3 + pixels.height as usize);
    for row in pixels.rgb.chunks_exact(row_len) {
        rows.push(0);
        rows.extend(row.chunks_exact(3).map(|p| {
            let step = |level: u8| (u32::from(level) + 25) / 51;
            (step(p[0]) * 36 + step(p[1]) * 6 + step(p[2])) as u8
        }));
    }
    let mut png = Png::start(pixels.width, pixels.height, 3);
    png.chunk(b"PLTE", &palette);
    png.chunk(b"IDAT", &zlib(&rows));
    Ok(png.end())
}

/// PNG that promises 60,000 × 60,000 grey pixels and holds the first few rows of zeros.
pub(crate) fn bomb_png() -> Vec<u8> {
    let mut png = Png::start(60_000, 60_000, 0);
    png.chunk(b"IDAT", &zlib(&vec![0; 60_001 * 64]));
    png.end()
}

/// PNG whose compressed data are overwritten; checksums of the chunks agree.
pub(crate) fn corrupt_png(pixels: &Pixels) -> Vec<u8> {
    let mut data = zlib(&pixels.rgb);
    for (i, byte) in data.iter_mut().enumerate().skip(2) {
        // Block type 3 is reserved in DEFLATE (RFC 1951 §3.2.3), so every decoder must refuse the first block.
        *byte = if i == 2 { 0x07 } else { 0xff };
    }
    let mut png = Png::start(pixels.width, pixels.height, 2);
    png.chunk(b"IDAT", &data);
    png.end()
}

/// GIF whose screen is 65,535 × 65,535 with a frame as large.
pub(crate) fn bomb_gif() -> Vec<u8> {
    // GIF89a: screen descriptor with a palette of two colours, image descriptor, one LZW block: clear, end.
    let mut gif = b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    gif.extend_from_slice(b"\x2c\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x44\x01\0\x3b");
    gif
}

/// GIF of three frames, the first of which is the picture, the others ever darker.
pub(crate) fn animated_gif(pixels: &Pixels) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    GifEncoder::new_with_speed(&mut out, 30)
        .encode_frames(frames(pixels).into_iter().map(Frame::new))
        .map_err(|e| encode_error("animated GIF", pixels, e.to_string()))?;
    Ok(out)
}

/// WebP of three frames, the first of which is the picture.
pub(crate) fn animated_webp(pixels: &Pixels) -> Result<Vec<u8>> {
    let failed = |reason: String| encode_error("animated WebP", pixels, reason);
    let mut config = webp::WebPConfig::new().map_err(|()| failed("no configuration".to_owned()))?;
    config.quality = 85.0;
    let frames = frames(pixels);
    let mut encoder = webp::AnimEncoder::new(pixels.width, pixels.height, &config);
    for (i, frame) in frames.iter().enumerate() {
        encoder.add_frame(webp::AnimFrame::from_rgba(frame, pixels.width, pixels.height, i as i32 * 100));
    }
    let bytes = encoder.try_encode().map_err(|e| failed(format!("{e:?}")))?;
    Ok(bytes.to_vec())
}

fn frames(pixels: &Pixels) -> Vec<RgbaImage> {
    (0..3u8)
        .filter_map(|darker| {
            let rgba = pixels
                .rgb
                .chunks_exact(3)
                .flat_map(|p| [p[0] >> darker, p[1] >> darker, p[2] >> darker, 255]);
            RgbaImage::from_raw(pixels.width, pixels.height, rgba.collect())
        })
        .collect()
}

/// An SVG drawing of about the right size.
pub(crate) fn svg(width: u32, height: u32) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" \
         height=\"{height}\"><circle cx=\"50%\" cy=\"50%\" r=\"30%\" fill=\"red\"/></svg>\n"
    )
    .into_bytes()
}

/// The file type box of an AVIF (ISO/IEC 23000-22) and the start of a metadata box.
pub(crate) fn avif_head() -> Vec<u8> {
    let mut out = b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf\0\0\x01\0meta\0\0\0\0".to_vec();
    out.resize(0x11c, 0);
    out
}

/// Gzip of `bytes`.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// PNG chunk by chunk (RFC 2083), for files no library would write.
struct Png(Vec<u8>);

impl Png {
    /// Signature and header: 8 bits a sample, colour type 0 grey, 2 RGB or 3 palette.
    fn start(width: u32, height: u32, colour_type: u8) -> Self {
        let mut png = Self(b"\x89PNG\r\n\x1a\n".to_vec());
        let mut header = [0; 13];
        header[..4].copy_from_slice(&width.to_be_bytes());
        header[4..8].copy_from_slice(&height.to_be_bytes());
        header[8] = 8;
        header[9] = colour_type;
        png.chunk(b"IHDR", &header);
        png
    }

    fn chunk(&mut self, name: &[u8; 4], data: &[u8]) {
        self.0.extend_from_slice(&(data.len() as u32).to_be_bytes());
        let from = self.0.len();
        self.0.extend_from_slice(name);
        self.0.extend_from_slice(data);
        let mut crc = flate2::Crc::new();
        crc.update(&self.0[from..]);
        self.0.extend_from_slice(&crc.sum().to_be_bytes());
    }

    fn end(mut self) -> Vec<u8> {
        self.chunk(b"IEND", &[]);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::scene::Distribution;

    fn pixels() -> Pixels {
        let mut scene = Distribution::EVEN.draw(&mut Rng::of(&[9]));
        scene.finish.grain = 0;
        crate::raster::render(&scene, 120, 90)
    }

    /// Mean absolute difference in levels.
    fn off(decoded: &[u8], pixels: &Pixels) -> f64 {
        assert_eq!(decoded.len(), pixels.rgb.len());
        let sum: u64 = decoded.iter().zip(&pixels.rgb).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / decoded.len() as f64
    }

    #[test]
    fn what_should_decode_is_the_picture() {
        let pixels = pixels();
        let cases: [(&str, Vec<u8>, f64); 6] = [
            ("png-16", png_16(&pixels).unwrap(), 0.5),
            ("palette", png_palette(&pixels).unwrap(), 14.0),
            ("alpha", png_alpha(&pixels).unwrap(), 0.5),
            ("gif", animated_gif(&pixels).unwrap(), 14.0),
            ("webp", animated_webp(&pixels).unwrap(), 6.0),
            ("progressive", progressive_jpeg(&pixels).unwrap(), 6.0),
        ];
        for (name, bytes, most) in cases {
            let decoded = image::load_from_memory(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
            let off = off(&decoded.to_rgb8().into_raw(), &pixels);
            assert!(off < most, "{name} is {off} levels off");
        }
    }

    #[test]
    fn four_ink_jpegs_give_the_picture_back() {
        let pixels = pixels();
        for ycck in [false, true] {
            let bytes = four_ink_jpeg(&pixels, ycck).unwrap();
            let inks = turbojpeg::decompress(&bytes, PixelFormat::CMYK).unwrap();
            let rgb: Vec<u8> = inks
                .pixels
                .chunks_exact(4)
                .flat_map(|p| [0, 1, 2].map(|c| (u32::from(p[c]) * u32::from(p[3]) / 255) as u8))
                .collect();
            assert!(off(&rgb, &pixels) < 8.0, "ycck {ycck}");
            assert!(bytes.windows(5).any(|w| w == b"Adobe"), "decoders tell inverted inks by Adobe's marker");
        }
    }

    #[test]
    fn bombs_are_small_and_promise_much() {
        let jpeg = bomb_jpeg(&pixels()).unwrap();
        let header = turbojpeg::read_header(&jpeg).unwrap();
        assert_eq!((header.width, header.height), (65_500, 65_500));
        for bytes in [bomb_png(), bomb_gif()] {
            assert!(bytes.len() < 1_000_000);
            let (width, height) = image::ImageReader::new(std::io::Cursor::new(&bytes))
                .with_guessed_format()
                .unwrap()
                .into_dimensions()
                .unwrap();
            assert!(u64::from(width) * u64::from(height) > 3_000_000_000);
        }
    }

    #[test]
    fn the_corrupt_png_is_corrupt_and_the_rotated_jpeg_says_so() {
        let pixels = pixels();
        assert!(image::load_from_memory(&corrupt_png(&pixels)).is_err());
        let jpeg = exif_rotated(&pixels).unwrap();
        let mut decoder = image::codecs::jpeg::JpegDecoder::new(std::io::Cursor::new(&jpeg)).unwrap();
        let orientation = image::ImageDecoder::orientation(&mut decoder).unwrap();
        assert_eq!(orientation, image::metadata::Orientation::Rotate90);
    }
}
