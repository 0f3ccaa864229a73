//! What can be wrong with a tar: one variant per rule of FORMAT.md §2, each named in `attacks/list.json`.

use std::io;
use std::path::PathBuf;

use super::{MAX_EXTENSION_BYTES, MAX_MEMBER_BYTES, MAX_NAME_BYTES, MAX_SAMPLE_BYTES, MAX_SAMPLE_MEMBERS};

/// A tar that breaks a rule: the shard is bad as a whole, so reading ends here.
#[derive(Debug, thiserror::Error)]
#[error("{}: at byte {offset}: {rule}", path.display())]
pub struct TarError {
    /// The tar, or the label the stream was given.
    pub path: PathBuf,
    /// Where the header (or, for a record inside an extension header, that header) begins, in bytes.
    pub offset: u64,
    /// The rule that is broken.
    pub rule: TarRule,
}

/// A rule a tar can break.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarRule {
    /// The first block is another format's.
    #[error("this is {0}, not a plain tar; unpack it first")]
    NotATar(&'static str),
    /// A header's checksum is wrong.
    #[error("bad header checksum (stored {stored}, computed {computed}); the file is damaged here")]
    Checksum {
        /// In the header.
        stored: u64,
        /// Of its bytes.
        computed: u64,
    },
    /// A number field does not hold a number.
    #[error("the {field} field of the header is not a number")]
    Number {
        /// Name of the field.
        field: &'static str,
    },
    /// The file ends inside a header.
    #[error("the file ends {found} bytes into a 512-byte header; it was cut off")]
    TruncatedHeader {
        /// Bytes there were.
        found: usize,
    },
    /// The file ends inside a member.
    #[error("member `{name}` says {size} bytes but the file ends after {found}; it was cut off")]
    Truncated {
        /// The member.
        name: String,
        /// Bytes its header promises, without padding.
        size: u64,
        /// Bytes of data and padding there were.
        found: u64,
    },
    /// The file ends between two members without the closing zero blocks.
    #[error("the file ends without the closing zero block; it may be cut off (lenient reading accepts it)")]
    NoEndMarker,
    /// A member is too large.
    #[error("member `{name}` says {size} bytes; the limit is {MAX_MEMBER_BYTES}")]
    MemberTooLarge {
        /// The member.
        name: String,
        /// Bytes its header promises.
        size: u64,
    },
    /// A sample is too large.
    #[error("sample `{key}` has more than {MAX_SAMPLE_BYTES} bytes")]
    SampleTooLarge {
        /// The sample.
        key: String,
    },
    /// A sample has too many members.
    #[error("sample `{key}` has more than {MAX_SAMPLE_MEMBERS} members")]
    TooManyMembers {
        /// The sample.
        key: String,
    },
    /// An extension comes twice in one sample.
    #[error("sample `{key}` has two adjacent members `.{ext}`; keys must differ from one sample to the next")]
    DuplicateMember {
        /// The sample.
        key: String,
        /// The extension, lower-cased.
        ext: String,
    },
    /// An extension header is too large.
    #[error("{kind} header of {size} bytes; the limit is {MAX_EXTENSION_BYTES}")]
    ExtensionTooLarge {
        /// Which kind of extension header.
        kind: &'static str,
        /// Bytes it promises.
        size: u64,
    },
    /// A PAX header does not parse or says something that readers disagree on.
    #[error("bad PAX header: {0}")]
    Pax(&'static str),
    /// Two extension headers name one member.
    #[error("two extension headers give the name of one member")]
    TwoNames,
    /// An extension header stands last, with no member behind it.
    #[error("an extension header is not followed by its member")]
    DanglingExtension,
    /// A member name is too long.
    #[error("member name of {len} bytes; the limit is {MAX_NAME_BYTES}")]
    NameTooLong {
        /// Its bytes.
        len: usize,
    },
    /// A member name is not UTF-8.
    #[error("member name `{lossy}` is not UTF-8; rename it")]
    NameNotUtf8 {
        /// The name with the broken parts replaced.
        lossy: String,
    },
    /// A member name has a zero byte in it.
    #[error("member name with a zero byte")]
    NameWithNul,
    /// A link, folder or device with data, which some readers skip and some take for headers.
    #[error("`{name}` is a link, folder or device but says it has {size} bytes of data")]
    DataOnNonFile {
        /// The member.
        name: String,
        /// Bytes its header promises.
        size: u64,
    },
    /// A sparse file.
    #[error("member `{name}` is a sparse file, which is not supported; repack it without holes")]
    Sparse {
        /// The member.
        name: String,
    },
    /// The file could not be opened or read.
    #[error("cannot read: {0}")]
    Read(io::Error),
}

impl TarRule {
    /// A short, stable name for reports and fixtures.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotATar(_) => "not_a_tar",
            Self::Checksum { .. } => "checksum",
            Self::Number { .. } => "number",
            Self::TruncatedHeader { .. } => "truncated_header",
            Self::Truncated { .. } => "truncated",
            Self::NoEndMarker => "no_end_marker",
            Self::MemberTooLarge { .. } => "member_too_large",
            Self::SampleTooLarge { .. } => "sample_too_large",
            Self::TooManyMembers { .. } => "too_many_members",
            Self::DuplicateMember { .. } => "duplicate_member",
            Self::ExtensionTooLarge { .. } => "extension_too_large",
            Self::Pax(_) => "pax",
            Self::TwoNames => "two_names",
            Self::DanglingExtension => "dangling_extension",
            Self::NameTooLong { .. } => "name_too_long",
            Self::NameNotUtf8 { .. } => "name_not_utf8",
            Self::NameWithNul => "name_with_nul",
            Self::DataOnNonFile { .. } => "data_on_non_file",
            Self::Sparse { .. } => "sparse",
            Self::Read(_) => "read",
        }
    }
}
