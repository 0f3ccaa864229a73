//! LAION's tables: Parquet with one row a picture, under column names that changed from release to release.
//!
//! The study took rows tagged `UNLIKELY` (not safe for work) and nothing else from LAION-400M. LAION-5B's HEIGHT and
//! WIDTH are swapped, says the statistics script of its makers; embedding metadata and img2dataset's side files have
//! lower-case names; Re-LAION says `status` and drops what was found unsafe before.

use pairmill_pixels::ResizeMode;

use super::{FetchManners, Guide, Manners, TableManners, captioned, words};
use crate::filter::{FilterColumns, FilterConfig};

const LICENCE: &str = "LAION metadata: CC-BY-4.0. Pictures keep the rights of their owners; LAION-5B was withdrawn in \
                       December 2023, prefer Re-LAION.";

fn laion(filter: FilterConfig, guide: Guide) -> Manners {
    Manners {
        table: TableManners::named("URL|url", "TEXT|text|caption"),
        filter,
        address: None,
        fetch: FetchManners::default(),
        image_size: 256,
        resize_mode: ResizeMode::KeepRatio,
        needs_terms: false,
        licence: LICENCE,
        guide,
    }
}

pub(super) fn laion_400m() -> Manners {
    let filter = FilterConfig { nsfw: words(&["UNLIKELY"]), ..captioned() };
    laion(
        filter,
        Guide {
            title: "LAION-400M",
            download: &[
                "32 files part-000NN-<uuid>-c000.snappy.parquet of the LAION-400M metadata (1 to 1.7 GB each), from \
             LAION's pages or a mirror; put them into one folder",
            ],
            rows: "413 M; NSFW = UNLIKELY keeps most; of the study's 15 M subset about 15 % are gone or changed",
            disk: "50 GB of metadata; 15 M pictures at 256 px: about 300 GB",
            time: "15 M pictures at 500 a second: 8 hours",
            paper_rows: Some(15_504_742),
            notes: &[
                "the study: NSFW = UNLIKELY, a random subset of somewhat more than 15 M: --subset 15.6M --seed 0",
                "lists without a column NSFW (the study's own is one, filtered before) are taken as they are, and \
                 the card says so",
                "other tags: [filter] nsfw = [\"UNLIKELY\", \"UNSURE\"]; none at all: nsfw = []",
                "similarity is 0.3 and above in this release; a cut-off is [filter] min_similarity",
            ],
        },
    )
}

pub(super) fn laion_2b() -> Manners {
    let columns = FilterColumns {
        // Swapped in the files.
        width: "HEIGHT|height".to_owned(),
        height: "WIDTH|width".to_owned(),
        ..FilterColumns::default()
    };
    let filter = FilterConfig { nsfw: words(&["UNLIKELY"]), columns, ..captioned() };
    laion(
        filter,
        Guide {
            title: "LAION-5B: 2B-en, 2B-multi, 1B-nolang, with -joined and -md5",
            download: &[
                "128 files part-000NN-<uuid>-c000.snappy.parquet a set, as downloaded before the withdrawal; for new \
             work take relaion",
            ],
            rows: "2B-en 2.32 G, 2B-multi 2.26 G, 1B-nolang 1.27 G",
            disk: "200 to 400 GB of metadata a set; a million pictures at 256 px: about 20 GB",
            time: "a million pictures at 500 a second: half an hour",
            paper_rows: None,
            notes: &[
                "HEIGHT and WIDTH are swapped in the files; min_width and min_height mean what they say here",
                "-joined: [filter] max_punsafe = 0.5 and max_pwatermark = 0.8 are LAION's advice",
                "-md5: --verify-hash md5,md5 --compute-hash md5 fails pictures that are not those of May 2022",
                "2B-multi: [filter] languages = [\"de\", ...] by the column LANGUAGE",
            ],
        },
    )
}

pub(super) fn re_laion() -> Manners {
    let filter = FilterConfig { status: words(&["success"]), ..captioned() };
    laion(
        filter,
        Guide {
            title: "Re-LAION-5B: relaion2B-en-research(-safe), relaion2B-multi, relaion1B-nolang",
            download: &[
                "the Parquet files of a release under laion/ on Hugging Face (gated: ask for access first)",
            ],
            rows: "about 5.5 G in all sets",
            disk: "200 to 400 GB of metadata a set; a million pictures at 256 px: about 20 GB",
            time: "a million pictures at 500 a second: half an hour",
            paper_rows: None,
            notes: &[
                "columns are not the same in every release: only a URL and a caption are needed; where a column `status` \
             is there, rows other than `success` are dropped",
                "cut-offs (min_similarity, max_punsafe, max_pwatermark) can be set where the columns are there",
            ],
        },
    )
}
