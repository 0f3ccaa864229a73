//! The command line: what it writes, what it says to bad input, and that files appear whole.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use pairmill_shards::results::{Protocol, ResultRow, TSV_COLUMNS, write_parquet};

use crate::results::rows;

fn report(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pairmill-report"));
    command.args(args);
    command
}

pub fn run(args: &[&str]) -> Output {
    report(args).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Standard error of a run that must fail with exit code 2 and one line.
pub fn refused(args: &[&str]) -> String {
    let output = run(args);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
    assert!(message.starts_with("error: ") && message.trim_end().lines().count() == 1, "{message}");
    assert!(output.stdout.is_empty());
    message
}

fn write_rows(folder: &Path, name: &str, rows: &[ResultRow]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, write_parquet(rows).unwrap()).unwrap();
    path.display().to_string()
}

#[test]
fn transfer_writes_each_figure_in_three_forms() {
    let dir = tempfile::tempdir().unwrap();
    let input = write_rows(dir.path(), "r.parquet", &rows(Protocol::Corrected));
    let out = dir.path().join("figures");
    let output = run(&["transfer", &input, "--out", out.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut names: Vec<String> =
        std::fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let want: Vec<String> = ["fig1", "fig6", "fig7"]
        .iter()
        .flat_map(|f| ["csv", "png", "svg"].map(|e| format!("{f}.{e}")))
        .collect();
    assert_eq!(names, want);
    let csv = std::fs::read_to_string(out.join("fig7.csv")).unwrap();
    assert!(
        csv.starts_with("us,ds,shots,best\nalpha,birds,1,") && csv.lines().count() == 1 + 4 * 3 * 3,
        "{csv}"
    );
    let png = std::fs::read(out.join("fig1.png")).unwrap();
    let width = u32::from_be_bytes(png[16..20].try_into().unwrap());
    assert!(png.starts_with(b"\x89PNG") && width == 1880);
    // Text is drawn, not dropped for want of a font: the picture has far more than its background.
    assert!(png.len() > 20_000, "{} bytes", png.len());
    assert!(std::fs::read_to_string(out.join("fig1.svg")).unwrap().contains("<svg xmlns="));
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_is_the_same_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let input = write_rows(dir.path(), "r.parquet", &rows(Protocol::Corrected));
    let page = |name: &str| {
        let out = dir.path().join(name);
        let output = run(&["report", &input, "--title", "A <b>", "--out", out.to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        std::fs::read_to_string(out).unwrap()
    };
    let html = page("a.html");
    assert_eq!(html, page("b.html"));
    assert!(html.contains("<title>A &lt;b&gt;</title>"));
    let elsewhere = html.replace("http://www.w3.org/2000/svg", "");
    for word in ["http:", "https:", "@import", "url(", "src="] {
        assert!(!elsewhere.contains(word), "{word}");
    }
    let markdown = dir.path().join("r.md");
    assert!(run(&["report", &input, "--out", markdown.to_str().unwrap()]).status.success());
    let text = std::fs::read_to_string(&markdown).unwrap();
    for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(dir.path().join(link).exists(), "{link}");
    }
}

#[test]
fn standard_input_and_formats() {
    let bytes = write_parquet(&rows(Protocol::Corrected)).unwrap();
    let piped = |args: &[&str]| {
        let mut child =
            report(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = piped(&["claims", "-", "--format", "json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json[0]["claim"], "spread-shrinks");
    assert_eq!(json[0]["verdict"], "holds");
    assert_eq!(json[2]["verdict"], "not enough data");
    let output = piped(&["audit", "-"]);
    assert!(output.status.success() && !output.stdout.contains(&0x1b), "colour without a terminal");
    let tsv = piped(&["rows", "-", "--to", "tsv"]);
    assert!(text(&tsv.stdout).starts_with("\tloss\tarch\tus\tds"));
    assert!(text(&tsv.stderr).contains("left out 216 values"), "{}", text(&tsv.stderr));
}

#[test]
fn bad_results_are_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    assert!(refused(&["claims", &file("empty.tsv", b"")]).contains("empty.tsv: empty, not even a header"));
    let header = TSV_COLUMNS.join("\t");
    assert!(refused(&["claims", &file("bare.tsv", header.as_bytes())]).contains("a header and no values"));
    let message = refused(&["audit", &file("odd.tsv", header.replace("us_bs", "batch").as_bytes())]);
    assert!(message.contains("odd.tsv: unknown column `batch`"), "{message}");
    assert!(refused(&["claims", "no/such.tsv"]).contains("no such file"));
    assert!(refused(&["claims", &file("cut.parquet", b"PAR1....")]).contains("not a readable Parquet file"));

    let other: Vec<ResultRow> = rows(Protocol::Corrected)
        .into_iter()
        .map(|r| ResultRow { metric: "mean_per_class_recall".to_owned(), ..r })
        .collect();
    let other = write_rows(dir.path(), "other.parquet", &other);
    let message = refused(&["transfer", &other, "--out", dir.path().join("none").to_str().unwrap()]);
    assert!(message.contains("no accuracies (acc1) on test images"), "{message}");

    let corrected = rows(Protocol::Corrected);
    let a = write_rows(dir.path(), "a.parquet", &corrected);
    let b = write_rows(dir.path(), "b.parquet", &[ResultRow { value: 1.0, ..corrected[0].clone() }]);
    let message = refused(&["transfer", &a, &b, "--out", dir.path().join("none").to_str().unwrap()]);
    assert!(message.contains("a.parquet row 0") && message.contains("b.parquet row 0"), "{message}");
    assert!(!dir.path().join("none").exists());
}

#[test]
fn protocols_are_never_mixed() {
    let dir = tempfile::tempdir().unwrap();
    let corrected = write_rows(dir.path(), "c.parquet", &rows(Protocol::Corrected));
    let published: Vec<ResultRow> = rows(Protocol::AsPublished)
        .into_iter()
        .map(|r| ResultRow { run: format!("p{}", r.run), ..r })
        .collect();
    let published = write_rows(dir.path(), "p.parquet", &published);
    let message = refused(&["claims", &corrected, &published]);
    assert!(message.contains("cannot be compared; choose one with --protocol corrected"), "{message}");
    let one = run(&["claims", &corrected, &published, "--protocol", "corrected"]);
    assert!(one.status.success(), "{}", text(&one.stderr));
    assert_eq!(text(&one.stdout), text(&run(&["claims", &corrected]).stdout));
    assert!(
        refused(&["claims", &corrected, "--protocol", "as-published"])
            .contains("no rows of the as-published")
    );
}

#[test]
fn nan_and_repetitions_are_counted_not_dropped_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = rows(Protocol::Corrected);
    all.push(all[0].clone());
    all.push(ResultRow { value: f64::NAN, seed: Some(9), ..all[0].clone() });
    let input = write_rows(dir.path(), "r.parquet", &all);
    let output = text(&run(&["audit", &input, "--format", "text"]).stdout);
    assert!(output.contains("1 NaN at 1 shot") && output.contains("1 repeated rows"), "{output}");
}

#[test]
fn help_has_examples_and_completions_name_the_command() {
    for command in ["transfer", "claims", "audit", "report", "rows"] {
        let help = text(&run(&[command, "--help"]).stdout);
        assert!(help.contains(&format!("pairmill-report {command}")), "{help}");
    }
    assert!(text(&run(&["completions", "bash"]).stdout).contains("pairmill-report"));
    let wrong = run(&["claims"]);
    assert_eq!(wrong.status.code(), Some(2));
}
