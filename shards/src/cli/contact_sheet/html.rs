//! The sheet as one self-contained page: pictures as data URLs, no script, light and dark.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pairmill_pixels::{Format, ResizeMode, TransformConfig, Transformer, sniff};

use super::Heading;
use super::pick::Picked;
use crate::markup::escape;

/// Larger pictures are shown as thumbnails, so that a page of originals stays a page.
const MAX_EMBEDDED_BYTES: usize = 120_000;
const THUMBNAIL_PX: u32 = 320;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c1c1a;--soft:#6b6b66;--paper:#f5f5f2;--card:#fff;--line:#e2e2dc}\
@media(prefers-color-scheme:dark){:root{--ink:#ecece6;--soft:#9a9a92;--paper:#191917;--card:#232321;--line:#34342f}}\
*{box-sizing:border-box}body{margin:0;padding:2rem;background:var(--paper);color:var(--ink);\
font:15px/1.4 system-ui,sans-serif}h1{font-size:1.35rem;margin:0 0 .2rem;overflow-wrap:anywhere}\
p.note{margin:0 0 1.5rem;color:var(--soft)}\
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(180px,1fr));gap:14px}\
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:8px;overflow:hidden;\
display:flex;flex-direction:column}\
figure img{width:100%;aspect-ratio:1;object-fit:contain;background:color-mix(in srgb,var(--line) 45%,var(--card))}\
figure .none{aspect-ratio:1;display:grid;place-items:center;color:var(--soft)}\
figcaption{padding:.55rem .65rem .6rem;font-size:.86rem;overflow-wrap:anywhere;flex:1;display:flex;\
flex-direction:column;justify-content:space-between;gap:.4rem}\
figcaption span{display:-webkit-box;-webkit-line-clamp:6;-webkit-box-orient:vertical;overflow:hidden}\
figcaption i{color:var(--soft)}code{font-size:.72rem;color:var(--soft)}";

/// The page, of samples with their pictures' [`data_url`]s.
pub fn render(heading: &Heading, samples: &[Picked<String>]) -> String {
    let title = escape(&heading.title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\n\
         <body><h1>{title}</h1><p class=\"note\">{}</p><main>\n",
        escape(&heading.note)
    );
    for sample in samples {
        let picture = match &sample.picture {
            Ok(url) => format!("<img src=\"{url}\" alt=\"\" loading=\"lazy\">"),
            Err(none) => format!("<div class=\"none\">{none}</div>"),
        };
        let caption = if sample.caption.trim().is_empty() {
            "<i>no caption</i>".to_owned()
        } else {
            format!("<span dir=\"auto\" title=\"{0}\">{0}</span>", escape(&sample.caption))
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "<figure>{picture}<figcaption>{caption}<code>{}</code></figcaption></figure>",
            escape(&sample.key)
        );
    }
    page.push_str("</main></body></html>\n");
    page
}

/// The picture for the page; `None` when the bytes are no picture a browser shows.
pub fn data_url(image: &[u8]) -> Option<String> {
    let shown_by_browsers = match sniff(image)? {
        Format::Jpeg => Some("jpeg"),
        Format::Png => Some("png"),
        Format::Gif => Some("gif"),
        Format::Webp => Some("webp"),
        _ => None,
    };
    if let Some(format) = shown_by_browsers.filter(|_| image.len() <= MAX_EMBEDDED_BYTES) {
        return Some(format!("data:image/{format};base64,{}", STANDARD.encode(image)));
    }
    let config = TransformConfig {
        image_size: THUMBNAIL_PX,
        resize_mode: ResizeMode::KeepRatioLargest,
        resize_only_if_bigger: true,
        extract_exif: false,
        ..TransformConfig::default()
    };
    let thumbnail = Transformer::new(&config).ok()?.transform(image).ok()?.image;
    Some(format!("data:image/jpeg;base64,{}", STANDARD.encode(thumbnail)))
}

#[cfg(test)]
mod tests {
    use super::super::pick::NoPicture;
    use super::*;

    #[test]
    fn small_pictures_are_embedded_as_they_are() {
        // A header is enough: nothing is decoded.
        for (picture, name) in [
            (&b"\xFF\xD8\xFF\xE0 and so on"[..], "jpeg"),
            (b"\x89PNG\r\n\x1A\n and so on", "png"),
            (b"GIF89a and so on", "gif"),
        ] {
            let url = format!("data:image/{name};base64,{}", STANDARD.encode(picture));
            assert_eq!(data_url(picture), Some(url));
        }
    }

    #[test]
    fn captions_cannot_become_markup() {
        let heading = Heading { title: "a<b".to_owned(), note: String::new() };
        let caption = "\"><script>alert(1)</script>".to_owned();
        let picture = data_url(b"<svg").ok_or(NoPicture::Undecodable);
        let page = render(&heading, &[Picked { key: "0".to_owned(), caption, picture }]);
        assert!(!page.contains("<script") && page.contains("&lt;script") && page.contains("a&lt;b"));
        assert!(page.contains("not decodable"));
    }
}
