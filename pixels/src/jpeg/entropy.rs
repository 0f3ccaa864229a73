//! Huffman decoding of a baseline scan, for [`super::coefficients`]: one table lookup yields run, length and, in nearly
//! all cases, the value of a coefficient. libjpeg-turbo decodes code and value one after the other.
//!
//! Anything irregular is only reported as such: libjpeg-turbo then decodes the picture and names what is wrong.

/// Bits of a lookup; 16 KiB a table, of which a picture uses a part.
const LOOK_BITS: u32 = 12;
/// Symbols that the bits of one refill suffice for: all but the last of at most [`LOOK_BITS`].
const SYMBOLS_PER_REFILL: usize = 3;
/// In [`HuffmanTable::look`]: the entry holds no value.
const PARTIAL: u32 = 0x40;
/// The step that stands for "no more coefficients"; it leads out of any block.
const END_OF_BLOCK: u32 = 64;
/// The step that stands for a code that is not in the table.
const NO_CODE: u32 = 127;

/// What the codes of a table stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Dc,
    Ac,
}

/// One Huffman table (ITU-T T.81, annex C and F.2.2), ready to decode.
#[derive(Debug, Clone)]
pub(super) struct HuffmanTable {
    /// By the next [`LOOK_BITS`] bits: value in bits 16–31, step in 8–15, bits consumed in 0–5. With [`PARTIAL`] the
    /// value is still in the stream: its size in bits is in 16–31, and the length of the code in 0–5, 0 if too long.
    look: Box<[u32; 1 << LOOK_BITS]>,
    kind: Kind,
    /// By code length: the first 16-bit string that is beyond all codes of up to that length.
    beyond: [u32; 17],
    /// By code length: what to add to a code of that length for its place in `symbols`.
    offset: [i32; 17],
    symbols: Vec<u8>,
}

impl HuffmanTable {
    /// From the counts of codes by length (1–16) and their symbols in order. `None` for a table that no baseline
    /// encoder writes.
    pub fn new(kind: Kind, counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let regular = |symbol: u8| match kind {
            Kind::Dc => symbol < 16,
            // A run without a value is either 16 zeros or the end of the block.
            Kind::Ac => symbol & 15 != 0 || symbol == 0x00 || symbol == 0xF0,
        };
        if !symbols.iter().all(|symbol| regular(*symbol)) {
            return None;
        }
        let mut table = Self {
            look: Box::new([PARTIAL; 1 << LOOK_BITS]),
            kind,
            beyond: [0; 17],
            offset: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut first) = (0_u32, 0_usize);
        for length in 1..=16_u32 {
            let count = usize::from(counts[length as usize - 1]);
            table.offset[length as usize] = first as i32 - code as i32;
            for symbol in symbols.get(first..first + count)? {
                if length <= LOOK_BITS {
                    table.enter(code, length, *symbol)?;
                }
                code += 1;
            }
            first += count;
            table.beyond[length as usize] = code << (16 - length);
            if code > 1 << length {
                return None;
            }
            code <<= 1;
        }
        Some(table)
    }

    /// Fills all entries that begin with `code`.
    fn enter(&mut self, code: u32, length: u32, symbol: u8) -> Option<()> {
        let (step, size) = split(self.kind, symbol);
        let rest = LOOK_BITS - length;
        let from = (code << rest) as usize;
        let entries = self.look.get_mut(from..from + (1 << rest))?;
        for (bits, entry) in entries.iter_mut().enumerate() {
            *entry = if size <= rest {
                let value = extend(bits as u32 >> (rest - size), size);
                ((value as u32) << 16) | (step << 8) | (length + size)
            } else {
                (size << 16) | (step << 8) | PARTIAL | length
            };
        }
        Some(())
    }

    /// A symbol that the lookup did not settle: (step, value, bits consumed).
    #[cold]
    fn settle(&self, entry: u32, bits: u64) -> (u32, i32, u32) {
        let (step, size, length) = match entry & 63 {
            0 => {
                let next = (bits >> 48) as u32;
                let found =
                    (LOOK_BITS + 1..=16).find(|l| next < self.beyond[*l as usize]).and_then(|length| {
                        let place = (next >> (16 - length)) as i32 + self.offset[length as usize];
                        Some((length, split(self.kind, *self.symbols.get(place as usize)?)))
                    });
                let Some((length, (step, size))) = found else { return (NO_CODE, 0, 0) };
                (step, size, length)
            }
            length => ((entry >> 8) & 255, entry >> 16, length),
        };
        let value = if size == 0 { 0 } else { extend(((bits << length) >> (64 - size)) as u32, size) };
        (step, value, length + size)
    }
}

/// How far a symbol steps in the block, its own place included, and the size of its value in bits.
fn split(kind: Kind, symbol: u8) -> (u32, u32) {
    match (kind, symbol) {
        (Kind::Dc, size) => (1, u32::from(size)),
        (Kind::Ac, 0) => (END_OF_BLOCK, 0),
        (Kind::Ac, symbol) => (u32::from(symbol >> 4) + 1, u32::from(symbol & 15)),
    }
}

/// The value that `size` bits stand for (T.81, table F.1): the lower half of the range is negative.
fn extend(bits: u32, size: u32) -> i32 {
    if size == 0 {
        return 0;
    }
    let bits = bits as i32;
    if bits < 1 << (size - 1) { bits - (1 << size) + 1 } else { bits }
}

/// Reads the bits of one restart interval, whose stuffed zero bytes are out already. Beyond its end there are zeros,
/// and [`Self::is_within`] is false.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits from the top; at least `held` of them are valid.
    bits: u64,
    held: u32,
}

impl<'a> BitReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, bits: 0, held: 0 }
    }

    /// Tops up to at least 56 bits; a symbol with its value takes at most 31.
    #[inline(always)]
    fn refill(&mut self) {
        let word = match self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(word) => u64::from_be_bytes(*word),
            None => self.last_word(),
        };
        self.bits |= word >> self.held;
        self.at += ((63 - self.held) >> 3) as usize;
        self.held |= 56;
    }

    #[cold]
    fn last_word(&self) -> u64 {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        u64::from_be_bytes(word)
    }

    /// Step and value of the next symbol. Takes at most [`LOOK_BITS`], or refills.
    #[inline(always)]
    fn symbol(&mut self, table: &HuffmanTable) -> (u32, i32) {
        let entry = table.look[(self.bits >> (64 - LOOK_BITS)) as usize];
        if entry & PARTIAL == 0 {
            self.bits <<= entry & 63;
            self.held -= entry & 63;
            ((entry >> 8) & 255, entry as i32 >> 16)
        } else {
            let (step, value, length) = table.settle(entry, self.bits);
            self.bits <<= length;
            self.held -= length;
            self.refill();
            (step, value)
        }
    }

    /// Decodes one block: hands zigzag place and quantised value of its coefficients to `each`, DC first, in order; a
    /// value may be 0. False for bits that are no block.
    #[inline(always)]
    pub fn block(
        &mut self,
        dc: &HuffmanTable,
        ac: &HuffmanTable,
        predicted: &mut i32,
        mut each: impl FnMut(usize, i32),
    ) -> bool {
        self.refill();
        let (step, difference) = self.symbol(dc);
        if step != 1 {
            return false;
        }
        *predicted = predicted.wrapping_add(difference);
        each(0, *predicted);
        let mut next = 1_u32;
        loop {
            // A refill waits for the length of the symbol before it, so it is made as rarely as can be.
            self.refill();
            for _ in 0..SYMBOLS_PER_REFILL {
                let (step, value) = self.symbol(ac);
                next += step;
                if next > 63 {
                    let is_last = next == 64;
                    if is_last {
                        each(63, value);
                    }
                    return is_last || step == END_OF_BLOCK;
                }
                each(next as usize - 1, value);
            }
        }
    }

    /// Whether no bit beyond the end was used.
    pub fn is_within(&self) -> bool {
        self.at * 8 <= self.bytes.len() * 8 + self.held as usize
    }
}
