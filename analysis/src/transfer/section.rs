//! The transfer half of a report: figures, claims, audit and provenance as sections.

use super::{Figure, Study, all_figures};
use crate::audit::{self, Outcome};
use crate::claims::{self, Verdict};
use crate::load::Results;
use crate::report::{Block, Section, Table, Value};

/// Figures, claims and audit, in reading order.
pub fn sections(study: &Study<'_>) -> Vec<Section> {
    let figures = all_figures(study).into_iter().map(|Figure { block, .. }| Block::Figure(block)).collect();
    let claims = claims::all_claims(study);
    let count = |v: Verdict| claims.iter().filter(|c| c.verdict == v).count();
    let defects = audit::audit(study);
    let found = defects.iter().filter(|d| d.outcome == Outcome::Found).count();
    vec![
        Section {
            id: "figures".to_owned(),
            title: "Figures".to_owned(),
            lead: study.picker.rule().sentence().to_owned(),
            blocks: figures,
        },
        Section {
            id: "claims".to_owned(),
            title: "Claims".to_owned(),
            lead: format!(
                "{} hold, {} fail, {} cannot be judged from these rows.",
                count(Verdict::Holds),
                count(Verdict::Fails),
                count(Verdict::NotEnoughData)
            ),
            blocks: vec![Block::Findings(claims::to_findings(&claims))],
        },
        Section {
            id: "audit".to_owned(),
            title: "Audit".to_owned(),
            lead: format!(
                "Defects that show in the rows themselves: {found} of {} checks found some.",
                defects.len()
            ),
            blocks: vec![Block::Findings(audit::to_findings(&defects))],
        },
    ]
}

/// How many values come from probes that stopped before their optimum; `None` where none does.
fn unconverged(results: &Results) -> Option<String> {
    let probes = results.rows.iter().filter_map(|r| r.row.converged);
    let (mut short, mut of) = (0, 0);
    for converged in probes {
        of += 1;
        short += usize::from(!converged);
    }
    (short > 0).then(|| format!("{short} of {of} values"))
}

/// Where the numbers come from.
pub fn provenance(study: &Study<'_>, seed: u64) -> Section {
    let results = study.results;
    let mut inputs = Table::new("Inputs", &["file", "bytes", "values", "sha256"]);
    for input in &results.inputs {
        inputs.rows.push(vec![
            input.name.clone().into(),
            Value::Number(input.num_bytes as f64, 0),
            Value::Number(input.num_values as f64, 0),
            input.sha256.clone().into(),
        ]);
    }
    let mut settings = Table::new("Settings", &["setting", "value"]);
    let mut versions: Vec<&str> =
        results.rows.iter().map(|r| r.row.versions.as_str()).filter(|v| !v.is_empty()).collect();
    versions.sort_unstable();
    versions.dedup();
    let hours = |get: fn(&pairmill_shards::results::ResultRow) -> Option<f64>| {
        // A run has several rows and one duration.
        let mut runs: Vec<(&str, Option<u64>, u64)> = results
            .rows
            .iter()
            .filter_map(|r| Some((r.row.run.as_str(), r.row.seed, get(&r.row)?.to_bits())))
            .collect();
        runs.sort_unstable();
        runs.dedup();
        let total: f64 = runs.iter().map(|r| f64::from_bits(r.2)).sum();
        (!runs.is_empty()).then(|| format!("{} h", crate::stats::short(total / 3600.0, 2)))
    };
    let lineup = &study.lineup;
    for (name, value) in [
        ("protocol", Some(results.protocol.to_string())),
        ("rule", Some(study.picker.rule().as_str().to_owned())),
        ("bootstrap seed", Some(seed.to_string())),
        ("compared", Some(format!("{} {}: {}", lineup.loss(), lineup.arch(), lineup.sources.join(", ")))),
        ("not in figures", (!lineup.not_compared().is_empty()).then(|| lineup.not_compared().join(", "))),
        ("one name, several contents", (!results.one_name.is_empty()).then(|| results.one_name.join("; "))),
        ("probes short of their optimum", unconverged(results)),
        ("left out by the reader", Some(format!("{} cells (see the audit)", results.notes.len()))),
        ("versions of the trainer", (!versions.is_empty()).then(|| versions.join("; "))),
        ("wall time of the runs", hours(|r| r.wall_s)),
        ("device time of the runs", hours(|r| r.device_s)),
        ("report", Some(format!("pairmill-report {}", env!("CARGO_PKG_VERSION")))),
    ] {
        if let Some(value) = value {
            settings.rows.push(vec![name.into(), value.into()]);
        }
    }
    Section {
        id: "provenance".to_owned(),
        title: "Provenance".to_owned(),
        lead: String::new(),
        blocks: vec![Block::Table(settings), Block::Table(inputs)],
    }
}
