//! An S3 server on localhost for tests (`s3s-fs`, objects as files of a temporary folder), with the faults of real ones
//! in front of it: statuses, connections that are reset before, in or after the body, silence, lost answers.
//!
//! The server runs on threads of its own until the process ends, so that blocking tests and child processes can use it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a server for tests may fail loudly"
)]

mod serve;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

/// The bucket that is there from the start.
pub const BUCKET: &str = "bucket";
const KEY_ID: &str = "pairmill";
const SECRET: &str = "only for tests";

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status and nothing is done; 503 says `SlowDown`.
    Status(u16),
    /// The connection ends before an answer, and nothing is done.
    Reset,
    /// The answer's body ends in the middle.
    CutBody,
    /// It is done, but the connection ends before the answer.
    LoseAnswer,
    /// So long nothing happens, then it is done.
    Stall(Duration),
}

/// A request as a rule for faults sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `GET`, `PUT`, `POST`, …
    pub method: String,
    /// `/bucket/key`
    pub path: String,
    /// What follows `?`.
    pub query: String,
    /// Which request it is, from 0.
    pub number: usize,
}

type Rule = Box<dyn FnMut(&Asked) -> Option<Fault> + Send>;

struct Inner {
    dir: TempDir,
    address: String,
    rule: Mutex<Option<Rule>>,
    asked: Mutex<Vec<Asked>>,
}

/// The server.
#[derive(Clone)]
pub struct S3(Arc<Inner>);

impl S3 {
    /// Starts a server with an empty bucket.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(dir.path().join(BUCKET)).expect("a bucket");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let server = Self(Arc::new(Inner { dir, address, rule: Mutex::default(), asked: Mutex::default() }));
        serve::start(server.clone(), listener);
        server
    }

    /// `s3://bucket/prefix`
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// `host:port`
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// The environment a client needs, with whatever else of the machine's own would lead it astray emptied.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", format!("http://{}", self.0.address)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("NO_PROXY", "127.0.0.1".to_owned()),
        ]
    }

    /// From now on, `rule` says which requests fail and how.
    pub fn fail(&self, rule: impl FnMut(&Asked) -> Option<Fault> + Send + 'static) {
        *self.0.rule.lock().unwrap() = Some(Box::new(rule));
    }

    /// The next `count` requests that `which` picks fail so.
    pub fn fail_first(&self, count: usize, fault: Fault, which: impl Fn(&Asked) -> bool + Send + 'static) {
        let mut left = count;
        self.fail(move |asked| {
            let hit = left > 0 && which(asked);
            left -= usize::from(hit);
            hit.then_some(fault)
        });
    }

    /// From now on nothing fails.
    pub fn heal(&self) {
        *self.0.rule.lock().unwrap() = None;
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.0.asked.lock().unwrap().clone()
    }

    /// Puts an object there, past the server.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        let path = self.bucket_folder().join(key);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("an object");
    }

    /// Removes an object, past the server.
    pub fn remove(&self, key: &str) {
        fs::remove_file(self.bucket_folder().join(key)).expect("an object to remove");
    }

    /// The objects under `prefix` (a whole part of keys) with their bytes, by the rest of their key.
    pub fn objects(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        let folder = self.bucket_folder().join(prefix);
        gather(&folder, &folder, &mut found);
        found
    }

    /// Parts of uploads that are neither completed nor aborted.
    pub fn open_parts(&self) -> usize {
        let entries = fs::read_dir(self.0.dir.path()).expect("the server's folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(".upload_id-") && name.contains(".part-")).count()
    }

    fn bucket_folder(&self) -> PathBuf {
        self.0.dir.path().join(BUCKET)
    }
}

fn gather(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            gather(root, &path, found);
        } else if let Ok(bytes) = fs::read(&path) {
            let name = path.strip_prefix(root).expect("within").to_string_lossy().into_owned();
            found.insert(name, bytes);
        }
    }
}
