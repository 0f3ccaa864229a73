//! A pretrained model as transfer takes it: loaded once, told by its bytes, with what the tables say of it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pairmill_pixels::Normalisation;
use pairmill_shards::words::hex;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tch::Device;

use super::config::{SourceConfig, hex16};
use crate::checkpoint::{
    Checkpoint, CheckpointError, NotFinite, Resized, check_config, import_weights, named, statistics_of,
};
use crate::error::TrainError;
use crate::model::{Architecture, Clip};
use crate::torch::rng;

/// What is known of a source before its weights are read.
#[derive(Debug, Clone)]
pub struct Source {
    /// As resolved: `model` and the facts of pretraining filled in from the checkpoint where it knows them.
    pub config: SourceConfig,
    /// Its architecture.
    pub architecture: Architecture,
    /// Mean and standard deviation of the pixels it was trained on, as its checkpoint has them; CLIP's otherwise.
    pub statistics: Normalisation,
    /// Names its weights: a hash of the file, or of nothing for fresh ones; with that of the architecture where it is a
    /// file of the user's.
    pub fingerprint: String,
    /// Names weights and architecture by content, whatever they are called. The same weights under another activation
    /// are another model.
    pub content: String,
    file: Option<PathBuf>,
    notes: Vec<String>,
    /// Set when the weights are read.
    resized: OnceLock<Option<Resized>>,
}

impl Source {
    /// Finds the checkpoint and reads what stands beside the weights.
    ///
    /// # Errors
    /// When there is none, or its architecture is neither known nor given.
    pub fn open(config: &SourceConfig) -> Result<Self, TrainError> {
        let mut config = config.clone();
        let (mut carried, mut notes) = (None, Vec::new());
        let mut statistics = Normalisation::default();
        let file = match &config.checkpoint {
            Some(path) if path.is_dir() => {
                let found = Checkpoint::find(path)?;
                // A checkpoint carries its architecture; only another one that is asked for comes from elsewhere.
                if config.model.is_none() {
                    carried = Some(found.architecture()?);
                    notes.extend(found.warning());
                }
                fill(&mut config, &found);
                statistics = found.state.statistics();
                Some(found.model())
            }
            Some(path) => Some(path.clone()),
            None => None,
        };
        let Some(model) = &config.model else {
            return Err(TrainError::Transfer(format!(
                "source {}: which architecture is it of? Give `model`, such as RN50",
                config.name
            )));
        };
        let architecture = match carried {
            Some(carried) => carried,
            None => Architecture::find(model)?,
        };
        let fingerprint = match &file {
            Some(file) => fingerprint(file)?,
            None => "fresh".to_owned(),
        };
        if let (Some(file), true) = (&file, statistics == Normalisation::default())
            && let Some(own) = statistics_of(file)?
        {
            statistics = own;
        }
        let described = serde_json::to_string(&architecture)
            .map_err(|error| TrainError::Transfer(format!("source {}: {error}", config.name)))?;
        let content = hex16(format!("{fingerprint}\0{described}").as_bytes());
        let fingerprint = if config.has_own_architecture() { content.clone() } else { fingerprint };
        Ok(Self {
            architecture,
            config,
            statistics,
            fingerprint,
            content,
            file,
            notes,
            resized: OnceLock::new(),
        })
    }

    /// Whether nothing was pretrained.
    pub fn is_scratch(&self) -> bool {
        self.file.is_none()
    }

    /// The whole model on `device`; fresh weights are those of `seed`.
    ///
    /// # Errors
    /// When the weights are damaged or another model's.
    pub fn load(&self, device: Device, seed: u64) -> Result<Clip, TrainError> {
        rng::seed(seed);
        let model = Clip::new(&self.architecture, device)?;
        if let Some(file) = &self.file {
            check_config(file, &self.architecture)?;
            let resized = import_weights(file, model.weights())?;
            if let Some(found) = NotFinite::among(&named(model.weights()))? {
                return Err(CheckpointError::NotFinite { path: file.clone(), found }.into());
            }
            let _ = self.resized.set(resized);
        }
        Ok(model)
    }

    /// What a reader of its results should know; whether position embeddings were resized once it was loaded.
    pub fn notes(&self) -> Vec<String> {
        let resized = self.resized.get().copied().flatten().map(|resized| resized.to_string());
        let notes = self.notes.iter().cloned().chain(resized);
        notes.map(|note| format!("source {}: {note}", self.config.name)).collect()
    }

    /// The study's name of the image tower: `RN50`, `VITB32`.
    pub fn arch(&self) -> String {
        let name = self.architecture.name.trim_end_matches("-quickgelu");
        if name.starts_with("ViT") { name.replace('-', "").to_uppercase() } else { name.to_owned() }
    }
}

/// What a checkpoint of ours knows of its own pretraining.
fn fill(config: &mut SourceConfig, found: &Checkpoint) {
    let state = &found.state;
    let number = |pointer: &str| state.config.pointer(pointer).and_then(Value::as_f64);
    config.model.get_or_insert_with(|| state.architecture.clone());
    config.epochs = config.epochs.or(u32::try_from(state.epoch).ok());
    config.lr = config.lr.or_else(|| number("/optim/lr"));
    config.batch_size = config.batch_size.or_else(|| number("/batch_size").map(|n| n as u32));
    config.weight_decay = config.weight_decay.or_else(|| number("/optim/weight_decay"));
}

fn fingerprint(path: &Path) -> Result<String, TrainError> {
    let failed = |error| TrainError::Transfer(format!("{}: weights cannot be read: {error}", path.display()));
    let mut file = File::open(path).map_err(failed)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    Ok(hex(&hash.finalize()[..8]))
}
