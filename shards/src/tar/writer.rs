//! Writes a tar shard: plain ustar, nothing in it that depends on the clock, the machine or the user, so the same
//! samples always give the same bytes. Differences from img2dataset's tars are in FORMAT.md §2.

use std::io::{self, Write};

use super::header::Template;
use super::index::TarIndex;
use super::{
    BLOCK_BYTES, MAX_MEMBER_BYTES, MAX_SAMPLE_MEMBERS, MAX_WRITTEN_NAME_BYTES, RECORD_BYTES, padded,
    sample_name, shown,
};

/// Members of at least this size go to the output directly instead of through the sample buffer.
const DIRECT_BYTES: usize = 1 << 20;

/// Why a sample was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarWriteError {
    /// `{key}.{ext}` does not fit the ustar name field.
    #[error("member name `{}` is longer than {MAX_WRITTEN_NAME_BYTES} bytes; shorten the key", shown(name))]
    NameTooLong {
        /// The name.
        name: String,
    },
    /// The name would be cut elsewhere than between key and extension, or skipped, on reading.
    #[error(
        "`{}` would not be read back as key `{}`: a key's last part has no dot, an extension is lower-case without slashes",
        shown(name),
        shown(key)
    )]
    BadName {
        /// The name.
        name: String,
        /// The key.
        key: String,
    },
    /// A sample without members would vanish.
    #[error("sample `{}` has no members", shown(key))]
    NoMembers {
        /// The sample.
        key: String,
    },
    /// More members than a reader takes.
    #[error("sample `{}` has more than {MAX_SAMPLE_MEMBERS} members", shown(key))]
    TooManyMembers {
        /// The sample.
        key: String,
    },
    /// The sample would run into the one before it.
    #[error("sample `{}` comes twice in a row; keys must be unique", shown(key))]
    RepeatedKey {
        /// The sample.
        key: String,
    },
    /// Two members of one extension.
    #[error("sample `{}` has two members `.{}`", shown(key), shown(ext))]
    DuplicateMember {
        /// The sample.
        key: String,
        /// The extension.
        ext: String,
    },
    /// A member is larger than a reader takes.
    #[error("member `{}` has {size} bytes; the limit is {MAX_MEMBER_BYTES}", shown(name))]
    MemberTooLarge {
        /// The member.
        name: String,
        /// Its size.
        size: u64,
    },
    /// An earlier write failed, so the tar ends in the middle of a sample and must be discarded.
    #[error("an earlier write to this tar failed")]
    Broken,
    /// The output refused. [`AtomicFile`](crate::atomic::AtomicFile) names the file in this error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl TarWriteError {
    /// Whether the sample is at fault rather than the output, so that the tar can go on without it.
    pub fn is_of_sample(&self) -> bool {
        !matches!(self, Self::Broken | Self::Io(_))
    }
}

/// Where an appended sample lies, in bytes from the start of the tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte of its first header.
    pub start: u64,
    /// End of its last member's padding.
    pub end: u64,
}

/// A tar being written, sample by sample. Each sample reaches the output in one write (plus one for each member of
/// 1 MiB and more), so the output needs no buffer.
pub struct TarWriter<W> {
    out: W,
    template: Template,
    offset: u64,
    buffer: Vec<u8>,
    // Reused from sample to sample: positions of the members in the order of their extensions.
    order: Vec<usize>,
    index: TarIndex,
    broken: bool,
}

impl<W: Write> TarWriter<W> {
    /// Starts a tar at the output's current position.
    pub fn new(out: W) -> Self {
        Self {
            out,
            template: Template::new(),
            offset: 0,
            buffer: Vec::new(),
            order: Vec::new(),
            index: TarIndex::default(),
            broken: false,
        }
    }

    /// Number of samples so far.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no sample has been written.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Bytes written so far.
    pub fn num_bytes(&self) -> u64 {
        self.offset
    }

    /// What has been written so far.
    pub fn index(&self) -> &TarIndex {
        &self.index
    }

    /// Forgets the spans written so far: for one who wants the tar and no index, in memory that does not grow with it.
    pub fn clear_index(&mut self) {
        self.index = TarIndex::default();
    }

    /// Appends one sample: `members` are (extension, bytes) in any order; they are written sorted by extension.
    ///
    /// # Errors
    /// When a name or size breaks FORMAT.md §2 (nothing is written then and the tar can go on), or when the output
    /// refuses (the tar is then broken and must be discarded).
    pub fn append(&mut self, key: &str, members: &[(&str, &[u8])]) -> Result<Span, TarWriteError> {
        if self.broken {
            return Err(TarWriteError::Broken);
        }
        self.check(key, members)?;
        let start = self.offset;
        self.buffer.clear();
        self.index.begin_sample(key.len(), start);
        for at in 0..self.order.len() {
            let (ext, data) = members[self.order[at]];
            let size = data.len() as u64;
            self.template.append(key, ext, size, &mut self.buffer);
            self.index.push_member(key, ext, self.offset + BLOCK_BYTES, size);
            if data.len() < DIRECT_BYTES {
                self.buffer.extend_from_slice(data);
            } else {
                self.write_buffer()?;
                self.broken = true;
                self.out.write_all(data)?;
                self.broken = false;
            }
            let padding = (padded(size) - size) as usize;
            self.buffer.resize(self.buffer.len() + padding, 0);
            self.offset += BLOCK_BYTES + padded(size);
        }
        self.write_buffer()?;
        Ok(Span { start, end: self.offset })
    }

    /// Ends the tar: two zero blocks, then zeros up to a multiple of 10,240 bytes, as img2dataset's tars end.
    ///
    /// # Errors
    /// When the output refuses, now or earlier.
    pub fn finish(mut self) -> Result<(W, TarIndex), TarWriteError> {
        if self.broken {
            return Err(TarWriteError::Broken);
        }
        let end = (self.offset + 2 * BLOCK_BYTES).next_multiple_of(RECORD_BYTES);
        self.buffer.clear();
        self.buffer.resize((end - self.offset) as usize, 0);
        self.write_buffer()?;
        self.out.flush()?;
        self.index.set_end(self.offset);
        Ok((self.out, self.index))
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        // A failed write leaves part of a sample behind; nothing may follow it.
        self.broken = true;
        self.out.write_all(&self.buffer)?;
        self.broken = false;
        self.buffer.clear();
        Ok(())
    }

    /// Checks every rule before a byte is written, and sorts the members.
    fn check(&mut self, key: &str, members: &[(&str, &[u8])]) -> Result<(), TarWriteError> {
        let owned = || key.to_owned();
        if members.is_empty() {
            return Err(TarWriteError::NoMembers { key: owned() });
        }
        if members.len() > MAX_SAMPLE_MEMBERS {
            return Err(TarWriteError::TooManyMembers { key: owned() });
        }
        if self.index.last().is_some_and(|last| last.key() == key) {
            return Err(TarWriteError::RepeatedKey { key: owned() });
        }
        for (ext, data) in members {
            let name = || format!("{key}.{ext}");
            if key.len() + 1 + ext.len() > MAX_WRITTEN_NAME_BYTES {
                return Err(TarWriteError::NameTooLong { name: name() });
            }
            if !reads_back(key, ext) {
                return Err(TarWriteError::BadName { name: name(), key: owned() });
            }
            let size = data.len() as u64;
            if size > MAX_MEMBER_BYTES {
                return Err(TarWriteError::MemberTooLarge { name: name(), size });
            }
        }
        self.order.clear();
        self.order.extend(0..members.len());
        self.order.sort_unstable_by_key(|at| members[*at].0);
        match self.order.windows(2).find(|pair| members[pair[0]].0 == members[pair[1]].0) {
            Some(pair) => {
                Err(TarWriteError::DuplicateMember { key: owned(), ext: members[pair[0]].0.to_owned() })
            }
            None => Ok(()),
        }
    }
}

/// Whether a reader will cut `{key}.{ext}` into the same key and extension.
fn reads_back(key: &str, ext: &str) -> bool {
    let base = key.rsplit('/').next().unwrap_or(key);
    // Written out instead of building the name: this runs for every member.
    let plain = !base.is_empty()
        && !base.contains('.')
        && !key.contains('\0')
        && !ext.is_empty()
        && !ext.contains(['/', '\0'])
        && !ext.chars().any(char::is_uppercase);
    // Only a name that both begins and ends in `__` can be a webdataset meta member.
    plain && (!ext.ends_with("__") || sample_name(&format!("{key}.{ext}")).is_some())
}
