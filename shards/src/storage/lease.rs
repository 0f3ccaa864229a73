//! Who may write under a prefix. A store has no locks, but it has conditional puts, so the lock is an object that its
//! owner rewrites every few seconds as a sign of life ([`StorageConfig::lease_s`](super::StorageConfig)). Another writer
//! watches it: as soon as it changes, its owner lives; unchanged for three times the owner's interval, it is taken over,
//! by a put on the condition that it is still that very content, so that of two takers one wins. No clock is compared.
//! An owner that was only slow finds at its next sign of life that the lease has gone, and stops.
//!
//! A killed process leaves its lease behind. Whoever can prove that the owner is dead need not wait: it holds the local
//! lock that the owner held, on the same file of the same running machine (the *desk*).

use std::collections::hash_map::RandomState;
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, PutIf, Version};
use super::error::StorageError;

/// Intervals without a sign of life after which a lease is taken over.
const PATIENCE: u64 = 3;
/// Looks at a lease per interval.
const LOOKS: u32 = 4;
/// How often it is begun anew when the lease changes hands while it is looked at.
const ROUNDS: usize = 5;

/// The right to write, until dropped.
#[derive(Debug)]
pub struct Lease {
    shared: Arc<Shared>,
    is_kept: AtomicBool,
}

#[derive(Debug)]
struct Shared {
    bucket: Bucket,
    name: String,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug)]
struct State {
    owner: Owner,
    version: Version,
    is_over: bool,
    /// Who took it.
    lost_to: Option<String>,
}

/// What the object holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    host: String,
    pid: u32,
    /// Unlike any other process's.
    token: String,
    /// The local lock its owner holds.
    #[serde(default)]
    desk: Option<String>,
    /// Seconds between two signs of life.
    lease_s: u64,
    /// Number of the sign.
    beat: u64,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)
    }
}

impl Owner {
    fn this_process(lease_s: u64, lock: Option<&File>) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let host = read("/proc/sys/kernel/hostname").filter(|name| !name.is_empty());
        let token = format!("{:016x}", RandomState::new().build_hasher().finish());
        Self {
            host: host.unwrap_or_else(|| "another machine".to_owned()),
            pid: std::process::id(),
            token,
            desk: lock.and_then(desk),
            lease_s,
            beat: 0,
        }
    }

    fn to_json(&self) -> Vec<u8> {
        // A struct of numbers and strings is always JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What tells a locked file from any other one, on any machine, since it was started.
#[cfg(target_os = "linux")]
fn desk(lock: &File) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let meta = lock.metadata().ok()?;
    Some(format!("{}:{}:{}", boot.trim(), meta.dev(), meta.ino()))
}

#[cfg(not(target_os = "linux"))]
fn desk(_lock: &File) -> Option<String> {
    None
}

/// What is found where a lease should be.
enum Found {
    Ours(Version),
    Theirs(Owner, Version),
    /// Nothing, or it went while it was looked at.
    Nothing,
}

impl Lease {
    /// Takes the lease `name` of `bucket`. `lock` is a local file that this process has locked, if any. `None` where the
    /// store knows no conditional puts, and so nothing can be guarded.
    ///
    /// # Errors
    /// When another writer holds it, or the store refuses.
    pub fn take(bucket: &Bucket, name: &str, lock: Option<&File>) -> Result<Option<Self>, StorageError> {
        let owner = Owner::this_process(bucket.config.lease_s, lock);
        let mut over = None;
        for round in 1..=ROUNDS {
            match bucket.put_if(name, owner.to_json(), over.as_ref()) {
                Ok(PutIf::Stored(version)) => return Self::start(bucket, name, owner, version).map(Some),
                Ok(PutIf::NotSupported) => return Ok(None),
                Ok(PutIf::Changed) => {}
                // The client does not repeat what must not be done twice; looking tells whether it was done.
                Err(StorageError::Unreachable { .. } | StorageError::Busy { .. }) if round < ROUNDS => {}
                Err(error) => return Err(error),
            }
            over = match look(bucket, name, &owner.token)? {
                // The answer to our own put was lost.
                Found::Ours(version) => return Self::start(bucket, name, owner, version).map(Some),
                Found::Nothing => None,
                Found::Theirs(theirs, version) if theirs.desk.is_some() && theirs.desk == owner.desk => {
                    Some(version)
                }
                Found::Theirs(theirs, version) => {
                    if !falls_silent(bucket, name, &theirs, &version)? {
                        let wait_s = PATIENCE * theirs.lease_s;
                        return Err(StorageError::Leased {
                            url: bucket.url_of(name),
                            owner: theirs.to_string(),
                            wait_s,
                        });
                    }
                    Some(version)
                }
            };
        }
        let detail = "several writers are trying to begin here; let one begin at a time".to_owned();
        Err(StorageError::Other { url: bucket.url_of(name), detail })
    }

    fn start(bucket: &Bucket, name: &str, owner: Owner, version: Version) -> Result<Self, StorageError> {
        let state = Mutex::new(State { owner, version, is_over: false, lost_to: None });
        let shared =
            Arc::new(Shared { bucket: bucket.clone(), name: name.to_owned(), state, wake: Condvar::new() });
        let lease = Self { shared: shared.clone(), is_kept: AtomicBool::new(false) };
        // Nobody waits for it: a put that is under way fails once the lease is gone.
        let beat = std::thread::Builder::new().name("lease".to_owned()).spawn(move || shared.beat());
        match beat {
            Ok(_) => Ok(lease),
            Err(error) => {
                let detail =
                    format!("no thread can be started that keeps it ({error}); raise the limit (ulimit -u)");
                Err(StorageError::Other { url: bucket.url_of(name), detail })
            }
        }
    }

    /// Whether it is still ours, as far as the last sign of life has shown.
    ///
    /// # Errors
    /// When another writer has taken it.
    pub fn check(&self) -> Result<(), StorageError> {
        match &self.shared.lock().lost_to {
            Some(owner) => {
                let url = self.shared.bucket.url_of(&self.shared.name);
                Err(StorageError::LeaseLost { url, owner: owner.clone() })
            }
            None => Ok(()),
        }
    }

    /// Leaves the object where it is when this is dropped: the store does not answer, so asking it once more would only
    /// take time.
    pub fn keep(&self) {
        self.is_kept.store(true, Ordering::Relaxed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_over = true;
        let is_ours = state.lost_to.is_none();
        drop(state);
        self.shared.wake.notify_all();
        if is_ours && !self.is_kept.load(Ordering::Relaxed) {
            // If it fails, the next writer waits a little longer.
            let _ = self.shared.bucket.delete(std::slice::from_ref(&self.shared.name));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self) {
        let pause = Duration::from_secs(self.bucket.config.lease_s);
        loop {
            let until = Instant::now() + pause;
            let mut state = self.lock();
            while !state.is_over && Instant::now() < until {
                let left = until.saturating_duration_since(Instant::now());
                state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            if state.is_over {
                return;
            }
            let owner = Owner { beat: state.owner.beat + 1, ..state.owner.clone() };
            let version = state.version.clone();
            drop(state);
            let outcome = self.bucket.put_if(&self.name, owner.to_json(), Some(&version));
            let version = match outcome {
                Ok(PutIf::Stored(version)) => version,
                Ok(PutIf::Changed) => match look(&self.bucket, &self.name, &owner.token) {
                    // The answer to an earlier sign was lost.
                    Ok(Found::Ours(version)) => version,
                    // Somebody removed it, but nobody has taken it.
                    Ok(Found::Nothing) => match self.bucket.put_if(&self.name, owner.to_json(), None) {
                        Ok(PutIf::Stored(version)) => version,
                        _ => continue,
                    },
                    Ok(Found::Theirs(theirs, _)) => {
                        self.lock().lost_to = Some(theirs.to_string());
                        return;
                    }
                    Err(_) => continue,
                },
                // The store is failing: whoever needs it finds out; the next sign may come through.
                Ok(PutIf::NotSupported) | Err(_) => continue,
            };
            let mut state = self.lock();
            (state.owner, state.version) = (owner, version);
        }
    }
}

fn look(bucket: &Bucket, name: &str, token: &str) -> Result<Found, StorageError> {
    let Some((bytes, version)) = bucket.get_version(name)? else { return Ok(Found::Nothing) };
    Ok(match serde_json::from_slice::<Owner>(&bytes) {
        Ok(owner) if owner.token == token => Found::Ours(version),
        Ok(owner) => Found::Theirs(owner, version),
        Err(error) => {
            let detail = format!("is no lease of ours ({error}); remove it if nobody is writing here");
            return Err(StorageError::Other { url: bucket.url_of(name), detail });
        }
    })
}

/// Watches a lease for as long as a living owner may be silent. `false` as soon as it gives a sign.
fn falls_silent(bucket: &Bucket, name: &str, theirs: &Owner, seen: &Version) -> Result<bool, StorageError> {
    let interval = Duration::from_secs(theirs.lease_s.clamp(1, 600));
    let until = Instant::now() + interval * u32::try_from(PATIENCE).unwrap_or(1);
    while Instant::now() < until {
        std::thread::sleep(interval / LOOKS);
        match bucket.get_version(name)? {
            Some((_, version)) if version == *seen => {}
            // Gone: its owner has just finished.
            None => return Ok(true),
            Some(_) => return Ok(false),
        }
    }
    Ok(true)
}
