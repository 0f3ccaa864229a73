//! Every type of Arrow that a Parquet file can hold, as a caption and as a kept column: it is taken, or the column, its
//! type and what to do are named. No file is called damaged for a type.

use arrow::array::*;
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::*;

use super::*;

fn array(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

/// A name, two values, and what the first is as a caption; no text where it cannot be one.
fn every_type() -> Vec<(&'static str, ArrayRef, Option<&'static str>)> {
    let ints = array(Int64Array::from(vec![5, 6]));
    let as_type = |kind: DataType| cast(&ints, &kind).unwrap();
    // 2020-01-02 03:04:05 UTC
    let seconds = array(Int64Array::from(vec![1_577_934_245, 0]));
    let instant = |unit: TimeUnit, zone: Option<&str>| {
        let plain = cast(&seconds, &DataType::Timestamp(TimeUnit::Second, None)).unwrap();
        let plain = cast(&plain, &DataType::Timestamp(unit, None)).unwrap();
        let data = plain.to_data().into_builder();
        let data = data.data_type(DataType::Timestamp(unit, zone.map(Into::into))).build().unwrap();
        make_array(data)
    };
    let texts = array(StringArray::from(vec!["a dog", "a cat"]));
    let of_texts = |kind: DataType| cast(&texts, &kind).unwrap();
    let bytes: Vec<&[u8]> = vec![b"a dog", b"a cat"];
    let item = |kind: DataType| Arc::new(Field::new("item", kind, true));
    let lists = |kind: &DataType| cast(&texts, kind).unwrap();
    let entries = StructArray::from(vec![
        (Arc::new(Field::new("keys", DataType::Utf8, false)), texts.clone()),
        (Arc::new(Field::new("values", DataType::Int64, true)), ints.clone()),
    ]);
    let map = MapArray::new(
        Arc::new(Field::new("entries", entries.data_type().clone(), false)),
        OffsetBuffer::new(ScalarBuffer::from(vec![0, 1, 2])),
        entries.clone(),
        None,
        false,
    );
    let dictionary =
        |values: ArrayRef| array(DictionaryArray::<Int32Type>::new(Int32Array::from(vec![1, 0]), values));
    let decimal = |kind: DataType| cast(&cast(&ints, &DataType::Float64).unwrap(), &kind).unwrap();
    let months = array(IntervalYearMonthArray::from(vec![13, 0]));
    let days = array(IntervalDayTimeArray::from(vec![IntervalDayTime::new(1, 2000), IntervalDayTime::ZERO]));
    let nanos = array(IntervalMonthDayNanoArray::from(vec![
        IntervalMonthDayNano::new(1, 2, 3),
        IntervalMonthDayNano::ZERO,
    ]));
    vec![
        ("null", array(NullArray::new(2)), Some("∅")),
        ("bool", array(BooleanArray::from(vec![true, false])), Some("true")),
        ("int8", as_type(DataType::Int8), Some("5")),
        ("int16", as_type(DataType::Int16), Some("5")),
        ("int32", as_type(DataType::Int32), Some("5")),
        ("int64", ints.clone(), Some("5")),
        ("uint8", as_type(DataType::UInt8), Some("5")),
        ("uint16", as_type(DataType::UInt16), Some("5")),
        ("uint32", as_type(DataType::UInt32), Some("5")),
        ("uint64", as_type(DataType::UInt64), Some("5")),
        ("float16", as_type(DataType::Float16), Some("5.0")),
        ("float32", as_type(DataType::Float32), Some("5.0")),
        ("float64", as_type(DataType::Float64), Some("5.0")),
        ("decimal32", decimal(DataType::Decimal32(9, 2)), Some("5.00")),
        ("decimal64", decimal(DataType::Decimal64(18, 2)), Some("5.00")),
        ("decimal128", decimal(DataType::Decimal128(20, 2)), Some("5.00")),
        ("decimal256", decimal(DataType::Decimal256(50, 2)), Some("5.00")),
        ("utf8", texts.clone(), Some("a dog")),
        ("large_utf8", of_texts(DataType::LargeUtf8), Some("a dog")),
        ("utf8_view", of_texts(DataType::Utf8View), Some("a dog")),
        ("binary", array(BinaryArray::from(bytes.clone())), Some("a dog")),
        ("large_binary", array(LargeBinaryArray::from(bytes.clone())), Some("a dog")),
        ("binary_view", array(BinaryViewArray::from(bytes.clone())), Some("a dog")),
        ("fixed_size_binary", array(FixedSizeBinaryArray::try_from_iter(bytes.into_iter()).unwrap()), None),
        ("date32", as_type(DataType::Date32), Some("1970-01-06")),
        ("date64", as_type(DataType::Date64), Some("1970-01-01T00:00:00.005")),
        (
            "time32_s",
            cast(&as_type(DataType::Int32), &DataType::Time32(TimeUnit::Second)).unwrap(),
            Some("00:00:05"),
        ),
        (
            "time32_ms",
            cast(&as_type(DataType::Int32), &DataType::Time32(TimeUnit::Millisecond)).unwrap(),
            Some("00:00:00.005"),
        ),
        ("time64_us", as_type(DataType::Time64(TimeUnit::Microsecond)), Some("00:00:00.000005")),
        ("time64_ns", as_type(DataType::Time64(TimeUnit::Nanosecond)), Some("00:00:00.000000005")),
        ("timestamp_s", instant(TimeUnit::Second, None), Some("2020-01-02T03:04:05")),
        ("timestamp_ms", instant(TimeUnit::Millisecond, None), Some("2020-01-02T03:04:05")),
        ("timestamp_us", instant(TimeUnit::Microsecond, None), Some("2020-01-02T03:04:05")),
        ("timestamp_ns", instant(TimeUnit::Nanosecond, None), Some("2020-01-02T03:04:05")),
        ("timestamp_s_utc", instant(TimeUnit::Second, Some("UTC")), Some("2020-01-02T03:04:05Z")),
        ("timestamp_us_utc", instant(TimeUnit::Microsecond, Some("UTC")), Some("2020-01-02T03:04:05Z")),
        (
            "timestamp_ns_berlin",
            instant(TimeUnit::Nanosecond, Some("Europe/Berlin")),
            Some("2020-01-02T03:04:05Z"),
        ),
        ("timestamp_ms_offset", instant(TimeUnit::Millisecond, Some("+02:00")), Some("2020-01-02T03:04:05Z")),
        (
            "timestamp_us_unknown",
            instant(TimeUnit::Microsecond, Some("Nowhere/Atlantis")),
            Some("2020-01-02T03:04:05Z"),
        ),
        ("duration_s", as_type(DataType::Duration(TimeUnit::Second)), Some("PT5S")),
        ("duration_ns", as_type(DataType::Duration(TimeUnit::Nanosecond)), Some("PT0.000000005S")),
        ("interval_months", months, Some("1 years 1 mons")),
        ("interval_days", days, Some("1 days 2.000 secs")),
        ("interval_nanos", nanos, None),
        ("dictionary_of_text", dictionary(texts.clone()), Some("a cat")),
        ("dictionary_of_int", dictionary(ints.clone()), Some("6")),
        (
            "dictionary_of_instant",
            dictionary(instant(TimeUnit::Microsecond, Some("UTC"))),
            Some("1970-01-01T00:00:00Z"),
        ),
        ("list", lists(&DataType::List(item(DataType::Utf8))), None),
        ("large_list", lists(&DataType::LargeList(item(DataType::Utf8))), None),
        ("fixed_size_list", lists(&DataType::FixedSizeList(item(DataType::Utf8), 1)), None),
        ("list_view", lists(&DataType::ListView(item(DataType::Utf8))), None),
        (
            "list_of_instants",
            cast(
                &instant(TimeUnit::Microsecond, Some("UTC")),
                &DataType::List(item(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))),
            )
            .unwrap(),
            None,
        ),
        ("struct", array(entries), None),
        ("map", array(map), None),
    ]
}

fn file_of(dir: &Path, name: &str, values: &ArrayRef) -> Option<PathBuf> {
    let path = dir.join(format!("{name}.parquet"));
    let urls: ArrayRef = Arc::new(StringArray::from(vec!["u1", "u2"]));
    let batch = RecordBatch::try_from_iter_with_nullable([("url", urls, true), ("x", values.clone(), true)]);
    let batch = batch.unwrap();
    let file = std::fs::File::create(&path).unwrap();
    // The writer has no form for some types.
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).ok()?;
    writer.write(&batch).ok()?;
    writer.close().ok()?;
    Some(path)
}

fn outcome(config: &TableConfig) -> Result<Vec<Row>, String> {
    let tables = Tables::open(config).map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    for block in tables.blocks(9) {
        let block = block.map_err(|error| error.to_string())?;
        let fields = block.rows.schema();
        let written = pairmill_shards::json::cell_to_json(block.rows.column(0), 0);
        rows.push(vec![Some(fields.field(0).data_type().to_string()), Some(format!("{written:?}"))]);
        if config.caption_col.is_some() {
            rows.extend(rows_of(&block.rows));
        }
    }
    Ok(rows)
}

#[test]
fn f19_a_column_of_any_type_is_taken_or_named() {
    let dir = tempfile::tempdir().unwrap();
    let (mut wrong, mut unwritten) = (Vec::new(), Vec::new());
    for (name, values, text) in every_type() {
        let Some(path) = file_of(dir.path(), name, &values) else {
            unwritten.push(name);
            continue;
        };
        let config = TableConfig { caption_col: Some("x".to_owned()), ..captioned(&path) };
        let caption = match outcome(&config) {
            Ok(rows) => rows.get(1).and_then(|row| row[0].clone()).unwrap_or_else(|| "∅".to_owned()),
            Err(message) => message,
        };
        let named =
            |message: &str| message.contains("column `x`") && message.contains("; name another column");
        if !text.map_or_else(|| named(&caption), |text| caption == text) {
            wrong.push(format!("{name} as a caption: {caption}"));
        }
        let config = TableConfig {
            caption_col: None,
            save_additional_columns: vec!["x".to_owned()],
            ..captioned(&path)
        };
        match outcome(&config) {
            Ok(rows) if rows.len() == 1 && (rows[0][1].as_deref() != Some("Null") || name == "null") => {}
            Ok(rows) => wrong.push(format!("{name} kept: {rows:?}")),
            Err(message) if named(&message) => {}
            Err(message) => wrong.push(format!("{name} kept: {message}")),
        }
    }
    assert!(wrong.is_empty(), "{}\nnot written: {unwritten:?}", wrong.join("\n"));
    assert!(unwritten.len() < 4, "{unwritten:?}");
}

/// Kept columns go into the sidecar and the samples' JSON, and `--where` may name them.
#[test]
fn f19_columns_of_every_type_go_through_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let urls: ArrayRef = Arc::new(StringArray::from(vec!["no address", "none either"]));
    let every =
        every_type().into_iter().filter(|(name, values, _)| file_of(dir.path(), name, values).is_some());
    let columns: Vec<(String, ArrayRef)> = every.map(|(name, values, _)| (name.to_owned(), values)).collect();
    let path = dir.path().join("all.parquet");
    let all =
        columns.iter().cloned().chain([("url".to_owned(), urls)]).map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(all).unwrap();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut config = crate::config::Config::default();
    config.input.url_list = path.to_str().unwrap().to_owned();
    config.input.save_additional_columns = columns.iter().map(|(name, _)| name.clone()).collect();
    config.output.output_folder = dir.path().join("out");
    config.output.output_format = crate::config::OutputFormat::Webdataset;
    config.runtime.quiet = true;
    // Bytes of fixed length have no value in SQL, as lists have none.
    let flat = columns.iter().filter(|(name, values)| {
        !values.data_type().is_nested() && !["null", "fixed_size_binary"].contains(&name.as_str())
    });
    let named: Vec<String> = flat.map(|(name, _)| format!("{name} IS NOT NULL")).collect();
    config.filter.predicate = Some(format!("{} AND timestamp_us_utc > '1999'", named.join(" AND ")));
    let report = crate::run::run(&config, &AtomicBool::new(false)).unwrap();
    // The second instant is of 1970.
    assert!(report.complete && report.account.outcomes.rows == 1, "{report:?}");
    let table = config.output.output_folder.join("00000.parquet");
    let reader = pairmill_shards::table::SidecarReader::open(&table).unwrap();
    let rows = reader.batches(None).unwrap().next().unwrap().unwrap();
    for (name, values) in columns {
        let written = rows.column_by_name(&name).unwrap_or_else(|| panic!("no {name}"));
        let kept = pairmill_shards::json::cell_to_json(written, 0);
        assert_eq!(kept, pairmill_shards::json::cell_to_json(&values, 0), "{name}");
    }
}
