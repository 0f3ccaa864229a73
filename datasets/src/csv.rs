//! Any set as a table: a column of paths, one of labels (numbers or names), maybe one that says train, val or test. One
//! table, or one a part (`train.csv`, `val.csv`, `test.csv`). Comma, semicolon or tab, by the header. Paths are relative to
//! `images`, a folder or an archive, or to the table; with backslashes or slashes, with their ending or without. Without
//! a test split a seeded share is held out.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::assembly::{Assembly, label_of, sorted_unique};
use super::config::DatasetConfig;
use super::error::{DatasetError, shown};
use super::folder::{listed_classes, part_named};
use super::list::ClassList;
use super::set::{LabelledSet, Part};
use super::tree::{Tree, is_picture};

/// Most classes that unnamed labels may stand for.
const MAX_CLASSES: usize = 1_000_000;
const PATH_COLUMNS: [&str; 8] =
    ["path", "file", "filename", "filepath", "file_name", "image", "image_id", "image_path"];
const LABEL_COLUMNS: [&str; 5] = ["label", "class", "target", "category", "class_name"];
const SPLIT_COLUMNS: [&str; 3] = ["split", "part", "subset"];

struct Row {
    part: Part,
    path: String,
    label: String,
    place: String,
}

pub(super) fn read(config: &DatasetConfig) -> Result<LabelledSet, DatasetError> {
    let mut rows = Vec::new();
    for (part, table) in tables(config)? {
        read_table(config, part, &table, &mut rows)?;
    }
    let images = match &config.images {
        Some(images) => config.folder().join(images),
        None => config.folder(),
    };
    let tree = Tree::open(&images)?;
    let mut left_out = Vec::new();
    let is_there: Box<dyn Fn(&str) -> bool> = if tree.is_folder() {
        Box::new(|path| tree.path().join(path).is_file())
    } else {
        let listing = tree.list(&|_| false)?;
        left_out = listing.notes();
        let names: HashSet<String> = listing.files.into_iter().map(|(name, _)| name).collect();
        Box::new(move |path| names.contains(path))
    };
    let texts: Vec<(&str, &str)> = rows.iter().map(|row| (row.label.as_str(), row.place.as_str())).collect();
    let Labels { classes, labels, note } = labels(listed_classes(config)?, &texts)?;
    let mut set = Assembly::new(config, classes);
    set.notes.extend(note);
    set.notes.append(&mut left_out);
    for (row, label) in rows.iter().zip(labels) {
        match file_of(&row.path, &is_there) {
            Some(file) => set.add_file(row.part, label, row.path.as_str(), file),
            None => set.miss(row.path.as_str()),
        }
    }
    drop(is_there);
    // A set of two parts is trained on one and tested on the other; one of one part is divided.
    set.complete_test()?;
    set.with_tree(tree).finish("the table", "")
}

/// Endings of an image whose row gives its id alone.
const ENDINGS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "JPG", "JPEG", "PNG", "tif"];

/// The file that a row's path means: the path itself, with slashes for backslashes, or an id that lacks its ending.
fn file_of(path: &str, is_there: &dyn Fn(&str) -> bool) -> Option<String> {
    if is_there(path) {
        return Some(path.to_owned());
    }
    let slashed = path.replace('\\', "/");
    let slashed = slashed.trim_start_matches("./");
    if slashed != path && is_there(slashed) {
        return Some(slashed.to_owned());
    }
    if is_picture(slashed) {
        return None;
    }
    ENDINGS.iter().map(|ending| format!("{slashed}.{ending}")).find(|file| is_there(file))
}

/// Of tab, semicolon and comma, the one that stands most often in the header, outside quotes.
fn delimiter_of(header: &[u8]) -> u8 {
    let mut is_quoted = false;
    let mut counts = [0usize; 3];
    for byte in header {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\t' if !is_quoted => counts[0] += 1,
            b';' if !is_quoted => counts[1] += 1,
            b',' if !is_quoted => counts[2] += 1,
            _ => {}
        }
    }
    let [tabs, semicolons, commas] = counts;
    if tabs > 0 {
        b'\t'
    } else if semicolons > commas {
        b';'
    } else {
        b','
    }
}

/// The tables and what part each is of.
fn tables(config: &DatasetConfig) -> Result<Vec<(Part, PathBuf)>, DatasetError> {
    let folder = config.folder();
    let given: Vec<_> = [(Part::Train, &config.train), (Part::Val, &config.val), (Part::Test, &config.test)]
        .into_iter()
        .filter_map(|(part, table)| Some((part, folder.join(table.as_ref()?))))
        .collect();
    if !given.is_empty() {
        return Ok(given);
    }
    if config.root.is_file() {
        return Ok(vec![(Part::Train, config.root.clone())]);
    }
    let usual = [(Part::Train, "train"), (Part::Val, "val"), (Part::Test, "test")];
    let found: Vec<_> = usual
        .into_iter()
        .filter_map(|(part, stem)| {
            let names = ["csv", "tsv"].map(|ext| folder.join(format!("{stem}.{ext}")));
            Some((part, names.into_iter().find(|path| path.is_file())?))
        })
        .collect();
    if found.iter().any(|(part, _)| *part == Part::Train) {
        return Ok(found);
    }
    let mut single: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map_err(DatasetError::read(&folder))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ext| ext == "csv" || ext == "tsv"))
        .collect();
    single.sort();
    match &single[..] {
        [table] => Ok(vec![(Part::Train, table.clone())]),
        _ => {
            let what = "no train.csv, and not one table alone; name them with train, val and test";
            Err(DatasetError::missing(&folder, what))
        }
    }
}

fn read_table(
    config: &DatasetConfig,
    part: Part,
    path: &Path,
    rows: &mut Vec<Row>,
) -> Result<(), DatasetError> {
    let bytes = std::fs::read(path).map_err(DatasetError::read(path))?;
    let bytes = plain_lines(&bytes);
    let bytes = bytes.as_slice();
    let file = path.display().to_string();
    let header = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let delimiter = delimiter_of(header);
    let mut reader = ::csv::ReaderBuilder::new().delimiter(delimiter).from_reader(bytes);
    let wrong = |error: &::csv::Error| DatasetError::wrong(&file, shown(&error.to_string()));
    let header = reader.headers().map_err(|error| wrong(&error))?.clone();
    let find = |given: &Option<String>, usual: &[&str]| match given {
        Some(name) => header.iter().position(|column| column.trim() == name),
        None => usual
            .iter()
            .find_map(|name| header.iter().position(|column| column.trim().eq_ignore_ascii_case(name))),
    };
    let require = |given: &Option<String>, usual: &[&str], what: &str| {
        find(given, usual).ok_or_else(|| {
            let wanted = given.clone().unwrap_or_else(|| usual.join(", "));
            let rule = format!(
                "no column with the {what}s ({wanted}) in its header {:?}; set {what}_column",
                shown(&header.iter().collect::<Vec<_>>().join(","))
            );
            DatasetError::wrong(&file, rule)
        })
    };
    let path_column = require(&config.path_column, &PATH_COLUMNS, "path")?;
    let label_column = require(&config.label_column, &LABEL_COLUMNS, "label")?;
    let split_column = match &config.split_column {
        Some(_) => Some(require(&config.split_column, &SPLIT_COLUMNS, "split")?),
        None => find(&None, &SPLIT_COLUMNS),
    };
    for record in reader.records() {
        let record = record.map_err(|error| wrong(&error))?;
        let line = record.position().map_or(0, ::csv::Position::line);
        let place = format!("{file} line {line}");
        let cell = |column: usize| record.get(column).unwrap_or_default().trim();
        let part = match split_column {
            None => part,
            Some(column) => part_named(cell(column)).ok_or_else(|| {
                let rule = format!("{:?} is none of train, val, test", shown(cell(column)));
                DatasetError::wrong(&place, rule)
            })?,
        };
        let (path, label) = (cell(path_column), cell(label_column));
        if path.is_empty() || label.is_empty() {
            return Err(DatasetError::wrong(place, "no path or no label"));
        }
        let path = path.trim_start_matches("./").to_owned();
        rows.push(Row { part, path, label: label.to_owned(), place });
    }
    Ok(())
}

/// Without byte order mark, and lines ended by line feeds alone: after a carriage return the csv crate numbers them wrong.
pub(super) fn plain_lines(bytes: &[u8]) -> Vec<u8> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut plain = Vec::with_capacity(bytes.len());
    let next = bytes.iter().skip(1).map(Some).chain([None]);
    plain
        .extend(bytes.iter().zip(next).filter(|pair| *pair != (&b'\r', Some(&b'\n'))).map(|(byte, _)| *byte));
    plain
}

/// Classes and labels of rows.
#[derive(Debug)]
pub(super) struct Labels {
    /// Names in label order.
    pub classes: Vec<String>,
    /// One a row.
    pub labels: Vec<u32>,
    /// What was made of numbers without a row.
    pub note: Option<String>,
}

/// Labels from texts, each with the place it stands at: numbers, where all of them are; else names. Classes are those
/// listed, of which numbers count from 0, or the numbers or names found. A number that no row has is no class: labels
/// from 1 make no empty class 0.
pub(super) fn labels(listed: Option<ClassList>, texts: &[(&str, &str)]) -> Result<Labels, DatasetError> {
    let numbers: Option<Vec<u32>> = texts.iter().map(|(text, _)| text.parse().ok()).collect();
    let is_name = |listed: &ClassList| {
        let names: HashSet<&str> = listed.names().iter().map(String::as_str).collect();
        texts.iter().all(|(text, _)| names.contains(text))
    };
    if let Some(numbers) = numbers.filter(|_| !listed.as_ref().is_some_and(is_name)) {
        return match listed {
            Some(listed) => of_listed(listed.numbered(), numbers, texts),
            None => of_numbers(&numbers, texts),
        };
    }
    let classes = match listed {
        Some(listed) => listed.distinct()?,
        None => sorted_unique(texts.iter().map(|(text, _)| (*text).to_owned()).collect()),
    };
    let known = label_of(&classes);
    let label = |&(text, place): &(&str, &str)| {
        known.get(text).copied().ok_or_else(|| {
            DatasetError::wrong(place, format!("label {:?} is none of the listed classes", shown(text)))
        })
    };
    let labels = texts.iter().map(label).collect::<Result<_, _>>()?;
    Ok(Labels { classes, labels, note: None })
}

fn of_listed(
    classes: Vec<String>,
    numbers: Vec<u32>,
    texts: &[(&str, &str)],
) -> Result<Labels, DatasetError> {
    let count = classes.len();
    if let Some(at) = numbers.iter().position(|label| *label as usize >= count) {
        let from_one = match (numbers.contains(&0), numbers.iter().max()) {
            (false, Some(&most)) if most as usize == count => {
                "; no row has label 0, so the labels seem to count from 1: count them from 0"
            }
            _ => "",
        };
        let rule =
            format!("label {} is out of range; there are {count} classes, from 0{from_one}", texts[at].0);
        return Err(DatasetError::wrong(texts[at].1, rule));
    }
    Ok(Labels { classes, labels: numbers, note: None })
}

fn of_numbers(numbers: &[u32], texts: &[(&str, &str)]) -> Result<Labels, DatasetError> {
    let found: BTreeSet<u32> = numbers.iter().copied().collect();
    let most = found.last().map_or(0, |&most| most as usize);
    // Nobody has that many classes: these are no labels.
    if most >= MAX_CLASSES {
        let at = numbers.iter().position(|label| *label as usize == most).unwrap_or(0);
        let rule = format!("label {} is out of range; labels count from 0 without gaps", texts[at].0);
        return Err(DatasetError::wrong(texts[at].1, rule));
    }
    let count = found.len();
    let empty = (most + 1).saturating_sub(count);
    let first_empty = (0u32..).find(|label| !found.contains(label)).unwrap_or(0);
    let note = match empty {
        _ if count == 0 => None,
        0 => None,
        1 => {
            Some(format!("label {first_empty} has no image, so it is no class; the head has {count} classes"))
        }
        _ => Some(format!(
            "{empty} labels between 0 and {most} have no image, such as {first_empty}, so they are no classes; the head has \
             {count} classes"
        )),
    };
    let classes: Vec<String> = found.iter().map(u32::to_string).collect();
    let labels_of: HashMap<u32, u32> = found.into_iter().zip(0..).collect();
    let labels = numbers.iter().filter_map(|number| labels_of.get(number).copied()).collect();
    Ok(Labels { classes, labels, note })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(listed: Option<&[&str]>, texts: &[&str]) -> Result<(Vec<String>, Vec<u32>), String> {
        let texts: Vec<_> = texts.iter().map(|text| (*text, "t.csv line 9")).collect();
        let found = labels(listed.map(ClassList::of), &texts).map_err(|error| error.to_string())?;
        Ok((found.classes, found.labels))
    }

    #[test]
    fn delimiters_are_told_by_the_header() {
        for (header, delimiter) in [
            ("path;label", b';'),
            ("a,b;c,d", b','),
            ("a\tb;c", b'\t'),
            ("\"a;b;c\",d", b','),
            ("path", b','),
        ] {
            assert_eq!(delimiter_of(header.as_bytes()), delimiter, "{header}");
        }
    }

    #[test]
    fn a_path_means_the_file_that_is_there() {
        let is_there = |path: &str| ["a/1.jpg", "a/2.png", "odd\\3.jpg"].contains(&path);
        for (path, file) in [
            ("a/1.jpg", Some("a/1.jpg")),
            ("a\\1.jpg", Some("a/1.jpg")),
            (".\\a\\2", Some("a/2.png")),
            ("a/2", Some("a/2.png")),
            ("odd\\3.jpg", Some("odd\\3.jpg")),
            ("a/1.png", None),
            ("a/4", None),
        ] {
            assert_eq!(file_of(path, &is_there).as_deref(), file, "{path}");
        }
    }

    #[test]
    fn labels_are_numbers_or_names() {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(of(None, &["2", "0", "1"]).unwrap(), (owned(&["0", "1", "2"]), vec![2, 0, 1]));
        assert_eq!(of(None, &["2", "1", "2"]).unwrap(), (owned(&["1", "2"]), vec![1, 0, 1]));
        assert_eq!(of(None, &["dog", "cat", "dog"]).unwrap(), (owned(&["cat", "dog"]), vec![1, 0, 1]));
        assert_eq!(of(Some(&["b", "a"]), &["1", "0"]).unwrap(), (owned(&["b", "a"]), vec![1, 0]));
        assert_eq!(of(Some(&["b", "a"]), &["a", "b"]).unwrap(), (owned(&["b", "a"]), vec![1, 0]));
        // Names that are numbers.
        assert_eq!(of(Some(&["7", "3"]), &["3", "7"]).unwrap(), (owned(&["7", "3"]), vec![1, 0]));
        for (listed, texts, said) in [
            (Some(&["a", "b"][..]), &["2"][..], "t.csv line 9: label 2 is out of range; there are 2 classes"),
            (Some(&["a", "b"]), &["1", "2"], "so the labels seem to count from 1: count them from 0"),
            (None, &["0", "4000000000"], "label 4000000000 is out of range"),
            (Some(&["a", "b"]), &["c"], "label \"c\" is none of the listed classes"),
        ] {
            let message = of(listed, texts).unwrap_err();
            assert!(message.contains(said), "{message}");
        }
    }
}
