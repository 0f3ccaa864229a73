//! RedCaps (sources.md §3): `annotations/<subreddit>_<year>.json`, an object of `info` and `annotations`. URLs are
//! those of Reddit, Imgur and Flickr in every form the authors' downloader has a rule for; the rest, and the one that
//! ends in `removed.png`, are the world's.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::account::{Account, Truth};
use super::{Quirk, ReleaseConfig};
use crate::error::{Error, Result};
use crate::rng::mix;
use crate::source::Source;
use crate::table::sink::Sink;
use crate::table::{Row, base36};
use crate::world::World;

const KINDS: &[Quirk] = &[
    Quirk::UrlIReddit,
    Quirk::UrlIImgur,
    Quirk::UrlMImgur,
    Quirk::UrlImgurPage,
    Quirk::UrlImgurAlbum,
    Quirk::UrlRedditGallery,
    Quirk::UrlFlickr,
    Quirk::CaptionEmpty,
    Quirk::RemovedImage,
    Quirk::Crossposted,
];
const SUBREDDITS: [&str; 4] = ["earthporn", "itookapicture", "pics", "somethingimade"];
const YEARS: [u32; 2] = [2017, 2018];

struct Open {
    sink: Sink,
    rows: u64,
}

pub(super) fn write(world: &World, config: &ReleaseConfig, out: &Path, account: &mut Account) -> Result<()> {
    let folder = out.join("annotations");
    fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    // A file at a time, so that the account has the rows in the order of the files.
    let mut files: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for index in 0..config.rows {
        let chance = mix(index ^ 0x7265_6463);
        let name = format!(
            "annotations/{}_{}.json",
            SUBREDDITS[(chance % 4) as usize],
            YEARS[(chance >> 8) as usize % 2]
        );
        files.entry(name).or_default().push(index);
    }
    let table = crate::table::TableConfig::new(Source::RedCaps, config.rows, config.base_url.clone());
    for (name, indexes) in files {
        let path = out.join(&name);
        let mut open = Open { sink: Sink::create(&path)?, rows: 0 };
        let subreddit = name.trim_start_matches("annotations/").rsplit_once('_').map_or("", |(s, _)| s);
        let year = if name.contains("2017") { YEARS[0] } else { YEARS[1] };
        let head = format!("{{\"info\": {},\n\"annotations\": [", info(year));
        open.sink.write_all(head.as_bytes()).map_err(Error::io(&path))?;
        for index in indexes {
            let row = world.row(&table, index);
            let (object, truth) = annotation(&row, subreddit, year, &config.base_url);
            let comma = if open.rows == 0 { "\n" } else { ",\n" };
            write!(open.sink, "{comma}{object}").map_err(Error::io(&path))?;
            open.rows += 1;
            account.add(&name, truth)?;
        }
        open.sink.write_all(b"\n]}\n").map_err(Error::io(&path))?;
        open.sink.finish()?;
    }
    Ok(())
}

fn info(year: u32) -> Value {
    json!({
        "start_date": format!("{year}-01-01"), "end_date": format!("{year}-12-31"),
        "url": "https://redcaps.example", "version": "1.0",
        "word_filter": { "num_removed": 12 },
        "nsfw_filter": { "num_removed": 3, "model": "resnet-50", "confidence_threshold": 0.9 },
        "face_filter": { "num_removed": 7, "model": "retinanet", "confidence_threshold": 0.9 },
    })
}

fn annotation(row: &Row, subreddit: &str, year: u32, base_url: &str) -> (Value, Truth) {
    let quirk = Quirk::of_row(KINDS, row.index);
    let id = base36(row.index + 0x5_0000_0000);
    // Imgur's ids are seven letters and digits, some of them capitals.
    let name = format!("aB{:0>5}", base36(mix(row.index) % 60_000_000));
    let (url, fetch_url) = match quirk {
        Some(Quirk::UrlIReddit) => same(format!("https://i.redd.it/{id}.jpg")),
        Some(Quirk::UrlIImgur) => same(format!("https://i.imgur.com/{name}.jpg")),
        Some(Quirk::UrlMImgur) => {
            (format!("http://m.imgur.com/{name}"), Some(format!("https://i.imgur.com/{name}.jpg")))
        }
        Some(Quirk::UrlImgurPage) => {
            (format!("http://imgur.com/{name}"), Some(format!("https://i.imgur.com/{name}.jpg")))
        }
        // Albums and galleries need a page or an API to find the picture.
        Some(Quirk::UrlImgurAlbum) => {
            let kind = ["a", "gallery"][(row.index / 3 / KINDS.len() as u64) as usize % 2];
            (format!("https://imgur.com/{kind}/{name}"), None)
        }
        Some(Quirk::UrlRedditGallery) => (format!("https://www.reddit.com/gallery/{id}"), None),
        Some(Quirk::UrlFlickr) => {
            same(format!("https://farm5.static.flickr.com/4321/{}_{name}_o.jpg", row.index))
        }
        Some(Quirk::RemovedImage) => same(format!("{base_url}/removed/{}.jpg", row.index)),
        _ => same(row.url.clone()),
    };
    let caption = if quirk == Some(Quirk::CaptionEmpty) { String::new() } else { row.caption.text.clone() };
    // What was stripped to nothing was not empty before.
    let raw = match quirk {
        Some(Quirk::CaptionEmpty) => "[OC] (3000 x 2000)".to_owned(),
        _ => row.caption.raw.clone(),
    };
    let crossposts = match quirk {
        Some(Quirk::Crossposted) => json!([format!("t3_{id}")]),
        _ => Value::Null,
    };
    let chance = mix(row.index ^ 0x7265_6464);
    let seconds = u64::from(year - 1970) * 31_556_952 + (chance >> 30) % 31_000_000;
    let object = json!({
        "image_id": id,
        "author": format!("user{}", chance % 5000),
        "url": url,
        "raw_caption": raw,
        "caption": caption,
        "subreddit": subreddit,
        "score": 2 + (chance >> 20) % 3000,
        "created_utc": seconds,
        "permalink": format!("/r/{subreddit}/comments/{id}/post/"),
        "crosspost_parents": crossposts,
    });
    let mut truth = Truth::plain(&url, &caption, quirk);
    truth.fetch_url = fetch_url;
    if raw != caption {
        truth.quirks.insert(Quirk::RawCaptionDiffers);
    }
    truth.more.insert("raw_caption".to_owned(), json!(raw));
    truth.more.insert("image_id".to_owned(), json!(id));
    (object, truth)
}

fn same(url: String) -> (String, Option<String>) {
    (url.clone(), Some(url))
}
