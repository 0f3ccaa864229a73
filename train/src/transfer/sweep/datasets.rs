//! What each dataset held when the first run on it began, noted in the sweep's folder. The runs' names tell labels and
//! names of pictures apart, not the pictures; a sweep that goes on over other pictures would table both as one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use pairmill_shards::atomic::{FileAction, FileError, write_atomic};
use pairmill_shards::stamp::Stamp;
use serde::{Deserialize, Serialize};

use super::plan::{Plan, Task};
use super::run::RUNS;
use crate::error::TrainError;

/// In the sweep's folder.
const DATASETS: &str = "datasets.json";

#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    /// For people.
    name: String,
    content: Stamp,
}

/// Notes the datasets of `plan` in `folder`, or finds the same ones there. Gives what the user should know where an
/// earlier version left no note.
///
/// # Errors
/// When a dataset is another one than the folder's runs were made on, or cannot be read.
pub fn claim(plan: &Plan, folder: &Path) -> Result<Option<String>, TrainError> {
    let path = folder.join(DATASETS);
    let known: Option<BTreeMap<String, Noted>> = match fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|error| {
            TrainError::Transfer(format!(
                "{}: not a note of datasets ({error}); remove it to go on as if they were unchanged",
                path.display()
            ))
        })?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(FileError::new(path, FileAction::Read, error).into()),
    };
    let untold = known.is_none() && folder.join(RUNS).is_dir();
    let mut noted = known.unwrap_or_default();
    for task in &plan.tasks {
        let Task { set, fingerprint, .. } = task;
        let content = set.stamp()?;
        if let Some(then) = noted.get(fingerprint)
            && then.content.agrees_with(&content) == Some(false)
        {
            return Err(TrainError::Transfer(format!(
                "{}: its pictures are not those that the runs in {} were made on, though names and labels are; bring \
                 the former ones back, or give another folder",
                set.name,
                folder.display()
            )));
        }
        noted.entry(fingerprint.clone()).or_insert(Noted { name: set.name.clone(), content });
    }
    let text =
        serde_json::to_string_pretty(&noted).map_err(|error| TrainError::Transfer(error.to_string()))?;
    write_atomic(path, text.as_bytes())?;
    let folder = folder.display();
    Ok(untold.then(|| {
        format!(
            "{folder}: an earlier version began it and noted no pictures, so nothing shows whether they are still the \
             same; going on as if they were"
        )
    }))
}
