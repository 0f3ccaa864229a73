//! Folders that lack shards or parts of them, which the names of their files alone do not show: a command that takes what
//! is there would leave samples out without a word. What writes shards or indexes stops at such a folder, what only looks
//! at it warns. Shards that are named one by one, or by a pattern, are taken as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::image_table::{Plan, is_parquet};
use super::output::complain;
use super::verify::{Origin, Rule};
use crate::folder::{DatasetFolder, ShardFile};
use crate::key::ShardId;
use crate::printable::{causes, excerpt};
use crate::rewrite::Notes;
use crate::spec::ShardSpec;
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
        Err(error) => complain(&format!("warning: {}", causes(&*error))),
    }
}

/// How it is told whether a table holds images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tables {
    /// By its columns.
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
        let folders: Vec<&Path> = spec.names().iter().map(Path::new).filter(|name| name.is_dir()).collect();
        if folders.is_empty() {
            continue;
        }
        // A specification without any shard is refused where shards are looked for.
        let Ok(shards) = spec.resolve_first_of(kinds) else { continue };
        for folder in folders {
            let here = shards.iter().filter(|shard| shard.parent() == Some(folder));
            if let Some(lack) = lack_of(folder, here, tables)? {
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

/// What `folder`, of which `shards` are read, lacks first.
fn lack_of<'a>(
    folder: &Path,
    shards: impl Iterator<Item = &'a PathBuf>,
    tables: Tables,
) -> anyhow::Result<Option<String>> {
    let dataset = DatasetFolder::scan(folder)?;
    let notes = Notes::of(&dataset)?;
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
        return Ok(Some(format!("{}: {problem}; {fix}", folder.display())));
    }
    if notes.is_unfinished() {
        let fix = Origin::Rewritten.fix(Rule::Missing);
        return Ok(Some(format!("{}: the subset or reshard that fills it has not ended; {fix}", folder.display())));
    }
    let without_samples = dataset.done().find_map(|shard| {
        let (problem, rule) = match (read.get(&shard.id), shard.get(ShardFile::Table)) {
            (Some(path), _) if !is_parquet(path) || tables == Tables::ByName || has_images(path) => {
                return None;
            }
            (None, Some(table)) if has_images(table) => ("is Parquet, and only the tars are read", None),
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
    let origin = Origin::of(folder, true);
    let fix = rule.map_or("name the shards of each kind by a pattern", |rule| origin.fix(rule));
    Ok(Some(format!("{}: shard {:0width$} {problem}; {fix}", folder.display(), id.0)))
}

/// Whether the table at `path` holds images, as far as can be told: one that cannot be read is told by whoever reads it.
fn has_images(path: &Path) -> bool {
    SidecarReader::open_any(path).map_or(true, |table| Plan::of(&table, &[]).is_ok())
}
