//! Figure 7: one heat-map of sources by tasks per number of shots, and bars of training from scratch. Cells print
//! `%.2g` as the paper's do; the table has `us,ds,shots,best` with every digit.

use pairmill_shards::results::Shots;

use super::{Figure, hint, labels_of, shots_words};
use crate::chart::{BarChart, Heatmap, HeatmapCell, heatmaps};
use crate::report::{FigureBlock, Table, Value};
use crate::stats::general;
use crate::study::{SCRATCH, source_label, task_label};
use crate::transfer::Study;

/// Share of the best source that gets the darkest colour.
const DARKEST: f64 = 0.5;

/// The figure.
pub fn figure(study: &Study<'_>) -> Option<Figure> {
    let lineup = &study.lineup;
    let mut table = Table::new("", &["us", "ds", "shots", "best"]);
    let mut maps = Vec::new();
    for &shots in &lineup.shots {
        let mut cells = Vec::new();
        for (column, ds) in lineup.tasks.iter().enumerate() {
            let best = study.sources_at(ds, shots).into_iter().map(|(_, v)| v).fold(0.0, f64::max);
            for (row, us) in lineup.sources.iter().enumerate() {
                let Some(estimate) = study.source(us, ds, shots) else { continue };
                table.rows.push(row_of(us, ds, shots, estimate.value));
                let of_best = if best > 0.0 { estimate.value / best } else { 1.0 };
                cells.push(HeatmapCell {
                    row,
                    column,
                    text: general(estimate.value, 2),
                    share: (of_best - DARKEST) / (1.0 - DARKEST),
                    hint: hint(source_label(us), ds, shots, &estimate),
                });
            }
        }
        let words = shots_words(shots);
        maps.push(Heatmap { title: words, cells });
    }
    if table.rows.is_empty() {
        return None;
    }
    let mut bars = Vec::new();
    for ds in &lineup.tasks {
        if let Some(estimate) = study.source(SCRATCH, ds, Shots::All) {
            table.rows.push(row_of(SCRATCH, ds, Shots::All, estimate.value));
            bars.push((task_label(ds).to_owned(), estimate.value, format!("{:.2}", estimate.value)));
        }
    }
    let bars =
        (!bars.is_empty()).then(|| BarChart { title: "from scratch, all training images".to_owned(), bars });
    let columns: Vec<String> = lineup.tasks.iter().map(|ds| task_label(ds).to_owned()).collect();
    Some(Figure {
        block: FigureBlock {
            id: "fig7".to_owned(),
            title: "Every source on every task as numbers (Figure 7)".to_owned(),
            caption: "Accuracy in percent, two significant digits. Colour compares sources within a task: the share of the task’s best source.".to_owned(),
            drawing: heatmaps(
                &labels_of(&lineup.sources),
                &columns,
                &maps,
                bars.as_ref(),
                ("half of the task’s best source, or less", "the best"),
                "Accuracy of every source on every task as heat-maps, one per number of shots",
            ),
            table,
        },
        file_names: &["fig7"],
    })
}

fn row_of(us: &str, ds: &str, shots: Shots, value: f64) -> Vec<Value> {
    vec![us.into(), ds.into(), shots.to_string().into(), Value::Number(value, 2)]
}
