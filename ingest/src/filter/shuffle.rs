//! A seeded shuffle of all kept rows, on disk: the order of their places in the draw ([`place`](pairmill_shards::draw::place)).
//!
//! Tables come sorted (RedCaps by subreddit and year), and a trainer shuffles shards and a window of them at most.
//! Rows are dealt into buckets by the leading bits of their places, unnamed files in the output folder; then one
//! bucket after another is read and sorted. Memory: what waits for each bucket's file, and one bucket.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::check::for_places;
use super::funnel::Funnel;
use super::rows::FilteredRows;
use crate::error::IngestError;
use crate::table::Oddities;

/// Bytes of input that make a bucket; tables are compressed, rows in memory are not.
const INPUT_BYTES_PER_BUCKET: u64 = 32 << 20;
/// Each is an open file.
const MAX_BUCKETS: u64 = 256;
/// Rows that wait for a bucket's file.
const WAITING_ROWS: usize = 1_024;
/// Rows handed out together.
const BATCH_ROWS: usize = 8_192;

/// The kept rows of a table, shuffled.
#[derive(Debug)]
pub struct ShuffledRows {
    folder: PathBuf,
    schema: SchemaRef,
    seed: u64,
    buckets: std::vec::IntoIter<Bucket>,
    /// Rows of the bucket at hand, and those of them not handed out yet in their order.
    current: Option<(RecordBatch, std::vec::IntoIter<u32>)>,
    funnel: Funnel,
    oddities: Oddities,
}

#[derive(Debug, Default)]
struct Bucket {
    waiting: Vec<RecordBatch>,
    num_waiting: usize,
    file: Option<ArrowWriter<File>>,
}

impl ShuffledRows {
    /// Reads all of `rows` into buckets in `folder`; `None` when `stop` was set before that was done. `input_bytes`,
    /// the size of the table's files, decides how many buckets there are; the order does not depend on it.
    ///
    /// # Errors
    /// When the table breaks off or the disk is full.
    pub fn deal(
        mut rows: FilteredRows,
        schema: SchemaRef,
        seed: u64,
        input_bytes: u64,
        folder: &Path,
        stop: &AtomicBool,
    ) -> Result<Option<Self>, IngestError> {
        let num_buckets = (input_bytes / INPUT_BYTES_PER_BUCKET).clamp(1, MAX_BUCKETS);
        let mut dealt = Self {
            folder: folder.to_owned(),
            schema,
            seed,
            buckets: Vec::new().into_iter(),
            current: None,
            funnel: Funnel::default(),
            oddities: Oddities::default(),
        };
        let mut buckets: Vec<Bucket> = (0..num_buckets).map(|_| Bucket::default()).collect();
        while let Some(batch) = rows.next_rows()? {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let mut chosen: Vec<Vec<u32>> = vec![Vec::new(); buckets.len()];
            for (row, place) in (0..).zip(places(&batch, seed)?) {
                // Ranges of places, so that the buckets in their order are the order of places.
                let bucket = (u128::from(place) * u128::from(num_buckets)) >> 64;
                chosen[bucket as usize].push(row);
            }
            for (bucket, rows) in buckets.iter_mut().zip(chosen).filter(|(_, rows)| !rows.is_empty()) {
                let rows = take_record_batch(&batch, &UInt32Array::from(rows)).map_err(internal)?;
                dealt.put(bucket, rows)?;
            }
        }
        dealt.buckets = buckets.into_iter();
        (dealt.funnel, dealt.oddities) = (rows.funnel(), rows.oddities());
        Ok(Some(dealt))
    }

    fn put(&self, bucket: &mut Bucket, rows: RecordBatch) -> Result<(), IngestError> {
        bucket.num_waiting += rows.num_rows();
        bucket.waiting.push(rows);
        if bucket.num_waiting < WAITING_ROWS {
            return Ok(());
        }
        let rows = concat_batches(&self.schema, &bucket.waiting).map_err(internal)?;
        let writer = match &mut bucket.file {
            Some(writer) => writer,
            None => {
                let file =
                    tempfile::tempfile_in(&self.folder).map_err(|e| IngestError::folder(&self.folder, e))?;
                let writer =
                    ArrowWriter::try_new(file, self.schema.clone(), None).map_err(|e| self.disk(&e))?;
                bucket.file.insert(writer)
            }
        };
        writer.write(&rows).and_then(|()| writer.flush()).map_err(|e| self.disk(&e))?;
        bucket.waiting.clear();
        bucket.num_waiting = 0;
        Ok(())
    }

    /// The next rows in the order of places; `None` at the end.
    ///
    /// # Errors
    /// When a bucket cannot be read back.
    pub fn next_rows(&mut self) -> Result<Option<RecordBatch>, IngestError> {
        loop {
            if let Some((rows, order)) = &mut self.current {
                let next: Vec<u32> = order.by_ref().take(BATCH_ROWS).collect();
                if !next.is_empty() {
                    return take_record_batch(rows, &UInt32Array::from(next)).map(Some).map_err(internal);
                }
                self.current = None;
            }
            let Some(mut bucket) = self.buckets.next() else { return Ok(None) };
            let mut batches = Vec::new();
            if let Some(writer) = bucket.file.take() {
                let failed = |error: &dyn std::fmt::Display| disk(&self.folder, error);
                let file = writer.into_inner().map_err(|e| failed(&e))?;
                let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| failed(&e))?;
                for batch in reader.build().map_err(|e| failed(&e))? {
                    batches.push(batch.map_err(|e| failed(&e))?);
                }
            }
            batches.append(&mut bucket.waiting);
            if batches.is_empty() {
                continue;
            }
            let rows = concat_batches(&self.schema, &batches).map_err(internal)?;
            drop(batches);
            let places = places(&rows, self.seed)?;
            let mut order: Vec<u32> = (0..u32::try_from(places.len()).unwrap_or(u32::MAX)).collect();
            // Stable: equal rows stay in the order of the table.
            order.sort_by_key(|&row| places[row as usize]);
            self.current = Some((rows, order.into_iter()));
        }
    }

    /// What was dropped.
    pub fn funnel(&self) -> Funnel {
        self.funnel
    }

    /// Flaws of the table.
    pub fn oddities(&self) -> Oddities {
        self.oddities
    }

    fn disk(&self, error: &dyn std::fmt::Display) -> IngestError {
        disk(&self.folder, error)
    }
}

fn places(rows: &RecordBatch, seed: u64) -> Result<Vec<u64>, IngestError> {
    let mut all: Vec<u32> = (0..u32::try_from(rows.num_rows()).unwrap_or(u32::MAX)).collect();
    let mut places = Vec::with_capacity(all.len());
    for_places(rows, seed, &mut all, |place| {
        places.push(place);
        true
    })?;
    Ok(places)
}

fn disk(folder: &Path, error: &dyn std::fmt::Display) -> IngestError {
    let reason = format!("shuffling: {error}; there must be room for the table's rows beside the shards");
    IngestError::Io { path: folder.to_owned(), reason }
}

fn internal(error: arrow::error::ArrowError) -> IngestError {
    IngestError::Internal(error.to_string())
}
