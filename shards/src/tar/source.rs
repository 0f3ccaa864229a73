//! A tar's bytes, compressed or not. What compresses them is told by the first bytes, never by the name. Unpacking is
//! bounded by what was read: pictures do not shrink, and a tar of tiny members shrinks to a hundredth.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;

use super::error::TarRule;

/// Bytes read from a file at once; larger members are read straight into their own memory.
const BUFFER_BYTES: usize = 128 << 10;
/// How often a tar may hold its compressed size.
pub(super) const MAX_RATIO: u64 = 200;
/// Bytes that may come out whatever went in, so that small files of zeros pass.
const FREE_BYTES: u64 = 64 << 20;

/// How a tar is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Gzip,
    Bzip2,
    Zstd,
}

impl Compression {
    fn of(head: &[u8]) -> Option<Self> {
        const MAGIC: [(&[u8], Compression); 3] = [
            (b"\x1f\x8b", Compression::Gzip),
            (b"BZh", Compression::Bzip2),
            (b"\x28\xb5\x2f\xfd", Compression::Zstd),
        ];
        MAGIC.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, kind)| *kind)
    }
}

/// The plain bytes of a tar, from its beginning.
pub struct TarInput(Inner);

enum Inner {
    Plain(BufReader<File>),
    Packed(Bounded),
}

impl TarInput {
    /// Reads `file` from its beginning, which may be a pipe.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let mut plain = BufReader::with_capacity(BUFFER_BYTES, file);
        match Compression::of(plain.fill_buf()?) {
            None => Ok(Self(Inner::Plain(plain))),
            Some(kind) => Ok(Self(Inner::Packed(Bounded::new(plain, kind)?))),
        }
    }
}

impl Read for TarInput {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Plain(plain) => plain.read(into),
            Inner::Packed(packed) => packed.read(into),
        }
    }
}

/// More came out of a compressed tar than its size allows.
#[derive(Debug, thiserror::Error)]
#[error("unpacks to too much")]
pub(super) struct Oversize;

/// A decoder that stops when too much comes out of too little.
struct Bounded {
    decoder: Box<dyn Read + Send>,
    taken: Arc<AtomicU64>,
    given: u64,
}

impl Bounded {
    fn new(packed: BufReader<File>, kind: Compression) -> io::Result<Self> {
        let taken = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: packed, taken: Arc::clone(&taken) };
        let decoder: Box<dyn Read + Send> = match kind {
            Compression::Gzip => Box::new(Gunzip(Some(GzDecoder::new(counted)))),
            Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(counted)),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(counted)?),
        };
        Ok(Self { decoder: Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)), taken, given: 0 })
    }
}

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(into)?;
        self.given += read as u64;
        let allowed = self.taken.load(Ordering::Relaxed).saturating_mul(MAX_RATIO);
        match self.given > allowed.saturating_add(FREE_BYTES) {
            true => Err(io::Error::other(Oversize)),
            false => Ok(read),
        }
    }
}

/// Counts what a decoder takes.
struct Counted {
    inner: BufReader<File>,
    taken: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.taken.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl BufRead for Counted {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
        self.inner.consume(bytes);
    }
}

/// Gzip members one after the other; what follows the last is passed over, as gzip does.
struct Gunzip(Option<GzDecoder<Counted>>);

impl Read for Gunzip {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(member) = &mut self.0 else { return Ok(0) };
            match member.read(into)? {
                0 if !into.is_empty() => {
                    let Some(member) = self.0.take() else { return Ok(0) };
                    let mut rest = member.into_inner();
                    if Compression::of(rest.fill_buf()?) == Some(Compression::Gzip) {
                        self.0 = Some(GzDecoder::new(rest));
                    }
                }
                read => return Ok(read),
            }
        }
    }
}

/// Whether `file` is a compressed tar.
fn is_packed(file: &File) -> bool {
    let mut head = [0; 4];
    file.read_exact_at(&mut head, 0).is_ok() && Compression::of(&head).is_some()
}

/// `file`, or if it is compressed its plain bytes in an unnamed file; and whether it was compressed.
pub(super) fn plain(file: File, scratch: Option<&Path>) -> Result<(File, bool), TarRule> {
    if !is_packed(&file) {
        return Ok((file, false));
    }
    let folder: PathBuf = scratch.map_or_else(std::env::temp_dir, Path::to_owned);
    let unwritten = |source| TarRule::Unpack { folder: folder.clone(), source };
    let mut out = BufWriter::new(tempfile::tempfile_in(&folder).map_err(unwritten)?);
    let mut input = TarInput::new(file)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = input.read(&mut buffer)?;
        if read == 0 {
            let file = out.into_inner().map_err(|error| unwritten(error.into_error()))?;
            return Ok((file, true));
        }
        out.write_all(&buffer[..read]).map_err(unwritten)?;
    }
}
