//! A training run as it was resolved: the recipe, the user's file and the flags laid over each other, every setting
//! named and checked. It stands beside the checkpoints as `config.toml`, and its hash names the run.

use std::fs;
use std::path::{Path, PathBuf};

use pairmill_loader::{DatasetConfig, ImageTransform, Order, RandAugment, RandomCrop, SourceSpec};
use pairmill_pixels::Normalisation;
use pairmill_shards::words::hex;
use pairmill_tokens::{Truncation, VOCABULARY};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toml::Table;

use crate::checkpoint::Keep;
use crate::eval::metric_names;
use crate::eval::task::ZeroShotTask;
use crate::model::Architecture;
use crate::numbers::whole;
use crate::optim::{AdamWConfig, DecayRule, Precision, Schedule, Shape, Span};
use crate::torch::flags::Flags;

/// Recipes that come with the program, by name.
pub const RECIPES: [(&str, &str); 5] = [
    ("clip-rn50", include_str!("../configs/clip-rn50.toml")),
    ("clip-rn-tiny", include_str!("../configs/clip-rn-tiny.toml")),
    ("clip-vit-b-16", include_str!("../configs/clip-vit-b-16.toml")),
    ("clip-vit-b-32", include_str!("../configs/clip-vit-b-32.toml")),
    ("clip-vit-tiny", include_str!("../configs/clip-vit-tiny.toml")),
];

/// Why the settings make no run.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such recipe.
    #[error("no recipe {0:?}: there are {known}, or name a file", known = RECIPES.map(|(name, _)| name).join(", "))]
    Recipe(String),
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// TOML that is none, an unknown key, a value of the wrong kind.
    #[error("{place}: {message}")]
    Format {
        /// A file or flag.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A value out of range.
    #[error("{key} = {value}: {rule}")]
    Value {
        /// The dotted key.
        key: &'static str,
        /// What it was set to.
        value: String,
        /// What is allowed.
        rule: String,
    },
}

/// What is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectiveName {
    /// Contrastive loss between images and captions.
    #[default]
    Clip,
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// What is minimised.
    #[serde(default)]
    pub objective: ObjectiveName,
    /// Architecture: a name such as `RN50` or `ViT-B-32-quickgelu`, or a file.
    pub model: String,
    /// Weights to start from: a checkpoint folder or `.safetensors` file; fresh ones without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_from: Option<PathBuf>,
    /// Samples per step over all ranks and micro-batches.
    pub batch_size: usize,
    /// Micro-batches that a rank cuts its share of a batch into; the loss is still that of the whole batch.
    #[serde(default = "one")]
    pub accum_freq: usize,
    /// Length of the run.
    pub duration: Span,
    /// Type of the arithmetic.
    #[serde(default)]
    pub precision: Precision,
    /// Decides the fresh weights, the order of samples and every crop. From 2⁶³ on in quotes, since TOML ends there.
    #[serde(default, with = "whole")]
    pub seed: u64,
    /// Batches of a run that may be left out because their loss or gradients are not finite; one more ends it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skip_bad_batches: u64,
    /// Compute the towers' insides again in the backward pass instead of keeping them: less memory, a third more time.
    #[serde(default)]
    pub recompute: bool,
    /// What is trained on.
    pub data: DataConfig,
    /// How weights move.
    pub optim: OptimConfig,
    /// When checkpoints are written and which stay.
    #[serde(default)]
    pub checkpoint: CheckpointConfig,
    /// What is measured on the way.
    #[serde(default)]
    pub eval: EvalConfig,
    /// What is written down on the way.
    #[serde(default)]
    pub log: LogConfig,
    /// Where it runs; nothing here changes what is computed, but for rounding.
    #[serde(default)]
    pub runtime: RuntimeConfig,
}

/// What is trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Sources, mixed by their weights.
    pub sources: Vec<SourceSpec>,
    /// Which members of a sample are read.
    #[serde(default)]
    pub samples: DatasetConfig,
    /// Order of samples.
    #[serde(default)]
    pub order: Order,
    /// Shards whose samples are shuffled together.
    #[serde(default = "window_shards")]
    pub window_shards: usize,
    /// Samples of an epoch; one pass over all without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch_samples: Option<u64>,
    /// The random part of an image that is shown.
    #[serde(default)]
    pub crop: RandomCrop,
    /// Operations that change the finished picture; none without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rand_augment: Option<RandAugment>,
    /// Which end of a long caption is lost.
    #[serde(default)]
    pub truncation: Truncation,
    /// Mean and standard deviation of the pixels: `clip`, `imagenet`, or `{ own = { mean = [..], std = [..] } }`. They
    /// belong to the model: evaluation and transfer take them from its checkpoint.
    #[serde(default, skip_serializing_if = "is_default")]
    pub normalise: Normalisation,
    /// Largest share of samples that may be unusable before the run stops, 0–1; looked at once an epoch and every thousand
    /// samples.
    #[serde(default = "max_skipped", skip_serializing_if = "is_max_skipped")]
    pub max_skipped: f64,
}

/// How weights move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimConfig {
    /// Largest learning rate.
    pub lr: f64,
    /// Length of the linear climb to it.
    pub warmup: Span,
    /// What comes after.
    #[serde(default = "cosine")]
    pub schedule: Shape,
    /// Decays of AdamW's moments; those of open_clip for the architecture without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub betas: Option<[f64; 2]>,
    /// AdamW's epsilon; as for `betas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eps: Option<f64>,
    /// Decoupled weight decay.
    #[serde(default = "weight_decay")]
    pub weight_decay: f64,
    /// Which parameters decay.
    #[serde(default)]
    pub decay_rule: DecayRule,
    /// Largest joint norm of the gradients; unlimited without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
}

/// When checkpoints are written and which stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Time between two; one is written at the end in any case.
    pub every: Span,
    /// Which stay.
    pub keep: Keep,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { every: Span::Epochs(1.0), keep: Keep::default() }
    }
}

/// What is measured on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// Time between two evaluations; one is made at the end in any case.
    pub every: Span,
    /// Held-out shards with captions, for the loss and retrieval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<String>,
    /// Zero-shot tasks, as files ([`crate::eval::task::ZeroShotTask`]).
    pub zero_shot: Vec<PathBuf>,
    /// Samples per forward pass and rank.
    pub batch_size: usize,
    /// Type of the arithmetic; that of training without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            every: Span::Epochs(1.0),
            validation: None,
            zero_shot: Vec::new(),
            batch_size: 256,
            precision: None,
        }
    }
}

/// What is written down on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Steps between two lines.
    pub every_steps: u64,
    /// TensorBoard event files beside the JSON lines.
    pub tensorboard: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { every_steps: 10, tensorboard: true }
    }
}

/// Where a run happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeConfig {
    /// `auto`, `cpu` or `cuda`; a rank takes the GPU of its number on the machine.
    pub device: DeviceName,
    /// Threads of libtorch on the CPU; 0 leaves it to libtorch.
    pub threads: usize,
    /// Threads of the loader; 0 for one per core.
    pub loader_threads: usize,
    /// Batches the loader prepares ahead.
    pub prefetch: usize,
    /// Exactness against speed.
    pub flags: Flags,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            device: DeviceName::Auto,
            threads: 0,
            loader_threads: 0,
            prefetch: pairmill_loader::DEFAULT_PREFETCH,
            flags: Flags::default(),
        }
    }
}

/// Kinds of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DeviceName {
    /// A GPU if there is one.
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU, or an error.
    Cuda,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
/// Share of unusable samples at which a run stops.
const MAX_SKIPPED: f64 = 0.05;

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
fn max_skipped() -> f64 {
    MAX_SKIPPED
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_max_skipped(share: &f64) -> bool {
    *share == MAX_SKIPPED
}
fn one() -> usize {
    1
}
fn window_shards() -> usize {
    pairmill_loader::DEFAULT_WINDOW_SHARDS
}
fn cosine() -> Shape {
    Shape::Cosine
}
fn weight_decay() -> f64 {
    crate::optim::adamw::DEFAULT_WEIGHT_DECAY
}

impl TrainConfig {
    /// From layers of TOML, each laid over the one before; `place` names a layer in errors.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key and, where it can be told, the layer.
    pub fn from_layers(layers: Vec<(String, Table)>) -> Result<Self, ConfigError> {
        let place = layers.iter().map(|(place, _)| place.as_str()).collect::<Vec<_>>().join(" + ");
        let mut merged = Table::new();
        for (_, layer) in layers {
            lay_over(&mut merged, layer);
        }
        // TOML has `nan` and `inf`. Each passes some comparison, and JSON, which checkpoints keep settings in, has neither.
        if let Some((key, value)) = not_finite("", &merged) {
            let message = format!(
                "{key} = {value}: every number of a run is finite; leave a setting out for its default"
            );
            return Err(ConfigError::Format { place, message });
        }
        let config: Self = merged.try_into().map_err(|error: toml::de::Error| ConfigError::Format {
            place,
            message: error.to_string().trim().replace('\n', " "),
        })?;
        config.check()?;
        Ok(config)
    }

    /// A recipe of the program, or a file of the user's.
    ///
    /// # Errors
    /// [`ConfigError`] when there is none of that name or it is no TOML.
    pub fn recipe(name: &str) -> Result<(String, Table), ConfigError> {
        match RECIPES.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Ok((format!("recipe {name}"), parse(&format!("recipe {name}"), text)?)),
            None if name.contains(['/', '.']) => Self::file(Path::new(name)),
            None => Err(ConfigError::Recipe(name.into())),
        }
    }

    /// A file of settings.
    ///
    /// # Errors
    /// [`ConfigError`] when it cannot be read or is no TOML.
    pub fn file(path: &Path) -> Result<(String, Table), ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        let place = path.display().to_string();
        Ok((place.clone(), parse(&place, &text)?))
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong =
            |key, value: String, rule: &str| Err(ConfigError::Value { key, value, rule: rule.into() });
        if self.batch_size < 2 {
            return wrong("batch_size", self.batch_size.to_string(), "a contrastive loss needs at least 2");
        }
        if self.accum_freq == 0 {
            return wrong("accum_freq", "0".into(), "at least 1");
        }
        if self.data.sources.is_empty() {
            return wrong("data.sources", "[]".into(), "name shards to train on (--data)");
        }
        if !(self.optim.lr.is_finite() && self.optim.lr > 0.0) {
            return wrong("optim.lr", self.optim.lr.to_string(), "above 0");
        }
        if self.optim.weight_decay < 0.0 {
            return wrong("optim.weight_decay", self.optim.weight_decay.to_string(), "0 or more");
        }
        if self.checkpoint.keep.last == Some(0) {
            return wrong(
                "checkpoint.keep.last",
                "0".into(),
                "at least 1, or a killed run cannot go on; \"all\" keeps every one",
            );
        }
        if !(0.0..=1.0).contains(&self.data.max_skipped) {
            return wrong("data.max_skipped", self.data.max_skipped.to_string(), "a share from 0 to 1");
        }
        if self.eval.batch_size == 0 || self.log.every_steps == 0 {
            return wrong("eval.batch_size and log.every_steps", "0".into(), "at least 1");
        }
        Ok(())
    }

    /// Checks that keep-best looks at something that is measured.
    ///
    /// # Errors
    /// When it does not; the message lists what is.
    pub fn check_best(&self, tasks: &[ZeroShotTask]) -> Result<(), ConfigError> {
        let Some(best) = &self.checkpoint.keep.best else { return Ok(()) };
        let names = metric_names(self.eval.validation.is_some(), tasks);
        if names.contains(&best.metric) {
            return Ok(());
        }
        let rule = match names.as_slice() {
            [] => "this run measures nothing; set eval.validation (--validation) or eval.zero_shot (--zero-shot)"
                .to_owned(),
            names => format!("this run measures {}", names.join(", ")),
        };
        Err(ConfigError::Value { key: "checkpoint.keep.best.metric", value: best.metric.clone(), rule })
    }

    /// The architecture, held against what the rest of the run can feed it.
    ///
    /// # Errors
    /// When there is none of that name, its file is wrong, or it has too few token ids for the tokenizer.
    pub fn architecture(&self) -> Result<Architecture, crate::error::TrainError> {
        let architecture = Architecture::find(&self.model)?;
        if architecture.text.vocab_size < VOCABULARY as i64 {
            return Err(ConfigError::Value {
                key: "model",
                value: self.model.clone(),
                rule: format!(
                    "its text.vocab_size is {}, the tokenizer has {VOCABULARY} ids",
                    architecture.text.vocab_size
                ),
            }
            .into());
        }
        Ok(architecture)
    }

    /// Samples of a step on each rank.
    ///
    /// # Errors
    /// When ranks and micro-batches do not divide the batch.
    pub fn share(&self, world: usize) -> Result<usize, ConfigError> {
        let parts = world * self.accum_freq;
        if !self.batch_size.is_multiple_of(parts) || self.batch_size < parts {
            return Err(ConfigError::Value {
                key: "batch_size",
                value: self.batch_size.to_string(),
                rule: format!("a multiple of {parts} ({world} ranks × {} micro-batches)", self.accum_freq),
            });
        }
        Ok(self.batch_size / world)
    }

    /// AdamW's settings, with open_clip's for this architecture where none are given. It goes by the architecture's own
    /// name: the path of its file says nothing.
    pub fn adamw(&self, architecture: &Architecture) -> AdamWConfig {
        let default = AdamWConfig::for_model(&architecture.name);
        AdamWConfig {
            beta1: self.optim.betas.map_or(default.beta1, |[beta1, _]| beta1),
            beta2: self.optim.betas.map_or(default.beta2, |[_, beta2]| beta2),
            eps: self.optim.eps.unwrap_or(default.eps),
            weight_decay: self.optim.weight_decay,
            decay_rule: self.optim.decay_rule,
            clip_norm: self.optim.clip_norm,
        }
    }

    /// The learning rates of a run with epochs of so many steps.
    pub fn schedule(&self, steps_per_epoch: u64) -> Schedule {
        let steps = |span: Span| span.to_steps(steps_per_epoch, self.batch_size as u64);
        Schedule {
            base_lr: self.optim.lr,
            warmup_steps: steps(self.optim.warmup),
            total_steps: steps(self.duration).max(1),
            shape: self.optim.schedule,
        }
    }

    /// How training images are cut.
    pub fn transform(&self, image_size: u32) -> ImageTransform {
        ImageTransform {
            augment: pairmill_loader::Augment::RandomCrop(self.data.crop),
            rand_augment: self.data.rand_augment,
            ..ImageTransform::training(image_size)
        }
    }

    /// As JSON, as checkpoints keep it.
    ///
    /// # Errors
    /// When a value has no JSON form.
    pub fn to_json(&self) -> Result<serde_json::Value, ConfigError> {
        serde_json::to_value(self).map_err(|error| ConfigError::Format {
            place: "the resolved config".into(),
            message: error.to_string(),
        })
    }

    /// Names the run: SHA-256 over everything that decides what is computed, in hex. Where it runs, what it logs and
    /// which checkpoints stay are left out. A model's file counts by what is in it.
    ///
    /// # Errors
    /// When a value has no JSON form, or the model's file cannot be read.
    pub fn hash(&self) -> Result<String, crate::error::TrainError> {
        let mut value = self.to_json()?;
        if let Some(map) = value.as_object_mut() {
            for key in ["runtime", "log", "checkpoint"] {
                map.remove(key);
            }
            if self.model.ends_with(".toml") {
                let architecture = Architecture::find(&self.model)?;
                let content = serde_json::to_value(architecture).map_err(|error| ConfigError::Format {
                    place: self.model.clone(),
                    message: error.to_string(),
                })?;
                map.insert("model".into(), content);
            }
            if let Some(data) = map.get_mut("data").and_then(serde_json::Value::as_object_mut) {
                data.remove("max_skipped");
            }
        }
        Ok(hex(&Sha256::digest(value.to_string())))
    }

    /// As TOML, to stand beside the checkpoints.
    ///
    /// # Errors
    /// When a value has no TOML form.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(self).map_err(|error| ConfigError::Format {
            place: "the resolved config".into(),
            message: error.to_string(),
        })
    }
}

fn parse(place: &str, text: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| ConfigError::Format {
        place: place.into(),
        message: error.to_string().trim().replace('\n', " "),
    })
}

/// The first number of a table that is not finite, by its dotted key.
fn not_finite(prefix: &str, table: &Table) -> Option<(String, f64)> {
    fn walk(key: String, value: &toml::Value) -> Option<(String, f64)> {
        match value {
            toml::Value::Float(number) if !number.is_finite() => Some((key, *number)),
            toml::Value::Array(items) => items.iter().find_map(|item| walk(key.clone(), item)),
            toml::Value::Table(table) => not_finite(&format!("{key}."), table),
            _ => None,
        }
    }
    table.iter().find_map(|(key, value)| walk(format!("{prefix}{key}"), value))
}

/// Tables are merged key by key, everything else is replaced.
fn lay_over(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(more: &str) -> TrainConfig {
        let sources = "[[data.sources]]\nshards = '/shards'\n";
        let layers = [
            TrainConfig::recipe("clip-rn50").unwrap(),
            ("test".into(), format!("{sources}{more}").parse().unwrap()),
        ];
        TrainConfig::from_layers(layers.into()).unwrap()
    }

    fn refused(more: &str) -> String {
        let sources = "[[data.sources]]\nshards = '/shards'\n";
        let layers = [
            TrainConfig::recipe("clip-rn50").unwrap(),
            ("test".into(), format!("{more}\n{sources}").parse().unwrap()),
        ];
        TrainConfig::from_layers(layers.into()).unwrap_err().to_string()
    }

    #[test]
    fn t03_settings_that_are_not_finite_are_refused_by_name() {
        for (toml, key) in [
            ("[optim]\nweight_decay = nan", "optim.weight_decay = NaN"),
            ("[optim]\nlr = inf", "optim.lr = inf"),
            ("[optim]\nbetas = [0.9, nan]", "optim.betas = NaN"),
            ("[optim]\nclip_norm = -inf", "optim.clip_norm = -inf"),
        ] {
            let message = refused(toml);
            assert!(message.contains(key) && !message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn t07_a_model_file_counts_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let text = include_str!("../models/vit_tiny.toml");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            TrainConfig { model: path.to_string_lossy().into_owned(), ..run("") }
        };
        let (a, b) = (write("a.toml", text), write("vit_b.toml", text));
        assert_eq!(a.hash().unwrap(), b.hash().unwrap());
        assert_ne!(a.hash().unwrap(), write("c.toml", &text.replace("vit-tiny", "other")).hash().unwrap());
        let architecture = a.architecture().unwrap();
        assert_eq!(a.adamw(&architecture), b.adamw(&architecture));
        fs::remove_file(folder.path().join("a.toml")).unwrap();
        assert!(a.hash().unwrap_err().to_string().contains("a.toml"));
    }

    #[test]
    fn t11_a_mistyped_metric_is_refused_with_the_list() {
        let best = "[checkpoint.keep.best]\nmetric = 'val_loss'\ndirection = 'lowest'\n";
        let check = |more: &str, tasks: &[ZeroShotTask]| run(&format!("{best}{more}")).check_best(tasks);
        let message = check("", &[]).unwrap_err().to_string();
        assert!(message.contains("keep.best.metric = val_loss: this run measures nothing"), "{message}");
        let shards = "[eval]\nvalidation = 'held-out'\n";
        let message = check(shards, &[]).unwrap_err().to_string();
        let known = "validation/validation_loss, validation/image_retrieval_recall@1";
        assert!(message.contains(known) && message.ends_with("text_retrieval_recall@10"), "{message}");
        let task = ZeroShotTask {
            name: "pets".into(),
            shards: "t.tar".into(),
            classes: ["cat", "dog"].map(String::from).into(),
            templates: vec!["{}".into()],
            samples: DatasetConfig::default(),
        };
        let message = check("", std::slice::from_ref(&task)).unwrap_err().to_string();
        assert!(message.ends_with("this run measures pets/acc1, pets/mean_per_class_recall"), "{message}");
        for (metric, task) in [("pets/acc1", vec![task]), ("validation/validation_loss", vec![])] {
            let mut right = run(&format!("{best}{shards}"));
            right.checkpoint.keep.best.as_mut().unwrap().metric = metric.into();
            right.check_best(&task).unwrap();
            assert_eq!(right.checkpoint.keep.last, Some(2), "keep.best leaves keep.last alone");
        }
    }

    #[test]
    fn augmentation_changes_the_hash_and_its_absence_does_not() {
        let plain = run("");
        let value = serde_json::to_value(&plain).unwrap();
        // What is hashed is what is written: a key more would rename every run there is.
        assert!(
            value["data"].get("crop").is_some() && value["data"].get("rand_augment").is_none(),
            "{value}"
        );
        assert_eq!(plain.transform(224).rand_augment, None);
        let augmented = run("[data.rand_augment]\nmagnitude = 7.0\n");
        assert_ne!(augmented.hash().unwrap(), plain.hash().unwrap());
        let wanted = RandAugment { magnitude: 7.0, ..RandAugment::default() };
        assert_eq!(augmented.transform(224).rand_augment, Some(wanted));
        let read: TrainConfig = toml::from_str(&augmented.to_toml().unwrap()).unwrap();
        assert_eq!(read, augmented);
    }
}
