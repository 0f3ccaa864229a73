//! Tensors and their dotted names in the values of a pickle, and whether each lies within its storage. Of a whole pickled
//! module, these are its parameters, its buffers and those of its parts, as `state_dict` would name them.

use super::PickleError;
use pairmill_pickle::{Node, Object, Storage, Value, Values};

/// Depth of nested dicts; that of a model is its modules'.
const MAX_DEPTH: usize = 64;
/// Values looked at; a value that is contained twice is looked at twice.
const MAX_VISITS: usize = 1_000_000;
/// Most dimensions of a tensor.
const MAX_DIMS: usize = 16;
/// Entries under which programs that train keep the weights, beside what else they keep.
const WRAPPERS: [&str; 5] = ["state_dict", "model_state_dict", "model", "module", "net"];
/// Wrappers within wrappers, at most.
const MAX_WRAPPERS: usize = 4;
/// Attributes of a module that hold tensors or modules.
const PARAMETERS: &str = "_parameters";
const BUFFERS: &str = "_buffers";
const MODULES: &str = "_modules";
/// Names of buffers that `state_dict` leaves out.
const NOT_KEPT: &str = "_non_persistent_buffers_set";

/// A tensor in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTensor {
    /// Dotted name.
    pub name: String,
    /// Where its numbers are.
    pub storage: Storage,
    /// Shape.
    pub shape: Vec<i64>,
    /// Distance of neighbours in each dimension, in numbers.
    pub stride: Vec<i64>,
    /// First number in the storage.
    pub offset: i64,
}

/// All tensors, in order: of the entry `state_dict`, `model` or the like where the pickle is a dict that has one.
///
/// # Errors
/// When a tensor is outside its storage, the tree is deeper or larger than any model, or there is no tensor but a class
/// that might have had some.
pub fn tensors(values: &Values<'_>) -> Result<Vec<StoredTensor>, PickleError> {
    let mut walk = Walk { values, visits: 0, found: Vec::new() };
    let mut start = values.root;
    for _ in 0..MAX_WRAPPERS {
        // An attribute `model` of a module is a part of its name.
        let Some(Node::Dict(_)) = values.node(start) else { break };
        let inner = WRAPPERS.iter().find_map(|key| {
            values.entry(start, key).filter(|&value| {
                matches!(values.node(value), Some(Node::Dict(_))) || is_module(values, value)
            })
        });
        let Some(inner) = inner else { break };
        start = inner;
    }
    walk.visit(start, "", 0)?;
    match &values.unknown {
        Some(class) if walk.found.is_empty() => Err(PickleError::Class(class.clone())),
        None if walk.found.is_empty() => Err(PickleError::NoTensors),
        _ => Ok(walk.found),
    }
}

fn is_module(values: &Values<'_>, value: Value) -> bool {
    matches!(values.node(value), Some(Node::Object(_)))
        && [PARAMETERS, BUFFERS, MODULES].iter().all(|part| values.entry(value, part).is_some())
}

struct Walk<'a> {
    values: &'a Values<'a>,
    visits: usize,
    found: Vec<StoredTensor>,
}

impl Walk<'_> {
    fn visit(&mut self, value: Value, path: &str, depth: usize) -> Result<(), PickleError> {
        self.visits += 1;
        if depth > MAX_DEPTH || self.visits > MAX_VISITS {
            return Err(PickleError::TooLarge("the nesting"));
        }
        let below = |part: &str| if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") };
        match self.values.node(value) {
            Some(Node::Dict(dict)) => {
                for &(key, value) in dict {
                    match (key, self.values.node(key)) {
                        (_, Some(Node::Text(key))) => self.visit(value, &below(key), depth + 1)?,
                        (Value::Int(key), _) => self.visit(value, &below(&key.to_string()), depth + 1)?,
                        _ => {}
                    }
                }
            }
            Some(Node::Object(Object { .. })) if is_module(self.values, value) => {
                self.module(value, path, depth)?;
            }
            Some(Node::List(list)) => {
                for (index, &value) in list.iter().enumerate() {
                    self.visit(value, &below(&index.to_string()), depth + 1)?;
                }
            }
            Some(Node::Tensor { storage, offset, shape, stride }) => {
                let misfit =
                    || PickleError::Tensor(path.chars().filter(|c| !c.is_control()).take(80).collect());
                let storage = self.values.storage(*storage).ok_or_else(misfit)?;
                if !fits(storage.numel, *offset, shape, stride) {
                    return Err(misfit());
                }
                self.found.push(StoredTensor {
                    name: path.to_owned(),
                    storage: storage.clone(),
                    shape: shape.clone(),
                    stride: stride.clone(),
                    offset: *offset,
                });
            }
            Some(
                Node::Text(_)
                | Node::Storage(_)
                | Node::Bytes(_)
                | Node::Array(_)
                | Node::Dtype(_)
                | Node::Object(_),
            )
            | None => {}
        }
        Ok(())
    }

    /// Parameters, kept buffers and parts, each under its own name.
    fn module(&mut self, module: Value, path: &str, depth: usize) -> Result<(), PickleError> {
        let values = self.values;
        let not_kept =
            values.entry(module, NOT_KEPT).and_then(|names| values.list(names)).unwrap_or_default();
        let is_kept = |name: Value| {
            not_kept.len() < MAX_VISITS
                && !not_kept.iter().any(|&other| values.bytes(other) == values.bytes(name))
        };
        for part in [PARAMETERS, BUFFERS, MODULES] {
            let Some(Node::Dict(entries)) = values.entry(module, part).and_then(|dict| values.node(dict))
            else {
                continue;
            };
            for &(name, value) in entries {
                let Some(Node::Text(text)) = values.node(name) else { continue };
                if part == BUFFERS && !is_kept(name) {
                    continue;
                }
                let below = if path.is_empty() { text.clone() } else { format!("{path}.{text}") };
                self.visit(value, &below, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Whether every number of the tensor is in the storage, and there are no more of them than the storage holds: a stride of
/// 0 would make a large tensor of one number.
fn fits(numel: i64, offset: i64, shape: &[i64], stride: &[i64]) -> bool {
    if shape.len() != stride.len() || shape.len() > MAX_DIMS || offset < 0 {
        return false;
    }
    if shape.iter().chain(stride).any(|&number| number < 0) {
        return false;
    }
    if shape.contains(&0) {
        return offset <= numel;
    }
    let count = shape.iter().try_fold(1i64, |count, &side| count.checked_mul(side));
    let last = shape
        .iter()
        .zip(stride)
        .try_fold(offset, |last, (&side, &stride)| last.checked_add((side - 1).checked_mul(stride)?));
    matches!((count, last), (Some(count), Some(last)) if count <= numel && last < numel)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn tensors_stay_within_their_storage() {
        assert!(fits(6, 0, &[2, 3], &[3, 1]));
        assert!(fits(6, 0, &[3, 2], &[1, 3]));
        assert!(fits(6, 5, &[], &[]));
        assert!(fits(0, 0, &[0, 7], &[7, 1]));
        assert!(!fits(6, 1, &[2, 3], &[3, 1]), "one too far");
        assert!(!fits(6, 6, &[], &[]));
        assert!(!fits(6, -1, &[2], &[1]));
        assert!(!fits(6, 0, &[2], &[-1]));
        assert!(!fits(6, 0, &[-2], &[1]));
        assert!(!fits(6, 0, &[2], &[1, 1]));
        assert!(!fits(1, 0, &[1 << 40], &[0]), "made of nothing");
        assert!(!fits(i64::MAX, 0, &[i64::MAX, i64::MAX], &[1, 1]));
        assert!(!fits(6, 0, &[2, 2], &[i64::MAX, i64::MAX]));
        assert!(!fits(6, 0, &[1; 17], &[1; 17]));
    }
}
