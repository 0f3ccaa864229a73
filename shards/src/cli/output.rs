//! Standard output and error of the commands: buffered, quiet when the reader of a pipe has gone, bold only on a
//! terminal that wants it, and never a character out of somebody's caption that steers it ([`crate::printable`]).

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, Write};

use anyhow::bail;

use crate::printable::{printable, printable_json, printable_lines};
use crate::tar::Skipped;

/// Standard output.
pub struct Output {
    out: BufWriter<io::Stdout>,
    is_terminal: bool,
    bold: bool,
}

impl Output {
    /// Standard output, with colours as terminal and `NO_COLOR` have it.
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_terminal = stdout.is_terminal();
        Self { out: BufWriter::with_capacity(64 << 10, stdout), is_terminal, bold: is_terminal && !no_color }
    }

    /// `text` as a heading.
    pub fn heading<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.bold { Cow::Owned(format!("\x1b[1m{text}\x1b[0m")) } else { Cow::Borrowed(text) }
    }

    /// Writes data as it is into a file or pipe. A terminal gets it spelled out, and is spared what is no text.
    ///
    /// # Errors
    /// When it is no text for a terminal, or standard output is closed or full.
    pub fn write_data(&mut self, data: &[u8]) -> anyhow::Result<()> {
        if !self.is_terminal {
            return Ok(self.out.write_all(data)?);
        }
        let Ok(text) = std::str::from_utf8(data) else {
            bail!("standard output is a terminal and this is no text; write it to a file: add `> FILE`");
        };
        Ok(self.out.write_all(printable_lines(text).as_bytes())?)
    }

    /// Writes JSON and a line end.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn write_json(&mut self, json: &str) -> io::Result<()> {
        writeln!(self.out, "{}", printable_json(json))
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A line on standard error. Nobody can be told if that fails.
pub fn complain(line: &str) {
    let line = printable(line);
    let _ = writeln!(io::stderr(), "{line}");
}

/// What was passed over, for the end of a command's last line: nothing where there was nothing.
pub fn after(skipped: &Skipped) -> String {
    if skipped.is_empty() { String::new() } else { printable(&format!("; {skipped}")).into_owned() }
}

/// The same as a line on standard error, for commands whose output is for other programs.
pub fn note(skipped: &Skipped) {
    if !skipped.is_empty() {
        complain(&format!("note: {skipped}"));
    }
}

/// Whether `error` only says that the reader of our pipe has gone.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}
