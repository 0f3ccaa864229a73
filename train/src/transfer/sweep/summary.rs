//! What a sweep found, from the records in its folder: the result files, and one table for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use pairmill_shards::atomic::{FileAction, FileError, write_atomic};
use pairmill_shards::results::{
    Names, ResultRow, ResultsError, Selection, Shots, Split, View, tsv_view, write_parquet, write_tsv,
};

use super::run::RUNS;
use crate::error::TrainError;
use crate::transfer::record::Record;

/// Result rows.
pub const PARQUET: &str = "results.parquet";
/// The same with the columns of the paper's table.
pub const TSV: &str = "results.tsv";

/// What the finished runs of a sweep's folder left.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Their rows, in the order of the runs' names.
    pub rows: Vec<ResultRow>,
    /// Images that could not be decoded, by task: the most that a run had, and one of them.
    unreadable: BTreeMap<String, (u64, String)>,
    /// Strengths at which a probe stopped at its bound.
    unconverged_strengths: BTreeSet<String>,
}

/// What every finished run in a sweep's folder left.
///
/// # Errors
/// When a record cannot be read.
pub fn collect(folder: &Path) -> Result<Found, TrainError> {
    let runs = folder.join(RUNS);
    let entries = match fs::read_dir(&runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::default()),
        Err(error) => return Err(FileError::new(runs, FileAction::List, error).into()),
    };
    let mut folders = Vec::new();
    for entry in entries {
        folders.push(entry.map_err(|error| FileError::new(&runs, FileAction::List, error))?.path());
    }
    folders.sort();
    let mut found = Found::default();
    for folder in folders {
        let Some(record) = Record::read(&folder)? else { continue };
        let left_out: u64 = record.unreadable.iter().sum();
        if let (Some(example), Some(row)) = (record.unreadable_example, record.rows.first()) {
            let worst = found.unreadable.entry(row.config.ds.clone()).or_default();
            if left_out > worst.0 {
                *worst = (left_out, example);
            }
        }
        found.unconverged_strengths.extend(record.unconverged_strengths.iter().map(f64::to_string));
        found.rows.extend(record.rows);
    }
    Ok(found)
}

/// Writes both result files. Returns a note where the TSV's columns do not hold everything.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(folder: &Path, rows: &[ResultRow]) -> Result<Option<String>, TrainError> {
    let failed = |error: ResultsError| TrainError::Transfer(error.to_string());
    write_atomic(folder.join(PARQUET), &write_parquet(rows).map_err(failed)?)?;
    match tsv_view(rows) {
        Ok(view) => {
            write_atomic(folder.join(TSV), write_tsv(&view.rows).as_bytes())?;
            Ok(None)
        }
        Err(error @ (ResultsError::NoColumn(_) | ResultsError::MixedProtocols)) => {
            Ok(Some(format!("{TSV} was not written: {error}; {PARQUET} holds everything")))
        }
        Err(error) => Err(failed(error)),
    }
}

/// A table for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The table.
    pub text: String,
    /// What to know of it, a line each.
    pub notes: Vec<String>,
}

/// Behind a value that rests on a probe that stopped before its optimum.
const SHORT: char = '*';

/// A line of the table: task, source, architecture, method, and the name of all other settings.
type Line = (String, String, String, String, Option<String>);

/// A line a source, task and way of fine-tuning, a column a number of shots: the mean over seeds, each seed at the
/// settings that its own validation accuracy chose (the largest test accuracy as published), and half the width of a 95 %
/// confidence interval of that mean (Student's t). Checkpoints and datasets of one name, and runs of other settings than
/// those that validation chooses among, have lines of their own.
pub fn table(found: &Found) -> Summary {
    let names = Names::of(found.rows.iter().map(|row| &row.config));
    let mut cells: BTreeMap<(Line, Shots), BTreeMap<u64, Vec<&ResultRow>>> = BTreeMap::new();
    let mut val: BTreeMap<&str, f64> = BTreeMap::new();
    for row in found.rows.iter().filter(|row| row.metric == METRIC) {
        match row.split {
            Split::Val => {
                val.insert(&row.run, row.value);
            }
            Split::Test => {
                let mut config = row.config.clone();
                names.apply(&mut config);
                let loss = config.loss();
                let line = (config.ds, config.us, config.arch, loss, config.setup);
                let seeds = cells.entry((line, row.shots)).or_default();
                seeds.entry(row.seed.unwrap_or(0)).or_default().push(row);
            }
        }
    }
    let columns: BTreeSet<Shots> = cells.keys().map(|(_, shots)| *shots).collect();
    let mut lines: BTreeMap<Line, BTreeMap<Shots, String>> = BTreeMap::new();
    let mut unconverged = 0;
    for ((line, shots), seeds) in cells {
        let chosen: Vec<&ResultRow> = seeds
            .values()
            .filter_map(|runs| {
                let by = |row: &ResultRow| match row.selection {
                    Selection::TestBest => row.value,
                    _ => val.get(row.run.as_str()).copied().unwrap_or(row.value),
                };
                // Of equals the first: rows come in the order of the runs' names. What is no number is last.
                let is_better = |row: &ResultRow, best: &ResultRow| by(row) > by(best) || by(best).is_nan();
                runs.iter().copied().reduce(|best, row| if is_better(row, best) { row } else { best })
            })
            .collect();
        let values: Vec<f64> = chosen.iter().map(|row| row.value).collect();
        let short = chosen.iter().filter(|row| row.converged == Some(false)).count();
        unconverged += short;
        let mark = if short > 0 { SHORT.to_string() } else { String::new() };
        lines.entry(line).or_default().insert(shots, cell(&values) + &mark);
    }
    let mut grid = vec![["task", "source", "arch", "method"].map(String::from).to_vec()];
    grid[0].extend(columns.iter().map(ToString::to_string));
    let mut several = false;
    for (line, cells) in &lines {
        let (ds, us, arch, loss, setup) = line;
        let alike = lines.keys().filter(|(d, u, a, l, _)| (d, u, a, l) == (ds, us, arch, loss)).count();
        several |= alike > 1;
        let mut row = vec![ds.clone(), us.clone(), arch.clone(), loss.clone()];
        if let (true, Some(setup)) = (alike > 1, setup) {
            row[3].push_str(&format!("[{}]", setup.get(..SETUP_DIGITS).unwrap_or(setup)));
        }
        row.extend(columns.iter().map(|shots| cells.get(shots).cloned().unwrap_or_default()));
        grid.push(row);
    }
    let mut notes = names.notes();
    if several {
        notes.push(
            "lines with digits in brackets differ in a setting that has no column (prompts, transform, selection, \
             strengths, start of the head, warm-up, precision); result.json of each run has it as `config`"
                .to_owned(),
        );
    }
    notes.extend(views(&found.rows));
    if unconverged > 0 {
        let strengths: Vec<&str> = found.unconverged_strengths.iter().map(String::as_str).collect();
        notes.push(format!(
            "{SHORT} {unconverged} values rest on a probe that stopped at its bound of iterations, short of its optimum \
             (strengths {}); leave out the largest strengths",
            strengths.join(", ")
        ));
    }
    for (task, (count, example)) in &found.unreadable {
        notes.push(format!(
            "{task}: {count} images could not be decoded and were left out, such as {example}"
        ));
    }
    Summary { text: aligned(&grid), notes }
}

/// Digits of a setup that tell two lines apart.
const SETUP_DIGITS: usize = 8;
/// What the table shows.
const METRIC: &str = "acc1";

/// Says which methods saw which part of the test images, where they did not all see the same.
fn views(rows: &[ResultRow]) -> Option<String> {
    let mut views: BTreeMap<View, BTreeSet<String>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.metric == METRIC && row.split == Split::Test) {
        if let Some(view) = row.view {
            views.entry(view).or_default().insert(row.config.loss());
        }
    }
    let shown: Vec<String> = views
        .iter()
        .map(|(view, methods)| {
            format!("{view} for {}", methods.iter().cloned().collect::<Vec<_>>().join(", "))
        })
        .collect();
    (views.len() > 1).then(|| {
        format!(
            "test images were seen as {}: the same model differs by that (alpha 0 of a mixture and zero-shot); \
             --preset clip (transform.preset) tests all of them on the whole square",
            shown.join("; as ")
        )
    })
}

fn cell(values: &[f64]) -> String {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    match half_width(values, mean) {
        Some(half) => format!("{mean:.2} ± {half:.2}"),
        None => format!("{mean:.2}"),
    }
}

/// Half of a 95 % confidence interval of the mean; `None` for one value.
fn half_width(values: &[f64], mean: f64) -> Option<f64> {
    // Student's t at 97.5 % for 1 to 10 degrees of freedom; 1.96 + 2.5 / f is within 1 % beyond.
    const T: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    let freedom = values.len().checked_sub(2)?;
    let t = T.get(freedom).copied().unwrap_or(1.96 + 2.5 / (freedom + 1) as f64);
    let n = values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Some(t * (variance / n).sqrt())
}

fn aligned(grid: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..grid.first().map_or(0, Vec::len))
        .map(|column| {
            grid.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in grid {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use pairmill_shards::results::{Method, Protocol, RunConfig};

    use super::*;

    fn row(method: Method, seed: u64, value: f64, converged: Option<bool>) -> ResultRow {
        ResultRow {
            run: format!("{method}{seed}"),
            protocol: Protocol::Corrected,
            selection: Selection::ValBest,
            config: RunConfig {
                objective: "CLIP".to_owned(),
                method,
                arch: "RN50".to_owned(),
                us: "web".to_owned(),
                ds: "birds".to_owned(),
                ..RunConfig::default()
            },
            shots: Shots::All,
            seed: Some(seed),
            split: Split::Test,
            metric: METRIC.to_owned(),
            value,
            num_test: None,
            view: None,
            converged,
            versions: String::new(),
            wall_s: None,
            device_s: None,
        }
    }

    #[test]
    fn t10_values_short_of_their_optimum_are_marked_and_counted() {
        let rows = vec![
            row(Method::FineTune, 0, 30.0, None),
            row(Method::LinearProbe, 0, 50.0, Some(true)),
            row(Method::LinearProbe, 1, 50.0, Some(false)),
        ];
        let unconverged_strengths = BTreeSet::from(["1000".to_owned()]);
        let summary = table(&Found { rows, unconverged_strengths, ..Found::default() });
        let lines: Vec<&str> = summary.text.lines().collect();
        assert!(lines[1].ends_with("30.00"), "{}", summary.text);
        assert!(lines[2].contains("CLIP_LP") && lines[2].ends_with("50.00 ± 0.00*"), "{}", summary.text);
        let [note] = &summary.notes[..] else { panic!("{:?}", summary.notes) };
        assert!(
            note.starts_with("* 1 values rest on a probe that stopped") && note.contains("strengths 1000"),
            "{note}"
        );
    }

    /// A value that is no number loses to any that is one, whichever comes first.
    #[test]
    fn t10_no_number_is_never_the_best() {
        let of = |values: [f64; 2]| {
            let mut rows = values.map(|value| row(Method::FineTune, 0, value, None)).to_vec();
            rows[1].run = "z".to_owned();
            table(&Found { rows, ..Found::default() }).text
        };
        assert_eq!(of([f64::NAN, 20.0]), of([20.0, f64::NAN]));
        assert!(of([f64::NAN, 20.0]).contains("20.00"));
    }

    #[test]
    fn intervals_are_students() {
        // Mean 2, standard deviation 1 of three: 4.303 / √3.
        assert!((half_width(&[1.0, 2.0, 3.0], 2.0).unwrap() - 2.484).abs() < 1e-3);
        assert_eq!(half_width(&[1.0], 1.0), None);
        assert_eq!(cell(&[50.0, 50.0]), "50.00 ± 0.00");
    }
}
