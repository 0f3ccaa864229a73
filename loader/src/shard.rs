//! A shard that is open for random access: a tar, mapped; or a compressed tar, or the rows of a Parquet shard, unpacked
//! into an unnamed file.

mod beside;
mod rows;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use pairmill_shards::tar::{BadSamples, EndMarker, MappedTar, TarOptions, is_tar_name};

pub(crate) use self::beside::names as beside_names;
use self::rows::Rows;
use crate::config::{Counts, DatasetConfig};
use crate::error::LoaderError;
use crate::sample::RawSample;
use crate::skipped::BadReason;

/// What a shard is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tar,
    Parquet,
}

impl Kind {
    pub fn of(path: &Path) -> Result<Self, LoaderError> {
        match path.file_name().and_then(|name| name.to_str()) {
            Some(name) if is_tar_name(name) => Ok(Self::Tar),
            Some(name) if name.ends_with(".parquet") => Ok(Self::Parquet),
            _ => Err(LoaderError::Kind { path: path.to_owned() }),
        }
    }
}

#[derive(Debug)]
pub(crate) struct OpenShard {
    pub path: PathBuf,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Tar(MappedTar),
    Rows(Rows),
}

/// Number of samples of a shard, and where it is known from.
pub(crate) fn count(path: &Path, config: &DatasetConfig) -> Result<(usize, String), LoaderError> {
    if config.counts == Counts::Beside
        && let Some((count, file)) = beside::count(path)?
    {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        return Ok((count, format!("by {name}")));
    }
    let count = match Kind::of(path)? {
        Kind::Tar => open_tar(path, config)?.len(),
        Kind::Parquet => rows::count(path)?,
    };
    Ok((count, "by scanning".to_owned()))
}

fn open_tar(path: &Path, config: &DatasetConfig) -> Result<MappedTar, LoaderError> {
    let options = TarOptions {
        end_marker: if config.lenient_end { EndMarker::Optional } else { EndMarker::Required },
        unsorted: config.unsorted,
        // A bad sample has its place in the order like any other, and is replaced there.
        bad_samples: BadSamples::Keep,
        scratch: config.scratch.clone(),
    };
    Ok(MappedTar::open_with(path, options)?)
}

impl OpenShard {
    pub fn open(path: &Path, config: &DatasetConfig) -> Result<Self, LoaderError> {
        let content = match Kind::of(path)? {
            Kind::Tar => Content::Tar(open_tar(path, config)?),
            Kind::Parquet => Content::Rows(Rows::unpack(path, config)?),
        };
        Ok(Self { path: path.to_owned(), content })
    }

    pub fn len(&self) -> usize {
        match &self.content {
            Content::Tar(tar) => tar.len(),
            Content::Rows(rows) => rows.len(),
        }
    }

    /// Sample number `at`; rows of Parquet are read into `scratch`.
    pub fn read<'a>(&'a self, at: usize, scratch: &'a mut Vec<u8>) -> Result<RawSample<'a>, BadReason> {
        match &self.content {
            Content::Tar(tar) => {
                let sample = tar.sample(at).ok_or_else(|| BadReason::Read(format!("no sample {at}")))?;
                let (key, problem) = (Cow::Borrowed(sample.key()), sample.problem().cloned());
                Ok(RawSample { key, members: sample.members().collect(), is_caption_list: false, problem })
            }
            Content::Rows(rows) => rows.read(at, scratch),
        }
    }
}
