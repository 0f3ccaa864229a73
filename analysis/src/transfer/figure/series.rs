//! Figures that compare a handful of named series: curation (2 and 4), LAION's scale (3 and 5), vision transformers
//! (8), image-image contrast (SimCLR) and the size of the pretraining set.

use super::{Figure, VALUE_COLUMNS, grid_by_shots, hint, value_cells};
use crate::chart::{Panel, PanelSeries, Point, panel_grid};
use crate::report::{FigureBlock, Table};
use crate::study::{SHOTS, TASKS, source_label};
use crate::transfer::{Series, Study};

/// Name of one series in the rows: objective, architecture (any where the paper's rows disagree), source.
type Named = (&'static str, Option<&'static str>, &'static str);

struct Comparison {
    id: &'static str,
    file_names: &'static [&'static str],
    title: &'static str,
    caption: &'static str,
    series: &'static [Named],
}

impl Comparison {
    fn series(&self) -> Vec<Series> {
        let named = |(loss, arch, us): &Named| Series {
            loss: (*loss).to_owned(),
            arch: arch.map(str::to_owned),
            us: (*us).to_owned(),
        };
        self.series.iter().map(named).collect()
    }
}

/// Curation.
const CURATION: Comparison = Comparison {
    id: "fig2",
    file_names: &["fig2", "fig4"],
    title: "Curated and uncurated pretraining data (Figures 2 and 4)",
    caption: "Series as the rows name them. The paper’s own plot has the markers of “LAION 1M” and Flickr captions exchanged, and the rows “LAION1m” are probably a YFCC model (see the audit).",
    series: &[
        ("Supervised", Some("RN50"), "IN1K"),
        ("CLIP", Some("RN50"), "IN_1K_CLIP_captions"),
        ("CLIP", Some("RN50"), "IN1K-Captions"),
        ("CLIP", Some("RN50"), "LAION1m"),
        ("CLIP", Some("RN50"), "YFCC_0.5m"),
    ],
};

/// LAION's scale.
const LAION_SCALE: Comparison = Comparison {
    id: "fig3",
    file_names: &["fig3", "fig5"],
    title: "More LAION against curated ImageNet (Figures 3 and 5)",
    caption: "LAION 2B is a ViT-B/32, the others are ResNet-50, so the comparison is not of data alone.",
    series: &[
        ("CLIP", Some("RN50"), "LAION15m"),
        ("CLIP", None, "LAION2B"),
        ("CLIP", Some("RN50"), "IN_1K_CLIP_captions"),
        ("Supervised", Some("RN50"), "IN1K"),
    ],
};

/// Vision transformers.
const VISION_TRANSFORMERS: Comparison = Comparison {
    id: "fig8",
    file_names: &["fig8"],
    title: "ViT-B/32 on 400 million pairs: LAION and OpenAI’s (Figure 8)",
    caption: "Released checkpoints, fine-tuned alike.",
    series: &[("CLIP", Some("VITB32"), "LAION400m"), ("CLIP", Some("VITB32"), "OpenAI400m")],
};

/// Image-image contrast.
const SIMCLR: Comparison = Comparison {
    id: "figsimclr",
    file_names: &["figsimclr"],
    title: "SimCLR pretraining on three sources (Appendix G)",
    caption: "Linear probe, then fine-tuning. In the as-published protocol the probe was trained on test features from its second epoch on, so these values are too high.",
    series: &[
        ("SimCLR_LP-FT", Some("RN50"), "Shutterstock2.7m"),
        ("SimCLR_LP-FT", Some("RN50"), "CC12m"),
        ("SimCLR_LP-FT", Some("RN50"), "Redcaps2.7m"),
    ],
};

/// Size of the pretraining set.
const DATASET_SIZE: Comparison = Comparison {
    id: "figsize",
    file_names: &["figsize"],
    title: "More pairs of the same source",
    caption: "LAION 2B is a ViT-B/32, the others are ResNet-50.",
    series: &[
        ("CLIP", Some("RN50"), "YFCC2.7m"),
        ("CLIP", Some("RN50"), "YFCC15m"),
        ("CLIP", Some("RN50"), "LAION2.7m"),
        ("CLIP", Some("RN50"), "LAION15m"),
        ("CLIP", None, "LAION2B"),
    ],
};

/// Every comparison, in the order of the paper.
const ALL: [&Comparison; 5] = [&CURATION, &LAION_SCALE, &VISION_TRANSFORMERS, &SIMCLR, &DATASET_SIZE];

/// The series of each comparison, with its figure: what must have been tried alike.
pub fn compared() -> Vec<(&'static str, Vec<Series>)> {
    ALL.iter().map(|comparison| (comparison.id, comparison.series())).collect()
}

/// Curation.
pub fn curation(study: &Study<'_>) -> Option<Figure> {
    draw(study, &CURATION)
}

/// LAION's scale.
pub fn laion_scale(study: &Study<'_>) -> Option<Figure> {
    draw(study, &LAION_SCALE)
}

/// Vision transformers.
pub fn vision_transformers(study: &Study<'_>) -> Option<Figure> {
    draw(study, &VISION_TRANSFORMERS)
}

/// Image-image contrast.
pub fn simclr(study: &Study<'_>) -> Option<Figure> {
    draw(study, &SIMCLR)
}

/// Size of the pretraining set.
pub fn dataset_size(study: &Study<'_>) -> Option<Figure> {
    draw(study, &DATASET_SIZE)
}

fn draw(study: &Study<'_>, comparison: &Comparison) -> Option<Figure> {
    let lineup = &study.lineup;
    let all = comparison.series();
    let mut table = Table::new("", &VALUE_COLUMNS);
    table.columns.extend(["loss".to_owned(), "arch".to_owned()]);
    let mut panels = Vec::new();
    for task in &TASKS {
        let (mut points, mut rows) = (Vec::new(), Vec::new());
        let (mut num_series, mut has_new) = (0, false);
        for (n, series) in all.iter().enumerate() {
            let before = points.len();
            for (x, shots) in SHOTS.into_iter().enumerate() {
                let Some(estimate) = study.picker.pick(series, task.ds, shots) else { continue };
                let mut cells = value_cells(&series.us, task.ds, shots, &estimate);
                let config = &study.results.rows[estimate.row].row.config;
                cells.extend([config.loss().into(), config.arch.clone().into()]);
                rows.push(cells);
                let hint = hint(source_label(&series.us), task.ds, shots, &estimate);
                points.push(Point { series: n, x, y: estimate.value, interval: estimate.interval, hint });
            }
            if points.len() > before {
                num_series += 1;
                has_new |= lineup.series(&series.us) != *series || !lineup.sources.contains(&series.us);
            }
        }
        // A panel without a series that only this figure shows would repeat Figure 6.
        if num_series < 2 || !has_new {
            continue;
        }
        table.rows.extend(rows);
        let x_labels = SHOTS.iter().map(ToString::to_string).collect();
        panels.push(Panel { title: task.label.to_owned(), x_labels, points });
    }
    if panels.is_empty() {
        return None;
    }
    let series = all
        .iter()
        .map(|s| PanelSeries { label: source_label(&s.us).to_owned(), joined: true, is_summary: false })
        .collect();
    let tasks: Vec<&str> = panels.iter().map(|p| p.title.as_str()).collect();
    let description = format!("{}: accuracy by shots on {}", comparison.title, tasks.join(", "));
    let grid = grid_by_shots(series, panels, description);
    Some(Figure {
        block: FigureBlock {
            id: comparison.id.to_owned(),
            title: comparison.title.to_owned(),
            caption: comparison.caption.to_owned(),
            drawing: panel_grid(&grid),
            table,
        },
        file_names: comparison.file_names,
    })
}
