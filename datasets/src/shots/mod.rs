//! Seeded draws from labelled examples: k shots a class, and parts held out.
//!
//! Corrected mode hashes names ([`draw_nested`], [`hold_out`]): a draw depends on nothing but the seed and what is drawn
//! from, so the picture of one shot is among the five of five shots, and a dataset unpacked in another order gives the
//! same. As published, draws are NumPy's ([`PublishedDraw`]).

mod published;

use std::collections::BTreeMap;

use pairmill_shards::draw::place;

use super::set::Example;

pub use published::{PublishedDraw, Replacement};

/// Why shots cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShotError {
    /// A class is too small.
    #[error("class {class:?} has {found} pictures to draw {shots} shots from; draw fewer, or leave it out")]
    TooFew {
        /// Its name.
        class: String,
        /// Its pictures.
        found: usize,
        /// Shots asked for.
        shots: u32,
    },
    /// No shots.
    #[error("0 shots a class are nothing to learn from")]
    None,
    /// An example of a class that is not there.
    #[error("{name:?} has label {label}, but there are {classes} classes; labels count from 0")]
    Label {
        /// The example.
        name: String,
        /// Its label.
        label: u32,
        /// Number of classes.
        classes: usize,
    },
}

// What a name is hashed for, so that no two draws of one seed go together.
const SHOT: &[u8] = b"shot";
const SPLIT: &[u8] = b"split";
const HELD: &[u8] = b"held out";

/// Indices of all examples: the pool to draw from where nothing is held out.
pub fn everything(examples: &[Example]) -> Vec<usize> {
    (0..examples.len()).collect()
}

/// `shots` of each class, by class and in each in the order drawn: those of `pool` with the least hash of seed and name.
/// So k shots are the first k of each class of any larger draw of the seed.
///
/// # Errors
/// When a class has fewer, naming it; when a label has no class.
pub fn draw_nested(
    examples: &[Example],
    pool: &[usize],
    classes: &[String],
    shots: u32,
    seed: u64,
) -> Result<Vec<usize>, ShotError> {
    draw(examples, pool, classes, shots, seed, |found, class| enough(found, shots, class))
}

/// As [`draw_nested`], taking all there are of a class that has fewer: for validation images, of which some classes may
/// have none.
///
/// # Errors
/// When a label has no class.
pub fn draw_up_to(
    examples: &[Example],
    pool: &[usize],
    classes: &[String],
    shots: u32,
    seed: u64,
) -> Result<Vec<usize>, ShotError> {
    draw(examples, pool, classes, shots, seed, |_, _| Ok(()))
}

/// Up to `shots` of each class, where `check` has nothing against the number it finds.
fn draw(
    examples: &[Example],
    pool: &[usize],
    classes: &[String],
    shots: u32,
    seed: u64,
    check: impl Fn(usize, &str) -> Result<(), ShotError>,
) -> Result<Vec<usize>, ShotError> {
    let mut drawn = Vec::new();
    for (members, class) in by_class(examples, pool, classes.len())?.iter().zip(classes) {
        check(members.len(), class)?;
        drawn.extend(ranked(examples, members, seed, SHOT).into_iter().take(shots as usize));
    }
    Ok(drawn)
}

/// Holds a share of each class of `pool` out, for a validation split where there is no official one: what is kept and
/// what is held, both in the order of `pool`. `ceil(share · n)` are held in all, each class as near to its share as whole
/// numbers allow; a class of two or more keeps at least one.
pub fn hold_out(
    examples: &[Example],
    pool: &[usize],
    num_classes: usize,
    share: f64,
    seed: u64,
) -> (Vec<usize>, Vec<usize>) {
    divide(examples, pool, num_classes, seed, HELD, &|sizes| apportion(sizes, share))
}

/// As [`hold_out`], for the test split of a dataset that has none.
pub(super) fn split(
    examples: &[Example],
    pool: &[usize],
    num_classes: usize,
    share: f64,
    seed: u64,
) -> (Vec<usize>, Vec<usize>) {
    divide(examples, pool, num_classes, seed, SPLIT, &|sizes| apportion(sizes, share))
}

/// As [`split`], with the number held out of a class of each size.
pub(super) fn split_counts(
    examples: &[Example],
    pool: &[usize],
    num_classes: usize,
    seed: u64,
    held: impl Fn(usize) -> usize,
) -> (Vec<usize>, Vec<usize>) {
    divide(examples, pool, num_classes, seed, SPLIT, &|sizes| sizes.iter().map(|&size| held(size)).collect())
}

fn divide(
    examples: &[Example],
    pool: &[usize],
    num_classes: usize,
    seed: u64,
    what: &[u8],
    held_of: &dyn Fn(&[usize]) -> Vec<usize>,
) -> (Vec<usize>, Vec<usize>) {
    let mut members = vec![Vec::new(); num_classes];
    for &index in pool {
        if let Some(class) = examples.get(index).and_then(|example| members.get_mut(example.label as usize)) {
            class.push(index);
        }
    }
    let sizes: Vec<_> = members.iter().map(Vec::len).collect();
    let mut is_held = vec![false; examples.len()];
    for (members, held) in members.iter().zip(held_of(&sizes)) {
        for index in ranked(examples, members, seed, what).into_iter().take(held) {
            is_held[index] = true;
        }
    }
    pool.iter().partition(|&&index| !is_held.get(index).copied().unwrap_or(false))
}

/// `ceil(share · n)` over classes in proportion to their sizes: whole parts first, then one more to each of the largest
/// remainders, of equal ones to the first; and at least one of a class of two or more stays.
fn apportion(sizes: &[usize], share: f64) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    let wanted = ((share.clamp(0.0, 1.0) * total as f64) - 1e-9).ceil().max(0.0) as usize;
    if total == 0 {
        return vec![0; sizes.len()];
    }
    // In whole numbers: size · wanted / total.
    let product = |size: usize| size as u128 * wanted as u128;
    let mut held: Vec<usize> = sizes.iter().map(|&size| (product(size) / total as u128) as usize).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&class| (std::cmp::Reverse(product(sizes[class]) % total as u128), class));
    let left = wanted - held.iter().sum::<usize>();
    for &class in order.iter().take(left) {
        held[class] += 1;
    }
    for (held, &size) in held.iter_mut().zip(sizes) {
        *held = (*held).min(size.saturating_sub(1));
    }
    held
}

/// Members by the hash of seed, name and what it is for; of equal hashes the lesser name.
fn ranked(examples: &[Example], members: &[usize], seed: u64, what: &[u8]) -> Vec<usize> {
    let mut order: Vec<(u64, &str, usize)> = members
        .iter()
        .map(|&index| {
            let name = &*examples[index].name;
            (place(seed, name.as_bytes(), what), name, index)
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, _, index)| index).collect()
}

/// The pool's indices by class, in the pool's order.
fn by_class(examples: &[Example], pool: &[usize], num_classes: usize) -> Result<Vec<Vec<usize>>, ShotError> {
    let mut members = vec![Vec::new(); num_classes];
    for &index in pool {
        let Some(example) = examples.get(index) else { continue };
        let class = members.get_mut(example.label as usize).ok_or_else(|| ShotError::Label {
            name: example.name.to_string(),
            label: example.label,
            classes: num_classes,
        })?;
        class.push(index);
    }
    Ok(members)
}

fn enough(found: usize, shots: u32, class: &str) -> Result<(), ShotError> {
    match shots {
        0 => Err(ShotError::None),
        shots if found < shots as usize => Err(ShotError::TooFew { class: class.to_owned(), found, shots }),
        _ => Ok(()),
    }
}

/// Examples a class, for tables.
pub fn class_sizes(examples: &[Example]) -> BTreeMap<u32, usize> {
    let mut sizes = BTreeMap::new();
    for example in examples {
        *sizes.entry(example.label).or_default() += 1;
    }
    sizes
}

#[cfg(test)]
mod tests;
