//! Sets of one's own as people have them: nothing is lost without a line about it.

use std::fs;
use std::path::Path;
use std::process::Command;

use pairmill_datasets::check::{Depth, check, recognise};
use pairmill_datasets::{DatasetConfig, DatasetError, DatasetKind, LabelledSet, Part, Picture};
use tempfile::TempDir;

fn open(kind: DatasetKind, root: &Path) -> LabelledSet {
    LabelledSet::open(&DatasetConfig::new(kind, root)).unwrap()
}

fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Class and content of every image, sorted.
fn content(set: &LabelledSet) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    set.visit::<DatasetError>(
        |_, _| true,
        |part, index, picture| {
            let Picture::Encoded(bytes) = picture else { panic!("pixels") };
            let label = set.part(part)[index].label as usize;
            found.push((set.classes[label].clone(), bytes.to_vec()));
            Ok(())
        },
    )
    .unwrap();
    found.sort();
    found
}

/// A tar with hard and symbolic links to files and to a folder, and links that lead nowhere.
fn linked_tar(packed: bool) -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let header = |kind, size| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header
    };
    let link = |tar: &mut tar::Builder<Vec<u8>>, kind, name: &str, target: &str| {
        tar.append_link(&mut header(kind, 0), name, target).unwrap();
    };
    // Before its target, as a tool that sorts by name leaves it.
    link(&mut tar, tar::EntryType::Symlink, "set/alias", "car");
    link(&mut tar, tar::EntryType::Symlink, "set/bike/0.jpg", "../tree/1.jpg");
    for class in ["car", "tree"] {
        for number in 0..5 {
            let bytes = format!("{class} {number}");
            let mut header = header(tar::EntryType::Regular, bytes.len() as u64);
            tar.append_data(&mut header, format!("set/{class}/{number}.jpg"), bytes.as_bytes()).unwrap();
        }
    }
    for number in 0..5 {
        let (name, target) = (format!("set/vehicle/{number}.jpg"), format!("set/car/{number}.jpg"));
        link(&mut tar, tar::EntryType::Link, &name, &target);
    }
    link(&mut tar, tar::EntryType::Symlink, "set/tree/9.jpg", "/etc/hostname");
    link(&mut tar, tar::EntryType::Symlink, "set/tree/8.jpg", "8.jpg");
    let bytes = tar.into_inner().unwrap();
    let path = folder.path().join(if packed { "set.tar.gz" } else { "set.tar" });
    if packed {
        let mut gz =
            flate2::write::GzEncoder::new(fs::File::create(&path).unwrap(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gz, &bytes).unwrap();
        gz.finish().unwrap();
    } else {
        fs::write(&path, bytes).unwrap();
    }
    (folder, path)
}

#[test]
fn t05_links_in_a_tar_are_the_files_they_lead_to() {
    for packed in [false, true] {
        let (folder, path) = linked_tar(packed);
        let set = open(DatasetKind::Folder, &path);
        assert_eq!(set.classes, ["alias", "bike", "car", "tree", "vehicle"]);
        let found = content(&set);
        assert_eq!(found.len(), 5 + 1 + 5 + 5 + 5);
        let of = |class: &str| -> Vec<String> {
            let own = found.iter().filter(|(name, _)| name == class);
            own.map(|(_, bytes)| String::from_utf8(bytes.clone()).unwrap()).collect()
        };
        assert_eq!((of("vehicle"), of("alias")), (of("car"), of("car")));
        assert_eq!(of("bike"), ["tree 1"]);
        let notes = set.notes.join("\n");
        let nowhere = "1 links lead out of the archive or nowhere and are left out, such as set/tree/9.jpg";
        assert!(notes.contains(nowhere), "{notes}");
        assert!(
            notes.contains("1 links lead in a circle and are left out, such as set/tree/8.jpg"),
            "{notes}"
        );
        // Unpacked by the system's tar it is the same set, but for the link out of it.
        if !packed {
            let unpacked = folder.path().join("unpacked");
            fs::create_dir(&unpacked).unwrap();
            let status = Command::new("tar").arg("xf").arg(&path).arg("-C").arg(&unpacked).status().unwrap();
            assert!(status.success());
            fs::remove_file(unpacked.join("set/tree/9.jpg")).unwrap();
            let same = open(DatasetKind::Folder, &unpacked);
            assert_eq!(content(&same), found);
            let notes = same.notes.join("\n");
            assert!(
                notes.contains("1 links lead nowhere and are left out, such as set/tree/8.jpg"),
                "{notes}"
            );
        }
    }
}

#[test]
fn t05_a_class_called_train_is_a_class() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["bus", "car", "plane"] {
        (0..5).for_each(|k| {
            write(folder.path(), &format!("{class}/{k}.jpg"), format!("{class}{k}").as_bytes())
        });
    }
    for kind in ["steam", "electric"] {
        (0..5).for_each(|k| write(folder.path(), &format!("train/{kind}/{k}.jpg"), kind.as_bytes()));
    }
    let set = open(DatasetKind::Folder, folder.path());
    assert_eq!(set.classes, ["bus", "car", "plane", "train"]);
    let said = "the folder train is taken for a class, not for a split: beside it lies bus, which is none";
    assert!(set.notes.iter().any(|note| note == said), "{:?}", set.notes);
    // Beside a test split of the same classes it is a split, and what else lies there is counted.
    for kind in ["steam", "electric"] {
        (0..2).for_each(|k| write(folder.path(), &format!("test/{kind}/{k}.jpg"), kind.as_bytes()));
    }
    let set = open(DatasetKind::Folder, folder.path());
    assert_eq!((set.classes.join(" "), set.train.len(), set.test.len()), ("electric steam".into(), 10, 4));
    let said = "15 pictures lie in no class folder and are left out, such as bus/0.jpg";
    assert!(set.notes.iter().any(|note| note == said), "{:?}", set.notes);
}

#[test]
fn t05_labels_from_one_make_no_empty_class() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = String::from("path,label\n");
    for label in 1..=3 {
        for k in 0..5 {
            write(folder.path(), &format!("{label}_{k}.jpg"), b"x");
            rows.push_str(&format!("{label}_{k}.jpg,{label}\n"));
        }
    }
    write(folder.path(), "labels.csv", rows.as_bytes());
    let set = open(DatasetKind::Csv, &folder.path().join("labels.csv"));
    assert_eq!(set.classes, ["1", "2", "3"]);
    let said = "label 0 has no image, so it is no class; the head has 3 classes";
    assert!(set.notes.iter().any(|note| note == said), "{:?}", set.notes);
    // With names, the user has said what 0 is; that it is empty is a line.
    write(folder.path(), "names.txt", b"none\none\ntwo\nthree\n");
    let config = DatasetConfig {
        classes: Some("names.txt".into()),
        ..DatasetConfig::new(DatasetKind::Csv, folder.path().join("labels.csv"))
    };
    let set = LabelledSet::open(&config).unwrap();
    let said =
        "1 of 4 listed classes has no image, such as none (label 0); a head has a row for each all the same";
    assert!(set.notes.iter().any(|note| note == said), "{:?}", set.notes);
}

/// Labelled shards of three classes: those of `part` in `name`.
fn shard(path: &Path, images: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut tar = tar::Builder::new(fs::File::create(path).unwrap());
    for label in 0..3 {
        for k in 0..images {
            for (ext, bytes) in [("cls", format!("{label}")), ("webp", format!("image {label} {k}"))] {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                header.set_mode(0o644);
                tar.append_data(&mut header, format!("s{label}{k}.{ext}"), bytes.as_bytes()).unwrap();
            }
        }
    }
    tar.finish().unwrap();
}

#[test]
fn t05_a_class_name_may_begin_with_a_hash() {
    let folder = tempfile::tempdir().unwrap();
    for part in ["train", "test", "spare"] {
        shard(&folder.path().join(format!("{part}-0.tar")), 4);
    }
    write(folder.path(), "classes.txt", b"dollar\n#hash\n\npercent\nampersand\n");
    let set = open(DatasetKind::Shards, folder.path());
    assert_eq!(set.classes, ["dollar", "#hash", "percent", "ampersand"]);
    let notes = set.notes.join("\n");
    assert!(notes.contains("1 of 4 listed classes has no image, such as ampersand (label 3)"), "{notes}");
    let said = "1 tars are of no part (train*, val*, test*) and are left out, such as spare-0.tar";
    assert!(notes.contains(said), "{notes}");
}

/// Folders a part, names and prompts beside them.
#[test]
fn t14_the_layout_of_clip_benchmark_is_a_labelled_set() {
    let folder = tempfile::tempdir().unwrap();
    for (part, images) in [("train", 4), ("test", 2)] {
        shard(&folder.path().join(part).join("0.tar"), images);
        write(folder.path(), &format!("{part}/nshards.txt"), b"1");
    }
    // Two classes of one name, as in ImageNet.
    write(folder.path(), "classnames.txt", b"crane\nmaillot\ncrane\n");
    write(folder.path(), "zeroshot_classification_templates.txt", b"a photo of {c}.\nthe {c}.\n");
    let set = open(DatasetKind::Shards, folder.path());
    assert_eq!(set.classes, ["crane", "maillot", "crane"]);
    assert_eq!((set.train.len(), set.val.is_none(), set.test.len()), (12, true, 6));
    assert_eq!(set.templates.as_deref(), Some(&["a photo of {}.".to_owned(), "the {}.".to_owned()][..]));
    assert_eq!(content(&set).len(), 18);
    assert_eq!(recognise(folder.path()).unwrap(), [DatasetKind::Shards]);
    let report = check(&DatasetConfig::new(DatasetKind::Shards, folder.path()), Depth::default());
    assert!(report.is_usable, "{report:?}");
    assert!(report.findings.iter().any(|one| one.detail.contains("3: crane, maillot, crane")), "{report:?}");
    // ImageNet-A and its like are test sets alone.
    fs::remove_dir_all(folder.path().join("train")).unwrap();
    let set = open(DatasetKind::Shards, folder.path());
    assert_eq!((set.train.len(), set.part(Part::Test).len()), (0, 6));
    assert!(set.notes.iter().any(|note| note.contains("zero-shot alone")), "{:?}", set.notes);
}

#[test]
fn t14_tables_with_semicolons_backslashes_and_bare_ids_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("pics/a.jpg", "a"), ("pics/b.png", "b"), ("pics/c.JPEG", "c"), ("pics/d.jpg", "d")]
    {
        write(folder.path(), name, bytes.as_bytes());
    }
    let rows = "image_id;label;split\npics\\a.jpg;cat, tabby;train\npics\\b;dog;train\npics/c;cat, tabby;test\n.\\pics\\d.jpg;dog;test\n";
    write(folder.path(), "set.csv", rows.as_bytes());
    let set = open(DatasetKind::Csv, &folder.path().join("set.csv"));
    let found: Vec<(String, String)> =
        content(&set).into_iter().map(|(class, bytes)| (class, String::from_utf8(bytes).unwrap())).collect();
    let cat = |bytes: &str| ("cat, tabby".to_owned(), bytes.to_owned());
    let dog = |bytes: &str| ("dog".to_owned(), bytes.to_owned());
    assert_eq!(found, [cat("a"), cat("c"), dog("b"), dog("d")]);
    assert_eq!((set.train.len(), set.test.len()), (2, 2));
}
