//! What a reader passed over: members that belong to no sample, samples that cannot be read, data behind a tar's end.

use std::fmt;

use super::shown;

/// Why a sample cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadMember {
    /// The name of a member is not UTF-8.
    #[error("member name `{}` is not UTF-8", shown(name))]
    Name {
        /// The name, with `\xNN` for each byte that is wrong.
        name: String,
    },
    /// A member is a link that leads nowhere.
    #[error("member `{}` is a link to `{}`, {problem}", shown(name), shown(target))]
    Link {
        /// The member.
        name: String,
        /// Where it points.
        target: String,
        /// Why that cannot be followed.
        problem: LinkProblem,
    },
}

/// Why a link cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkProblem {
    /// The target is not there, or is no file.
    #[error("which is no file of this tar")]
    Missing,
    /// A hard link to a member that comes later.
    #[error("which comes later in the tar")]
    Later,
    /// Links that lead back to themselves, or a very long chain of them.
    #[error("which leads back to it, or through too many links")]
    Loop,
}

/// Members, samples and rests of tars that were passed over, each kind with its first example.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Members that belong to no sample: names without key or extension, devices, unknown kinds. Folders and webdataset's
    /// `__name__` members are expected and not counted.
    pub members: u64,
    /// The first of them.
    pub member: Option<String>,
    /// Samples that were left out.
    pub samples: u64,
    /// The first of them, with the reason.
    pub sample: Option<String>,
    /// Tars with data behind their closing zero blocks, which lenient reading passes over.
    pub rests: u64,
    /// The first of them.
    pub rest: Option<String>,
}

impl Skipped {
    /// Whether nothing was passed over.
    pub fn is_empty(&self) -> bool {
        self.members == 0 && self.samples == 0 && self.rests == 0
    }

    /// Counts a member of no sample.
    pub(super) fn add_member(&mut self, name: &str) {
        self.members += 1;
        self.member.get_or_insert_with(|| shown(name));
    }

    /// Counts a sample that is left out.
    pub fn add_sample(&mut self, key: &str, reason: &dyn fmt::Display) {
        self.samples += 1;
        self.sample.get_or_insert_with(|| format!("sample `{}`: {reason}", shown(key)));
    }

    /// Counts the data from byte `offset` on, which stands behind the end of the tar.
    pub(super) fn add_rest(&mut self, offset: u64) {
        self.rests += 1;
        self.rest.get_or_insert_with(|| format!("from byte {offset} on"));
    }

    /// Adds what was passed over elsewhere in the same shard.
    pub fn add(&mut self, other: Self) {
        self.members += other.members;
        self.samples += other.samples;
        self.rests += other.rests;
        self.member = self.member.take().or(other.member);
        self.sample = self.sample.take().or(other.sample);
        self.rest = self.rest.take().or(other.rest);
    }

    /// Adds what was passed over in the shard that users know as `shard`.
    pub fn add_shard(&mut self, shard: &str, other: &Self) {
        let named = |example: &String| format!("{shard}: {example}");
        self.members += other.members;
        self.samples += other.samples;
        self.rests += other.rests;
        self.member = self.member.take().or_else(|| other.member.as_ref().map(named));
        self.sample = self.sample.take().or_else(|| other.sample.as_ref().map(named));
        self.rest = self.rest.take().or_else(|| other.rest.as_ref().map(named));
    }
}

/// `skipped 2 bad samples (a.tar: sample `b`: …) and 1 member of no sample (a.tar: README)`; nothing where nothing was.
impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let example = |example: &Option<String>| {
            example.as_ref().map_or(String::new(), |example| format!(" (for example {example})"))
        };
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let (mut word, grouped) = ("skipped", crate::words::grouped);
        if self.samples > 0 {
            let (count, s) = (self.samples, plural(self.samples));
            write!(f, "{word} {} bad sample{s}{}", grouped(count), example(&self.sample))?;
            word = " and";
        }
        if self.members > 0 {
            let (count, s) = (self.members, plural(self.members));
            write!(f, "{word} {} member{s} of no sample{}", grouped(count), example(&self.member))?;
            word = " and";
        }
        if self.rests > 0 {
            let (count, s) = (self.rests, plural(self.rests));
            write!(f, "{word} data behind the end of {} tar{s}{}", grouped(count), example(&self.rest))?;
        }
        Ok(())
    }
}
