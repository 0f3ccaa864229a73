//! How a tar is read: what each reader of this crate does where tars of other people differ from FORMAT.md §2.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Whether a tar must end in its zero blocks, and nothing but zeros follow them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EndMarker {
    /// A tar that just stops is an error: it was cut off, or its writer was killed. So is data behind the zero blocks, as
    /// in tars that were joined by `cat`.
    #[default]
    Required,
    /// A tar that stops between two members is taken as it is, as Python's tarfile does, and what follows the zero blocks
    /// is passed over.
    Optional,
}

/// What becomes of a key that returns after other samples, as in a tar that is not sorted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Unsorted {
    /// It is an error: each half would pass for a sample
    #[default]
    Stop,
    /// All members of a key are one sample, which stands where its first member does
    Join,
    /// Each run of adjacent members is a sample of its own, as in webdataset
    Split,
}

/// What becomes of a sample with a member that cannot be read: its name is not UTF-8, or it is a link to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum BadSamples {
    /// It is an error
    #[default]
    Stop,
    /// The sample is left out and counted
    Skip,
    /// The sample stays, and [`problem`](super::SampleSpan::problem) says what is wrong with it.
    #[cfg_attr(feature = "cli", value(skip))]
    Keep,
}

impl Unsorted {
    /// The word that users type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Join => "join",
            Self::Split => "split",
        }
    }
}

impl fmt::Display for Unsorted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for BadSamples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stop => "stop",
            Self::Skip => "skip",
            Self::Keep => "keep",
        })
    }
}

/// How a tar is read. The default is the strictest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TarOptions {
    /// The closing zero blocks.
    pub end_marker: EndMarker,
    /// Keys that return.
    pub unsorted: Unsorted,
    /// Samples that cannot be read.
    pub bad_samples: BadSamples,
    /// Folder for the unnamed file that a compressed tar is unpacked into; the system's temporary folder without.
    pub scratch: Option<PathBuf>,
}

impl From<EndMarker> for TarOptions {
    fn from(end_marker: EndMarker) -> Self {
        Self { end_marker, ..Self::default() }
    }
}

impl From<&Self> for TarOptions {
    fn from(options: &Self) -> Self {
        options.clone()
    }
}
