//! What can go wrong: the tables this crate was built with, a caption's line, the streams.

use std::io;

/// Errors of this crate; captions themselves cause none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The table of merges in the binary has another size than the vocabulary.
    #[error("the table of merges in this binary has {bytes} bytes; build it again")]
    Merges {
        /// Its size.
        bytes: usize,
    },
    /// A line longer than [`crate::lines::MAX_LINE_BYTES`], which no caption is.
    #[error("line {line} of the captions is longer than {max} bytes; give one caption a line")]
    LineTooLong {
        /// From 1.
        line: u64,
        /// The longest that is taken.
        max: usize,
    },
    /// The captions could not be read.
    #[error("cannot read the captions after line {after_line}: {source}")]
    Read {
        /// Lines read before.
        after_line: u64,
        /// What the stream said.
        source: io::Error,
    },
    /// The ids could not be written.
    #[error("cannot write token ids: {0}")]
    Write(#[source] io::Error),
}
