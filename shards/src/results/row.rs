//! One result row and the closed sets of words in it.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::words::hex;

/// An enum whose variants are words on disk.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// All, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word on disk.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    other => Err(format!("`{other}` is none of {}", [$($word),+].join(", "))),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

words! {
    /// Which of the two readings of the study a run followed. They differ in what is measured (test subsets, class
    /// order of the zero-shot head, what the probe was trained on), so their values are never compared or mixed.
    Protocol {
        /// The published code's behaviour with its defects repaired.
        Corrected = "corrected",
        /// The published code's behaviour as it is.
        AsPublished = "as-published",
    }
}

words! {
    /// Which epoch of a run its value is from.
    Selection {
        /// The best on the test set, as the study did.
        TestBest = "test-best",
        /// The best on a validation set.
        ValBest = "val-best",
        /// The last.
        Last = "last",
    }
}

words! {
    /// What a value was measured on.
    Split {
        /// Images the run never saw and that chose nothing (but see [`Selection::TestBest`]).
        Test = "test",
        /// Images that may choose epochs and settings.
        Val = "val",
    }
}

words! {
    /// How a tower was brought to a task. In the TSV view it stands at the end of the column `loss`, so its words there
    /// are those of the paper's table ([`RunConfig::loss`]).
    Method {
        /// The class names are the head; nothing is trained.
        ZeroShot = "zero-shot",
        /// A head alone, on frozen features.
        LinearProbe = "linear-probe",
        /// Everything is trained, from a zero-shot head.
        FineTune = "fine-tune",
        /// Everything is trained, from a random head.
        RandomHead = "random-head",
        /// Everything is trained, from a probe's head.
        LpFt = "lp-ft",
    }
}

impl Default for Method {
    /// What the paper's column `loss` means where it names no method.
    fn default() -> Self {
        Self::FineTune
    }
}

impl Method {
    /// What the TSV view's column `loss` ends in.
    fn ending(self) -> &'static str {
        match self {
            Self::ZeroShot => "_zero-shot",
            Self::LinearProbe => "_LP",
            Self::FineTune => "",
            Self::RandomHead => "_random-head",
            Self::LpFt => "_LP-FT",
        }
    }
}

words! {
    /// Which part of a test image the tower saw. Two values of one model on the same images differ where this does.
    View {
        /// The whole centre square, as CLIP's own evaluation.
        Whole = "whole-square",
        /// The middle 7/8 of the centre square, as timm's evaluation.
        Centre = "centre-7/8",
    }
}

/// Before the share of a mixture in the TSV view's column `loss`.
const MIXTURE: &str = "_WiSE-FT-";

/// Labelled images per class a run was fine-tuned on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shots {
    /// None: the initial head, before any fine-tuning.
    Zero,
    /// This many of each class, 1 or more.
    PerClass(u32),
    /// Every training image.
    All,
}

impl fmt::Display for Shots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => f.write_str("zero"),
            Self::PerClass(n) => write!(f, "{n}"),
            Self::All => f.write_str("full"),
        }
    }
}

impl FromStr for Shots {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "zero" => Ok(Self::Zero),
            "full" => Ok(Self::All),
            // Only the canonical spelling, so that one setting has one word.
            _ if word.starts_with(|c: char| ('1'..='9').contains(&c)) => match word.parse() {
                Ok(n) => Ok(Self::PerClass(n)),
                Err(_) => Err(format!("`{word}` is no number of shots")),
            },
            _ => Err(format!("`{word}` is neither `zero`, a number of images per class, nor `full`")),
        }
    }
}

impl Serialize for Shots {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::PerClass(n) => to.serialize_u32(*n),
            word => to.serialize_str(&word.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for Shots {
    /// A number, or one of the words.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Word {
            Number(u32),
            Text(String),
        }
        match Word::deserialize(from)? {
            Word::Number(n) => n.to_string().parse(),
            Word::Text(text) => text.parse(),
        }
        .map_err(D::Error::custom)
    }
}

/// The settings that tell runs apart, with the names of the paper's table: `us` is upstream (pretraining), `ds`
/// downstream (fine-tuning).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "WrittenConfig")]
pub struct RunConfig {
    /// Pretraining objective: `CLIP`, `SimCLR`, `Supervised`.
    pub objective: String,
    /// How the tower was brought to the task.
    pub method: Method,
    /// Share of the fine-tuned weights in a mixture with those before (WiSE-FT), 0–1; `None` for no mixture.
    pub alpha: Option<f64>,
    /// Architecture of the image tower: `RN50`, `VITB32`.
    pub arch: String,
    /// Pretraining source: `Shutterstock2.7m`.
    pub us: String,
    /// Task: `DTD`.
    pub ds: String,
    /// Pretraining epochs.
    pub us_epochs: Option<u32>,
    /// Peak learning rate of pretraining.
    pub us_lr: Option<f64>,
    /// Global batch size of pretraining.
    pub us_bs: Option<u32>,
    /// Weight decay of pretraining.
    pub us_wd: Option<f64>,
    /// Fine-tuning epochs.
    pub ds_epochs: Option<u32>,
    /// Peak learning rate of fine-tuning.
    pub ds_lr: Option<f64>,
    /// Batch size of fine-tuning.
    pub ds_bs: Option<u32>,
    /// Weight decay of fine-tuning.
    pub ds_wd: Option<f64>,
    /// Names the pretrained weights and their architecture by content. Two checkpoints may share a name `us`.
    pub weights: Option<String>,
    /// Names the task's classes and images by content. Two datasets may share a name `ds`.
    pub images: Option<String>,
    /// Names every other setting by content: prompts, image transform, rule of selection, precision, strengths.
    pub setup: Option<String>,
}

/// A [`RunConfig`] in JSON as any version wrote it: the first had `loss` in place of objective, method and alpha.
#[derive(Deserialize)]
struct WrittenConfig {
    objective: Option<String>,
    method: Option<Method>,
    alpha: Option<f64>,
    loss: Option<String>,
    arch: String,
    us: String,
    ds: String,
    us_epochs: Option<u32>,
    us_lr: Option<f64>,
    us_bs: Option<u32>,
    us_wd: Option<f64>,
    ds_epochs: Option<u32>,
    ds_lr: Option<f64>,
    ds_bs: Option<u32>,
    ds_wd: Option<f64>,
    weights: Option<String>,
    images: Option<String>,
    setup: Option<String>,
}

impl TryFrom<WrittenConfig> for RunConfig {
    type Error = String;

    fn try_from(written: WrittenConfig) -> Result<Self, String> {
        let config = match (written.objective, written.loss) {
            (Some(objective), _) => Self {
                objective,
                method: written.method.unwrap_or_default(),
                alpha: written.alpha,
                ..Self::default()
            },
            (None, Some(loss)) => Self::of_loss(&loss),
            (None, None) => return Err("neither `objective` nor `loss`".to_owned()),
        };
        Ok(Self {
            arch: written.arch,
            us: written.us,
            ds: written.ds,
            us_epochs: written.us_epochs,
            us_lr: written.us_lr,
            us_bs: written.us_bs,
            us_wd: written.us_wd,
            ds_epochs: written.ds_epochs,
            ds_lr: written.ds_lr,
            ds_bs: written.ds_bs,
            ds_wd: written.ds_wd,
            weights: written.weights,
            images: written.images,
            setup: written.setup,
            ..config
        })
    }
}

impl RunConfig {
    /// Objective, method and alpha as one text, as the paper's table has it: `CLIP`, `CLIP_LP-FT`,
    /// `CLIP_LP-FT_WiSE-FT-0.5`. [`RunConfig::of_loss`] takes it apart again.
    pub fn loss(&self) -> String {
        let mixture = self.alpha.map_or_else(String::new, |alpha| format!("{MIXTURE}{alpha}"));
        format!("{}{}{mixture}", self.objective, self.method.ending())
    }

    /// A config with the objective, method and alpha of a text as [`RunConfig::loss`] writes it, and nothing else.
    pub fn of_loss(loss: &str) -> Self {
        let (rest, alpha) = match loss.rsplit_once(MIXTURE) {
            Some((rest, share)) if !rest.is_empty() => match share.parse::<f64>() {
                // Only what is written back as it was read.
                Ok(alpha) if (0.0..=1.0).contains(&alpha) && alpha.to_string() == share => {
                    (rest, Some(alpha))
                }
                _ => (loss, None),
            },
            _ => (loss, None),
        };
        let split = Method::ALL.iter().filter(|method| !method.ending().is_empty()).find_map(|&method| {
            let objective = rest.strip_suffix(method.ending()).filter(|objective| !objective.is_empty())?;
            Some((objective, method))
        });
        let (objective, method) = split.unwrap_or((rest, Method::FineTune));
        Self { objective: objective.to_owned(), method, alpha, ..Self::default() }
    }

    /// Sixteen hex digits that name the settings: the head of the SHA-256 of their text. Rows of the paper's table
    /// carry no run, so this stands in for it; rows of one configuration share it.
    pub fn hash(&self) -> String {
        let int = |n: Option<u32>| n.map_or_else(String::new, |n| n.to_string());
        let float = |x: Option<f64>| x.map_or_else(String::new, |x| format!("{x:e}"));
        let mut parts = vec![
            self.loss(),
            self.arch.clone(),
            self.us.clone(),
            self.ds.clone(),
            int(self.us_epochs),
            float(self.us_lr),
            int(self.us_bs),
            float(self.us_wd),
            int(self.ds_epochs),
            float(self.ds_lr),
            int(self.ds_bs),
            float(self.ds_wd),
        ];
        // Rows that do not know them keep the names they had before there were such columns.
        let contents = [&self.weights, &self.images, &self.setup];
        if contents.iter().any(|content| content.is_some()) {
            parts.extend(contents.map(|content| content.clone().unwrap_or_default()));
        }
        hex(&Sha256::digest(parts.join("\t").as_bytes())[..8])
    }
}

/// JSON has no NaN and gets `null` for it.
fn nan_where_null<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// One measured value of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultRow {
    /// Names the run: a hash of its resolved configuration.
    pub run: String,
    /// Which protocol it followed.
    pub protocol: Protocol,
    /// Which epoch the value is from.
    pub selection: Selection,
    /// What tells runs apart.
    pub config: RunConfig,
    /// Training images per class.
    pub shots: Shots,
    /// Seed of the draw and the training; unknown for the paper's rows.
    pub seed: Option<u64>,
    /// What it was measured on.
    pub split: Split,
    /// `acc1`, `acc5`, `mean_per_class_recall`, … as CLIP_benchmark names them.
    pub metric: String,
    /// The value. Accuracies and recalls are percentages, 0–100. NaN: measured, and no number came out.
    #[serde(deserialize_with = "nan_where_null")]
    pub value: f64,
    /// Images it was measured on, where known.
    pub num_test: Option<u64>,
    /// Which part of each image the tower saw, where known.
    #[serde(default)]
    pub view: Option<View>,
    /// Whether the probe behind the value reached its optimum; `None` where no probe was fitted, or nobody knows.
    #[serde(default)]
    pub converged: Option<bool>,
    /// Versions of what produced it: `pairmill 0.1.0; torch 2.11.0`.
    pub versions: String,
    /// Wall-clock seconds of the run.
    pub wall_s: Option<f64>,
    /// Seconds of accelerator (or CPU, if that was the device) time of the run.
    pub device_s: Option<f64>,
}

impl ResultRow {
    /// Why the row is not one of the format, if so: `column` and what is wrong with it.
    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        let blank = |text: &str| text.trim().is_empty() || text.contains(['\t', '\n', '\r']);
        for (column, text) in [
            ("run", &self.run),
            ("objective", &self.config.objective),
            ("arch", &self.config.arch),
            ("us", &self.config.us),
            ("ds", &self.config.ds),
            ("metric", &self.metric),
        ] {
            if blank(text) {
                return Some((column, format!("{text:?} is no name; give one without tabs or line ends")));
            }
        }
        let objective = &self.config.objective;
        if RunConfig::of_loss(objective).objective != *objective {
            let rule = "it ends like a method; the method has a column of its own, so leave it out";
            return Some(("objective", format!("{objective:?}: {rule}")));
        }
        if let Some(alpha) = self.config.alpha.filter(|alpha| !(0.0..=1.0).contains(alpha)) {
            return Some(("alpha", format!("{alpha} is not between 0 and 1")));
        }
        for (column, text) in [
            ("weights", &self.config.weights),
            ("images", &self.config.images),
            ("setup", &self.config.setup),
        ] {
            if let Some(text) = text.as_ref().filter(|text| blank(text)) {
                return Some((column, format!("{text:?} is no name; write null where it is not known")));
            }
        }
        for (column, x) in [
            ("us_lr", self.config.us_lr),
            ("us_wd", self.config.us_wd),
            ("ds_lr", self.config.ds_lr),
            ("ds_wd", self.config.ds_wd),
            ("wall_s", self.wall_s),
            ("device_s", self.device_s),
        ] {
            if x.is_some_and(|x| !x.is_finite() || x < 0.0) {
                return Some((
                    column,
                    format!("{} is not a finite number of 0 or more", x.unwrap_or_default()),
                ));
            }
        }
        if self.value.is_infinite() {
            return Some(("value", "infinite; leave the row out or write NaN".to_owned()));
        }
        if self.is_percentage() && !(self.value.is_nan() || (0.0..=100.0).contains(&self.value)) {
            return Some(("value", format!("{} is not a percentage between 0 and 100", self.value)));
        }
        None
    }

    fn is_percentage(&self) -> bool {
        self.metric.starts_with("acc") || self.metric.contains("recall")
    }
}
