//! A labelled dataset in memory, without its pictures, and the pass that hands those out.

use std::path::{Path, PathBuf};

use pairmill_shards::stamp::{Depth, Parts, Stamp};
use pairmill_shards::tar::MappedTar;

use super::config::{Counts, DatasetConfig, DatasetKind};
use super::error::{DatasetError, shown};
use super::tree::{Member, Tree};
use super::{
    caltech101, camera_traps, cassava, cifar100, csv, domainnet, dtd, eurosat, folder, pets, shards,
};

/// A part of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// To train on, and to draw shots from.
    Train,
    /// The official validation split, where there is one.
    Val,
    /// To test on.
    Test,
}

impl Part {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// `train`, `val`, `test`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

/// A labelled picture, not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Index into [`LabelledSet::classes`].
    pub label: u32,
    /// What it is called whatever form the dataset lies in (path below the folder of pictures, id, or number), so that
    /// seeded draws by it are the same from a folder and from an archive.
    pub name: Box<str>,
    pub(super) place: Place,
}

/// Where a picture is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A file of a tree.
    File { tree: u32, name: Box<str> },
    /// A record of a file of records.
    Record { file: u32, index: u32 },
    /// A sample of a shard.
    Sample { shard: u32, index: u32 },
}

/// A file of records of one size: pixels in three planes, maybe with labels before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordFile {
    pub tree: usize,
    pub name: String,
    /// Bytes before the first record.
    pub start: u64,
    /// Bytes before the pixels of each.
    pub labels: usize,
    /// Width and height.
    pub side: u32,
}

impl RecordFile {
    const fn plane(&self) -> usize {
        self.side as usize * self.side as usize
    }
}

/// What places point into.
#[derive(Debug, Default)]
pub(super) struct Stores {
    pub trees: Vec<Tree>,
    pub records: Vec<RecordFile>,
    pub shards: Vec<PathBuf>,
}

/// A dataset's classes, examples and splits.
#[derive(Debug)]
pub struct LabelledSet {
    /// The study's name for its nine, such as `CassavaLeafDisease`; an own set's own.
    pub name: String,
    /// Which reader read it.
    pub kind: DatasetKind,
    /// Class names as stored, in label order.
    pub classes: Vec<String>,
    /// To train on.
    pub train: Vec<Example>,
    /// The official validation split, where there is one.
    pub val: Option<Vec<Example>>,
    /// To test on.
    pub test: Vec<Example>,
    /// What a reader of results should know: what was left out and why, and how many.
    pub notes: Vec<String>,
    /// Prompts that lie beside it, with `{}` for the class name.
    pub templates: Option<Vec<String>>,
    pub(super) stores: Stores,
}

/// A picture on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture<'a> {
    /// A file of whatever format its first bytes say.
    Encoded(&'a [u8]),
    /// Pixels, row-major, three bytes each.
    Rgb {
        /// Pixels a row.
        width: u32,
        /// Rows.
        height: u32,
        /// 3 × width × height bytes.
        pixels: &'a [u8],
    },
}

impl LabelledSet {
    /// Reads lists and labels of a dataset, no pictures: of a tar.gz that is one pass over its headers.
    ///
    /// # Errors
    /// When a file is missing, cut off or damaged, a list breaks its rule, or the counts are not those of a whole copy
    /// and `config.counts` asserts them.
    pub fn open(config: &DatasetConfig) -> Result<Self, DatasetError> {
        let set = match config.kind {
            DatasetKind::Cifar100 => cifar100::read(config),
            DatasetKind::Dtd => dtd::read(config),
            DatasetKind::Caltech101 => caltech101::read(config),
            DatasetKind::Pets => pets::read(config),
            DatasetKind::Real => domainnet::read(config, "real"),
            DatasetKind::Clipart => domainnet::read(config, "clipart"),
            DatasetKind::Eurosat => eurosat::read(config),
            DatasetKind::Cassava => cassava::read(config),
            DatasetKind::CameraTraps => camera_traps::read(config),
            DatasetKind::Folder => folder::read(config),
            DatasetKind::Csv => csv::read(config),
            DatasetKind::Shards => shards::read(config),
        }?;
        if config.counts == Counts::Asserted {
            set.assert_counts(config)?;
        }
        Ok(set)
    }

    /// The examples of a part; none of a validation split that there is not.
    pub fn part(&self, part: Part) -> &[Example] {
        match part {
            Part::Train => &self.train,
            Part::Val => self.val.as_deref().unwrap_or_default(),
            Part::Test => &self.test,
        }
    }

    /// What the pictures are, without reading them all: archives, files of records and shards by blocks, the files of a
    /// folder by their sizes and ends. The same pictures in a folder and in an archive have stamps that cannot be
    /// compared.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn stamp(&self) -> Result<Stamp, DatasetError> {
        let is_folder = self.stores.trees.iter().any(Tree::is_folder);
        let mut parts = Parts::new(if is_folder { "folder" } else { "archive" });
        let mut add = |path: &Path, depth| {
            let stamp = Stamp::of(path, depth).map_err(DatasetError::read(path))?;
            parts.add("", &stamp.to_string());
            Ok::<_, DatasetError>(())
        };
        for tree in self.stores.trees.iter().filter(|tree| !tree.is_folder()) {
            add(tree.path(), Depth::SAMPLED)?;
        }
        for file in &self.stores.records {
            if let Some(tree) = self.stores.trees.get(file.tree).filter(|tree| tree.is_folder()) {
                add(&tree.path().join(&file.name), Depth::SAMPLED)?;
            }
        }
        for shard in &self.stores.shards {
            add(shard, Depth::SAMPLED)?;
        }
        for example in Part::ALL.into_iter().flat_map(|part| self.part(part)) {
            if let Place::File { tree, name } = &example.place
                && let Some(tree) = self.stores.trees.get(*tree as usize).filter(|tree| tree.is_folder())
            {
                add(&tree.path().join(&**name), Depth::Ends)?;
            }
        }
        Ok(parts.finish())
    }

    /// Where an example's picture lies, for messages: archive and member.
    pub fn file(&self, part: Part, index: usize) -> String {
        let Some(example) = self.part(part).get(index) else { return self.name.clone() };
        let tree = |index: usize, name: &str| match self.stores.trees.get(index) {
            Some(tree) => tree.file(name),
            None => shown(name),
        };
        match &example.place {
            Place::File { tree: index, name } => tree(*index as usize, name),
            Place::Record { file, index } => match self.stores.records.get(*file as usize) {
                Some(file) => format!("{} record {index}", tree(file.tree, &file.name)),
                None => shown(&example.name),
            },
            Place::Sample { shard, .. } => match self.stores.shards.get(*shard as usize) {
                Some(shard) => shown(&format!("{}/{}", shard.display(), example.name)),
                None => shown(&example.name),
            },
        }
    }

    /// Hands out the pictures of all examples for which `wanted` holds, in one pass over each archive, in the archives'
    /// order. One picture lies in memory at a time. An error of `take` ends the pass and is given back.
    ///
    /// # Errors
    /// What `take` says, or that an archive is damaged or has changed since it was opened.
    pub fn visit<E: From<DatasetError>>(
        &self,
        mut wanted: impl FnMut(Part, usize) -> bool,
        mut take: impl FnMut(Part, usize, Picture<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut files: Vec<Vec<(&str, (Part, usize))>> = vec![Vec::new(); self.stores.trees.len()];
        let mut records: Vec<Vec<(u32, (Part, usize))>> = vec![Vec::new(); self.stores.records.len()];
        let mut samples: Vec<Vec<(u32, (Part, usize))>> = vec![Vec::new(); self.stores.shards.len()];
        for part in Part::ALL {
            for (index, example) in self.part(part).iter().enumerate() {
                if !wanted(part, index) {
                    continue;
                }
                let whose = (part, index);
                match &example.place {
                    Place::File { tree, name } => files[*tree as usize].push((name, whose)),
                    Place::Record { file, index } => records[*file as usize].push((*index, whose)),
                    Place::Sample { shard, index } => samples[*shard as usize].push((*index, whose)),
                }
            }
        }
        let mut bytes = Vec::new();
        for (tree, mut wanted) in self.stores.trees.iter().zip(files) {
            if wanted.is_empty() {
                continue;
            }
            wanted.sort_unstable();
            let names: Vec<_> = wanted.iter().map(|(name, _)| *name).collect();
            tree.read_files(&names, &mut |at, member| {
                member.read_into(&mut bytes)?;
                let (part, index) = wanted[at].1;
                take(part, index, Picture::Encoded(&bytes))
            })?;
        }
        for (index, tree) in self.stores.trees.iter().enumerate() {
            let of_tree: Vec<_> = self
                .stores
                .records
                .iter()
                .zip(&mut records)
                .filter(|(file, wanted)| file.tree == index && !wanted.is_empty())
                .collect();
            if of_tree.is_empty() {
                continue;
            }
            let names: Vec<_> = of_tree.iter().map(|(file, _)| file.name.as_str()).collect();
            tree.read_files(&names, &mut |at, member| {
                let (file, wanted) = &of_tree[at];
                let mut wanted = (*wanted).clone();
                wanted.sort_unstable();
                visit_records(file, &wanted, member, &mut take)
            })?;
        }
        for (path, wanted) in self.stores.shards.iter().zip(&mut samples) {
            if wanted.is_empty() {
                continue;
            }
            wanted.sort_unstable();
            let tar = MappedTar::open(path).map_err(|error| shards::damaged(path, &error))?;
            for &(at, (part, index)) in wanted.iter() {
                let image = tar.sample(at as usize).and_then(|sample| shards::picture(&sample));
                let image = image.ok_or_else(|| {
                    DatasetError::wrong(self.file(part, index), "it was there when the dataset was opened")
                })?;
                take(part, index, Picture::Encoded(image))?;
            }
        }
        Ok(())
    }

    fn assert_counts(&self, config: &DatasetConfig) -> Result<(), DatasetError> {
        let Some(expected) = config.kind.expected() else { return Ok(()) };
        let found = [
            ("classes", Some(expected.classes), self.classes.len()),
            ("training pictures", expected.train, self.train.len()),
            ("validation pictures", expected.val, self.val.as_ref().map_or(0, Vec::len)),
            ("test pictures", expected.test, self.test.len()),
        ];
        for (what, expected, found) in found {
            if let Some(expected) = expected.filter(|&expected| expected != found) {
                let rule = format!(
                    "{found} {what} where a whole copy of {} has {expected}; complete it, or set counts = \"reported\"",
                    self.name
                );
                return Err(DatasetError::wrong(config.root.display().to_string(), rule));
            }
        }
        Ok(())
    }
}

/// Goes through a file of records to those wanted, which are in order; a record may be wanted more than once.
fn visit_records<E: From<DatasetError>>(
    file: &RecordFile,
    wanted: &[(u32, (Part, usize))],
    member: &mut Member<'_>,
    take: &mut impl FnMut(Part, usize, Picture<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let plane = file.plane();
    let mut record = vec![0; file.labels + 3 * plane];
    let mut pixels = vec![0; 3 * plane];
    let bytes = record.len() as u64;
    member.skip(file.start)?;
    let mut next = 0u32;
    for &(at, (part, index)) in wanted {
        if at >= next {
            member.skip(u64::from(at - next) * bytes)?;
            member.read_exact(&mut record)?;
            next = at + 1;
            interleave(&record[file.labels..], plane, &mut pixels);
        }
        take(part, index, Picture::Rgb { width: file.side, height: file.side, pixels: &pixels })?;
    }
    Ok(())
}

/// Three planes to three bytes a pixel.
fn interleave(planes: &[u8], plane: usize, pixels: &mut [u8]) {
    for (at, pixel) in pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        *pixel = [planes[at], planes[plane + at], planes[2 * plane + at]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_become_pixels() {
        let mut pixels = [0; 12];
        interleave(&[1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24], 4, &mut pixels);
        assert_eq!(pixels, [1, 11, 21, 2, 12, 22, 3, 13, 23, 4, 14, 24]);
    }
}
