//! Lists and JPEG strips of the first page of a TIFF. The decoder holds 32 bytes for each number of a list, and its JPEG
//! decoder fills up with grey what is missing of a strip, at whatever size the strip names.

use crate::config::Limits;
use crate::error::PixelError;
use crate::jpeg;

/// Most numbers in a list that the decoder reads. A strip for each row of the tallest picture, in four planes, has fewer.
const MAX_VALUES: u64 = 1 << 18;
const JPEG_COMPRESSION: u64 = 7;

/// Numbers in the byte order of the file, in its entries' width.
struct Source<'a> {
    bytes: &'a [u8],
    little: bool,
    /// Bytes of an offset: 4, or 8 in a BigTIFF.
    word: usize,
}

/// A list of numbers somewhere in the file.
#[derive(Clone, Copy, Default)]
struct List {
    at: usize,
    width: usize,
    count: u64,
}

impl<'a> Source<'a> {
    fn number(&self, at: usize, width: usize) -> Option<u64> {
        let raw = self.bytes.get(at..at.checked_add(width)?)?;
        let fold = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        Some(if self.little { raw.iter().rev().fold(0, fold) } else { raw.iter().fold(0, fold) })
    }

    fn place(&self, at: usize) -> Option<usize> {
        usize::try_from(self.number(at, self.word)?).ok()
    }

    /// The values of an entry.
    fn list(&self, entry: usize) -> Option<List> {
        let width = match self.number(entry + 2, 2)? {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            _ => 8,
        };
        let count = self.number(entry + 4, self.word)?;
        let value = entry + 4 + self.word;
        let is_inline = count.saturating_mul(width as u64) <= self.word as u64;
        Some(List { at: if is_inline { value } else { self.place(value)? }, width, count })
    }

    fn value(&self, list: List, index: u64) -> Option<usize> {
        let index = usize::try_from(index).ok().filter(|_| index < list.count)?;
        usize::try_from(self.number(list.at.checked_add(index.checked_mul(list.width)?)?, list.width)?).ok()
    }

    fn slice(&self, at: usize, length: usize) -> &'a [u8] {
        let rest = self.bytes.get(at..).unwrap_or(&[]);
        rest.get(..length).unwrap_or(rest)
    }
}

pub(super) fn check(bytes: &[u8], limits: &Limits) -> Result<(), PixelError> {
    let mut source = Source { bytes, little: bytes.starts_with(b"II"), word: 4 };
    if source.number(2, 2) == Some(43) {
        source.word = 8;
    }
    let (count_width, entry_width) = if source.word == 8 { (8, 20) } else { (2, 12) };
    let Some(directory) = source.place(source.word) else { return Ok(()) };
    let entries = source.number(directory, count_width).unwrap_or(0).min(65_535) as usize;
    let first = directory.saturating_add(count_width);
    let (mut compression, mut offsets, mut lengths, mut tables) = (None, None, None, None);
    for at in (0..entries).map_while(|n| first.checked_add(n * entry_width)) {
        let (Some(tag), Some(list)) = (source.number(at, 2), source.list(at)) else { continue };
        match tag {
            259 => compression = source.value(list, 0),
            273 | 324 => offsets = Some(list),
            279 | 325 => lengths = Some(list),
            347 => tables = Some(list),
            258 | 320 | 338 | 339 => {}
            _ => continue,
        }
        if list.count > MAX_VALUES {
            return Err(PixelError::Bomb { what: "values of a tag", value: list.count, max: MAX_VALUES });
        }
    }
    match (compression, offsets, lengths) {
        (Some(compression), Some(offsets), Some(lengths)) if compression as u64 == JPEG_COMPRESSION => {
            check_strips(&source, (offsets, lengths), tables, limits)
        }
        _ => Ok(()),
    }
}

/// Each strip is a JPEG, whose tables may stand in a tag of their own.
fn check_strips(
    source: &Source<'_>,
    (offsets, lengths): (List, List),
    tables: Option<List>,
    limits: &Limits,
) -> Result<(), PixelError> {
    let tables = tables.map_or(&[][..], |list| source.slice(list.at, list.count as usize));
    let tables = tables.strip_suffix(&[0xFF, 0xD9]).unwrap_or(tables);
    let mut pixels = 0;
    for index in 0..offsets.count.min(lengths.count) {
        let (Some(at), Some(length)) = (source.value(offsets, index), source.value(lengths, index)) else {
            return Err(PixelError::Truncated);
        };
        let strip = source.slice(at, length);
        let whole: Vec<u8>;
        let strip = match tables.is_empty() {
            true => strip,
            false => {
                whole = [tables, strip.get(2..).unwrap_or(&[])].concat();
                &whole
            }
        };
        pixels += jpeg::pixels(strip);
        // Strips are filled up to whole units, so that there may be some more than the picture has.
        let max = limits.max_pixels.saturating_mul(2);
        if pixels > max {
            return Err(PixelError::Bomb { what: "pixels", value: pixels, max });
        }
        jpeg::check_blocks(strip)?;
    }
    Ok(())
}
