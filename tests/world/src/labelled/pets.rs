//! Oxford-IIIT Pet: two archives, lists by image id, and pictures that are PNG or GIF inside `.jpg` or end too early.

use super::Draft;
use super::class::Spelling;
use super::package::Pack;
use crate::encode::Encoding;
use crate::error::Result;

pub(super) fn make(draft: &mut Draft<'_>) -> Result<()> {
    draft.name_classes(draft.num_classes(37), Spelling::Pets);
    let images = draft.package("images.tar.gz", Pack::TarGz);
    let annotations = draft.package("annotations.tar.gz", Pack::TarGz);
    let mut lists = [String::new(), String::new()];
    for label in 0..draft.classes.len() {
        let breed = draft.classes[label].name.clone();
        let species = if breed.starts_with(char::is_uppercase) { 1 } else { 2 };
        let counts = [draft.count(label, 3_680), draft.count(label, 3_669)];
        for number in 0..2 * counts[0].max(counts[1]) {
            let (at, part) = [(0, "trainval"), (1, "test")][number % 2];
            if number / 2 >= counts[at] {
                continue;
            }
            let id = match (breed.as_str(), number) {
                ("Abyssinian", 0) => "Abyssinian_5".to_owned(),
                ("Egyptian_Mau", 1) => "Egyptian_Mau_14".to_owned(),
                ("beagle", 0) => "beagle_116".to_owned(),
                _ => format!("{breed}_{}", 200 + number),
            };
            let pixels = || draft.plan(label, "any", number, [48, 96]).pixels();
            let bytes = match id.as_str() {
                "Abyssinian_5" => Encoding::Png.encode(&pixels())?,
                "Egyptian_Mau_14" => Encoding::Gif.encode(&pixels())?,
                "beagle_116" => {
                    let mut bytes = draft.plan(label, "any", number, [48, 96]).bytes()?;
                    bytes.truncate(bytes.len() * 4 / 5);
                    bytes
                }
                _ => draft.jpeg(label, "any", number)?,
            };
            lists[at].push_str(&format!("{id} {} {species} {}\n", label + 1, label / 2 + 1));
            let part = if part == "trainval" { "train" } else { "test" };
            draft.expect(part, &id, label, &bytes);
            draft.put(images, format!("images/{id}.jpg"), bytes);
            draft.put(annotations, format!("annotations/trimaps/{id}.png"), *b"\x89PNG");
            // The real archive has these.
            draft.put(annotations, format!("annotations/trimaps/._{id}.png"), *b"\0\x05\x16\x07");
        }
    }
    draft.put(images, "images/Abyssinian_5.mat", *b"MATLAB 5.0 MAT-file");
    draft.litter(images, "images");
    let all = format!("#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37 Class ids\n{}{}", lists[0], lists[1]);
    let [trainval, test] = lists;
    for (name, text) in [("list", all), ("trainval", trainval), ("test", test)] {
        draft.put(annotations, format!("annotations/{name}.txt"), text);
    }
    Ok(())
}
