//! Tables by URL. Readers of tables seek, and go over some of them twice, so the files behind a URL are fetched into the
//! staging folder before anything is read, each checked against the length that the store gives, and kept until the run
//! is whole: a resumed run fetches only what changed. From there on they are files like any other.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use pairmill_shards::storage::{Bucket, BucketUrl, Location, Object, Scheme, StorageError};

use crate::config::Config;
use crate::error::IngestError;
use crate::output::{name_of, staging_error, staging_root};
use crate::table::{InputFormat, TableError};

/// The input of a run as files of this machine.
#[derive(Debug)]
pub struct LocalInput {
    /// What stands for the user's `url_list`.
    pub url_list: String,
    /// Marks of the files' content, by name.
    pub etags: BTreeMap<String, String>,
    /// Where they were fetched to, and its lock.
    fetched: Option<(PathBuf, File)>,
}

impl LocalInput {
    /// Fetches the input of `config` if it lies behind a URL. `note` hears of it.
    ///
    /// # Errors
    /// When there is no table at the URL, or store or disk refuse.
    pub fn fetch(config: &Config, note: &mut dyn FnMut(&str)) -> Result<Self, IngestError> {
        let url_list = config.input.url_list.clone();
        let Location::Bucket(url) = Location::parse(&url_list)? else {
            return Ok(Self { url_list, etags: BTreeMap::new(), fetched: None });
        };
        let named = config.input.input_format.as_deref().map(str::parse::<InputFormat>).transpose()?;
        let bucket = Bucket::connect(&url, &config.storage)?;
        let (folder_url, objects) = find(&bucket, &url, named)?;
        let bucket = bucket.at(folder_url);
        let folder = staging_root(config).join(format!("{}-input", name_of(&url_list)));
        fs::create_dir_all(&folder).map_err(|e| staging_error(&folder, e))?;
        let lock = folder.join(".lock");
        let lock = File::create(&lock).and_then(|file| file.lock().map(|()| file));
        let lock = lock.map_err(|e| staging_error(&folder, e))?;
        let mut input = Self { url_list, etags: BTreeMap::new(), fetched: None };
        let missing: Vec<&Object> = objects.iter().filter(|object| !is_here(&folder, object)).collect();
        if !missing.is_empty() {
            let bytes: u64 = missing.iter().map(|object| object.bytes).sum();
            note(&format!("fetching {} files ({bytes} bytes) of {url} into {}", missing.len(), folder.display()));
        }
        for object in &objects {
            let path = folder.join(&object.name);
            let mut etag = object.etag.clone();
            if !is_here(&folder, object) {
                let fetched = bucket.fetch(&object.name, &path)?;
                fs::write(etag_path(&path), fetched.etag.as_deref().unwrap_or_default())
                    .map_err(|e| staging_error(&path, e))?;
                etag = fetched.etag;
            }
            input.etags.extend(etag.map(|etag| (object.name.clone(), etag)));
        }
        discard_others(&folder, &objects)?;
        input.url_list = match objects.as_slice() {
            [only] => folder.join(&only.name).to_string_lossy().into_owned(),
            _ => folder.to_string_lossy().into_owned(),
        };
        input.fetched = Some((folder, lock));
        Ok(input)
    }

    /// Removes what was fetched: the run is whole.
    pub fn finish(self) {
        if let Some((folder, _lock)) = self.fetched {
            // A leftover costs room and nothing else.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// The tables behind a URL and the prefix they lie under: one object, those of a prefix, or those that match a pattern.
fn find(
    bucket: &Bucket,
    url: &BucketUrl,
    named: Option<InputFormat>,
) -> Result<(BucketUrl, Vec<Object>), IngestError> {
    let name = url.file_name().to_owned();
    let parent = bucket.at(url.parent());
    if url.scheme() == Scheme::Http {
        if name.is_empty() {
            let advice = "name the table itself";
            return Err(StorageError::Web { url: url.to_string(), advice }.into());
        }
        // Not every server answers HEAD; then it is fetched for certain.
        let known = parent.head(&name).ok().flatten();
        let object = known.unwrap_or(Object { name, bytes: 0, etag: None });
        return Ok((url.parent(), vec![object]));
    }
    let is_table = |object: &Object| {
        !object.name.starts_with('.')
            && InputFormat::of_path(Path::new(&object.name))
                .is_some_and(|format| named.is_none_or(|named| named == format))
    };
    let (from, mut objects) = if name.contains(['*', '?', '[']) {
        let pattern = glob::Pattern::new(&name).map_err(|error| TableError::BadGlob {
            pattern: url.to_string(),
            reason: error.to_string(),
        })?;
        let mut objects = parent.list()?;
        objects.retain(|object| !object.name.starts_with('.') && pattern.matches(&object.name));
        (url.parent(), objects)
    } else {
        let single = if name.is_empty() { None } else { parent.head(&name)? };
        match single {
            Some(object) => (url.parent(), vec![object]),
            None => {
                let mut objects = bucket.list()?;
                objects.retain(is_table);
                (url.clone(), objects)
            }
        }
    };
    objects.retain(|object| object.bytes > 0);
    if objects.is_empty() {
        let problem = "holds no parquet, csv, tsv, json, jsonl or txt table; check the URL, and give --input-format if the \
                       names have no such extension";
        return Err(StorageError::Url { url: url.to_string(), problem: problem.to_owned() }.into());
    }
    Ok((from, objects))
}

fn etag_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.etag"))
}

/// Whether the very content that the store speaks of has been fetched.
fn is_here(folder: &Path, object: &Object) -> bool {
    let path = folder.join(&object.name);
    let Some(etag) = &object.etag else { return false };
    fs::metadata(&path).is_ok_and(|meta| meta.len() == object.bytes)
        && fs::read_to_string(etag_path(&path)).is_ok_and(|known| known == *etag)
}

/// Removes tables of an earlier run that are no longer behind the URL: they would be read.
fn discard_others(folder: &Path, objects: &[Object]) -> Result<(), IngestError> {
    for entry in fs::read_dir(folder).map_err(|e| staging_error(folder, e))? {
        let path = entry.map_err(|e| staging_error(folder, e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with('.') && !objects.iter().any(|object| object.name == name) {
            fs::remove_file(&path).map_err(|e| staging_error(&path, e))?;
        }
    }
    Ok(())
}
