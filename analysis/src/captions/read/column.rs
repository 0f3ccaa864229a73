//! Which column holds the captions.

use std::fmt;
use std::path::Path;

use crate::captions::error::CaptionsError;

/// Names that captions go by, the likeliest first; case does not matter.
const KNOWN: [&str; 6] =
    ["caption", "text", "title", "caption_reference_description", "description", "alt_text"];
/// How alike two names are, of 1, to be suggested for one another.
const NEAR: f64 = 0.7;
/// Names listed in a message.
const MAX_LISTED: usize = 12;

/// A column by name or, in a table without header, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptionColumn {
    /// The name, or the number as typed.
    pub name: String,
    /// Its place from 0.
    pub index: usize,
    /// Whether the table has a header.
    pub has_header: bool,
}

impl fmt::Display for CaptionColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.has_header { write!(f, "column `{}`", self.name) } else { write!(f, "column {}", self.index) }
    }
}

impl CaptionColumn {
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), index: 0, has_header: true }
    }

    /// Finds the column among `names`: the user's, else the first of the known ones.
    pub(super) fn find(path: &Path, names: &[&str], wanted: Option<&str>) -> Result<Self, CaptionsError> {
        let found = match wanted {
            Some(wanted) => names.iter().position(|n| *n == wanted),
            None => KNOWN.iter().find_map(|known| names.iter().position(|n| n.eq_ignore_ascii_case(known))),
        };
        match (found, wanted) {
            (Some(index), _) => Ok(Self { name: names[index].to_owned(), index, has_header: true }),
            (None, Some(wanted)) => Err(CaptionsError::NoColumn {
                path: path.to_owned(),
                column: wanted.to_owned(),
                advice: advice(names, wanted),
            }),
            (None, None) => Err(CaptionsError::WhichColumn { path: path.to_owned(), columns: listed(names) }),
        }
    }
}

fn advice(names: &[&str], wanted: &str) -> String {
    let lower = wanted.to_lowercase();
    let alike = |name: &&&str| strsim::jaro_winkler(&name.to_lowercase(), &lower);
    match names.iter().max_by(|a, b| alike(a).total_cmp(&alike(b))) {
        Some(best) if alike(&best) >= NEAR => format!("did you mean `{best}`?"),
        _ => format!("the columns are {}", listed(names)),
    }
}

fn listed(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(MAX_LISTED).map(|n| format!("`{n}`")).collect();
    let more = if names.len() > MAX_LISTED { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
