//! Cleaning of a caption as the reference does it: repair, references of HTML undone twice, white space to single
//! spaces, lower case.
//!
//! Nearly all captions are plain ASCII, for which all of that is one pass over the bytes; the long way is only for the
//! others, and for the few ASCII characters that mean something to it.

use std::borrow::Cow;

use crate::classes::is_space;
use crate::entity::unescape;
use crate::repair::fix_text;

/// Puts the cleaned caption into `out`, which it empties first.
pub(crate) fn clean(caption: &str, out: &mut String) {
    out.clear();
    if is_plain(caption.as_bytes()) {
        // Runs of white space need no care here: the pre-split drops them.
        out.push_str(caption);
        out.make_ascii_lowercase();
        return;
    }
    let text = fix_text(caption);
    let text = unescape(&text);
    let text = unescape(&text);
    let text = collapse(&text);
    if text.is_ascii() {
        out.push_str(&text);
        out.make_ascii_lowercase();
    } else {
        out.push_str(&text.to_lowercase());
    }
}

/// Whether lower case is all that a caption can need.
fn is_plain(bytes: &[u8]) -> bool {
    // First without branches, so that it runs sixteen bytes at a time; then, rarely, what is harmless after all.
    let suspect = bytes.iter().fold(false, |any, b| any | !matches!(b, b' '..=b'%' | b'\''..=b'~'));
    !suspect
        || bytes.iter().enumerate().all(|(at, b)| match b {
            b'&' => matches!(bytes.get(at + 1), None | Some(b' ' | b'&' | b'<' | b';' | b'\t' | b'\n')),
            b'\t' | b'\n' | b'\x0c' | b'\r' => true,
            _ => matches!(b, b' '..=b'~'),
        })
}

/// Python's `" ".join(text.split())`.
fn collapse(text: &str) -> Cow<'_, str> {
    let mut previous_is_space = true;
    let collapsed = text.chars().all(|c| {
        let clean = if is_space(c) { c == ' ' && !previous_is_space } else { true };
        previous_is_space = c == ' ';
        clean
    });
    if collapsed && !text.ends_with(' ') {
        return Cow::Borrowed(text);
    }
    let words: Vec<&str> = text.split(is_space).filter(|word| !word.is_empty()).collect();
    Cow::Owned(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(caption: &str) -> String {
        let mut out = String::from("left over");
        clean(caption, &mut out);
        out
    }

    #[test]
    fn mojibake_entities_quotes_and_width() {
        assert_eq!(cleaned("CafÃ© &amp;amp; â€œBarâ€\u{9d}\n"), "café & \"bar\"");
        assert_eq!(cleaned("ＬＯＵＤ　ｎｏｉｓｅｓ ﬁlm\u{feff}"), "loud noises film");
        assert_eq!(cleaned("a\x1b[36;44mb\x0bc\u{200b}"), "abc\u{200b}");
        assert_eq!(cleaned("<b>&eacute;&notit;"), "<b>é¬it;");
    }

    #[test]
    fn white_space_and_lower_case_as_in_python() {
        assert_eq!(cleaned(" Ένας\u{a0}\u{2003}ΟΔΟΣ\u{2028}İ "), "ένας οδος i\u{307}");
    }

    #[test]
    fn nothing_of_a_plain_caption_but_its_case_changes() {
        assert_eq!(cleaned("Salt & Pepper & "), "salt & pepper & ");
    }
}
