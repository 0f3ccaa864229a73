//! `state.json`: what a checkpoint holds besides tensors, and the comparison of two resolved configs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use pairmill_pixels::Normalisation;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Architecture;
use crate::numbers::floats;
use crate::optim::{ScalerState, Schedule};

/// Version of the checkpoint folder this program writes (`train/CHECKPOINTS.md`, version table).
pub const FORMAT: u32 = 2;

/// Where a run stood. Everything but tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of the folder, [`FORMAT`].
    pub format: u32,
    /// Program and version that wrote it.
    pub tool: String,
    /// The model as the run's settings name it: a known name, or the path of a file.
    pub architecture: String,
    /// What that name stood for when the run began. Checkpoints of format 1 have only the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Architecture>,
    /// Optimiser steps made; the next step has this number.
    pub step: u64,
    /// Whole epochs done.
    pub epoch: u64,
    /// Samples through the model, over all ranks.
    pub samples_seen: u64,
    /// Seed of the run.
    pub seed: u64,
    /// Number of ranks.
    pub world: u64,
    /// Learning rate of every step.
    pub schedule: Schedule,
    /// Loss scaler, with fp16 only.
    pub scaler: Option<ScalerState>,
    /// Position of the loader, as the loader wrote it.
    pub loader: Value,
    /// Results of the evaluation at this step, by name; what keep-best looks at.
    #[serde(default, with = "floats")]
    pub metrics: BTreeMap<String, f64>,
    /// Batches left out so far because their loss or gradients were not finite (`skip_bad_batches`).
    #[serde(default)]
    pub skipped_batches: u64,
    /// How many of them were the last steps: weights may be finite and make every batch bad.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bad_in_a_row: u64,
    /// What a reader of its results should know, such as position embeddings that were resized.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The resolved config of the run. Whole, not hashed, so that a difference can be named.
    pub config: Value,
}

impl State {
    /// The program's name and version, for [`State::tool`].
    pub fn tool() -> String {
        concat!("pairmill-train ", env!("CARGO_PKG_VERSION")).to_owned()
    }

    /// Mean and standard deviation of the pixels of the run.
    pub fn statistics(&self) -> Normalisation {
        let trained = self.config.pointer("/data/normalise").cloned();
        trained.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A setting that is not the same in two configs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Dotted path of the setting.
    pub path: String,
    /// In the checkpoint; `None` where it has no such setting.
    pub saved: Option<Value>,
    /// In this run; `None` where it has no such setting.
    pub given: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show =
            |value: &Option<Value>| value.as_ref().map_or_else(|| "not set".to_owned(), Value::to_string);
        write!(f, "{} was {}, is {}", self.path, show(&self.saved), show(&self.given))
    }
}

/// Settings that differ, by path. `free` names settings (or tables of them) that may differ between a run and its
/// resumption, such as logging.
pub fn differences(saved: &Value, given: &Value, free: &[&str]) -> Vec<Difference> {
    let (saved, given) = (flat(saved), flat(given));
    let is_free = |path: &str| {
        free.iter().any(|prefix| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    let paths: BTreeSet<&String> = saved.keys().chain(given.keys()).collect();
    paths
        .into_iter()
        .filter(|path| saved.get(*path) != given.get(*path) && !is_free(path))
        .map(|path| Difference {
            path: path.clone(),
            saved: saved.get(path).cloned(),
            given: given.get(path).cloned(),
        })
        .collect()
}

/// Leaves by dotted path; lists count as leaves, and so does `null`, which is the same as absent.
fn flat(value: &Value) -> BTreeMap<String, Value> {
    fn walk(value: &Value, path: &str, leaves: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(table) => {
                for (key, value) in table {
                    walk(value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, leaves);
                }
            }
            Value::Null => {}
            leaf => {
                leaves.insert(path.to_owned(), leaf.clone());
            }
        }
    }
    let mut leaves = BTreeMap::new();
    walk(value, "", &mut leaves);
    leaves
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_named_with_both_values() {
        let saved = json!({"optim": {"lr": 1e-3, "warmup": 500}, "log": {"every": 10}, "data": ["a"], "gone": 1, "none": null});
        let given =
            json!({"optim": {"lr": 5e-4, "warmup": 500}, "log": {"every": 1}, "data": ["a", "b"], "logs": 2});
        let found: Vec<String> =
            differences(&saved, &given, &["log"]).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "data was [\"a\"], is [\"a\",\"b\"]",
                "gone was 1, is not set",
                "logs was not set, is 2",
                "optim.lr was 0.001, is 0.0005"
            ]
        );
        assert!(differences(&saved, &saved, &[]).is_empty());
    }
}
