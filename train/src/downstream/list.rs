//! Lists of pictures as text: a line each, comments and blank lines left out.

use super::error::{DatasetError, shown};

/// The lines of a list with their numbers from 1; `file` names it in errors.
///
/// # Errors
/// When it is not UTF-8.
pub(super) fn lines<'a>(
    file: &str,
    bytes: &'a [u8],
) -> Result<impl Iterator<Item = (usize, &'a str)> + use<'a>, DatasetError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        DatasetError::wrong(format!("{file} line {line}"), "not UTF-8")
    })?;
    let numbered = text.lines().zip(1..).map(|(line, number)| (number, line.trim()));
    Ok(numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')))
}

/// A wrong line.
pub(super) fn wrong_line(file: &str, number: usize, line: &str, rule: &str) -> DatasetError {
    DatasetError::wrong(format!("{file} line {number}"), format!("{:?} {rule}", shown(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blanks_are_left_out_and_numbers_kept() {
        let text = b"\xef\xbb\xbf#Image CLASS-ID\r\n\r\n a 1\r\nb 2";
        let found: Vec<_> = lines("list.txt", text).unwrap().collect();
        assert_eq!(found, [(3, "a 1"), (4, "b 2")]);
        let message = lines("list.txt", b"a\n\xff").err().unwrap().to_string();
        assert_eq!(message, "list.txt line 2: not UTF-8");
    }
}
