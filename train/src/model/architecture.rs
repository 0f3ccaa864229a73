//! Architectures as data: the numbers that fix the shape of every weight. The known ones are the files of
//! `train/models`; a user's own file goes through the same door. A constructor takes only what passed [`validate`].
//!
//! [`validate`]: Architecture::validate

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Everything about a CLIP model but its weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// What the model is called in logs and checkpoints.
    pub name: String,
    /// Width of the features both towers end in.
    pub embed_dim: i64,
    /// Activation of the transformers. It belongs to a checkpoint as much as its weights do: OpenAI's and those
    /// of open_clip 0.1 need QuickGELU, later ones of open_clip GELU, and nothing in the weights says which.
    #[serde(default)]
    pub activation: Activation,
    /// The image tower.
    pub visual: VisualArchitecture,
    /// The text tower.
    pub text: TextArchitecture,
}

/// What stands between the two layers of a transformer's MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x·Φ(x), exactly.
    #[default]
    Gelu,
    /// x·σ(1.702·x).
    QuickGelu,
}

/// The two kinds of image tower.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum VisualArchitecture {
    /// CLIP's ResNet: three convolutions first, blurred strides, attention instead of the last mean.
    Resnet(ResnetArchitecture),
    /// A vision transformer with a class token.
    Transformer(VitArchitecture),
}

/// Numbers of a ResNet tower.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResnetArchitecture {
    /// Side of the square pictures, in pixels; a multiple of 32.
    pub image_size: i64,
    /// Blocks in each of the four stages.
    pub layers: [i64; 4],
    /// Channels after the first three convolutions; the last stage has 32 times as many.
    pub width: i64,
    /// Channels of a head of the attention at the end.
    #[serde(default = "default_head_width")]
    pub head_width: i64,
}

/// Numbers of a vision transformer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VitArchitecture {
    /// Side of the square pictures, in pixels; a multiple of `patch_size`.
    pub image_size: i64,
    /// Side of a patch, in pixels.
    pub patch_size: i64,
    /// Number of blocks.
    pub layers: i64,
    /// Channels of a token.
    pub width: i64,
    /// Channels of a head.
    #[serde(default = "default_head_width")]
    pub head_width: i64,
}

/// Numbers of the text tower.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextArchitecture {
    /// Tokens of a text, padded.
    #[serde(default = "default_context_length")]
    pub context_length: i64,
    /// Number of different tokens.
    #[serde(default = "default_vocab_size")]
    pub vocab_size: i64,
    /// Channels of a token.
    pub width: i64,
    /// Heads of a block.
    pub heads: i64,
    /// Number of blocks.
    pub layers: i64,
}

fn default_head_width() -> i64 {
    64
}

fn default_context_length() -> i64 {
    77
}

fn default_vocab_size() -> i64 {
    49_408
}

/// Layers of the hidden part of every MLP, relative to the width of a token.
pub(super) const MLP_RATIO: i64 = 4;

/// The architectures that need no file of the user's.
const KNOWN: [&str; 16] = [
    include_str!("../../models/rn50.toml"),
    include_str!("../../models/rn101.toml"),
    include_str!("../../models/rn50x4.toml"),
    include_str!("../../models/rn50x16.toml"),
    include_str!("../../models/rn50x64.toml"),
    include_str!("../../models/vit_b_32.toml"),
    include_str!("../../models/vit_b_32_256.toml"),
    include_str!("../../models/vit_b_16.toml"),
    include_str!("../../models/vit_b_16_plus_240.toml"),
    include_str!("../../models/vit_l_16.toml"),
    include_str!("../../models/vit_l_14.toml"),
    include_str!("../../models/vit_l_14_336.toml"),
    include_str!("../../models/vit_h_14.toml"),
    include_str!("../../models/vit_h_14_378.toml"),
    include_str!("../../models/rn_tiny.toml"),
    include_str!("../../models/vit_tiny.toml"),
];

/// What open_clip appends to the names of configurations with QuickGELU.
const QUICK_GELU: &str = "-quickgelu";

/// No architecture.
#[derive(Debug, thiserror::Error)]
pub enum ArchitectureError {
    /// Neither a known name nor a file.
    #[error(
        "no model is called {name:?}; there are {known}, each also with -quickgelu, or the path of a .toml file"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// All names, comma-separated.
        known: String,
    },
    /// The file cannot be read.
    #[error("model file {}: {source}", path.display())]
    File {
        /// The user's path.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is no architecture.
    #[error("model file {place}: {message}")]
    Syntax {
        /// Path, or "(built in)".
        place: String,
        /// What the parser says, in one line.
        message: String,
    },
    /// The numbers do not fit each other.
    #[error("model {name}: {reason}")]
    Invalid {
        /// Name of the architecture.
        name: String,
        /// Which rule is broken, by which numbers.
        reason: String,
    },
}

impl Architecture {
    /// The architecture of that name, as open_clip spells it (`RN50`, `ViT-B-32-quickgelu`, in any case), or the one
    /// in that file (anything that ends in `.toml`).
    ///
    /// # Errors
    /// When there is none or its numbers do not fit each other.
    pub fn find(name_or_path: &str) -> Result<Self, ArchitectureError> {
        if name_or_path.ends_with(".toml") {
            return Self::read(Path::new(name_or_path));
        }
        let lower = name_or_path.to_lowercase();
        let (plain, quick) = match lower.strip_suffix(QUICK_GELU) {
            Some(plain) => (plain, true),
            None => (lower.as_str(), false),
        };
        let mut names = Vec::new();
        for text in KNOWN {
            let mut found = Self::parse(text, "(built in)")?;
            if found.name.to_lowercase() == plain {
                if quick {
                    found.name.push_str(QUICK_GELU);
                    found.activation = Activation::QuickGelu;
                }
                return Ok(found);
            }
            names.push(found.name);
        }
        Err(ArchitectureError::Unknown { name: name_or_path.to_string(), known: names.join(", ") })
    }

    /// Names of the architectures that need no file, as open_clip spells them.
    pub fn names() -> Vec<String> {
        KNOWN.iter().filter_map(|text| Some(Self::parse(text, "(built in)").ok()?.name)).collect()
    }

    /// Reads a user's file.
    ///
    /// # Errors
    /// When it cannot be read, is no architecture, or its numbers do not fit each other.
    pub fn read(path: &Path) -> Result<Self, ArchitectureError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ArchitectureError::File { path: path.to_path_buf(), source })?;
        Self::parse(&text, &path.display().to_string())
    }

    fn parse(text: &str, place: &str) -> Result<Self, ArchitectureError> {
        let architecture: Self = toml::from_str(text).map_err(|error| ArchitectureError::Syntax {
            place: place.to_string(),
            message: one_line(&error, text),
        })?;
        architecture.validate()?;
        Ok(architecture)
    }

    /// Side of the square pictures the image tower takes, in pixels.
    pub fn image_size(&self) -> i64 {
        match &self.visual {
            VisualArchitecture::Resnet(resnet) => resnet.image_size,
            VisualArchitecture::Transformer(vit) => vit.image_size,
        }
    }

    /// The same for square pictures of another size.
    ///
    /// # Errors
    /// When the image tower cannot take them.
    pub fn with_image_size(mut self, pixels: i64) -> Result<Self, ArchitectureError> {
        match &mut self.visual {
            VisualArchitecture::Resnet(resnet) => resnet.image_size = pixels,
            VisualArchitecture::Transformer(vit) => vit.image_size = pixels,
        }
        self.validate()?;
        Ok(self)
    }

    /// Checks that the numbers fit each other and stay within what anyone has trained.
    ///
    /// # Errors
    /// With the broken rule in words.
    pub fn validate(&self) -> Result<(), ArchitectureError> {
        let broken = |reason| ArchitectureError::Invalid { name: self.name.clone(), reason };
        within("embed_dim", self.embed_dim, 1, 65_536).map_err(broken)?;
        match &self.visual {
            VisualArchitecture::Resnet(resnet) => resnet.validate(),
            VisualArchitecture::Transformer(vit) => vit.validate(),
        }
        .map_err(|reason| broken(format!("visual: {reason}")))?;
        self.text.validate().map_err(|reason| broken(format!("text: {reason}")))
    }
}

impl ResnetArchitecture {
    /// Channels of the last stage, which the attention at the end works on.
    pub fn num_features(&self) -> i64 {
        self.width * 32
    }

    /// Heads of the attention at the end.
    pub fn heads(&self) -> i64 {
        self.num_features() / self.head_width
    }

    fn validate(&self) -> Result<(), String> {
        within("image_size", self.image_size, 32, 8_192)?;
        within("width", self.width, 2, 4_096)?;
        for blocks in self.layers {
            within("layers", blocks, 1, 1_000)?;
        }
        divides("image_size", self.image_size, "the stride of a ResNet", 32)?;
        divides("width", self.width, "the first convolutions' half width", 2)?;
        within("head_width", self.head_width, 1, self.num_features())?;
        divides("32 × width", self.num_features(), "head_width", self.head_width)
    }
}

impl VitArchitecture {
    /// Heads of a block.
    pub fn heads(&self) -> i64 {
        self.width / self.head_width
    }

    /// Patches along one side.
    pub fn grid(&self) -> i64 {
        self.image_size / self.patch_size
    }

    fn validate(&self) -> Result<(), String> {
        within("image_size", self.image_size, 1, 8_192)?;
        within("patch_size", self.patch_size, 1, self.image_size)?;
        within("layers", self.layers, 1, 1_000)?;
        within("width", self.width, 1, 65_536)?;
        within("head_width", self.head_width, 1, self.width)?;
        divides("image_size", self.image_size, "patch_size", self.patch_size)?;
        divides("width", self.width, "head_width", self.head_width)
    }
}

impl TextArchitecture {
    fn validate(&self) -> Result<(), String> {
        // Start, one token and end.
        within("context_length", self.context_length, 3, 65_536)?;
        within("vocab_size", self.vocab_size, 3, 10_000_000)?;
        within("width", self.width, 1, 65_536)?;
        within("heads", self.heads, 1, self.width)?;
        within("layers", self.layers, 1, 1_000)?;
        divides("width", self.width, "heads", self.heads)
    }
}

fn within(what: &str, value: i64, low: i64, high: i64) -> Result<(), String> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(format!("{what} is {value}; it must be {low} to {high}"))
    }
}

fn divides(what: &str, value: i64, by_what: &str, by: i64) -> Result<(), String> {
    if value % by == 0 {
        Ok(())
    } else {
        Err(format!("{what} is {value}, not a multiple of {by_what}, {by}"))
    }
}

fn one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    match error.span() {
        Some(span) => {
            let line = text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1);
            format!("line {line}: {message}")
        }
        None => message,
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gelu => "GELU",
            Self::QuickGelu => "QuickGELU",
        })
    }
}
