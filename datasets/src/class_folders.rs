//! Pictures that lie in a folder per class and in no splits, whatever is packed around those folders.

use std::collections::BTreeSet;

use super::assembly::{Assembly, label_of, sorted_unique};
use super::set::Part;
use super::tree::{LeftOut, Listing, below, is_picture};

/// Adds every picture `<class>/<file>` below the folder `anchor`, or of the whole tree where there is none, to train;
/// classes are the folders in ASCII order.
pub(super) fn add(
    set: &mut Assembly<'_>,
    listing: &Listing<'_>,
    anchor: &str,
    is_wanted: &dyn Fn(&str) -> bool,
) {
    let anchored = listing.files.iter().any(|(name, _)| below(name, anchor).is_some());
    let mut found: Vec<(&str, &str)> = Vec::new();
    let mut outside = LeftOut::default();
    let mut others: BTreeSet<&str> = BTreeSet::new();
    for (file, _) in &listing.files {
        let name = if anchored { below(file, anchor) } else { Some(file.as_str()) };
        let Some(name) = name.filter(|name| name.matches('/').count() == 1) else {
            if name.is_some() && is_picture(file) {
                outside.add(file);
            }
            continue;
        };
        if is_wanted(name) {
            found.push((name, file));
        } else {
            others.insert(name);
        }
    }
    // An archive's order is whoever packed it; that of the names is everybody's.
    found.sort_unstable();
    let classes =
        found.iter().filter_map(|(name, _)| name.split_once('/')).map(|(class, _)| class.to_owned());
    set.classes = sorted_unique(classes.collect());
    let classes = set.classes.clone();
    let labels = label_of(&classes);
    for (name, file) in found {
        if let Some(&label) = name.split_once('/').and_then(|(class, _)| labels.get(class)) {
            set.add_file(Part::Train, label, name, file);
        }
    }
    set.notes.extend(listing.notes());
    set.notes.extend(outside.note("pictures lie in no class folder, or deeper than one, and are left out"));
    if let Some(first) = others.first() {
        set.notes.push(format!("{} files are no pictures, such as {first}", others.len()));
    }
}
