//! Names of table formats, and which one a source or file name means.

use std::path::Path;

use crate::error::{Error, Result};
use crate::source::Source;
use crate::words::word_enum;

word_enum! {
    /// File format of a table.
    TableFormat, "table format" {
        LaionParquet = "laion-parquet",
        RedCapsJson = "redcaps-json",
        CaptionUrlTsv = "caption-url-tsv",
        UrlCaptionTsv = "url-caption-tsv",
        WitTsv = "wit-tsv",
        YfccText = "yfcc-text",
        Parquet = "parquet",
        Csv = "csv",
        Tsv = "tsv",
        Json = "json",
        Jsonl = "jsonl",
        Txt = "txt",
    }
}

impl TableFormat {
    /// The format a source is published in.
    pub const fn of(source: Source) -> Self {
        match source {
            Source::Laion => Self::LaionParquet,
            Source::RedCaps => Self::RedCapsJson,
            Source::Cc3m => Self::CaptionUrlTsv,
            Source::Cc12m | Source::Shutterstock => Self::UrlCaptionTsv,
            Source::Wit => Self::WitTsv,
            Source::Yfcc => Self::YfccText,
        }
    }

    /// File name ending of the format, before any `.gz` or `.zst`.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::LaionParquet | Self::Parquet => "parquet",
            Self::RedCapsJson | Self::Json => "json",
            Self::CaptionUrlTsv | Self::UrlCaptionTsv | Self::WitTsv | Self::Tsv => "tsv",
            Self::YfccText | Self::Txt => "txt",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }

    /// The source's own format where the name ends as it should, else the plain `url`, `caption` table of that
    /// ending.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`] for any other ending.
    pub fn for_path(source: Source, path: &Path) -> Result<Self> {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let stem = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
        let ending = stem.rsplit_once('.').map_or("", |(_, ending)| ending);
        let own = Self::of(source);
        if ending == own.extension() {
            return Ok(own);
        }
        [Self::Parquet, Self::Csv, Self::Tsv, Self::Json, Self::Jsonl, Self::Txt]
            .into_iter()
            .find(|format| format.extension() == ending)
            .ok_or_else(|| Error::UnknownFormat {
                path: path.to_owned(),
                known: ".parquet, .csv, .tsv, .json, .jsonl or .txt",
            })
    }
}
