//! Standard output and error of the commands: buffered, quiet when the reader of a pipe has gone, bold only on a
//! terminal that wants it, and never a control character out of somebody's caption.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, Write};

use crate::tar::Skipped;

/// Standard output.
pub struct Output {
    out: BufWriter<io::Stdout>,
    bold: bool,
}

impl Output {
    /// Standard output, with colours as terminal and `NO_COLOR` have it.
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let bold = stdout.is_terminal() && !no_color;
        Self { out: BufWriter::with_capacity(64 << 10, stdout), bold }
    }

    /// `text` as a heading.
    pub fn heading<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.bold { Cow::Owned(format!("\x1b[1m{text}\x1b[0m")) } else { Cow::Borrowed(text) }
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

/// `text` fit for a terminal: line ends and control characters, which could move the cursor or worse, spelled out.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() { clean.extend(c.escape_default()) } else { clean.push(c) }
    }
    Cow::Owned(clean)
}

/// `text` for one line of at most `max_chars` characters.
pub fn one_line(text: &str, max_chars: usize) -> String {
    let mut line: String = text.chars().take(max_chars).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    printable(&line).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\nc\u{9b}d"), "a\\u{1b}[2Jb\\nc\\u{9b}d");
        assert_eq!(one_line("größe", 3), "grö…");
        assert_eq!(one_line("größe", 5), "größe");
    }
}
