//! The account of filtering: how many rows came, and how many each rule dropped.

use std::fmt;

use pairmill_shards::funnel::{RuleCount, total};

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $word:literal;)*) => {
        /// Why a row is not in the dataset, in the order the rules are applied.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[$doc])* $variant,)*
        }

        impl Rule {
            /// Every rule, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word in reports.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

rules! {
    /// The photo is not on the list (YFCC15M).
    Unlisted = "unlisted";
    /// The line is a video (YFCC100M).
    Video = "video";
    /// Nobody wrote a text for the image (ImageNet-Captions).
    Uncaptioned = "uncaptioned";
    /// The URL is null or white space; JSON records that do not parse are here too.
    NoUrl = "no_url";
    /// The table's own status is not one of those wanted (Re-LAION).
    Status = "status";
    /// The link is an album or gallery, whose pictures only an API names.
    Album = "album";
    /// The link is the site's stand-in for a picture that was removed.
    RemovedImage = "removed_image";
    /// The media type is not one of those wanted (WIT).
    MimeType = "mime_type";
    /// The table's language is not one of those wanted.
    Language = "language";
    /// The caption is null or white space.
    BlankCaption = "blank_caption";
    /// The caption has too few or too many characters or words.
    CaptionLength = "caption_length";
    /// The NSFW tag is not one of those wanted.
    Nsfw = "nsfw";
    /// The similarity of picture and caption is too low, or none.
    Similarity = "similarity";
    /// The probability of unsafe content is too high, or none.
    Punsafe = "punsafe";
    /// The probability of a watermark is too high, or none.
    Pwatermark = "pwatermark";
    /// The picture is too small by the table's word.
    Size = "size";
    /// The picture is too long by the table's word.
    AspectRatio = "aspect_ratio";
    /// The user's SQL expression is not true.
    Where = "where";
    /// The caption has a word or phrase of the list.
    Profanity = "profanity";
    /// The caption does not read as English.
    NotEnglish = "not_english";
    /// An earlier kept row has the URL.
    DuplicateUrl = "duplicate_url";
    /// An earlier kept row has the caption.
    DuplicateCaption = "duplicate_caption";
    /// Not drawn for the subset, or behind the prefix.
    Subset = "subset";
}

/// Rows in, and rows dropped by each rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Funnel {
    /// Rows read from the table.
    pub rows_in: u64,
    /// By [`Rule::ALL`].
    dropped: [u64; Rule::ALL.len()],
    /// Whether the rule was applied at all.
    active: [bool; Rule::ALL.len()],
    /// Whether the table lacks the column of a rule that may do without.
    skipped: [bool; Rule::ALL.len()],
}

impl Funnel {
    pub(super) fn activate(&mut self, rule: Rule) {
        self.active[rule as usize] = true;
    }

    pub(super) fn skip(&mut self, rule: Rule) {
        (self.active[rule as usize], self.skipped[rule as usize]) = (false, true);
    }

    pub(super) fn drop_rows(&mut self, rule: Rule, rows: usize) {
        self.dropped[rule as usize] += rows as u64;
    }

    /// The account of a reader that drops rows itself.
    pub fn of(rows_in: u64, dropped: &[(Rule, u64)]) -> Self {
        let mut funnel = Self { rows_in, ..Self::default() };
        for &(rule, rows) in dropped {
            funnel.active[rule as usize] = true;
            funnel.dropped[rule as usize] += rows;
        }
        funnel
    }

    /// The same with rows in front that never came to the rules.
    #[must_use]
    pub fn behind(mut self, earlier: &Self) -> Self {
        self.rows_in = earlier.rows_in;
        for rule in Rule::ALL {
            let at = *rule as usize;
            self.dropped[at] += earlier.dropped[at];
            self.active[at] |= earlier.active[at];
        }
        self
    }

    /// Rows that `rule` dropped.
    pub fn dropped(&self, rule: Rule) -> u64 {
        self.dropped[rule as usize]
    }

    /// Rows that every rule let through.
    pub fn kept(&self) -> u64 {
        self.rows_in - self.dropped.iter().sum::<u64>()
    }

    /// The rules that could not be applied, because the table has no column for them.
    pub fn not_applied(&self) -> impl Iterator<Item = Rule> + '_ {
        Rule::ALL.iter().copied().filter(|rule| self.skipped[*rule as usize])
    }

    /// The rules that were applied, each with the rows it saw and the rows it dropped.
    pub fn steps(&self) -> impl Iterator<Item = RuleCount> + '_ {
        let mut left = self.rows_in;
        Rule::ALL.iter().filter(|rule| self.active[**rule as usize]).map(move |&rule| {
            let (rows_in, dropped) = (left, self.dropped(rule));
            left -= dropped;
            RuleCount { rule: rule.as_str().to_owned(), rows_in, dropped }
        })
    }
}

impl fmt::Display for Funnel {
    /// One line a rule: dropped rows, their share of what the rule saw, and what is left.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&total("rows in", self.rows_in))?;
        for step in self.steps() {
            write!(f, "\n{step}")?;
        }
        for rule in self.not_applied() {
            write!(f, "\n- {:<18} {:>15}  the table has no column for it", rule.as_str(), "not applied")?;
        }
        write!(f, "\n{}", total("rows kept", self.kept()))
    }
}
