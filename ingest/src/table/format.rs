//! Which kind of table a file is: by the user's word, else by its name. Compression is told from the bytes.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::error::TableError;

/// Format of an input table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InputFormat {
    /// Apache Parquet.
    Parquet,
    /// Fields separated by commas, with a header line.
    Csv,
    /// Fields separated by tabs, with a header line.
    Tsv,
    /// One array of objects.
    Json,
    /// One object per line.
    Jsonl,
    /// One URL per line.
    Txt,
    /// YFCC100M's metadata with OpenAI's list ([`crate::yfcc`]).
    Yfcc,
}

impl InputFormat {
    /// Every format, in the order messages list them.
    pub const ALL: [Self; 7] =
        [Self::Parquet, Self::Csv, Self::Tsv, Self::Json, Self::Jsonl, Self::Txt, Self::Yfcc];

    /// The word on the command line, which is also the file extension.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Txt => "txt",
            Self::Yfcc => "yfcc",
        }
    }

    /// The format that a file's name shows, the ending of its compression put aside. Case is ignored.
    pub fn of_path(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        let (stem, extension) = without_compression(&name).rsplit_once('.')?;
        if stem.is_empty() {
            return None;
        }
        match extension {
            "ndjson" => Some(Self::Jsonl),
            "pq" => Some(Self::Parquet),
            "tab" => Some(Self::Tsv),
            _ => Self::ALL.into_iter().find(|format| format.as_str() == extension),
        }
    }

    /// Byte between fields, for the delimited formats.
    pub(super) fn delimiter(self) -> Option<u8> {
        match self {
            Self::Csv => Some(b','),
            Self::Tsv => Some(b'\t'),
            Self::Parquet | Self::Json | Self::Jsonl | Self::Txt | Self::Yfcc => None,
        }
    }
}

impl fmt::Display for InputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for InputFormat {
    type Err = TableError;

    /// Takes img2dataset's words too (`csv.gz`, `tsv.gz`, …): compression is found in the bytes anyway.
    fn from_str(word: &str) -> Result<Self, TableError> {
        let plain = without_compression(word);
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == plain && (plain == word || *format != Self::Parquet))
            .ok_or_else(|| TableError::UnknownFormat { word: word.to_owned() })
    }
}

/// How a text table's bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Plain,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

/// Endings of compressed files.
const ENDINGS: [(&str, Compression); 4] = [
    ("gz", Compression::Gzip),
    ("bz2", Compression::Bzip2),
    ("xz", Compression::Xz),
    ("zst", Compression::Zstd),
];

impl Compression {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    /// By the first bytes: RFC 1952 §2.3.1, bzip2's block size and first block, xz §2.1.1.1, RFC 8878 §3.1 (also its
    /// skippable frames). No text starts so.
    pub(super) fn of_bytes(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A block, or the end of an empty file.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// By the file's name: (extension, compression).
    pub(super) fn of_path(path: &Path) -> Option<(&'static str, Self)> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        let (_, ending) = name.rsplit_once('.')?;
        ENDINGS.into_iter().find(|(known, _)| *known == ending)
    }
}

/// `name` with the ending of a compressed file cut off.
pub(super) fn without_compression(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, ending)) if ENDINGS.iter().any(|(known, _)| *known == ending) => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_names_are_understood() {
        for format in InputFormat::ALL {
            assert_eq!(format.as_str().parse::<InputFormat>().unwrap(), format);
            assert_eq!(InputFormat::of_path(Path::new(&format!("dir.x/a.b.{format}"))), Some(format));
        }
        for (word, format) in [
            ("csv.gz", InputFormat::Csv),
            ("jsonl.gz", InputFormat::Jsonl),
            ("txt.zst", InputFormat::Txt),
            ("csv.bz2", InputFormat::Csv),
            ("tsv.xz", InputFormat::Tsv),
        ] {
            assert_eq!(word.parse::<InputFormat>().unwrap(), format, "{word}");
        }
        assert_eq!(InputFormat::of_path(Path::new("A.TSV.GZ")), Some(InputFormat::Tsv));
        assert_eq!(InputFormat::of_path(Path::new("a.ndjson.zst")), Some(InputFormat::Jsonl));
        assert_eq!(InputFormat::of_path(Path::new("README")), None);
        assert_eq!(InputFormat::of_path(Path::new(".csv")), None);
    }

    #[test]
    fn unknown_words_list_the_known_ones() {
        for word in ["xlsx", "", "parquet.gz", "CSV"] {
            let error = word.parse::<InputFormat>().unwrap_err().to_string();
            assert_eq!(
                error,
                format!(
                    "unknown input format `{word}`; it is one of parquet, csv, tsv, json, jsonl, txt \
                     (text ones also .gz, .bz2, .xz or .zst)"
                )
            );
        }
    }
}
