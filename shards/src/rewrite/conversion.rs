//! What `convert` is to make in a folder: noted before the first shard, so that a run that was killed is told from a whole
//! one and goes on where it stopped. Several runs may fill one folder, each with shards of other names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::RewriteError;
use crate::atomic::{FileAction, FileError, write_atomic};
use crate::folder::{PAIRMILL_FOLDER, ShardFile};
use crate::stamp::Stamp;

/// In `_pairmill`.
pub const CONVERSIONS_FILE: &str = "convert.json";
/// A longer one is none of ours: a million shards take half of it.
const MAX_BYTES: u64 = 512 << 20;

/// The shards that `convert` was to make in a folder, by name.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversions {
    shards: BTreeMap<String, Conversion>,
}

/// One of them: what it is made of, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversion {
    /// File or URL of the shard it is made of.
    pub input: String,
    /// Bytes of that.
    pub bytes: u64,
    /// What it holds, as far as that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Stamp>,
    /// Settings that decide what is written, where they are not the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    /// Whether a Parquet shard is made rather than a tar.
    pub to_parquet: bool,
    /// Whether the input has statistics, which are copied last.
    pub has_stats: bool,
}

impl Conversion {
    /// Whether the shard `name` is whole, by the names of the files that are there.
    pub fn is_whole(&self, name: &str, is_there: impl Fn(&str) -> bool) -> bool {
        let images = if self.to_parquet { ShardFile::Table } else { ShardFile::Tar };
        is_there(&images.name(name)) && (!self.has_stats || is_there(&ShardFile::Stats.name(name)))
    }

    /// Whether another run would make the same shard: of the same input with the same settings.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let contents = self.content.as_ref().zip(other.content.as_ref());
        let same_content = match contents.and_then(|(one, other)| one.agrees_with(other)) {
            Some(same) => same,
            None => self.input == other.input,
        };
        same_content
            && self.bytes == other.bytes
            && self.settings == other.settings
            && (self.to_parquet, self.has_stats) == (other.to_parquet, other.has_stats)
    }
}

impl Conversions {
    /// What is noted in `folder`; nothing where there is no note.
    ///
    /// # Errors
    /// When the note cannot be read or understood.
    pub fn read(folder: &Path) -> Result<Self, RewriteError> {
        let path = folder.join(PAIRMILL_FOLDER).join(CONVERSIONS_FILE);
        let mut text = Vec::new();
        match File::open(&path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(FileError::new(path, FileAction::Read, e).into()),
            Ok(_) => {}
        }
        serde_json::from_slice(&text).map_err(|e| RewriteError::Record { path, problem: e.to_string() })
    }

    /// Writes the note into `folder`, whose `_pairmill` is there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, folder: &Path) -> Result<(), RewriteError> {
        let path = folder.join(PAIRMILL_FOLDER).join(CONVERSIONS_FILE);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|e| RewriteError::Record { path: path.clone(), problem: e.to_string() })?;
        Ok(write_atomic(path, &text)?)
    }

    /// What is noted of the shard `name`.
    pub fn get(&self, name: &str) -> Option<&Conversion> {
        self.shards.get(name)
    }

    /// Notes a shard, in the place of an earlier note.
    pub fn insert(&mut self, name: &str, conversion: Conversion) {
        self.shards.insert(name.to_owned(), conversion);
    }

    /// Whether nothing is noted.
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// The shards that are not whole, by the names of the files that are there.
    pub fn unmade<'a>(
        &'a self,
        is_there: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = (&'a str, &'a Conversion)> {
        let shards = self.shards.iter().map(|(name, conversion)| (name.as_str(), conversion));
        shards.filter(move |(name, conversion)| !conversion.is_whole(name, &is_there))
    }
}
