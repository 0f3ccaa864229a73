//! Classes: WordNet ids in sorted order, which is the numbering of every framework and of CLIP's class names, and the
//! devkit's own ids, which are in another order.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use pairmill_shards::tar::{EndMarker, TarReader};

use super::error::ImageNetError;
use super::matlab::{self, read_struct_array};

/// Largest devkit, unpacked.
const MAX_DEVKIT_BYTES: u64 = 64 << 20;

/// The classes of a release.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Classes {
    /// Where they are from, for messages.
    pub(super) path: PathBuf,
    /// Sorted; the position is the label.
    pub wnids: Vec<String>,
    /// `ILSVRC2012_ID` → label, where the devkit is the source.
    pub devkit_ids: HashMap<u64, usize>,
}

impl Classes {
    /// Of the devkit (`.tar.gz`), its `meta.mat`, or Kaggle's `LOC_synset_mapping.txt`.
    ///
    /// # Errors
    /// When the file is none of these, or damaged.
    pub fn read(path: &Path) -> Result<Self, ImageNetError> {
        let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
            let mat = devkit_member(path, "meta.mat")?;
            return Self::of_mat(path, &mat);
        }
        let bytes = read_small(path)?;
        if name.ends_with(".mat") { Self::of_mat(path, &bytes) } else { Self::of_mapping(path, &bytes) }
    }

    /// The classes that are there, where nothing else says which there should be.
    pub fn of_wnids(path: &Path, mut wnids: Vec<String>) -> Self {
        wnids.sort();
        wnids.dedup();
        Self { path: path.to_owned(), wnids, devkit_ids: HashMap::new() }
    }

    /// The label of a WNID.
    pub fn label(&self, wnid: &str) -> Option<usize> {
        self.wnids.binary_search_by(|known| known.as_str().cmp(wnid)).ok()
    }

    /// The structs without children are the classes; the rest are inner nodes of WordNet.
    fn of_mat(path: &Path, bytes: &[u8]) -> Result<Self, ImageNetError> {
        let failed = |error| ImageNetError::Mat { path: path.to_owned(), error };
        let synsets = read_struct_array(bytes, "synsets").map_err(failed)?;
        let at = |field: &'static str| {
            synsets.fields.iter().position(|name| name == field).ok_or_else(|| {
                failed(matlab::MatError::NoVariable { name: field, found: synsets.fields.join(", ") })
            })
        };
        let (id, wnid, children) = (at("ILSVRC2012_ID")?, at("WNID")?, at("num_children")?);
        let mut ids = Vec::new();
        for (number, row) in synsets.rows.iter().enumerate() {
            let malformed = || ImageNetError::Line {
                path: path.to_owned(),
                line: number + 1,
                reason: "synset without a whole ILSVRC2012_ID, WNID and num_children; fetch the devkit again"
                    .to_owned(),
            };
            let (Some(id), Some(wnid), Some(children)) =
                (row[id].integer(), row[wnid].text(), row[children].integer())
            else {
                return Err(malformed());
            };
            if !is_wnid(wnid) {
                return Err(malformed());
            }
            if children == 0 {
                ids.push((id, wnid.to_owned()));
            }
        }
        let mut classes = Self::of_wnids(path, ids.iter().map(|(_, wnid)| wnid.clone()).collect());
        classes.devkit_ids = ids.iter().filter_map(|(id, wnid)| Some((*id, classes.label(wnid)?))).collect();
        Ok(classes)
    }

    fn of_mapping(path: &Path, bytes: &[u8]) -> Result<Self, ImageNetError> {
        let text = String::from_utf8_lossy(bytes);
        let mut wnids = Vec::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wnid = line.split_whitespace().next().unwrap_or_default();
            if !is_wnid(wnid) {
                return Err(ImageNetError::Line {
                    path: path.to_owned(),
                    line: number + 1,
                    reason: format!(
                        "`{}` begins with no WordNet id; give LOC_synset_mapping.txt, meta.mat or the devkit",
                        line.chars().take(40).collect::<String>()
                    ),
                });
            }
            wnids.push(wnid.to_owned());
        }
        Ok(Self::of_wnids(path, wnids))
    }
}

/// `n` and eight digits.
pub(super) fn is_wnid(text: &str) -> bool {
    text.len() == 9 && text.starts_with('n') && text.bytes().skip(1).all(|byte| byte.is_ascii_digit())
}

/// A member of the devkit by its file name, wherever it lies.
pub(super) fn devkit_member(path: &Path, name: &'static str) -> Result<Vec<u8>, ImageNetError> {
    let file = File::open(path).map_err(ImageNetError::unreadable(path))?;
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    // The real one has 2.5 MB, 20 unpacked.
    let unpacked = GzDecoder::new(std::io::BufReader::new(file)).take(MAX_DEVKIT_BYTES);
    for sample in TarReader::with_end_marker(unpacked, path, EndMarker::Optional) {
        let sample = sample?;
        if sample.key.rsplit('/').next() == Some(stem)
            && let Some(bytes) = sample.get(ending)
        {
            return Ok(bytes.to_vec());
        }
    }
    Err(ImageNetError::NotTheDevkit { path: path.to_owned(), member: name })
}

/// A file that fits in memory if it is what it should be.
pub(super) fn read_small(path: &Path) -> Result<Vec<u8>, ImageNetError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(ImageNetError::unreadable(path))?;
    file.take(matlab::MAX_BYTES + 1).read_to_end(&mut bytes).map_err(ImageNetError::unreadable(path))?;
    if bytes.len() as u64 > matlab::MAX_BYTES {
        return Err(ImageNetError::TooLarge { path: path.to_owned(), max_bytes: matlab::MAX_BYTES });
    }
    Ok(bytes)
}
