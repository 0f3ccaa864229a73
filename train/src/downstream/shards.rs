//! Any set as WebDataset shards whose samples have a label beside the picture, in a member `cls` or another: a number
//! from 0, or a name. Shards of each part are `train`, `val` and `test` in the config; without, `train*.tar`, `val*.tar`
//! and `test*.tar` of the folder, or all of its tars, of which a share is held out. Class names come from `classes`, or
//! from `classes.txt` or `classnames.txt` in the folder; else they are the labels themselves.

use std::path::{Path, PathBuf};

use pairmill_shards::spec::{ShardSpec, SpecError};
use pairmill_shards::tar::{MappedSample, MappedTar, TarError, TarRule};

use super::assembly::Assembly;
use super::config::DatasetConfig;
use super::csv::labels;
use super::error::DatasetError;
use super::folder::listed_classes;
use super::set::{LabelledSet, Part, Place};

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
    let mut without = 0usize;
    for (part, paths) in parts(config)? {
        for path in paths {
            let tar = MappedTar::open(&path).map_err(|error| damaged(&path, &error))?;
            let shard = shards.len() as u32;
            for (sample, index) in tar.iter().zip(0..) {
                let place = format!("{} sample {}", path.display(), sample.key());
                if picture(&sample).is_none() {
                    without += 1;
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
    let (classes, labels) = labels(names(config)?, &texts)?;
    let mut set = Assembly::new(config, classes);
    for (found, label) in found.iter().zip(labels) {
        // Keys are unique within a shard, so a name says which.
        let stem = shards[found.shard as usize].file_stem().unwrap_or_default().to_string_lossy();
        let place = Place::Sample { shard: found.shard, index: found.index };
        set.add(found.part, label, format!("{stem}/{}", found.key), place);
    }
    set.stores.shards = shards;
    if without > 0 {
        set.notes.push(format!("{without} samples have no picture"));
    }
    set.complete_test()?;
    set.finish("the shards", "")
}

fn names(config: &DatasetConfig) -> Result<Option<Vec<String>>, DatasetError> {
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
fn parts(config: &DatasetConfig) -> Result<Vec<(Part, Vec<PathBuf>)>, DatasetError> {
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
        return Ok(parts);
    }
    if config.root.is_file() {
        return Ok(vec![(Part::Train, vec![config.root.clone()])]);
    }
    for part in Part::ALL {
        match resolve(&within(&format!("{}*.tar", part.as_str()))) {
            Ok(paths) => parts.push((part, paths)),
            Err(SpecError::NoMatch { .. }) => {}
            Err(error) => return Err(wrong(error)),
        }
    }
    if parts.iter().all(|(part, _)| *part != Part::Train) {
        let all = folder.to_string_lossy().into_owned();
        return Ok(vec![(Part::Train, resolve(&all).map_err(wrong)?)]);
    }
    Ok(parts)
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
