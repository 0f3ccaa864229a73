//! ImageNet-1K three times: with labels alone, with prompts about the class, with what photographers wrote on Flickr.
//! Images come out of the archives, nothing is fetched; the reader is `crate::imagenet`.

use pairmill_pixels::ResizeMode;

use super::{FetchManners, Guide, Manners, TableManners};
use crate::filter::FilterConfig;
use crate::imagenet::CaptionKind;

const TRAIN: &str =
    "ILSVRC2012_img_train.tar (138 GB, stays packed) and ILSVRC2012_devkit_t12.tar.gz from image-net.org";
const FOLDER: &str =
    "all in one folder: that is the INPUT; a folder of class folders, or Kaggle's, will do too";

fn variant(kind: CaptionKind, guide: Guide) -> Manners {
    Manners {
        table: TableManners { imagenet: Some(kind), ..TableManners::named("url", "caption") },
        filter: FilterConfig::default(),
        address: None,
        fetch: FetchManners::default(),
        image_size: 256,
        resize_mode: ResizeMode::KeepRatio,
        needs_terms: true,
        licence: "ImageNet: for non-commercial research, after registration; pictures keep the rights of their owners. \
                  --accept-terms says that you have registered.",
        guide,
    }
}

pub(super) fn imagenet() -> Manners {
    variant(
        CaptionKind::Labels,
        Guide {
            title: "ImageNet-1K",
            download: &[TRAIN, FOLDER],
            rows: "1,281,167 in 1,000 classes",
            disk: "138 GB of archive; about 35 GB of shards",
            time: "1.3 M pictures at 500 a second: 45 minutes",
            paper_rows: Some(1_281_167),
            notes: &[
                "the label, a position among the sorted WordNet ids, is in json and in a member cls",
                "validation: --url-list ILSVRC2012_img_val.tar with [input.imagenet] labels = the devkit",
            ],
        },
    )
}

pub(super) fn imagenet_template() -> Manners {
    variant(
        CaptionKind::Template,
        Guide {
            title: "ImageNet-1K with prompts as captions",
            download: &[
                TRAIN,
                "templates.txt, prompts with {} for the class, one a line, and class_names.txt, 1,000 lines in the order \
                 of the sorted WordNet ids",
                FOLDER,
            ],
            rows: "1,281,167",
            disk: "138 GB of archive; about 35 GB of shards",
            time: "1.3 M pictures at 500 a second: 45 minutes",
            paper_rows: Some(1_281_167),
            notes: &["other places for the lists: [input.imagenet.captions] templates, class_names, seed"],
        },
    )
}

pub(super) fn imagenet_flickr() -> Manners {
    variant(
        CaptionKind::Flickr,
        Guide {
            title: "ImageNet-Captions",
            download: &[
                TRAIN,
                "imagenet_captions.json out of imagenet_captions.zip of github.com/mlfoundations/imagenet-captions",
                FOLDER,
            ],
            rows: "463,622 images with a text",
            disk: "138 GB of archive; about 13 GB of shards",
            time: "0.5 M pictures at 500 a second: 15 minutes",
            paper_rows: Some(463_622),
            notes: &[
                "caption = title, description, tags; [input.imagenet.captions] order has the others, also profanity and \
                 drop_duplicates",
                "which order the study used is not known",
            ],
        },
    )
}
