//! Small multiples of points over categories, under one legend. Series stand beside each other within a category, so
//! that points of nearly equal height can be told apart.

use super::{Anchor, Drawing, Marker, Paint, Shape, Ticks, text_width};

/// A series of every panel.
#[derive(Debug, Clone)]
pub struct PanelSeries {
    /// Its name in the legend.
    pub label: String,
    /// Whether its points are joined.
    pub joined: bool,
    /// Drawn in ink and larger, above the others, and not moved aside: a summary of them.
    pub is_summary: bool,
}

/// A value.
#[derive(Debug, Clone)]
pub struct Point {
    /// Number of its series.
    pub series: usize,
    /// Number of its category.
    pub x: usize,
    /// Its height.
    pub y: f64,
    /// An interval around it.
    pub interval: Option<(f64, f64)>,
    /// What is shown when it is pointed at.
    pub hint: String,
}

/// One panel.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Above it; may be blank.
    pub title: String,
    /// Its categories.
    pub x_labels: Vec<String>,
    /// Its values.
    pub points: Vec<Point>,
}

/// Panels side by side.
#[derive(Debug, Clone)]
pub struct PanelGrid {
    /// What the points are, in order of the legend.
    pub series: Vec<PanelSeries>,
    /// In reading order.
    pub panels: Vec<Panel>,
    /// Panels in a row.
    pub columns: usize,
    /// Under the bottom row.
    pub x_label: String,
    /// Beside the first column.
    pub y_label: String,
    /// Whether every axis begins at zero.
    pub from_zero: bool,
    /// What it shows, for those who cannot see it.
    pub description: String,
}

const WIDTH: f64 = 940.0;
const PLOT_HEIGHT: f64 = 168.0;
const WIDE_PLOT_HEIGHT: f64 = 300.0;
const GAP: f64 = 22.0;
const TITLE: f64 = 24.0;
const X_LABELS: f64 = 22.0;
const LEFT: f64 = 26.0;
/// Free at the right edge, so that nothing touches it.
const RIGHT: f64 = 8.0;
const TEXT: f64 = 12.0;
const LEGEND_TEXT: f64 = 13.0;
const LEGEND_ROW: f64 = 22.0;
/// Part of a category's width over which its series are spread.
const SPREAD: f64 = 0.56;

fn paint(series: &PanelSeries, n: usize) -> Paint {
    if series.is_summary { Paint::Ink } else { Paint::Series(n) }
}

fn marker(series: &PanelSeries, n: usize) -> Marker {
    if series.is_summary { Marker::Circle } else { Marker::of_series(n) }
}

/// Draws the grid.
pub fn panel_grid(grid: &PanelGrid) -> Drawing {
    let columns = grid.columns.clamp(1, grid.panels.len().max(1));
    let rows = grid.panels.len().div_ceil(columns);
    let plot_height = if columns == 1 { WIDE_PLOT_HEIGHT } else { PLOT_HEIGHT };
    let cell_height = TITLE + plot_height + X_LABELS + 12.0;
    let cell_width = (WIDTH - LEFT - RIGHT - GAP * (columns as f64 - 1.0)) / columns as f64;
    let mut drawing =
        Drawing { width: WIDTH, height: 0.0, description: grid.description.clone(), shapes: Vec::new() };
    let top = legend(&mut drawing, &grid.series);
    let axes: Vec<Axis> = grid.panels.iter().map(|panel| Axis::of(panel, grid.from_zero)).collect();
    // One width for the labels of all panels, so that panels of a column stand in line.
    let labels = axes.iter().map(Axis::label_width).fold(0.0, f64::max) + 8.0;
    for (n, panel) in grid.panels.iter().enumerate() {
        let x = LEFT + (n % columns) as f64 * (cell_width + GAP);
        let y = top + (n / columns) as f64 * cell_height;
        let place =
            Place { left: x + labels, top: y + TITLE, width: cell_width - labels, height: plot_height };
        draw_panel(&mut drawing, grid, panel, &axes[n], &place);
    }
    let bottom = top + rows as f64 * cell_height;
    drawing.text(
        LEFT + (WIDTH - LEFT) / 2.0,
        bottom + 8.0,
        TEXT + 1.0,
        &grid.x_label,
        Anchor::Middle,
        Paint::Soft,
    );
    drawing.shapes.push(Shape::Text {
        x: 15.0,
        y: (top + bottom) / 2.0,
        size: TEXT + 1.0,
        text: grid.y_label.clone(),
        anchor: Anchor::Middle,
        paint: Paint::Soft,
        angle: -90.0,
    });
    drawing.height = bottom + 20.0;
    drawing
}

/// Draws the legend in as many rows as it needs and returns where the panels begin.
fn legend(drawing: &mut Drawing, series: &[PanelSeries]) -> f64 {
    let mut x = LEFT + 6.0;
    let mut y = 16.0;
    for (n, one) in series.iter().enumerate() {
        let width = 16.0 + text_width(&one.label, LEGEND_TEXT) + 16.0;
        if x + width > WIDTH && x > LEFT + 6.0 {
            x = LEFT + 6.0;
            y += LEGEND_ROW;
        }
        let (paint, marker) = (paint(one, n), marker(one, n));
        drawing.shapes.push(Shape::Point {
            x: x + 5.0,
            y: y - 4.5,
            r: 5.0,
            marker,
            paint,
            hint: String::new(),
        });
        drawing.text(x + 16.0, y, LEGEND_TEXT, &one.label, Anchor::Start, Paint::Ink);
        x += width;
    }
    if series.is_empty() { 8.0 } else { y + 18.0 }
}

/// A panel's vertical axis.
struct Axis {
    ticks: Ticks,
    labels: Vec<String>,
}

impl Axis {
    fn of(panel: &Panel, from_zero: bool) -> Self {
        let ends = panel.points.iter().flat_map(|p| {
            let (low, high) = p.interval.unwrap_or((p.y, p.y));
            [low.min(p.y), high.max(p.y)]
        });
        let (mut low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), y| (l.min(y), h.max(y)));
        if from_zero {
            low = low.min(0.0);
        }
        let ticks = if low.is_finite() { Ticks::around(low, high, 4) } else { Ticks::around(0.0, 1.0, 4) };
        let labels = ticks.at.iter().map(|t| format!("{t:.*}", ticks.decimals)).collect();
        Self { ticks, labels }
    }

    fn label_width(&self) -> f64 {
        self.labels.iter().map(|l| text_width(l, TEXT)).fold(0.0, f64::max)
    }
}

/// The area inside a panel's axes.
struct Place {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

fn draw_panel(drawing: &mut Drawing, grid: &PanelGrid, panel: &Panel, axis: &Axis, place: &Place) {
    let &Place { left, top, width, height } = place;
    let ticks = &axis.ticks;
    drawing.text(left, top - 10.0, TEXT + 2.0, &panel.title, Anchor::Start, Paint::Ink);
    let y_of = |y: f64| top + height * (1.0 - ticks.share(y));
    for (tick, label) in ticks.at.iter().zip(&axis.labels) {
        let y = y_of(*tick);
        drawing.line((left, y), (left + width, y), Paint::Grid, 1.0);
        drawing.text(left - 6.0, y + 4.0, TEXT, label, Anchor::End, Paint::Soft);
    }
    let step = width / panel.x_labels.len().max(1) as f64;
    for (n, label) in panel.x_labels.iter().enumerate() {
        let middle = left + step * (n as f64 + 0.5);
        if n > 0 {
            let edge = left + step * n as f64;
            drawing.line((edge, top + height), (edge, top + height + 4.0), Paint::Grid, 1.0);
        }
        drawing.text(middle, top + height + 17.0, TEXT, label, Anchor::Middle, Paint::Soft);
    }
    if panel.points.is_empty() {
        drawing.text(
            left + width / 2.0,
            top + height / 2.0 - 8.0,
            TEXT,
            "no values",
            Anchor::Middle,
            Paint::Soft,
        );
        return;
    }
    // Only series that this panel has take up room beside each other.
    let mut beside: Vec<usize> =
        panel.points.iter().map(|p| p.series).filter(|s| !grid.series[*s].is_summary).collect();
    beside.sort_unstable();
    beside.dedup();
    let x_of = |point: &Point| {
        let middle = left + step * (point.x as f64 + 0.5);
        match beside.iter().position(|s| *s == point.series) {
            Some(place) if beside.len() > 1 => {
                middle + step * SPREAD * (place as f64 / (beside.len() as f64 - 1.0) - 0.5)
            }
            _ => middle,
        }
    };
    let radius = if grid.columns == 1 { 5.0 } else { 3.9 };
    for (n, series) in grid.series.iter().enumerate() {
        let mut points: Vec<&Point> = panel.points.iter().filter(|p| p.series == n).collect();
        points.sort_by_key(|p| p.x);
        let paint = paint(series, n);
        if series.joined && points.len() > 1 {
            let path = points.iter().map(|p| (x_of(p), y_of(p.y))).collect();
            let (width, opacity) = if series.is_summary { (2.0, 0.9) } else { (1.2, 0.38) };
            drawing.shapes.push(Shape::Path { points: path, paint, width, opacity });
        }
        for point in points {
            let x = x_of(point);
            if let Some((low, high)) = point.interval {
                drawing.line((x, y_of(low)), (x, y_of(high)), paint, 1.6);
            }
            let r = if series.is_summary { radius + 1.0 } else { radius };
            let marker = marker(series, n);
            let hint = point.hint.clone();
            drawing.shapes.push(Shape::Point { x, y: y_of(point.y), r, marker, paint, hint });
        }
    }
}
