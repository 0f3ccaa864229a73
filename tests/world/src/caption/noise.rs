//! What befalls captions on the real web. Newlines stay rare and only where a real alt text has them; tabs never
//! occur, since the tab-separated sources could not hold them.

use crate::rng::Rng;

/// Spoils a caption; true where it still describes its picture.
pub(super) fn spoil(text: &mut String, rng: &mut Rng) -> bool {
    match rng.weighted(&[20, 14, 14, 12, 10, 8, 6, 3, 3, 2]) {
        0 => {
            *text = format!("&quot;{text}&quot; &amp; more");
        }
        1 => {
            *text =
                format!("{text} | {} Shop", rng.pick(&["Acme", "BestPrints", "Home & Deco", "The \"Wall\""]));
        }
        2 => {
            let code = rng.below(1 << 24);
            *text = format!("{text} {}-{code:06X}", rng.pick(&["SKU", "ART", "REF"]));
        }
        3 => {
            *text = camera_file(rng);
            return false;
        }
        4 => cut(text, 12 + rng.below(20) as usize),
        5 => {
            *text = format!("{text} {}", rng.pick(&["😍", "🔥🔥", "❤️", "👍🏽", "✨ 🎁 ✨"]));
        }
        6 => *text = text.to_uppercase(),
        7 => {
            *text = format!("{text}\n{}x{} cm", rng.between(10, 90), rng.between(10, 90));
        }
        8 => {
            // A very long text: keyword stuffing.
            let stuffing = "buy cheap online best price free shipping sale ";
            *text = format!("{text} {}", stuffing.repeat(rng.between(10, 60) as usize).trim_end());
        }
        _ => {
            *text = rng.pick(&["-", ".", "&nbsp;", "null", "<br>", "%20"]).to_owned();
            return false;
        }
    }
    true
}

/// A camera's file name in place of a title.
pub(super) fn camera_file(rng: &mut Rng) -> String {
    let number = rng.below(10_000);
    let prefix = rng.pick(&["IMG_", "DSC_", "DSCN", "P10", "_MG_"]);
    let ending = rng.pick(&["", "", ".JPG", ".jpg"]);
    format!("{prefix}{number:04}{ending}")
}

/// A Reddit title before it was cleaned: capitals, brackets, sizes, user names.
pub(super) fn raw_title(text: &str, rng: &mut Rng) -> String {
    let mut title = super::phrase::capital(text);
    if rng.chance(30.0) {
        title.push_str(rng.pick(&[" [OC]", " (OC)", " [4032 x 3024]", " 3000 x 2000", " [x-post]"]));
    }
    if rng.chance(8.0) {
        title.push_str(rng.pick(&["!!", " 😊", " – thanks @someone", "…"]));
    }
    title
}

/// Cuts to about `len` characters, at a character, not a byte, with dots.
fn cut(text: &mut String, len: usize) {
    if let Some((at, _)) = text.char_indices().nth(len) {
        text.truncate(at);
        text.push_str("...");
    }
}
