//! `pairmill-train datasets` as a user runs it.

use std::process::{Command, Output};

use pairmill_world::{Dataset, Form, LabelledConfig};

use crate::bench::Bench;
use crate::server::{Answer, Server};

fn run(words: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_pairmill-train")).arg("datasets").args(words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn the_list_names_every_kind() {
    let (code, out, _) = run(&["list"]);
    assert_eq!((code, out.lines().count()), (0, 12));
    assert!(out.contains("camera-traps  CameraTraps           15  CCT-20"), "{out}");
}

#[test]
fn a_partial_copy_is_told_from_a_whole_one() {
    let bench = Bench::new(Dataset::Dtd, Form::Archive, 4, 3);
    let root = bench.folder.path().to_str().unwrap();
    let (code, out, _) = run(&["check", root]);
    assert_eq!(code, 2, "{out}");
    assert!(out.starts_with(&format!("DTD in {root}: not usable\n")), "{out}");
    assert!(out.contains("dtd-r1.0.1.tar.gz  wrong    its MD5 is "), "{out}");
    assert!(out.contains("dataset            wrong    "), "{out}");
    assert!(out.contains("4 classes where a whole copy of DTD has 47"), "{out}");

    let (code, out, _) = run(&["check", "DTD", root, "--partial", "--no-checksums", "--decode"]);
    assert_eq!(code, 0, "{out}");
    for line in [
        "DTD in ",
        "classes            found    4",
        "train              found    12, 3 to 3 of a class",
        "pictures           found    36 decode",
    ] {
        assert!(out.contains(line), "{line:?} in {out}");
    }
}

#[test]
fn a_whole_copy_is_usable_and_missing_files_are_named() {
    let bench = Bench::of(&LabelledConfig {
        real_size: true,
        ..LabelledConfig::new(Dataset::Cassava, 1, Form::Archive)
    });
    let (code, out, _) = run(&["check", bench.folder.path().to_str().unwrap()]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("train    found    17,117, 870 to 10,526 of a class"), "{out}");

    let bench = Bench::new(Dataset::Pets, Form::Folder, 4, 3);
    std::fs::remove_dir_all(bench.path("images")).unwrap();
    let (code, out, _) = run(&["check", bench.folder.path().to_str().unwrap(), "--partial"]);
    assert_eq!(code, 2, "{out}");
    assert!(out.contains("images.tar.gz       missing  not here under this name"), "{out}");
    assert!(out.contains("annotations.tar.gz  found    unpacked, in "), "{out}");
}

#[test]
fn every_set_is_recognised_by_its_files() {
    for (dataset, name) in [
        (Dataset::Cifar100Python, "CIFAR100"),
        (Dataset::Caltech101Tar, "CALTECH101"),
        (Dataset::Pets, "PETS"),
        (Dataset::Clipart, "CLIPART"),
        (Dataset::EurosatZenodo, "EuroSAT"),
        (Dataset::Cassava, "CassavaLeafDisease"),
        (Dataset::CameraTraps, "CameraTraps"),
        (Dataset::Csv, "csv"),
        (Dataset::Shards, "shards"),
        (Dataset::Folder, "folder"),
    ] {
        for form in [Form::Archive, Form::Folder] {
            let bench = Bench::new(dataset, form, 3, 3);
            let root = bench.config().root;
            let (code, out, err) = run(&["check", root.to_str().unwrap(), "--partial", "--no-checksums"]);
            assert!(out.starts_with(&format!("{name} in ")), "{dataset} {form}: {out}{err}");
            assert_eq!(out.matches(": usable").count(), 1, "{dataset} {form}: {out}");
            assert_eq!(code, 0, "{dataset} {form}: {out}");
        }
    }
}

#[test]
fn pictures_that_do_not_decode_are_named() {
    let bench = Bench::new(Dataset::Folder, Form::Folder, 3, 3);
    std::fs::write(bench.path("flowers/test/blue_square/2.jpeg"), "no picture").unwrap();
    let root = bench.path("flowers");
    let (code, out, _) = run(&["check", "folder", root.to_str().unwrap(), "--decode"]);
    assert_eq!(code, 2, "{out}");
    assert!(
        out.contains("1 of 27 do not decode, such as ") && out.contains("flowers/test/blue_square/2.jpeg: "),
        "{out}"
    );
}

#[test]
fn fetch_says_what_it_would_do_and_refuses_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let out_folder = folder.path().join("new");
    let to = out_folder.to_str().unwrap();
    let (code, out, _) = run(&["fetch", "pets", "--out", to]);
    assert_eq!(code, 0);
    assert!(
        out.contains("5c4f3ee8e5d25df40f4fd59a7f44e54c") && out.contains("images.tar.gz         792 MB"),
        "{out}"
    );
    assert!(out.contains("nothing was fetched: add --yes") && !out_folder.exists(), "{out}");

    let (code, _, err) = run(&["fetch", "cassava", "--out", to, "--yes"]);
    assert_eq!(code, 2);
    assert!(err.contains("kaggle competitions download") && err.lines().count() == 1, "{err}");
    let (code, _, err) = run(&["fetch", "mnist", "--out", to]);
    assert_eq!(code, 2);
    assert!(err.contains("no dataset \"mnist\"; known: cifar100, dtd"), "{err}");

    let server = Server::start(b"<html>moved</html>".to_vec(), vec![Answer::Whole]);
    let (code, _, err) = run(&["fetch", "dtd", "--out", to, "--yes", "--from", &server.url]);
    assert_eq!(code, 2, "{err}");
    assert!(
        err.contains("dtd-r1.0.1.tar.gz: what ") && err.contains("another file") && err.lines().count() == 1,
        "{err}"
    );
    assert!(std::fs::read_dir(&out_folder).unwrap().next().is_none(), "nothing is left");
}

#[test]
fn what_is_not_there_is_one_line() {
    for words in [&["check", "/nowhere/at/all"][..], &["check", "mnist", "/tmp"]] {
        let (code, out, err) = run(words);
        assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{err}");
    }
}

/// Copies under other names are told of where every byte is read anyway.
#[test]
fn pictures_that_two_parts_share_byte_for_byte_are_noted() {
    let bench = Bench::new(Dataset::Folder, Form::Folder, 3, 3);
    let root = bench.path("flowers");
    let words = ["check", "folder", root.to_str().unwrap(), "--decode"];
    let (code, out, _) = run(&words);
    assert!(code == 0 && !out.contains("byte for byte"), "{out}");
    std::fs::copy(root.join("train/blue_square/2.jpeg"), root.join("test/blue_square/copy.jpeg")).unwrap();
    let (code, out, _) = run(&words);
    assert_eq!(code, 0, "a copy is a remark, no damage: {out}");
    assert!(out.contains("1 picture is the same as one of another part, byte for byte, such as "), "{out}");
    assert!(out.contains("train/blue_square/2.jpeg") && out.contains("test/blue_square/copy.jpeg"), "{out}");
}

/// One reader of class lists: that of a labelled set and that of a task file of `evaluate` agree.
#[test]
fn t05_a_task_file_reads_class_names_as_a_labelled_set_does() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("classes.txt"), "dollar\n#hash\n\npercent\nampersand\n").unwrap();
    let task = "shards = \"test-0.tar\"\nclasses = \"classes.txt\"\ntemplates = [\"a {c}.\"]\n";
    std::fs::write(folder.path().join("task.toml"), task).unwrap();
    let task = pairmill_train::eval::task::ZeroShotTask::read(&folder.path().join("task.toml")).unwrap();
    assert_eq!(task.classes, ["dollar", "#hash", "percent", "ampersand"]);
    assert_eq!(task.templates, ["a {}."]);
}
