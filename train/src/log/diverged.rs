//! The end of a run whose loss or weights are not finite any more: said with what is needed to find the batch, and with
//! where the run can go on from.

use std::fmt;
use std::path::PathBuf;

/// Steps that one look at the loss covers: it is fetched from the device every few steps, not each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepWindow {
    /// First step not looked at before.
    pub first: u64,
    /// Last step looked at.
    pub last: u64,
}

impl fmt::Display for StepWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "step {}", self.last)
        } else {
            write!(f, "steps {} to {}", self.first, self.last)
        }
    }
}

/// What is not finite.
#[derive(Debug, Clone, PartialEq)]
pub enum Lost {
    /// The loss of a batch.
    Loss(f64),
    /// Gradients of a batch whose loss is finite.
    Gradients,
    /// Weights or moments after a step; the sentence names them.
    Weights(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss(loss) => write!(f, "the loss became {loss}"),
            Self::Gradients => f.write_str("the gradients were not finite"),
            Self::Weights(what) => write!(f, "the weights were lost ({what})"),
        }
    }
}

/// A loss, gradients or weights that are not finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Diverged {
    /// What is not.
    pub lost: Lost,
    /// The step it happened in.
    pub step: u64,
    /// The steps that were looked at together.
    pub window: StepWindow,
    /// Keys of the samples of that step's batch, `SHARD/KEY`.
    pub keys: Vec<String>,
    /// Batches that the run was allowed to leave out.
    pub allowed: u64,
    /// Batches that it has left out.
    pub left_out: u64,
    /// The newest checkpoint and its step; none of a later step was written.
    pub kept: Option<(PathBuf, u64)>,
}

/// The first few keys of a batch and how many more there are.
pub fn shown_keys(keys: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = keys[..keys.len().min(SHOWN)].join(", ");
    match keys.len().saturating_sub(SHOWN) {
        0 if keys.is_empty() => "keys unknown".to_owned(),
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

impl fmt::Display for Diverged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, step, window, keys, allowed, left_out, kept } = self;
        write!(f, "{lost} at step {step}")?;
        if window.first != window.last {
            write!(f, " (seen in {window})")?;
        }
        if left_out < allowed {
            // The limit is not reached: the run ends since its weights are of no use.
            if !matches!(lost, Lost::Weights(_)) {
                f.write_str(", as in the step before it, so it is the weights that make batches bad")?;
            }
        } else if *allowed > 0 {
            write!(f, ", after {allowed} batches that --skip-bad-batches allows")?;
        }
        write!(f, "; batch of step {step}: {}; ", shown_keys(keys))?;
        match kept {
            Some((path, step)) => write!(
                f,
                "{} (step {step}) stays and the same command goes on from it; look at these samples, leave such batches \
                 out with --skip-bad-batches, or start again from it with a lower --lr (--init-from)",
                path.display()
            ),
            None => f.write_str(
                "no checkpoint was written; look at these samples, leave such batches out with --skip-bad-batches, or \
                 lower --lr",
            ),
        }
    }
}

impl std::error::Error for Diverged {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t01_the_step_its_window_the_keys_and_the_way_on_are_named() {
        let keys = |n: usize| (0..n).map(|i| format!("00003/{i:09}")).collect::<Vec<_>>();
        let mut diverged = Diverged {
            lost: Lost::Loss(f64::NAN),
            step: 104,
            window: StepWindow { first: 101, last: 110 },
            keys: keys(1024),
            allowed: 0,
            left_out: 0,
            kept: Some((PathBuf::from("runs/a/checkpoints/epoch_2"), 100)),
        };
        let message = diverged.to_string();
        assert!(
            message.starts_with(
                "the loss became NaN at step 104 (seen in steps 101 to 110); batch of step 104: 00003/000000000, \
                 00003/000000001"
            ),
            "{message}"
        );
        assert!(message.contains(" and 1016 more; runs/a/checkpoints/epoch_2 (step 100) stays"), "{message}");
        assert!(message.contains("--skip-bad-batches") && !message.contains('\n'), "{message}");

        diverged.lost = Lost::Weights("visual.proj holds values that are not finite".into());
        diverged.window = StepWindow { first: 104, last: 104 };
        (diverged.keys, diverged.allowed, diverged.left_out, diverged.kept) = (keys(2), 3, 3, None);
        assert_eq!(
            diverged.to_string(),
            "the weights were lost (visual.proj holds values that are not finite) at step 104, after 3 batches that \
             --skip-bad-batches allows; batch of step 104: 00003/000000000, 00003/000000001; no checkpoint was written; \
             look at these samples, leave such batches out with --skip-bad-batches, or lower --lr"
        );
    }
}
