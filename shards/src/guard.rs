//! A wall around readers that may panic on damaged bytes. The parquet and arrow crates return errors for most damage,
//! but a few of their asserts can be reached by data (arrow-ipc 59.3 panics on an impossible type in the embedded
//! Arrow schema); behind the wall such a panic is an error like any other, and prints nothing.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// What the panic said; `None` outside of [`guarded`], so that any other panic is reported as usual.
    static HEARD: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `step`; a panic in it becomes an error that says where it was and what it said. Whatever `step` worked on must
/// not be used again then.
///
/// The panic hook of the process is wrapped once: on a thread that is inside of `guarded` it listens instead of
/// printing, everywhere else it does what it did before.
///
/// # Errors
/// The panic's place and message, on one line.
pub fn guarded<T>(step: impl FnOnce() -> T) -> Result<T, String> {
    static WRAP: Once = Once::new();
    WRAP.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let heard = HEARD.try_with(|heard| {
                heard.try_borrow_mut().is_ok_and(|mut heard| match heard.as_mut() {
                    Some(heard) => {
                        *heard = info.to_string().replace('\n', " ");
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
    let outer = HEARD.replace(Some(String::new()));
    let done = panic::catch_unwind(AssertUnwindSafe(step));
    let heard = HEARD.replace(outer);
    done.map_err(|_| heard.unwrap_or_default())
}
