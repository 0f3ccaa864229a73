//! The main job: rows → fetch → transform → assemble → commit, over bounded queues.
//!
//! This is the only module that knows all stages. Each runs on its own threads and ends when the queue before it
//! closes, so closing the first one drains the whole line, and an error at the end stops it from behind:
//!
//! ```text
//! feed ─requests→ fetch (tokio) ─fetched→ transform ×N ─processed→ assemble ─complete→ commit
//! └────────── rows with bytes ──────┘
//! ```
//!
//! Rows finish in any order; [`mod@assemble`] puts them back in the order of the input, so the same responses give the
//! same bytes. Memory is bounded by the window of open rows, the queue lengths, the reorder budget and the
//! fetcher's body limits, whatever the input is.

mod assemble;
mod commit;
mod feed;
mod rows;
mod shard;
mod spill;
mod transform;
mod write;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use arrow::datatypes::SchemaRef;
use crossbeam_channel::{Receiver, Sender, bounded};
use pairmill_shards::table::{SidecarOptions, SidecarSchema};

use self::assemble::{Assembly, ReorderBudget};
use self::commit::CommitStage;
use self::feed::{Fed, FeedStage, Onward};
pub use self::rows::{Block, FilteredBlocks, KeptRows, RowSource};
use self::shard::OpenShards;
use self::transform::{Processed, TransformStage};
use self::write::WriteStage;
pub use self::write::write_sizes;
use crate::config::{Config, OutputFormat};
use crate::error::IngestError;
use crate::fetch::{self, OpenFiles, Shares};
use crate::filter::Funnel;
use crate::output::OutputFolder;
use crate::progress::Counters;
use crate::table::Oddities;

/// Bodies that may wait for a worker, and results that may wait for the writer.
const QUEUE_PER_WORKER: usize = 8;
/// Requests that may wait for the fetcher, which keeps its own queues per host.
const REQUEST_QUEUE: usize = 1024;

/// Files of a shard that is being made: its images, its sidecar, and the rows that came early.
const FILES_PER_SHARD: u64 = 3;
/// Shards that are whole and not yet in place: one in the writer's hand, one waiting, one being renamed.
const WHOLE_SHARDS: u64 = 3;
/// Files and connections of one upload to a bucket, with its share of what the client keeps open.
const FILES_PER_UPLOAD: u64 = 4;

/// How late a stop is seen at most.
const POLL: std::time::Duration = std::time::Duration::from_millis(20);

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Shards of the segment, finished ones included; final only when `complete`.
    pub shards: u64,
    /// Whether the rows were read to their end, so that `shards` are all there are.
    pub ended: bool,
    /// Whether every shard that was asked for is written.
    pub complete: bool,
    /// Flaws met in the rows that were read.
    pub oddities: Oddities,
    /// What the filters dropped, where there are filters and the table was read to its end.
    pub funnel: Option<Funnel>,
}

/// Makes every unfinished shard of `source` in `folder`. `schema` is the reader's. Returns when all is on disk, when
/// `stop` is set (shards whose rows are all in are still written, the others discarded), or at the first error.
///
/// # Errors
/// When the table, the disk or a codec gives out; finished shards stay.
pub fn run(
    config: &Config,
    folder: &OutputFolder,
    schema: &SchemaRef,
    source: RowSource,
    counters: &Arc<Counters>,
    stop: &AtomicBool,
) -> Result<Finished, IngestError> {
    let layout = config.output.layout().map_err(crate::config::ConfigError::from)?;
    let write_stage = write_stage(config, folder, schema, layout)?;
    let transform_stage = TransformStage {
        pixels: config.pixels.clone(),
        hash: config.output.compute_hash,
        verify_column: config.input.verify_hash.as_ref().map(|(_, kind)| kind.as_str().to_owned()),
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let workers = if config.runtime.workers == 0 { cores } else { config.runtime.workers };
    let fetch_threads =
        if config.runtime.fetch_threads == 0 { cores.div_ceil(4) } else { config.runtime.fetch_threads };
    let files = share_files(config, folder);
    let open = OpenShards::new(config.runtime.window_rows, most_open_shards(files));

    let (requests, to_fetch) = bounded(REQUEST_QUEUE);
    let (to_transform, fetched) = bounded(workers * QUEUE_PER_WORKER);
    let (to_assemble, processed) = bounded(workers * QUEUE_PER_WORKER);
    let (to_commit, complete) = bounded::<Assembly>(1);
    let onward = Onward { requests, bodies: to_transform.clone() };
    let fetcher = fetch::start_within(
        config.fetch.clone(),
        files.sockets,
        to_fetch,
        to_transform,
        counters.fetch().clone(),
        fetch_threads,
    )?;

    // Set by a stop from outside and by any stage that gives out, so that nobody waits for it for ever.
    let halt = AtomicBool::new(false);
    let max_bytes = config.fetch.max_bytes;
    let feed_stage = FeedStage { folder, layout, shards: config.runtime.shards, stop: &halt, max_bytes };
    let (open, write_stage, transform_stage) = (&open, &write_stage, &transform_stage);
    let (fed, committed) = thread::scope(|scope| {
        // Without one of its threads the line does not run; those that did start find their queues closed.
        let stop_all = |_: &IngestError| {
            halt.store(true, Ordering::Relaxed);
            fetcher.cancel();
        };
        let feeder = spawn(scope, move || feed_stage.feed(source, open, counters, onward));
        let feeder = feeder.inspect_err(stop_all)?;
        let mut transformers = Vec::with_capacity(workers);
        for _ in 0..workers {
            let (fetched, to_assemble) = (fetched.clone(), to_assemble.clone());
            match spawn(scope, move || transform_stage.work(open, counters, &fetched, &to_assemble)) {
                Ok(transformer) => transformers.push(transformer),
                // Fewer take longer.
                Err(_) if !transformers.is_empty() => break,
                Err(error) => return Err(error).inspect_err(stop_all),
            }
        }
        drop((fetched, to_assemble));
        let assembler = spawn(scope, move || {
            assemble(&processed, &to_commit, write_stage, open, config.runtime.reorder_bytes, counters)
        });
        let assembler = assembler.inspect_err(stop_all)?;
        let commit_stage = CommitStage { folder, uploads: config.runtime.uploads };
        let committer = spawn(scope, move || {
            commit_stage.commit(complete, counters)?;
            Ok(open.is_empty())
        });
        let committer = committer.inspect_err(stop_all)?;

        // A stage that ends before the one ahead of it has given out; the stop flag can only be polled.
        while !feeder.is_finished() || !committer.is_finished() {
            let gave_out = assembler.is_finished() || committer.is_finished();
            if stop.load(Ordering::Relaxed) || gave_out || transformers.iter().any(|t| t.is_finished()) {
                halt.store(true, Ordering::Relaxed);
                fetcher.cancel();
                break;
            }
            thread::sleep(POLL);
        }
        let committed = join(committer).and_then(|committed| committed);
        let assembled = join(assembler).and_then(|assembled| assembled);
        let worked = transformers
            .into_iter()
            .map(|t| join(t).and_then(|worked| worked))
            .collect::<Result<Vec<()>, _>>();
        let fed = join(feeder).and_then(|fed| fed);
        // The first cause in flow order from the back: a full disk explains everything before it.
        Ok::<_, IngestError>((
            fed,
            committed.and_then(|n| assembled.map(|()| n)).and_then(|n| worked.map(|_| n)),
        ))
    })?;
    fetcher.join()?;
    let all_in = committed?;
    let Fed { shards, complete, oddities, funnel } = fed?;
    let stopped = stop.load(Ordering::Relaxed);
    Ok(Finished {
        shards,
        oddities,
        ended: complete,
        funnel: funnel.filter(|_| complete),
        complete: !stopped && (complete || config.runtime.shards.is_some()) && all_in,
    })
}

/// How many files shards and connections may have open.
fn share_files(config: &Config, folder: &OutputFolder) -> Shares {
    let window = config.runtime.window_rows.div_ceil(config.output.number_sample_per_shard.max(1));
    let shards = window.saturating_add(1 + WHOLE_SHARDS).saturating_mul(FILES_PER_SHARD);
    let uploads = if folder.is_staged() { config.runtime.uploads as u64 * FILES_PER_UPLOAD } else { 0 };
    OpenFiles::raise().share(shards.saturating_add(uploads), config.fetch.concurrency)
}

fn most_open_shards(files: Shares) -> u64 {
    (files.shard_files / FILES_PER_SHARD).saturating_sub(WHOLE_SHARDS).max(1)
}

/// What a run of `config` does without, because this process may not open more files; `None` when it has all it wants.
pub fn files_note(config: &Config, folder: &OutputFolder) -> Option<String> {
    let rows = share_files(config, folder).sockets.concurrency;
    (rows < config.fetch.concurrency).then(|| {
        format!(
            "only {rows} rows are fetched at a time instead of {}, because this process may open few files; \
             raise the limit (ulimit -n 4096) to go faster",
            config.fetch.concurrency
        )
    })
}

fn write_stage(
    config: &Config,
    folder: &OutputFolder,
    schema: &SchemaRef,
    layout: pairmill_shards::key::KeyLayout,
) -> Result<WriteStage, IngestError> {
    let image_ext = config.pixels.encode_format.as_str();
    let options = SidecarOptions {
        exif: config.pixels.extract_exif,
        hash: config.output.compute_hash,
        image: (config.output.output_format == OutputFormat::Parquet).then(|| image_ext.to_owned()),
        image_as_struct: config.output.image_as_struct,
        retry: !folder.segment().retry_of_classes.is_empty(),
        whole_final_url: config.fetch.whole_final_url,
    };
    Ok(WriteStage {
        folder: folder.path().to_owned(),
        format: config.output.output_format,
        schema: SidecarSchema::new(schema.fields(), options)?,
        image_ext,
        captions: schema.column_with_name("caption").is_some(),
        labels: config.input.imagenet.is_some(),
        layout,
        indexes: config.output.indexes,
    })
}

/// Sorts results into their shards and hands on each that is whole.
fn assemble(
    processed: &Receiver<Processed>,
    complete: &Sender<Assembly>,
    stage: &WriteStage,
    open: &OpenShards,
    reorder_bytes: u64,
    counters: &Counters,
) -> Result<(), IngestError> {
    let mut budget = ReorderBudget::new(reorder_bytes);
    let mut assemblies: HashMap<u32, Assembly> = HashMap::new();
    for row in processed {
        let slot = row.shard.slot;
        let assembly = match assemblies.entry(slot) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(Assembly::open(row.shard.clone(), stage)?)
            }
        };
        counters.row_done(&row.outcome.result);
        assembly.accept(row, &mut budget, &stage.folder)?;
        if assembly.is_complete()
            && let Some(whole) = assemblies.remove(&slot)
        {
            // Let the next shard in now: committing needs no window.
            open.close(slot);
            if complete.send(whole).is_err() {
                break;
            }
        }
    }
    Ok(())
}

/// Starts a thread of the line.
fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<thread::ScopedJoinHandle<'scope, T>, IngestError> {
    thread::Builder::new().spawn_scoped(scope, work).map_err(IngestError::Thread)
}

fn join<T>(handle: thread::ScopedJoinHandle<'_, T>) -> Result<T, IngestError> {
    handle.join().map_err(|_| IngestError::Internal("a stage of the pipeline ended by itself".to_owned()))
}
