//! Parquet shards give what tars give: ours with failed rows among them, and Hugging Face's struct column.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use pairmill_loader::{Dataset, DatasetConfig, LabelFrom, LastBatch, LoaderConfig, Order};
use pairmill_shards::table::VERSION_KEY;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::shards::{Folder, config, ids, key, picture, run};

fn write(folder: &Folder, name: &str, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = std::fs::File::create(folder.path().join(name)).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn strings(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

#[test]
fn f26_a_shard_of_a_newer_format_stops_the_loader() {
    let folder = Folder::new();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("key", strings([Some(key(0, 0))].into_iter())),
        ("status", strings([Some("success".to_owned())].into_iter())),
        ("png", Arc::new(BinaryArray::from_iter_values([picture(0, 0)]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let versioned = |version: &str| {
        let entry = KeyValue::new(VERSION_KEY.to_owned(), version.to_owned());
        let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![entry])).build();
        let file = std::fs::File::create(folder.path().join("00000.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    };
    versioned("1");
    assert_eq!(Dataset::open(&[folder.spec()], &DatasetConfig::default()).unwrap().num_samples(), 1);
    versioned("2");
    let message = Dataset::open(&[folder.spec()], &DatasetConfig::default()).unwrap_err().to_string();
    assert!(message.contains("00000.parquet: written in format version `2`"), "{message}");
}

#[test]
fn ours_with_failed_rows() {
    let folder = Folder::new();
    let fine = |i: &usize| !i.is_multiple_of(5);
    let pictures: Vec<_> = (0..100).map(|i| fine(&i).then(|| picture(0, i))).collect();
    let status = |i: usize| if fine(&i) { "success" } else { "failed_to_download" }.to_owned();
    write(
        &folder,
        "00000.parquet",
        vec![
            ("caption", strings((0..100).map(|i| Some(format!("0 {i}"))))),
            ("key", strings((0..100).map(|i| Some(key(0, i))))),
            ("status", strings((0..100).map(|i| Some(status(i))))),
            ("error_message", strings((0..100).map(|i| (!fine(&i)).then(|| "timed out".to_owned())))),
            ("png", Arc::new(BinaryArray::from_iter(pictures.iter().map(|p| p.as_deref())))),
        ],
    );
    let dataset = Dataset::open(&[folder.spec()], &DatasetConfig::default()).unwrap();
    assert_eq!(dataset.num_samples(), 80);
    let config = LoaderConfig { last_batch: LastBatch::Short, ..config(16) };
    let got = run(&dataset, &config).unwrap();
    let mut sorted = ids(&got);
    sorted.sort_unstable();
    assert_eq!(sorted, (0..100).filter(fine).map(|i| (0, i as i32)).collect::<Vec<_>>());
    let first = got[0].ids[0].unwrap();
    assert!(got[0].pixels.chunks(3).take(64).all(|p| p == [0, first.1 as u8, 200]));
}

#[test]
fn f22_a_status_of_another_tools_table_is_a_column_like_any() {
    let folder = Folder::new();
    let pictures: Vec<_> = (0..10).map(|i| picture(0, i)).collect();
    for status in [strings((0..10).map(|_| Some("new".to_owned()))), Arc::new(Int64Array::from_iter(0..10))] {
        write(
            &folder,
            "0.parquet",
            vec![
                ("key", strings((0..10).map(|i| Some(key(0, i))))),
                ("status", status),
                ("caption", strings((0..10).map(|i| Some(format!("0 {i}"))))),
                ("png", Arc::new(BinaryArray::from_iter_values(&pictures))),
            ],
        );
        let dataset = Dataset::open(&[folder.spec()], &DatasetConfig::default()).unwrap();
        assert_eq!(dataset.num_samples(), 10);
        let config = LoaderConfig { order: Order::Sequential, ..config(10) };
        assert_eq!(ids(&run(&dataset, &config).unwrap()), (0..10).map(|i| (0, i)).collect::<Vec<_>>());
    }
}

#[test]
fn f22_dictionary_columns_are_what_their_values_are() {
    let folder = Folder::new();
    let pictures: Vec<_> = (0..10).map(|i| picture(0, i)).collect();
    let category = |column: ArrayRef| {
        let values = Box::new(column.data_type().clone());
        cast(&column, &DataType::Dictionary(Box::new(DataType::Int32), values)).unwrap()
    };
    write(
        &folder,
        "0.parquet",
        vec![
            ("png", category(Arc::new(BinaryArray::from_iter_values(&pictures)))),
            ("text", category(strings((0..10).map(|i| Some(format!("0 {i}")))))),
            ("label", category(Arc::new(Int64Array::from_iter_values(0..10)))),
        ],
    );
    for label in [LabelFrom::Member("cls".to_owned()), LabelFrom::Json("label".to_owned())] {
        let config = DatasetConfig { label, ..DatasetConfig::default() };
        let dataset = Dataset::open(&[folder.spec()], &config).unwrap();
        let config = LoaderConfig { order: Order::Sequential, ..crate::shards::config(10) };
        let got = run(&dataset, &config).unwrap();
        assert_eq!(got[0].labels, (0..10).collect::<Vec<i64>>());
        assert_eq!(ids(&got), (0..10).map(|i| (0, i)).collect::<Vec<_>>());
    }
}

#[test]
fn hugging_faces_struct_with_labels() {
    let folder = Folder::new();
    let pictures: Vec<_> = (0..10).map(|i| picture(0, i)).collect();
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values(&pictures));
    let paths: ArrayRef = strings((0..10).map(|_| None));
    let image = StructArray::from(vec![
        (Arc::new(Field::new("bytes", DataType::Binary, true)), bytes),
        (Arc::new(Field::new("path", DataType::Utf8, true)), paths),
    ]);
    write(
        &folder,
        "train-00000-of-00001.parquet",
        vec![
            ("image", Arc::new(image)),
            ("text", strings((0..10).map(|i| Some(format!("0 {i}"))))),
            ("label", Arc::new(Int64Array::from_iter_values(0..10))),
        ],
    );
    let config = DatasetConfig { label: LabelFrom::Member("cls".to_owned()), ..DatasetConfig::default() };
    let dataset = Dataset::open(&[folder.spec()], &config).unwrap();
    let config = LoaderConfig { order: Order::Sequential, ..crate::shards::config(10) };
    let got = run(&dataset, &config).unwrap();
    assert_eq!(got[0].labels, (0..10).collect::<Vec<i64>>());
    assert_eq!(ids(&got), (0..10).map(|i| (0, i)).collect::<Vec<_>>());
}

#[test]
fn a_damaged_or_unsuitable_file_is_named() {
    let folder = Folder::new();
    write(&folder, "00000.parquet", vec![("url", strings((0..3).map(|_| None)))]);
    let dataset = Dataset::open(&[folder.spec()], &DatasetConfig::default()).unwrap();
    let message = run(&dataset, &config(1)).unwrap_err().to_string();
    assert!(
        message.contains("00000.parquet: no image column") && message.contains("it has: url"),
        "{message}"
    );
    let path = folder.path().join("00000.parquet");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&path, bytes).unwrap();
    let message = Dataset::open(&[folder.spec()], &DatasetConfig::default()).unwrap_err().to_string();
    assert!(message.contains("00000.parquet: damaged Parquet"), "{message}");
}
