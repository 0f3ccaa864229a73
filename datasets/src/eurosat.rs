//! EuroSAT in RGB (Helber et al. 2019): `2750/<Class>/<Class>_<n>.jpg` of `EuroSAT.zip`, or `EuroSAT_RGB/…` of the
//! archive on Zenodo; 27,000 pictures of 64×64 pixels. No official split: a fifth of each class is held out to test on,
//! 21,600 and 5,400, as in the study, whose seed is not known. `EuroSAT_MS` has 13 bands and is not read.

use super::assembly::Assembly;
use super::class_folders;
use super::config::DatasetConfig;
use super::error::DatasetError;
use super::set::{LabelledSet, Part};
use super::tree::{Search, below, is_picture};

/// Share of the test split.
const TEST_SHARE: f64 = 0.2;

pub(super) fn read(config: &DatasetConfig) -> Result<LabelledSet, DatasetError> {
    let search = Search {
        within: &["EuroSAT", "eurosat"],
        folders: &["2750", "EuroSAT_RGB"],
        archives: &["EuroSAT.zip", "EuroSAT_RGB.zip", "images.tar.gz"],
        marks: &["AnnualCrop"],
    };
    let tree = search.require(&config.root, "EuroSAT")?;
    let listing = tree.list(&|_| false)?;
    let is_tiff = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.ends_with(".tif") || name.ends_with(".tiff")
    };
    let has = |anchor: &str| listing.files.iter().any(|(name, _)| below(name, anchor).is_some());
    let anchor = if has("2750") { "2750" } else { "EuroSAT_RGB" };
    let mut set = Assembly::new(config, Vec::new());
    class_folders::add(&mut set, &listing, anchor, &|name| is_picture(name) && !is_tiff(name));
    if set.len(Part::Train) == 0 && listing.files.iter().any(|(name, _)| is_tiff(name)) {
        let rule = "these are the 13-band TIFFs of EuroSAT_MS; the RGB set is EuroSAT.zip or EuroSAT_RGB.zip";
        return Err(DatasetError::wrong(tree.path().display().to_string(), rule));
    }
    set.hold_out_test(TEST_SHARE);
    set.with_tree(tree).finish("it", "")
}
