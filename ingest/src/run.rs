//! A whole run as a library call: open the table, make the folder ready, run the pipeline under a progress display,
//! finish the folder, and say what became of every row.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use pairmill_shards::folder::{DatasetFolder, PAIRMILL_FOLDER, SIZES_FILE, ShardFile};
use pairmill_shards::stats::ShardStats;
use pairmill_shards::status::FailureClass;
use pairmill_shards::storage::{Bucket, Location};

use crate::card::{CARD_FILE, CARD_TEXT_FILE, Card, InputHashes, RetryCard};
use crate::config::Config;
use crate::error::IngestError;
use crate::filter::{FilteredRows, Funnel, ShuffledRows, Sieve, looked_at, looked_at_by};
use crate::identity::{Input, InputStamp};
use crate::imagenet::{ImageNetConfig, ImageNetReader};
use crate::input::LocalInput;
use crate::metrics::MetricsFile;
use crate::output::{OutputFolder, reach, refuse_overlap, segments_at};
use crate::pipeline::{self, FilteredBlocks, Finished, KeptRows, RowSource, write_sizes};
use crate::progress::{Account, Counters, Display};
use crate::retry::{RetryBlocks, RetryPlan};
use crate::table::{CsvOptions, TableConfig, Tables};

/// What a run did.
#[derive(Debug, Clone)]
pub struct Report {
    /// Rows of the run's shards by what became of them, shards finished earlier included.
    pub account: Account,
    /// Finished shards of the run.
    pub shards: u64,
    /// Of these, shards that this call made.
    pub made: u64,
    /// Whether the run had been finished before, so that there was nothing to do.
    pub was_finished: bool,
    /// What the filters dropped, where there are filters and the table was read to its end.
    pub funnel: Option<Funnel>,
    /// Set where `--shards` names shards that the input does not make.
    pub beyond: Option<BeyondInput>,
    /// Whether every shard that was asked for is finished; `false` after an interruption.
    pub complete: bool,
}

/// Shards that were asked for and are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeyondInput {
    /// First shard asked for, and one past the last.
    pub asked: (u64, u64),
    /// First shard that the input makes, and one past the last.
    pub made: (u64, u64),
}

impl BeyondInput {
    /// Whether not one of them is there.
    pub fn is_all(&self) -> bool {
        self.asked.0 >= self.made.1
    }
}

impl fmt::Display for BeyondInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((from, to), (first, end)) = (self.asked, self.made);
        let shards = if end - first == 1 { "1 shard".to_owned() } else { format!("{} shards", end - first) };
        write!(f, "the input makes {shards} ({first}..{end}), and --shards asks for {from}..{to}")
    }
}

impl Report {
    /// Of a call that made nothing.
    fn empty(complete: bool) -> Self {
        let account = Account::default();
        Self { account, shards: 0, made: 0, was_finished: false, funnel: None, beyond: None, complete }
    }
}

/// What the user should know while a run begins.
#[derive(Debug, Clone, Copy)]
pub enum Note<'a> {
    /// What is done now, or a licence note.
    Info(&'a str),
    /// What may be wrong without anybody noticing.
    Warning(&'a str),
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
    /// With filters: what they drop. The table was read for it, which took so long.
    pub funnel: Option<(Funnel, Duration)>,
}

/// Looks at input and output without touching either.
///
/// # Errors
/// When the table is not usable.
pub fn plan(config: &Config) -> Result<Plan, IngestError> {
    plan_noted(config, &mut |_| {})
}

/// As [`plan`]; `note` gets what is waited for.
///
/// # Errors
/// As [`plan`].
pub fn plan_noted(config: &Config, note: &mut dyn FnMut(&str)) -> Result<Plan, IngestError> {
    config.validate()?;
    let per_shard = config.output.number_sample_per_shard;
    let done = count_done(config)?;
    if let Some(imagenet) = &config.input.imagenet {
        let (root, imagenet) = imagenet.locate(Path::new(&config.input.url_list));
        refuse_overlap(config, std::slice::from_ref(&root))?;
        let mut reader = ImageNetReader::open(&root, &imagenet)?;
        let bytes = std::fs::metadata(&root).ok().filter(|m| m.is_file()).map_or(0, |m| m.len());
        let inputs = vec![InputStamp::of_size(&root, bytes)];
        let started = Instant::now();
        while reader.skip_block(per_shard)?.is_some() {}
        let source = RowSource::ImageNet { reader: Box::new(reader), rows_per_block: per_shard };
        let funnel = source.funnel().map(|funnel| (funnel, started.elapsed()));
        let rows = funnel.map(|(funnel, _)| funnel.kept());
        return Ok(Plan { inputs, rows, shards: rows.map(|rows| rows.div_ceil(per_shard)), done, funnel });
    }
    let input = unstopped(LocalInput::fetch(config, note, &AtomicBool::new(false))?)?;
    let tables = Tables::open(&table_config(config, &input)?)?;
    refuse_overlap(config, &paths_of(&tables))?;
    let funnel = if config.is_filtered() { Some(dry_funnel(config, &tables)?) } else { None };
    let rows = funnel.map_or_else(|| tables.count_rows(), |(funnel, _)| Some(funnel.kept()));
    let one_file = tables.files().len() == 1 || funnel.is_some();
    Ok(Plan {
        inputs: tables.files().iter().map(|file| InputStamp::of_size(&file.path, file.bytes)).collect(),
        rows,
        // Without filters shards never span files, so several files end in several short shards.
        shards: rows.filter(|_| one_file).map(|rows| rows.div_ceil(per_shard)),
        done,
        funnel,
    })
}

fn paths_of(tables: &Tables) -> Vec<PathBuf> {
    tables.files().iter().map(|file| file.path.clone()).collect()
}

fn count_done(config: &Config) -> Result<u64, IngestError> {
    let folder = match config.output.location()? {
        Location::Local(folder) if !folder.is_dir() => return Ok(0),
        Location::Local(folder) => DatasetFolder::scan(&folder)?,
        Location::Bucket(url) => {
            let objects = Bucket::connect(&url, &config.storage)?.list()?;
            let names = objects.into_iter().map(|object| (object.name, false)).collect();
            DatasetFolder::of_names(Path::new(""), names)
        }
    };
    Ok(folder.done().count() as u64)
}

/// Counts the rows of `tables` through the filters.
fn dry_funnel(config: &Config, tables: &Tables) -> Result<(Funnel, Duration), IngestError> {
    let started = Instant::now();
    let mut rows = unstopped(filtered_rows(config, tables, &AtomicBool::new(false))?)?;
    while rows.next_rows()?.is_some() {}
    Ok((rows.funnel(), started.elapsed()))
}

/// The rows that a run of `config` would take, without fetching any; not for ImageNet, whose images are no table.
///
/// # Errors
/// When the table is not usable.
pub fn kept_rows(config: &Config) -> Result<FilteredRows, IngestError> {
    config.validate()?;
    let input = unstopped(LocalInput::fetch(config, &mut |_| {}, &AtomicBool::new(false))?)?;
    let tables = Tables::open(&table_config(config, &input)?)?;
    unstopped(filtered_rows(config, &tables, &AtomicBool::new(false))?)
}

/// The result of what nobody can stop.
fn unstopped<T>(result: Option<T>) -> Result<T, IngestError> {
    result.ok_or_else(|| IngestError::Internal("the count was stopped".to_owned()))
}

/// The rows of `tables` that the run takes; `None` when `stop` was set first.
pub(crate) fn filtered_rows(
    config: &Config,
    tables: &Tables,
    stop: &AtomicBool,
) -> Result<Option<FilteredRows>, IngestError> {
    FilteredRows::open(tables, || sieve(config), &config.subset, stop)
}

fn sieve(config: &Config) -> Result<Sieve, IngestError> {
    let address = config.source.name.and_then(|source| source.manners().address);
    let has_captions = config.input.caption_col.is_some();
    Ok(Sieve::new(&config.filter, address, config.pixels.image_size, has_captions)?)
}

/// Turns the table of `config` into shards. Set `stop` to end early and in order; giving the same config again goes
/// on where it ended.
///
/// # Errors
/// When input, folder or disk give out; finished shards stay.
pub fn run(config: &Config, stop: &AtomicBool) -> Result<Report, IngestError> {
    run_noted(config, stop, &mut |_| {})
}

/// As [`run`]; `note` gets what the user should know at the start, the licence note of a known source say, once input
/// and folder are accepted.
///
/// # Errors
/// As [`run`].
pub fn run_noted(
    config: &Config,
    stop: &AtomicBool,
    note: &mut dyn FnMut(Note<'_>),
) -> Result<Report, IngestError> {
    config.validate()?;
    if let Some(imagenet) = &config.input.imagenet {
        return run_imagenet(config, imagenet, stop, note);
    }
    // What is wrong with a rule is found before anything is written.
    if config.is_filtered() {
        sieve(config)?;
    }
    let info = &mut |text: &str| note(Note::Info(text));
    let Some(local) = LocalInput::fetch(config, info, stop)? else { return Ok(Report::empty(false)) };
    let Some(tables) = Tables::open_until(&table_config(config, &local)?, stop)? else {
        return Ok(Report::empty(false));
    };
    refuse_overlap(config, &paths_of(&tables))?;
    let Some(input) = Input::of_tables(config, &tables, &local.etags, info, stop)? else {
        return Ok(Report::empty(false));
    };
    if !reach(config, stop)? {
        return Ok(Report::empty(false));
    }
    let folder = OutputFolder::open(config, &input)?;
    let report = run_table(config, tables, &input, &folder, stop, note)?;
    if report.complete {
        local.finish();
    }
    Ok(report)
}

/// The run over ImageNet's images.
fn run_imagenet(
    config: &Config,
    imagenet: &ImageNetConfig,
    stop: &AtomicBool,
    note: &mut dyn FnMut(Note<'_>),
) -> Result<Report, IngestError> {
    let (root, imagenet) = imagenet.locate(Path::new(&config.input.url_list));
    let reader = ImageNetReader::open(&root, &imagenet)?;
    refuse_overlap(config, std::slice::from_ref(&root))?;
    let info = &mut |text: &str| note(Note::Info(text));
    let Some(input) = Input::of_images(&root, &imagenet, info, stop)? else {
        return Ok(Report::empty(false));
    };
    if !reach(config, stop)? {
        return Ok(Report::empty(false));
    }
    let folder = OutputFolder::open(config, &input)?;
    note_start(config, &folder, note);
    let (schema, rows_per_block) = (reader.schema(), config.output.number_sample_per_shard);
    let source = RowSource::ImageNet { reader: Box::new(reader), rows_per_block };
    let hashes = InputHashes::start(input.hashes());
    let report = drive(config, &folder, Some(&input), &schema, source, None, stop)?;
    write_card(config, &folder, &report, hashes)?;
    Ok(report)
}

fn note_start(config: &Config, folder: &OutputFolder, note: &mut dyn FnMut(Note<'_>)) {
    if let Some(source) = config.source.name {
        note(Note::Info(source.manners().licence));
    }
    if let Some(trust) = folder.on_trust() {
        note(Note::Warning(trust));
    }
    if config.input.imagenet.is_none()
        && let Some(text) = pipeline::files_note(config, folder)
    {
        note(Note::Info(&text));
    }
}

/// The run over a table, once input and folder are accepted.
fn run_table(
    config: &Config,
    tables: Tables,
    input: &Input,
    folder: &OutputFolder,
    stop: &AtomicBool,
    note: &mut dyn FnMut(Note<'_>),
) -> Result<Report, IngestError> {
    let filters = config.is_filtered();
    let total_rows = tables.count_rows();
    let per_shard = config.output.number_sample_per_shard;
    note_start(config, folder, note);
    if config.subset.rows.is_some() {
        note(Note::Info("the table is read twice: first to draw the subset, then for its rows"));
    }
    if !filters {
        let blocks = RowSource::Table(tables.blocks(per_shard));
        return drive(config, folder, Some(input), &tables.schema(), blocks, total_rows, stop);
    }
    let hashes = InputHashes::start(input.hashes());
    let Some(rows) = filtered_rows(config, &tables, stop)? else { return Ok(Report::empty(false)) };
    let total_rows = rows.count_rows();
    let schema = tables.kept_schema();
    let rows = if config.subset.shuffle {
        let input_bytes = tables.files().iter().map(|file| file.bytes).sum();
        let (seed, path) = (config.subset.seed, folder.path());
        match ShuffledRows::deal(rows, schema.clone(), seed, input_bytes, path, stop)? {
            Some(rows) => KeptRows::Shuffled(Box::new(rows)),
            None => return Ok(Report::empty(false)),
        }
    } else {
        KeptRows::InOrder(Box::new(rows))
    };
    let blocks = RowSource::Filtered(Box::new(FilteredBlocks::new(rows, schema.clone(), per_shard)));
    let report = drive(config, folder, Some(input), &schema, blocks, total_rows, stop)?;
    write_card(config, folder, &report, hashes)?;
    Ok(report)
}

/// The card of a run that is whole.
fn write_card(
    config: &Config,
    folder: &OutputFolder,
    report: &Report,
    hashes: InputHashes,
) -> Result<(), IngestError> {
    match &report.funnel {
        Some(funnel) if report.complete && config.runtime.shards.is_none() => {
            let hashes = hashes.join()?;
            Card::new(config, folder.segment(), &hashes, funnel, &report.account).write(folder.path())?;
            publish_card(folder)
        }
        _ => Ok(()),
    }
}

fn publish_card(folder: &OutputFolder) -> Result<(), IngestError> {
    folder.publish(CARD_TEXT_FILE)?;
    folder.publish(&format!("{PAIRMILL_FOLDER}/{CARD_FILE}"))
}

/// What `retry` would fetch again in the finished folder of `config`.
///
/// # Errors
/// When the folder is no finished run of ours.
pub fn plan_retry(config: &Config, classes: &[FailureClass]) -> Result<RetryPlan, IngestError> {
    config.validate()?;
    let shown = &config.output.output_folder;
    match config.output.location()? {
        Location::Local(folder) => RetryPlan::scan(&folder, shown, classes),
        Location::Bucket(_) => OutputFolder::look_at(config, |path| RetryPlan::scan(path, shown, classes)),
    }
}

/// The config that the first run in `folder` was resolved to.
///
/// # Errors
/// When no run of ours began the folder.
pub fn config_of(folder: &Path) -> Result<Config, IngestError> {
    let first = segments_at(folder)?.into_iter().next();
    let (segment, _) = first.ok_or_else(|| IngestError::NoRun { folder: folder.to_owned() })?;
    let mut config = segment.config;
    config.output.output_folder = folder.to_owned();
    Ok(config)
}

/// Fetches the rows of `classes` in the finished folder of `config` again, into new shards behind the others. Without
/// such rows, the account of the report is empty.
///
/// # Errors
/// As [`run`].
pub fn retry(config: &Config, classes: &[FailureClass], stop: &AtomicBool) -> Result<Report, IngestError> {
    config.validate()?;
    let shown = &config.output.output_folder;
    if !reach(config, stop)? {
        return Ok(Report::empty(false));
    }
    let opened = OutputFolder::open_retry(config, classes, |path| {
        let plan = RetryPlan::scan(path, shown, classes)?;
        Ok((plan.rows > 0).then_some(plan))
    })?;
    let Some((folder, plan)) = opened else {
        return Ok(Report::empty(true));
    };
    let (schema, rows) = (plan.schema.clone(), plan.rows);
    let blocks = RetryBlocks::new(plan, config.output.number_sample_per_shard);
    let report = drive(config, &folder, None, &schema, RowSource::Retry(blocks), Some(rows), stop)?;
    if report.complete && RetryCard::new(folder.segment(), &report.account).write(folder.path())? {
        publish_card(&folder)?;
    }
    Ok(report)
}

/// Makes the shards of `source`. `input` is what its rows come from, unless that is the folder itself.
fn drive(
    config: &Config,
    folder: &OutputFolder,
    input: Option<&Input>,
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
    let made = counters.snapshot(0.0, None).shards;
    if let Some(input) = input.filter(|_| made > 0) {
        input.check_unchanged()?;
    }
    let first = folder.segment().first_shard;
    let dataset = folder.dataset()?;
    let (mut account, shards) = account(&dataset, first, config.runtime.shards)?;
    account.oddities = finished.oddities;
    if finished.complete && config.runtime.shards.is_none() {
        write_sizes(folder.path(), &sizes(&dataset)?)?;
        folder.publish(SIZES_FILE)?;
        folder.finish(finished.shards)?;
    }
    let was_finished = made == 0 && (folder.was_finished() || config.runtime.shards.is_some());
    let made_of_input = (first, first + finished.shards);
    let beyond = config.runtime.shards.filter(|(_, to)| finished.ended && *to > made_of_input.1);
    let beyond = beyond.map(|asked| BeyondInput { asked, made: made_of_input });
    let Finished { funnel, complete, .. } = finished;
    Ok(Report { account, shards, made, was_finished: was_finished && complete, funnel, beyond, complete })
}

/// Sums the stats of the finished shards from `first` on.
fn account(
    dataset: &DatasetFolder,
    first: u64,
    range: Option<(u64, u64)>,
) -> Result<(Account, u64), IngestError> {
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

fn sizes(dataset: &DatasetFolder) -> Result<BTreeMap<String, u64>, IngestError> {
    let mut sizes = BTreeMap::new();
    for shard in dataset.done() {
        if let (Some(stats), Some(_)) = (shard.get(ShardFile::Stats), shard.get(ShardFile::Tar)) {
            sizes.insert(ShardFile::Tar.name(&shard.name), ShardStats::read(stats)?.successes);
        }
    }
    Ok(sizes)
}

pub(crate) fn table_config(config: &Config, local: &LocalInput) -> Result<TableConfig, IngestError> {
    let input = &config.input;
    let mut table = TableConfig {
        url_list: local.url_list.clone(),
        input_format: input.input_format.as_deref().map(str::parse).transpose()?,
        url_col: input.url_col.clone(),
        caption_col: input.caption_col.clone(),
        verify_hash: input
            .verify_hash
            .as_ref()
            .map(|(column, kind)| (column.clone(), kind.as_str().to_owned())),
        save_additional_columns: input.save_additional_columns.clone(),
        headerless: input.columns.clone(),
        header_optional: input.header_optional,
        records_at: input.records_at.clone(),
        yfcc: input.yfcc.clone().unwrap_or_default(),
        looked_at: if config.is_filtered() {
            let manners = config.source.name.map(|source| source.manners());
            let has_address_rule = manners.as_ref().is_some_and(|manners| manners.address.is_some());
            looked_at(&config.filter, manners.as_ref().map(|manners| &manners.filter), has_address_rule)
        } else {
            Vec::new()
        },
        csv: CsvOptions { delimiter: None, quoting: input.quoting },
        infer_types: input.infer_types,
    };
    if let Some(expression) = &config.filter.predicate {
        let names = Tables::column_names(&table)?;
        table.looked_at.extend(looked_at_by(expression, &names)?);
    }
    Ok(table)
}
