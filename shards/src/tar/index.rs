//! Where each sample and member of a tar lies. The writer records it as it goes, [`scan`](super::scan) builds it
//! for anyone's tar, and the index files beside a shard are views of it. Names are kept in one string, so that a
//! shard of 10,000 samples costs a few allocations rather than sixty thousand.

use std::borrow::Cow;

use super::entries::Entry;
use super::error::TarRule;
use super::{MAX_SAMPLE_BYTES, MAX_SAMPLE_MEMBERS, padded};

/// The samples of one tar in file order, and where its data ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TarIndex {
    names: String,
    members: Vec<MemberSpan>,
    samples: Vec<Run>,
    end: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MemberSpan {
    // Ranges of `TarIndex::names`.
    name: (usize, usize),
    ext: (usize, usize),
    offset: u64,
    size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    key_len: usize,
    first_member: usize,
    start: u64,
    bytes: u64,
}

/// One member of a sample: where its data lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component<'a> {
    /// Extension, lower-case.
    pub ext: &'a str,
    /// Full name as found in the tar.
    pub name: &'a str,
    /// First byte of its data in the file (not of its header).
    pub offset: u64,
    /// Bytes of data, without padding.
    pub size: u64,
}

/// One sample of a [`TarIndex`].
#[derive(Debug, Clone, Copy)]
pub struct SampleSpan<'a> {
    index: &'a TarIndex,
    at: usize,
}

impl TarIndex {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Number of members in all samples.
    pub fn num_members(&self) -> usize {
        self.members.len()
    }

    /// End of the last member's padding: where the closing zero blocks begin.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Sample number `at`.
    pub fn sample(&self, at: usize) -> Option<SampleSpan<'_>> {
        (at < self.samples.len()).then_some(SampleSpan { index: self, at })
    }

    /// All samples in file order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = SampleSpan<'_>> + DoubleEndedIterator + Clone {
        (0..self.samples.len()).map(|at| SampleSpan { index: self, at })
    }

    /// Number of the first sample called `key`, found by looking at each.
    pub fn position(&self, key: &str) -> Option<usize> {
        self.iter().position(|sample| sample.key() == key)
    }

    pub(super) fn last(&self) -> Option<SampleSpan<'_>> {
        self.sample(self.samples.len().checked_sub(1)?)
    }

    pub(super) fn set_end(&mut self, end: u64) {
        self.end = end;
    }

    /// Adds a regular file; one whose name belongs to no sample is left out.
    pub(super) fn push_entry(&mut self, entry: &Entry) -> Result<(), TarRule> {
        let Some((key, ext)) = super::sample_name(&entry.name) else { return Ok(()) };
        let key_len = key.len();
        let ext = lower_ext(ext);
        let same = match self.last() {
            Some(last) if last.key() == key => {
                let bytes = self.samples.last().map_or(0, |run| run.bytes);
                admit(key, last.components().map(|c| c.ext), bytes, &ext, entry.size)?;
                true
            }
            _ => false,
        };
        if !same {
            self.begin_sample(key_len, entry.start);
        }
        let name = self.intern(&entry.name);
        let ext = match &ext {
            Cow::Borrowed(_) => (name.1 - (entry.name.len() - key_len - 1), name.1),
            Cow::Owned(lower) => self.intern(lower),
        };
        self.push_span(MemberSpan { name, ext, offset: entry.data, size: entry.size });
        Ok(())
    }

    /// Starts a sample at byte `start`; its members follow by [`push_member`](Self::push_member).
    pub(super) fn begin_sample(&mut self, key_len: usize, start: u64) {
        self.samples.push(Run { key_len, first_member: self.members.len(), start, bytes: 0 });
    }

    /// Adds `key.ext` to the sample begun last.
    pub(super) fn push_member(&mut self, key: &str, ext: &str, offset: u64, size: u64) {
        let from = self.names.len();
        self.names.extend([key, ".", ext]);
        let to = self.names.len();
        self.push_span(MemberSpan { name: (from, to), ext: (to - ext.len(), to), offset, size });
    }

    fn push_span(&mut self, span: MemberSpan) {
        if let Some(run) = self.samples.last_mut() {
            run.bytes += span.size;
        }
        self.members.push(span);
    }

    fn intern(&mut self, text: &str) -> (usize, usize) {
        let from = self.names.len();
        self.names.push_str(text);
        (from, self.names.len())
    }

    fn component(&self, span: &MemberSpan) -> Component<'_> {
        Component {
            ext: &self.names[span.ext.0..span.ext.1],
            name: &self.names[span.name.0..span.name.1],
            offset: span.offset,
            size: span.size,
        }
    }
}

impl<'a> SampleSpan<'a> {
    fn run(&self) -> &'a Run {
        &self.index.samples[self.at]
    }

    fn spans(&self) -> &'a [MemberSpan] {
        let end =
            self.index.samples.get(self.at + 1).map_or(self.index.members.len(), |next| next.first_member);
        &self.index.members[self.run().first_member..end]
    }

    /// The sample's number in its tar.
    pub fn number(&self) -> usize {
        self.at
    }

    /// The sample's key, as found in the tar, so it may hold folders.
    pub fn key(&self) -> &'a str {
        // A sample has at least one member.
        self.spans()
            .first()
            .map_or("", |span| &self.index.names[span.name.0..span.name.0 + self.run().key_len])
    }

    /// First byte of its first header, extension headers included.
    pub fn start(&self) -> u64 {
        self.run().start
    }

    /// End of its last member's padding.
    pub fn end(&self) -> u64 {
        self.spans().last().map_or(self.run().start, |span| span.offset + padded(span.size))
    }

    /// Bytes of data of all members.
    pub fn num_bytes(&self) -> u64 {
        self.run().bytes
    }

    /// Its members in file order.
    pub fn components(&self) -> impl ExactSizeIterator<Item = Component<'a>> + Clone + use<'a> {
        let index = self.index;
        self.spans().iter().map(move |span| index.component(span))
    }

    /// The member called `ext`.
    pub fn get(&self, ext: &str) -> Option<Component<'a>> {
        self.components().find(|c| c.ext == ext)
    }
}

/// An extension as samples know it.
pub(super) fn lower_ext(ext: &str) -> Cow<'_, str> {
    if ext.chars().any(char::is_uppercase) { Cow::Owned(ext.to_lowercase()) } else { Cow::Borrowed(ext) }
}

/// Whether one more member may join a sample that holds the extensions `held` and `bytes` bytes.
pub(super) fn admit<'a>(
    key: &str,
    mut held: impl ExactSizeIterator<Item = &'a str>,
    bytes: u64,
    ext: &str,
    size: u64,
) -> Result<(), TarRule> {
    if held.len() >= MAX_SAMPLE_MEMBERS {
        return Err(TarRule::TooManyMembers { key: key.to_owned() });
    }
    if bytes.saturating_add(size) > MAX_SAMPLE_BYTES {
        return Err(TarRule::SampleTooLarge { key: key.to_owned() });
    }
    if held.any(|other| other == ext) {
        return Err(TarRule::DuplicateMember { key: key.to_owned(), ext: ext.to_owned() });
    }
    Ok(())
}
