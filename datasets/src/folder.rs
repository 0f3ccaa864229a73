//! Any set with a folder per class, in a folder or an archive: `<root>/{train,val,test}/<class>/…`, or `<root>/<class>/…`
//! without splits, of which a seeded share is held out to test on. A folder is a split only where its siblings look like
//! splits too: `train` beside `bus` and `plane` is a class. `valid` and `validation` mean `val`; with `train` and
//! `val` alone, `val` is what is tested on. Folders around all of it are passed by; folders within a class belong to it.
//! Classes are the folders in ASCII order, or as `classes` lists them.

use std::collections::{BTreeMap, BTreeSet};

use super::assembly::{Assembly, label_of, sorted_unique};
use super::config::DatasetConfig;
use super::error::{DatasetError, shown};
use super::list::ClassList;
use super::set::{LabelledSet, Part};
use super::tree::{LeftOut, Tree, is_picture};

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
    let layout = Layout::of(&below);
    let mut found = Vec::new();
    let mut outside = LeftOut::default();
    for (name, file) in below.iter().zip(&files) {
        let (part, rest) = match (layout.has_splits, split_of(name)) {
            (true, Some((part, rest))) => (part, rest),
            (true, None) => (Part::Train, ""),
            (false, _) => (Part::Train, *name),
        };
        match rest.split_once('/') {
            Some((class, _)) => found.push((part, class, rest, *file)),
            None => outside.add(name),
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
    set.notes.extend(layout.note());
    set.notes.extend(outside.note("pictures lie in no class folder and are left out"));
    let mut others = LeftOut::default();
    listing.files.iter().filter(|(name, _)| !is_picture(name)).for_each(|(name, _)| others.add(name));
    set.notes.extend(others.note("files are no pictures"));
    set.notes.extend(listing.notes());
    set.complete_test()?;
    set.with_tree(tree).finish("it", "")
}

/// The classes a file lists, else those found, in ASCII order.
pub(super) fn classes<'a>(
    config: &DatasetConfig,
    found: impl Iterator<Item = &'a str>,
) -> Result<Vec<String>, DatasetError> {
    match listed_classes(config)? {
        Some(classes) => classes.distinct(),
        None => Ok(sorted_unique(found.map(str::to_owned).collect())),
    }
}

/// The classes of `config.classes`, one a line.
pub(super) fn listed_classes(config: &DatasetConfig) -> Result<Option<ClassList>, DatasetError> {
    config.classes.as_ref().map(|path| ClassList::read(&config.folder().join(path))).transpose()
}

/// Part and rest of a path that begins with a folder named like a split.
fn split_of(name: &str) -> Option<(Part, &str)> {
    let (first, rest) = name.split_once('/')?;
    Some((part_named(first)?, rest))
}

/// Whether the topmost folders are splits. One called `train` is, only where those beside it look like splits too: beside
/// `bus` and `plane` it is a class.
#[derive(Debug, Default)]
struct Layout {
    has_splits: bool,
    /// The folder named like a split that is a class here, and one that lies beside it.
    class: Option<(String, String)>,
}

impl Layout {
    fn of(files: &[&str]) -> Self {
        let mut folders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (folder, rest) in files.iter().filter_map(|file| file.split_once('/')) {
            let inner = folders.entry(folder).or_default();
            inner.extend(rest.split_once('/').map(|(class, _)| class));
        }
        let of_train = |folder: &str| part_named(folder) == Some(Part::Train);
        let train: Vec<_> = folders.iter().filter(|(folder, _)| of_train(folder)).collect();
        let Some(&(first, _)) = train.first() else { return Self::default() };
        let beside = folders.keys().find(|folder| part_named(folder).is_none());
        let Some(beside) = beside else { return Self { has_splits: true, class: None } };
        // Beside folders of other names, `train` and `test` are splits if they hold the same classes.
        let holds_same = folders.iter().any(|(folder, classes)| {
            let is_other = part_named(folder).is_some_and(|part| part != Part::Train);
            is_other && train.iter().any(|(_, own)| own.intersection(classes).next().is_some())
        });
        let class = (!holds_same).then(|| ((*first).to_owned(), (*beside).to_owned()));
        Self { has_splits: holds_same, class }
    }

    fn note(&self) -> Option<String> {
        let (class, beside) = self.class.as_ref()?;
        Some(format!(
            "the folder {} is taken for a class, not for a split: beside it lies {}, which is none",
            shown(class),
            shown(beside)
        ))
    }
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
    fn a_folder_called_train_is_a_split_only_among_splits() {
        for (files, has_splits) in [
            (&["train/a/1.jpg", "train/b/1.jpg"][..], true),
            (&["train/a/1.jpg", "test/a/1.jpg"], true),
            (&["bus/1.jpg", "train/1.jpg"], false),
            (&["bus/1.jpg", "train/steam/1.jpg", "train/electric/1.jpg"], false),
            (&["extras/1.jpg", "train/a/1.jpg", "val/a/1.jpg"], true),
            (&["bus/1.jpg", "train/steam/1.jpg", "test/rig/1.jpg"], false),
            (&["a/1.jpg", "val/1.jpg"], false),
        ] {
            let layout = Layout::of(files);
            assert_eq!(layout.has_splits, has_splits, "{files:?}");
            assert_eq!(layout.note().is_some(), !has_splits && files.iter().any(|f| f.starts_with("train/")));
        }
    }

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
