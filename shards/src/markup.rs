//! Text out of data, fit to stand in HTML and SVG: contact sheets and reports show captions and names that anyone may
//! have written.

/// `text` with nothing in it that could become markup, inside an element or a quoted attribute. Control characters
/// other than line feeds become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() && c != '\n' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
