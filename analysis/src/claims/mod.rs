//! The paper's statements, and a few questions of our own, as checks over any results. Each says whether it holds,
//! with the numbers, an effect size and, where order is the point, rank correlations; what the rows cannot answer is
//! said to be so. The thresholds are part of each statement.

mod checks;
mod compare;

use serde_json::{Value as Json, json};

use crate::report::{Finding, Mark, Table, Value};
use crate::stats::short;
use crate::transfer::Study;

/// How a claim fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The rows agree.
    Holds,
    /// They do not.
    Fails,
    /// They cannot say.
    NotEnoughData,
}

impl Verdict {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "fails",
            Self::NotEnoughData => "not enough data",
        }
    }
}

/// A claim and what the rows say to it.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Its name.
    pub id: &'static str,
    /// What is claimed, thresholds included.
    pub statement: &'static str,
    /// How it fared.
    pub verdict: Verdict,
    /// How large the thing is, and in what.
    pub effect: Option<(f64, &'static str)>,
    /// Cells that agree, of cells compared.
    pub cells: Option<(usize, usize)>,
    /// Spearman's rho of the two things the claim relates.
    pub spearman: Option<f64>,
    /// Kendall's tau-b of the same.
    pub kendall: Option<f64>,
    /// The numbers.
    pub numbers: Vec<String>,
}

impl Claim {
    /// A claim the rows cannot judge, for want of `what`.
    fn unknown(id: &'static str, statement: &'static str, what: &str) -> Self {
        Self {
            id,
            statement,
            verdict: Verdict::NotEnoughData,
            effect: None,
            cells: None,
            spearman: None,
            kendall: None,
            numbers: vec![format!("needs {what}")],
        }
    }

    /// A judged claim without numbers yet.
    fn judged(id: &'static str, statement: &'static str, holds: bool) -> Self {
        let verdict = if holds { Verdict::Holds } else { Verdict::Fails };
        Self { verdict, numbers: Vec::new(), ..Self::unknown(id, statement, "") }
    }

    /// The effect size, cells and correlations as one line; blank without any.
    fn measures(&self) -> String {
        let mut parts = Vec::new();
        if let Some((n, of)) = self.cells {
            parts.push(format!("{n} of {of} cells"));
        }
        if let Some((x, unit)) = self.effect {
            parts.push(format!("effect {} {unit}", signed(x)));
        }
        if let Some(rho) = self.spearman {
            parts.push(format!("Spearman {}", signed(rho)));
        }
        if let Some(tau) = self.kendall {
            parts.push(format!("Kendall {}", signed(tau)));
        }
        parts.join("; ")
    }
}

fn signed(x: f64) -> String {
    let text = short(x, if x.abs() < 1.0 { 3 } else { 2 });
    if x > 0.0 { format!("+{text}") } else { text.replace('-', "−") }
}

/// Every claim, in the order of the paper.
pub fn all_claims(study: &Study<'_>) -> Vec<Claim> {
    checks::ALL.iter().map(|check| check(study)).collect()
}

/// The claims as findings of a report.
pub fn to_findings(claims: &[Claim]) -> Vec<Finding> {
    claims
        .iter()
        .map(|claim| {
            let mut details = Vec::new();
            let measures = claim.measures();
            if !measures.is_empty() {
                details.push(measures);
            }
            details.extend(claim.numbers.iter().cloned());
            let mark = match claim.verdict {
                Verdict::Holds => Mark::Good,
                Verdict::Fails => Mark::Bad,
                Verdict::NotEnoughData => Mark::Unknown,
            };
            let verdict = claim.verdict.as_str().to_owned();
            Finding { mark, verdict, statement: claim.statement.to_owned(), details }
        })
        .collect()
}

/// The claims as a table.
pub fn to_table(claims: &[Claim]) -> Table {
    let mut table = Table::new(
        "",
        &["claim", "verdict", "agree", "of", "effect", "unit", "spearman", "kendall", "statement"],
    );
    for c in claims {
        table.rows.push(vec![
            c.id.into(),
            c.verdict.as_str().into(),
            Value::optional(c.cells.map(|c| c.0 as f64), 0),
            Value::optional(c.cells.map(|c| c.1 as f64), 0),
            Value::optional(c.effect.map(|e| e.0), 3),
            c.effect.map_or(Value::Blank, |e| e.1.into()),
            Value::optional(c.spearman, 3),
            Value::optional(c.kendall, 3),
            c.statement.into(),
        ]);
    }
    table
}

/// The claims as JSON.
pub fn to_json(claims: &[Claim]) -> Json {
    let one = |c: &Claim| {
        json!({
            "claim": c.id,
            "statement": c.statement,
            "verdict": c.verdict.as_str(),
            "cells": c.cells.map(|(agree, of)| json!({"agree": agree, "of": of})),
            "effect": c.effect.map(|(value, unit)| json!({"value": value, "unit": unit})),
            "spearman": c.spearman,
            "kendall": c.kendall,
            "numbers": c.numbers,
        })
    };
    Json::Array(claims.iter().map(one).collect())
}
