//! LAION at seven sizes, all with one recipe: the series of the paper's table that varies nothing but the number of
//! pretraining pairs.

use pairmill_shards::results::Shots;

use super::Figure;
use crate::chart::{Panel, PanelGrid, PanelSeries, Point, panel_grid};
use crate::report::{FigureBlock, Table, Value};
use crate::stats::short;
use crate::study::task_label;
use crate::transfer::Study;

/// Name in rows, millions of pairs, name on the axis.
pub const SIZES: [(&str, f64, &str); 7] = [
    ("LAION0m", 0.0, "0"),
    ("LAION1m", 1.0, "1"),
    ("LAION2.7m", 2.7, "2.7"),
    ("LAION5m", 5.0, "5"),
    ("LAION7.5m", 7.5, "7.5"),
    ("LAION9.6m", 9.6, "9.6"),
    ("LAION15m", 15.0, "15"),
];
const LR: f64 = 1e-4;

/// (task, number of the size, value) of every run of the recipe: all images, learning rate 1e-4, pretraining batch
/// 1024. Of several, the last, as the series was run last.
pub fn size_series(study: &Study<'_>) -> Vec<(String, usize, f64)> {
    let mut values: Vec<(String, usize, f64)> = Vec::new();
    for ds in &study.lineup.tasks {
        for (n, (us, ..)) in SIZES.iter().enumerate() {
            let rows = study.picker.rows_of(&study.lineup.series(us), ds, Shots::All);
            let last = rows.into_iter().map(|at| &study.results.rows[at].row).rfind(|row| {
                let c = &row.config;
                c.ds_lr == Some(LR)
                    && c.ds_epochs == Some(128)
                    && c.ds_bs == Some(128)
                    && c.us_bs == Some(1024)
            });
            if let Some(row) = last {
                values.push((ds.clone(), n, row.value));
            }
        }
    }
    // A task with only the common sizes has no series.
    let enough = |ds: &str| values.iter().filter(|v| v.0 == ds).count() >= 4;
    let keep: Vec<bool> = values.iter().map(|v| enough(&v.0)).collect();
    values.into_iter().zip(keep).filter_map(|(v, keep)| keep.then_some(v)).collect()
}

/// The figure.
pub fn figure(study: &Study<'_>) -> Option<Figure> {
    let values = size_series(study);
    if values.is_empty() {
        return None;
    }
    let mut table = Table::new("", &["us", "ds", "million_pairs", "acc1"]);
    for (ds, n, value) in &values {
        let (us, millions, _) = SIZES[*n];
        table.rows.push(vec![
            us.into(),
            ds.clone().into(),
            Value::Number(millions, 1),
            Value::Number(*value, 2),
        ]);
    }
    let tasks = study.lineup.tasks.iter().filter(|ds| values.iter().any(|v| v.0 == **ds));
    let panels = tasks
        .map(|ds| Panel {
            title: task_label(ds).to_owned(),
            x_labels: SIZES.iter().map(|s| s.2.to_owned()).collect(),
            points: values
                .iter()
                .filter(|v| v.0 == *ds)
                .map(|(_, n, y)| Point {
                    series: 0,
                    x: *n,
                    y: *y,
                    interval: None,
                    hint: format!("{} million pairs: {}", SIZES[*n].2, short(*y, 2)),
                })
                .collect(),
        })
        .collect();
    let grid = PanelGrid {
        series: vec![PanelSeries {
            label: "LAION, RN50, one recipe".to_owned(),
            joined: true,
            is_summary: false,
        }],
        panels,
        columns: 3,
        x_label: "million pretraining pairs (not to scale)".to_owned(),
        y_label: "accuracy after fine-tuning [%]".to_owned(),
        from_zero: false,
        description: "Accuracy by number of LAION pairs".to_owned(),
    };
    Some(Figure {
        block: FigureBlock {
            id: "figlaion".to_owned(),
            title: "LAION at seven sizes".to_owned(),
            caption: "All training images, learning rate 1e-4, one run each. 0 is training from scratch."
                .to_owned(),
            drawing: panel_grid(&grid),
            table,
        },
        file_names: &["figlaion"],
    })
}
