//! One transfer run as resolved: which tower goes to which task, by how many shots, how. Its hash names the run wherever
//! its files lie: checkpoints and datasets count by what is in them, not by their paths.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use pairmill_pixels::Normalisation;
use pairmill_shards::results::{Method as RowMethod, Protocol, Selection, Shots, View};
use pairmill_shards::words::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::TrainError;
use crate::optim::Precision;
use pairmill_datasets::DatasetConfig;

/// How a tower is brought to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Class names as a head, nothing learns.
    ZeroShot,
    /// A head over frozen features.
    LinearProbe,
    /// Everything learns, from a zero-shot or a random head.
    FineTune,
    /// A probe first, then everything learns from it (Kumar et al. 2022).
    LpFt,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ZeroShot, Self::LinearProbe, Self::FineTune, Self::LpFt];

    /// The word a user types.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ZeroShot => "zero-shot",
            Self::LinearProbe => "linear-probe",
            Self::FineTune => "fine-tune",
            Self::LpFt => "lp-ft",
        }
    }

    /// Whether the tower learns.
    pub fn tunes(self) -> bool {
        matches!(self, Self::FineTune | Self::LpFt)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|method| method.as_str() == word).ok_or_else(|| {
            format!("`{word}` is no method; there are {}", Self::ALL.map(Self::as_str).join(", "))
        })
    }
}

/// Where the head of a fine-tuning begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadStart {
    /// At the class names, by the source's text tower.
    ZeroShot,
    /// Nowhere.
    Random,
}

/// A pretrained tower, or none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Name in the tables: `Shutterstock2.7m`, `Scratch`.
    pub name: String,
    /// A run's folder, a checkpoint, or a file of weights (which needs `model`); fresh weights without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<PathBuf>,
    /// Architecture, as `RN50` or `ViT-B-32-quickgelu`, or a file; a checkpoint of ours knows its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What it was pretrained by: the column `objective`.
    #[serde(default = "clip_loss")]
    pub loss: String,
    /// Pretraining epochs, for the tables; a checkpoint of ours knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u32>,
    /// Peak learning rate of pretraining, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Batch size of pretraining, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u32>,
    /// Weight decay of pretraining, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

fn clip_loss() -> String {
    "CLIP".to_owned()
}

/// From picture bytes to what the tower sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The study's: crops of 8–100 % of the area, flip, RandAugment, random erasing; tested on the centre 7/8.
    Timm,
    /// CLIP's: crops of 90–100 % of the area; tested on the whole centre square.
    Clip,
    /// The test transform in training too: no randomness at all.
    Plain,
}

/// How pictures are prepared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformConfig {
    /// Crops and distortions.
    pub preset: Preset,
    /// Mean and standard deviation of pixels.
    pub statistics: Normalisation,
}

/// How everything learns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuneConfig {
    /// Where the head begins; `lp-ft` begins at the probe.
    pub head: HeadStart,
    /// Passes over the training images.
    pub epochs: u32,
    /// Images a step.
    pub batch_size: u32,
    /// Largest learning rate.
    pub lr: f64,
    /// AdamW's, on every parameter.
    pub weight_decay: f64,
    /// Steps of warm-up; `corrected` takes a tenth of the run at most.
    pub warmup_steps: u64,
    /// Number format of the forward pass.
    pub precision: Precision,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferConfig {
    /// Corrected or as published.
    pub protocol: Protocol,
    /// The tower.
    pub source: SourceConfig,
    /// The task.
    pub dataset: DatasetConfig,
    /// Prompts with `{}` for the class name.
    pub templates: Vec<String>,
    /// Training images a class; `zero` for `zero-shot`.
    pub shots: Shots,
    /// How.
    pub method: Method,
    /// Seed of the draw, the order, the augmentation and a random head.
    pub seed: u64,
    /// Which epoch counts.
    pub selection: Selection,
    /// Crops and statistics.
    pub transform: TransformConfig,
    /// For `fine-tune` and `lp-ft`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tune: Option<TuneConfig>,
    /// Strengths a probe tries, scikit-learn's C; for `linear-probe` and `lp-ft`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strengths: Vec<f64>,
    /// Mixtures with the model before fine-tuning that are tested too (WiSE-FT).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alphas: Vec<f64>,
}

impl TransferConfig {
    /// Sixteen hex digits that name the run. `weights` and `images` are the fingerprints of what the checkpoint and the
    /// dataset hold; they stand in for the paths.
    ///
    /// # Errors
    /// When a setting has no JSON form: runs without one would all have the same name.
    pub fn hash(&self, weights: &str, images: &str) -> Result<String, TrainError> {
        let mut value = serde_json::to_value(self).map_err(|error| {
            TrainError::Transfer(format!("the settings of a run have no JSON form: {error}"))
        })?;
        if let Some(source) = value.get_mut("source").and_then(|source| source.as_object_mut()) {
            source.insert("checkpoint".into(), weights.into());
            if self.source.has_own_architecture() {
                // The fingerprint holds what the file says; where it lies is nobody's business.
                source.remove("model");
            }
        }
        if let Some(run) = value.as_object_mut() {
            run.insert("dataset".into(), images.into());
        }
        Ok(hex16(value.to_string().as_bytes()))
    }

    /// How the tower is brought over, as result rows say it.
    pub fn row_method(&self) -> RowMethod {
        match (self.method, self.tune.map(|tune| tune.head)) {
            (Method::FineTune, Some(HeadStart::ZeroShot) | None) => RowMethod::FineTune,
            (Method::FineTune, Some(HeadStart::Random)) => RowMethod::RandomHead,
            (Method::ZeroShot, _) => RowMethod::ZeroShot,
            (Method::LinearProbe, _) => RowMethod::LinearProbe,
            (Method::LpFt, _) => RowMethod::LpFt,
        }
    }

    /// Names what result rows have no column for: prompts, transform, rule of selection, strengths, and of fine-tuning
    /// the start of the head, the warm-up and the precision. Rows that differ in it are not runs of one grid.
    ///
    /// # Errors
    /// When the settings cannot be written as text.
    pub fn setup(&self) -> Result<String, TrainError> {
        let tune = self.tune.map(|tune| (tune.head, tune.warmup_steps, tune.precision));
        let all = (&self.templates, self.transform, self.selection, &self.strengths, tune);
        let text = serde_json::to_string(&all).map_err(|error| TrainError::Transfer(error.to_string()))?;
        Ok(hex16(text.as_bytes()))
    }
}

impl Preset {
    /// What the tower sees of a test image.
    pub fn view(self) -> View {
        match self {
            Self::Timm => View::Centre,
            Self::Clip | Self::Plain => View::Whole,
        }
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "timm" => Ok(Self::Timm),
            "clip" => Ok(Self::Clip),
            "plain" => Ok(Self::Plain),
            _ => Err(format!("`{word}` is no preset; there are timm, clip, plain")),
        }
    }
}

impl SourceConfig {
    /// Whether the architecture is a file of the user's, whose content may change under its name.
    pub(super) fn has_own_architecture(&self) -> bool {
        self.model.as_ref().is_some_and(|model| model.ends_with(".toml"))
    }
}

/// The first sixteen hex digits of the SHA-256.
pub(crate) fn hex16(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..8])
}
