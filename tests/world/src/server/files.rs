//! A folder of real files, read once and served from memory: benchmarks then measure no disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::cache::Body;
use crate::error::{Error, Result};

/// Most bytes a root folder may hold.
const MAX_ROOT_BYTES: u64 = 4 << 30;

/// Files by their path below the root, `/` between folders.
#[derive(Default)]
pub(super) struct Files(BTreeMap<String, Body>);

impl Files {
    pub(super) fn load(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut left = MAX_ROOT_BYTES;
        let mut folders = vec![(root.to_owned(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(Error::io(&folder))? {
                let path = entry.map_err(Error::io(&folder))?.path();
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                let metadata = fs::metadata(&path).map_err(Error::io(&path))?;
                if metadata.is_dir() {
                    folders.push((path, format!("{prefix}{name}/")));
                    continue;
                }
                left = left.checked_sub(metadata.len()).ok_or_else(|| {
                    Error::Config(format!(
                        "{}: holds more than {} GiB, which are served from memory; choose a smaller folder",
                        root.display(),
                        MAX_ROOT_BYTES >> 30
                    ))
                })?;
                let bytes = fs::read(&path).map_err(Error::io(&path))?;
                files.insert(format!("{prefix}{name}"), bytes.into());
            }
        }
        Ok(Self(files))
    }

    pub(super) fn get(&self, name: &str) -> Option<Body> {
        self.0.get(name).cloned()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// MIME type by ending, as a web server guesses it.
pub(super) fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "txt" | "csv" | "tsv" => "text/plain; charset=utf-8",
        "json" | "jsonl" => "application/json",
        "html" => "text/html; charset=utf-8",
        _ => "application/octet-stream",
    }
}
