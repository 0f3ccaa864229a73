//! Sets with a folder per class as people have them, as they lie there: counted, zero-shot, probed, fine-tuned.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use pairmill_shards::results::Split as ResultSplit;
use pairmill_train::transfer::config::Method;
use pairmill_train::transfer::record::Record;
use pairmill_world::{Chroma, Encoding, Shift, Split, Task, World, WorldConfig};

use crate::harness::{Bench, pairmill_train, succeed};

/// The ten of CIFAR-10.
const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const TRAIN: usize = 8;
const TEST: usize = 4;

/// 32×32 pictures under every spelling of their suffixes, and what else lies about in such folders.
fn write_set(root: &Path) {
    let world = World::new(WorldConfig { seed: 6, ..WorldConfig::default() });
    let jpeg = Encoding::Jpeg { quality: 90, chroma: Chroma::Quarter, progressive: false };
    for (split, count) in [(Split::Train, TRAIN), (Split::Test, TEST)] {
        for (label, class) in CLASSES.iter().enumerate() {
            let folder = root.join(split.to_string()).join(class);
            fs::create_dir_all(&folder).unwrap();
            let of_class = (0..).map(|index| Task::Shapes.labelled(&world, split, Shift::None, index));
            for (number, labelled) in
                of_class.filter(|labelled| labelled.label == label).take(count).enumerate()
            {
                let mut picture = labelled.picture;
                (picture.width, picture.height) = (32, 32);
                let suffix = ["jpg", "JPEG", "png", "jpeg", "JPG", "PNG"][number % 6];
                picture.encoding = if suffix.eq_ignore_ascii_case("png") { Encoding::Png } else { jpeg };
                fs::write(folder.join(format!("{number:04}.{suffix}")), picture.bytes().unwrap()).unwrap();
            }
        }
    }
    fs::write(root.join("README.md"), "ten classes\n").unwrap();
    fs::write(root.join("train/ship/empty"), "").unwrap();
    for debris in ["Thumbs.db", "train/Thumbs.db", "train/cat/.DS_Store", "test/.DS_Store"] {
        fs::write(root.join(debris), b"\0\0\0\x01Bud1").unwrap();
    }
}

fn check(root: &Path) -> (i32, String) {
    let mut command = pairmill_train();
    let output = command.args(["datasets", "check", "folder", "--decode"]).arg(root).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// A transfer of all pictures of `root` but for what is done with them.
fn transfer(bench: &Bench, root: &Path, out: &str) -> Command {
    let mut command = pairmill_train();
    command.arg("transfer").arg(bench.path("a.safetensors")).args(["--model", "rn-tiny", "--device", "cpu"]);
    command.args([
        "--task",
        "folder",
        "--shots",
        "full",
        "--lr",
        "1e-3",
        "--batch-size",
        "16",
        "--seeds",
        "1",
    ]);
    command
        .args(["--epochs", "2", "--threads", "1", "--quiet", "--data"])
        .arg(root)
        .arg("--out")
        .arg(bench.path(out));
    command
}

/// Zero-shot, a probe and two passes of fine-tuning: the pictures each was trained, chosen and tested by.
fn images(bench: &Bench, root: &Path) -> Vec<(Method, [u64; 3])> {
    succeed(transfer(bench, root, "out").args(["--method", "zero-shot,linear-probe,fine-tune"]));
    let mut found = Vec::new();
    for run in fs::read_dir(bench.path("out/runs")).unwrap() {
        let record = Record::read(&run.unwrap().path()).unwrap().expect("a finished run");
        let test: Vec<_> = record.rows.iter().filter(|row| row.split == ResultSplit::Test).collect();
        assert!(
            !test.is_empty() && test.iter().all(|row| row.num_test == Some(record.images[2])),
            "{test:?}"
        );
        assert_eq!(record.epochs.len(), if record.config.method.tunes() { 2 } else { 0 });
        found.push((record.config.method, record.images));
    }
    found.sort_by_key(|(method, _)| *method);
    found
}

#[test]
fn ten_classes_of_small_pictures_go_through_as_they_lie() {
    let bench = Bench::new();
    let root = bench.path("small");
    write_set(&root);
    let (code, out) = check(&root);
    assert_eq!(code, 0, "{out}");
    for line in [
        "classes   found    10",
        "train     found    80, 8 to 8 of a class",
        "test      found    40, 4 to 4 of a class",
        "pictures  found    120 decode",
        "2 files are no pictures",
    ] {
        assert!(out.contains(line), "{line:?} is not in {out}");
    }
    assert!(!out.contains("more than one part") && !out.contains("byte for byte"), "{out}");
    // A tenth of train is held out to choose by.
    let expected =
        [(Method::ZeroShot, [0, 8, 40]), (Method::LinearProbe, [72, 8, 40]), (Method::FineTune, [72, 8, 40])];
    assert_eq!(images(&bench, &root), expected);

    // A picture that is none is named; where none may be left out, nothing is trained on the rest.
    fs::write(root.join("train/ship/0009.jpg"), "").unwrap();
    let (code, out) = check(&root);
    assert!(
        code == 2 && out.contains("1 of 121 do not decode") && out.contains("train/ship/0009.jpg"),
        "{out}"
    );
    let output = transfer(&bench, &root, "refused").args(["--max-unreadable", "0"]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("train/ship/0009.jpg") && message.lines().count() == 1, "{message}");
    assert!(!bench.path("refused/runs").exists());
}

/// Two hundred photographs of ImageNet, a class each: put together by the first digits of their WordNet numbers, as links
/// and without splits.
#[test]
fn photographs_go_through_as_they_lie() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/imagenet-samples");
    let Ok(entries) = fs::read_dir(&samples) else {
        eprintln!("SKIPPED: {} is not there; no photograph was read", samples.display());
        return;
    };
    let bench = Bench::new();
    let root = bench.path("photographs");
    let (mut classes, mut total) = (BTreeMap::<String, u64>::new(), 0u64);
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".JPEG") {
            continue;
        }
        // What is rare goes together: plants, food, geology.
        let class = if name.as_str() < "n05" { name[..3].to_owned() } else { "others".to_owned() };
        let folder = root.join(&class);
        fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink(fs::canonicalize(&path).unwrap(), folder.join(&name)).unwrap();
        *classes.entry(class).or_default() += 1;
        total += 1;
    }
    assert!(classes.len() == 5 && total >= 200, "{classes:?}");
    let (code, out) = check(&root);
    assert_eq!(code, 0, "{out}");
    let test = total.div_ceil(5);
    for line in [
        format!("classes   found    {}: n01, ", classes.len()),
        format!("train     found    {}, ", total - test),
        format!("test      found    {test}, "),
        format!("pictures  found    {total} decode"),
    ] {
        assert!(out.contains(&line), "{line:?} is not in {out}");
    }
    assert!(!out.contains("byte for byte"), "{out}");
    let val = (total - test).div_ceil(10);
    let all = [total - test - val, val, test];
    let expected = [(Method::ZeroShot, [0, val, test]), (Method::LinearProbe, all), (Method::FineTune, all)];
    assert_eq!(images(&bench, &root), expected);
}
