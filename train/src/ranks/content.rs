//! What ranks compare, by content: the program, the vocabulary, the shards. Paths may differ from machine to machine;
//! what lies there may not.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use pairmill_loader::{Dataset, ShardInfo};
use pairmill_shards::atomic::{FileAction, FileError};
use pairmill_shards::words::{grouped, hex};
use pairmill_tokens::{CONTEXT_LENGTH, Tokenizer, VOCABULARY};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::checkpoint::State;

/// Bytes at the beginning and at the end of a shard that are looked at, besides its length.
const LOOKED_AT: u64 = 32 << 10;
/// Shards that are looked at side by side: it is the disk that is waited for.
const MAX_LOOKERS: usize = 16;
/// Hexadecimal digits of a digest.
const DIGITS: usize = 16;

/// The start of a SHA-256 in hex.
pub fn short(digest: impl AsRef<[u8]>) -> String {
    hex(digest.as_ref()).chars().take(DIGITS).collect()
}

/// This program: its version, that of libtorch, and the bytes of its file.
pub fn program() -> Value {
    let file = std::env::current_exe().and_then(File::open).and_then(|mut file| {
        let mut hash = Sha256::new();
        let mut part = vec![0; 1 << 20];
        loop {
            match file.read(&mut part)? {
                0 => return Ok(short(hash.finalize())),
                read => hash.update(&part[..read]),
            }
        }
    });
    json!({
        "version": State::tool(),
        "libtorch": env!("PAIRMILL_TORCH_VERSION"),
        "file": file.unwrap_or_else(|_| "unreadable".to_owned()),
    })
}

/// Every token of the vocabulary, and the length of a row.
pub fn vocabulary(tokenizer: &Tokenizer) -> Value {
    let mut hash = Sha256::new();
    for id in 0..VOCABULARY as u32 {
        hash.update(tokenizer.decode(&[id]));
        hash.update([0]);
    }
    json!({ "tokens": VOCABULARY, "context_length": CONTEXT_LENGTH, "content": short(hash.finalize()) })
}

/// The shards of a dataset, in order, each by name, samples, length and the bytes at both ends; and in a few words.
///
/// # Errors
/// When a shard cannot be read.
pub fn shards(dataset: &Dataset) -> Result<(String, Value), FileError> {
    let mut sources = Vec::new();
    for source in dataset.sources() {
        let looked = look_at_all(&source.shards)?;
        let named = source.shards.iter().zip(&source.counts).zip(looked);
        let list: Vec<String> = named
            .map(|((shard, samples), content)| format!("{} with {samples} samples ({content})", name(shard)))
            .collect();
        sources.push(json!({ "weight": source.spec.weight, "shards": list }));
    }
    let count: usize = dataset.sources().iter().map(|source| source.shards.len()).sum();
    let plural = if count == 1 { "" } else { "s" };
    let summary = format!("{count} shard{plural} of {} samples", grouped(dataset.num_samples()));
    Ok((summary, json!({ "sources": sources })))
}

fn name(shard: &ShardInfo) -> String {
    shard.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// In the order of the shards; the first error of that order.
fn look_at_all(shards: &[ShardInfo]) -> Result<Vec<String>, FileError> {
    let next = AtomicUsize::new(0);
    let look = || {
        let mut mine = Vec::new();
        while let Some((at, shard)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            shards.get(at).map(|shard| (at, shard))
        } {
            mine.push((at, look_at(shard)));
        }
        mine
    };
    let mut found: Vec<(usize, Result<String, FileError>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..MAX_LOOKERS.min(shards.len())).map(|_| scope.spawn(look)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, content)| content).collect()
}

/// A file by its length and the bytes at both ends.
///
/// # Errors
/// When it cannot be read.
pub fn file(path: &Path) -> Result<String, FileError> {
    look_at_file(path).map_err(|error| FileError::new(path, FileAction::Read, error))
}

fn look_at(shard: &ShardInfo) -> Result<String, FileError> {
    // One behind a URL is the same for all who fetch it; where it lies once fetched is each machine's own.
    match &shard.url {
        Some(url) => {
            let public = url.split(['?', '#']).next().unwrap_or_default();
            Ok(format!("URL {}", short(Sha256::digest(public))))
        }
        None => file(&shard.path),
    }
}

fn look_at_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut hash = Sha256::new();
    let mut part = Vec::new();
    (&mut file).take(LOOKED_AT).read_to_end(&mut part)?;
    hash.update(&part);
    file.seek(SeekFrom::Start(length.saturating_sub(LOOKED_AT)))?;
    part.clear();
    file.take(LOOKED_AT).read_to_end(&mut part)?;
    hash.update(&part);
    Ok(format!("{} bytes, {}", grouped(length), short(hash.finalize())))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn shard(path: PathBuf) -> ShardInfo {
        ShardInfo { path, url: None, counted: String::new() }
    }

    #[test]
    fn t02_a_shard_is_known_by_its_content_and_not_by_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
            let path = folder.path().join(name).join("00000.tar");
            std::fs::write(&path, bytes).unwrap();
            shard(path)
        };
        let bytes = vec![7u8; 100_000];
        let (mut early, mut late) = (bytes.clone(), bytes.clone());
        early[100] = 8;
        late[99_000] = 8;
        let all = [write("a", &bytes), write("b", &bytes), write("c", &early), write("d", &late)];
        let found = look_at_all(&all).unwrap();
        assert_eq!(found[0], found[1]);
        assert!(found[2] != found[0] && found[3] != found[0] && found[2] != found[3], "{found:?}");
        let missing = look_at_all(&[shard(folder.path().join("none.tar"))]).unwrap_err();
        assert!(missing.to_string().contains("none.tar"), "{missing}");
        let url = |url: &str| ShardInfo { url: Some(url.to_owned()), ..shard("x/00000.tar".into()) };
        let signed = [url("s3://b/00000.tar?signature=1"), url("s3://b/00000.tar?signature=2")];
        assert_eq!(look_at(&signed[0]).unwrap(), look_at(&signed[1]).unwrap());
    }
}
