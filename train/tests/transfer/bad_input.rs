//! Bad input is one line, exit code 2, and leaves nothing behind.

use std::fs;

use pairmill_world::{Dataset, Form, LabelledConfig, World, WorldConfig};

use crate::harness::{Bench, pairmill_train};

#[test]
fn each_is_one_line_that_names_file_and_rule() {
    let bench = Bench::new();
    let copy = |from: &str, to: &str| {
        for entry in fs::read_dir(bench.path(from)).unwrap() {
            let class = entry.unwrap();
            let into = bench.path(to).join(class.file_name());
            fs::create_dir_all(&into).unwrap();
            for file in fs::read_dir(class.path()).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), into.join(file.file_name())).unwrap();
            }
        }
    };
    for part in ["train", "test"] {
        copy(&format!("counts/{part}"), &format!("corrupt/{part}"));
    }
    fs::write(bench.path("corrupt/test/two/00001.jpg"), b"\xff\xd8\xff\xe0 no picture").unwrap();
    fs::write(bench.path("no-place.txt"), "a photo.\n").unwrap();
    let path = |name: &str| bench.path(name).to_string_lossy().into_owned();
    let (corrupt, no_place, nowhere) = (path("corrupt"), path("no-place.txt"), path("nowhere"));
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (vec!["--shots", "50"], "draw fewer"),
        (vec!["--shots", "zero"], "zero-shot"),
        (
            vec!["--shots", "full", "--epochs", "1", "--max-unreadable", "0", "--data", &corrupt],
            "two/00001.jpg",
        ),
        (vec!["--data", &nowhere], "nowhere"),
        (vec!["--templates", &no_place], "no-place.txt: the template \"a photo.\" has no {}"),
        (vec!["--templates", &nowhere], "nowhere: cannot be read"),
        (vec!["--protocol", "as-published"], "the 80 ImageNet templates"),
        (vec!["--lr", "0"], "above 0"),
        (vec!["--epochs", "0"], "epochs"),
        (vec!["--alphas", "1.5"], "between 0 and 1"),
        (vec!["--model", "RN50"], "not this model's tensors"),
        (vec!["--model", "RN51"], "RN51"),
    ];
    for (index, (words, expected)) in cases.iter().enumerate() {
        let out = format!("out{index}");
        let mut command = pairmill_train();
        command
            .arg("transfer")
            .arg(bench.path("a.safetensors"))
            .args(["--task", "folder", "--device", "cpu"]);
        for (flag, value) in [("--model", "rn-tiny"), ("--data", &path("counts")), ("--shots", "1")] {
            if !words.contains(&flag) {
                command.args([flag, value]);
            }
        }
        let output = command.arg("--quiet").arg("--out").arg(bench.path(&out)).args(words).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
        assert!(message.contains(expected) && message.lines().count() == 1, "{words:?}: {message}");
        assert!(!bench.path(&out).join("runs").exists(), "{words:?} left a run");
    }
}

#[test]
fn a_wrong_grid_is_told_by_file_and_setting() {
    let bench = Bench::new();
    let grid = fs::read_to_string(bench.path("grid.toml")).unwrap();
    for (from, to, expected) in [
        ("seeds = [0, 1]", "seeds = []", "seeds is empty"),
        ("alphas", "alpha", "unknown field `alpha`"),
        ("root = \"counts\"", "roots = \"counts\"", "unknown field `roots`"),
        ("kind = \"folder\"", "kind = \"cifar\"", "unknown variant `cifar`"),
        ("name = \"B\"", "name = \"A\"", "two sources are called A"),
        ("\"b.safetensors\"", "\"c.safetensors\"", "c.safetensors"),
        ("[2, \"full\"]", "[2, \"all\"]", "all"),
        ("epochs = [3]", "epochs = [3]\nhead = \"none\"", "unknown variant `none`"),
        ("seeds", "protocol = \"as-published\"\nseeds", "class order is not known for folder"),
        ("seeds", "selection = \"test-best\"\nseeds", "as-published"),
    ] {
        assert!(grid.contains(from), "{from}");
        fs::write(bench.path("grid.toml"), grid.replacen(from, to, 1)).unwrap();
        let output = bench.sweep("out", &["--quiet"]).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{to}: {message}");
        assert!(message.contains(expected) && message.lines().count() == 1, "{to}: {message}");
        assert!(!bench.path("out").exists(), "{to} left a folder");
    }
    fs::write(bench.path("grid.toml"), grid).unwrap();
    for part in ["3/2", "0/2", "two"] {
        let output = bench.sweep("out", &["--part", part]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{part}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("is no part"));
    }
}

/// Datasets as they are handed out, damaged: told before anything is begun, or before the first run is.
#[test]
fn a_damaged_dataset_is_one_line_and_leaves_no_run() {
    let bench = Bench::new();
    let world = World::new(WorldConfig { seed: 3, ..WorldConfig::default() });
    let write = |dataset, form, folder: &str| {
        let config = LabelledConfig { classes: Some(3), ..LabelledConfig::new(dataset, 4, form) };
        world.write_labelled(&config, &bench.path(folder)).unwrap();
    };
    write(Dataset::Dtd, Form::Archive, "cut");
    let archive = bench.path("cut/dtd-r1.0.1.tar.gz");
    let bytes = fs::read(&archive).unwrap();
    fs::write(&archive, &bytes[..bytes.len() * 2 / 3]).unwrap();
    write(Dataset::Dtd, Form::Folder, "no-split");
    fs::remove_file(bench.path("no-split/dtd/labels/train1.txt")).unwrap();
    write(Dataset::Dtd, Form::Archive, "small");
    write(Dataset::Real, Form::Folder, "label");
    let list = bench.path("label/real_train.txt");
    fs::write(&list, fs::read_to_string(&list).unwrap() + "real/zebra/a.jpg 4000000\n").unwrap();
    write(Dataset::Cifar100, Form::Folder, "record");
    let records = bench.path("record/cifar-100-binary/train.bin");
    let mut bytes = fs::read(&records).unwrap();
    bytes[3074 * 2 + 1] = 200;
    fs::write(&records, bytes).unwrap();
    write(Dataset::Eurosat, Form::Folder, "picture");
    for entry in fs::read_dir(bench.path("picture/2750/AnnualCrop")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "jpg") {
            fs::write(path, b"\xff\xd8\xff\xe0 no picture").unwrap();
        }
    }
    write(Dataset::Pets, Form::Archive, "breeds");
    fs::write(bench.path("prompts.txt"), "a {}\n".repeat(80)).unwrap();
    let prompts = bench.path("prompts.txt").to_string_lossy().into_owned();
    let published = ["--protocol", "as-published", "--templates", &prompts];
    let cases: [(&str, &str, &[&str], &[&str]); 8] = [
        ("dtd", "cut", &[], &["cut/dtd-r1.0.1.tar.gz: ", "cut off", "fetch it again"]),
        ("dtd", "no-split", &[], &["no-split/dtd: ", "the split file labels/train1.txt is not in it"]),
        (
            "dtd",
            "small",
            &["--shots", "5"],
            &["DTD: class ", " has 4 pictures to draw 5 shots from; draw fewer"],
        ),
        (
            "real",
            "label",
            &[],
            &["label/real_train.txt line 13: ", "zebra/a.jpg 4000000", "has a label out of range"],
        ),
        (
            "cifar100",
            "record",
            &[],
            &["train.bin record 2: fine label 200 is out of range; there are 3 names"],
        ),
        ("eurosat", "picture", &["--shots", "full"], &["picture/2750/AnnualCrop/AnnualCrop_"]),
        ("pets", "breeds", &published, &["class order of pets is for 37 classes; this copy has 3"]),
        ("folder", "counts", &published, &["class order is not known for folder"]),
    ];
    for (task, folder, words, parts) in cases {
        let out = bench.path(&format!("out-{folder}"));
        let mut command = pairmill_train();
        command
            .arg("transfer")
            .arg(bench.path("a.safetensors"))
            .args(["--model", "rn-tiny", "--device", "cpu"]);
        command.args(["--task", task, "--partial", "--quiet", "--epochs", "1", "--lr", "1e-3"]).args(words);
        if !words.contains(&"--shots") {
            command.args(["--shots", "1"]);
        }
        let output = command.arg("--data").arg(bench.path(folder)).arg("--out").arg(&out).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{folder}: {message}");
        assert!(message.lines().count() == 1, "{folder}: {message}");
        for part in parts {
            assert!(message.contains(part), "{folder}: {part:?} is not in: {message}");
        }
        // What is found while pictures are decoded has the grid in its folder already, and no run.
        assert!(
            !out.join("runs").exists() && (folder == "picture" || !out.exists()),
            "{folder} left something"
        );
    }
}
