//! TensorBoard event files: TFRecords of `Event` messages (`tensorflow/core/util/event.proto`), of which scalars need so
//! little that it is written by hand. Tags are open_clip's, so runs of both lie over each other.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use pairmill_shards::atomic::{FileAction, FileError};

use super::crc::masked;
use super::metrics::Line;

// Keys of protobuf fields: number << 3 | wire type (0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes).
const EVENT_WALL_TIME: u8 = 1 << 3 | 1;
const EVENT_STEP: u8 = 2 << 3;
const EVENT_FILE_VERSION: u8 = 3 << 3 | 2;
const EVENT_SUMMARY: u8 = 5 << 3 | 2;
const EVENT_SESSION_LOG: u8 = 7 << 3 | 2;
const SUMMARY_VALUE: u8 = 1 << 3 | 2;
const VALUE_TAG: u8 = 1 << 3 | 2;
const VALUE_SIMPLE: u8 = 2 << 3 | 5;
const SESSION_STATUS: u8 = 1 << 3;
const SESSION_START: u8 = 1;

/// Names tried before giving up.
const MAX_FILES_A_SECOND: u32 = 1000;

/// An event file, at its end.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins a new file in `folder`. After a resumption it opens with the mark that makes TensorBoard drop what earlier
    /// files have beyond step `resumed_at`; with 0, everything they have.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(folder: &Path, resumed_at: u64) -> Result<Self, FileError> {
        fs::create_dir_all(folder).map_err(|error| FileError::new(folder, FileAction::Create, error))?;
        let host = host();
        let is_first = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        // TensorBoard reads files in order of their names, so ten digits of seconds come first.
        let (seconds, pid) = (now().floor(), std::process::id());
        for attempt in 0..MAX_FILES_A_SECOND {
            let path = folder.join(format!("events.out.tfevents.{seconds:010.0}.{host}.{pid}.{attempt}"));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(FileError::new(path, FileAction::Create, error)),
                Ok(file) => {
                    let mut this = Self { path, file };
                    this.record(&event(0, EVENT_FILE_VERSION, b"brain.Event:2"))?;
                    if !is_first {
                        // Everything from this step on is taken back.
                        let from = if resumed_at == 0 { 0 } else { resumed_at + 1 };
                        this.record(&event(from, EVENT_SESSION_LOG, &[SESSION_STATUS, SESSION_START]))?;
                    }
                    return Ok(this);
                }
            }
        }
        Err(FileError::new(
            folder,
            FileAction::Create,
            std::io::Error::other("too many event files in one second"),
        ))
    }

    /// Appends the values of a line as scalars.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn line(&mut self, line: &Line) -> Result<(), FileError> {
        match line {
            Line::Step(line) => {
                let optional =
                    [("train/gradient_norm", line.gradient_norm), ("train/loss_scale", line.loss_scale)];
                let mut scalars = vec![
                    ("train/loss", line.loss),
                    ("train/accuracy", line.accuracy),
                    ("train/scale", line.logit_scale),
                    ("train/lr", line.lr),
                    ("train/samples_per_second", line.samples_per_s),
                    ("train/data_wait", line.data_wait),
                ];
                scalars.extend(optional.into_iter().filter_map(|(tag, value)| Some((tag, value?))));
                self.scalars(line.step, &scalars)
            }
            Line::Eval(line) => {
                let tagged: Vec<_> =
                    line.metrics.iter().map(|(name, value)| (format!("val/{name}"), *value)).collect();
                let scalars: Vec<_> = tagged.iter().map(|(tag, value)| (tag.as_str(), *value)).collect();
                self.scalars(line.step, &scalars)
            }
            // Keys are text; TensorBoard shows the gap.
            Line::BadBatch(_) => Ok(()),
            Line::Skipped(line) => self.scalars(line.step, &[("train/skipped_share", line.share)]),
        }
    }

    /// Waits until it is on disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&mut self) -> Result<(), FileError> {
        self.file.sync_data().map_err(|error| FileError::new(&self.path, FileAction::Sync, error))
    }

    fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<(), FileError> {
        let mut summary = Vec::new();
        for (tag, value) in scalars {
            let mut message = Vec::new();
            delimited(&mut message, VALUE_TAG, tag.as_bytes());
            message.push(VALUE_SIMPLE);
            message.extend((*value as f32).to_le_bytes());
            delimited(&mut summary, SUMMARY_VALUE, &message);
        }
        self.record(&event(step, EVENT_SUMMARY, &summary))
    }

    /// Length, its checksum, data, its checksum.
    fn record(&mut self, data: &[u8]) -> Result<(), FileError> {
        let length = (data.len() as u64).to_le_bytes();
        let record =
            [&length[..], &masked(&length).to_le_bytes(), data, &masked(data).to_le_bytes()].concat();
        self.file.write_all(&record).map_err(|error| FileError::new(&self.path, FileAction::Write, error))
    }
}

/// Name of this machine, of letters, digits and `-`; empty where the system does not say.
pub(crate) fn host() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

fn event(step: u64, field: u8, content: &[u8]) -> Vec<u8> {
    let mut message = vec![EVENT_WALL_TIME];
    message.extend(now().to_le_bytes());
    message.push(EVENT_STEP);
    varint(&mut message, step);
    delimited(&mut message, field, content);
    message
}

fn delimited(message: &mut Vec<u8>, field: u8, content: &[u8]) {
    message.push(field);
    varint(message, content.len() as u64);
    message.extend(content);
}

fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::super::metrics::tests::{eval, step};
    use super::*;

    /// The data of each record, with both checksums checked.
    fn records(path: &Path) -> Vec<Vec<u8>> {
        let bytes = fs::read(path).unwrap();
        let mut rest = &bytes[..];
        let mut found = Vec::new();
        while let Some((head, tail)) = rest.split_first_chunk::<12>() {
            let (length, crc) = head.split_at(8);
            assert_eq!(crc, masked(length).to_le_bytes());
            let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
            let (data, tail) = tail.split_at(length);
            assert_eq!(tail[..4], masked(data).to_le_bytes());
            found.push(data.to_vec());
            rest = &tail[4..];
        }
        assert!(rest.is_empty());
        found
    }

    #[test]
    fn records_carry_checksums_tags_and_values() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(folder.path(), 0).unwrap();
        file.line(&step(300)).unwrap();
        file.line(&eval(300)).unwrap();
        let records = records(&file.path);
        assert_eq!(records.len(), 3);
        assert!(records[0].ends_with(b"\x10\x00\x1a\x0dbrain.Event:2"));
        // Step 300 as a varint, then the summary with the first of its values.
        assert_eq!(records[1][9..12], [EVENT_STEP, 0xac, 0x02]);
        let loss = [b"\x0a\x0atrain/loss\x15", &((4.0 / 300.0) as f32).to_le_bytes()[..]].concat();
        assert!(records[1].windows(loss.len()).any(|window| window == loss));
        assert!(records[2].windows(8).any(|window| window == b"val/acc1"));
    }

    #[test]
    fn a_resumed_run_adds_a_file_that_takes_later_steps_back() {
        let folder = tempfile::tempdir().unwrap();
        let first = EventFile::create(folder.path(), 0).unwrap();
        let second = EventFile::create(folder.path(), 7).unwrap();
        assert_ne!(first.path, second.path);
        assert!(first.path < second.path, "in the order of their names");
        let records = records(&second.path);
        assert_eq!(records[1][9..], [EVENT_STEP, 8, EVENT_SESSION_LOG, 2, SESSION_STATUS, SESSION_START]);
    }
}
