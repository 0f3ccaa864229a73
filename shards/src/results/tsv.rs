//! The view of result rows with the columns of the paper's released table: one line per fine-tuning configuration,
//! one accuracy column per number of shots. Reading is strict about columns and numbers; `Nan` and blanks are kept
//! apart, because the one says "tried" and the other "not run". Its column `loss` holds objective, method and alpha of a
//! row as one text. What is written reads back the same, and the authors'
//! file comes out byte for byte.

use std::path::Path;

use super::{Names, Protocol, ResultRow, ResultsError, RunConfig, Selection, Shots, Split};

/// The header, in order. The first is the row's number and has no name.
pub const TSV_COLUMNS: [&str; 21] = [
    "",
    "loss",
    "arch",
    "us",
    "ds",
    "us_epochs",
    "us_lr",
    "us_bs",
    "us_wd",
    "ds_epochs",
    "ds_lr",
    "ds_bs",
    "ds_wd",
    "zero",
    "1",
    "5",
    "10",
    "20",
    "full",
    "100",
    "200",
];

/// The accuracy columns.
const CELLS: [Shots; 8] = [
    Shots::Zero,
    Shots::PerClass(1),
    Shots::PerClass(5),
    Shots::PerClass(10),
    Shots::PerClass(20),
    Shots::All,
    Shots::PerClass(100),
    Shots::PerClass(200),
];
const FIRST_CELL: usize = TSV_COLUMNS.len() - CELLS.len();
/// The only metric and split the view shows.
const METRIC: &str = "acc1";

/// One accuracy cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell {
    /// Empty: not run.
    Blank,
    /// `Nan`: run, or meant to be, without a number.
    Nan,
    /// Percent, 0–100.
    Value(f64),
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct TsvRow {
    /// The row's number as the file has it; not necessarily consecutive.
    pub index: u32,
    /// The settings.
    pub config: RunConfig,
    /// Accuracies for zero, 1, 5, 10, 20, full, 100, 200 shots, in the file's order.
    pub cells: [Cell; 8],
}

impl TsvRow {
    /// The cells with their shots.
    pub fn cells(&self) -> impl Iterator<Item = (Shots, Cell)> {
        CELLS.into_iter().zip(self.cells)
    }

    /// The line's values as result rows, and the shots of its `Nan` cells. The file says nothing of protocol, seed,
    /// test size or versions; `protocol` must come from whoever knows.
    pub fn to_rows(&self, protocol: Protocol) -> (Vec<ResultRow>, Vec<Shots>) {
        let (mut rows, mut nans) = (Vec::new(), Vec::new());
        let run = self.config.hash();
        let selection = match protocol {
            Protocol::AsPublished => Selection::TestBest,
            Protocol::Corrected => Selection::ValBest,
        };
        for (shots, cell) in self.cells() {
            match cell {
                Cell::Blank => {}
                Cell::Nan => nans.push(shots),
                Cell::Value(value) => rows.push(ResultRow {
                    run: run.clone(),
                    protocol,
                    selection,
                    config: self.config.clone(),
                    shots,
                    seed: None,
                    split: Split::Test,
                    metric: METRIC.to_owned(),
                    value,
                    num_test: None,
                    view: None,
                    converged: None,
                    versions: String::new(),
                    wall_s: None,
                    device_s: None,
                }),
            }
        }
        (rows, nans)
    }
}

/// Reads the text of a TSV view; `path` is for messages. Line ends may be `\n` or `\r\n`, and a byte order mark is
/// passed over.
///
/// # Errors
/// When a column is missing, unknown or out of place, a line has another number of cells, or a cell is not what its
/// column holds; the message names the line and the column.
pub fn read_tsv(path: &Path, bytes: &[u8]) -> Result<Vec<(u64, TsvRow)>, ResultsError> {
    let header = |problem: String| ResultsError::Header { path: path.to_owned(), problem };
    let text = std::str::from_utf8(bytes)
        .map_err(|e| header(format!("byte {} is not UTF-8 text; is it a result table?", e.valid_up_to())))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(ResultsError::Empty { path: path.to_owned() });
    }
    let mut lines = text.lines();
    check_header(lines.next().unwrap_or_default()).map_err(header)?;
    let mut rows = Vec::new();
    for (line, at) in lines.zip(2u64..) {
        if line.is_empty() {
            continue;
        }
        let row = parse_line(line).map_err(|problem| ResultsError::Line {
            path: path.to_owned(),
            line: at,
            problem,
        })?;
        rows.push((at, row));
    }
    Ok(rows)
}

fn check_header(line: &str) -> Result<(), String> {
    let found: Vec<&str> = line.split('\t').collect();
    if found == TSV_COLUMNS {
        return Ok(());
    }
    if found.len() == 1 && line.contains(',') {
        return Err("the header has commas, not tabs; save the table as tab-separated text".to_owned());
    }
    if let Some(name) = found.iter().find(|name| !TSV_COLUMNS.contains(name)) {
        return Err(format!("unknown column `{}`; the columns are {}", name.escape_debug(), shown_columns()));
    }
    if let Some(name) = TSV_COLUMNS.iter().find(|name| !found.contains(name)) {
        return Err(format!("no column `{name}`; the columns are {}", shown_columns()));
    }
    if found.len() > TSV_COLUMNS.len() {
        let twice = found.iter().find(|n| found.iter().filter(|m| m == n).count() > 1).unwrap_or(&"");
        return Err(format!("column `{twice}` stands twice; name each column once"));
    }
    Err(format!("the columns are in another order; put them as {}", shown_columns()))
}

fn shown_columns() -> String {
    format!("(blank) {}", TSV_COLUMNS[1..].join(" "))
}

fn parse_line(line: &str) -> Result<TsvRow, String> {
    let cells: Vec<&str> = line.split('\t').collect();
    if cells.len() != TSV_COLUMNS.len() {
        return Err(format!("{} cells, not {}; was a tab lost or added?", cells.len(), TSV_COLUMNS.len()));
    }
    let index = cells[0]
        .parse()
        .map_err(|_| format!("column 1 (row number): `{}` is no whole number", cells[0].escape_debug()))?;
    let text = |at: usize| match cells[at] {
        "" => Err(format!("column `{}`: blank; every row needs one", TSV_COLUMNS[at])),
        text => Ok(text.to_owned()),
    };
    let config = RunConfig {
        arch: text(2)?,
        us: text(3)?,
        ds: text(4)?,
        us_epochs: whole(&cells, 5)?,
        us_lr: float(&cells, 6)?,
        us_bs: whole(&cells, 7)?,
        us_wd: float(&cells, 8)?,
        ds_epochs: whole(&cells, 9)?,
        ds_lr: float(&cells, 10)?,
        ds_bs: whole(&cells, 11)?,
        ds_wd: float(&cells, 12)?,
        ..RunConfig::of_loss(&text(1)?)
    };
    let mut values = [Cell::Blank; CELLS.len()];
    for (value, at) in values.iter_mut().zip(FIRST_CELL..) {
        *value = match cells[at] {
            "" => Cell::Blank,
            nan if nan.eq_ignore_ascii_case("nan") => Cell::Nan,
            _ => match float(&cells, at)? {
                Some(x) if x <= 100.0 => Cell::Value(x),
                _ => {
                    return Err(format!(
                        "column `{}`: {} is not a percentage between 0 and 100",
                        TSV_COLUMNS[at], cells[at]
                    ));
                }
            },
        };
    }
    Ok(TsvRow { index, config, cells: values })
}

fn whole(cells: &[&str], at: usize) -> Result<Option<u32>, String> {
    match cells[at] {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            format!(
                "column `{}`: `{}` is no whole number; leave it blank if unknown",
                TSV_COLUMNS[at],
                text.escape_debug()
            )
        }),
    }
}

/// A decimal number of 0 or more. Rust also parses `inf` and `infinity`, which no cell may hold.
fn float(cells: &[&str], at: usize) -> Result<Option<f64>, String> {
    match cells[at] {
        "" => Ok(None),
        text => match text.parse::<f64>() {
            Ok(x) if x.is_finite() && !x.is_sign_negative() => Ok(Some(x)),
            _ => Err(format!(
                "column `{}`: `{}` is no number of 0 or more; write it like 0.001 or 3E-05, or leave it blank",
                TSV_COLUMNS[at],
                text.escape_debug()
            )),
        },
    }
}

/// The text of a TSV view.
pub fn write_tsv(rows: &[TsvRow]) -> String {
    let mut text = TSV_COLUMNS.join("\t");
    text.push('\n');
    for row in rows {
        let c = &row.config;
        let int = |n: Option<u32>| n.map_or_else(String::new, |n| n.to_string());
        let number = |x: Option<f64>| x.map_or_else(String::new, spelled);
        let settings = [
            row.index.to_string(),
            c.loss(),
            c.arch.clone(),
            c.us.clone(),
            c.ds.clone(),
            int(c.us_epochs),
            number(c.us_lr),
            int(c.us_bs),
            number(c.us_wd),
            int(c.ds_epochs),
            number(c.ds_lr),
            int(c.ds_bs),
            number(c.ds_wd),
        ];
        text.push_str(&settings.join("\t"));
        for cell in row.cells {
            text.push('\t');
            match cell {
                Cell::Blank => {}
                Cell::Nan => text.push_str("Nan"),
                Cell::Value(x) => text.push_str(&spelled(x)),
            }
        }
        text.push('\n');
    }
    text
}

/// A number as the authors' spreadsheet spelled it: the shortest digits that read back, no `.0`, and below 0.0001 in
/// the form `3E-05`.
fn spelled(x: f64) -> String {
    if x != 0.0 && x < 1e-4 {
        let scientific = format!("{x:E}");
        if let Some((digits, exponent)) = scientific.split_once("E-") {
            return format!("{digits}E-{exponent:0>2}");
        }
    }
    x.to_string()
}

/// A TSV view of result rows.
#[derive(Debug, Clone, PartialEq)]
pub struct TsvView {
    /// The lines.
    pub rows: Vec<TsvRow>,
    /// Rows that the view does not show: other metrics than `acc1`, and values on validation images.
    pub num_left_out: usize,
}

/// The TSV view of `rows`: values of one configuration and seed share a line, a value that has no free cell there
/// begins another. Objective, method and alpha become the one text `loss`; sources and tasks that share a name and not
/// their content are told apart in their names ([`Names`]). Seed, protocol, test size, view, convergence, versions and
/// times are lost.
///
/// # Errors
/// When both protocols are present, or a number of shots has no column.
pub fn tsv_view(rows: &[ResultRow]) -> Result<TsvView, ResultsError> {
    let mut lines: Vec<(Option<u64>, TsvRow)> = Vec::new();
    let mut num_left_out = 0;
    let names = Names::of(rows.iter().map(|row| &row.config));
    for row in rows {
        if row.protocol != rows[0].protocol {
            return Err(ResultsError::MixedProtocols);
        }
        if row.metric != METRIC || row.split != Split::Test {
            num_left_out += 1;
            continue;
        }
        let Some(at) = CELLS.iter().position(|&shots| shots == row.shots) else {
            return Err(ResultsError::NoColumn(format!("{} shots", row.shots)));
        };
        let cell = if row.value.is_nan() { Cell::Nan } else { Cell::Value(row.value) };
        let line = lines.iter_mut().rev().find(|(seed, line)| {
            *seed == row.seed && line.config == row.config && line.cells[at] == Cell::Blank
        });
        match line {
            Some((_, line)) => line.cells[at] = cell,
            None => {
                let index = u32::try_from(lines.len()).unwrap_or(u32::MAX);
                let mut line =
                    TsvRow { index, config: row.config.clone(), cells: [Cell::Blank; CELLS.len()] };
                line.cells[at] = cell;
                lines.push((row.seed, line));
            }
        }
    }
    let named = lines.into_iter().map(|(_, mut line)| {
        names.apply(&mut line.config);
        line
    });
    Ok(TsvView { rows: named.collect(), num_left_out })
}
