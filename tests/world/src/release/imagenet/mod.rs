//! ImageNet-1K as it is handed out (sources.md §8, §9), in miniature: twelve classes under real WNIDs, each a shape
//! of the world. Either `ILSVRC2012_img_train.tar` (a tar of a tar per class), `ILSVRC2012_img_val.tar` and the
//! devkit, or Kaggle's folders. One PNG is named JPEG, one JPEG has four inks, one is grey. Ids of the devkit are in
//! another order than sorted WNIDs. Beside them: ImageNet-Captions, class names and prompt templates.

mod captions;
mod meta;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::account::{Account, Truth};
use super::{Quirk, Release, ReleaseConfig};
use crate::encode::{Chroma, Encoding};
use crate::error::{Error, Result};
use crate::odd;
use crate::rng::mix;
use crate::task::{Shift, Split, Task};
use crate::world::World;

const TASK: Task = Task::Shapes;
/// Sorted, as every framework numbers its classes.
const WNIDS: [&str; 12] = [
    "n01440764",
    "n01443537",
    "n01484850",
    "n02085620",
    "n02105855",
    "n02123045",
    "n02504458",
    "n03146219",
    "n03445777",
    "n04146614",
    "n07753592",
    "n12998815",
];
const TRAIN: &str = "ILSVRC2012_img_train.tar";
const VAL: &str = "ILSVRC2012_img_val.tar";
const KAGGLE: &str = "ILSVRC/Data/CLS-LOC";
/// Rows with an odd file; the first is the second picture of n02105855, which is the real one's class.
const PNG_ROW: u64 = 16;
const CMYK_ROW: u64 = 7;
const GREY_ROW: u64 = 20;

/// The devkit's number of a class, 1 to 12: the order is not that of the WNIDs.
const fn devkit_id(label: usize) -> usize {
    1 + (label * 5 + 3) % WNIDS.len()
}

struct Image {
    name: String,
    label: usize,
    bytes: Vec<u8>,
    truth: Truth,
}

fn train_image(world: &World, index: u64) -> Result<Image> {
    let labelled = TASK.labelled(world, Split::Train, Shift::None, index);
    let pixels = labelled.picture.pixels();
    let (quirk, bytes) = match index {
        PNG_ROW => (Some(Quirk::PngNamedJpeg), Encoding::Png.encode(&pixels)?),
        CMYK_ROW => (Some(Quirk::CmykJpeg), odd::four_ink_jpeg(&pixels, false)?),
        GREY_ROW => {
            let grey = Encoding::Jpeg { quality: 90, chroma: Chroma::Grey, progressive: false };
            (Some(Quirk::GreyJpeg), grey.encode(&pixels)?)
        }
        _ => (None, labelled.picture.encoding.encode(&pixels)?),
    };
    let wnid = WNIDS[labelled.label % WNIDS.len()];
    let number = if index == PNG_ROW { 2933 } else { 26 + index / WNIDS.len() as u64 * 7 };
    let name = format!("{wnid}_{number}.JPEG");
    Ok(Image { truth: truth(&name, labelled.label, quirk), name, label: labelled.label, bytes })
}

fn val_image(world: &World, number: u64) -> Result<Image> {
    // The classes come in no order.
    let index = mix(number) % 6_000;
    let labelled = TASK.labelled(world, Split::Test, Shift::None, index);
    let name = format!("ILSVRC2012_val_{number:08}.JPEG");
    let bytes = labelled.picture.bytes()?;
    Ok(Image { truth: truth(&name, labelled.label, None), name, label: labelled.label, bytes })
}

fn truth(name: &str, label: usize, quirk: Option<Quirk>) -> Truth {
    let mut truth = Truth { quirks: quirk.into_iter().collect(), ..Truth::default() };
    truth.more.insert("filename".to_owned(), json!(name));
    truth.more.insert("wnid".to_owned(), json!(WNIDS[label % WNIDS.len()]));
    truth.more.insert("label".to_owned(), json!(label));
    truth
}

/// A tenth of the training images, but one of each class at least.
fn num_val(config: &ReleaseConfig) -> u64 {
    (config.rows / 10).max(WNIDS.len() as u64)
}

pub(super) fn write(world: &World, config: &ReleaseConfig, out: &Path, account: &mut Account) -> Result<()> {
    let text = |name: &str, text: &str| {
        let path = out.join(name);
        fs::write(&path, text).map_err(Error::io(&path))
    };
    let words = TASK.class_names();
    text("classnames.txt", &(words.join("\n") + "\n"))?;
    text("templates.txt", "a photo of a {}.\na drawing of the {}.\n")?;
    let mut captions = captions::Captions::create(out)?;
    let is_kaggle = config.release == Release::ImagenetKaggle;
    let mut archive = Tar::create(&out.join(TRAIN), is_kaggle)?;
    for (class, wnid) in WNIDS.iter().enumerate() {
        let mut class_tar = tar::Builder::new(Vec::new());
        let file = if is_kaggle { format!("{KAGGLE}/train/{wnid}") } else { TRAIN.to_owned() };
        let folder = out.join(&file);
        if is_kaggle {
            fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        }
        for index in (0..config.rows).filter(|index| (index % WNIDS.len() as u64) as usize == class) {
            let mut image = train_image(world, index)?;
            captions.describe(world, index, wnid, &image.name, &mut image.truth)?;
            if is_kaggle {
                let path = folder.join(&image.name);
                fs::write(&path, &image.bytes).map_err(Error::io(&path))?;
            } else {
                append(&mut class_tar, &image.name, &image.bytes).map_err(Error::io(&out.join(TRAIN)))?;
            }
            account.add(&file, image.truth)?;
        }
        let bytes = class_tar.into_inner().map_err(Error::io(&out.join(TRAIN)))?;
        archive.append(&format!("{wnid}.tar"), &bytes)?;
    }
    archive.finish()?;
    captions.finish()?;

    let mut archive = Tar::create(&out.join(VAL), is_kaggle)?;
    let file = if is_kaggle { format!("{KAGGLE}/val") } else { VAL.to_owned() };
    let folder = out.join(&file);
    if is_kaggle {
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    }
    let mut labels = Vec::new();
    for number in 1..=num_val(config) {
        let image = val_image(world, number)?;
        labels.push(image.label);
        if is_kaggle {
            let path = folder.join(&image.name);
            fs::write(&path, &image.bytes).map_err(Error::io(&path))?;
        }
        archive.append(&image.name, &image.bytes)?;
        account.add(&file, image.truth)?;
    }
    archive.finish()?;
    if is_kaggle { kaggle(&words, &labels, text) } else { devkit(&words, &labels, config.rows, out) }
}

/// A tar under a temporary name; nothing at all where Kaggle's layout has no tar.
struct Tar {
    builder: Option<tar::Builder<BufWriter<File>>>,
    path: std::path::PathBuf,
}

impl Tar {
    fn create(path: &Path, absent: bool) -> Result<Self> {
        let part = path.with_extension("tar.part");
        let builder = if absent {
            None
        } else {
            Some(tar::Builder::new(BufWriter::new(File::create(&part).map_err(Error::io(&part))?)))
        };
        Ok(Self { builder, path: path.to_owned() })
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let Some(builder) = &mut self.builder else { return Ok(()) };
        append(builder, name, bytes).map_err(Error::io(&self.path))
    }

    fn finish(self) -> Result<()> {
        let Some(builder) = self.builder else { return Ok(()) };
        let end = || -> std::io::Result<()> {
            builder.into_inner()?.flush()?;
            fs::rename(self.path.with_extension("tar.part"), &self.path)
        };
        end().map_err(Error::io(&self.path))
    }
}

fn append<W: Write>(builder: &mut tar::Builder<W>, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(1_339_000_000);
    builder.append_data(&mut header, name, bytes)
}

/// `ILSVRC2012_devkit_t12.tar.gz`.
fn devkit(words: &[&str], labels: &[usize], rows: u64, out: &Path) -> Result<()> {
    let path = out.join("ILSVRC2012_devkit_t12.tar.gz");
    let write = || -> std::io::Result<()> {
        let file = BufWriter::new(File::create(&path)?);
        let mut builder = tar::Builder::new(GzEncoder::new(file, Compression::default()));
        let root = "ILSVRC2012_devkit_t12";
        append(&mut builder, &format!("{root}/readme.txt"), b"The miniature web's development kit.\n")?;
        append(&mut builder, &format!("{root}/data/meta.mat"), &meta::write(words, rows)?)?;
        let ids: String = labels.iter().map(|&label| format!("{}\n", devkit_id(label))).collect();
        append(&mut builder, &format!("{root}/data/ILSVRC2012_validation_ground_truth.txt"), ids.as_bytes())?;
        builder.into_inner()?.finish()?.flush()
    };
    write().map_err(Error::io(&path))
}

fn kaggle(words: &[&str], labels: &[usize], text: impl Fn(&str, &str) -> Result<()>) -> Result<()> {
    let mapping: String =
        WNIDS.iter().zip(words).map(|(wnid, word)| format!("{wnid} {word}, miniature {word}\n")).collect();
    text("LOC_synset_mapping.txt", &mapping)?;
    let mut lines: Vec<_> = labels
        .iter()
        .enumerate()
        .map(|(at, &label)| {
            let wnid = WNIDS[label % WNIDS.len()];
            // An image may have several boxes; all of one class.
            let boxes = if at % 3 == 0 {
                format!("{wnid} 1 2 3 4 {wnid} 5 6 7 8 ")
            } else {
                format!("{wnid} 1 2 3 4 ")
            };
            format!("ILSVRC2012_val_{:08},{boxes}\n", at + 1)
        })
        .collect();
    // Kaggle's order is not that of the numbers.
    lines.sort_by_key(|line| mix(line.len() as u64 ^ line.bytes().map(u64::from).sum::<u64>()));
    text("LOC_val_solution.csv", &format!("ImageId,PredictionString\n{}", lines.concat()))
}

/// JSON with everything outside ASCII as `\uXXXX`, as Python's `json.dump` writes it.
fn ascii_json(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}
