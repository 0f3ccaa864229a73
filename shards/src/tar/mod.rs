//! Tar shards: the files that training reads. One parser ([`TarReader`] over a stream, [`MappedTar`] over a mapped
//! file, [`TarSamples`] whichever of the two suits) accepts what img2dataset, webdataset, GNU tar and Python write; one writer ([`TarWriter`]) makes plain
//! ustar that all of their readers accept. FORMAT.md §2 specifies the bytes.
//!
//! How members become samples is webdataset's rule: the key is the path up to the first dot of the base name, the
//! extension the lower-cased rest, and a sample is a run of adjacent members with one key. A second member of the
//! same key and extension in that run is an error, as in webdataset (open_clip would start a second sample of the
//! same key). Hard and symbolic links stand for the member of the tar that they lead to. Folders and `__name__` members
//! are passed over; so are devices and names without a dot or with nothing before it, which are counted ([`Skipped`]).
//!
//! Reading is strict where readers disagree, so that no file means different samples to different tools: keys that
//! return after other samples, names that are not UTF-8, links that lead nowhere, sizes on members without data, sparse
//! files and global headers that rename members are errors. [`TarOptions`] relaxes the first three. A [`TarError`] names
//! file, byte offset and rule; after one, nothing more is read.
//!
//! Tars compressed by gzip, bzip2 or zstd are told by their first bytes: streamed by [`TarReader`] and [`TarSamples`],
//! unpacked into an unnamed file by [`MappedTar`].

mod agreement;
mod entries;
mod error;
mod files;
mod gather;
mod header;
mod index;
mod keys;
pub mod links;
mod map;
mod mapped;
mod name;
mod options;
mod pax;
mod reader;
mod samples;
mod skipped;
mod source;
mod writer;

pub use agreement::{Disagreement, check_readers_agree};
pub use error::{TarError, TarRule};
pub use files::{TarFile, TarFiles};
pub use index::{Component, SampleSpan, TarIndex};
pub use mapped::{MappedSample, MappedTar, scan};
pub use name::{has_indexes, is_tar_name, shard_stem};
pub use options::{BadSamples, EndMarker, TarOptions, Unsorted};
pub use reader::TarReader;
pub use samples::TarSamples;
pub use skipped::{BadMember, LinkProblem, Skipped};
pub use source::TarInput;
pub use writer::{Span, TarWriteError, TarWriter};

/// Unit of a tar: headers are one block, data is padded to whole ones.
pub const BLOCK_BYTES: u64 = 512;
/// Archives are padded to a multiple of this, as Python's tarfile and GNU tar do.
pub const RECORD_BYTES: u64 = 10_240;

/// Largest member that is read or written. A streamed member lies in memory as a whole.
pub const MAX_MEMBER_BYTES: u64 = 1 << 30;
/// Most bytes a streamed sample may hold in all its members.
pub const MAX_SAMPLE_BYTES: u64 = 2 << 30;
/// Most members of one sample.
pub const MAX_SAMPLE_MEMBERS: usize = 256;
/// Longest member name that is read, through whichever header it comes.
pub const MAX_NAME_BYTES: usize = 4096;
/// Longest member name that is written: what fits the ustar name field, since not every reader knows the prefix.
pub const MAX_WRITTEN_NAME_BYTES: usize = 100;
/// Largest PAX or GNU extension header.
pub const MAX_EXTENSION_BYTES: u64 = 1 << 20;

/// Whether a member is one of those in which webdataset keeps notes about a tar.
fn is_meta(name: &str) -> bool {
    !name.contains('/') && name.starts_with("__") && name.ends_with("__")
}

/// A name out of a tar for a message: bounded, and nothing in it that steers a terminal.
pub(crate) fn shown(name: &str) -> String {
    crate::printable::excerpt(name, 120)
}

/// The key and extension a member's name gives, or `None` for a name that belongs to no sample.
fn sample_name(name: &str) -> Option<(&str, &str)> {
    if is_meta(name) {
        return None;
    }
    crate::key::split_member(name)
}

/// Data and padding: `size` rounded up to whole blocks. `size` is at most 2⁶³, so this cannot overflow.
fn padded(size: u64) -> u64 {
    size.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

#[cfg(test)]
mod tests;
