//! A shuffle over the whole set in bounded memory: samples go into buckets by the first bits of a seeded order, then
//! each bucket, small enough to be held, into the output in that order. The order is a hash of the seed and of what a
//! sample is, so it does not depend on how the files came; equal samples follow each other as they came.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;

use super::carrier::Inputs;
use super::output::ShardsOutput;
use super::rows::{Tables, TarRows};
use super::{Place, RewriteConfig, RewriteError, place_of};
use crate::atomic::{FileAction, FileError};
use crate::folder::PAIRMILL_FOLDER;
use crate::table::TableError;
use crate::tar::{MappedTar, TarWriter};

/// Buckets are open all at once, two files each; shells allow 1,024.
const MAX_BUCKET_BITS: u32 = 8;
/// Rows that wait in memory in each bucket.
const ROWS_IN_MEMORY: usize = 256;
/// The order must not be that of a subset of the same seed, or a prefix of the shuffled set would be one.
const ORDER: u64 = 0x6f72_6465_7200_0000;

/// The folder of the buckets, which goes with whoever fills it, also when that fails.
struct BucketFolder(PathBuf);

impl Drop for BucketFolder {
    fn drop(&mut self) {
        remove_folder(&self.0);
    }
}

/// The buckets.
pub(super) struct Shuffler {
    folder: BucketFolder,
    seed: u64,
    bits: u32,
    schema: Option<SchemaRef>,
    buckets: Vec<Bucket>,
}

struct Bucket {
    path: PathBuf,
    tar: TarWriter<BufWriter<File>>,
    rows: Option<ArrowWriter<File>>,
}

/// Where the buckets of a shuffle into `output` lie.
pub(super) fn folder_in(output: &Path) -> PathBuf {
    output.join(PAIRMILL_FOLDER).join("shuffle")
}

impl Shuffler {
    pub(super) fn new(
        config: &RewriteConfig,
        seed: u64,
        tables: &Tables,
        inputs: &Inputs<'_>,
    ) -> Result<Self, RewriteError> {
        let folder = BucketFolder(folder_in(&config.output));
        fs::create_dir_all(&folder.0).map_err(|e| FileError::new(&folder.0, FileAction::Create, e))?;
        let total: u64 = inputs.paths.iter().map(|path| inputs.carrier.named(path).1).sum();
        let wanted = total.div_ceil(config.bucket_bytes.max(1)).max(1);
        let bits = wanted.next_power_of_two().trailing_zeros().min(MAX_BUCKET_BITS);
        let schema = tables.schema().cloned();
        let buckets = (0..1_usize << bits)
            .map(|n| Bucket::create(folder.0.join(format!("{n:03}.tar")), schema.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self { folder, seed: seed ^ ORDER, bits, schema, buckets })
    }

    /// Puts the chosen samples of a tar where they belong; `rows` are those of all its samples.
    pub(super) fn add(
        &mut self,
        tar: &MappedTar,
        chosen: &[Place],
        rows: Option<&TarRows>,
    ) -> Result<(), RewriteError> {
        let mut places: Vec<Vec<usize>> = vec![Vec::new(); self.buckets.len()];
        for place in chosen {
            let Some(sample) = tar.sample(place.at) else { continue };
            let order = place_of(self.seed, &sample);
            let at = order.checked_shr(64 - self.bits).unwrap_or(0) as usize;
            let bucket = &mut self.buckets[at];
            let members: Vec<(&str, &[u8])> = sample.members().collect();
            bucket
                .tar
                .append(&format!("{order:016x}-{:016x}", place.ordinal), &members)
                .map_err(|source| RewriteError::of_write(tar.path(), &bucket.path, source))?;
            // The index is made anew when the bucket is read; of all buckets at once it would grow with the set.
            bucket.tar.clear_index();
            places[at].push(place.at);
        }
        if let Some(rows) = rows {
            for (bucket, places) in self.buckets.iter_mut().zip(&places) {
                if let (Some(writer), false) = (&mut bucket.rows, places.is_empty()) {
                    writer.write(&rows.take(places)?).map_err(TableError::Write)?;
                }
            }
        }
        Ok(())
    }

    /// Writes bucket after bucket into `output`.
    pub(super) fn finish(self, output: &mut ShardsOutput<'_>) -> Result<(), RewriteError> {
        // Dropped last, when nothing reads it any more.
        let Self { folder: _folder, buckets, schema, .. } = self;
        let mut whole = Vec::new();
        for bucket in buckets {
            whole.push(bucket.close()?);
        }
        for path in whole {
            let tar = MappedTar::open(&path)?;
            let rows = schema.as_ref().map(|schema| read_rows(&path, schema)).transpose()?;
            if rows.as_ref().is_some_and(|rows| rows.0.num_rows() != tar.len()) {
                return Err(RewriteError::Bucket { path });
            }
            let mut places: Vec<usize> = (0..tar.len()).collect();
            places.sort_unstable_by_key(|&at| tar.sample(at).map(|sample| sample.key().to_owned()));
            output.add(&tar, &places, rows.as_ref())?;
            drop(tar);
            for file in [rows_of(&path), path] {
                // What stays is removed with the folder.
                let _ = fs::remove_file(file);
            }
        }
        Ok(())
    }
}

impl Bucket {
    fn create(path: PathBuf, schema: Option<&SchemaRef>) -> Result<Self, RewriteError> {
        let create =
            |path: &Path| File::create(path).map_err(|e| FileError::new(path, FileAction::Create, e));
        let tar = TarWriter::new(BufWriter::new(create(&path)?));
        let rows = schema
            .map(|schema| {
                let properties =
                    WriterProperties::builder().set_max_row_group_row_count(Some(ROWS_IN_MEMORY)).build();
                ArrowWriter::try_new(create(&rows_of(&path))?, Arc::clone(schema), Some(properties))
                    .map_err(|e| RewriteError::from(TableError::Write(e)))
            })
            .transpose()?;
        Ok(Self { path, tar, rows })
    }

    fn close(self) -> Result<PathBuf, RewriteError> {
        let path = self.path;
        if let Err(source) = self.tar.finish() {
            return Err(RewriteError::of_write(&path, &path, source));
        }
        if let Some(rows) = self.rows {
            rows.close().map_err(TableError::Write)?;
        }
        Ok(path)
    }
}

fn rows_of(bucket: &Path) -> PathBuf {
    bucket.with_extension("parquet")
}

fn read_rows(bucket: &Path, schema: &SchemaRef) -> Result<TarRows, RewriteError> {
    let path = rows_of(bucket);
    let file = File::open(&path).map_err(|e| FileError::new(&path, FileAction::Read, e))?;
    let read = || -> Result<RecordBatch, TableError> {
        let batches: Vec<RecordBatch> =
            ParquetRecordBatchReaderBuilder::try_new(file)?.build()?.collect::<Result<_, _>>()?;
        Ok(concat_batches(schema, &batches)?)
    };
    Ok(TarRows(read()?))
}

/// Removes what a killed run left in `output`.
pub(super) fn remove_leftover(output: &Path) {
    remove_folder(&folder_in(output));
}

/// Removes a folder of temporary files; that it is not there is fine.
fn remove_folder(folder: &Path) {
    // Left-overs cost space, nothing else, and the next run removes them.
    let _ = fs::remove_dir_all(folder);
}
