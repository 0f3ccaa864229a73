//! Oxford-IIIT Pet (Parkhi et al. 2012): `images.tar.gz` with `images/<Breed>_<n>.jpg`, `annotations.tar.gz` with
//! `annotations/{trainval,test}.txt`, a line `<Breed>_<n> <class 1–37> <species> <breed>` each. 3,680 and 3,669 pictures;
//! the study's table has one test picture less, probably a line eaten as a header.
//!
//! A dozen files are no JPEG in spite of their names, or have damaged ends ([`KNOWN_ODD`]): formats are told by content,
//! and what of a damaged picture can be decoded is the decoder's business.

use std::collections::HashMap;

use super::assembly::Assembly;
use super::config::DatasetConfig;
use super::error::DatasetError;
use super::list::{Numbered, lines, wrong_line};
use super::set::{LabelledSet, Part, Place};
use super::tree::{Search, ends_in, is_picture};

/// Pictures that are PNG or GIF inside, or JPEGs with corrupt tails (the last two).
pub(super) const KNOWN_ODD: [&str; 12] = [
    "Abyssinian_5",
    "Abyssinian_34",
    "Egyptian_Mau_14",
    "Egyptian_Mau_139",
    "Egyptian_Mau_145",
    "Egyptian_Mau_156",
    "Egyptian_Mau_167",
    "Egyptian_Mau_177",
    "Egyptian_Mau_186",
    "Egyptian_Mau_191",
    "beagle_116",
    "chihuahua_121",
];
/// Most classes a list may number.
const MAX_CLASSES: usize = 10_000;

pub(super) fn read(config: &DatasetConfig) -> Result<LabelledSet, DatasetError> {
    let within = &["oxford-iiit-pet", "oxford_pets", "pets"];
    let images = Search { within, folders: &["images"], archives: &["images.tar.gz"], marks: &[] }
        .require(&config.root, "the pictures of Oxford-IIIT Pet")?;
    let annotations =
        Search { within, folders: &["annotations"], archives: &["annotations.tar.gz"], marks: &[] }
            .require(&config.root, "the annotations of Oxford-IIIT Pet")?;
    let listing = images.list(&|_| false)?;
    let files: HashMap<&str, &str> = listing
        .files
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| is_picture(name))
        .filter_map(|name| Some((name.rsplit('/').next()?.rsplit_once('.')?.0, name)))
        .collect();
    let parts = [(Part::Train, "trainval.txt"), (Part::Test, "test.txt")];
    let lists = annotations.list(&|name| parts.iter().any(|(_, end)| ends_in(name, end)))?;
    let mut set = Assembly::new(config, Vec::new());
    let mut classes = Numbered::new("class", 1);
    let mut odd = 0;
    for (part, end) in parts {
        let (file, bytes) = lists.text(end).ok_or_else(|| {
            DatasetError::missing(annotations.path(), format!("the split file {end} is not in it"))
        })?;
        let file = annotations.file(file);
        for (number, line) in lines(&file, bytes)? {
            let mut words = line.split_whitespace();
            let id = words.next().unwrap_or_default();
            let class = words.next().and_then(|word| word.parse::<usize>().ok());
            let breed = id.rsplit_once('_').filter(|(_, number)| number.parse::<u32>().is_ok());
            let (Some(class), Some((breed, _))) = (class, breed) else {
                return Err(wrong_line(&file, number, line, "is not BREED_NUMBER CLASS …"));
            };
            if !(1..=MAX_CLASSES).contains(&class) {
                return Err(wrong_line(&file, number, line, "has a class out of range; they count from 1"));
            }
            let label = classes.label(class, breed).map_err(|rule| wrong_line(&file, number, line, &rule))?;
            match files.get(id) {
                Some(picture) => {
                    odd += usize::from(KNOWN_ODD.contains(&id));
                    let name = (*picture).into();
                    set.add(part, label, id, Place::File { tree: 0, name });
                }
                None => set.miss(id),
            }
        }
    }
    set.classes = classes.names().map_err(|class| {
        let rule = format!("class {class} has no picture in trainval.txt or test.txt");
        DatasetError::wrong(annotations.path().display().to_string(), rule)
    })?;
    if odd > 0 {
        set.notes
            .push(format!("{odd} pictures are known to be PNG or GIF inside .jpg, or to have damaged ends"));
    }
    set.with_tree(images).finish("trainval.txt and test.txt", "")
}
