//! What a folder of rewritten shards is made of, so that only the same command goes on in it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Carrier, Choice, RewriteConfig, RewriteError};
use crate::atomic::{FileAction, FileError, write_atomic};
use crate::folder::{DatasetFolder, PAIRMILL_FOLDER};
use crate::tar::{BadSamples, Unsorted};

/// In `_pairmill`.
pub const RECORD_FILE: &str = "rewrite.json";

/// Inputs and settings.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    inputs: Vec<Input>,
    choice: String,
    /// Absent in records of versions without the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duplicates: Option<String>,
    shuffle: Option<u64>,
    samples_per_shard: u64,
    oom_shard_count: u32,
    /// How the inputs are read, where that is not the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unsorted: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bad_samples: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Input {
    name: String,
    bytes: u64,
}

impl Record {
    pub(super) fn of(config: &RewriteConfig, carrier: &dyn Carrier) -> Self {
        let input = |path: &PathBuf| {
            let (name, bytes) = carrier.named(path);
            Input { name, bytes }
        };
        Self {
            inputs: config.inputs.iter().map(input).collect(),
            choice: match config.choice {
                Choice::All => "all".to_owned(),
                Choice::Prefix { size } => format!("the first {size}"),
                Choice::Subset { size, seed } => format!("{size} by seed {seed}"),
            },
            duplicates: config.duplicates.map(|rule| rule.words()),
            shuffle: config.shuffle,
            samples_per_shard: config.layout.samples_per_shard(),
            oom_shard_count: config.layout.oom_shard_count(),
            unsorted: (config.tar.unsorted != Unsorted::Stop).then(|| config.tar.unsorted.to_string()),
            bad_samples: (config.tar.bad_samples != BadSamples::Stop)
                .then(|| config.tar.bad_samples.to_string()),
        }
    }

    /// Writes the record into an empty folder, or finds the same one there. That of a run which made no shard, since its
    /// input was refused, say, is replaced.
    pub(super) fn claim(&self, output: &Path, carrier: &dyn Carrier) -> Result<(), RewriteError> {
        let folder = output.join(PAIRMILL_FOLDER);
        fs::create_dir_all(&folder).map_err(|e| FileError::new(&folder, FileAction::Create, e))?;
        let path = folder.join(RECORD_FILE);
        match fs::read(&path) {
            Ok(bytes) => {
                let found: Self = serde_json::from_slice(&bytes)
                    .map_err(|e| RewriteError::Record { path: path.clone(), problem: e.to_string() })?;
                if found == *self {
                    return Ok(());
                }
                if !DatasetFolder::scan(output)?.is_empty() {
                    return Err(RewriteError::Taken {
                        folder: output.to_owned(),
                        what: RewriteError::OTHER_RUN,
                    });
                }
                self.write(path, carrier)
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                if !DatasetFolder::scan(output)?.is_empty() {
                    return Err(RewriteError::Taken {
                        folder: output.to_owned(),
                        what: RewriteError::OTHER_SHARDS,
                    });
                }
                self.write(path, carrier)
            }
            Err(e) => Err(FileError::new(path, FileAction::Read, e).into()),
        }
    }

    fn write(&self, path: PathBuf, carrier: &dyn Carrier) -> Result<(), RewriteError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| RewriteError::Record { path: path.clone(), problem: e.to_string() })?;
        write_atomic(path, text.as_bytes())?;
        carrier.publish(&format!("{PAIRMILL_FOLDER}/{RECORD_FILE}"))
    }
}
