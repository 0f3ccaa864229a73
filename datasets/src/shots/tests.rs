use std::collections::BTreeSet;

use super::*;
use crate::set::Place;

fn examples(sizes: &[usize]) -> (Vec<Example>, Vec<String>) {
    let mut examples = Vec::new();
    for (label, &size) in sizes.iter().enumerate() {
        for index in 0..size {
            examples.push(Example {
                label: label as u32,
                name: format!("c{label}/{index}.jpg").into(),
                place: Place::Record { file: 0, index: 0 },
            });
        }
    }
    (examples, (0..sizes.len()).map(|label| format!("c{label}")).collect())
}

fn names<'a>(examples: &'a [Example], drawn: &[usize]) -> BTreeSet<&'a str> {
    drawn.iter().map(|&index| &*examples[index].name).collect()
}

#[test]
fn larger_draws_hold_the_smaller_ones_and_order_does_not_matter() {
    let (mut all, classes) = examples(&[30, 25, 20]);
    let pool = everything(&all);
    let sets: Vec<_> = [1, 5, 10, 20]
        .map(|shots| draw_nested(&all, &pool, &classes, shots, 7).unwrap())
        .iter()
        .map(|drawn| names(&all, drawn).into_iter().map(str::to_owned).collect::<BTreeSet<_>>())
        .collect();
    assert!(sets.windows(2).all(|pair| pair[0].is_subset(&pair[1])));
    assert_eq!(sets.iter().map(BTreeSet::len).collect::<Vec<_>>(), [3, 15, 30, 60]);
    all.reverse();
    let again = draw_nested(&all, &pool, &classes, 5, 7).unwrap();
    assert_eq!(names(&all, &again), sets[1].iter().map(String::as_str).collect());
    let other = draw_nested(&all, &pool, &classes, 5, 8).unwrap();
    assert_ne!(names(&all, &other), sets[1].iter().map(String::as_str).collect());
}

#[test]
fn a_class_too_small_is_named_with_its_size() {
    let (all, classes) = examples(&[9, 4]);
    let error = draw_nested(&all, &everything(&all), &classes, 5, 0).unwrap_err().to_string();
    assert_eq!(error, "class \"c1\" has 4 pictures to draw 5 shots from; draw fewer, or leave it out");
    let error = PublishedDraw::new(0)
        .draw(&all, &everything(&all), &classes, 5, Replacement::Never)
        .unwrap_err()
        .to_string();
    assert!(error.contains("\"c1\" has 4"), "{error}");
    assert_eq!(draw_nested(&all, &everything(&all), &classes, 0, 0), Err(ShotError::None));
    let error = draw_nested(&all, &everything(&all), &classes[..1], 1, 0).unwrap_err().to_string();
    assert!(error.contains("label 1, but there are 1 classes"), "{error}");
}

#[test]
fn what_is_held_out_is_never_drawn_and_follows_the_classes() {
    let (all, classes) = examples(&[50, 30, 20]);
    let (kept, held) = hold_out(&all, &everything(&all), 3, 0.1, 3);
    assert_eq!((kept.len(), held.len()), (90, 10));
    let sizes: Vec<_> = held.iter().map(|&index| all[index].label).collect();
    assert_eq!([0, 1, 2].map(|label| sizes.iter().filter(|&&l| l == label).count()), [5, 3, 2]);
    let drawn = draw_nested(&all, &kept, &classes, 15, 3).unwrap();
    assert!(drawn.iter().all(|index| !held.contains(index)));
    assert!(kept.is_sorted() && held.is_sorted());
}

/// Cassava's classes give the study's 4,280 of 21,397 (protocol §5.7); EuroSAT's 5,400 of 27,000.
#[test]
fn shares_come_out_as_in_the_study() {
    let cassava = apportion(&[1_087, 2_189, 2_386, 13_158, 2_577], 0.2);
    assert_eq!(cassava.iter().sum::<usize>(), 4_280);
    assert_eq!(cassava, [217, 438, 477, 2_632, 516]);
    let eurosat = [3_000, 3_000, 3_000, 2_500, 2_500, 2_000, 2_500, 3_000, 2_500, 3_000];
    assert_eq!(apportion(&eurosat, 0.2), eurosat.map(|size| size / 5));
    assert_eq!(apportion(&[1, 1, 2], 0.9), [0, 0, 1], "nothing is held out whole");
    assert_eq!(apportion(&[], 0.5), [0usize; 0]);
    assert_eq!(apportion(&[10, 10], 0.0), [0, 0]);
}

/// Reference: `numpy_draw.py` beside the fixtures, NumPy's own numbers.
#[test]
fn draws_are_those_of_numpy() {
    let text = include_str!("../../tests/it/numpy_draw.json");
    let reference: serde_json::Value = serde_json::from_str(text).unwrap();
    let cases = reference["cases"].as_array().unwrap();
    assert!(cases.len() > 10);
    for case in cases {
        let number = |key: &str| case[key].as_u64().unwrap();
        let sizes: Vec<usize> =
            case["sizes"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
        let (all, classes) = examples(&sizes);
        let mut stream = PublishedDraw::new(number("seed") as u32);
        for pass in case["draws"].as_array().unwrap() {
            let expected: Vec<usize> =
                pass.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
            let drawn = stream
                .draw(&all, &everything(&all), &classes, number("shots") as u32, Replacement::WhenShort)
                .unwrap();
            assert_eq!(drawn, expected, "seed {} sizes {sizes:?}", number("seed"));
        }
    }
}
