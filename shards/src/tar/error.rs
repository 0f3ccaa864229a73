//! What can be wrong with a tar: one variant per rule of FORMAT.md §2, each named in `attacks/list.json`.

use std::io;
use std::path::PathBuf;

use super::links::MAX_LINKED_BYTES;
use super::skipped::{BadMember, LinkProblem};
use super::source::{MAX_RATIO, Oversize};
use super::{
    MAX_EXTENSION_BYTES, MAX_MEMBER_BYTES, MAX_NAME_BYTES, MAX_SAMPLE_BYTES, MAX_SAMPLE_MEMBERS, shown,
};

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
    #[error("{0}")]
    NotATar(String),
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
    #[error("member `{}` says {size} bytes but the file ends after {found}; it was cut off", shown(name))]
    Truncated {
        /// The member.
        name: String,
        /// Bytes its header promises, without padding.
        size: u64,
        /// Bytes of data and padding there were.
        found: u64,
    },
    /// The file ends between two members without the closing zero blocks.
    #[error(
        "the file ends without the closing zero block; it may be cut off; to read it all the same, give `--lenient` (in training: `data.samples.lenient_end = true`)"
    )]
    NoEndMarker,
    /// Something stands behind the closing zero blocks.
    #[error(
        "the tar ends at byte {end}, but more data begins here, which readers pass over; joined with `cat`? \
         split it here or join the tars with `tar -A` (lenient reading passes over it)"
    )]
    DataAfterEnd {
        /// Where the closing zero blocks begin.
        end: u64,
    },
    /// A member is too large.
    #[error("member `{}` says {size} bytes; the limit is {MAX_MEMBER_BYTES}", shown(name))]
    MemberTooLarge {
        /// The member.
        name: String,
        /// Bytes its header promises.
        size: u64,
    },
    /// A sample is too large.
    #[error("sample `{}` has more than {MAX_SAMPLE_BYTES} bytes", shown(key))]
    SampleTooLarge {
        /// The sample.
        key: String,
    },
    /// A sample has too many members.
    #[error("sample `{}` has more than {MAX_SAMPLE_MEMBERS} members", shown(key))]
    TooManyMembers {
        /// The sample.
        key: String,
    },
    /// An extension comes twice in one sample.
    #[error(
        "sample `{}` has two members `.{}`; each sample of a tar needs a key of its own",
        shown(key),
        shown(ext)
    )]
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
    #[error("{}; rename it, or skip such samples (`--bad-samples skip`)", BadMember::Name { name: name.clone() })]
    NameNotUtf8 {
        /// The name, with `\xNN` for each byte that is wrong.
        name: String,
    },
    /// A link that leads nowhere.
    #[error(
        "{}; put the file in the tar (GNU tar's --dereference and --hard-dereference), or skip such samples (`--bad-samples skip`)",
        BadMember::Link { name: name.clone(), target: target.clone(), problem: *problem }
    )]
    Link {
        /// The member.
        name: String,
        /// Where it points.
        target: String,
        /// Why that cannot be followed.
        problem: LinkProblem,
    },
    /// A link in a stream, which cannot go back to the target.
    #[error("`{}` is a link, which cannot be followed in a stream; give the tar as a file", shown(name))]
    LinkInStream {
        /// The member.
        name: String,
    },
    /// Links that stand for more than a tar of pictures holds.
    #[error("the links of this tar lead to more than {MAX_LINKED_BYTES} bytes; store files instead of links")]
    LinkedTooLarge,
    /// A key that comes again after other samples.
    #[error(
        "key `{}` returns after other samples: its members are not together, or two samples have one key; \
         make the tar with `tar --sort=name`, or have them joined with `--unsorted join` \
         (in training: `data.samples.unsorted = \"join\"`), or taken as they are with `split`",
        shown(key)
    )]
    ReturningKey {
        /// The key.
        key: String,
    },
    /// A member name has a zero byte in it.
    #[error("member name with a zero byte")]
    NameWithNul,
    /// A link, folder or device with data, which some readers skip and some take for headers.
    #[error("`{}` is a link, folder or device but says it has {size} bytes of data", shown(name))]
    DataOnNonFile {
        /// The member.
        name: String,
        /// Bytes its header promises.
        size: u64,
    },
    /// A sparse file.
    #[error("member `{}` is a sparse file, which is not supported; repack it without holes", shown(name))]
    Sparse {
        /// The member.
        name: String,
    },
    /// A compressed tar that unpacks to far more than pictures do.
    #[error(
        "it unpacks to more than {MAX_RATIO} times its size, which no tar of pictures does; unpack it yourself if you trust it"
    )]
    Oversize,
    /// The folder for unpacking.
    #[error("cannot unpack it into {}: {source}; free space there, or point TMPDIR elsewhere", folder.display())]
    Unpack {
        /// The folder.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
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
            Self::DataAfterEnd { .. } => "data_after_end",
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
            Self::Link { .. } => "link",
            Self::LinkInStream { .. } => "link_in_stream",
            Self::LinkedTooLarge => "linked_too_large",
            Self::ReturningKey { .. } => "returning_key",
            Self::NameWithNul => "name_with_nul",
            Self::DataOnNonFile { .. } => "data_on_non_file",
            Self::Sparse { .. } => "sparse",
            Self::Oversize => "oversize",
            Self::Unpack { .. } => "unpack",
            Self::Read(_) => "read",
        }
    }
}

impl From<BadMember> for TarRule {
    fn from(bad: BadMember) -> Self {
        match bad {
            BadMember::Name { name } => Self::NameNotUtf8 { name },
            BadMember::Link { name, target, problem } => Self::Link { name, target, problem },
        }
    }
}

impl From<io::Error> for TarRule {
    fn from(error: io::Error) -> Self {
        match error.get_ref().is_some_and(|inner| inner.is::<Oversize>()) {
            true => Self::Oversize,
            false => Self::Read(error),
        }
    }
}
