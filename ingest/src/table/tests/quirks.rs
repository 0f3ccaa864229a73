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
fn f18_bytes_of_a_url_go_out_as_they_came_in_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let url = b"http://h/caf\xe9 \xc3\xa9/\xff.jpg?q=\x80";
    let sent = "http://h/caf%E9 %C3%A9/%FF.jpg?q=%80";
    let plain = "http://h/caf\u{e9}.jpg";
    let around = |before: &str, between: &str, after: &str| {
        [before.as_bytes(), url, between.as_bytes(), plain.as_bytes(), after.as_bytes()].concat()
    };
    for (name, bytes) in [
        ("t.csv", around("url,caption\n\"", "\",a\n", ",b\n")),
        ("t.tsv.gz", around("url\tcaption\n", "\ta\n", "\tb\n")),
        ("t.txt", around("", "\n", "\n")),
        (
            "t.json",
            around("[{\"caption\": \"a\", \"url\": \"", "\"}, {\"url\": \"", "\", \"caption\": \"b\"}]"),
        ),
        (
            "t.jsonl.zst",
            around("{\"caption\": \"a\", \"url\": \"", "\"}\n{\"url\": \"", "\", \"caption\": \"b\"}"),
        ),
    ] {
        let path = text_file(dir.path(), name, bytes);
        let has_captions = name != "t.txt";
        let tables = open_with(&path, |config| {
            config.caption_col = has_captions.then(|| "caption".to_owned());
        });
        let (rows, oddities) = read_counting(&tables);
        let urls: Vec<_> = rows.iter().map(|row| row.last().unwrap().as_deref().unwrap()).collect();
        assert_eq!(urls, [sent, plain], "{name}");
        assert_eq!(oddities, Oddities::default(), "{name}: nothing was lost");
    }
    let urls: ArrayRef = Arc::new(BinaryArray::from_vec(vec![url, plain.as_bytes()]));
    let path = parquet_file(dir.path(), "t.parquet", vec![("url", urls)], 10);
    let (rows, _) = read_counting(&open_with(&path, |config| config.caption_col = None));
    assert_eq!(rows, [row(&[sent]), row(&[plain])]);
}

#[test]
fn f19_a_first_line_of_excel_names_the_delimiter() {
    let dir = tempfile::tempdir().unwrap();
    let expected = [row(&["a, b", "u1"]), row(&["c", "u2"])];
    for (name, text) in [
        ("a.csv", "sep=;\r\nurl;caption\r\nu1;a, b\r\nu2;c\r\n"),
        ("b.csv", "\u{feff}\"sep=|\"\nurl|caption\nu1|a, b\nu2|c\n"),
        ("c.csv", "SEP=\t\nurl\tcaption\nu1\ta, b\nu2\tc\n"),
        ("d.tsv", "sep=,\nurl,caption\nu1,\"a, b\"\nu2,c\n"),
    ] {
        let path = text_file(dir.path(), name, text);
        assert_eq!(read_all(&open_with(&path, |_| {}), 9), expected, "{name}");
    }
    let headerless = text_file(dir.path(), "e.csv", "sep=;\nu1;a, b\nu2;c\n");
    let tables =
        open_with(&headerless, |config| config.headerless = Some(vec!["url".into(), "caption".into()]));
    assert_eq!(read_all(&tables, 9), expected);
    // Lines are counted from the first.
    let open = text_file(dir.path(), "f.csv", "sep=;\r\nurl;caption\r\nu1;\"a");
    let error = Tables::open(&captioned(&open)).unwrap_err().to_string();
    assert!(error.contains("(line 3)"), "{error}");
    // A column may be called so.
    let named = text_file(dir.path(), "g.csv", "sep=,url,caption\nx,u1,a\n");
    assert_eq!(read_all(&open_with(&named, |_| {}), 9), [row(&["a", "u1"])]);
}

#[test]
fn f19_a_mark_of_the_end_is_no_row() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a.csv", "url,caption\nu1,a\n\x1a"),
        ("b.csv.gz", "url,caption\r\nu1,a\r\n\x1a\r\n"),
        ("c.tsv", "caption\turl\na\tu1\x1a"),
        ("d.jsonl", "{\"url\": \"u1\", \"caption\": \"a\"}\n\x1a\n"),
        ("e.json", "[{\"url\": \"u1\", \"caption\": \"a\"}]\n\x1a"),
    ] {
        let path = text_file(dir.path(), name, text);
        let (rows, oddities) = read_counting(&open_with(&path, |_| {}));
        assert_eq!((rows, oddities), (vec![row(&["a", "u1"])], Oddities::default()), "{name}");
    }
    let lines = text_file(dir.path(), "f.txt", "u1\nu2\n\x1a");
    let rows = read_all(&open_with(&lines, |config| config.caption_col = None), 9);
    assert_eq!(rows, [row(&["u1"]), row(&["u2"])]);
}

#[test]
fn f19_zeros_behind_a_packed_table_are_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let text = "url,caption\nu1,a\nu2,b\n";
    for ending in ["gz", "bz2"] {
        let (first, second) = text.as_bytes().split_at(17);
        let (first, second) = (pack(&format!("t.{ending}"), first), pack(&format!("t.{ending}"), second));
        for (bytes, name) in [
            ([&first[..], &second, &[0; 3]].concat(), "end"),
            ([&first[..], &second, &[0; 100_000]].concat(), "blocks"),
            ([&first[..], &[0; 512], &second].concat(), "between"),
        ] {
            let path = dir.path().join(format!("{name}.csv.{ending}"));
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(
                read_all(&open_with(&path, |_| {}), 9),
                [row(&["a", "u1"]), row(&["b", "u2"])],
                "{name}"
            );
        }
        let path = dir.path().join(format!("else.csv.{ending}"));
        std::fs::write(&path, [&first[..], b"and something else"].concat()).unwrap();
        let opened = Tables::open(&captioned(&path));
        let error = opened.map_or_else(Some, |tables| tables.blocks(9).find_map(Result::err));
        assert!(error.is_some_and(|error| error.to_string().contains("broken ")), "{ending}");
    }
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
