//! The tags of the first page as one struct, with libtiff's defaults and its leniency where other writers need it.

use super::entry::TiffFile;
use crate::config::Limits;
use crate::error::PixelError;

/// A JPEG file of its own inside the TIFF (TIFF 6.0, section 22).
pub(super) const OLD_JPEG: u64 = 6;
/// Streams that share their tables (Technical Note 2).
pub(super) const JPEG: u64 = 7;

/// Most chunks of a page whose places are read: three times what the smallest tiles of the largest page come to.
const MAX_CHUNKS: usize = 1 << 20;

/// How a sample's bits are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Unsigned,
    Signed,
    Float,
}

/// What one page is, and where its chunks lie.
#[derive(Debug)]
pub(super) struct Directory<'a> {
    pub little: bool,
    pub width: usize,
    pub height: usize,
    pub bits: usize,
    /// Samples of a pixel, colours and extra ones.
    pub samples: usize,
    pub number: Number,
    pub photometric: u64,
    pub compression: u64,
    pub predictor: u64,
    /// Each sample in chunks of its own.
    pub planar: bool,
    /// The low bit of a byte comes first.
    pub reversed: bool,
    /// What the first extra sample is: 1 associated alpha, 2 unassociated alpha, 0 anything else.
    pub extra: Option<u64>,
    /// A strip is as wide as the page.
    pub chunk_width: usize,
    pub chunk_height: usize,
    /// Where each chunk begins.
    pub offsets: Vec<u64>,
    /// Bytes of each chunk; empty where the tag is missing.
    pub counts: Vec<u64>,
    /// Reds, greens, blues.
    pub palette: Vec<u64>,
    /// Luma samples for one of chroma, across and down.
    pub subsampling: (usize, usize),
    /// Weights of red, green and blue in luma.
    pub luma: Option<[f32; 3]>,
    /// Black and white of Y, Cb, Cr.
    pub reference: Option<[f32; 6]>,
    pub fax_options: u64,
    pub jpeg_tables: &'a [u8],
    /// Place and length of the old style's JPEG file.
    pub old_jpeg: Option<(u64, Option<u64>)>,
}

impl<'a> Directory<'a> {
    /// Reads the first directory.
    pub fn read(bytes: &'a [u8]) -> Result<Self, PixelError> {
        let file = TiffFile::open(bytes)?;
        let entries = file.entries(file.first()?)?;
        let mut page = Self {
            little: file.little,
            width: 0,
            height: 0,
            bits: 1,
            samples: 0,
            number: Number::Unsigned,
            photometric: 0,
            compression: 1,
            predictor: 1,
            planar: false,
            reversed: false,
            extra: None,
            chunk_width: 0,
            chunk_height: usize::MAX,
            offsets: Vec::new(),
            counts: Vec::new(),
            palette: Vec::new(),
            subsampling: (2, 2),
            luma: None,
            reference: None,
            fax_options: 0,
            jpeg_tables: &[],
            old_jpeg: None,
        };
        let (mut places, mut lengths, mut all_bits, mut kinds) = (None, None, vec![1], vec![1]);
        for entry in file.tags(&entries) {
            let value = file.value(&entry);
            let number = || value.clone().map(|value| usize::try_from(value).unwrap_or(usize::MAX));
            match entry.tag {
                256 => page.width = number()?,
                257 => page.height = number()?,
                258 => all_bits = file.values(&entry, 16),
                259 => page.compression = value?,
                262 => page.photometric = value?,
                266 => page.reversed = value? == 2,
                273 | 324 => places = Some(entry),
                277 => page.samples = number()?,
                278 => page.chunk_height = number()?,
                279 | 325 => lengths = Some(entry),
                284 => page.planar = value? == 2,
                292 | 293 => page.fax_options = value?,
                317 => page.predictor = value?,
                320 => page.palette = file.values(&entry, 3 << 8),
                322 => page.chunk_width = number()?,
                323 => page.chunk_height = number()?,
                338 => page.extra = value.ok(),
                339 => kinds = file.values(&entry, 16),
                347 => page.jpeg_tables = file.raw(&entry),
                513 => page.old_jpeg = Some((value?, page.old_jpeg.and_then(|(_, length)| length))),
                514 => page.old_jpeg = page.old_jpeg.map(|(at, _)| (at, value.ok())),
                529 => page.luma = file.fractions(&entry),
                530 => {
                    if let [across, down] = file.values(&entry, 2)[..] {
                        page.subsampling = (across as usize, down as usize);
                    }
                }
                532 => page.reference = file.fractions(&entry),
                _ => {}
            }
        }
        page.bits = all_bits.first().map_or(1, |bits| *bits as usize);
        if page.samples == 0 {
            page.samples = all_bits.len().max(1);
        }
        // Further numbers than samples are a writer's mistake that libtiff passes over.
        if all_bits.iter().take(page.samples).any(|bits| *bits as usize != page.bits) {
            return Err(PixelError::Unsupported("TIFF (samples of different depth)".to_owned()));
        }
        page.number = match kinds.first() {
            Some(2) => Number::Signed,
            Some(3) => Number::Float,
            _ => Number::Unsigned,
        };
        if page.chunk_width == 0 {
            page.chunk_width = page.width;
            page.chunk_height = page.chunk_height.clamp(1, page.height.max(1));
        }
        if page.width == 0 || page.height == 0 || page.chunk_height == 0 || page.chunk_height == usize::MAX {
            return Err(PixelError::Corrupt("TIFF: no width or height".to_owned()));
        }
        if !matches!(page.subsampling, (1 | 2 | 4, 1 | 2 | 4)) {
            return Err(PixelError::Corrupt(
                "TIFF: chroma that is neither whole, half nor a quarter".to_owned(),
            ));
        }
        let most = page.chunks_in_plane().saturating_mul(if page.planar { page.samples } else { 1 });
        let most = most.min(MAX_CHUNKS);
        page.offsets = places.map_or(Vec::new(), |entry| file.values(&entry, most));
        page.counts = lengths.map_or(Vec::new(), |entry| file.values(&entry, most));
        Ok(page)
    }

    /// Holds what the tags promise against the limits: tiles larger than the page and samples without number count.
    pub fn check(&self, limits: &Limits) -> Result<(), PixelError> {
        let across = self.chunk_width.saturating_mul(self.chunks_across()) as u64;
        let down = self.chunk_height.saturating_mul(self.chunks_down()) as u64;
        let pixels = across.saturating_mul(down);
        let bits = pixels.saturating_mul((self.samples as u64).saturating_mul(self.bits.max(8) as u64));
        for (what, value, max) in [
            ("pixels", pixels, limits.max_pixels.saturating_mul(2)),
            ("bytes of memory", bits / 8, limits.max_decode_bytes),
        ] {
            // A page within the limits may have tiles that reach beyond it, a tile at most on each side.
            if value > max {
                return Err(PixelError::Bomb { what, value, max });
            }
        }
        Ok(())
    }

    pub fn chunks_across(&self) -> usize {
        self.width.div_ceil(self.chunk_width)
    }

    pub fn chunks_down(&self) -> usize {
        self.height.div_ceil(self.chunk_height)
    }

    pub fn chunks_in_plane(&self) -> usize {
        self.chunks_across().saturating_mul(self.chunks_down())
    }

    /// Left and top of each chunk of a plane, in order.
    pub fn chunk_places(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (across, width, height) = (self.chunks_across(), self.chunk_width, self.chunk_height);
        (0..self.chunks_in_plane()).map(move |index| (index % across * width, index / across * height))
    }

    /// Bytes of a row of a chunk with so many samples a pixel.
    pub fn row_bytes(&self, samples: usize) -> usize {
        (self.chunk_width * samples * self.bits).div_ceil(8)
    }

    /// Whether chroma is stored coarser than luma. JPEG sees to that itself.
    pub fn is_subsampled(&self) -> bool {
        self.photometric == 6 && self.compression != JPEG && self.subsampling != (1, 1)
    }
}
