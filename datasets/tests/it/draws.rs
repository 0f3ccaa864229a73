//! Draws over a dataset as it is read.

use std::collections::BTreeSet;

use pairmill_datasets::shots::{PublishedDraw, Replacement, draw_nested, everything, hold_out};
use pairmill_world::{Dataset, Form};

use crate::bench::Bench;

#[test]
fn shots_are_the_same_from_every_form_of_a_set() {
    let names = |form| {
        let set = Bench::new(Dataset::Dtd, form, 5, 12).open();
        let pool = everything(&set.train);
        let drawn = draw_nested(&set.train, &pool, &set.classes, 5, 3).unwrap();
        drawn.iter().map(|&index| set.train[index].name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(Form::Archive), names(Form::Folder));
}

#[test]
fn a_validation_part_and_the_shots_share_no_picture() {
    let set = Bench::new(Dataset::Pets, Form::Archive, 4, 20).open();
    let (kept, held) = hold_out(&set.train, &everything(&set.train), set.classes.len(), 0.25, 9);
    let drawn = draw_nested(&set.train, &kept, &set.classes, 15, 9).unwrap();
    let held: BTreeSet<_> = held.into_iter().collect();
    assert_eq!((held.len(), drawn.len()), (20, 60));
    assert!(drawn.iter().all(|index| !held.contains(index)));
}

/// As the study drew from its tables: training shots, then test pictures from the same stream, with replacement where a
/// class is too small.
#[test]
fn the_published_draw_goes_on_to_the_test_pictures() {
    let set = Bench::new(Dataset::Cassava, Form::Archive, 5, 10).open();
    assert!(set.kind.was_table_in_study());
    let draw = || {
        let mut stream = PublishedDraw::new(0);
        let mut next = |examples: &[_]| {
            stream.draw(examples, &everything(examples), &set.classes, 5, Replacement::WhenShort).unwrap()
        };
        (next(&set.train), next(&set.test))
    };
    let (train, test) = draw();
    assert_eq!((train.len(), test.len()), (25, 25));
    assert_eq!(train.iter().collect::<BTreeSet<_>>().len(), 25, "8 of each class suffice");
    assert!(test.iter().collect::<BTreeSet<_>>().len() < 25, "2 of a class do not");
    assert!(train.iter().enumerate().all(|(at, &index)| set.train[index].label as usize == at / 5));
    assert_eq!(draw(), (train, test));
}
