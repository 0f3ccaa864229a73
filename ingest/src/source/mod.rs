//! The pretraining sources of the study: what each one's files look like, and how its pictures want to be fetched.
//!
//! A source is data: [`Manners`] are laid over the defaults of a config, below the user's file and flags, so
//! everything a source decides is in the resolved config and can be changed there. Only the address rule is code.
//! A source whose files are tables needs one file here and one line in each `match`; the readers of what is
//! no plain table are in `crate::yfcc` and `crate::imagenet`.
//!
//! Facts that are not certain are marked in the guides (`pairmill-ingest sources NAME`); nothing checks that the
//! download addresses still answer.

mod conceptual;
mod imagenet;
mod laion;
mod redcaps;
mod shutterstock;
#[cfg(test)]
mod tests;
mod wit;
mod yfcc;

use std::fmt;

use pairmill_pixels::ResizeMode;
use serde::{Deserialize, Serialize};

use crate::filter::FilterConfig;
use crate::filter::address::AddressRule;
use crate::imagenet::CaptionKind;

/// A source by its word on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// LAION-400M.
    Laion400m,
    /// LAION-5B: LAION-2B-en, -multi, 1B-nolang, and their `-joined` and `-md5` releases.
    Laion2b,
    /// Re-LAION.
    Relaion,
    /// RedCaps.
    Redcaps,
    /// Conceptual Captions 3M.
    Cc3m,
    /// Conceptual 12M.
    Cc12m,
    /// Wikipedia-based Image Text.
    Wit,
    /// Shutterstock, or any other list of one's own.
    Shutterstock,
    /// OpenAI's 15 M photos of YFCC100M.
    Yfcc15m,
    /// ImageNet-1K with labels alone.
    Imagenet,
    /// ImageNet-1K, a prompt about the class as caption.
    ImagenetTemplate,
    /// ImageNet-1K's photos of Flickr with what their photographers wrote.
    ImagenetFlickr,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 12] = [
        Self::Laion400m,
        Self::Laion2b,
        Self::Relaion,
        Self::Redcaps,
        Self::Cc3m,
        Self::Cc12m,
        Self::Wit,
        Self::Shutterstock,
        Self::Yfcc15m,
        Self::Imagenet,
        Self::ImagenetTemplate,
        Self::ImagenetFlickr,
    ];

    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Laion400m => "laion400m",
            Self::Laion2b => "laion2b",
            Self::Relaion => "relaion",
            Self::Redcaps => "redcaps",
            Self::Cc3m => "cc3m",
            Self::Cc12m => "cc12m",
            Self::Wit => "wit",
            Self::Shutterstock => "shutterstock",
            Self::Yfcc15m => "yfcc15m",
            Self::Imagenet => "imagenet",
            Self::ImagenetTemplate => "imagenet-template",
            Self::ImagenetFlickr => "imagenet-flickr",
        }
    }

    /// What is known of it.
    pub fn manners(self) -> Manners {
        match self {
            Self::Laion400m => laion::laion_400m(),
            Self::Laion2b => laion::laion_2b(),
            Self::Relaion => laion::re_laion(),
            Self::Redcaps => redcaps::redcaps(),
            Self::Cc3m => conceptual::cc3m(),
            Self::Cc12m => conceptual::cc12m(),
            Self::Wit => wit::wit(),
            Self::Shutterstock => shutterstock::shutterstock(),
            Self::Yfcc15m => yfcc::yfcc15m(),
            Self::Imagenet => imagenet::imagenet(),
            Self::ImagenetTemplate => imagenet::imagenet_template(),
            Self::ImagenetFlickr => imagenet::imagenet_flickr(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The section `[source]` of a config.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceConfig {
    /// Whose files the table is; none for a table of one's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Source>,
    /// Whether the user has the rights that the source's licence note speaks of.
    pub accept_terms: bool,
    /// How a site's operators reach whoever runs this: an e-mail address or a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
}

/// All that makes a source different from any other table.
#[derive(Debug, Clone)]
pub struct Manners {
    /// How its files look.
    pub table: TableManners,
    /// Which rows are taken.
    pub filter: FilterConfig,
    /// From link to address; `None` where links are addresses.
    pub address: Option<AddressRule>,
    /// How its hosts want to be asked.
    pub fetch: FetchManners,
    /// Side length in pixels.
    pub image_size: u32,
    /// Which side that is.
    pub resize_mode: ResizeMode,
    /// Whether the user must confirm to have the rights (`--accept-terms`).
    pub needs_terms: bool,
    /// One line, shown at the start of a run and written into the card.
    pub licence: &'static str,
    /// For people.
    pub guide: Guide,
}

/// How a source's files look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableManners {
    /// Format, where the names of the files do not tell.
    pub format: Option<&'static str>,
    /// Columns of a csv or tsv without header line. A first line without any URL is a header all the same.
    pub headerless: Option<&'static [&'static str]>,
    /// Whether `"` quotes fields; `None` for the format's own habit.
    pub quoting: Option<bool>,
    /// URL column, alternatives separated by `|`.
    pub url: &'static str,
    /// Caption column, likewise.
    pub caption: &'static str,
    /// Columns worth carrying along, which every release has.
    pub extra: &'static [&'static str],
    /// Member of a JSON object that holds the records.
    pub records_at: Option<&'static str>,
    /// ImageNet's images with captions of this kind, instead of a table.
    pub imagenet: Option<CaptionKind>,
}

impl TableManners {
    /// A table with a header, or one whose format names its columns.
    const fn named(url: &'static str, caption: &'static str) -> Self {
        Self {
            format: None,
            headerless: None,
            quoting: None,
            url,
            caption,
            extra: &[],
            records_at: None,
            imagenet: None,
        }
    }

    /// Lines of tab-separated fields without header and without quotes.
    const fn bare(columns: &'static [&'static str]) -> Self {
        Self {
            format: Some("tsv"),
            headerless: Some(columns),
            quoting: Some(false),
            ..Self::named("url", "caption")
        }
    }
}

/// How a source's hosts want to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FetchManners {
    /// Simultaneous downloads from one host, if fewer than usual.
    pub per_host: Option<usize>,
    /// Milliseconds between two requests to one host.
    pub host_interval_ms: u64,
    /// Largest body in bytes, if not the usual.
    pub max_bytes: Option<u64>,
    /// Whether the user agent must name a contact (`--contact`).
    pub needs_contact: bool,
    /// Ends of URL paths that stand for a removed picture.
    pub removed_images: &'static [&'static str],
}

/// What a user must know to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guide {
    /// Full name.
    pub title: &'static str,
    /// What to download and where it is.
    pub download: &'static [&'static str],
    /// Rows of the files, and of what is kept.
    pub rows: &'static str,
    /// Space for metadata and shards.
    pub disk: &'static str,
    /// How long it takes.
    pub time: &'static str,
    /// Pictures the study had (its Table 2), if it used the source.
    pub paper_rows: Option<u64>,
    /// What else is worth knowing.
    pub notes: &'static [&'static str],
}

/// The rules that every source begins from: a caption there must be.
fn captioned() -> FilterConfig {
    FilterConfig { blank_caption: true, ..FilterConfig::default() }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|&word| word.to_owned()).collect()
}
