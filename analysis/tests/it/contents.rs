//! Checkpoints that share a name are two sources in every figure, and one name in the file that is written again.

use std::fs;
use std::process::Command;

use pairmill_analysis::load::load;
use pairmill_analysis::transfer::Study;
use pairmill_shards::results::{Protocol, Shots, read_parquet, write_parquet};

use crate::results::rows;

#[test]
fn t04_two_checkpoints_of_one_name_are_two_sources() {
    let mut rows = rows(Protocol::Corrected);
    rows.retain(|row| ["alpha", "gamma"].contains(&row.config.us.as_str()));
    for row in &mut rows {
        // Both are called alpha; one is as good as alpha, the other as gamma.
        let weights = if row.config.us == "alpha" { "aaaaaaaaaaaa" } else { "bbbbbbbbbbbb" };
        row.config.weights = Some(weights.to_owned());
        row.run.push_str(weights);
        row.config.us = "alpha".to_owned();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.parquet");
    fs::write(&path, write_parquet(&rows).unwrap()).unwrap();
    let results = load(std::slice::from_ref(&path), Protocol::Corrected, None).unwrap().told_apart();
    let study = Study::new(&results, None, 0);
    assert_eq!(study.lineup.sources, ["alpha@aaaaaaaa", "alpha@bbbbbbbb"]);
    let value = |us: &str| study.source(us, "birds", Shots::PerClass(1)).unwrap().value;
    assert!(value("alpha@aaaaaaaa") - value("alpha@bbbbbbbb") > 5.0);
    assert_eq!(results.one_name.len(), 1);

    let report = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pairmill-report"));
        let output = command.args(words).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let page = String::from_utf8(report(&["report", "--format", "md", "--out", "-"])).unwrap();
    assert!(page.contains("source alpha (CLIP, RN50) is the name of 2 different checkpoints"), "{page}");
    let again = read_parquet(&path, report(&["rows", "--to", "parquet"]).into()).unwrap();
    assert_eq!(again, rows);
}
