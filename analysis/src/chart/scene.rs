//! A drawing: shapes with named paints, and its SVG text. In a file the paints are the light theme's colours; on a
//! page they are CSS variables, so that the page's theme decides.

use std::fmt::Write;

use pairmill_shards::markup::escape;

/// Colours of series in the light and the dark theme: the hues of Okabe and Ito (2008), which colour-blind eyes tell
/// apart, without their yellow, and darker or lighter where the ground asks for it (3:1 or better). Series differ by
/// marker too.
pub const SERIES_COLOURS: [(&str, &str); 9] = [
    ("#0072b2", "#4aa8e0"),
    ("#d55e00", "#f0803c"),
    ("#009e73", "#2cc79b"),
    ("#c0649a", "#dd93bb"),
    ("#b97a00", "#f0b53a"),
    ("#2f92c9", "#8fd0f5"),
    ("#6b5b3a", "#b8a67e"),
    ("#7a4fa3", "#b08ad6"),
    ("#767676", "#a8a8a8"),
];

/// A colour by its use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Paint {
    /// Text and axes.
    Ink,
    /// Secondary text.
    Soft,
    /// Grid lines.
    Grid,
    /// The ground.
    Paper,
    /// A series, by number; they repeat after nine.
    Series(usize),
    /// The same in both themes: cells of a heat-map and text on them.
    Fixed(u8, u8, u8),
}

/// Where paints get their colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Literal colours of the light theme, for files.
    File,
    /// CSS variables of [`css_variables`], for a page.
    Page,
}

const INK: (&str, &str) = ("#1c1c1a", "#ecece6");
const SOFT: (&str, &str) = ("#5f5f5a", "#a6a69e");
const GRID: (&str, &str) = ("#e2e2dc", "#3a3a35");
const PAPER: (&str, &str) = ("#ffffff", "#232321");

impl Paint {
    fn css(self, theme: Theme) -> String {
        let named = |name: &str, light: &str| match theme {
            Theme::File => light.to_owned(),
            Theme::Page => format!("var(--{name})"),
        };
        match self {
            Self::Ink => named("ink", INK.0),
            Self::Soft => named("soft", SOFT.0),
            Self::Grid => named("grid", GRID.0),
            Self::Paper => named("card", PAPER.0),
            Self::Series(n) => {
                let n = n % SERIES_COLOURS.len();
                named(&format!("s{n}"), SERIES_COLOURS[n].0)
            }
            Self::Fixed(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        }
    }
}

/// The declarations of every paint's variable, light or dark.
pub fn css_variables(dark: bool) -> String {
    let pick = |(light, dim): (&str, &str)| if dark { dim.to_owned() } else { light.to_owned() };
    let mut css = String::new();
    for (name, pair) in [("ink", INK), ("soft", SOFT), ("grid", GRID), ("card", PAPER)] {
        let _ = write!(css, "--{name}:{};", pick(pair));
    }
    for (n, pair) in SERIES_COLOURS.iter().enumerate() {
        let _ = write!(css, "--s{n}:{};", pick(*pair));
    }
    css
}

/// Which part of a text stands at its x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Its beginning.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// Forms of points, so that series differ without colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// ●
    Circle,
    /// ■
    Square,
    /// ▲
    Triangle,
    /// ◆
    Diamond,
    /// ▼
    Down,
    /// ✚
    Plus,
    /// ✖
    Cross,
}

impl Marker {
    /// The form of series number `n`.
    pub fn of_series(n: usize) -> Self {
        [Self::Circle, Self::Square, Self::Triangle, Self::Diamond, Self::Down, Self::Plus, Self::Cross]
            [n % 7]
    }
}

/// One thing drawn. Coordinates and sizes are in pixels, y downwards.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "coordinates say what they are")]
pub enum Shape {
    /// A filled rectangle, with the text shown when pointed at.
    Rect { x: f64, y: f64, w: f64, h: f64, fill: Paint, hint: String },
    /// A straight line.
    Line { x1: f64, y1: f64, x2: f64, y2: f64, paint: Paint, width: f64 },
    /// A line through points, drawn faintly.
    Path { points: Vec<(f64, f64)>, paint: Paint, width: f64, opacity: f64 },
    /// A point of a series, with the text shown when pointed at.
    Point { x: f64, y: f64, r: f64, marker: Marker, paint: Paint, hint: String },
    /// Text on a baseline, turned by `angle` degrees clockwise around its anchor.
    Text { x: f64, y: f64, size: f64, text: String, anchor: Anchor, paint: Paint, angle: f64 },
}

/// A figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// Pixels.
    pub width: f64,
    /// Pixels.
    pub height: f64,
    /// What it shows, for those who cannot see it.
    pub description: String,
    /// Drawn in order.
    pub shapes: Vec<Shape>,
}

impl Drawing {
    /// Adds upright text.
    pub fn text(&mut self, x: f64, y: f64, size: f64, text: &str, anchor: Anchor, paint: Paint) {
        let text = text.to_owned();
        self.shapes.push(Shape::Text { x, y, size, text, anchor, paint, angle: 0.0 });
    }

    /// Adds a line.
    pub fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), paint: Paint, width: f64) {
        self.shapes.push(Shape::Line { x1, y1, x2, y2, paint, width });
    }

    /// The SVG.
    pub fn to_svg(&self, theme: Theme) -> String {
        let (w, h) = (self.width, self.height);
        let name = escape(&self.description);
        let mut svg = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" ");
        match theme {
            Theme::File => {
                let _ = write!(svg, "width=\"{w}\" height=\"{h}\" ");
            }
            Theme::Page => {
                let _ = write!(svg, "style=\"max-width:{w}px\" ");
            }
        }
        let _ = write!(
            svg,
            "role=\"img\" aria-label=\"{name}\" font-family=\"Ubuntu,'Segoe UI','Helvetica Neue',Arial,sans-serif\">"
        );
        if theme == Theme::File {
            let _ = write!(svg, "<rect width=\"{w}\" height=\"{h}\" fill=\"{}\"/>", PAPER.0);
        }
        for shape in &self.shapes {
            svg.push('\n');
            write_shape(&mut svg, shape, theme);
        }
        svg.push_str("\n</svg>\n");
        svg
    }
}

fn write_shape(svg: &mut String, shape: &Shape, theme: Theme) {
    // Writing to a string cannot fail.
    let _ = match shape {
        Shape::Rect { x, y, w, h, fill, hint } => write!(
            svg,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\">{}</rect>",
            px(*x),
            px(*y),
            px(*w),
            px(*h),
            fill.css(theme),
            title(hint)
        ),
        Shape::Line { x1, y1, x2, y2, paint, width } => write!(
            svg,
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{}\" stroke-width=\"{width}\"/>",
            px(*x1),
            px(*y1),
            px(*x2),
            px(*y2),
            paint.css(theme)
        ),
        Shape::Path { points, paint, width, opacity } => {
            let points: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", px(*x), px(*y))).collect();
            write!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" \
                 stroke-opacity=\"{opacity}\" stroke-linejoin=\"round\"/>",
                points.join(" "),
                paint.css(theme)
            )
        }
        Shape::Point { x, y, r, marker, paint, hint } => write!(
            svg,
            "<path d=\"{}\" fill=\"{}\" stroke=\"{}\" stroke-width=\"0.8\">{}</path>",
            marker_path(*marker, *x, *y, *r),
            paint.css(theme),
            Paint::Paper.css(theme),
            title(hint)
        ),
        Shape::Text { x, y, size, text, anchor, paint, angle } => {
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let turn = match angle {
                0.0 => String::new(),
                angle => format!(" transform=\"rotate({angle} {} {})\"", px(*x), px(*y)),
            };
            write!(
                svg,
                "<text x=\"{}\" y=\"{}\" font-size=\"{size}\" text-anchor=\"{anchor}\" fill=\"{}\"{turn}>{}</text>",
                px(*x),
                px(*y),
                paint.css(theme),
                escape(text)
            )
        }
    };
}

/// The outline of a marker about as large to the eye as a circle of radius `r`.
fn marker_path(marker: Marker, x: f64, y: f64, r: f64) -> String {
    let polygon = |points: &[(f64, f64)]| {
        let mut path = String::new();
        for (n, (dx, dy)) in points.iter().enumerate() {
            let _ = write!(path, "{}{} {}", if n == 0 { "M" } else { "L" }, px(x + dx * r), px(y + dy * r));
        }
        path.push('Z');
        path
    };
    match marker {
        Marker::Circle => format!(
            "M{} {}a{r} {r} 0 1 0 {} 0a{r} {r} 0 1 0 {} 0Z",
            px(x - r),
            px(y),
            px(2.0 * r),
            px(-2.0 * r)
        ),
        Marker::Square => polygon(&[(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)]),
        Marker::Triangle => polygon(&[(0.0, -1.2), (1.12, 0.8), (-1.12, 0.8)]),
        Marker::Down => polygon(&[(0.0, 1.2), (1.12, -0.8), (-1.12, -0.8)]),
        Marker::Diamond => polygon(&[(0.0, -1.3), (1.1, 0.0), (0.0, 1.3), (-1.1, 0.0)]),
        Marker::Plus | Marker::Cross => {
            let (a, b) = (0.42, 1.2);
            let corners = [
                (-a, -b),
                (a, -b),
                (a, -a),
                (b, -a),
                (b, a),
                (a, a),
                (a, b),
                (-a, b),
                (-a, a),
                (-b, a),
                (-b, -a),
                (-a, -a),
            ];
            if marker == Marker::Plus {
                polygon(&corners)
            } else {
                let half = std::f64::consts::FRAC_1_SQRT_2;
                polygon(&corners.map(|(dx, dy)| ((dx - dy) * half, (dx + dy) * half)))
            }
        }
    }
}

fn title(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!("<title>{}</title>", escape(hint)) }
}

/// A coordinate with two decimals at most.
fn px(x: f64) -> String {
    crate::stats::short(x, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2's contrast of two colours `#rrggbb`.
    fn contrast(a: &str, b: &str) -> f64 {
        let luminance = |hex: &str| {
            let channel = |at: usize| {
                let c = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
                if c <= 0.03928 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_paint_can_be_seen_on_its_ground() {
        for (light, dark) in [INK, SOFT] {
            assert!(contrast(light, PAPER.0) >= 4.5 && contrast(dark, PAPER.1) >= 4.5, "{light} {dark}");
        }
        for (light, dark) in SERIES_COLOURS {
            assert!(contrast(light, PAPER.0) >= 3.0 && contrast(dark, PAPER.1) >= 3.0, "{light} {dark}");
        }
    }

    #[test]
    fn captions_cannot_become_markup() {
        let mut drawing =
            Drawing { width: 9.0, height: 9.0, description: "\"><script>".to_owned(), shapes: Vec::new() };
        drawing.text(0.0, 0.0, 9.0, "</svg><script>", Anchor::Start, Paint::Ink);
        let svg = drawing.to_svg(Theme::Page);
        assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;"), "{svg}");
    }
}
