//! Horizontal bars, the longest of them as wide as the plot: what stands in the place of word clouds.

use super::{Anchor, Drawing, Paint, Shape, text_width};

/// One bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// To its left; cut when it is long.
    pub label: String,
    /// Its length, not below 0.
    pub value: f64,
    /// To its right.
    pub text: String,
    /// Shown when it is pointed at.
    pub hint: String,
}

const WIDTH: f64 = 620.0;
const ROW: f64 = 22.0;
const TEXT: f64 = 12.5;
const GAP: f64 = 8.0;
/// Labels take at most this much.
const MAX_LABEL: f64 = 240.0;

/// Draws bars from top to bottom.
pub fn bars(bars: &[Bar], description: &str) -> Drawing {
    let labels: Vec<String> = bars.iter().map(|b| cut(&b.label)).collect();
    let widest =
        |texts: &mut dyn Iterator<Item = &str>| texts.map(|t| text_width(t, TEXT)).fold(0.0, f64::max);
    let left = widest(&mut labels.iter().map(String::as_str)) + GAP;
    let right = widest(&mut bars.iter().map(|b| b.text.as_str())) + GAP;
    let most = bars.iter().map(|b| b.value).fold(0.0, f64::max);
    let full = WIDTH - left - right;
    let mut drawing = Drawing {
        width: WIDTH,
        height: (bars.len() as f64 * ROW).max(ROW) + GAP,
        description: description.to_owned(),
        shapes: Vec::new(),
    };
    for (n, (bar, label)) in bars.iter().zip(&labels).enumerate() {
        let top = n as f64 * ROW + GAP / 2.0;
        let w = if most > 0.0 { (full * bar.value.max(0.0) / most).max(1.0) } else { 1.0 };
        let line = top + ROW / 2.0 + 4.0;
        drawing.text(left - GAP, line, TEXT, label, Anchor::End, Paint::Ink);
        let hint = bar.hint.clone();
        drawing.shapes.push(Shape::Rect {
            x: left,
            y: top + 3.0,
            w,
            h: ROW - 6.0,
            fill: Paint::Series(0),
            hint,
        });
        drawing.text(left + w + GAP, line, TEXT, &bar.text, Anchor::Start, Paint::Soft);
    }
    drawing
}

fn cut(label: &str) -> String {
    if text_width(label, TEXT) <= MAX_LABEL {
        return label.to_owned();
    }
    let mut short = String::new();
    for c in label.chars() {
        if text_width(&short, TEXT) + text_width("…", TEXT) >= MAX_LABEL - TEXT {
            break;
        }
        short.push(c);
    }
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values_and_stay_inside() {
        let bar = |label: &str, value: f64| Bar {
            label: label.to_owned(),
            value,
            text: value.to_string(),
            hint: String::new(),
        };
        let drawing = bars(&[bar(&"long ".repeat(40), 200.0), bar("half", 100.0), bar("none", 0.0)], "x");
        let widths: Vec<(f64, f64)> = drawing
            .shapes
            .iter()
            .filter_map(|s| if let Shape::Rect { x, w, .. } = s { Some((*x, *w)) } else { None })
            .collect();
        assert!((widths[0].1 / widths[1].1 - 2.0).abs() < 1e-9);
        assert!(widths.iter().all(|(x, w)| *x > 0.0 && x + w < WIDTH));
        assert!(bars(&[], "x").height > 0.0);
    }
}
