//! Two series cell by cell.

use pairmill_shards::results::Shots;

use super::Claim;
use crate::stats::{mean, short};
use crate::study::{shots_label, task_label};
use crate::transfer::{Series, Study};

/// Share of cells that must agree for one series to be called better.
const SHARE: f64 = 0.75;

/// Values of two series in the cells that both have.
pub struct Comparison {
    /// Task, shots, first value, second value.
    pub cells: Vec<(String, Shots, f64, f64)>,
}

impl Comparison {
    /// Over the study's tasks and shots.
    pub fn of(study: &Study<'_>, first: &Series, second: &Series) -> Self {
        let mut cells = Vec::new();
        for ds in &study.lineup.tasks {
            for &shots in &study.lineup.shots {
                let pick = |series: &Series| study.picker.value_of(series, ds, shots);
                if let (Some(a), Some(b)) = (pick(first), pick(second)) {
                    cells.push((ds.clone(), shots, a, b));
                }
            }
        }
        Self { cells }
    }

    /// Adds the cells of another pair of series.
    pub fn and(mut self, other: Self) -> Self {
        self.cells.extend(other.cells);
        self
    }

    /// Cells where the first is larger.
    pub fn wins(&self) -> usize {
        self.cells.iter().filter(|c| c.2 > c.3).count()
    }

    /// Mean of first − second, in points.
    pub fn mean_gap(&self) -> Option<f64> {
        mean(&self.cells.iter().map(|c| c.2 - c.3).collect::<Vec<_>>())
    }

    /// The claim that the first is better: larger on average and in three quarters of the cells.
    pub fn better(&self, id: &'static str, statement: &'static str, needs: &str) -> Claim {
        let Some(gap) = self.mean_gap().filter(|_| self.cells.len() >= 3) else {
            return Claim::unknown(id, statement, needs);
        };
        let share = self.wins() as f64 / self.cells.len() as f64;
        Claim {
            effect: Some((gap, "points on average")),
            cells: Some((self.wins(), self.cells.len())),
            numbers: self.by_shots(),
            ..Claim::judged(id, statement, gap > 0.0 && share >= SHARE)
        }
    }

    /// Mean gap per number of shots, and the largest exceptions.
    pub fn by_shots(&self) -> Vec<String> {
        let mut shots: Vec<Shots> = self.cells.iter().map(|c| c.1).collect();
        shots.sort();
        shots.dedup();
        let gaps: Vec<String> = shots
            .iter()
            .filter_map(|s| {
                let gap =
                    mean(&self.cells.iter().filter(|c| c.1 == *s).map(|c| c.2 - c.3).collect::<Vec<_>>())?;
                Some(format!("{} ({s})", super::signed(gap)))
            })
            .collect();
        let mut lines = vec![format!("mean gap in points, by shots: {}", gaps.join(", "))];
        if let Some(worst) = self.cells.iter().min_by(|a, b| (a.2 - a.3).total_cmp(&(b.2 - b.3))) {
            let (ds, s, a, b) = worst;
            lines.push(format!(
                "smallest gap: {} at {}, {} against {}",
                task_label(ds),
                shots_label(*s),
                short(*a, 2),
                short(*b, 2)
            ));
        }
        lines
    }
}
