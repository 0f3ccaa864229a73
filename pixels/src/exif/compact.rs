//! A bounded copy of an EXIF structure, made before any library parses it. Entries of a TIFF directory name their values
//! by offset and length, so a few kilobytes can claim the same megabyte thousands of times, and a library that reads
//! each value holds them all. The copy has each value once, only as much of it as is ever printed, and no more
//! directories, entries or bytes than any camera writes; what asks for more is refused as [`TooLarge`].

/// Most entries of all directories together. Cameras write about a hundred.
const MAX_ENTRIES: usize = 4_096;
/// Most bytes of all values together, and so of any one.
const MAX_VALUE_BYTES: usize = 64 << 10;
/// Most directories in the main chain; the parser takes no more.
const MAX_CHAIN: usize = 8;
/// Bytes of an entry in a directory.
const ENTRY: usize = 12;
const ASCII: u16 = 2;
/// Where a value is the offset of another directory (EXIF 2.32, 4.6.3).
const EXIF_POINTER: u16 = 0x8769;
const GPS_POINTER: u16 = 0x8825;
const INTEROPERABILITY_POINTER: u16 = 0xA005;
const ORIENTATION: u16 = 0x0112;

/// The structure asks for more than the limits of this module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Which directory an entry is in: the number of a tag has another meaning in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    Exif,
    Gps,
    Interoperability,
}

impl Kind {
    /// The kind of directory that `tag` points to from here.
    fn child(self, tag: u16) -> Option<Self> {
        match (self, tag) {
            (Self::Image, EXIF_POINTER) => Some(Self::Exif),
            (Self::Image, GPS_POINTER) => Some(Self::Gps),
            (Self::Exif, INTEROPERABILITY_POINTER) => Some(Self::Interoperability),
            _ => None,
        }
    }

    /// Tags that are never printed: XMP, maker notes and user comments, the largest there are.
    fn leaves_out(self, tag: u16) -> bool {
        matches!((self, tag), (Self::Image, 0x02BC) | (Self::Exif, 0x927C | 0x9286))
    }
}

enum Value<'a> {
    Bytes(&'a [u8]),
    /// Number of the directory in [`Copier::directories`].
    Directory(usize),
}

struct Entry<'a> {
    tag: u16,
    kind: u16,
    count: u32,
    value: Value<'a>,
}

#[derive(Default)]
struct Directory<'a> {
    entries: Vec<Entry<'a>>,
    /// The next of the main chain.
    next: Option<usize>,
}

/// Numbers in the byte order of the structure.
#[derive(Clone, Copy)]
struct Source<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl<'a> Source<'a> {
    /// `None` where this is not a TIFF structure.
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let source = Self { bytes, little: bytes.starts_with(b"II") };
        let is_tiff = (source.little || bytes.starts_with(b"MM")) && source.u16(2) == Some(42);
        (is_tiff && bytes.len() >= 8).then_some(source)
    }

    fn at(&self, at: usize, length: usize) -> Option<&'a [u8]> {
        self.bytes.get(at..at.checked_add(length)?)
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let raw = self.at(at, 2)?.try_into().ok()?;
        Some(if self.little { u16::from_le_bytes(raw) } else { u16::from_be_bytes(raw) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let raw = self.at(at, 4)?.try_into().ok()?;
        Some(if self.little { u32::from_le_bytes(raw) } else { u32::from_be_bytes(raw) })
    }

    /// Offsets of the entries of the directory at `at` that are there, and where the offset of the next directory is
    /// if all of them are.
    fn directory(&self, at: usize) -> (impl Iterator<Item = usize> + use<>, Option<usize>) {
        let promised = self.u16(at).map_or(0, usize::from);
        let first = at.saturating_add(2);
        let there = promised.min(self.bytes.len().saturating_sub(first) / ENTRY);
        ((0..there).map(move |n| first + n * ENTRY), (there == promised).then_some(first + there * ENTRY))
    }
}

/// Bytes of one value of a type (TIFF 6.0, section 2); `None` for a type that does not exist.
fn unit_bytes(kind: u16) -> Option<usize> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 => Some(4),
        5 | 10 | 12 => Some(8),
        _ => None,
    }
}

struct Copier<'a> {
    source: Source<'a>,
    most_values: usize,
    directories: Vec<Directory<'a>>,
    seen: Vec<usize>,
    entries: usize,
    value_bytes: usize,
}

/// Copies `bytes`, of each list no more than `most_values`. `Ok(None)` where this is not a TIFF structure; what lies
/// outside of it is passed over.
pub(super) fn compact(bytes: &[u8], most_values: usize) -> Result<Option<Vec<u8>>, TooLarge> {
    let Some(source) = Source::new(bytes) else { return Ok(None) };
    let mut copier =
        Copier { source, most_values, directories: Vec::new(), seen: Vec::new(), entries: 0, value_bytes: 0 };
    let mut at = source.u32(4).map_or(0, |at| at as usize);
    let mut last: Option<usize> = None;
    for _ in 0..MAX_CHAIN {
        if at == 0 {
            break;
        }
        let Some((number, next)) = copier.directory(at, Kind::Image)? else { break };
        if let Some(last) = last.and_then(|last| copier.directories.get_mut(last)) {
            last.next = Some(number);
        }
        last = Some(number);
        at = next;
    }
    Ok(Some(copier.write()))
}

/// The orientation tag of the first directory, whatever else the structure holds.
pub(super) fn orientation(bytes: &[u8]) -> Option<u32> {
    let source = Source::new(bytes)?;
    let (mut entries, _) = source.directory(source.u32(4)? as usize);
    let at = entries.find(|at| source.u16(*at) == Some(ORIENTATION))?;
    // The first value is inline for all three types, since at most four bytes are.
    match (source.u16(at + 2)?, source.u32(at + 4)?) {
        (1, 1..=4) => source.at(at + 8, 1).map(|byte| u32::from(byte[0])),
        (3, 1..=2) => source.u16(at + 8).map(u32::from),
        (4, 1) => source.u32(at + 8),
        _ => None,
    }
}

impl<'a> Copier<'a> {
    /// Takes in the directory at `at` and those it points to. Its number, and where the next one of the chain is; `None`
    /// for one that was taken before.
    fn directory(&mut self, at: usize, kind: Kind) -> Result<Option<(usize, usize)>, TooLarge> {
        if self.seen.contains(&at) {
            return Ok(None);
        }
        self.seen.push(at);
        let number = self.directories.len();
        self.directories.push(Directory::default());
        let (entries, next_at) = self.source.directory(at);
        for at in entries {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(TooLarge);
            }
            if let Some(entry) = self.entry(at, kind)? {
                self.directories[number].entries.push(entry);
            }
        }
        let next = next_at.and_then(|at| self.source.u32(at)).map_or(0, |next| next as usize);
        Ok(Some((number, next)))
    }

    /// `None` for an entry that is not printed or whose value is not there.
    fn entry(&mut self, at: usize, kind: Kind) -> Result<Option<Entry<'a>>, TooLarge> {
        let source = self.source;
        let (Some(tag), Some(form), Some(count)) = (source.u16(at), source.u16(at + 2), source.u32(at + 4))
        else {
            return Ok(None);
        };
        if kind.leaves_out(tag) {
            return Ok(None);
        }
        if let Some(child) = kind.child(tag) {
            let Some(target) = source.u32(at + 8).filter(|_| form == 4 && count == 1) else {
                return Ok(None);
            };
            // Depth is bounded: no kind of directory leads back to one above it.
            let number = self.directory(target as usize, child)?;
            let entry = |(number, _)| Entry { tag, kind: form, count, value: Value::Directory(number) };
            return Ok(number.map(entry));
        }
        let Some(unit) = unit_bytes(form) else { return Ok(None) };
        let Some(length) = unit.checked_mul(count as usize) else { return Ok(None) };
        let start = if length <= 4 { Some(at + 8) } else { source.u32(at + 8).map(|offset| offset as usize) };
        let Some(mut value) = start.and_then(|start| source.at(start, length)) else { return Ok(None) };
        if form == ASCII {
            // Of several texts only the first is printed.
            let end = value.iter().position(|byte| *byte == 0).map_or(value.len(), |end| end + 1);
            value = &value[..end];
        } else if count as usize > self.most_values {
            value = &value[..unit * self.most_values];
        }
        self.value_bytes += value.len();
        if self.value_bytes > MAX_VALUE_BYTES {
            return Err(TooLarge);
        }
        Ok(Some(Entry { tag, kind: form, count: (value.len() / unit) as u32, value: Value::Bytes(value) }))
    }

    /// All directories one after the other, then the values that do not fit into their entries.
    fn write(&self) -> Vec<u8> {
        let little = self.source.little;
        let half = |value: u16| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let word = |value: usize| {
            let value = value as u32;
            if little { value.to_le_bytes() } else { value.to_be_bytes() }
        };
        let mut starts = Vec::with_capacity(self.directories.len());
        let mut end = 8;
        for directory in &self.directories {
            starts.push(end);
            end += 2 + directory.entries.len() * ENTRY + 4;
        }
        let mut out = Vec::with_capacity(end + self.value_bytes);
        out.extend(if little { b"II" } else { b"MM" });
        out.extend(half(42));
        out.extend(word(if starts.is_empty() { 0 } else { 8 }));
        let mut values: Vec<u8> = Vec::with_capacity(self.value_bytes);
        for directory in &self.directories {
            out.extend(half(directory.entries.len() as u16));
            for entry in &directory.entries {
                out.extend(half(entry.tag));
                out.extend(half(entry.kind));
                out.extend(word(entry.count as usize));
                match entry.value {
                    Value::Directory(number) => out.extend(word(starts[number])),
                    Value::Bytes(bytes) if bytes.len() <= 4 => {
                        let mut inline = [0; 4];
                        inline[..bytes.len()].copy_from_slice(bytes);
                        out.extend(inline);
                    }
                    Value::Bytes(bytes) => {
                        out.extend(word(end + values.len()));
                        values.extend(bytes);
                    }
                }
            }
            out.extend(word(directory.next.map_or(0, |next| starts[next])));
        }
        out.extend(values);
        out
    }
}
