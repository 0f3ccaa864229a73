//! What the user types, and how it becomes layers of a [`TrainConfig`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use pairmill_tokens::Truncation;
use toml::{Table, Value};

use crate::config::{ConfigError, DeviceName, TrainConfig};
use crate::datasets::DatasetsArgs;
use crate::optim::Precision;
use crate::transfer::args::{SweepArgs, TransferArgs};

/// CLIP from shards.
#[derive(Debug, Parser)]
#[command(
    name = "pairmill-train",
    version,
    about = "Train CLIP on image-text shards, evaluate it, move its weights",
    after_help = EXAMPLES
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  pairmill-train run clip-rn50 --data 'laion/{00000..00269}.tar' --out runs/laion
  pairmill-train run clip-rn50 --data laion --out runs/laion        # again: goes on where it stopped
  torchrun --nproc-per-node 8 --no-python pairmill-train run clip-rn50 --data laion --out runs/laion
  pairmill-train evaluate runs/laion --zero-shot shapes.toml
  pairmill-train transfer runs/laion --task pets --data data/pets --out results/pets
  pairmill-train export runs/laion laion-rn50.safetensors           # open_clip loads it
  pairmill-train tokenize < captions.txt > ids.txt";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train, or go on with what is in --out
    Run(Box<RunArgs>),
    /// Evaluate a checkpoint: zero-shot tasks, retrieval and loss on held-out shards
    Evaluate(EvaluateArgs),
    /// Bring a checkpoint to a labelled dataset: zero-shot, linear probe, fine-tuning, at few shots or all images
    Transfer(Box<TransferArgs>),
    /// A grid of transfers from a file: sources, tasks, shots, rates, seeds
    Sweep(SweepArgs),
    /// Write a checkpoint's weights as open_clip reads them
    Export(ExportArgs),
    /// Turn weights of open_clip or OpenAI (.pt, .safetensors) into weights that --init-from takes
    Import(ImportArgs),
    /// The loss of a run as a curve: on the terminal, and as SVG
    Curve(CurveArgs),
    /// Captions on standard input, one a line, to rows of 77 token ids on standard output
    Tokenize(TokenizeArgs),
    /// Labelled datasets: list them, check a copy, fetch one
    Datasets(DatasetsArgs),
    /// List the recipes and architectures that come with the program
    List,
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Flags of `run`. Each is a setting of the config and wins over recipe and file.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Recipe to begin with: a name from `pairmill-train list`, or a TOML file
    pub recipe: String,
    /// Shards to train on: folders, globs, patterns; repeat it to mix sources by size
    #[arg(long, value_name = "SHARDS")]
    pub data: Vec<String>,
    /// Folder of the run: checkpoints, logs, resolved config
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    /// Settings laid over the recipe
    #[arg(long, value_name = "TOML")]
    pub config: Option<PathBuf>,
    /// One setting, such as `--set optim.warmup='"1 epochs"'`; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Architecture, such as RN50 or ViT-B-32, or a file
    #[arg(long)]
    pub model: Option<String>,
    /// Weights to start from
    #[arg(long, value_name = "CHECKPOINT")]
    pub init_from: Option<PathBuf>,
    /// Samples per step, over all ranks
    #[arg(long)]
    pub batch_size: Option<u32>,
    /// Length: steps, or "16 epochs", "50M samples"
    #[arg(long)]
    pub duration: Option<String>,
    /// Largest learning rate
    #[arg(long)]
    pub lr: Option<f64>,
    /// fp32, amp_bf16 or amp_fp16
    #[arg(long)]
    pub precision: Option<String>,
    /// Seed of weights, order and crops
    #[arg(long)]
    pub seed: Option<u64>,
    /// Leave out up to N batches of the run whose loss or gradients are not finite; one more ends it
    #[arg(long, value_name = "N")]
    pub skip_bad_batches: Option<u32>,
    /// Held-out shards with captions
    #[arg(long, value_name = "SHARDS")]
    pub validation: Option<String>,
    /// Zero-shot task file; may be repeated
    #[arg(long, value_name = "TOML")]
    pub zero_shot: Vec<PathBuf>,
    /// Where to compute
    #[arg(long)]
    pub device: Option<DeviceName>,
    /// Say what would be done and end
    #[arg(long)]
    pub dry_run: bool,
    /// Only errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// Flags of `evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// A run's folder, one of its checkpoints, or weights (.safetensors, .pt; give --model)
    pub checkpoint: PathBuf,
    /// Architecture of plain weights, such as RN50-quickgelu, or a file; a checkpoint carries its own
    #[arg(long)]
    pub model: Option<String>,
    /// Zero-shot task file; may be repeated
    #[arg(long, value_name = "TOML")]
    pub zero_shot: Vec<PathBuf>,
    /// Held-out shards with captions
    #[arg(long, value_name = "SHARDS")]
    pub validation: Option<String>,
    /// Samples per forward pass
    #[arg(long, default_value_t = 256)]
    pub batch_size: usize,
    /// fp32, amp_bf16 or amp_fp16; that of the training without
    #[arg(long)]
    pub precision: Option<Precision>,
    /// Where to compute
    #[arg(long, default_value = "auto")]
    pub device: DeviceName,
    /// One JSON object a line instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Flags of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A run's folder or one of its checkpoints
    pub checkpoint: PathBuf,
    /// The .safetensors file to write
    pub output: PathBuf,
}

/// Flags of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Weights of open_clip, OpenAI or Hugging Face: .safetensors, .pt, .bin, the .index.json of several, or a folder of
    /// Hugging Face's
    pub weights: PathBuf,
    /// Architecture they are of, such as RN50-quickgelu, or a file; without it, whatever tensors there are get
    /// open_clip's names
    #[arg(long)]
    pub model: Option<String>,
    /// Side of the pictures the new weights are for, in pixels: a ViT's position embeddings are resized to it
    #[arg(long, value_name = "PIXELS", requires = "model")]
    pub image_size: Option<u32>,
    /// The .safetensors file to write
    pub output: PathBuf,
}

/// Flags of `curve`.
#[derive(Debug, Args)]
pub struct CurveArgs {
    /// The run's folder
    pub run: PathBuf,
    /// The SVG file to write
    #[arg(long, value_name = "SVG")]
    pub out: Option<PathBuf>,
}

/// Flags of `tokenize`.
#[derive(Debug, Args)]
pub struct TokenizeArgs {
    /// Which end of a long caption is lost: end-token (as open_clip since 2022) or cut (as before)
    #[arg(long, default_value_t)]
    pub truncation: Truncation,
    /// Threads; 0 for one per core
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
}

impl RunArgs {
    /// Recipe, file and flags as one config.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is wrong where.
    pub fn resolve(&self) -> Result<TrainConfig, ConfigError> {
        let mut layers = vec![TrainConfig::recipe(&self.recipe)?];
        if let Some(path) = &self.config {
            layers.push(TrainConfig::file(path)?);
        }
        for setting in &self.set {
            layers.push((format!("--set {setting}"), set_layer(setting)?));
        }
        layers.push(("flags".into(), self.flags()));
        TrainConfig::from_layers(layers)
    }

    fn flags(&self) -> Table {
        let mut flags = Table::new();
        let text = |text: &str| Value::String(text.into());
        let path = |path: &PathBuf| Value::String(path.to_string_lossy().into_owned());
        if !self.data.is_empty() {
            let source =
                |shards: &String| Value::Table(Table::from_iter([("shards".to_string(), text(shards))]));
            put(&mut flags, "data.sources", Value::Array(self.data.iter().map(source).collect()));
        }
        if let Some(device) = self.device {
            let name = match device {
                DeviceName::Auto => "auto",
                DeviceName::Cpu => "cpu",
                DeviceName::Cuda => "cuda",
            };
            put(&mut flags, "runtime.device", text(name));
        }
        if !self.zero_shot.is_empty() {
            put(&mut flags, "eval.zero_shot", Value::Array(self.zero_shot.iter().map(path).collect()));
        }
        let duration = |span: &String| match span.parse() {
            Ok(steps) => Value::Integer(steps),
            Err(_) => text(span),
        };
        for (key, value) in [
            ("model", self.model.as_deref().map(text)),
            ("init_from", self.init_from.as_ref().map(path)),
            ("batch_size", self.batch_size.map(|n| Value::Integer(n.into()))),
            ("duration", self.duration.as_ref().map(duration)),
            ("optim.lr", self.lr.map(Value::Float)),
            ("precision", self.precision.as_deref().map(text)),
            // TOML's integers end at 2⁶³ − 1; a larger seed is written as its digits.
            (
                "seed",
                self.seed.map(|n| i64::try_from(n).map_or_else(|_| text(&n.to_string()), Value::Integer)),
            ),
            ("skip_bad_batches", self.skip_bad_batches.map(|n| Value::Integer(n.into()))),
            ("eval.validation", self.validation.as_deref().map(text)),
        ] {
            if let Some(value) = value {
                put(&mut flags, key, value);
            }
        }
        flags
    }
}

/// `optim.lr=1e-3` as a table. What is no TOML value is taken as text, so quotes are rarely needed.
fn set_layer(setting: &str) -> Result<Table, ConfigError> {
    let (key, value) = setting.split_once('=').ok_or_else(|| ConfigError::Format {
        place: format!("--set {setting}"),
        message: "no = in it; write KEY=VALUE, such as optim.lr=1e-3".into(),
    })?;
    let parsed = format!("value = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    let mut layer = Table::new();
    put(&mut layer, key.trim(), parsed.unwrap_or_else(|| Value::String(value.into())));
    Ok(layer)
}

/// Sets a dotted key.
fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.into(), value);
        }
        Some((first, rest)) => {
            let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(words: &[&str]) -> Result<TrainConfig, String> {
        let all =
            ["pairmill-train", "run", "clip-rn-tiny", "--out", "o", "--data", "shards"].iter().chain(words);
        match Cli::try_parse_from(all).unwrap().command {
            Command::Run(args) => args.resolve().map_err(|error| error.to_string()),
            _ => unreachable!(),
        }
    }

    #[test]
    fn flags_win_over_set_and_set_over_the_recipe() {
        let recipe = resolve(&[]).unwrap();
        assert_eq!((recipe.model.as_str(), recipe.batch_size), ("rn-tiny", 64));
        let set = resolve(&["--set", "batch_size=32", "--set", "optim.warmup=1 epochs"]).unwrap();
        assert_eq!((set.batch_size, set.optim.warmup.to_string().as_str()), (32, "1 epochs"));
        assert_eq!(resolve(&["--set", "batch_size=32", "--batch-size", "16"]).unwrap().batch_size, 16);
        assert_eq!(resolve(&["--data", "more"]).unwrap().data.sources.len(), 2);
    }

    #[test]
    fn wrong_settings_are_named() {
        for (words, expected) in [
            (["--set", "optim.lrr=1"], "unknown field `lrr`"),
            (["--set", "optim"], "no = in it"),
            (["--set", "batch_size=many"], "batch_size"),
            (["--batch-size", "1"], "batch_size = 1: a contrastive loss needs at least 2"),
            (["--duration", "5 minutes"], "5 minutes"),
            (["--precision", "fp8"], "fp8"),
        ] {
            let message = resolve(&words).unwrap_err();
            assert!(message.contains(expected) && !message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn what_is_computed_decides_the_hash_and_where_does_not() {
        let hash = |words: &[&str]| resolve(words).unwrap().hash().unwrap();
        assert_eq!(hash(&[]), hash(&["--device", "cpu", "--set", "log.every_steps=1"]));
        assert_ne!(hash(&[]), hash(&["--seed", "1"]));
        let config = resolve(&["--lr", "0.25"]).unwrap();
        let back = TrainConfig::from_layers(vec![("x".into(), config.to_toml().unwrap().parse().unwrap())]);
        assert_eq!(back.unwrap(), config);
    }

    #[test]
    fn t11_a_seed_of_64_bits_is_kept_whole() {
        for seed in [0, u64::from(u32::MAX) + 1, i64::MAX as u64 + 1, u64::MAX] {
            let typed = seed.to_string();
            let config = resolve(&["--seed", &typed]).unwrap();
            assert_eq!(config.seed, seed);
            let file = config.to_toml().unwrap().parse().unwrap();
            assert_eq!(TrainConfig::from_layers(vec![("x".into(), file)]).unwrap(), config);
        }
        let hash = |seed: &str| resolve(&["--seed", seed]).unwrap().hash().unwrap();
        assert_ne!(hash("18446744073709551615"), hash("0"));
        let message = resolve(&["--set", "seed=-1"]).unwrap_err();
        assert!(message.contains("18446744073709551615"), "{message}");
    }

    #[test]
    fn every_recipe_resolves() {
        for (name, _) in crate::config::RECIPES {
            let args = ["pairmill-train", "run", name, "--out", "o", "--data", "d"];
            let Command::Run(args) = Cli::try_parse_from(args).unwrap().command else { unreachable!() };
            args.resolve().unwrap().architecture().unwrap();
        }
    }
}
