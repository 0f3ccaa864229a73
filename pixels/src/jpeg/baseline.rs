//! The regular kind of JPEG, taken apart for [`super::coefficients`]: sequential, Huffman coded, 8 bits, grey or three
//! components in one scan. Whatever is not of this kind, or not in order, is `None` here and left to libjpeg-turbo.

use super::entropy::{HuffmanTable, Kind};

/// Blocks of an interleaved unit (T.81, B.2.3).
const MAX_UNIT_BLOCKS: usize = 10;

/// One component of frame and scan.
#[derive(Debug)]
pub(super) struct Component {
    id: u8,
    /// Blocks of this component in a unit, across and down.
    pub across: usize,
    pub down: usize,
    quantisation: usize,
    pub dc: usize,
    pub ac: usize,
    /// Quantisation steps in zigzag order.
    pub steps: [u16; 64],
}

/// Everything needed to decode the one scan of a picture.
#[derive(Debug)]
pub(super) struct Baseline<'a> {
    pub width: usize,
    pub height: usize,
    pub components: Vec<Component>,
    pub dc: [Option<HuffmanTable>; 4],
    pub ac: [Option<HuffmanTable>; 4],
    /// Units between restart markers, 0 for none.
    pub restart_interval: usize,
    /// What follows the scan header: entropy-coded bytes and markers.
    pub data: &'a [u8],
}

impl<'a> Baseline<'a> {
    /// Walks the segments up to the scan.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[0xFF, 0xD8])?;
        let mut steps = [None; 4];
        let mut picture = Self {
            width: 0,
            height: 0,
            components: Vec::new(),
            dc: [const { None }; 4],
            ac: [const { None }; 4],
            restart_interval: 0,
            data: &[],
        };
        loop {
            let [0xFF, code, high, low, ..] = *rest else { return None };
            let length = usize::from(u16::from_be_bytes([high, low]));
            let body = rest.get(4..2 + length)?;
            rest = &rest[2 + length..];
            match code {
                0xC0 | 0xC1 => picture.frame(body)?,
                0xC4 => picture.huffman_tables(body)?,
                0xDB => quantisation_tables(body, &mut steps)?,
                0xDD => picture.restart_interval = usize::from(u16::from_be_bytes(body.try_into().ok()?)),
                0xDA => {
                    picture.scan(body, &steps)?;
                    picture.data = rest;
                    return Some(picture);
                }
                0xE0..=0xEF | 0xFE => {}
                _ => return None,
            }
        }
    }

    fn frame(&mut self, body: &[u8]) -> Option<()> {
        let [8, h1, h0, w1, w0, count, ref components @ ..] = *body else { return None };
        let is_whole = matches!(count, 1 | 3) && components.len() == usize::from(count) * 3;
        if !is_whole || !self.components.is_empty() {
            return None;
        }
        self.height = usize::from(u16::from_be_bytes([h1, h0]));
        self.width = usize::from(u16::from_be_bytes([w1, w0]));
        for [id, sampling, table] in components.as_chunks::<3>().0 {
            let (across, down) = match count {
                // The blocks of a lone component come one by one, whatever its factors are (A.2.2).
                1 => (1, 1),
                _ => (usize::from(sampling >> 4), usize::from(sampling & 15)),
            };
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) || *table > 3 {
                return None;
            }
            let quantisation = usize::from(*table);
            let component = Component { id: *id, across, down, quantisation, dc: 0, ac: 0, steps: [0; 64] };
            self.components.push(component);
        }
        let blocks: usize = self.components.iter().map(|c| c.across * c.down).sum();
        (blocks <= MAX_UNIT_BLOCKS && self.width > 0 && self.height > 0).then_some(())
    }

    fn huffman_tables(&mut self, mut body: &[u8]) -> Option<()> {
        while let [class_and_place, rest @ ..] = body {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total = counts.iter().map(|n| usize::from(*n)).sum();
            let (symbols, rest) = rest.split_at_checked(total)?;
            body = rest;
            let (tables, kind) = match class_and_place >> 4 {
                0 => (&mut self.dc, Kind::Dc),
                1 => (&mut self.ac, Kind::Ac),
                _ => return None,
            };
            *tables.get_mut(usize::from(class_and_place & 15))? =
                Some(HuffmanTable::new(kind, counts, symbols)?);
        }
        Some(())
    }

    fn scan(&mut self, body: &[u8], steps: &[Option<[u16; 64]>; 4]) -> Option<()> {
        let [count, ref rest @ ..] = *body else { return None };
        let (selectors, spectral) = rest.split_at_checked(usize::from(count) * 2)?;
        let is_whole = usize::from(count) == self.components.len() && count > 0;
        if !is_whole || spectral != [0, 63, 0] {
            return None;
        }
        for ([id, tables], component) in selectors.as_chunks::<2>().0.iter().zip(&mut self.components) {
            component.dc = usize::from(tables >> 4);
            component.ac = usize::from(tables & 15);
            component.steps = (*steps.get(component.quantisation)?)?;
            let is_there = |tables: &[Option<HuffmanTable>; 4], place: usize| {
                tables.get(place).is_some_and(Option::is_some)
            };
            if component.id != *id || !is_there(&self.dc, component.dc) || !is_there(&self.ac, component.ac) {
                return None;
            }
        }
        Some(())
    }
}

fn quantisation_tables(mut body: &[u8], steps: &mut [Option<[u16; 64]>; 4]) -> Option<()> {
    while let [precision_and_place, rest @ ..] = body {
        let table = steps.get_mut(usize::from(precision_and_place & 15))?.insert([0; 64]);
        body = match precision_and_place >> 4 {
            0 => {
                let (bytes, rest) = rest.split_first_chunk::<64>()?;
                *table = bytes.map(u16::from);
                rest
            }
            1 => {
                let (bytes, rest) = rest.split_first_chunk::<128>()?;
                for (step, bytes) in table.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *step = u16::from_be_bytes(*bytes);
                }
                rest
            }
            _ => return None,
        };
    }
    Some(())
}

/// Takes the stuffed zeros out of an entropy-coded stretch and says where it ends: at a marker, which is the second
/// half of the result with what follows it.
pub(super) fn unstuff<'a>(data: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    out.clear();
    let mut rest = data;
    while let Some(at) = memchr::memchr(0xFF, rest) {
        match rest.get(at + 1) {
            Some(0) => {
                out.extend_from_slice(&rest[..=at]);
                rest = &rest[at + 2..];
            }
            _ => {
                out.extend_from_slice(&rest[..at]);
                return &rest[at..];
            }
        }
    }
    out.extend_from_slice(rest);
    &[]
}
