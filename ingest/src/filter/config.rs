//! Which rules are on. Everything is off by default; a source switches on what its authors or the study did, and the
//! TOML section `[filter]` overlays that.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Different URLs or captions that are remembered: up to 1.2 GB, and half as much again while the set grows.
pub const DEFAULT_MAX_DISTINCT: u64 = 50_000_000;

/// The rules and their cut-offs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilterConfig {
    /// Drops rows whose caption is null or white space.
    pub blank_caption: bool,
    /// Fewest characters (Unicode scalar values) of a caption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_caption_chars: Option<u64>,
    /// Most characters of a caption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_caption_chars: Option<u64>,
    /// Fewest words (runs of anything but white space) of a caption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_caption_words: Option<u64>,
    /// Most words of a caption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_caption_words: Option<u64>,
    /// NSFW tags that pass, spelled as in the table; `""` stands for null and empty. No tags: the rule is off.
    pub nsfw: Vec<String>,
    /// Lowest similarity of picture and caption, a cosine. Null, and values beyond ±1, are no similarity and fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_similarity: Option<f64>,
    /// Highest probability of unsafe content (LAION advises 0.5). Null, and what is no probability, fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_punsafe: Option<f64>,
    /// Highest probability of a watermark (LAION advises 0.8). Null, and what is no probability, fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pwatermark: Option<f64>,
    /// Smallest width in pixels by the table's word; rows where it says none pass and are judged after the download.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_width: Option<u64>,
    /// Smallest height, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_height: Option<u64>,
    /// Highest ratio of the longer to the shorter side, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_aspect_ratio: Option<f64>,
    /// Values of the table's language column that pass; none: the rule is off.
    pub languages: Vec<String>,
    /// Media types that pass; none: the rule is off.
    pub mime_types: Vec<String>,
    /// Values of the table's status column that pass, if it has one; none: the rule is off.
    pub status: Vec<String>,
    /// Drops captions that a detector takes for another language than English; short or unclear ones pass. Costs
    /// 70 microseconds a row, where the other rules cost less than one in all.
    pub english: bool,
    /// File of words and phrases, one a line; a caption with one of them between word boundaries is dropped. Case is
    /// ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profanity: Option<PathBuf>,
    /// SQL expression over the table's columns, as SQLite understands it; rows for which it is not true are dropped. Costs
    /// a third of a microsecond a row.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub predicate: Option<String>,
    /// Keeps the first row of each URL.
    pub duplicate_url: bool,
    /// Keeps the first row of each caption.
    pub duplicate_caption: bool,
    /// Different values that each of the two duplicate rules may remember, 20 to 39 bytes each; beyond it the run
    /// stops rather than grow.
    pub max_distinct: u64,
    /// Where the rules look.
    pub columns: FilterColumns,
}

impl Default for FilterConfig {
    fn default() -> Self {
        Self {
            blank_caption: false,
            min_caption_chars: None,
            max_caption_chars: None,
            min_caption_words: None,
            max_caption_words: None,
            nsfw: Vec::new(),
            min_similarity: None,
            max_punsafe: None,
            max_pwatermark: None,
            min_width: None,
            min_height: None,
            max_aspect_ratio: None,
            languages: Vec::new(),
            mime_types: Vec::new(),
            status: Vec::new(),
            english: false,
            profanity: None,
            predicate: None,
            duplicate_url: false,
            duplicate_caption: false,
            max_distinct: DEFAULT_MAX_DISTINCT,
            columns: FilterColumns::default(),
        }
    }
}

impl FilterConfig {
    /// Whether any rule is on.
    pub fn is_on(&self) -> bool {
        let off = Self { max_distinct: self.max_distinct, columns: self.columns.clone(), ..Self::default() };
        *self != off
    }

    /// The first setting that needs a caption, if one is on.
    pub(super) fn caption_setting(&self) -> Option<&'static str> {
        let settings = [
            ("blank_caption", self.blank_caption),
            ("min_caption_chars", self.min_caption_chars.is_some()),
            ("max_caption_chars", self.max_caption_chars.is_some()),
            ("min_caption_words", self.min_caption_words.is_some()),
            ("max_caption_words", self.max_caption_words.is_some()),
            ("english", self.english),
            ("profanity", self.profanity.is_some()),
            ("duplicate_caption", self.duplicate_caption),
        ];
        settings.into_iter().find(|(_, on)| *on).map(|(setting, _)| setting)
    }
}

/// Names of the columns that rules look at. Alternatives are separated by `|`; case is ignored among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilterColumns {
    /// For `nsfw`.
    pub nsfw: String,
    /// For `min_similarity`.
    pub similarity: String,
    /// For `max_punsafe`.
    pub punsafe: String,
    /// For `max_pwatermark`.
    pub pwatermark: String,
    /// Width in pixels.
    pub width: String,
    /// Height in pixels.
    pub height: String,
    /// For `languages`.
    pub language: String,
    /// For `mime_types`.
    pub mime_type: String,
    /// For `status`.
    pub status: String,
}

impl Default for FilterColumns {
    fn default() -> Self {
        Self {
            nsfw: "NSFW|nsfw".to_owned(),
            similarity: "similarity|SIMILARITY".to_owned(),
            punsafe: "punsafe|PUNSAFE".to_owned(),
            pwatermark: "pwatermark|PWATERMARK".to_owned(),
            width: "original_width|WIDTH|width".to_owned(),
            height: "original_height|HEIGHT|height".to_owned(),
            language: "LANGUAGE|language|lang".to_owned(),
            mime_type: "mime_type|MIMETYPE".to_owned(),
            status: "status|STATUS".to_owned(),
        }
    }
}
