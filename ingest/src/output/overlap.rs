//! Input and output in one folder. A table may lie where the shards go; refused, before anything is written, is where
//! a shard's file would take a table's place, or would be taken for a table when the run is given again.

use std::path::{Path, PathBuf};

use pairmill_shards::folder::SIZES_FILE;
use pairmill_shards::storage::Location;

use super::place::is_ours;
use crate::config::Config;
use crate::error::IngestError;
use crate::table::InputFormat;

/// Files that a run writes and a folder or pattern may take for tables, of any run.
const MADE: [&str; 5] =
    ["00000.parquet", "00000_stats.json", SIZES_FILE, "00000/000000000.json", "00000/000000000.txt"];

/// Holds the input of `config`, which is these files of this machine, against its output.
///
/// # Errors
/// When one would be in the other's way.
pub fn refuse_overlap(config: &Config, files: &[PathBuf]) -> Result<(), IngestError> {
    let clash = match (config.output.location()?, Location::parse(&config.input.url_list)?) {
        (Location::Local(output), Location::Local(_)) => local_clash(config, &output, files),
        (Location::Bucket(output), Location::Bucket(input)) => {
            let (output, input) = (output.to_string(), input.to_string());
            bucket_clash(config, output.trim_end_matches('/'), input.trim_end_matches('/'))
        }
        _ => None,
    };
    match clash {
        Some(clash) => Err(IngestError::OverInput { output: config.output.output_folder.clone(), clash }),
        None => Ok(()),
    }
}

fn local_clash(config: &Config, output: &Path, files: &[PathBuf]) -> Option<String> {
    let output = real(output);
    for file in files {
        let real_file = real(file);
        let Ok(within) = real_file.strip_prefix(&output) else { continue };
        let mut parts = within.components();
        let first = parts.next()?.as_os_str().to_string_lossy().into_owned();
        if is_ours(&first, parts.next().is_some()) {
            return Some(format!(
                "{} has the name of a shard's own file and would be replaced",
                file.display()
            ));
        }
    }
    let url_list = Path::new(&config.input.url_list);
    if config.input.input_format.as_deref() == Some(InputFormat::Yfcc.as_str()) || url_list.is_file() {
        return None;
    }
    if url_list.is_dir() {
        let same = real(url_list) == output;
        let images = config.input.imagenet.is_some();
        return (same && (images || takes_tables(config))).then(|| taken_for_input(&config.input.url_list));
    }
    let pattern = std::path::absolute(url_list).ok()?;
    let pattern = glob::Pattern::new(pattern.to_str()?).ok()?;
    let made = std::path::absolute(&config.output.output_folder).ok()?;
    let taken = MADE.iter().any(|name| pattern.matches_path(&made.join(name)));
    taken.then(|| taken_for_input(&config.input.url_list))
}

fn bucket_clash(config: &Config, output: &str, input: &str) -> Option<String> {
    if input == output {
        return takes_tables(config).then(|| taken_for_input(input));
    }
    let (folder, name) = input.rsplit_once('/')?;
    if folder == output && is_ours(name, false) {
        return Some(format!("{input} has the name of a shard's own file and would be replaced"));
    }
    let pattern = glob::Pattern::new(input).ok().filter(|_| name.contains(['*', '?', '[']))?;
    let taken = MADE.iter().any(|name| pattern.matches(&format!("{output}/{name}")));
    taken.then(|| taken_for_input(input))
}

/// Whether a folder's tables would be joined by what a run writes beside them: without a format any table is.
fn takes_tables(config: &Config) -> bool {
    let format = config.input.input_format.as_deref().and_then(|word| word.parse().ok());
    format.is_none_or(|format| {
        MADE.iter().any(|name| !name.contains('/') && InputFormat::of_path(Path::new(name)) == Some(format))
    })
}

fn taken_for_input(url_list: &str) -> String {
    format!(
        "the shards' tables and stats would be among the input {url_list} when the command is given again"
    )
}

/// The path with links followed, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for above in absolute.ancestors() {
        if let (Ok(found), Ok(rest)) = (above.canonicalize(), absolute.strip_prefix(above)) {
            return found.join(rest);
        }
    }
    absolute
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is refused of `url_list` into `output`, both within a folder with these files.
    fn clash(files: &[&str], url_list: &str, output: &str, format: Option<&str>) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "url\n").unwrap();
        }
        let mut config = Config::default();
        config.input.url_list = dir.path().join(url_list).to_str().unwrap().to_owned();
        config.input.input_format = format.map(str::to_owned);
        config.output.output_folder = dir.path().join(output);
        let files: Vec<PathBuf> = files.iter().map(|file| dir.path().join(file)).collect();
        refuse_overlap(&config, &files).err().map(|error| {
            assert!(error.is_bad_input());
            error.to_string().replace(&dir.path().display().to_string(), "DIR")
        })
    }

    #[test]
    fn f25_a_table_may_lie_where_the_shards_go_unless_one_is_in_the_others_way() {
        for (files, url_list, output, format) in [
            (&["d/urls.csv"][..], "d/urls.csv", "d", None),
            (&["d/part-00000.parquet"], "d/part-00000.parquet", "d", None),
            (&["d/a.csv", "d/b.csv"], "d", "d", Some("csv")),
            (&["d/a.csv", "d/b.csv"], "d/*.csv", "d", None),
            (&["d/a.parquet"], "d", "d/out", None),
            (&["d/a.parquet"], "d/*.parquet", "out", None),
        ] {
            assert_eq!(clash(files, url_list, output, format), None, "{url_list} into {output}");
        }
        for (files, url_list, output, format) in [
            (&["d/00000.parquet"][..], "d/00000.parquet", "d", None),
            (&["d/00000/urls.txt"], "d/00000/urls.txt", "d", None),
            (&["d/a.csv"], "d", "d", None),
            (&["d/a.csv"], "d", "./d/", None),
            (&["d/a.parquet"], "d", "d", Some("parquet")),
            (&["d/a.json"], "d/*.json", "d", None),
            (&["d/a.txt"], "d/**/*.txt", "d/out", None),
        ] {
            let refusal = clash(files, url_list, output, format);
            let refusal = refusal.unwrap_or_else(|| panic!("{url_list} into {output}"));
            assert!(
                refusal.contains("give another --output-folder") && refusal.contains("DIR/d"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn f25_a_bucket_is_a_folder_too() {
        let refusal = |input: &str, output: &str| {
            let mut config = Config::default();
            config.input.url_list = input.to_owned();
            config.output.output_folder = output.into();
            config.output.output_format = crate::config::OutputFormat::Webdataset;
            refuse_overlap(&config, &[]).err().map(|error| error.to_string())
        };
        assert_eq!(refusal("s3://b/p/urls.csv", "s3://b/p"), None);
        assert_eq!(refusal("s3://b/p/*.csv", "s3://b/p"), None);
        assert_eq!(refusal("s3://b/p", "s3://b/q"), None);
        for input in ["s3://b/p/", "s3://b/p", "s3://b/p/*.parquet", "s3://b/p/00000.parquet"] {
            assert!(refusal(input, "s3://b/p").is_some_and(|text| text.contains("s3://b/p")), "{input}");
        }
    }
}
