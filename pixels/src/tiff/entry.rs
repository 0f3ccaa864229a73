//! Numbers of a TIFF file: byte order, classic or BigTIFF, directories and their entries. Nothing is believed that the
//! file does not hold.

use crate::error::PixelError;

/// A TIFF file to read numbers from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TiffFile<'a> {
    pub bytes: &'a [u8],
    pub little: bool,
    big: bool,
}

/// One tag of a directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub tag: u16,
    /// Bytes of one number.
    width: usize,
    /// How many numbers it says it has.
    pub count: u64,
    /// Where they begin.
    pub at: usize,
}

/// One page's tags and the place of the next page.
pub(crate) struct Entries {
    at: usize,
    count: usize,
    /// 0 after the last page.
    pub next: u64,
}

impl<'a> TiffFile<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<Self, PixelError> {
        let mut file = Self { bytes, little: bytes.starts_with(b"II"), big: false };
        file.big = file.number(2, 2)? == 43;
        Ok(file)
    }

    /// A number of `width` bytes, at most eight.
    pub fn number(&self, at: usize, width: usize) -> Result<u64, PixelError> {
        let end = at.checked_add(width).ok_or(PixelError::Truncated)?;
        let raw = self.bytes.get(at..end).ok_or(PixelError::Truncated)?;
        let fold = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        Ok(if self.little { raw.iter().rev().fold(0, fold) } else { raw.iter().fold(0, fold) })
    }

    /// Bytes of an offset.
    fn word(&self) -> usize {
        if self.big { 8 } else { 4 }
    }

    /// Where the first directory lies.
    pub fn first(&self) -> Result<u64, PixelError> {
        self.number(self.word(), self.word())
    }

    /// The directory at `at`.
    pub fn entries(&self, at: u64) -> Result<Entries, PixelError> {
        let at = usize::try_from(at).map_err(|_| PixelError::Truncated)?;
        let (count_width, entry) = if self.big { (8, 20) } else { (2, 12) };
        let count = self.number(at, count_width)?.min(65_535) as usize;
        let first = at + count_width;
        let next = self.number(first + count * entry, self.word()).unwrap_or(0);
        Ok(Entries { at: first, count, next })
    }

    /// Every tag of a directory whose place is in the file.
    pub fn tags(&self, entries: &Entries) -> impl Iterator<Item = Entry> {
        let (size, file, first) = (if self.big { 20 } else { 12 }, *self, entries.at);
        (0..entries.count).map_while(move |index| file.entry(first + index * size).ok())
    }

    fn entry(&self, at: usize) -> Result<Entry, PixelError> {
        let word = self.word();
        let width = match self.number(at + 2, 2)? {
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16..=18 => 8,
            _ => 1,
        };
        let count = self.number(at + 4, word)?;
        let inline = at + 4 + word;
        let is_inline = count.checked_mul(width as u64).is_some_and(|bytes| bytes <= word as u64);
        let place = if is_inline { inline as u64 } else { self.number(inline, word)? };
        let at_value = usize::try_from(place).unwrap_or(usize::MAX);
        Ok(Entry { tag: self.number(at, 2)? as u16, width, count, at: at_value })
    }

    /// The first number of a tag.
    pub fn value(&self, entry: &Entry) -> Result<u64, PixelError> {
        self.number(entry.at, entry.width)
    }

    /// At most `most` numbers of a tag, as many as the file holds.
    pub fn values(&self, entry: &Entry, most: usize) -> Vec<u64> {
        let count = usize::try_from(entry.count).unwrap_or(usize::MAX).min(most);
        let number = |index: usize| {
            self.number(entry.at.checked_add(index.checked_mul(entry.width)?)?, entry.width).ok()
        };
        (0..count).map_while(number).collect()
    }

    /// The bytes of a tag, as many as the file holds.
    pub fn raw(&self, entry: &Entry) -> &'a [u8] {
        let count = usize::try_from(entry.count).unwrap_or(usize::MAX).saturating_mul(entry.width);
        let rest = self.bytes.get(entry.at..).unwrap_or_default();
        &rest[..count.min(rest.len())]
    }

    /// The fractions of a tag (types 5 and 10), `None` where a divisor is 0.
    pub fn fractions<const N: usize>(&self, entry: &Entry) -> Option<[f32; N]> {
        let mut numbers = [0.0; N];
        for (index, number) in numbers.iter_mut().enumerate() {
            let at = entry.at.checked_add(index * 8)?;
            let (over, under) = (self.number(at, 4).ok()?, self.number(at + 4, 4).ok()?);
            *number = (under != 0).then(|| over as f32 / under as f32)?;
        }
        Some(numbers)
    }
}
