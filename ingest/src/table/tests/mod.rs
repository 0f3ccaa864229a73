//! Behaviour of [`Tables`] and [`Blocks`] as the pipeline and the user see it, on files built here.

mod blocks;
mod errors;
mod faults;
mod formats;
mod quirks;
mod types;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use ::parquet::arrow::ArrowWriter;
use ::parquet::file::properties::WriterProperties;
use arrow::array::{Array, ArrayRef, BinaryArray, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::*;

/// Cells of one row as text, null as `None`.
type Row = Vec<Option<String>>;

fn row(cells: &[&str]) -> Row {
    cells.iter().map(|&cell| (cell != "∅").then(|| cell.to_owned())).collect()
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let options = FormatOptions::default();
    let columns: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    (0..batch.num_rows())
        .map(|index| {
            let cells = columns.iter().zip(batch.columns());
            cells
                .map(|(text, column)| column.is_valid(index).then(|| text.value(index).to_string()))
                .collect()
        })
        .collect()
}

fn read_all(tables: &Tables, rows_per_block: u64) -> Vec<Row> {
    let blocks = tables.blocks(rows_per_block);
    blocks.map(|block| block.unwrap()).inspect(|b| assert_eq!(b.rows.schema(), tables.schema())).fold(
        Vec::new(),
        |mut rows, block| {
            rows.extend(rows_of(&block.rows));
            rows
        },
    )
}

fn pack(name: &str, bytes: &[u8]) -> Vec<u8> {
    if name.ends_with(".gz") {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    } else if name.ends_with(".bz2") {
        let mut packer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    } else if name.ends_with(".zst") {
        zstd::encode_all(bytes, 1).unwrap()
    } else {
        bytes.to_vec()
    }
}

/// Writes `text` to a new file, packed as its name says.
fn text_file(dir: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, pack(name, text.as_ref())).unwrap();
    path
}

fn parquet_file(dir: &Path, name: &str, columns: Vec<(&str, ArrayRef)>, rows_per_group: usize) -> PathBuf {
    let path = dir.join(name);
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    );
    let batch = batch.unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows_per_group)).build();
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

/// `url_list`, url and caption column.
fn captioned(list: &Path) -> TableConfig {
    TableConfig {
        url_list: list.to_str().unwrap().to_owned(),
        caption_col: Some("caption".to_owned()),
        ..TableConfig::default()
    }
}
