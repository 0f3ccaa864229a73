//! Lists as text. Of pictures: a line each, comments and blank lines left out, with the classes that their lines number.
//! Of names (classes, templates): a line each, blank lines left out; a name may begin with `#`.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::error::{DatasetError, shown};

/// The lines of a list with their numbers from 1; `file` names it in errors.
///
/// # Errors
/// When it is not UTF-8.
pub(super) fn lines<'a>(
    file: &str,
    bytes: &'a [u8],
) -> Result<impl Iterator<Item = (usize, &'a str)> + use<'a>, DatasetError> {
    Ok(names(file, bytes)?.filter(|(_, line)| !line.starts_with('#')))
}

/// The names of a list with the numbers of their lines from 1, as they stand there but for blanks around them: the one
/// reader of lists of classes and of templates. `file` names it in errors.
///
/// # Errors
/// When it is not UTF-8.
pub fn names<'a>(
    file: &str,
    bytes: &'a [u8],
) -> Result<impl Iterator<Item = (usize, &'a str)> + use<'a>, DatasetError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        DatasetError::wrong(format!("{file} line {line}"), "not UTF-8")
    })?;
    let numbered = text.lines().zip(1..).map(|(line, number)| (number, line.trim()));
    Ok(numbered.filter(|(_, line)| !line.is_empty()))
}

/// What stands for the class name in a template of CLIP_benchmark.
const BENCHMARK_PLACE: &str = "{c}";

/// Prompts of a list with `{}` for the class name, whichever of `{}` and `{c}` the list has.
///
/// # Errors
/// As [`names`].
pub fn templates(file: &str, bytes: &[u8]) -> Result<Vec<String>, DatasetError> {
    Ok(names(file, bytes)?.map(|(_, line)| template(line)).collect())
}

/// A prompt with `{}` for the class name.
pub fn template(text: &str) -> String {
    text.replace(BENCHMARK_PLACE, "{}")
}

/// The class names of a list, in label order.
#[derive(Debug)]
pub(super) struct ClassList {
    names: Vec<String>,
    /// The first name that stands there twice.
    repeated: Option<DatasetError>,
}

impl ClassList {
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let bytes = std::fs::read(path).map_err(DatasetError::read(path))?;
        let file = path.display().to_string();
        let (mut list, mut known, mut repeated) = (Vec::new(), HashSet::new(), None);
        for (number, line) in names(&file, &bytes)? {
            if !known.insert(line) && repeated.is_none() {
                let rule = format!("class {:?} for the second time", shown(line));
                repeated = Some(DatasetError::wrong(format!("{file} line {number}"), rule));
            }
            list.push(line.to_owned());
        }
        Ok(Self { names: list, repeated })
    }

    #[cfg(test)]
    pub fn of(names: &[&str]) -> Self {
        Self { names: names.iter().map(|name| (*name).to_owned()).collect(), repeated: None }
    }

    /// The names, where labels are numbers: two classes may share one.
    pub fn numbered(self) -> Vec<String> {
        self.names
    }

    /// The names, where they are the labels.
    pub fn distinct(self) -> Result<Vec<String>, DatasetError> {
        match self.repeated {
            Some(error) => Err(error),
            None => Ok(self.names),
        }
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }
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
        let found: Vec<_> = names("classes.txt", b"dollar\n#hash\n\npercent\n").unwrap().collect();
        assert_eq!(found, [(1, "dollar"), (2, "#hash"), (4, "percent")]);
        assert_eq!(templates("t", b"a photo of {c}.\na {}.\n").unwrap(), ["a photo of {}.", "a {}."]);
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
