//! Tables by URL. Readers of tables seek, and go over some of them twice, so the files behind a URL are fetched into the
//! staging folder before anything is read, each checked against the length that the store gives, and kept until the run
//! is whole: a resumed run fetches only what changed. From there on they are files like any other.
//!
//! A thread of its own waits for the server, so that a stop from outside ends it at once, whatever it waits for.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};
use pairmill_shards::storage::{
    Bucket, BucketUrl, Location, Object, Scheme, Stop, StorageConfig, StorageError,
};

use crate::config::Config;
use crate::error::IngestError;
use crate::output::{name_of, staging_error, staging_root};
use crate::small_file::{CONFIG_BYTES, read_text};
use crate::table::{InputFormat, TableError};

/// How late a stop is seen at most.
const POLL: Duration = Duration::from_millis(50);
/// After so long the user is told what is waited for.
const SILENCE: Duration = Duration::from_secs(2);

/// Seconds that a server may take to answer HEAD, which is asked only to save a transfer.
const HEAD_STALL_S: u64 = 10;

/// The input of a run as files of this machine.
#[derive(Debug)]
pub struct LocalInput {
    /// What stands for the user's `url_list`.
    pub url_list: String,
    /// Marks of the files' content, by name.
    pub etags: BTreeMap<String, String>,
    /// Where they were fetched to.
    fetched: Option<LocalCopy>,
}

impl LocalInput {
    /// Fetches the input of `config` if it lies behind a URL; `None` when `stop` was set first. `note` hears of it, and
    /// of what is waited for.
    ///
    /// # Errors
    /// When there is no table at the URL, or store or disk refuse.
    pub fn fetch(
        config: &Config,
        note: &mut dyn FnMut(&str),
        stop: &AtomicBool,
    ) -> Result<Option<Self>, IngestError> {
        let url_list = config.input.url_list.clone();
        let Location::Bucket(url) = Location::parse(&url_list)? else {
            return Ok(Some(Self { url_list, etags: BTreeMap::new(), fetched: None }));
        };
        let waiting = format!("waiting for an answer from {url}");
        let (told, said) = bounded::<String>(1);
        let ended = Stop::default();
        let within = &ended;
        let fetched = thread::scope(|scope| {
            let worker = thread::Builder::new().spawn_scoped(scope, move || {
                // Nobody listens any more after a stop.
                Self::fetch_from(config, url, &mut |text| drop(told.send(text.to_owned())), within)
            });
            let worker = worker.map_err(IngestError::Thread)?;
            let mut silent_until = Some(Instant::now() + SILENCE);
            loop {
                match said.recv_timeout(POLL) {
                    Ok(text) => {
                        silent_until = None;
                        note(&text);
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                    Err(RecvTimeoutError::Timeout) => {
                        if stop.load(Ordering::Relaxed) {
                            ended.set();
                        }
                        if silent_until.take_if(|until| Instant::now() >= *until).is_some() {
                            note(&waiting);
                        }
                    }
                }
            }
            worker
                .join()
                .map_err(|_| IngestError::Internal("fetching the table ended by itself".to_owned()))?
        });
        match fetched {
            Err(_) if ended.is_set() => Ok(None),
            fetched => fetched.map(Some),
        }
    }

    fn fetch_from(
        config: &Config,
        url: BucketUrl,
        note: &mut dyn FnMut(&str),
        stop: &Stop,
    ) -> Result<Self, IngestError> {
        let url_list = &config.input.url_list;
        let named = config.input.input_format.as_deref().map(str::parse::<InputFormat>).transpose()?;
        let bucket = Bucket::connect_until(&url, &config.storage, stop)?;
        let (folder_url, objects) = find(&bucket, &url, named, config, stop)?;
        let bucket = bucket.at(folder_url);
        let (root, name) = (staging_root(config), format!("{}-input", name_of(url_list)));
        fs::create_dir_all(&root).map_err(|e| staging_error(&root, e))?;
        // Not within the folder, which comes and goes.
        let lock = root.join(format!("{name}.lock"));
        let lock = File::create(&lock).map_err(|e| staging_error(&lock, e))?;
        let (pattern, folder, notes) =
            (url.file_name().to_owned(), root.join(&name), root.join(format!("{name}.etags")));
        let marks = BTreeMap::new();
        let mut copy = LocalCopy { url, bucket, folder, notes, lock, marks, stop: stop.clone() };
        copy.complete(&objects, note)?;
        let url_list = match objects.as_slice() {
            [only] => copy.folder.join(&only.name),
            // Names that only the pattern and --input-format make tables.
            _ if is_pattern(&pattern) => {
                Path::new(&glob::Pattern::escape(&copy.folder.to_string_lossy())).join(pattern)
            }
            _ => copy.folder.clone(),
        };
        let known = copy.marks.iter().filter(|(_, mark)| !mark.is_empty());
        let etags = known.map(|(name, mark)| (name.clone(), mark.clone())).collect();
        Ok(Self { url_list: url_list.to_string_lossy().into_owned(), etags, fetched: Some(copy) })
    }

    /// Removes what was fetched, unless another run reads it too: this one is whole.
    pub fn finish(self) {
        if let Some(LocalCopy { folder, notes, lock, .. }) = self.fetched
            && lock.unlock().is_ok()
            && lock.try_lock().is_ok()
        {
            // A leftover costs room and nothing else.
            let _ = fs::remove_dir_all(folder);
            let _ = fs::remove_dir_all(notes);
        }
    }
}

/// The folder that tables are fetched to, and its lock: exclusive for whoever changes it, shared by all who read it.
#[derive(Debug)]
struct LocalCopy {
    url: BucketUrl,
    bucket: Bucket,
    folder: PathBuf,
    /// Folder of files that hold the marks, by the tables' names.
    notes: PathBuf,
    lock: File,
    /// ETag of each file, empty where the store gives none.
    marks: BTreeMap<String, String>,
    stop: Stop,
}

impl LocalCopy {
    /// Sees to it that the very content of `objects` is there, and nothing else that would be taken for a table.
    fn complete(&mut self, objects: &[Object], note: &mut dyn FnMut(&str)) -> Result<(), IngestError> {
        let failed = |folder: &Path| {
            let folder = folder.to_owned();
            move |error| staging_error(&folder, error)
        };
        self.lock.lock_shared().map_err(failed(&self.folder))?;
        self.marks = objects.iter().map(|o| (o.name.clone(), o.etag.clone().unwrap_or_default())).collect();
        let has_marks = self.marks.values().all(|mark| !mark.is_empty());
        while !(has_marks && self.is_complete(objects)) {
            self.lock.unlock().map_err(failed(&self.folder))?;
            if matches!(self.lock.try_lock(), Err(TryLockError::WouldBlock)) {
                note(&format!("waiting for another run, which reads {}", self.folder.display()));
                self.wait_for_lock()?;
            }
            self.fetch(objects, note)?;
            self.lock.unlock().map_err(failed(&self.folder))?;
            self.lock.lock_shared().map_err(failed(&self.folder))?;
            // Nobody came in between, or it left what is wanted.
            if self.is_complete(objects) {
                break;
            }
        }
        Ok(())
    }

    /// Waits until nobody else reads what was fetched, or for the stop.
    fn wait_for_lock(&self) -> Result<(), IngestError> {
        loop {
            match self.lock.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(staging_error(&self.folder, error)),
                Err(TryLockError::WouldBlock) if self.stop.is_set() => {
                    return Err(StorageError::Stopped { url: self.url.to_string() }.into());
                }
                Err(TryLockError::WouldBlock) => thread::sleep(POLL),
            }
        }
    }

    fn fetch(&mut self, objects: &[Object], note: &mut dyn FnMut(&str)) -> Result<(), IngestError> {
        for folder in [&self.folder, &self.notes] {
            fs::create_dir_all(folder).map_err(|e| staging_error(folder, e))?;
        }
        let missing: Vec<&Object> =
            objects.iter().filter(|object| object.etag.is_none() || !self.is_here(object)).collect();
        let bytes: u64 = missing.iter().map(|object| object.bytes).sum();
        let (url, folder) = (&self.url, self.folder.display());
        note(&format!("fetching {} files ({bytes} bytes) of {url} into {folder}", missing.len()));
        for object in missing {
            let path = self.folder.join(&object.name);
            let mark = self.bucket.fetch(&object.name, &path)?.etag.unwrap_or_default();
            fs::write(self.notes.join(&object.name), &mark).map_err(|e| staging_error(&path, e))?;
            self.marks.insert(object.name.clone(), mark);
        }
        // A table of an earlier run that is no longer behind the URL would be read.
        for entry in fs::read_dir(&self.folder).map_err(|e| staging_error(&self.folder, e))? {
            let path = entry.map_err(|e| staging_error(&self.folder, e))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !self.marks.contains_key(&name) {
                fs::remove_file(&path).map_err(|e| staging_error(&path, e))?;
            }
        }
        Ok(())
    }

    fn is_complete(&self, objects: &[Object]) -> bool {
        objects.iter().all(|object| self.is_here(object))
    }

    /// Whether the content with the mark that is wanted has been fetched.
    fn is_here(&self, object: &Object) -> bool {
        let mark = read_text(&self.notes.join(&object.name), CONFIG_BYTES).ok();
        self.folder.join(&object.name).is_file() && mark.as_ref() == self.marks.get(&object.name)
    }
}

/// The tables behind a URL and the prefix they lie under: one object, those of a prefix, or those that match a pattern.
fn find(
    bucket: &Bucket,
    url: &BucketUrl,
    named: Option<InputFormat>,
    config: &Config,
    stop: &Stop,
) -> Result<(BucketUrl, Vec<Object>), IngestError> {
    let name = url.file_name().to_owned();
    let parent = bucket.at(url.parent());
    if url.scheme() == Scheme::Http {
        if name.is_empty() {
            let advice = "name the table itself";
            return Err(StorageError::Web { url: url.to_string(), advice }.into());
        }
        bucket.reach()?;
        // Not every server answers HEAD (some refuse it with 403, 405 or 501, or hang up), so it is asked only once; what
        // is wrong, fetching will tell.
        let stall_s = config.storage.stall_s.min(HEAD_STALL_S);
        let once = StorageConfig { retries: Some(0), stall_s, ..config.storage };
        let known = Bucket::connect_until(&url.parent(), &once, stop)?.head(&name);
        let known = if stop.is_set() { known? } else { known.ok().flatten() };
        let object = known.unwrap_or(Object { name, bytes: 0, etag: None });
        return Ok((url.parent(), vec![object]));
    }
    let is_table = |object: &Object| {
        !object.name.starts_with('.')
            && InputFormat::of_path(Path::new(&object.name))
                .is_some_and(|format| named.is_none_or(|named| named == format))
    };
    let (from, mut objects) = if is_pattern(&name) {
        let pattern = glob::Pattern::new(&name)
            .map_err(|error| TableError::BadGlob { pattern: url.to_string(), reason: error.to_string() })?;
        let mut objects = parent.list()?;
        objects.retain(|object| !object.name.starts_with('.') && pattern.matches(&object.name));
        (url.parent(), objects)
    } else {
        let mut objects = bucket.list()?;
        objects.retain(is_table);
        if objects.is_empty() && !name.is_empty() {
            (url.parent(), parent.head(&name)?.into_iter().collect())
        } else {
            (url.clone(), objects)
        }
    };
    objects.retain(|object| object.bytes > 0);
    if objects.is_empty() {
        let problem = "holds no parquet, csv, tsv, json, jsonl or txt table; check the URL, and give --input-format if the \
                       names have no such extension";
        return Err(StorageError::Url { url: url.to_string(), problem: problem.to_owned() }.into());
    }
    Ok((from, objects))
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}
