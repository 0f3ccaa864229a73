//! Each source's table reads back in its true shape, with the rows the world says it has.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int32Type};
use pairmill_world::{
    ClientPolicy, Fault, FaultMix, Row, SizeClass, Source, TableConfig, TableFormat, World, WorldConfig,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

fn world() -> World {
    World::new(WorldConfig { seed: 2, sizes: SizeClass::Web, distinct: None })
}

fn config(source: Source) -> TableConfig {
    TableConfig::new(source, 400, "http://127.0.0.1:9").with_faults(0.25, FaultMix::Every)
}

/// Writes the source's table; the rows it must hold.
fn written(source: Source, dir: &Path, name: &str) -> (PathBuf, Vec<Row>) {
    let path = dir.join(name);
    let (world, config) = (world(), config(source));
    let summary = world.write_table(&config, &path).unwrap();
    assert_eq!(summary.rows, 400);
    assert!(!dir.join(format!("{name}.part")).exists());
    (path, world.rows(&config).collect())
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\t'], " ")
}

#[test]
fn laion_is_parquet_with_its_eight_columns() {
    let dir = tempfile::tempdir().unwrap();
    let (path, rows) = written(Source::Laion, dir.path(), "l.parquet");
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let fields: Vec<(String, DataType)> =
        builder.schema().fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect();
    let expected = [
        ("SAMPLE_ID", DataType::Int64),
        ("URL", DataType::Utf8),
        ("TEXT", DataType::Utf8),
        ("HEIGHT", DataType::Int32),
        ("WIDTH", DataType::Int32),
        ("LICENSE", DataType::Utf8),
        ("NSFW", DataType::Utf8),
        ("similarity", DataType::Float64),
    ];
    assert_eq!(fields, expected.map(|(name, data_type)| (name.to_owned(), data_type)));
    let mut at = 0;
    for batch in builder.build().unwrap() {
        let batch = batch.unwrap();
        for i in 0..batch.num_rows() {
            assert_eq!(batch.column(1).as_string::<i32>().value(i), rows[at].url);
            assert_eq!(batch.column(2).as_string::<i32>().value(i), rows[at].caption.text);
            let width = batch.column(4).as_primitive::<Int32Type>();
            assert!(width.is_null(i) || width.value(i) as u32 == rows[at].width);
            at += 1;
        }
    }
    assert_eq!(at, 400);
}

#[test]
fn headerless_tables_have_two_columns_in_the_sources_order() {
    let dir = tempfile::tempdir().unwrap();
    for (source, url_column) in [(Source::Cc3m, 1), (Source::Cc12m, 0), (Source::Shutterstock, 0)] {
        let (path, rows) = written(source, dir.path(), &format!("{source}.tsv"));
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 400);
        for (line, row) in text.lines().zip(rows) {
            let columns: Vec<_> = line.split('\t').collect();
            assert_eq!(columns.len(), 2, "{source}: {line:?}");
            assert_eq!(columns[url_column], row.url);
            assert_eq!(columns[1 - url_column], one_line(&row.caption.text));
        }
    }
}

#[test]
fn wit_is_gzipped_tsv_with_seventeen_named_columns() {
    let dir = tempfile::tempdir().unwrap();
    let (path, rows) = written(Source::Wit, dir.path(), "w.tsv.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let mut lines = text.lines();
    let header: Vec<_> = lines.next().unwrap().split('\t').collect();
    assert_eq!(header.len(), 17);
    assert_eq!((header[0], header[2], header[6]), ("language", "image_url", "caption_reference_description"));
    let mut described = 0;
    for (line, row) in lines.zip(&rows) {
        let columns: Vec<_> = line.split('\t').collect();
        assert_eq!(columns.len(), 17, "{line:?}");
        assert_eq!(columns[2], row.url);
        assert!(columns[6].is_empty() || columns[6] == one_line(&row.caption.text));
        described += usize::from(!columns[6].is_empty());
    }
    assert!((200..330).contains(&described), "{described} of 400 rows have a reference text");
}

#[test]
fn redcaps_is_an_object_with_annotations() {
    let dir = tempfile::tempdir().unwrap();
    let (path, rows) = written(Source::RedCaps, dir.path(), "r.json");
    let value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(value["info"]["version"], "1.0");
    let annotations = value["annotations"].as_array().unwrap();
    assert_eq!(annotations.len(), 400);
    for (annotation, row) in annotations.iter().zip(rows) {
        assert_eq!(annotation["url"], row.url);
        assert_eq!(annotation["caption"], row.caption.text);
        assert!(annotation["score"].as_i64().unwrap() >= 2);
    }
}

#[test]
fn yfcc_has_25_columns_with_form_encoded_text() {
    let dir = tempfile::tempdir().unwrap();
    let (path, rows) = written(Source::Yfcc, dir.path(), "y.txt");
    let text = fs::read_to_string(path).unwrap();
    for (line, row) in text.lines().zip(&rows) {
        let columns: Vec<_> = line.split('\t').collect();
        assert_eq!(columns.len(), 25, "{line:?}");
        assert_eq!(columns[16], row.url);
        assert_eq!(columns[24], "0");
        assert!(!columns[8].contains(' ') && columns[8].is_ascii());
        let decoded = columns[8].replace('+', " ");
        if row.caption.title.is_ascii() {
            assert_eq!(decoded, row.caption.title);
        }
    }
    assert_eq!(text.lines().count(), 400);
}

#[test]
fn plain_tables_hold_url_and_caption_in_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<_> = world().rows(&config(Source::Laion)).collect();
    let pairs: Vec<(String, String)> = rows.iter().map(|r| (r.url.clone(), r.caption.text.clone())).collect();
    let write = |name: &str| {
        let path = dir.path().join(name);
        let format = TableFormat::for_path(Source::Wit, &path).unwrap();
        // WIT's own ending is .tsv, so that one needs to be named.
        let format = if name.contains(".tsv") { TableFormat::Tsv } else { format };
        world().write_table_as(&config(Source::Laion), format, &path).unwrap();
        path
    };
    for (name, delimiter) in [("t.csv", b','), ("t.tsv", b'\t')] {
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_path(write(name)).unwrap();
        let read: Vec<(String, String)> = reader.deserialize().map(Result::unwrap).collect();
        assert!(read == pairs, "{name}");
    }
    let object =
        |v: &Value| (v["url"].as_str().unwrap().to_owned(), v["caption"].as_str().unwrap().to_owned());
    let list: Vec<Value> = serde_json::from_slice(&fs::read(write("t.json")).unwrap()).unwrap();
    assert!(list.iter().map(object).collect::<Vec<_>>() == pairs);
    let zstd = zstd::decode_all(File::open(write("t.jsonl.zst")).unwrap()).unwrap();
    let lines = String::from_utf8(zstd).unwrap();
    let read: Vec<_> = lines.lines().map(|line| object(&serde_json::from_str(line).unwrap())).collect();
    assert!(read == pairs);
    assert_eq!(fs::read_to_string(write("t.txt")).unwrap().lines().filter(|l| !l.is_empty()).count(), 400);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(write("t.parquet")).unwrap()).unwrap();
    let names: Vec<_> = reader.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["url", "caption"]);
}

#[test]
fn the_account_is_foretold_exactly() {
    let (world, config) = (world(), config(Source::Cc12m));
    let policy = ClientPolicy { retries: 1, ..ClientPolicy::default() };
    let mut counted = BTreeMap::new();
    for row in world.rows(&config) {
        *counted.entry(row.outcome(&policy).unwrap()).or_insert(0u64) += 1;
    }
    let foretold = world.summary(&config).expectations(&policy);
    assert_eq!(foretold, counted);
    assert_eq!(foretold.values().sum::<u64>(), 400);
    let every = TableConfig { fault_rate: 1.0, ..config };
    let seen = world.summary(&every).faults;
    for fault in Fault::ALL.iter().filter(|f| !Fault::PRIVATE_REDIRECTS.contains(f)) {
        assert!(seen.contains_key(fault), "{fault} is in no table");
    }
}

#[test]
fn rows_do_not_depend_on_where_the_table_starts() {
    let (world, config) = (world(), config(Source::Laion));
    let later = TableConfig { first: 100, rows: 50, ..config.clone() };
    let whole: Vec<_> = world.rows(&config).skip(100).take(50).collect();
    assert!(world.rows(&later).collect::<Vec<_>>() == whole);
}

#[test]
fn rows_spread_over_hosts_and_bad_configs_say_what_to_do() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let hosts = TableConfig {
        base_urls: vec!["http://127.0.0.1:9".to_owned(), "http://127.0.0.2:9".to_owned()],
        fault_rate: 0.0,
        ..config(Source::Laion)
    };
    let second = world.rows(&hosts).filter(|row| row.url.starts_with("http://127.0.0.2")).count();
    assert!((140..260).contains(&second), "{second}");
    let limited = hosts.clone().with_faults(0.9, FaultMix::Every);
    let mut slowing = world.rows(&limited).filter(|row| row.fault.is_some_and(Fault::slows_its_host));
    assert!(slowing.all(|row| row.url.starts_with("http://127.0.0.2")));
    let message = |config: &TableConfig, name: &str| {
        world.write_table(config, &dir.path().join(name)).unwrap_err().to_string()
    };
    assert!(message(&TableConfig { fault_rate: 20.0, ..hosts.clone() }, "a.csv").contains("give 0 to 1"));
    assert!(message(&hosts, "a.xlsx").contains("a.xlsx: unknown table format; end the name in .parquet"));
    assert!(message(&hosts, "no/such/a.csv").contains("a.csv.part"));
}
