//! What became of the samples, once all is written: the dataset card, and the list of what repeated what.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::carrier::Inputs;
use super::duplicates::Found;
use super::{RewriteConfig, RewriteError, Rewritten};
use crate::atomic::{AtomicFile, FileAction, FileError};
use crate::folder::PAIRMILL_FOLDER;
use crate::funnel::{CARD_FILE, CARD_FORMAT, CARD_TEXT_FILE, RuleCount, write_cards};
use crate::markup;
use crate::printable::printable;
use crate::tar::MappedTar;
use crate::words::{bytes, grouped};

/// In `_pairmill`: one line for each sample that was dropped as a duplicate.
pub const DUPLICATES_FILE: &str = "duplicates.tsv";
const HEADER: &str = "shard\tkey\trepeats_shard\trepeats_key\tdistance";

/// `card.json`, as ingest writes it (FORMAT.md), with what samples have in the place of what rows have.
#[derive(Serialize)]
struct Cards<'a> {
    format: u32,
    runs: [Card<'a>; 1],
}

#[derive(Serialize)]
struct Card<'a> {
    first_shard: u64,
    version: &'static str,
    title: String,
    inputs: &'a [Folder],
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicates: Option<String>,
    rows_in: u64,
    rules: &'a [RuleCount],
    rows_kept: u64,
    pictures: u64,
    failures: BTreeMap<&'static str, u64>,
    without_image: u64,
    unreadable: u64,
    flat: u64,
}

/// A folder or prefix of inputs.
#[derive(Serialize)]
struct Folder {
    name: String,
    shards: u64,
    bytes: u64,
}

/// Writes both cards into the output; returns their names within it.
pub(super) fn write(
    config: &RewriteConfig,
    inputs: &Inputs<'_>,
    done: &Rewritten,
) -> Result<[String; 2], RewriteError> {
    let folders = folders(inputs);
    let names: Vec<&str> = folders.iter().map(|folder| folder.name.as_str()).collect();
    let title = format!("Samples of {}", names.join(", "));
    let duplicates = config.duplicates.map(|rule| rule.words());
    let text = markdown(&title, &folders, duplicates.as_deref(), done);
    let card = Card {
        first_shard: 0,
        version: env!("CARGO_PKG_VERSION"),
        title,
        inputs: &folders,
        duplicates,
        rows_in: done.samples_in,
        rules: &done.rules,
        rows_kept: done.samples_out,
        pictures: done.samples_out,
        failures: BTreeMap::new(),
        without_image: done.unseen.without_image,
        unreadable: done.unseen.unreadable,
        flat: done.unseen.flat,
    };
    let cards = Cards { format: CARD_FORMAT, runs: [card] };
    write_cards(&config.output, "pairmill-shards", &cards, &text)?;
    Ok([format!("{PAIRMILL_FOLDER}/{CARD_FILE}"), CARD_TEXT_FILE.to_owned()])
}

fn folders(inputs: &Inputs<'_>) -> Vec<Folder> {
    let mut folders: Vec<Folder> = Vec::new();
    for path in inputs.paths {
        let (name, bytes) = inputs.carrier.named(path);
        let name = name.rsplit_once('/').map_or(".", |(folder, _)| folder).to_owned();
        match folders.iter_mut().find(|folder| folder.name == name) {
            Some(folder) => (folder.shards, folder.bytes) = (folder.shards + 1, folder.bytes + bytes),
            None => folders.push(Folder { name, shards: 1, bytes }),
        }
    }
    folders
}

fn markdown(title: &str, folders: &[Folder], duplicates: Option<&str>, done: &Rewritten) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "\n## {}\n\n| | samples |\n|---|---:|\n| in the shards | {} |",
        markup::markdown(title),
        grouped(done.samples_in)
    );
    for rule in &done.rules {
        let _ = writeln!(text, "{}", rule.table_row());
    }
    let _ = writeln!(text, "| **kept** | **{}** |", grouped(done.samples_out));
    for (what, count) in [
        ("has no image", done.unseen.without_image),
        ("has an image that cannot be decoded", done.unseen.unreadable),
        ("has an image too flat to compare", done.unseen.flat),
    ] {
        if count > 0 {
            let _ = writeln!(text, "| passed as no duplicate, because it {what} | {} |", grouped(count));
        }
    }
    if let Some(duplicates) = duplicates {
        let list = format!("{PAIRMILL_FOLDER}/{DUPLICATES_FILE}");
        let _ = writeln!(
            text,
            "\nDuplicate images: {duplicates}; the first stays. Which repeats which: `{list}`."
        );
    }
    let _ = writeln!(text, "\n| made of | shards | bytes |\n|---|---:|---:|");
    for Folder { name, shards, bytes: size } in folders {
        let _ =
            writeln!(text, "| {} | {} | {} |", markup::markdown(name), grouped(*shards), bytes(*size as f64));
    }
    let _ = writeln!(text, "\nMade with pairmill {}.", env!("CARGO_PKG_VERSION"));
    text
}

/// The list of duplicates, written while the tars go by once more: what is repeated came earlier.
pub(super) struct DuplicatesList<'a> {
    found: &'a Found,
    /// Numbers of the samples that are repeated, sorted.
    repeated: Vec<u64>,
    /// Their shards (numbers within `shards`) and keys, of those that have come by.
    names: HashMap<u64, (usize, Box<str>)>,
    shards: Vec<String>,
    path: PathBuf,
    out: BufWriter<AtomicFile>,
}

impl<'a> DuplicatesList<'a> {
    pub(super) fn create(output: &Path, found: &'a Found) -> Result<Self, RewriteError> {
        let path = output.join(PAIRMILL_FOLDER).join(DUPLICATES_FILE);
        let mut repeated: Vec<u64> = found.repeats.iter().map(|repeat| repeat.of).collect();
        repeated.sort_unstable();
        repeated.dedup();
        let out = BufWriter::new(AtomicFile::create(&path)?);
        let mut list = Self { found, repeated, names: HashMap::new(), shards: Vec::new(), path, out };
        list.line(HEADER)?;
        Ok(list)
    }

    /// Lists the duplicates in `tar`, whose first sample has number `first` over all inputs.
    pub(super) fn add(&mut self, tar: &MappedTar, shown: String, first: u64) -> Result<(), RewriteError> {
        let shard = self.shards.len();
        self.shards.push(shown);
        for (ordinal, sample) in (first..).zip(tar.iter()) {
            if self.repeated.binary_search(&ordinal).is_ok() {
                self.names.insert(ordinal, (shard, sample.key().into()));
            }
            let Some(repeat) = self.found.repeat(ordinal) else { continue };
            let Some((of_shard, of_key)) = self.names.get(&repeat.of) else { continue };
            let line = [
                // Keys and paths are anyone's, and may hold what ends a cell.
                printable(&self.shards[shard]),
                printable(sample.key()),
                printable(&self.shards[*of_shard]),
                printable(of_key),
                repeat.distance.to_string().into(),
            ];
            self.line(&line.join("\t"))?;
        }
        Ok(())
    }

    fn line(&mut self, line: &str) -> Result<(), RewriteError> {
        let failed = |e| FileError::new(&self.path, FileAction::Write, e);
        Ok(writeln!(self.out, "{line}").map_err(failed)?)
    }

    /// Puts the list in place; returns its name within the output.
    pub(super) fn finish(self) -> Result<String, RewriteError> {
        let file = self
            .out
            .into_inner()
            .map_err(|e| FileError::new(&self.path, FileAction::Write, e.into_error()))?;
        file.commit()?;
        Ok(format!("{PAIRMILL_FOLDER}/{DUPLICATES_FILE}"))
    }
}
