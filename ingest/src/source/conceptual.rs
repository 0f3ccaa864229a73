//! Conceptual Captions 3M and 12M: two tab-separated columns, no header, no quoting, and in opposite order.
//!
//! Captions have bare quotes, so a reader that honours them swallows rows. Persons are `<PERSON>` in CC12M, which the
//! study kept. Dead links often answer with a page and status 200; those fail in decoding as `not_an_image`. A file
//! that was given a header line (img2dataset's recipe does) is read by it.

use pairmill_pixels::ResizeMode;

use super::{FetchManners, Guide, Manners, TableManners, captioned};

fn conceptual(table: TableManners, licence: &'static str, guide: Guide) -> Manners {
    Manners {
        table,
        filter: captioned(),
        address: None,
        fetch: FetchManners::default(),
        image_size: 256,
        resize_mode: ResizeMode::KeepRatio,
        needs_terms: false,
        licence,
        guide,
    }
}

pub(super) fn cc3m() -> Manners {
    const LICENCE: &str = "Conceptual Captions: free for any purpose with acknowledgement of Google, as is (not \
                           verified here). Pictures keep the rights of their owners.";
    conceptual(
        TableManners::bare(&["caption", "url"]),
        LICENCE,
        Guide {
            title: "Conceptual Captions 3M",
            download: &[
                "Train_GCC-training.tsv (500 MB) from ai.google.com/research/ConceptualCaptions/download",
                "Validation_GCC-1.1.0-Validation.tsv (15,840 rows) for validation, in a run of its own",
            ],
            rows: "3,318,333; 8 % were dead in 2019, 16 % for the study",
            disk: "0.5 GB of metadata; about 60 GB of shards",
            time: "3.3 M rows at 500 a second: 2 hours",
            paper_rows: Some(2_799_553),
            notes: &["captions are tokenised and lower-cased; the five-column file with labels is read too"],
        },
    )
}

pub(super) fn cc12m() -> Manners {
    const LICENCE: &str = "Conceptual 12M: free for any purpose with acknowledgement of Google, as is (not verified \
                           here). Pictures keep the rights of their owners.";
    conceptual(
        TableManners::bare(&["url", "caption"]),
        LICENCE,
        Guide {
            title: "Conceptual 12M",
            download: &["cc12m.tsv (2.5 GB) from storage.googleapis.com/conceptual_12m/cc12m.tsv"],
            rows: "12,423,374 (not verified here); 23 % were dead for the study",
            disk: "2.5 GB of metadata; about 200 GB of shards",
            time: "12.4 M rows at 500 a second: 7 hours",
            paper_rows: Some(9_594_338),
            notes: &[
                "the study pretrains on 2.7 M of it: --subset 2.7M --seed 0 (more, to allow for dead links)",
                "<PERSON> stays in captions; about 63,000 URLs are in CC3M too",
            ],
        },
    )
}
