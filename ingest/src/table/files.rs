//! From what the user named – a file, a folder or a glob – to the ordered list of files.
//!
//! A folder means its direct members with the format's extension, in byte order of their paths, as img2dataset's
//! sorted glob does; the order fixes shard numbers, so it must be the same on resume.

use std::path::{Path, PathBuf};

use super::error::{TableError, one_line};
use super::format::{InputFormat, without_compression};

/// One file of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size on disk, compressed if it is.
    pub bytes: u64,
}

/// Finds the files behind `url_list` and the one format they have.
pub(super) fn resolve(
    url_list: &str,
    format: Option<InputFormat>,
) -> Result<(InputFormat, Vec<InputFile>), TableError> {
    if url_list.trim().is_empty() {
        return Err(TableError::NoUrlList);
    }
    let path = Path::new(url_list);
    let (paths, format) = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => in_folder(path, url_list, format)?,
        // It is read more than once, and a pipe would be empty the second time.
        Ok(found) if !found.is_file() => return Err(TableError::NotAFile { path: path.to_owned() }),
        Ok(_) => {
            let format = format.or_else(|| InputFormat::of_path(path));
            let format = format.ok_or_else(|| TableError::UnknownExtension { path: path.to_owned() })?;
            (vec![path.to_owned()], format)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if !url_list.contains(['*', '?', '[']) {
                return Err(TableError::Missing { path: path.to_owned() });
            }
            by_glob(url_list, format)?
        }
        Err(error) => return Err(TableError::Unreadable { path: path.to_owned(), error }),
    };
    let files = paths.into_iter().map(sized).collect::<Result<Vec<_>, _>>()?;
    Ok((format, files))
}

fn in_folder(
    folder: &Path,
    url_list: &str,
    format: Option<InputFormat>,
) -> Result<(Vec<PathBuf>, InputFormat), TableError> {
    let unreadable = |error| TableError::Unreadable { path: folder.to_owned(), error };
    let mut tables = Vec::new();
    let mut has_subfolder = false;
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        // As a shell's `*` does, leave hidden files out: `._part.csv` and editors' swap files are no tables.
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        if path.is_dir() {
            has_subfolder = true;
        } else if let Some(found) = InputFormat::of_path(&path)
            && (path.is_file() || !path.exists())
        {
            tables.push((found, path));
        }
    }
    let nothing = || {
        let wanted = format.map_or_else(
            || "parquet, csv, tsv, json, jsonl or txt".to_owned(),
            |format| format!("*.{format}"),
        );
        let hint = match (tables.first(), has_subfolder) {
            (Some((other, _)), _) => format!("; there are {other} files, so give --input-format {other}"),
            (None, true) => {
                let extension = format.map_or("parquet", InputFormat::as_str);
                let pattern = folder.join("**").join(format!("*.{extension}"));
                format!("; only direct members count, use a glob such as '{}'", pattern.display())
            }
            (None, false) => "; check --url-list".to_owned(),
        };
        TableError::NoTableInFolder { folder: folder.to_owned(), wanted, hint }
    };
    let chosen = match format {
        Some(format) => format,
        None => only_format(url_list, tables.iter().map(|(format, _)| *format))?.ok_or_else(nothing)?,
    };
    let paths: Vec<PathBuf> =
        tables.iter().filter(|(format, _)| *format == chosen).map(|(_, path)| path.clone()).collect();
    if paths.is_empty() {
        return Err(nothing());
    }
    Ok((ordered(paths)?, chosen))
}

fn by_glob(pattern: &str, format: Option<InputFormat>) -> Result<(Vec<PathBuf>, InputFormat), TableError> {
    let matches = glob::glob(pattern)
        .map_err(|error| TableError::BadGlob { pattern: pattern.to_owned(), reason: one_line(&error) })?;
    let mut paths = Vec::new();
    for found in matches {
        let path = found
            .map_err(|error| TableError::Unreadable { path: error.path().to_owned(), error: error.into() })?;
        if path.is_file() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(TableError::NoMatch { pattern: pattern.to_owned() });
    }
    let paths = ordered(paths)?;
    if let Some(format) = format {
        return Ok((paths, format));
    }
    let mut formats = Vec::with_capacity(paths.len());
    for path in &paths {
        let format = InputFormat::of_path(path);
        formats.push(format.ok_or_else(|| TableError::UnknownExtension { path: path.clone() })?);
    }
    let format = only_format(pattern, formats.into_iter())?;
    let format = format.ok_or_else(|| TableError::NoMatch { pattern: pattern.to_owned() })?;
    Ok((paths, format))
}

/// The single format of `formats`, `None` when there is none.
fn only_format(
    url_list: &str,
    formats: impl Iterator<Item = InputFormat>,
) -> Result<Option<InputFormat>, TableError> {
    let mut seen: Vec<InputFormat> = formats.collect();
    seen.sort_unstable();
    seen.dedup();
    match seen.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(*only)),
        several => Err(TableError::MixedFormats {
            url_list: url_list.to_owned(),
            formats: several.iter().map(|format| format.as_str()).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// Sorts as Python sorts path strings (not component-wise as [`Path`] does) and refuses a table given twice.
fn ordered(mut paths: Vec<PathBuf>) -> Result<Vec<PathBuf>, TableError> {
    paths.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    let mut stems: Vec<(String, &PathBuf)> =
        paths.iter().map(|path| (without_compression(&path.to_string_lossy()).to_owned(), path)).collect();
    stems.sort();
    for pair in stems.windows(2) {
        if let [(stem, first), (next, second)] = pair
            && stem == next
        {
            return Err(TableError::SameTableTwice { first: (*first).clone(), second: (*second).clone() });
        }
    }
    Ok(paths)
}

fn sized(path: PathBuf) -> Result<InputFile, TableError> {
    match std::fs::metadata(&path) {
        Ok(found) => Ok(InputFile { bytes: found.len(), path }),
        Err(error) => Err(TableError::Unreadable { path, error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_of(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "url\nhttp://a/\n").unwrap();
        }
        dir
    }

    fn names(found: &[InputFile], dir: &Path) -> Vec<String> {
        found.iter().map(|f| f.path.strip_prefix(dir).unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_folder_is_its_sorted_members_of_one_format() {
        let dir = folder_of(&["b.csv", "a.csv.gz", "A.csv", "a-1.csv", ".c.csv", "note.md", "sub/d.csv"]);
        let (format, found) = resolve(dir.path().to_str().unwrap(), None).unwrap();
        assert_eq!(format, InputFormat::Csv);
        assert_eq!(names(&found, dir.path()), ["A.csv", "a-1.csv", "a.csv.gz", "b.csv"]);
        assert_eq!(found[0].bytes, 14);
    }

    #[test]
    fn a_glob_may_reach_into_subfolders() {
        let dir = folder_of(&["x/b.tsv", "x/a.tsv", "w/z.tsv", "w/z.csv"]);
        let pattern = format!("{}/*/*.tsv", dir.path().display());
        let (format, found) = resolve(&pattern, None).unwrap();
        assert_eq!(format, InputFormat::Tsv);
        assert_eq!(names(&found, dir.path()), ["w/z.tsv", "x/a.tsv", "x/b.tsv"]);
    }

    #[test]
    fn a_given_format_overrules_the_name() {
        let dir = folder_of(&["urls.dat"]);
        let path = dir.path().join("urls.dat");
        let (format, found) = resolve(path.to_str().unwrap(), Some(InputFormat::Csv)).unwrap();
        assert_eq!((format, found.len()), (InputFormat::Csv, 1));
    }

    #[test]
    fn each_refusal_names_the_fix() {
        let check = |files: &[&str], list: &str, format: Option<InputFormat>, expected: &str| {
            let dir = folder_of(files);
            let root = dir.path().display().to_string();
            let error = resolve(&list.replace("DIR", &root), format).unwrap_err().to_string();
            assert_eq!(error.replace(&root, "DIR"), expected);
        };
        check(&[], "", None, "no table of URLs given; name a file, a folder or a glob with --url-list");
        check(&[], "DIR/no.csv", None, "DIR/no.csv: no such file or folder; check --url-list");
        check(
            &["a.csv"],
            "DIR/*.parquet",
            None,
            "--url-list `DIR/*.parquet` matches no file; check the pattern, and quote it so that the shell leaves it alone",
        );
        check(
            &[],
            "no-such-[",
            None,
            "--url-list `no-such-[` is not a valid glob: Pattern syntax error near position 8: invalid range pattern",
        );
        check(
            &["x.md"],
            "DIR",
            None,
            "DIR: the folder holds no parquet, csv, tsv, json, jsonl or txt file; check --url-list",
        );
        check(
            &["x.csv"],
            "DIR",
            Some(InputFormat::Parquet),
            "DIR: the folder holds no *.parquet file; there are csv files, so give --input-format csv",
        );
        check(
            &["sub/x.csv"],
            "DIR",
            Some(InputFormat::Csv),
            "DIR: the folder holds no *.csv file; only direct members count, use a glob such as 'DIR/**/*.csv'",
        );
        check(
            &["x.csv", "y.tsv"],
            "DIR",
            None,
            "--url-list `DIR` holds tables of several formats (csv, tsv); choose one with --input-format",
        );
        check(
            &["x.csv", "x.csv.gz"],
            "DIR",
            None,
            "DIR/x.csv and DIR/x.csv.gz look like the same table twice; give a glob that matches one of them",
        );
        check(
            &["x.xyz"],
            "DIR/x.xyz",
            None,
            "DIR/x.xyz: cannot tell the format from the name; give --input-format parquet, csv, tsv, json, jsonl or txt",
        );
    }
}
