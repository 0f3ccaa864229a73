//! The end of a run whose loss is no number: said with what is needed to find the batch.

use std::fmt;

/// Steps that one look at the loss covers: it is fetched from the device every few steps, not each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepWindow {
    /// First step not looked at before.
    pub first: u64,
    /// Step whose loss was looked at.
    pub last: u64,
}

impl fmt::Display for StepWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "step {}", self.last)
        } else {
            write!(f, "a step from {} to {}", self.first, self.last)
        }
    }
}

/// The loss is infinite or not a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Diverged {
    /// What it is.
    pub loss: f64,
    /// When it became so.
    pub window: StepWindow,
    /// Keys of the samples of the batch it was seen on, `SHARD/KEY`.
    pub keys: Vec<String>,
}

impl Diverged {
    /// An error if `loss` is not finite. `keys` is asked for only then.
    ///
    /// # Errors
    /// If so.
    pub fn check(loss: f64, window: StepWindow, keys: impl FnOnce() -> Vec<String>) -> Result<(), Self> {
        if loss.is_finite() { Ok(()) } else { Err(Self { loss, window, keys: keys() }) }
    }
}

impl fmt::Display for Diverged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        write!(f, "the loss became {} at {}; ", self.loss, self.window)?;
        match self.keys.as_slice() {
            [] => f.write_str("keys of the batch unknown")?,
            keys => {
                write!(f, "batch of step {}: {}", self.window.last, keys[..keys.len().min(SHOWN)].join(", "))?
            }
        }
        if self.keys.len() > SHOWN {
            write!(f, " and {} more", self.keys.len() - SHOWN)?;
        }
        f.write_str("; look at these samples, lower the learning rate, or resume from the last checkpoint")
    }
}

impl std::error::Error for Diverged {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_and_the_keys_are_named() {
        let window = StepWindow { first: 101, last: 110 };
        Diverged::check(0.5, window, || panic!("keys are not asked for")).unwrap();
        let keys = |n: usize| (0..n).map(|i| format!("00003/{i:09}")).collect::<Vec<_>>();
        let message = Diverged::check(f64::NAN, window, || keys(1024)).unwrap_err().to_string();
        assert!(message.starts_with(
            "the loss became NaN at a step from 101 to 110; batch of step 110: 00003/000000000, 00003/000000001"
        ));
        assert!(message.contains(" and 1016 more") && !message.contains('\n'), "{message}");
        let window = StepWindow { first: 7, last: 7 };
        let message = Diverged::check(f64::INFINITY, window, || keys(2)).unwrap_err().to_string();
        assert!(
            message.contains("inf at step 7; batch of step 7: 00003/000000000, 00003/000000001;"),
            "{message}"
        );
    }
}
