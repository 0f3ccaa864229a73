//! Shards to be rewritten, wherever they lie and of whichever kind, as tars at paths of this machine, and new shards to
//! where the user wants them. Tars in local folders are used where they are. Parquet image shards become tars in a
//! folder for temporary files, objects are fetched there, one input at a time and once a pass. An output by URL is
//! a [`Staging`].

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use arrow::datatypes::SchemaRef;

use super::convert::parquet_to_tar;
use super::image_table::{Plan, ReadOptions, is_parquet};
use super::place::{Scratch, Shard, is_same_folder, renamed, temp_dir};
use super::staging::Staging;
use crate::atomic::{FileAction, FileError};
use crate::folder::{PAIRMILL_FOLDER, ShardFile};
use crate::rewrite::{Carrier, InPlace, RECORD_FILE, RewriteError};
use crate::stamp::Stamp;
use crate::storage::Location;
use crate::table::SidecarReader;
use crate::tar::{Skipped, shard_stem};

/// Inputs and output of a rewrite.
pub(super) struct Carried {
    /// Where the inputs are, or will be while they are read.
    pub inputs: Vec<PathBuf>,
    /// Where new shards are written.
    pub output: PathBuf,
    /// What is not in place.
    moved: HashMap<PathBuf, Shard>,
    /// The output, if it is given by URL.
    staging: Option<Staging>,
    dir: Scratch,
    /// Folders within `dir`, and what they stand for.
    stand_for: Vec<(PathBuf, String)>,
    /// How Parquet shards are read.
    read: ReadOptions,
    /// Rows of Parquet shards that are no samples, by shard.
    skipped: RefCell<BTreeMap<PathBuf, Skipped>>,
}

impl Carried {
    /// Nothing is fetched yet but what is known of an output by URL.
    ///
    /// # Errors
    /// When the output is an input's own place, or the output's store refuses.
    pub fn new(shards: Vec<Shard>, output: &str, read: ReadOptions) -> anyhow::Result<Self> {
        let to = Location::parse(output)?;
        let dir = temp_dir()?;
        let mut carried = Self {
            inputs: Vec::new(),
            output: PathBuf::new(),
            moved: HashMap::new(),
            staging: None,
            dir,
            stand_for: Vec::new(),
            read,
            skipped: RefCell::default(),
        };
        for shard in shards {
            if is_same_folder(&shard.folder(), &to) {
                bail!("{output}: the output is an input's own folder; give another");
            }
            carried.add(shard)?;
        }
        match to {
            Location::Local(path) => carried.output = path,
            Location::Bucket(url) => {
                let staging = Staging::open(&url)?;
                staging.bring(&format!("{PAIRMILL_FOLDER}/{RECORD_FILE}"))?;
                carried.output = staging.path().to_owned();
                carried.staging = Some(staging);
            }
        }
        Ok(carried)
    }

    fn add(&mut self, shard: Shard) -> anyhow::Result<()> {
        let path = match &shard {
            Shard::File(path) if !is_parquet(path) => {
                self.inputs.push(path.clone());
                return Ok(());
            }
            Shard::File(path) => path.clone(),
            Shard::Object { name, .. } => PathBuf::from(name),
        };
        let shown = shard.shown();
        let stands_for = shown.rsplit_once('/').map_or(".", |(folder, _)| folder).to_owned();
        // One folder for each of theirs, so that equal names of two do not meet.
        let known =
            self.stand_for.iter().find(|(_, known)| *known == stands_for).map(|(folder, _)| folder.clone());
        let folder = match known {
            Some(folder) => folder,
            None => self.folder(&self.stand_for.len().to_string(), stands_for)?,
        };
        let name = path.file_name().and_then(|name| name.to_str());
        let stem = shard_stem(name.with_context(|| format!("{shown}: not a shard's name"))?);
        let path = folder.join(ShardFile::Tar.name(stem));
        self.inputs.push(path.clone());
        self.moved.insert(path, shard);
        Ok(())
    }

    fn folder(&mut self, name: &str, stands_for: String) -> anyhow::Result<PathBuf> {
        let folder = self.dir.path().join(name);
        fs::create_dir_all(&folder).map_err(|e| FileError::new(&folder, FileAction::Create, e))?;
        self.stand_for.push((folder.clone(), stands_for));
        Ok(folder)
    }

    /// `error` with the user's own words for the folders here.
    pub fn rename(&self, error: anyhow::Error) -> anyhow::Error {
        let error = match &self.staging {
            Some(staging) => staging.rename(error),
            None => error,
        };
        self.stand_for.iter().fold(error, |error, (folder, name)| renamed(error, folder, name))
    }

    /// Adds what was passed over on the way from Parquet to tars.
    pub fn add_skipped(&self, to: &mut Skipped) {
        for (tar, skipped) in self.skipped.borrow().iter() {
            to.add_shard(&self.named(tar).0, skipped);
        }
    }

    /// Where an object is fetched to that is not yet what it shall be.
    fn source_of(&self, tar: &Path) -> PathBuf {
        tar.with_extension("source")
    }

    /// Runs `read` on a Parquet image shard.
    fn with_parquet<T>(
        &self,
        tar: &Path,
        shard: &Shard,
        read: impl FnOnce(&Path) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        match shard {
            Shard::File(path) => read(path),
            Shard::Object { bucket, name, .. } => {
                let path = self.source_of(tar);
                bucket.fetch(name, &path)?;
                let done = read(&path);
                // What stays goes with the folder.
                let _ = fs::remove_file(&path);
                done
            }
        }
    }

    fn schema(&self, tar: &Path, shard: &Shard) -> anyhow::Result<Option<SchemaRef>> {
        if shard.is_parquet() {
            return self.with_parquet(tar, shard, |path| {
                let plan = Plan::of(&SidecarReader::open_any(path)?, &self.read.members)?;
                Ok(plan.sidecar.map(|sidecar| sidecar.schema))
            });
        }
        self.fetch_table(tar, shard)?;
        let schema = InPlace.table_schema(tar)?;
        self.discard(tar);
        Ok(schema)
    }

    /// Fetches the sidecar of a tar, if it has one.
    fn fetch_table(&self, tar: &Path, shard: &Shard) -> anyhow::Result<()> {
        let Shard::Object { bucket, name, .. } = shard else { return Ok(()) };
        let table = ShardFile::Table.name(shard_stem(name));
        if bucket.head(&table)?.is_some() {
            bucket.fetch(&table, &tar.with_file_name(&table))?;
        }
        Ok(())
    }

    fn fetch(&self, tar: &Path, shard: &Shard) -> anyhow::Result<()> {
        if shard.is_parquet() {
            let skipped = self.with_parquet(tar, shard, |path| parquet_to_tar(path, &self.read, tar))?;
            // Once a shard, however often it is fetched.
            self.skipped.borrow_mut().insert(tar.to_owned(), skipped);
            return Ok(());
        }
        if let Shard::Object { bucket, name, .. } = shard {
            bucket.fetch(name, tar)?;
            self.fetch_table(tar, shard)?;
        }
        Ok(())
    }
}

fn carried(error: anyhow::Error) -> RewriteError {
    RewriteError::Carried(error.into())
}

impl Carrier for Carried {
    fn named(&self, tar: &Path) -> (String, u64) {
        match self.moved.get(tar) {
            Some(shard) => (shard.shown(), shard.bytes()),
            None => InPlace.named(tar),
        }
    }

    fn stamp(&self, tar: &Path) -> Result<Option<Stamp>, RewriteError> {
        match self.moved.get(tar) {
            Some(shard) => shard.stamp().map_err(carried),
            None => InPlace.stamp(tar),
        }
    }

    fn table_schema(&self, tar: &Path) -> Result<Option<SchemaRef>, RewriteError> {
        match self.moved.get(tar) {
            Some(shard) => self.schema(tar, shard).map_err(carried),
            None => InPlace.table_schema(tar),
        }
    }

    fn bring(&self, tar: &Path) -> Result<(), RewriteError> {
        self.moved.get(tar).map_or(Ok(()), |shard| self.fetch(tar, shard)).map_err(carried)
    }

    fn discard(&self, tar: &Path) {
        if self.moved.contains_key(tar) {
            for path in [tar.to_owned(), tar.with_extension("parquet")] {
                // What stays goes with the folder.
                let _ = fs::remove_file(path);
            }
        }
    }

    fn publish(&self, name: &str) -> Result<(), RewriteError> {
        self.staging.as_ref().map_or(Ok(()), |staging| staging.upload(name)).map_err(carried)
    }

    fn publish_shard(&self, shard: &str) -> Result<(), RewriteError> {
        self.staging.as_ref().map_or(Ok(()), |staging| staging.upload_shard(shard)).map_err(carried)
    }
}
