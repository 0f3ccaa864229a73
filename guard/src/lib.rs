//! The one wall around code that may panic on damaged bytes: decoders of images, tables and EXIF that are not ours.
//! Most of them return errors, but a few of their asserts can be reached by data (tiff 0.11.3 on planar tiles,
//! arrow-ipc 59.3 on an impossible type). Inside [`caught`] such a panic is a value like any other error, and nothing
//! is printed. Everything else in the workspace that must survive a panic calls this crate; it knows no other.
//!
//! A panic only unwinds. A stack overflow or a failed allocation still ends the process, so depth and memory are
//! bounded before a decoder is called, not here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, Once, PoisonError};

/// Longest [`Panic::message`], in characters: it may quote the data.
const MAX_MESSAGE_CHARS: usize = 200;
/// Places that are told apart; panics at further ones are counted under [`ELSEWHERE`].
const MAX_PLACES: usize = 64;
/// See [`MAX_PLACES`].
const ELSEWHERE: &str = "other places";

/// Panics caught in this process, by place.
static CAUGHT: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// A panic that was caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    /// Crate, file and line, without the folders of the machine that compiled it: `tiff-0.11.3/src/decoder/mod.rs:7`.
    /// The same panic has the same place on every machine, so it can be counted.
    pub place: String,
    /// What it said, on one line and bounded. It may quote the data: for errors, never for shards or logs.
    pub message: String,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked at {}: {}", self.place, self.message)
    }
}

impl std::error::Error for Panic {}

thread_local! {
    /// Whether the thread is inside of [`caught`], and what the last panic there said.
    static HEARD: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Runs `step`; a panic in it becomes an error. Whatever `step` worked on must not be used again then.
///
/// The panic hook of the process is wrapped once: on a thread that is inside of `caught` it listens instead of
/// printing, everywhere else it does what it did before.
///
/// # Errors
/// The panic's place and message.
pub fn caught<T>(step: impl FnOnce() -> T) -> Result<T, Panic> {
    static WRAP: Once = Once::new();
    WRAP.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let listened = HEARD.try_with(|heard| {
                heard.try_borrow_mut().is_ok_and(|mut heard| match heard.as_mut() {
                    Some(heard) => {
                        *heard = described(info);
                        true
                    }
                    None => false,
                })
            });
            if !listened.unwrap_or(false) {
                before(info);
            }
        }));
    });
    // What was there before comes back afterwards, so that calls may be nested.
    let outer = HEARD.replace(Some(Panic { place: "unknown place".to_owned(), message: String::new() }));
    let done = panic::catch_unwind(AssertUnwindSafe(step));
    let heard = HEARD.replace(outer);
    done.map_err(|_| {
        let panic = heard.unwrap_or_else(|| Panic { place: String::new(), message: String::new() });
        count(&panic.place);
        panic
    })
}

/// Panics that a wall held back at one place of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caught {
    /// As [`Panic::place`].
    pub place: String,
    /// How many.
    pub count: u64,
}

/// The panics that [`caught`] has held back in this process so far, by place.
pub fn tally() -> Vec<Caught> {
    let caught = CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
    caught.iter().map(|(place, count)| Caught { place: place.clone(), count: *count }).collect()
}

fn count(place: &str) {
    let mut caught = CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
    let known = caught.len() < MAX_PLACES || caught.contains_key(place);
    *caught.entry(if known { place } else { ELSEWHERE }.to_owned()).or_default() += 1;
}

fn described(info: &panic::PanicHookInfo<'_>) -> Panic {
    let place = info.location().map_or_else(
        || "unknown place".to_owned(),
        |at| format!("{}:{}", within_crate(&at.file().replace('\\', "/")), at.line()),
    );
    let message = info.payload_as_str().unwrap_or("a value that is not text");
    let message = message.chars().map(|c| if c.is_control() { ' ' } else { c });
    Panic { place, message: message.take(MAX_MESSAGE_CHARS).collect() }
}

/// The path of a source file without the registry's folders or the compiler's.
fn within_crate(file: &str) -> &str {
    if let Some((_, below)) = file.split_once("/registry/src/") {
        return below.split_once('/').map_or(below, |(_, path)| path);
    }
    match file.split_once("/library/") {
        Some((_, path)) if file.starts_with("/rustc/") => path,
        // An absolute path that is neither: only its last parts are anybody's business.
        _ if file.starts_with('/') || file.get(1..3) == Some(":/") => {
            let from = file.rmatch_indices('/').nth(2).map_or(0, |(at, _)| at + 1);
            &file[from..]
        }
        _ => file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f01_places_do_not_name_the_machine() {
        let registry =
            "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tiff-0.11.3/src/decoder/mod.rs";
        for (file, place) in [
            (registry, "tiff-0.11.3/src/decoder/mod.rs"),
            ("/rustc/0123abc/library/core/src/slice/index.rs", "core/src/slice/index.rs"),
            ("pixels/src/crop.rs", "pixels/src/crop.rs"),
            ("/home/me/vendor/tiff/src/lib.rs", "tiff/src/lib.rs"),
            ("C:/Users/me/vendor/tiff/src/lib.rs", "tiff/src/lib.rs"),
        ] {
            assert_eq!(within_crate(file), place);
        }
    }
}
