//! Records that are not UTF-8. Their odd bytes must get through a parser of UTF-8, so that those of a URL can go to the
//! server as they came: each becomes a pair of noncharacters of Unicode, which no text may hold, and is made a byte again
//! in the cells.

use std::borrow::Cow;

use serde_json::Value;

use crate::table::text::Decoding;

/// Of the byte's upper half, 8 to F, and of its lower half.
const HIGH: u32 = 0xfdd0;
const LOW: u32 = 0xfdd8;

/// The record with each odd byte as a pair.
pub(super) fn marked(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len() + raw.len() / 8);
    for chunk in raw.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let pair = [HIGH + u32::from(byte >> 4 & 7), LOW + u32::from(byte & 15)];
            text.extend(pair.into_iter().filter_map(char::from_u32));
        }
    }
    text
}

/// Decodes the texts of a cell whose record was [`marked`]; whether one had bytes replaced.
pub(super) fn mend(cell: &mut Value, decoding: Decoding) -> bool {
    match cell {
        Value::String(text) => {
            let Cow::Owned(bytes) = unmarked(text) else { return false };
            let mut replaced = 0;
            *text = decoding.decode(&bytes, &mut replaced).into_owned();
            replaced > 0
        }
        Value::Array(values) => values.iter_mut().fold(false, |some, value| mend(value, decoding) | some),
        Value::Object(members) => {
            members.values_mut().fold(false, |some, value| mend(value, decoding) | some)
        }
        _ => false,
    }
}

/// The bytes behind a text; the text's own where it has no pair.
fn unmarked(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(|c| (HIGH..HIGH + 8).contains(&u32::from(c))) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let half = |c: char, first: u32, count: u32| {
            let value = u32::from(c).checked_sub(first).filter(|value| *value < count)?;
            u8::try_from(value).ok()
        };
        let low = characters.peek().and_then(|next| half(*next, LOW, 16));
        match (half(character, HIGH, 8), low) {
            (Some(high), Some(low)) => {
                bytes.push(0x80 | high << 4 | low);
                characters.next();
            }
            _ => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn f18_any_bytes_come_through(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            // But for text that has such a pair itself, which nobody may send.
            let text = marked(&bytes);
            prop_assert_eq!(&*unmarked(&text), &bytes);
        }
    }
}
