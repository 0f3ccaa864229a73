//! How a reader puts a [`LabelledSet`] together: examples by part, what was listed and is not there, notes.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;

use super::config::{Counts, DatasetConfig};
use super::error::{DatasetError, shown};
use super::set::{Example, LabelledSet, Part, Place, Stores};
use super::shots;
use super::tree::Tree;

pub(super) struct Assembly<'a> {
    config: &'a DatasetConfig,
    pub classes: Vec<String>,
    parts: [Vec<Example>; 3],
    has_val: bool,
    pub notes: Vec<String>,
    /// Prompts that lie beside the set.
    pub templates: Option<Vec<String>>,
    /// Whether it may have nothing to train on.
    pub is_test_only: bool,
    missing: Vec<String>,
    pub stores: Stores,
}

impl<'a> Assembly<'a> {
    pub fn new(config: &'a DatasetConfig, classes: Vec<String>) -> Self {
        Self {
            config,
            classes,
            parts: [Vec::new(), Vec::new(), Vec::new()],
            has_val: false,
            notes: Vec::new(),
            templates: None,
            is_test_only: false,
            missing: Vec::new(),
            stores: Stores::default(),
        }
    }

    pub fn with_tree(mut self, tree: Tree) -> Self {
        self.stores.trees.push(tree);
        self
    }

    pub fn add(&mut self, part: Part, label: u32, name: impl Into<Box<str>>, place: Place) {
        self.has_val |= part == Part::Val;
        self.parts[part as usize].push(Example { label, name: name.into(), place });
    }

    /// Adds a file of the first tree.
    pub fn add_file(&mut self, part: Part, label: u32, name: impl Into<Box<str>>, file: impl Into<Box<str>>) {
        self.add(part, label, name, Place::File { tree: 0, name: file.into() });
    }

    /// A picture that a list names and nothing holds.
    pub fn miss(&mut self, name: impl Into<String>) {
        self.missing.push(name.into());
    }

    pub fn len(&self, part: Part) -> usize {
        self.parts[part as usize].len()
    }

    /// Sees to it that an own set has pictures to test on: of two parts the other one, of one part a share of each class,
    /// `ceil(test_share · n)` in all, each class as near to its share as whole numbers allow.
    pub fn complete_test(&mut self) -> Result<(), DatasetError> {
        if self.len(Part::Test) > 0 {
            return Ok(());
        }
        if self.len(Part::Val) > 0 {
            self.parts[Part::Test as usize] = std::mem::take(&mut self.parts[Part::Val as usize]);
            self.has_val = false;
            return Ok(());
        }
        let share = self.config.test_share;
        if !(share > 0.0 && share < 1.0) {
            let rule = format!("test_share = {share}: it has no test split, so a share between 0 and 1");
            return Err(DatasetError::Config { kind: self.config.kind.as_str(), rule });
        }
        self.hold_out_test(share);
        Ok(())
    }

    /// Moves a share of each class from train to test.
    pub fn hold_out_test(&mut self, share: f64) {
        self.divide_train(|train, pool, classes, seed| shots::split(train, pool, classes, share, seed));
        self.notes.push(format!(
            "no official split: {share} of each class is held out to test on, drawn with seed {}",
            self.config.split_seed
        ));
    }

    /// Moves to test what is beyond `count` of each class of train, a seeded draw; a class that has no more keeps
    /// half.
    pub fn keep_per_class(&mut self, count: usize) {
        let held = |size: usize| size - if size > count { count } else { size.div_ceil(2) };
        self.divide_train(|train, pool, classes, seed| shots::split_counts(train, pool, classes, seed, held));
        self.notes.push(format!(
            "no official split: {count} of each class to train on, drawn with seed {}, the rest to test on",
            self.config.split_seed
        ));
    }

    /// Divides train into train and test by what `divide` keeps and holds of its places.
    fn divide_train(
        &mut self,
        divide: impl FnOnce(&[Example], &[usize], usize, u64) -> (Vec<usize>, Vec<usize>),
    ) {
        let train = std::mem::take(&mut self.parts[Part::Train as usize]);
        let pool = shots::everything(&train);
        let (kept, held) = divide(&train, &pool, self.classes.len(), self.config.split_seed);
        let of = |places: Vec<usize>| places.into_iter().map(|place| train[place].clone()).collect();
        self.parts[Part::Train as usize] = of(kept);
        self.parts[Part::Test as usize] = of(held);
    }

    /// The set. `lists` names the files that said which pictures there should be.
    pub fn finish(mut self, lists: &str, hint: &str) -> Result<LabelledSet, DatasetError> {
        let config = self.config;
        if let Some(first) = self.missing.first() {
            let listed = self.missing.len() + self.parts.iter().map(Vec::len).sum::<usize>();
            let what = format!(
                "{} of the {listed} pictures listed in {lists} are not there, such as {}",
                self.missing.len(),
                shown(first)
            );
            let place =
                self.stores.trees.first().map_or(config.root.as_path(), Tree::path).display().to_string();
            if config.counts == Counts::Asserted {
                let rule =
                    format!("{what}{hint}; complete it, or set counts = \"reported\" to leave them out");
                return Err(DatasetError::wrong(place, rule));
            }
            self.notes.push(what);
        }
        if self.classes.len() < 2 {
            let rule = format!("{} classes found; a task has at least two", self.classes.len());
            return Err(DatasetError::wrong(config.root.display().to_string(), rule));
        }
        for part in [Part::Train, Part::Test] {
            if self.len(part) == 0 && part == Part::Train && self.is_test_only {
                self.notes.push("no images to train on: it is good for zero-shot alone".to_owned());
            } else if self.len(part) == 0 {
                let rule = format!("no pictures to {part}", part = part_verb(part));
                return Err(DatasetError::wrong(config.root.display().to_string(), rule));
            }
        }
        self.note_empty_classes();
        self.note_leaks();
        let own = || match &config.name {
            Some(name) => name.clone(),
            None => {
                let root = config.root.file_stem().filter(|_| config.root.is_file());
                let name = root.or(config.root.file_name()).unwrap_or_default();
                name.to_string_lossy().into_owned()
            }
        };
        let [train, val, test] = self.parts;
        Ok(LabelledSet {
            name: config.kind.paper_name().map_or_else(own, str::to_owned),
            kind: config.kind,
            classes: self.classes,
            train,
            val: self.has_val.then_some(val),
            test,
            notes: self.notes,
            templates: self.templates,
            stores: self.stores,
        })
    }

    /// A class that no image is of still has a row in every head, and wins images there.
    fn note_empty_classes(&mut self) {
        let mut is_there = vec![[false; 2]; self.classes.len()];
        for part in Part::ALL {
            for example in &self.parts[part as usize] {
                if let Some(class) = is_there.get_mut(example.label as usize) {
                    class[usize::from(part != Part::Train)] = true;
                }
            }
        }
        let such_as = |which: &dyn Fn(&[bool; 2]) -> bool| -> Option<(usize, String)> {
            let mut found = is_there.iter().enumerate().filter(|(_, class)| which(class));
            let (label, _) = found.next()?;
            Some((1 + found.count(), format!("{} (label {label})", shown(&self.classes[label]))))
        };
        let of = self.classes.len();
        let nowhere = such_as(&|class| *class == [false, false]);
        let not_in_train = such_as(&|class| *class == [false, true]).filter(|_| !self.is_test_only);
        if let Some((count, example)) = nowhere {
            self.notes.push(format!(
                "{count} of {of} listed classes {have} no image, such as {example}; a head has a row for each all the same",
                have = if count == 1 { "has" } else { "have" },
            ));
        }
        if let Some((count, example)) = not_in_train {
            self.notes.push(format!(
                "{count} of {of} classes {have} no image to train on, such as {example}",
                have = if count == 1 { "has" } else { "have" },
            ));
        }
    }

    /// A picture in two parts makes a test easier than it looks. What counts is where it lies, not what it is called:
    /// `train/cat/1.jpg` and `test/cat/1.jpg` have one name and are two pictures.
    fn note_leaks(&mut self) {
        let mut seen: HashMap<Identity<'_>, (Part, &str)> = HashMap::new();
        let mut leaks = 0usize;
        let mut first = None;
        for part in Part::ALL {
            for example in &self.parts[part as usize] {
                let is = identity(&self.stores, &example.place);
                let &mut (before, name) = seen.entry(is).or_insert((part, &example.name));
                if before != part {
                    leaks += 1;
                    first.get_or_insert_with(|| {
                        let other =
                            if name == &*example.name { String::new() } else { shown(name) + " and " };
                        format!(
                            "{other}{} in {} and {}",
                            shown(&example.name),
                            before.as_str(),
                            part.as_str()
                        )
                    });
                }
            }
        }
        if let Some(first) = first {
            let are = if leaks == 1 { "picture is" } else { "pictures are" };
            self.notes.push(format!("{leaks} {are} in more than one part, such as {first}"));
        }
    }
}

/// What makes two examples the same picture.
#[derive(PartialEq, Eq, Hash)]
enum Identity<'a> {
    /// The same place.
    Place(&'a Place),
    /// The same file by whatever name: device and number of what links lead to.
    File(u64, u64),
}

fn identity<'a>(stores: &Stores, place: &'a Place) -> Identity<'a> {
    if let Place::File { tree, name } = place
        && let Some(tree) = stores.trees.get(*tree as usize).filter(|tree| tree.is_folder())
        && let Ok(meta) = std::fs::metadata(tree.path().join(&**name))
    {
        return Identity::File(meta.dev(), meta.ino());
    }
    Identity::Place(place)
}

const fn part_verb(part: Part) -> &'static str {
    match part {
        Part::Train => "train on",
        Part::Val => "validate on",
        Part::Test => "test on",
    }
}

/// Sorted, each once.
pub(super) fn sorted_unique(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

/// Label of each class.
pub(super) fn label_of(classes: &[String]) -> HashMap<&str, u32> {
    classes.iter().zip(0..).map(|(name, label)| (name.as_str(), label)).collect()
}
