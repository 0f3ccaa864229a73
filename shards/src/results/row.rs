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
pub struct RunConfig {
    /// Pretraining objective and way of fine-tuning: `CLIP`, `CLIP_LP-FT`, `SimCLR_LP-FT`, `Supervised`.
    pub loss: String,
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
}

impl RunConfig {
    /// Sixteen hex digits that name the settings: the head of the SHA-256 of their text. Rows of the paper's table
    /// carry no run, so this stands in for it; rows of one configuration share it.
    pub fn hash(&self) -> String {
        let int = |n: Option<u32>| n.map_or_else(String::new, |n| n.to_string());
        let float = |x: Option<f64>| x.map_or_else(String::new, |x| format!("{x:e}"));
        let text = [
            self.loss.clone(),
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
        ]
        .join("\t");
        hex(&Sha256::digest(text.as_bytes())[..8])
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
            ("loss", &self.config.loss),
            ("arch", &self.config.arch),
            ("us", &self.config.us),
            ("ds", &self.config.ds),
            ("metric", &self.metric),
        ] {
            if blank(text) {
                return Some((column, format!("{text:?} is no name; give one without tabs or line ends")));
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
