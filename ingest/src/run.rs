//! A whole run as a library call: open the table, make the folder ready, run the pipeline under a progress display,
//! finish the folder, and say what became of every row.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::datatypes::SchemaRef;
use pairmill_shards::folder::{DatasetFolder, ShardFile};
use pairmill_shards::stats::ShardStats;
use pairmill_shards::status::FailureClass;

use crate::config::Config;
use crate::error::IngestError;
use crate::imagenet::{ImageNetConfig, ImageNetReader};
use crate::metrics::MetricsFile;
use crate::output::{InputStamp, OutputFolder, segments};
use crate::pipeline::{self, RowSource, write_sizes};
use crate::progress::{Account, Counters, Display};
use crate::retry::{RetryBlocks, RetryPlan};
use crate::source::{CsvOptions, TableConfig, Tables};

/// What a run did.
#[derive(Debug, Clone)]
pub struct Report {
    /// Rows of the run's shards by what became of them, shards finished earlier included.
    pub account: Account,
    /// Finished shards of the run.
    pub shards: u64,
    /// Whether every shard that was asked for is finished; `false` after an interruption.
    pub complete: bool,
}

/// What a run would do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Input files and their sizes in bytes.
    pub inputs: Vec<InputStamp>,
    /// Rows, where the format tells without reading them all.
    pub rows: Option<u64>,
    /// Shards the rows make, where that can be told.
    pub shards: Option<u64>,
    /// Shards already finished in the output folder.
    pub done: u64,
}

/// Looks at input and output without touching either.
///
/// # Errors
/// When the table is not usable.
pub fn plan(config: &Config) -> Result<Plan, IngestError> {
    let per_shard = config.output.number_sample_per_shard;
    let done = if config.output.output_folder.is_dir() {
        DatasetFolder::scan(&config.output.output_folder)?.done().count() as u64
    } else {
        0
    };
    if let Some(imagenet) = &config.input.imagenet {
        let (_, stamp) = open_imagenet(config, imagenet)?;
        return Ok(Plan { inputs: vec![stamp], rows: None, shards: None, done });
    }
    let tables = Tables::open(&table_config(config)?)?;
    let rows = tables.count_rows();
    let one_file = tables.files().len() == 1;
    Ok(Plan {
        inputs: stamps(&tables),
        rows,
        // Shards never span files, so several files end in several short shards.
        shards: rows.filter(|_| one_file).map(|rows| rows.div_ceil(per_shard)),
        done,
    })
}

/// Turns the table of `config` into shards. Set `stop` to end early and in order; giving the same config again goes
/// on where it ended.
///
/// # Errors
/// When input, folder or disk give out; finished shards stay.
pub fn run(config: &Config, stop: &AtomicBool) -> Result<Report, IngestError> {
    config.validate()?;
    if let Some(imagenet) = &config.input.imagenet {
        let (reader, stamp) = open_imagenet(config, imagenet)?;
        let folder = OutputFolder::open(config, vec![stamp])?;
        let (schema, rows_per_block) = (reader.schema(), config.output.number_sample_per_shard);
        let source = RowSource::ImageNet { reader: Box::new(reader), rows_per_block };
        return drive(config, &folder, &schema, source, None, stop);
    }
    let tables = Tables::open(&table_config(config)?)?;
    let folder = OutputFolder::open(config, stamps(&tables))?;
    let total_rows = tables.count_rows();
    let schema = tables.schema();
    let blocks = tables.blocks(config.output.number_sample_per_shard);
    drive(config, &folder, &schema, RowSource::Table(blocks), total_rows, stop)
}

/// The images, and what identifies them: a folder only by its name.
fn open_imagenet(
    config: &Config,
    imagenet: &ImageNetConfig,
) -> Result<(ImageNetReader, InputStamp), IngestError> {
    let root = Path::new(&config.input.url_list);
    let reader = ImageNetReader::open(root, imagenet)?;
    let name = root.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let bytes = std::fs::metadata(root).ok().filter(|m| m.is_file()).map_or(0, |m| m.len());
    Ok((reader, InputStamp { name, bytes }))
}

/// What `retry` would fetch again in `folder`.
///
/// # Errors
/// When the folder is no finished run of ours.
pub fn plan_retry(folder: &Path, classes: &[FailureClass]) -> Result<RetryPlan, IngestError> {
    RetryPlan::scan(folder, classes)
}

/// The config that the first run in `folder` was resolved to.
///
/// # Errors
/// When no run of ours began the folder.
pub fn config_of(folder: &Path) -> Result<Config, IngestError> {
    let first = segments(folder)?.into_iter().next();
    let (segment, _) = first.ok_or_else(|| IngestError::NoRun { folder: folder.to_owned() })?;
    let mut config = segment.config;
    config.output.output_folder = folder.to_owned();
    Ok(config)
}

/// Fetches the rows of `classes` in the finished folder of `config` again, into new shards behind the others.
///
/// # Errors
/// As [`run`].
pub fn retry(config: &Config, classes: &[FailureClass], stop: &AtomicBool) -> Result<Report, IngestError> {
    let path = &config.output.output_folder;
    let plan = RetryPlan::scan(path, classes)?;
    if plan.rows == 0 {
        return Ok(Report { account: Account::default(), shards: 0, complete: true });
    }
    let schema = plan.schema.clone();
    let rows = plan.rows;
    let folder = OutputFolder::open_retry(path, config, classes)?;
    let blocks = RetryBlocks::new(plan, config.output.number_sample_per_shard);
    drive(config, &folder, &schema, RowSource::Retry(blocks), Some(rows), stop)
}

fn drive(
    config: &Config,
    folder: &OutputFolder,
    schema: &SchemaRef,
    source: RowSource,
    total_rows: Option<u64>,
    stop: &AtomicBool,
) -> Result<Report, IngestError> {
    let counters = Arc::new(Counters::default());
    let metrics = config.runtime.metrics.as_deref().map(MetricsFile::open).transpose()?;
    let display = Display::start(&config.runtime, counters.clone(), total_rows, metrics)?;
    let finished = pipeline::run(config, folder, schema, source, &counters, stop);
    // The display is taken down before anything else is printed, on error too.
    display.finish()?;
    let finished = finished?;
    let first = folder.segment().first_shard;
    let (mut account, shards) = account(folder.path(), first, config.runtime.shards)?;
    account.oddities = finished.oddities;
    if finished.complete && config.runtime.shards.is_none() {
        write_sizes(folder.path(), &sizes(folder.path())?)?;
        folder.finish(finished.shards)?;
    }
    Ok(Report { account, shards, complete: finished.complete })
}

/// Sums the stats of the finished shards from `first` on.
fn account(folder: &Path, first: u64, range: Option<(u64, u64)>) -> Result<(Account, u64), IngestError> {
    let dataset = DatasetFolder::scan(folder)?;
    let (from, to) = range.unwrap_or((first, u64::MAX));
    let mut account = Account::default();
    let mut shards = 0;
    for shard in dataset.done().filter(|shard| (from..to).contains(&shard.id.0)) {
        if let Some(stats) = shard.get(ShardFile::Stats) {
            account.add(&ShardStats::read(stats)?);
            shards += 1;
        }
    }
    Ok((account, shards))
}

fn sizes(folder: &Path) -> Result<BTreeMap<String, u64>, IngestError> {
    let dataset = DatasetFolder::scan(folder)?;
    let mut sizes = BTreeMap::new();
    for shard in dataset.done() {
        if let (Some(stats), Some(_)) = (shard.get(ShardFile::Stats), shard.get(ShardFile::Tar)) {
            sizes.insert(ShardFile::Tar.name(&shard.name), ShardStats::read(stats)?.successes);
        }
    }
    Ok(sizes)
}

fn stamps(tables: &Tables) -> Vec<InputStamp> {
    let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    tables.files().iter().map(|f| InputStamp { name: name(&f.path), bytes: f.bytes }).collect()
}

fn table_config(config: &Config) -> Result<TableConfig, IngestError> {
    let input = &config.input;
    Ok(TableConfig {
        url_list: input.url_list.clone(),
        input_format: input.input_format.as_deref().map(str::parse).transpose()?,
        url_col: input.url_col.clone(),
        caption_col: input.caption_col.clone(),
        verify_hash: input
            .verify_hash
            .as_ref()
            .map(|(column, kind)| (column.clone(), kind.as_str().to_owned())),
        save_additional_columns: input.save_additional_columns.clone(),
        headerless: input.columns.clone(),
        csv: CsvOptions { delimiter: None, quoting: input.quoting },
        infer_types: input.infer_types,
    })
}
