//! Datasets with a folder per class: DTD with its split files, Caltech-101 in its zip, EuroSAT.

use super::class::Spelling;
use super::package::Pack;
use super::{Dataset, Draft};
use crate::encode::{Chroma, Encoding};
use crate::error::Result;

/// `dtd/images/<class>/<class>_NNNN.jpg`, `dtd/labels/{train,val,test}{1..10}.txt`. Each split shifts the parts.
pub(super) fn make_dtd(draft: &mut Draft<'_>) -> Result<()> {
    draft.name_classes(draft.num_classes(47), Spelling::Hyphens);
    let archive = draft.package("dtd-r1.0.1.tar.gz", Pack::TarGz);
    let parts = ["train", "val", "test"];
    let mut lists = vec![String::new(); 30];
    for label in 0..draft.classes.len() {
        let class = draft.classes[label].name.clone();
        for number in 0..3 * draft.count(label, 1_880) {
            let name = format!("{class}/{class}_{:04}.jpg", number * 2 + 1);
            let bytes = draft.jpeg(label, "any", number)?;
            for fold in 0..10 {
                let part = (number + fold) % 3;
                lists[fold * 3 + part].push_str(&format!("{name}\n"));
            }
            draft.expect(parts[number % 3], &name, label, &bytes);
            draft.put(archive, format!("dtd/images/{name}"), bytes);
        }
    }
    draft.put(archive, "dtd/imdb/imdb.mat", *b"MATLAB 5.0 MAT-file");
    for (at, list) in lists.into_iter().enumerate() {
        draft.put(archive, format!("dtd/labels/{}{}.txt", parts[at % 3], at / 3 + 1), list);
    }
    draft.put(archive, "dtd/labels/labels_joint_anno.txt", *b"a/b.jpg a b\n");
    draft.litter(archive, "dtd/images");
    Ok(())
}

/// `101_ObjectCategories/<class>/image_NNNN.jpg`, one grey, a stray `tmp` in the background class, Annotations beside.
pub(super) fn make_caltech101(draft: &mut Draft<'_>) -> Result<()> {
    draft.name_classes(draft.num_classes(102), Spelling::Caltech);
    let archive = match draft.config.dataset {
        Dataset::Caltech101Tar => draft.package("101_ObjectCategories.tar.gz", Pack::TarGz),
        _ => draft.package("caltech-101.zip", Pack::TarGzInZip("caltech-101/101_ObjectCategories.tar.gz")),
    };
    for label in 0..draft.classes.len() {
        let class = draft.classes[label].name.clone();
        for number in 0..draft.count(label, 9_144) {
            let name = format!("{class}/image_{:04}.jpg", number + 1);
            let bytes = if label == 3 && number == 0 {
                let grey = Encoding::Jpeg { quality: 90, chroma: Chroma::Grey, progressive: false };
                grey.encode(&draft.plan(label, "any", number, [48, 96]).pixels())?
            } else {
                draft.jpeg(label, "any", number)?
            };
            draft.expect("any", &name, label, &bytes);
            draft.put(archive, format!("101_ObjectCategories/{name}"), bytes);
        }
    }
    draft.put(archive, "101_ObjectCategories/BACKGROUND_Google/tmp", *b"not a picture\n");
    draft.litter(archive, "101_ObjectCategories");
    Ok(())
}

/// `2750/<Class>/<Class>_<n>.jpg` of 64×64; on Zenodo the folder is `EuroSAT_RGB`.
pub(super) fn make_eurosat(draft: &mut Draft<'_>) -> Result<()> {
    draft.name_classes(draft.num_classes(10), Spelling::Capitals);
    let (archive, folder) = match draft.config.dataset {
        Dataset::EurosatZenodo => ("EuroSAT_RGB.zip", "EuroSAT_RGB"),
        _ => ("EuroSAT.zip", "2750"),
    };
    let archive = draft.package(archive, Pack::Zip);
    // Largest and smallest class differ, as there.
    for label in 0..draft.classes.len() {
        let class = draft.classes[label].name.clone();
        let shares = [30, 30, 30, 25, 25, 20, 25, 30, 25, 30];
        let mean = if draft.config.real_size { 2_700 } else { draft.config.per_class };
        let count = mean * shares[label % shares.len()] / 27;
        for number in 0..count.max(1) {
            let name = format!("{class}/{class}_{}.jpg", number + 1);
            let bytes = match draft.config.real_size {
                true => draft.jpeg(label, "any", number)?,
                false => draft.plan(label, "any", number, [64, 64]).bytes()?,
            };
            draft.expect("any", &name, label, &bytes);
            draft.put(archive, format!("{folder}/{name}"), bytes);
        }
    }
    draft.litter(archive, folder);
    Ok(())
}
