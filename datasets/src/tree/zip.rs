//! The files of a zip: its directory is read whole, then members in the order of their bytes.

use std::fs::File;
use std::io::{BufReader, Read};

use ::zip::ZipArchive;
use ::zip::result::ZipError;

use super::{Choice, DatasetError, Member, Tree, Visitor, tidy};
use crate::error::shown;

type Archive = ZipArchive<BufReader<File>>;

fn open(tree: &Tree) -> Result<Archive, DatasetError> {
    let file = File::open(&tree.path).map_err(DatasetError::read(&tree.path))?;
    ZipArchive::new(BufReader::new(file)).map_err(|error| {
        let rule = match error {
            // What a zip that is cut off lacks is its directory, which stands at its end.
            ZipError::InvalidArchive(_) => {
                format!("the archive is cut off or damaged ({}); fetch it again", shown(&error.to_string()))
            }
            error => shown(&error.to_string()),
        };
        DatasetError::Archive { path: tree.path.clone(), rule }
    })
}

pub(super) fn visit<V: Visitor>(tree: &Tree, visitor: &mut V) -> Result<(), V::Error> {
    let mut archive = open(tree)?;
    let mut order = Vec::with_capacity(archive.len());
    for index in 0..archive.len() {
        let entry = archive.by_index_data(index).map_err(|error| damaged(tree, "its directory", &error))?;
        let name = entry.name().map_err(|error| damaged(tree, "its directory", &error))?;
        let Some(name) = tidy(&name) else { continue };
        if entry.is_symlink() {
            visitor.leave_out("symbolic links of the zip are left out", &name);
        } else if entry.is_file() {
            order.push((entry.header_start(), index, entry.size(), name));
        }
    }
    order.sort();
    for (_, index, size, name) in order {
        match visitor.choose(&name, size) {
            Choice::Skip => {}
            Choice::Stop => break,
            Choice::Read => {
                let mut input = archive.by_index(index).map_err(|error| damaged(tree, &name, &error))?;
                visitor.take(&mut Member { name: &name, size, tree, input: &mut input })?;
            }
        }
    }
    Ok(())
}

/// Reads one member of the zip as a stream.
pub(super) fn open_member<T, E: From<DatasetError>>(
    tree: &Tree,
    member: &str,
    take: impl FnOnce(&mut dyn Read) -> Result<T, E>,
) -> Result<T, E> {
    let mut archive = open(tree)?;
    let names = (0..archive.len()).filter_map(|index| Some((index, archive.by_index_data(index).ok()?)));
    let found = names
        .filter_map(|(index, entry)| Some((index, tidy(&entry.name().ok()?)?)))
        .find(|(_, name)| name == member);
    let Some((index, _)) = found else {
        return Err(DatasetError::wrong(tree.file(""), "it was there when the dataset was opened").into());
    };
    let mut input = archive.by_index(index).map_err(|error| damaged(tree, member, &error))?;
    take(&mut input)
}

fn damaged(tree: &Tree, name: &str, error: &ZipError) -> DatasetError {
    let rule = format!("the archive is damaged at {}: {}", shown(name), shown(&error.to_string()));
    DatasetError::Archive { path: tree.path.clone(), rule }
}
