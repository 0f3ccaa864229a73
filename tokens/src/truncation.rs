//! What becomes of a caption with more ids than the context has places.

use std::fmt;
use std::str::FromStr;

/// How a caption of more than 77 ids is cut. `FromStr` and `Display` use the names on the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Truncation {
    /// `end-token`: the last place holds the end token (open_clip since its commit 39d3a94 of July 2022).
    #[default]
    EndToken,
    /// `cut`: plainly cut, the end token is lost (open_clip before, and the study).
    Cut,
}

impl fmt::Display for Truncation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndToken => "end-token",
            Self::Cut => "cut",
        })
    }
}

/// No truncation has that name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no truncation {0:?}: use end-token or cut")]
pub struct UnknownTruncation(String);

impl FromStr for Truncation {
    type Err = UnknownTruncation;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "end-token" => Ok(Self::EndToken),
            "cut" => Ok(Self::Cut),
            _ => Err(UnknownTruncation(name.to_owned())),
        }
    }
}
