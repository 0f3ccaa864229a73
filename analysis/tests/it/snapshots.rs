//! Rendered tables of made-up results, and what the rules do to values that can be worked out by hand.

use pairmill_analysis::report::{Report, findings_text, to_markdown};
use pairmill_analysis::transfer::{Rule, Study, all_figures, provenance, sections};
use pairmill_analysis::{audit, claims};
use pairmill_shards::results::{Protocol, Shots};

use crate::results::results;

#[test]
fn rendered_tables_stay_as_they_are() {
    let results = results(Protocol::Corrected);
    let study = Study::new(&results, None, 7);
    assert_eq!(study.picker.rule(), Rule::MeanOverSeeds);
    let figures = all_figures(&study);
    let names: Vec<&str> = figures.iter().map(|f| f.block.id.as_str()).collect();
    assert_eq!(names, ["fig1", "fig6", "fig7"]);
    for figure in &figures {
        insta::assert_snapshot!(format!("{}.csv", figure.block.id), figure.block.table.to_csv());
    }
    insta::assert_snapshot!(
        "claims",
        findings_text(&claims::to_findings(&claims::all_claims(&study)), false)
    );
    insta::assert_snapshot!("audit", findings_text(&audit::to_findings(&audit::audit(&study)), false));
    let mut all = sections(&study);
    all.push(provenance(&study, 7));
    let report = Report { title: "Made up".to_owned(), lead: "Nothing real.".to_owned(), sections: all };
    let markdown = to_markdown(&report, "figures/");
    // The size of the Parquet bytes may change with the library.
    let markdown = markdown.replace(&results.inputs[0].num_bytes.to_string(), "[bytes]");
    insta::assert_snapshot!("report.md", markdown);
}

#[test]
fn the_rules_give_the_values_worked_out_by_hand() {
    let results = results(Protocol::Corrected);
    let at = |rule: Rule, ds: &str| {
        let study = Study::new(&results, Some(rule), 7);
        study.source("alpha", ds, Shots::All).unwrap()
    };
    // birds: 85 + luck (0, 0.75, −0.5) + rate (0 or 1.5).
    assert_eq!(at(Rule::MaxOverGrid, "birds").value, 87.25);
    let mean_luck = 0.25 / 3.0;
    assert!((at(Rule::ValidationSelected, "birds").value - (86.5 + mean_luck)).abs() < 1e-9);
    // tiles: 89 + luck; validation takes the rate that costs a point on the test set, the maximum does not.
    assert_eq!(at(Rule::MaxOverGrid, "tiles").value, 89.75);
    assert!((at(Rule::ValidationSelected, "tiles").value - (88.0 + mean_luck)).abs() < 1e-9);
    let mean = at(Rule::MeanOverSeeds, "tiles");
    assert!((mean.value - (88.0 + mean_luck)).abs() < 1e-9);
    assert_eq!((mean.num_seeds, mean.num_values), (3, 6));
    let (low, high) = mean.interval.unwrap();
    assert!(low < mean.value && mean.value < high && low >= 87.5 && high <= 88.75, "{low} {high}");
    assert_eq!(at(Rule::MaxOverGrid, "tiles").interval, None);
}

#[test]
fn the_audit_knows_which_rule_lets_the_test_set_choose() {
    let results = results(Protocol::Corrected);
    let chosen = |rule: Rule| {
        let defects = audit::audit(&Study::new(&results, Some(rule), 7));
        defects.into_iter().find(|d| d.id == "chosen-on-test").unwrap().count
    };
    assert_eq!(chosen(Rule::MaxOverGrid), Some((36, 36)));
    assert_eq!(chosen(Rule::ValidationSelected), Some((0, 36)));
    assert_eq!(chosen(Rule::MeanOverSeeds), Some((0, 36)));
}
