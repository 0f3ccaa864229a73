//! Addresses in bytes that are not UTF-8: a URL of a table, a `Location` of a server.

use std::borrow::Cow;

/// `bytes` as an address. UTF-8 is kept. In any other encoding only the server can read them, so what is beyond ASCII
/// goes back to it as it came, percent-encoded.
pub(crate) fn percent_encoded(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().fold(String::with_capacity(bytes.len()), |mut text, byte| {
            match byte.is_ascii() {
                true => text.push(char::from(*byte)),
                false => text.extend(percent_encode(*byte)),
            }
            text
        })),
    }
}

/// `%E9`
pub(crate) fn percent_encode(byte: u8) -> impl Iterator<Item = char> {
    let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0').to_ascii_uppercase();
    ['%', digit(byte >> 4), digit(byte & 15)].into_iter()
}
