//! Numbers of samples from files beside a shard: reading 8 bytes is cheaper than walking a tar's headers over a network.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use pairmill_shards::index::{dali, energon};

use crate::error::LoaderError;

/// Largest stats file (FORMAT.md §6).
const MAX_STATS_BYTES: u64 = 64 << 20;

/// The files that may give the count of a shard, in the order they are asked.
pub(crate) fn names(path: &Path) -> Vec<PathBuf> {
    let is_tar = path.extension().is_some_and(|ext| ext == "tar");
    let indexes = is_tar.then(|| [energon::path_for(path), dali::path_for(path)]);
    indexes.into_iter().flatten().chain([stats_path(path)]).collect()
}

fn stats_path(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}_stats.json"))
}

/// The count that a file beside `path` gives, and that file; `None` where there is none.
pub(super) fn count(path: &Path) -> Result<Option<(usize, PathBuf)>, LoaderError> {
    let is_tar = path.extension().is_some_and(|ext| ext == "tar");
    if is_tar {
        // One offset of 8 bytes per sample, then the end.
        let file = energon::path_for(path);
        if let Ok(meta) = std::fs::metadata(&file) {
            return match (meta.len() % 8, (meta.len() / 8).checked_sub(1)) {
                (0, Some(samples)) => Ok(Some((samples as usize, file))),
                _ => Err(LoaderError::Beside { path: file, problem: "it is no array of offsets".to_owned() }),
            };
        }
        let file = dali::path_for(path);
        if file.exists() {
            let count = first_line(&file)?.split_whitespace().nth(1).and_then(|word| word.parse().ok());
            let problem = "its first line has no number of samples".to_owned();
            return match count {
                Some(samples) => Ok(Some((samples, file))),
                None => Err(LoaderError::Beside { path: file, problem }),
            };
        }
    }
    let file = stats_path(path);
    if !file.exists() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let open = std::fs::File::open(&file).map_err(|source| unreadable(&file, source))?;
    open.take(MAX_STATS_BYTES).read_to_end(&mut bytes).map_err(|source| unreadable(&file, source))?;
    let stats: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    match stats["successes"].as_u64() {
        Some(successes) => Ok(Some((successes as usize, file))),
        None => Err(LoaderError::Beside { path: file, problem: "it has no number `successes`".to_owned() }),
    }
}

fn first_line(file: &Path) -> Result<String, LoaderError> {
    let open = std::fs::File::open(file).map_err(|source| unreadable(file, source))?;
    let mut line = String::new();
    // A line of an index is short; what is no index may have none at all.
    let mut head = BufReader::new(open.take(256));
    head.read_line(&mut line).map_err(|source| unreadable(file, source))?;
    Ok(line)
}

fn unreadable(file: &Path, source: std::io::Error) -> LoaderError {
    LoaderError::File { path: file.to_owned(), action: "read", source }
}
