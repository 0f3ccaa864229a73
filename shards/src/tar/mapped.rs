//! A tar mapped into memory: samples by number, their bytes borrowed from the page cache. The whole tar is parsed
//! on opening (one page per member is touched), so a damaged shard is known before its first sample is used.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::entries::Broken;
use super::error::{TarError, TarRule};
use super::index::{SampleSpan, TarIndex};
use super::skipped::{BadMember, Skipped};
use super::{EndMarker, TarOptions, gather, map, source};
use crate::sample::{CAPTION_EXT, IMAGE_EXTS, METADATA_EXT, Member, Sample};

/// Parses a whole tar that lies in memory, uncompressed; `path` is for messages.
///
/// # Errors
/// The first rule the tar breaks.
pub fn scan(bytes: &[u8], path: &Path, options: impl Into<TarOptions>) -> Result<TarIndex, TarError> {
    let named = |Broken { offset, rule }| TarError { path: path.to_path_buf(), offset, rule };
    gather::index_of(bytes, &options.into()).map_err(named)
}

/// An open tar shard with random access.
#[derive(Debug)]
pub struct MappedTar {
    path: PathBuf,
    // None for an empty file, which cannot be mapped everywhere.
    map: Option<memmap2::Mmap>,
    index: TarIndex,
    is_unpacked: bool,
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

    /// [`open`](Self::open) with other choices than the strictest, of which the closing zero blocks are one. A compressed
    /// tar is unpacked into an unnamed file, which goes with the reader.
    ///
    /// # Errors
    /// When the file cannot be opened, unpacked or mapped, or breaks a rule.
    pub fn open_with(path: impl Into<PathBuf>, options: impl Into<TarOptions>) -> Result<Self, TarError> {
        let (path, options) = (path.into(), options.into());
        let failed = |rule| TarError { path: path.clone(), offset: 0, rule };
        let unreadable = |e| failed(TarRule::Read(e));
        let file = File::open(&path).map_err(unreadable)?;
        let (file, is_unpacked) = source::plain(file, options.scratch.as_deref()).map_err(failed)?;
        let map = match file.metadata().map_err(unreadable)?.len() {
            0 => None,
            _ => Some(map::map_read_only(&file).map_err(unreadable)?),
        };
        let index = scan(map.as_deref().unwrap_or_default(), &path, &options)?;
        Ok(Self { path, map, index, is_unpacked })
    }

    /// Whether the file is compressed, so that places in it are those of the unpacked bytes.
    pub fn is_unpacked(&self) -> bool {
        self.is_unpacked
    }

    /// What was passed over.
    pub fn skipped(&self) -> &Skipped {
        self.index.skipped()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole file, unpacked.
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

    /// What is wrong with it, where samples with something wrong are kept.
    pub fn problem(&self) -> Option<&'a BadMember> {
        self.span.problem()
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
