//! Tensors and their dotted names in the values of a pickle, and whether each lies within its storage.

use super::PickleError;
use crate::pickle::{Node, Storage, Value, Values};

/// Depth of nested dicts; that of a model is its modules'.
const MAX_DEPTH: usize = 64;
/// Values looked at; a value that is contained twice is looked at twice.
const MAX_VISITS: usize = 1_000_000;
/// Most dimensions of a tensor.
const MAX_DIMS: usize = 16;

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

/// All tensors, in order: of the entry `state_dict` where the pickle is a dict that has one.
///
/// # Errors
/// When a tensor is outside its storage, or the tree is deeper or larger than any model.
pub fn tensors(values: &Values<'_>) -> Result<Vec<StoredTensor>, PickleError> {
    let mut walk = Walk { values, visits: 0, found: Vec::new() };
    let start = match values.node(values.root) {
        Some(Node::Dict(dict)) => {
            let inner = dict
                .iter()
                .find(|(key, _)| matches!(values.node(*key), Some(Node::Text(t)) if t == "state_dict"));
            inner.map_or(values.root, |(_, value)| *value)
        }
        _ => values.root,
    };
    walk.visit(start, "", 0)?;
    Ok(walk.found)
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
            Some(Node::Text(_) | Node::Storage(_) | Node::Bytes(_) | Node::Array(_) | Node::Dtype(_))
            | None => {}
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
