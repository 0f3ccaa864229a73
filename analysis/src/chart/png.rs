//! SVG to PNG by resvg, with a font of our own: the same pixels on any machine.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use super::{Drawing, Theme};

/// Pixels of the PNG per pixel of the drawing.
const SCALE: f32 = 2.0;

/// Why a drawing did not become a picture.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// resvg did not take our SVG.
    #[error("the figure's SVG is not well-formed: {0}")]
    Svg(#[from] resvg::usvg::Error),
    /// No area, or more than memory.
    #[error("a figure of {0} × {1} pixels cannot be drawn")]
    Size(u32, u32),
    /// The encoder failed.
    #[error("the figure cannot be encoded as PNG: {0}")]
    Encode(String),
}

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    let family = fonts.faces().next().and_then(|face| face.families.first().map(|f| f.0.clone()));
    if let Some(family) = family {
        fonts.set_serif_family(family.clone());
        fonts.set_sans_serif_family(family);
    }
    Arc::new(fonts)
});

/// The drawing as PNG, light, at twice its size.
///
/// # Errors
/// When the drawing has no area or is far too large.
pub fn to_png(drawing: &Drawing) -> Result<Vec<u8>, PngError> {
    let options = Options { fontdb: Arc::clone(&FONTS), ..Options::default() };
    let tree = Tree::from_str(&drawing.to_svg(Theme::File), &options)?;
    let (w, h) = ((drawing.width as f32 * SCALE) as u32, (drawing.height as f32 * SCALE) as u32);
    let mut pixels = Pixmap::new(w, h).ok_or(PngError::Size(w, h))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| PngError::Encode(e.to_string()))
}
