//! The figures of the paper, each with the table of exactly what is drawn. A figure whose rows are missing is left
//! out, not drawn empty.

mod heat;
mod series;
mod sizes;
mod sources;
mod spread;

pub use series::compared;
pub use sizes::{SIZES, size_series};
pub use spread::{SpreadPoint, spreads};

use pairmill_shards::results::Shots;

use super::{Estimate, Study};
use crate::chart::{Panel, PanelGrid, PanelSeries};
use crate::report::{FigureBlock, Table, Value};
use crate::study::{source_label, task_label};

/// A figure and the names its files have.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What is drawn.
    pub block: FigureBlock,
    /// Stems of its files; the paper gives one content two numbers where it split it between text and appendix.
    pub file_names: &'static [&'static str],
}

/// Panels of accuracy by the number of training images.
fn grid_by_shots(series: Vec<PanelSeries>, panels: Vec<Panel>, description: String) -> PanelGrid {
    PanelGrid {
        series,
        panels,
        columns: 3,
        x_label: "training images per class".to_owned(),
        y_label: "accuracy after fine-tuning [%]".to_owned(),
        from_zero: false,
        description,
    }
}

/// Every figure that the rows allow, in the order of the paper.
pub fn all_figures(study: &Study<'_>) -> Vec<Figure> {
    [
        spread::figure(study),
        series::curation(study),
        series::laion_scale(study),
        sources::figure(study),
        heat::figure(study),
        series::vision_transformers(study),
        series::simclr(study),
        series::dataset_size(study),
        sizes::figure(study),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `1 shot`, `5 shots`, `all images`.
fn shots_words(shots: Shots) -> String {
    match shots {
        Shots::Zero => "before fine-tuning".to_owned(),
        Shots::PerClass(1) => "1 image per class".to_owned(),
        Shots::PerClass(n) => format!("{n} images per class"),
        Shots::All => "all training images".to_owned(),
    }
}

/// The columns of figures of values.
const VALUE_COLUMNS: [&str; 7] = ["us", "ds", "shots", "best", "low", "high", "runs"];

fn value_cells(us: &str, ds: &str, shots: Shots, estimate: &Estimate) -> Vec<Value> {
    vec![
        us.into(),
        ds.into(),
        shots.to_string().into(),
        Value::Number(estimate.value, 2),
        Value::optional(estimate.interval.map(|i| i.0), 2),
        Value::optional(estimate.interval.map(|i| i.1), 2),
        Value::Number(estimate.num_values as f64, 0),
    ]
}

/// Shown when a point is pointed at.
fn hint(label: &str, ds: &str, shots: Shots, estimate: &Estimate) -> String {
    let mut text = format!(
        "{label} on {}, {}: {}",
        task_label(ds),
        shots_words(shots),
        crate::stats::short(estimate.value, 2)
    );
    if let Some((low, high)) = estimate.interval {
        text.push_str(&format!(" ({} to {})", crate::stats::short(low, 2), crate::stats::short(high, 2)));
    }
    if estimate.num_values > 1 {
        text.push_str(&format!("; {} runs", estimate.num_values));
    }
    text
}

fn value_table() -> Table {
    Table::new("", &VALUE_COLUMNS)
}

fn labels_of(sources: &[String]) -> Vec<String> {
    sources.iter().map(|us| source_label(us).to_owned()).collect()
}
