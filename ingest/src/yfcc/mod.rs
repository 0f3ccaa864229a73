//! YFCC100M's metadata, and the 15 M photos of it that OpenAI listed, to rows with URL and caption.
//!
//! [`YfccReader`] reads `yfcc100m_dataset.bz2` line by line (23 or 25 columns, told by the first line), or the SQLite
//! release `yfcc100m_dataset.sql` row by row, keeps the lines that are on the list and show a photo, and gives Arrow batches: the columns of [`schema`]. What it passed
//! over is in [`YfccCounters`], a number a rule.
//!
//! ```text
//! lines      bz2 → lines
//! database   SQLite → the same lines
//! subset     list → bits; is this line on it?
//! text       form-encoded title and description → caption
//! ```
//!
//! Memory is a batch, the longest line and the list's bits, whatever the input. Titles keep their character
//! references, which the tokenizer resolves for every source.

mod database;
mod error;
mod lines;
mod subset;
pub mod text;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int64Builder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use pairmill_shards::guard::guarded;
use serde::{Deserialize, Serialize};

pub use error::YfccError;
pub use subset::JoinOn;
pub use text::CaptionRule;

use lines::Lines;
use subset::{Subset, number};

/// Longest line, in bytes. The longest real ones are descriptions of some hundred thousand characters.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// What to read and how.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct YfccConfig {
    /// `yfcc100m_dataset.bz2`, packed or not, or `yfcc100m_dataset.sql`.
    pub dataset: PathBuf,
    /// `yfcc100m_subset_data.tsv.bz2`; without it every photo is taken.
    pub subset: Option<PathBuf>,
    /// What the two are joined on; the SQLite release is joined on the photo id in any case.
    pub join: JoinOn,
    /// How title and description become one caption.
    pub caption: CaptionRule,
}

/// Rows in and out per rule. `lines` = `unlisted` + `videos` + `rows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct YfccCounters {
    /// Lines read.
    pub lines: u64,
    /// Dropped: not on the list.
    pub unlisted: u64,
    /// Dropped: a video.
    pub videos: u64,
    /// Given out.
    pub rows: u64,
    /// Of these, rows without any text; their caption is null.
    pub blank: u64,
    /// Of these, rows whose title or description was not UTF-8 after decoding, mended with U+FFFD.
    pub not_utf8: u64,
    /// On the list, but not in the file. Final at the end.
    pub missing: u64,
}

/// Columns of the batches, in order, all nullable. Ids as in the release, texts decoded and without tags.
static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        Field::new("photo_id", DataType::Int64, true),
        text("title"),
        text("description"),
        text("user_tags"),
        text("license_url"),
        text("caption"),
        text("url"),
    ]))
});

/// The columns of every batch: `photo_id`, `title`, `description`, `user_tags` (comma separated), `license_url`,
/// `caption`, `url`.
pub fn schema() -> SchemaRef {
    SCHEMA.clone()
}

/// Where the columns are. The first release lacks line number and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Columns23,
    Columns25,
}

impl Layout {
    const fn columns(self) -> usize {
        match self {
            Self::Columns23 => 23,
            Self::Columns25 => 25,
        }
    }

    /// Position of a column, by its number among the 25, other than line number and hash.
    const fn at(self, column: usize) -> usize {
        match self {
            Self::Columns23 if column == PHOTO_ID => 0,
            Self::Columns23 => column - 2,
            Self::Columns25 => column,
        }
    }
}

// Columns by number among the 25.
const LINE_NUMBER: usize = 0;
const PHOTO_ID: usize = 1;
const TITLE: usize = 8;
const DESCRIPTION: usize = 9;
const USER_TAGS: usize = 10;
const DOWNLOAD_URL: usize = 16;
const LICENSE_URL: usize = 18;
const MARKER: usize = 24;

/// Streams the rows of YFCC100M. After an error it ends.
pub struct YfccReader {
    lines: Lines,
    layout: Layout,
    subset: Option<Subset>,
    caption: CaptionRule,
    counters: YfccCounters,
    /// Field boundaries of the current line, reused.
    fields: Vec<(usize, usize)>,
    /// Whether the current line is still to be looked at: the first one was read to tell the layout.
    pending: bool,
    ended: bool,
}

impl std::fmt::Debug for YfccReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("YfccReader").field("counters", &self.counters).finish_non_exhaustive()
    }
}

impl YfccReader {
    /// Reads the list and the first line.
    ///
    /// # Errors
    /// When a file is missing, empty, damaged at its head or of another format.
    pub fn open(config: &YfccConfig) -> Result<Self, YfccError> {
        guarded(|| Self::open_inside(config))
            .unwrap_or_else(|reason| Err(YfccError::Panic { path: config.dataset.clone(), line: 0, reason }))
    }

    fn open_inside(config: &YfccConfig) -> Result<Self, YfccError> {
        let mut lines = Lines::open(&config.dataset)?;
        if !lines.advance()? {
            return Err(YfccError::Empty { path: config.dataset.clone() });
        }
        let found = lines.line().iter().filter(|&&byte| byte == b'\t').count() + 1;
        let layout = match found {
            23 => Layout::Columns23,
            25 => Layout::Columns25,
            found => {
                return Err(YfccError::Columns {
                    path: config.dataset.clone(),
                    line: lines.number(),
                    found,
                    expected: "25, or 23 as in the first release",
                    fix: "give yfcc100m_dataset.bz2 or .sql as it was released",
                });
            }
        };
        let join = if lines.is_database() { JoinOn::PhotoId } else { config.join };
        let subset = config.subset.as_deref().map(|path| Subset::read(path, join)).transpose()?;
        Ok(Self {
            lines,
            layout,
            subset,
            caption: config.caption,
            counters: YfccCounters::default(),
            fields: Vec::new(),
            pending: true,
            ended: false,
        })
    }

    /// Photos on the list, if there is one.
    pub fn listed(&self) -> Option<u64> {
        self.subset.as_ref().map(Subset::listed)
    }

    /// What became of the lines so far.
    pub fn counters(&self) -> YfccCounters {
        let missing = self.subset.as_ref().map_or(0, Subset::missing);
        YfccCounters { missing, ..self.counters }
    }

    /// Bytes of the metadata file read from the disk so far.
    pub fn bytes_read(&self) -> u64 {
        self.lines.bytes_read()
    }

    /// The next rows, at most `max_rows` of them (0 counts as 1); `None` at the end.
    ///
    /// # Errors
    /// When the file breaks off, a line does not have the first one's columns, or the list is another release's.
    pub fn next_batch(&mut self, max_rows: usize) -> Result<Option<RecordBatch>, YfccError> {
        self.walled(|reader| {
            let mut columns = Columns::default();
            while columns.rows < max_rows.max(1) && reader.advance()? {
                columns.push(reader)?;
            }
            if columns.rows == 0 { Ok(None) } else { Ok(Some(columns.finish()?)) }
        })
    }

    /// Passes over the next rows, at most `max_rows` of them; how many there were.
    ///
    /// # Errors
    /// As [`YfccReader::next_batch`].
    pub fn skip(&mut self, max_rows: usize) -> Result<usize, YfccError> {
        self.walled(|reader| {
            let mut rows = 0;
            while rows < max_rows && reader.advance()? {
                rows += 1;
            }
            Ok(rows)
        })
    }

    /// A panic in a library becomes an error, after which nothing is read any more.
    fn walled<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, YfccError>) -> Result<T, YfccError> {
        guarded(|| work(self)).unwrap_or_else(|reason| {
            self.ended = true;
            Err(YfccError::Panic { path: self.lines.path().to_owned(), line: self.lines.number(), reason })
        })
    }

    /// Goes on to the next line that is kept.
    fn advance(&mut self) -> Result<bool, YfccError> {
        if self.ended {
            return Ok(false);
        }
        let result = self.advance_inside();
        self.ended = !matches!(result, Ok(true));
        result
    }

    fn advance_inside(&mut self) -> Result<bool, YfccError> {
        loop {
            if !std::mem::take(&mut self.pending) && !self.lines.advance()? {
                if let Some(subset) = &self.subset {
                    subset.check(self.lines.path())?;
                }
                return Ok(false);
            }
            self.counters.lines += 1;
            self.split()?;
            if !self.is_listed()? {
                self.counters.unlisted += 1;
            } else if self.field(MARKER) == b"1" {
                self.counters.videos += 1;
            } else {
                self.counters.rows += 1;
                return Ok(true);
            }
        }
    }

    fn split(&mut self) -> Result<(), YfccError> {
        let line = self.lines.line();
        self.fields.clear();
        let mut start = 0;
        for tab in memchr::memchr_iter(b'\t', line) {
            self.fields.push((start, tab));
            start = tab + 1;
        }
        self.fields.push((start, line.len()));
        if self.fields.len() == self.layout.columns() {
            return Ok(());
        }
        Err(YfccError::Columns {
            path: self.lines.path().to_owned(),
            line: self.lines.number(),
            found: self.fields.len(),
            expected: match self.layout {
                Layout::Columns23 => "23 like the first",
                Layout::Columns25 => "25 like the first",
            },
            fix: "the file is damaged or was joined from two releases; fetch it again",
        })
    }

    /// A field of the current line, by its number among the 25.
    fn field(&self, column: usize) -> &[u8] {
        let (start, end) = self.fields.get(self.layout.at(column)).copied().unwrap_or_default();
        self.lines.line().get(start..end).unwrap_or_default()
    }

    fn photo_id(&self) -> Result<u64, YfccError> {
        number(&self.lines, self.field(PHOTO_ID), "photo id")
    }

    fn line_number(&self) -> Result<u64, YfccError> {
        match self.layout {
            Layout::Columns23 => Ok(self.counters.lines - 1),
            Layout::Columns25 => number(&self.lines, self.field(LINE_NUMBER), "line number"),
        }
    }

    fn is_listed(&mut self) -> Result<bool, YfccError> {
        // Taken out for the call, since it asks the reader for the fields.
        let Some(mut subset) = self.subset.take() else { return Ok(true) };
        let listed = subset.take(self.lines.path(), || self.line_number(), || self.photo_id());
        self.subset = Some(subset);
        listed
    }
}

/// A batch in the making.
#[derive(Default)]
struct Columns {
    rows: usize,
    photo_ids: Int64Builder,
    titles: StringBuilder,
    descriptions: StringBuilder,
    user_tags: StringBuilder,
    licenses: StringBuilder,
    captions: StringBuilder,
    urls: StringBuilder,
}

impl Columns {
    fn push(&mut self, reader: &mut YfccReader) -> Result<(), YfccError> {
        let photo = reader.photo_id()?;
        let (title, title_mended) = text::form_decode(reader.field(TITLE));
        let (description, description_mended) = text::form_decode(reader.field(DESCRIPTION));
        let (title, description) = (text::strip(&title), text::strip(&description));
        let caption = text::caption(reader.caption, &title, &description, photo);
        let non_empty = |text: String| (!text.is_empty()).then_some(text);
        self.photo_ids.append_value(i64::try_from(photo).unwrap_or(i64::MAX));
        self.user_tags.append_option(non_empty(text::form_decode(reader.field(USER_TAGS)).0));
        self.licenses
            .append_option(non_empty(String::from_utf8_lossy(reader.field(LICENSE_URL)).into_owned()));
        self.urls.append_option(non_empty(String::from_utf8_lossy(reader.field(DOWNLOAD_URL)).into_owned()));
        reader.counters.blank += u64::from(caption.is_none());
        reader.counters.not_utf8 += u64::from(title_mended || description_mended);
        self.captions.append_option(caption);
        self.titles.append_option(non_empty(title));
        self.descriptions.append_option(non_empty(description));
        self.rows += 1;
        Ok(())
    }

    fn finish(mut self) -> Result<RecordBatch, YfccError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.photo_ids.finish()),
            Arc::new(self.titles.finish()),
            Arc::new(self.descriptions.finish()),
            Arc::new(self.user_tags.finish()),
            Arc::new(self.licenses.finish()),
            Arc::new(self.captions.finish()),
            Arc::new(self.urls.finish()),
        ];
        Ok(RecordBatch::try_new(schema(), columns)?)
    }
}
