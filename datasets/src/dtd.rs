//! Describable Textures (Cimpoi et al. 2014), release 1.0.1: `dtd/images/<class>/<file>.jpg` and ten splits
//! `dtd/labels/{train,val,test}{1..10}.txt` of 40 pictures a class each. The label is the place of the class in the
//! sorted names of the folders. The study used `train1` and `test1`, and `val1` not at all.

use std::collections::HashMap;

use super::assembly::{Assembly, label_of, sorted_unique};
use super::config::DatasetConfig;
use super::error::DatasetError;
use super::list::{lines, wrong_line};
use super::set::{LabelledSet, Part};
use super::tree::{Search, below, ends_in, is_picture};

pub(super) fn read(config: &DatasetConfig) -> Result<LabelledSet, DatasetError> {
    if !(1..=10).contains(&config.fold) {
        let rule = format!("fold = {}: there are ten, 1 to 10", config.fold);
        return Err(DatasetError::Config { kind: "dtd", rule });
    }
    let search = Search {
        within: &["dtd"],
        folders: &["dtd"],
        archives: &["dtd-r1.0.1.tar.gz", "dtd-r1.0.1-tar.gz", "dtd.tar.gz"],
        marks: &["images", "labels"],
    };
    // A folder that holds `images` and `labels` is the unpacked one, even where another `dtd` lies in it.
    let tree = search.require(&config.root, "DTD")?;
    let list_names = [Part::Train, Part::Val, Part::Test]
        .map(|part| (part, format!("labels/{}{}.txt", part.as_str(), config.fold)));
    let listing = tree.list(&|name| list_names.iter().any(|(_, end)| ends_in(name, end)))?;
    let images: HashMap<&str, &str> = listing
        .files
        .iter()
        .filter(|(name, _)| is_picture(name))
        .filter_map(|(name, _)| Some((below(name, "images")?, name.as_str())))
        .collect();
    let classes = images.keys().filter_map(|name| name.split_once('/')).map(|(class, _)| class.to_owned());
    let mut set = Assembly::new(config, sorted_unique(classes.collect()));
    let classes = set.classes.clone();
    let labels = label_of(&classes);
    for (part, end) in list_names {
        let (file, bytes) = listing.text(&end).ok_or_else(|| {
            DatasetError::missing(tree.path(), format!("the split file {end} is not in it"))
        })?;
        let file = tree.file(file);
        for (number, line) in lines(&file, bytes)? {
            let label = line.split_once('/').and_then(|(class, _)| labels.get(class));
            match (label, images.get(line)) {
                (Some(&label), Some(image)) => set.add_file(part, label, line, *image),
                (Some(_), None) => set.miss(line),
                (None, _) => {
                    return Err(wrong_line(&file, number, line, "is not CLASS/FILE of a class in images"));
                }
            }
        }
    }
    set.with_tree(tree.clone()).finish(&format!("labels/*{}.txt", config.fold), "")
}
