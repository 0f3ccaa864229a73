//! Files of buckets, by the clients of `pairmill_shards::storage`, which know credentials, retries and how to go on in the
//! middle. One client a bucket.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use pairmill_shards::spec::of_kind;
use pairmill_shards::storage::{Bucket, BucketUrl, Location, StorageConfig, StorageError};

use super::fetch::{Fetched, part_of, persist};
use crate::error::LoaderError;

/// Status of what is not there, as a web server would give it.
const NOT_FOUND: u16 = 404;

#[derive(Debug, Default)]
pub(super) struct Buckets(Mutex<HashMap<String, Bucket>>);

/// Whether a name is the URL of a bucket.
pub(super) fn is_bucket(name: &str) -> bool {
    let schemes = ["s3", "s3a", "gs", "az", "abfs", "abfss", "adl", "azure"];
    name.split_once("://").is_some_and(|(scheme, _)| schemes.contains(&scheme))
}

impl Buckets {
    /// URLs of the tars right under a prefix, or of its Parquet files where there is no tar.
    pub fn shards_under(&self, url: &str) -> Result<Vec<String>, LoaderError> {
        let prefix = bucket_url(url)?;
        let objects = self.client(&prefix)?.at(prefix.clone()).list()?;
        let names: Vec<String> = objects.into_iter().map(|object| object.name).collect();
        let urls_of = |kind: &str| {
            let paths = names.iter().filter(|name| !name.starts_with('.')).map(PathBuf::from).collect();
            let shards = of_kind(paths, kind).into_iter();
            shards.map(|name| prefix.join(&name.to_string_lossy()).to_string()).collect::<Vec<_>>()
        };
        let shards =
            Some(urls_of("tar")).filter(|tars| !tars.is_empty()).unwrap_or_else(|| urls_of("parquet"));
        if shards.is_empty() {
            let problem =
                "holds no .tar and no .parquet; give a prefix, a shard or a pattern that does".to_owned();
            return Err(LoaderError::Url { url: url.to_owned(), problem });
        }
        Ok(shards)
    }

    /// Fetches `url` to `path`, which is there whole or not at all.
    pub fn whole(&self, url: &str, path: &Path, max_bytes: u64) -> Result<Fetched, LoaderError> {
        let object = bucket_url(url)?;
        let bucket = self.client(&object)?.at(object.parent());
        let name = object.file_name();
        if max_bytes < u64::MAX {
            match bucket.head(name)? {
                None => return Ok(Fetched::Missing(NOT_FOUND)),
                Some(found) if found.bytes > max_bytes => {
                    let problem = format!("it has more than {max_bytes} bytes");
                    return Err(LoaderError::Url { url: url.to_owned(), problem });
                }
                Some(_) => {}
            }
        }
        let mut part = part_of(path)?;
        match bucket.fetch_into(name, part.as_file_mut()) {
            Ok(_) => {}
            Err(StorageError::Missing { .. }) => return Ok(Fetched::Missing(NOT_FOUND)),
            Err(error) => return Err(LoaderError::Storage(error)),
        }
        persist(part, path)?;
        Ok(Fetched::Whole)
    }

    fn client(&self, url: &BucketUrl) -> Result<Bucket, LoaderError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = known.get(url.root()) {
            return Ok(bucket.clone());
        }
        let bucket = Bucket::connect(url, &StorageConfig::default())?;
        known.insert(url.root().to_owned(), bucket.clone());
        Ok(bucket)
    }
}

fn bucket_url(url: &str) -> Result<BucketUrl, LoaderError> {
    match Location::parse(url)? {
        Location::Bucket(found) => Ok(found),
        Location::Local(_) => {
            Err(LoaderError::Url { url: url.to_owned(), problem: "is no URL of a bucket".to_owned() })
        }
    }
}
