//! The truth beside a release: `truth.jsonl`, a line a row, and `expected.json`, the number of rows with each quirk.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::quirk::Quirk;
use crate::error::{Error, Result};
use crate::table::sink::Sink;

/// What a reader must make of one row.
#[derive(Debug, Clone, Default)]
pub(super) struct Truth {
    /// URL as the file has it; `None` for null or where the release has none.
    pub url: Option<String>,
    /// URL to fetch after the source's rule; `None` where no rule leads to a picture.
    pub fetch_url: Option<String>,
    /// Caption after the source's caption rule, before any cleaning; `None` for null.
    pub caption: Option<String>,
    /// Further fields, for `truth.jsonl` only.
    pub more: Map<String, Value>,
    /// What is odd about it.
    pub quirks: BTreeSet<Quirk>,
}

impl Truth {
    /// A row that is fetched from where the file says.
    pub fn plain(url: &str, caption: &str, quirk: Option<Quirk>) -> Self {
        Self {
            url: Some(url.to_owned()),
            fetch_url: Some(url.to_owned()),
            caption: Some(caption.to_owned()),
            more: Map::new(),
            quirks: quirk.into_iter().collect(),
        }
    }
}

/// What a written release holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReleaseSummary {
    /// Rows, or images.
    pub rows: u64,
    /// Rows of each file that has some, by its path in the release.
    pub files: BTreeMap<String, u64>,
    /// Rows with each quirk.
    pub quirks: BTreeMap<Quirk, u64>,
}

/// Gathers the truth while the files are written.
pub(super) struct Account {
    out: PathBuf,
    truth: Sink,
    summary: ReleaseSummary,
    urls: HashSet<u64>,
    captions: HashSet<u64>,
}

impl Account {
    pub fn open(out: &Path) -> Result<Self> {
        let truth = Sink::create(&out.join("truth.jsonl"))?;
        let (urls, captions) = (HashSet::new(), HashSet::new());
        Ok(Self { out: out.to_owned(), truth, summary: ReleaseSummary::default(), urls, captions })
    }

    /// The next row of `file`, in the order the file has them. Adds the quirks that any source can have: blank and
    /// repeated captions, repeated URLs, entities.
    pub fn add(&mut self, file: &str, mut truth: Truth) -> Result<()> {
        let caption = truth.caption.as_deref().unwrap_or("").trim();
        if caption.is_empty() {
            truth.quirks.insert(Quirk::CaptionBlank);
        } else if !self.captions.insert(hash(caption)) {
            truth.quirks.insert(Quirk::CaptionRepeated);
        }
        if ["&amp;", "&quot;", "&#39;", "&nbsp;"].iter().any(|entity| caption.contains(entity)) {
            truth.quirks.insert(Quirk::HtmlEntities);
        }
        if truth.url.as_deref().is_some_and(|url| !self.urls.insert(hash(url))) {
            truth.quirks.insert(Quirk::UrlRepeated);
        }
        self.summary.rows += 1;
        *self.summary.files.entry(file.to_owned()).or_default() += 1;
        for &quirk in &truth.quirks {
            *self.summary.quirks.entry(quirk).or_default() += 1;
        }
        let mut line = json!({
            "file": file, "url": truth.url, "fetch_url": truth.fetch_url, "caption": truth.caption,
            "quirks": truth.quirks.iter().map(|q| q.as_str()).collect::<Vec<_>>(),
        });
        if let Some(fields) = line.as_object_mut() {
            fields.extend(truth.more);
        }
        writeln!(self.truth, "{line}").map_err(Error::io(&self.out))
    }

    /// Writes `expected.json`.
    pub fn finish(self) -> Result<ReleaseSummary> {
        self.truth.finish()?;
        let quirks: Map<_, _> =
            self.summary.quirks.iter().map(|(quirk, rows)| (quirk.to_string(), json!(rows))).collect();
        let expected = json!({ "rows": self.summary.rows, "files": self.summary.files, "quirks": quirks });
        let mut sink = Sink::create(&self.out.join("expected.json"))?;
        writeln!(sink, "{expected:#}").map_err(Error::io(&self.out))?;
        sink.finish()?;
        Ok(self.summary)
    }
}

/// Only told apart within one release, never written.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
