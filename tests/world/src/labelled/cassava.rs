//! Cassava as Kaggle hands it out: a table, a map of labels, folders of pictures with and without labels.

use serde_json::{Map, json};

use super::Draft;
use super::class::Spelling;
use super::package::Pack;
use crate::error::Result;

pub(super) fn make(draft: &mut Draft<'_>) -> Result<()> {
    draft.name_classes(draft.num_classes(5), Spelling::Spaces);
    let last = draft.classes.len() - 1;
    let mut map = Map::new();
    for (label, class) in draft.classes.iter_mut().enumerate() {
        let words: Vec<_> = class.name.split(' ').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
        let initials: String = words.iter().map(|word| &word[..1]).collect();
        class.name = match label == last {
            true => "Healthy".to_owned(),
            false => format!("Cassava {} Disease (C{initials}D)", words.join(" ")),
        };
        map.insert(label.to_string(), json!(class.name));
    }
    draft.truth.classes = draft.classes.iter().map(|class| class.name.clone()).collect();
    let archive = draft.package("cassava-leaf-disease-classification.zip", Pack::Zip);
    let mut rows = Vec::new();
    for label in 0..draft.classes.len() {
        // Far from balanced: class 3 is most of it.
        let real = [1_087, 2_189, 2_386, 13_158, 2_577];
        let count = match draft.config.real_size {
            true => real[label % real.len()],
            false => draft.config.per_class * if label == 3 { 6 } else { 1 },
        };
        for number in 0..count {
            let id = format!("{}.jpg", 1_000_015_157 + (number * 1_009 + label) as u64 * 97);
            let bytes = draft.jpeg(label, "any", number)?;
            rows.push(format!("{id},{label}\n"));
            draft.expect("any", &id, label, &bytes);
            draft.put(archive, format!("train_images/{id}"), bytes);
        }
    }
    // Kaggle's rows are in no order of labels.
    rows.sort();
    draft.put(archive, "train.csv", format!("image_id,label\n{}", rows.concat()));
    draft.put(archive, "label_num_to_disease_map.json", json!(map).to_string());
    draft.put(archive, "sample_submission.csv", *b"image_id,label\n2216849948.jpg,4\n");
    let unlabelled = draft.jpeg(0, "kaggle", 0)?;
    draft.put(archive, "test_images/2216849948.jpg", unlabelled);
    draft.put(archive, "train_tfrecords/ld_train00-1338.tfrec", *b"tfrecord");
    Ok(())
}
