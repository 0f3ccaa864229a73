//! `metrics.jsonl`: one JSON object a line, `"kind"` first, in order of steps. Values that are not finite are
//! text: `"NaN"`, `"Infinity"`, `"-Infinity"`.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use pairmill_shards::atomic::{FileAction, FileError};
use serde::{Deserialize, Serialize};

use crate::numbers::{float, floats, optional_float};

/// A logged training step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepLine {
    /// Steps made, this one included.
    pub step: u64,
    /// Passes over the data so far.
    pub epoch: f64,
    /// Samples through the model so far, over all ranks.
    pub samples_seen: u64,
    /// Loss of this step's batch.
    #[serde(with = "float")]
    pub loss: f64,
    /// Share of this batch's images whose caption scores highest.
    #[serde(with = "float")]
    pub accuracy: f64,
    /// Learned factor of the logits, after `exp`.
    #[serde(with = "float")]
    pub logit_scale: f64,
    /// Learning rate of this step.
    pub lr: f64,
    /// Joint norm of the gradients before clipping.
    #[serde(skip_serializing_if = "Option::is_none", with = "optional_float")]
    pub gradient_norm: Option<f64>,
    /// Factor of the loss under fp16.
    #[serde(skip_serializing_if = "Option::is_none", with = "optional_float")]
    pub loss_scale: Option<f64>,
    /// Samples a second since the last line, over all ranks.
    pub samples_per_s: f64,
    /// Share of that time in which the step waited for data, 0 to 1.
    pub data_wait: f64,
    /// Peak memory of the device, or of the process on the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Bad samples this rank has met so far.
    pub skipped: u64,
    /// Batches left out so far because their loss or gradients were not finite.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped_batches: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// An evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvalLine {
    /// Steps made when it ran.
    pub step: u64,
    /// Passes over the data.
    pub epoch: f64,
    /// Results by name.
    #[serde(with = "floats")]
    pub metrics: BTreeMap<String, f64>,
}

/// A batch whose loss or gradients were not finite.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BadBatchLine {
    /// The step that it was for.
    pub step: u64,
    /// Its loss.
    #[serde(with = "float")]
    pub bad_loss: f64,
    /// `SHARD/KEY` of every sample of this rank's share.
    pub keys: Vec<String>,
}

/// Samples that could not be used, of an epoch or of the run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SkippedLine {
    /// Steps made when it was written.
    pub step: u64,
    /// Passes over the data.
    pub epoch: f64,
    /// What was counted: `epoch` or `run`, as far as this process saw of it.
    pub over: &'static str,
    /// Samples that were due, over all ranks.
    pub samples: u64,
    /// Of these, how many could not be used.
    pub skipped: u64,
    /// Their share, 0–1.
    pub share: f64,
    /// How many for which class of reason.
    pub reasons: BTreeMap<&'static str, u64>,
    /// `SHARD: KEY: REASON` of one of them, where rank 0 met one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    /// Samples whose text was UTF-16 or Latin-1 and was read as that.
    pub recoded: u64,
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Line {
    /// A logged training step.
    Step(StepLine),
    /// An evaluation.
    Eval(EvalLine),
    /// A batch that was left out, or that ended the run.
    BadBatch(BadBatchLine),
    /// Samples that could not be used.
    Skipped(SkippedLine),
}

/// What truncation needs of a line.
#[derive(Deserialize)]
struct Place<'a> {
    kind: &'a str,
    step: u64,
}

/// The open file, at its end.
#[derive(Debug)]
pub struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Opens the file and takes back every line of a later step than `resumed_at`, and what a kill left of a line. With 0
    /// it is emptied. Also returns the step of the last evaluation that stays.
    ///
    /// # Errors
    /// When it cannot be made, read or cut.
    pub fn resume(path: &Path, resumed_at: u64) -> Result<(Self, Option<u64>), FileError> {
        let failed = |action| move |error| FileError::new(path, action, error);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(failed(FileAction::Create))?;
        let (mut end, mut last_eval) = (0, None);
        if resumed_at > 0 {
            let mut reader = BufReader::new(&mut file);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).map_err(failed(FileAction::Read))? > 0 {
                match serde_json::from_slice(&line) {
                    Ok(Place { kind, step }) if step <= resumed_at && line.ends_with(b"\n") => {
                        if kind == "eval" {
                            last_eval = Some(step);
                        }
                    }
                    _ => break,
                }
                end += line.len() as u64;
                line.clear();
            }
        }
        file.set_len(end).map_err(failed(FileAction::Write))?;
        file.seek(SeekFrom::Start(end)).map_err(failed(FileAction::Write))?;
        Ok((Self { path: path.to_path_buf(), file }, last_eval))
    }

    /// Appends a line, in one write.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn line(&mut self, line: &Line) -> Result<(), FileError> {
        let mut text = serde_json::to_vec(line)
            .map_err(|error| FileError::new(&self.path, FileAction::Write, std::io::Error::other(error)))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(|error| FileError::new(&self.path, FileAction::Write, error))
    }

    /// Waits until it is on disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&mut self) -> Result<(), FileError> {
        self.file.sync_data().map_err(|error| FileError::new(&self.path, FileAction::Sync, error))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use super::*;

    pub fn step(step: u64) -> Line {
        Line::Step(step_line(step))
    }

    pub fn step_line(step: u64) -> StepLine {
        StepLine {
            step,
            epoch: step as f64 / 100.0,
            samples_seen: step * 32,
            loss: 4.0 / step.max(1) as f64,
            accuracy: 0.5,
            logit_scale: 14.3,
            lr: 1e-4,
            gradient_norm: None,
            loss_scale: None,
            samples_per_s: 120.0,
            data_wait: 0.01,
            memory_bytes: Some(1 << 30),
            skipped: 0,
            skipped_batches: 0,
        }
    }

    pub fn eval(step: u64) -> Line {
        Line::Eval(EvalLine { step, epoch: 0.5, metrics: [("acc1".to_owned(), 0.25)].into() })
    }

    fn write(path: &Path, resumed_at: u64, lines: impl IntoIterator<Item = Line>) -> Option<u64> {
        let (mut file, last_eval) = MetricsFile::resume(path, resumed_at).unwrap();
        for line in lines {
            file.line(&line).unwrap();
        }
        last_eval
    }

    #[test]
    fn lines_are_objects_that_say_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(super::super::METRICS);
        write(&path, 0, [step(2), eval(2)]);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{\"kind\":\"step\",\"step\":2,\"epoch\":0.02,\"samples_seen\":64,\"loss\":2.0,\"accuracy\":0.5,\"logit_scale\":14.3,\
             \"lr\":0.0001,\"samples_per_s\":120.0,\"data_wait\":0.01,\"memory_bytes\":1073741824,\"skipped\":0}\n\
             {\"kind\":\"eval\",\"step\":2,\"epoch\":0.5,\"metrics\":{\"acc1\":0.25}}\n"
        );
    }

    #[test]
    fn t03_values_that_are_not_finite_are_written_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(super::super::METRICS);
        let eval = EvalLine { step: 2, epoch: 0.5, metrics: [("acc1".to_owned(), f64::NAN)].into() };
        let step = StepLine { loss: f64::NAN, gradient_norm: Some(f64::INFINITY), ..step_line(2) };
        write(&path, 0, [Line::Step(step), Line::Eval(eval)]);
        let text = fs::read_to_string(&path).unwrap();
        for words in ["\"loss\":\"NaN\"", "\"gradient_norm\":\"Infinity\"", "{\"acc1\":\"NaN\"}"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        // A later start finds its place in such a file.
        assert_eq!(write(&path, 2, []), Some(2));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn a_run_killed_anywhere_and_resumed_has_the_lines_of_one_that_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(super::super::METRICS);
        let lines = |from: u64, to: u64| {
            (from..=to).flat_map(|n| if n % 5 == 0 { vec![step(n), eval(n)] } else { vec![step(n)] })
        };
        write(&path, 0, lines(1, 20));
        let whole = fs::read(&path).unwrap();
        // The checkpoint is of step 7; the kill comes at any byte after its line, also within one.
        let at_7 = whole.split_inclusive(|&b| b == b'\n').take(8).map(<[u8]>::len).sum::<usize>();
        for killed in (at_7..=whole.len()).step_by(11) {
            fs::write(&path, &whole[..killed]).unwrap();
            assert_eq!(write(&path, 7, lines(8, 20)), Some(5));
            assert!(fs::read(&path).unwrap() == whole, "killed at byte {killed}");
        }
        // Starting over leaves nothing of the old run, not even an evaluation before the first step.
        write(&path, 0, [eval(0)]);
        assert_eq!(write(&path, 0, lines(1, 20)), None);
        assert!(fs::read(&path).unwrap() == whole);
    }
}
