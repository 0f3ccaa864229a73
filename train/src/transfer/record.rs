//! What a finished run leaves: its record (`result.json`, whose presence says that the run is done), a table a class, the
//! confusion matrix, the passes; and the result rows that tables and reports are made of.

use std::fs;
use std::path::Path;

use pairmill_shards::atomic::{FileAction, FileError, write_atomic};
use pairmill_shards::results::{Protocol, ResultRow, RunConfig, Selection, Shots, Split};
use serde::{Deserialize, Serialize};

use super::config::TransferConfig;
use super::member::EpochLine;
use super::protocol::Rules;
use super::source::Source;
use super::sweep::plan::Task;
use crate::error::TrainError;
use crate::eval::scores::{Scale, Scores};

/// The record within a run's folder.
pub const RESULT: &str = "result.json";

/// A finished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Hash of its config.
    pub run: String,
    /// As it was resolved.
    pub config: TransferConfig,
    /// Behaviour of the published code that it reproduces; empty in `corrected`.
    pub defects: Vec<String>,
    /// What a reader should know of the dataset.
    pub notes: Vec<String>,
    /// Training, validation and test images.
    pub images: [u64; 3],
    /// Passes.
    #[serde(default)]
    pub epochs: Vec<EpochLine>,
    /// The pass that counts, from 1; absent where nothing was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_epoch: Option<u64>,
    /// The strength a probe chose, scikit-learn's C; of LP-FT, the probe it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strength: Option<f64>,
    /// Whether that probe reached its optimum before its bound of iterations; absent where no probe was fitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converged: Option<bool>,
    /// Strengths whose fit stopped at its bound, chosen or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unconverged_strengths: Vec<f64>,
    /// Images of the run's draw that cannot be decoded and were left out: to train, validate and test on.
    #[serde(default)]
    pub unreadable: [u64; 3],
    /// The first of them, and what is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable_example: Option<String>,
    /// Its rows.
    pub rows: Vec<ResultRow>,
}

/// What was measured.
#[derive(Debug)]
pub struct Measured<'a> {
    /// On the test set, by the rule of selection.
    pub test: &'a Scores,
    /// Accuracy on the validation set at the same weights, percent, and its number of images.
    pub val: Option<(f64, u64)>,
    /// Of the model before any step.
    pub start: Option<&'a Scores>,
    /// Of mixtures with it.
    pub mixed: &'a [(f64, Scores)],
    /// Whether the run's probe reached its optimum, where it has one.
    pub converged: Option<bool>,
    /// Seconds of this run, and of computing.
    pub seconds: [f64; 2],
}

/// Versions for the rows.
pub fn versions() -> String {
    concat!("pairmill ", env!("CARGO_PKG_VERSION"), "; torch ", env!("PAIRMILL_TORCH_VERSION")).to_owned()
}

impl Record {
    /// Writes the record and its tables, the record last.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Path, test: &Scores, classes: &[String]) -> Result<(), TrainError> {
        fs::create_dir_all(folder).map_err(|error| FileError::new(folder, FileAction::Create, error))?;
        write_atomic(folder.join("per_class.tsv"), test.per_class_tsv(classes).as_bytes())?;
        write_atomic(folder.join("confusion.tsv"), test.confusion_tsv(classes).as_bytes())?;
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| TrainError::Transfer(format!("{}: {error}", folder.display())))?;
        write_atomic(folder.join(RESULT), text.as_bytes())?;
        Ok(())
    }

    /// The record of a run, if it is finished.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>, TrainError> {
        let path = folder.join(RESULT);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::new(path, FileAction::Read, error).into()),
        };
        let record = serde_json::from_slice(&bytes).map_err(|error| {
            TrainError::Transfer(format!("{}: {error}; remove it and run again", path.display()))
        })?;
        Ok(Some(record))
    }
}

/// The rows of a run: every metric on the test set, the accuracy that chose its epoch, the model before it, mixtures.
///
/// # Errors
/// When the settings cannot be named.
pub fn rows(
    run: &str,
    config: &TransferConfig,
    source: &Source,
    task: &Task,
    measured: &Measured<'_>,
) -> Result<Vec<ResultRow>, TrainError> {
    let tune = config.tune;
    let base = ResultRow {
        run: run.to_owned(),
        protocol: config.protocol,
        selection: config.selection,
        config: RunConfig {
            objective: config.source.loss.clone(),
            method: config.row_method(),
            alpha: None,
            weights: Some(source.content.clone()),
            images: Some(task.content.clone()),
            setup: Some(config.setup()?),
            arch: source.arch(),
            us: source.config.name.clone(),
            ds: task.set.name.clone(),
            us_epochs: source.config.epochs,
            us_lr: source.config.lr,
            us_bs: source.config.batch_size,
            us_wd: source.config.weight_decay,
            ds_epochs: tune.map(|tune| tune.epochs),
            ds_lr: tune.map(|tune| tune.lr),
            ds_bs: tune.map(|tune| tune.batch_size),
            ds_wd: tune.map(|tune| tune.weight_decay),
        },
        shots: config.shots,
        seed: Some(config.seed),
        split: Split::Test,
        metric: String::new(),
        value: f64::NAN,
        num_test: Some(measured.test.num_samples()),
        view: Some(config.transform.preset.view()),
        converged: measured.converged,
        versions: versions(),
        wall_s: Some(measured.seconds[0]),
        device_s: Some(measured.seconds[1]),
    };
    let of = |scores: &Scores, row: &ResultRow| -> Vec<ResultRow> {
        let metrics = scores.metrics(Scale::Percent).into_iter();
        metrics.map(|(metric, value)| ResultRow { metric: metric.into(), value, ..row.clone() }).collect()
    };
    let mut all = of(measured.test, &base);
    if let Some((value, images)) = measured.val {
        all.push(ResultRow {
            split: Split::Val,
            metric: "acc1".into(),
            value,
            num_test: Some(images),
            ..base.clone()
        });
    }
    if let Some(start) = measured.start {
        all.extend(of(start, &ResultRow { shots: Shots::Zero, selection: Selection::Last, ..base.clone() }));
    }
    for (alpha, scores) in measured.mixed {
        let mut row = base.clone();
        row.config.alpha = Some(*alpha);
        all.extend(of(scores, &row));
    }
    Ok(all)
}

/// What the record of a run of `protocol` lists.
pub fn defects(protocol: Protocol) -> Vec<String> {
    Rules::defects(protocol).iter().map(|&defect| defect.to_owned()).collect()
}
