//! Damaged and incomplete datasets: one line that names the file and the rule.

use std::fs;

use pairmill_datasets::{Counts, DatasetConfig, DatasetError, DatasetKind, LabelledSet};
use pairmill_world::{Dataset, Form};

use crate::bench::Bench;

fn said(config: &DatasetConfig) -> String {
    let message = LabelledSet::open(config).expect_err("a damaged dataset").to_string();
    assert!(!message.contains('\n') && message.len() < 600, "{message}");
    message
}

#[track_caller]
fn says(bench: &Bench, parts: &[&str]) {
    let message = said(&bench.config());
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn a_cut_archive_is_named() {
    for (dataset, archive) in [
        (Dataset::Cifar100, "cifar-100-binary.tar.gz"),
        (Dataset::Cifar100Python, "cifar-100-python.tar.gz"),
        (Dataset::Dtd, "dtd-r1.0.1.tar.gz"),
        (Dataset::Caltech101, "caltech-101.zip"),
        (Dataset::Caltech101Tar, "101_ObjectCategories.tar.gz"),
        (Dataset::Pets, "images.tar.gz"),
        (Dataset::Pets, "annotations.tar.gz"),
        (Dataset::Real, "real.zip"),
        (Dataset::Eurosat, "EuroSAT.zip"),
        (Dataset::Cassava, "cassava-leaf-disease-classification.zip"),
        (Dataset::CameraTraps, "eccv_18_all_images_sm.tar.gz"),
        (Dataset::CameraTraps, "eccv_18_annotations.tar.gz"),
        (Dataset::Shards, "train-00001.tar"),
    ] {
        for share in [0.999, 0.6, 0.2] {
            // The last thousandth of a plain tar is padding.
            if share > 0.9 && dataset == Dataset::Shards {
                continue;
            }
            let bench = Bench::new(dataset, Form::Archive, 4, 4);
            bench.cut(archive, share);
            let message = said(&bench.config());
            let rule =
                ["cut off", "fetch it again", "damaged", "ends"].iter().any(|word| message.contains(word));
            assert!(message.contains(archive) && rule, "{dataset} at {share}: {message}");
        }
    }
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    let bench = Bench::new(Dataset::Dtd, Form::Archive, 3, 2);
    fs::write(bench.path("dtd-r1.0.1.tar.gz"), "\n<!DOCTYPE html><title>404</title>").unwrap();
    says(&bench, &["dtd-r1.0.1.tar.gz", "an HTML page", "fetch it again"]);
    fs::write(bench.path("dtd-r1.0.1.tar.gz"), "").unwrap();
    says(&bench, &["it is empty"]);
}

#[test]
fn a_missing_file_is_named_with_where_it_was_looked_for() {
    let empty = tempfile::tempdir().unwrap();
    for kind in DatasetKind::ALL {
        let config = DatasetConfig::new(*kind, empty.path());
        let message = said(&config);
        assert!(message.contains(&*empty.path().to_string_lossy()), "{message}");
        let nowhere = DatasetConfig::new(*kind, empty.path().join("nowhere"));
        assert!(said(&nowhere).contains("nowhere"), "{}", said(&nowhere));
    }
    for (dataset, file, parts) in [
        (Dataset::Dtd, "dtd/labels/train1.txt", &["the split file labels/train1.txt is not in it"][..]),
        (Dataset::Pets, "annotations/test.txt", &["the split file test.txt is not in it"]),
        (
            Dataset::Pets,
            "annotations",
            &["the annotations of Oxford-IIIT Pet not found", "annotations.tar.gz"],
        ),
        (Dataset::Real, "real_test.txt", &["the split file real_test.txt"]),
        (Dataset::Cassava, "train.csv", &["Cassava not found"]),
        (Dataset::Cassava, "label_num_to_disease_map.json", &["label_num_to_disease_map.json is not in it"]),
        (
            Dataset::CameraTraps,
            "eccv_18_annotation_files/cis_val_annotations.json",
            &["the split file cis_val_annotations.json is not in it"],
        ),
        (Dataset::Cifar100, "cifar-100-binary/test.bin", &["the split file test.bin"]),
        (Dataset::Cifar100Python, "cifar-100-python/meta", &["the pickle meta"]),
    ] {
        let bench = Bench::new(dataset, Form::Folder, 3, 2);
        let path = bench.path(file);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
        says(&bench, parts);
    }
}

#[test]
fn a_wrong_line_is_named_by_file_and_number() {
    let append = |bench: &Bench, file: &str, text: &str| {
        let mut bytes = fs::read(bench.path(file)).unwrap();
        bytes.extend(text.as_bytes());
        fs::write(bench.path(file), bytes).unwrap();
    };
    for (dataset, file, text, parts) in [
        (Dataset::Dtd, "dtd/labels/val1.txt", "nonsense\n", &["val1.txt line 7", "CLASS/FILE"][..]),
        (Dataset::Dtd, "dtd/labels/test1.txt", "no-class/a.jpg\n", &["test1.txt line 7", "no-class/a.jpg"]),
        (
            Dataset::Pets,
            "annotations/trainval.txt",
            "beagle_9\n",
            &["trainval.txt line 7", "BREED_NUMBER CLASS"],
        ),
        (Dataset::Pets, "annotations/trainval.txt", "beagle_9 0 1 1\n", &["class out of range"]),
        (Dataset::Pets, "annotations/trainval.txt", "beagle_9 1 1 1\n", &["gives class 1 to beagle"]),
        (Dataset::Real, "real_train.txt", "real/a/b.jpg x\n", &["real_train.txt line 7", "CLASS/FILE LABEL"]),
        (Dataset::Real, "real_train.txt", "real/a/b.jpg 4294967296\n", &["real_train.txt line 7"]),
        (Dataset::Real, "real_train.txt", "real/a/b.jpg 99999999\n", &["label out of range"]),
        (
            Dataset::Real,
            "real_test.txt",
            "real/zebra/b.jpg 1\n",
            &["real_test.txt line 7", "gives label 1 to zebra"],
        ),
        (Dataset::Real, "real_test.txt", "real/zebra/b.jpg 5\n", &["label 3 is in neither"]),
        (Dataset::Cassava, "train.csv", "a.jpg,3\n", &["train.csv line 8", "label \"3\" is none of 0 to 2"]),
        (Dataset::Cassava, "train.csv", "a.jpg\n", &["train.csv"]),
        (
            Dataset::Csv,
            "labels.csv",
            "a.jpg,1,b,nowhere\n",
            &["labels.csv line 20", "none of train, val, test"],
        ),
    ] {
        let bench = Bench::new(dataset, Form::Folder, 3, 2);
        append(&bench, file, text);
        says(&bench, parts);
    }
    let bench = Bench::new(Dataset::Shards, Form::Archive, 3, 2);
    fs::write(bench.path("classes.txt"), "one\ntwo\n").unwrap();
    says(&bench, &["train-00000.tar sample 000002", "label 2 is out of range; there are 2 classes"]);
    let bench = Bench::new(Dataset::Folder, Form::Folder, 3, 2);
    fs::create_dir(bench.path("flowers/test/unknown")).unwrap();
    fs::write(bench.path("flowers/test/unknown/a.jpg"), "x").unwrap();
    says(&bench, &["flowers/test/unknown/a.jpg", "is no class of train"]);
}

#[test]
fn records_and_pickles_that_are_not_whole_are_refused() {
    let bench = Bench::new(Dataset::Cifar100, Form::Folder, 3, 5);
    let train = bench.path("cifar-100-binary/train.bin");
    let mut bytes = fs::read(&train).unwrap();
    bytes[3074 * 4 + 1] = 3;
    fs::write(&train, &bytes).unwrap();
    says(&bench, &["train.bin record 4", "fine label 3 is out of range; there are 3 names"]);
    fs::write(&train, &bytes[..bytes.len() - 5]).unwrap();
    says(&bench, &["train.bin", "no whole number of records of 3074"]);

    let bench = Bench::new(Dataset::Cifar100Python, Form::Folder, 3, 5);
    let train = bench.path("cifar-100-python/train");
    let bytes = fs::read(&train).unwrap();
    fs::write(&train, &bytes[..bytes.len() / 2]).unwrap();
    says(&bench, &["cifar-100-python/train", "ends in the middle", "cifar-100-binary.tar.gz"]);
    fs::write(&train, b"\x80\x02cos\nsystem\n(X\x02\x00\x00\x00idtR.").unwrap();
    says(&bench, &["cifar-100-python/train", "names os.system, which is not read"]);
    fs::write(&train, b"\x80\x02}.").unwrap();
    says(&bench, &["has no entry fine_labels"]);
    let text = String::from_utf8_lossy(&bytes).len();
    assert!(text > 0);
    // A row less in the shape than there are labels.
    let at = bytes.windows(5).position(|window| window == [b'J', 15, 0, 0, 0]).unwrap();
    let mut lying = bytes.clone();
    lying[at + 1] = 14;
    fs::write(&train, lying).unwrap();
    says(&bench, &["shape [14, 3072]", "15 labels want 15 rows"]);
}

#[test]
fn counts_of_part_of_a_set_are_refused_unless_asked_for() {
    let bench = Bench::new(Dataset::Dtd, Form::Archive, 3, 2);
    let message = said(&bench.config().with_counts(Counts::Asserted));
    assert!(
        message.contains("3 classes where a whole copy of DTD has 47")
            && message.contains("counts = \"reported\""),
        "{message}"
    );
    let bench = Bench::new(Dataset::CameraTraps, Form::Archive, 3, 2);
    let message = said(&bench.config().with_counts(Counts::Asserted));
    assert!(message.contains("train_annotations.json: lists 7 images where CCT-20 has 13553"), "{message}");
}

#[test]
fn lists_that_do_not_fit_the_archive_say_which_archive_they_fit() {
    let bench = Bench::new(Dataset::ClipartOriginal, Form::Archive, 6, 5);
    let missing = bench.truth.missing.len();
    let message = said(&bench.config().with_counts(Counts::Asserted));
    let expected = format!(
        "{missing} of the 60 pictures listed in clipart_train.txt and clipart_test.txt are not there"
    );
    assert!(message.contains(&expected) && message.contains("groundtruth/clipart.zip"), "{message}");
    let notes = bench.open().notes.join("\n");
    assert!(notes.contains(&expected), "{notes}");
}

#[test]
fn bands_are_no_colours() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("EuroSAT/AnnualCrop")).unwrap();
    fs::write(folder.path().join("EuroSAT/AnnualCrop/AnnualCrop_1.tif"), "II*").unwrap();
    let message = said(&DatasetConfig::new(DatasetKind::Eurosat, folder.path()));
    assert!(message.contains("13-band") && message.contains("EuroSAT_RGB.zip"), "{message}");
}

/// A picture is damaged within its archive: the pass says where, and nothing was handed out for it.
#[test]
fn a_damaged_member_stops_the_pass() {
    let bench = Bench::new(Dataset::Real, Form::Archive, 3, 3);
    let set = bench.open();
    let mut bytes = fs::read(bench.path("real.zip")).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle..middle + 40].fill(0xa5);
    fs::write(bench.path("real.zip"), bytes).unwrap();
    let error = set.visit::<DatasetError>(|_, _| true, |_, _, _| Ok(())).unwrap_err().to_string();
    assert!(error.contains("real.zip") && error.contains("damaged"), "{error}");
    // And one that is gone.
    let bench = Bench::new(Dataset::Real, Form::Folder, 3, 3);
    let set = bench.open();
    fs::remove_file(bench.path("real").join(&*set.test[1].name)).unwrap();
    let error = set.visit::<DatasetError>(|_, _| true, |_, _, _| Ok(())).unwrap_err().to_string();
    assert!(error.contains(&*set.test[1].name) && error.contains("cannot be read"), "{error}");
}
