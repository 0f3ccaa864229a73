//! Labels of the validation images: by number, from the devkit's ground truth (an `ILSVRC2012_ID` a line) or Kaggle's
//! `LOC_val_solution.csv` (a WNID a row, in any order).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::error::ImageNetError;
use super::synsets::{Classes, devkit_member, read_small};

const GROUND_TRUTH: &str = "ILSVRC2012_validation_ground_truth.txt";

/// Label of each validation image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Labels {
    pub path: PathBuf,
    /// By number, from 1.
    pub by_number: HashMap<u64, usize>,
}

impl Labels {
    /// Of the devkit, its ground truth, or Kaggle's solution.
    pub fn read(path: &Path, classes: &Classes) -> Result<Self, ImageNetError> {
        let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let bytes = if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
            devkit_member(path, GROUND_TRUTH)?
        } else {
            read_small(path)?
        };
        let text = String::from_utf8_lossy(&bytes);
        let label_of = if name.ends_with(".csv") { solution } else { ground_truth };
        let known = if name.ends_with(".csv") { classes.wnids.len() } else { classes.devkit_ids.len() };
        if known == 0 {
            return Err(ImageNetError::NoSynsets { path: path.to_owned() });
        }
        let mut by_number = HashMap::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            if name.ends_with(".csv") && at == 0 && line.starts_with("ImageId") {
                continue;
            }
            let (number, label) = label_of(path, at, line.trim(), classes)?;
            by_number.insert(number, label);
        }
        Ok(Self { path: path.to_owned(), by_number })
    }
}

fn ground_truth(
    path: &Path,
    at: usize,
    line: &str,
    classes: &Classes,
) -> Result<(u64, usize), ImageNetError> {
    let label = line.parse().ok().and_then(|id: u64| classes.devkit_ids.get(&id));
    label.map(|&label| (at as u64 + 1, label)).ok_or_else(|| ImageNetError::Line {
        path: path.to_owned(),
        line: at + 1,
        reason: format!(
            "`{}` is no ILSVRC2012_ID of a class in {}; give the ground truth of the same devkit",
            line.chars().take(40).collect::<String>(),
            classes.path.display()
        ),
    })
}

/// `ILSVRC2012_val_00048981,n03995372 85 1 499 272 `: WNID and box, several of them, all of one class.
fn solution(path: &Path, at: usize, line: &str, classes: &Classes) -> Result<(u64, usize), ImageNetError> {
    let parsed = line.split_once(',').and_then(|(image, boxes)| {
        let number = image.rsplit('_').next()?.parse().ok()?;
        Some((number, classes.label(boxes.split_whitespace().next()?)?))
    });
    parsed.ok_or_else(|| ImageNetError::Line {
        path: path.to_owned(),
        line: at + 1,
        reason: format!(
            "`{}` is no image and WordNet id of {}; give LOC_val_solution.csv",
            line.chars().take(60).collect::<String>(),
            classes.path.display()
        ),
    })
}
