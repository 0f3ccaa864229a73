//! The loss curve of a run, drawn from its `metrics.jsonl`: with characters for a terminal, as an SVG for a file.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use pairmill_shards::atomic::{FileAction, FileError};
use serde::Deserialize;

use crate::numbers::float;

/// Loss after a number of steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Steps made.
    pub step: u64,
    /// Loss of the last of them.
    pub loss: f64,
}

/// The points of a `metrics.jsonl`, in order. Lines of other kinds, and a last one that is cut off, are passed over.
///
/// # Errors
/// When the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Point>, FileError> {
    #[derive(Deserialize)]
    struct Line {
        step: u64,
        #[serde(with = "float")]
        loss: f64,
    }
    let failed = |error| FileError::new(path, FileAction::Read, error);
    let mut points = Vec::new();
    for line in BufReader::new(File::open(path).map_err(failed)?).lines() {
        if let Ok(Line { step, loss }) = serde_json::from_str(&line.map_err(failed)?) {
            points.push(Point { step, loss });
        }
    }
    Ok(points)
}

/// Mean loss of `columns` equal stretches of steps; `None` where no step was logged.
fn means(points: &[Point], columns: usize) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0u32); columns];
    if let (Some(first), Some(last)) = (points.first(), points.last()) {
        let span = (last.step - first.step.min(last.step)).max(1) as f64;
        for point in points {
            let place = point.step.saturating_sub(first.step) as f64 / span * (columns as f64 - 1.0);
            let sum = &mut sums[(place.round() as usize).min(columns - 1)];
            *sum = (sum.0 + point.loss, sum.1 + 1);
        }
    }
    sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / f64::from(count))).collect()
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

/// The points that can be drawn, and a sentence about the others.
fn drawable(points: &[Point]) -> (Vec<Point>, Option<String>) {
    let (finite, others): (Vec<Point>, Vec<Point>) = points.iter().partition(|point| point.loss.is_finite());
    let sentence = others.first().map(|Point { step, loss }| {
        format!(
            "the loss is not finite at {} of {} steps, first at {step}: {loss}",
            others.len(),
            points.len()
        )
    });
    (finite, sentence)
}

/// The curve in `height` lines of at most `width` characters and an axis; empty without points.
pub fn chart(points: &[Point], width: usize, height: usize) -> String {
    let (points, not_finite) = drawable(points);
    let mut text = chart_of_finite(&points, width, height);
    if let Some(sentence) = not_finite {
        let _ = writeln!(text, "{sentence}");
    }
    text
}

fn chart_of_finite(points: &[Point], width: usize, height: usize) -> String {
    const LABEL: usize = 9;
    let (columns, rows) = (width.saturating_sub(LABEL).max(1), height.max(2));
    let means = means(points, columns);
    let (Some((low, high)), Some(first), Some(last)) =
        (range(means.iter().flatten().copied()), points.first(), points.last())
    else {
        return String::new();
    };
    let mut grid = vec![vec![' '; columns]; rows];
    for (column, mean) in means.iter().enumerate() {
        if let Some(mean) = mean {
            let down = if high > low { (high - mean) / (high - low) } else { 0.5 };
            grid[(down * (rows as f64 - 1.0)).round() as usize][column] = '*';
        }
    }
    let mut text = String::new();
    for (row, cells) in grid.iter().enumerate() {
        let value = high - (high - low) * row as f64 / (rows as f64 - 1.0);
        let line: String = cells.iter().collect();
        let _ = writeln!(text, "{}", format!("{value:7.3} |{line}").trim_end());
    }
    let steps = format!("{:>1$}", last.step, columns.saturating_sub(first.step.to_string().len()));
    let _ = writeln!(text, "{:7} +{}\n{:8} {}{steps}  step", "", "-".repeat(columns), "", first.step);
    text
}

/// The curve as an SVG picture: every point in grey, means over it.
pub fn svg(points: &[Point], title: &str) -> String {
    const WIDTH: f64 = 640.0;
    const HEIGHT: f64 = 360.0;
    const MARGIN: f64 = 48.0;
    const MEANS: usize = 80;
    let (points, not_finite) = drawable(points);
    let points = points.as_slice();
    let title = not_finite.map_or_else(|| title.to_owned(), |sentence| format!("{title}; {sentence}"));
    let escaped = pairmill_shards::markup::escape(&title);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"24\" font-size=\"14\">{escaped}</text>\n"
    );
    if let (Some((low, high)), Some(first), Some(last)) =
        (range(points.iter().map(|point| point.loss)), points.first(), points.last())
    {
        let span = |low: f64, high: f64| if high > low { high - low } else { 1.0 };
        let (start, end) = (first.step as f64, last.step as f64);
        let x = |step: f64| MARGIN + (step - start) / span(start, end) * (WIDTH - 2.0 * MARGIN);
        let y = |loss: f64| HEIGHT - MARGIN - (loss - low) / span(low, high) * (HEIGHT - 2.0 * MARGIN);
        let mut line = |colour: &str, width: f64, places: &mut dyn Iterator<Item = (f64, f64)>| {
            let places: Vec<_> =
                places.map(|(step, loss)| format!("{:.1},{:.1}", x(step), y(loss))).collect();
            let _ = writeln!(
                text,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" points=\"{}\"/>",
                places.join(" ")
            );
        };
        line("#bbbbbb", 1.0, &mut points.iter().map(|point| (point.step as f64, point.loss)));
        let means = means(points, MEANS);
        let step_of = |column: usize| start + (end - start) * column as f64 / (MEANS as f64 - 1.0);
        let smooth = means.iter().enumerate().filter_map(|(column, mean)| Some((step_of(column), (*mean)?)));
        line("#1f5fa8", 2.0, &mut { smooth });
        for (loss, place) in [(high, y(high)), (low, y(low))] {
            let _ = writeln!(text, "<text x=\"4\" y=\"{:.1}\">{loss:.3}</text>", place + 4.0);
        }
        let bottom = HEIGHT - MARGIN / 2.0;
        let _ = writeln!(text, "<text x=\"{MARGIN}\" y=\"{bottom}\">step {}</text>", first.step);
        let right = WIDTH - MARGIN;
        let _ = writeln!(text, "<text x=\"{right}\" y=\"{bottom}\" text-anchor=\"end\">{}</text>", last.step);
    }
    text + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::super::metrics::MetricsFile;
    use super::super::metrics::tests::{eval, step};
    use super::*;

    #[test]
    fn points_come_from_step_lines_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let (mut file, _) = MetricsFile::resume(&path, 0).unwrap();
        for line in [step(1), eval(1), step(2)] {
            file.line(&line).unwrap();
        }
        let cut = std::fs::read_to_string(&path).unwrap() + "{\"kind\":\"step\",\"step\":3,\"lo";
        std::fs::write(&path, cut).unwrap();
        assert_eq!(read(&path).unwrap(), [Point { step: 1, loss: 4.0 }, Point { step: 2, loss: 2.0 }]);
    }

    #[test]
    fn a_falling_loss_falls_on_the_screen() {
        let points: Vec<_> = (0..=8).map(|n| Point { step: n * 10, loss: 4.0 - n as f64 / 4.0 }).collect();
        assert_eq!(
            chart(&points, 18, 3),
            "  4.000 |**\n  3.000 |  ****\n  2.000 |      ***\n        +---------\n         0      80  step\n"
        );
        assert_eq!(chart(&[], 80, 10), "");
        assert!(chart(&points[..1], 80, 5).contains('*'));
    }

    #[test]
    fn t03_a_loss_that_is_not_finite_is_said_and_not_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let old = "{\"kind\":\"step\",\"step\":2,\"loss\":null}\n";
        let lines = "{\"kind\":\"step\",\"step\":1,\"loss\":4.0}\n".to_owned()
            + old
            + "{\"kind\":\"step\",\"step\":3,\"loss\":\"NaN\"}\n{\"kind\":\"step\",\"step\":4,\"loss\":3.0}\n";
        std::fs::write(&path, lines).unwrap();
        let points = read(&path).unwrap();
        assert_eq!(points.len(), 4);
        let chart = chart(&points, 18, 3);
        assert!(chart.contains("  4.000 |*\n") && chart.contains("  3.000 |        *\n"), "{chart}");
        let sentence = "the loss is not finite at 2 of 4 steps, first at 2: NaN";
        assert!(chart.ends_with(&format!("{sentence}\n")), "{chart}");
        let picture = svg(&points, "run");
        assert!(picture.contains(sentence) && !picture.contains("NaN,") && !picture.contains(",NaN"));
    }

    #[test]
    fn the_picture_is_well_formed_and_stays_in_its_frame() {
        let points: Vec<_> = (1..200).map(|n| Point { step: n, loss: 5.0 / n as f64 }).collect();
        let picture = svg(&points, "loss < 5 & falling");
        assert!(picture.contains("loss &lt; 5 &amp; falling") && picture.ends_with("</svg>\n"));
        assert_eq!(picture.matches("<polyline").count(), 2);
        let lists = picture.split("points=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        for pair in lists.flat_map(|list| list.split(' ')) {
            let (x, y) = pair.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((48.0..=592.0).contains(&x) && (48.0..=312.0).contains(&y), "{pair}");
        }
        assert!(svg(&[], "nothing").contains("</svg>"));
    }
}
