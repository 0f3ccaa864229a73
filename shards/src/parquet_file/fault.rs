//! Why a Parquet file is not read, for the caller to put its path before.

use crate::lookalike::Lookalike;

/// Why a Parquet file is not read. The text is one line without the file's name.
#[derive(Debug, thiserror::Error)]
pub enum ParquetFault {
    /// The operating system refused.
    #[error("cannot read: {0}")]
    Read(#[from] std::io::Error),
    /// Something else lies under the name.
    #[error("{0}")]
    Lookalike(Lookalike),
    /// Encrypted.
    #[error(
        "the file is encrypted (Parquet modular encryption), which is not read; decrypt it with what wrote it"
    )]
    Encrypted,
    /// Two places that must say the same do not.
    #[error("{0}; the file contradicts itself, write it again")]
    Contradiction(String),
    /// More memory would be needed than is allowed.
    #[error("{0}")]
    TooLarge(String),
    /// What the library says of the bytes.
    #[error("{0}")]
    Damaged(String),
    /// The library panicked.
    #[error("its pages contradict each other (the reader {0})")]
    Panic(String),
}

impl ParquetFault {
    pub(super) fn damaged(error: &impl std::fmt::Display) -> Self {
        // Foreign messages may span lines and quote the data; ours do neither at length.
        const MAX_CHARS: usize = 300;
        let text = error.to_string();
        let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        let words = clean.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
        Self::Damaged(if words.chars().count() > MAX_CHARS {
            words.chars().take(MAX_CHARS).chain(std::iter::once('…')).collect()
        } else {
            words
        })
    }
}
