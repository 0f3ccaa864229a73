//! Any set with a folder per class, in a folder or an archive: `<root>/{train,val,test}/<class>/…`, or `<root>/<class>/…`
//! without splits, of which a seeded share is held out to test on. `valid` and `validation` mean `val`; with `train` and
//! `val` alone, `val` is what is tested on. Folders around all of it are passed by; folders within a class belong to it.
//! Classes are the folders in ASCII order, or as `classes` lists them.

use std::collections::HashSet;

use super::assembly::{Assembly, label_of, sorted_unique};
use super::config::DatasetConfig;
use super::error::{DatasetError, shown};
use super::list::lines;
use super::set::{LabelledSet, Part};
use super::tree::{Tree, is_picture};

pub(super) fn read(config: &DatasetConfig) -> Result<LabelledSet, DatasetError> {
    let tree = Tree::open(&config.root)?;
    let listing = tree.list(&|_| false)?;
    let mut files: Vec<&str> =
        listing.files.iter().map(|(name, _)| name.as_str()).filter(|name| is_picture(name)).collect();
    files.sort_unstable();
    if files.is_empty() {
        return Err(DatasetError::missing(&config.root, "no pictures in it (.jpg, .png, .webp, …)"));
    }
    let around = around(&files);
    let below: Vec<&str> = files.iter().map(|file| &file[around..]).collect();
    let split_of = |name: &str| name.split_once('/').and_then(|(first, _)| part_named(first));
    let has_splits = below.iter().any(|name| split_of(name) == Some(Part::Train));
    let mut found = Vec::new();
    let mut outside = 0usize;
    for (name, file) in below.iter().zip(&files) {
        let (part, rest) = match (has_splits, split_of(name)) {
            (true, Some(part)) => (part, name.split_once('/').map_or("", |(_, rest)| rest)),
            (true, None) => (Part::Train, ""),
            (false, _) => (Part::Train, *name),
        };
        match rest.split_once('/') {
            Some((class, _)) => found.push((part, class, rest, *file)),
            None => outside += 1,
        }
    }
    let of_train = found.iter().filter(|(part, ..)| *part == Part::Train).map(|(_, class, ..)| *class);
    let mut set = Assembly::new(config, classes(config, of_train)?);
    let classes = set.classes.clone();
    let labels = label_of(&classes);
    for (part, class, name, file) in found {
        let label = *labels.get(class).ok_or_else(|| {
            let whose = if config.classes.is_some() { "the list of classes" } else { "train" };
            let rule = format!("its folder {:?} is no class of {whose}", shown(class));
            DatasetError::wrong(tree.file(file), rule)
        })?;
        set.add_file(part, label, name, file);
    }
    if outside > 0 {
        set.notes.push(format!("{outside} pictures lie in no class folder and are left out"));
    }
    let others = listing.files.len() - files.len();
    if others > 0 {
        set.notes.push(format!("{others} files are no pictures"));
    }
    set.complete_test()?;
    set.with_tree(tree).finish("it", "")
}

/// The classes a file lists, else those found, in ASCII order.
pub(super) fn classes<'a>(
    config: &DatasetConfig,
    found: impl Iterator<Item = &'a str>,
) -> Result<Vec<String>, DatasetError> {
    match listed_classes(config)? {
        Some(classes) => Ok(classes),
        None => Ok(sorted_unique(found.map(str::to_owned).collect())),
    }
}

/// The classes of `config.classes`, one a line.
pub(super) fn listed_classes(config: &DatasetConfig) -> Result<Option<Vec<String>>, DatasetError> {
    let Some(path) = &config.classes else { return Ok(None) };
    let path = config.folder().join(path);
    let bytes = std::fs::read(&path).map_err(DatasetError::read(&path))?;
    let file = path.display().to_string();
    let (mut classes, mut known) = (Vec::new(), HashSet::new());
    for (number, line) in lines(&file, &bytes)? {
        if !known.insert(line) {
            let rule = format!("class {:?} for the second time", shown(line));
            return Err(DatasetError::wrong(format!("{file} line {number}"), rule));
        }
        classes.push(line.to_owned());
    }
    Ok(Some(classes))
}

/// What a folder's name says about splits.
pub(super) fn part_named(name: &str) -> Option<Part> {
    Some(match name.to_ascii_lowercase().as_str() {
        "train" | "training" | "trainval" => Part::Train,
        "val" | "valid" | "validation" | "dev" => Part::Val,
        "test" | "testing" => Part::Test,
        _ => return None,
    })
}

/// Bytes of the folders that all files lie in, as long as a folder of split or class is left below.
fn around(files: &[&str]) -> usize {
    let mut around = 0;
    while let Some((first, _)) = files[0][around..].split_once('/') {
        let end = around + first.len() + 1;
        let all = files.iter().all(|file| file.get(..end) == files[0].get(..end));
        let deep = files.iter().all(|file| file.get(end..).is_some_and(|rest| rest.contains('/')));
        let is_train = part_named(first) == Some(Part::Train);
        if !all || !deep || is_train {
            break;
        }
        around = end;
    }
    around
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_around_a_set_are_passed_by() {
        let set = |files: &[&str]| files[0][..around(files)].to_owned();
        assert_eq!(set(&["flowers/train/rose/a.jpg", "flowers/test/rose/b.jpg"]), "flowers/");
        assert_eq!(set(&["rose/a.jpg", "tulip/b.jpg"]), "");
        assert_eq!(set(&["a/b/rose/a.jpg", "a/b/tulip/c/b.jpg"]), "a/b/");
        assert_eq!(set(&["rose/a.jpg", "rose/b.jpg"]), "", "one class is no folder around");
        assert_eq!(set(&["train/rose/a.jpg", "train/tulip/b.jpg"]), "");
        assert_eq!(set(&["a-long-name/rose/a.jpg", "b.jpg"]), "", "a name shorter than the first folder's");
        assert_eq!(set(&["abcd/rose/a.jpg", "abcdé.jpg"]), "", "a letter where the first folder's name ends");
    }
}
