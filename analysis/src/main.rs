//! The `pairmill-report` command: arguments in, exit code out; all work is in the library.
//!
//! Exit codes: 0 done, 1 the output failed, 2 bad input (one line, `error: …`, on standard error).

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use pairmill_analysis::args::Cli;
use pairmill_analysis::captions::CaptionsError;
use pairmill_analysis::command::run;
use pairmill_analysis::data::DataError;
use pairmill_analysis::gallery::GalleryError;
use pairmill_analysis::load::LoadError;
use pairmill_shards::printable::{error_line, is_command_line_plain, printable_lines};
use pairmill_shards::results::ResultsError;

const FAILED: u8 = 1;
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if is_command_line_plain() => error.exit(),
        Err(error) => {
            let _ = write!(io::stderr(), "{}", printable_lines(&error.render().to_string()));
            return ExitCode::from(BAD_INPUT);
        }
    };
    let done = run(cli.command);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let bad_input = error.chain().any(|cause| {
                let is_captions =
                    cause.downcast_ref::<CaptionsError>().is_some_and(CaptionsError::is_bad_input);
                let is_data = cause.downcast_ref::<DataError>().is_some_and(DataError::is_bad_input);
                is_captions
                    || is_data
                    || cause.is::<GalleryError>()
                    || cause.is::<LoadError>()
                    || cause.is::<ResultsError>()
            });
            // One line: whoever reads logs or pipes gets the whole message.
            let _ = writeln!(io::stderr(), "error: {}", error_line(&*error));
            ExitCode::from(if bad_input { BAD_INPUT } else { FAILED })
        }
    }
}
