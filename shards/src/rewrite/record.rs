//! What a folder of rewritten shards is made of, so that only the same command goes on in it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Carrier, Choice, DONE_FILE, RewriteConfig, RewriteError};
use crate::atomic::{FileAction, FileError, write_atomic};
use crate::folder::{DatasetFolder, PAIRMILL_FOLDER};
use crate::stamp::Stamp;
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    members: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Input {
    name: String,
    bytes: u64,
    /// Absent in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Stamp>,
}

impl Record {
    pub(super) fn of(config: &RewriteConfig, carrier: &dyn Carrier) -> Result<Self, RewriteError> {
        let input = |path: &PathBuf| {
            let (name, bytes) = carrier.named(path);
            Ok(Input { name, bytes, content: carrier.stamp(path)? })
        };
        Ok(Self {
            inputs: config.inputs.iter().map(input).collect::<Result<_, RewriteError>>()?,
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
            members: config.members.clone(),
        })
    }

    /// Writes the record into an empty folder, or finds the same one there. That of a run which made no shard, since its
    /// input was refused, say, is replaced. Says of which input it could not be told whether it is the same, if there is
    /// one.
    pub(super) fn claim(&self, output: &Path, carrier: &dyn Carrier) -> Result<Option<String>, RewriteError> {
        let folder = output.join(PAIRMILL_FOLDER);
        fs::create_dir_all(&folder).map_err(|e| FileError::new(&folder, FileAction::Create, e))?;
        let path = folder.join(RECORD_FILE);
        let untold = match fs::read(&path) {
            Ok(bytes) => {
                let found: Self = serde_json::from_slice(&bytes)
                    .map_err(|e| RewriteError::Record { path: path.clone(), problem: e.to_string() })?;
                match found.untold(self, output) {
                    Ok(Some(name)) => Some(name),
                    Ok(None) => return Ok(None),
                    Err(_) if DatasetFolder::scan(output)?.is_empty() => None,
                    Err(error) => return Err(error),
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                if !DatasetFolder::scan(output)?.is_empty() {
                    return Err(RewriteError::Taken {
                        folder: output.to_owned(),
                        what: RewriteError::OTHER_SHARDS,
                    });
                }
                None
            }
            Err(e) => return Err(FileError::new(path, FileAction::Read, e).into()),
        };
        // What an earlier run of another record made is gone.
        let done = folder.join(DONE_FILE);
        match fs::remove_file(&done) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(FileError::new(done, FileAction::Remove, e).into());
            }
            _ => {}
        }
        // Over an earlier version's record too: what is made from here on is of this content.
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| RewriteError::Record { path: path.clone(), problem: e.to_string() })?;
        write_atomic(path, text.as_bytes())?;
        carrier.publish(&format!("{PAIRMILL_FOLDER}/{RECORD_FILE}"))?;
        Ok(untold)
    }

    /// Holds `now` against this record of a run that began: the first input of which only name and size can be
    /// compared.
    fn untold(&self, now: &Self, output: &Path) -> Result<Option<String>, RewriteError> {
        // The same contents may have moved, or be named another way.
        let told = self.inputs.len() == now.inputs.len()
            && self.inputs.iter().zip(&now.inputs).all(|(then, now)| {
                let contents = then.content.as_ref().zip(now.content.as_ref());
                contents.and_then(|(then, now)| then.agrees_with(now)) == Some(true)
            });
        let bare = |record: &Self| match told {
            true => Self { inputs: Vec::new(), ..record.without_contents() },
            false => record.without_contents(),
        };
        if bare(self) != bare(now) {
            return Err(RewriteError::Taken { folder: output.to_owned(), what: RewriteError::OTHER_RUN });
        }
        let mut untold = None;
        for (then, now) in self.inputs.iter().zip(&now.inputs) {
            let contents = then.content.as_ref().zip(now.content.as_ref());
            match contents.and_then(|(then, now)| then.agrees_with(now)) {
                Some(true) => {}
                Some(false) => {
                    let (folder, input) = (output.to_owned(), now.name.clone());
                    return Err(RewriteError::OtherInput { folder, input });
                }
                None => untold = untold.or_else(|| Some(now.name.clone())),
            }
        }
        Ok(untold)
    }

    fn without_contents(&self) -> Self {
        let bare = |input: &Input| Input { name: input.name.clone(), bytes: input.bytes, content: None };
        Self {
            inputs: self.inputs.iter().map(bare).collect(),
            choice: self.choice.clone(),
            duplicates: self.duplicates.clone(),
            unsorted: self.unsorted.clone(),
            bad_samples: self.bad_samples.clone(),
            members: self.members.clone(),
            ..*self
        }
    }
}
