//! WIT: gzipped tables of 17 columns, a row for each use of a picture on a Wikipedia page. Rows in English with a
//! reference description are the study's; more than half of all have none.
//!
//! Originals on Wikimedia may have 100 MB. The servers draw thumbnails of any picture, SVG too, at a few standard
//! widths, so the smallest that is large enough is asked for. Wikimedia refuses clients whose user agent names no
//! contact, and asks them to be slow.

use pairmill_pixels::ResizeMode;

use super::{FetchManners, Guide, Manners, TableManners, captioned, words};
use crate::filter::FilterConfig;
use crate::filter::address::{Address, Link};

/// Widths that Wikimedia keeps thumbnails of; others are drawn on request and answered with 429 sooner.
const WIDTHS: [u32; 7] = [250, 330, 500, 960, 1280, 1920, 3840];
const UPLOADS: &str = "://upload.wikimedia.org/wikipedia/";

pub(super) fn wit() -> Manners {
    Manners {
        table: TableManners {
            // Quotes quote, as for every published reader: contexts span lines.
            format: Some("tsv"),
            ..TableManners::named("image_url", "caption_reference_description")
        },
        filter: FilterConfig {
            languages: words(&["en"]),
            mime_types: words(&["image/jpeg", "image/png", "image/webp"]),
            ..captioned()
        },
        address: Some(thumbnail),
        fetch: FetchManners {
            per_host: Some(2),
            host_interval_ms: 200,
            needs_contact: true,
            ..FetchManners::default()
        },
        image_size: 256,
        resize_mode: ResizeMode::KeepRatio,
        needs_terms: false,
        licence: "WIT: CC-BY-SA-3.0. Pictures have free licences of many kinds, and some on en.wikipedia are fair use \
                  only.",
        guide: Guide {
            title: "WIT (Wikipedia-based Image Text)",
            download: &[
                "wit_v1.train.all-0000N-of-00010.tsv.gz, N from 0 to 9 (25 GB), from \
                 storage.googleapis.com/gresearch/wit/",
                "wit_v1.train.all-1percent_sample.tsv.gz from there to try it",
            ],
            rows: "37.1 M of all languages; English with a reference description: 5.0 M for the study",
            disk: "25 GB of metadata; about 100 GB of shards",
            time: "5 M pictures at 5 a second: 12 days; Wikimedia asks for no more than some hundreds a minute",
            paper_rows: Some(5_038_295),
            notes: &[
                "--contact is needed: Wikimedia answers 403 to a user agent without one",
                "svg, gif and tiff are dropped by mime_type; [filter] mime_types with image/svg+xml has svg drawn by \
                 the server",
                "a picture that recurs within a shard, with another caption, is fetched once and stands there under each; \
                 [filter] duplicate_url keeps its first",
            ],
        },
    }
}

/// The smallest thumbnail whose shorter side is at least what is wanted, or the original where that is no larger.
fn thumbnail(link: &Link<'_>) -> Address {
    let Some((before, path)) = link.url.split_once(UPLOADS) else { return Address::Same };
    let parts: Vec<&str> = path.split('/').collect();
    // <wiki>/<a>/<ab>/<file>; anything else (an archive, a thumbnail already) is left alone.
    let [wiki, a, ab, file] = parts.as_slice() else { return Address::Same };
    if a.len() != 1 || ab.len() != 2 || !ab.starts_with(a) || file.is_empty() {
        return Address::Same;
    }
    let is_svg = link.mime_type == Some("image/svg+xml") || file.to_ascii_lowercase().ends_with(".svg");
    let side = f64::from(link.wanted);
    let (needed, original) = match (link.width, link.height) {
        (Some(w), Some(h)) if w >= 1.0 && h >= 1.0 => (side * (w / h).max(1.0), Some(w)),
        // Nothing is known of its shape: half as wide again is enough for most.
        _ => (side * 1.5, None),
    };
    let width = WIDTHS.into_iter().find(|&width| f64::from(width) >= needed);
    match width {
        // A raster is never drawn larger than it is, and an SVG always must be drawn.
        Some(width) if is_svg || original.is_none_or(|original| f64::from(width) < original) => {
            let suffix = if is_svg { ".png" } else { "" };
            Address::At(format!("{before}{UPLOADS}{wiki}/thumb/{a}/{ab}/{file}/{width}px-{file}{suffix}"))
        }
        None if is_svg => {
            let width = WIDTHS[WIDTHS.len() - 1];
            Address::At(format!("{before}{UPLOADS}{wiki}/thumb/{a}/{ab}/{file}/{width}px-{file}.png"))
        }
        _ => Address::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, mime_type: &str, size: Option<(f64, f64)>, expected: &str) {
        let (width, height) = size.unzip();
        let link = Link { url, mime_type: Some(mime_type), width, height, wanted: 256 };
        let expected = if expected == url { Address::Same } else { Address::At(expected.to_owned()) };
        assert_eq!(thumbnail(&link), expected);
    }

    #[test]
    fn the_smallest_thumbnail_that_is_large_enough() {
        const ORIGINAL: &str = "https://upload.wikimedia.org/wikipedia/commons/a/ab/A_%22dog%22.jpg";
        let thumb = |width: u32| {
            format!(
                "https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/A_%22dog%22.jpg/{width}px-A_%22dog%22.jpg"
            )
        };
        check(ORIGINAL, "image/jpeg", Some((4000.0, 3000.0)), &thumb(500));
        check(ORIGINAL, "image/jpeg", Some((3000.0, 4000.0)), &thumb(330));
        check(ORIGINAL, "image/jpeg", Some((9000.0, 1000.0)), &thumb(3840));
        check(ORIGINAL, "image/jpeg", None, &thumb(500));
        // A thumbnail would be as large, or larger.
        check(ORIGINAL, "image/jpeg", Some((330.0, 300.0)), ORIGINAL);
        check(ORIGINAL, "image/jpeg", Some((90_000.0, 1000.0)), ORIGINAL);
    }

    #[test]
    fn drawings_are_drawn_and_other_places_left_alone() {
        check(
            "http://upload.wikimedia.org/wikipedia/en/3/3f/Map.svg",
            "image/svg+xml",
            Some((100.0, 100.0)),
            "http://upload.wikimedia.org/wikipedia/en/thumb/3/3f/Map.svg/330px-Map.svg.png",
        );
        for url in [
            "https://upload.wikimedia.org/wikipedia/commons/archive/a/ab/x.jpg",
            "https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/x.jpg/330px-x.jpg",
            "https://example.org/a/ab/x.jpg",
        ] {
            check(url, "image/jpeg", Some((4000.0, 3000.0)), url);
        }
    }
}
