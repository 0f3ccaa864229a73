//! A report: sections of figures, tables and findings, rendered as one HTML page, as Markdown, or as text. Whatever
//! makes sections (the transfer half here, the captions half later) knows nothing of how they are rendered, and
//! rendering is a pure function of the sections.

mod html;
mod markdown;
mod table;
mod text;

pub use html::to_html;
pub use markdown::to_markdown;
pub use table::{Table, Value};
pub use text::findings_text;

use crate::chart::Drawing;

/// A whole report.
#[derive(Debug, Clone)]
pub struct Report {
    /// The page's title.
    pub title: String,
    /// A sentence or two under it.
    pub lead: String,
    /// In reading order: figures first, provenance last.
    pub sections: Vec<Section>,
}

/// A part with a heading.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its anchor: lower-case letters, digits and dashes.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// A sentence or two under the heading; may be blank.
    pub lead: String,
    /// What stands in it.
    pub blocks: Vec<Block>,
}

/// Something in a section.
#[derive(Debug, Clone)]
pub enum Block {
    /// A drawing with its numbers.
    Figure(FigureBlock),
    /// A table.
    Table(Table),
    /// Statements with a verdict.
    Findings(Vec<Finding>),
    /// A paragraph.
    Text(String),
}

/// A drawing, what it says, and the table of what is drawn.
#[derive(Debug, Clone)]
pub struct FigureBlock {
    /// Its anchor and file name.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// Under it.
    pub caption: String,
    /// The drawing.
    pub drawing: Drawing,
    /// Exactly what is drawn.
    pub table: Table,
}

/// How a statement fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It holds.
    Good,
    /// It fails.
    Bad,
    /// Something to know.
    Note,
    /// The data say nothing.
    Unknown,
}

/// A statement with a verdict.
#[derive(Debug, Clone)]
pub struct Finding {
    /// How it fared.
    pub mark: Mark,
    /// The verdict in a word or two: `holds`.
    pub verdict: String,
    /// The statement.
    pub statement: String,
    /// The numbers behind it.
    pub details: Vec<String>,
}
