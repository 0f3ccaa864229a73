//! Any rows that the format allows make a report: no panic, no markup out of names, every figure a picture.

use pairmill_analysis::chart::{Theme, to_png};
use pairmill_analysis::load::{Results, of_table};
use pairmill_analysis::report::{Report, to_html, to_markdown};
use pairmill_analysis::transfer::{Rule, Study, all_figures, provenance, sections};
use pairmill_shards::results::{
    Origin, Protocol, ResultRow, ResultTable, RunConfig, Selection, Shots, SourcedRow, Split,
};
use proptest::prelude::*;

/// The paper's names, so that every figure and claim has something to work on, and hostile ones.
fn name(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![4 => proptest::sample::select(names), 1 => Just("<script>\"&|`"), 1 => Just("ünïcode 名")]
        .prop_map(str::to_owned)
}

prop_compose! {
    fn row()(
        loss in name(&["CLIP", "Supervised", "CLIP_LP-FT", "SimCLR_LP-FT", "CLIP_WiSE-FT-0.5"]),
        arch in name(&["RN50", "VITB32"]),
        us in name(&["WIT2.7m", "Shutterstock2.7m", "LAION15m", "LAION2B", "IN1K", "LAION1m", "Scratch"]),
        ds in name(&["DTD", "CIFAR100", "EuroSAT", "PETS"]),
        (ds_epochs, ds_bs) in proptest::option::of((0..300u32, 0..300u32)).prop_map(Option::unzip),
        ds_lr in proptest::option::of(proptest::sample::select(&[0.0, 1e-4, 1e-3][..])),
        shots in prop_oneof![
            Just(Shots::Zero), Just(Shots::All), (1..22u32).prop_map(Shots::PerClass), Just(Shots::PerClass(u32::MAX))
        ],
        seed in proptest::option::of(0..3u64),
        split in proptest::sample::select(Split::ALL),
        value in prop_oneof![Just(0.0), Just(100.0), 0.0..100.0f64],
        num_test in proptest::option::of(0..3u64),
    ) -> ResultRow {
        let config = RunConfig { arch, us, ds, ds_epochs, ds_bs, ds_lr, ..RunConfig::of_loss(&loss) };
        ResultRow {
            run: config.hash(), protocol: Protocol::AsPublished, selection: Selection::TestBest, config, shots, seed,
            split, metric: "acc1".to_owned(), value, num_test, view: None, converged: None, versions: String::new(),
            wall_s: None, device_s: None,
        }
    }
}

fn results(rows: Vec<ResultRow>) -> Results {
    let origin = |at: usize| Origin { file: "<img>".into(), row: at as u64 };
    let rows = rows.into_iter().enumerate().map(|(at, row)| SourcedRow { row, origin: origin(at) });
    let mut table = ResultTable::default();
    table.rows = rows.collect();
    of_table(table, Vec::new(), None).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_rows_make_a_report(
        rows in proptest::collection::vec(row(), 1..60),
        rule in proptest::sample::select(&[Rule::MaxOverGrid, Rule::ValidationSelected, Rule::MeanOverSeeds][..]),
    ) {
        let results = results(rows);
        let study = Study::new(&results, Some(rule), 1);
        let mut all = sections(&study);
        all.push(provenance(&study, 1));
        let report = Report { title: "<b>".to_owned(), lead: "&".to_owned(), sections: all };
        let html = to_html(&report);
        prop_assert_eq!(html.matches("<script>").count(), 1);
        prop_assert!(!html.contains("<img>") && !html.contains("NaN\"") && !html.contains("inf\""));
        to_markdown(&report, "");
        for figure in all_figures(&study) {
            prop_assert!(!figure.block.drawing.to_svg(Theme::File).contains("NaN"));
            // Pictures are slow; one a case is enough.
            if figure.block.id == "fig7" {
                prop_assert!(to_png(&figure.block.drawing).is_ok());
            }
        }
    }
}
