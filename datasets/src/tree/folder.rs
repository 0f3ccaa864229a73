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
        match entry.file_name().into_string() {
            Ok(name) if is_debris(&name) => {}
            Ok(name) => entries.push(name),
            Err(name) => visitor.leave_out("names are not UTF-8 and are left out", &name.to_string_lossy()),
        }
    }
    entries.sort();
    for entry in entries {
        let path = folder.join(&entry);
        let name = if prefix.is_empty() { entry } else { format!("{prefix}/{entry}") };
        let Ok(meta) = fs::metadata(&path) else {
            visitor.leave_out("links lead nowhere and are left out", &name);
            continue;
        };
        if meta.is_dir() {
            if leads_up(&path, above) {
                visitor.leave_out("links lead to a folder they lie in and are left out", &name);
                continue;
            }
            if above.len() == MAX_DEPTH {
                visitor.leave_out("folders lie too deep and are left out", &name);
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
        } else {
            visitor.leave_out("entries are neither files nor folders and are left out", &name);
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
