//! CCT-20: pictures in one archive, COCO annotations in another: images of two kinds, images with several boxes, empty
//! ones in the test and validation files, categories numbered with gaps.

use serde_json::{Value, json};

use super::class::Spelling;
use super::package::Pack;
use super::{Dataset, Draft};
use crate::error::Result;
use crate::rng::mix;

/// Category ids of the real set, `empty` apart.
const IDS: [u64; 15] = [1, 3, 5, 6, 7, 8, 9, 10, 11, 16, 21, 33, 34, 51, 99];
const EMPTY: u64 = 30;

pub(super) fn make(draft: &mut Draft<'_>) -> Result<()> {
    draft.name_classes(draft.num_classes(15).min(IDS.len()), Spelling::Spaces);
    let images = draft.package("eccv_18_all_images_sm.tar.gz", Pack::TarGz);
    let annotations = draft.package("eccv_18_annotations.tar.gz", Pack::TarGz);
    let mut categories: Vec<Value> =
        draft.classes.iter().zip(IDS).map(|(class, id)| json!({ "id": id, "name": class.name })).collect();
    categories.insert(categories.len() / 2, json!({ "id": EMPTY, "name": "empty" }));
    // Listed images of the real files, less the odd ones below.
    let parts = [
        ("train", "train", 13_552),
        ("val", "cis_val", 3_482),
        ("test", "cis_test", 15_825),
        ("", "trans_val", 1_723),
        ("", "trans_test", 23_273),
    ];
    for (part, file, real) in parts {
        let (mut listed, mut boxes) = (Vec::new(), Vec::new());
        let mut list = |id: &str, kinds: &[u64]| {
            listed.push(json!({
                "id": id, "file_name": format!("{id}.jpg"), "width": 2048, "height": 1494, "location": 38,
                "seq_id": "6f084ccc-5567-11e8-bc84-dca9047ef277", "seq_num_frames": 3, "frame_num": 1,
                "date_captured": "2011-05-13 23:43:18", "rights_holder": "Erin Boydston",
            }));
            for (at, kind) in kinds.iter().enumerate() {
                let mut annotation =
                    json!({ "id": format!("{id}-{at}"), "image_id": id, "category_id": kind });
                if *kind != EMPTY {
                    annotation["bbox"] = json!([12.5, 40.0, 300.0, 200.0]);
                }
                boxes.push(annotation);
            }
        };
        for (label, &category) in IDS.iter().enumerate().take(draft.classes.len()) {
            for number in 0..draft.count(label, real) {
                let id = id(file, label, number);
                // Some show two of a kind.
                let kinds = if number == 1 { vec![category; 2] } else { vec![category] };
                list(&id, &kinds);
                if draft.config.dataset == Dataset::CameraTrapsPartial
                    && part == "test"
                    && label < 2
                    && number == 0
                {
                    draft.truth.missing.push(format!("{id}.jpg"));
                    continue;
                }
                let bytes = draft.jpeg(label, file, number)?;
                if let Some(part) = ["train", "val", "test"].into_iter().find(|known| *known == part) {
                    draft.expect(part, &id, label, &bytes);
                }
                draft.put(images, format!("eccv_18_all_images_sm/{id}.jpg"), bytes);
            }
        }
        let odd: &[&[u64]] = match part {
            "train" => &[&IDS[..2]],
            _ => &[&[EMPTY], &[EMPTY]],
        };
        for (number, kinds) in odd.iter().enumerate() {
            let id = id(file, 99, number);
            list(&id, kinds);
            let bytes = draft.jpeg(0, file, 1_000 + number)?;
            draft.put(images, format!("eccv_18_all_images_sm/{id}.jpg"), bytes);
            draft.truth.left_out += usize::from(!part.is_empty());
        }
        let text = json!({
            "info": { "version": "CCT20", "contributor": "the miniature web" },
            "images": listed, "annotations": boxes, "categories": categories,
        });
        draft.put(annotations, format!("eccv_18_annotation_files/{file}_annotations.json"), text.to_string());
    }
    draft.litter(images, "eccv_18_all_images_sm");
    Ok(())
}

/// Ids look like `586a0ff8-23d2-11e8-a6a3-ec086b02610b`.
fn id(file: &str, label: usize, number: usize) -> String {
    let seed = file.bytes().fold(number as u64 * 1_009 + label as u64, |sum: u64, byte| {
        sum.wrapping_mul(131).wrapping_add(u64::from(byte))
    });
    format!("{:08x}-23d2-11e8-a6a3-{:012x}", mix(seed) as u32, mix(!seed) & 0xffff_ffff_ffff)
}
