//! Caltech-101 (Fei-Fei et al. 2004): `101_ObjectCategories/<class>/image_NNNN.jpg`, today as `caltech-101.zip` with
//! `101_ObjectCategories.tar.gz` in it, formerly as that tar.gz alone. 102 folders: `BACKGROUND_Google` is kept as a
//! class, as the study and TFDS do; in it lies a stray file `tmp`, which is no picture. No official split: 30 pictures of
//! each class to train on, the rest to test on, as TFDS draws them; the draw is ours (TFDS' seed says nothing to us).

use super::assembly::Assembly;
use super::class_folders;
use super::config::DatasetConfig;
use super::error::DatasetError;
use super::set::LabelledSet;
use super::tree::{Search, is_picture};

/// Pictures of each class to train on.
const TRAIN_PER_CLASS: usize = 30;
const FOLDER: &str = "101_ObjectCategories";

pub(super) fn read(config: &DatasetConfig) -> Result<LabelledSet, DatasetError> {
    let search = Search {
        within: &["caltech-101", "caltech101"],
        folders: &[FOLDER],
        archives: &["101_ObjectCategories.tar.gz", "caltech-101.zip", "caltech101.zip"],
        marks: &["BACKGROUND_Google"],
    };
    let mut tree = search.require(&config.root, "Caltech-101")?;
    let mut listing = tree.list(&|_| false)?;
    let inner = listing.files.iter().find(|(name, _)| name.ends_with("101_ObjectCategories.tar.gz"));
    if let Some((inner, _)) = inner.filter(|_| !tree.is_folder()) {
        tree = tree.tar_in_zip(inner);
        listing = tree.list(&|_| false)?;
    }
    let mut set = Assembly::new(config, Vec::new());
    class_folders::add(&mut set, &listing, FOLDER, &is_picture);
    set.keep_per_class(TRAIN_PER_CLASS);
    set.with_tree(tree).finish("it", "")
}
