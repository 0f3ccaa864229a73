//! Defects that can be seen in result rows themselves, without the code that made them: values no test set of that
//! size can give, repeated rows, comparisons over unequal grids, series that are not what they say. Every check runs
//! on any results; a clean one says so.

mod grids;
mod series;
mod values;

use serde_json::{Value as Json, json};

use crate::report::{Finding, Mark, Table, Value};
use crate::transfer::Study;

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The defect is there.
    Found,
    /// It is not.
    Clean,
    /// The rows cannot show it either way.
    NotApplicable,
}

impl Outcome {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Clean => "clean",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// One check.
#[derive(Debug, Clone)]
pub struct Defect {
    /// Its name.
    pub id: &'static str,
    /// What is looked for, and why it matters.
    pub statement: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// How many, and of how many.
    pub count: Option<(usize, usize)>,
    /// What was found.
    pub details: Vec<String>,
}

impl Defect {
    /// A check that found `found` of `of`; `of` = 0 is not applicable.
    fn counted(id: &'static str, statement: &'static str, found: usize, of: usize) -> Self {
        let outcome = match (found, of) {
            (_, 0) => Outcome::NotApplicable,
            (0, _) => Outcome::Clean,
            _ => Outcome::Found,
        };
        Self { id, statement, outcome, count: (of > 0).then_some((found, of)), details: Vec::new() }
    }

    fn with(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }
}

/// Every check, in order.
pub fn audit(study: &Study<'_>) -> Vec<Defect> {
    vec![
        values::impossible(study),
        values::few_shot_subsets(study),
        values::near_chance(study),
        values::contaminated_probe(study),
        grids::chosen_on_test(study),
        grids::at_the_edge(study),
        grids::unequal(study),
        grids::warm_up(study),
        series::repeated_rows(study),
        series::contradicting_rows(study),
        series::same_values_elsewhere(study),
        series::mixed_batches(study),
        values::not_a_number(study),
    ]
}

/// The defects as findings of a report.
pub fn to_findings(defects: &[Defect]) -> Vec<Finding> {
    defects
        .iter()
        .map(|defect| {
            let (mark, verdict) = match (defect.outcome, defect.count) {
                (Outcome::Found, Some((n, of))) => (Mark::Note, format!("{n} of {of}")),
                (Outcome::Found, None) => (Mark::Note, "found".to_owned()),
                (Outcome::Clean, _) => (Mark::Good, "clean".to_owned()),
                (Outcome::NotApplicable, _) => (Mark::Unknown, "not applicable".to_owned()),
            };
            Finding { mark, verdict, statement: defect.statement.to_owned(), details: defect.details.clone() }
        })
        .collect()
}

/// The defects as a table.
pub fn to_table(defects: &[Defect]) -> Table {
    let mut table = Table::new("", &["check", "outcome", "found", "of", "statement"]);
    for d in defects {
        table.rows.push(vec![
            d.id.into(),
            d.outcome.as_str().into(),
            Value::optional(d.count.map(|c| c.0 as f64), 0),
            Value::optional(d.count.map(|c| c.1 as f64), 0),
            d.statement.into(),
        ]);
    }
    table
}

/// The defects as JSON.
pub fn to_json(defects: &[Defect]) -> Json {
    let one = |d: &Defect| {
        json!({
            "check": d.id,
            "statement": d.statement,
            "outcome": d.outcome.as_str(),
            "found": d.count.map(|c| c.0),
            "of": d.count.map(|c| c.1),
            "details": d.details,
        })
    };
    Json::Array(defects.iter().map(one).collect())
}

/// At most `limit` items in a line, and how many were left out.
fn listed(items: &[String], limit: usize) -> String {
    let mut text = items.iter().take(limit).cloned().collect::<Vec<_>>().join(", ");
    if items.len() > limit {
        text.push_str(&format!(" and {} more", items.len() - limit));
    }
    text
}
