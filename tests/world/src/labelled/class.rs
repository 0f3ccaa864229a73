//! Classes of a colour and a shape, and how each dataset spells its names.

use crate::scene::{Colour, Shape, Texture};

/// Colours × shapes × (any texture, and two of them).
pub(super) const MOST: usize = 12 * 12 * 3;

/// A class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    pub name: String,
    pub shape: Shape,
    pub colour: Colour,
    /// `None`: any.
    pub texture: Option<Texture>,
}

/// How names are written and ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// `blue_star`, sorted by bytes.
    Underscores,
    /// `blue-star`, sorted by bytes.
    Hyphens,
    /// `BlueStar`, sorted by bytes.
    Capitals,
    /// The first few of Caltech's own, then as [`Spelling::Underscores`].
    Caltech,
    /// Breeds with quirks first; cats `Blue_Star`, dogs `blue_star`; sorted without regard to case.
    Pets,
    /// `The_Blue_Star` and `blue_star`, sorted without regard to case.
    DomainNet,
    /// `blue star`, in no order.
    Spaces,
}

/// `count` classes in label order; at most [`MOST`].
pub(super) fn classes(count: usize, spelling: Spelling) -> Vec<Class> {
    let mut classes: Vec<Class> = (0..count.min(MOST))
        .map(|index| {
            // Neighbours differ in both.
            let (shape, round) = (index % 12, index / 12);
            let colour = Colour::ALL[(shape * 5 + round) % 12];
            let shape = Shape::ALL[shape];
            let texture = [None, Some(Texture::Striped), Some(Texture::Dotted)][index / 144];
            let mut words = vec![colour.as_str(), shape.as_str()];
            words.splice(0..0, texture.map(Texture::as_str));
            Class { name: spell(&words, index, spelling), shape, colour, texture }
        })
        .collect();
    match spelling {
        Spelling::Spaces => {}
        Spelling::Pets | Spelling::DomainNet => {
            classes.sort_by_key(|class| (class.name.to_lowercase(), class.name.clone()));
        }
        _ => classes.sort_by(|a, b| a.name.cmp(&b.name)),
    }
    classes
}

fn spell(words: &[&str], index: usize, spelling: Spelling) -> String {
    let capital = |word: &&str| word[..1].to_uppercase() + &word[1..];
    let capitals = || words.iter().map(capital).collect::<Vec<_>>();
    match spelling {
        Spelling::Underscores => words.join("_"),
        Spelling::Hyphens => words.join("-"),
        Spelling::Spaces => words.join(" "),
        Spelling::Capitals => match index {
            0 => "AnnualCrop".to_owned(),
            _ => capitals().concat(),
        },
        Spelling::Caltech => match index {
            0 => "BACKGROUND_Google".to_owned(),
            1 => "Faces".to_owned(),
            2 => "Faces_easy".to_owned(),
            _ => words.join("_"),
        },
        Spelling::Pets => match index {
            0 => "Abyssinian".to_owned(),
            1 => "Egyptian_Mau".to_owned(),
            2 => "beagle".to_owned(),
            3 => "chihuahua".to_owned(),
            _ if index.is_multiple_of(2) => capitals().join("_"),
            _ => words.join("_"),
        },
        Spelling::DomainNet => match index {
            0 => "aircraft_carrier".to_owned(),
            _ if index % 50 == 7 => format!("The_{}", capitals().join("_")),
            _ => words.join("_"),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_class_has_a_name_of_its_own() {
        for spelling in [Spelling::Underscores, Spelling::Caltech, Spelling::Pets, Spelling::DomainNet] {
            let names: BTreeSet<_> = classes(MOST, spelling).into_iter().map(|class| class.name).collect();
            assert_eq!(names.len(), MOST, "{spelling:?}");
        }
    }
}
