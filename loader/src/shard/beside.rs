//! Numbers of samples from files beside a shard: reading 8 bytes is cheaper than walking a tar's headers over a network.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use pairmill_shards::folder::{ShardFile, beside};
use pairmill_shards::index::{dali, energon};
use pairmill_shards::stats::MAX_STATS_BYTES;
use pairmill_shards::tar::has_indexes;

use crate::error::LoaderError;

/// The files that may give the count of a shard, in the order they are asked.
pub(crate) fn names(path: &Path) -> Vec<PathBuf> {
    let indexes = may_have_indexes(path).then(|| [energon::path_for(path), dali::path_for(path)]);
    indexes.into_iter().flatten().chain([stats_path(path)]).collect()
}

fn stats_path(path: &Path) -> PathBuf {
    beside(path, ShardFile::Stats)
}

/// What is read of the statistics: the rest takes no memory.
#[derive(serde::Deserialize)]
struct Stats {
    successes: u64,
}

/// The index of a compressed tar would be that of another tar of the same stem.
fn may_have_indexes(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(has_indexes)
}

/// The count that a file beside `path` gives, and that file; `None` where there is none.
pub(super) fn count(path: &Path) -> Result<Option<(usize, PathBuf)>, LoaderError> {
    if may_have_indexes(path) {
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
    match serde_json::from_slice(&bytes) {
        Ok(Stats { successes }) => Ok(Some((successes as usize, file))),
        Err(_) => Err(LoaderError::Beside { path: file, problem: "it has no number `successes`".to_owned() }),
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
