//! Figure 1: how much the choice of source matters, by the number of training images. For each task and number of
//! shots, (best source − worst source) / best source.

use pairmill_shards::results::Shots;

use super::Figure;
use crate::chart::{Panel, PanelGrid, PanelSeries, Point, panel_grid};
use crate::report::{FigureBlock, Table, Value};
use crate::stats::{mean, short};
use crate::study::{source_label, task_label};
use crate::transfer::Study;

/// The spread of the sources at one task and number of shots.
#[derive(Debug, Clone, PartialEq)]
pub struct SpreadPoint {
    /// The task.
    pub ds: String,
    /// Training images per class.
    pub shots: Shots,
    /// (best − worst) / best, 0–1.
    pub spread: f64,
    /// (best − worst) / the best with all images: the other reading of the paper's words.
    pub spread_of_full: Option<f64>,
    /// The best source and its value.
    pub best: (String, f64),
    /// The worst source and its value.
    pub worst: (String, f64),
}

/// Every point of the figure, in order of shots, then tasks. Two sources make a spread.
pub fn spreads(study: &Study<'_>) -> Vec<SpreadPoint> {
    let mut points = Vec::new();
    for &shots in &study.lineup.shots {
        for ds in &study.lineup.tasks {
            let values = study.sources_at(ds, shots);
            let best = values.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a });
            let worst = values.iter().copied().reduce(|a, b| if b.1 < a.1 { b } else { a });
            let (Some(best), Some(worst)) = (best, worst) else { continue };
            if values.len() < 2 || best.1 <= 0.0 {
                continue;
            }
            let full = study.sources_at(ds, Shots::All).into_iter().map(|(_, v)| v).reduce(f64::max);
            points.push(SpreadPoint {
                ds: ds.clone(),
                shots,
                spread: (best.1 - worst.1) / best.1,
                spread_of_full: full.filter(|f| *f > 0.0).map(|f| (best.1 - worst.1) / f),
                best: (best.0.to_owned(), best.1),
                worst: (worst.0.to_owned(), worst.1),
            });
        }
    }
    points
}

/// The figure. The table ends with the means over tasks, as `ds` = `mean`.
pub fn figure(study: &Study<'_>) -> Option<Figure> {
    let points = spreads(study);
    if points.is_empty() {
        return None;
    }
    let lineup = &study.lineup;
    let mut table =
        Table::new("", &["ds", "shots", "spread", "spread_of_full", "best_us", "best", "worst_us", "worst"]);
    let mut drawn = Vec::new();
    let place = |shots: Shots| lineup.shots.iter().position(|s| *s == shots);
    for p in &points {
        table.rows.push(vec![
            p.ds.clone().into(),
            p.shots.to_string().into(),
            Value::Number(p.spread, 4),
            Value::optional(p.spread_of_full, 4),
            p.best.0.clone().into(),
            Value::Number(p.best.1, 2),
            p.worst.0.clone().into(),
            Value::Number(p.worst.1, 2),
        ]);
        let (Some(series), Some(x)) = (lineup.tasks.iter().position(|ds| *ds == p.ds), place(p.shots)) else {
            continue;
        };
        let hint = format!(
            "{}: {} with {}, {} with {}: spread {}",
            task_label(&p.ds),
            short(p.best.1, 2),
            source_label(&p.best.0),
            short(p.worst.1, 2),
            source_label(&p.worst.0),
            short(p.spread, 3)
        );
        drawn.push(Point { series, x, y: p.spread, interval: None, hint });
    }
    let mut means = Vec::new();
    for &shots in &lineup.shots {
        let of = |get: &dyn Fn(&SpreadPoint) -> Option<f64>| {
            mean(&points.iter().filter(|p| p.shots == shots).filter_map(get).collect::<Vec<_>>())
        };
        let (Some(y), Some(x)) = (of(&|p| Some(p.spread)), place(shots)) else { continue };
        table.rows.push(vec![
            "mean".into(),
            shots.to_string().into(),
            Value::Number(y, 4),
            Value::optional(of(&|p| p.spread_of_full), 4),
            Value::Blank,
            Value::Blank,
            Value::Blank,
            Value::Blank,
        ]);
        means.push(format!("{} ({shots})", short(y, if y < 0.1 { 4 } else { 3 })));
        let hint = format!("mean of the tasks: {}", short(y, 4));
        drawn.push(Point { series: lineup.tasks.len(), x, y, interval: None, hint });
    }
    let mut series: Vec<PanelSeries> = lineup
        .tasks
        .iter()
        .map(|ds| PanelSeries { label: task_label(ds).to_owned(), joined: false, is_summary: false })
        .collect();
    series.push(PanelSeries { label: "mean".to_owned(), joined: true, is_summary: true });
    let caption = format!(
        "One point per task: (best source − worst source) / best source, at the same number of shots. Mean over tasks, by shots: {}.",
        means.join(", ")
    );
    let grid = PanelGrid {
        series,
        panels: vec![Panel {
            title: String::new(),
            x_labels: lineup.shots.iter().map(ToString::to_string).collect(),
            points: drawn,
        }],
        columns: 1,
        x_label: "training images per class".to_owned(),
        y_label: "normalised spread of the sources".to_owned(),
        from_zero: true,
        description: "Normalised spread between best and worst source, by shots, one point per task"
            .to_owned(),
    };
    Some(Figure {
        block: FigureBlock {
            id: "fig1".to_owned(),
            title: "How much the choice of source matters, by training images (Figure 1)".to_owned(),
            caption,
            drawing: panel_grid(&grid),
            table,
        },
        file_names: &["fig1"],
    })
}
