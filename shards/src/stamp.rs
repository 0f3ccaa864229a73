//! What a file holds, in one short text: a command that was stopped goes on only over the input it began with, and
//! name and size do not tell that rows changed places.
//!
//! A [`Stamp`] is of all bytes, or, for files too large for that, of blocks spread over the file (FORMAT.md §1,
//! "Description of the inputs"). Stamps of different kinds cannot be compared, and say so.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::words::hex;

/// Blocks of a sampled file. Few and large, since a disk that turns seeks once for each.
pub const BLOCKS: u64 = 64;
/// Bytes of each.
pub const BLOCK_BYTES: u64 = 256 << 10;
/// Bytes at the end of a sampled file that are always taken: the index of many formats is there.
pub const TAIL_BYTES: u64 = 1 << 20;
/// Bytes of each end under [`Depth::Ends`].
const END_BYTES: u64 = 4 << 10;
/// Files up to here are stamped whole under [`Depth::WholeUpTo`] as tables use it: 0.2 s a file.
pub const TABLE_BYTES: u64 = 256 << 20;

/// Largest Parquet footer that is taken whole.
const MAX_FOOTER_BYTES: u64 = 64 << 20;
/// Bytes read at a time.
const BUFFER_BYTES: usize = 1 << 20;

const WHOLE: &str = "sha256";
const SAMPLED: &str = "sampled-sha256";
const ENDS: &str = "ends-sha256";

/// How much of a file is read for its stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// All of it: nothing less tells that two rows of a text table changed places.
    Whole,
    /// All of it up to so many bytes, blocks of larger files. Never fewer than the blocks have together.
    WholeUpTo(u64),
    /// Size, beginning and end: for folders of pictures, which nobody reads twice.
    Ends,
}

impl Depth {
    /// As little as tells one file from another: 17 MiB.
    pub const SAMPLED: Self = Self::WholeUpTo(0);

    /// Bytes that are read of a file of `bytes`, about.
    pub fn reads(self, bytes: u64) -> u64 {
        match self {
            _ if self.is_whole(bytes) => bytes,
            Self::Ends => 2 * END_BYTES,
            Self::Whole | Self::WholeUpTo(_) => BLOCKS * BLOCK_BYTES + TAIL_BYTES,
        }
    }

    fn is_whole(self, bytes: u64) -> bool {
        match self {
            Self::Whole => true,
            Self::WholeUpTo(limit) => bytes <= limit.max(BLOCKS * BLOCK_BYTES),
            Self::Ends => bytes <= 2 * END_BYTES,
        }
    }
}

/// What a file held: the kind of hash, a colon, the hash in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stamp(String);

impl Stamp {
    /// The stamp of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(path: &Path, depth: Depth) -> io::Result<Self> {
        let stamp = Self::of_while(path, depth, &|| true)?;
        stamp.ok_or_else(|| io::ErrorKind::Interrupted.into())
    }

    /// The same, given up as soon as `wanted` says no.
    ///
    /// # Errors
    /// As [`Stamp::of`].
    pub fn of_while(path: &Path, depth: Depth, wanted: &dyn Fn() -> bool) -> io::Result<Option<Self>> {
        let mut file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut hash = Reading { hash: Sha256::new(), buffer: vec![0; BUFFER_BYTES], wanted };
        if depth.is_whole(bytes) {
            // To its end, wherever that is by now: a pipe and a growing file have no length.
            let done = hash.add(&mut file, u64::MAX)?;
            return Ok(done.then(|| hash.stamp(WHOLE)));
        }
        hash.hash.update(bytes.to_le_bytes());
        if depth == Depth::Ends {
            hash.add(&mut file, END_BYTES)?;
            file.seek(SeekFrom::Start(bytes - END_BYTES))?;
            let done = hash.add(&mut file, END_BYTES)?;
            return Ok(done.then(|| hash.stamp(ENDS)));
        }
        for block in 0..BLOCKS {
            let start = u128::from(block) * u128::from(bytes - BLOCK_BYTES) / u128::from(BLOCKS - 1);
            file.seek(SeekFrom::Start(u64::try_from(start).unwrap_or(u64::MAX)))?;
            if !hash.add(&mut file, BLOCK_BYTES)? {
                return Ok(None);
            }
        }
        let tail = footer_bytes(&mut file)?.clamp(TAIL_BYTES, bytes);
        file.seek(SeekFrom::Start(bytes - tail))?;
        let done = hash.add(&mut file, tail)?;
        Ok(done.then(|| hash.stamp(SAMPLED)))
    }

    /// Whether both are of the same content; `None` where they are of different kinds, which tells nothing.
    pub fn agrees_with(&self, other: &Self) -> Option<bool> {
        (self.kind() == other.kind()).then(|| self == other)
    }

    /// The SHA-256 of all bytes, in hex, if that is what it is.
    pub fn sha256(&self) -> Option<&str> {
        self.0.strip_prefix(WHOLE)?.strip_prefix(':')
    }

    fn kind(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A stamp of several parts, each with a name, in order.
#[derive(Debug)]
pub struct Parts {
    kind: &'static str,
    hash: Sha256,
}

impl Parts {
    /// No parts yet. Stamps of different kinds cannot be compared.
    pub fn new(kind: &'static str) -> Self {
        Self { kind, hash: Sha256::new() }
    }

    /// Adds one.
    pub fn add(&mut self, name: &str, content: &str) {
        for text in [name, content] {
            // With its length, so that no two lists are one text.
            self.hash.update((text.len() as u64).to_le_bytes());
            self.hash.update(text);
        }
    }

    /// The stamp of all of them.
    pub fn finish(self) -> Stamp {
        Stamp(format!("{}-{WHOLE}:{}", self.kind, hex(&self.hash.finalize())))
    }
}

struct Reading<'a> {
    hash: Sha256,
    buffer: Vec<u8>,
    wanted: &'a dyn Fn() -> bool,
}

impl Reading<'_> {
    /// Adds up to so many bytes; `false` when nobody wants them any more.
    fn add(&mut self, file: &mut File, bytes: u64) -> io::Result<bool> {
        let mut left = bytes;
        while left > 0 {
            if !(self.wanted)() {
                return Ok(false);
            }
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            match file.read(&mut self.buffer[..most]) {
                Ok(0) => break,
                Ok(read) => {
                    self.hash.update(&self.buffer[..read]);
                    left -= read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn stamp(self, kind: &str) -> Stamp {
        Stamp(format!("{kind}:{}", hex(&self.hash.finalize())))
    }
}

/// Length of a Parquet file's footer, by its last eight bytes; 0 for other files.
fn footer_bytes(file: &mut File) -> io::Result<u64> {
    let mut end = [0; 8];
    file.seek(SeekFrom::End(-8))?;
    file.read_exact(&mut end)?;
    let [a, b, c, d, magic @ ..] = end;
    let length = u64::from(u32::from_le_bytes([a, b, c, d])) + 8;
    Ok(if &magic == b"PAR1" && length <= MAX_FOOTER_BYTES { length } else { 0 })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn file_of(folder: &Path, bytes: &[u8]) -> std::path::PathBuf {
        let path = folder.join("file");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn f04_rows_in_another_order_are_other_content() {
        let dir = tempfile::tempdir().unwrap();
        let of = |text: &[u8]| Stamp::of(&file_of(dir.path(), text), Depth::Whole).unwrap();
        let (one, other) = (of(b"a\nb\n"), of(b"b\na\n"));
        assert_eq!(one.agrees_with(&other), Some(false));
        assert_eq!(one.agrees_with(&of(b"a\nb\n")), Some(true));
        // What `sha256sum` says.
        assert_eq!(
            of(b"abc").sha256(),
            Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        );
    }

    #[test]
    fn f04_a_large_file_is_stamped_by_blocks_from_end_to_end_and_its_footer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        let file = File::create_new(&path).unwrap();
        // Sparse, so that it costs no disk.
        let bytes: u64 = 3 << 30;
        file.set_len(bytes).unwrap();
        let of = || Stamp::of(&path, Depth::SAMPLED).unwrap();
        let before = of();
        assert!(before.to_string().starts_with("sampled-sha256:") && before.sha256().is_none());
        for at in [0, (bytes - BLOCK_BYTES) / 63 * 31 + 100, bytes - TAIL_BYTES, bytes - 1] {
            file.write_all_at(b"x", at).unwrap();
            assert_eq!(before.agrees_with(&of()), Some(false), "a byte at {at}");
            file.write_all_at(&[0], at).unwrap();
            assert_eq!(before.agrees_with(&of()), Some(true));
        }
        // A Parquet footer longer than the tail is taken to its beginning.
        let footer = 3 * TAIL_BYTES;
        file.write_all_at(&u32::try_from(footer).unwrap().to_le_bytes(), bytes - 8).unwrap();
        file.write_all_at(b"PAR1", bytes - 4).unwrap();
        let before = of();
        // Between two blocks.
        let at = bytes - footer + 3 * BLOCK_BYTES;
        file.write_all_at(b"x", at).unwrap();
        assert_eq!(before.agrees_with(&of()), Some(false), "a byte of the footer");
        file.set_len(bytes + 1).unwrap();
        assert_eq!(before.agrees_with(&of()), Some(false), "a byte more");
    }

    #[test]
    fn f04_a_small_file_is_stamped_whole_at_any_depth() {
        let dir = tempfile::tempdir().unwrap();
        let path = file_of(dir.path(), &vec![7; 3 << 20]);
        assert_eq!(Stamp::of(&path, Depth::SAMPLED).unwrap(), Stamp::of(&path, Depth::Whole).unwrap());
        assert_eq!(Stamp::of_while(&path, Depth::Whole, &|| false).unwrap(), None);
        let ends = || Stamp::of(&path, Depth::Ends).unwrap();
        let before = ends();
        file_of(dir.path(), &[vec![7; (3 << 20) - 1], vec![8]].concat());
        assert_eq!(before.agrees_with(&ends()), Some(false), "the last byte");
    }

    #[test]
    fn f04_stamps_of_different_kinds_tell_nothing() {
        let stamp = |text: &str| Stamp(text.to_owned());
        assert_eq!(stamp("sha256:00").agrees_with(&stamp("sampled-sha256:00")), None);
        assert_eq!(stamp("sha256:00").agrees_with(&stamp("of-the-future")), None);
        let parts = |names: [(&str, &str); 2]| {
            let mut parts = Parts::new("files");
            names.iter().for_each(|(name, content)| parts.add(name, content));
            parts.finish()
        };
        assert_ne!(parts([("a", "1"), ("b", "2")]), parts([("a", "1b"), ("", "2")]));
    }
}
