//! Weights from outside: a checkpoint's tensors by name, all of them or none.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use tch::Tensor;

use super::ModelError;
use crate::weights::Weights;

/// Names of each kind that a message lists before it counts the rest.
const LISTED: usize = 5;

/// How a list of named tensors differs from the weights of a model. Every list is sorted or in the model's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssignError {
    /// Weights of the model that did not come.
    pub missing: Vec<String>,
    /// Tensors that the model has no weight for.
    pub unexpected: Vec<String>,
    /// Name, shape in the model, shape that came.
    pub mismatched: Vec<(String, Vec<i64>, Vec<i64>)>,
    /// Names that came twice.
    pub repeated: Vec<String>,
}

impl std::error::Error for AssignError {}

impl fmt::Display for AssignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these weights are of another model: ")?;
        let mut first = true;
        let mut list = |what: &str, items: Vec<String>| {
            if items.is_empty() {
                return Ok(());
            }
            let separator = if std::mem::take(&mut first) { "" } else { "; " };
            let shown = items.get(..LISTED).unwrap_or(&items).join(", ");
            let rest = items.len().saturating_sub(LISTED);
            let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
            write!(f, "{separator}{what} {shown}{more}")
        };
        let shapes = self.mismatched.iter().map(|(name, want, got)| format!("{name} ({got:?} for {want:?})"));
        list("missing", self.missing.clone())?;
        list("unexpected", self.unexpected.clone())?;
        list("of another shape", shapes.collect())?;
        list("twice", self.repeated.clone())
    }
}

/// Copies `named` into `weights`.
pub(super) fn assign(
    weights: &Weights,
    named: impl IntoIterator<Item = (String, Tensor)>,
) -> Result<(), ModelError> {
    let mut given = HashMap::new();
    let mut error = AssignError::default();
    for (name, tensor) in named {
        match given.entry(name) {
            Entry::Occupied(entry) => error.repeated.push(entry.key().clone()),
            Entry::Vacant(entry) => {
                entry.insert(tensor);
            }
        }
    }
    let mut pairs = Vec::new();
    for weight in weights.all() {
        match given.remove(&weight.name) {
            None => error.missing.push(weight.name),
            Some(tensor) if tensor.size() != weight.tensor.size() => {
                error.mismatched.push((weight.name, weight.tensor.size(), tensor.size()));
            }
            Some(tensor) => pairs.push((weight.tensor, tensor)),
        }
    }
    error.unexpected.extend(given.into_keys());
    error.unexpected.sort();
    if error != AssignError::default() {
        return Err(error.into());
    }
    tch::no_grad(|| -> Result<(), ModelError> {
        for (mut weight, tensor) in pairs {
            weight.f_copy_(&tensor)?;
        }
        Ok(())
    })
}
