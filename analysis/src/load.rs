//! Result files into the rows of one protocol. Corrected and as-published values never meet: with both present the
//! caller must name one.

use std::io::Read;
use std::path::{Path, PathBuf};

use pairmill_shards::results::{Names, Protocol, ReadNote, ResultTable, ResultsError, SourcedRow};
use pairmill_shards::words::hex;
use sha2::{Digest, Sha256};

/// Standard input is read whole; a table of results is never larger.
const MAX_STDIN_BYTES: u64 = 1 << 30;

/// Why there is nothing to report on.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read or breaks the format.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// Standard input failed.
    #[error("cannot read standard input: {0}")]
    Stdin(std::io::Error),
    /// Files without a single value.
    #[error("{0}: a header and no values; nothing to report on")]
    NoRows(String),
    /// Both protocols.
    #[error(
        "the results hold {corrected} rows of the corrected and {published} of the as-published protocol, which cannot be compared; choose one with --protocol corrected or --protocol as-published"
    )]
    Mixed {
        /// Rows of the one.
        corrected: usize,
        /// Rows of the other.
        published: usize,
    },
    /// Values of other kinds only.
    #[error(
        "no accuracies (acc1) on test images in the results, which is what figures show; measured were: {0}"
    )]
    NothingToDraw(String),
    /// The protocol asked for is not there.
    #[error("no rows of the {0} protocol; for a TSV, which does not say, use --tsv-protocol")]
    NoneOf(Protocol),
}

/// One file as it was read.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its name as given.
    pub name: String,
    /// Its size.
    pub num_bytes: usize,
    /// Its hash, in hex.
    pub sha256: String,
    /// Values in it.
    pub num_values: usize,
}

/// The rows a report is about.
#[derive(Debug, Clone)]
pub struct Results {
    /// Values, each with its place.
    pub rows: Vec<SourcedRow>,
    /// What the reader left out.
    pub notes: Vec<ReadNote>,
    /// The protocol of every row.
    pub protocol: Protocol,
    /// The files.
    pub inputs: Vec<Input>,
    /// Sources and tasks that share a name and not their content, a line each, once [`Results::told_apart`] has looked.
    pub one_name: Vec<String>,
}

impl Results {
    /// Gives sources and tasks of one name and different content names of their own, so that no cell holds values of
    /// two checkpoints.
    #[must_use]
    pub fn told_apart(mut self) -> Self {
        let names = Names::of(self.rows.iter().map(|sourced| &sourced.row.config));
        for sourced in &mut self.rows {
            names.apply(&mut sourced.row.config);
        }
        self.one_name = names.notes();
        self
    }
}

/// Reads `paths` (`-` is standard input). A TSV says nothing of its protocol, so it is taken to be `tsv_protocol`;
/// `only` keeps the rows of one protocol.
///
/// # Errors
/// When a file cannot be read, is of another shape, or holds nothing, and when both protocols are left.
pub fn load(paths: &[PathBuf], tsv_protocol: Protocol, only: Option<Protocol>) -> Result<Results, LoadError> {
    let mut table = ResultTable::default();
    let mut inputs = Vec::new();
    for path in paths {
        let before = table.rows.len();
        let (name, bytes) = if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            std::io::stdin().take(MAX_STDIN_BYTES).read_to_end(&mut bytes).map_err(LoadError::Stdin)?;
            (Path::new("standard input"), bytes)
        } else {
            (path.as_path(), ResultTable::read_bytes(path)?)
        };
        let sha256 = hex(&Sha256::digest(&bytes));
        let num_bytes = bytes.len();
        table.add_bytes(name, bytes, tsv_protocol)?;
        let num_values = table.rows.len() - before;
        inputs.push(Input { name: name.display().to_string(), num_bytes, sha256, num_values });
    }
    of_table(table, inputs, only)
}

/// The rows of a table that was read elsewhere.
///
/// # Errors
/// When it is empty or holds both protocols.
pub fn of_table(
    mut table: ResultTable,
    inputs: Vec<Input>,
    only: Option<Protocol>,
) -> Result<Results, LoadError> {
    if let Some(protocol) = only {
        table.retain_protocol(protocol);
        if table.rows.is_empty() {
            return Err(LoadError::NoneOf(protocol));
        }
    }
    match table.protocols()[..] {
        [protocol] => {
            Ok(Results { rows: table.rows, notes: table.notes, protocol, inputs, one_name: Vec::new() })
        }
        [] => {
            let names: Vec<&str> = inputs.iter().map(|i| i.name.as_str()).collect();
            Err(LoadError::NoRows(names.join(", ")))
        }
        _ => {
            let corrected = table.rows.iter().filter(|r| r.row.protocol == Protocol::Corrected).count();
            Err(LoadError::Mixed { corrected, published: table.rows.len() - corrected })
        }
    }
}
