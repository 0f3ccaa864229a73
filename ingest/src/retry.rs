//! The failed rows of a finished run as a new table.
//!
//! A retry writes new shards behind the others; nothing that was written changes. Each of its rows names the key it
//! supersedes (`retry_of`), so a reader counts it once, and a second retry takes only what is still failed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use pairmill_shards::folder::{DatasetFolder, ShardFile};
use pairmill_shards::key::{KeyLayout, ShardId};
use pairmill_shards::status::FailureClass;
use pairmill_shards::table::{RowColumns, SidecarReader, column, text_column};

use crate::error::IngestError;
use crate::output::segments;
use crate::pipeline::Block;

/// Which rows a retry takes: a few bytes per row, whatever the rows hold.
#[derive(Debug, Clone)]
pub struct RetryPlan {
    folder: PathBuf,
    layout: KeyLayout,
    chosen: BTreeMap<ShardId, BTreeSet<u64>>,
    /// Reader columns of the run, in reader order.
    pub schema: SchemaRef,
    /// Rows to fetch again.
    pub rows: u64,
}

impl RetryPlan {
    /// Reads the sidecars of the finished shards in `folder` and chooses the rows that failed with one of `classes`
    /// and that no earlier retry took on. `shown` is the folder as the user knows it.
    ///
    /// # Errors
    /// When the folder is no finished run of ours, or a sidecar cannot be read.
    pub fn scan(folder: &Path, shown: &Path, classes: &[FailureClass]) -> Result<Self, IngestError> {
        let segments = segments(folder)?;
        let Some((first, _)) = segments.first() else {
            return Err(IngestError::NoRun { folder: shown.to_owned() });
        };
        if first.config.input.imagenet.is_some() {
            return Err(IngestError::NotFetched { folder: shown.to_owned() });
        }
        let layout = first.config.output.layout().map_err(crate::config::ConfigError::from)?;
        // A retry that was cut short chooses the same rows again, so its own shards do not count.
        let limit = match segments.last() {
            Some((last, false)) if last.retry_of_classes == classes && last.first_shard > 0 => {
                last.first_shard
            }
            Some((last, false)) => {
                return Err(IngestError::Unfinished {
                    folder: shown.to_owned(),
                    first_shard: last.first_shard,
                });
            }
            _ => u64::MAX,
        };
        let mut chosen: BTreeMap<ShardId, BTreeSet<u64>> = BTreeMap::new();
        let mut superseded = Vec::new();
        let mut schema: Option<SchemaRef> = None;
        for id in DatasetFolder::scan(folder)?.done().map(|shard| shard.id).filter(|id| id.0 < limit) {
            let sidecar = Sidecar::open(folder, layout, id)?;
            match &schema {
                None => schema = Some(sidecar.reader_schema()),
                Some(schema) if *schema != sidecar.reader_schema() => {
                    return Err(sidecar
                        .refuse("its columns differ from those of the first shard; retry needs one table"));
                }
                Some(_) => {}
            }
            let failed = chosen.entry(id).or_default();
            for row in sidecar.reader.rows(RowColumns::Account)? {
                let row = row?;
                if let Some(key) = row.retry_of {
                    superseded.push(sidecar.place(&key)?);
                }
                if row.failure_class.is_some_and(|class| classes.contains(&class)) {
                    failed.insert(sidecar.place(&row.key)?.1);
                }
            }
        }
        for (id, row) in superseded {
            chosen.get_mut(&id).map(|rows| rows.remove(&row));
        }
        chosen.retain(|_, rows| !rows.is_empty());
        let rows = chosen.values().map(|rows| rows.len() as u64).sum();
        let schema = schema.unwrap_or_else(|| Arc::new(Schema::empty()));
        Ok(Self { folder: folder.to_owned(), layout, chosen, schema, rows })
    }
}

/// The chosen rows, cut into shards.
#[derive(Debug)]
pub struct RetryBlocks {
    plan: RetryPlan,
    rows_per_block: usize,
    rows: RecordBatch,
    keys: Vec<String>,
}

impl RetryBlocks {
    /// Blocks of at most `rows_per_block` rows.
    pub fn new(plan: RetryPlan, rows_per_block: u64) -> Self {
        let rows = RecordBatch::new_empty(plan.schema.clone());
        let rows_per_block = usize::try_from(rows_per_block).unwrap_or(usize::MAX);
        Self { plan, rows_per_block, rows, keys: Vec::new() }
    }

    /// The rows of the next shard; `None` at the end.
    ///
    /// # Errors
    /// When a sidecar cannot be read.
    pub fn next_block(&mut self) -> Result<Option<Block>, IngestError> {
        while self.rows.num_rows() < self.rows_per_block {
            let Some((id, wanted)) = self.plan.chosen.pop_first() else { break };
            let sidecar = Sidecar::open(&self.plan.folder, self.plan.layout, id)?;
            let (rows, keys) = sidecar.rows(&wanted)?;
            self.rows = concat_batches(&self.plan.schema, [&self.rows, &rows])
                .map_err(|e| sidecar.refuse(&e.to_string()))?;
            self.keys.extend(keys);
        }
        if self.rows.num_rows() == 0 {
            return Ok(None);
        }
        let count = self.rows.num_rows().min(self.rows_per_block);
        let block = self.rows.slice(0, count);
        self.rows = self.rows.slice(count, self.rows.num_rows() - count);
        let keys = self.keys.drain(..count).collect();
        Ok(Some(Block { rows: block, retry_of: Some(keys), images: None }))
    }
}

struct Sidecar {
    reader: SidecarReader,
    layout: KeyLayout,
}

impl Sidecar {
    fn open(folder: &Path, layout: KeyLayout, id: ShardId) -> Result<Self, IngestError> {
        let path = folder.join(ShardFile::Table.name(&layout.shard_name(id)));
        Ok(Self { reader: SidecarReader::open(&path)?, layout })
    }

    fn refuse(&self, reason: &str) -> IngestError {
        IngestError::Io { path: self.reader.path().to_owned(), reason: reason.replace('\n', " ") }
    }

    /// The input's columns stand before `key` (FORMAT.md).
    fn reader_schema(&self) -> SchemaRef {
        let fields = self.reader.schema().fields();
        let fields: Vec<_> = fields.iter().take_while(|f| f.name() != column::KEY).cloned().collect();
        Arc::new(Schema::new(fields))
    }

    fn place(&self, key: &str) -> Result<(ShardId, u64), IngestError> {
        self.layout.parse(key).map_err(|e| self.refuse(&e.to_string()))
    }

    fn rows(&self, wanted: &BTreeSet<u64>) -> Result<(RecordBatch, Vec<String>), IngestError> {
        let reader_schema = self.reader_schema();
        let mut columns: Vec<&str> = reader_schema.fields().iter().map(|f| f.name().as_str()).collect();
        columns.push(column::KEY);
        let (mut kept, mut kept_keys) = (Vec::new(), Vec::new());
        for batch in self.reader.batches(Some(&columns))? {
            let batch = batch?;
            let keys = text_column(self.reader.path(), &batch, column::KEY)?
                .ok_or_else(|| self.refuse("has no column `key`"))?;
            let mut choice = Vec::with_capacity(batch.num_rows());
            for key in keys.iter().map(Option::unwrap_or_default) {
                let keep = wanted.contains(&self.place(key)?.1);
                choice.push(keep);
                if keep {
                    kept_keys.push(key.to_owned());
                }
            }
            let filtered = filter_record_batch(&batch, &BooleanArray::from(choice));
            let fields: Vec<ArrayRef> = filtered
                .map_err(|e| self.refuse(&e.to_string()))?
                .columns()
                .iter()
                .take(reader_schema.fields().len())
                .cloned()
                .collect();
            kept.push(
                RecordBatch::try_new(reader_schema.clone(), fields)
                    .map_err(|e| self.refuse(&e.to_string()))?,
            );
        }
        let rows = concat_batches(&reader_schema, &kept).map_err(|e| self.refuse(&e.to_string()))?;
        Ok((rows, kept_keys))
    }
}
