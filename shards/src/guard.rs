//! The wall around table readers that may panic on damaged bytes, as an error text. The wall itself is
//! [`pairmill_guard`]'s, which the image decoders stand behind too; [`tally`] says how many panics it held back, and
//! where.

pub use pairmill_guard::{Caught, tally};

/// Runs `step`; a panic in it becomes an error that says where it was and what it said. Whatever `step` worked on must
/// not be used again then.
///
/// # Errors
/// The panic's place and message, on one line; the message, which may quote the data, shortened and without control
/// characters.
pub fn guarded<T>(step: impl FnOnce() -> T) -> Result<T, String> {
    pairmill_guard::caught(step).map_err(|panic| panic.to_string())
}
