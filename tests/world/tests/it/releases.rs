//! Each release reads back with the reader its users have, and holds as many rows of each quirk as it says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use pairmill_world::{Quirk, Release, ReleaseConfig, ReleaseSummary, SizeClass, World, WorldConfig};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

const BASE: &str = "http://127.0.0.1:9";

pub(crate) fn write(release: Release, rows: u64, seed: u64, out: &Path) -> ReleaseSummary {
    let world = World::new(WorldConfig { seed, sizes: SizeClass::Small, distinct: None });
    world.write_release(&ReleaseConfig { release, rows, base_url: BASE.to_owned() }, out).unwrap()
}

pub(crate) fn truth(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("truth.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn files(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![out.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(out).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    files
}

fn text<'a>(cell: &'a Value, field: &str) -> &'a str {
    cell[field].as_str().unwrap_or_default()
}

fn batches(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
    for &release in Release::ALL {
        let dir = tempfile::tempdir().unwrap();
        let [one, again, other] = ["one", "again", "other"].map(|name| dir.path().join(name));
        write(release, 60, 1, &one);
        write(release, 60, 1, &again);
        write(release, 60, 2, &other);
        assert!(files(&one) == files(&again), "{release}");
        assert!(files(&one) != files(&other), "{release}");
        let left: Vec<_> = files(&one).into_keys().filter(|name| name.ends_with(".part")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn expected_counts_are_those_of_the_truth_line_by_line() {
    for &release in Release::ALL {
        let dir = tempfile::tempdir().unwrap();
        let summary = write(release, 90, 1, dir.path());
        let truth = truth(dir.path());
        assert_eq!(truth.len() as u64, summary.rows, "{release}");
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        for line in &truth {
            for quirk in line["quirks"].as_array().unwrap() {
                *counted.entry(quirk.as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        let expected: Value =
            serde_json::from_slice(&fs::read(dir.path().join("expected.json")).unwrap()).unwrap();
        assert_eq!(expected["rows"], summary.rows);
        assert_eq!(expected["quirks"], serde_json::to_value(&counted).unwrap(), "{release}");
        let of_files: u64 = summary.files.values().sum();
        assert_eq!(of_files, summary.rows, "{release}: {:?}", summary.files);
    }
}

struct Parts {
    fields: Vec<(String, DataType)>,
    batches: Vec<RecordBatch>,
    summary: ReleaseSummary,
    truth: Vec<Value>,
}

fn parts(release: Release) -> Parts {
    let dir = tempfile::tempdir().unwrap();
    let summary = write(release, 120, 1, dir.path());
    assert_eq!(summary.files.len(), 2);
    let batches: Vec<_> = summary.files.keys().flat_map(|name| batches(&dir.path().join(name))).collect();
    let schema = batches[0].schema();
    let fields = schema.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect();
    Parts { fields, batches, summary, truth: truth(dir.path()) }
}

#[test]
fn laion_releases_have_their_columns_and_quirks() {
    let names =
        |fields: &[(String, DataType)]| fields.iter().map(|f| f.0.clone()).collect::<Vec<_>>().join(" ");

    let Parts { fields, batches, summary, truth } = parts(Release::Laion400m);
    assert_eq!(names(&fields), "SAMPLE_ID URL TEXT HEIGHT WIDTH LICENSE NSFW similarity");
    assert_eq!((&fields[0].1, &fields[3].1), (&DataType::Int64, &DataType::Int32));
    let mut nsfw: BTreeMap<Option<String>, u64> = BTreeMap::new();
    let (mut outliers, mut at, mut ids) = (0, 0, BTreeSet::new());
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let cells = batch.column(6).as_string::<i32>();
            *nsfw.entry(cells.is_valid(row).then(|| cells.value(row).to_owned())).or_default() += 1;
            outliers += u64::from(
                batch.column(7).as_primitive::<arrow::datatypes::Float64Type>().value(row) == 6016.0,
            );
            let texts = batch.column(2).as_string::<i32>();
            assert_eq!(texts.is_valid(row).then(|| texts.value(row)), truth[at]["caption"].as_str());
            let width = batch.column(4).as_primitive::<Int32Type>();
            assert_eq!(width.is_valid(row).then(|| i64::from(width.value(row))), truth[at]["width"].as_i64());
            ids.insert(batch.column(0).as_primitive::<Int64Type>().value(row));
            at += 1;
        }
    }
    assert_eq!(nsfw[&Some("UNSURE".to_owned())], summary.quirks[&Quirk::NsfwUnsure]);
    assert_eq!(nsfw[&Some("NSFW".to_owned())], summary.quirks[&Quirk::NsfwNsfw]);
    assert_eq!(nsfw[&Some(String::new())], summary.quirks[&Quirk::NsfwEmpty]);
    assert_eq!(nsfw[&None], summary.quirks[&Quirk::NsfwNull]);
    assert_eq!(outliers, summary.quirks[&Quirk::SimilarityOutlier]);
    assert_eq!(120 - ids.len() as u64, summary.quirks[&Quirk::SampleIdRepeated]);
    assert!(truth.iter().any(|row| text(row, "caption").len() == 61_192));

    let Parts { fields, batches, truth, .. } = parts(Release::Laion2b);
    assert_eq!(fields[4].1, DataType::Float64);
    let widths = batches[0].column_by_name("WIDTH").unwrap().as_primitive::<arrow::datatypes::Float64Type>();
    assert_eq!(Some(widths.value(0) as i64), truth[0]["height"].as_i64(), "the names are swapped");

    let Parts { fields, .. } = parts(Release::Laion2bMulti);
    assert!(names(&fields).contains("LICENSE LANGUAGE NSFW"));
    let Parts { fields, summary, .. } = parts(Release::LaionJoined);
    assert!(names(&fields).ends_with("similarity hash punsafe pwatermark"));
    assert!(summary.quirks.contains_key(&Quirk::PunsafeHigh));
    let Parts { fields, .. } = parts(Release::Relaion);
    assert!(names(&fields).starts_with("url caption similarity hash punsafe pwatermark key status"));
}

#[test]
fn laion_md5_promises_the_bytes_that_are_served_but_for_the_changed() {
    use md5::{Digest, Md5};
    let dir = tempfile::tempdir().unwrap();
    let summary = write(Release::LaionMd5, 60, 1, dir.path());
    let world = World::new(WorldConfig { seed: 1, sizes: SizeClass::Small, distinct: None });
    let (mut wrong, mut index) = (0, 0);
    let config = pairmill_world::TableConfig::new(pairmill_world::Source::Laion, 60, BASE);
    for name in summary.files.keys() {
        for batch in batches(&dir.path().join(name)) {
            let promised = batch.column_by_name("md5").unwrap().as_string::<i32>().clone();
            for row in 0..batch.num_rows() {
                let shown = world.row(&config, index).picture;
                let bytes = world.picture(pairmill_world::Source::Laion, shown).bytes().unwrap();
                let hex: String = Md5::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
                wrong += u64::from(hex != promised.value(row));
                index += 1;
            }
        }
    }
    assert_eq!(wrong, summary.quirks[&Quirk::Md5Changed]);
}

#[test]
fn redcaps_are_files_of_a_subreddit_and_year() {
    let dir = tempfile::tempdir().unwrap();
    let summary = write(Release::RedCaps, 240, 1, dir.path());
    assert_eq!(summary.files.len(), 8);
    let truth = truth(dir.path());
    let mut at = 0;
    for (name, rows) in &summary.files {
        let file: Value = serde_json::from_slice(&fs::read(dir.path().join(name)).unwrap()).unwrap();
        assert_eq!(file["info"]["nsfw_filter"]["confidence_threshold"], 0.9);
        let annotations = file["annotations"].as_array().unwrap();
        assert_eq!(annotations.len() as u64, *rows);
        for annotation in annotations {
            let expected = &truth[at];
            assert_eq!(text(expected, "file"), name);
            for field in ["url", "caption", "raw_caption", "image_id"] {
                assert_eq!(annotation[field], expected[field]);
            }
            assert!(name.contains(text(annotation, "subreddit")));
            at += 1;
        }
    }
    let of = |quirk: &str| {
        truth.iter().find(|row| row["quirks"].as_array().unwrap().contains(&quirk.into())).unwrap()
    };
    let page = of("url-imgur-page");
    assert_eq!(
        text(page, "url").replace("http://imgur.com/", "https://i.imgur.com/") + ".jpg",
        text(page, "fetch_url")
    );
    assert!(of("url-imgur-album")["fetch_url"].is_null());
    assert_eq!(of("caption-empty")["caption"], "");
    for quirk in [Quirk::UrlFlickr, Quirk::UrlMImgur, Quirk::RemovedImage, Quirk::UrlIReddit] {
        assert_eq!(summary.quirks[&quirk], 8, "{quirk}");
    }
}

#[test]
fn conceptual_captions_are_two_columns_without_quoting() {
    for (release, file, url_at) in
        [(Release::Cc3m, "Train_GCC-training.tsv", 1), (Release::Cc12m, "cc12m.tsv", 0)]
    {
        let dir = tempfile::tempdir().unwrap();
        let summary = write(release, 90, 1, dir.path());
        let table = fs::read_to_string(dir.path().join(file)).unwrap();
        let mut odd_quotes = 0;
        for (line, row) in table.lines().zip(truth(dir.path())) {
            let fields: Vec<_> = line.split('\t').collect();
            assert_eq!(fields.len(), 2);
            assert_eq!((fields[url_at], fields[1 - url_at]), (text(&row, "url"), text(&row, "caption")));
            odd_quotes += u64::from(line.matches('"').count() % 2 == 1);
        }
        assert_eq!(table.lines().count(), 90);
        assert!(odd_quotes >= summary.quirks[&Quirk::QuoteUnbalanced]);
        assert!(summary.quirks[&Quirk::HtmlBody] > 0);
    }
}

#[test]
fn wit_reads_as_quoted_tsv_with_its_header() {
    let dir = tempfile::tempdir().unwrap();
    let summary = write(Release::Wit, 130, 1, dir.path());
    let truth = truth(dir.path());
    let (mut at, mut foreign, mut svg) = (0, 0, 0);
    for name in summary.files.keys() {
        let unzipped = flate2::read::GzDecoder::new(File::open(dir.path().join(name)).unwrap());
        let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').from_reader(unzipped);
        assert_eq!(reader.headers().unwrap().len(), 17);
        for record in reader.records() {
            let record = record.unwrap();
            assert_eq!((&record[2], &record[6]), (text(&truth[at], "url"), text(&truth[at], "caption")));
            foreign += u64::from(&record[0] != "en");
            svg += u64::from(&record[9] == "image/svg+xml");
            at += 1;
        }
    }
    assert_eq!(at, 130);
    assert_eq!((foreign, svg), (summary.quirks[&Quirk::LanguageOther], summary.quirks[&Quirk::MimeSvg]));
    assert!(truth.iter().any(|row| text(row, "caption").contains("\":\n")));
    assert!(summary.quirks[&Quirk::UrlRepeated] >= summary.quirks[&Quirk::ImageRecaptioned]);
}

#[test]
fn shutterstock_comes_in_three_forms() {
    let dir = tempfile::tempdir().unwrap();
    let pairs = |truth: &[Value]| -> Vec<(String, Option<String>)> {
        let pair = |row: &Value| (text(row, "url").to_owned(), row["caption"].as_str().map(str::to_owned));
        truth.iter().map(pair).collect()
    };
    let out = dir.path().join("tsv");
    write(Release::Shutterstock, 60, 1, &out);
    let table = fs::read_to_string(out.join("shutterstock.tsv")).unwrap();
    let read: Vec<_> = table.lines().map(|line| line.split_once('\t').unwrap()).collect();
    assert!(read.iter().map(|(u, c)| ((*u).to_owned(), Some((*c).to_owned()))).eq(pairs(&truth(&out))));

    let out = dir.path().join("csv");
    write(Release::ShutterstockCsv, 60, 1, &out);
    let mut reader = csv::Reader::from_path(out.join("shutterstock.csv")).unwrap();
    assert_eq!(reader.headers().unwrap(), vec!["id", "preview_url", "description", "keywords"]);
    let read = reader.records().map(|r| r.unwrap()).map(|r| (r[1].to_owned(), Some(r[2].to_owned())));
    assert!(read.eq(pairs(&truth(&out))));

    let out = dir.path().join("jsonl");
    write(Release::ShutterstockJsonl, 60, 1, &out);
    let table = fs::read_to_string(out.join("shutterstock.jsonl")).unwrap();
    let read = table.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(
        read.map(|r| (text(&r, "image_url").to_owned(), r["title"].as_str().map(str::to_owned)))
            .eq(pairs(&truth(&out)))
    );
}

#[test]
fn yfcc_is_bzip2_of_25_or_23_columns_and_a_list() {
    for (release, columns) in [(Release::Yfcc, 25), (Release::Yfcc23, 23)] {
        let dir = tempfile::tempdir().unwrap();
        let summary = write(release, 130, 1, dir.path());
        let unpacked = |name: &str| {
            let file = File::open(dir.path().join(name)).unwrap();
            std::io::read_to_string(bzip2::read::MultiBzDecoder::new(file)).unwrap()
        };
        let dataset = unpacked("yfcc100m_dataset.bz2");
        let mut videos = 0;
        for line in dataset.lines() {
            let fields: Vec<_> = line.split('\t').collect();
            assert_eq!(fields.len(), columns);
            videos += u64::from(fields[columns - 1] == "1");
            assert!(!fields[columns - 17].contains(' '), "titles are encoded");
        }
        assert_eq!(dataset.lines().count(), 130);
        assert_eq!(videos, summary.quirks[&Quirk::Video]);
        assert!(dataset.contains("%2B") && dataset.contains("%0A") && dataset.contains("%3Ca+href"));
        let list = unpacked("yfcc100m_subset_data.tsv.bz2");
        assert_eq!(list.lines().count() as u64, summary.quirks[&Quirk::Listed]);
        for line in list.lines() {
            let fields: Vec<_> = line.split('\t').collect();
            let row: usize = fields[0].parse().unwrap();
            let id_at = if columns == 25 { 1 } else { 0 };
            assert_eq!(dataset.lines().nth(row).unwrap().split('\t').nth(id_at), Some(fields[1]));
        }
    }
}

#[test]
fn imagenet_is_a_tar_of_tars_or_kaggles_folders() {
    let dir = tempfile::tempdir().unwrap();
    let summary = write(Release::Imagenet, 60, 1, dir.path());
    let mut outer = tar::Archive::new(File::open(dir.path().join("ILSVRC2012_img_train.tar")).unwrap());
    let (mut classes, mut images, mut pngs) = (Vec::new(), 0, 0);
    for class in outer.entries().unwrap() {
        let class = class.unwrap();
        let wnid = class.path().unwrap().display().to_string().replace(".tar", "");
        for image in tar::Archive::new(class).entries().unwrap() {
            let mut image = image.unwrap();
            let name = image.path().unwrap().display().to_string();
            assert!(name.starts_with(&wnid) && name.ends_with(".JPEG"), "{name}");
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut image, &mut bytes).unwrap();
            pngs += u64::from(bytes.starts_with(b"\x89PNG"));
            images += 1;
        }
        classes.push(wnid);
    }
    assert!(classes.is_sorted());
    assert_eq!((classes.len(), images, pngs), (12, 60, 1));
    assert_eq!(summary.rows, 60 + 12);
    let captions: Vec<Value> =
        serde_json::from_slice(&fs::read(dir.path().join("imagenet_captions.json")).unwrap()).unwrap();
    assert_eq!(captions.len() as u64, summary.quirks[&Quirk::Captioned]);
    let raw = fs::read_to_string(dir.path().join("imagenet_captions.json")).unwrap();
    assert!(raw.is_ascii() && raw.contains("\\u65e5"));

    let kaggle = tempfile::tempdir().unwrap();
    write(Release::ImagenetKaggle, 60, 1, kaggle.path());
    let val = fs::read_to_string(kaggle.path().join("LOC_val_solution.csv")).unwrap();
    assert_eq!(val.lines().count(), 1 + 12);
    assert!(kaggle.path().join("ILSVRC/Data/CLS-LOC/train/n02105855/n02105855_2933.JPEG").is_file());
}
