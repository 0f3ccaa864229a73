//! DomainNet (Peng et al. 2019), one domain at a time: `real.zip`, `clipart.zip` with `<domain>/<class>/<file>`, and the
//! lists `<domain>_{train,test}.txt`, a line `<domain>/<class>/<file> <label 0–344>` each. The lists fit the *cleaned*
//! clipart archive (`groundtruth/clipart.zip`); with the original one pictures are missing, and the message says so.
//!
//! Lists are looked for beside the archive, in the folders the site has them in, and in the archive.

use std::collections::HashMap;

use super::assembly::Assembly;
use super::config::DatasetConfig;
use super::error::DatasetError;
use super::list::{Numbered, lines, wrong_line};
use super::set::{LabelledSet, Part};
use super::tree::{Search, Tree, below, ends_in, file_in};

/// Most classes a list may number.
const MAX_CLASSES: u32 = 100_000;
/// Where people keep the lists.
const LIST_FOLDERS: [&str; 8] =
    ["", "txt", "domainnet/txt", "groundtruth/txt", "groundtruth", "splits", "domainnet", "domainnet/splits"];

pub(super) fn read(config: &DatasetConfig, domain: &str) -> Result<LabelledSet, DatasetError> {
    let archive = format!("{domain}.zip");
    let grouped = format!("groundtruth/{domain}.zip");
    let search = Search {
        within: &["domainnet", "DomainNet", "groundtruth"],
        folders: &[domain],
        archives: &[&archive, &grouped],
        marks: &["aircraft_carrier"],
    };
    let tree = search.require(&config.root, &format!("DomainNet's {domain}"))?;
    let parts = [Part::Train, Part::Test].map(|part| (part, format!("{domain}_{}.txt", part.as_str())));
    let listing = tree.list(&|name| parts.iter().any(|(_, end)| ends_in(name, end)))?;
    let files: HashMap<&str, &str> =
        listing.files.iter().map(|(name, _)| (below(name, domain).unwrap_or(name), name.as_str())).collect();
    let mut set = Assembly::new(config, Vec::new());
    let mut classes = Numbered::new("label", 0);
    for (part, end) in &parts {
        let (file, bytes) = match listing.text(end) {
            Some((file, bytes)) => (tree.file(file), bytes.to_owned()),
            None => beside(config, &tree, end)?,
        };
        for (number, line) in lines(&file, &bytes)? {
            let parsed = line.rsplit_once([' ', '\t']).and_then(|(path, label)| {
                let path = path.trim().trim_start_matches("./");
                let name = below(path, domain).unwrap_or(path);
                Some((name, name.split_once('/')?.0, label.parse::<u32>().ok()?))
            });
            let Some((name, class, label)) = parsed else {
                let rule = format!("is not {domain}/CLASS/FILE LABEL");
                return Err(wrong_line(&file, number, line, &rule));
            };
            if label >= MAX_CLASSES {
                return Err(wrong_line(&file, number, line, "has a label out of range"));
            }
            let label = classes
                .label(label as usize, class)
                .map_err(|rule| wrong_line(&file, number, line, &rule))?;
            match files.get(name) {
                Some(picture) => set.add_file(*part, label, name, *picture),
                None => set.miss(name),
            }
        }
    }
    set.classes = classes.names().map_err(|label| {
        let rule = format!("label {label} is in neither {} nor {}", parts[0].1, parts[1].1);
        DatasetError::wrong(config.root.display().to_string(), rule)
    })?;
    let hint = match domain {
        "clipart" => {
            " (the lists fit the cleaned archive, groundtruth/clipart.zip, not the original clipart.zip)"
        }
        _ => "",
    };
    let lists = format!("{} and {}", parts[0].1, parts[1].1);
    set.with_tree(tree).finish(&lists, hint)
}

/// A list that lies beside the pictures.
fn beside(config: &DatasetConfig, tree: &Tree, name: &str) -> Result<(String, Vec<u8>), DatasetError> {
    let root = config.folder();
    let mut folders: Vec<_> = LIST_FOLDERS.iter().map(|folder| root.join(folder)).collect();
    // The root may be the archive or the unpacked folder itself.
    folders.extend(
        tree.path().parent().into_iter().flat_map(|parent| LIST_FOLDERS.map(|name| parent.join(name))),
    );
    let Some(path) = folders.iter().find_map(|folder| file_in(folder, name)) else {
        let what =
            format!("the split file {name} is neither there nor in txt, domainnet/txt or groundtruth/txt");
        return Err(DatasetError::missing(&root, what));
    };
    let bytes = std::fs::read(&path).map_err(DatasetError::read(&path))?;
    Ok((path.display().to_string(), bytes))
}
