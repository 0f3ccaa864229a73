//! Tensors of a file against tensors in memory: every name on both sides, every shape the same, or a list of what is not.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use tch::{Tensor, no_grad};

use super::tensors::{Entry, TensorFile};
use super::{CheckpointError, Listed};

/// Names that do not fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// In memory, not in the file.
    pub missing: Vec<String>,
    /// In the file, not in memory.
    pub unexpected: Vec<String>,
    /// `name [shape in file] instead of [shape in memory]`.
    pub reshaped: Vec<String>,
    /// What such names have in common, and what to do.
    pub note: Option<&'static str>,
}

impl Mismatch {
    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.reshaped.is_empty()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not this model's tensors")?;
        let lists = [
            ("missing", &self.missing),
            ("unexpected", &self.unexpected),
            ("of another shape", &self.reshaped),
        ];
        for (what, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
            write!(f, "; {} {what}: {}", names.len(), Listed(names))?;
        }
        if let Some(note) = self.note {
            write!(f, "; {note}")?;
        }
        Ok(())
    }
}

/// For each tensor in memory, the name it has in the file.
///
/// `entries` pairs each file entry with the name it has in memory. A single number may be stored as `[]` or `[1]`
/// (`logit_scale` has been both).
///
/// # Errors
/// The [`Mismatch`] when anything is missing, left over or of another shape.
pub(super) fn pair<'a>(
    targets: &'a [(String, Tensor)],
    entries: &'a [(String, Entry)],
) -> Result<Vec<(&'a Tensor, &'a Entry)>, Mismatch> {
    let mut by_name: BTreeMap<&str, &Entry> = BTreeMap::new();
    let mut mismatch = Mismatch::default();
    for (name, entry) in entries {
        if by_name.insert(name, entry).is_some() {
            mismatch.unexpected.push(format!("{} (twice)", entry.name));
        }
    }
    let mut pairs = Vec::with_capacity(targets.len());
    for (name, tensor) in targets {
        let Some(entry) = by_name.remove(name.as_str()) else {
            mismatch.missing.push(name.clone());
            continue;
        };
        let wanted = tensor.size();
        let single = |shape: &[i64]| matches!(shape, [] | [1]);
        if entry.shape == wanted || (single(&entry.shape) && single(&wanted)) {
            pairs.push((tensor, entry));
        } else {
            mismatch.reshaped.push(format!("{name} {:?} instead of {wanted:?}", entry.shape));
        }
    }
    mismatch.unexpected.extend(by_name.into_keys().map(str::to_owned));
    if mismatch.is_empty() { Ok(pairs) } else { Err(mismatch) }
}

/// Overwrites `target` with the values of `source`, converting number format and device.
///
/// # Errors
/// When libtorch refuses.
pub(super) fn overwrite(target: &Tensor, source: &Tensor) -> Result<(), CheckpointError> {
    no_grad(|| Ok(target.shallow_clone().f_copy_(&source.f_reshape(target.size())?)?))
}

/// Fills `targets` from a file of ours: names as they are, every one of them and no other.
///
/// # Errors
/// When the file is missing, cut short or of other tensors.
pub(crate) fn restore(path: &Path, targets: &[(String, Tensor)]) -> Result<(), CheckpointError> {
    let mut file = TensorFile::open(path)?;
    let entries: Vec<_> = file.entries().iter().map(|entry| (entry.name.clone(), entry.clone())).collect();
    let pairs = pair(targets, &entries).map_err(|mismatch| CheckpointError::Mismatch {
        path: path.to_path_buf(),
        mismatch: mismatch.into(),
    })?;
    for (target, entry) in pairs {
        overwrite(target, &file.read(&entry.name)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn targets(list: &[(&str, &[i64])]) -> Vec<(String, Tensor)> {
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        list.iter().map(|(name, shape)| ((*name).to_owned(), zeros(shape))).collect()
    }

    fn entries(list: &[(&str, &[i64])]) -> Vec<(String, Entry)> {
        let entry =
            |name: &str, shape: &[i64]| Entry { name: name.into(), shape: shape.to_vec(), kind: Kind::Float };
        list.iter().map(|(name, shape)| ((*name).to_owned(), entry(name, shape))).collect()
    }

    #[test]
    fn all_that_does_not_fit_is_counted_and_the_first_are_named() {
        let targets = targets(&[("a", &[2]), ("b", &[2, 3]), ("c", &[]), ("d", &[]), ("e", &[])]);
        let entries = entries(&[("b", &[3, 2]), ("x", &[1]), ("x", &[1])]);
        let mismatch = pair(&targets, &entries).unwrap_err();
        assert_eq!(
            mismatch.to_string(),
            "not this model's tensors; 4 missing: a, c, d and 1 more; 2 unexpected: x (twice), x; \
             1 of another shape: b [3, 2] instead of [2, 3]"
        );
    }

    #[test]
    fn a_single_number_fits_with_and_without_a_dimension() {
        let targets = targets(&[("logit_scale", &[])]);
        let entries = entries(&[("logit_scale", &[1])]);
        let pairs = pair(&targets, &entries).unwrap();
        overwrite(pairs[0].0, &Tensor::from_slice(&[4.5f64])).unwrap();
        assert_eq!(f64::try_from(&targets[0].1).unwrap(), 4.5);
    }
}
