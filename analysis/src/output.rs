//! Where text goes: files appear whole or not at all, `-` is standard output, and a closed pipe is no error.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use pairmill_shards::atomic::{FileAction, FileError, write_atomic};
use pairmill_shards::printable::printable_lines;

use crate::chart::{PngError, Theme, to_png};
use crate::report::{Block, FigureBlock, Section};
use crate::transfer::Figure;

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// Standard output.
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
    /// A picture.
    #[error(transparent)]
    Png(#[from] PngError),
}

/// Writes `bytes` to `path`, or to standard output for `-`. A terminal gets text with what would steer it spelled out.
///
/// # Errors
/// When that fails; a reader of standard output that has gone is no failure.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    if path.as_os_str() != "-" {
        return Ok(write_atomic(path, bytes)?);
    }
    let clean = match std::str::from_utf8(bytes) {
        Ok(text) if io::stdout().is_terminal() => printable_lines(text),
        _ => Cow::Borrowed(""),
    };
    put(if clean.is_empty() { bytes } else { clean.as_bytes() })
}

/// Writes lines for people to standard output.
///
/// # Errors
/// As [`write()`].
pub fn say(text: &str) -> Result<(), OutputError> {
    put(printable_lines(text).as_bytes())
}

/// Writes text that is printable but for our own colours to `path`, or to standard output for `-`.
///
/// # Errors
/// As [`write()`].
pub fn write_coloured(path: &Path, text: &str) -> Result<(), OutputError> {
    if path.as_os_str() != "-" {
        return write(path, text.as_bytes());
    }
    put(text.as_bytes())
}

fn put(bytes: &[u8]) -> Result<(), OutputError> {
    match io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(OutputError::Stdout),
    }
}

/// Writes every figure as SVG, PNG and CSV under each of its names, and returns the stems.
///
/// # Errors
/// When the folder cannot be made or a file not be written.
pub fn write_figures(figures: &[Figure], folder: &Path) -> Result<Vec<&'static str>, OutputError> {
    std::fs::create_dir_all(folder).map_err(|e| FileError::new(folder, FileAction::Create, e))?;
    let mut names = Vec::new();
    for figure in figures {
        write_figure(&figure.block, figure.file_names, folder)?;
        names.extend(figure.file_names);
    }
    Ok(names)
}

/// Writes the figures of `sections`, each under its anchor, where [`to_markdown`](crate::report::to_markdown) links
/// to, and returns the anchors.
///
/// # Errors
/// As [`write_figures`].
pub fn write_linked(sections: &[Section], folder: &Path) -> Result<Vec<String>, OutputError> {
    std::fs::create_dir_all(folder).map_err(|e| FileError::new(folder, FileAction::Create, e))?;
    let mut ids = Vec::new();
    for block in sections.iter().flat_map(|section| &section.blocks) {
        if let Block::Figure(figure) = block {
            write_figure(figure, &[&figure.id], folder)?;
            ids.push(figure.id.clone());
        }
    }
    Ok(ids)
}

fn write_figure(figure: &FigureBlock, names: &[&str], folder: &Path) -> Result<(), OutputError> {
    let svg = figure.drawing.to_svg(Theme::File);
    let png = to_png(&figure.drawing)?;
    let csv = figure.table.to_csv();
    for name in names {
        let path = |ext: &str| -> PathBuf { folder.join(format!("{name}.{ext}")) };
        write_atomic(path("csv"), csv.as_bytes())?;
        write_atomic(path("svg"), svg.as_bytes())?;
        write_atomic(path("png"), &png)?;
    }
    Ok(())
}

/// Whether standard output is a terminal that wants bold and colour.
pub fn wants_colour() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !no_color
}
