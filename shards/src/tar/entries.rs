//! The one parser: walks a tar header by header and yields its regular files and links, extension headers applied. What
//! the bytes come from is an [`Input`]: a stream, or a slice of a mapped file.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Read};

use super::error::TarRule;
use super::header::{BLOCK, Block, Header, Kind, other_format};
use super::links::Link;
use super::pax::{self, Overrides};
use super::skipped::Skipped;
use super::{BLOCK_BYTES, EndMarker, MAX_EXTENSION_BYTES, MAX_MEMBER_BYTES, MAX_NAME_BYTES, padded};

/// Where the bytes come from. Both operations stop short only at the end of the file.
pub(super) trait Input {
    /// Appends the next `bytes` bytes to `into`; returns how many there were.
    fn take(&mut self, bytes: u64, into: &mut Vec<u8>) -> io::Result<u64>;
    /// Passes over `bytes` bytes; returns how many there were.
    fn skip(&mut self, bytes: u64) -> io::Result<u64>;
    /// The next header block; returns how many of its bytes there were.
    fn block(&mut self, into: &mut Block) -> io::Result<usize>;
    /// Reads on until a byte that is not zero; returns how many zeros stood before it, or `None` at the end of the file.
    fn pass_zeros(&mut self) -> io::Result<Option<u64>>;
    /// Reads on to the end of the file, if reading alone shows whether it is whole: the checksums of a compressed stream
    /// stand behind its bytes.
    fn drain(&mut self) -> io::Result<()>;
}

/// Largest buffer that is set aside on a header's word alone.
const MAX_RESERVED_BYTES: u64 = 4 << 20;
/// Bytes read at once behind the end of a tar.
pub(super) const REST_BYTES: usize = 64 << 10;

impl<R: Read> Input for R {
    fn take(&mut self, bytes: u64, into: &mut Vec<u8>) -> io::Result<u64> {
        into.reserve_exact(bytes.min(MAX_RESERVED_BYTES) as usize);
        Ok(Read::take(self, bytes).read_to_end(into)? as u64)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        io::copy(&mut Read::take(self, bytes), &mut io::sink())
    }

    fn block(&mut self, into: &mut Block) -> io::Result<usize> {
        let mut filled = 0;
        while filled < BLOCK {
            match read_some(self, &mut into[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        Ok(filled)
    }

    fn pass_zeros(&mut self) -> io::Result<Option<u64>> {
        let mut buffer = vec![0; REST_BYTES];
        let mut zeros = 0;
        loop {
            let found = read_some(self, &mut buffer)?;
            match first_data(&buffer[..found]) {
                Some(at) => return Ok(Some(zeros + at as u64)),
                None if found == 0 => return Ok(None),
                None => zeros += found as u64,
            }
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; REST_BYTES];
        while read_some(self, &mut buffer)? > 0 {}
        Ok(())
    }
}

fn read_some(input: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(into) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Where the first byte is that is not zero. Blocks are compared as a whole.
pub(super) fn first_data(bytes: &[u8]) -> Option<usize> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut from = 0;
    for chunk in bytes.chunks(ZEROS.len()) {
        if *chunk != ZEROS[..chunk.len()] {
            return chunk.iter().position(|byte| *byte != 0).map(|at| from + at);
        }
        from += chunk.len();
    }
    None
}

/// A file in memory.
pub(super) struct Slice<'a>(pub &'a [u8]);

impl<'a> Slice<'a> {
    fn cut(&mut self, bytes: u64) -> &'a [u8] {
        let at = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.0.len());
        let (head, rest) = self.0.split_at(at);
        self.0 = rest;
        head
    }
}

impl Input for Slice<'_> {
    fn take(&mut self, bytes: u64, into: &mut Vec<u8>) -> io::Result<u64> {
        let head = self.cut(bytes);
        into.extend_from_slice(head);
        Ok(head.len() as u64)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        Ok(self.cut(bytes).len() as u64)
    }

    fn block(&mut self, into: &mut Block) -> io::Result<usize> {
        let head = self.cut(BLOCK_BYTES);
        into[..head.len()].copy_from_slice(head);
        Ok(head.len())
    }

    fn pass_zeros(&mut self) -> io::Result<Option<u64>> {
        Ok(first_data(self.0).map(|at| at as u64))
    }

    fn drain(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A regular file or link of the tar. Reused from one to the next.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Full name, with `\xNN` for each byte that is not UTF-8.
    pub name: String,
    /// Whether there are such bytes.
    pub is_bad_name: bool,
    /// Where it leads, if it is a link; then it has no data.
    pub link: Option<Link>,
    /// Where its first header (extension headers included) begins.
    pub start: u64,
    /// Where its data begins.
    pub data: u64,
    /// Bytes of data.
    pub size: u64,
}

/// A broken rule and where; the reader adds the path.
#[derive(Debug)]
pub(super) struct Broken {
    pub offset: u64,
    pub rule: TarRule,
}

#[derive(Debug)]
pub(super) struct Entries<I> {
    input: I,
    end_marker: EndMarker,
    /// Bytes taken from the input so far.
    offset: u64,
    overrides: Overrides,
    scratch: Vec<u8>,
    skipped: Skipped,
}

impl<I: Input> Entries<I> {
    pub fn new(input: I, end_marker: EndMarker) -> Self {
        Self {
            input,
            end_marker,
            offset: 0,
            overrides: Overrides::default(),
            scratch: Vec::new(),
            skipped: Skipped::default(),
        }
    }

    /// What was passed over so far, and what the caller adds to it.
    pub fn skipped(&mut self) -> &mut Skipped {
        &mut self.skipped
    }

    /// Reads on to the next regular file or link and leaves the input at its data, which the caller must take or skip.
    /// False at the end of the tar, with `entry.start` the end of the last member; what follows the closing zero block has
    /// then been looked at.
    pub fn next_entry(&mut self, entry: &mut Entry) -> Result<bool, Broken> {
        let mut block = [0; BLOCK];
        let mut start = None;
        loop {
            let at = self.offset;
            let broken = |rule| Broken { offset: at, rule };
            let found = self.input.block(&mut block).map_err(|e| broken(e.into()))?;
            let ended = match found {
                0 if self.end_marker == EndMarker::Optional => true,
                0 => return Err(broken(TarRule::NoEndMarker)),
                BLOCK => block == [0; BLOCK],
                // A pointer or page that is shorter than a header.
                _ => {
                    let foreign = other_format(&block[..found]).filter(|_| at == 0);
                    let cut = || TarRule::TruncatedHeader { found };
                    return Err(broken(foreign.map_or_else(cut, TarRule::NotATar)));
                }
            };
            if ended {
                entry.start = at;
                if self.overrides.pending {
                    return Err(broken(TarRule::DanglingExtension));
                }
                return self.check_rest(at, found as u64).map(|()| false);
            }
            self.offset += BLOCK_BYTES;
            let header = Header::parse(&block, at == 0).map_err(broken)?;
            let first = *start.get_or_insert(at);
            match header.kind {
                Kind::PaxNext | Kind::PaxGlobal | Kind::GnuName | Kind::GnuLink => {
                    self.extension(header.kind, header.size).map_err(broken)?;
                }
                kind => {
                    self.name_entry(&header, entry).map_err(broken)?;
                    entry.size = self.overrides.size.unwrap_or(header.size);
                    entry.start = first;
                    entry.data = self.offset;
                    let sparse = self.overrides.sparse || header.kind == Kind::Sparse;
                    self.overrides.clear();
                    let name = || entry.name.clone();
                    match kind {
                        _ if sparse => return Err(broken(TarRule::Sparse { name: name() })),
                        Kind::Regular if entry.size > MAX_MEMBER_BYTES => {
                            return Err(broken(TarRule::MemberTooLarge { name: name(), size: entry.size }));
                        }
                        Kind::Regular => return Ok(true),
                        Kind::Other => {
                            self.skipped.add_member(&entry.name);
                            self.skip_data(entry)?;
                        }
                        _ if entry.size > 0 => {
                            return Err(broken(TarRule::DataOnNonFile { name: name(), size: entry.size }));
                        }
                        Kind::HardLink | Kind::SymbolicLink => return Ok(true),
                        Kind::Folder => {}
                        _ => self.skipped.add_member(&entry.name),
                    }
                    start = None;
                }
            }
        }
    }

    /// Holds what follows the closing zero block at byte `end`, of which `found` bytes were there, against the rule that
    /// only zeros do.
    fn check_rest(&mut self, end: u64, found: u64) -> Result<(), Broken> {
        let unreadable = |e: io::Error| Broken { offset: end, rule: e.into() };
        let Some(zeros) = self.input.pass_zeros().map_err(unreadable)? else { return Ok(()) };
        // Where a second tar begins, should it be one.
        let offset = end + found + zeros / BLOCK_BYTES * BLOCK_BYTES;
        if self.end_marker == EndMarker::Required {
            return Err(Broken { offset, rule: TarRule::DataAfterEnd { end } });
        }
        self.skipped.add_rest(offset);
        self.input.drain().map_err(unreadable)
    }

    /// Appends the entry's data to `into` and passes over its padding.
    pub fn take_data(&mut self, entry: &Entry, into: &mut Vec<u8>) -> Result<(), Broken> {
        let mut found = self.input.take(entry.size, into).map_err(|e| self.unreadable(e))?;
        if found == entry.size {
            found += self.input.skip(padded(entry.size) - entry.size).map_err(|e| self.unreadable(e))?;
        }
        self.past_data(entry, found)
    }

    /// Passes over the entry's data and padding.
    pub fn skip_data(&mut self, entry: &Entry) -> Result<(), Broken> {
        let found = self.input.skip(padded(entry.size)).map_err(|e| self.unreadable(e))?;
        self.past_data(entry, found)
    }

    fn unreadable(&self, e: io::Error) -> Broken {
        Broken { offset: self.offset, rule: e.into() }
    }

    fn past_data(&mut self, entry: &Entry, found: u64) -> Result<(), Broken> {
        if found < padded(entry.size) {
            let rule = TarRule::Truncated { name: entry.name.clone(), size: entry.size, found };
            return Err(Broken { offset: entry.data - BLOCK_BYTES, rule });
        }
        // Cannot overflow: the input has delivered that many bytes.
        self.offset += found;
        Ok(())
    }

    fn extension(&mut self, kind: Kind, size: u64) -> Result<(), TarRule> {
        let kind_name = match kind {
            Kind::GnuName => "GNU long name",
            Kind::GnuLink => "GNU long link",
            Kind::PaxGlobal => "global PAX",
            _ => "PAX",
        };
        if size > MAX_EXTENSION_BYTES {
            return Err(TarRule::ExtensionTooLarge { kind: kind_name, size });
        }
        self.scratch.clear();
        let wanted = padded(size);
        let found = self.input.take(wanted, &mut self.scratch)?;
        if found < wanted {
            return Err(TarRule::Truncated { name: format!("{kind_name} header"), size, found });
        }
        self.offset += found;
        self.scratch.truncate(size as usize);
        match kind {
            Kind::GnuName => self.overrides.gnu_name(&self.scratch)?,
            Kind::GnuLink => self.overrides.gnu_link(&self.scratch)?,
            Kind::PaxGlobal => return pax::check_global(&self.scratch),
            _ => self.overrides.pax(&self.scratch)?,
        }
        self.overrides.pending = true;
        Ok(())
    }

    fn name_entry(&mut self, header: &Header<'_>, entry: &mut Entry) -> Result<(), TarRule> {
        match &self.overrides.name {
            Some(name) => {
                self.scratch.clear();
                self.scratch.extend_from_slice(name);
            }
            None => header.read_name(&mut self.scratch),
        }
        if self.scratch.len() > MAX_NAME_BYTES {
            return Err(TarRule::NameTooLong { len: self.scratch.len() });
        }
        if self.scratch.contains(&0) {
            return Err(TarRule::NameWithNul);
        }
        let name = text(&self.scratch);
        entry.is_bad_name = name.as_bytes() != self.scratch;
        entry.name.clear();
        entry.name.push_str(&name);
        let is_link = matches!(header.kind, Kind::HardLink | Kind::SymbolicLink);
        entry.link = is_link.then(|| Link {
            symbolic: header.kind == Kind::SymbolicLink,
            target: text(self.overrides.link.as_deref().unwrap_or(header.link())).into_owned(),
        });
        Ok(())
    }
}

/// A name as text, with `\xNN` for each byte that is not UTF-8, so that different names stay different.
fn text(name: &[u8]) -> Cow<'_, str> {
    if let Ok(name) = std::str::from_utf8(name) {
        return Cow::Borrowed(name);
    }
    let mut text = String::with_capacity(name.len() + 8);
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    Cow::Owned(text)
}
