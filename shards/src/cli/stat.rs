//! `pairmill-shards stat`: the account of folders or of single shards, on one screen or as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

use super::output::Output;
use super::place::{self, Copy, Shard};
use crate::account::{Account, Distribution};
use crate::folder::{DatasetFolder, ShardFile, ShardFiles};
use crate::printable::excerpt;
use crate::spec::ShardSpec;
use crate::storage::{Bucket, BucketUrl};
use crate::tar::{has_indexes, is_tar_name, shard_stem};
use crate::words::{bytes, duration, grouped};

/// Arguments of `stat`.
#[derive(Debug, Args)]
#[command(
    after_help = "Rows that `pairmill-ingest retry` took up again count once, with their last outcome. Of single shards, the \
                  tables and stats beside them count too.\n\n\
                  Examples:\n  pairmill-shards stat laion\n  pairmill-shards stat laion/00000.tar\n  \
                  pairmill-shards stat 'laion/{00000..00012}.tar' 'cc12m/*.parquet'\n  \
                  pairmill-shards stat laion --json | jq .failures_by_class"
)]
pub struct StatArgs {
    /// Dataset folders, ours or img2dataset's, folders of tars, or single shards: files, globs, patterns such as
    /// `data/{00000..00012}.tar`; or URLs of these, whose tables are fetched into the folder for temporary files
    #[arg(required = true, value_name = "SHARDS")]
    shards: Vec<ShardSpec>,
    /// Print JSON instead
    #[arg(long)]
    json: bool,
}

/// Prints the account of folders and shards, added up.
///
/// # Errors
/// When a folder holds no shard or one of its tables or stats cannot be read.
pub fn stat(args: &StatArgs, out: &mut Output) -> anyhow::Result<()> {
    let mut copies = Vec::new();
    let folders = Named::of(&args.shards)?.folders(&mut copies)?;
    let renamed = |error: anyhow::Error| copies.iter().fold(error, |error, copy| copy.rename(error));
    let account = Account::of_all(&folders).map_err(|error| renamed(error.into()))?;
    if args.json {
        return Ok(out.write_json(&serde_json::to_string_pretty(&account)?)?);
    }
    for section in sections(&account) {
        writeln!(out, "{}", out.heading(&section.title).into_owned())?;
        for line in section.lines {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(())
}

fn not_empty(folder: DatasetFolder, shown: &str) -> anyhow::Result<DatasetFolder> {
    if folder.is_empty() {
        bail!("{shown}: no shards here; give the output folder of a run, a folder of tars, or shards");
    }
    Ok(folder)
}

/// A prefix of a bucket, with the files that count fetched.
fn of_prefix(url: &BucketUrl, copies: &mut Vec<Copy>) -> anyhow::Result<DatasetFolder> {
    let copy = Copy::of(url)?;
    copy.bring_notes()?;
    let folder = copy.folder();
    // What is counted stands in stats and tables; of the rest, only the length is asked.
    let has_tables = folder.done().next().is_some();
    copy.bring_small(folder.done().filter_map(|shard| shard.get(ShardFile::Stats)))?;
    for (kind, path) in folder.shards.values().flat_map(ShardFiles::files) {
        match kind {
            ShardFile::Stats => {}
            ShardFile::Table => copy.bring(path)?,
            ShardFile::Tar if !has_tables => copy.bring(path)?,
            _ => copy.stand_in(path)?,
        }
    }
    folder.other_tars.iter().chain(&folder.sizes).try_for_each(|path| copy.bring(path))?;
    copies.push(copy);
    not_empty(folder, &url.to_string())
}

/// What the arguments name, each folder, prefix and shard once, however often and by which path it is named.
#[derive(Default)]
struct Named {
    /// Whole folders, by their real paths.
    folders: BTreeMap<PathBuf, DatasetFolder>,
    prefixes: BTreeMap<String, BucketUrl>,
    /// Files of folders: by real path, the folder as it was typed first and the names.
    files: BTreeMap<PathBuf, (PathBuf, BTreeSet<OsString>)>,
    objects: BTreeMap<String, (Bucket, BTreeSet<String>)>,
}

impl Named {
    fn of(specs: &[ShardSpec]) -> anyhow::Result<Self> {
        let mut named = Self::default();
        for spec in specs {
            if let Some(url) = place::prefix(spec)? {
                named.prefixes.insert(url.to_string(), url);
                continue;
            }
            for name in spec.names() {
                named.add(name)?;
            }
        }
        named.forget_parts();
        Ok(named)
    }

    fn add(&mut self, name: &str) -> anyhow::Result<()> {
        let path = Path::new(name);
        if path.is_dir() {
            let folder = DatasetFolder::scan(path)?;
            // Tables of other tools are named by no number, and counted one by one.
            if !folder.is_empty() || place::shards(&name.parse()?, &["parquet"]).is_err() {
                self.folders.insert(real(path), not_empty(folder, name)?);
                return Ok(());
            }
        }
        for shard in place::shards(&name.parse()?, &["tar", "parquet"])? {
            match shard {
                Shard::File(path) => {
                    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
                    let at = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
                    let of_folder =
                        self.files.entry(real(at)).or_insert_with(|| (folder.clone(), BTreeSet::new()));
                    of_folder.1.extend(path.file_name().map(ToOwned::to_owned));
                }
                Shard::Object { bucket, name, .. } => {
                    let prefix = bucket.url().to_string();
                    let of_prefix = self.objects.entry(prefix).or_insert((bucket, BTreeSet::new()));
                    of_prefix.1.insert(name);
                }
            }
        }
        Ok(())
    }

    /// Drops what a whole folder or prefix counts already: all but tables that no number names.
    fn forget_parts(&mut self) {
        for (folder, whole) in &self.folders {
            let Some((_, names)) = self.files.get_mut(folder) else { continue };
            let tars: BTreeSet<String> = whole.other_tars.iter().map(|tar| stem(tar)).collect();
            names.retain(|name| {
                let path = whole.dir.join(name);
                whole.unnumbered_tables.contains(&path) && !tars.contains(&stem(&path))
            });
        }
        self.files.retain(|_, (_, names)| !names.is_empty());
        self.objects.retain(|prefix, _| !self.prefixes.contains_key(prefix));
    }

    /// Folders, prefixes as folders, and parts of either.
    fn folders(self, copies: &mut Vec<Copy>) -> anyhow::Result<Vec<DatasetFolder>> {
        let mut folders: Vec<DatasetFolder> = self.folders.into_values().collect();
        for url in self.prefixes.values() {
            folders.push(of_prefix(url, copies)?);
        }
        for (folder, names) in self.files.into_values() {
            let at = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
            // Paths compare as they were typed, so the folder is named as they name it.
            let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
            let here = DatasetFolder::of_names(&folder, DatasetFolder::names_in(at)?);
            folders.push(not_empty(here.part(&paths), &at.to_string_lossy())?);
        }
        for (shown, (bucket, names)) in self.objects {
            let copy = Copy::unlisted(bucket)?;
            let (folder, paths) = of_objects(&copy, names)?;
            folders.push(not_empty(folder.part(&paths), &shown)?);
            copies.push(copy);
        }
        Ok(folders)
    }
}

/// A path without links and dots, so that one folder has one.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn stem(path: &Path) -> String {
    shard_stem(&path.file_name().unwrap_or_default().to_string_lossy()).to_owned()
}

/// Objects of one prefix that are named one by one: of a tar only its length, if there is a table.
fn of_objects(copy: &Copy, names: BTreeSet<String>) -> anyhow::Result<(DatasetFolder, Vec<PathBuf>)> {
    let mut here = Vec::new();
    let mut paths = Vec::new();
    for name in names {
        let path = copy.path(&name);
        let stem = shard_stem(&name).to_owned();
        let beside = [ShardFile::Stats, ShardFile::Table].map(|kind| kind.name(&stem));
        for other in beside.into_iter().filter(|other| *other != name) {
            if copy.bring_if_there(&other)? {
                here.push((other, false));
            }
        }
        // A compressed tar is counted by its table only where there are stats too.
        let is_there = |kind: ShardFile| copy.path(&kind.name(&stem)).exists();
        match is_there(ShardFile::Table) && (has_indexes(&name) || is_there(ShardFile::Stats)) {
            true if is_tar_name(&name) => copy.stand_in_unlisted(&name)?,
            _ => copy.bring(&path)?,
        }
        here.push((name, false));
        paths.push(path);
    }
    Ok((DatasetFolder::of_names(copy.dir(), here), paths))
}

/// A heading and what stands under it.
struct Section {
    title: String,
    lines: Vec<String>,
}

fn sections(account: &Account) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut add = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            sections.push(Section { title: title.to_owned(), lines });
        }
    };
    if account.outcomes.rows > 0 {
        add("account", account.outcomes.to_string().lines().map(str::to_owned).collect());
    }
    add("set", set_lines(account));
    add(
        "messages",
        table(account.messages.iter().map(|m| vec![excerpt(&m.message, 80), grouped(m.rows)]).collect()),
    );
    let hosts = account
        .failing_hosts
        .iter()
        .map(|h| vec![excerpt(&h.host, 60), grouped(h.failures), format!("of {} rows", grouped(h.rows))]);
    add("failing hosts", table(hosts.collect()));
    let distributions = [
        ("images per shard", &account.samples_per_shard),
        ("width", &account.width),
        ("height", &account.height),
        ("original width", &account.original_width),
        ("original height", &account.original_height),
        ("caption characters", &account.caption_chars),
    ];
    let mut rows: Vec<Vec<String>> = distributions
        .iter()
        .filter(|(_, d)| d.count > 0)
        .map(|(name, d)| distribution_row(name, d))
        .collect();
    if !rows.is_empty() {
        let names = ["", "min", "p50", "p90", "p99", "max", "mean"];
        rows.insert(0, names.map(str::to_owned).to_vec());
    }
    add("distributions", table(rows));
    let mut on_disk: Vec<Vec<String>> =
        account.bytes.iter().map(|(kind, n)| vec![(*kind).to_owned(), bytes(*n as f64)]).collect();
    on_disk.push(vec!["total".to_owned(), bytes(account.total_bytes() as f64)]);
    if let Some(fetched) = account.fetched_bytes {
        on_disk.push(vec!["fetched".to_owned(), bytes(fetched as f64)]);
    }
    add("bytes", table(on_disk));
    sections
}

fn set_lines(account: &Account) -> Vec<String> {
    let mut rows = Vec::new();
    let mut row = |name: &str, n: u64, note: String| rows.push(vec![name.to_owned(), grouped(n), note]);
    if account.retried > 0 {
        let recovered = format!("{} of them recovered", grouped(account.recovered));
        row("retried", account.retried, recovered);
    }
    if account.fetches_saved > 0 {
        row("fetches saved", account.fetches_saved, "rows of an earlier row's URL".to_owned());
    }
    for (place, rows) in &account.panics {
        row("decoder panics", *rows, format!("rows, at {}", excerpt(place, 80)));
    }
    if account.exif_dropped > 0 {
        row("exif dropped", account.exif_dropped, "rows whose tags are larger than any camera's".to_owned());
    }
    if account.samples_without_table > 0 {
        row("samples", account.samples_without_table, "in shards that say nothing of failed rows".to_owned());
    }
    if account.rows_without_image > 0 {
        row(
            "without image",
            account.rows_without_image,
            "rows of other tools' Parquet, which are no samples".to_owned(),
        );
    }
    if account.blank_captions > 0 {
        row(
            "blank captions",
            account.blank_captions,
            "null or only blanks; open_clip trains on them as empty texts".to_owned(),
        );
    }
    row("shards", account.shards, String::new());
    if account.unfinished_shards > 0 {
        row(
            "unfinished",
            account.unfinished_shards,
            "shards, not counted; run again to finish them".to_owned(),
        );
    }
    if account.missing_shards > 0 {
        row(
            "missing",
            account.missing_shards,
            "shards that were made are not here; `pairmill-shards verify` names them".to_owned(),
        );
    }
    if account.shards_without_images > 0 {
        row(
            "without images",
            account.shards_without_images,
            "finished shards whose tar or images are not here; `pairmill-shards verify` names them"
                .to_owned(),
        );
    }
    if account.unfinished_runs > 0 {
        row(
            "unfinished runs",
            account.unfinished_runs,
            "of ingest, subset or reshard; give their commands again to finish them".to_owned(),
        );
    }
    if let Some(wall_s) = account.wall_s.filter(|s| *s > 0.0) {
        let rate = account.outcomes.rows as f64 / wall_s;
        rows.push(vec![
            "time".to_owned(),
            duration(wall_s),
            format!("{rate:.0} rows/s, first start to last end"),
        ]);
    }
    table(rows)
}

fn distribution_row(name: &str, d: &Distribution) -> Vec<String> {
    let number = |n: u32| grouped(n.into());
    vec![
        name.to_owned(),
        number(d.min),
        number(d.p50),
        number(d.p90),
        number(d.p99),
        number(d.max),
        format!("{:.1}", d.mean),
    ]
}

/// Lines of aligned columns: the first to the left, numbers to the right, a last column of prose to the left.
fn table(rows: Vec<Vec<String>>) -> Vec<String> {
    let num_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..num_columns).map(width).collect();
    // Filled cells of numbers start with a digit, but for the heading's where there is one (its first cell is empty).
    let has_heading = rows.first().and_then(|r| r.first()).is_some_and(String::is_empty);
    let is_number = |column: usize| {
        let mut cells = rows.iter().skip(usize::from(has_heading)).filter_map(|r| r.get(column));
        cells.all(|c| c.is_empty() || c.starts_with(|c: char| c.is_ascii_digit()))
    };
    rows.iter()
        .map(|row| {
            let cells = row.iter().enumerate().map(|(i, cell)| {
                if i > 0 && is_number(i) {
                    format!("{cell:>w$}", w = widths[i])
                } else {
                    format!("{cell:<w$}", w = widths[i])
                }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn one_screen_says_what_became_of_the_rows() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/img2dataset-1.47/webdataset");
        let mut account = Account::of(&DatasetFolder::scan(&dir).unwrap()).unwrap();
        account.wall_s = Some(3.5);
        let text: Vec<String> = sections(&account)
            .into_iter()
            .take(2)
            .flat_map(|s| [s.title].into_iter().chain(s.lines.into_iter().map(|l| format!("  {l}"))))
            .collect();
        let expected = "\
account
  rows              14    100%
    success          7   50.0%
    failed           7   50.0%
      http_4xx       2   14.3%  gone or forbidden (HTTP 4xx)
      timeout        1    7.1%  not there within the deadline
      opt_out        1    7.1%  owners opted out (X-Robots-Tag)
      not_an_image   1    7.1%  no image in the answer (HTML, say)
      too_small      1    7.1%  smaller than --min-image-size
      aspect         1    7.1%  beyond --max-aspect-ratio
set
  blank captions   2  null or only blanks; open_clip trains on them as empty texts
  shards           2
  time            4s  4 rows/s, first start to last end";
        assert_eq!(text.join("\n"), expected);
    }
}
