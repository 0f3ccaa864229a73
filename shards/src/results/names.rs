//! Sources and tasks that share a name and are not the same. Rows say which weights and which images they are of
//! (`weights`, `images`); wherever rows of one name are put together in a table or figure, those of different content
//! get names of their own first.

use std::collections::{BTreeMap, BTreeSet};

use super::RunConfig;

/// Hex digits of a content that tell two of one name apart.
const DIGITS: usize = 8;

/// Contents by name.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Of sources, by name, objective and architecture.
    sources: BTreeMap<(String, String, String), BTreeSet<String>>,
    /// Of tasks, by name.
    tasks: BTreeMap<String, BTreeSet<String>>,
}

impl Names {
    /// The names of these rows.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a RunConfig>) -> Self {
        let mut names = Self::default();
        for config in rows {
            if let Some(weights) = &config.weights {
                names.sources.entry(source(config)).or_default().insert(weights.clone());
            }
            if let Some(images) = &config.images {
                names.tasks.entry(config.ds.clone()).or_default().insert(images.clone());
            }
        }
        names
    }

    /// Gives `us` and `ds` of a row the first digits of their content where another row has the same name and another
    /// content: `epoch_1@0f3a97c2`. Rows that do not know their content keep their names.
    pub fn apply(&self, config: &mut RunConfig) {
        let (us, ds) = (self.us(config), self.ds(config));
        (config.us, config.ds) = (us, ds);
    }

    fn us(&self, config: &RunConfig) -> String {
        let alike = self.sources.get(&source(config));
        told_apart(&config.us, config.weights.as_deref(), alike)
    }

    fn ds(&self, config: &RunConfig) -> String {
        told_apart(&config.ds, config.images.as_deref(), self.tasks.get(&config.ds))
    }

    /// A line for each name that stands for several contents.
    pub fn notes(&self) -> Vec<String> {
        let sources = self.sources.iter().map(|((us, objective, arch), contents)| {
            (format!("source {us} ({objective}, {arch})"), "checkpoints or architectures", contents.len())
        });
        let tasks =
            self.tasks.iter().map(|(ds, contents)| (format!("task {ds}"), "sets of images", contents.len()));
        let several = sources.chain(tasks).filter(|(.., count)| *count > 1);
        several
            .map(|(name, what, count)| {
                format!("{name} is the name of {count} different {what}; each has its own name here, with @ and digits of its content")
            })
            .collect()
    }
}

fn source(config: &RunConfig) -> (String, String, String) {
    (config.us.clone(), config.objective.clone(), config.arch.clone())
}

fn told_apart(name: &str, content: Option<&str>, alike: Option<&BTreeSet<String>>) -> String {
    match (content, alike) {
        (Some(content), Some(alike)) if alike.len() > 1 => {
            let digits: String = content.chars().take(DIGITS).collect();
            format!("{name}@{digits}")
        }
        _ => name.to_owned(),
    }
}
