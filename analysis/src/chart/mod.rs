//! Drawing: figures as lists of shapes with named colours, laid out with measured text.
//!
//! An own writer rather than a plotting crate, for three needs: colours by name, so that one drawing follows the page
//! between light and dark (plotters 0.3 and kuva 0.6 write them as numbers, charming 0.6 needs a JavaScript engine for
//! SVG; poloto 19 can be styled by CSS, but was not tried for the next two); small multiples and heat-maps under one
//! legend; and labels measured in a font we bring along, so that none collide on a machine without fonts. Rendering
//! SVG to PNG is resvg's.

mod bars;
mod heatmap;
mod panels;
mod png;
mod scale;
mod scene;
mod text;

pub use bars::{Bar, bars};
pub use heatmap::{BarChart, Heatmap, HeatmapCell, heatmaps};
pub use panels::{Panel, PanelGrid, PanelSeries, Point, panel_grid};
pub use png::{PngError, to_png};
pub use scale::{Ticks, shade};
pub use scene::{Anchor, Drawing, Marker, Paint, SERIES_COLOURS, Shape, Theme, css_variables};
pub use text::text_width;
