//! Class names of a task in captions: how many of them a source speaks of at all, and how often. Names are looked
//! for as sequences of words of the rule `letters`, whatever rule the other tables follow.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use pairmill_shards::atomic::{FileAction, FileError};
use serde::Serialize;

use super::error::CaptionsError;
use super::rule::{Splitter, WordRule, Words};

/// The class names of the tasks, ready to be looked up.
#[derive(Debug, Default)]
pub struct Classes {
    tasks: Vec<(String, Vec<String>)>,
    /// First word of a name to the names that begin with it: task, class, all words.
    by_first: HashMap<String, Vec<(usize, usize, Vec<String>)>>,
}

/// What a source says about one class.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    /// The class, as in the file.
    pub class: String,
    /// Times it is named.
    pub mentions: u64,
    /// Captions that name it.
    pub captions: u64,
}

/// What a source says about a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coverage {
    /// The task.
    pub task: String,
    /// Classes there are.
    pub num_classes: usize,
    /// Classes that some caption names.
    pub num_named: usize,
    /// The same as a share.
    pub share_named: f64,
    /// Captions that name some class of the task.
    pub captions: u64,
    /// The same as a share of all captions.
    pub share_of_captions: f64,
    /// Every class, in the order of the file.
    pub classes: Vec<ClassCount>,
}

impl Classes {
    /// Reads files of class names, one on each line: `FILE` or `TASK=FILE`. `_` counts as a space.
    ///
    /// # Errors
    /// When a file cannot be read or holds no name.
    pub fn read(files: &[String]) -> Result<Self, CaptionsError> {
        let mut classes = Self::default();
        for file in files {
            let (task, path) = match file.split_once('=') {
                Some((task, path)) if !Path::new(file).exists() => (task.to_owned(), PathBuf::from(path)),
                _ => {
                    let stem = Path::new(file).file_stem().map(|s| s.to_string_lossy().into_owned());
                    (stem.unwrap_or_default(), PathBuf::from(file))
                }
            };
            let bytes = std::fs::read(&path).map_err(|e| FileError::new(&path, FileAction::Read, e))?;
            let text = String::from_utf8_lossy(&bytes);
            let names: Vec<String> = text.lines().map(|l| l.trim().to_owned()).collect();
            if !classes.add(task, names) {
                return Err(CaptionsError::NoClasses { path });
            }
        }
        Ok(classes)
    }

    /// Adds a task and says whether it has any class.
    fn add(&mut self, task: String, names: Vec<String>) -> bool {
        let (mut splitter, mut words) = (Splitter::new(&WordRule::Letters), Words::default());
        let mut kept = Vec::new();
        for name in names {
            splitter.split(&name, &mut words);
            let sequence: Vec<String> = words.iter().map(str::to_owned).collect();
            let Some(first) = sequence.first().cloned() else { continue };
            self.by_first.entry(first).or_default().push((self.tasks.len(), kept.len(), sequence));
            kept.push(name);
        }
        let has_any = !kept.is_empty();
        self.tasks.push((task, kept));
        has_any
    }

    /// Whether no task was given.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

/// One thread's look-ups.
#[derive(Debug)]
pub struct ClassTally<'c> {
    classes: &'c Classes,
    splitter: Splitter,
    words: Words,
    /// By task and class: mentions, captions, the caption that was counted last.
    counts: Vec<Vec<(u64, u64, u64)>>,
    /// By task: captions that name any class, the caption that was counted last.
    captions: Vec<(u64, u64)>,
    caption: u64,
}

impl<'c> ClassTally<'c> {
    /// With nothing counted.
    pub fn new(classes: &'c Classes) -> Self {
        Self {
            classes,
            splitter: Splitter::new(&WordRule::Letters),
            words: Words::default(),
            counts: classes.tasks.iter().map(|(_, names)| vec![(0, 0, 0); names.len()]).collect(),
            captions: vec![(0, 0); classes.tasks.len()],
            caption: 0,
        }
    }

    /// Counts one caption.
    pub fn take(&mut self, caption: &str) {
        self.caption += 1;
        self.splitter.split(caption, &mut self.words);
        let words: Vec<&str> = self.words.iter().collect();
        for (at, word) in words.iter().enumerate() {
            for (task, class, sequence) in self.classes.by_first.get(*word).into_iter().flatten() {
                let here = words.get(at..at + sequence.len());
                if !here.is_some_and(|here| here.iter().zip(sequence).all(|(a, b)| a == b)) {
                    continue;
                }
                let (mentions, captions, last) = &mut self.counts[*task][*class];
                *mentions += 1;
                *captions += u64::from(*last != self.caption);
                *last = self.caption;
                let (captions, last) = &mut self.captions[*task];
                *captions += u64::from(*last != self.caption);
                *last = self.caption;
            }
        }
    }

    /// Adds another thread's.
    pub fn merge(&mut self, other: &Self) {
        for (into, from) in self.counts.iter_mut().flatten().zip(other.counts.iter().flatten()) {
            into.0 += from.0;
            into.1 += from.1;
        }
        self.captions.iter_mut().zip(&other.captions).for_each(|(into, from)| into.0 += from.0);
    }

    /// What was found in `num_captions` captions.
    pub fn coverage(&self, num_captions: u64) -> Vec<Coverage> {
        let tasks = self.classes.tasks.iter().zip(&self.counts).zip(&self.captions);
        tasks
            .map(|(((task, names), counts), (captions, _))| {
                let num_named = counts.iter().filter(|c| c.0 > 0).count();
                Coverage {
                    task: task.clone(),
                    num_classes: names.len(),
                    num_named,
                    share_named: num_named as f64 / names.len() as f64,
                    captions: *captions,
                    share_of_captions: *captions as f64 / num_captions.max(1) as f64,
                    classes: names
                        .iter()
                        .zip(counts)
                        .map(|(class, c)| ClassCount { class: class.clone(), mentions: c.0, captions: c.1 })
                        .collect(),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sequences_of_whole_words() {
        let mut classes = Classes::default();
        assert!(
            classes.add("pets".to_owned(), ["Maine_Coon", "pug", "Sphynx", ""].map(str::to_owned).to_vec())
        );
        assert!(!classes.add("none".to_owned(), vec!["12".to_owned()]));
        let mut tally = ClassTally::new(&classes);
        for caption in ["My Maine Coon, a MAINE-COON!", "a pugnacious main coon", "pug pug", "nothing"] {
            tally.take(caption);
        }
        let coverage = &tally.coverage(4)[0];
        let counts: Vec<_> = coverage.classes.iter().map(|c| (c.mentions, c.captions)).collect();
        assert_eq!(counts, [(2, 1), (2, 1), (0, 0)]);
        assert_eq!((coverage.num_named, coverage.captions, coverage.share_of_captions), (2, 2, 0.5));
    }
}
