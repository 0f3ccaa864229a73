//! Where a run's rows come from: the user's table, what filters leave of it, the failed rows of finished shards under
//! `retry`, or ImageNet, whose rows come with their bytes and go past the fetcher.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;

use crate::error::IngestError;
use crate::filter::{FilteredRows, Funnel, Rule, ShuffledRows};
use crate::imagenet::{ImageNetReader, Images};
use crate::retry::RetryBlocks;
use crate::table::{Blocks, MAX_BLOCK_BYTES, Oddities};

/// The rows of one shard to be.
#[derive(Debug)]
pub struct Block {
    /// Reader columns in reader order.
    pub rows: RecordBatch,
    /// Under `retry`: the key each row had before.
    pub retry_of: Option<Vec<String>>,
    /// Where the bytes are that need no fetching.
    pub images: Option<Images>,
}

/// A stream of blocks, one per shard.
#[derive(Debug)]
pub enum RowSource {
    /// The user's table.
    Table(Blocks),
    /// The rows of a table that pass the filters.
    Filtered(Box<FilteredBlocks>),
    /// Rows that failed before.
    Retry(RetryBlocks),
    /// Images that are here already.
    ImageNet {
        /// The images.
        reader: Box<ImageNetReader>,
        /// Rows of a block.
        rows_per_block: u64,
    },
}

impl RowSource {
    /// The rows of the next shard; `None` at the end.
    ///
    /// # Errors
    /// When the table breaks off or does not hold what its head promised.
    pub fn next_block(&mut self) -> Result<Option<Block>, IngestError> {
        match self {
            Self::Table(blocks) => {
                let block = blocks.next().transpose()?;
                Ok(block.map(|block| Block { rows: block.rows, retry_of: None, images: None }))
            }
            Self::Filtered(blocks) => {
                Ok(blocks.next_block()?.map(|rows| Block { rows, retry_of: None, images: None }))
            }
            Self::Retry(blocks) => blocks.next_block(),
            Self::ImageNet { reader, rows_per_block } => {
                let block = reader.next_block(*rows_per_block)?;
                Ok(block.map(|block| Block { rows: block.rows, retry_of: None, images: Some(block.images) }))
            }
        }
    }

    /// What the filters dropped so far, if there are filters.
    pub fn funnel(&self) -> Option<Funnel> {
        match self {
            Self::Filtered(blocks) => Some(blocks.rows.funnel()),
            Self::ImageNet { reader, .. } => {
                let images = reader.counters();
                Some(Funnel::of(
                    images.images,
                    &[
                        (Rule::Uncaptioned, images.uncaptioned),
                        (Rule::BlankCaption, images.blank),
                        (Rule::Profanity, images.profane),
                        (Rule::DuplicateCaption, images.duplicate),
                    ],
                ))
            }
            Self::Table(_) | Self::Retry(_) => None,
        }
    }

    /// Flaws met so far in the user's table.
    pub fn oddities(&self) -> Oddities {
        match self {
            Self::Table(blocks) => blocks.oddities(),
            Self::Filtered(blocks) => blocks.rows.oddities(),
            Self::Retry(_) | Self::ImageNet { .. } => Oddities::default(),
        }
    }

    /// Passes over the next shard's rows as cheaply as the format allows; their number, or `None` at the end.
    ///
    /// # Errors
    /// As [`Self::next_block`].
    pub fn skip_block(&mut self) -> Result<Option<u64>, IngestError> {
        match self {
            Self::Table(blocks) => Ok(blocks.skip_block()?),
            // Which rows a shard has depends on all rows before, so they must be looked at.
            Self::Filtered(blocks) => Ok(blocks.next_block()?.map(|rows| rows.num_rows() as u64)),
            Self::Retry(blocks) => Ok(blocks.next_block()?.map(|block| block.rows.num_rows() as u64)),
            Self::ImageNet { reader, rows_per_block } => Ok(reader.skip_block(*rows_per_block)?),
        }
    }
}

/// Kept rows as they come out of the filters.
#[derive(Debug)]
pub enum KeptRows {
    /// In the order of the table.
    InOrder(Box<FilteredRows>),
    /// In a seeded order.
    Shuffled(Box<ShuffledRows>),
}

impl KeptRows {
    fn next_rows(&mut self) -> Result<Option<RecordBatch>, IngestError> {
        match self {
            Self::InOrder(rows) => rows.next_rows(),
            Self::Shuffled(rows) => rows.next_rows(),
        }
    }

    fn funnel(&self) -> Funnel {
        match self {
            Self::InOrder(rows) => rows.funnel(),
            Self::Shuffled(rows) => rows.funnel(),
        }
    }

    fn oddities(&self) -> Oddities {
        match self {
            Self::InOrder(rows) => rows.oddities(),
            Self::Shuffled(rows) => rows.oddities(),
        }
    }
}

/// Kept rows cut into shards. Files do not matter: a shard goes on where the last one stopped, so all but the last
/// are full.
#[derive(Debug)]
pub struct FilteredBlocks {
    rows: KeptRows,
    schema: SchemaRef,
    rows_per_block: usize,
    pending: Vec<RecordBatch>,
    num_pending: usize,
}

impl FilteredBlocks {
    /// Blocks of `rows_per_block` rows of `schema`.
    pub fn new(rows: KeptRows, schema: SchemaRef, rows_per_block: u64) -> Self {
        let rows_per_block = usize::try_from(rows_per_block.max(1)).unwrap_or(usize::MAX);
        Self { rows, schema, rows_per_block, pending: Vec::new(), num_pending: 0 }
    }

    fn next_block(&mut self) -> Result<Option<RecordBatch>, IngestError> {
        let mut bytes: usize = self.pending.iter().map(RecordBatch::get_array_memory_size).sum();
        while self.num_pending < self.rows_per_block {
            let Some(rows) = self.rows.next_rows()? else { break };
            bytes += rows.get_array_memory_size();
            if bytes > MAX_BLOCK_BYTES {
                let rows = self.num_pending;
                return Err(IngestError::ShardTooLarge { rows, mebibytes: MAX_BLOCK_BYTES >> 20 });
            }
            self.num_pending += rows.num_rows();
            self.pending.push(rows);
        }
        if self.num_pending == 0 {
            return Ok(None);
        }
        let joined = concat_batches(&self.schema, &self.pending);
        let joined = joined.map_err(|error| IngestError::Internal(error.to_string()))?;
        self.pending.clear();
        let taken = joined.num_rows().min(self.rows_per_block);
        self.num_pending = joined.num_rows() - taken;
        if self.num_pending > 0 {
            self.pending.push(joined.slice(taken, self.num_pending));
        }
        Ok(Some(joined.slice(0, taken)))
    }
}
