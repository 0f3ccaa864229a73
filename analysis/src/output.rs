//! Where text goes: files appear whole or not at all, `-` is standard output, and a closed pipe is no error.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use pairmill_shards::atomic::{FileAction, FileError, write_atomic};

use crate::chart::{PngError, Theme, to_png};
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

/// Writes `bytes` to `path`, or to standard output for `-`.
///
/// # Errors
/// When that fails; a reader of standard output that has gone is no failure.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    if path.as_os_str() != "-" {
        return Ok(write_atomic(path, bytes)?);
    }
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
        let svg = figure.block.drawing.to_svg(Theme::File);
        let png = to_png(&figure.block.drawing)?;
        let csv = figure.block.table.to_csv();
        for &name in figure.file_names {
            let path = |ext: &str| -> PathBuf { folder.join(format!("{name}.{ext}")) };
            write_atomic(path("csv"), csv.as_bytes())?;
            write_atomic(path("svg"), svg.as_bytes())?;
            write_atomic(path("png"), &png)?;
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether standard output is a terminal that wants bold and colour.
pub fn wants_colour() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !no_color
}
