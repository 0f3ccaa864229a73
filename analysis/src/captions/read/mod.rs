//! Captions out of files, a batch at a time: tar shards, Parquet, and the text tables. Only what holds captions is
//! decoded.

mod column;
mod parquet;
mod tar;
mod text;

pub use self::parquet::ParquetReader;
pub use column::CaptionColumn;
pub use tar::CaptionTar;
pub use text::TextReader;

use std::path::{Path, PathBuf};

use arrow::array::StringViewArray;
use pairmill_shards::tar::is_tar_name;

use super::error::CaptionsError;
use super::source::Source;

/// Captions of a batch.
pub(crate) const BATCH_ROWS: usize = 8192;
/// Pieces that a Parquet file is cut into at most, when a source has few files.
const MAX_PIECES: usize = 64;
/// Files from which on each is one piece.
const MANY_FILES: usize = 8;

/// Captions in the order of their file. A row without one is null.
#[derive(Debug)]
pub struct Batch {
    /// The captions.
    pub captions: StringViewArray,
    /// Rows that were left out because a sidecar says they failed.
    pub num_failed: u64,
    /// Captions whose bytes were no UTF-8; what was wrong in them is U+FFFD now.
    pub num_not_utf8: u64,
}

/// Kinds of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A tar shard.
    Tar,
    /// Parquet: a source's table, a sidecar or an image shard.
    Parquet,
    /// Comma-separated values.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// One JSON object on each line.
    JsonLines,
}

impl Format {
    /// By the ending of the name, `.gz` aside.
    ///
    /// # Errors
    /// When no format has that ending.
    pub fn of(path: &Path) -> Result<Self, CaptionsError> {
        let name = path.file_name().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        if is_tar_name(&name) {
            return Ok(Self::Tar);
        }
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit('.').next().unwrap_or_default() {
            "parquet" => Ok(Self::Parquet),
            "csv" => Ok(Self::Csv),
            "tsv" => Ok(Self::Tsv),
            "jsonl" | "ndjson" => Ok(Self::JsonLines),
            _ => Err(CaptionsError::Format { path: path.to_owned() }),
        }
    }
}

/// A part of a source that one thread reads at a time.
#[derive(Debug, Clone)]
pub struct Piece {
    path: PathBuf,
    format: Format,
    column: CaptionColumn,
    /// Row groups, of Parquet.
    row_groups: Option<std::ops::Range<usize>>,
}

/// Plans the reading of `source` and checks that its files are alike. `column` is the user's.
///
/// # Errors
/// When a file cannot be opened, has no column of captions, or has another than the first file.
pub fn plan(source: &Source, column: Option<&str>) -> Result<Vec<Piece>, CaptionsError> {
    let mut pieces = Vec::new();
    let mut first: Option<(&Path, String)> = None;
    for path in &source.paths {
        let format = Format::of(path)?;
        let (found, num_groups) = match format {
            Format::Tar => (CaptionColumn::named(column.unwrap_or("caption")), 0),
            Format::Parquet => parquet::inspect(path, column)?,
            Format::Csv | Format::Tsv | Format::JsonLines => (text::inspect(path, format, column)?, 0),
        };
        let schema = match format {
            Format::Tar => "txt members".to_owned(),
            _ => found.to_string(),
        };
        match &first {
            Some((first_path, held)) if *held != schema => {
                return Err(CaptionsError::Mixed {
                    source_name: source.name.clone(),
                    first_path: first_path.to_path_buf(),
                    first: held.clone(),
                    second_path: path.clone(),
                    second: schema,
                });
            }
            Some(_) => {}
            None => first = Some((path, schema)),
        }
        let piece = |row_groups| Piece { path: path.clone(), format, column: found.clone(), row_groups };
        if format == Format::Parquet && num_groups > 1 && source.paths.len() < MANY_FILES {
            let step = num_groups.div_ceil(MAX_PIECES);
            let starts = (0..num_groups).step_by(step);
            pieces.extend(starts.map(|start| piece(Some(start..(start + step).min(num_groups)))));
        } else {
            pieces.push(piece(None));
        }
    }
    Ok(pieces)
}

/// A piece being read.
pub enum Reader {
    /// See [`Format::Parquet`].
    Parquet(Box<ParquetReader>),
    /// See [`Format::Tar`].
    Tar(Box<CaptionTar>),
    /// The other formats.
    Text(Box<TextReader>),
}

impl Reader {
    /// Opens a piece.
    ///
    /// # Errors
    /// When its file cannot be opened.
    pub fn open(piece: &Piece) -> Result<Self, CaptionsError> {
        Ok(match piece.format {
            Format::Parquet => Self::Parquet(Box::new(ParquetReader::open(
                &piece.path,
                &piece.column,
                piece.row_groups.clone(),
            )?)),
            Format::Tar => Self::Tar(Box::new(CaptionTar::open(&piece.path, &piece.column)?)),
            format => Self::Text(Box::new(TextReader::open(&piece.path, format, &piece.column)?)),
        })
    }

    /// The next batch; `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, CaptionsError> {
        match self {
            Self::Parquet(reader) => reader.next_batch(),
            Self::Tar(reader) => reader.next_batch(),
            Self::Text(reader) => reader.next_batch(),
        }
    }
}

#[cfg(test)]
mod tests;
