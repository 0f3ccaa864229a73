//! What can be wrong with an input table, each as one line that names the file, the place and the fix.

use std::path::PathBuf;

use pairmill_shards::lookalike::Lookalike;

use super::format::InputFormat;
use crate::yfcc::YfccError;

/// Largest record of a text table, in bytes: a line, a CSV record or a JSON object.
///
/// The longest caption seen in LAION has 61,192 characters; anything near this is a quote that never closes.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// Lines one quoted CSV record may span before it is taken for a quote that never closes.
pub const MAX_RECORD_LINES: u64 = 1_000;

/// Text and binary cells one block may hold, in bytes. A shard of 10,000 rows has 26 kB for each.
pub const MAX_BLOCK_BYTES: usize = 256 << 20;

/// Why an input table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// YFCC100M's files.
    #[error(transparent)]
    Yfcc(#[from] YfccError),
    /// One of YFCC100M's files is not where it is looked for.
    #[error("{}: no {name}* in this folder; {fix}", folder.display())]
    NotYfcc {
        /// The folder.
        folder: PathBuf,
        /// Beginning of the file's name.
        name: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// Nothing at the path of `url_list`.
    #[error("{}: no such file or folder; check --url-list", path.display())]
    Missing {
        /// As the user gave it.
        path: PathBuf,
    },
    /// A pipe or a device.
    #[error("{}: a pipe or device, which cannot be read twice; write the table to a file and give that", path.display())]
    NotAFile {
        /// As the user gave it.
        path: PathBuf,
    },
    /// No `url_list` at all.
    #[error("no table of URLs given; name a file, a folder or a glob with --url-list")]
    NoUrlList,
    /// A glob that cannot be parsed.
    #[error("--url-list `{pattern}` is not a valid glob: {reason}")]
    BadGlob {
        /// As the user gave it.
        pattern: String,
        /// What the glob parser says.
        reason: String,
    },
    /// A glob without a match.
    #[error(
        "--url-list `{pattern}` matches no file; check the pattern, and quote it so that the shell leaves it alone"
    )]
    NoMatch {
        /// As the user gave it.
        pattern: String,
    },
    /// A folder without any table of the format.
    #[error("{}: the folder holds no {wanted} file{hint}", folder.display())]
    NoTableInFolder {
        /// The folder.
        folder: PathBuf,
        /// `*.parquet`, or all formats.
        wanted: String,
        /// What to do instead, starting with `; `.
        hint: String,
    },
    /// A folder or glob with several formats and none named.
    #[error(
        "--url-list `{url_list}` holds tables of several formats ({formats}); choose one with --input-format"
    )]
    MixedFormats {
        /// As the user gave it.
        url_list: String,
        /// Sorted, comma-separated.
        formats: String,
    },
    /// `a.csv` beside `a.csv.gz`: reading both would double every row.
    #[error("{} and {} look like the same table twice; give a glob that matches one of them", first.display(), second.display())]
    SameTableTwice {
        /// One form.
        first: PathBuf,
        /// The other form.
        second: PathBuf,
    },
    /// A format word that no version knows.
    #[error(
        "unknown input format `{word}`; it is one of parquet, csv, tsv, json, jsonl, txt (text ones also .gz, .bz2, .xz or .zst)"
    )]
    UnknownFormat {
        /// What was given.
        word: String,
    },
    /// An extension that says nothing.
    #[error("{}: cannot tell the format from the name; give --input-format parquet, csv, tsv, json, jsonl or txt", path.display())]
    UnknownExtension {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: cannot read: {error}; check the path and its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The compressed stream is broken.
    #[error("{}: broken {compression} data after row {row}: {reason}; the file is damaged or cut short, fetch it again", path.display())]
    BrokenCompression {
        /// The file.
        path: PathBuf,
        /// `gzip`, `bzip2`, `xz` or `zstd`.
        compression: &'static str,
        /// Rows read before, 0 when none was.
        row: u64,
        /// What the decoder says.
        reason: String,
    },
    /// The file asks for more memory to be unpacked than it gets.
    #[error("{}: unpacking this {compression} file takes more memory than it gets; pack it again with default settings", path.display())]
    UnpackMemory {
        /// The file.
        path: PathBuf,
        /// `xz` or `zstd`.
        compression: &'static str,
    },
    /// Named `.gz` or the like, but the bytes are not.
    #[error("{}: named .{extension} but not {compression} data; rename it, or fetch it again", path.display())]
    NotCompressed {
        /// The file.
        path: PathBuf,
        /// `gz`, `bz2`, `xz` or `zst`.
        extension: &'static str,
        /// `gzip`, `bzip2`, `xz` or `zstd`.
        compression: &'static str,
    },
    /// UTF-16 or UTF-32 text.
    #[error("{}: the text is {encoding}; convert it to UTF-8, say with `iconv -f {encoding} -t UTF-8`", path.display())]
    WideText {
        /// The file.
        path: PathBuf,
        /// As iconv calls it.
        encoding: &'static str,
    },
    /// No parquet file, or one that is damaged.
    #[error("{}: cannot read as parquet{}: {reason}; the file is damaged or of another format (see --input-format)", path.display(), at_row(*row))]
    CorruptParquet {
        /// The file.
        path: PathBuf,
        /// First row (0-based) of the batch that failed; `None` for the footer.
        row: Option<u64>,
        /// What the reader says, in one line.
        reason: String,
    },
    /// A Parquet file that is not read for what it asks for or says of itself.
    #[error("{}: cannot read as parquet{}: {reason}", path.display(), at_row(*row))]
    RefusedParquet {
        /// The file.
        path: PathBuf,
        /// First row (0-based) of the batch that was refused; `None` for the footer.
        row: Option<u64>,
        /// What is wrong with it and what to do, in one line.
        reason: String,
    },
    /// Something else lies under the table's name.
    #[error("{}: {what}", path.display())]
    NotATable {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: Lookalike,
    },
    /// A library panicked on the file's bytes.
    #[error("{}: the reader {reason}, after row {row}; please report this", path.display())]
    Panic {
        /// The file.
        path: PathBuf,
        /// Rows read before.
        row: u64,
        /// Where it panicked and what it said.
        reason: String,
    },
    /// A column the configuration names is not there.
    #[error("{}: no column `{column}` ({asked_by}); {}{hint}", path.display(), listed(existing))]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        column: String,
        /// The flag that asked for it.
        asked_by: &'static str,
        /// The columns there are, in file order.
        existing: Vec<String>,
        /// The likely fix, starting with `; `, or empty.
        hint: String,
    },
    /// A wanted column is there twice.
    #[error("{}: column `{column}` appears {count} times; rename all but one", path.display())]
    AmbiguousColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        column: String,
        /// How often it is there.
        count: usize,
    },
    /// A URL, caption or hash column that holds no text.
    #[error("{}: column `{column}` ({asked_by}) holds {found}, not text; name another column", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The name.
        column: String,
        /// The flag that asked for it.
        asked_by: &'static str,
        /// Its Arrow type.
        found: String,
    },
    /// A column whose values do not become what the output holds.
    #[error("{}: column `{column}` holds {found}, which cannot be taken (at row {row}: {reason}); name another column, or write it as text", path.display())]
    NotConverted {
        /// The file.
        path: PathBuf,
        /// First row (0-based) of the batch.
        row: u64,
        /// The name.
        column: String,
        /// Its Arrow type.
        found: String,
        /// What arrow says.
        reason: String,
    },
    /// Two files of one input hold the column in types with no common one.
    #[error("{}: column `{column}` holds {found}, but {} holds {expected}; ingest the two in separate runs", path.display(), first.display())]
    TypeConflict {
        /// The file that differs.
        path: PathBuf,
        /// The name.
        column: String,
        /// Type here.
        found: String,
        /// A file before it.
        first: PathBuf,
        /// Type there.
        expected: String,
    },
    /// A name that the output already uses.
    #[error(
        "--save-additional-columns cannot hold `{column}`: the output has a column of that name; rename it in the table"
    )]
    ReservedColumn {
        /// The name.
        column: String,
    },
    /// A name given twice.
    #[error("--save-additional-columns names `{column}` twice; name it once")]
    RepeatedColumn {
        /// The name.
        column: String,
    },
    /// `--columns` has another number of names than the first row has fields.
    #[error("{}: --columns names {named} columns but row 0 has {found}; name every column in file order", path.display())]
    HeaderCount {
        /// The file.
        path: PathBuf,
        /// Names given.
        named: usize,
        /// Fields in the first row.
        found: usize,
    },
    /// An option that the format has no use for.
    #[error("{option} does not apply to {format} input; leave it out, or give another --input-format")]
    OptionOfOtherFormat {
        /// The flag.
        option: &'static str,
        /// The format in use.
        format: InputFormat,
    },
    /// `--verify-hash` with an unknown kind.
    #[error("--verify-hash kind `{word}` is not known; it is md5, sha256 or sha512")]
    UnknownHash {
        /// What was given.
        word: String,
    },
    /// No row in any file.
    #[error("{url_list}: the table is empty; check that it was written to the end")]
    Empty {
        /// As the user gave it.
        url_list: String,
    },
    /// A record beyond [`MAX_RECORD_BYTES`].
    #[error("{}: row {row} (line {line}) is longer than {} MiB{hint}", path.display(), MAX_RECORD_BYTES >> 20)]
    RecordTooLong {
        /// The file.
        path: PathBuf,
        /// 0-based.
        row: u64,
        /// 1-based line where the record begins.
        line: u64,
        /// The likely fix, starting with `; `.
        hint: &'static str,
    },
    /// A quote that does not close.
    #[error("{}: row {row} (line {line}) opens a quote that {ends}; if quotes are plain characters in this file, give --quoting false", path.display())]
    OpenQuote {
        /// The file.
        path: PathBuf,
        /// 0-based.
        row: u64,
        /// 1-based line where the record begins.
        line: u64,
        /// How far the parser looked.
        ends: String,
    },
    /// The text is not what the format promises.
    #[error("{}: row {row} (line {line}): {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// 0-based.
        row: u64,
        /// 1-based.
        line: u64,
        /// What is wrong and how to mend it.
        reason: String,
    },
    /// A block beyond [`MAX_BLOCK_BYTES`].
    #[error("{}: {rows} rows from row {first_row} hold more than {} MiB of text; lower --number-sample-per-shard or carry fewer columns", path.display(), MAX_BLOCK_BYTES >> 20)]
    BlockTooLarge {
        /// The file.
        path: PathBuf,
        /// First row of the block, 0-based.
        first_row: u64,
        /// Rows read until the limit.
        rows: u64,
    },
    /// The file is not the one that was opened.
    #[error("{}: changed while it was read ({reason}); run again with a file that stays as it is", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
}

impl TableError {
    /// Of a panic: after how many rows it came.
    pub(super) fn after(mut self, rows: u64) -> Self {
        if let Self::Panic { row, .. } = &mut self {
            *row = rows;
        }
        self
    }
}

fn at_row(row: Option<u64>) -> String {
    row.map_or_else(String::new, |row| format!(" at row {row}"))
}

/// Column names a message lists at most; WIT has 17, YFCC 25.
const MAX_LISTED: usize = 30;

fn listed(existing: &[String]) -> String {
    if existing.is_empty() {
        return "the file has no columns".to_owned();
    }
    let shown: Vec<String> = existing.iter().take(MAX_LISTED).map(|name| shortened(name)).collect();
    let more = existing.len().saturating_sub(MAX_LISTED);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("the columns are {}{tail}", shown.join(", "))
}

/// Header cells of a headerless file can be whole captions: cut, and kept on one line.
fn shortened(name: &str) -> String {
    const MAX_CHARS: usize = 40;
    let line: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= MAX_CHARS {
        return line;
    }
    line.chars().take(MAX_CHARS).chain(std::iter::once('…')).collect()
}

/// Foreign messages may span lines and quote the data at any length; ours do neither.
pub(super) fn one_line(error: &impl std::fmt::Display) -> String {
    const MAX_CHARS: usize = 240;
    let text = error.to_string();
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_CHARS) {
        // The end has the place.
        Some(_) if line.contains(" at line ") => {
            let (reason, place) = line.rsplit_once(" at line ").unwrap_or((line.as_str(), ""));
            let cut: String = reason.chars().take(MAX_CHARS).collect();
            format!("{cut}… at line {}", place.chars().take(40).collect::<String>())
        }
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
