//! Text out of data, fit to stand in HTML, SVG and Markdown: contact sheets, reports and cards show captions and names
//! that anyone may have written.

use crate::printable::{printable, steers};

/// `text` with nothing in it that could become markup, inside an element or a quoted attribute. Whatever steers a reader
/// ([`steers`]) but line feeds becomes U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            c if steers(c) && c != '\n' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// `text` for one line of Markdown or a cell of a table there: it ends no cell and opens no element, and what steers is
/// spelled out.
pub fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in printable(&text.replace('\n', " ")).chars() {
        match c {
            '|' => escaped.push_str("\\|"),
            '<' => escaped.push_str("&lt;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f25_pages_and_cards_are_not_steered() {
        assert_eq!(escape("a\x1b\u{202e}<b>\n\u{85}"), "a\u{fffd}\u{fffd}&lt;b&gt;\n\u{fffd}");
        assert_eq!(markdown("a|b\n<i>\u{2066}\x1b"), "a\\|b &lt;i>\\u{2066}\\u{1b}");
    }
}
