//! Entry points for fuzzers and mutation tests: any bytes, read to the end through the public readers. Each returns
//! how many things were read, or the error's text; neither may panic, hang or take memory without bound.

use std::path::Path;

use crate::results::{Protocol, ResultTable, read_tsv, write_tsv};
use crate::stats::ShardStats;
use crate::table::{RowColumns, SidecarReader};

/// Reads a sidecar table: its typed rows, then every column of every batch.
///
/// # Errors
/// The first error's text.
pub fn read_table(bytes: &[u8]) -> Result<u64, String> {
    let reader =
        SidecarReader::from_bytes(Path::new("hostile.parquet"), bytes.to_vec()).map_err(|e| e.to_string())?;
    let mut num_rows = 0;
    for row in reader.rows(RowColumns::All).map_err(|e| e.to_string())? {
        row.map_err(|e| e.to_string())?;
        num_rows += 1;
    }
    for batch in reader.batches(None).map_err(|e| e.to_string())? {
        let batch = batch.map_err(|e| e.to_string())?;
        for column in batch.columns() {
            for row in 0..batch.num_rows() {
                crate::json::cell_to_json(column, row);
            }
        }
    }
    Ok(num_rows)
}

/// Reads a stats file, writes it again and reads that: the second reading must give the same account.
///
/// # Errors
/// The first error's text.
pub fn read_stats(bytes: &[u8]) -> Result<u64, String> {
    let path = Path::new("hostile_stats.json");
    let stats = ShardStats::parse(path, bytes).map_err(|e| e.to_string())?;
    let again = ShardStats::parse(path, stats.to_json().as_bytes()).map_err(|e| format!("own text: {e}"))?;
    if (again.count, &again.status_dict) == (stats.count, &stats.status_dict) {
        Ok(stats.count)
    } else {
        Err("own text reads differently".to_owned())
    }
}

/// Reads a file of result rows in either form. A TSV is written again and must read the same.
///
/// # Errors
/// The first error's text.
pub fn read_results(bytes: &[u8]) -> Result<u64, String> {
    let path = Path::new("hostile.tsv");
    let mut table = ResultTable::default();
    table.add_bytes(path, bytes.to_vec(), Protocol::AsPublished).map_err(|e| e.to_string())?;
    if !bytes.starts_with(b"PAR1") {
        let rows = |bytes: &[u8]| -> Result<Vec<_>, String> {
            Ok(read_tsv(path, bytes).map_err(|e| e.to_string())?.into_iter().map(|(_, row)| row).collect())
        };
        let first = rows(bytes)?;
        if rows(write_tsv(&first).as_bytes()).map_err(|e| format!("own text: {e}"))? != first {
            return Err("own text reads differently".to_owned());
        }
    }
    Ok(table.rows.len() as u64)
}
