//! Any set as WebDataset shards whose samples have a label beside the picture, in a member `cls` or another: a number
//! from 0, or a name. Shards of each part are `train`, `val` and `test` in the config; without, `train*.tar`, `val*.tar`
//! and `test*.tar` of the folder, or those in folders of these names, as CLIP_benchmark lays them out (`train/0.tar`,
//! `test/0.tar`), or all of its tars, of which a share is held out. Class names come from `classes`, or from `classes.txt`
//! or `classnames.txt` in the folder; else they are the labels themselves. Prompts of CLIP_benchmark's
//! `zeroshot_classification_templates.txt` are the set's own.

use std::path::{Path, PathBuf};

use pairmill_shards::spec::{ShardSpec, SpecError};
use pairmill_shards::tar::{MappedSample, MappedTar, TarError, TarRule};

use super::assembly::Assembly;
use super::config::DatasetConfig;
use super::csv::{Labels, labels};
use super::error::DatasetError;
use super::folder::listed_classes;
use super::list::{self, ClassList};
use super::set::{LabelledSet, Part, Place};
use super::tree::LeftOut;

/// Member with the label.
const LABEL_MEMBER: &str = "cls";
/// Longest label.
const MAX_LABEL_BYTES: usize = 1_000;

struct Found {
    part: Part,
    shard: u32,
    index: u32,
    key: String,
    label: String,
    place: String,
}

pub(super) fn read(config: &DatasetConfig) -> Result<LabelledSet, DatasetError> {
    let member = config.label_member.as_deref().unwrap_or(LABEL_MEMBER);
    let mut found: Vec<Found> = Vec::new();
    let mut shards: Vec<PathBuf> = Vec::new();
    let mut without = LeftOut::default();
    let Parts { parts, notes, is_test_only } = parts(config)?;
    for (part, paths) in parts {
        for path in paths {
            let tar = MappedTar::open(&path).map_err(|error| damaged(&path, &error))?;
            let shard = shards.len() as u32;
            for (sample, index) in tar.iter().zip(0..) {
                let place = format!("{} sample {}", path.display(), sample.key());
                if picture(&sample).is_none() {
                    without.add(&place);
                    continue;
                }
                let Some(label) = sample.get(member) else {
                    let rule = format!("no member {member} with the label; set label_member");
                    return Err(DatasetError::wrong(place, rule));
                };
                let label = std::str::from_utf8(&label[..label.len().min(MAX_LABEL_BYTES)])
                    .unwrap_or_default()
                    .trim();
                if label.is_empty() {
                    return Err(DatasetError::wrong(place, format!("its member {member} is no label")));
                }
                let (key, label) = (sample.key().to_owned(), label.to_owned());
                found.push(Found { part, shard, index, key, label, place });
            }
            shards.push(path);
        }
    }
    let texts: Vec<_> = found.iter().map(|found| (found.label.as_str(), found.place.as_str())).collect();
    let Labels { classes, labels, note } = labels(names(config)?, &texts)?;
    let mut set = Assembly::new(config, classes);
    set.notes.extend(notes.into_iter().chain(note));
    set.templates = templates(config)?;
    set.is_test_only = is_test_only;
    for (found, label) in found.iter().zip(labels) {
        // Keys are unique within a shard, so a name says which. Shards of two parts may have one name in two folders.
        let stem = shards[found.shard as usize].file_stem().unwrap_or_default().to_string_lossy();
        let place = Place::Sample { shard: found.shard, index: found.index };
        set.add(found.part, label, format!("{stem}/{}", found.key), place);
    }
    set.stores.shards = shards;
    set.notes.extend(without.note("samples have no picture and are left out"));
    set.complete_test()?;
    set.finish("the shards", "")
}

/// Prompts as CLIP_benchmark hands them out.
const TEMPLATES: &str = "zeroshot_classification_templates.txt";

fn templates(config: &DatasetConfig) -> Result<Option<Vec<String>>, DatasetError> {
    let path = config.folder().join(TEMPLATES);
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::read(&path).map_err(DatasetError::read(&path))?;
    let templates = list::templates(&path.display().to_string(), &bytes)?;
    Ok((!templates.is_empty()).then_some(templates))
}

fn names(config: &DatasetConfig) -> Result<Option<ClassList>, DatasetError> {
    if config.classes.is_some() {
        return listed_classes(config);
    }
    let folder = config.folder();
    let usual = ["classes.txt", "classnames.txt"].into_iter().find(|name| folder.join(name).is_file());
    match usual {
        Some(name) => listed_classes(&DatasetConfig { classes: Some(name.into()), ..config.clone() }),
        None => Ok(None),
    }
}

/// The shards of each part.
#[derive(Debug, Default)]
struct Parts {
    parts: Vec<(Part, Vec<PathBuf>)>,
    notes: Vec<String>,
    /// Whether it is a benchmark's test set alone.
    is_test_only: bool,
}

impl Parts {
    fn of(parts: Vec<(Part, Vec<PathBuf>)>) -> Self {
        Self { parts, ..Self::default() }
    }
}

fn parts(config: &DatasetConfig) -> Result<Parts, DatasetError> {
    let folder = config.folder();
    let wrong = |error: SpecError| DatasetError::wrong(folder.display().to_string(), error.to_string());
    let resolve =
        |spec: &str| -> Result<Vec<PathBuf>, SpecError> { spec.parse::<ShardSpec>()?.resolve("tar") };
    let within = |spec: &str| {
        let names = spec.split("::").map(|name| folder.join(name).to_string_lossy().into_owned());
        names.collect::<Vec<_>>().join("::")
    };
    let of_config = [(Part::Train, &config.train), (Part::Val, &config.val), (Part::Test, &config.test)];
    let mut parts = Vec::new();
    for (part, spec) in of_config {
        if let Some(spec) = spec {
            parts.push((part, resolve(&within(spec)).map_err(wrong)?));
        }
    }
    if !parts.is_empty() {
        return Ok(Parts::of(parts));
    }
    if config.root.is_file() {
        return Ok(Parts::of(vec![(Part::Train, vec![config.root.clone()])]));
    }
    let found = |spec: &str| match resolve(&within(spec)) {
        Ok(paths) => Ok(paths),
        Err(SpecError::NoMatch { .. }) => Ok(Vec::new()),
        Err(error) => Err(wrong(error)),
    };
    for part in Part::ALL {
        let paths = found(&format!("{}*.tar", part.as_str()))?;
        if !paths.is_empty() {
            parts.push((part, paths));
        }
    }
    let all = found("*.tar")?;
    if parts.iter().any(|(part, _)| *part == Part::Train) {
        let mut others = LeftOut::default();
        for path in all.iter().filter(|path| !parts.iter().any(|(_, taken)| taken.contains(path))) {
            others.add(&path.file_name().unwrap_or_default().to_string_lossy());
        }
        let mut parts = Parts::of(parts);
        parts.notes.extend(others.note("tars are of no part (train*, val*, test*) and are left out"));
        return Ok(parts);
    }
    if all.is_empty() {
        // CLIP_benchmark: a folder a part.
        let mut parts = Vec::new();
        for part in Part::ALL {
            let paths = found(&format!("{}/*.tar", part.as_str()))?;
            if !paths.is_empty() {
                parts.push((part, paths));
            }
        }
        if !parts.is_empty() {
            let is_test_only = parts.iter().all(|(part, _)| *part == Part::Test);
            return Ok(Parts { parts, notes: Vec::new(), is_test_only });
        }
    }
    let whole = folder.to_string_lossy().into_owned();
    Ok(Parts::of(vec![(Part::Train, resolve(&whole).map_err(wrong)?)]))
}

/// The picture of a sample: as the loader finds it, else whichever member is called like one.
pub(super) fn picture<'a>(sample: &MappedSample<'a>) -> Option<&'a [u8]> {
    let other = || {
        sample.members().find(|(ext, _)| super::tree::is_picture(&format!("x.{ext}"))).map(|(_, bytes)| bytes)
    };
    sample.image().map(|(_, bytes)| bytes).or_else(other)
}

pub(super) fn damaged(path: &Path, error: &TarError) -> DatasetError {
    let rule = match &error.rule {
        TarRule::Read(error) => format!("cannot be read: {error}"),
        rule => format!("at byte {}: {rule}", error.offset),
    };
    DatasetError::Archive { path: path.to_owned(), rule }
}
