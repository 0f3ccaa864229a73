//! Figure 6: one panel per task, every source by the number of training images, and training from scratch.

use std::collections::BTreeSet;

use pairmill_shards::results::Shots;

use super::{Figure, grid_by_shots, hint, value_cells, value_table};
use crate::chart::{Panel, PanelSeries, Point, panel_grid};
use crate::report::FigureBlock;
use crate::study::{SCRATCH, source_label, task_label};
use crate::transfer::Study;

/// The figure.
pub fn figure(study: &Study<'_>) -> Option<Figure> {
    let lineup = &study.lineup;
    let mut table = value_table();
    let mut names = lineup.sources.clone();
    let is_extra = !names.iter().any(|us| us == SCRATCH);
    if is_extra {
        names.push(SCRATCH.to_owned());
    }
    let (mut panels, mut has_scratch) = (Vec::new(), false);
    for ds in &lineup.tasks {
        // Tasks may have more shots than the common ones (CIFAR-100: 100 and 200).
        let shots: BTreeSet<Shots> = study
            .results
            .rows
            .iter()
            .map(|r| &r.row)
            .filter(|r| r.config.ds == *ds && r.shots != Shots::Zero && lineup.sources.contains(&r.config.us))
            .map(|r| r.shots)
            .collect();
        let shots: Vec<Shots> = shots.into_iter().collect();
        let mut points = Vec::new();
        for (series, us) in names.iter().enumerate() {
            for (x, &at) in shots.iter().enumerate() {
                if is_extra && us == SCRATCH && at != Shots::All {
                    continue;
                }
                let Some(estimate) = study.source(us, ds, at) else { continue };
                has_scratch |= us == SCRATCH;
                table.rows.push(value_cells(us, ds, at, &estimate));
                let hint = hint(source_label(us), ds, at, &estimate);
                points.push(Point { series, x, y: estimate.value, interval: estimate.interval, hint });
            }
        }
        let x_labels = shots.iter().map(ToString::to_string).collect();
        panels.push(Panel { title: task_label(ds).to_owned(), x_labels, points });
    }
    if table.rows.is_empty() {
        return None;
    }
    if is_extra && !has_scratch {
        names.pop();
    }
    let series = names
        .iter()
        .map(|us| PanelSeries {
            label: source_label(us).to_owned(),
            joined: us != SCRATCH,
            is_summary: us == SCRATCH,
        })
        .collect();
    let description = "Accuracy of every source on every task, by shots".to_owned();
    let grid = grid_by_shots(series, panels, description);
    Some(Figure {
        block: FigureBlock {
            id: "fig6".to_owned(),
            title: "Every source on every task (Figure 6)".to_owned(),
            caption: format!(
                "{} {}, {}. Each panel has its own scale.",
                lineup.loss(),
                lineup.arch(),
                if has_scratch { "fine-tuned, and trained from scratch on all images" } else { "fine-tuned" }
            ),
            drawing: panel_grid(&grid),
            table,
        },
        file_names: &["fig6"],
    })
}
