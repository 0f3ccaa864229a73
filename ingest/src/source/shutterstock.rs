//! Shutterstock, or any list of one's own: nothing was released, so the file is whatever the user has the rights to.
//!
//! The study's list was a tsv without header, URL then caption. Files with a header, csv, JSON lines and Parquet are
//! found by their column names.

use pairmill_pixels::ResizeMode;

use super::{FetchManners, Guide, Manners, TableManners, captioned};

pub(super) fn shutterstock() -> Manners {
    Manners {
        table: TableManners {
            headerless: Some(&["url", "caption"]),
            ..TableManners::named("url|image_url|preview_url", "caption|description|title|text")
        },
        filter: captioned(),
        address: None,
        fetch: FetchManners::default(),
        image_size: 256,
        resize_mode: ResizeMode::KeepRatio,
        needs_terms: true,
        licence: "Shutterstock pictures are proprietary, and scraping is against the site's terms: bring a list you \
                  have the rights to, and say so with --accept-terms.",
        guide: Guide {
            title: "Shutterstock (bring your own)",
            download: &[
                "nothing is released; a tsv or csv of URL and caption without header, or with one, or JSON lines or \
                 Parquet with url|image_url|preview_url and caption|description|title|text",
            ],
            rows: "the study had 11.8 M",
            disk: "about 20 GB of shards a million pictures",
            time: "a million pictures at 500 a second: half an hour",
            paper_rows: Some(11_800_000),
            notes: &["a file without header has exactly two columns; name others with --columns"],
        },
    }
}
