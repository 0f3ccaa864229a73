//! Character references of HTML, decoded in the two ways the reference needs: as Python's `html.unescape` does (every
//! spelling a browser forgives), and as ftfy does before it (whole references only, some names in capitals too).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Names without `&`, with and without `;`.
static NAMED: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let all = entities::ENTITIES.iter();
    all.filter_map(|e| Some((e.entity.strip_prefix('&')?, e.characters))).collect()
});

/// Names in capitals that ftfy also takes, where HTML has the name in small letters only: `&EACUTE;` is É.
static CAPITALS: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let small = NAMED.iter().filter(|(name, _)| name.ends_with(';') && name.to_lowercase() == **name);
    let capitals = small.map(|(name, text)| (name.to_uppercase(), text.to_uppercase()));
    capitals.filter(|(name, _)| matches!(unescape(&format!("&{name}")), Cow::Borrowed(_))).collect()
});

/// The longest name without a semicolon that is looked at, in characters.
const LONGEST_NAME: usize = 32;
/// The longest name that HTML knows without a semicolon.
const LONGEST_BARE: usize = 6;
/// The longest reference ftfy looks at, in characters between `&` (or `&#`) and `;`.
const LONGEST_WHOLE: usize = 24;

/// Python's `html.unescape`; borrowed when nothing was decoded.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    replace(text, |rest| {
        if let Some(number) = rest.strip_prefix('#') {
            let (length, decoded) = numeric(number)?;
            return Some((1 + length, decoded.map_or(Cow::Borrowed(""), |c| Cow::Owned(c.into()))));
        }
        let ends = |c: char| matches!(c, '\t' | '\n' | '\x0c' | ' ' | '<' | '&' | '#' | ';');
        let mut end = rest.char_indices().take(LONGEST_NAME).find(|(_, c)| ends(*c)).map(|(at, _)| at);
        let end = *end
            .get_or_insert_with(|| rest.char_indices().nth(LONGEST_NAME).map_or(rest.len(), |(at, _)| at));
        let whole = if rest[end..].starts_with(';') && end > 0 { end + 1 } else { end };
        if let Some(found) = NAMED.get(&rest[..whole]) {
            return Some((whole, Cow::Borrowed(*found)));
        }
        // `&notit;` is ¬it; by its longest beginning that is a name. Such names are ASCII.
        let mut beginnings =
            (2..whole.min(LONGEST_BARE + 1)).rev().filter_map(|at| Some((at, rest.get(..at)?)));
        beginnings.find_map(|(at, name)| Some((at, Cow::Borrowed(*NAMED.get(name)?))))
    })
}

/// ftfy's `unescape_html`; borrowed when nothing was decoded.
pub(crate) fn unescape_whole(text: &str) -> Cow<'_, str> {
    replace(text, |rest| {
        let name = rest.strip_prefix('#').unwrap_or(rest);
        let length = name.bytes().take_while(u8::is_ascii_alphanumeric).count();
        if !(1..=LONGEST_WHOLE).contains(&length) || !name[length..].starts_with(';') {
            return None;
        }
        let whole = rest.len() - name.len() + length + 1;
        if rest.starts_with('#') {
            let reference = format!("&{}", &rest[..whole]);
            let decoded = unescape(&reference).into_owned();
            return (!decoded.contains(';')).then_some((whole, Cow::Owned(decoded)));
        }
        let name = &rest[..whole];
        let found = NAMED.get(name).copied().or_else(|| CAPITALS.get(name).map(String::as_str))?;
        Some((whole, Cow::Borrowed(found)))
    })
}

/// Calls `decode` with what follows each `&`; it answers how many bytes of that it takes, and their replacement.
fn replace<'t>(
    text: &'t str,
    mut decode: impl FnMut(&'t str) -> Option<(usize, Cow<'static, str>)>,
) -> Cow<'t, str> {
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    let mut changed = false;
    while let Some(found) = text[at..].find('&') {
        let start = at + found;
        at = start + 1;
        if let Some((taken, replacement)) = decode(&text[at..]) {
            changed = true;
            out.push_str(&text[copied..start]);
            out.push_str(&replacement);
            at += taken;
            copied = at;
        }
    }
    if !changed {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// What follows `&#`: the length of the reference, and its character if it stands for one.
fn numeric(text: &str) -> Option<(usize, Option<char>)> {
    let (prefix, radix) = if text.starts_with(['x', 'X']) { (1, 16) } else { (0, 10) };
    let digits: Vec<u32> = text[prefix..].chars().map_while(|c| c.to_digit(radix)).collect();
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().fold(0_u32, |n, digit| n.saturating_mul(radix).saturating_add(*digit));
    let length = prefix + digits.len();
    let length = length + usize::from(text[length..].starts_with(';'));
    Some((length, of_number(number)))
}

/// The character a number stands for: HTML5 reads C1 as Windows-1252, and Python drops controls and non-characters.
fn of_number(number: u32) -> Option<char> {
    match number {
        0 => Some('\u{fffd}'),
        0x0d => Some('\r'),
        0x80..=0x9f => Some(crate::repair::windows_1252(number as u8)),
        0x01..=0x08 | 0x0b | 0x0e..=0x1f | 0x7f | 0xfdd0..=0xfdef => None,
        _ if number & 0xfffe == 0xfffe && number <= 0x10_ffff => None,
        _ => Some(char::from_u32(number).unwrap_or('\u{fffd}')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_semicolon_match_by_their_longest_beginning() {
        assert_eq!(unescape("&notit; &notin; &amp;amp; &ampx AT&T & &&lt"), "¬it; ∉ &amp; &x AT&T & &<");
    }

    #[test]
    fn numbers_no_character_has() {
        assert_eq!(
            unescape("[&#0;&#xD800;&#x110000;&#99999999999999999999;]"),
            "[\u{fffd}\u{fffd}\u{fffd}\u{fffd}]"
        );
        assert_eq!(unescape("[&#1;&#xFFFE;&#x7f;]"), "[]");
        assert_eq!(unescape("&#x80;&#129;&#65&#x42z&#;&#x;"), "€\u{81}ABz&#;&#x;");
    }

    #[test]
    fn ftfy_takes_whole_references_and_some_capitals() {
        assert_eq!(unescape_whole("&amp;&eacute;&EACUTE;&nTILDE;&amp &#59;&#x41;"), "&éÉ&nTILDE;&amp &#59;A");
    }
}
