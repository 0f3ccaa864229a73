//! What a run of `convert` is to make, shard by shard, and what of it an earlier run made. It is noted in the output's
//! `_pairmill` before the first shard is written, so that a killed run goes on when it is given again and `verify` names
//! what is missing.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use anyhow::bail;

use super::super::place::Shard;
use super::super::staging::Staging;
use super::ConvertArgs;
use crate::folder::{PAIRMILL_FOLDER, ShardFile};
use crate::printable::excerpt;
use crate::rewrite::{
    CONVERSIONS_FILE, Carrier, Conversion, Conversions, InPlace, RewriteError, lock_output,
};
use crate::storage::Scheme;
use crate::tar::{BadSamples, Unsorted, is_tar_name, shard_stem};

/// How often, and after which pause, the lock of a folder is asked for. Others hold it to write their notes.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// One shard to be made.
pub(super) struct Job<'a> {
    pub input: &'a Shard,
    pub shown: &'a str,
    /// The new shard's name.
    pub stem: &'a str,
    conversion: Conversion,
    /// An earlier run made it.
    pub is_made: bool,
    /// It takes the place of a whole shard, and is noted when it has.
    replaces: bool,
}

impl Job<'_> {
    /// Whether it becomes a Parquet shard rather than a tar.
    pub fn is_to_parquet(&self) -> bool {
        self.conversion.to_parquet
    }

    /// The new shard's files, in the order they are written.
    fn files(&self) -> &'static [ShardFile] {
        match self.conversion.to_parquet {
            true => &[ShardFile::Table, ShardFile::Stats],
            // The tar says that the table is there too, where there are no statistics.
            false => &[ShardFile::Table, ShardFile::Tar, ShardFile::Stats],
        }
    }
}

/// The shards that `inputs` are to become; `shown` are their names.
pub(super) fn jobs<'a>(
    inputs: &'a [Shard],
    shown: &'a [String],
    args: &ConvertArgs,
) -> anyhow::Result<Vec<Job<'a>>> {
    let stems = stems(shown)?;
    let settings = settings(args);
    let mut listed = Listed::default();
    let mut jobs = Vec::with_capacity(inputs.len());
    for ((input, shown), stem) in inputs.iter().zip(shown).zip(stems) {
        let name = shown.rsplit('/').next().unwrap_or_default();
        let to_parquet = is_tar_name(name);
        if !to_parquet && !input.is_parquet() {
            bail!("{shown}: neither .tar nor .parquet; name the shard by its format");
        }
        let content = match input {
            // With the table beside it.
            Shard::File(path) if to_parquet => InPlace.stamp(path)?,
            other => other.stamp()?,
        };
        let conversion = Conversion {
            input: shown.clone(),
            bytes: input.bytes(),
            content,
            settings: settings.clone(),
            to_parquet,
            has_stats: listed.has_stats(input, stem)?,
        };
        jobs.push(Job { input, shown, stem, conversion, is_made: false, replaces: false });
    }
    Ok(jobs)
}

/// The names of the new shards. No two inputs may become one, of which only the last would stay.
fn stems(inputs: &[String]) -> anyhow::Result<Vec<&str>> {
    let mut taken: HashMap<&str, &str> = HashMap::new();
    let mut stems = Vec::with_capacity(inputs.len());
    for input in inputs {
        let stem = shard_stem(input.rsplit('/').next().unwrap_or_default());
        if stem.is_empty() {
            bail!("{input}: no file name");
        }
        if let Some(other) = taken.insert(stem, input) {
            bail!(
                "{other} and {input} would both become shard `{}`; convert them into two folders, or merge them with \
                 `pairmill-shards reshard`",
                excerpt(stem, 60)
            );
        }
        stems.push(stem);
    }
    Ok(stems)
}

/// What decides about the bytes, where it is not the default.
fn settings(args: &ConvertArgs) -> Vec<String> {
    let mut settings = Vec::new();
    if args.hf_images {
        settings.push("hf_images".to_owned());
    }
    if args.lenient {
        settings.push("lenient".to_owned());
    }
    if args.tar.unsorted != Unsorted::Stop {
        settings.push(format!("unsorted {}", args.tar.unsorted));
    }
    if args.tar.bad_samples != BadSamples::Stop {
        settings.push(format!("bad_samples {}", args.tar.bad_samples));
    }
    settings.extend(args.tar.members.iter().map(|name| format!("members {name}")));
    settings
}

/// Names under the prefixes of inputs, each listed once.
#[derive(Default)]
struct Listed(HashMap<String, HashSet<String>>);

impl Listed {
    /// Whether there are statistics beside a shard.
    fn has_stats(&mut self, input: &Shard, stem: &str) -> anyhow::Result<bool> {
        let name = ShardFile::Stats.name(stem);
        let (bucket, prefix) = match input {
            Shard::File(path) => return Ok(path.with_file_name(name).is_file()),
            Shard::Object { bucket, .. } if bucket.url().scheme() == Scheme::Http => {
                return Ok(bucket.head(&name).is_ok_and(|found| found.is_some()));
            }
            Shard::Object { bucket, .. } => (bucket, bucket.url().to_string()),
        };
        if let Some(names) = self.0.get(&prefix) {
            return Ok(names.contains(&name));
        }
        let names: HashSet<String> = bucket.list()?.into_iter().map(|object| object.name).collect();
        let has_stats = names.contains(&name);
        self.0.insert(prefix, names);
        Ok(has_stats)
    }
}

/// The folder that new shards go to, and what is noted there.
pub(super) struct Ledger<'a> {
    pub folder: &'a Path,
    pub staging: Option<&'a Staging>,
    pub overwrite: bool,
}

impl Ledger<'_> {
    /// Notes what is to be made, and finds out what of it is there.
    ///
    /// # Errors
    /// When a shard of one of the names is there that is none of ours, and shall stay.
    pub fn begin(&self, jobs: &mut [Job<'_>]) -> anyhow::Result<()> {
        self.note(|known| {
            for job in jobs.iter_mut() {
                let is_there = |name: &str| self.folder.join(name).exists();
                let there = job.files().iter().map(|kind| kind.name(job.stem)).find(|name| is_there(name));
                let noted = known.get(job.stem);
                let is_same = noted.is_some_and(|noted| noted.agrees_with(&job.conversion));
                match (noted, there) {
                    (_, Some(_)) if self.overwrite => job.replaces = true,
                    (Some(_), Some(_)) if is_same => {
                        job.is_made = job.conversion.is_whole(job.stem, is_there);
                    }
                    (Some(noted), Some(name)) => bail!(
                        "{} was made of another {}, or with other settings; give another folder, or --overwrite",
                        self.folder.join(name).display(),
                        excerpt(&noted.input, 200)
                    ),
                    (None, Some(name)) => bail!(
                        "{} exists; give another folder, or --overwrite",
                        self.folder.join(name).display()
                    ),
                    (_, None) => {}
                }
            }
            // Of a run that made a part of its shards, the others must be made of what it began with.
            let changed = jobs.iter().find(|job| {
                !job.is_made
                    && !job.replaces
                    && known.get(job.stem).is_some_and(|noted| !noted.agrees_with(&job.conversion))
            });
            if let Some(job) = changed.filter(|_| jobs.iter().any(|job| job.is_made) && !self.overwrite) {
                bail!(
                    "{}: shard {} was to be made of another {} (other content), or with other settings; bring the former \
                     one back, give another folder, or --overwrite",
                    self.folder.display(),
                    excerpt(job.stem, 60),
                    excerpt(job.shown, 200)
                );
            }
            // A shard that is overwritten stays what it is noted to be for as long as it stays.
            for job in jobs.iter().filter(|job| !job.replaces) {
                known.insert(job.stem, job.conversion.clone());
            }
            Ok(())
        })
    }

    /// Puts up the files of a shard, where they go to a bucket.
    pub fn publish(&self, job: &Job<'_>) -> anyhow::Result<()> {
        self.staging.map_or(Ok(()), |staging| staging.upload_files(job.stem, job.files()))
    }

    /// Notes the shards that were overwritten.
    pub fn finish(&self, jobs: &[Job<'_>]) -> anyhow::Result<()> {
        if !jobs.iter().any(|job| job.replaces) {
            return Ok(());
        }
        self.note(|known| {
            for job in jobs.iter().filter(|job| job.replaces) {
                known.insert(job.stem, job.conversion.clone());
            }
            Ok(())
        })
    }

    fn note(&self, change: impl FnOnce(&mut Conversions) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let name = format!("{PAIRMILL_FOLDER}/{CONVERSIONS_FILE}");
        // A bucket has a lease for as long as the run lasts.
        let _lock = match self.staging {
            Some(staging) => {
                staging.bring(&name)?;
                None
            }
            None => Some(self.lock()?),
        };
        let mut known = Conversions::read(self.folder)?;
        change(&mut known)?;
        known.write(self.folder)?;
        self.staging.map_or(Ok(()), |staging| staging.upload(&name))
    }

    fn lock(&self) -> Result<std::fs::File, RewriteError> {
        let mut tries = 1;
        loop {
            match lock_output(self.folder) {
                Err(RewriteError::Locked { .. }) if tries < LOCK_TRIES => {
                    tries += 1;
                    std::thread::sleep(LOCK_PAUSE);
                }
                done => return done,
            }
        }
    }
}
