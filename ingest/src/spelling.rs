//! How img2dataset's users spell a command line. Theirs is Python Fire's: underscores in names, `--flag=value` or
//! `--flag value`, `--noflag` for false, and values that are Python literals (`True`, `None`, `'["a","b"]'`, `10_000`).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::str::FromStr;

use clap::{Args, Command};
use serde::de::value::{Error as WordError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::args::RunArgs;

/// A value, or `None`: nothing, whatever the file or the source says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrNone<T>(pub Option<T>);

impl<T> OrNone<T> {
    /// The same of another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> OrNone<U> {
        OrNone(self.0.map(change))
    }
}

/// A text, or `None`.
pub(crate) fn or_none(typed: &str) -> Result<OrNone<String>, String> {
    Ok(OrNone((typed.trim() != "None").then(|| typed.to_owned())))
}

/// Rewrites Fire's names to ours: `--url_list` to `--url-list`, `--noextract_exif` to `--extract-exif=false`.
pub fn familiar(typed: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let run = RunArgs::augment_args(Command::new("run"));
    // Those that are true without a value.
    let is_switch = |arg: &&clap::Arg| arg.get_num_args().is_some_and(|values| values.min_values() == 0);
    let switches: BTreeSet<&str> =
        run.get_arguments().filter(is_switch).filter_map(clap::Arg::get_long).collect();
    let negated = |name: &str| -> Option<String> {
        let rest = name.strip_prefix("--no")?;
        let rest = rest.strip_prefix('-').unwrap_or(rest);
        switches.contains(rest).then(|| format!("--{rest}=false"))
    };
    typed
        .into_iter()
        .map(|argument| match argument.to_str() {
            Some(text) if text.starts_with("--") => match text.split_once('=') {
                Some((name, value)) => format!("{}={value}", name.replace('_', "-")).into(),
                None => {
                    let name = text.replace('_', "-");
                    negated(&name).unwrap_or(name).into()
                }
            },
            _ => argument,
        })
        .collect()
}

/// Any of our enums by its serde word; the error lists the words there are.
pub(crate) fn word<T: DeserializeOwned>(typed: &str) -> Result<T, String> {
    let deserializer: StrDeserializer<'_, WordError> = typed.into_deserializer();
    T::deserialize(deserializer).map_err(|error| error.to_string().replace("variant ", ""))
}

/// True or false; `None` is false, as it is in Python.
pub(crate) fn truth(typed: &str) -> Result<bool, String> {
    match typed.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
        "false" | "f" | "no" | "n" | "off" | "0" | "none" => Ok(false),
        _ => Err("give true or false".to_owned()),
    }
}

/// A number; digits may be grouped by underscores.
pub(crate) fn number<T: FromStr<Err: std::fmt::Display>>(typed: &str) -> Result<T, String> {
    typed.trim().replace('_', "").parse().map_err(|error: T::Err| error.to_string())
}

/// `a,b`, or a list of texts as Python and JSON write it; `None` is an empty one.
pub(crate) fn literal_list(typed: &str) -> Result<Vec<String>, String> {
    let typed = typed.trim();
    if typed == "None" {
        return Ok(Vec::new());
    }
    // With escapes, as `json.dumps` writes any letter beyond ASCII.
    if let Ok(items) = serde_json::from_str::<Vec<String>>(typed) {
        return Ok(items.into_iter().filter(|item| !item.is_empty()).collect());
    }
    let inner = typed.strip_prefix(['[', '(']).map(|inner| inner.strip_suffix([']', ')']));
    let inner = inner.unwrap_or(Some(typed)).ok_or("the list has no end; give [\"a\",\"b\"] or a,b")?;
    let (mut items, mut item, mut quote, mut was_quoted) = (Vec::new(), String::new(), None, false);
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => item.extend(characters.next()),
            (Some(open), _) if character == open => quote = None,
            (None, '"' | '\'') if item.trim().is_empty() => {
                item.clear();
                (quote, was_quoted) = (Some(character), true);
            }
            (None, ',') => {
                items.push((std::mem::take(&mut item), std::mem::take(&mut was_quoted)));
            }
            // Between a closing quote and the comma.
            (None, _) if was_quoted && character.is_whitespace() => {}
            (None, _) if was_quoted => {
                return Err(format!("`{character}` after a quoted name; give [\"a\",\"b\"] or a,b"));
            }
            _ => item.push(character),
        }
    }
    if quote.is_some() {
        return Err("a quote has no end; give [\"a\",\"b\"] or a,b".to_owned());
    }
    items.push((item, was_quoted));
    let whole = |(item, was_quoted): (String, bool)| if was_quoted { item } else { item.trim().to_owned() };
    Ok(items.into_iter().map(whole).filter(|item| !item.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f28_lists_are_pythons_jsons_or_plain() {
        for (typed, expected) in [
            ("a,b", &["a", "b"][..]),
            (" a , b ", &["a", "b"]),
            (r#"["a","b"]"#, &["a", "b"]),
            (r"['a', 'b']", &["a", "b"]),
            (r#"("a",)"#, &["a"]),
            (r#"["a, with comma", "it's"]"#, &["a, with comma", "it's"]),
            (r#"["quote \" inside"]"#, &["quote \" inside"]),
            (r#"["\u00e9\ud83d\ude00", "a\tb"]"#, &["é😀", "a\tb"]),
            ("[a,b]", &["a", "b"]),
            ("\"a\"", &["a"]),
            ("it's", &["it's"]),
            ("[]", &[]),
            ("", &[]),
            ("None", &[]),
        ] {
            assert_eq!(literal_list(typed).unwrap(), expected, "{typed}");
        }
        for bad in ["[\"a\"", "[\"a]", "[\"a\"b]", "['a"] {
            assert!(literal_list(bad).unwrap_err().contains("[\"a\",\"b\"]"), "{bad}");
        }
    }

    #[test]
    fn f28_fires_names_become_ours() {
        let line = |typed: &[&str]| -> Vec<String> {
            let words = familiar(typed.iter().map(OsString::from));
            words.into_iter().map(|word| word.into_string().unwrap()).collect()
        };
        assert_eq!(
            line(&[
                "x",
                "run",
                "--url_list=a_b",
                "--url_list",
                "a_b",
                "--noextract_exif",
                "--no_skip_reencode"
            ]),
            [
                "x",
                "run",
                "--url-list=a_b",
                "--url-list",
                "a_b",
                "--extract-exif=false",
                "--skip-reencode=false"
            ]
        );
        // What takes a value cannot be negated, and other names that begin so are names.
        assert_eq!(line(&["--nourl_list", "--note", "no_flag"]), ["--nourl-list", "--note", "no_flag"]);
    }

    #[test]
    fn f28_literals_of_python() {
        assert_eq!(
            [truth("True"), truth("False"), truth("None"), truth("1")].map(Result::unwrap),
            [true, false, false, true]
        );
        assert!(truth("maybe").is_err());
        assert_eq!(number::<u64>("10_000"), Ok(10_000));
        assert_eq!(number::<f64>("inf"), Ok(f64::INFINITY));
        assert!(number::<u32>("-1").is_err() && number::<u32>("NaN").is_err());
        assert_eq!(or_none("None"), Ok(OrNone(None)));
        assert_eq!(or_none("none"), Ok(OrNone(Some("none".to_owned()))));
    }
}
