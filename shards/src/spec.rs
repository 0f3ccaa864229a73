//! How a user names shards: `data/{00000..01243}.tar`, `a/{00,07}.tar::b/*.tar`, or a folder. Brace ranges and
//! `::` mean what they mean in webdataset, so one string works in both; globs and folders are ours.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::tar::{has_indexes, is_tar_name, shard_stem};

/// Names a specification may stand for, so that a mistyped range cannot fill the memory.
pub const MAX_SHARDS: usize = 1_000_000;
/// Kind of file that may also be compressed.
const TAR: &str = "tar";
/// Braces inside braces, at most.
const MAX_BRACE_DEPTH: usize = 8;

/// A set of shards as the user wrote it. Displays as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardSpec {
    source: String,
    names: Vec<String>,
}

/// Why a shard specification is refused. Each message repeats the specification.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Nothing was given, or nothing between two `::`.
    #[error("`{spec}`: a shard name is empty; separate names by exactly one `::`")]
    Empty {
        /// The specification as written.
        spec: String,
    },
    /// `{` without `}` or the reverse, or nested too deep.
    #[error("`{spec}`: unbalanced or too deeply nested braces; write ranges like `{{00000..00012}}.tar`")]
    Braces {
        /// The specification as written.
        spec: String,
    },
    /// Braces around something else than a range or a list.
    #[error("`{spec}`: `{{{body}}}` is neither a range `{{00000..00012}}` nor a list `{{a,b}}`")]
    NotARange {
        /// The specification as written.
        spec: String,
        /// What the braces hold.
        body: String,
    },
    /// More names than [`MAX_SHARDS`].
    #[error("`{spec}` stands for more than {MAX_SHARDS} shards; check the range, or name them in parts")]
    TooMany {
        /// The specification as written.
        spec: String,
    },
    /// A URL or shell pipe where a local path is needed.
    #[error("`{name}` is not a local path; download or mount the shards first")]
    NotLocal {
        /// The offending name.
        name: String,
    },
    /// Not a valid glob pattern.
    #[error("`{name}` is not a valid pattern: {reason}")]
    Pattern {
        /// The offending name.
        name: String,
        /// What the pattern parser said.
        reason: String,
    },
    /// A named file is not there.
    #[error("there is no shard {}; check the path and the range", path.display())]
    Missing {
        /// The file that is missing.
        path: PathBuf,
    },
    /// A pattern or folder with no shard.
    #[error("`{name}` holds no .{ext} file; give a folder, file or pattern that does")]
    NoMatch {
        /// Folder or pattern.
        name: String,
        /// Extension looked for.
        ext: String,
    },
    /// A folder could not be listed.
    #[error(transparent)]
    File(#[from] crate::atomic::FileError),
}

impl ShardSpec {
    /// The specification's names with braces expanded, in the order written; globs and folders stand as they are.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The files the specification stands for, in the order written; a folder stands for its `*.{folder_ext}`
    /// files (of `tar` also the compressed ones, `.tar.gz` and the like), a glob for its matches, both sorted by name.
    /// Hidden files are never matched.
    ///
    /// # Errors
    /// When a file is missing, a folder or glob holds none, or a name is a URL.
    pub fn resolve(&self, folder_ext: &str) -> Result<Vec<PathBuf>, SpecError> {
        let mut paths = Vec::new();
        for name in &self.names {
            if name.starts_with("pipe:") || name.contains("://") {
                return Err(SpecError::NotLocal { name: name.clone() });
            }
            let path = Path::new(name);
            if path.is_dir() {
                paths.extend(self.within(list_folder(path, folder_ext)?, name, folder_ext)?);
            } else if path.exists() {
                paths.push(path.to_path_buf());
            } else if name.contains(['*', '?', '[']) {
                paths.extend(self.within(list_glob(name)?, name, folder_ext)?);
            } else {
                return Err(SpecError::Missing { path: path.to_path_buf() });
            }
            if paths.len() > MAX_SHARDS {
                return Err(SpecError::TooMany { spec: self.source.clone() });
            }
        }
        Ok(paths)
    }

    /// [`resolve`](Self::resolve) with several kinds of shard to look for in folders: the first that is found counts.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn resolve_first_of(&self, folder_exts: &[&str]) -> Result<Vec<PathBuf>, SpecError> {
        let mut nothing = None;
        for ext in folder_exts {
            match self.resolve(ext) {
                Err(e @ SpecError::NoMatch { .. }) => nothing = nothing.or(Some(e)),
                other => return other,
            }
        }
        nothing.map_or(Ok(Vec::new()), Err)
    }

    fn within(&self, mut found: Vec<PathBuf>, name: &str, ext: &str) -> Result<Vec<PathBuf>, SpecError> {
        if found.is_empty() {
            return Err(SpecError::NoMatch { name: name.to_owned(), ext: ext.to_owned() });
        }
        found.sort();
        Ok(found)
    }
}

fn list_folder(folder: &Path, ext: &str) -> Result<Vec<PathBuf>, SpecError> {
    use crate::atomic::{FileAction, FileError};
    let list = |e| FileError::new(folder, FileAction::List, e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(list)? {
        let path = entry.map_err(list)?.path();
        let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.is_file() {
            found.push(path);
        }
    }
    Ok(of_kind(found, ext).into_iter().collect())
}

/// Of the files of a folder, those of one kind, such as `tar` or `parquet`: of `tar` also the compressed ones, unless the
/// same shard lies there plain too.
pub fn of_kind(files: Vec<PathBuf>, ext: &str) -> BTreeSet<PathBuf> {
    let mut found: BTreeSet<PathBuf> = files.into_iter().filter(|path| is_kind(path, ext)).collect();
    if ext == TAR {
        drop_packed_copies(&mut found);
    }
    found
}

/// Whether a file's name is one of this kind; tars may be compressed.
fn is_kind(path: &Path, ext: &str) -> bool {
    match path.file_name().and_then(|name| name.to_str()) {
        Some(name) if ext == TAR => is_tar_name(name),
        _ => path.extension().is_some_and(|found| found == ext),
    }
}

/// A shard that lies there both plain and compressed is one shard.
fn drop_packed_copies(found: &mut BTreeSet<PathBuf>) {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let plain: HashSet<String> = (found.iter().map(|path| name(path)))
        .filter(|name| has_indexes(name))
        .map(|name| shard_stem(&name).to_owned())
        .collect();
    found.retain(|path| has_indexes(&name(path)) || !plain.contains(shard_stem(&name(path))));
}

fn list_glob(name: &str) -> Result<Vec<PathBuf>, SpecError> {
    use crate::atomic::{FileAction, FileError};
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let matches = glob::glob_with(name, options)
        .map_err(|e| SpecError::Pattern { name: name.to_owned(), reason: e.to_string() })?;
    let mut found = Vec::new();
    for path in matches {
        let path = path.map_err(|e| {
            let path = e.path().to_path_buf();
            FileError::new(path, FileAction::List, e.into())
        })?;
        if path.is_file() {
            found.push(path);
        }
    }
    Ok(found)
}

impl fmt::Display for ShardSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl FromStr for ShardSpec {
    type Err = SpecError;

    fn from_str(source: &str) -> Result<Self, SpecError> {
        let mut names = Vec::new();
        for part in source.split("::") {
            let part = local_path(part);
            if part.is_empty() {
                return Err(SpecError::Empty { spec: source.to_owned() });
            }
            // A file that really has braces in its name is meant literally.
            if part.contains(['{', '}']) && !Path::new(part).exists() {
                names.extend(Expander { source }.expand(part, 0)?);
            } else {
                names.push(part.to_owned());
            }
            if names.len() > MAX_SHARDS {
                return Err(SpecError::TooMany { spec: source.to_owned() });
            }
        }
        Ok(Self { source: source.to_owned(), names })
    }
}

/// The path of a `file:` URL, which may name this machine as its host; anything else as it is.
fn local_path(part: &str) -> &str {
    let Some(path) = part.strip_prefix("file:") else { return part };
    match path.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(rest),
        None => path,
    }
}

/// Brace expansion as bash and webdataset do it, without steps.
struct Expander<'a> {
    source: &'a str,
}

impl Expander<'_> {
    fn unbalanced(&self) -> SpecError {
        SpecError::Braces { spec: self.source.to_owned() }
    }

    fn expand(&self, text: &str, depth: usize) -> Result<Vec<String>, SpecError> {
        if depth > MAX_BRACE_DEPTH {
            return Err(self.unbalanced());
        }
        let mut grown = vec![String::new()];
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            for name in &mut grown {
                name.push_str(&rest[..at]);
            }
            let body_len = self.body_len(&rest[at..])?;
            let body = &rest[at + 1..at + 1 + body_len];
            rest = &rest[at + body_len + 2..];
            let choices = self.choices(body, depth)?;
            if grown.len().saturating_mul(choices.len()) > MAX_SHARDS {
                return Err(SpecError::TooMany { spec: self.source.to_owned() });
            }
            grown = grown
                .iter()
                .flat_map(|name| choices.iter().map(move |choice| format!("{name}{choice}")))
                .collect();
        }
        for name in &mut grown {
            name.push_str(rest);
        }
        Ok(grown)
    }

    /// Length of what stands between the brace `text` starts with and its partner.
    fn body_len(&self, text: &str) -> Result<usize, SpecError> {
        let mut depth = 0usize;
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'{' => depth += 1,
                b'}' if depth == 1 => return Ok(at - 1),
                b'}' if depth == 0 => break,
                b'}' => depth -= 1,
                _ => {}
            }
        }
        Err(self.unbalanced())
    }

    fn choices(&self, body: &str, depth: usize) -> Result<Vec<String>, SpecError> {
        let alternatives = split_at_top_level_commas(body);
        if alternatives.len() > 1 {
            let mut choices = Vec::new();
            for alternative in alternatives {
                choices.extend(self.expand(alternative, depth + 1)?);
                if choices.len() > MAX_SHARDS {
                    return Err(SpecError::TooMany { spec: self.source.to_owned() });
                }
            }
            return Ok(choices);
        }
        let not_a_range = || SpecError::NotARange { spec: self.source.to_owned(), body: body.to_owned() };
        let (first, last) = body.split_once("..").ok_or_else(not_a_range)?;
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(first) || !digits(last) {
            return Err(not_a_range());
        }
        // As bash: a leading zero on either end pads every number to the longer one.
        let padded = [first, last].iter().any(|s| s.len() > 1 && s.starts_with('0'));
        let width = if padded { first.len().max(last.len()) } else { 0 };
        let first: u64 = first.parse().map_err(|_| not_a_range())?;
        let last: u64 = last.parse().map_err(|_| not_a_range())?;
        if first.abs_diff(last) >= MAX_SHARDS as u64 {
            return Err(SpecError::TooMany { spec: self.source.to_owned() });
        }
        let number = |n: u64| format!("{n:0width$}");
        Ok(if first <= last {
            (first..=last).map(number).collect()
        } else {
            (last..=first).rev().map(number).collect()
        })
    }
}

fn split_at_top_level_commas(body: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0usize, 0);
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&body[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&body[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(spec: &str) -> Vec<String> {
        spec.parse::<ShardSpec>().unwrap().names().to_vec()
    }

    #[test]
    fn braces_expand_as_in_webdataset() {
        assert_eq!(
            names("d/{00008..00011}.tar"),
            ["d/00008.tar", "d/00009.tar", "d/00010.tar", "d/00011.tar"]
        );
        assert_eq!(names("{8..10}.tar"), ["8.tar", "9.tar", "10.tar"]);
        assert_eq!(names("{a,b}/{0..1}.tar::c.tar"), ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar", "c.tar"]);
        assert_eq!(names("x{a,{01..02},}y"), ["xay", "x01y", "x02y", "xy"]);
        assert_eq!(names("{3..1}"), ["3", "2", "1"]);
    }

    #[test]
    fn mistakes_are_named() {
        for (spec, part) in [
            ("", "empty"),
            ("a::", "empty"),
            ("{0..3.tar", "unbalanced"),
            ("0}.tar", "unbalanced"),
            ("{00000-01243}.tar", "{00000-01243}"),
            ("{0..99999999999}.tar", "1000000"),
            ("{0..9999}{0..9999}.tar", "1000000"),
            ("{{{{{{{{{{{{1,2},3},4},5},6},7},8},9},a},b},c},d}", "unbalanced"),
        ] {
            let message = spec.parse::<ShardSpec>().unwrap_err().to_string();
            assert!(message.contains(part), "{spec}: {message}");
        }
    }

    #[test]
    fn folders_and_globs_are_sorted_and_hidden_files_skipped() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.tar", "a.tar", ".c.tar.1.tmp", ".d.tar", "a.idx", "a.parquet"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let expected = [dir.path().join("a.tar"), dir.path().join("b.tar")];
        let folder = dir.path().to_str().unwrap();
        for spec in [folder.to_owned(), format!("{folder}/*.tar"), format!("{folder}/{{a,b}}.tar")] {
            assert_eq!(spec.parse::<ShardSpec>().unwrap().resolve("tar").unwrap(), expected, "{spec}");
        }
        let spec: ShardSpec = folder.parse().unwrap();
        assert_eq!(spec.resolve_first_of(&["zip", "parquet"]).unwrap(), [dir.path().join("a.parquet")]);
        assert!(spec.resolve_first_of(&["zip", "mds"]).unwrap_err().to_string().contains(".zip"));
        for (spec, part) in [
            (format!("{folder}/{{a,x}}.tar"), "x.tar"),
            (format!("{folder}/x*.tar"), "holds no"),
            ("s3://bucket/a.tar".to_owned(), "not a local path"),
            ("pipe:curl x".to_owned(), "not a local path"),
        ] {
            let message = spec.parse::<ShardSpec>().unwrap().resolve("tar").unwrap_err().to_string();
            assert!(message.contains(part), "{spec}: {message}");
        }
    }

    proptest! {
        #[test]
        fn specs_display_as_written_and_never_panic(spec in "[{}a0-9.,:*]{0,24}") {
            if let Ok(parsed) = spec.parse::<ShardSpec>() {
                prop_assert_eq!(parsed.to_string(), spec.clone());
                prop_assert_eq!(parsed.to_string().parse::<ShardSpec>().unwrap(), parsed);
            }
        }
    }
}
