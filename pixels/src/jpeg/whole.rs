//! Whether the entropy-coded data of a JPEG holds every block of every scan. libjpeg says so itself, but of its warnings
//! only the first is heard: where that one is harmless (bytes too many before a marker), the data is gone through here.
//! Nothing is kept but which coefficients of a progressive picture are not zero, since that decides how many bits a
//! refinement takes.

use super::segments::{Frame, ScanHeader, Segment, Segments};

/// What became of the blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocks {
    Whole,
    /// The data of a scan ends before its last block.
    Truncated,
    /// The data is not what the headers say, or of a kind that is not looked into. Holds what is wrong.
    Damaged(&'static str),
}

use Blocks::{Damaged, Truncated};

/// Codes of one Huffman table by length (ITU-T T.81, annex C).
#[derive(Debug, Clone)]
struct Codes {
    /// First code of each length, and the place of its symbol.
    first: [(i32, usize); 17],
    counts: [u8; 16],
    symbols: Vec<u8>,
}

impl Codes {
    fn new(counts: &[u8; 16], symbols: &[u8]) -> Self {
        let mut first = [(0, 0); 17];
        let (mut code, mut place) = (0_i32, 0_usize);
        for length in 1..=16 {
            first[length] = (code, place);
            code = (code + i32::from(counts[length - 1])) << 1;
            place += usize::from(counts[length - 1]);
        }
        Self { first, counts: *counts, symbols: symbols.to_vec() }
    }
}

/// Bits of one restart interval; stuffed zeros are passed over, and a marker is the end.
#[derive(Debug)]
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    byte: u8,
    left: u32,
}

impl Bits<'_> {
    fn bit(&mut self) -> Result<u32, Blocks> {
        if self.left == 0 {
            let byte = *self.data.get(self.at).ok_or(Truncated)?;
            let mut next = self.at + 1;
            if byte == 0xFF {
                next += self.data[next..].iter().take_while(|byte| **byte == 0xFF).count();
                if self.data.get(next) != Some(&0) {
                    return Err(Truncated);
                }
                next += 1;
            }
            (self.at, self.byte, self.left) = (next, byte, 8);
        }
        self.left -= 1;
        Ok(u32::from(self.byte >> self.left) & 1)
    }

    fn bits(&mut self, count: u32) -> Result<u32, Blocks> {
        (0..count).try_fold(0, |bits, _| Ok(bits << 1 | self.bit()?))
    }

    fn symbol(&mut self, codes: &Codes) -> Result<u8, Blocks> {
        let mut code = 0;
        for length in 1..=16 {
            code = code << 1 | self.bit()? as i32;
            let (first, place) = codes.first[length];
            if code - first < i32::from(codes.counts[length - 1]) {
                let symbol = codes.symbols.get(place + (code - first).max(0) as usize);
                return symbol.copied().ok_or(Damaged("a Huffman code without a symbol"));
            }
        }
        Err(Damaged("a Huffman code that does not exist"))
    }

    /// Goes on behind the next marker, which must be this restart.
    fn restart(&mut self, number: u8) -> Result<(), Blocks> {
        self.left = 0;
        loop {
            self.at += memchr::memchr(0xFF, self.data.get(self.at..).ok_or(Truncated)?).ok_or(Truncated)?;
            self.at += self.data[self.at..].iter().take_while(|byte| **byte == 0xFF).count();
            let code = *self.data.get(self.at).ok_or(Truncated)?;
            self.at += 1;
            match code {
                0 => continue,
                code if code == 0xD0 + number % 8 => return Ok(()),
                _ => return Err(Damaged("restart markers out of order")),
            }
        }
    }
}

/// One component, and which of its coefficients are not zero, by block.
#[derive(Debug)]
struct Plane {
    across: usize,
    down: usize,
    /// Blocks that hold picture.
    columns: usize,
    rows: usize,
    /// Blocks in a row, filled up to whole units.
    stride: usize,
    set: Vec<u64>,
}

#[derive(Debug, Default)]
struct Walk {
    is_progressive: bool,
    frame: Option<Frame>,
    planes: Vec<Plane>,
    /// Units of an interleaved scan, across and down.
    units: (usize, usize),
    dc: [Option<Codes>; 4],
    ac: [Option<Codes>; 4],
    restart_interval: usize,
}

/// Goes through all scans of a file that begins with a start marker.
pub(super) fn blocks(bytes: &[u8]) -> Blocks {
    let mut walk = Walk::default();
    for segment in Segments::new(bytes) {
        let step = match segment {
            Segment::Header(0xC4, body) => walk.tables(body),
            Segment::Header(0xDD, [high, low, ..]) => {
                walk.restart_interval = usize::from(u16::from_be_bytes([*high, *low]));
                Ok(())
            }
            Segment::Header(code, body) if walk.planes.is_empty() => match Frame::read(code, body) {
                Some(frame) => walk.frame(frame),
                None => Ok(()),
            },
            Segment::Header(..) => Ok(()),
            Segment::Scan(header, data) => walk.scan(header, data),
            Segment::End => break,
        };
        if let Err(verdict) = step {
            return verdict;
        }
    }
    if walk.planes.is_empty() { Damaged("no frame header") } else { Blocks::Whole }
}

impl Walk {
    fn frame(&mut self, frame: Frame) -> Result<(), Blocks> {
        if !matches!(frame.code, 0xC0..=0xC2) {
            return Err(Damaged("an odd header before arithmetic or lossless coding"));
        }
        self.is_progressive = frame.is_progressive();
        let (across, down) = frame.most();
        self.units = (frame.width.div_ceil(8 * across), frame.height.div_ceil(8 * down));
        for component in &frame.components {
            let stride = self.units.0 * component.across;
            let held = if self.is_progressive { stride * self.units.1 * component.down } else { 0 };
            self.planes.push(Plane {
                across: component.across,
                down: component.down,
                columns: (frame.width * component.across).div_ceil(across).div_ceil(8),
                rows: (frame.height * component.down).div_ceil(down).div_ceil(8),
                stride,
                set: vec![0; held],
            });
        }
        self.frame = Some(frame);
        Ok(())
    }

    fn tables(&mut self, mut body: &[u8]) -> Result<(), Blocks> {
        while let [class_and_place, rest @ ..] = body {
            let broken = Damaged("a Huffman table that ends early");
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(broken)?;
            let total = counts.iter().map(|count| usize::from(*count)).sum();
            let (symbols, rest) = rest.split_at_checked(total).ok_or(broken)?;
            let tables = if class_and_place >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let table = tables.get_mut(usize::from(class_and_place & 15)).ok_or(broken)?;
            *table = Some(Codes::new(counts, symbols));
            body = rest;
        }
        Ok(())
    }

    fn scan(&mut self, header: &[u8], data: &[u8]) -> Result<(), Blocks> {
        let mut header = ScanHeader::read(header).ok_or(Damaged("a scan header that is too short"))?;
        if !self.is_progressive {
            (header.first, header.last, header.high, header.low) = (0, 63, 0, 0);
        }
        let Self { is_progressive, frame, planes, units, dc, ac, restart_interval } = self;
        let places = frame.as_ref().map_or(Vec::new(), |frame| frame.places(&header));
        if places.is_empty() || places.len() != header.components.len() {
            return Err(Damaged("a scan of a component that does not exist"));
        }
        let table = |tables: &[Option<Codes>; 4], at: u8| tables.get(usize::from(at)).cloned().flatten();
        let parts: Vec<_> = places
            .into_iter()
            .zip(header.components)
            .map(|(place, [_, tables])| (place, table(dc, tables >> 4), table(ac, tables & 15)))
            .collect();
        if *is_progressive && header.first > 0 && parts.len() != 1
            || header.last > 63
            || header.first > header.last
        {
            return Err(Damaged("scan parameters that do not exist"));
        }
        let (columns, rows) = match parts.as_slice() {
            [(place, ..)] => (planes[*place].columns, planes[*place].rows),
            _ => *units,
        };
        let mut coder = Coder { bits: Bits { data, at: 0, byte: 0, left: 0 }, header, band_ends: 0 };
        let (mut left, mut restarts) = (*restart_interval, 0_u8);
        for row in 0..rows {
            for column in 0..columns {
                if *restart_interval > 0 {
                    if left == 0 {
                        coder.bits.restart(restarts)?;
                        (left, restarts, coder.band_ends) = (*restart_interval, restarts.wrapping_add(1), 0);
                    }
                    left -= 1;
                }
                for (place, dc, ac) in &parts {
                    let plane = &mut planes[*place];
                    let (across, down) = if parts.len() == 1 { (1, 1) } else { (plane.across, plane.down) };
                    for line in 0..down {
                        for step in 0..across {
                            let at = (row * down + line) * plane.stride + column * across + step;
                            match is_progressive {
                                true => coder.part(dc.as_ref(), ac.as_ref(), plane.set.get_mut(at))?,
                                false => coder.block(dc.as_ref(), ac.as_ref())?,
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Decodes blocks to nothing.
struct Coder<'a> {
    bits: Bits<'a>,
    header: ScanHeader<'a>,
    /// Blocks still covered by an end-of-band run.
    band_ends: u32,
}

const NO_TABLE: Blocks = Damaged("a scan without its Huffman table");

impl Coder<'_> {
    /// A block of a sequential scan (T.81, F.2.2).
    fn block(&mut self, dc: Option<&Codes>, ac: Option<&Codes>) -> Result<(), Blocks> {
        let (dc, ac) = dc.zip(ac).ok_or(NO_TABLE)?;
        let size = self.bits.symbol(dc)?;
        self.bits.bits(u32::from(size.min(16)))?;
        let mut at = 1;
        while at < 64 {
            let symbol = self.bits.symbol(ac)?;
            match (symbol >> 4, symbol & 15) {
                (15, 0) => at += 16,
                (_, 0) => break,
                (run, size) => {
                    self.bits.bits(u32::from(size))?;
                    at += usize::from(run) + 1;
                }
            }
        }
        Ok(())
    }

    /// A block of a progressive scan (T.81, G.1.2).
    fn part(&mut self, dc: Option<&Codes>, ac: Option<&Codes>, set: Option<&mut u64>) -> Result<(), Blocks> {
        match (self.header.first, self.header.high) {
            (0, 0) => {
                let size = self.bits.symbol(dc.ok_or(NO_TABLE)?)?;
                self.bits.bits(u32::from(size.min(16))).map(drop)
            }
            (0, _) => self.bits.bit().map(drop),
            (_, 0) => self.first_part(ac.ok_or(NO_TABLE)?, set.ok_or(NO_TABLE)?),
            _ => self.refinement(ac.ok_or(NO_TABLE)?, set.ok_or(NO_TABLE)?),
        }
    }

    fn first_part(&mut self, ac: &Codes, set: &mut u64) -> Result<(), Blocks> {
        if self.band_ends > 0 {
            self.band_ends -= 1;
            return Ok(());
        }
        let mut at = u32::from(self.header.first);
        while at <= u32::from(self.header.last) {
            let symbol = self.bits.symbol(ac)?;
            match (u32::from(symbol >> 4), u32::from(symbol & 15)) {
                (15, 0) => at += 16,
                (run, 0) => {
                    self.band_ends = (1 << run) + self.bits.bits(run)? - 1;
                    break;
                }
                (run, size) => {
                    at += run;
                    self.bits.bits(size)?;
                    *set |= 1_u64.checked_shl(at).unwrap_or(0);
                    at += 1;
                }
            }
        }
        Ok(())
    }

    fn refinement(&mut self, ac: &Codes, set: &mut u64) -> Result<(), Blocks> {
        let last = u32::from(self.header.last);
        let mut at = u32::from(self.header.first);
        if self.band_ends == 0 {
            while at <= last {
                let symbol = self.bits.symbol(ac)?;
                let (mut run, size) = (u32::from(symbol >> 4), symbol & 15);
                if size == 0 && run < 15 {
                    self.band_ends = (1 << run) + self.bits.bits(run)?;
                    break;
                }
                if size > 0 {
                    self.bits.bit()?;
                }
                // Over coefficients that are set already, a bit each, and over as many zeros as the run says.
                while at <= last {
                    if *set >> at & 1 == 1 {
                        self.bits.bit()?;
                    } else if run == 0 {
                        break;
                    } else {
                        run -= 1;
                    }
                    at += 1;
                }
                if size > 0 {
                    *set |= 1_u64.checked_shl(at).unwrap_or(0);
                }
                at += 1;
            }
        }
        if self.band_ends > 0 {
            while at <= last {
                if *set >> at & 1 == 1 {
                    self.bits.bit()?;
                }
                at += 1;
            }
            self.band_ends -= 1;
        }
        Ok(())
    }
}
