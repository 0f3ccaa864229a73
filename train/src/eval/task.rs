//! A zero-shot task as a file: where its labelled shards are, what its classes are called, how they are put into words.

use std::fs;
use std::path::{Path, PathBuf};

use pairmill_loader::{CaptionFrom, DatasetConfig, LabelFrom};
use serde::Deserialize;

use pairmill_datasets::{DatasetError, list};

/// The place of the class name in a template.
pub const PLACE: &str = "{}";

/// A task, read from TOML:
///
/// ```toml
/// shards = "shapes/{00000..00003}.tar"   # relative to this file
/// classes = "classes.txt"                # one name a line in label order (`#` is no comment), or a list of names
/// templates = ["a photo of a {}."]       # or a file, one a line; {c} means {} too
/// label = { member = "cls" }             # the default; or { json = "field" }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ZeroShotTask {
    /// Name of the task: of the file, without its ending.
    pub name: String,
    /// Its labelled shards.
    pub shards: String,
    /// Class names in label order.
    pub classes: Vec<String>,
    /// Prompts with [`PLACE`] for the class name.
    pub templates: Vec<String>,
    /// Where the labels are.
    pub samples: DatasetConfig,
}

/// Why a task cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is no task.
    #[error("{}: {message}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What is wrong and where.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Lines {
    Here(Vec<String>),
    File(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    shards: String,
    classes: Lines,
    templates: Lines,
    #[serde(default)]
    label: Option<LabelFrom>,
}

impl ZeroShotTask {
    /// Reads a task file and the lists it names.
    ///
    /// # Errors
    /// [`TaskError`] naming the file.
    pub fn read(path: &Path) -> Result<Self, TaskError> {
        let wrong = |message: String| TaskError::Format { path: path.to_path_buf(), message };
        let file: File = toml::from_str(&read(path)?)
            .map_err(|error| wrong(error.to_string().trim().replace('\n', " ")))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let (classes, templates) = (lines(file.classes, folder)?, lines(file.templates, folder)?);
        let templates: Vec<String> = templates.iter().map(|template| list::template(template)).collect();
        if classes.len() < 2 {
            return Err(wrong(format!("{} classes; a task has at least two", classes.len())));
        }
        if templates.is_empty() {
            return Err(wrong("no templates".into()));
        }
        if let Some(template) = templates.iter().find(|template| !template.contains(PLACE)) {
            return Err(wrong(format!("the template {template:?} has no {PLACE} for the class name")));
        }
        let relative = Path::new(&file.shards).is_relative()
            && !file.shards.contains("://")
            && !file.shards.starts_with("file:");
        let shards =
            if relative { folder.join(&file.shards).to_string_lossy().into_owned() } else { file.shards };
        let samples = DatasetConfig {
            caption: CaptionFrom::Nowhere,
            label: file.label.unwrap_or(LabelFrom::Member("cls".into())),
            ..DatasetConfig::default()
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, shards, classes, templates, samples })
    }
}

fn read(path: &Path) -> Result<String, TaskError> {
    fs::read_to_string(path).map_err(|source| TaskError::Read { path: path.to_path_buf(), source })
}

fn lines(lines: Lines, folder: &Path) -> Result<Vec<String>, TaskError> {
    match lines {
        Lines::Here(lines) => Ok(lines),
        Lines::File(file) => {
            let path = folder.join(file);
            let text = read(&path)?;
            let wrong =
                |error: DatasetError| TaskError::Format { path: path.clone(), message: error.to_string() };
            let names = list::names(&path.display().to_string(), text.as_bytes()).map_err(wrong)?;
            Ok(names.map(|(_, name)| name.to_owned()).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(toml: &str) -> Result<ZeroShotTask, TaskError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("names.txt"), "cat\n\n dog \n").unwrap();
        let path = folder.path().join("pets.toml");
        fs::write(&path, toml).unwrap();
        ZeroShotTask::read(&path)
    }

    #[test]
    fn lists_stand_in_the_file_or_beside_it() {
        let task = task("shards = \"t.tar\"\nclasses = \"names.txt\"\ntemplates = [\"a {}.\"]").unwrap();
        assert_eq!((task.name.as_str(), task.classes), ("pets", vec!["cat".to_string(), "dog".into()]));
        assert!(task.shards.ends_with("/t.tar"));
        assert_eq!(task.samples.label, LabelFrom::Member("cls".into()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (toml, words) in [
            ("shards = \"t\"\nclasses = [\"a\"]\ntemplates = [\"{}\"]", "1 classes"),
            ("shards = \"t\"\nclasses = [\"a\", \"b\"]\ntemplates = [\"of it\"]", "\"of it\" has no {}"),
            ("shards = \"t\"\nclasses = \"no.txt\"\ntemplates = [\"{}\"]", "no.txt: cannot be read"),
            ("shard = \"t\"", "unknown field `shard`"),
        ] {
            let message = task(toml).unwrap_err().to_string();
            assert!(message.contains(words) && !message.contains('\n'), "{message}");
        }
    }
}
