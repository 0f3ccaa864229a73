//! Headers without pixels: size, depth, frames, EXIF and ICC of every decoded format, from a bounded walk over its
//! chunks. Everything a limit needs is known before a decoder is called.

use crate::config::Limits;
use crate::error::{PixelError, walled};
use crate::format::{Format, sniff};
use crate::jpeg::Markers;
use crate::tiff::entry::TiffFile;

/// What an image's header promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The format, by content.
    pub format: Format,
    /// Stored width in pixels (before any EXIF orientation), at least 1.
    pub width: u32,
    /// Stored height in pixels, at least 1.
    pub height: u32,
    /// Bits per channel (per palette index where there is a palette).
    pub bit_depth: u8,
    /// Channels stored: 1 grey or palette, 2 grey and alpha, 3 colour, 4 colour and alpha or four inks.
    pub channels: u8,
    /// Frames of an animation or pages of a TIFF, 1 for a still image.
    pub frames: u32,
}

/// [`Header`] and what else the walk met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Details<'a> {
    pub header: Header,
    /// The TIFF structure that holds EXIF tags.
    pub exif: Option<&'a [u8]>,
    pub has_icc: bool,
    pub has_palette: bool,
    pub jpeg: Option<Markers<'a>>,
}

/// Reads the header only.
///
/// # Errors
/// [`PixelError::NotAnImage`], [`PixelError::Unsupported`], [`PixelError::Truncated`] or [`PixelError::Corrupt`].
pub fn probe(bytes: &[u8]) -> Result<Header, PixelError> {
    walled(|| Ok(read(bytes)?.header))
}

impl Limits {
    /// Holds a header against the limits.
    ///
    /// # Errors
    /// [`PixelError::Bomb`] with the first limit it breaks: side, pixels, frames.
    pub fn check(&self, header: &Header) -> Result<(), PixelError> {
        let side = u64::from(header.width.max(header.height));
        let pixels = u64::from(header.width) * u64::from(header.height);
        for (what, value, max) in [
            ("pixels on a side", side, u64::from(self.max_side)),
            ("pixels", pixels, self.max_pixels),
            ("frames", u64::from(header.frames), u64::from(self.max_frames)),
        ] {
            if value > max {
                return Err(PixelError::Bomb { what, value, max });
            }
        }
        Ok(())
    }
}

pub(crate) fn read(bytes: &[u8]) -> Result<Details<'_>, PixelError> {
    let format = sniff(bytes).ok_or(PixelError::NotAnImage)?;
    let details = match format {
        Format::Jpeg => jpeg(bytes),
        Format::Png => png(bytes),
        Format::Gif => gif(bytes),
        Format::Webp => webp(bytes),
        Format::Bmp => bmp(bytes),
        Format::Tiff => tiff(bytes),
        #[cfg(feature = "avif")]
        Format::Avif => crate::avif::details(bytes),
        other => return Err(PixelError::Unsupported(other.as_str().to_owned())),
    }?;
    if details.header.width == 0 || details.header.height == 0 {
        return Err(PixelError::Corrupt(format!("{format}: no width or height")));
    }
    Ok(details)
}

impl Details<'_> {
    fn new(format: Format, (width, height): (u32, u32), bit_depth: u8, channels: u8) -> Self {
        let header = Header { format, width, height, bit_depth, channels, frames: 1 };
        Self { header, exif: None, has_icc: false, has_palette: false, jpeg: None }
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], PixelError> {
    let slice = at.checked_add(N).and_then(|end| bytes.get(at..end)).ok_or(PixelError::Truncated)?;
    slice.try_into().map_err(|_| PixelError::Truncated)
}

fn le16(bytes: &[u8], at: usize) -> Result<u32, PixelError> {
    Ok(u32::from(u16::from_le_bytes(array(bytes, at)?)))
}

fn le24(bytes: &[u8], at: usize) -> Result<u32, PixelError> {
    let [a, b, c] = array(bytes, at)?;
    Ok(u32::from_le_bytes([a, b, c, 0]))
}

fn le32(bytes: &[u8], at: usize) -> Result<u32, PixelError> {
    Ok(u32::from_le_bytes(array(bytes, at)?))
}

fn be32(bytes: &[u8], at: usize) -> Result<u32, PixelError> {
    Ok(u32::from_be_bytes(array(bytes, at)?))
}

fn jpeg(bytes: &[u8]) -> Result<Details<'_>, PixelError> {
    let markers = Markers::read(bytes)?;
    let size = (markers.width, markers.height);
    let mut details = Details::new(Format::Jpeg, size, markers.precision, markers.components);
    details.exif = markers.exif;
    details.has_icc = markers.has_icc;
    details.jpeg = Some(markers);
    Ok(details)
}

/// PNG (W3C, 3rd edition, §5): every chunk, to count the frames; what describes the picture comes before its pixels.
fn png(bytes: &[u8]) -> Result<Details<'_>, PixelError> {
    if array::<4>(bytes, 12)? != *b"IHDR" {
        return Err(PixelError::Corrupt("PNG: the first chunk is not IHDR".to_owned()));
    }
    let [bit_depth, colour] = array(bytes, 24)?;
    let channels = match colour {
        0 | 3 => 1,
        4 => 2,
        2 => 3,
        6 => 4,
        _ => return Err(PixelError::Corrupt(format!("PNG: colour type {colour} does not exist"))),
    };
    let mut details = Details::new(Format::Png, (be32(bytes, 16)?, be32(bytes, 20)?), bit_depth, channels);
    details.has_palette = colour == 3;
    let mut at = 8;
    let (mut is_animation, mut began, mut frames) = (false, false, 0);
    while let (Ok(length), Ok(kind)) = (be32(bytes, at), array::<4>(bytes, at + 4)) {
        let body = at + 8;
        let end = body + length as usize;
        match &kind {
            b"IEND" => break,
            b"IDAT" => began = true,
            // How many frames it says it has is nobody's concern: those that are there count.
            b"acTL" => is_animation |= !began,
            b"fcTL" => frames += 1,
            b"iCCP" if !began => details.has_icc = true,
            b"eXIf" if !began => details.exif = bytes.get(body..end),
            _ => {}
        }
        at = end + 4;
    }
    if is_animation {
        details.header.frames = frames.max(1);
    }
    Ok(details)
}

/// GIF89a: the whole block structure, to count the frames.
fn gif(bytes: &[u8]) -> Result<Details<'_>, PixelError> {
    let size = (le16(bytes, 6)?, le16(bytes, 8)?);
    let [flags] = array(bytes, 10)?;
    let mut details = Details::new(Format::Gif, size, (flags & 7) + 1, 1);
    details.has_palette = true;
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut at = 13 + table(flags);
    let mut frames = 0;
    let skip_blocks = |mut at: usize| {
        while let Some(length) = bytes.get(at).filter(|length| **length > 0) {
            at += 1 + usize::from(*length);
        }
        at + 1
    };
    loop {
        match bytes.get(at) {
            Some(0x2C) => {
                frames += 1;
                let Ok([flags]) = array(bytes, at + 9) else { break };
                at = skip_blocks(at + 10 + table(flags) + 1);
            }
            Some(0x21) => at = skip_blocks(at + 2),
            _ => break,
        }
    }
    details.header.frames = frames.max(1);
    Ok(details)
}

/// WebP container (RFC 9649).
fn webp(bytes: &[u8]) -> Result<Details<'_>, PixelError> {
    let kind: [u8; 4] = array(bytes, 12)?;
    let mut details = match &kind {
        b"VP8X" => {
            let [flags] = array(bytes, 20)?;
            let size = (le24(bytes, 24)? + 1, le24(bytes, 27)? + 1);
            Details::new(Format::Webp, size, 8, if flags & 0x10 == 0 { 3 } else { 4 })
        }
        b"VP8 " => {
            let size = (le16(bytes, 26)? & 0x3FFF, le16(bytes, 28)? & 0x3FFF);
            Details::new(Format::Webp, size, 8, 3)
        }
        b"VP8L" => {
            let packed = le32(bytes, 21)?;
            let size = ((packed & 0x3FFF) + 1, ((packed >> 14) & 0x3FFF) + 1);
            Details::new(Format::Webp, size, 8, if packed & (1 << 28) == 0 { 3 } else { 4 })
        }
        _ => return Err(PixelError::Corrupt("WebP: the first chunk is no image".to_owned())),
    };
    let mut frames = 0;
    let mut at = 12;
    while let (Ok(kind), Ok(length)) = (array::<4>(bytes, at), le32(bytes, at + 4)) {
        let (body, length) = (at + 8, length as usize);
        match &kind {
            b"ANMF" => frames += 1,
            b"ICCP" => details.has_icc = true,
            b"EXIF" => {
                let exif = bytes.get(body..body + length);
                details.exif = exif.map(|exif| exif.strip_prefix(b"Exif\0\0").unwrap_or(exif));
            }
            _ => {}
        }
        at = body + length + (length & 1);
    }
    details.header.frames = frames.max(1);
    Ok(details)
}

fn bmp(bytes: &[u8]) -> Result<Details<'_>, PixelError> {
    let (size, depth) = if le32(bytes, 14)? == 12 {
        ((le16(bytes, 18)?, le16(bytes, 20)?), le16(bytes, 24)?)
    } else {
        // A negative height means rows from the top.
        ((le32(bytes, 18)?, (le32(bytes, 22)? as i32).unsigned_abs()), le16(bytes, 28)?)
    };
    let has_palette = depth <= 8;
    let channels = if has_palette { 1 } else { 3 };
    let mut details = Details::new(Format::Bmp, size, if has_palette { depth as u8 } else { 8 }, channels);
    details.has_palette = has_palette;
    Ok(details)
}

/// TIFF 6.0 and BigTIFF: the first directory's tags, then the chain of pages.
fn tiff(bytes: &[u8]) -> Result<Details<'_>, PixelError> {
    let file = TiffFile::open(bytes)?;
    let mut details = Details::new(Format::Tiff, (0, 0), 1, 1);
    let mut directory = file.first()?;
    let mut pages: u32 = 0;
    let mut visited = std::collections::BTreeSet::new();
    while directory != 0 && visited.insert(directory) {
        // A broken chain of later pages is no reason to refuse the first.
        let entries = match file.entries(directory) {
            Ok(entries) => entries,
            Err(error) if pages == 0 => return Err(error),
            Err(_) => break,
        };
        pages += 1;
        if pages == 1 {
            for entry in file.tags(&entries) {
                let value = file.value(&entry);
                match entry.tag {
                    256 => details.header.width = value? as u32,
                    257 => details.header.height = value? as u32,
                    258 => details.header.bit_depth = value?.min(64) as u8,
                    262 => details.has_palette = value? == 3,
                    277 => details.header.channels = value?.min(255) as u8,
                    34_675 => details.has_icc = true,
                    _ => {}
                }
            }
        }
        directory = entries.next;
    }
    details.header.frames = pages.max(1);
    details.exif = Some(bytes);
    Ok(details)
}
