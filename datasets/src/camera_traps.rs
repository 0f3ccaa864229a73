//! Caltech Camera Traps, CCT-20 (Beery et al. 2018): `eccv_18_all_images_sm.tar.gz` with the pictures and
//! `eccv_18_annotations.tar.gz` with `{train,cis_val,cis_test,…}_annotations.json` in COCO's form. Train, cis_val and
//! cis_test are read: 13,553, 3,484 and 15,827 listed images.
//!
//! Boxes become labels of whole images: an image's label is the one kind that its boxes show. Left out, and counted in the
//! notes: images of the category `empty` (none in train), images without any annotation, and images that show two kinds
//! (7 of train), which have no one label. So N is told by the set, not by a table; the paper's 14,071 and 16,395 are
//! counts of boxes. Labels are in the order of category ids, without `empty`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::assembly::Assembly;
use super::config::{Counts, DatasetConfig};
use super::error::{DatasetError, shown};
use super::set::{LabelledSet, Part};
use super::tree::{Search, ends_in, is_picture};

const PARTS: [(Part, &str, usize); 3] = [
    (Part::Train, "train_annotations.json", 13_553),
    (Part::Val, "cis_val_annotations.json", 3_484),
    (Part::Test, "cis_test_annotations.json", 15_827),
];
const EMPTY: &str = "empty";

#[derive(Deserialize)]
struct Annotations {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: String,
    #[serde(default)]
    file_name: Option<String>,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: String,
    category_id: i64,
}

#[derive(Deserialize)]
struct Category {
    id: i64,
    name: String,
}

pub(super) fn read(config: &DatasetConfig) -> Result<LabelledSet, DatasetError> {
    let within = &["caltechcameratraps", "caltech-camera-traps", "cct20", "CameraTraps"];
    let images = Search {
        within,
        folders: &["eccv_18_all_images_sm"],
        archives: &["eccv_18_all_images_sm.tar.gz"],
        marks: &[],
    }
    .require(&config.root, "the pictures of CCT-20")?;
    let tree = Search {
        within,
        folders: &["eccv_18_annotation_files", "eccv_18_annotations"],
        archives: &["eccv_18_annotations.tar.gz"],
        marks: &["train_annotations.json"],
    }
    .require(&config.root, "the annotations of CCT-20")?;
    let texts = tree.list(&|name| PARTS.iter().any(|(_, end, _)| ends_in(name, end)))?;
    let mut parts = Vec::new();
    for (part, end, listed) in PARTS {
        let (file, bytes) = texts.text(end).ok_or_else(|| {
            DatasetError::missing(tree.path(), format!("the split file {end} is not in it"))
        })?;
        let file = tree.file(file);
        let annotations: Annotations = serde_json::from_slice(bytes).map_err(|error| {
            DatasetError::wrong(&file, format!("no COCO annotations: {}", shown(&error.to_string())))
        })?;
        if config.counts == Counts::Asserted && annotations.images.len() != listed {
            let found = annotations.images.len();
            let rule = format!(
                "lists {found} images where CCT-20 has {listed}; fetch it again, or set counts = \"reported\""
            );
            return Err(DatasetError::wrong(file, rule));
        }
        parts.push((part, file, annotations));
    }
    let listing = images.list(&|_| false)?;
    let files: HashMap<&str, &str> = listing
        .files
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| is_picture(name))
        .filter_map(|name| Some((name.rsplit('/').next()?, name)))
        .collect();
    let (classes, labels) = classes(&parts)?;
    let mut set = Assembly::new(config, classes);
    for (part, file, annotations) in &parts {
        let mut kinds: HashMap<&str, BTreeSet<i64>> = HashMap::new();
        for annotation in &annotations.annotations {
            kinds.entry(&annotation.image_id).or_default().insert(annotation.category_id);
        }
        let (mut empty, mut several, mut none) = (0usize, 0usize, 0usize);
        for image in &annotations.images {
            let shown_kinds = kinds.remove(image.id.as_str()).unwrap_or_default();
            let labels: Vec<u32> = shown_kinds.iter().filter_map(|kind| labels.get(kind).copied()).collect();
            match labels[..] {
                [label] => {
                    let name = image.file_name.clone().unwrap_or_else(|| format!("{}.jpg", image.id));
                    match name.rsplit('/').next().and_then(|name| files.get(name)) {
                        Some(picture) => set.add_file(*part, label, image.id.as_str(), *picture),
                        None => set.miss(name),
                    }
                }
                [] if shown_kinds.is_empty() => none += 1,
                [] => empty += 1,
                _ => several += 1,
            }
        }
        if let Some(id) = kinds.keys().min() {
            let rule = format!("annotates image {:?}, which it does not list", shown(id));
            return Err(DatasetError::wrong(file, rule));
        }
        set.notes.push(format!(
            "{}: {} of {} listed images have one kind; left out: {empty} empty, {several} of several kinds, {none} without annotation",
            part.as_str(),
            annotations.images.len() - empty - several - none,
            annotations.images.len(),
        ));
    }
    set.with_tree(images).finish("the annotations", "")
}

/// Names and labels by category id, of the categories that any annotation has, without `empty`.
fn classes(parts: &[(Part, String, Annotations)]) -> Result<(Vec<String>, BTreeMap<i64, u32>), DatasetError> {
    let mut names: BTreeMap<i64, &str> = BTreeMap::new();
    let mut used = BTreeSet::new();
    for (_, file, annotations) in parts {
        for category in &annotations.categories {
            let before = *names.entry(category.id).or_insert(&category.name);
            if before != category.name {
                let (id, name) = (category.id, shown(&category.name));
                let rule = format!("calls category {id} {name:?}; train calls it {:?}", shown(before));
                return Err(DatasetError::wrong(file, rule));
            }
        }
        for annotation in &annotations.annotations {
            if !names.contains_key(&annotation.category_id) {
                let rule = format!(
                    "image {:?} has category {}, which is not in its list",
                    shown(&annotation.image_id),
                    annotation.category_id
                );
                return Err(DatasetError::wrong(file, rule));
            }
            used.insert(annotation.category_id);
        }
    }
    let kept: Vec<_> = names.into_iter().filter(|(id, name)| *name != EMPTY && used.contains(id)).collect();
    let labels = kept.iter().zip(0..).map(|((id, _), label)| (*id, label)).collect();
    Ok((kept.into_iter().map(|(_, name)| name.to_owned()).collect(), labels))
}
