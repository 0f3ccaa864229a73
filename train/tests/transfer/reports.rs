//! From the trainer to the reports: rows of every method through every command of `pairmill-report`; what shares a name
//! or a run and is not the same stays apart on the way.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::Parser;
use pairmill_analysis::args::Cli;
use pairmill_shards::results::{Method, ResultRow, Shots, Split, View, read_tsv};
use pairmill_train::checkpoint::export_weights;
use pairmill_train::model::{Architecture, Clip};
use pairmill_train::torch::rng;
use pairmill_train::transfer::record::Record;

use crate::harness::{Bench, pairmill_train, succeed};

/// Runs a command of `pairmill-report`, which must succeed.
fn report(words: &[&str]) {
    let cli = Cli::try_parse_from([&["pairmill-report"], words].concat()).unwrap();
    pairmill_analysis::command::run(cli.command).unwrap_or_else(|error| panic!("{words:?}: {error:#}"));
}

/// Every command that takes result rows.
fn report_all(bench: &Bench, parquet: &Path, name: &str) {
    let rows = parquet.to_str().unwrap();
    let out = |file: &str| bench.path(&format!("{name}-{file}")).to_str().unwrap().to_owned();
    report(&["transfer", rows, "--out", &out("figures")]);
    for format in ["text", "json", "md", "csv"] {
        for command in ["claims", "audit"] {
            report(&[command, rows, "--format", format, "--out", &out(&format!("{command}.{format}"))]);
        }
    }
    for file in ["report.html", "report.md"] {
        report(&["report", rows, "--out", &out(file)]);
    }
    for form in ["tsv", "parquet"] {
        report(&["rows", rows, "--to", form, "--out", &out(&format!("rows.{form}"))]);
    }
    // Both forms are read again.
    report(&["audit", &out("rows.parquet"), "--out", &out("again.txt")]);
    report(&["audit", &out("rows.tsv"), "--tsv-protocol", "corrected", "--out", &out("tsv.txt")]);
    assert_eq!(
        fs::read(out("rows.parquet")).unwrap(),
        fs::read(parquet).unwrap(),
        "rows are not what they were"
    );
}

const FLAGS: [&str; 10] =
    ["--shots", "1,full", "--lr", "1e-3", "--epochs", "1", "--batch-size", "16", "--seeds", "2"];

/// The same of one seed and one number of shots.
const FEW: [&str; 10] =
    ["--shots", "full", "--lr", "1e-3", "--epochs", "1", "--batch-size", "16", "--seeds", "1"];

#[test]
fn t15_rows_of_every_method_go_through_every_report() {
    let bench = Bench::new();
    let methods = "zero-shot,linear-probe,fine-tune,lp-ft";
    succeed(bench.transfer("all", &["--quiet", "--method", methods, "--alphas", "0,0.5,1"]).args(FLAGS));
    let rows = bench.rows("all");
    let found: BTreeSet<(Method, Option<u64>)> =
        rows.iter().map(|row| (row.config.method, row.config.alpha.map(f64::to_bits))).collect();
    let alphas = [None, Some(0.0), Some(0.5), Some(1.0)].map(|alpha: Option<f64>| alpha.map(f64::to_bits));
    let mut wanted = BTreeSet::from([(Method::ZeroShot, None), (Method::LinearProbe, None)]);
    for method in [Method::FineTune, Method::LpFt] {
        wanted.extend(alphas.map(|alpha| (method, alpha)));
    }
    assert_eq!(found, wanted);
    assert!(rows.iter().all(|row| row.config.objective == "CLIP"));
    // Where there is a probe, the rows say whether it reached its optimum.
    let is_probe = |row: &ResultRow| matches!(row.config.method, Method::LinearProbe | Method::LpFt);
    assert!(rows.iter().all(|row| row.converged == is_probe(row).then_some(true)));
    report_all(&bench, &bench.path("all/results.parquet"), "all");
    // No row is lost on the way to the table for people.
    let tsv = bench.path("all-rows.tsv");
    let lines = read_tsv(&tsv, &fs::read(&tsv).unwrap()).unwrap();
    let losses: BTreeSet<String> = lines.iter().map(|(_, line)| line.config.loss()).collect();
    assert_eq!(losses.len(), wanted.len());
    let cells = lines.iter().flat_map(|(_, line)| line.cells().collect::<Vec<_>>());
    let values = cells.filter(|(_, cell)| matches!(cell, pairmill_shards::results::Cell::Value(_))).count();
    let shown = rows.iter().filter(|row| row.metric == "acc1" && row.split == Split::Test).count();
    assert_eq!(values, shown);

    // Each method alone, and from scratch.
    for method in ["zero-shot", "linear-probe", "fine-tune", "lp-ft"] {
        let out = format!("only-{method}");
        succeed(bench.transfer(&out, &["--quiet", "--method", method]).args(FEW));
        report_all(&bench, &bench.path(&out).join("results.parquet"), method);
    }
    let mut scratch = pairmill_train();
    scratch.args([
        "transfer",
        "--scratch",
        "rn-tiny",
        "--task",
        "folder",
        "--device",
        "cpu",
        "--quiet",
        "--data",
    ]);
    succeed(scratch.arg(bench.path("counts")).arg("--out").arg(bench.path("scratch")).args(FEW));
    assert!(bench.rows("scratch").iter().all(|row| row.config.method == Method::RandomHead));
    report_all(&bench, &bench.path("scratch/results.parquet"), "scratch");
    // All of them in one report: what is the same run in two files counts once.
    let all = ["all", "only-zero-shot", "only-fine-tune", "scratch"]
        .map(|out| bench.path(out).join("results.parquet"));
    let all: Vec<&str> = all.iter().map(|path| path.to_str().unwrap()).collect();
    let page = bench.path("together.md");
    report(&[&["report"], &all[..], &["--out", page.to_str().unwrap()]].concat());
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("from scratch") && page.contains("not in figures"), "{page}");
}

fn acc1(rows: &[ResultRow], method: Method, alpha: Option<f64>) -> &ResultRow {
    rows.iter()
        .find(|row| {
            let config = &row.config;
            row.metric == "acc1"
                && row.split == Split::Test
                && (config.method, config.alpha) == (method, alpha)
        })
        .unwrap()
}

/// A mixture of share 0 is the zero-shot model. On the same part of the images both say the same; where they are tested on
/// different parts, as by default, the rows and a note say so.
#[test]
fn t15_alpha_zero_is_zero_shot_on_the_same_view() {
    let bench = Bench::new();
    let flags = ["--shots", "full", "--lr", "1e-3", "--epochs", "1", "--batch-size", "16", "--seeds", "1"];
    let methods = ["--method", "zero-shot,fine-tune", "--alphas", "0,1"];
    let output = succeed(bench.transfer("apart", &methods).args(flags));
    let rows = bench.rows("apart");
    assert_eq!(acc1(&rows, Method::ZeroShot, None).view, Some(View::Whole));
    assert_eq!(acc1(&rows, Method::FineTune, Some(0.0)).view, Some(View::Centre));
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(
        notes.contains("whole-square for CLIP_zero-shot; as centre-7/8 for CLIP, CLIP_WiSE-FT-0"),
        "{notes}"
    );

    let output = succeed(bench.transfer("alike", &methods).args(flags).args(["--preset", "clip"]));
    let rows = bench.rows("alike");
    for metric in ["acc1", "acc5", "mean_per_class_recall"] {
        let of = |method, alpha: Option<f64>| {
            let own = |row: &&ResultRow| {
                row.metric == metric && row.config.method == method && row.config.alpha == alpha
            };
            rows.iter().find(own).map(|row| row.value)
        };
        assert_eq!(of(Method::ZeroShot, None), of(Method::FineTune, Some(0.0)), "{metric}");
        assert_eq!(of(Method::FineTune, None), of(Method::FineTune, Some(1.0)), "{metric}");
    }
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(!notes.contains("centre-7/8"), "{notes}");
}

/// A checkpoint of other weights under the name of the first, and of another activation.
#[test]
fn t04_checkpoints_of_one_name_have_lines_and_heads_of_their_own() {
    let bench = Bench::new();
    for (folder, seed) in [("x", 1), ("y", 2)] {
        rng::seed(seed);
        let clip = Clip::new(&Architecture::find("vit-tiny").unwrap(), tch::Device::Cpu).unwrap();
        fs::create_dir(bench.path(folder)).unwrap();
        export_weights(clip.weights(), &bench.path(folder).join("epoch_1.safetensors")).unwrap();
    }
    let run = |folder: &str, model: &str, out: &str| {
        let mut command = pairmill_train();
        command.arg("transfer").arg(bench.path(folder).join("epoch_1.safetensors")).args(["--model", model]);
        command.args(["--task", "folder", "--method", "zero-shot", "--device", "cpu", "--quiet", "--data"]);
        command.arg(bench.path("counts")).arg("--out").arg(bench.path(out));
        let output = succeed(&mut command);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let (one, notes) = run("x", "vit-tiny", "t");
    assert_eq!((one.lines().count(), notes.as_str()), (2, ""), "{one}");
    let (two, notes) = run("y", "vit-tiny", "t");
    assert_eq!(two.lines().count(), 3, "{two}");
    assert!(
        notes.contains("source epoch_1 (CLIP, vit-tiny) is the name of 2 different checkpoints"),
        "{notes}"
    );
    let value = |line: &str| line.split_whitespace().last().unwrap().to_owned();
    assert!(two.lines().skip(1).any(|line| value(line) == value(one.lines().nth(1).unwrap())), "{one}{two}");
    // The same weights under another activation are another model: a head and a line of their own, and the numbers of a
    // folder in which nothing was kept.
    let (three, _) = run("x", "vit-tiny-quickgelu", "t");
    assert_eq!(three.lines().count(), 4, "{three}");
    run("x", "vit-tiny-quickgelu", "fresh");
    let heads = |out: &str| -> Vec<Vec<u8>> {
        let files = fs::read_dir(bench.path(out).join("heads")).unwrap();
        files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
    };
    assert_eq!((heads("t").len(), heads("fresh").len()), (3, 1));
    assert!(heads("t").contains(&heads("fresh")[0]));
    let shared = bench.numbers("t");
    assert!(bench.numbers("fresh").iter().all(|(key, value)| shared.get(key) == Some(value)));
    // Other prompts are another setting, not another draw of the same.
    fs::write(bench.path("prompts.txt"), "{} and nothing else\n").unwrap();
    let mut prompts = pairmill_train();
    prompts.arg("transfer").arg(bench.path("x/epoch_1.safetensors")).args(["--model", "vit-tiny", "--quiet"]);
    prompts.args(["--task", "folder", "--method", "zero-shot", "--device", "cpu", "--templates"]);
    prompts.arg(bench.path("prompts.txt")).arg("--data").arg(bench.path("counts"));
    let output = succeed(prompts.arg("--out").arg(bench.path("t")));
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(table.lines().count(), 5, "{table}");
    assert_eq!(table.matches('[').count(), 2, "{table}");
}

/// A folder of results that an earlier version began is tabled with what is added to it.
#[test]
fn t15_records_of_an_earlier_version_are_tabled() {
    let bench = Bench::new();
    succeed(&mut bench.transfer("out", &["--method", "zero-shot", "--quiet"]));
    let run = fs::read_dir(bench.path("out/runs")).unwrap().next().unwrap().unwrap().path();
    let path = run.join("result.json");
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record.as_object_mut().unwrap().remove("unreadable");
    for row in record["rows"].as_array_mut().unwrap() {
        let config = row["config"].as_object_mut().unwrap();
        for name in ["objective", "method", "alpha", "weights", "images", "setup"] {
            config.remove(name);
        }
        config.insert("loss".to_owned(), "CLIP_zero-shot".into());
        for name in ["view", "converged"] {
            row.as_object_mut().unwrap().remove(name);
        }
    }
    fs::write(&path, record.to_string()).unwrap();
    let output = succeed(&mut bench.transfer("out", &["--method", "zero-shot", "--quiet"]));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("CLIP_zero-shot"), "{table}");
    assert!(bench.rows("out").iter().all(|row| row.config.method == Method::ZeroShot && row.view.is_none()));
}

#[test]
fn t14_a_corrupt_image_is_counted_and_not_the_end() {
    let bench = Bench::new();
    let class = |part: &str| {
        let mut folders: Vec<_> = fs::read_dir(bench.path("counts").join(part))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        folders.sort();
        folders.swap_remove(0)
    };
    let spoil = |part: &str, number: usize| {
        let mut files: Vec<_> =
            fs::read_dir(class(part)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        fs::write(&files[number], b"\xff\xd8\xff\xe0 no picture").unwrap();
    };
    spoil("test", 0);
    let flags = ["--shots", "full", "--lr", "1e-3", "--epochs", "1", "--batch-size", "16", "--seeds", "1"];
    let methods = ["--method", "zero-shot,linear-probe,fine-tune,lp-ft"];
    let output = succeed(bench.transfer("one", &methods).args(flags));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("1 of 60 images cannot be decoded and are left out, such as "), "{said}");
    assert!(said.contains("note: counts: 1 images could not be decoded and were left out"), "{said}");
    for run in fs::read_dir(bench.path("one/runs")).unwrap() {
        let record = Record::read(&run.unwrap().path()).unwrap().unwrap();
        assert_eq!(record.unreadable, [0, 0, 1]);
        assert!(record.unreadable_example.unwrap().contains("counts/test"), "{:?}", record.notes);
        assert_eq!(record.images[2], 19);
        let test = record.rows.iter().find(|row| row.metric == "acc1" && row.split == Split::Test).unwrap();
        assert_eq!(test.num_test, Some(19));
    }
    // One is let pass, unless none is allowed; a share of them is the user's to choose.
    let refused = |out: &str, limit: &str| {
        let output =
            bench.transfer(out, &methods).args(flags).args(["--max-unreadable", limit]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = refused("none", "0");
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("1 of 60 images cannot be decoded, more than the 0 % allowed (max_unreadable)"),
        "{said}"
    );
    for number in 0..4 {
        spoil("train", number);
    }
    let (code, said) = refused("many", "0.05");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("5 of 60 images cannot be decoded"), "{said}");
    succeed(bench.transfer("many", &methods).args(flags).args(["--max-unreadable", "0.1"]));
    let record = |row: &ResultRow| row.shots == Shots::All && row.num_test == Some(19);
    assert!(bench.rows("many").iter().any(record));
}
