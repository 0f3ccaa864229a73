//! Labelled datasets as their authors hand them out (protocol §5): archives, lists, names and quirks, in miniature, with
//! the world's pictures. A class is a colour and a shape, which its name says, so what is learnt of one set can be tested
//! on it. Beside the files lies `truth.json`: what a reader must make of them, so a test knows it without a reader of its
//! own. One file here per dataset, one shape: [`Draft`] in, packages and truth out.

mod camera_traps;
mod cassava;
mod cifar100;
mod class;
mod domainnet;
mod folders;
mod own;
mod package;
mod pets;

use std::path::Path;

use md5::{Digest, Md5};
use serde_json::{Value, json};

use crate::encode::{Chroma, Encoding};
use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::rng::Rng;
use crate::scene::{Colour, Distribution, Shape, Texture};
use crate::words::word_enum;
use crate::world::World;
use class::{Class, Spelling};
use package::{Pack, Package};

word_enum! {
    /// A labelled dataset, in one of the ways it is handed out.
    Dataset, "dataset" {
        Cifar100 = "cifar100",
        Cifar100Python = "cifar100-python",
        Dtd = "dtd",
        Caltech101 = "caltech101",
        Caltech101Tar = "caltech101-tar",
        Pets = "pets",
        Real = "real",
        Clipart = "clipart",
        ClipartOriginal = "clipart-original",
        Eurosat = "eurosat",
        EurosatZenodo = "eurosat-zenodo",
        Cassava = "cassava",
        CameraTraps = "camera-traps",
        CameraTrapsPartial = "camera-traps-partial",
        Folder = "folder",
        Csv = "csv",
        Shards = "shards",
    }
}

word_enum! {
    /// How the files lie.
    Form, "form" {
        Archive = "archive",
        Folder = "folder",
    }
}

/// Which dataset to write, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelledConfig {
    /// Which.
    pub dataset: Dataset,
    /// Classes; the real one's number without.
    pub classes: Option<usize>,
    /// Pictures of each class in each part, or in all where there are no parts.
    pub per_class: usize,
    /// Archives as distributed, or unpacked.
    pub form: Form,
    /// The real set's counts in place of `per_class`, and one picture for all, so that it costs little.
    pub real_size: bool,
}

impl LabelledConfig {
    /// `per_class` pictures of every class of the real set.
    pub fn new(dataset: Dataset, per_class: usize, form: Form) -> Self {
        Self { dataset, classes: None, per_class, form, real_size: false }
    }
}

/// What a reader must make of one picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledPicture {
    /// `train`, `val`, `test`; `any` where the set has no split.
    pub part: &'static str,
    /// Path below the folder of pictures, id or number.
    pub name: String,
    /// Index into the classes.
    pub label: usize,
    /// MD5 of the file; of the RGB pixels, row-major, where there is none.
    pub md5: String,
}

/// What a reader must make of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelledTruth {
    /// Names as stored, in label order.
    pub classes: Vec<String>,
    /// Every picture that has a label and is there.
    pub pictures: Vec<LabelledPicture>,
    /// Names that a list has and no archive.
    pub missing: Vec<String>,
    /// Pictures that are listed and have no one label.
    pub left_out: usize,
}

impl LabelledTruth {
    /// Pictures of a part.
    pub fn of_part(&self, part: &str) -> Vec<&LabelledPicture> {
        self.pictures.iter().filter(|picture| picture.part == part).collect()
    }
}

/// A dataset while it is being made.
struct Draft<'a> {
    world: &'a World,
    config: LabelledConfig,
    classes: Vec<Class>,
    truth: LabelledTruth,
    packages: Vec<Package>,
    one: Option<Vec<u8>>,
}

impl Draft<'_> {
    fn num_classes(&self, of_real: usize) -> usize {
        self.config.classes.unwrap_or(of_real)
    }

    /// Pictures of a class where the real set has `real` of all classes.
    fn count(&self, label: usize, real: usize) -> usize {
        let classes = self.classes.len();
        match self.config.real_size {
            true => real / classes + usize::from(label < real % classes),
            false => self.config.per_class,
        }
    }

    /// The planned picture `number` of a class in a part.
    fn plan(&self, label: usize, part: &str, number: usize, sides: [u32; 2]) -> Picture {
        let class = &self.classes[label];
        let part = part.bytes().fold(0u64, |sum, byte| sum * 31 + u64::from(byte));
        let parts = [
            self.world.config().seed,
            0x6c61_6265,
            self.config.dataset as u64,
            label as u64,
            part,
            number as u64,
        ];
        let mut rng = Rng::of(&parts);
        let mut distribution = Distribution { max_extras: 0, counts: [1, 0, 0, 0, 0], ..Distribution::EVEN };
        distribution.shapes = std::array::from_fn(|i| u32::from(Shape::ALL[i] == class.shape));
        distribution.colours = std::array::from_fn(|i| u32::from(Colour::ALL[i] == class.colour));
        if let Some(texture) = class.texture {
            distribution.textures = std::array::from_fn(|i| u32::from(Texture::ALL[i] == texture));
        }
        let scene = distribution.draw(&mut rng);
        let (width, height) = (rng.between(sides[0], sides[1]), rng.between(sides[0], sides[1]));
        let encoding = Encoding::Jpeg { quality: 92, chroma: Chroma::Full, progressive: false };
        Picture { scene, width, height, encoding }
    }

    /// The bytes of a picture of 48 to 96 pixels a side.
    fn jpeg(&mut self, label: usize, part: &str, number: usize) -> Result<Vec<u8>> {
        if let Some(bytes) = &self.one {
            return Ok(bytes.clone());
        }
        let bytes = self.plan(label, part, number, [48, 96]).bytes()?;
        if self.config.real_size {
            self.one = Some(bytes.clone());
        }
        Ok(bytes)
    }

    /// Says that a reader must find this picture.
    fn expect(&mut self, part: &'static str, name: impl Into<String>, label: usize, bytes: &[u8]) {
        let md5 = Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        self.truth.pictures.push(LabelledPicture { part, name: name.into(), label, md5 });
    }

    fn package(&mut self, name: &str, pack: Pack) -> usize {
        self.packages.push(Package { name: name.to_owned(), pack, files: Vec::new() });
        self.packages.len() - 1
    }

    fn put(&mut self, package: usize, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.packages[package].files.push((path.into(), bytes.into()));
    }

    /// What systems leave in archives and folders.
    fn litter(&mut self, package: usize, folder: &str) {
        for path in [
            format!("__MACOSX/{folder}/._picture.jpg"),
            format!("{folder}/.DS_Store"),
            format!("{folder}/Thumbs.db"),
        ] {
            self.put(package, path, *b"\0\0\0\x01Bud1");
        }
    }

    /// Names classes and orders them.
    fn name_classes(&mut self, count: usize, spelling: Spelling) {
        self.classes = class::classes(count, spelling);
        self.truth.classes = self.classes.iter().map(|class| class.name.clone()).collect();
    }
}

impl World {
    /// Writes a labelled dataset to the folder `out`, with `truth.json`.
    ///
    /// # Errors
    /// [`Error::Io`] with the path that could not be written, [`Error::Config`] for more classes than there are.
    pub fn write_labelled(&self, config: &LabelledConfig, out: &Path) -> Result<LabelledTruth> {
        if config.classes.is_some_and(|classes| !(2..=class::MOST).contains(&classes))
            || config.per_class == 0
        {
            return Err(Error::Config(format!(
                "give 2 to {} classes and at least one picture of each",
                class::MOST
            )));
        }
        let mut draft = Draft {
            world: self,
            config: *config,
            classes: Vec::new(),
            truth: LabelledTruth::default(),
            packages: Vec::new(),
            one: None,
        };
        match config.dataset {
            Dataset::Cifar100 | Dataset::Cifar100Python => cifar100::make(&mut draft)?,
            Dataset::Dtd => folders::make_dtd(&mut draft)?,
            Dataset::Caltech101 | Dataset::Caltech101Tar => folders::make_caltech101(&mut draft)?,
            Dataset::Eurosat | Dataset::EurosatZenodo => folders::make_eurosat(&mut draft)?,
            Dataset::Pets => pets::make(&mut draft)?,
            Dataset::Real => domainnet::make(&mut draft, "real")?,
            Dataset::Clipart | Dataset::ClipartOriginal => domainnet::make(&mut draft, "clipart")?,
            Dataset::Cassava => cassava::make(&mut draft)?,
            Dataset::CameraTraps | Dataset::CameraTrapsPartial => camera_traps::make(&mut draft)?,
            Dataset::Folder => own::make_folder(&mut draft)?,
            Dataset::Csv => own::make_csv(&mut draft)?,
            Dataset::Shards => own::make_shards(&mut draft)?,
        }
        std::fs::create_dir_all(out).map_err(Error::io(out))?;
        for package in &draft.packages {
            package.write(config.form, out)?;
        }
        if config.dataset == Dataset::Folder && config.form == Form::Folder {
            own::link(out)?;
        }
        let path = out.join("truth.json");
        std::fs::write(&path, format!("{:#}\n", as_json(&draft.truth))).map_err(Error::io(&path))?;
        Ok(draft.truth)
    }
}

fn as_json(truth: &LabelledTruth) -> Value {
    let pictures: Vec<_> = truth
        .pictures
        .iter()
        .map(|p| json!({ "part": p.part, "name": p.name, "label": p.label, "md5": p.md5 }))
        .collect();
    json!({
        "classes": truth.classes,
        "missing": truth.missing,
        "left_out": truth.left_out,
        "pictures": pictures,
    })
}
