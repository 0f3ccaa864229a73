//! A tar mapped into memory: samples by number, their bytes borrowed from the page cache. The whole tar is parsed
//! on opening (one page per member is touched), so a damaged shard is known before its first sample is used.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::entries::{Broken, Entries, Entry, Slice};
use super::error::{TarError, TarRule};
use super::index::{SampleSpan, TarIndex};
use super::{EndMarker, map};
use crate::sample::{CAPTION_EXT, IMAGE_EXTS, METADATA_EXT, Member, Sample};

/// Parses a whole tar that lies in memory; `path` is for messages.
///
/// # Errors
/// The first rule the tar breaks.
pub fn scan(bytes: &[u8], path: &Path, end_marker: EndMarker) -> Result<TarIndex, TarError> {
    let named = |Broken { offset, rule }| TarError { path: path.to_path_buf(), offset, rule };
    let mut entries = Entries::new(Slice(bytes), end_marker);
    let mut entry = Entry::default();
    let mut index = TarIndex::default();
    while entries.next_entry(&mut entry).map_err(named)? {
        index.push_entry(&entry).map_err(|rule| named(Broken { offset: entry.start, rule }))?;
        entries.skip_data(&entry).map_err(named)?;
    }
    index.set_end(entry.start);
    Ok(index)
}

/// An open tar shard with random access.
#[derive(Debug)]
pub struct MappedTar {
    path: PathBuf,
    // None for an empty file, which cannot be mapped everywhere.
    map: Option<memmap2::Mmap>,
    index: TarIndex,
}

/// One sample of a [`MappedTar`], its bytes borrowed.
#[derive(Debug, Clone, Copy)]
pub struct MappedSample<'a> {
    span: SampleSpan<'a>,
    bytes: &'a [u8],
}

impl MappedTar {
    /// Maps and parses `path`, which must end in its closing zero blocks.
    ///
    /// # Errors
    /// When the file cannot be opened or mapped, or breaks a rule.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, TarError> {
        Self::open_with(path, EndMarker::Required)
    }

    /// [`open`](Self::open) with a choice about the closing zero blocks.
    ///
    /// # Errors
    /// When the file cannot be opened or mapped, or breaks a rule.
    pub fn open_with(path: impl Into<PathBuf>, end_marker: EndMarker) -> Result<Self, TarError> {
        let path = path.into();
        let unreadable = |e| TarError { path: path.clone(), offset: 0, rule: TarRule::Read(e) };
        let file = File::open(&path).map_err(unreadable)?;
        let map = match file.metadata().map_err(unreadable)?.len() {
            0 => None,
            _ => Some(map::map_read_only(&file).map_err(unreadable)?),
        };
        let index = scan(map.as_deref().unwrap_or_default(), &path, end_marker)?;
        Ok(Self { path, map, index })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }

    /// Where everything lies.
    pub fn index(&self) -> &TarIndex {
        &self.index
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Sample number `at`.
    pub fn sample(&self, at: usize) -> Option<MappedSample<'_>> {
        let span = self.index.sample(at)?;
        Some(MappedSample { span, bytes: self.bytes() })
    }

    /// All samples in file order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = MappedSample<'_>> + DoubleEndedIterator {
        let bytes = self.bytes();
        self.index.iter().map(move |span| MappedSample { span, bytes })
    }
}

impl<'a> MappedSample<'a> {
    /// The sample's key, as found in the tar.
    pub fn key(&self) -> &'a str {
        self.span.key()
    }

    /// Where it lies.
    pub fn span(&self) -> SampleSpan<'a> {
        self.span
    }

    /// Extensions and bytes of its members, in file order.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        self.span.components().map(move |c| (c.ext, cut(bytes, c.offset, c.size)))
    }

    /// The bytes of the member called `ext`.
    pub fn get(&self, ext: &str) -> Option<&'a [u8]> {
        self.span.get(ext).map(|c| cut(self.bytes, c.offset, c.size))
    }

    /// Extension and bytes of the image: the first of [`IMAGE_EXTS`] that is present.
    pub fn image(&self) -> Option<(&'static str, &'a [u8])> {
        IMAGE_EXTS.iter().find_map(|ext| Some((*ext, self.get(ext)?)))
    }

    /// The caption's bytes, if there is one; meant to be UTF-8.
    pub fn caption(&self) -> Option<&'a [u8]> {
        self.get(CAPTION_EXT)
    }

    /// The metadata's bytes, if there are any; meant to be a JSON object.
    pub fn metadata(&self) -> Option<&'a [u8]> {
        self.get(METADATA_EXT)
    }

    /// A copy that owns its bytes.
    pub fn to_sample(&self) -> Sample {
        let members = self.members().map(|(ext, data)| Member { ext: ext.to_owned(), data: data.to_vec() });
        Sample { key: self.key().to_owned(), members: members.collect() }
    }
}

/// The scan has checked every span against the length of the map, so nothing is ever cut short here.
fn cut(bytes: &[u8], offset: u64, size: u64) -> &[u8] {
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let to = from.saturating_add(usize::try_from(size).unwrap_or(usize::MAX)).min(bytes.len());
    &bytes[from..to]
}
