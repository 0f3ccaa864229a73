//! Samples that could not be used, and why.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use pairmill_shards::tar::BadMember;

/// Bad samples remembered one by one; beyond, they are only counted.
pub(crate) const MAX_REMEMBERED: usize = 1_000;

/// Why a sample cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BadReason {
    /// No member that is an image.
    #[error("no image member ({wanted}); members seen: {seen}")]
    NoImage {
        /// Extensions looked for.
        wanted: String,
        /// Extensions there are.
        seen: String,
    },
    /// No caption where it was looked for.
    #[error("no {wanted}; members seen: {seen}")]
    NoCaption {
        /// Member or field looked for.
        wanted: String,
        /// Extensions there are.
        seen: String,
    },
    /// The caption is empty and blank captions are dropped.
    #[error("blank caption")]
    BlankCaption,
    /// A member that cannot be read: its name is not UTF-8, or it is a link to nothing.
    #[error(transparent)]
    Member(#[from] BadMember),
    /// The caption or metadata is no text in an encoding that is read.
    #[error("`{0}` is neither UTF-8 nor UTF-16 with a byte-order mark nor Latin-1")]
    NotUtf8(String),
    /// The metadata is no JSON.
    #[error("`json` does not parse: {0}")]
    Json(String),
    /// No label, or none that is a whole number.
    #[error("no class number in {wanted}; {found}")]
    Label {
        /// Member or field looked for.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// The image is damaged or not decoded.
    #[error(transparent)]
    Image(#[from] pairmill_pixels::PixelError),
    /// Decoding or tokenising it panicked.
    #[error("decoding or tokenising it panicked, which is a defect; please report it with this sample")]
    Panic,
    /// The shard's bytes could not be read any more.
    #[error("cannot read: {0}")]
    Read(String),
}

impl BadReason {
    /// Every name that [`BadReason::name`] gives, so that ranks can add up their counts.
    pub const NAMES: [&str; 15] = [
        "no_image",
        "no_caption",
        "blank_caption",
        "link",
        "member_name",
        "not_utf8",
        "json",
        "label",
        "not_an_image",
        "unsupported_image",
        "truncated_image",
        "too_large_image",
        "corrupt_image",
        "panic",
        "read",
    ];

    /// A short, stable name for counting.
    pub fn name(&self) -> &'static str {
        use pairmill_pixels::PixelError as P;
        match self {
            Self::NoImage { .. } => "no_image",
            Self::NoCaption { .. } => "no_caption",
            Self::BlankCaption => "blank_caption",
            Self::Member(BadMember::Link { .. }) => "link",
            Self::Member(_) => "member_name",
            Self::NotUtf8(_) => "not_utf8",
            Self::Json(_) => "json",
            Self::Label { .. } => "label",
            Self::Image(P::NotAnImage) => "not_an_image",
            Self::Image(P::Unsupported(_)) => "unsupported_image",
            Self::Image(P::Truncated) => "truncated_image",
            Self::Image(P::Bomb { .. }) => "too_large_image",
            Self::Image(P::Panicked(_)) => "panic",
            Self::Image(_) => "corrupt_image",
            Self::Panic => "panic",
            Self::Read(_) => "read",
        }
    }
}

/// One bad sample.
#[derive(Debug, Clone, PartialEq)]
pub struct SkippedSample {
    /// The shard's file.
    pub shard: PathBuf,
    /// The sample's key.
    pub key: String,
    /// Why.
    pub reason: BadReason,
}

impl std::fmt::Display for SkippedSample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.shard.display(), self.key, self.reason)
    }
}

/// The reasons of many bad samples in words: each with its count and one example, most frequent first.
pub(crate) fn in_words<'a>(reasons: impl Iterator<Item = &'a BadReason>) -> String {
    let mut counted: BTreeMap<&'static str, (usize, &BadReason)> = BTreeMap::new();
    for reason in reasons {
        counted.entry(reason.name()).or_insert((0, reason)).0 += 1;
    }
    let mut counted: Vec<_> = counted.into_values().collect();
    counted.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let mut words = String::new();
    for (i, (count, reason)) in counted.iter().enumerate() {
        let comma = if i > 0 { "; " } else { "" };
        let _ = write!(words, "{comma}{count}: {reason}");
    }
    words
}

#[cfg(test)]
mod tests {
    use pairmill_pixels::PixelError;

    use super::*;

    #[test]
    fn t06_every_reason_is_among_the_names_that_ranks_add_up() {
        let words = String::new;
        let reasons = [
            BadReason::NoImage { wanted: words(), seen: words() },
            BadReason::NoCaption { wanted: words(), seen: words() },
            BadReason::BlankCaption,
            BadReason::NotUtf8(words()),
            BadReason::Json(words()),
            BadReason::Label { wanted: words(), found: words() },
            BadReason::Image(PixelError::NotAnImage),
            BadReason::Image(PixelError::Truncated),
            BadReason::Image(PixelError::Encode(words())),
            BadReason::Panic,
            BadReason::Read(words()),
        ];
        for reason in &reasons {
            assert!(BadReason::NAMES.contains(&reason.name()), "{}", reason.name());
        }
        let mut names = BadReason::NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), BadReason::NAMES.len());
    }
}
