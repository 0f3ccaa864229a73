//! What of a dataset lies in a folder: each file found, missing or wrong, then what its reader makes of it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use pairmill_pixels::{Limits, decode_rgb};
use pairmill_shards::words::{bytes, grouped};

use super::catalogue::{RemoteFile, other_archives, other_folders, remote_files};
use super::config::{DatasetConfig, DatasetKind};
use super::error::{DatasetError, shown};
use super::fetch::content_problem;
use super::pets;
use super::set::{LabelledSet, Part, Picture};
use super::tree::file_in;

/// State of one thing that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is there and as it should be.
    Found,
    /// It is not there.
    Missing,
    /// It is there and not as it should be.
    Wrong,
}

impl State {
    /// The word in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
        }
    }
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// File, or what was counted.
    pub what: String,
    /// Its state.
    pub state: State,
    /// Size, checksum, count, or what is wrong.
    pub detail: String,
}

/// What was found of a dataset.
#[derive(Debug)]
pub struct Report {
    /// Which.
    pub kind: DatasetKind,
    /// Line by line.
    pub findings: Vec<Finding>,
    /// What the set itself remarks.
    pub notes: Vec<String>,
    /// Whether it can be used as the config says.
    pub is_usable: bool,
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Hold archives against their published checksums, or lengths where there are none.
    pub checksums: bool,
    /// Decode every picture, and note those that two parts share byte for byte.
    pub decode: bool,
}

/// The datasets of which something lies in `root`: the study's by the names of their files, else an own set by its form.
///
/// # Errors
/// When there is no such folder, or nothing known in it.
pub fn recognise(root: &Path) -> Result<Vec<DatasetKind>, DatasetError> {
    if !root.exists() {
        return Err(DatasetError::missing(root, "there is no such file or folder"));
    }
    let is_there = |name: &str| match root.is_file() {
        true => root.file_name().is_some_and(|own| own.eq_ignore_ascii_case(name)),
        false => file_in(root, name).is_some() || root.join(name).is_dir(),
    };
    let known: Vec<_> = DatasetKind::ALL
        .iter()
        .copied()
        .filter(|&kind| {
            let files =
                remote_files(kind).iter().flat_map(|file| std::iter::once(file.path).chain(file.unpacked));
            let others =
                other_archives(kind).iter().map(|(name, _)| *name).chain(other_folders(kind).iter().copied());
            let kaggle = (kind == DatasetKind::Cassava).then_some("cassava-leaf-disease-classification.zip");
            files.chain(others).chain(kaggle).any(is_there)
        })
        // `images` and `annotations` are everybody's names.
        .filter(|&kind| kind != DatasetKind::Pets || looks_like_pets(root))
        .collect();
    if !known.is_empty() {
        return Ok(known);
    }
    let names: Vec<String> = match root.is_file() {
        true => vec![root.to_string_lossy().into_owned()],
        false => std::fs::read_dir(root)
            .map_err(DatasetError::read(root))?
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .collect(),
    };
    let any = |end: &str| names.iter().any(|name| name.to_lowercase().ends_with(end));
    let has_tars = |folder: &str| {
        std::fs::read_dir(root.join(folder)).is_ok_and(|entries| {
            entries
                .filter_map(Result::ok)
                .any(|entry| entry.path().extension().is_some_and(|ext| ext == "tar"))
        })
    };
    // The second is CLIP_benchmark's layout.
    Ok(vec![if any(".tar") || has_tars("train") || has_tars("test") {
        DatasetKind::Shards
    } else if any(".csv") || any(".tsv") {
        DatasetKind::Csv
    } else {
        DatasetKind::Folder
    }])
}

fn looks_like_pets(root: &Path) -> bool {
    let archives = ["images.tar.gz", "annotations.tar.gz"].iter().all(|name| file_in(root, name).is_some());
    archives || root.join("annotations/trainval.txt").is_file()
}

/// Looks at the files of `config`'s dataset, then opens it, with what its `counts` ask.
pub fn check(config: &DatasetConfig, depth: Depth) -> Report {
    let mut findings: Vec<Finding> =
        remote_files(config.kind).iter().map(|file| look_at(config, file, depth)).collect();
    let (mut notes, mut is_usable) = (Vec::new(), false);
    match LabelledSet::open(config) {
        Err(error) => findings.push(finding("dataset", State::Wrong, error.to_string())),
        Ok(set) => {
            is_usable = findings.iter().all(|finding| finding.state != State::Wrong);
            findings.push(finding("classes", State::Found, classes(&set.classes)));
            for part in Part::ALL {
                let examples = set.part(part);
                if examples.is_empty() && part == Part::Val {
                    continue;
                }
                let sizes = super::shots::class_sizes(examples);
                let of = |size: Option<&usize>| size.map_or(0, |size| *size as u64);
                let detail = format!(
                    "{}, {} to {} of a class",
                    grouped(examples.len() as u64),
                    grouped(if sizes.len() < set.classes.len() { 0 } else { of(sizes.values().min()) }),
                    grouped(of(sizes.values().max())),
                );
                findings.push(finding(part.as_str(), State::Found, detail));
            }
            let mut alike = None;
            if depth.decode {
                let pictures;
                (pictures, alike) = decode_all(&set);
                is_usable &= pictures.state == State::Found;
                findings.push(pictures);
            }
            notes = set.notes;
            notes.extend(alike);
        }
    }
    Report { kind: config.kind, findings, notes, is_usable }
}

fn finding(what: impl Into<String>, state: State, detail: impl Into<String>) -> Finding {
    Finding { what: what.into(), state, detail: detail.into() }
}

/// One of the dataset's files, or what stands for it.
fn look_at(config: &DatasetConfig, file: &RemoteFile<'static>, depth: Depth) -> Finding {
    let root = config.folder();
    let place = |name: &str| -> Option<PathBuf> {
        let (parent, name) = name.rsplit_once('/').unwrap_or(("", name));
        // The root itself may be a copy of that name.
        let own = config.root.is_file().then(|| config.root.clone());
        own.filter(|own| own.file_name().is_some_and(|own| own.eq_ignore_ascii_case(name)))
            .or_else(|| file_in(&root.join(parent), name))
    };
    if let Some(path) = place(file.path) {
        let size = std::fs::metadata(&path).map_or(0, |meta| meta.len());
        let size = bytes(size as f64);
        if !depth.checksums {
            return finding(file.path, State::Found, format!("{size}, not held against what was published"));
        }
        return match content_problem(&path, file) {
            Ok(None) if file.md5.is_some() => {
                finding(file.path, State::Found, format!("{size}, MD5 as published"))
            }
            Ok(None) => finding(file.path, State::Found, format!("{size}, length as published")),
            Ok(Some(problem)) => finding(file.path, State::Wrong, problem),
            Err(error) => finding(file.path, State::Wrong, error.to_string()),
        };
    }
    let folders = file.unpacked.into_iter().chain(other_folders(config.kind).iter().copied());
    let folder = folders.map(|folder| root.join(folder)).find(|folder| folder.is_dir());
    if let Some(folder) = folder.filter(|_| file.unpacked.is_some()) {
        return finding(file.path, State::Found, format!("unpacked, in {}", folder.display()));
    }
    for (name, md5) in other_archives(config.kind) {
        if let Some(path) = place(name) {
            let other = RemoteFile { path: name, md5: *md5, bytes: None, ..*file };
            return match depth.checksums.then(|| content_problem(&path, &other)) {
                Some(Ok(Some(problem))) => finding(*name, State::Wrong, problem),
                Some(Err(error)) => finding(*name, State::Wrong, error.to_string()),
                Some(Ok(None)) if md5.is_some() => finding(*name, State::Found, "MD5 as published"),
                _ => finding(*name, State::Found, "checksum not looked at"),
            };
        }
    }
    finding(file.path, State::Missing, "not here under this name")
}

/// Class names that are shown.
const SHOWN_CLASSES: usize = 8;

/// How many there are, and the first of them.
fn classes(names: &[String]) -> String {
    let mut text = format!("{}: ", grouped(names.len() as u64));
    let first: Vec<String> = names.iter().take(SHOWN_CLASSES).map(|name| shown(name)).collect();
    text.push_str(&first.join(", "));
    if names.len() > SHOWN_CLASSES {
        text.push_str(", …");
    }
    text
}

/// Pictures that cannot be decoded, but for those known to be damaged; and, since every byte is there once, a note of
/// those that are the same byte for byte in two parts.
fn decode_all(set: &LabelledSet) -> (Finding, Option<String>) {
    let limits = Limits::default();
    let (mut whole, mut known, mut bad) = (0u64, 0u64, Vec::new());
    let mut seen: HashMap<[u8; 16], (Part, usize)> = HashMap::new();
    let (mut copies, mut copy) = (0u64, None);
    let pass = set.visit::<DatasetError>(
        |_, _| true,
        |part, index, picture| {
            let (Picture::Encoded(content) | Picture::Rgb { pixels: content, .. }) = picture;
            let (before, place) = *seen.entry(Md5::digest(content).into()).or_insert((part, index));
            if before != part {
                copies += 1;
                copy.get_or_insert_with(|| {
                    format!("{} and {}", set.file(before, place), set.file(part, index))
                });
            }
            let result = match picture {
                Picture::Encoded(bytes) => {
                    decode_rgb(bytes, &limits).map(drop).map_err(|error| error.to_string())
                }
                Picture::Rgb { .. } => Ok(()),
            };
            let name = set.part(part).get(index).map_or("", |example| &example.name);
            match result {
                Ok(()) => whole += 1,
                Err(_) if set.kind == DatasetKind::Pets && pets::KNOWN_ODD.contains(&name) => known += 1,
                Err(error) => bad.push(format!("{}: {error}", set.file(part, index))),
            }
            Ok(())
        },
    );
    if let Err(error) = pass {
        return (finding("pictures", State::Wrong, error.to_string()), None);
    }
    let alike = copy.map(|copy| {
        let are = if copies == 1 { "picture is" } else { "pictures are" };
        format!("{copies} {are} the same as one of another part, byte for byte, such as {copy}")
    });
    let known = if known > 0 { format!(", {known} known to be damaged") } else { String::new() };
    let pictures = match bad.first() {
        None => finding("pictures", State::Found, format!("{} decode{known}", grouped(whole))),
        Some(first) => {
            let detail =
                format!("{} of {} do not decode, such as {first}", bad.len(), whole + bad.len() as u64);
            finding("pictures", State::Wrong, detail)
        }
    };
    (pictures, alike)
}
