//! What a sweep found, from the records in its folder: the result files, and one table for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use pairmill_shards::atomic::{FileAction, FileError, write_atomic};
use pairmill_shards::results::{
    ResultRow, ResultsError, Selection, Shots, Split, tsv_view, write_parquet, write_tsv,
};

use super::run::RUNS;
use crate::error::TrainError;
use crate::transfer::record::Record;

/// Result rows.
pub const PARQUET: &str = "results.parquet";
/// The same with the columns of the paper's table.
pub const TSV: &str = "results.tsv";

/// The rows of every finished run in a sweep's folder, in the order of the runs' names.
///
/// # Errors
/// When a record cannot be read.
pub fn collect(folder: &Path) -> Result<Vec<ResultRow>, TrainError> {
    let runs = folder.join(RUNS);
    let entries = match fs::read_dir(&runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FileError::new(runs, FileAction::List, error).into()),
    };
    let mut folders = Vec::new();
    for entry in entries {
        folders.push(entry.map_err(|error| FileError::new(&runs, FileAction::List, error))?.path());
    }
    folders.sort();
    let mut rows = Vec::new();
    for folder in folders {
        rows.extend(Record::read(&folder)?.into_iter().flat_map(|record| record.rows));
    }
    Ok(rows)
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

/// A line a source, task and way of fine-tuning, a column a number of shots: the mean over seeds, each seed at the
/// settings that its own validation accuracy chose (the largest test accuracy as published), and half the width of a 95 %
/// confidence interval of that mean (Student's t).
pub fn table(rows: &[ResultRow]) -> String {
    type Line = (String, String, String, String);
    let mut cells: BTreeMap<(Line, Shots), BTreeMap<u64, Vec<&ResultRow>>> = BTreeMap::new();
    let mut val: BTreeMap<&str, f64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.metric == "acc1") {
        match row.split {
            Split::Val => {
                val.insert(&row.run, row.value);
            }
            Split::Test => {
                let config = &row.config;
                let line = (config.ds.clone(), config.us.clone(), config.arch.clone(), config.loss.clone());
                let seeds = cells.entry((line, row.shots)).or_default();
                seeds.entry(row.seed.unwrap_or(0)).or_default().push(row);
            }
        }
    }
    let columns: BTreeSet<Shots> = cells.keys().map(|(_, shots)| *shots).collect();
    let mut lines: BTreeMap<Line, BTreeMap<Shots, String>> = BTreeMap::new();
    for ((line, shots), seeds) in cells {
        let values: Vec<f64> = seeds
            .values()
            .filter_map(|runs| {
                let by = |row: &ResultRow| match row.selection {
                    Selection::TestBest => row.value,
                    _ => val.get(row.run.as_str()).copied().unwrap_or(row.value),
                };
                // Of equals the first: rows come in the order of the runs' names.
                runs.iter().copied().reduce(|best, row| if by(row) > by(best) { row } else { best })
            })
            .map(|row| row.value)
            .collect();
        lines.entry(line).or_default().insert(shots, cell(&values));
    }
    let mut grid = vec![["task", "source", "arch", "method"].map(String::from).to_vec()];
    grid[0].extend(columns.iter().map(ToString::to_string));
    for ((ds, us, arch, loss), cells) in lines {
        let mut row = vec![ds, us, arch, loss];
        row.extend(columns.iter().map(|shots| cells.get(shots).cloned().unwrap_or_default()));
        grid.push(row);
    }
    aligned(&grid)
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
    use super::*;

    #[test]
    fn intervals_are_students() {
        // Mean 2, standard deviation 1 of three: 4.303 / √3.
        assert!((half_width(&[1.0, 2.0, 3.0], 2.0).unwrap() - 2.484).abs() < 1e-3);
        assert_eq!(half_width(&[1.0], 1.0), None);
        assert_eq!(cell(&[50.0, 50.0]), "50.00 ± 0.00");
    }
}
