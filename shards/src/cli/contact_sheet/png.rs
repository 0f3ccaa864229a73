//! The sheet as a picture: a heading, then rows of thumbnails with up to three lines of caption under each.

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use anyhow::Context;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use pairmill_pixels::{Limits, Rgb8, SheetConfig, sheet, thumbnail};

use super::Heading;
use super::pick::Picked;

const CELL_PX: u32 = 200;
const GAP_PX: u32 = 16;
const LINES: u32 = 3;
const TEXT_PX: f32 = 15.0;
const LINE_PX: u32 = 18;
const TITLE_PX: f32 = 22.0;
const HEADER_PX: u32 = 64;
const PAPER: [u8; 3] = [245, 245, 242];
const INK: [u8; 3] = [28, 28, 26];
const SOFT: [u8; 3] = [107, 107, 102];

/// A picture as it stands in its cell; `None` when it does not decode.
pub fn cell(image: &[u8]) -> Option<Rgb8> {
    thumbnail(image, &Limits::default(), CELL_PX).ok()
}

/// The page as PNG bytes, of samples with their pictures' [`cell`]s.
pub fn render(heading: &Heading, samples: Vec<Picked<Rgb8>>, columns: u32) -> anyhow::Result<Vec<u8>> {
    let font = FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT).context("the built-in font")?;
    // A picture that does not decode leaves its cell blank, and its caption says so.
    let mut pictures = Vec::with_capacity(samples.len());
    let mut captions = Vec::with_capacity(samples.len());
    for Picked { caption, picture, .. } in samples {
        captions.push(match &picture {
            Err(none) => (none.to_string(), SOFT),
            Ok(_) if caption.trim().is_empty() => ("no caption".to_owned(), SOFT),
            Ok(_) => (caption, INK),
        });
        pictures.push(picture.unwrap_or_else(|_| Rgb8::filled(1, 1, PAPER)));
    }
    let config = SheetConfig {
        columns,
        cell_size: CELL_PX,
        gap: GAP_PX,
        background: PAPER,
        header: HEADER_PX,
        footer: LINES * LINE_PX + 6,
    };
    let mut page = sheet(&pictures, &config)?;
    let margin = GAP_PX as f32;
    let width = page.width as f32 - 2.0 * margin;
    let mut text = Text { page: &mut page, font: &font };
    let title = text.wrap(&heading.title, TITLE_PX, width, 1);
    text.line(title.first().map_or("", String::as_str), margin, margin + 2.0, TITLE_PX, INK);
    text.line(&heading.note, margin, margin + 28.0, TEXT_PX, SOFT);
    for (index, (caption, colour)) in captions.iter().enumerate() {
        let (left, top) = config.cell(index, captions.len());
        let lines = text.wrap(caption.trim(), TEXT_PX, CELL_PX as f32, LINES as usize);
        for (n, line) in lines.iter().enumerate() {
            let y = top + CELL_PX + 6 + n as u32 * LINE_PX;
            text.line(line, left as f32, y as f32, TEXT_PX, *colour);
        }
    }
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(&page.data, page.width, page.height, ExtendedColorType::Rgb8)?;
    Ok(bytes)
}

struct Text<'a> {
    page: &'a mut Rgb8,
    font: &'a FontRef<'static>,
}

impl Text<'_> {
    fn width(&self, text: &str, size_px: f32) -> f32 {
        let font = self.font.as_scaled(PxScale::from(size_px));
        text.chars().map(|c| font.h_advance(font.glyph_id(c))).sum()
    }

    /// Breaks at blanks (inside a word where it must) into at most `lines` lines, the last one ending in `…` when
    /// text is left over.
    fn wrap(&self, text: &str, size_px: f32, width: f32, lines: usize) -> Vec<String> {
        let mut wrapped = vec![String::new()];
        let mut words: Vec<String> = text.split_whitespace().rev().map(str::to_owned).collect();
        while let Some(word) = words.pop() {
            let is_last = wrapped.len() == lines;
            let Some(line) = wrapped.last_mut() else { break };
            let longer = if line.is_empty() { word.clone() } else { format!("{line} {word}") };
            if self.width(&longer, size_px) <= width {
                *line = longer;
            } else if is_last {
                let mut cut = longer;
                while !cut.is_empty() && self.width(&format!("{cut}…"), size_px) > width {
                    cut.pop();
                }
                *line = format!("{}…", cut.trim_end());
                break;
            } else if line.is_empty() {
                let mut head = String::new();
                let mut rest = word.chars();
                while self.width(&format!("{head}{}", rest.as_str().chars().next().unwrap_or(' ')), size_px)
                    <= width
                {
                    match rest.next() {
                        Some(c) => head.push(c),
                        None => break,
                    }
                }
                // A cell narrower than a letter still makes progress.
                if head.is_empty() {
                    head.extend(rest.next());
                }
                *line = head;
                words.push(rest.as_str().to_owned());
                wrapped.push(String::new());
            } else {
                words.push(word);
                wrapped.push(String::new());
            }
        }
        wrapped
    }

    fn line(&mut self, text: &str, left: f32, top: f32, size_px: f32, colour: [u8; 3]) {
        let font = self.font.as_scaled(PxScale::from(size_px));
        let baseline = top + font.ascent();
        let mut x = left;
        for c in text.chars() {
            let id = font.glyph_id(c);
            let glyph = id.with_scale_and_position(PxScale::from(size_px), point(x, baseline));
            x += font.h_advance(id);
            if let Some(outline) = self.font.outline_glyph(glyph) {
                let bounds = outline.px_bounds();
                let (at_x, at_y) = (bounds.min.x as i64, bounds.min.y as i64);
                outline.draw(|dx, dy, coverage| {
                    self.blend(at_x + i64::from(dx), at_y + i64::from(dy), coverage, colour);
                });
            }
        }
    }

    fn blend(&mut self, x: i64, y: i64, coverage: f32, colour: [u8; 3]) {
        let (width, height) = (i64::from(self.page.width), i64::from(self.page.height));
        if !(0..width).contains(&x) || !(0..height).contains(&y) {
            return;
        }
        let at = ((y * width + x) * 3) as usize;
        for (pixel, ink) in self.page.data[at..at + 3].iter_mut().zip(colour) {
            let mixed = f32::from(*pixel) * (1.0 - coverage) + f32::from(ink) * coverage;
            *pixel = mixed.round().clamp(0.0, 255.0) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_wrap_and_end_in_an_ellipsis() {
        let font = FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT).unwrap();
        let mut page = Rgb8::filled(10, 10, PAPER);
        let text = Text { page: &mut page, font: &font };
        let lines =
            text.wrap("one two three four five six seven eight nine ten eleven twelve", 15.0, 90.0, 3);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|l| text.width(l, 15.0) <= 90.0) && lines[2].ends_with('…'), "{lines:?}");
        let long = text.wrap("https://example.org/a-very-long-word-without-any-blank", 15.0, 90.0, 3);
        assert!(long.len() > 1 && long.iter().all(|l| text.width(l, 15.0) <= 90.0), "{long:?}");
        assert_eq!(text.wrap("short", 15.0, 90.0, 3), ["short"]);
        assert_eq!(text.wrap("x y", 15.0, 0.5, 2).len(), 2, "ends even when nothing fits");
    }
}
