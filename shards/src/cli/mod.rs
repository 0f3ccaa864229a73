//! `pairmill-shards`: looking at shards, checking them, and turning them into other shapes. Each command is one
//! module with its `Args` and a function that does it; this one parses, dispatches and reports errors.
//!
//! Exit codes: 0 done, 1 `verify` found problems, 2 bad input (one line, `error: …`, on standard error).

mod carry;
pub mod cat;
pub mod contact_sheet;
pub mod convert;
mod foreign_table;
pub mod head;
mod image_table;
mod incomplete;
pub mod index;
mod output;
mod place;
pub mod reshard;
mod staging;
pub mod stat;
pub mod verify;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

pub use self::image_table::ReadOptions;
use self::output::Output;
use self::place::Shard;
use crate::printable::causes;
use crate::spec::ShardSpec;
use crate::storage::on_waits;
use crate::tar::{BadSamples, EndMarker, TarOptions, Unsorted};
use crate::words::usage_line;

/// What the command line says.
#[derive(Debug, Parser)]
#[command(
    name = "pairmill-shards",
    version,
    about = "Look at, check, index, convert, subset and reshard image-text shards",
    after_help = "SHARDS are folders, files, globs or webdataset patterns; all but contact-sheet also take them by\n\
                  URL (s3://, gs://, az://, https://), credentials and endpoint from the environment (AWS_ACCESS_KEY_ID,\n\
                  AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, ...; AWS_SKIP_SIGNATURE=true for public buckets):\n  \
                  pairmill-shards head 'laion/{00000..00012}.tar'\n  \
                  pairmill-shards cat laion --key 000070042 --ext jpg > cat.jpg\n  \
                  pairmill-shards index laion\n  \
                  pairmill-shards convert laion laion-parquet\n  \
                  pairmill-shards subset laion --size 2.7M --seed 0 --out laion-2.7M"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the first samples of shards: members, sizes, caption, metadata
    #[command(allow_negative_numbers = true)]
    Head(head::HeadArgs),
    /// Write samples to standard output: JSON lines, or the raw bytes of one kind of member
    Cat(cat::CatArgs),
    /// Write the side indexes that DALI, Energon and open_clip look for, beside anyone's tars
    Index(index::IndexArgs),
    /// Turn tar shards into Parquet image shards, or back
    Convert(convert::ConvertArgs),
    /// Keep so many samples, drawn by a seed or the first ones, as new shards
    #[command(allow_negative_numbers = true)]
    Subset(reshard::SubsetArgs),
    /// The same samples in other shards: merged, cut at another size, shuffled over all
    #[command(allow_negative_numbers = true)]
    Reshard(reshard::ReshardArgs),
    /// Put random samples and their captions on one page, HTML or PNG
    #[command(allow_negative_numbers = true)]
    ContactSheet(contact_sheet::ContactSheetArgs),
    /// Count: rows, successes, failures by class, bytes, image sizes, captions, failing hosts
    Stat(stat::StatArgs),
    /// Hold shards against every rule of the format, and against what a given reader needs
    Verify(verify::VerifyArgs),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Kinds of shards that a folder stands for. One of tars holds sidecars too, so tars come first.
const KINDS: &[&str] = &["tar", "parquet"];

/// Shards as every command takes them.
#[derive(Debug, clap::Args)]
pub struct ShardArgs {
    /// Folders, files, globs, patterns such as `data/{00000..00012}.tar`, or (not for
    /// contact-sheet) URLs
    #[arg(required = true, value_name = "SHARDS")]
    pub shards: Vec<ShardSpec>,
    /// Accept tars that end without their closing zero blocks (a killed writer, a download that was cut off), and pass
    /// over what follows these blocks (tars joined with `cat`)
    #[arg(long)]
    pub lenient: bool,
    /// What else is done with tars of other people.
    #[command(flatten)]
    pub tar: TarArgs,
}

/// What the commands do with shards of other people.
#[derive(Debug, clap::Args)]
pub struct TarArgs {
    /// What becomes of a key that returns after other samples, as in a tar that is not sorted by name
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub unsorted: Unsorted,
    /// What becomes of a sample that cannot be read: a member's name is not UTF-8, or it is a link to nothing; for
    /// convert also a caption or json that is not UTF-8. Where other tools' Parquet becomes tars, also of a row whose key
    /// cannot be one in a tar (empty, with a dot, longer than 95 bytes or so, that of an earlier row)
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub bad_samples: BadSamples,
    /// Columns of bytes of other tools' Parquet that become members beside the image, each under its own name
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub members: Vec<String>,
}

impl TarArgs {
    /// The same for shards of either kind.
    fn read_options(&self, lenient: bool) -> ReadOptions {
        ReadOptions { tar: self.options(lenient), members: self.members.clone() }
    }

    /// What the flags mean to the reader; `lenient` is about the closing zero blocks.
    pub fn options(&self, lenient: bool) -> TarOptions {
        let end_marker = if lenient { EndMarker::Optional } else { EndMarker::Required };
        let (unsorted, bad_samples) = (self.unsorted, self.bad_samples);
        TarOptions { end_marker, unsorted, bad_samples, scratch: None }
    }
}

impl ShardArgs {
    /// The shards, in the order given; of a folder or prefix its tars, or else its Parquet image shards.
    ///
    /// # Errors
    /// When one is missing or a folder holds none.
    fn places(&self) -> anyhow::Result<Vec<Shard>> {
        self.places_of(KINDS)
    }

    /// The same for a command that only looks: it warns of a folder that lacks shards.
    ///
    /// # Errors
    /// When one is missing or a folder holds none.
    fn places_to_look_at(&self) -> anyhow::Result<Vec<Shard>> {
        incomplete::warn(&self.shards, KINDS);
        self.places()
    }

    /// The same of a folder or prefix those of the first of `kinds` that it has.
    ///
    /// # Errors
    /// When one is missing or a folder holds none.
    fn places_of(&self, kinds: &[&str]) -> anyhow::Result<Vec<Shard>> {
        let mut found = Vec::new();
        for spec in &self.shards {
            found.extend(place::shards(spec, kinds)?);
        }
        Ok(found)
    }

    /// What the flags mean to the reader of tars.
    fn tar_options(&self) -> TarOptions {
        self.tar.options(self.lenient)
    }

    /// What they mean to the reader of shards of either kind.
    fn read_options(&self) -> ReadOptions {
        self.tar.read_options(self.lenient)
    }
}

/// Parses the command line, runs the command, reports an error.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version, too, come as errors.
        Err(said)
            if !said.use_stderr() || said.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            said.exit()
        }
        Err(refused) => {
            output::complain(&usage_line(&refused.to_string()));
            return ExitCode::from(2);
        }
    };
    on_waits(|line| output::complain(&format!("note: {line}")));
    let mut out = Output::stdout();
    let done = run(cli.command, &mut out).and_then(|code| {
        out.finish()?;
        Ok(code)
    });
    match done {
        Ok(code) => code,
        // `… | head` has seen enough: that is no error.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("error: {}", causes(&*error)));
            ExitCode::from(2)
        }
    }
}

fn run(command: Command, out: &mut Output) -> anyhow::Result<ExitCode> {
    match command {
        Command::Head(args) => head::head(&args, out)?,
        Command::Cat(args) => cat::cat(&args, out)?,
        Command::Index(args) => index::index(&args, out)?,
        Command::Convert(args) => convert::convert(&args, out)?,
        Command::Subset(args) => reshard::subset(&args, out)?,
        Command::Reshard(args) => reshard::reshard(&args, out)?,
        Command::ContactSheet(args) => contact_sheet::contact_sheet(&args, out)?,
        Command::Stat(args) => stat::stat(&args, out)?,
        Command::Verify(args) => {
            if verify::verify(&args, out)?.findings > 0 {
                return Ok(ExitCode::from(1));
            }
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "pairmill-shards", out);
        }
    }
    Ok(ExitCode::SUCCESS)
}
