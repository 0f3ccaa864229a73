//! What the user typed, and what it is resolved to.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use pairmill_shards::results::Protocol;

use crate::captions::CaptionsArgs;
use crate::data::DataArgs;
use crate::gallery::GalleryArgs;
use crate::load::{self, LoadError, Results};
use crate::transfer::Rule;

/// Seed of bootstrap intervals unless another is given.
pub const DEFAULT_SEED: u64 = 0;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "pairmill-report",
    version,
    about = "What transferred and what the data hold: figures, claims and reports from result rows and shards",
    after_help = "RESULTS are Parquet files of result rows or tables with the columns of the paper's TSV; - is standard input:\n  \
                  pairmill-report report results.parquet --out report.html\n  \
                  pairmill-report transfer paper_results.tsv --out figures\n  \
                  pairmill-report claims paper_results.tsv\n  \
                  pairmill-report audit --format json paper_results.tsv | jq '.[].outcome'\n  \
                  pairmill-report rows results.parquet --to tsv > results.tsv"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands. Each is one struct, so that a further half of the report adds its own.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Every figure of the paper that the rows allow, each as SVG, PNG and CSV of exactly what is drawn
    Transfer(TransferArgs),
    /// The paper's statements as checks: holds, fails, or not enough data, with the numbers
    Claims(FindingsArgs),
    /// Defects visible in the rows themselves: impossible values, repeated rows, unequal grids, …
    Audit(FindingsArgs),
    /// Everything on one page: a self-contained HTML file, or Markdown
    Report(ReportArgs),
    /// What the captions of sources say: words, n-grams, lengths, languages, duplicates, and how sources differ
    Captions(CaptionsArgs),
    /// Random samples with their captions, one page for each source, HTML and PNG
    Gallery(GalleryArgs),
    /// Turn result rows into the other form: Parquet to TSV or back
    Rows(RowsArgs),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Result rows and how cells become values.
#[derive(Debug, Args)]
pub struct StudyArgs {
    /// Files of result rows, Parquet or TSV; - reads standard input
    #[arg(required = true, value_name = "RESULTS")]
    pub results: Vec<PathBuf>,
    /// How the runs of a cell become one value [default: max-over-grid for as-published rows; else mean-over-seeds,
    /// validation-selected or max-over-grid, the first that the rows allow]
    #[arg(long, value_name = "RULE")]
    pub rule: Option<Rule>,
    /// Keep the rows of one protocol; values of the two are never mixed
    #[arg(long, value_parser = protocol, value_name = "PROTOCOL")]
    pub protocol: Option<Protocol>,
    /// Protocol of TSV files, which do not say
    #[arg(long, value_parser = protocol, default_value = "as-published", value_name = "PROTOCOL")]
    pub tsv_protocol: Protocol,
    /// Seed of the bootstrap intervals
    #[arg(long, default_value_t = DEFAULT_SEED)]
    pub seed: u64,
}

impl StudyArgs {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read or breaks the format, or when they do not belong together.
    pub fn load(&self) -> Result<Results, LoadError> {
        Ok(self.load_as_written()?.told_apart())
    }

    /// The same with sources and tasks under the names that the files give them.
    ///
    /// # Errors
    /// As [`StudyArgs::load`].
    pub fn load_as_written(&self) -> Result<Results, LoadError> {
        load::load(&self.results, self.tsv_protocol, self.protocol)
    }
}

fn protocol(word: &str) -> Result<Protocol, String> {
    word.parse()
}

/// `transfer`.
#[derive(Debug, Args)]
#[command(after_help = "Writes fig1 … fig8, figsimclr, figsize and figlaion as .svg, .png and .csv:\n  \
                        pairmill-report transfer paper_results.tsv --out figures\n  \
                        pairmill-report transfer runs/*.parquet --rule mean-over-seeds --out figures")]
pub struct TransferArgs {
    /// The rows.
    #[command(flatten)]
    pub study: StudyArgs,
    /// Folder for the figures; made if missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Forms of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FindingsFormat {
    /// For a terminal
    Text,
    /// For a program
    Json,
    /// For a README
    Md,
    /// One line each, for a spreadsheet
    Csv,
}

/// `claims` and `audit`.
#[derive(Debug, Args)]
#[command(after_help = "  pairmill-report claims paper_results.tsv\n  \
                        cat results.parquet | pairmill-report claims - --format json")]
pub struct FindingsArgs {
    /// The rows.
    #[command(flatten)]
    pub study: StudyArgs,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = FindingsFormat::Text)]
    pub format: FindingsFormat,
    /// Where it goes; - is standard output
    #[arg(long, default_value = "-", value_name = "FILE")]
    pub out: PathBuf,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One self-contained page
    Html,
    /// Markdown that links to figures beside it, which are written too
    Md,
}

/// `report`.
#[derive(Debug, Args)]
#[command(
    after_help = "Results, sources, or both:\n  \
                  pairmill-report report paper_results.tsv --out report.html\n  \
                  pairmill-report report --captions laion --captions yfcc=shards/yfcc --sample 1M --out data.html\n  \
                  pairmill-report report results.parquet --captions laion --format md --out docs/results.md",
    mut_arg("results", |results| results.required(false).required_unless_present("inputs"))
)]
pub struct ReportArgs {
    /// The rows.
    #[command(flatten)]
    pub study: StudyArgs,
    /// The sources.
    #[command(flatten)]
    pub data: DataArgs,
    /// Title of the page [default: by what is on it]
    #[arg(long)]
    pub title: Option<String>,
    /// Form [default: by the ending of --out, html otherwise]
    #[arg(long, value_enum)]
    pub format: Option<ReportFormat>,
    /// Where it goes; - is standard output
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Forms of result rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowsFormat {
    /// The paper's columns; one protocol, test accuracies only
    Tsv,
    /// Everything
    Parquet,
}

/// `rows`.
#[derive(Debug, Args)]
#[command(after_help = "  pairmill-report rows results.parquet --to tsv > results.tsv\n  \
                        pairmill-report rows a.parquet b.parquet --to parquet --out all.parquet")]
pub struct RowsArgs {
    /// The rows.
    #[command(flatten)]
    pub study: StudyArgs,
    /// Form to write
    #[arg(long, value_enum)]
    pub to: RowsFormat,
    /// Where it goes; - is standard output
    #[arg(long, default_value = "-", value_name = "FILE")]
    pub out: PathBuf,
}
