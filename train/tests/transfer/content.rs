//! A sweep goes on only over the pictures it began with, whatever their names and labels say.

use std::fs;

use crate::harness::{Bench, succeed};

#[test]
fn f04_a_sweep_over_pictures_that_changed_places_is_refused() {
    let bench = Bench::new();
    let run = || bench.transfer("out", &["--method", "zero-shot"]);
    succeed(&mut run());
    let before = bench.numbers("out");
    let test = bench.path("counts/test");
    let mut classes: Vec<_> = fs::read_dir(&test).unwrap().map(|entry| entry.unwrap().path()).collect();
    classes.sort();
    let first_of = |class: &std::path::Path| {
        let mut files: Vec<_> = fs::read_dir(class).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.swap_remove(0)
    };
    let (one, other) = (first_of(&classes[0]), first_of(&classes[1]));
    let swap = || {
        fs::rename(&one, bench.path("held")).unwrap();
        fs::rename(&other, &one).unwrap();
        fs::rename(bench.path("held"), &other).unwrap();
    };
    swap();
    let output = run().output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("pictures") && text.contains("bring the former ones back"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    swap();
    succeed(&mut run());
    assert_eq!(bench.numbers("out"), before);
    // An earlier version left no note: the sweep goes on and says so.
    fs::remove_file(bench.path("out/datasets.json")).unwrap();
    let output = succeed(&mut run());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("warning: ") && text.contains("an earlier version"), "{text}");
    assert!(bench.path("out/datasets.json").exists());
}
