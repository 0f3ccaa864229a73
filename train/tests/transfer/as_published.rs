//! `--protocol as-published` from flags to the table, on a miniature Cassava: the study read it from a table of its own, so
//! its test pictures are drawn by shots too, and stored its five class names backwards.

use std::collections::BTreeSet;
use std::fs;
use std::process::Output;

use pairmill_datasets::{Counts, DatasetConfig, DatasetKind, LabelledSet, Part, prompt_name};
use pairmill_pixels::Normalisation;
use pairmill_shards::results::{Protocol, ResultRow, Selection, Shots, Split, read_tsv};
use pairmill_tokens::{Tokenizer, Truncation};
use pairmill_train::checkpoint::import_weights;
use pairmill_train::eval::zero_shot::zero_shot_head;
use pairmill_train::model::{Architecture, Clip};
use pairmill_train::transfer::classifier::Head;
use pairmill_train::transfer::config::Method;
use pairmill_train::transfer::draw::Draw;
use pairmill_train::transfer::protocol::DEFECTS;
use pairmill_train::transfer::record::Record;
use pairmill_world::{Dataset, Form, LabelledConfig, World, WorldConfig};
use tch::{Device, Tensor, no_grad};

use crate::harness::{Bench, pairmill_train, succeed};

/// Of the test part's five classes; the fourth is most of the set, as in the real one.
const TEST: [u64; 5] = [2, 2, 2, 12, 2];
/// Runs of the flags below: zero-shot; probes at three numbers of shots; fine-tuning and LP-FT at each.
const RUNS: usize = 1 + 3 + 2 * 3;

/// Eighty prompts, none of them anyone's.
fn templates() -> Vec<String> {
    let kinds = ["painting", "print", "slide", "scan", "poster", "mural", "stamp", "card", "tile", "mosaic"];
    let places = [
        "on a wall",
        "in a drawer",
        "by a lake",
        "at noon",
        "in fog",
        "on paper",
        "under glass",
        "in a book",
    ];
    kinds.iter().flat_map(|kind| places.map(|place| format!("some {kind} of the {{}} {place}"))).collect()
}

struct Study {
    bench: Bench,
    set: LabelledSet,
}

impl Study {
    fn new() -> Self {
        let bench = Bench::new();
        let world = World::new(WorldConfig { seed: 11, ..WorldConfig::default() });
        let config = LabelledConfig::new(Dataset::Cassava, 10, Form::Archive);
        world.write_labelled(&config, &bench.path("cassava")).unwrap();
        fs::write(bench.path("templates.txt"), templates().join("\n")).unwrap();
        let dataset = DatasetConfig::new(DatasetKind::Cassava, bench.path("cassava"));
        let set = LabelledSet::open(&dataset.with_counts(Counts::Reported)).unwrap();
        Self { bench, set }
    }

    fn transfer(&self, protocol: Protocol) -> Output {
        let mut command = pairmill_train();
        command.args([
            "transfer",
            "--model",
            "rn-tiny",
            "--name",
            "A",
            "--device",
            "cpu",
            "--threads",
            "1",
            "--partial",
        ]);
        command.args(["--task", "cassava", "--shots", "1,5,full", "--seeds", "1"]);
        command.args(["--method", "zero-shot,linear-probe,fine-tune,lp-ft"]);
        command.args(["--lr", "1e-3", "--epochs", "3", "--batch-size", "16"]);
        command.args(["--protocol", protocol.as_str(), "--templates"]).arg(self.bench.path("templates.txt"));
        command.arg("--data").arg(self.bench.path("cassava"));
        command.arg("--out").arg(self.bench.path(protocol.as_str())).arg(self.bench.path("a.safetensors"));
        succeed(&mut command)
    }

    fn records(&self, protocol: Protocol) -> Vec<Record> {
        let runs = fs::read_dir(self.bench.path(protocol.as_str()).join("runs")).unwrap();
        let records: Vec<_> =
            runs.map(|run| Record::read(&run.unwrap().path()).unwrap().expect("a finished run")).collect();
        assert_eq!(records.len(), RUNS);
        records
    }

    /// Row sums of a run's confusion matrix: how many pictures of each class it was tested on.
    fn tested(&self, record: &Record) -> Vec<u64> {
        let folder = self.bench.path(record.config.protocol.as_str()).join("runs").join(&record.run);
        let text = fs::read_to_string(folder.join("confusion.tsv")).unwrap();
        let sum = |line: &str| line.split('\t').skip(1).map(|count| count.parse::<u64>().unwrap()).sum();
        text.lines().skip(1).map(sum).collect()
    }

    /// The zero-shot head that lies beside the results.
    fn head(&self, protocol: Protocol) -> Tensor {
        let heads = fs::read_dir(self.bench.path(protocol.as_str()).join("heads")).unwrap();
        let [path] = &heads.map(|file| file.unwrap().path()).collect::<Vec<_>>()[..] else {
            panic!("one head")
        };
        let tensors = Tensor::read_safetensors(path).unwrap();
        tensors.into_iter().find(|(name, _)| name == "head.weight").unwrap().1
    }

    /// The head that these names make, row by row.
    fn head_of(&self, names: &[String], truncation: Truncation) -> Tensor {
        let clip = Clip::new(&Architecture::find("rn-tiny").unwrap(), Device::Cpu).unwrap();
        import_weights(&self.bench.path("a.safetensors"), clip.weights()).unwrap();
        let tokenizer = Tokenizer::new().unwrap();
        no_grad(|| {
            let directions = zero_shot_head(&clip, &tokenizer, truncation, names, &templates()).unwrap();
            Head::zero_shot(&directions, clip.logit_scale()).unwrap().weight
        })
    }
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

fn acc1(record: &Record) -> &ResultRow {
    let own = |row: &&ResultRow| {
        row.metric == "acc1" && row.split == Split::Test && row.shots == record.config.shots
    };
    record.rows.iter().find(own).unwrap()
}

#[test]
fn as_published_says_what_it_is_and_corrected_differs_where_it_should() {
    let study = Study::new();
    published(&study);
    corrected(&study);
}

fn published(study: &Study) {
    let output = study.transfer(Protocol::AsPublished);
    let records = study.records(Protocol::AsPublished);

    // 1. What is written: the protocol in every row, the defects in every record, a table and the paper's columns.
    let rows = study.bench.rows("as-published");
    assert!(
        rows.iter().all(|row| row.protocol == Protocol::AsPublished && row.config.ds == "CassavaLeafDisease")
    );
    let own = |row: &&ResultRow| row.shots != Shots::Zero;
    assert!(
        rows.iter().filter(own).all(|row| row.selection == Selection::TestBest && row.split == Split::Test)
    );
    for record in &records {
        assert_eq!(record.defects, DEFECTS);
        assert_eq!(record.config.transform.statistics, Normalisation::Imagenet);
    }
    let table = String::from_utf8(output.stdout).unwrap();
    let head: Vec<_> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head[4..], ["zero", "1", "5", "full"], "{table}");
    let losses = ["CLIP ", "CLIP_LP ", "CLIP_LP-FT ", "CLIP_zero-shot "];
    assert!(losses.iter().all(|loss| table.contains(loss)) && table.lines().count() == 5, "{table}");
    let tsv = study.bench.path("as-published/results.tsv");
    let lines = read_tsv(&tsv, &fs::read(&tsv).unwrap()).unwrap();
    assert!(lines.iter().any(|(_, line)| line.config.loss() == "CLIP" && line.config.ds_lr == Some(1e-3)));

    // 2. Class names backwards: row i of the head is made of the name of class 4 − i, as stored, its end cut off.
    let backwards: Vec<_> = study.set.classes.iter().rev().cloned().collect();
    let (found, expected) = (study.head(Protocol::AsPublished), study.head_of(&backwards, Truncation::Cut));
    assert!(difference(&found, &expected) < 1e-4, "{}", difference(&found, &expected));
    assert!(difference(&found, &study.head_of(&study.set.classes, Truncation::Cut)) > 1e-2);

    // 3. The draw is NumPy's, from training to test pictures, which are k of each class however few there are.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../datasets/tests/it/numpy_draw.json");
    let numpy: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut compared = 0;
    for case in numpy["tables"].as_array().unwrap() {
        let (seed, shots) = (case["seed"].as_u64().unwrap(), case["shots"].as_u64().unwrap());
        let drawn =
            Draw::new(&study.set, Protocol::AsPublished, Shots::PerClass(shots as u32), seed).unwrap();
        for (part, word, found) in [(Part::Train, "train", &drawn.train), (Part::Test, "test", &drawn.test)] {
            // NumPy counts within one class after another; the set's pictures lie in the order of its table.
            let mut by_class: Vec<usize> = (0..study.set.part(part).len()).collect();
            by_class.sort_by_key(|&index| study.set.part(part)[index].label);
            let sizes = |label: usize| {
                study.set.part(part).iter().filter(|example| example.label as usize == label).count() as u64
            };
            assert!(
                case[word].as_array().unwrap().iter().enumerate().all(|(label, size)| *size == sizes(label))
            );
            let expected = case[format!("{word}_draw")].as_array().unwrap().iter();
            let expected = expected.map(|at| (part, by_class[at.as_u64().unwrap() as usize]));
            assert_eq!(*found, expected.collect::<Vec<_>>(), "seed {seed}, {shots} shots, {word}");
            compared += 1;
        }
    }
    assert_eq!(compared, 8);
    for record in &records {
        let (images, tested) = match record.config.shots {
            Shots::PerClass(k) => ([5 * u64::from(k), 0, 5 * u64::from(k)], vec![u64::from(k); 5]),
            Shots::All => ([80, 0, 20], TEST.to_vec()),
            Shots::Zero => ([0, 0, 20], TEST.to_vec()),
        };
        assert_eq!((record.images, study.tested(record)), (images, tested), "{:?}", record.config.shots);
        assert_eq!(acc1(record).num_test, Some(images[2]));
    }

    // 4. Of the passes the one that is best on the test set is reported, with what it scored there.
    let tuned = |record: &&Record| record.config.method.tunes();
    assert_eq!(records.iter().filter(tuned).count(), 6);
    for record in records.iter().filter(tuned) {
        let passes: Vec<f64> = record.epochs.iter().map(|epoch| epoch.acc1.unwrap()).collect();
        let best = passes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let first = passes.iter().position(|&acc1| acc1 == best).unwrap() as u64 + 1;
        assert_eq!((passes.len(), record.chosen_epoch), (3, Some(first)), "{passes:?}");
        assert!((acc1(record).value - best).abs() < 1e-9, "{} of {passes:?}", acc1(record).value);
        // And the start, on the same pictures.
        let start = record.rows.iter().find(|row| row.shots == Shots::Zero && row.metric == "acc1").unwrap();
        assert_eq!((start.num_test, start.selection), (acc1(record).num_test, Selection::Last));
    }
}

fn corrected(study: &Study) {
    study.transfer(Protocol::Corrected);
    let published = study.records(Protocol::AsPublished);
    let corrected = study.records(Protocol::Corrected);
    assert!(corrected.iter().all(|record| published.iter().all(|other| other.run != record.run)));
    for record in &corrected {
        assert_eq!(record.defects, Vec::<String>::new());
        assert_eq!(record.config.transform.statistics, Normalisation::Clip);
        // The whole test set whatever the shots, and pictures of the training part to choose by.
        assert_eq!((study.tested(record), acc1(record).num_test), (TEST.to_vec(), Some(20)));
        assert!(record.images[1] > 0, "{:?}", record.images);
        assert!(record.rows.iter().all(|row| row.protocol == Protocol::Corrected));
        let val = record.rows.iter().find(|row| row.split == Split::Val);
        if record.config.method == Method::ZeroShot {
            continue;
        }
        assert_eq!(acc1(record).selection, Selection::ValBest);
        let val = val.expect("what chose the epoch");
        assert_eq!(val.num_test, Some(record.images[1]));
        if let Some(chosen) = record.chosen_epoch {
            let passes: Vec<f64> = record.epochs.iter().map(|epoch| epoch.acc1.unwrap()).collect();
            assert!((passes[chosen as usize - 1] - val.value).abs() < 1e-9, "{passes:?} and {}", val.value);
            assert!(passes.iter().all(|&acc1| acc1 <= val.value), "{passes:?}");
        }
    }
    let names = prompt_name::clean(DatasetKind::Cassava, &study.set.classes);
    let found = study.head(Protocol::Corrected);
    assert!(
        difference(&found, &study.head_of(&names, Truncation::EndToken)) < 1e-4,
        "in label order, as words"
    );
    // Another draw, of which the picture of one shot is among the five.
    let draw = |protocol, shots| Draw::new(&study.set, protocol, Shots::PerClass(shots), 0).unwrap().train;
    let five = draw(Protocol::Corrected, 5);
    assert!(draw(Protocol::Corrected, 1).iter().all(|key| five.contains(key)));
    let of_published: BTreeSet<_> = draw(Protocol::AsPublished, 5).into_iter().collect();
    assert_ne!(of_published, five.into_iter().collect());
}
