//! Text from outside as it may stand on a terminal, in a log, on a card or on a page. File names, keys, captions, URLs,
//! column names and what a server or a file made another library say are anyone's; a control character among them can
//! move the cursor, set the window's title or send keys, and a bidirectional one shows `gpj.exe` as `exe.jpg`. All of
//! the workspace spells them out here, and nowhere else.

use std::borrow::Cow;
use std::error::Error;

/// Whether a character steers what shows it: control characters of ASCII and of Latin-1 (C1), the separators of lines
/// and paragraphs, and the marks, embeddings, overrides and isolates of bidirectional text.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` for one line: whatever steers, line ends too, spelled out (`\n`, `\u{1b}`).
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, steers)
}

/// `text` of several lines: as [`printable`], but line feeds and tabs stay.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| steers(c) && c != '\n' && c != '\t')
}

fn escaped(text: &str, bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&bad) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            c if !bad(c) => clean.push(c),
            '\t' | '\n' | '\r' => clean.extend(c.escape_default()),
            c => clean.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(clean)
}

/// The first `max_chars` characters of `text` for one line, with `…` where more follow.
pub fn excerpt(text: &str, max_chars: usize) -> String {
    let mut line: String = text.chars().take(max_chars).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    printable(&line).into_owned()
}

/// JSON with whatever steers as `\uXXXX` within its strings, which are the only place where it can be: the same JSON to
/// a program. serde_json does so for the control characters of ASCII alone.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    let bad = |c: char| c >= '\u{7f}' && steers(c);
    if !json.chars().any(bad) {
        return Cow::Borrowed(json);
    }
    let mut clean = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        // None of them lies beyond the first 65,536, so no pair of surrogates is needed.
        if bad(c) { clean.push_str(&format!("\\u{:04x}", u32::from(c))) } else { clean.push(c) }
    }
    Cow::Owned(clean)
}

/// An error and its causes on one line. A cause whose text is already there is not said again.
pub fn error_line(error: &(dyn Error + 'static)) -> String {
    printable(&causes(error)).into_owned()
}

/// [`error_line`] as it is, to be worked on; not for a terminal.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let said = cause.to_string();
        let said = said.trim().replace('\n', " ");
        if !text.contains(&said) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

/// Whether nothing on this process's command line steers: a shell puts anyone's file names there, and the parser of the
/// command line repeats what it refuses.
pub fn is_command_line_plain() -> bool {
    std::env::args_os().all(|argument| !argument.to_string_lossy().chars().any(steers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f25_nothing_that_steers_gets_through() {
        assert_eq!(printable("a\x1b[2Jb\nc\u{9b}d"), "a\\u{1b}[2Jb\\nc\\u{9b}d");
        assert_eq!(printable("exe.\u{202e}gpj"), "exe.\\u{202e}gpj");
        assert_eq!(printable_lines("a\tb\nc\u{2066}\x07"), "a\tb\nc\\u{2066}\\u{7}");
        for c in ('\0'..='\u{ffff}').filter(|c| steers(*c)) {
            let text = format!("a{c}b");
            assert!(!printable(&text).chars().any(steers) && printable(&text).is_ascii(), "{text:?}");
        }
        // Letters of any script, emoji and what joins them are text.
        for text in ["größe", "שלום", "日本", "👩\u{200d}👩", "e\u{301}"] {
            assert!(matches!(printable(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn f25_json_stays_the_same_json() {
        let value = serde_json::json!({"\u{202e}key": "a\x1b\x7f\u{9b}\u{2028}ß\u{1f600}\\u0041"});
        let json = serde_json::to_string(&value).unwrap();
        let clean = printable_json(&json);
        assert!(!clean.chars().any(steers), "{clean}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&clean).unwrap(), value);
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printable_json(&pretty)).unwrap(), value);
    }

    #[test]
    fn excerpts_are_bounded() {
        assert_eq!(excerpt("größe", 3), "grö…");
        assert_eq!(excerpt("größe", 5), "größe");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open x.csv: {source}")]
    struct Named {
        source: std::io::Error,
    }

    #[test]
    fn f25_a_cause_is_said_once() {
        let error = Named { source: std::io::Error::other("the disk\nis gone") };
        assert_eq!(error_line(&error), "cannot open x.csv: the disk is gone");
    }
}
