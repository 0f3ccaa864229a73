//! What `verify` has to say: a rule of FORMAT.md, the place that breaks it, and what to do. One line each.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::folder::PAIRMILL_FOLDER;
use crate::rewrite::{CONVERSIONS_FILE, RECORD_FILE};

/// Lines printed for one rule in one file; the rest is counted.
const MAX_LINES: u64 = 5;

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $fix:literal;)*) => {
        /// The rules of FORMAT.md §9.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[$doc])* $variant,)*
        }

        impl Rule {
            /// Every rule, by number.
            #[cfg(test)]
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// `R7`
            pub fn id(self) -> String {
                match self { $(Self::$variant => format!("R{}", $number),)* }
            }

            /// What to do about it.
            pub fn fix(self) -> &'static str {
                match self { $(Self::$variant => $fix,)* }
            }
        }
    };
}

rules! {
    /// Shard files are named by a number of one padding.
    ShardName = 1, "rename it, or move it elsewhere";
    /// A shard with files has stats.
    Finished = 2, "run the same ingest again to finish it, or delete its files";
    /// No temporary files.
    Stale = 3, "delete it if no run is going on";
    /// No `.json` that img2dataset would trip over.
    ForeignJson = 4, "move it elsewhere";
    /// A finished shard has table and images.
    Complete = 5, "delete its stats and run the ingest again";
    /// The tar can be read to its end.
    TarReadable = 6, "make or fetch the shard again";
    /// Member names.
    MemberName = 7, "repack with plain `{key}.{ext}` names";
    /// Keys are unique in the dataset.
    UniqueKey = 8, "leave one of the two out, or repack with new keys";
    /// The members of a sample.
    Members = 9, "repack the shard";
    /// The image can be read.
    Image = 10, "refetch the row, or leave the sample out";
    /// The table can be read and has the columns.
    TableReadable = 11, "delete the shard's files and run the ingest again";
    /// Keys of the table.
    RowKey = 12, "delete the shard's files and run the ingest again";
    /// Status, message, class and sizes of a row agree.
    RowStatus = 13, "delete the shard's files and run the ingest again";
    /// Images and successes of the table are the same, in one order.
    ImagesMatchTable = 14, "delete the shard's files and run the ingest again";
    /// The `json` member says what the table says.
    Json = 15, "delete the shard's files and run the ingest again";
    /// The `txt` member is the caption.
    Text = 16, "delete the shard's files and run the ingest again";
    /// The stats can be read.
    StatsReadable = 17, "delete it and run the ingest again";
    /// The stats count what the table lists.
    StatsMatchTable = 18, "delete the shard's files and run the ingest again";
    /// DALI's index.
    DaliIndex = 19, "run `pairmill-shards index --dali`";
    /// Energon's index.
    EnergonIndex = 20, "run `pairmill-shards index --energon`";
    /// open_clip's sizes.
    Sizes = 21, "run `pairmill-shards index --sizes`";
    /// Retries supersede failures, once each.
    Retry = 22, "delete the retry shard and retry again";
    /// The image column of a Parquet image shard.
    ImageColumn = 23, "delete the shard's files and run the ingest again";
    /// The hash column.
    Hash = 24, "refetch the row";
    /// The format version is known.
    Version = 25, "read it with the Pairmill that wrote it, or a newer one";
    /// Tars of ours are plain ustar with fixed headers.
    PlainTar = 26, "harmless to readers, but the bytes are not reproducible; convert the shard to have it rewritten";
    /// A finished run has all its shards.
    Missing = 27, "fetch the missing files, or run the same ingest again to make them";
    /// Messages are of the list, and `final_url` tells no secret.
    Discreet = 28, "do not pass the table on; delete the shard's files and run the ingest again";
}

/// Who made the shards, and so what mends them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// `pairmill-ingest` or img2dataset: there are tables and stats.
    #[default]
    Ingest,
    /// `subset` or `reshard`: there is their record.
    Rewritten,
    /// `convert`: there is its note, or the table says that it was made from a tar that had none.
    Converted,
    /// Any other tool: tars alone.
    Foreign,
}

impl Origin {
    /// That of `folder`, by the notes in it; `has_tables` says whether there are tables or stats.
    pub fn of(folder: &Path, has_tables: bool) -> Self {
        let is_noted = |name: &str| folder.join(PAIRMILL_FOLDER).join(name).is_file();
        match has_tables {
            _ if is_noted(RECORD_FILE) => Self::Rewritten,
            _ if is_noted(CONVERSIONS_FILE) => Self::Converted,
            true => Self::Ingest,
            false => Self::Foreign,
        }
    }

    /// A rule's advice in this origin's words.
    pub fn fix(self, rule: Rule) -> &'static str {
        let fix = rule.fix();
        if self == Self::Ingest
            || !["ingest", "refetch", "fetch the shard"].iter().any(|word| fix.contains(word))
        {
            return fix;
        }
        match (self, rule) {
            (_, Rule::Image) => "leave the sample out, or put a whole image in its place",
            (_, Rule::Hash) => "leave the sample out, or put the image of that hash in its place",
            (Self::Rewritten, Rule::Finished | Rule::Missing) => {
                "give the same subset or reshard again to finish it"
            }
            (Self::Rewritten, _) => "delete the shard's files and give the same subset or reshard again",
            (Self::Converted, Rule::Finished | Rule::Missing) => "give the same convert again to finish it",
            (Self::Converted, _) => "convert the shard again from the one it was made of",
            (Self::Foreign | Self::Ingest, _) => {
                "make the shard again with the tool that made it, or fetch it again"
            }
        }
    }
}

/// Where in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    File,
    /// Byte offset.
    Offset(u64),
    /// Row of a table, from 0.
    Row(u64),
    /// A sample and where it begins.
    Sample(String, u64),
    /// A key.
    Key(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Offset(at) => write!(f, "offset {at}: "),
            Self::Row(row) => write!(f, "row {row}: "),
            Self::Sample(key, at) => write!(f, "offset {at}: sample {key}: "),
            Self::Key(key) => write!(f, "key {key}: "),
        }
    }
}

/// Collects findings and turns them into lines.
#[derive(Debug, Default)]
pub struct Findings {
    lines: Vec<String>,
    counts: BTreeMap<(PathBuf, String), u64>,
    total: u64,
    origin: Origin,
}

impl Findings {
    /// Says who made the shards that come next.
    pub fn set_origin(&mut self, origin: Origin) {
        self.origin = origin;
    }

    /// A broken rule.
    pub fn add(&mut self, rule: Rule, path: &Path, place: Place, problem: impl fmt::Display) {
        let name = rule.id();
        self.push(path, &name, format_args!("{place}{name}: {problem}; {}", self.origin.fix(rule)));
    }

    /// A broken rule that an error tells of. Errors name the file themselves, and most say what to do: neither is said
    /// twice.
    pub fn add_error(&mut self, rule: Rule, path: &Path, place: Place, error: impl fmt::Display) {
        let name = rule.id();
        let text = error.to_string();
        let shown = path.display().to_string();
        // `x.tar: problem`, or `cannot read x.tar: problem`.
        let text = match text.strip_prefix(&format!("{shown}: ")) {
            Some(rest) => rest.to_owned(),
            None => text.replacen(&shown, "it", 1),
        };
        let fix = self.origin.fix(rule);
        match text.contains("; ") {
            true => self.push(path, &name, format_args!("{place}{name}: {text}")),
            false => self.push(path, &name, format_args!("{place}{name}: {text}; {fix}")),
        }
    }

    /// Something a reader chokes on.
    pub fn warn(&mut self, reader: &str, path: &Path, place: Place, problem: impl fmt::Display) {
        self.push(path, reader, format_args!("{place}{reader}: {problem}"));
    }

    fn push(&mut self, path: &Path, name: &str, rest: fmt::Arguments<'_>) {
        self.total += 1;
        let count = self.counts.entry((path.to_owned(), name.to_owned())).or_insert(0);
        *count += 1;
        if *count <= MAX_LINES {
            self.lines.push(format!("{}: {rest}", path.display()));
        }
    }

    /// Takes the lines so far, with one for what was not listed.
    pub fn take_lines(&mut self) -> Vec<String> {
        let mut lines = std::mem::take(&mut self.lines);
        for ((path, name), count) in std::mem::take(&mut self.counts) {
            if count > MAX_LINES {
                lines.push(format!(
                    "{}: {name}: … and {} more like these",
                    path.display(),
                    count - MAX_LINES
                ));
            }
        }
        lines
    }

    /// Findings in all.
    pub fn total(&self) -> u64 {
        self.total
    }
}
