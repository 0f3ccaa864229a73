//! What it costs to know a table again: the whole hash of a CSV and of a Parquet file of the same rows, beside reading
//! them as a run does. `cargo run --release --example stamp_bench -- [ROWS]`; CPU seconds of one thread, files cached.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use pairmill_ingest::table::{TableConfig, Tables};
use pairmill_shards::stamp::{Depth, Stamp};
use parquet::arrow::ArrowWriter;

fn row(number: u64) -> (String, String) {
    let place = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let url = format!("https://cdn-{}.example.org/images/{place:016x}/photo.jpg", number % 977);
    (url, format!("A picture numbered {number} of a {:x} in the style of {:x}", place >> 40, place % 65_521))
}

fn main() {
    let rows: u64 = std::env::args().nth(1).map_or(2_000_000, |rows| rows.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (csv, parquet) = (folder.path().join("t.csv"), folder.path().join("t.parquet"));
    let mut text = BufWriter::new(File::create(&csv).unwrap());
    writeln!(text, "url,caption").unwrap();
    let mut writer = None;
    for start in (0..rows).step_by(100_000) {
        let batch: Vec<_> = (start..rows.min(start + 100_000)).map(row).collect();
        for (url, caption) in &batch {
            writeln!(text, "{url},{caption}").unwrap();
        }
        let (urls, captions): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let column = |cells: Vec<String>| -> ArrayRef { Arc::new(StringArray::from(cells)) };
        let batch =
            RecordBatch::try_from_iter([("url", column(urls)), ("caption", column(captions))]).unwrap();
        let writer = writer.get_or_insert_with(|| {
            ArrowWriter::try_new(File::create(&parquet).unwrap(), batch.schema(), None).unwrap()
        });
        writer.write(&batch).unwrap();
    }
    text.flush().unwrap();
    writer.unwrap().close().unwrap();
    for path in [&csv, &parquet] {
        measure(path);
    }
}

/// CPU seconds of this process, user and system, from /proc/self/stat (in hundredths).
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn measure(path: &Path) {
    let megabytes = path.metadata().unwrap().len() as f64 / 1e6;
    let timed = |what: &str, work: &dyn Fn()| {
        // Once before, for the cache.
        work();
        let begun = cpu_s();
        work();
        let seconds = cpu_s() - begun;
        println!("{what:<16} {seconds:>7.2} CPU-s  {:>8.0} MB per CPU-s", megabytes / seconds.max(0.01));
    };
    println!("{} ({megabytes:.0} MB)", path.file_name().unwrap().display());
    timed("whole hash", &|| drop(Stamp::of(path, Depth::Whole).unwrap()));
    timed("sampled", &|| drop(Stamp::of(path, Depth::SAMPLED).unwrap()));
    timed("reading", &|| {
        let config = TableConfig {
            url_list: path.to_str().unwrap().to_owned(),
            caption_col: Some("caption".to_owned()),
            ..TableConfig::default()
        };
        let blocks = Tables::open(&config).unwrap().blocks(10_000);
        blocks.for_each(|block| drop(block.unwrap()));
    });
}
