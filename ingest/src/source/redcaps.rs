//! RedCaps: one JSON object a subreddit and year, its posts under `annotations`; links to Reddit, Imgur and Flickr
//! that are not always addresses.
//!
//! The authors' downloader has these rules: `i.redd.it` and `i.imgur.com` are addresses; `imgur.com/<id>` is
//! `i.imgur.com/<id>.jpg`, and `m.imgur.com` is `imgur.com`; albums and galleries need an API; a link that ends at
//! `removed.png` is a picture that is gone.

use pairmill_pixels::ResizeMode;

use super::{FetchManners, Guide, Manners, TableManners, captioned};
use crate::filter::Rule;
use crate::filter::address::{Address, Link};

const REMOVED: &str = "/removed.png";

pub(super) fn redcaps() -> Manners {
    Manners {
        table: TableManners {
            format: Some("json"),
            extra: &["image_id", "subreddit"],
            records_at: Some("annotations"),
            ..TableManners::named("url", "caption")
        },
        filter: captioned(),
        address: Some(address),
        fetch: FetchManners { removed_images: &[REMOVED], ..FetchManners::default() },
        image_size: 512,
        resize_mode: ResizeMode::KeepRatioLargest,
        needs_terms: false,
        licence: "RedCaps annotations: non-commercial research only; the terms of Reddit, Imgur and Flickr hold, and \
                  requests for removal must be honoured.",
        guide: Guide {
            title: "RedCaps v1.0",
            download: &[
                "redcaps_v1.0_annotations.zip, from the authors' page; unzip it and give the folder annotations \
                 (<subreddit>_<year>.json)",
            ],
            rows: "about 12.0 M in 350 subreddits; the study had 11.9 M",
            disk: "4 GB of annotations; at a longer side of 512 about 700 GB of shards, at 256 about 200 GB",
            time: "12 M pictures, nearly all from two hosts: days at a polite rate",
            paper_rows: Some(11_882_403),
            notes: &[
                "the study shuffled all annotations and resized the longer side to 1000: [subset] shuffle = true, \
                 --image-size 1000; --subset 2.7M --seed 0 draws from all files alike",
                "the order of the files is by subreddit; a trainer that shuffles shards only should have them shuffled",
                "the uncleaned titles: --caption-col raw_caption",
                "captions that became empty in cleaning are dropped; albums and galleries are counted, not fetched",
            ],
        },
    }
}

/// Where the picture of a post is.
fn address(link: &Link<'_>) -> Address {
    let Some((host, path)) = host_and_path(link.url) else { return Address::Same };
    if path.ends_with(REMOVED) {
        return Address::Nowhere(Rule::RemovedImage);
    }
    match host.strip_prefix("www.").unwrap_or(host) {
        "imgur.com" | "m.imgur.com" => imgur(path),
        "reddit.com" | "old.reddit.com" | "new.reddit.com" => gallery(path),
        _ => Address::Same,
    }
}

/// `/<id>` and `/<id>.<ext>` are pictures, `/a/…`, `/gallery/…`, `/t/…` and `/r/…` pages that may hold many.
fn imgur(path: &str) -> Address {
    let path = path.trim_matches('/');
    if path.is_empty() || path.contains('/') || path.contains(',') {
        return Address::Nowhere(Rule::Album);
    }
    let (id, extension) = path.rsplit_once('.').unwrap_or((path, "jpg"));
    // A moving picture's still is beside it.
    let extension = if matches!(extension, "gifv" | "mp4" | "webm") { "jpg" } else { extension };
    Address::At(format!("https://i.imgur.com/{id}.{extension}"))
}

fn gallery(path: &str) -> Address {
    if path.starts_with("/gallery/") { Address::Nowhere(Rule::Album) } else { Address::Same }
}

/// Host in lower case or as it stands, and path without query.
fn host_and_path(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    Some((host, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Address {
        address(&Link { url, mime_type: None, width: None, height: None, wanted: 512 })
    }

    #[test]
    fn links_become_addresses_as_the_authors_downloader_makes_them() {
        let at = |address: &str| Address::At(address.to_owned());
        for (link, expected) in [
            ("https://i.redd.it/ab12.jpg", Address::Same),
            ("http://i.imgur.com/AbC.png", Address::Same),
            ("https://farm5.staticflickr.com/1/2_3.jpg", Address::Same),
            ("http://imgur.com/AbC", at("https://i.imgur.com/AbC.jpg")),
            ("https://m.imgur.com/AbC?ref=x#top", at("https://i.imgur.com/AbC.jpg")),
            ("http://www.imgur.com/AbC.PNG", at("https://i.imgur.com/AbC.PNG")),
            ("https://imgur.com/AbC.gifv", at("https://i.imgur.com/AbC.jpg")),
            ("https://imgur.com/a/AbC", Address::Nowhere(Rule::Album)),
            ("https://imgur.com/gallery/AbC", Address::Nowhere(Rule::Album)),
            ("https://imgur.com/AbC,DeF", Address::Nowhere(Rule::Album)),
            ("https://imgur.com/", Address::Nowhere(Rule::Album)),
            ("https://www.reddit.com/gallery/xyz", Address::Nowhere(Rule::Album)),
            ("https://i.imgur.com/removed.png", Address::Nowhere(Rule::RemovedImage)),
            ("not a url", Address::Same),
        ] {
            assert_eq!(of(link), expected, "{link}");
        }
    }
}
