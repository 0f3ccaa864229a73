//! The fax codecs (ITU-T T.4 and T.6): rows of runs, one after the other or as changes against the row above. A row
//! comes out as bits, 1 for black.

use std::borrow::Cow;

use fax::maps::{Mode, black, mode, white};
use fax::{BitReader, Bits};

use super::directory::Directory;
use crate::error::PixelError;

/// One open chunk of fax data.
pub(super) struct Fax<'a> {
    bits: FaxBits<'a>,
    kind: Kind,
    width: usize,
    /// Where the colour changes in the row above: to black, to white and so on, strictly growing.
    above: Vec<usize>,
    row: Vec<usize>,
    /// The data says that it ends; what is left of the page is white.
    ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Compression 2: rows of runs, each from a whole byte on.
    Aligned,
    /// Compression 3: rows of runs after end-of-line codes; `true` where rows may refer to the row above.
    Group3(bool),
    /// Compression 4: every row refers to the row above.
    Group4,
}

impl<'a> Fax<'a> {
    pub fn new(data: Cow<'a, [u8]>, page: &Directory<'_>) -> Result<Self, PixelError> {
        if page.bits != 1 || page.samples != 1 {
            return Err(PixelError::Corrupt("TIFF: fax data that is not one bit a pixel".to_owned()));
        }
        let kind = match page.compression {
            2 => Kind::Aligned,
            3 => Kind::Group3(page.fax_options & 1 == 1),
            _ => Kind::Group4,
        };
        if page.fax_options & 2 != 0 {
            return Err(PixelError::Unsupported("TIFF (uncompressed mode of fax)".to_owned()));
        }
        let bits = FaxBits { data, at: 0 };
        Ok(Self { bits, kind, width: page.chunk_width, above: Vec::new(), row: Vec::new(), ended: false })
    }

    /// The next row, bit by bit into `out`.
    pub fn row(&mut self, out: &mut [u8]) -> Result<(), PixelError> {
        out.fill(0);
        self.row.clear();
        if !self.ended {
            match self.kind {
                Kind::Aligned => {
                    self.bits.align();
                    self.runs()?;
                }
                Kind::Group3(refers) => {
                    let marked = self.bits.skip_end_of_line();
                    if refers && marked && self.bits.take(1) == 0 {
                        self.changes()?;
                    } else {
                        self.runs()?;
                    }
                }
                Kind::Group4 => self.changes()?,
            }
        }
        for pair in self.row.chunks(2) {
            let end = pair.get(1).copied().unwrap_or(self.width).min(self.width);
            for x in pair[0].min(end)..end {
                out[x / 8] |= 0x80 >> (x % 8);
            }
        }
        std::mem::swap(&mut self.row, &mut self.above);
        Ok(())
    }

    /// A row of white and black runs in turn.
    fn runs(&mut self) -> Result<(), PixelError> {
        let (mut at, mut is_black) = (0, false);
        while at < self.width {
            at = (at + self.run(is_black)?).min(self.width);
            self.change(at);
            is_black = !is_black;
        }
        Ok(())
    }

    /// A row of changes against the row above.
    fn changes(&mut self) -> Result<(), PixelError> {
        let (mut at, mut is_black, mut cursor) = (None, false, 0);
        while at.unwrap_or(0) < self.width {
            let first = self.change_above(at, is_black, &mut cursor);
            let ends = self.bits.peek(12) == Some(1);
            match mode::decode(&mut self.bits) {
                Some(Mode::Pass) => {
                    at = Some(self.above.get(first + 1).copied().unwrap_or(self.width));
                }
                Some(Mode::Vertical(shift)) => {
                    let above = self.above.get(first).copied().unwrap_or(self.width);
                    let to = above.checked_add_signed(isize::from(shift));
                    let to = to.filter(|to| *to >= at.unwrap_or(0)).ok_or_else(damaged)?.min(self.width);
                    self.change(to);
                    at = Some(to);
                    is_black = !is_black;
                }
                Some(Mode::Horizontal) => {
                    let mut to = at.unwrap_or(0);
                    for colour in [is_black, !is_black] {
                        to = (to + self.run(colour)?).min(self.width);
                        self.change(to);
                    }
                    at = Some(to);
                }
                Some(Mode::EOF) if ends && !self.bits.is_spent() => {
                    self.ended = true;
                    return Ok(());
                }
                _ => return Err(self.damage()),
            }
            if self.bits.is_spent() {
                return Err(PixelError::Truncated);
            }
        }
        Ok(())
    }

    /// The index of the first change above that lies after `at` and ends the present colour.
    fn change_above(&self, at: Option<usize>, is_black: bool, cursor: &mut usize) -> usize {
        let after = |index: usize| self.above.get(index).is_some_and(|x| at.is_none_or(|at| *x > at));
        while *cursor > 0 && after(*cursor - 1) {
            *cursor -= 1;
        }
        while *cursor < self.above.len() && !after(*cursor) {
            *cursor += 1;
        }
        *cursor + usize::from((*cursor % 2 == 1) != is_black)
    }

    /// A change at `x`; a second one at the same place takes the first one back.
    fn change(&mut self, x: usize) {
        if self.row.last() == Some(&x) {
            self.row.pop();
        } else {
            self.row.push(x);
        }
    }

    /// One run: codes for multiples of 64, then one below 64.
    fn run(&mut self, is_black: bool) -> Result<usize, PixelError> {
        let mut total = 0_usize;
        loop {
            let code = if is_black { black::decode(&mut self.bits) } else { white::decode(&mut self.bits) };
            let code = usize::from(code.ok_or_else(|| self.damage())?);
            total = (total + code).min(self.width);
            if code < 64 {
                return if self.bits.is_spent() { Err(PixelError::Truncated) } else { Ok(total) };
            }
        }
    }

    fn damage(&self) -> PixelError {
        if self.bits.is_spent() { PixelError::Truncated } else { damaged() }
    }
}

fn damaged() -> PixelError {
    PixelError::Corrupt("TIFF: damaged fax data".to_owned())
}

/// Bits from the high end of each byte; zeros after the last.
struct FaxBits<'a> {
    data: Cow<'a, [u8]>,
    /// In bits.
    at: usize,
}

impl FaxBits<'_> {
    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    fn take(&mut self, bits: u8) -> u16 {
        let value = self.peek(bits).unwrap_or(0);
        self.at += usize::from(bits);
        value
    }

    /// Whether more bits were taken than there are.
    fn is_spent(&self) -> bool {
        self.at > self.data.len() * 8
    }

    /// Passes over one end-of-line code, eleven zeros or more and a one, where there is one.
    fn skip_end_of_line(&mut self) -> bool {
        let found = self.peek(11) == Some(0);
        while found && !self.is_spent() {
            if self.take(1) == 1 {
                break;
            }
        }
        found
    }
}

impl BitReader for FaxBits<'_> {
    type Error = std::convert::Infallible;

    fn peek(&self, bits: u8) -> Option<u16> {
        let byte = |index: usize| u32::from(self.data.get(self.at / 8 + index).copied().unwrap_or(0));
        let window = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        let shift = 24_u32.checked_sub((self.at % 8) as u32 + u32::from(bits))?;
        Some(((window >> shift) & ((1 << bits) - 1)) as u16)
    }

    fn consume(&mut self, bits: u8) -> Result<(), Self::Error> {
        self.at += usize::from(bits);
        Ok(())
    }

    fn expect(&mut self, bits: Bits) -> Result<(), Option<Bits>> {
        match self.peek(bits.len) {
            Some(data) if data == bits.data => Ok(()),
            found => Err(found.map(|data| Bits { data, len: bits.len })),
        }
    }

    fn bits_to_byte_boundary(&self) -> u8 {
        (8 - self.at % 8) as u8 % 8
    }
}
