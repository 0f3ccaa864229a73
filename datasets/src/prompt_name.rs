//! Class names for prompts. Corrected: each class's own name as words, in label order. As published: the study's strings
//! in the study's order, which for seven of the nine datasets is not that of the labels, so that its zero-shot heads were
//! permuted (protocol §0.3). The permutations are data, `study_class_order.json`; the strings are the datasets' own.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::config::DatasetKind;

/// Why there are no published names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The study has no such dataset.
    #[error(
        "the study's class order is not known for {0}; prompts as published exist for its nine datasets only"
    )]
    Unknown(String),
    /// Classes that are not the study's.
    #[error("the study's class order of {kind} is for {expected} classes; this copy has {found}")]
    Classes {
        /// The dataset.
        kind: String,
        /// Classes of the study.
        expected: usize,
        /// Classes of the copy.
        found: usize,
    },
    /// The order is no permutation.
    #[error("study_class_order.json: {0}: each of its classes must stand there once, from 0")]
    Order(String),
}

/// Class names as words, in label order: underscores are spaces, capitals within a word begin a new one where names are
/// written so, and names that say nothing to a text tower are put into words.
pub fn clean(kind: DatasetKind, classes: &[String]) -> Vec<String> {
    classes.iter().map(|class| clean_one(kind, class)).collect()
}

fn clean_one(kind: DatasetKind, class: &str) -> String {
    let words = || class.replace('_', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    match kind {
        DatasetKind::Eurosat => split_capitals(class),
        DatasetKind::Cassava => {
            let disease = class.split(" (").next().unwrap_or(class).trim();
            match disease.strip_prefix("Cassava ") {
                Some(disease) => format!("cassava leaf with {}", disease.to_lowercase()),
                None => format!("{} cassava leaf", disease.to_lowercase()),
            }
        }
        DatasetKind::Caltech101 => match class {
            "BACKGROUND_Google" => "background".to_owned(),
            "Faces" => "face".to_owned(),
            "Faces_easy" => "cropped face".to_owned(),
            "Leopards" => "leopard".to_owned(),
            "Motorbikes" => "motorbike".to_owned(),
            _ => words(),
        },
        _ => words(),
    }
}

/// `AnnualCrop` to `annual crop`.
fn split_capitals(name: &str) -> String {
    let mut words = String::new();
    for (index, letter) in name.char_indices() {
        if index > 0 && letter.is_uppercase() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words.replace('_', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How a dataset's classes are sorted before the published order is applied.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Sorted {
    /// As the labels are.
    Labels,
    /// By the bytes of their names.
    Ascii,
    /// Without regard to case.
    IgnoringCase,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    sorted: Sorted,
    /// Published place → place in the sorted classes; `None`: as sorted.
    #[serde(default)]
    places: Option<Vec<usize>>,
    classes: usize,
    /// Names the study spelled otherwise.
    #[serde(default)]
    renamed: BTreeMap<String, String>,
}

/// The study's class strings in the study's order: row i of its zero-shot head is made of the i-th.
///
/// # Errors
/// For own sets, and for copies that have not the study's number of classes.
pub fn published(kind: DatasetKind, classes: &[String]) -> Result<Vec<String>, NameError> {
    let orders: BTreeMap<String, Order> = serde_json::from_str(include_str!("study_class_order.json"))
        .map_err(|error| NameError::Order(error.to_string()))?;
    let order = orders.get(kind.as_str()).ok_or_else(|| NameError::Unknown(kind.to_string()))?;
    if classes.len() != order.classes {
        let (kind, expected, found) = (kind.to_string(), order.classes, classes.len());
        return Err(NameError::Classes { kind, expected, found });
    }
    let mut sorted: Vec<&String> = classes.iter().collect();
    match order.sorted {
        Sorted::Labels => {}
        Sorted::Ascii => sorted.sort(),
        Sorted::IgnoringCase => sorted.sort_by_key(|name| (name.to_lowercase(), *name)),
    }
    if let Some(places) = &order.places {
        let mut once = places.clone();
        once.sort_unstable();
        if !once.iter().copied().eq(0..classes.len()) {
            return Err(NameError::Order(kind.to_string()));
        }
        sorted = places.iter().filter_map(|&place| sorted.get(place).copied()).collect();
    }
    Ok(sorted.into_iter().map(|name| order.renamed.get(name).unwrap_or(name).clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn names_become_words() {
        for (kind, class, words) in [
            (DatasetKind::Eurosat, "HerbaceousVegetation", "herbaceous vegetation"),
            (
                DatasetKind::Cassava,
                "Cassava Brown Streak Disease (CBSD)",
                "cassava leaf with brown streak disease",
            ),
            (DatasetKind::Cassava, "Healthy", "healthy cassava leaf"),
            (DatasetKind::Caltech101, "BACKGROUND_Google", "background"),
            (DatasetKind::Caltech101, "car_side", "car side"),
            (DatasetKind::Real, "The_Eiffel_Tower", "The Eiffel Tower"),
            (DatasetKind::Pets, "american_pit_bull_terrier", "american pit bull terrier"),
            (DatasetKind::Dtd, "polka-dotted", "polka-dotted"),
            (DatasetKind::Folder, "été_indien", "été indien"),
        ] {
            assert_eq!(clean(kind, &names(&[class])), [words]);
        }
    }

    /// Cassava's published order is the reverse, the camera traps' is spelled out in protocol §5.8.
    #[test]
    fn the_published_order_is_the_studys() {
        let cassava = names(&["0", "1", "2", "3", "4"]);
        assert_eq!(published(DatasetKind::Cassava, &cassava).unwrap(), names(&["4", "3", "2", "1", "0"]));
        let by_id =
            "opossum raccoon squirrel bobcat skunk dog coyote rabbit bird cat badger car deer fox rodent";
        let traps = names(&by_id.split(' ').collect::<Vec<_>>());
        let expected =
            "opossum raccoon rabbit coyote bobcat cat squirrel dog car bird skunk rodent deer badger fox";
        assert_eq!(published(DatasetKind::CameraTraps, &traps).unwrap().join(" "), expected);
        let numbered: Vec<_> =
            (0..37).map(|index| format!("{}{index:02}", if index % 2 == 0 { 'a' } else { 'A' })).collect();
        assert_eq!(published(DatasetKind::Pets, &numbered).unwrap()[..3], names(&["a00", "A05", "A07"]));
        let mut cifar: Vec<_> = (0..99).map(|index| format!("c{index:02}")).collect();
        cifar.push("keyboard".to_owned());
        assert_eq!(published(DatasetKind::Cifar100, &cifar).unwrap()[99], "computer_keyboard");
    }

    #[test]
    fn an_unknown_order_is_said() {
        let message = published(DatasetKind::Dtd, &names(&["a", "b"])).unwrap_err().to_string();
        assert_eq!(message, "the study's class order of dtd is for 47 classes; this copy has 2");
        let message = published(DatasetKind::Folder, &names(&["a", "b"])).unwrap_err().to_string();
        assert!(message.contains("not known for folder"), "{message}");
    }

    /// Aligned places are the protocol's (§0.3): 0 of 47, 1 of 102, 2 of 37, 2 of 345, 3 of 15, 1 of 5, all of 10.
    #[test]
    fn every_order_is_a_permutation_with_the_protocols_fixed_points() {
        for (kind, classes, aligned) in [
            (DatasetKind::Cifar100, 100, 100),
            (DatasetKind::Dtd, 47, 0),
            (DatasetKind::Caltech101, 102, 1),
            (DatasetKind::Pets, 37, 2),
            (DatasetKind::Real, 345, 2),
            (DatasetKind::Clipart, 345, 2),
            (DatasetKind::CameraTraps, 15, 3),
            (DatasetKind::Cassava, 5, 1),
            (DatasetKind::Eurosat, 10, 10),
        ] {
            let stored: Vec<_> = (0..classes).map(|index| format!("{index:03}")).collect();
            let ordered = published(kind, &stored).unwrap();
            assert_eq!(ordered.iter().zip(&stored).filter(|(a, b)| a == b).count(), aligned, "{kind}");
            let mut sorted = ordered;
            sorted.sort();
            assert_eq!(sorted, stored, "{kind}");
        }
    }
}
