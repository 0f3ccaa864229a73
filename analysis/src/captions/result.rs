//! The result: everything that tables, drawings and the summary show. They are pure functions of it.

use std::fmt;

use serde::Serialize;

use super::classes::Coverage;
use super::lengths::LengthSummary;

/// What became of the rows of a source. They add up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Rows or samples there are.
    pub num_rows: u64,
    /// Rows that a sidecar says failed.
    pub num_failed: u64,
    /// Rows without a caption.
    pub num_null: u64,
    /// Captions of nothing but white space.
    pub num_blank: u64,
    /// Captions that were not drawn.
    pub num_not_drawn: u64,
    /// Captions that everything else is about.
    pub num_captions: u64,
    /// Words in them by the rule.
    pub num_words: u64,
    /// Captions, drawn or not, with bytes that are no UTF-8.
    pub num_not_utf8: u64,
}

impl Account {
    /// Adds another thread's.
    pub fn merge(&mut self, other: &Self) {
        self.num_rows += other.num_rows;
        self.num_failed += other.num_failed;
        self.num_null += other.num_null;
        self.num_blank += other.num_blank;
        self.num_not_drawn += other.num_not_drawn;
        self.num_captions += other.num_captions;
        self.num_words += other.num_words;
        self.num_not_utf8 += other.num_not_utf8;
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows", self.num_rows)?;
        for (num, what) in
            [(self.num_failed, "failed"), (self.num_null, "without caption"), (self.num_blank, "blank")]
        {
            if num > 0 {
                write!(f, ", {num} {what}")?;
            }
        }
        Ok(())
    }
}

/// A counted string.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextCount {
    /// The word, n-gram or caption.
    pub text: String,
    /// Times it occurs.
    pub count: u64,
    /// Captions it occurs in.
    pub captions: u64,
}

/// The most frequent n-grams of a length.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NgramTable {
    /// Words in each.
    pub n: usize,
    /// Distinct ones.
    pub num_distinct: u64,
    /// In all.
    pub num_total: u64,
    /// The most frequent.
    pub top: Vec<TextCount>,
}

/// A share of the captions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LanguageShare {
    /// ISO 639-3, or `none` for captions without letters.
    pub language: String,
    /// Captions.
    pub captions: u64,
    /// Of all.
    pub share: f64,
}

/// Repeated captions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Duplicates {
    /// Captions that differ.
    pub num_distinct: u64,
    /// Captions that another one equals byte by byte.
    pub num_repeated: u64,
    /// Captions beyond the first of each, as a share of all.
    pub share_redundant: f64,
    /// The most repeated.
    pub top: Vec<TextCount>,
}

/// A point of the vocabulary's growth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GrowthPoint {
    /// Captions drawn at random.
    pub captions: u64,
    /// Distinct words expected in them.
    pub words: f64,
}

/// Words of a source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WordTable {
    /// Distinct words.
    pub num_distinct: u64,
    /// Words that occur once.
    pub num_once: u64,
    /// The most frequent.
    pub top: Vec<TextCount>,
    /// See [`super::growth`].
    pub growth: Vec<GrowthPoint>,
}

/// How long captions are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LengthTable {
    /// `characters`, `words` or `tokens`.
    pub unit: &'static str,
    /// In a few numbers.
    pub summary: LengthSummary,
    /// Of tokens: captions that do not fit CLIP's 77, as a share.
    pub share_truncated: Option<f64>,
    /// Length and captions that have it.
    #[serde(skip)]
    pub counts: Vec<(u64, u64)>,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceResult {
    /// Its name.
    pub name: String,
    /// Its files.
    pub num_files: usize,
    /// What became of its rows.
    pub account: Account,
    /// Its words.
    pub words: Option<WordTable>,
    /// Its n-grams, by length.
    pub ngrams: Vec<NgramTable>,
    /// How long its captions are.
    pub lengths: Vec<LengthTable>,
    /// Its languages, the most frequent first.
    pub languages: Vec<LanguageShare>,
    /// Its repeated captions.
    pub duplicates: Option<Duplicates>,
    /// What it says about tasks.
    pub coverage: Vec<Coverage>,
}

/// A word that sets a source apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DistinctiveWord {
    /// The word.
    pub word: String,
    /// Times it occurs in the source.
    pub count: u64,
    /// Times it occurs in the others together.
    pub count_elsewhere: u64,
    /// Difference of the log-odds to the others.
    pub log_odds: f64,
    /// The same in standard deviations; the words are ranked by it.
    pub z: f64,
}

/// The words that set a source apart from all others together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distinctive {
    /// The source.
    pub source: String,
    /// Its words.
    pub words: Vec<DistinctiveWord>,
}

/// Two sources side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overlap {
    /// A source.
    pub a: String,
    /// Another.
    pub b: String,
    /// Words of both, as a share of the words of either.
    pub jaccard: f64,
    /// The same of the most frequent words of each.
    pub jaccard_top: f64,
    /// How many of the most frequent that were.
    pub num_top: usize,
    /// Jensen–Shannon distance of the word distributions: the root of the divergence in bits, 0 to 1.
    pub js_distance: f64,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptionsResult {
    /// The rule by which words were cut.
    pub word_rule: String,
    /// Captions drawn of each source, at most.
    pub sample: Option<u64>,
    /// Seed of the draw.
    pub seed: u64,
    /// The sources, in the order given.
    pub sources: Vec<SourceResult>,
    /// With two sources or more: what sets each apart.
    pub distinctive: Vec<Distinctive>,
    /// Every pair of sources.
    pub overlaps: Vec<Overlap>,
}
