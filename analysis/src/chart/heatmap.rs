//! Heat-maps side by side with one bar chart in the last place: the paper's Figure 7.

use super::{Anchor, Drawing, Paint, Shape, shade, text_width};

/// One cell.
#[derive(Debug, Clone)]
pub struct HeatmapCell {
    /// Row, from the top.
    pub row: usize,
    /// Column, from the left.
    pub column: usize,
    /// Printed in it.
    pub text: String,
    /// Its colour, 0–1.
    pub share: f64,
    /// Shown when it is pointed at.
    pub hint: String,
}

/// One heat-map.
#[derive(Debug, Clone)]
pub struct Heatmap {
    /// Above it.
    pub title: String,
    /// Its cells; missing ones stay blank.
    pub cells: Vec<HeatmapCell>,
}

/// Bars from 0 to 100.
#[derive(Debug, Clone)]
pub struct BarChart {
    /// Above it.
    pub title: String,
    /// Name, height and the number printed at the end.
    pub bars: Vec<(String, f64, String)>,
}

const WIDTH: f64 = 940.0;
const GAP: f64 = 30.0;
/// Free at the right edge, so that nothing touches it.
const RIGHT: f64 = 8.0;
const ROW: f64 = 27.0;
const TITLE: f64 = 28.0;
const TEXT: f64 = 12.0;
const CELL_TEXT: f64 = 12.5;
const COLUMNS: usize = 2;
const COLUMN_LABEL_ANGLE: f64 = -38.0;

/// Draws heat-maps that share rows and columns, then the bars, then what the colours mean.
pub fn heatmaps(
    row_labels: &[String],
    column_labels: &[String],
    maps: &[Heatmap],
    bars: Option<&BarChart>,
    key: (&str, &str),
    description: &str,
) -> Drawing {
    let widest = |labels: &[String]| labels.iter().map(|l| text_width(l, TEXT)).fold(0.0, f64::max);
    let lean = COLUMN_LABEL_ANGLE.to_radians().sin().abs();
    let label_height = widest(column_labels) * lean + 16.0;
    let cell_height = TITLE + row_labels.len() as f64 * ROW + label_height + 22.0;
    let cell_width = (WIDTH - GAP - RIGHT) / COLUMNS as f64;
    let num_places = maps.len() + usize::from(bars.is_some());
    let mut drawing =
        Drawing { width: WIDTH, height: 0.0, description: description.to_owned(), shapes: Vec::new() };
    legend(&mut drawing, key);
    let top = 40.0;
    let place =
        |n: usize| ((n % COLUMNS) as f64 * (cell_width + GAP), top + (n / COLUMNS) as f64 * cell_height);
    for (n, map) in maps.iter().enumerate() {
        draw_map(
            &mut drawing,
            map,
            row_labels,
            column_labels,
            place(n),
            cell_width,
            widest(row_labels) + 8.0,
        );
    }
    if let Some(bars) = bars {
        draw_bars(&mut drawing, bars, place(maps.len()), cell_width);
    }
    drawing.height = top + num_places.div_ceil(COLUMNS) as f64 * cell_height;
    drawing
}

/// The colours from lowest to highest, each end named.
fn legend(drawing: &mut Drawing, (low, high): (&str, &str)) {
    const STEPS: usize = 40;
    const LENGTH: f64 = 160.0;
    let left = text_width(low, TEXT) + 8.0;
    drawing.text(left - 8.0, 18.5, TEXT, low, Anchor::End, Paint::Soft);
    for n in 0..STEPS {
        let ((r, g, b), _) = shade(n as f64 / (STEPS - 1) as f64);
        let w = LENGTH / STEPS as f64;
        let (x, fill) = (left + n as f64 * w, Paint::Fixed(r, g, b));
        // A hair wider, so that no gap shows between them.
        drawing.shapes.push(Shape::Rect { x, y: 8.0, w: w + 0.5, h: 12.0, fill, hint: String::new() });
    }
    drawing.text(left + LENGTH + 8.0, 18.5, TEXT, high, Anchor::Start, Paint::Soft);
}

fn draw_map(
    drawing: &mut Drawing,
    map: &Heatmap,
    rows: &[String],
    columns: &[String],
    (x, y): (f64, f64),
    width: f64,
    label_width: f64,
) {
    let step = (width - label_width) / columns.len().max(1) as f64;
    let (left, top) = (x + label_width, y + TITLE);
    drawing.text(left, y + 16.0, TEXT + 2.0, &map.title, Anchor::Start, Paint::Ink);
    for (n, label) in rows.iter().enumerate() {
        drawing.text(left - 8.0, top + (n as f64 + 0.5) * ROW + 4.0, TEXT, label, Anchor::End, Paint::Soft);
    }
    for cell in &map.cells {
        let ((r, g, b), dark_text) = shade(cell.share);
        let (cx, cy) = (left + cell.column as f64 * step, top + cell.row as f64 * ROW);
        let fill = Paint::Fixed(r, g, b);
        let hint = cell.hint.clone();
        drawing.shapes.push(Shape::Rect { x: cx, y: cy, w: step - 1.5, h: ROW - 1.5, fill, hint });
        let ink = if dark_text { Paint::Fixed(20, 20, 20) } else { Paint::Fixed(255, 255, 255) };
        drawing.text(
            cx + (step - 1.5) / 2.0,
            cy + ROW / 2.0 + 3.6,
            CELL_TEXT,
            &cell.text,
            Anchor::Middle,
            ink,
        );
    }
    let bottom = top + rows.len() as f64 * ROW + 12.0;
    for (n, label) in columns.iter().enumerate() {
        let text = label.clone();
        let x = left + (n as f64 + 0.62) * step;
        let (anchor, paint, angle) = (Anchor::End, Paint::Soft, COLUMN_LABEL_ANGLE);
        drawing.shapes.push(Shape::Text { x, y: bottom, size: TEXT, text, anchor, paint, angle });
    }
}

fn draw_bars(drawing: &mut Drawing, chart: &BarChart, (x, y): (f64, f64), width: f64) {
    let label_width = chart.bars.iter().map(|(l, ..)| text_width(l, TEXT)).fold(0.0, f64::max) + 8.0;
    let left = x + label_width;
    let number_width = text_width("100.00", TEXT) + 8.0;
    let full = width - label_width - number_width;
    drawing.text(left, y + 16.0, TEXT + 2.0, &chart.title, Anchor::Start, Paint::Ink);
    for (n, (label, height, text)) in chart.bars.iter().enumerate() {
        let top = y + TITLE + n as f64 * ROW;
        let w = full * height.clamp(0.0, 100.0) / 100.0;
        let hint = format!("{label}: {text}");
        drawing.text(left - 8.0, top + ROW / 2.0 + 3.6, TEXT, label, Anchor::End, Paint::Soft);
        drawing.shapes.push(Shape::Rect {
            x: left,
            y: top,
            w: full,
            h: ROW - 6.0,
            fill: Paint::Grid,
            hint: String::new(),
        });
        drawing.shapes.push(Shape::Rect { x: left, y: top, w, h: ROW - 6.0, fill: Paint::Series(0), hint });
        drawing.text(left + full + 8.0, top + ROW / 2.0 + 1.6, TEXT, text, Anchor::Start, Paint::Ink);
    }
}
