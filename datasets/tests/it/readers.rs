//! Every dataset in every form: what the reader finds is what was written.

use pairmill_datasets::{Counts, DatasetConfig, DatasetKind, LabelledSet, Part};
use pairmill_world::{Dataset, Form};

use crate::bench::{Bench, copy, expected, visited};

fn is_any(bench: &Bench) -> bool {
    bench.truth.pictures.iter().any(|picture| picture.part == "any")
}

fn check(dataset: Dataset, form: Form) -> (Bench, LabelledSet) {
    let bench = Bench::new(dataset, form, 6, 5);
    let set = bench.open();
    assert_eq!(set.classes, bench.truth.classes, "{dataset} {form}");
    let total = Part::ALL.map(|part| set.part(part).len()).iter().sum::<usize>();
    assert_eq!(total, bench.truth.pictures.len(), "{dataset} {form}");
    let found = visited(&set, is_any(&bench), |_, _| true);
    assert_eq!(found, expected(&bench.truth), "{dataset} {form}");
    (bench, set)
}

#[test]
fn every_set_is_read_whole_from_archive_and_folder_alike() {
    for &dataset in Dataset::ALL {
        let (_, packed) = check(dataset, Form::Archive);
        let (_, unpacked) = check(dataset, Form::Folder);
        // What is drawn by names must not depend on the form.
        for part in Part::ALL {
            let of = |set: &LabelledSet| {
                let mut names: Vec<_> =
                    set.part(part).iter().map(|example| (example.name.clone(), example.label)).collect();
                names.sort();
                names
            };
            assert_eq!(of(&packed), of(&unpacked), "{dataset} {}", part.as_str());
        }
    }
}

#[test]
fn a_few_pictures_are_handed_out_alone() {
    for dataset in [Dataset::Cifar100, Dataset::Cifar100Python, Dataset::Pets, Dataset::Real, Dataset::Shards]
    {
        let bench = Bench::new(dataset, Form::Archive, 4, 5);
        let set = bench.open();
        let found = visited(&set, false, |part, index| part == Part::Test && index % 3 == 1);
        let expected = expected(&bench.truth);
        assert_eq!(found.len(), (set.test.len() + 1) / 3, "{dataset}");
        assert!(found.iter().all(|(key, value)| expected.get(key) == Some(value)), "{dataset}");
    }
}

#[test]
fn parts_are_the_official_ones() {
    for (dataset, train, val, test) in [
        (Dataset::Cifar100, 30, None, 6),
        (Dataset::Dtd, 30, Some(30), 30),
        (Dataset::Pets, 30, None, 30),
        (Dataset::Real, 30, None, 30),
        (Dataset::CameraTraps, 30, Some(30), 30),
        (Dataset::Folder, 30, Some(30), 30),
        (Dataset::Csv, 30, Some(30), 30),
        (Dataset::Shards, 30, None, 30),
    ] {
        let set = Bench::new(dataset, Form::Archive, 6, 5).open();
        let found = (set.train.len(), set.val.as_ref().map(Vec::len), set.test.len());
        assert_eq!(found, (train, val, test), "{dataset}");
    }
}

#[test]
fn each_fold_of_dtd_is_another_split() {
    let bench = Bench::new(Dataset::Dtd, Form::Archive, 4, 3);
    let names = |fold| {
        let set = LabelledSet::open(&DatasetConfig { fold, ..bench.config() }).unwrap();
        set.train.iter().map(|example| example.name.to_string()).collect::<Vec<_>>()
    };
    assert_ne!(names(1), names(2));
    assert_eq!(names(1), names(10), "the miniature's tenth split is its first");
    let error = LabelledSet::open(&DatasetConfig { fold: 11, ..bench.config() }).unwrap_err().to_string();
    assert_eq!(error, "dataset dtd: fold = 11: there are ten, 1 to 10");
}

#[test]
fn splits_without_an_official_one_are_seeded_and_stratified() {
    let bench = Bench::new(Dataset::Cassava, Form::Archive, 5, 10);
    let open = |split_seed| LabelledSet::open(&DatasetConfig { split_seed, ..bench.config() }).unwrap();
    let sizes = |set: &LabelledSet| {
        (0..5)
            .map(|label| set.test.iter().filter(|example| example.label == label).count())
            .collect::<Vec<_>>()
    };
    let set = open(0);
    assert_eq!((set.train.len(), set.test.len(), sizes(&set)), (80, 20, vec![2, 2, 2, 12, 2]));
    assert_eq!(open(0).test, set.test);
    assert_ne!(open(1).test, set.test);
    assert!(set.notes.iter().any(|note| note.contains("seed 0")), "{:?}", set.notes);

    let caltech = Bench::new(Dataset::Caltech101, Form::Archive, 3, 40).open();
    assert_eq!((caltech.train.len(), caltech.test.len()), (90, 30), "30 of each class to train on");
}

#[test]
fn what_is_left_out_is_counted() {
    let bench = Bench::new(Dataset::CameraTraps, Form::Archive, 4, 3);
    let notes = bench.open().notes.join("\n");
    assert!(
        notes.contains("train: 12 of 13 listed images have one kind; left out: 0 empty, 1 of several kinds"),
        "{notes}"
    );
    assert!(notes.contains("test: 12 of 14 listed images have one kind; left out: 2 empty"), "{notes}");
    let partial = Bench::new(Dataset::CameraTrapsPartial, Form::Archive, 4, 3);
    assert_eq!(partial.truth.missing.len(), 2);
    let notes = partial.open().notes.join("\n");
    assert!(notes.contains("2 of the 36 pictures listed in the annotations are not there"), "{notes}");
    let notes = Bench::new(Dataset::Pets, Form::Archive, 4, 3).open().notes.join("\n");
    assert!(notes.contains("3 pictures are known to be PNG or GIF inside .jpg"), "{notes}");
    let notes = Bench::new(Dataset::Caltech101, Form::Archive, 4, 3).open().notes.join("\n");
    assert!(notes.contains("1 files are no pictures, such as BACKGROUND_Google/tmp"), "{notes}");
}

/// The miniature's known odd pictures are read as what they are; of the one with a damaged tail the head is kept.
#[test]
fn odd_pictures_decode_by_their_content() {
    let bench = Bench::new(Dataset::Pets, Form::Archive, 4, 3);
    let set = bench.open();
    let mut formats = Vec::new();
    set.visit::<pairmill_datasets::DatasetError>(
        |_, _| true,
        |part, index, picture| {
            let pairmill_datasets::Picture::Encoded(bytes) = picture else { panic!("pixels") };
            let name = &*set.part(part)[index].name;
            if ["Abyssinian_5", "Egyptian_Mau_14", "beagle_116"].contains(&name) {
                formats.push((name.to_owned(), pairmill_pixels::sniff(bytes)));
            }
            Ok(())
        },
    )
    .unwrap();
    formats.sort_by(|a, b| a.0.cmp(&b.0));
    use pairmill_pixels::Format;
    let expected =
        [("Abyssinian_5", Format::Png), ("Egyptian_Mau_14", Format::Gif), ("beagle_116", Format::Jpeg)];
    assert_eq!(formats, expected.map(|(name, format)| (name.to_owned(), Some(format))));
}

#[test]
fn files_are_found_where_people_keep_them() {
    // The archive itself, a folder further down, the unpacked folder itself, other case.
    let dtd = Bench::new(Dataset::Dtd, Form::Archive, 3, 2);
    let open = |root: &std::path::Path, kind| {
        LabelledSet::open(&DatasetConfig::new(kind, root).with_counts(Counts::Reported))
    };
    assert_eq!(open(&dtd.path("dtd-r1.0.1.tar.gz"), DatasetKind::Dtd).unwrap().train.len(), 6);
    copy(&dtd.path("dtd-r1.0.1.tar.gz"), &dtd.path("below/dtd/DTD-R1.0.1.TAR.GZ"));
    assert_eq!(open(&dtd.path("below"), DatasetKind::Dtd).unwrap().train.len(), 6);
    let unpacked = Bench::new(Dataset::Dtd, Form::Folder, 3, 2);
    assert_eq!(open(&unpacked.path("dtd"), DatasetKind::Dtd).unwrap().train.len(), 6);
    std::fs::rename(unpacked.path("dtd"), unpacked.path("textures")).unwrap();
    assert_eq!(open(&unpacked.path("textures"), DatasetKind::Dtd).unwrap().train.len(), 6);

    let real = Bench::new(Dataset::Real, Form::Archive, 3, 2);
    for folder in ["txt", "groundtruth/txt", "domainnet/txt", "splits"] {
        for part in ["train", "test"] {
            copy(&real.path(&format!("real_{part}.txt")), &real.path(&format!("{folder}/real_{part}.txt")));
        }
        for part in ["train", "test"] {
            let _ = std::fs::remove_file(real.path(&format!("real_{part}.txt")));
        }
        assert_eq!(real.open().train.len(), 6, "{folder}");
        for part in ["train", "test"] {
            let list = real.path(&format!("{folder}/real_{part}.txt"));
            std::fs::rename(list, real.path(&format!("real_{part}.txt"))).unwrap();
        }
    }
    // The lists' own archive is the root.
    let root = DatasetConfig::new(DatasetKind::Real, real.path("real.zip")).with_counts(Counts::Reported);
    assert_eq!(LabelledSet::open(&root).unwrap().train.len(), 6);
}

#[test]
fn own_sets_take_what_people_have() {
    let bench = Bench::new(Dataset::Folder, Form::Archive, 4, 3);
    let set = bench.open();
    assert_eq!((set.name.as_str(), set.classes.last().map(String::as_str)), ("flowers", Some("été & 夏 #1")));

    // A folder per class and no splits: a fifth of each is held out.
    let folder = tempfile::tempdir().unwrap();
    for class in ["b", "a"] {
        for index in 0..10 {
            copy(&any_picture(), &folder.path().join(class).join(format!("{index}.jpg")));
        }
    }
    let config = DatasetConfig::new(DatasetKind::Folder, folder.path());
    let set = LabelledSet::open(&config).unwrap();
    assert_eq!((set.classes.join(""), set.train.len(), set.test.len()), ("ab".to_owned(), 16, 4));
    let third = LabelledSet::open(&DatasetConfig { test_share: 0.3, ..config.clone() }).unwrap();
    assert_eq!(third.test.len(), 6);
    // Class names in an order of one's own.
    std::fs::write(folder.path().join("names.txt"), "b\na\n").unwrap();
    let config = DatasetConfig { classes: Some("names.txt".into()), name: Some("own".into()), ..config };
    let set = LabelledSet::open(&config).unwrap();
    assert_eq!((set.classes.join(""), set.name.as_str()), ("ba".to_owned(), "own"));

    // A table without splits, labels as numbers, tabs, other columns, pictures in an archive.
    let csv = Bench::new(Dataset::Eurosat, Form::Archive, 2, 5);
    let rows: String = csv.truth.pictures.iter().map(|p| format!("2750/{}\t{}\n", p.name, p.label)).collect();
    std::fs::write(csv.path("t.tsv"), format!("where\twhat\n{rows}")).unwrap();
    let config = DatasetConfig {
        images: Some("EuroSAT.zip".into()),
        path_column: Some("where".into()),
        label_column: Some("what".into()),
        ..DatasetConfig::new(DatasetKind::Csv, csv.path("t.tsv"))
    };
    let set = LabelledSet::open(&config).unwrap();
    assert_eq!(set.classes, ["0", "1"]);
    assert_eq!(set.train.len() + set.test.len(), csv.truth.pictures.len());
    assert_eq!(visited(&set, true, |_, _| true).len(), csv.truth.pictures.len());

    // Two parts, of which one is called valid, are train and test.
    let shards = Bench::new(Dataset::Shards, Form::Archive, 3, 4);
    let config = DatasetConfig {
        train: Some("train-{00000..00001}.tar".into()),
        val: Some("test-00000.tar".into()),
        ..shards.config()
    };
    let set = LabelledSet::open(&config).unwrap();
    assert_eq!((set.train.len(), set.val.is_none(), set.test.len()), (12, true, 12));
}

fn any_picture() -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("pairmill-any-{}.jpg", std::process::id()));
    if !path.exists() {
        std::fs::write(&path, b"\xff\xd8\xff\xe0 a picture, as far as anybody looks").unwrap();
    }
    path
}

/// A name says nothing: what counts is whether the same file is learnt from and tested on.
#[test]
fn only_the_same_picture_in_two_parts_is_a_leak() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, bytes: &str| {
        std::fs::create_dir_all(folder.path().join(path).parent().unwrap()).unwrap();
        std::fs::write(folder.path().join(path), bytes).unwrap();
    };
    for part in ["train", "test"] {
        for class in ["cat", "dog"] {
            for number in [1, 2] {
                write(&format!("{part}/{class}/{number}.jpg"), &format!("{part} {class} {number}"));
            }
        }
    }
    let leaks = |config: &DatasetConfig| {
        let notes = LabelledSet::open(config).unwrap().notes;
        notes.into_iter().filter(|note| note.contains("more than one part")).collect::<Vec<_>>()
    };
    let config = DatasetConfig::new(DatasetKind::Folder, folder.path());
    assert_eq!(leaks(&config), Vec::<String>::new());
    // By a link or under a second name it is the same file.
    std::os::unix::fs::symlink("../../train/dog/2.jpg", folder.path().join("test/dog/3.jpg")).unwrap();
    let names = "dog/2.jpg and dog/3.jpg in train and test";
    assert_eq!(leaks(&config), [format!("1 picture is in more than one part, such as {names}")]);
    std::fs::hard_link(folder.path().join("train/cat/1.jpg"), folder.path().join("test/cat/0.jpg")).unwrap();
    let names = "cat/1.jpg and cat/0.jpg in train and test";
    assert_eq!(leaks(&config), [format!("2 pictures are in more than one part, such as {names}")]);

    // One picture listed in two parts, from a folder and from an archive.
    let table = "path,label,split\na/1.jpg,a,train\nb/1.jpg,b,train\na/2.jpg,a,test\nb/1.jpg,b,test\n";
    for name in ["a/1.jpg", "a/2.jpg", "b/1.jpg"] {
        write(&format!("pictures/{name}"), name);
    }
    write("table/own.csv", table);
    let mut zip =
        zip::ZipWriter::new(std::fs::File::create(folder.path().join("table/pictures.zip")).unwrap());
    for name in ["a/1.jpg", "a/2.jpg", "b/1.jpg"] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut zip, name.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    for images in ["../pictures", "pictures.zip"] {
        let config = DatasetConfig {
            images: Some(images.into()),
            ..DatasetConfig::new(DatasetKind::Csv, folder.path().join("table/own.csv"))
        };
        let said = "1 picture is in more than one part, such as b/1.jpg in train and test";
        assert_eq!(leaks(&config), [said], "{images}");
    }
}
