//! Sidecar tables: what is written reads back, bytes depend on rows alone, img2dataset's tables read, and no damage
//! to the bytes does more than give an error.
#![allow(clippy::unwrap_used, reason = "helpers of tests; clippy knows only functions marked as tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use pairmill_shards::hostile;
use pairmill_shards::key::{KeyLayout, ShardId};
use pairmill_shards::stats::ShardStats;
use pairmill_shards::status::{Failure, FailureClass, Status};
use pairmill_shards::table::*;
use proptest::prelude::*;

fn reader_fields() -> Fields {
    Fields::from(vec![
        Field::new("uid", DataType::Int64, false),
        Field::new("caption", DataType::Utf8, true),
        Field::new("url", DataType::Utf8, false),
    ])
}

/// `captions.len()` rows; every third fails.
fn rows(captions: &[Option<String>]) -> (RecordBatch, Vec<RowOutcome>) {
    let n = captions.len();
    let columns: Vec<ArrayRef> = vec![
        Arc::new((0..n as i64).collect::<Int64Array>()),
        Arc::new(captions.iter().map(Option::as_deref).collect::<StringArray>()),
        Arc::new((0..n).map(|i| Some(format!("http://host{}/{i}.jpg", i % 7))).collect::<StringArray>()),
    ];
    let batch = RecordBatch::try_new(Arc::new(Schema::new(reader_fields())), columns).unwrap();
    let layout = KeyLayout::new(10_000, 5).unwrap();
    let outcome = |i: usize| {
        let failed = i % 3 == 2;
        let class = FailureClass::ALL[i % FailureClass::ALL.len()];
        let size = ImageSize {
            width: Some(256),
            height: Some(i as u32 + 1),
            original_width: Some(512),
            original_height: Some(2 * i as u32 + 2),
        };
        RowOutcome {
            key: layout.key(ShardId(7), i as u64),
            result: if failed { Err(Failure::new(class, message::default_message(class))) } else { Ok(size) },
            exif: (!failed).then(|| "{}".to_owned()),
            hash: (!failed).then(|| HashKind::Sha256.hex_digest(&[i as u8])),
            final_url: i.is_multiple_of(5).then(|| format!("https://elsewhere/{i}")),
            attempts: (i % 4) as u32,
            retry_of: None,
        }
    };
    (batch, (0..n).map(outcome).collect())
}

fn schema(options: SidecarOptions) -> SidecarSchema {
    SidecarSchema::new(&reader_fields(), options).unwrap()
}

fn standard() -> SidecarOptions {
    SidecarOptions { exif: true, hash: Some(HashKind::Sha256), ..SidecarOptions::default() }
}

/// Writes the rows in pieces that end at `cuts`.
fn written(captions: &[Option<String>], cuts: &[usize]) -> Vec<u8> {
    let (batch, outcomes) = rows(captions);
    let mut writer = SidecarWriter::new(Vec::new(), &schema(standard())).unwrap();
    let mut from = 0;
    for &to in cuts.iter().chain([&captions.len()]) {
        let to = to.clamp(from, captions.len());
        writer.write(&batch.slice(from, to - from), &outcomes[from..to], None).unwrap();
        from = to;
    }
    writer.finish().unwrap()
}

fn plain_captions(n: usize) -> Vec<Option<String>> {
    (0..n).map(|i| (i % 10 != 9).then(|| format!("caption {i}"))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn rows_read_back_and_bytes_do_not_depend_on_batches(
        captions in proptest::collection::vec(proptest::option::of(any::<String>()), 0..60),
        cuts in proptest::collection::vec(0usize..60, 0..4),
    ) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let bytes = written(&captions, &cuts);
        prop_assert_eq!(&bytes, &written(&captions, &[]));
        let reader = SidecarReader::from_bytes(Path::new("00007.parquet"), bytes).unwrap();
        let read: Vec<SidecarRow> = reader.rows(RowColumns::All).unwrap().map(Result::unwrap).collect();
        let (_, outcomes) = rows(&captions);
        prop_assert_eq!(read.len(), outcomes.len());
        for (i, (row, outcome)) in read.iter().zip(&outcomes).enumerate() {
            prop_assert_eq!(row.key.as_str(), outcome.key.as_str());
            prop_assert_eq!(row.status, outcome.status());
            prop_assert_eq!(row.failure_class, outcome.failure_class());
            prop_assert_eq!(row.error_message.as_deref(), outcome.error_message());
            prop_assert_eq!(&row.caption, &captions[i]);
            prop_assert_eq!(row.height.map(|h| h as u32), outcome.size().height);
            prop_assert_eq!(row.attempts, Some(outcome.attempts as i32));
            prop_assert_eq!(&row.final_url, &outcome.final_url);
        }
    }
}

#[test]
fn row_groups_have_the_documented_size_however_rows_arrive() {
    let captions = plain_captions(2_500);
    let bytes = written(&captions, &[1, 999, 1_000, 1_001, 2_400]);
    assert_eq!(bytes, written(&captions, &[]));
    let reader = SidecarReader::from_bytes(Path::new("t"), bytes).unwrap();
    assert_eq!((reader.num_rows(), reader.max_group_rows()), (2_500, SIDECAR_ROW_GROUP_ROWS as u64));
    assert_eq!(reader.key_value("pairmill.format_version"), Some("1"));
}

#[test]
fn images_stand_last_as_binary_or_as_hugging_faces_struct() {
    let (batch, outcomes) = rows(&plain_captions(250));
    let images: Vec<Option<Vec<u8>>> =
        outcomes.iter().map(|o| o.result.is_ok().then(|| o.key.as_str().as_bytes().to_vec())).collect();
    for image_as_struct in [false, true] {
        let options = SidecarOptions { image: Some("webp".to_owned()), image_as_struct, ..standard() };
        let mut writer = SidecarWriter::new(Vec::new(), &schema(options)).unwrap();
        writer.write(&batch, &outcomes, Some(&images)).unwrap();
        let reader = SidecarReader::from_bytes(Path::new("t"), writer.finish().unwrap()).unwrap();
        assert_eq!(reader.max_group_rows(), IMAGE_ROW_GROUP_ROWS as u64);
        let name = if image_as_struct { "image" } else { "webp" };
        assert_eq!(reader.schema().fields().last().unwrap().name(), name);
        assert_eq!(reader.key_value("huggingface").is_some(), image_as_struct);
        let mut at = 0;
        for batch in reader.batches(Some(&[name])).unwrap() {
            let batch = batch.unwrap();
            assert_eq!(batch.num_columns(), 1);
            let column = batch.column(0);
            let bytes =
                if image_as_struct { column.as_struct().column(0) } else { column }.as_binary::<i32>();
            for i in 0..batch.num_rows() {
                assert_eq!((!column.is_null(i)).then(|| bytes.value(i)), images[at].as_deref(), "row {at}");
                if image_as_struct && !column.is_null(i) {
                    let path = column.as_struct().column(1).as_string::<i32>().value(i);
                    assert_eq!(path, format!("{}.webp", outcomes[at].key));
                }
                at += 1;
            }
        }
        assert_eq!(at, 250);
    }
}

#[test]
fn a_failed_row_keeps_the_hash_it_was_promised() {
    let fields = Fields::from(vec![
        Field::new("url", DataType::Utf8, true),
        Field::new("sha256", DataType::Utf8, true),
    ]);
    let (_, outcomes) = rows(&plain_captions(3));
    let promised: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["u0", "u1", "u2"])),
        Arc::new(StringArray::from(vec![Some("p0"), Some("p1"), Some("p2")])),
    ];
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields.clone())), promised).unwrap();
    let schema = SidecarSchema::new(&fields, standard()).unwrap();
    let mut writer = SidecarWriter::new(Vec::new(), &schema).unwrap();
    writer.write(&batch, &outcomes, None).unwrap();
    let reader = SidecarReader::from_bytes(Path::new("t"), writer.finish().unwrap()).unwrap();
    let batch = reader.batches(Some(&["sha256"])).unwrap().next().unwrap().unwrap();
    let column = batch.column(0).as_string::<i32>();
    assert_eq!(column.value(0), outcomes[0].hash.as_deref().unwrap());
    assert_eq!(column.value(2), "p2");
    // The JSON has the computed hash at the end instead.
    let names = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    };
    let text = sample_json(&reader_batch(&fields), 0, &outcomes[0], &schema);
    assert_eq!(
        names(&text),
        "url key status error_message width height original_width original_height exif sha256"
    );
}

fn reader_batch(fields: &Fields) -> RecordBatch {
    let column: ArrayRef = Arc::new(StringArray::from(vec!["u0"]));
    RecordBatch::try_new(Arc::new(Schema::new(fields.clone())), vec![Arc::clone(&column), column]).unwrap()
}

#[test]
fn a_samples_json_is_img2datasets() {
    let (batch, outcomes) = rows(&[Some("caf\u{e9} \"x\"".to_owned())]);
    let expected = format!(
        r#"{{
    "uid": 0,
    "caption": "caf\u00e9 \"x\"",
    "url": "http://host0/0.jpg",
    "key": "000070000",
    "status": "success",
    "error_message": null,
    "width": 256,
    "height": 1,
    "original_width": 512,
    "original_height": 2,
    "exif": "{{}}",
    "sha256": "{}"
}}"#,
        HashKind::Sha256.hex_digest(&[0])
    );
    assert_eq!(sample_json(&batch, 0, &outcomes[0], &schema(standard())), expected);
}

#[test]
fn rows_of_another_shape_are_refused() {
    let (batch, outcomes) = rows(&plain_captions(4));
    let mut writer = SidecarWriter::new(Vec::new(), &schema(standard())).unwrap();
    for (rows, outcomes, images) in [
        (batch.slice(0, 3), &outcomes[..], None),
        (batch.project(&[0, 1]).unwrap(), &outcomes[..], None),
        (batch.project(&[1, 1, 2]).unwrap(), &outcomes[..], None),
        (batch.clone(), &outcomes[..], Some(&[][..])),
    ] {
        assert!(matches!(writer.write(&rows, outcomes, images), Err(TableError::Shape(_))));
    }
}

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/img2dataset-1.47").join(path)
}

#[test]
fn img2datasets_tables_read_with_classes_from_their_messages() {
    for folder in ["webdataset", "parquet"] {
        let mut classes = Vec::new();
        for shard in ["00000", "00001"] {
            let reader = SidecarReader::open(&fixture(&format!("{folder}/{shard}.parquet"))).unwrap();
            let stats = ShardStats::read(&fixture(&format!("{folder}/{shard}_stats.json"))).unwrap();
            assert_eq!(reader.num_rows(), stats.count);
            for row in reader.rows(RowColumns::All).unwrap() {
                let row = row.unwrap();
                assert_eq!((row.attempts, row.retry_of), (None, None));
                assert_eq!(row.status == Status::Success, row.width.is_some());
                classes.extend(row.failure_class.map(|c| (row.key, c)));
            }
        }
        classes.sort();
        let words: Vec<_> = classes.iter().map(|(key, class)| format!("{key} {class}")).collect();
        assert_eq!(
            words,
            [
                "000002 http_4xx",
                "000004 not_an_image",
                "000007 too_small",
                "000008 opt_out",
                "000010 aspect",
                "000011 timeout",
                "000012 http_4xx"
            ]
        );
    }
}

#[test]
fn what_is_no_sidecar_is_an_error_that_says_so() {
    let open =
        |bytes: &[u8]| SidecarReader::from_bytes(Path::new("00003.parquet"), bytes.to_vec()).unwrap_err();
    for bytes in [&b""[..], b"PAR1", b"PAR1\0\0\0\0PAR1", b"PAR1xxxx\xff\xff\xff\x7fPAR1"] {
        let text = open(bytes).to_string();
        assert!(text.contains("00003.parquet") && text.contains("fetch it again"), "{text}");
    }
    assert!(open(b"<html>").to_string().contains("HTML page"));
    assert!(
        SidecarReader::open(Path::new("no/such.parquet"))
            .unwrap_err()
            .to_string()
            .contains("no/such.parquet")
    );
}

/// Flips and cuts bytes everywhere; the reader must give rows or errors, nothing else.
#[test]
fn damaged_bytes_give_rows_or_errors() {
    let table = written(&plain_captions(40), &[]);
    let theirs = std::fs::read(fixture("webdataset/00000.parquet")).unwrap();
    let stats = std::fs::read(fixture("webdataset/00000_stats.json")).unwrap();
    // Arrow's own asserts print through the panic hook although they are caught; keep the test's output readable.
    std::panic::set_hook(Box::new(|_| {}));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    let mut accepted = 0;
    for seed in [&table, &theirs, &stats] {
        for _ in 0..1_500 {
            let mut bytes = seed.clone();
            for _ in 0..=next(4) {
                let at = next(bytes.len());
                match next(3) {
                    0 => bytes[at] ^= 1 << next(8),
                    1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][next(5)],
                    _ => bytes.truncate(at.max(1)),
                }
            }
            accepted += u32::from(hostile::read_table(&bytes).is_ok())
                + u32::from(hostile::read_stats(&bytes).is_ok());
        }
    }
    assert!(accepted > 0, "mutations never leave a file readable, so they test nothing beyond the footer");
    assert!(hostile::read_table(&table).is_ok() && hostile::read_stats(&stats).is_ok());
}
