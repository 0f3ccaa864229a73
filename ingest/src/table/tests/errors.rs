//! Each refusal is one line that names the file, the place and the fix.

use arrow::array::{Int64Array, ListArray, StringArray};
use arrow::datatypes::Int64Type;

use super::*;

/// Message of the first error that opening or reading `list` in `dir` ends in; the folder's path becomes `DIR`.
fn error_of(dir: &Path, list: &str, change: impl FnOnce(&mut TableConfig)) -> String {
    let mut config = captioned(&dir.join(list));
    change(&mut config);
    let error = match Tables::open(&config) {
        Err(error) => error,
        Ok(tables) => tables.blocks(100).find_map(Result::err).expect("neither opening nor reading failed"),
    };
    let message = error.to_string().replace(dir.to_str().unwrap(), "DIR");
    assert!(!message.contains('\n'), "{message:?}");
    message
}

fn strings(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn missing_columns_are_named_with_those_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    parquet_file(dir, "a.parquet", vec![("URL", strings(&["u"])), ("TEXT", strings(&["t"]))], 9);
    text_file(dir, "a.csv", "URL,TEXT\nu,t\n");
    text_file(dir, "a.jsonl", "{\"URL\": \"u\", \"TEXT\": \"t\"}");
    text_file(dir, "a.json", "[{\"URL\": \"u\", \"TEXT\": \"t\"}]");
    for name in ["a.parquet", "a.csv", "a.jsonl", "a.json"] {
        assert_eq!(
            error_of(dir, name, |config| config.url_col = "URL".into()),
            format!(
                "DIR/{name}: no column `caption` (--caption-col); the columns are URL, TEXT; \
                 name one of them with --caption-col"
            )
        );
    }
    // Also in a later file, before anything is fetched.
    text_file(dir, "b.csv", "url,caption\nu,t\n");
    assert!(
        error_of(dir, "*.csv", |c| c.url_col = "URL".into()).starts_with("DIR/a.csv: no column `caption`")
    );
    text_file(dir, "a.csv", "url,caption\nu,t\n");
    text_file(dir, "b.csv", "url,captoin\nu,t\n");
    assert_eq!(
        error_of(dir, "*.csv", |_| {}),
        "DIR/b.csv: no column `caption` (--caption-col); the columns are url, captoin; \
         did you mean --caption-col captoin?"
    );
}

#[test]
fn unreadable_parquet() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    text_file(dir, "no.parquet", "url,caption\n");
    assert_eq!(
        error_of(dir, "no.parquet", |_| {}),
        "DIR/no.parquet: cannot read as parquet: no Parquet file, it has no Parquet footer; \
         the file is damaged or of another format (see --input-format)"
    );
    let long: Vec<String> = (0..9_000).map(|n| format!("http://h/{n}")).collect();
    let column = || Arc::new(StringArray::from(long.clone())) as ArrayRef;
    let path = parquet_file(dir, "hole.parquet", vec![("url", column()), ("caption", column())], 3_000);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle - 400..middle + 400].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let message = error_of(dir, "hole.parquet", |_| {});
    assert!(message.starts_with("DIR/hole.parquet: cannot read as parquet at row "), "{message}");
}

#[test]
fn columns_without_text_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)])]);
    parquet_file(dir, "a.parquet", vec![("url", strings(&["u"])), ("caption", Arc::new(lists))], 9);
    let message = error_of(dir, "a.parquet", |_| {});
    assert!(message.starts_with("DIR/a.parquet: column `caption` (--caption-col) holds List("), "{message}");
    assert!(message.ends_with(", not text; name another column"), "{message}");
}

#[test]
fn files_with_nothing_in_common_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)])]);
    let both = || vec![("url", strings(&["u"])), ("caption", strings(&["c"]))];
    let with = |name, array| both().into_iter().chain([(name, array)]).collect();
    parquet_file(dir, "a.parquet", with("x", Arc::new(Int64Array::from(vec![1])) as ArrayRef), 9);
    parquet_file(dir, "b.parquet", with("x", Arc::new(lists)), 9);
    let message = error_of(dir, "*.parquet", |config| config.save_additional_columns = vec!["x".into()]);
    assert!(message.starts_with("DIR/b.parquet: column `x` holds List("), "{message}");
    assert!(message.ends_with("but DIR/a.parquet holds Int64; ingest the two in separate runs"), "{message}");
}

#[test]
fn empty_tables() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    parquet_file(dir, "a.parquet", vec![("url", strings(&[])), ("caption", strings(&[]))], 9);
    for (name, text) in [("a.csv", "url,caption\n"), ("b.csv", ""), ("c.jsonl", "\n\n"), ("d.json", "[ ]")] {
        text_file(dir, name, text);
    }
    for name in ["a.parquet", "a.csv", "b.csv", "c.jsonl", "d.json"] {
        let expected = format!("DIR/{name}: the table is empty; check that it was written to the end");
        assert_eq!(error_of(dir, name, |_| {}), expected);
    }
    // One empty file among full ones is fine.
    text_file(dir, "e.csv", "url,caption\nu,c\n");
    let list = dir.join("*.csv");
    assert_eq!(read_all(&Tables::open(&captioned(&list)).unwrap(), 9), [row(&["c", "u"])]);
}

#[test]
fn broken_compression() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let rows: String =
        (0..50_000).map(|n: u64| format!("u{n},{:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    for (name, packing) in [("a.csv.gz", "gzip"), ("a.csv.bz2", "bzip2"), ("a.csv.zst", "zstd")] {
        let path = text_file(dir, name, format!("url,caption\n{rows}"));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let message = error_of(dir, name, |_| {});
        assert!(message.starts_with(&format!("DIR/{name}: broken {packing} data after row 2")), "{message}");
        assert!(message.ends_with("; the file is damaged or cut short, fetch it again"), "{message}");
    }
    std::fs::write(dir.join("plain.csv.gz"), "url,caption\n").unwrap();
    assert_eq!(
        error_of(dir, "plain.csv.gz", |_| {}),
        "DIR/plain.csv.gz: named .gz but not gzip data; rename it, or fetch it again"
    );
    std::fs::write(dir.join("wide.csv"), b"\xff\xfeu\0r\0l\0").unwrap();
    assert_eq!(
        error_of(dir, "wide.csv", |_| {}),
        "DIR/wide.csv: the text is UTF-16; convert it to UTF-8, say with `iconv -f UTF-16 -t UTF-8`"
    );
}

#[test]
fn f19_wide_text_without_a_byte_order_mark_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for text in ["url,caption\nu1,a\n", "[{\"url\": \"u1\"}]", "http://h/1.jpg\n"] {
        let wide = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        let wider =
            |bytes: fn(u32) -> [u8; 4]| text.chars().flat_map(|c| bytes(c.into())).collect::<Vec<u8>>();
        for (bytes, encoding) in [
            (wide(u16::to_le_bytes), "UTF-16LE"),
            (wide(u16::to_be_bytes), "UTF-16BE"),
            (wider(u32::to_le_bytes), "UTF-32LE"),
            (wider(u32::to_be_bytes), "UTF-32BE"),
        ] {
            for name in ["wide.csv", "wide.jsonl", "wide.json.gz", "wide.txt"] {
                text_file(dir, name, &bytes);
                let expected = format!(
                    "DIR/{name}: the text is {encoding}; convert it to UTF-8, say with `iconv -f {encoding} -t UTF-8`"
                );
                assert_eq!(error_of(dir, name, |config| config.caption_col = None), expected);
            }
        }
    }
}

#[test]
fn quotes_that_never_close() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let end = "; if quotes are plain characters in this file, give --quoting false";
    text_file(dir, "a.csv", "url,caption\nu1,a\n\nu2,\"b\nu3,c\n");
    assert_eq!(
        error_of(dir, "a.csv", |_| {}),
        format!("DIR/a.csv: row 1 (line 4) opens a quote that never closes{end}")
    );
    let rows: String = (0..5_000).map(|n| format!("u{n},c\n")).collect();
    text_file(dir, "b.csv", format!("url,caption\nu,\"open\n{rows}u,c\"\n"));
    assert_eq!(
        error_of(dir, "b.csv", |_| {}),
        format!("DIR/b.csv: row 0 (line 2) opens a quote that is still open 1000 lines on{end}")
    );
    // And with the advice taken, every row is there.
    let config = TableConfig {
        csv: CsvOptions { quoting: Some(false), ..CsvOptions::default() },
        ..captioned(&dir.join("b.csv"))
    };
    assert_eq!(read_all(&Tables::open(&config).unwrap(), 1_000).len(), 5_002);
}

#[test]
fn records_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let long = "x".repeat(MAX_RECORD_BYTES + 100);
    text_file(dir, "a.csv", format!("url,caption\nu,c\nu,{long}\n"));
    text_file(dir, "a.txt", format!("u\n{long}\n"));
    text_file(dir, "a.jsonl", format!("{{\"url\":\"u\",\"caption\":\"c\"}}\n{{\"url\":\"{long}\"}}\n"));
    text_file(dir, "a.json", format!("[{{\"url\":\"u\",\"caption\":\"c\"}},\n{{\"url\":\"{long}\"}}]"));
    for (name, place) in [
        ("a.csv", "row 1 (line 3)"),
        ("a.txt", "row 1 (line 2)"),
        ("a.jsonl", "row 1 (line 2)"),
        ("a.json", "row 1 (line 2)"),
    ] {
        let message = error_of(dir, name, |config| {
            if name == "a.txt" {
                config.caption_col = None;
            }
        });
        assert!(message.starts_with(&format!("DIR/{name}: {place} is longer than 16 MiB; ")), "{message}");
    }
}

#[test]
fn json_of_another_shape() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let good = "{\"url\": \"u\", \"caption\": \"c\"}";
    for (name, text, expected) in [
        (
            "a.json",
            format!("{good}\n{good}"),
            "row 0 (line 1): a json table is one array of objects, or one object of columns as pandas writes it; \
             for an object per line give --input-format jsonl",
        ),
        (
            "b.json",
            format!("[{good},\n{good}"),
            "row 2 (line 2): the array has no end; the file is cut short, fetch it again",
        ),
        (
            "c.json",
            format!("[{good},\n{{\"url\""),
            "row 1 (line 2): the array ends inside an element; the file is cut short, fetch it again",
        ),
        (
            "d.json",
            format!("[{good}\n{good}]"),
            "row 1 (line 2): expected `,` or `]` after an element of the array",
        ),
        ("e.json", format!("[{good},]"), "row 1 (line 1): an element is missing after `,`"),
        (
            "f.json",
            format!("[{good}] {good}"),
            "row 1 (line 1): there is more after the end of the array; a json table is one array or object",
        ),
        (
            "g.json",
            "[\"http://h/1.jpg\"]".to_owned(),
            "row 0 (line 1): not a JSON object (it is another kind of value); \
             each element or line must be one, see --input-format",
        ),
        (
            "a.jsonl",
            format!("[{good}]"),
            "row 0 (line 1): this line is an array; if the file is one array of objects, give --input-format json",
        ),
    ] {
        text_file(dir, name, text);
        assert_eq!(error_of(dir, name, |_| {}), format!("DIR/{name}: {expected}"));
    }
}

#[test]
fn column_names_must_fit_a_headerless_file() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    text_file(dir, "a.tsv", "c\thttp://h/1\n");
    assert_eq!(
        error_of(dir, "a.tsv", |_| {}),
        "DIR/a.tsv: no column `caption` (--caption-col); the columns are c, http://…; \
         the first line looks like data, so name the columns with --columns"
    );
    assert_eq!(
        error_of(dir, "a.tsv", |c| c.headerless = Some(vec!["caption".into(), "x".into(), "url".into()])),
        "DIR/a.tsv: --columns names 3 columns but row 0 has 2; name every column in file order"
    );
}

#[test]
fn a_table_that_changes_under_the_run_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = text_file(dir.path(), "a.csv", "url,caption,n\nu,c,1\n");
    let config = TableConfig { save_additional_columns: vec!["n".into()], ..captioned(&path) };
    let tables = Tables::open(&config).unwrap();
    text_file(dir.path(), "a.csv", "url,caption,n\nu,c,1\nu,c,x\n");
    let mut blocks = tables.blocks(9);
    let error = blocks.next().unwrap().unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "{}: changed while it was read (row 1, line 3, column `n` was Int64 when the table was scanned); \
             run again with a file that stays as it is",
            path.display()
        )
    );
    assert!(blocks.next().is_none(), "an error ends the iteration");
    std::fs::remove_file(&path).unwrap();
    let error = tables.blocks(9).next().unwrap().unwrap_err().to_string();
    assert!(error.contains("cannot read: No such file or directory"), "{error}");
}

#[test]
fn f19_a_pipe_or_device_is_no_table() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe.csv");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let zero = Path::new("/dev/zero");
    for path in [pipe.as_path(), zero] {
        let config = TableConfig { input_format: Some(InputFormat::Csv), ..captioned(path) };
        let error = Tables::open(&config).unwrap_err().to_string();
        assert!(error.contains("a pipe or device, which cannot be read twice"), "{error}");
    }
    // In a folder it is passed over, as in a pattern.
    text_file(dir.path(), "t.csv", "url,caption\nu1,a\n");
    assert_eq!(Tables::open(&captioned(dir.path())).unwrap().files().len(), 1);
}
