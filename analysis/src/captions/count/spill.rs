//! Files without a name that take what no longer fits into memory: one per partition, shared by all threads.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{List, OwnedEntry, PARTITIONS};

/// Bytes a thread gathers for a partition before it writes them.
const BUFFER_BYTES: usize = 32 << 10;
/// Bytes read ahead from each of the files that are merged at the end.
const CURSOR_BYTES: usize = 16 << 10;

/// A temporary file failed.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot write or read a temporary file: {reason}; is the disk full?", folder.display())]
pub struct SpillError {
    /// Where the file was.
    folder: PathBuf,
    /// What the system said.
    reason: io::Error,
}

/// The files of one count.
#[derive(Debug)]
pub struct Spill {
    folder: PathBuf,
    files: Vec<Mutex<Option<File>>>,
    used: AtomicBool,
}

impl Spill {
    /// Files in `folder`, made when they are needed.
    pub fn new(folder: &Path) -> Self {
        let files = (0..PARTITIONS).map(|_| Mutex::new(None)).collect();
        Self { folder: folder.to_owned(), files, used: AtomicBool::new(false) }
    }

    /// Whether anything has been written.
    pub fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn writer(&self) -> Writer<'_> {
        self.used.store(true, Ordering::Relaxed);
        Writer { spill: self, buffers: vec![Vec::new(); PARTITIONS] }
    }

    pub(super) fn failed(&self, reason: io::Error) -> SpillError {
        SpillError { folder: self.folder.clone(), reason }
    }

    fn with_file<T>(
        &self,
        partition: usize,
        work: impl FnOnce(&mut Option<File>) -> io::Result<T>,
    ) -> Result<T, SpillError> {
        // A thread that panicked while writing has ended the run anyway.
        let mut file = self.files[partition].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        work(&mut file).map_err(|e| self.failed(e))
    }

    fn append(&self, partition: usize, bytes: &[u8]) -> Result<(), SpillError> {
        self.with_file(partition, |file| {
            let file = match file {
                Some(file) => file,
                None => file.insert(tempfile::tempfile_in(&self.folder)?),
            };
            file.write_all(bytes)
        })
    }

    /// What a partition's file holds, from the start.
    pub(super) fn cursor(&self, partition: usize) -> Result<Cursor, SpillError> {
        self.with_file(partition, |file| {
            let Some(file) = file else { return Ok(Cursor { input: None, word: Vec::new() }) };
            let end = file.seek(SeekFrom::End(0))?;
            file.seek(SeekFrom::Start(0))?;
            let input = BufReader::with_capacity(CURSOR_BYTES, file.try_clone()?).take(end);
            Ok(Cursor { input: Some(input), word: Vec::new() })
        })
    }

    /// The entries of a partition's file, in their order.
    pub(super) fn read(&self, partition: usize) -> Result<List, SpillError> {
        let mut list = List::default();
        let mut cursor = self.cursor(partition)?;
        while let Some((word, count, captions)) = cursor.next_packed().map_err(|e| self.failed(e))? {
            list.push(word, count, captions);
        }
        Ok(list)
    }

    /// Puts `list` in the place of what a partition's file holds.
    pub(super) fn write(&self, partition: usize, list: &List) -> Result<(), SpillError> {
        self.with_file(partition, |file| {
            let file = match file {
                Some(file) => file,
                None if list.is_empty() => return Ok(()),
                None => file.insert(tempfile::tempfile_in(&self.folder)?),
            };
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            let mut output = BufWriter::with_capacity(BUFFER_BYTES, file);
            let mut buffer = Vec::new();
            for entry in list.iter() {
                buffer.clear();
                pack(&mut buffer, entry.word.as_bytes(), entry.count, entry.captions);
                output.write_all(&buffer)?;
            }
            output.flush()
        })
    }
}

/// Reads a partition's file front to back.
pub(super) struct Cursor {
    input: Option<io::Take<BufReader<File>>>,
    word: Vec<u8>,
}

impl Cursor {
    fn next_packed(&mut self) -> io::Result<Option<(&[u8], u64, u64)>> {
        let Some(input) = self.input.as_mut().filter(|i| i.limit() > 0) else { return Ok(None) };
        let mut head = [0; 20];
        input.read_exact(&mut head)?;
        let (len, count, captions) = unpack(&head);
        self.word.resize(len, 0);
        input.read_exact(&mut self.word)?;
        Ok(Some((self.word.as_slice(), count, captions)))
    }

    pub(super) fn next_entry(&mut self) -> io::Result<Option<OwnedEntry>> {
        Ok(self.next_packed()?.map(|(word, count, captions)| OwnedEntry {
            word: String::from_utf8_lossy(word).into_owned(),
            count,
            captions,
        }))
    }
}

fn pack(out: &mut Vec<u8>, word: &[u8], count: u64, captions: u64) {
    out.extend_from_slice(&(word.len() as u32).to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&captions.to_le_bytes());
    out.extend_from_slice(word);
}

fn unpack(head: &[u8; 20]) -> (usize, u64, u64) {
    let mut numbers = [[0; 8]; 3];
    numbers[0][..4].copy_from_slice(&head[..4]);
    numbers[1].copy_from_slice(&head[4..12]);
    numbers[2].copy_from_slice(&head[12..]);
    let [len, count, captions] = numbers.map(u64::from_le_bytes);
    (len as usize, count, captions)
}

/// One thread's spill in progress.
pub(super) struct Writer<'s> {
    spill: &'s Spill,
    buffers: Vec<Vec<u8>>,
}

impl Writer<'_> {
    pub(super) fn push(
        &mut self,
        partition: usize,
        word: &[u8],
        count: u64,
        captions: u64,
    ) -> Result<(), SpillError> {
        let buffer = &mut self.buffers[partition];
        pack(buffer, word, count, captions);
        if buffer.len() >= BUFFER_BYTES {
            self.spill.append(partition, buffer)?;
            // Entries come in the order of their hashes, so this partition is nearly done: its memory goes back.
            *buffer = Vec::new();
        }
        Ok(())
    }

    pub(super) fn flush(self) -> Result<(), SpillError> {
        for (partition, buffer) in self.buffers.iter().enumerate().filter(|(_, b)| !b.is_empty()) {
            self.spill.append(partition, buffer)?;
        }
        Ok(())
    }
}
