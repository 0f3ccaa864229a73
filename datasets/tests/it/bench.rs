//! A dataset of the miniature web in a folder of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use pairmill_datasets::{Counts, DatasetConfig, DatasetError, DatasetKind, LabelledSet, Part, Picture};
use pairmill_world::{Dataset, Form, LabelledConfig, LabelledTruth, World, WorldConfig};
use tempfile::TempDir;

/// What was written, and where.
pub struct Bench {
    pub folder: TempDir,
    pub dataset: Dataset,
    pub truth: LabelledTruth,
}

impl Bench {
    /// `classes` classes of `per_class` pictures.
    pub fn new(dataset: Dataset, form: Form, classes: usize, per_class: usize) -> Self {
        let config =
            LabelledConfig { classes: Some(classes), ..LabelledConfig::new(dataset, per_class, form) };
        Self::of(&config)
    }

    pub fn of(config: &LabelledConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = World::new(WorldConfig { seed: 11, ..WorldConfig::default() });
        let truth = world.write_labelled(config, folder.path()).unwrap();
        Self { folder, dataset: config.dataset, truth }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes what is there.
    pub fn config(&self) -> DatasetConfig {
        let root = match self.dataset {
            Dataset::Folder if self.path("flowers").is_dir() => self.path("flowers"),
            Dataset::Folder => self.path("flowers.zip"),
            _ => self.folder.path().to_owned(),
        };
        DatasetConfig::new(kind_of(self.dataset), root).with_counts(Counts::Reported)
    }

    pub fn open(&self) -> LabelledSet {
        LabelledSet::open(&self.config()).unwrap_or_else(|error| panic!("{}: {error}", self.dataset))
    }

    /// Cuts a file to a share of its length.
    pub fn cut(&self, name: &str, share: f64) {
        let bytes = std::fs::read(self.path(name)).unwrap();
        std::fs::write(self.path(name), &bytes[..(bytes.len() as f64 * share) as usize]).unwrap();
    }
}

pub fn kind_of(dataset: Dataset) -> DatasetKind {
    match dataset {
        Dataset::Cifar100 | Dataset::Cifar100Python => DatasetKind::Cifar100,
        Dataset::Dtd => DatasetKind::Dtd,
        Dataset::Caltech101 | Dataset::Caltech101Tar => DatasetKind::Caltech101,
        Dataset::Pets => DatasetKind::Pets,
        Dataset::Real => DatasetKind::Real,
        Dataset::Clipart | Dataset::ClipartOriginal => DatasetKind::Clipart,
        Dataset::Eurosat | Dataset::EurosatZenodo => DatasetKind::Eurosat,
        Dataset::Cassava => DatasetKind::Cassava,
        Dataset::CameraTraps | Dataset::CameraTrapsPartial => DatasetKind::CameraTraps,
        Dataset::Folder => DatasetKind::Folder,
        Dataset::Csv => DatasetKind::Csv,
        Dataset::Shards => DatasetKind::Shards,
    }
}

/// Name to (part, label, MD5), by one pass over the pictures that `wanted` chooses. `any` stands for train and test.
pub fn visited(
    set: &LabelledSet,
    any: bool,
    mut wanted: impl FnMut(Part, usize) -> bool,
) -> BTreeMap<(String, String), (usize, String)> {
    let mut found = BTreeMap::new();
    set.visit::<DatasetError>(&mut wanted, |part, index, picture| {
        let example = &set.part(part)[index];
        let bytes = match picture {
            Picture::Encoded(bytes) => bytes,
            Picture::Rgb { width, height, pixels } => {
                assert_eq!(pixels.len(), 3 * width as usize * height as usize);
                pixels
            }
        };
        let md5: String = Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let part = if any { "any" } else { part.as_str() };
        let before = found.insert((part.to_owned(), example.name.to_string()), (example.label as usize, md5));
        assert!(before.is_none(), "{} twice", example.name);
        Ok(())
    })
    .unwrap();
    found
}

/// The same of the truth.
pub fn expected(truth: &LabelledTruth) -> BTreeMap<(String, String), (usize, String)> {
    let entry = |picture: &pairmill_world::LabelledPicture| {
        ((picture.part.to_owned(), picture.name.clone()), (picture.label, picture.md5.clone()))
    };
    truth.pictures.iter().map(entry).collect()
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap();
}
