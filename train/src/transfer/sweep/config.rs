//! A grid of runs as a user writes it: lists of sources, tasks, shots, methods, rates and seeds. [`plan`](super::plan)
//! turns it into runs.
//!
//! ```toml
//! shots = [1, 5, 20, "full"]
//! seeds = [0, 1, 2]
//!
//! [tune]
//! lr = [1e-4, 3e-4]
//!
//! [[source]]
//! name = "CC3m"
//! checkpoint = "runs/cc3m"          # relative to this file
//!
//! [[task]]
//! kind = "pets"
//! root = "data/pets"
//! lr = [3e-5, 1e-4]                  # instead of tune.lr, for this task
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use pairmill_pixels::Normalisation;
use pairmill_shards::results::{Protocol, RunConfig, Selection, Shots};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use toml::{Table, Value};

use crate::config::DeviceName;
use crate::error::TrainError;
use crate::eval::task::PLACE;
use crate::optim::Precision;
use crate::transfer::config::{HeadStart, Method, Preset, SourceConfig};
use crate::transfer::pictures::blobs::Budget;
use crate::transfer::protocol::WARMUP_STEPS;
use pairmill_datasets::{DatasetConfig, list};

/// Seconds of work that a kill may cost besides the running pass.
pub const DEFAULT_KEEP_S: u64 = 10;

/// Largest share of images that may fail to decode.
pub const DEFAULT_MAX_UNREADABLE: f64 = 0.05;

/// Templates that come with the program: short, for any subject.
pub const TEMPLATES: [&str; 7] = [
    "a photo of a {}.",
    "a picture of a {}.",
    "a close-up of a {}.",
    "a drawing of a {}.",
    "one {}.",
    "many of the {}.",
    "the {}.",
];

/// The whole grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SweepConfig {
    /// Corrected or as published, for all runs.
    pub protocol: Protocol,
    /// Training images a class: numbers or `"full"`.
    pub shots: Vec<Shots>,
    /// How towers are brought to tasks.
    pub methods: Vec<Method>,
    /// Seeds; each draws its own shots.
    pub seeds: Vec<u64>,
    /// Prompts with `{}`, here or in a file, one a line.
    pub templates: Option<Templates>,
    /// Mixtures with the model before fine-tuning that are tested too, each 0–1.
    pub alphas: Vec<f64>,
    /// Strengths a probe tries, scikit-learn's C.
    pub strengths: Vec<f64>,
    /// Largest share of a task's images that may fail to decode; they are left out and counted. One is always let pass,
    /// unless this is 0.
    pub max_unreadable: f64,
    /// Which epoch counts; the protocol's choice without.
    pub selection: Option<Selection>,
    /// Crops and statistics.
    pub transform: TransformChoice,
    /// Fine-tuning.
    pub tune: TuneGrid,
    /// Where and with how much; changes no number but in rounding.
    pub runtime: Runtime,
    /// Pretrained towers.
    pub source: Vec<SourceConfig>,
    /// Tasks.
    pub task: Vec<TaskConfig>,
}

impl Default for SweepConfig {
    fn default() -> Self {
        Self {
            protocol: Protocol::Corrected,
            shots: vec![
                Shots::PerClass(1),
                Shots::PerClass(5),
                Shots::PerClass(10),
                Shots::PerClass(20),
                Shots::All,
            ],
            methods: vec![Method::FineTune],
            seeds: vec![0, 1, 2],
            templates: None,
            alphas: Vec::new(),
            strengths: crate::transfer::probe::default_strengths(),
            max_unreadable: DEFAULT_MAX_UNREADABLE,
            selection: None,
            transform: TransformChoice::default(),
            tune: TuneGrid::default(),
            runtime: Runtime::default(),
            source: Vec::new(),
            task: Vec::new(),
        }
    }
}

/// Prompts, or the file they are in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Templates {
    /// One a line.
    File(PathBuf),
    /// Here.
    Here(Vec<String>),
}

/// What the user says of crops and statistics; the rest follows from method and protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransformChoice {
    /// `timm` for fine-tuning and `clip` for frozen towers without.
    pub preset: Option<Preset>,
    /// The tower's own, CLIP's, without; ImageNet's as published.
    pub statistics: Option<Normalisation>,
}

/// Lists that multiply, and what all fine-tuning has in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TuneGrid {
    /// Where heads begin; `zero-shot`, and `random` from scratch, without.
    pub head: Option<HeadStart>,
    /// Largest learning rates.
    pub lr: Vec<f64>,
    /// Passes over the training images.
    pub epochs: Vec<u32>,
    /// Images a step.
    pub batch_size: Vec<u32>,
    /// AdamW's weight decay.
    pub weight_decay: f64,
    /// Steps of warm-up; `corrected` takes a tenth of a run at most.
    pub warmup_steps: u64,
    /// Number format of the forward pass.
    pub precision: Precision,
}

impl Default for TuneGrid {
    /// The paper's words: lr "mostly" these, 128 epochs, batch 128, decay 0.1 (protocol §4.1).
    fn default() -> Self {
        Self {
            head: None,
            lr: vec![1e-4, 3e-4, 1e-3, 3e-3],
            epochs: vec![128],
            batch_size: vec![128],
            weight_decay: 0.1,
            warmup_steps: WARMUP_STEPS,
            precision: Precision::Fp32,
        }
    }
}

/// Where it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Runtime {
    /// `auto`, `cpu` or `cuda`.
    pub device: DeviceName,
    /// Cores; 0 for all.
    pub threads: usize,
    /// Runs that are trained side by side at most.
    pub together: usize,
    /// Decoded pictures that are kept.
    pub pictures: Budget,
    /// Folder for what does not fit into memory; the system's without.
    pub scratch: Option<PathBuf>,
    /// Seconds between two passes of a run that are kept, at least; 0 keeps every pass. A killed sweep loses at most the
    /// running pass and this.
    pub keep_s: u64,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            device: DeviceName::Auto,
            threads: 0,
            together: 8,
            pictures: Budget::default(),
            scratch: None,
            keep_s: DEFAULT_KEEP_S,
        }
    }
}

/// A dataset and what is different for it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Table")]
pub struct TaskConfig {
    /// The dataset.
    pub dataset: DatasetConfig,
    /// Instead of the grid's.
    pub over: Overrides,
}

/// What a task may say instead of the grid.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    /// Instead of `shots`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shots: Option<Vec<Shots>>,
    /// Instead of `templates`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub templates: Option<Templates>,
    /// Instead of `tune.lr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<Vec<f64>>,
    /// Instead of `tune.epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<Vec<u32>>,
    /// Instead of `tune.batch_size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<Vec<u32>>,
}

const OVERRIDES: [&str; 5] = ["shots", "templates", "lr", "epochs", "batch_size"];

impl TaskConfig {
    /// A dataset as the grid has it.
    pub fn new(dataset: DatasetConfig) -> Self {
        Self { dataset, over: Overrides::default() }
    }
}

impl TryFrom<Table> for TaskConfig {
    type Error = toml::de::Error;

    fn try_from(mut table: Table) -> Result<Self, Self::Error> {
        let over: Table =
            OVERRIDES.iter().filter_map(|&key| Some((key.to_owned(), table.remove(key)?))).collect();
        Ok(Self { dataset: table.try_into()?, over: over.try_into()? })
    }
}

impl Serialize for TaskConfig {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut table = Table::try_from(&self.dataset).map_err(S::Error::custom)?;
        table.extend(Table::try_from(&self.over).map_err(S::Error::custom)?);
        table.serialize(to)
    }
}

impl SweepConfig {
    /// Reads a file; its paths are relative to it.
    ///
    /// # Errors
    /// When it cannot be read or a setting is wrong.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let wrong = |message: String| TrainError::Transfer(format!("{}: {message}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let mut config: Self =
            toml::from_str(&text).map_err(|error| wrong(error.to_string().trim().replace('\n', " ")))?;
        config.relative_to(path.parent().unwrap_or(Path::new("")));
        config.check().map_err(|error| wrong(error.to_string()))?;
        Ok(config)
    }

    fn relative_to(&mut self, folder: &Path) {
        let join = |path: &mut PathBuf| *path = folder.join(&*path);
        for source in &mut self.source {
            source.checkpoint.as_mut().map(join);
            if let Some(model) = source.model.as_mut().filter(|model| model.ends_with(".toml")) {
                *model = folder.join(&*model).to_string_lossy().into_owned();
            }
        }
        let templates = |templates: &mut Option<Templates>| {
            if let Some(Templates::File(path)) = templates {
                join(path);
            }
        };
        templates(&mut self.templates);
        for task in &mut self.task {
            join(&mut task.dataset.root);
            templates(&mut task.over.templates);
        }
    }

    /// Whether the grid makes sense.
    ///
    /// # Errors
    /// Naming the setting that does not.
    pub fn check(&self) -> Result<(), TrainError> {
        let wrong = |message: String| Err(TrainError::Transfer(message));
        for (what, empty) in [
            ("[[source]]", self.source.is_empty()),
            ("[[task]]", self.task.is_empty()),
            ("shots", self.shots.is_empty()),
            ("methods", self.methods.is_empty()),
            ("seeds", self.seeds.is_empty()),
            ("strengths", self.strengths.is_empty()),
            ("tune.lr", self.tune.lr.is_empty()),
            ("tune.epochs", self.tune.epochs.is_empty()),
            ("tune.batch_size", self.tune.batch_size.is_empty()),
        ] {
            if empty {
                return wrong(format!("{what} is empty; there is nothing to run"));
            }
        }
        let tasks = |of: fn(&Overrides) -> Option<&Vec<f64>>| {
            self.task.iter().filter_map(move |task| of(&task.over)).flatten().copied()
        };
        let rates = self.tune.lr.iter().copied().chain(tasks(|over| over.lr.as_ref()));
        if let Some(lr) = rates.into_iter().find(|lr| !(lr.is_finite() && *lr > 0.0)) {
            return wrong(format!("lr = {lr}: a learning rate is a number above 0"));
        }
        if let Some(strength) = self.strengths.iter().find(|c| !(c.is_finite() && **c > 0.0)) {
            return wrong(format!("strengths: {strength} is not a number above 0"));
        }
        if !(0.0..=1.0).contains(&self.max_unreadable) {
            return wrong(format!("max_unreadable = {}: a share from 0 to 1", self.max_unreadable));
        }
        for source in &self.source {
            if RunConfig::of_loss(&source.loss).objective != source.loss {
                return wrong(format!(
                    "source {}: loss = {:?} ends like a method; give the objective alone, such as CLIP",
                    source.name, source.loss
                ));
            }
        }
        if let Some(alpha) = self.alphas.iter().find(|alpha| !(0.0..=1.0).contains(*alpha)) {
            return wrong(format!("alphas: {alpha} is not between 0 and 1"));
        }
        let over =
            |of: fn(&Overrides) -> Option<&Vec<u32>>| self.task.iter().filter_map(move |t| of(&t.over));
        for (name, lists) in [
            ("epochs", over(|o| o.epochs.as_ref()).chain([&self.tune.epochs]).collect::<Vec<_>>()),
            ("batch_size", over(|o| o.batch_size.as_ref()).chain([&self.tune.batch_size]).collect()),
        ] {
            if lists.iter().any(|list| list.is_empty() || list.contains(&0)) {
                return wrong(format!("{name}: numbers of 1 or more"));
            }
        }
        if self.shots.contains(&Shots::Zero) {
            return wrong("shots: for no shots at all use methods = [\"zero-shot\"]".into());
        }
        let mut names: Vec<&str> = self.source.iter().map(|source| source.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return wrong(format!("two sources are called {}; tables could not tell them apart", pair[0]));
        }
        if self.protocol == Protocol::AsPublished {
            // NumPy takes no others, and a larger one cut to 32 bits would draw what a small one draws.
            if let Some(seed) = self.seeds.iter().find(|seed| u32::try_from(**seed).is_err()) {
                return wrong(format!(
                    "seeds: {seed}: the seeds of as-published are NumPy's, 0 to {}",
                    u32::MAX
                ));
            }
            if let Some(selection) = self.selection.filter(|&chosen| chosen != Selection::TestBest) {
                return wrong(format!(
                    "selection = {selection}: as-published chooses the epoch on the test set"
                ));
            }
            if self.transform != TransformChoice::default() {
                return wrong("transform: as-published has its own; leave it out".into());
            }
            let templates = |task: &TaskConfig| task.over.templates.is_some() || self.templates.is_some();
            if !self.task.iter().all(templates) {
                return wrong(
                    "templates: as-published uses the 80 ImageNet templates; `./justw prompts` writes them to a file".into(),
                );
            }
        } else if self.selection == Some(Selection::TestBest) {
            return wrong(
                "selection = test-best chooses on what it reports; it belongs to as-published".into(),
            );
        }
        Ok(())
    }

    /// The templates of a task: the user's, else those that lie beside the dataset (`own`), else [`TEMPLATES`].
    ///
    /// # Errors
    /// When the file cannot be read or a template has no place for the class name.
    pub fn templates(&self, task: &TaskConfig, own: Option<&[String]>) -> Result<Vec<String>, TrainError> {
        let (templates, place) = match (task.over.templates.as_ref().or(self.templates.as_ref()), own) {
            (None, Some(own)) => (own.to_vec(), "templates of the dataset".to_owned()),
            (None, None) => (TEMPLATES.map(String::from).to_vec(), "templates".to_owned()),
            (Some(Templates::Here(list)), _) => {
                (list.iter().map(|template| list::template(template)).collect(), "templates".to_owned())
            }
            (Some(Templates::File(path)), _) => {
                let place = path.display().to_string();
                let bytes = fs::read(path)
                    .map_err(|error| TrainError::Transfer(format!("{place}: cannot be read: {error}")))?;
                (list::templates(&place, &bytes)?, place)
            }
        };
        if templates.is_empty() {
            return Err(TrainError::Transfer(format!("{place}: no templates")));
        }
        match templates.iter().find(|template| !template.contains(PLACE)) {
            Some(template) => Err(TrainError::Transfer(format!(
                "{place}: the template {template:?} has no {PLACE} for the class name"
            ))),
            None => Ok(templates),
        }
    }

    /// As TOML, to stand beside the results.
    ///
    /// # Errors
    /// When a setting has no TOML form.
    pub fn to_toml(&self) -> Result<String, TrainError> {
        let text = Value::try_from(self).and_then(|value| toml::to_string(&value));
        text.map_err(|error| TrainError::Transfer(format!("the grid has no TOML form: {error}")))
    }
}
