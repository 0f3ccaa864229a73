//! Sets that anyone might have: folders with odd names, a table, labelled shards.

use std::path::Path;

use super::class::Spelling;
use super::package::Pack;
use super::{Draft, Form};
use crate::encode::Encoding;
use crate::error::{Error, Result};

/// Where the linked class lies, beside the set.
const LINKED: &str = "elsewhere";

/// `flowers/{train,valid,test}/<class>/…`: a class with spaces and accents, folders within a class, upper-case suffixes,
/// a PNG, a text file; unpacked, one class of train is a link.
pub(super) fn make_folder(draft: &mut Draft<'_>) -> Result<()> {
    draft.name_classes(draft.num_classes(4), Spelling::Underscores);
    let last = draft.classes.len() - 1;
    draft.classes[last].name = "été & 夏 #1".to_owned();
    draft.truth.classes = draft.classes.iter().map(|class| class.name.clone()).collect();
    let archive = draft.package("flowers.zip", Pack::Zip);
    for (part, folder) in [("train", "train"), ("val", "valid"), ("test", "test")] {
        for label in 0..draft.classes.len() {
            let class = draft.classes[label].name.clone();
            for number in 0..draft.config.per_class {
                let name = match number {
                    0 => format!("{class}/IMG_{number}.JPG"),
                    1 => format!("{class}/more/b {number}.png"),
                    _ => format!("{class}/{number}.jpeg"),
                };
                let bytes = match number {
                    1 => Encoding::Png.encode(&draft.plan(label, part, number, [48, 96]).pixels())?,
                    _ => draft.jpeg(label, part, number)?,
                };
                draft.expect(part, &name, label, &bytes);
                let linked = draft.config.form == Form::Folder && label == 0 && part == "train";
                match linked {
                    true => {
                        let rest = name.split_once('/').map_or("", |(_, rest)| rest);
                        draft.put(archive, format!("{LINKED}/{class}/{rest}"), bytes);
                    }
                    false => draft.put(archive, format!("flowers/{folder}/{name}"), bytes),
                }
            }
        }
    }
    draft.put(archive, "flowers/README.txt", *b"flowers of the miniature web\n");
    draft.put(archive, "flowers/train/.ipynb_checkpoints/a.jpg", *b"no picture");
    draft.litter(archive, "flowers/train");
    Ok(())
}

/// Links the class that lies elsewhere, and a folder into itself.
pub(super) fn link(out: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        let elsewhere = out.join(LINKED);
        let train = out.join("flowers/train");
        for entry in std::fs::read_dir(&elsewhere).map_err(Error::io(&elsewhere))? {
            let entry = entry.map_err(Error::io(&elsewhere))?;
            let target = Path::new("../..").join(LINKED).join(entry.file_name());
            let link = train.join(entry.file_name());
            std::os::unix::fs::symlink(&target, &link).map_err(Error::io(&link))?;
            let ring = entry.path().join("ring");
            std::os::unix::fs::symlink(".", &ring).map_err(Error::io(&ring))?;
        }
    }
    Ok(())
}

/// `labels.csv` with `filename,label,split`, names as labels, quoted paths; pictures in `pictures/`.
pub(super) fn make_csv(draft: &mut Draft<'_>) -> Result<()> {
    draft.name_classes(draft.num_classes(4), Spelling::Underscores);
    let files = draft.package("pictures.zip", Pack::Loose);
    let mut table = "\u{feff}filename,width,label,split\r\n".to_owned();
    for (part, word) in [("train", "train"), ("val", "validation"), ("test", "test")] {
        for label in 0..draft.classes.len() {
            let class = draft.classes[label].name.clone();
            for number in 0..draft.config.per_class {
                let name = format!("pictures/{part}, {class} {number}.jpg");
                let bytes = draft.jpeg(label, part, number)?;
                table.push_str(&format!("\"{name}\",64,{class},{word}\r\n"));
                draft.expect(part, &name, label, &bytes);
                draft.put(files, name, bytes);
            }
        }
    }
    draft.put(files, "labels.csv", table);
    Ok(())
}

/// `train-00000.tar`, `train-00001.tar`, `test-00000.tar` with `jpg` and `cls`, and `classes.txt`.
pub(super) fn make_shards(draft: &mut Draft<'_>) -> Result<()> {
    draft.name_classes(draft.num_classes(4), Spelling::Spaces);
    for (part, shard, shards) in [("train", 0, 2), ("train", 1, 2), ("test", 0, 1)] {
        let stem = format!("{part}-{shard:05}");
        let tar = draft.package(&format!("{stem}.tar"), Pack::Tar);
        for number in (0..draft.config.per_class).filter(|number| number % shards == shard) {
            for label in 0..draft.classes.len() {
                let key = format!("{:06}", number * draft.classes.len() + label);
                let bytes = draft.jpeg(label, part, number)?;
                draft.expect(part, format!("{stem}/{key}"), label, &bytes);
                draft.put(tar, format!("{key}.cls"), format!("{label}\n"));
                draft.put(tar, format!("{key}.jpg"), bytes);
            }
        }
    }
    let beside = draft.package("beside", Pack::Loose);
    let names = draft.truth.classes.join("\n") + "\n";
    draft.put(beside, "classes.txt", names);
    Ok(())
}
