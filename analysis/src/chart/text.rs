//! Widths of text in the font that PNGs are drawn with. Browsers use a font of their own of about the same width; a
//! margin covers the difference.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, ScaleFont};

/// System fonts of browsers run up to a seventh wider than Ubuntu Light.
const MARGIN: f64 = 1.14;
/// When the font cannot be read (it is built in, so it can): a wide average.
const FALLBACK_EM: f64 = 0.6;

static FONT: LazyLock<Option<FontRef<'static>>> =
    LazyLock::new(|| FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT).ok());

/// Pixels that `text` takes at `size` pixels, on the safe side.
pub fn text_width(text: &str, size: f64) -> f64 {
    let Some(font) = FONT.as_ref() else { return text.chars().count() as f64 * size * FALLBACK_EM };
    // ab_glyph scales by ascent + descent, CSS by the em.
    let units = f64::from(font.units_per_em().unwrap_or(1000.0));
    let scaled = font.as_scaled(font.height_unscaled());
    let units_wide: f64 = text.chars().map(|c| f64::from(scaled.h_advance(font.glyph_id(c)))).sum();
    units_wide / units * size * MARGIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_as_wide_as_its_letters() {
        let (narrow, wide) = (text_width("illi", 10.0), text_width("WWWW", 10.0));
        assert!(narrow < wide / 2.5, "{narrow} {wide}");
        // An em is 10 pixels and W about nine tenths of it.
        assert!((30.0..48.0).contains(&wide), "{wide}");
        assert!((text_width("WWWW", 20.0) - 2.0 * wide).abs() < 1e-3);
    }
}
