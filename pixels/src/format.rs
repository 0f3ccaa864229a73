//! Format by content. A name or a `Content-Type` is never believed.

use std::fmt;

/// An image format that the first bytes can tell, decoded or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// JPEG.
    Jpeg,
    /// PNG, animated or not.
    Png,
    /// GIF; the first frame is used.
    Gif,
    /// WebP; the first frame is used.
    Webp,
    /// Windows bitmap.
    Bmp,
    /// TIFF; the first page is used.
    Tiff,
    /// AVIF; decoded where the feature `avif` is on.
    Avif,
    /// HEIC/HEIF, not decoded.
    Heic,
    /// SVG, not decoded.
    Svg,
    /// Windows icon or cursor, not decoded.
    Ico,
    /// JPEG XL, not decoded.
    Jxl,
    /// JPEG 2000, not decoded.
    Jp2,
    /// JPEG XR, not decoded.
    Jxr,
    /// Photoshop document, not decoded.
    Psd,
    /// Portable bitmap, greymap, pixmap or anymap, not decoded.
    Pnm,
    /// Radiance or OpenEXR high dynamic range, not decoded.
    Hdr,
    /// DirectDraw surface, not decoded.
    Dds,
    /// QOI, not decoded.
    Qoi,
    /// PDF, not decoded; many "image" links lead to one.
    Pdf,
}

impl Format {
    /// The usual name, for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::Webp => "WebP",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Avif => "AVIF",
            Self::Heic => "HEIC",
            Self::Svg => "SVG",
            Self::Ico => "ICO",
            Self::Jxl => "JPEG XL",
            Self::Jp2 => "JPEG 2000",
            Self::Jxr => "JPEG XR",
            Self::Psd => "PSD",
            Self::Pnm => "PNM",
            Self::Hdr => "HDR",
            Self::Dds => "DDS",
            Self::Qoi => "QOI",
            Self::Pdf => "PDF",
        }
    }

    /// Whether this crate decodes it.
    pub fn is_decoded(self) -> bool {
        match self {
            Self::Jpeg | Self::Png | Self::Gif | Self::Webp | Self::Bmp | Self::Tiff => true,
            Self::Avif => cfg!(feature = "avif"),
            _ => false,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names the format from the first bytes, or `None` where they belong to no image. At most 1 KiB is looked at.
pub fn sniff(bytes: &[u8]) -> Option<Format> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    let at = |from: usize, magic: &[u8]| bytes.get(from..from + magic.len()) == Some(magic);
    Some(match bytes.first()? {
        0xFF if starts(b"\xFF\xD8\xFF") => Format::Jpeg,
        0xFF if starts(b"\xFF\x0A") => Format::Jxl,
        0xFF if starts(b"\xFF\x4F\xFF\x51") => Format::Jp2,
        0x89 if starts(b"\x89PNG\r\n\x1A\n") => Format::Png,
        b'G' if starts(b"GIF87a") || starts(b"GIF89a") => Format::Gif,
        b'R' if starts(b"RIFF") && at(8, b"WEBP") => Format::Webp,
        // The reserved words of the file header, or the size of a known info header, guard against prose in "BM".
        b'B' if starts(b"BM")
            && (at(6, &[0; 4]) || matches!(bytes.get(14), Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))) =>
        {
            Format::Bmp
        }
        b'I' if starts(b"II\xBC\x01") => Format::Jxr,
        b'I' if starts(b"II*\0") || starts(b"II+\0") => Format::Tiff,
        b'M' if starts(b"MM\0*") || starts(b"MM\0+") => Format::Tiff,
        0 if at(4, b"ftyp") => return iso_media(bytes),
        0 if starts(b"\0\0\0\x0CJXL \r\n\x87\n") => Format::Jxl,
        0 if starts(b"\0\0\0\x0CjP  \r\n\x87\n") => Format::Jp2,
        0 if (starts(b"\0\0\x01\0") || starts(b"\0\0\x02\0")) && !at(4, &[0, 0]) => Format::Ico,
        b'8' if starts(b"8BPS") => Format::Psd,
        b'#' if starts(b"#?RADIANCE") || starts(b"#?RGBE") => Format::Hdr,
        b'v' if starts(b"v/1\x01") => Format::Hdr,
        b'D' if starts(b"DDS ") => Format::Dds,
        b'q' if starts(b"qoif") => Format::Qoi,
        b'%' if starts(b"%PDF-") => Format::Pdf,
        b'P' if matches!(bytes.get(1), Some(b'1'..=b'7'))
            && bytes.get(2).is_some_and(u8::is_ascii_whitespace) =>
        {
            Format::Pnm
        }
        _ if is_svg(bytes) => Format::Svg,
        _ => return None,
    })
}

/// ISO base media brands: the major one first, then the compatible ones. `mif1` and `msf1` say that there are pictures,
/// not of which coding, so any other brand is asked first.
fn iso_media(bytes: &[u8]) -> Option<Format> {
    let length = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let brands = bytes.get(8..length.clamp(8, 256).min(bytes.len()))?;
    let brands =
        || brands.as_chunks::<4>().0.iter().enumerate().filter(|(i, _)| *i != 1).map(|(_, brand)| brand);
    let coding = brands().find_map(|brand| match brand {
        b"avif" | b"avis" => Some(Format::Avif),
        b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" => Some(Format::Heic),
        b"jp2 " | b"jpx " => Some(Format::Jp2),
        _ => None,
    });
    coding.or_else(|| brands().any(|brand| matches!(brand, b"mif1" | b"msf1")).then_some(Format::Heic))
}

/// An `<svg` root after optional byte order mark, white space, XML declaration, comments and doctype.
fn is_svg(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let head = &bytes[..bytes.len().min(1024)];
    let head = head.trim_ascii_start();
    if !head.starts_with(b"<") {
        return false;
    }
    let lower = head.to_ascii_lowercase();
    let find = |needle: &[u8]| lower.windows(needle.len()).position(|window| window == needle);
    match (find(b"<svg"), find(b"<html").or_else(|| find(b"<!doctype html"))) {
        (Some(svg), Some(html)) => svg < html,
        (Some(_), None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_formats_by_content() {
        let cases: &[(&[u8], Option<Format>)] = &[
            (b"\xFF\xD8\xFF\xE0", Some(Format::Jpeg)),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some(Format::Webp)),
            (b"RIFF\0\0\0\0WAVEfmt ", None),
            (b"\0\0\0\x1Cftypmif1\0\0\0\0avifmif1miaf", Some(Format::Avif)),
            (b"\0\0\0\x1Cftypmif1\0\0\0\0heicmif1miaf", Some(Format::Heic)),
            (b"\0\0\0\x14ftypmif1\0\0\0\0miaf", Some(Format::Heic)),
            (b"\0\0\0\x1Cftypavif\0\0\0\0mif1miafMA1B", Some(Format::Avif)),
            (b"\0\0\0\x18ftypisom\0\0\0\0mp41", None),
            (b"<?xml version='1.0'?>\n<!-- a --><svg xmlns=''>", Some(Format::Svg)),
            (b"<!DOCTYPE html><html><body><svg/></body>", None),
            (b"BMW is a car maker", None),
            (b"", None),
            (b"\xFF", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(sniff(bytes), *expected, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
