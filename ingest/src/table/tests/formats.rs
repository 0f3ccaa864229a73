//! Every format, plain and compressed, gives the same rows.

use arrow::array::{
    BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, LargeStringArray, ListArray,
    StringArray, StringViewArray,
};
use arrow::datatypes::{Int32Type, Int64Type};

use super::*;

/// uid, caption, url of the common table; a quote, a newline, a tab, a comma and non-ASCII in the captions.
fn expected() -> Vec<Row> {
    vec![
        row(&["1", "a dog", "http://h/1.jpg"]),
        row(&["2", "say \"hi\", he\nsaid\tthen", "http://h/2.jpg"]),
        row(&["30", "Ünïcödé 犬 🐕", "http://h/3.jpg?a=1&b=2"]),
        row(&["4", "", ""]),
    ]
}

fn delimited(separator: char) -> String {
    let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
    let mut text = format!("url{separator}uid{separator}unused{separator}caption\r\n");
    for row in expected() {
        let [uid, caption, url] = &row[..] else { unreachable!("three cells") };
        let cells = [url, uid, &Some("x".to_owned()), caption].map(|cell| quoted(cell.as_ref().unwrap()));
        text += &(cells.join(&separator.to_string()) + "\r\n");
    }
    text
}

fn objects() -> Vec<String> {
    let objects = expected().into_iter().map(|row| {
        serde_json::json!({"url": row[2], "uid": row[0].as_ref().unwrap().parse::<i64>().unwrap(),
            "unused": {"a": ["]", "}"]}, "caption": row[1]})
        .to_string()
    });
    objects.collect()
}

fn config(path: &Path) -> TableConfig {
    TableConfig { save_additional_columns: vec!["uid".into()], ..captioned(path) }
}

#[test]
fn text_formats_round_trip_in_every_compression() {
    let dir = tempfile::tempdir().unwrap();
    let array = format!(" [\n{}\n]\n", objects().join(" ,\n "));
    for (format, text) in
        [("csv", delimited(',')), ("tsv", delimited('\t')), ("json", array), ("jsonl", objects().join("\n"))]
    {
        for packing in ["", ".gz", ".zst"] {
            for mark in ["", "\u{feff}"] {
                let name = format!("table.{format}{packing}");
                let path = text_file(dir.path(), &name, format!("{mark}{text}"));
                let tables = Tables::open(&config(&path)).unwrap();
                assert_eq!(read_all(&tables, 3), expected(), "{name} {mark:?}");
                assert_eq!(tables.schema().field(0).data_type(), &DataType::Int64, "{name}");
                assert_eq!(tables.count_rows(), Some(4), "{name}");
                assert_eq!(tables.format().as_str(), format);
            }
        }
    }
}

#[test]
fn txt_is_one_url_per_line() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["urls.txt", "urls.txt.gz", "urls.txt.zst"] {
        let path =
            text_file(dir.path(), name, "\u{feff}http://h/1,2.jpg\r\n\n  \nnot a url\n http://h/2.jpg ");
        let config = TableConfig { url_list: path.to_str().unwrap().into(), ..TableConfig::default() };
        let tables = Tables::open(&config).unwrap();
        assert_eq!(
            read_all(&tables, 10),
            [row(&["http://h/1,2.jpg"]), row(&["not a url"]), row(&["http://h/2.jpg"])],
            "{name}"
        );
        assert_eq!(tables.count_rows(), None);
    }
}

#[test]
fn parquet_gives_the_same_rows_whatever_the_string_type() {
    let dir = tempfile::tempdir().unwrap();
    let column = |index: usize| expected().into_iter().map(move |row| row[index].clone()).collect::<Vec<_>>();
    let uids: ArrayRef = Arc::new(Int64Array::from_iter_values(
        column(0).iter().map(|uid| uid.as_ref().unwrap().parse().unwrap()),
    ));
    let strings: Vec<(&str, ArrayRef, ArrayRef)> = vec![
        ("utf8", Arc::new(StringArray::from(column(1))), Arc::new(StringArray::from(column(2)))),
        ("large", Arc::new(LargeStringArray::from(column(1))), Arc::new(LargeStringArray::from(column(2)))),
        (
            "view",
            Arc::new(StringViewArray::from_iter(column(1))),
            Arc::new(StringViewArray::from_iter(column(2))),
        ),
        (
            "dictionary",
            Arc::new(column(1).iter().map(Option::as_deref).collect::<DictionaryArray<Int32Type>>()),
            Arc::new(column(2).iter().map(Option::as_deref).collect::<DictionaryArray<Int32Type>>()),
        ),
        ("binary", Arc::new(BinaryArray::from_iter(column(1))), Arc::new(BinaryArray::from_iter(column(2)))),
    ];
    for (name, captions, urls) in strings {
        // Stored in another order than asked for, with columns nobody asked for between.
        let columns =
            vec![("url", urls), ("unused", uids.clone()), ("caption", captions), ("uid", uids.clone())];
        let path = parquet_file(dir.path(), &format!("{name}.parquet"), columns, 3);
        let tables = Tables::open(&config(&path)).unwrap();
        assert_eq!(read_all(&tables, 3), expected(), "{name}");
        assert_eq!(tables.count_rows(), Some(4));
    }
}

#[test]
fn parquet_extras_keep_their_type_and_url_and_caption_become_text() {
    let dir = tempfile::tempdir().unwrap();
    let boxes = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("boxes", Arc::new(boxes)),
        ("score", Arc::new(Float64Array::from(vec![Some(0.25), None]))),
        ("ok", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("small", Arc::new(Int32Array::from(vec![Some(7), None]))),
        ("caption", Arc::new(Int64Array::from(vec![Some(12), None]))),
        ("url", Arc::new(StringArray::from(vec![Some("http://h/"), None]))),
    ];
    let path = parquet_file(dir.path(), "t.parquet", columns, 10);
    let extras = ["small", "boxes", "ok", "score"];
    let config =
        TableConfig { save_additional_columns: extras.map(str::to_owned).into(), ..captioned(&path) };
    let tables = Tables::open(&config).unwrap();
    let types: Vec<_> = tables.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types[0], DataType::Int32);
    assert!(matches!(&types[1], DataType::List(element) if *element.data_type() == DataType::Int64));
    assert_eq!(types[2..], [DataType::Boolean, DataType::Float64, DataType::Utf8, DataType::Utf8]);
    assert_eq!(
        read_all(&tables, 10),
        [row(&["7", "[1, ]", "true", "0.25", "12", "http://h/"]), row(&["∅", "∅", "∅", "∅", "∅", "∅"])]
    );
}

#[test]
fn additional_columns_are_typed_by_all_values_of_all_files() {
    let dir = tempfile::tempdir().unwrap();
    text_file(dir.path(), "a.csv", "url,n,f,b,s\nu1,1,1,true,1\nu2,,,,\n");
    text_file(dir.path(), "b.csv", "s,b,f,n,url\nx,false,0.5,-3,u3\n");
    let config = TableConfig {
        url_list: dir.path().to_str().unwrap().to_owned(),
        save_additional_columns: ["n", "f", "b", "s"].map(str::to_owned).into(),
        ..TableConfig::default()
    };
    let tables = Tables::open(&config).unwrap();
    let types: Vec<_> = tables.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(
        types,
        [DataType::Int64, DataType::Float64, DataType::Boolean, DataType::Utf8, DataType::Utf8]
    );
    assert_eq!(
        read_all(&tables, 10),
        [
            row(&["1", "1.0", "true", "1", "u1"]),
            row(&["∅", "∅", "∅", "", "u2"]),
            row(&["-3", "0.5", "false", "x", "u3"])
        ]
    );

    let tables = Tables::open(&TableConfig { infer_types: false, ..config }).unwrap();
    assert!(tables.schema().fields().iter().all(|field| *field.data_type() == DataType::Utf8));
    assert_eq!(read_all(&tables, 10)[0], row(&["1", "1", "true", "1", "u1"]));
    assert_eq!(tables.count_rows(), None);
}

#[test]
fn json_values_keep_their_shape() {
    let dir = tempfile::tempdir().unwrap();
    let lines = [
        r#"{"url": "u1", "tags": ["a", "b"], "who": {"n": 1}, "mixed": 1, "p": 0.5}"#,
        r#"{"p": NaN, "mixed": "x", "tags": [], "url": "u2"}"#,
        r#"{"tags": null, "who": null, "mixed": [1], "url": 7, "p": 1}"#,
    ];
    let path = text_file(dir.path(), "t.jsonl", lines.join("\n"));
    let config = TableConfig {
        url_list: path.to_str().unwrap().to_owned(),
        save_additional_columns: ["tags", "who", "mixed", "p"].map(str::to_owned).into(),
        ..TableConfig::default()
    };
    let tables = Tables::open(&config).unwrap();
    assert!(matches!(tables.schema().field(0).data_type(), DataType::List(_)));
    assert_eq!(tables.schema().field(3).data_type(), &DataType::Float64);
    assert_eq!(
        read_all(&tables, 2),
        [
            row(&["[a, b]", r#"{"n":1}"#, "1", "0.5", "u1"]),
            row(&["[]", "∅", "x", "∅", "u2"]),
            row(&["∅", "∅", "[1]", "1.0", "7"]),
        ]
    );
}

#[test]
fn files_of_one_parquet_input_may_differ_in_number_width() {
    let dir = tempfile::tempdir().unwrap();
    let urls = || Arc::new(StringArray::from(vec!["u"])) as ArrayRef;
    let ints: ArrayRef = Arc::new(Int32Array::from(vec![7]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.5]));
    parquet_file(dir.path(), "a.parquet", vec![("url", urls()), ("w", ints)], 10);
    parquet_file(dir.path(), "b.parquet", vec![("w", floats), ("url", urls())], 10);
    let config = TableConfig {
        url_list: dir.path().to_str().unwrap().to_owned(),
        save_additional_columns: vec!["w".into()],
        ..TableConfig::default()
    };
    let tables = Tables::open(&config).unwrap();
    assert_eq!(tables.schema().field(0).data_type(), &DataType::Float64);
    assert_eq!(read_all(&tables, 10), [row(&["7.0", "u"]), row(&["0.5", "u"])]);
}

#[test]
fn one_column_may_serve_twice() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("t.csv", "TEXT,url\ncat,u\n"),
        ("t.jsonl", r#"{"TEXT": "cat", "url": "u"}"#),
        ("t.json", r#"[{"TEXT": "cat", "url": "u"}]"#),
    ] {
        let path = text_file(dir.path(), name, text);
        let config = TableConfig {
            caption_col: Some("TEXT".into()),
            save_additional_columns: vec!["TEXT".into()],
            ..captioned(&path)
        };
        assert_eq!(read_all(&Tables::open(&config).unwrap(), 9), [row(&["cat", "cat", "u"])], "{name}");
    }
}

#[test]
fn laion_sample_reads_like_its_footer_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/laion_sample_3000.parquet");
    if !path.exists() {
        eprintln!("SKIPPED: {} is absent", path.display());
        return;
    }
    let config = TableConfig { url_list: path.to_str().unwrap().to_owned(), ..TableConfig::default() };
    let (url_col, caption_col) = match Tables::open(&TableConfig { url_col: "?".into(), ..config.clone() }) {
        Err(TableError::MissingColumn { existing, .. }) => {
            let find =
                |names: [&str; 3]| existing.iter().find(|name| names.contains(&name.as_str())).cloned();
            (find(["url", "URL", "Url"]).unwrap(), find(["caption", "TEXT", "text"]))
        }
        other => panic!("a column `?` was found: {other:?}"),
    };
    let tables = Tables::open(&TableConfig { url_col, caption_col, ..config }).unwrap();
    assert_eq!(tables.count_rows(), Some(3000));
    let sizes: Vec<_> = tables.blocks(1000).map(|block| block.unwrap().rows.num_rows()).collect();
    assert_eq!(sizes, [1000, 1000, 1000]);
}
