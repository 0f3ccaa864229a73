//! What the user types.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use pairmill_world::{
    ClientPolicy, DEFAULT_MAX_CACHE_BYTES, Dataset, FaultMix, Form, Release, Shift, SizeClass, Source, Split,
    TableFormat, Task, WorldConfig,
};

/// The miniature web: pictures, captions, URL tables and a faulty server, all from one seed.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  Serve the web of seed 1 on a free port, its address in a file:
    pairmill-world serve --seed 1 --port-file port.txt
  A LAION table of 5,000 rows, a fifth of them faulty, and the account it must end in:
    pairmill-world table --source laion --rows 5000 --base-url http://127.0.0.1:8000 \\
        --faults 0.2 --expect expected.json --out laion.parquet
  A million small pictures that cost the server next to nothing (serve and table take the same three flags):
    pairmill-world serve --size small --distinct 4096 --port 8000
  Serve a folder of real JPEGs from memory, under /files/<name>:
    pairmill-world serve --root photos
  Look at one picture and its caption:
    pairmill-world picture --source redcaps --index 7 --out p.jpg";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the world until interrupted.
    Serve(ServeArgs),
    /// Write a URL table in the source's true file format.
    Table(TableArgs),
    /// Write a source as its authors release it, with its quirks and the number of rows of each.
    Release(ReleaseArgs),
    /// Write one picture; print its caption and ground truth as JSON.
    Picture(PictureArgs),
    /// Write a labelled set, one folder per class or one labelled tar.
    Task(TaskArgs),
    /// Write a labelled dataset as its authors release it, with its quirks and the truth about every picture.
    Dataset(DatasetArgs),
    /// List every fault with the outcome it must have and its path.
    Faults(FaultsArgs),
}

/// What fixes the world; the same for the server and the tables.
#[derive(Debug, Clone, Args)]
pub struct WorldArgs {
    /// One seed, one web.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Size of the pictures: web (mostly 200–700 px) or small (64–96 px).
    #[arg(long, default_value_t = SizeClass::Web, value_parser = SizeClass::from_str)]
    pub size: SizeClass,
    /// Let the pictures repeat after this many [default: never].
    #[arg(long)]
    pub distinct: Option<u64>,
}

impl WorldArgs {
    pub fn config(&self) -> WorldConfig {
        WorldConfig { seed: self.seed, sizes: self.size, distinct: self.distinct }
    }
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub world: WorldArgs,
    /// TCP port on the loopback; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Write the port to this file once the server listens.
    #[arg(long)]
    pub port_file: Option<PathBuf>,
    /// Serve this folder's files from memory under /files/<name>; /files.txt lists their URLs.
    #[arg(long)]
    pub root: Option<PathBuf>,
    /// Delay before every answer, milliseconds.
    #[arg(long, default_value_t = 0)]
    pub latency_ms: u64,
    /// Hosts: 127.0.0.1, 127.0.0.2, … on the same port.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=250))]
    pub hosts: u8,
    /// Make this host (2 is 127.0.0.2) answer after a second; may be repeated.
    #[arg(long)]
    pub slow_host: Vec<u8>,
    /// Make this host reset every connection; may be repeated.
    #[arg(long)]
    pub down_host: Vec<u8>,
    /// Make this host answer everything with 503; may be repeated.
    #[arg(long)]
    pub unavailable_host: Vec<u8>,
    /// Memory for pictures, MiB.
    #[arg(long, default_value_t = DEFAULT_MAX_CACHE_BYTES >> 20)]
    pub cache_mb: usize,
    /// Serving threads.
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
}

#[derive(Debug, Args)]
pub struct TableArgs {
    #[command(flatten)]
    pub world: WorldArgs,
    /// Source: laion, redcaps, cc3m, cc12m, wit, yfcc or shutterstock.
    #[arg(long, value_parser = Source::from_str)]
    pub source: Source,
    /// Number of rows.
    #[arg(long)]
    pub rows: u64,
    /// Index of the first row.
    #[arg(long, default_value_t = 0)]
    pub first: u64,
    /// Address of the running world; repeat it to spread rows over its hosts.
    #[arg(long, required = true)]
    pub base_url: Vec<String>,
    /// Share of rows with a fault, 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    pub faults: f64,
    /// Which faults: web (as frequent as there), every (each in turn) or quick (each in turn, none that waits).
    #[arg(long, default_value_t = FaultMix::Web, value_parser = FaultMix::from_str)]
    pub mix: FaultMix,
    /// Where the table goes; .gz or .zst compresses it.
    #[arg(long)]
    pub out: PathBuf,
    /// File format [default: the source's own, or the one the name ends in].
    #[arg(long, value_parser = TableFormat::from_str)]
    pub format: Option<TableFormat>,
    /// Write the account the table must end in to this JSON file.
    #[arg(long)]
    pub expect: Option<PathBuf>,
    #[command(flatten)]
    pub policy: PolicyArgs,
}

/// The client whose account is foretold.
#[derive(Debug, Clone, Args)]
pub struct PolicyArgs {
    /// Retries of the client whose outcomes are foretold.
    #[arg(long, default_value_t = 0)]
    pub retries: u32,
    /// That client keeps images that end early.
    #[arg(long)]
    pub keep_truncated: bool,
}

impl PolicyArgs {
    pub fn policy(&self) -> ClientPolicy {
        ClientPolicy { retries: self.retries, keep_truncated: self.keep_truncated, ..ClientPolicy::default() }
    }
}

#[derive(Debug, Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    pub world: WorldArgs,
    /// Which release; a wrong word lists them all.
    #[arg(long, value_parser = Release::from_str)]
    pub source: Release,
    /// Number of rows; of images for ImageNet.
    #[arg(long)]
    pub rows: u64,
    /// Address of the running world.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    pub base_url: String,
    /// Folder to write; expected.json and truth.jsonl in it hold the truth.
    #[arg(long)]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct PictureArgs {
    #[command(flatten)]
    pub world: WorldArgs,
    /// Source.
    #[arg(long, value_parser = Source::from_str)]
    pub source: Source,
    /// Which picture.
    #[arg(long)]
    pub index: u64,
    /// Where the picture goes, in the format the source has it in.
    #[arg(long)]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct TaskArgs {
    #[command(flatten)]
    pub world: WorldArgs,
    /// Task: shapes, textures, colours, counts or backdrops.
    #[arg(long, value_parser = Task::from_str)]
    pub task: Task,
    /// Half: train or test.
    #[arg(long, default_value_t = Split::Train, value_parser = Split::from_str)]
    pub split: Split,
    /// Shift: none, sketch, cluttered, coarse, noisy, dark or turned.
    #[arg(long, default_value_t = Shift::None, value_parser = Shift::from_str)]
    pub shift: Shift,
    /// Pictures of each class.
    #[arg(long, default_value_t = 50)]
    pub per_class: u64,
    /// Folder to write; one sub-folder per class.
    #[arg(long)]
    pub out: PathBuf,
    /// One labelled tar and a task file for pairmill-train instead of sub-folders.
    #[arg(long)]
    pub shard: bool,
}

#[derive(Debug, Args)]
pub struct DatasetArgs {
    #[command(flatten)]
    pub world: WorldArgs,
    /// Which dataset; a wrong word lists them all.
    #[arg(long, value_parser = Dataset::from_str)]
    pub dataset: Dataset,
    /// Pictures of each class in each part, or in all where there are no parts.
    #[arg(long, default_value_t = 4)]
    pub per_class: usize,
    /// Classes [default: as many as the real one has].
    #[arg(long)]
    pub classes: Option<usize>,
    /// archive, as distributed, or folder, unpacked.
    #[arg(long, default_value_t = Form::Archive, value_parser = Form::from_str)]
    pub form: Form,
    /// The real set's counts in place of --per-class, with one picture for all.
    #[arg(long)]
    pub real_size: bool,
    /// Folder to write; truth.json in it holds the truth.
    #[arg(long)]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct FaultsArgs {
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Address to put before the paths.
    #[arg(long, default_value = "")]
    pub base_url: String,
}
