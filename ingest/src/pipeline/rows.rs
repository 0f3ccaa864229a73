//! Where a run's rows come from: the user's table, the failed rows of finished shards under `retry`, or ImageNet,
//! whose rows come with their bytes and go past the fetcher.

use arrow::array::RecordBatch;

use crate::error::IngestError;
use crate::imagenet::{ImageNetReader, Images};
use crate::retry::RetryBlocks;
use crate::source::{Blocks, Oddities};

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
            Self::Retry(blocks) => blocks.next_block(),
            Self::ImageNet { reader, rows_per_block } => {
                let block = reader.next_block(*rows_per_block)?;
                Ok(block.map(|block| Block { rows: block.rows, retry_of: None, images: Some(block.images) }))
            }
        }
    }

    /// Flaws met so far in the user's table.
    pub fn oddities(&self) -> Oddities {
        match self {
            Self::Table(blocks) => blocks.oddities(),
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
            Self::Retry(blocks) => Ok(blocks.next_block()?.map(|block| block.rows.num_rows() as u64)),
            Self::ImageNet { reader, rows_per_block } => Ok(reader.skip_block(*rows_per_block)?),
        }
    }
}
