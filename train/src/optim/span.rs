//! Durations as people think of them: `5000` or `"5000 steps"`, `"2 epochs"`, `"1M samples"`. Everything behind the
//! config counts in steps, so a [`Span`] is turned into steps once, when the batch and the epoch are known.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A duration in one of three units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Span {
    /// Optimiser updates.
    Steps(u64),
    /// Passes over the data, not necessarily whole.
    Epochs(f64),
    /// Samples through the model.
    Samples(u64),
}

/// Text that is no [`Span`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no duration; write 5000 (steps), \"2 epochs\" or \"1M samples\"")]
pub struct NotASpan(String);

impl Span {
    /// In optimiser steps: epochs to the nearest step, samples rounded down so that no more are used.
    ///
    /// `steps_per_epoch` counts whole batches; `global_batch` is the samples of one step over all ranks (at least 1).
    pub fn to_steps(self, steps_per_epoch: u64, global_batch: u64) -> u64 {
        match self {
            Self::Steps(steps) => steps,
            Self::Epochs(epochs) => (epochs * steps_per_epoch as f64).round() as u64,
            Self::Samples(samples) => samples / global_batch.max(1),
        }
    }
}

impl FromStr for Span {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let wrong = || NotASpan(text.to_string());
        let trimmed = text.trim();
        let split =
            trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(trimmed.len());
        let (digits, rest) = trimmed.split_at(split);
        let number: f64 = digits.replace('_', "").parse().map_err(|_| wrong())?;
        let (factor, unit) = match rest.chars().next() {
            // `5M samples`, not `5 M samples`; and not the `s` of `steps`.
            Some('k' | 'K') => (1e3, &rest[1..]),
            Some('M') => (1e6, &rest[1..]),
            Some('B' | 'G') => (1e9, &rest[1..]),
            _ => (1.0, rest),
        };
        let number = number * factor;
        let whole =
            || (number.fract() == 0.0 && number < 2f64.powi(53)).then_some(number as u64).ok_or_else(wrong);
        match unit.trim() {
            "" | "step" | "steps" => whole().map(Self::Steps),
            "epoch" | "epochs" => Ok(Self::Epochs(number)),
            "sample" | "samples" => whole().map(Self::Samples),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(steps) => write!(f, "{steps} steps"),
            Self::Epochs(epochs) => write!(f, "{epochs} epochs"),
            Self::Samples(samples) => write!(f, "{samples} samples"),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of steps, or text such as \"2 epochs\"")
            }
            fn visit_u64<E: serde::de::Error>(self, steps: u64) -> Result<Span, E> {
                Ok(Span::Steps(steps))
            }
            fn visit_i64<E: serde::de::Error>(self, steps: i64) -> Result<Span, E> {
                u64::try_from(steps).map(Span::Steps).map_err(|_| E::custom(NotASpan(steps.to_string())))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Either).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_and_becomes_steps() {
        let steps = |text: &str| text.parse::<Span>().unwrap().to_steps(100, 32);
        assert_eq!(steps("5000"), 5000);
        assert_eq!(steps("1_000 steps"), 1000);
        assert_eq!(steps("2 epochs"), 200);
        assert_eq!(steps("0.5 epochs"), 50);
        assert_eq!(steps("1M samples"), 31_250);
        assert_eq!(steps("12.8M samples"), 400_000);
        assert_eq!(steps("33samples"), 1, "not one sample more than asked for");
        assert_eq!(steps("10k steps"), 10_000);
    }

    #[test]
    fn what_is_no_duration_says_what_is() {
        for text in
            ["", "steps", "-3", "5 minutes", "1.5 steps", "0.5 samples", "1e3", "1..2 epochs", "2 M samples"]
        {
            let message = text.parse::<Span>().unwrap_err().to_string();
            assert!(message.contains("\"1M samples\""), "{message}");
        }
    }

    #[test]
    fn toml_takes_numbers_and_text_and_writes_text_that_reads_back() {
        #[derive(serde::Deserialize)]
        struct Config {
            warmup: Span,
        }
        let read = |text: &str| toml::from_str::<Config>(text).map(|config| config.warmup);
        assert_eq!(read("warmup = 500").unwrap(), Span::Steps(500));
        assert_eq!(read("warmup = \"1.5 epochs\"").unwrap(), Span::Epochs(1.5));
        assert!(read("warmup = -1").unwrap_err().to_string().contains("no duration"));
        for span in [Span::Steps(7), Span::Epochs(2.25), Span::Samples(1_000_000)] {
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
    }
}
