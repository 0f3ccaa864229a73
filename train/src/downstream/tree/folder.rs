//! The files of a folder, sorted by name, links followed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::{Choice, DatasetError, Member, Tree, Visitor, is_debris};

/// Folders within folders.
const MAX_DEPTH: usize = 64;

pub(super) fn visit<V: Visitor>(tree: &Tree, visitor: &mut V) -> Result<(), V::Error> {
    walk(tree, &mut vec![tree.path.clone()], "", visitor).map(drop)
}

/// Reads one file by its name below the tree; an absolute name is taken as it is.
pub(super) fn open<E: From<DatasetError>>(
    tree: &Tree,
    name: &str,
    take: impl FnOnce(&mut Member<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let path = tree.path.join(name);
    let mut file = File::open(&path).map_err(DatasetError::read(&path))?;
    let size = file.metadata().map_err(DatasetError::read(&path))?.len();
    take(&mut Member { name, size, tree, input: &mut file })
}

/// False when the visitor wants no more.
fn walk<V: Visitor>(
    tree: &Tree,
    above: &mut Vec<PathBuf>,
    prefix: &str,
    visitor: &mut V,
) -> Result<bool, V::Error> {
    let folder = above.last().cloned().unwrap_or_default();
    let mut entries = Vec::new();
    for entry in fs::read_dir(&folder).map_err(DatasetError::read(&folder))? {
        let entry = entry.map_err(DatasetError::read(&folder))?;
        // A name that is no text could not be asked for again.
        if let Some(name) = entry.file_name().to_str().filter(|name| !is_debris(name)) {
            entries.push(name.to_owned());
        }
    }
    entries.sort();
    for entry in entries {
        let path = folder.join(&entry);
        // A link that leads nowhere is no file.
        let Ok(meta) = fs::metadata(&path) else { continue };
        let name = if prefix.is_empty() { entry } else { format!("{prefix}/{entry}") };
        if meta.is_dir() {
            if above.len() == MAX_DEPTH || leads_up(&path, above) {
                continue;
            }
            above.push(path);
            let goes_on = walk(tree, above, &name, visitor)?;
            above.pop();
            if !goes_on {
                return Ok(false);
            }
        } else if meta.is_file() {
            match visitor.choose(&name, meta.len()) {
                Choice::Skip => {}
                Choice::Stop => return Ok(false),
                Choice::Read => open(tree, &name, |member| visitor.take(member))?,
            }
        }
    }
    Ok(true)
}

/// Whether a link leads to a folder that it lies in.
fn leads_up(path: &Path, above: &[PathBuf]) -> bool {
    if !fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink()) {
        return false;
    }
    let real = fs::canonicalize(path).unwrap_or_default();
    above.iter().any(|folder| fs::canonicalize(folder).is_ok_and(|folder| folder == real))
}
