//! `pairmill-train datasets`: what the user types, and what is written out.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use pairmill_datasets::{Counts, DatasetConfig, DatasetError, DatasetKind};
use pairmill_shards::words::bytes;

use pairmill_datasets::catalogue::{RemoteFile, by_hand, description, remote_files};
use pairmill_datasets::check::{Depth, Report, check, recognise};
use pairmill_datasets::fetch::{FetchError, Fetched, Fetcher};

/// Labelled datasets.
#[derive(Debug, Args)]
pub struct DatasetsArgs {
    /// What to do
    #[command(subcommand)]
    pub command: DatasetsCommand,
}

/// What to do about datasets.
#[derive(Debug, Subcommand)]
pub enum DatasetsCommand {
    /// List the datasets that are read
    List,
    /// Say what of a dataset lies in a folder: found, missing, wrong; succeeds only if it can be used
    Check(CheckArgs),
    /// Say where a dataset comes from, or with --yes fetch it
    Fetch(FetchArgs),
}

/// Flags of `datasets check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The dataset, if it cannot be told from the files, and the folder or archive
    #[arg(value_names = ["NAME", "DIR"], num_args = 1..=2, required = true)]
    pub what: Vec<String>,
    /// Take part of a dataset for usable
    #[arg(long)]
    pub partial: bool,
    /// Do not hold archives against their published checksums and lengths
    #[arg(long)]
    pub no_checksums: bool,
    /// Decode every picture too, and note those that two parts share byte for byte
    #[arg(long)]
    pub decode: bool,
}

/// Flags of `datasets fetch`.
#[derive(Debug, Args)]
pub struct FetchArgs {
    /// The dataset: a name from `datasets list`
    #[arg(value_parser = str::parse::<DatasetKind>)]
    pub name: DatasetKind,
    /// Folder for its files
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Download, rather than say what would be downloaded
    #[arg(long)]
    pub yes: bool,
    /// Take the files from here, by their names, rather than from their authors
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,
}

/// Why a command about datasets failed.
#[derive(Debug, thiserror::Error)]
pub enum DatasetsError {
    /// The dataset.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The download.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What was typed.
    #[error("{0}")]
    Usage(String),
}

/// Text for standard output, and whether all is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// To print.
    pub text: String,
    /// Whether the dataset can be used; true where nothing was asked about one.
    pub is_usable: bool,
}

impl DatasetsArgs {
    /// Does it.
    ///
    /// # Errors
    /// [`DatasetsError`], one line.
    pub fn run(&self) -> Result<Outcome, DatasetsError> {
        match &self.command {
            DatasetsCommand::List => Ok(Outcome { text: list(), is_usable: true }),
            DatasetsCommand::Check(args) => args.run(),
            DatasetsCommand::Fetch(args) => Ok(Outcome { text: args.run()?, is_usable: true }),
        }
    }
}

fn list() -> String {
    let mut text = String::new();
    for &kind in DatasetKind::ALL {
        let classes = kind.expected().map_or(String::new(), |expected| expected.classes.to_string());
        let name = kind.paper_name().unwrap_or("");
        let _ = writeln!(text, "{kind:<13} {name:<19} {classes:>4}  {}", description(kind));
    }
    text
}

impl CheckArgs {
    fn run(&self) -> Result<Outcome, DatasetsError> {
        let (kinds, root) = match &self.what[..] {
            [root] => (recognise(Path::new(root))?, root),
            [name, root] => (vec![name.parse().map_err(DatasetsError::Usage)?], root),
            _ => {
                return Err(DatasetsError::Usage(
                    "give a folder, or a dataset's name and a folder".to_owned(),
                ));
            }
        };
        let counts = if self.partial { Counts::Reported } else { Counts::Asserted };
        let depth = Depth { checksums: !self.no_checksums, decode: self.decode };
        let reports: Vec<_> = kinds
            .into_iter()
            .map(|kind| check(&DatasetConfig::new(kind, root).with_counts(counts), depth))
            .collect();
        let text = reports.iter().map(|report| table(report, Path::new(root))).collect::<Vec<_>>().join("\n");
        Ok(Outcome { text, is_usable: reports.iter().all(|report| report.is_usable) })
    }
}

/// A report as an aligned table.
fn table(report: &Report, root: &Path) -> String {
    let name = report.kind.paper_name().unwrap_or(report.kind.as_str());
    let verdict = if report.is_usable { "usable" } else { "not usable" };
    let mut text = format!("{name} in {}: {verdict}\n", root.display());
    let width = report.findings.iter().map(|finding| finding.what.chars().count()).max().unwrap_or(0);
    for finding in &report.findings {
        let _ =
            writeln!(text, "  {:<width$}  {:<7}  {}", finding.what, finding.state.as_str(), finding.detail);
    }
    for note in &report.notes {
        let _ = writeln!(text, "  note: {note}");
    }
    text
}

impl FetchArgs {
    fn run(&self) -> Result<String, DatasetsError> {
        let files = remote_files(self.name);
        if let Some(how) = by_hand(self.name) {
            return Err(DatasetsError::Usage(format!("{} cannot be fetched: {how}", self.name)));
        }
        let url = |file: &RemoteFile<'static>| match &self.from {
            Some(base) => format!("{}/{}", base.trim_end_matches('/'), file.path),
            None => file.url.to_owned(),
        };
        let mut text = String::new();
        if !self.yes {
            let width = files.iter().map(|file| file.path.len()).max().unwrap_or(0);
            for file in files {
                let size = file.bytes.map_or("-".to_owned(), |size| bytes(size as f64));
                let md5 = file.md5.unwrap_or("-");
                let _ = writeln!(text, "{:<width$}  {size:>8}  {md5:<32}  {}", file.path, url(file));
            }
            let _ = writeln!(
                text,
                "into {}; nothing was fetched: add --yes, or put the files there, as they are, yourself",
                self.out.display()
            );
            return Ok(text);
        }
        let fetcher = Fetcher::default();
        for file in files {
            let url = url(file);
            let file = RemoteFile { url: &url, ..*file };
            let bar = progress_bar(file.path);
            let fetched = fetcher.fetch(&file, &self.out, &mut |at, all| {
                if let Some(all) = all {
                    bar.set_length(all);
                }
                bar.set_position(at);
            });
            bar.finish_and_clear();
            let path = self.out.join(file.path);
            let said = match fetched? {
                Fetched::There => "there already".to_owned(),
                Fetched::Bytes(count) => format!("{} fetched", bytes(count as f64)),
            };
            let checked = if file.md5.is_some() { "MD5 as published" } else { "length as published" };
            let _ = writeln!(text, "{}: {said}, {checked}", path.display());
        }
        Ok(text)
    }
}

/// Drawn on the terminal, if there is one.
fn progress_bar(name: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    let template = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    // The template is a constant; should it ever be wrong, indicatif's own is shown.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(name.to_owned());
    bar
}
