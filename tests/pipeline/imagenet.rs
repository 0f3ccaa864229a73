//! ImageNet's archives to labelled shards, past the fetcher: every image, its label in JSON and `.cls`, its caption.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use pairmill_ingest::config::Config;
use pairmill_ingest::imagenet::{Captions, ImageNetConfig, Order};
use pairmill_ingest::run;
use pairmill_shards::status::FailureClass;
use pairmill_tests::rows_of;
use pairmill_world::{Release, ReleaseConfig, SizeClass, World, WorldConfig};
use serde_json::Value;

const ROWS: u64 = 120;

fn release(release: Release, dir: &Path) -> Vec<Value> {
    let world = World::new(WorldConfig { seed: 1, sizes: SizeClass::Small, distinct: None });
    let config = ReleaseConfig { release, rows: ROWS, base_url: String::new() };
    world.write_release(&config, dir).unwrap();
    let text = std::fs::read_to_string(dir.join("truth.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn config(images: &Path, imagenet: ImageNetConfig, out: &Path) -> Config {
    let mut config = pairmill_tests::config(images, out);
    config.input.url_col = "url".to_owned();
    config.input.caption_col = None;
    config.input.imagenet = Some(imagenet);
    config
}

struct Sample {
    json: Value,
    cls: String,
    txt: Option<String>,
}

fn samples(out: &Path) -> BTreeMap<String, Sample> {
    let mut samples = BTreeMap::new();
    let mut tars: Vec<_> = std::fs::read_dir(out).unwrap().map(|e| e.unwrap().path()).collect();
    tars.retain(|path| path.extension().is_some_and(|e| e == "tar"));
    for path in tars {
        for sample in pairmill_shards::tar::TarReader::new(std::fs::File::open(&path).unwrap(), &path) {
            let sample = sample.unwrap();
            let text = |ext: &str| sample.get(ext).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            assert!(sample.get("jpg").unwrap().starts_with(b"\xff\xd8"));
            let json: Value = serde_json::from_str(&text("json").unwrap()).unwrap();
            let name = json["filename"].as_str().unwrap().to_owned();
            let sample = Sample { json, cls: text("cls").unwrap(), txt: text("txt") };
            assert!(samples.insert(name, sample).is_none());
        }
    }
    samples
}

#[test]
fn the_training_tar_becomes_shards_with_labels() {
    let dir = tempfile::tempdir().unwrap();
    let truth = release(Release::Imagenet, dir.path());
    let out = dir.path().join("shards");
    let config = config(&dir.path().join("ILSVRC2012_img_train.tar"), ImageNetConfig::default(), &out);
    let report = run::run(&config, &AtomicBool::new(false)).unwrap();
    assert!(report.complete);
    assert_eq!((report.shards, report.account.outcomes.rows), (ROWS.div_ceil(50), ROWS));
    let samples = samples(&out);
    let train: Vec<_> = truth.iter().filter(|row| row["file"] == "ILSVRC2012_img_train.tar").collect();
    assert_eq!(samples.len(), train.len());
    for expected in &train {
        let sample = &samples[expected["filename"].as_str().unwrap()];
        assert_eq!((&sample.json["label"], &sample.json["wnid"]), (&expected["label"], &expected["wnid"]));
        assert_eq!(sample.cls, expected["label"].to_string());
        assert!(sample.txt.is_none());
    }
    // The PNG under a JPEG's name, the one of four inks and the grey one came through like the rest.
    for quirk in ["png-named-jpeg", "cmyk-jpeg", "grey-jpeg"] {
        let odd =
            train.iter().find(|row| row["quirks"].as_array().unwrap().iter().any(|q| q == quirk)).unwrap();
        assert_eq!(samples[odd["filename"].as_str().unwrap()].json["status"], "success", "{quirk}");
    }
    assert!(rows_of(&out).unwrap().iter().all(|row| row.outcome == "success"));
    let done = run::run(&config, &AtomicBool::new(false)).unwrap();
    let card = std::fs::read_to_string(out.join("DATASET.md")).unwrap();
    assert!(card.contains("| in the files | 120 |") && card.contains("ILSVRC2012_img_train.tar"), "{card}");
    let refusal = run::plan_retry(&config, &[FailureClass::Timeout]).unwrap_err();
    assert!(refusal.is_bad_input() && refusal.to_string().contains("nothing to fetch again"), "{refusal}");
    assert_eq!(
        (done.shards, done.account.outcomes.rows),
        (report.shards, ROWS),
        "given again, nothing is left to do"
    );
}

#[test]
fn flickr_captions_and_validation_labels_come_along() {
    let dir = tempfile::tempdir().unwrap();
    let truth = release(Release::Imagenet, dir.path());
    let captions = Captions::Flickr {
        captions: dir.path().join("imagenet_captions.json"),
        order: Order::default(),
        profanity: None,
        drop_duplicates: false,
    };
    let out = dir.path().join("flickr");
    let imagenet = ImageNetConfig { captions, ..ImageNetConfig::default() };
    let train = dir.path().join("ILSVRC2012_img_train.tar");
    run::run(&config(&train, imagenet, &out), &AtomicBool::new(false)).unwrap();
    let flickr = samples(&out);
    let captioned = truth.iter().filter(|row| row["caption"].as_str().is_some_and(|text| !text.is_empty()));
    let mut num_captioned = 0;
    for expected in captioned {
        let sample = &flickr[expected["filename"].as_str().unwrap()];
        assert_eq!(sample.txt.as_deref(), expected["caption"].as_str());
        num_captioned += 1;
    }
    assert_eq!(flickr.len(), num_captioned);

    let out = dir.path().join("val");
    let labels = Some(dir.path().join("ILSVRC2012_devkit_t12.tar.gz"));
    let imagenet = ImageNetConfig { labels, ..ImageNetConfig::default() };
    let val = dir.path().join("ILSVRC2012_img_val.tar");
    run::run(&config(&val, imagenet, &out), &AtomicBool::new(false)).unwrap();
    let val = samples(&out);
    assert_eq!(val.len(), 12);
    for expected in truth.iter().filter(|row| row["file"] == "ILSVRC2012_img_val.tar") {
        assert_eq!(val[expected["filename"].as_str().unwrap()].cls, expected["label"].to_string());
    }
}

#[test]
fn an_image_over_the_byte_cap_is_a_failed_row_and_a_cut_archive_an_error() {
    let dir = tempfile::tempdir().unwrap();
    release(Release::Imagenet, dir.path());
    let train = dir.path().join("ILSVRC2012_img_train.tar");
    let out = dir.path().join("capped");
    let mut capped = config(&train, ImageNetConfig::default(), &out);
    capped.fetch.max_bytes = 1;
    run::run(&capped, &AtomicBool::new(false)).unwrap();
    let rows = rows_of(&out).unwrap();
    assert_eq!(rows.len() as u64, ROWS);
    assert!(rows.iter().all(|row| row.outcome == "too_large"));

    let whole = std::fs::read(&train).unwrap();
    std::fs::write(&train, &whole[..whole.len() - whole.len() / 10]).unwrap();
    let synsets = Some(dir.path().join("ILSVRC2012_devkit_t12.tar.gz"));
    let out = dir.path().join("cut");
    let imagenet = ImageNetConfig { synsets, ..ImageNetConfig::default() };
    let error = run::run(&config(&train, imagenet, &out), &AtomicBool::new(false)).unwrap_err();
    assert!(error.is_bad_input(), "{error}");
    assert!(error.to_string().contains("ILSVRC2012_img_train.tar"), "{error}");
}
