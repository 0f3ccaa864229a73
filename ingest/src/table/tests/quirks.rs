//! Real tables' flaws: no row may be lost to them.

use arrow::array::StringArray;
use proptest::prelude::*;

use super::*;

fn open_with(path: &Path, change: impl FnOnce(&mut TableConfig)) -> Tables {
    let mut config = captioned(path);
    change(&mut config);
    Tables::open(&config).unwrap()
}

/// Every row, and the flaws counted on the way.
fn read_counting(tables: &Tables) -> (Vec<Row>, Oddities) {
    let mut blocks = tables.blocks(2);
    let mut rows = Vec::new();
    for block in &mut blocks {
        rows.extend(rows_of(&block.unwrap().rows));
    }
    (rows, blocks.oddities())
}

#[test]
fn f19_ragged_rows_stay_rows_without_half_a_url() {
    let dir = tempfile::tempdir().unwrap();
    let path = text_file(dir.path(), "t.csv", "url,caption\nu1\nu2,b,c,d\n,\nu4,e");
    let (rows, oddities) = read_counting(&open_with(&path, |_| {}));
    assert_eq!(rows, [row(&["∅", "∅"]), row(&["∅", "∅"]), row(&["", ""]), row(&["e", "u4"])]);
    assert_eq!(oddities, Oddities { ragged_rows: 2, ..Oddities::default() });
}

#[test]
fn invalid_utf8_costs_characters_and_not_rows() {
    let dir = tempfile::tempdir().unwrap();
    let expected = [row(&["caf\u{fffd}", "u1"]), row(&["ok", "u2"])];
    let csv = text_file(dir.path(), "t.csv", b"url,caption\nu1,caf\xe9\nu2,ok\n");
    let jsonl = text_file(
        dir.path(),
        "t.jsonl",
        b"{\"url\":\"u1\",\"caption\":\"caf\xe9\"}\n{\"url\":\"u2\",\"caption\":\"ok\"}\n",
    );
    for path in [csv, jsonl] {
        let (rows, oddities) = read_counting(&open_with(&path, |_| {}));
        assert_eq!(rows, expected);
        assert_eq!(oddities.invalid_utf8, 1);
    }
}

/// Parquet that says UTF8 but is not, as writers that do not check it make.
#[test]
fn invalid_utf8_in_parquet_costs_characters_and_not_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("url", Arc::new(StringArray::from(vec!["u1", "u2"]))),
        ("caption", Arc::new(StringArray::from(vec!["cafQ", "ok"]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(::parquet::basic::Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(::parquet::file::properties::EnabledStatistics::None)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let at = bytes.windows(4).position(|window| window == b"cafQ").unwrap();
    bytes[at + 3] = 0xe9;
    let path = dir.path().join("t.parquet");
    std::fs::write(&path, bytes).unwrap();
    let (rows, oddities) = read_counting(&open_with(&path, |_| {}));
    assert_eq!(rows, [row(&["caf\u{fffd}", "u1"]), row(&["ok", "u2"])]);
    assert_eq!(oddities.invalid_utf8, 1);
}

#[test]
fn bare_quotes_of_a_headerless_tsv_are_characters() {
    let dir = tempfile::tempdir().unwrap();
    let path = text_file(dir.path(), "cc3m.tsv", "a \"big\" dog\tu1\n\"half open\tu2\n12\" record\tu3\n");
    let tables = open_with(&path, |config| config.headerless = Some(vec!["caption".into(), "url".into()]));
    assert_eq!(
        read_all(&tables, 9),
        [row(&["a \"big\" dog", "u1"]), row(&["\"half open", "u2"]), row(&["12\" record", "u3"])]
    );
}

#[test]
fn quoted_line_ends_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path =
        text_file(dir.path(), "t.csv", "url,caption\nu1,\"two\nlines\"\n\n\n\nu2,one\nu3,\"a\r\nb\r\nc\"\n");
    let (rows, oddities) = read_counting(&open_with(&path, |_| {}));
    assert_eq!(rows, [row(&["two\nlines", "u1"]), row(&["one", "u2"]), row(&["a\r\nb\r\nc", "u3"])]);
    assert_eq!(oddities, Oddities { multi_line_rows: 2, ..Oddities::default() });
}

#[test]
fn nul_bytes_and_huge_fields_pass() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(3 << 20);
    let path = text_file(dir.path(), "t.csv", format!("url,caption\nu\0#1,a\0b\nu2,{long}\n"));
    assert_eq!(read_all(&open_with(&path, |_| {}), 9), [row(&["a\0b", "u\0#1"]), row(&[&long, "u2"])]);
}

#[test]
fn malformed_json_lines_stay_rows() {
    let dir = tempfile::tempdir().unwrap();
    let lines = [
        r#"{"url": "u1", "caption": "a"}"#,
        r#"{"url": "u2", "capt"#,
        "",
        r#"{"url": "u3", "caption": "\ud83d half"}"#,
        r#"{"url": "u4", "caption": "first", "caption": "last"}"#,
        "[1]",
    ];
    let path = text_file(dir.path(), "t.jsonl", lines.join("\n"));
    let (rows, oddities) = read_counting(&open_with(&path, |_| {}));
    assert_eq!(
        rows,
        [
            row(&["a", "u1"]),
            row(&["∅", "∅"]),
            row(&["\u{fffd} half", "u3"]),
            row(&["last", "u4"]),
            row(&["∅", "∅"])
        ]
    );
    assert_eq!(oddities, Oddities { malformed_rows: 2, ..Oddities::default() });
}

#[test]
fn a_key_may_be_missing_from_the_first_objects() {
    let dir = tempfile::tempdir().unwrap();
    let path = text_file(dir.path(), "t.jsonl", "{\"url\": \"u1\"}\n{\"url\": \"u2\", \"caption\": \"b\"}\n");
    assert_eq!(read_all(&open_with(&path, |_| {}), 9), [row(&["∅", "u1"]), row(&["b", "u2"])]);
}

#[test]
fn concatenated_gzip_members_are_one_text() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = pack("a.gz", b"url,caption\nu1,a\n");
    bytes.extend(pack("b.gz", b"u2,b\n"));
    let path = dir.path().join("t.csv.gz");
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(read_all(&open_with(&path, |_| {}), 9), [row(&["a", "u1"]), row(&["b", "u2"])]);
}

#[test]
fn another_delimiter_can_be_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = text_file(dir.path(), "t.csv", "url;caption\nu1;a, b\n");
    let tables = open_with(&path, |config| config.csv.delimiter = Some(b';'));
    assert_eq!(read_all(&tables, 9), [row(&["a, b", "u1"])]);
}

/// Any cell a CSV writer may have to quote; carriage returns and blank first cells included.
fn cell() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec![
            "a", "\"", ",", "\t", "\n", "\r\n", "犬", " ", "\u{feff}", "'", "\\", "\0", "é",
        ]),
        0..12,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_text_round_trips_through_csv(
        cells in prop::collection::vec((cell(), cell()), 1..20),
        tab in any::<bool>(),
        packed in any::<bool>(),
        per_block in 1u64..7,
    ) {
        let separator = if tab { "\t" } else { "," };
        let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
        let mut text = format!("caption{separator}url\n");
        for (caption, url) in &cells {
            text += &format!("{}{separator}{}\n", quoted(caption), quoted(url));
        }
        let dir = tempfile::tempdir().unwrap();
        let name = format!("t.{}{}", if tab { "tsv" } else { "csv" }, if packed { ".zst" } else { "" });
        let path = text_file(dir.path(), &name, text);
        let rows = read_all(&open_with(&path, |_| {}), per_block);
        let expected: Vec<Row> =
            cells.into_iter().map(|(caption, url)| vec![Some(caption), Some(url)]).collect();
        prop_assert_eq!(rows, expected);
    }

    #[test]
    fn any_text_round_trips_through_a_json_array(
        cells in prop::collection::vec((".{0,20}", ".{0,20}"), 1..20),
        pretty in any::<bool>(),
    ) {
        let objects: Vec<_> = cells
            .iter()
            .map(|(caption, url)| serde_json::json!({"caption": caption, "x": [[], {"k": "]}\"\\"}], "url": url}))
            .collect();
        let text = if pretty { serde_json::to_string_pretty(&objects) } else { serde_json::to_string(&objects) };
        let dir = tempfile::tempdir().unwrap();
        let path = text_file(dir.path(), "t.json", text.unwrap());
        let rows = read_all(&open_with(&path, |_| {}), 3);
        let expected: Vec<Row> =
            cells.into_iter().map(|(caption, url)| vec![Some(caption), Some(url)]).collect();
        prop_assert_eq!(rows, expected);
    }

    /// Whatever is done to a file, reading it ends in rows or in one line of error.
    #[test]
    fn damaged_files_never_panic(
        name in prop::sample::select(vec!["t.parquet", "t.csv.gz", "t.json", "t.jsonl.zst", "t.tsv"]),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let urls: Vec<String> = (0..50).map(|n| format!("http://h/{n}")).collect();
        let path = match name {
            "t.parquet" => {
                let urls: ArrayRef = Arc::new(StringArray::from(urls));
                parquet_file(dir.path(), name, vec![("url", urls.clone()), ("caption", urls)], 20)
            }
            "t.json" | "t.jsonl.zst" => {
                let objects: Vec<_> =
                    urls.iter().map(|url| format!("{{\"url\":\"{url}\",\"caption\":\"c\"}}")).collect();
                let text = if name == "t.json" { format!("[{}]", objects.join(",")) } else { objects.join("\n") };
                text_file(dir.path(), name, text)
            }
            "t.tsv" => text_file(dir.path(), name, format!("caption\turl\n\"c\"\t{}\n", urls.join("\n\"c\"\t"))),
            _ => text_file(dir.path(), name, format!("caption,url\nc,{}\n", urls.join("\nc,"))),
        };
        let mut bytes = std::fs::read(&path).unwrap();
        for (place, value) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        std::fs::write(&path, bytes).unwrap();
        let outcome = Tables::open(&captioned(&path)).and_then(|tables| {
            tables.blocks(20).try_for_each(|block| block.map(drop))
        });
        if let Err(error) = outcome {
            let message = error.to_string();
            prop_assert!(message.contains("t.") && !message.contains('\n'), "{message:?}");
        }
    }
}
