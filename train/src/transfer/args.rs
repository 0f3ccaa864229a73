//! What the user types for `transfer` and `sweep`, and how it becomes a [`SweepConfig`].

use std::path::PathBuf;

use clap::Args;
use pairmill_shards::results::{Protocol, Shots};

use super::config::{Method, Preset, SourceConfig};
use super::sweep::config::{DEFAULT_MAX_UNREADABLE, SweepConfig, TaskConfig, Templates, TransformChoice};
use super::sweep::plan::Part;
use crate::config::DeviceName;
use crate::error::TrainError;
use pairmill_datasets::{Counts, DatasetConfig, DatasetKind};

/// Examples of `transfer`.
pub const TRANSFER_EXAMPLES: &str = "\
Examples:
  pairmill-train transfer runs/cc3m --task pets --data data/pets --shots 1,5,full --out results/pets
  pairmill-train transfer vit.pt --model ViT-B-32-quickgelu --task folder --data photos --method zero-shot --out out
  pairmill-train transfer --scratch RN50 --task dtd --data dtd-r1.0.1.tar.gz --shots full --out results/scratch
  pairmill-train transfer runs/cc3m --task pets --data data/pets --out results/pets   # again: goes on where it stopped";

/// Examples of `sweep`.
pub const SWEEP_EXAMPLES: &str = "\
Examples:
  pairmill-train sweep study.toml --out results --dry-run      # what would be run, and how long it will take
  pairmill-train sweep study.toml --out results                # again: goes on where it stopped
  pairmill-train sweep study.toml --out results --part 2/8     # one of eight processes that share nothing but the folder
  pairmill-train sweep study.toml --out results --part $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT   # --array=1-8

A sweep file lists sources and tasks; everything else has a default:
  shots = [1, 5, \"full\"]
  [tune]
  lr = [1e-4, 3e-4]
  [[source]]
  name = \"CC3m\"
  checkpoint = \"runs/cc3m\"
  [[task]]
  kind = \"pets\"
  root = \"data/pets\"";

/// Flags of `transfer`: one tower, one task.
#[derive(Debug, Args)]
#[command(after_help = TRANSFER_EXAMPLES)]
pub struct TransferArgs {
    /// The pretrained model: a run's folder, a checkpoint, or weights (.pt, .safetensors; give --model)
    #[arg(value_name = "CHECKPOINT", required_unless_present = "scratch")]
    pub checkpoint: Option<PathBuf>,
    /// Fresh weights of this architecture instead of a checkpoint
    #[arg(long, value_name = "MODEL", conflicts_with = "checkpoint")]
    pub scratch: Option<String>,
    /// Architecture of plain weights, such as RN50-quickgelu, or a file
    #[arg(long)]
    pub model: Option<String>,
    /// Name of the source in the tables; that of the checkpoint's folder without
    #[arg(long)]
    pub name: Option<String>,
    /// The dataset: a name from `pairmill-train datasets list`, or folder, csv, shards
    #[arg(long, value_name = "DATASET")]
    pub task: DatasetKind,
    /// Where it lies: its folder, or an archive as it is distributed
    #[arg(long, value_name = "PATH")]
    pub data: PathBuf,
    /// Take part of a dataset for what it is instead of refusing other counts than a whole copy's
    #[arg(long)]
    pub partial: bool,
    /// Training images a class: numbers and `full`, with commas
    #[arg(long, value_delimiter = ',', value_name = "K")]
    pub shots: Vec<Shots>,
    /// zero-shot, linear-probe, fine-tune, lp-ft; with commas
    #[arg(long = "method", value_delimiter = ',', default_value = "fine-tune")]
    pub methods: Vec<Method>,
    /// Learning rates to choose from, with commas
    #[arg(long, value_delimiter = ',')]
    pub lr: Vec<f64>,
    /// Passes over the training images
    #[arg(long)]
    pub epochs: Option<u32>,
    /// Images a step
    #[arg(long)]
    pub batch_size: Option<u32>,
    /// Number of draws and runs behind each mean
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// Prompts with {} for the class name, one a line; `./justw prompts` writes the 80 of ImageNet
    #[arg(long, value_name = "FILE")]
    pub templates: Option<PathBuf>,
    /// corrected, or as-published with the defects of the study's code
    #[arg(long, default_value = "corrected")]
    pub protocol: Protocol,
    /// Also test mixtures with the model before fine-tuning (WiSE-FT): shares of the tuned one, 0–1, with commas
    #[arg(long, value_delimiter = ',', value_name = "ALPHA")]
    pub alphas: Vec<f64>,
    /// Crops in training and the part of an image that is tested on: timm, clip or plain [default: timm for fine-tuning,
    /// clip for zero-shot and probes]. With one preset for all methods their values are of the same view
    #[arg(long)]
    pub preset: Option<Preset>,
    /// Largest share of the images that may fail to decode; they are left out and counted
    #[arg(long, default_value_t = DEFAULT_MAX_UNREADABLE, value_name = "SHARE")]
    pub max_unreadable: f64,
    /// Where, and whether at all.
    #[command(flatten)]
    pub running: RunningArgs,
}

/// Flags of `sweep`: a grid from a file.
#[derive(Debug, Args)]
#[command(after_help = SWEEP_EXAMPLES)]
pub struct SweepArgs {
    /// The grid
    #[arg(value_name = "TOML")]
    pub grid: PathBuf,
    /// Do one part of N, such as 2/8; the others are done by other processes, in any order
    #[arg(long, value_name = "I/N")]
    pub part: Option<Part>,
    /// Where, and whether at all.
    #[command(flatten)]
    pub running: RunningArgs,
}

/// What both have in common.
#[derive(Debug, Args)]
pub struct RunningArgs {
    /// Folder of the results; runs that are in it are not done again
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    /// Where to compute
    #[arg(long)]
    pub device: Option<DeviceName>,
    /// Cores; 0 for all
    #[arg(long)]
    pub threads: Option<usize>,
    /// Say what would be run and how long it will take, and end
    #[arg(long)]
    pub dry_run: bool,
    /// Only errors and the table
    #[arg(long, short)]
    pub quiet: bool,
}

impl RunningArgs {
    fn lay_over(&self, config: &mut SweepConfig) {
        if let Some(device) = self.device {
            config.runtime.device = device;
        }
        if let Some(threads) = self.threads {
            config.runtime.threads = threads;
        }
    }
}

impl SweepArgs {
    /// The file with the flags laid over it.
    ///
    /// # Errors
    /// When the file cannot be read or a setting is wrong.
    pub fn resolve(&self) -> Result<SweepConfig, TrainError> {
        let mut config = SweepConfig::read(&self.grid)?;
        self.running.lay_over(&mut config);
        Ok(config)
    }
}

impl TransferArgs {
    /// The grid that the flags span.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn resolve(&self) -> Result<SweepConfig, TrainError> {
        let name = match (&self.name, &self.checkpoint) {
            (Some(name), _) => name.clone(),
            (None, None) => "Scratch".to_owned(),
            (None, Some(path)) => {
                path.file_stem().map_or_else(|| "source".into(), |stem| stem.to_string_lossy().into_owned())
            }
        };
        let mut config = SweepConfig {
            protocol: self.protocol,
            methods: self.methods.clone(),
            seeds: (0..self.seeds).collect(),
            templates: self.templates.clone().map(Templates::File),
            alphas: self.alphas.clone(),
            max_unreadable: self.max_unreadable,
            transform: TransformChoice { preset: self.preset, statistics: None },
            source: vec![SourceConfig {
                name,
                checkpoint: self.checkpoint.clone(),
                model: self.model.clone().or_else(|| self.scratch.clone()),
                loss: "CLIP".to_owned(),
                epochs: None,
                lr: None,
                batch_size: None,
                weight_decay: None,
            }],
            ..SweepConfig::default()
        };
        let counts = if self.partial { Counts::Reported } else { Counts::Asserted };
        config.task.push(TaskConfig::new(DatasetConfig::new(self.task, &self.data).with_counts(counts)));
        if !self.shots.is_empty() {
            config.shots.clone_from(&self.shots);
        }
        if !self.lr.is_empty() {
            config.tune.lr.clone_from(&self.lr);
        }
        if let Some(epochs) = self.epochs {
            config.tune.epochs = vec![epochs];
        }
        if let Some(batch_size) = self.batch_size {
            config.tune.batch_size = vec![batch_size];
        }
        self.running.lay_over(&mut config);
        config.check()?;
        Ok(config)
    }
}
