//! Folders that lack shards or parts of them, which the names of their files alone do not show: a command that takes what
//! is there would leave samples out without a word. What writes shards or indexes stops at such a folder, what only looks
//! at it warns. A prefix of a bucket is held to the same. Shards that are named one by one, or by a pattern, are taken as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::image_table::{Plan, is_parquet};
use super::output::complain;
use super::place::{self, Copy};
use super::verify::{Origin, Rule};
use crate::folder::{DatasetFolder, ShardFile};
use crate::key::ShardId;
use crate::printable::{causes, excerpt};
use crate::rewrite::Notes;
use crate::spec::ShardSpec;
use crate::storage::StorageError;
use crate::table::SidecarReader;
use crate::tar::shard_stem;
use crate::words::grouped;

/// What a user says about folders that lack something.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct IncompleteArgs {
    /// Go on with the shards that are there when a dataset folder lacks some
    #[arg(long)]
    incomplete: bool,
}

impl IncompleteArgs {
    /// Stops at the first folder of `specs` that lacks something, unless the user wants to go on. `kinds` are those of
    /// the shards that are read.
    ///
    /// # Errors
    /// When there is such a folder, or one cannot be read.
    pub fn check<'a>(
        self,
        specs: impl IntoIterator<Item = &'a ShardSpec>,
        kinds: &[&str],
    ) -> anyhow::Result<()> {
        if self.incomplete {
            return Ok(());
        }
        match first_lack(specs, kinds, Tables::Opened)? {
            Some(lack) => bail!(
                "{lack}; to go on with the shards that are there, add --incomplete or name them by a pattern \
                 (`{{00000..00012}}.tar`)"
            ),
            None => Ok(()),
        }
    }
}

/// Warns of the first folder of `specs` that lacks something, in one line.
pub(super) fn warn<'a>(specs: impl IntoIterator<Item = &'a ShardSpec>, kinds: &[&str]) {
    match first_lack(specs, kinds, Tables::ByName) {
        Ok(None) => {}
        Ok(Some(lack)) => complain(&format!("warning: {lack}")),
        // What a store refuses, whoever reads its shards will say.
        Err(error) if error.is::<StorageError>() => {}
        Err(error) => complain(&format!("warning: {}", causes(&*error))),
    }
}

/// How it is told whether a table holds images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tables {
    /// By its columns; in a bucket only where there is no tar, since each would be fetched whole.
    Opened,
    /// Not at all: whoever reads one without images says so, and a look at two samples need not open a thousand.
    ByName,
}

/// The first folder that lacks something, in words: what, and what to do.
fn first_lack<'a>(
    specs: impl IntoIterator<Item = &'a ShardSpec>,
    kinds: &[&str],
    tables: Tables,
) -> anyhow::Result<Option<String>> {
    for spec in specs {
        for url in place::prefixes(spec) {
            let copy = Copy::of(&url)?;
            copy.bring_notes()?;
            let dataset = copy.folder();
            let shards: Vec<PathBuf> = copy.shards(kinds).map(|name| copy.path(name)).collect();
            let folder = Folder { dataset: &dataset, shown: &url.to_string(), copy: Some(&copy) };
            if let Some(lack) =
                folder.first_lack(shards.iter(), tables).map_err(|error| copy.rename(error))?
            {
                return Ok(Some(lack));
            }
        }
        let folders: Vec<&Path> = spec.names().iter().map(Path::new).filter(|name| name.is_dir()).collect();
        if folders.is_empty() {
            continue;
        }
        // A specification without any shard is refused where shards are looked for.
        let Ok(shards) = spec.resolve_first_of(kinds) else { continue };
        for folder in folders {
            let here = shards.iter().filter(|shard| shard.parent() == Some(folder));
            let dataset = DatasetFolder::scan(folder)?;
            let folder = Folder { dataset: &dataset, shown: &folder.to_string_lossy(), copy: None };
            if let Some(lack) = folder.first_lack(here, tables)? {
                return Ok(Some(lack));
            }
        }
    }
    Ok(None)
}

/// A shard that is not whole.
struct Lack {
    id: ShardId,
    problem: String,
    /// The rule of `verify` that it breaks; `None` when it is whole but of another kind than the others.
    rule: Option<Rule>,
}

/// A folder or prefix that is looked at.
struct Folder<'a> {
    dataset: &'a DatasetFolder,
    shown: &'a str,
    /// Where the files of a prefix come to when they are needed.
    copy: Option<&'a Copy>,
}

impl Folder<'_> {
    /// What is lacking first; `shards` are those that are read.
    fn first_lack<'a>(
        &self,
        shards: impl Iterator<Item = &'a PathBuf>,
        tables: Tables,
    ) -> anyhow::Result<Option<String>> {
        let Self { dataset, shown, .. } = *self;
        let notes = Notes::of(dataset)?;
        let mut runs = dataset.runs()?;
        let has_stats = dataset.done().next().is_some() || !runs.is_empty();
        runs.extend(notes.rewrite);
        if !has_stats && runs.is_empty() && notes.conversions.is_empty() {
            // Other people's shards, of which nothing says how many there were.
            return Ok(None);
        }
        let number = |shard: &'a PathBuf| -> Option<(ShardId, &'a Path)> {
            let stem = shard_stem(shard.file_name()?.to_str()?);
            Some((ShardId(stem.parse().ok()?), shard))
        };
        let read: BTreeMap<ShardId, &Path> = shards.filter_map(number).collect();
        let width = dataset.shards.values().map(|shard| shard.name.len()).min().unwrap_or(0);

        let missing = runs.iter().filter_map(|run| {
            let (id, _) = *dataset.missing(run).0.first()?;
            let (begun, made) = (run.first_shard, grouped(run.shards.unwrap_or(0)));
            let problem = format!("is missing: the run from shard {begun:0width$} made {made}");
            Some(Lack { id: ShardId(id), problem, rule: Some(Rule::Missing) })
        });
        let missing = missing.min_by_key(|lack| lack.id);
        if let Some((name, made_of)) = notes.conversions.unmade(|name| dataset.has(name)).next() {
            let (name, made_of) = (excerpt(name, 60), excerpt(&made_of.input, 200));
            let fix = Origin::Converted.fix(Rule::Missing);
            let problem = format!("shard {name} is not whole: convert was to make it of {made_of}");
            return Ok(Some(format!("{shown}: {problem}; {fix}")));
        }
        if notes.is_unfinished() {
            let fix = Origin::Rewritten.fix(Rule::Missing);
            return Ok(Some(format!("{shown}: the subset or reshard that fills it has not ended; {fix}")));
        }
        let without_samples = dataset.done().find_map(|shard| {
            let (problem, rule) = match (read.get(&shard.id), shard.get(ShardFile::Table)) {
                (Some(path), _)
                    if !is_parquet(path)
                        || tables == Tables::ByName
                        || self.copy.is_some()
                        || self.has_images(path) =>
                {
                    return None;
                }
                (None, Some(table)) if self.has_images(table) => {
                    ("is Parquet, and only the tars are read", None)
                }
                _ => ("is finished, but has neither a tar nor images in its table", Some(Rule::Complete)),
            };
            Some(Lack { id: shard.id, problem: problem.to_owned(), rule })
        });
        // What is made of bare tars has no stats.
        let unfinished = read.keys().filter(|_| has_stats).find(|id| !dataset.is_done(**id)).map(|id| {
            let problem = "has no stats: it is not finished".to_owned();
            Lack { id: *id, problem, rule: Some(Rule::Finished) }
        });
        let lacks = [missing, without_samples, unfinished].into_iter().flatten();
        let Some(Lack { id, problem, rule }) = lacks.min_by_key(|lack| lack.id) else { return Ok(None) };
        let origin = Origin::of(&dataset.dir, true);
        let fix = rule.map_or("name the shards of each kind by a pattern", |rule| origin.fix(rule));
        Ok(Some(format!("{shown}: shard {:0width$} {problem}; {fix}", id.0)))
    }

    /// Whether the table at `path` holds images, as far as can be told: one that cannot be read is told by whoever reads it.
    fn has_images(&self, path: &Path) -> bool {
        if let Some(copy) = self.copy
            && copy.bring(path).is_err()
        {
            return true;
        }
        let has_images = SidecarReader::open_any(path).map_or(true, |table| Plan::of(&table, &[]).is_ok());
        if let Some(copy) = self.copy {
            copy.discard(path);
        }
        has_images
    }
}
