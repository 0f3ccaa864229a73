//! The wall around code that is not ours. Decoders and table libraries return errors for most damage, but a few of
//! their asserts can be reached by data (arrow-ipc 59.3 panics on an impossible type in the embedded Arrow schema).
//! Behind the wall such a panic is an error like any other and prints nothing; [`caught`] says how many there were and
//! where.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Mutex, Once, PoisonError};

/// Longest message of a panic that is repeated. It may quote the data.
const MAX_MESSAGE_CHARS: usize = 160;
/// Places that are told apart; panics at further ones are counted under [`ELSEWHERE`].
const MAX_PLACES: usize = 64;
/// See [`MAX_PLACES`].
const ELSEWHERE: &str = "other places";

thread_local! {
    /// What the panic said; `None` outside of [`guarded`], so that any other panic is reported as usual.
    static HEARD: RefCell<Option<Heard>> = const { RefCell::new(None) };
}

/// Panics caught in this process, by place.
static CAUGHT: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

#[derive(Default)]
struct Heard {
    place: String,
    message: String,
}

impl Heard {
    fn of(info: &PanicHookInfo<'_>) -> Self {
        let place = info.location().map_or_else(
            || "an unknown place".to_owned(),
            |at| format!("{}:{}", within_crate(at.file()), at.line()),
        );
        Self { place, message: excerpt(info.payload_as_str().unwrap_or("no message")) }
    }
}

/// Panics that a wall held back at one place of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caught {
    /// `crate-version/src/file.rs:line`.
    pub place: String,
    /// How many.
    pub count: u64,
}

/// The panics that [`guarded`] has caught in this process so far, by place.
pub fn caught() -> Vec<Caught> {
    let caught = CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
    caught.iter().map(|(place, count)| Caught { place: place.clone(), count: *count }).collect()
}

/// Runs `step`; a panic in it becomes an error that says where it was and what it said. Whatever `step` worked on must
/// not be used again then.
///
/// The panic hook of the process is wrapped once: on a thread that is inside of `guarded` it listens instead of
/// printing, everywhere else it does what it did before.
///
/// # Errors
/// The panic's place and message, on one line; the message, which may quote the data, shortened and without control
/// characters.
pub fn guarded<T>(step: impl FnOnce() -> T) -> Result<T, String> {
    static WRAP: Once = Once::new();
    WRAP.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let heard = HEARD.try_with(|heard| {
                heard.try_borrow_mut().is_ok_and(|mut heard| match heard.as_mut() {
                    Some(heard) => {
                        *heard = Heard::of(info);
                        true
                    }
                    None => false,
                })
            });
            if !heard.unwrap_or(false) {
                before(info);
            }
        }));
    });
    // What was there before comes back afterwards, so that guards may be nested.
    let outer = HEARD.replace(Some(Heard::default()));
    let done = panic::catch_unwind(AssertUnwindSafe(step));
    let heard = HEARD.replace(outer);
    done.map_err(|_| {
        let Heard { place, message } = heard.unwrap_or_default();
        count(&place);
        format!("panicked at {place}: {message}")
    })
}

fn count(place: &str) {
    let mut caught = CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
    let known = caught.len() < MAX_PLACES || caught.contains_key(place);
    *caught.entry(if known { place } else { ELSEWHERE }.to_owned()).or_default() += 1;
}

/// A source path from the crate's folder on: where a registry or a checkout lies on this machine says nothing.
fn within_crate(file: &str) -> &str {
    let registry = file.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/'));
    registry.map_or(file, |(_, rest)| rest)
}

fn excerpt(message: &str) -> String {
    let line: String = message.chars().take(MAX_MESSAGE_CHARS + 1).collect();
    let cut = line.chars().count() > MAX_MESSAGE_CHARS;
    let kept = line.chars().take(MAX_MESSAGE_CHARS);
    let clean: String = kept.map(|c| if c.is_control() { ' ' } else { c }).collect();
    if cut { format!("{clean}…") } else { clean }
}
