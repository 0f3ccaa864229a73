//! One 512-byte header block: parsed with every field doubted, and built for the writer. Field positions are those
//! of POSIX.1-1988 `ustar`; old v7 and GNU headers share them up to the magic at byte 257.

use super::error::TarRule;
use crate::lookalike::Lookalike;

pub(super) const BLOCK: usize = super::BLOCK_BYTES as usize;
pub(super) type Block = [u8; BLOCK];

const NAME: std::ops::Range<usize> = 0..100;
const MODE: std::ops::Range<usize> = 100..108;
const UID: std::ops::Range<usize> = 108..116;
const GID: std::ops::Range<usize> = 116..124;
const SIZE: std::ops::Range<usize> = 124..136;
const MTIME: std::ops::Range<usize> = 136..148;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;
const LINK: std::ops::Range<usize> = 157..257;
const MAGIC: std::ops::Range<usize> = 257..263;
const VERSION: std::ops::Range<usize> = 263..265;
const UNAME: std::ops::Range<usize> = 265..297;
const GNAME: std::ops::Range<usize> = 297..329;
const DEV_MAJOR: std::ops::Range<usize> = 329..337;
const DEV_MINOR: std::ops::Range<usize> = 337..345;
const PREFIX: std::ops::Range<usize> = 345..500;

/// What a header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file.
    Regular,
    /// Another name for an earlier member.
    HardLink,
    /// Another name for any member, by its path.
    SymbolicLink,
    /// A folder: a header without data.
    Folder,
    /// A device or pipe: a header without data.
    Device,
    /// PAX records for the next member.
    PaxNext,
    /// PAX records for all members that follow.
    PaxGlobal,
    /// GNU: the next member's name.
    GnuName,
    /// GNU: the next member's link target.
    GnuLink,
    /// GNU sparse file.
    Sparse,
    /// Anything else: skipped with its data, as POSIX asks.
    Other,
}

pub(super) struct Header<'a> {
    pub kind: Kind,
    pub size: u64,
    block: &'a Block,
}

impl<'a> Header<'a> {
    /// `at_start` is true for the file's first block, where another file format is told apart from damage.
    pub fn parse(block: &'a Block, at_start: bool) -> Result<Self, TarRule> {
        if let Err(rule) = check_sum(block) {
            return Err(match other_format(block) {
                Some(format) if at_start => TarRule::NotATar(format),
                _ => rule,
            });
        }
        let kind = match block[KIND] {
            // Old v7 tars write a folder as a file whose name ends in a slash.
            0 if until_nul(&block[NAME]).ends_with(b"/") => Kind::Folder,
            0 | b'0' | b'7' => Kind::Regular,
            b'1' => Kind::HardLink,
            b'2' => Kind::SymbolicLink,
            b'5' => Kind::Folder,
            b'3' | b'4' | b'6' => Kind::Device,
            b'x' | b'X' => Kind::PaxNext,
            b'g' => Kind::PaxGlobal,
            b'L' => Kind::GnuName,
            b'K' => Kind::GnuLink,
            b'S' => Kind::Sparse,
            _ => Kind::Other,
        };
        let size = number(&block[SIZE]).ok_or(TarRule::Number { field: "size" })?;
        Ok(Self { kind, size, block })
    }

    /// Writes the name into `into`: the ustar prefix, if any, a slash and the name field.
    pub fn read_name(&self, into: &mut Vec<u8>) {
        into.clear();
        // GNU headers keep times where ustar has the prefix.
        let ustar = &self.block[MAGIC] == b"ustar\0";
        let prefix = until_nul(&self.block[PREFIX]);
        if ustar && !prefix.is_empty() {
            into.extend_from_slice(prefix);
            into.push(b'/');
        }
        into.extend_from_slice(until_nul(&self.block[NAME]));
    }

    /// The link field.
    pub fn link(&self) -> &'a [u8] {
        until_nul(&self.block[LINK])
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|b| *b == 0).unwrap_or(field.len())]
}

/// Octal digits between blanks or zero bytes (blank means 0), or GNU's base 256: first bit set, big-endian.
/// At most 2⁶³ − 1.
fn number(field: &[u8]) -> Option<u64> {
    let value = if field[0] & 0x80 != 0 {
        // 0xff would be a negative number.
        let first = u64::from(field[0] & 0x7f);
        if field[0] & 0x40 != 0 {
            return None;
        }
        field[1..].iter().try_fold(first, |n, b| n.checked_mul(256).map(|n| n | u64::from(*b)))?
    } else {
        let digits = until_nul(field).trim_ascii();
        digits.iter().try_fold(0u64, |n, b| match b {
            b'0'..=b'7' => n.checked_mul(8).map(|n| n | u64::from(b - b'0')),
            _ => None,
        })?
    };
    (value <= i64::MAX as u64).then_some(value)
}

/// Sum of the header's bytes with the checksum field taken as blanks; the bytes unsigned, and signed.
fn sum(block: &Block) -> (u64, i64) {
    // Whole-array passes, which the compiler vectorises: readers sum every header.
    let of = |bytes: &[u8]| bytes.iter().map(|b| u64::from(*b)).sum::<u64>();
    let high = |bytes: &[u8]| bytes.iter().map(|b| i64::from(b >> 7)).sum::<i64>();
    let field = &block[CHECKSUM];
    let unsigned = of(block) - of(field) + u64::from(b' ') * CHECKSUM.len() as u64;
    (unsigned, unsigned as i64 - 256 * (high(block) - high(field)))
}

fn check_sum(block: &Block) -> Result<(), TarRule> {
    let stored = number(&block[CHECKSUM]);
    let (unsigned, signed) = sum(block);
    match stored {
        // Some old writers summed signed chars.
        Some(stored) if stored == unsigned || i64::try_from(stored) == Ok(signed) => Ok(()),
        Some(stored) => Err(TarRule::Checksum { stored, computed: unsigned }),
        None => Err(TarRule::Number { field: "checksum" }),
    }
}

/// What a file is that should have been a tar, and what to do, by its first bytes.
pub(super) fn other_format(head: &[u8]) -> Option<String> {
    const FORMATS: [(&[u8], &str); 8] = [
        (b"\x1f\x8b", "compressed by gzip; unpack it first"),
        (b"\x28\xb5\x2f\xfd", "compressed by zstd; unpack it first"),
        (b"\xfd7zXZ\0", "compressed by xz; unpack it first (`xz -d`)"),
        (b"BZh", "compressed by bzip2; unpack it first"),
        (b"\x04\x22\x4d\x18", "compressed by lz4; unpack it first (`lz4 -d`)"),
        (b"PK\x03\x04", "a ZIP archive; unpack it first"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
        (b"PAR1", "a Parquet file; name it .parquet"),
    ];
    match FORMATS.iter().find(|(magic, _)| head.starts_with(magic)) {
        Some((_, what)) => Some(format!("this is {what}")),
        None => Lookalike::of(head).map(|what| what.to_string()),
    }
}

/// Everything of a written header that is the same for all members, with its share of the checksum.
pub(super) struct Template {
    block: Block,
    sum: u64,
}

impl Template {
    /// Mode 0444, uid and gid 0, user and group `bigdata` (img2dataset's), modification time 0.
    pub fn new() -> Self {
        let mut block = [0; BLOCK];
        let mut put = |field: std::ops::Range<usize>, text: &[u8]| {
            block[field.start..field.start + text.len()].copy_from_slice(text);
        };
        put(MODE, b"0000444");
        put(UID, b"0000000");
        put(GID, b"0000000");
        put(SIZE, b"00000000000");
        put(MTIME, b"00000000000");
        put(KIND..KIND + 1, b"0");
        put(MAGIC, b"ustar\0");
        put(VERSION, b"00");
        put(UNAME, b"bigdata");
        put(GNAME, b"bigdata");
        put(DEV_MAJOR, b"0000000");
        put(DEV_MINOR, b"0000000");
        let sum = sum(&block).0;
        Self { block, sum }
    }

    /// Appends a header. `key` and `ext` with the dot between them are at most [`NAME`] bytes, `size` below 8 GiB;
    /// the writer has checked both.
    pub fn append(&self, key: &str, ext: &str, size: u64, out: &mut Vec<u8>) {
        let mut block = self.block;
        let mut sum = self.sum;
        let name = key.bytes().chain([b'.']).chain(ext.bytes());
        for (to, byte) in block[NAME].iter_mut().zip(name) {
            *to = byte;
            sum += u64::from(byte);
        }
        sum += octal(&mut block[SIZE.start..SIZE.end - 1], size);
        // Six digits, a zero byte and a blank, as every tar has written it since v7.
        let digits = CHECKSUM.start..CHECKSUM.start + 6;
        octal(&mut block[digits], sum);
        block[CHECKSUM.end - 1] = b' ';
        out.extend_from_slice(&block);
    }
}

/// Fills `field` with octal digits; returns what this adds to a checksum over zeros in its place.
fn octal(field: &mut [u8], mut value: u64) -> u64 {
    let mut added = 0;
    for digit in field.iter_mut().rev() {
        added += value & 7;
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
    added
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_every_form_seen_in_the_wild() {
        for (field, expected) in [
            (&b"00000000017\0"[..], Some(15)),
            (b"         17 ", Some(15)),
            (b"17\0garbage99", Some(15)),
            (b"\0\0\0\0\0\0\0\0\0\0\0\0", Some(0)),
            (b"777777777777", Some(0o777_777_777_777)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(2 << 32)),
            (b"\x80\0\0\0\xff\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"00000000018\0", None),
            (b"-0000000001\0", None),
            (b"1 2\0\0\0\0\0\0\0\0\0", None),
        ] {
            assert_eq!(number(field), expected, "{field:?}");
        }
    }

    #[test]
    fn signed_checksums_are_taken_too() {
        let mut bytes = Vec::new();
        Template::new().append("größe", "jpg", 1, &mut bytes);
        let mut block: Block = bytes.try_into().unwrap();
        assert!(Header::parse(&block, true).is_ok());
        let signed: i64 = (block.iter().enumerate())
            .map(|(at, b)| i64::from(if CHECKSUM.contains(&at) { b' ' as i8 } else { *b as i8 }))
            .sum();
        let digits = format!("{signed:06o}");
        assert_ne!(&block[148..154], digits.as_bytes());
        block[148..154].copy_from_slice(digits.as_bytes());
        assert!(Header::parse(&block, true).is_ok());
    }

    #[test]
    fn written_headers_parse() {
        let mut bytes = Vec::new();
        Template::new().append("000070042", "jpg", 12_345, &mut bytes);
        let block: Block = bytes.try_into().unwrap();
        let header = Header::parse(&block, true).ok().unwrap();
        let mut name = Vec::new();
        header.read_name(&mut name);
        assert_eq!(
            (header.kind, header.size, name.as_slice()),
            (Kind::Regular, 12_345, &b"000070042.jpg"[..])
        );
    }
}
