//! Titles and descriptions: form-decoded, tags stripped, and joined into a caption.
//!
//! The order matters. A space was written as `+` and a plus as `%2B`, so `+` becomes a space *before* percent-decoding;
//! SLIP decodes first and so loses every literal plus. Tags go after decoding, as they are encoded themselves.
//! Character references (`&amp;`) stay: the tokenizer resolves them, as it does for every source.

use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::subset::mixed;

/// How title and description become one caption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptionRule {
    /// Title, a space, description; whatever there is of the two. What the study's samples look like.
    #[default]
    TitleDescription,
    /// SLIP's: words that are URLs dropped, then title or description, drawn by seed and photo; the other one where
    /// the drawn one is empty. SLIP draws anew each epoch; a shard has one caption, so the draw is made once.
    Slip {
        /// Of the draw.
        seed: u64,
    },
}

/// `application/x-www-form-urlencoded` text. A `%` without two hex digits stays as it is; bytes that are no UTF-8
/// become U+FFFD, which the second value tells.
pub fn form_decode(encoded: &[u8]) -> (String, bool) {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = if byte == b'%' { after.get(..2).and_then(hex_pair) } else { None };
        match (byte, escaped) {
            (_, Some(value)) => {
                bytes.push(value);
                rest = &after[2..];
                continue;
            }
            (b'+', None) => bytes.push(b' '),
            (byte, None) => bytes.push(byte),
        }
        rest = after;
    }
    match String::from_utf8(bytes) {
        Ok(text) => (text, false),
        Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), true),
    }
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let &[high, low] = pair else { return None };
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Tags that Flickr lets through, opening or closing. Anything else in angle brackets is text (`<3`).
static INLINE_TAG: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)</?(?:a|b|i|u|s|em|strong|del|ins|span|font)(?:\s[^<>]*)?/?>").ok());
static BLOCK_TAG: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)</?(?:br|p|blockquote|img|div|li|ul|ol)(?:\s[^<>]*)?/?>").ok());
static URL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?i)(?:https?:|www\.)\S*").ok());

fn replace(text: &str, pattern: &LazyLock<Option<Regex>>, by: &str) -> String {
    // The patterns are constants that the tests compile, so there always is one.
    pattern.as_ref().map_or_else(|| text.to_owned(), |regex| regex.replace_all(text, by).into_owned())
}

/// Without tags, and with every run of blanks and line ends as one space.
pub fn strip(text: &str) -> String {
    if text.contains('<') {
        let text = replace(&replace(text, &INLINE_TAG, ""), &BLOCK_TAG, " ");
        return collapse(&text);
    }
    collapse(text)
}

fn collapse(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// The caption of a photo, `None` where it has no text.
pub fn caption(rule: CaptionRule, title: &str, description: &str, photo: u64) -> Option<String> {
    let caption = match rule {
        CaptionRule::TitleDescription => match (title, description) {
            (title, "") => title.to_owned(),
            ("", description) => description.to_owned(),
            (title, description) => format!("{title} {description}"),
        },
        CaptionRule::Slip { seed } => {
            let without_urls = |text: &str| collapse(&replace(text, &URL, ""));
            let (title, description) = (without_urls(title), without_urls(description));
            let drawn_title = mixed(photo ^ mixed(seed)) & 1 == 0;
            if description.is_empty() || (drawn_title && !title.is_empty()) { title } else { description }
        }
    };
    (!caption.is_empty()).then_some(caption)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> String {
        form_decode(text.as_bytes()).0
    }

    #[test]
    fn a_plus_is_a_space_and_percent_2b_a_plus() {
        assert_eq!(decoded("1+%2B+1+%3D+2"), "1 + 1 = 2");
        assert_eq!(decoded("%E6%97%A5%0Ax"), "日\nx");
        assert_eq!(decoded("%252B"), "%2B", "decoded once");
        assert_eq!(decoded("100%+wool+%zz+%4"), "100% wool %zz %4");
        assert_eq!(decoded("%+1"), "% 1", "a sign is no hex digit");
        assert_eq!(form_decode(b"caf%E9"), ("caf\u{fffd}".to_owned(), true));
        assert_eq!(form_decode(b"caf%C3%A9"), ("café".to_owned(), false));
    }

    #[test]
    fn tags_go_and_other_brackets_stay() {
        assert_eq!(
            strip("<b>big</b> <a href=\"http://x/?a=1&b=2\" rel='n'>set</a>, I <3 it"),
            "big set, I <3 it"
        );
        assert_eq!(strip("one<br />two<BR>three\n\n four "), "one two three four");
        assert_eq!(strip("a < b > c <abc> &lt;b&gt;"), "a < b > c <abc> &lt;b&gt;");
        assert_eq!(strip("<i>unclosed <a href="), "unclosed <a href=");
        for pattern in [&INLINE_TAG, &BLOCK_TAG, &URL] {
            assert!(pattern.is_some());
        }
    }

    #[test]
    fn captions_follow_their_rule() {
        let study = |title, description| caption(CaptionRule::TitleDescription, title, description, 1);
        assert_eq!(study("Point Mugu", "On the way").as_deref(), Some("Point Mugu On the way"));
        assert_eq!(study("", "On the way").as_deref(), Some("On the way"));
        assert_eq!(study("Point Mugu", "").as_deref(), Some("Point Mugu"));
        assert_eq!(study("", ""), None);
        let slip = |photo| {
            caption(CaptionRule::Slip { seed: 3 }, "t www.x.org/y", "d https://x.org now", photo).unwrap()
        };
        let drawn: std::collections::BTreeSet<_> = (0..50).map(slip).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), ["d now", "t"]);
        assert_eq!(caption(CaptionRule::Slip { seed: 3 }, "", "d", 9).as_deref(), Some("d"));
        assert_eq!(caption(CaptionRule::Slip { seed: 3 }, "t", "http://only.url", 9).as_deref(), Some("t"));
        assert_eq!(caption(CaptionRule::Slip { seed: 3 }, "", "www.only.url", 9), None);
    }
}
