//! What identifies the input of a run, beside its settings: the files its rows come from, each by name, size and
//! content. A run that was stopped goes on only over the same ones, since shards are cut by the places of rows: over
//! rows in another order some would be lost and others doubled, and nothing in the shards would show it.
//!
//! Text tables are hashed whole, which is an eighth of what reading them costs; what is read at places (Parquet,
//! SQLite, ImageNet's archives) whole up to a size and by blocks beyond it (FORMAT.md §1).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::SystemTime;

use pairmill_shards::stamp::{Depth, Parts, Stamp, TABLE_BYTES};
use pairmill_shards::words;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::IngestError;
use crate::imagenet::{Captions, ImageNetConfig, each_image_file};
use crate::table::{InputFormat, TableError, Tables};

/// Input of which the user is told that it is read once more: some seconds' worth.
const LARGE_BYTES: u64 = 4 << 30;
/// First bytes of a SQLite database, which is read at places.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// What identifies an input file: resuming needs the same table (FORMAT.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputStamp {
    /// File name without its folder.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// The store's mark of its content, for a file by URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// What it holds. Absent in descriptions by earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Stamp>,
}

/// Whether an input is the one that a run began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agreement {
    /// It is.
    Same,
    /// Name and size are the same, and nothing more is known of one of them.
    Untold {
        /// The first such file.
        file: String,
    },
    /// It is not.
    Different {
        /// Which file and what of it, as `NAME …`.
        what: String,
    },
}

impl InputStamp {
    /// Name and size alone.
    pub fn of_size(path: &Path, bytes: u64) -> Self {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Self { name, bytes, etag: None, content: None }
    }

    /// What of `self`, which a run began with, is different in `now`. Content outranks the store's mark, which may
    /// change although the bytes do not.
    fn compare(&self, now: &Self) -> Agreement {
        let Self { name, bytes, .. } = self;
        let different = |what: String| Agreement::Different { what };
        if *name != now.name {
            return different(format!("{name} there, {} here", now.name));
        }
        if *bytes != now.bytes {
            return different(format!("{name} had {bytes} bytes and has {}", now.bytes));
        }
        let contents = self.content.as_ref().zip(now.content.as_ref());
        let marks = self.etag.as_ref().zip(now.etag.as_ref());
        match (contents.and_then(|(then, now)| then.agrees_with(now)), marks) {
            (Some(true), _) => Agreement::Same,
            (Some(false), _) => different(format!("the content of {name} has changed, at the same size")),
            (None, Some((then, now))) if then != now => {
                different(format!("{name} had the ETag {then} and has {now}"))
            }
            (None, Some(_)) => Agreement::Same,
            (None, None) => Agreement::Untold { file: name.clone() },
        }
    }
}

/// Compares the files that a run began with to those that are there now, both in reading order.
pub fn compare(then: &[InputStamp], now: &[InputStamp]) -> Agreement {
    if then.len() != now.len() {
        return Agreement::Different { what: format!("{} there, {} here", describe(then), describe(now)) };
    }
    let mut agreement = Agreement::Same;
    for (then, now) in then.iter().zip(now) {
        match then.compare(now) {
            Agreement::Same => {}
            different @ Agreement::Different { .. } => return different,
            untold @ Agreement::Untold { .. } => {
                if agreement == Agreement::Same {
                    agreement = untold;
                }
            }
        }
    }
    agreement
}

fn describe(files: &[InputStamp]) -> String {
    match files {
        [only] => format!("{} ({} bytes)", only.name, only.bytes),
        many => format!("{} files ({} bytes)", many.len(), many.iter().map(|i| i.bytes).sum::<u64>()),
    }
}

/// The files that a run's rows come from.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// Tables or archives, in reading order.
    pub files: Vec<InputStamp>,
    /// What else decides which rows there are and what they say: lists of words, labels, captions.
    pub lists: Vec<InputStamp>,
    /// Where the files are, and when they were last written, to see whether they change under the run.
    read: Vec<(PathBuf, SystemTime)>,
}

impl Input {
    /// Without any content, for what is only shown.
    pub fn of_sizes(files: Vec<InputStamp>) -> Self {
        Self { files, ..Self::default() }
    }

    /// Of the tables of a run. `None` when `stop` was set first; `note` hears of what takes long.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of_tables(
        config: &Config,
        tables: &Tables,
        etags: &BTreeMap<String, String>,
        note: &mut dyn FnMut(&str),
        stop: &AtomicBool,
    ) -> Result<Option<Self>, IngestError> {
        let format = tables.format();
        let files: Vec<PathBuf> = tables.files().iter().map(|file| file.path.clone()).collect();
        let depths = files.iter().map(|path| depth(format, path)).collect::<Result<Vec<_>, _>>()?;
        let lists: Vec<PathBuf> = config.filter.profanity.iter().cloned().collect();
        let Some(mut input) = Self::of_files(files, &depths, lists, note, stop)? else { return Ok(None) };
        for file in &mut input.files {
            file.etag = etags.get(&file.name).cloned();
        }
        Ok(Some(input))
    }

    /// Of ImageNet's images at `root`: an archive, or a folder, which stands for the names and sizes of its images.
    ///
    /// # Errors
    /// As [`Input::of_tables`].
    pub fn of_images(
        root: &Path,
        imagenet: &ImageNetConfig,
        note: &mut dyn FnMut(&str),
        stop: &AtomicBool,
    ) -> Result<Option<Self>, IngestError> {
        let mut lists: Vec<PathBuf> = imagenet.synsets.iter().chain(&imagenet.labels).cloned().collect();
        match &imagenet.captions {
            Captions::Labels => {}
            Captions::Template { templates, class_names, .. } => {
                lists.extend([templates.clone(), class_names.clone()]);
            }
            Captions::Flickr { captions, profanity, .. } => {
                lists.push(captions.clone());
                lists.extend(profanity.clone());
            }
        }
        if root.is_file() {
            return Self::of_files(vec![root.to_owned()], &[Depth::SAMPLED], lists, note, stop);
        }
        let Some(mut input) = Self::of_files(Vec::new(), &[], lists, note, stop)? else { return Ok(None) };
        let mut images = Parts::new("files");
        each_image_file(root, |name, bytes| images.add(name, &bytes.to_string()))?;
        // The size stays 0, as earlier versions noted it.
        let content = Some(images.finish());
        input.files.push(InputStamp { content, ..InputStamp::of_size(root, 0) });
        Ok(Some(input))
    }

    fn of_files(
        files: Vec<PathBuf>,
        depths: &[Depth],
        lists: Vec<PathBuf>,
        note: &mut dyn FnMut(&str),
        stop: &AtomicBool,
    ) -> Result<Option<Self>, IngestError> {
        let all: Vec<(&Path, Depth)> = files
            .iter()
            .map(PathBuf::as_path)
            .zip(depths.iter().copied())
            .chain(lists.iter().map(|path| (path.as_path(), Depth::Whole)))
            .collect();
        let (mut stamps, mut read, mut bytes_read) = (Vec::new(), Vec::new(), 0);
        for (path, depth) in &all {
            let found = fs::metadata(path).map_err(unreadable(path))?;
            bytes_read += depth.reads(found.len());
            stamps.push(InputStamp::of_size(path, found.len()));
            read.push((path.to_path_buf(), found.modified().map_err(unreadable(path))?));
        }
        if bytes_read > LARGE_BYTES {
            let amount = words::bytes(bytes_read as f64);
            note(&format!(
                "reading {amount} of the input once, so that another input is known when the run goes on"
            ));
        }
        let Some(contents) = contents_of(&all, stop)? else { return Ok(None) };
        for (stamp, content) in stamps.iter_mut().zip(contents) {
            stamp.content = Some(content);
        }
        let lists = stamps.split_off(files.len());
        read.truncate(files.len());
        Ok(Some(Self { files: stamps, lists, read }))
    }

    /// Whether the files are still what they were when the run began.
    ///
    /// # Errors
    /// When one is not: shards that were made meanwhile may hold other rows than those before.
    pub fn check_unchanged(&self) -> Result<(), IngestError> {
        for ((path, written), stamp) in self.read.iter().zip(&self.files) {
            let found = fs::metadata(path).map_err(unreadable(path))?;
            let same = found.len() == stamp.bytes && found.modified().is_ok_and(|now| now == *written);
            if same {
                continue;
            }
            // Touched, or written anew with the same content?
            let depth = if stamp.content.as_ref().is_some_and(|content| content.sha256().is_some()) {
                Depth::Whole
            } else {
                Depth::SAMPLED
            };
            let content = Stamp::of(path, depth).map_err(unreadable(path))?;
            if stamp.content.as_ref() != Some(&content) {
                return Err(IngestError::ChangedMeanwhile { file: path.clone() });
            }
        }
        Ok(())
    }

    /// Where the files are, each with the SHA-256 of all its bytes where that is known.
    pub fn hashes(&self) -> Vec<(PathBuf, Option<String>)> {
        let sha256 = |stamp: &InputStamp| Some(stamp.content.as_ref()?.sha256()?.to_owned());
        self.read.iter().zip(&self.files).map(|((path, _), stamp)| (path.clone(), sha256(stamp))).collect()
    }
}

/// How a table of `format` is stamped.
fn depth(format: InputFormat, path: &Path) -> Result<Depth, IngestError> {
    let at_places = match format {
        InputFormat::Parquet => true,
        InputFormat::Yfcc => {
            use std::io::Read;
            let mut head = Vec::new();
            let file = fs::File::open(path).map_err(unreadable(path))?;
            file.take(SQLITE.len() as u64).read_to_end(&mut head).map_err(unreadable(path))?;
            head == SQLITE
        }
        _ => false,
    };
    Ok(if at_places { Depth::WholeUpTo(TABLE_BYTES) } else { Depth::Whole })
}

/// The stamps of all files, on all cores; `None` when `stop` was set first.
fn contents_of(files: &[(&Path, Depth)], stop: &AtomicBool) -> Result<Option<Vec<Stamp>>, IngestError> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, Stamp)>, IngestError> {
        let mut done = Vec::new();
        while let Some((index, (path, depth))) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            files.get(index).map(|file| (index, *file))
        } {
            let stamp = Stamp::of_while(path, depth, &|| !stop.load(Ordering::Relaxed));
            match stamp.map_err(unreadable(path))? {
                Some(stamp) => done.push((index, stamp)),
                None => break,
            }
        }
        Ok(done)
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut stamps = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores.min(files.len())).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for thread in threads {
            let done = thread.join().map_err(|_| IngestError::Internal("hashing ended by itself".to_owned()));
            all.extend(done??);
        }
        Ok::<_, IngestError>(all)
    })?;
    stamps.sort_by_key(|(index, _)| *index);
    let all = stamps.len() == files.len();
    Ok(all.then(|| stamps.into_iter().map(|(_, stamp)| stamp).collect()))
}

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> IngestError {
    let path = path.to_owned();
    move |error| TableError::Unreadable { path: path.clone(), error }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(name: &str, bytes: u64, etag: Option<&str>, content: Option<&'static str>) -> InputStamp {
        let content = content.map(|kind| Parts::new(kind).finish());
        InputStamp { name: name.to_owned(), bytes, etag: etag.map(str::to_owned), content }
    }

    #[test]
    fn f04_content_decides_then_the_stores_mark_then_nothing_does() {
        let then = |etag, content| stamp("t.csv", 5, etag, content);
        let compare = |then: &InputStamp, now: &InputStamp| {
            compare(std::slice::from_ref(then), std::slice::from_ref(now))
        };
        // Kinds stand for contents here: different kinds cannot be compared.
        assert_eq!(compare(&then(Some("a"), Some("x")), &then(Some("b"), Some("x"))), Agreement::Same);
        assert_eq!(compare(&then(Some("a"), None), &then(Some("a"), Some("x"))), Agreement::Same);
        let other_mark = compare(&then(Some("a"), None), &then(Some("b"), Some("x")));
        assert!(matches!(other_mark, Agreement::Different { what } if what.contains("ETag a")));
        let untold = Agreement::Untold { file: "t.csv".to_owned() };
        assert_eq!(compare(&then(None, None), &then(None, Some("x"))), untold);
        assert_eq!(compare(&then(Some("a"), None), &then(None, Some("x"))), untold);
    }

    #[test]
    fn f04_swapped_files_and_missing_ones_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let write = |name: &str, text: &str| fs::write(path(name), text).unwrap();
        write("a.csv", "url\nhttp://a/\n");
        write("b.csv", "url\nhttp://b/\n");
        let now = || {
            let files = vec![path("a.csv"), path("b.csv")];
            let stop = AtomicBool::new(false);
            Input::of_files(files, &[Depth::Whole; 2], Vec::new(), &mut |_| {}, &stop).unwrap().unwrap()
        };
        let then = now();
        assert_eq!(compare(&then.files, &now().files), Agreement::Same);
        then.check_unchanged().unwrap();
        write("a.csv", "url\nhttp://b/\n");
        write("b.csv", "url\nhttp://a/\n");
        let what = "the content of a.csv has changed, at the same size".to_owned();
        assert_eq!(compare(&then.files, &now().files), Agreement::Different { what });
        let changed = then.check_unchanged().unwrap_err();
        assert!(changed.to_string().contains("a.csv") && changed.is_bad_input(), "{changed}");
        let what = "2 files (28 bytes) there, a.csv (14 bytes) here".to_owned();
        assert_eq!(compare(&then.files, &now().files[..1]), Agreement::Different { what });
    }

    #[test]
    fn f04_a_stop_ends_the_hashing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        fs::write(&path, "url\n").unwrap();
        let stop = AtomicBool::new(true);
        let input = Input::of_files(vec![path], &[Depth::Whole], Vec::new(), &mut |_| {}, &stop).unwrap();
        assert!(input.is_none());
    }
}
