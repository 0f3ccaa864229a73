//! The container of AVIF (ISO/IEC 23008-12): boxes in boxes, items with properties, references and data. Everything is a
//! slice of the file; what a number promises beyond it is refused.

use std::borrow::Cow;

use crate::error::PixelError;

type Kind = [u8; 4];

/// Most tiles of a grid: its rows and columns are counted in a byte each.
const MAX_TILES: usize = 256 * 256;

/// Least side of a tile, in pixels, where there are several.
const MIN_TILE: u32 = 64;

/// The `meta` box, its members at hand.
#[derive(Debug)]
pub(super) struct Container<'a> {
    bytes: &'a [u8],
    primary: u32,
    alpha: Option<u32>,
    /// The colours are multiplied by alpha.
    pub premultiplied: bool,
    locations: &'a [u8],
    infos: &'a [u8],
    references: &'a [u8],
    properties: Vec<(Kind, &'a [u8])>,
    associations: Vec<&'a [u8]>,
    inline: &'a [u8],
}

/// How YCbCr is meant, by the container: matrix and whether the full range is used.
pub(super) type Colour = Option<(u8, bool)>;

/// One picture of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub id: u32,
    pub width: u32,
    pub height: u32,
    pub bit_depth: u8,
    pub monochrome: bool,
    pub has_icc: bool,
    pub colour: Colour,
    is_grid: bool,
}

/// A picture in tiles of one size, row by row.
#[derive(Debug)]
pub(super) struct Grid {
    pub columns: usize,
    pub tiles: Vec<u32>,
    pub tile_width: u32,
    pub tile_height: u32,
}

fn corrupt(what: &str) -> PixelError {
    PixelError::Corrupt(format!("AVIF: {what}"))
}

/// A reader of big-endian numbers that ends with the bytes.
struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], PixelError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(PixelError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// A number of at most eight bytes; 0 of none.
    fn number(&mut self, bytes: usize) -> Result<u64, PixelError> {
        Ok(self.take(bytes)?.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }

    fn short(&mut self) -> Result<u32, PixelError> {
        Ok(self.number(2)? as u32)
    }

    /// Version and flags of a full box.
    fn version(&mut self) -> Result<(u8, u32), PixelError> {
        let word = self.number(4)?;
        Ok(((word >> 24) as u8, word as u32 & 0xFF_FFFF))
    }

    /// The next box; `None` at the end. The last one may be cut off.
    fn next_box(&mut self) -> Option<(Kind, &'a [u8])> {
        let whole = self.0.len();
        let (size, kind) = (self.number(4).ok()?, self.take(4).ok()?.try_into().ok()?);
        let size = match size {
            0 => whole as u64,
            1 => self.number(8).ok()?,
            size => size,
        };
        let body = usize::try_from(size).unwrap_or(usize::MAX).checked_sub(whole - self.0.len())?;
        let body = self.take(body.min(self.0.len())).ok()?;
        Some((kind, body))
    }
}

fn boxes(bytes: &[u8]) -> impl Iterator<Item = (Kind, &[u8])> {
    let mut numbers = Numbers(bytes);
    std::iter::from_fn(move || numbers.next_box())
}

impl<'a> Container<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, PixelError> {
        let meta = boxes(bytes).find(|(kind, _)| kind == b"meta").map(|(_, body)| body);
        let Some(meta) = meta.and_then(|meta| meta.get(4..)) else {
            return match boxes(bytes).any(|(kind, _)| &kind == b"moov") {
                true => Err(PixelError::Unsupported("AVIF (a sequence without a still picture)".to_owned())),
                false => Err(PixelError::Truncated),
            };
        };
        let mut container = Self {
            bytes,
            primary: 0,
            alpha: None,
            premultiplied: false,
            locations: &[],
            infos: &[],
            references: &[],
            properties: Vec::new(),
            associations: Vec::new(),
            inline: &[],
        };
        let mut primary = None;
        for (kind, body) in boxes(meta) {
            match &kind {
                b"pitm" => {
                    let mut numbers = Numbers(body);
                    let (version, _) = numbers.version()?;
                    primary = Some(numbers.number(if version == 0 { 2 } else { 4 })? as u32);
                }
                b"iloc" => container.locations = body,
                b"iinf" => container.infos = body,
                b"iref" => container.references = body,
                b"idat" => container.inline = body,
                b"iprp" => {
                    for (kind, body) in boxes(body) {
                        match &kind {
                            b"ipco" => container.properties = boxes(body).collect(),
                            b"ipma" => container.associations.push(body),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        container.primary = primary.ok_or_else(|| corrupt("no primary picture"))?;
        let auxiliary = container.referring(b"auxl", container.primary)?;
        for id in auxiliary {
            if container.is_alpha(id)? {
                container.alpha = Some(id);
                container.premultiplied = container.referred(b"prem", container.primary)?.contains(&id);
                break;
            }
        }
        Ok(container)
    }

    /// The picture that the file is about.
    pub fn picture(&self) -> Result<Item, PixelError> {
        self.item(self.primary)
    }

    /// Its alpha.
    pub fn alpha(&self) -> Result<Option<Item>, PixelError> {
        self.alpha.map(|id| self.item(id)).transpose()
    }

    /// The TIFF structure of its EXIF tags, where it lies in one piece.
    pub fn exif(&self) -> Option<&'a [u8]> {
        let id = self.infos().find_map(|(id, kind)| (&kind == b"Exif").then_some(id))?;
        let Cow::Borrowed(data) = self.data(id).ok()? else { return None };
        let offset = Numbers(data).number(4).ok()?;
        data.get(4..)?.get(usize::try_from(offset).ok()?..)
    }

    fn item(&self, id: u32) -> Result<Item, PixelError> {
        let kind = self.infos().find_map(|(info, kind)| (info == id).then_some(kind));
        let is_grid = match &kind {
            Some(kind) if kind == b"av01" => false,
            Some(kind) if kind == b"grid" => true,
            Some(_) => return Err(PixelError::Unsupported("AVIF (a picture that is not AV1)".to_owned())),
            None => return Err(corrupt("a picture without an entry")),
        };
        let mut item = Item {
            id,
            width: 0,
            height: 0,
            bit_depth: 8,
            monochrome: false,
            has_icc: false,
            colour: None,
            is_grid,
        };
        for (kind, body) in self.properties(id)? {
            let mut numbers = Numbers(body);
            match &kind {
                b"ispe" => {
                    numbers.version()?;
                    (item.width, item.height) = (numbers.number(4)? as u32, numbers.number(4)? as u32);
                }
                b"pixi" => {
                    numbers.version()?;
                    let count = numbers.number(1)?;
                    item.monochrome = count == 1;
                    item.bit_depth = numbers.number(1)? as u8;
                }
                b"colr" => match numbers.take(4)? {
                    b"nclx" => {
                        numbers.take(4)?;
                        let (matrix, range) = (numbers.short()?, numbers.number(1)?);
                        item.colour = Some((matrix.min(255) as u8, range & 0x80 != 0));
                    }
                    b"prof" | b"rICC" => item.has_icc = true,
                    _ => {}
                },
                _ => {}
            }
        }
        Ok(item)
    }

    /// The tiles of a picture; `None` where it is one AV1 picture.
    pub fn grid(&self, item: &Item) -> Result<Option<Grid>, PixelError> {
        if !item.is_grid {
            return Ok(None);
        }
        let data = self.data(item.id)?;
        let mut numbers = Numbers(&data);
        let head = numbers.number(2)?;
        let (rows, columns) = (numbers.number(1)? as usize + 1, numbers.number(1)? as usize + 1);
        let width = if head & 1 == 0 { 2 } else { 4 };
        let size = (numbers.number(width)? as u32, numbers.number(width)? as u32);
        let tiles = self.referred(b"dimg", item.id)?;
        if tiles.len() != rows * columns || size != (item.width, item.height) {
            return Err(corrupt("a grid that does not fit its picture"));
        }
        let first = self.item(tiles[0])?;
        let reach = |tile: u32, count: usize| u64::from(tile) * count as u64;
        let covers = reach(first.width, columns) >= u64::from(item.width)
            && reach(first.height, rows) >= u64::from(item.height);
        // Each tile but the last of a row or column shows something, so there are no more than the picture needs.
        let needed = reach(first.width, columns - 1) < u64::from(item.width)
            && reach(first.height, rows - 1) < u64::from(item.height);
        // MIAF allows no smaller tiles; each of them costs a decoder.
        let is_coarse = tiles.len() == 1 || first.width.min(first.height) >= MIN_TILE;
        if first.is_grid || !covers || !needed || !is_coarse {
            return Err(corrupt("a grid that does not fit its picture"));
        }
        Ok(Some(Grid { columns, tiles, tile_width: first.width, tile_height: first.height }))
    }

    fn is_alpha(&self, id: u32) -> Result<bool, PixelError> {
        const NAMES: [&[u8]; 2] =
            [b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0"];
        Ok(self.properties(id)?.iter().any(|(kind, body)| {
            kind == b"auxC"
                && NAMES.iter().any(|name| body.get(4..).is_some_and(|body| body.starts_with(name)))
        }))
    }

    /// Number and kind of every item.
    fn infos(&self) -> impl Iterator<Item = (u32, Kind)> {
        let mut numbers = Numbers(self.infos);
        let version = numbers.version().map_or(0, |(version, _)| version);
        let _ = numbers.take(if version == 0 { 2 } else { 4 });
        boxes(numbers.0).filter_map(|(kind, body)| {
            let mut numbers = Numbers(body);
            let (version, _) = numbers.version().ok()?;
            let id = numbers.number(if version < 3 { 2 } else { 4 }).ok()? as u32;
            numbers.take(2).ok()?;
            (&kind == b"infe" && version >= 2).then_some(())?;
            Some((id, numbers.take(4).ok()?.try_into().ok()?))
        })
    }

    fn properties(&self, id: u32) -> Result<Vec<(Kind, &'a [u8])>, PixelError> {
        for body in &self.associations {
            let mut numbers = Numbers(body);
            let (version, flags) = numbers.version()?;
            for _ in 0..numbers.number(4)? {
                let item = numbers.number(if version == 0 { 2 } else { 4 })? as u32;
                let count = numbers.number(1)?;
                let wide = flags & 1 == 1;
                if item != id {
                    numbers.take(count as usize * if wide { 2 } else { 1 })?;
                    continue;
                }
                let mut found = Vec::with_capacity(count as usize);
                for _ in 0..count {
                    // The high bit says that a reader must know the property.
                    let index = if wide { numbers.number(2)? & 0x7FFF } else { numbers.number(1)? & 0x7F };
                    found.extend((index as usize).checked_sub(1).and_then(|at| self.properties.get(at)));
                }
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// Calls `take` with (from, to) of every reference of a kind.
    fn each_reference(&self, wanted: &Kind, mut take: impl FnMut(u32, u32)) -> Result<(), PixelError> {
        if self.references.is_empty() {
            return Ok(());
        }
        let mut numbers = Numbers(self.references);
        let (version, _) = numbers.version()?;
        let width = if version == 0 { 2 } else { 4 };
        for (kind, body) in boxes(numbers.0) {
            if kind != *wanted {
                continue;
            }
            let mut numbers = Numbers(body);
            let from = numbers.number(width)? as u32;
            for _ in 0..numbers.short()? {
                take(from, numbers.number(width)? as u32);
            }
        }
        Ok(())
    }

    /// What an item refers to, in order.
    fn referred(&self, kind: &Kind, id: u32) -> Result<Vec<u32>, PixelError> {
        let mut found = Vec::new();
        self.each_reference(kind, |from, to| {
            if from == id && found.len() < MAX_TILES {
                found.push(to);
            }
        })?;
        Ok(found)
    }

    /// What refers to an item.
    fn referring(&self, kind: &Kind, id: u32) -> Result<Vec<u32>, PixelError> {
        let mut found = Vec::new();
        self.each_reference(kind, |from, to| {
            if to == id && found.len() < MAX_TILES {
                found.push(from);
            }
        })?;
        Ok(found)
    }

    /// An item's bytes, its extents joined.
    pub fn data(&self, id: u32) -> Result<Cow<'a, [u8]>, PixelError> {
        let mut numbers = Numbers(self.locations);
        let (version, _) = numbers.version()?;
        let sizes = numbers.number(2)?;
        let [offset_size, length_size, base_size, index_size] =
            [12, 8, 4, 0].map(|shift| (sizes >> shift & 15) as usize);
        let index_size = if version == 0 { 0 } else { index_size };
        if [offset_size, length_size, base_size, index_size].iter().any(|size| *size > 8) {
            return Err(corrupt("a list of places with numbers of no size"));
        }
        let wide = if version < 2 { 2 } else { 4 };
        for _ in 0..numbers.number(wide)? {
            let item = numbers.number(wide)? as u32;
            let method = if version == 0 { 0 } else { numbers.short()? & 15 };
            numbers.take(2)?;
            let base = numbers.number(base_size)?;
            let extents = numbers.short()? as usize;
            if item != id {
                numbers.take(extents * (index_size + offset_size + length_size))?;
                continue;
            }
            let source = match method {
                0 => self.bytes,
                1 => self.inline,
                _ => return Err(PixelError::Unsupported("AVIF (a picture made of another)".to_owned())),
            };
            let mut data: Cow<'a, [u8]> = Cow::Borrowed(&[]);
            for _ in 0..extents {
                numbers.take(index_size)?;
                let (offset, length) = (numbers.number(offset_size)?, numbers.number(length_size)?);
                let at = base.checked_add(offset).and_then(|at| usize::try_from(at).ok());
                let rest = at.and_then(|at| source.get(at..)).ok_or(PixelError::Truncated)?;
                let length =
                    if length == 0 { rest.len() } else { usize::try_from(length).unwrap_or(usize::MAX) };
                let part = rest.get(..length).ok_or(PixelError::Truncated)?;
                if data.len() + part.len() > self.bytes.len() {
                    return Err(corrupt("a picture with more bytes than the file"));
                }
                match data.is_empty() {
                    true => data = Cow::Borrowed(part),
                    false => data.to_mut().extend_from_slice(part),
                }
            }
            return Ok(data);
        }
        Err(corrupt("a picture without data"))
    }
}
