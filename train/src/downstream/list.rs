//! Lists of pictures as text: a line each, comments and blank lines left out; and the classes that their lines number.

use std::collections::HashMap;

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

/// Class names by the numbers that lists give them, one to one.
pub(super) struct Numbered {
    /// What lists call a number.
    word: &'static str,
    /// The number of the first class.
    first: usize,
    names: Vec<Option<String>>,
    numbers: HashMap<String, usize>,
}

impl Numbered {
    pub fn new(word: &'static str, first: usize) -> Self {
        Self { word, first, names: Vec::new(), numbers: HashMap::new() }
    }

    /// Takes a line's word for it that `class` has this number, and gives its label; the rule where another line says
    /// otherwise. `number` is at least the first one and at most what the list's reader allows.
    pub fn label(&mut self, number: usize, class: &str) -> Result<u32, String> {
        let Self { word, first, .. } = *self;
        let label = number - first;
        if self.names.len() <= label {
            self.names.resize(label + 1, None);
        }
        if let Some(known) = &self.names[label]
            && known != class
        {
            return Err(format!("gives {word} {number} to {}, which is {}'s", shown(class), shown(known)));
        }
        match self.numbers.get(class) {
            Some(&known) if known != number => {
                return Err(format!("gives {word} {number} to {}, which has {known}", shown(class)));
            }
            Some(_) => {}
            None => {
                self.numbers.insert(class.to_owned(), number);
                self.names[label] = Some(class.to_owned());
            }
        }
        Ok(label as u32)
    }

    /// The names in order; or the first number that is nobody's.
    pub fn names(self) -> Result<Vec<String>, usize> {
        let first = self.first;
        self.names.into_iter().zip(first..).map(|(name, number)| name.ok_or(number)).collect()
    }
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

    #[test]
    fn names_and_numbers_go_one_to_one() {
        let mut classes = Numbered::new("class", 1);
        assert_eq!(classes.label(3, "c"), Ok(2));
        assert_eq!(classes.label(1, "a"), Ok(0));
        assert_eq!(classes.label(3, "c"), Ok(2));
        assert_eq!(classes.label(3, "a"), Err("gives class 3 to a, which is c's".into()));
        assert_eq!(classes.label(2, "a"), Err("gives class 2 to a, which has 1".into()));
        assert_eq!(classes.names(), Err(2));
        let mut classes = Numbered::new("label", 0);
        assert_eq!((classes.label(1, "b"), classes.label(0, "a")), (Ok(1), Ok(0)));
        assert_eq!(classes.names().unwrap(), ["a", "b"]);
    }
}
