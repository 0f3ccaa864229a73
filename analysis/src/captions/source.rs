//! What the user typed to named sources: which files belong together.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use pairmill_shards::spec::{ShardSpec, SpecError};

use super::error::CaptionsError;

/// Kinds of file looked for in a folder, the first that is found counts: a folder of tars holds sidecars too.
const FOLDER_KINDS: [&str; 6] = ["tar", "parquet", "jsonl", "csv", "tsv", "gz"];

/// An input: `PATH` or `NAME=PATH`.
#[derive(Debug, Clone)]
pub struct Input {
    name: Option<String>,
    spec: ShardSpec,
}

impl FromStr for Input {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        // `=` is legal in paths, so what looks like a path is one.
        match text.split_once('=') {
            Some((name, spec)) if is_name(name) && !Path::new(text).exists() => {
                Ok(Self { name: Some(name.to_owned()), spec: spec.parse()? })
            }
            _ => Ok(Self { name: None, spec: text.parse()? }),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name}={}", self.spec),
            None => self.spec.fmt(f),
        }
    }
}

impl Input {
    /// The folders among what was typed.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.spec.names().iter().map(PathBuf::from).filter(|path| path.is_dir()).collect()
    }

    /// The name of the source that `folder` is part of: the user's, else the folder's.
    pub fn name_of(&self, folder: &Path) -> String {
        let own = || Some(std::path::absolute(folder).ok()?.file_name()?.to_string_lossy().into_owned());
        self.name.clone().or_else(own).unwrap_or_else(|| folder.display().to_string())
    }
}

/// Names become folders, so they hold nothing that a path gives a meaning.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':', '*', '?', '[', '{'])
}

/// Files whose captions are counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its files, in the order given.
    pub paths: Vec<PathBuf>,
}

/// Finds the files. An input without a name is called after its folder when it is one or when its files are numbered
/// shards, else after its file; inputs of one name are one source.
///
/// # Errors
/// When an input stands for no file.
pub fn resolve(inputs: &[Input]) -> Result<Vec<Source>, CaptionsError> {
    let mut sources: Vec<Source> = Vec::new();
    for input in inputs {
        for path in input.spec.resolve_first_of(&FOLDER_KINDS)? {
            let name = input.name.clone().unwrap_or_else(|| name_of(&path, &input.spec));
            match sources.iter_mut().find(|s| s.name == name) {
                Some(source) => source.paths.push(path),
                None => sources.push(Source { name, paths: vec![path] }),
            }
        }
    }
    Ok(sources)
}

fn name_of(path: &Path, spec: &ShardSpec) -> String {
    let stem = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = stem.split('.').next().unwrap_or_default();
    let is_shard = !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_digit());
    let from_folder =
        spec.names().iter().any(|n| Path::new(n).is_dir() && path.parent() == Some(Path::new(n)));
    let folder = || {
        let absolute = std::path::absolute(path).ok()?;
        Some(absolute.parent()?.file_name()?.to_string_lossy().into_owned())
    };
    let name = if is_shard || from_folder { folder() } else { None };
    name.filter(|n| is_name(n))
        .unwrap_or_else(|| if stem.is_empty() { "captions".to_owned() } else { stem.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(inputs: &[String]) -> Result<Vec<(String, usize)>, CaptionsError> {
        let inputs: Vec<Input> = inputs.iter().map(|i| i.parse().unwrap()).collect();
        Ok(resolve(&inputs)?.into_iter().map(|s| (s.name, s.paths.len())).collect())
    }

    #[test]
    fn sources_are_named_by_the_user_their_folder_or_their_file() {
        let dir = tempfile::tempdir().unwrap();
        let laion = dir.path().join("laion");
        std::fs::create_dir(&laion).unwrap();
        for name in ["00000.tar", "00001.tar", "00000.parquet", "other.parquet"] {
            std::fs::write(laion.join(name), "").unwrap();
        }
        let at = |name: &str| laion.join(name).to_str().unwrap().to_owned();
        let owned = |name: &str, n| (name.to_owned(), n);
        assert_eq!(names(&[at("")]).unwrap(), [owned("laion", 2)]);
        assert_eq!(names(&[at("00000.tar"), at("00001.tar")]).unwrap(), [owned("laion", 2)]);
        assert_eq!(
            names(&[at("other.parquet"), at("00000.tar")]).unwrap(),
            [owned("other", 1), owned("laion", 1)]
        );
        let named = [format!("a={}", at("*.tar")), format!("a={}", at("other.parquet"))];
        assert_eq!(names(&named).unwrap(), [owned("a", 3)]);
        let error = names(&[at("none.tar")]).unwrap_err().to_string();
        assert!(error.contains("none.tar"), "{error}");
    }
}
