//! The files of a tar, compressed or not, as a stream: headers are read, the rest is passed over or handed out.

use std::cell::Cell;
use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;

use super::{Choice, Member, Tree, Visitor, tidy};

/// Most bytes between the data of two files: headers, and the long names that stand before them as members of their own.
const MAX_HEADER_BYTES: u64 = 1 << 20;
const BLOCK: u64 = 512;

/// `input` begins at the archive's first byte.
pub(super) fn visit<V: Visitor>(
    tree: &Tree,
    input: &mut dyn BufRead,
    visitor: &mut V,
) -> Result<(), V::Error> {
    let start = input.fill_buf().map_err(|error| tree.broken("its start", &error))?;
    if start.starts_with(&[0x1f, 0x8b]) {
        // Whether all of it is there its own checksum says.
        entries(tree, &mut MultiGzDecoder::new(input), visitor).map(drop)
    } else if entries(tree, &mut { input }, visitor)? {
        Ok(())
    } else {
        let error = io::ErrorKind::UnexpectedEof.into();
        Err(tree.broken("its end: the closing zero block is missing", &error).into())
    }
}

/// Whether there was an end to it, rather than just nothing more.
fn entries<V: Visitor>(tree: &Tree, input: &mut dyn Read, visitor: &mut V) -> Result<bool, V::Error> {
    let fence = Fence { at: Cell::new(0), end: Cell::new(0) };
    let mut archive = ::tar::Archive::new(Fenced { input, fence: &fence });
    let mut last = "its start".to_owned();
    // Where the data of the last file ends, padding included.
    let mut end = 0;
    let mut entries = archive.entries().map_err(|error| tree.broken(&last, &error))?;
    loop {
        fence.end.set(fence.at.get().max(end).saturating_add(MAX_HEADER_BYTES));
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(|error| tree.broken(&last, &cut(error)))?;
        let kind = entry.header().entry_type();
        // The size of a sparse file is that of its holes as well.
        let stored = if kind.is_gnu_sparse() { entry.header().entry_size() } else { Ok(entry.size()) };
        let stored = stored.map_err(|error| tree.broken(&last, &error))?;
        end = entry.raw_file_position().saturating_add(stored.div_ceil(BLOCK).saturating_mul(BLOCK));
        fence.end.set(end.saturating_add(MAX_HEADER_BYTES));
        last = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !kind.is_file() && !kind.is_contiguous() {
            continue;
        }
        let Some(name) = tidy(&last) else { continue };
        let size = entry.size();
        match visitor.choose(&name, size) {
            Choice::Skip => {}
            Choice::Stop => return Ok(true),
            Choice::Read => visitor.take(&mut Member { name: &name, size, tree, input: &mut entry })?,
        }
    }
    let is_closed = fence.at.get() > end;
    // The checksum of the whole stands at its end, behind the closing zero blocks.
    fence.end.set(u64::MAX);
    let rest = io::copy(&mut archive.into_inner(), &mut io::sink());
    rest.map_err(|error| tree.broken("its end", &error))?;
    Ok(is_closed)
}

/// How far has been read and how far may be. The tar crate takes long names into memory at whatever length their headers
/// give, and a compressed archive has bytes enough for any of them.
struct Fence {
    at: Cell<u64>,
    end: Cell<u64>,
}

struct Fenced<'a> {
    input: &'a mut dyn Read,
    fence: &'a Fence,
}

impl Read for Fenced<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Fence { at, end } = self.fence;
        let left = end.get().saturating_sub(at.get());
        if left == 0 && !buffer.is_empty() {
            let rule = format!("a name or header of more than {MAX_HEADER_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, rule));
        }
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.input.read(&mut buffer[..wanted])?;
        at.set(at.get() + read as u64);
        Ok(read)
    }
}

/// The tar crate reports a cut header as an error of its own kind.
fn cut(error: io::Error) -> io::Error {
    let text = error.to_string();
    if text.contains("failed to read entire block") || text.contains("unexpected EOF") {
        io::ErrorKind::UnexpectedEof.into()
    } else {
        error
    }
}
