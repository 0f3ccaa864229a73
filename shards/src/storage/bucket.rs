//! What can be done at a URL. Every call blocks until it is done; behind it a small runtime of the process's own drives
//! the connections, so it must not be called from async code.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as ObjectPath;
use object_store::{
    Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    UpdateVersion,
};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::StorageConfig;
use super::connect::connect;
use super::contact::Contact;
use super::error::StorageError;
use super::patience::Patience;
use super::stop::Stop;
use super::url::{BucketUrl, Scheme};
use crate::atomic::{AtomicFile, FileAction, FileError};
use crate::table::{FOOTER_END_BYTES, TableError, check_version_in, footer_bytes};

/// Threads that drive connections.
const RUNTIME_THREADS: usize = 2;
/// Transfers of one object from its beginning, at least, where what came cannot be gone on from.
const FETCHES: usize = 3;
/// Small objects fetched at a time.
const SIDE_BY_SIDE: usize = 16;

/// A prefix of a store. Cheap to clone; clones share connections and the bound on parts in memory.
#[derive(Debug, Clone)]
pub struct Bucket {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) config: StorageConfig,
    pub(super) shared: Arc<Shared>,
    url: BucketUrl,
}

/// What clones have in common.
#[derive(Debug)]
pub(super) struct Shared {
    /// Parts that may be in memory.
    pub parts: Arc<Semaphore>,
    contact: Contact,
    stop: Option<Stop>,
}

/// An object as the store describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name under the prefix.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// The store's mark of this very content, where it gives one.
    pub etag: Option<String>,
}

/// Which content of an object is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version(UpdateVersion);

impl Bucket {
    /// A client for what lies under `url`. Asks nobody yet, but where the environment names an endpoint, it looks
    /// whether anything listens there. Of a web server that is found out with the first request, so that what may not
    /// be done with one is refused before.
    ///
    /// # Errors
    /// When the environment has no credentials or settings that cannot be, or nothing listens.
    pub fn connect(url: &BucketUrl, config: &StorageConfig) -> Result<Self, StorageError> {
        Self::connect_for(url, config, None)
    }

    /// As [`connect`](Self::connect), and whatever reads from it ends soon once `stop` is set.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_until(url: &BucketUrl, config: &StorageConfig, stop: &Stop) -> Result<Self, StorageError> {
        Self::connect_for(url, config, Some(stop.clone()))
    }

    fn connect_for(
        url: &BucketUrl,
        config: &StorageConfig,
        stop: Option<Stop>,
    ) -> Result<Self, StorageError> {
        let store = connect(url, config, stop.as_ref())?;
        let parts = Arc::new(Semaphore::new(config.parts.max(1)));
        let shared = Arc::new(Shared { parts, contact: Contact::default(), stop });
        Ok(Self { store, config: *config, shared, url: url.clone() })
    }

    /// The same store at another URL of it.
    pub fn at(&self, url: BucketUrl) -> Self {
        Self { url, ..self.clone() }
    }

    /// The prefix.
    pub fn url(&self) -> &BucketUrl {
        &self.url
    }

    /// The objects right under the prefix, by name; none where there is no such prefix.
    ///
    /// # Errors
    /// When the store refuses, or the URL is a web server's.
    pub fn list(&self) -> Result<Vec<Object>, StorageError> {
        if self.url.scheme() == Scheme::Http {
            let advice = "name each file, or give a list of them by pattern";
            return Err(StorageError::Web { url: self.url.to_string(), advice });
        }
        let prefix = self.path_of("")?;
        let listed = self.patiently(|| {
            let listed = self.drive(self.store.list_with_delimiter(Some(&prefix)))?;
            listed.map_err(|error| StorageError::of(&self.url, &error))
        })?;
        let mut objects: Vec<_> = listed.objects.into_iter().map(Object::of).collect();
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }

    /// What the store says of an object; `None` when it is not there.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn head(&self, name: &str) -> Result<Option<Object>, StorageError> {
        let path = self.path_of(name)?;
        self.patiently(|| match self.drive(self.store.head(&path))? {
            Ok(meta) => Ok(Some(Object::of(meta))),
            Err(error) => self.missing_is_none(name, &error),
        })
    }

    /// A small object; `None` when it is not there.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn get(&self, name: &str) -> Result<Option<Bytes>, StorageError> {
        Ok(self.get_version(name)?.map(|(bytes, _)| bytes))
    }

    pub(super) fn get_version(&self, name: &str) -> Result<Option<(Bytes, Version)>, StorageError> {
        let path = self.path_of(name)?;
        let get = || async {
            let result = self.store.get(&path).await?;
            let meta = &result.meta;
            let version = UpdateVersion { e_tag: meta.e_tag.clone(), version: meta.version.clone() };
            Ok((result.bytes().await?, Version(version)))
        };
        self.patiently(|| match self.drive(get())? {
            Ok(found) => Ok(Some(found)),
            Err(error) => self.missing_is_none(name, &error),
        })
    }

    /// Bytes `range` of an object.
    ///
    /// # Errors
    /// When the object is not there or ends before, or the store refuses.
    pub fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let path = self.path_of(name)?;
        self.patiently(|| {
            let bytes = self.drive(self.store.get_range(&path, range.clone()))?;
            bytes.map_err(|error| self.refused(name, &error))
        })
    }

    /// Holds the table of this name, if there is one, against the versions of the format that this program knows; only
    /// its footer is fetched. What else may be wrong with it, whoever reads it will say.
    ///
    /// # Errors
    /// When it is of a newer version.
    pub fn check_version(&self, name: &str) -> Result<(), TableError> {
        match self.footer(name) {
            Ok(Some(footer)) => check_version_in(Path::new(&self.url_of(name)), &footer),
            _ => Ok(()),
        }
    }

    fn footer(&self, name: &str) -> Result<Option<Bytes>, StorageError> {
        let Some(Object { bytes, .. }) = self.head(name)? else { return Ok(None) };
        let Some(end) = bytes.checked_sub(FOOTER_END_BYTES) else { return Ok(None) };
        let length = footer_bytes(&self.get_range(name, end..bytes)?);
        let start = length.and_then(|length| bytes.checked_sub(length));
        start.map(|start| self.get_range(name, start..bytes)).transpose()
    }

    /// Brings an object to `path`, which is there whole or not at all.
    ///
    /// # Errors
    /// When the object is not there, the store or the disk refuses, or it changes meanwhile.
    pub fn fetch(&self, name: &str, path: &Path) -> Result<Object, StorageError> {
        let mut file = AtomicFile::create(path)?;
        let object = self.fetch_into(name, &mut file)?;
        file.commit()?;
        Ok(object)
    }

    /// Writes an object to `out` from its beginning on, whatever was there.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub fn fetch_into(
        &self,
        name: &str,
        out: &mut (impl Write + Seek + Truncate),
    ) -> Result<Object, StorageError> {
        self.reach()?;
        let mut patience = self.patience().with_least_attempts(FETCHES);
        loop {
            let failed = |e: io::Error| self.not_written(name, e);
            out.truncate().map_err(failed)?;
            match self.transfer(name, out) {
                Err(error) if patience.bears(&error) => {}
                done => return done,
            }
        }
    }

    /// Finds out whether there is a web server at all, once; every request does so before anything else. Of stores,
    /// [`connect`](Self::connect) has found it out.
    ///
    /// # Errors
    /// When nothing listens, or the stop was set.
    pub fn reach(&self) -> Result<(), StorageError> {
        match self.url.scheme() {
            Scheme::Http => self.shared.contact.make(&self.url, &self.config, self.shared.stop.as_ref()),
            _ => Ok(()),
        }
    }

    fn patience(&self) -> Patience {
        Patience::new(&self.config).stopped_by(self.shared.stop.clone())
    }

    fn drive<T>(&self, work: impl Future<Output = T>) -> Result<T, StorageError> {
        drive(&self.url, self.shared.stop.as_ref(), work)
    }

    /// Tries `work` again for as long as the store is away.
    fn patiently<T>(&self, mut work: impl FnMut() -> Result<T, StorageError>) -> Result<T, StorageError> {
        self.reach()?;
        let mut patience = self.patience();
        loop {
            match work() {
                Err(error) if patience.bears(&error) => {}
                done => return done,
            }
        }
    }

    fn transfer(&self, name: &str, out: &mut impl Write) -> Result<Object, StorageError> {
        let path = self.path_of(name)?;
        self.drive(async {
            let result = self.store.get(&path).await.map_err(|error| self.refused(name, &error))?;
            let object = Object::of(result.meta.clone());
            let mut stream = result.into_stream();
            let mut received: u64 = 0;
            while let Some(chunk) = stream.next().await {
                let chunk = chunk.map_err(|error| self.broken_off(name, received, &error))?;
                received += chunk.len() as u64;
                // The thread waits for this one transfer anyway.
                out.write_all(&chunk).map_err(|e| self.not_written(name, e))?;
            }
            if received != object.bytes {
                let problem = format!("{received} bytes came of {}", object.bytes);
                return Err(StorageError::Broken { url: self.url_of(name), problem });
            }
            Ok(object)
        })?
    }

    /// Brings small objects into `folder`, several at a time; names with `/` go into its subfolders, which must be there.
    /// The files are not synced.
    ///
    /// # Errors
    /// The first object that is missing, or that store or disk refuse.
    pub fn fetch_small(&self, names: &[String], folder: &Path) -> Result<(), StorageError> {
        let get = |name: &String| {
            let (name, path) = (name.clone(), self.path_of(name));
            async move {
                let refused = |error: StoreError| self.refused(&name, &error);
                let result = self.store.get(&path?).await.map_err(refused)?;
                let bytes = result.bytes().await.map_err(refused)?;
                Ok::<_, StorageError>((name, bytes))
            }
        };
        self.reach()?;
        let mut patience = self.patience();
        let mut missing: HashSet<&String> = names.iter().collect();
        loop {
            let done = self.drive(async {
                let left: Vec<_> = names.iter().filter(|name| missing.contains(name)).collect();
                let mut fetched = stream::iter(left.into_iter().map(get)).buffer_unordered(SIDE_BY_SIDE);
                while let Some((name, bytes)) = fetched.try_next().await? {
                    let path = folder.join(&name);
                    std::fs::write(&path, &bytes).map_err(|e| FileError::new(path, FileAction::Write, e))?;
                    missing.remove(&name);
                }
                Ok(())
            })?;
            match done {
                Err(error) if patience.bears(&error) => {}
                done => return done,
            }
        }
    }

    /// Stores a small object, whole at once, over whatever has its name.
    ///
    /// # Errors
    /// When the store refuses, or the URL is a web server's.
    pub fn put(&self, name: &str, bytes: impl Into<Bytes>) -> Result<(), StorageError> {
        self.check_writable()?;
        let path = self.path_of(name)?;
        let payload = PutPayload::from(bytes.into());
        self.patiently(|| {
            let put = block_on(&self.url, self.store.put(&path, payload.clone()))?;
            put.map(drop).map_err(|error| self.refused(name, &error))
        })
    }

    /// Stores an object only if `over` is what is there now (`None`: nothing); `None` when something else is.
    pub(super) fn put_if(
        &self,
        name: &str,
        bytes: impl Into<Bytes>,
        over: Option<&Version>,
    ) -> Result<PutIf, StorageError> {
        self.check_writable()?;
        let path = self.path_of(name)?;
        let mode = over.map_or(PutMode::Create, |version| PutMode::Update(version.0.clone()));
        let options = PutOptions { mode, ..PutOptions::default() };
        let put = self.store.put_opts(&path, PutPayload::from(bytes.into()), options);
        match block_on(&self.url, put)? {
            Ok(result) => {
                let version = UpdateVersion { e_tag: result.e_tag, version: result.version };
                Ok(PutIf::Stored(Version(version)))
            }
            Err(
                StoreError::AlreadyExists { .. }
                | StoreError::Precondition { .. }
                | StoreError::NotModified { .. },
            ) => Ok(PutIf::Changed),
            Err(StoreError::NotFound { .. }) if over.is_some() => Ok(PutIf::Changed),
            Err(StoreError::NotImplemented { .. } | StoreError::NotSupported { .. }) => {
                Ok(PutIf::NotSupported)
            }
            Err(error) => match StorageError::of(&self.url.join(name), &error) {
                // A store that speaks S3 but does not know the condition (501).
                StorageError::Busy { detail, .. } if detail.contains("NotImplemented") => {
                    Ok(PutIf::NotSupported)
                }
                other => Err(other),
            },
        }
    }

    /// Removes objects; it is no error that one is not there.
    ///
    /// # Errors
    /// When the store refuses, or the URL is a web server's.
    pub fn delete(&self, names: &[String]) -> Result<(), StorageError> {
        self.check_writable()?;
        let paths = names.iter().map(|name| self.path_of(name)).collect::<Result<Vec<_>, _>>()?;
        self.patiently(|| {
            let paths = stream::iter(paths.clone().into_iter().map(Ok)).boxed();
            block_on(&self.url, async {
                let mut deleted = self.store.delete_stream(paths);
                while let Some(result) = deleted.next().await {
                    match result {
                        Ok(_) | Err(StoreError::NotFound { .. }) => {}
                        Err(error) => return Err(StorageError::of(&self.url, &error)),
                    }
                }
                Ok(())
            })?
        })
    }

    /// The URL of an object under the prefix, for people.
    pub fn url_of(&self, name: &str) -> String {
        self.url.join(name).to_string()
    }

    pub(super) fn check_writable(&self) -> Result<(), StorageError> {
        if self.url.scheme() == Scheme::Http {
            let advice = "write to s3://, gs://, az:// or a local folder";
            return Err(StorageError::Web { url: self.url.to_string(), advice });
        }
        Ok(())
    }

    /// Key of `name`; of the prefix itself where it is empty.
    pub(super) fn path_of(&self, name: &str) -> Result<ObjectPath, StorageError> {
        let url = if name.is_empty() { self.url.clone() } else { self.url.join(name) };
        // A web address is escaped already, a key is taken as it stands.
        let path = match url.scheme() {
            Scheme::Http => ObjectPath::from_url_path(url.path()),
            _ => ObjectPath::parse(url.path()),
        };
        path.map_err(|error| StorageError::Url { url: url.to_string(), problem: error.to_string() })
    }

    pub(super) fn refused(&self, name: &str, error: &StoreError) -> StorageError {
        StorageError::of(&self.url.join(name), error)
    }

    /// Of a transfer that had begun: it is begun again even where it takes longer than the patience by itself.
    fn broken_off(&self, name: &str, received: u64, error: &StoreError) -> StorageError {
        match self.refused(name, error) {
            StorageError::Unreachable { url, detail } if received > 0 => {
                StorageError::Broken { url, problem: format!("only {received} bytes came ({detail})") }
            }
            other => other,
        }
    }

    fn missing_is_none<T>(&self, name: &str, error: &StoreError) -> Result<Option<T>, StorageError> {
        match self.refused(name, error) {
            StorageError::Missing { .. } => Ok(None),
            other => Err(other),
        }
    }

    fn not_written(&self, name: &str, error: io::Error) -> StorageError {
        match error.downcast::<FileError>() {
            Ok(error) => error.into(),
            Err(error) => FileError::new(self.url_of(name), FileAction::Write, error).into(),
        }
    }
}

/// How a conditional put ended.
pub(super) enum PutIf {
    Stored(Version),
    /// Something else is there.
    Changed,
    /// The store knows no such condition.
    NotSupported,
}

/// A file that a transfer can begin anew in.
pub trait Truncate {
    /// Leaves nothing in it and goes back to its beginning.
    ///
    /// # Errors
    /// When the disk refuses.
    fn truncate(&mut self) -> io::Result<()>;
}

impl Truncate for File {
    fn truncate(&mut self) -> io::Result<()> {
        self.set_len(0)?;
        self.seek(SeekFrom::Start(0)).map(drop)
    }
}

impl Truncate for AtomicFile {
    fn truncate(&mut self) -> io::Result<()> {
        self.clear()
    }
}

impl Object {
    fn of(meta: ObjectMeta) -> Self {
        let name = meta.location.filename().unwrap_or_default().to_owned();
        Self { name, bytes: meta.size, etag: meta.e_tag }
    }
}

/// Runs `work` on this thread, to its end or until `stop` is set.
pub(super) fn drive<T>(
    url: &BucketUrl,
    stop: Option<&Stop>,
    work: impl Future<Output = T>,
) -> Result<T, StorageError> {
    let Some(stop) = stop else { return block_on(url, work) };
    let watched = async {
        tokio::select! {
            biased;
            () = stop.wait() => Err(StorageError::Stopped { url: url.to_string() }),
            done = work => Ok(done),
        }
    };
    block_on(url, watched)?
}

/// Runs `work` to its end on this thread.
pub(super) fn block_on<T>(url: &BucketUrl, work: impl Future<Output = T>) -> Result<T, StorageError> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = match RUNTIME.get() {
        Some(runtime) => runtime,
        None => {
            // Where the system gives no thread, tokio panics.
            let built = std::panic::catch_unwind(|| {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                builder.worker_threads(RUNTIME_THREADS).thread_name("storage").enable_all().build()
            });
            let built = built.unwrap_or_else(|_| Err(io::Error::other("the system gives no more threads")));
            let built = built.map_err(|error| StorageError::Other {
                url: url.to_string(),
                detail: format!("cannot start the threads that connect to it: {error}"),
            })?;
            RUNTIME.get_or_init(|| built)
        }
    };
    Ok(runtime.block_on(work))
}
