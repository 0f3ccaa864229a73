//! Cassava leaf diseases (Mwebaze et al. 2019), Kaggle's `cassava-leaf-disease-classification`: `train.csv` with
//! `image_id,label`, `train_images/<image_id>`, `label_num_to_disease_map.json` with the names of the five labels.
//! Kaggle's test pictures have no labels, so a fifth of each class is held out, 17,117 and 4,280 as in the study, whose
//! seed is not known.

use std::collections::{BTreeMap, HashMap};

use super::assembly::Assembly;
use super::config::DatasetConfig;
use super::error::{DatasetError, shown};
use super::set::{LabelledSet, Part};
use super::tree::{Search, ends_in, is_picture};

/// Share of the test split.
const TEST_SHARE: f64 = 0.2;
const TABLE: &str = "train.csv";
const NAMES: &str = "label_num_to_disease_map.json";
const PICTURES: &str = "train_images";

pub(super) fn read(config: &DatasetConfig) -> Result<LabelledSet, DatasetError> {
    let search = Search {
        within: &[],
        folders: &["cassava-leaf-disease-classification"],
        archives: &["cassava-leaf-disease-classification.zip"],
        marks: &[TABLE, PICTURES],
    };
    let tree = search.require(&config.root, "Cassava")?;
    let listing = tree.list(&|name| ends_in(name, TABLE) || ends_in(name, NAMES))?;
    let text = |end: &str| {
        let found = listing.text(end);
        found
            .map(|(file, bytes)| (tree.file(file), bytes))
            .ok_or_else(|| DatasetError::missing(tree.path(), format!("the file {end} is not in it")))
    };
    let (file, bytes) = text(NAMES)?;
    let classes = class_names(&file, bytes)?;
    let files: HashMap<&str, &str> = listing
        .files
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| is_picture(name))
        .filter_map(|name| Some((super::tree::below(name, PICTURES)?, name)))
        .collect();
    let mut set = Assembly::new(config, classes);
    let (file, bytes) = text(TABLE)?;
    let bytes = &super::csv::plain_lines(bytes);
    for row in rows(&file, bytes, set.classes.len())? {
        let (id, label) = row?;
        match files.get(id.as_str()) {
            Some(picture) => set.add_file(Part::Train, label, id, *picture),
            None => set.miss(id),
        }
    }
    set.hold_out_test(TEST_SHARE);
    set.with_tree(tree).finish(TABLE, "")
}

/// `{"0": "name", …}` in order; labels count from 0 without a gap.
fn class_names(file: &str, bytes: &[u8]) -> Result<Vec<String>, DatasetError> {
    let names: BTreeMap<String, String> = serde_json::from_slice(bytes).map_err(|error| {
        DatasetError::wrong(file, format!("no JSON object of names: {}", shown(&error.to_string())))
    })?;
    let mut numbered = Vec::new();
    for (label, name) in names {
        let number: usize = label
            .parse()
            .map_err(|_| DatasetError::wrong(file, format!("{:?} is no label", shown(&label))))?;
        numbered.push((number, name));
    }
    numbered.sort();
    if let Some((_, (number, _))) = numbered.iter().enumerate().find(|(at, (number, _))| at != number) {
        return Err(DatasetError::wrong(
            file,
            format!("labels do not count from 0: {number} is out of line"),
        ));
    }
    Ok(numbered.into_iter().map(|(_, name)| name).collect())
}

type Row = Result<(String, u32), DatasetError>;

fn rows<'a>(
    file: &'a str,
    bytes: &'a [u8],
    classes: usize,
) -> Result<impl Iterator<Item = Row> + 'a, DatasetError> {
    let mut reader = ::csv::ReaderBuilder::new().from_reader(bytes);
    let headers =
        reader.headers().map_err(|error| DatasetError::wrong(file, shown(&error.to_string())))?.clone();
    let column = |name: &str| {
        let found = headers.iter().position(|header| header.trim() == name);
        found.ok_or_else(|| DatasetError::wrong(file, format!("no column {name} in its header")))
    };
    let (id, label) = (column("image_id")?, column("label")?);
    Ok(reader.into_records().map(move |record| {
        let record = record.map_err(|error| DatasetError::wrong(file, shown(&error.to_string())))?;
        let line = record.position().map_or(0, ::csv::Position::line);
        let text = record.get(label).unwrap_or_default().trim();
        let number = text.parse::<u32>().ok().filter(|&number| (number as usize) < classes);
        let number = number.ok_or_else(|| {
            let rule = format!("label {:?} is none of 0 to {}", shown(text), classes.saturating_sub(1));
            DatasetError::wrong(format!("{file} line {line}"), rule)
        })?;
        Ok((record.get(id).unwrap_or_default().trim().to_owned(), number))
    }))
}
