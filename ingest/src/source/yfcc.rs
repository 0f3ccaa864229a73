//! YFCC15M: the 14,829,396 photos of YFCC100M that OpenAI listed. The list has no text, so it is joined with the
//! metadata of all 100 M items; the reader is `crate::yfcc`.

use pairmill_pixels::ResizeMode;

use super::{FetchManners, Guide, Manners, TableManners, captioned};

pub(super) fn yfcc15m() -> Manners {
    Manners {
        table: TableManners {
            format: Some("yfcc"),
            extra: &["photo_id", "license_url"],
            ..TableManners::named("url", "caption")
        },
        filter: captioned(),
        address: None,
        fetch: FetchManners::default(),
        image_size: 256,
        resize_mode: ResizeMode::KeepRatio,
        needs_terms: false,
        licence: "YFCC100M: metadata under Yahoo Webscope's terms; photos under six Creative Commons licences, some \
                  without commercial use or derivatives (column license_url).",
        guide: Guide {
            title: "YFCC15M",
            download: &[
                "yfcc100m_dataset.bz2 (15 GB, 23 or 25 columns), on request from multimediacommons.wordpress.com",
                "yfcc100m_subset_data.tsv.bz2 (OpenAI's list) from openaipublic.azureedge.net/clip/data/",
                "both in one folder: that is the INPUT",
            ],
            rows: "100 M lines, 14,829,396 of them listed",
            disk: "15 GB of metadata; about 300 GB of shards",
            time: "unpacking 15 GB of bzip2 on one core: an hour; 15 M photos at 500 a second: 8 hours",
            paper_rows: Some(14_826_000),
            notes: &[
                "caption = title, a space, description, percent-decoded and without tags; [input.yfcc] caption has SLIP's rule",
                "rows without any text are dropped; SLIP counts 14,689,580 with a picture",
                "the SQLite release, yfcc100m_dataset.sql (66 GB), does as well: it is joined on the photo id",
            ],
        },
    }
}
