//! From the blocks of a table to batches of kept rows. A sample needs two passes; everything else one.

use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;

use super::column::Column;
use super::config::FilterConfig;
use super::error::FilterError;
use super::funnel::{Funnel, Rule};
use super::predicate::{self, Cells};
use super::sieve::Sieve;
use super::subset::{Smallest, SubsetConfig};
use crate::error::IngestError;
use crate::table::{Blocks, InputFormat, LookedAt, Oddities, Tables};

/// Rows looked at together: enough that the work a batch is nothing beside the work a row.
const BATCH_ROWS: u64 = 8_192;

/// The columns that `config` looks at. An address rule may use sizes and media types, and does without; so does the rule
/// about NSFW tags as a source has it, `defaults`: lists that were filtered already have no tags.
pub fn looked_at(
    config: &FilterConfig,
    defaults: Option<&FilterConfig>,
    has_address_rule: bool,
) -> Vec<LookedAt> {
    let own_tags = defaults.is_none_or(|defaults| defaults.nsfw != config.nsfw);
    let sizes =
        config.min_width.is_some() || config.min_height.is_some() || config.max_aspect_ratio.is_some();
    // (column, whether it is read, whether a table without it is refused)
    let columns = [
        (Column::Status, !config.status.is_empty(), false),
        (Column::MimeType, !config.mime_types.is_empty() || has_address_rule, !config.mime_types.is_empty()),
        (Column::Language, !config.languages.is_empty(), true),
        (Column::Nsfw, !config.nsfw.is_empty(), own_tags),
        (Column::Similarity, config.min_similarity.is_some(), true),
        (Column::Punsafe, config.max_punsafe.is_some(), true),
        (Column::Pwatermark, config.max_pwatermark.is_some(), true),
        (Column::Width, sizes || has_address_rule, sizes),
        (Column::Height, sizes || has_address_rule, sizes),
    ];
    let read = columns.into_iter().filter(|(_, read, _)| *read);
    read.map(|(column, _, required)| LookedAt {
        column: column.source(config).to_owned(),
        name: column.name().into(),
        asked_by: column.setting(),
        required,
    })
    .collect()
}

/// The columns, of `names` that the table has, that the user's SQL expression looks at.
///
/// # Errors
/// When it is no expression over them.
pub fn looked_at_by(expression: &str, names: &[String]) -> Result<Vec<LookedAt>, FilterError> {
    let columns = predicate::columns(expression, names)?;
    let looked = |column: String| LookedAt {
        name: predicate::block_name(&column).into(),
        column,
        asked_by: predicate::FLAG,
        required: true,
    };
    Ok(columns.into_iter().map(looked).collect())
}

/// The rows of a table that pass, in order.
#[derive(Debug)]
pub struct FilteredRows {
    blocks: Blocks,
    sieve: Sieve,
    /// Columns of the rows; those behind are only looked at.
    num_columns: usize,
    rows: Option<u64>,
}

impl FilteredRows {
    /// Rows of `tables` that pass what `sieve` makes, and are in `subset`. Reads the table once if a sample is
    /// wanted; `None` when `stop` was set while that was being done.
    ///
    /// # Errors
    /// When the first pass finds the table broken, or a rule cannot be applied.
    pub fn open(
        tables: &Tables,
        sieve: impl Fn() -> Result<Sieve, IngestError>,
        subset: &SubsetConfig,
        stop: &AtomicBool,
    ) -> Result<Option<Self>, IngestError> {
        let typed = tables.format() == InputFormat::Parquet;
        let cells = if typed { Cells::Typed } else { Cells::Text };
        let mut threshold = None;
        let mut rows = None;
        if let Some(wanted) = subset.rows {
            let mut smallest = Smallest::new(wanted);
            let mut first = sieve()?.fit(&tables.schema(), cells)?;
            for block in tables.blocks(BATCH_ROWS) {
                if stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                first.draw(block?.rows, subset.seed, &mut smallest)?;
            }
            rows = Some(first.funnel().kept().min(wanted));
            threshold = smallest.threshold();
        }
        Ok(Some(Self {
            blocks: tables.blocks(BATCH_ROWS),
            sieve: sieve()?.fit(&tables.schema(), cells)?.with_subset(subset, threshold),
            num_columns: tables.num_kept_columns(),
            rows,
        }))
    }

    /// Rows that will be kept, where a first pass counted them.
    pub fn count_rows(&self) -> Option<u64> {
        self.rows
    }

    /// The next kept rows, never none of them; `None` at the end.
    ///
    /// # Errors
    /// When the table breaks off, or a rule cannot be applied.
    pub fn next_rows(&mut self) -> Result<Option<RecordBatch>, IngestError> {
        while !self.sieve.is_full() {
            let Some(block) = self.blocks.next().transpose()? else { return Ok(None) };
            let kept = self.sieve.sift(block.rows)?;
            if kept.num_rows() > 0 {
                let columns: Vec<usize> = (0..self.num_columns).collect();
                let kept = kept.project(&columns);
                return Ok(Some(kept.map_err(|error| IngestError::Internal(error.to_string()))?));
            }
        }
        Ok(None)
    }

    /// What was dropped so far.
    pub fn funnel(&self) -> Funnel {
        let funnel = self.sieve.funnel();
        match self.blocks.yfcc_counters() {
            Some(lines) => {
                let passed_over = [(Rule::Unlisted, lines.unlisted), (Rule::Video, lines.videos)];
                let rows_in = funnel.rows_in + lines.unlisted + lines.videos;
                funnel.behind(&Funnel::of(rows_in, &passed_over))
            }
            None => funnel,
        }
    }

    /// Flaws met so far.
    pub fn oddities(&self) -> Oddities {
        self.blocks.oddities()
    }
}
