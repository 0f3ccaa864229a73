//! The world's ImageNet through the reader: order, labels, captions and counts; and damaged files.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use pairmill_world::{Quirk, Release};
use serde_json::Value;

use pairmill_ingest::imagenet::{
    Captions, Classes, ImageNetConfig, ImageNetCounters, ImageNetError, ImageNetReader, Order, matlab,
};

use crate::written::Written;

const ROWS: u64 = 120;
const TRAIN: &str = "ILSVRC2012_img_train.tar";
const VAL: &str = "ILSVRC2012_img_val.tar";
const DEVKIT: &str = "ILSVRC2012_devkit_t12.tar.gz";
const KAGGLE: &str = "ILSVRC/Data/CLS-LOC";

/// Truth of a split's images, with the given quirk if there is one.
fn of<'w>(written: &'w Written, split: &str, quirk: Option<Quirk>) -> Vec<&'w Value> {
    let is_val = |row: &Value| row["filename"].as_str().unwrap().starts_with("ILSVRC2012_val");
    let with: Vec<Quirk> = quirk.into_iter().collect();
    written.rows(&with, &[]).into_iter().filter(|row| is_val(row) == (split == "val")).collect()
}

/// File name → label, WNID and caption of every row.
type Rows = BTreeMap<String, (i64, String, String)>;

fn rows(reader: &mut ImageNetReader) -> Result<Rows, ImageNetError> {
    let mut rows = Rows::new();
    while let Some(block) = reader.next_block(7)? {
        let text = |column: &str, row: usize| {
            let column = block.rows.column_by_name(column);
            column.map_or(String::new(), |cells| cells.as_string::<i32>().value(row).to_owned())
        };
        for row in 0..block.rows.num_rows() {
            let label = block.rows.column(0).as_primitive::<Int64Type>().value(row);
            let (name, wnid) = (text("filename", row), text("wnid", row));
            assert_eq!(text("url", row), format!("{wnid}/{name}"));
            let bytes = block.images.read(row as u32, 1 << 20)?.unwrap();
            assert!(bytes.starts_with(b"\xff\xd8") || bytes.starts_with(b"\x89PNG"), "{name}");
            assert!(rows.insert(name, (label, wnid, text("caption", row))).is_none());
        }
    }
    Ok(rows)
}

fn read(root: &Path, config: &ImageNetConfig) -> Result<(Rows, ImageNetCounters), ImageNetError> {
    let mut reader = ImageNetReader::open(root, config)?;
    Ok((rows(&mut reader)?, reader.counters()))
}

fn assert_labels(rows: &Rows, truth: &[&Value]) {
    assert_eq!(rows.len(), truth.len());
    for expected in truth {
        let (label, wnid, _) = &rows[expected["filename"].as_str().unwrap()];
        assert_eq!(
            (Some(*label), Some(wnid.as_str())),
            (expected["label"].as_i64(), expected["wnid"].as_str())
        );
    }
}

#[test]
fn the_training_tar_gives_every_image_with_its_label() {
    let written = Written::new(Release::Imagenet, ROWS);
    for synsets in [None, Some(written.path(DEVKIT))] {
        let config = ImageNetConfig { synsets, ..ImageNetConfig::default() };
        let (rows, counters) = read(&written.path(TRAIN), &config).unwrap();
        assert_labels(&rows, &of(&written, "train", None));
        assert_eq!((counters.images, counters.rows), (ROWS, ROWS));
    }
    let reader = ImageNetReader::open(&written.path(TRAIN), &ImageNetConfig::default()).unwrap();
    assert!(reader.classes().wnids.is_sorted() && reader.classes().wnids.len() == 12);
    assert!(!reader.schema().fields().iter().any(|field| field.name() == "caption"));
}

#[test]
fn blocks_come_in_the_order_of_the_archive_and_can_be_skipped() {
    let written = Written::new(Release::Imagenet, ROWS);
    let names = |skipped: u64| {
        let mut reader = ImageNetReader::open(&written.path(TRAIN), &ImageNetConfig::default()).unwrap();
        assert_eq!(reader.skip_block(skipped.max(1)).unwrap(), Some(skipped.max(1)));
        let block = reader.next_block(20).unwrap().unwrap();
        block.rows.column(2).as_string::<i32>().iter().map(|n| n.unwrap().to_owned()).collect::<Vec<_>>()
    };
    let expected: Vec<_> =
        of(&written, "train", None).iter().map(|row| row["filename"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names(1), expected[1..21]);
    assert_eq!(names(50), expected[50..70]);
    let mut reader = ImageNetReader::open(&written.path(TRAIN), &ImageNetConfig::default()).unwrap();
    assert_eq!(reader.skip_block(ROWS + 5).unwrap(), Some(ROWS));
    assert!(reader.next_block(1).unwrap().is_none() && reader.skip_block(1).unwrap().is_none());
}

#[test]
fn kaggles_folders_hold_the_same_images_under_the_same_labels() {
    let (tars, folders) =
        (Written::new(Release::Imagenet, ROWS), Written::new(Release::ImagenetKaggle, ROWS));
    let (of_tar, _) = read(&tars.path(TRAIN), &ImageNetConfig::default()).unwrap();
    let train = folders.path(KAGGLE).join("train");
    for synsets in [None, Some(folders.path("LOC_synset_mapping.txt"))] {
        let config = ImageNetConfig { synsets, ..ImageNetConfig::default() };
        assert_eq!(read(&train, &config).unwrap().0, of_tar);
    }
    let config = ImageNetConfig {
        synsets: Some(folders.path("LOC_synset_mapping.txt")),
        labels: Some(folders.path("LOC_val_solution.csv")),
        ..ImageNetConfig::default()
    };
    let (rows, _) = read(&folders.path(KAGGLE).join("val"), &config).unwrap();
    assert_labels(&rows, &of(&folders, "val", None));
}

#[test]
fn validation_labels_go_from_devkit_id_over_wnid_to_its_place_among_the_sorted() {
    let written = Written::new(Release::Imagenet, ROWS);
    let config = ImageNetConfig { labels: Some(written.path(DEVKIT)), ..ImageNetConfig::default() };
    let (rows, _) = read(&written.path(VAL), &config).unwrap();
    assert_labels(&rows, &of(&written, "val", None));
    // The ids are in another order, so taking them for labels would be wrong for most.
    let reader = ImageNetReader::open(&written.path(VAL), &config).unwrap();
    let same = reader.classes().devkit_ids.iter().filter(|(id, label)| **id == **label as u64 + 1).count();
    assert!(same < 6, "{same}");
    assert_eq!(reader.classes().devkit_ids.len(), 12, "inner nodes are no classes");
}

#[test]
fn templates_name_the_class_and_are_drawn_by_seed() {
    let written = Written::new(Release::Imagenet, ROWS);
    let with = |templates: &str, seed| {
        let path = written.path("t.txt");
        fs::write(&path, templates).unwrap();
        let captions =
            Captions::Template { templates: path, class_names: written.path("classnames.txt"), seed };
        read(&written.path(TRAIN), &ImageNetConfig { captions, ..ImageNetConfig::default() })
    };
    let names = fs::read_to_string(written.path("classnames.txt")).unwrap();
    let names: Vec<_> = names.lines().collect();
    let (rows, _) = with("a photo of a {}.\n", 0).unwrap();
    assert!(
        rows.values()
            .all(|(label, _, caption)| *caption == format!("a photo of a {}.", names[*label as usize]))
    );
    let (many, _) = with("a photo of a {}.\n\nthe {}\n", 0).unwrap();
    let photos = many.values().filter(|row| row.2.starts_with("a photo")).count();
    assert!((30..90).contains(&photos), "{photos}");
    assert_eq!(with("a photo of a {}.\nthe {}\n", 0).unwrap().0, many);
    assert_ne!(with("a photo of a {}.\nthe {}\n", 1).unwrap().0, many);
    assert!(with("a photo\n", 0).unwrap_err().to_string().contains("t.txt: line 1: a prompt without `{}`"));
    fs::write(written.path("classnames.txt"), "one\ntwo\n").unwrap();
    let error = with("{}\n", 0).unwrap_err().to_string();
    assert!(error.contains("classnames.txt: 2 class names for 12 classes"), "{error}");
}

fn flickr(written: &Written, order: Order, profanity: Option<&str>, drop_duplicates: bool) -> ImageNetConfig {
    let profanity = profanity.map(|words| {
        fs::write(written.path("bad.txt"), words).unwrap();
        written.path("bad.txt")
    });
    let captions = written.path("imagenet_captions.json");
    let captions = Captions::Flickr { captions, order, profanity, drop_duplicates };
    ImageNetConfig { captions, ..ImageNetConfig::default() }
}

#[test]
fn flickr_texts_are_joined_on_the_file_name_and_every_drop_is_counted() {
    let written = Written::new(Release::Imagenet, ROWS);
    let config = flickr(&written, Order::default(), None, false);
    let (rows, counters) = read(&written.path(TRAIN), &config).unwrap();
    let captioned = of(&written, "train", Some(Quirk::Captioned));
    let blank = of(&written, "train", Some(Quirk::TextEmpty)).len();
    assert!(blank > 0);
    for expected in &captioned {
        let caption = expected["caption"].as_str().unwrap();
        let row = rows.get(expected["filename"].as_str().unwrap());
        assert_eq!(row.map_or("", |row| &row.2), caption, "{expected}");
    }
    let expected = ImageNetCounters {
        images: ROWS,
        uncaptioned: ROWS - captioned.len() as u64,
        blank: blank as u64,
        rows: (captioned.len() - blank) as u64,
        ..ImageNetCounters::default()
    };
    assert_eq!(counters, expected);
    assert_eq!(captioned.len() as u64, written.summary.quirks[&Quirk::Captioned]);
    assert!(rows.values().any(|row| row.2.contains("\u{72ac}")), "escapes are resolved");

    let (titles, _) = read(&written.path(TRAIN), &flickr(&written, Order::Title, None, false)).unwrap();
    assert!(titles.iter().all(|(name, row)| rows[name].2.starts_with(&row.2)));
    let (tags, _) =
        read(&written.path(TRAIN), &flickr(&written, Order::TitleTagsDescription, None, false)).unwrap();
    assert!(tags.keys().eq(rows.keys()) && tags != rows);

    let foreign = of(&written, "train", Some(Quirk::TagsForeign)).len() as u64;
    let (_, counters) =
        read(&written.path(TRAIN), &flickr(&written, Order::default(), Some("CHIEN\n"), false)).unwrap();
    assert_eq!(counters.profane, foreign);
    let (distinct, counters) =
        read(&written.path(TRAIN), &flickr(&written, Order::Title, None, true)).unwrap();
    let texts: std::collections::BTreeSet<_> = titles.values().map(|row| &row.2).collect();
    assert_eq!((distinct.len(), counters.duplicate), (texts.len(), (titles.len() - texts.len()) as u64));
}

#[test]
fn an_image_over_the_cap_is_not_read() {
    let (tars, folders) =
        (Written::new(Release::Imagenet, ROWS), Written::new(Release::ImagenetKaggle, ROWS));
    for root in [tars.path(TRAIN), folders.path(KAGGLE).join("train")] {
        let mut reader = ImageNetReader::open(&root, &ImageNetConfig::default()).unwrap();
        let block = reader.next_block(1).unwrap().unwrap();
        let size = block.images.read(0, u64::MAX - 1).unwrap().unwrap().len() as u64;
        assert!(block.images.read(0, size).unwrap().is_some());
        assert!(block.images.read(0, size - 1).unwrap().is_none());
        assert!(block.images.read(1, size).unwrap().is_none(), "no such row");
    }
}

fn message(root: &Path, config: &ImageNetConfig) -> String {
    read(root, config).unwrap_err().to_string()
}

#[test]
fn damaged_and_foreign_files_are_named_with_member_and_fix() {
    let written = Written::new(Release::Imagenet, ROWS);
    let none = ImageNetConfig::default();
    let whole = fs::read(written.path(TRAIN)).unwrap();
    let cut = written.path("cut.tar");
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    // With the devkit the classes are known, so the break is met on the way.
    let config = ImageNetConfig { synsets: Some(written.path(DEVKIT)), ..ImageNetConfig::default() };
    let text = message(&cut, &config);
    assert!(
        text.contains("cut.tar") && text.contains(".tar: at byte ") && text.contains("fetch it again"),
        "{text}"
    );
    assert!(message(&written.path("no.tar"), &none).contains("no.tar: cannot read"));

    let text = message(&written.path(VAL), &none);
    assert!(text.contains("ILSVRC2012_val_00000001.JPEG is a validation image; give its labels"), "{text}");
    fs::write(written.path("truth.txt"), "1\n2\n").unwrap();
    let labels = Some(written.path("truth.txt"));
    let text = message(&written.path(VAL), &ImageNetConfig { labels: labels.clone(), ..none.clone() });
    assert!(text.contains("truth.txt: these labels need the classes"), "{text}");
    let config = ImageNetConfig { labels, synsets: Some(written.path(DEVKIT)), ..none.clone() };
    assert!(message(&written.path(VAL), &config).contains("00000003.JPEG has no label in"));
    fs::write(written.path("truth.txt"), "1\n99\n").unwrap();
    assert!(message(&written.path(VAL), &config).contains("truth.txt: line 2: `99` is no ILSVRC2012_ID"));

    fs::write(written.path("LOC_synset_mapping.txt"), "n01440764 tench\n").unwrap();
    let synsets = Some(written.path("LOC_synset_mapping.txt"));
    let text = message(&written.path(TRAIN), &ImageNetConfig { synsets, ..none.clone() });
    assert!(
        text.contains("is of class n01443537, which") && text.contains("LOC_synset_mapping.txt"),
        "{text}"
    );

    let folder = written.path("empty");
    fs::create_dir(&folder).unwrap();
    assert!(message(&folder, &none).contains("no image here; give ILSVRC2012_img_train.tar"));
    fs::create_dir_all(folder.join("n01440764")).unwrap();
    fs::create_dir_all(folder.join("dogs")).unwrap();
    assert!(message(&folder, &none).contains("`dogs` is named after no WordNet id"));

    let json = written.path("imagenet_captions.json");
    let texts = fs::read_to_string(&json).unwrap();
    let config = flickr(&written, Order::default(), None, false);
    for (bytes, reason) in [
        (&texts[..texts.len() / 2], "cut short"),
        ("{\"a\": 1}", "not a JSON list of objects"),
        ("[{\"title\": \"x\"}]", "no object with filename"),
        ("", "the list does not end"),
    ] {
        fs::write(&json, bytes).unwrap();
        let text = message(&written.path(TRAIN), &config);
        assert!(text.contains("imagenet_captions.json: at byte ") && text.contains(reason), "{text}");
    }
}

fn meta_mat(written: &Written) -> Vec<u8> {
    let devkit = flate2::read::GzDecoder::new(fs::File::open(written.path(DEVKIT)).unwrap());
    let mut samples = pairmill_shards::tar::TarReader::new(devkit, DEVKIT);
    samples.find_map(|sample| sample.unwrap().get("mat").map(<[u8]>::to_vec)).unwrap()
}

#[test]
fn meta_mat_reads_as_a_struct_array() {
    let written = Written::new(Release::Imagenet, ROWS);
    let bytes = meta_mat(&written);
    let synsets = matlab::read_struct_array(&bytes, "synsets").unwrap();
    assert_eq!(synsets.fields.len(), 8);
    assert_eq!(synsets.rows.len(), 15);
    let (first, last) = (&synsets.rows[0], &synsets.rows[14]);
    assert_eq!((first[0].integer(), first[4].integer()), (Some(1), Some(0)));
    assert_eq!(last[5], matlab::Value::Numbers(vec![1.0, 2.0, 3.0, 4.0]));
    assert!(first[3].text().unwrap().contains("“quotes”"));
    let error = matlab::read_struct_array(&bytes, "images").unwrap_err().to_string();
    assert_eq!(error, "no struct array `images` in the MATLAB file; it holds synsets");
    fs::write(written.path("meta.mat"), &bytes).unwrap();
    let by_file = Classes::read(&written.path("meta.mat")).unwrap();
    assert_eq!(by_file.wnids, Classes::read(&written.path(DEVKIT)).unwrap().wnids);
}

#[test]
fn hostile_matlab_files_end_in_an_error_and_little_memory() {
    let written = Written::new(Release::Imagenet, ROWS);
    let bytes = meta_mat(&written);
    let read = |bytes: &[u8]| matlab::read_struct_array(bytes, "synsets");
    assert_eq!(read(b"PK\x03\x04"), Err(matlab::MatError::NotMat));
    let mut big_endian = bytes.clone();
    big_endian[126..128].copy_from_slice(b"MI");
    assert_eq!(read(&big_endian), Err(matlab::MatError::BigEndian));
    for len in 128..bytes.len() {
        assert!(read(&bytes[..len]).is_err(), "cut at {len}");
    }
    // The same variable without compression, so that every byte is structure.
    let mut unpacked = Vec::new();
    flate2::read::ZlibDecoder::new(&bytes[136..]).read_to_end(&mut unpacked).unwrap();
    let plain = [&bytes[..128], &unpacked].concat();
    assert_eq!(read(&plain).unwrap(), read(&bytes).unwrap());
    for at in 128..plain.len() {
        for value in [0, 0xff, plain[at].wrapping_add(1)] {
            let mut changed = plain.clone();
            changed[at] = value;
            // Whatever it means now, it must not panic and cannot hold more than the file does.
            if let Ok(found) = read(&changed) {
                assert!(found.rows.len() * found.fields.len() * 8 <= plain.len());
            }
        }
    }
    let mut bomb = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    (0..=matlab::MAX_BYTES >> 20).for_each(|_| std::io::Write::write_all(&mut bomb, &zeros).unwrap());
    let bomb = bomb.finish().unwrap();
    let head = [&bytes[..128], &15u32.to_le_bytes(), &(bomb.len() as u32).to_le_bytes(), &bomb].concat();
    assert_eq!(read(&head), Err(matlab::MatError::TooLarge));
}

#[test]
fn matlab_files_of_scipy_read_the_same_packed_or_not() {
    let plain = matlab::read_struct_array(include_bytes!("scipy.mat"), "synsets").unwrap();
    assert_eq!(matlab::read_struct_array(include_bytes!("scipy_packed.mat"), "synsets").unwrap(), plain);
    assert_eq!(plain.fields, ["ILSVRC2012_ID", "WNID", "words", "num_children", "children"]);
    assert_eq!((plain.rows[0][0].integer(), plain.rows[1][1].text()), (Some(2), Some("n01443537")));
    assert_eq!(plain.rows[2][2].text(), Some("entité"));
    assert_eq!(plain.rows[2][4], matlab::Value::Numbers(vec![1.0, 2.5]));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("meta.mat");
    fs::write(&path, include_bytes!("scipy_packed.mat")).unwrap();
    let classes = Classes::read(&path).unwrap();
    assert_eq!(classes.wnids, ["n01440764", "n01443537"]);
    assert_eq!((classes.devkit_ids[&2], classes.devkit_ids[&1]), (0, 1));
}
