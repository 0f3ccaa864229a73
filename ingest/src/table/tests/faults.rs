//! What other people's tables do to a reader: files that ask for gigabytes, contradict themselves, or are none.

use arrow::array::{DictionaryArray, Int32Array, StringArray};
use arrow::datatypes::Int32Type;

use super::*;

/// A small failing input of the folder beside the clone; `None`, loudly, where there is none.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/faults").join(name);
    if !path.exists() {
        eprintln!("SKIPPED: no {}", path.display());
        return None;
    }
    Some(path)
}

/// Message of the first error that opening or reading ends in.
fn error_of(config: &TableConfig) -> String {
    let error = match Tables::open(config) {
        Err(error) => error,
        Ok(tables) => {
            tables.blocks(10_000).find_map(Result::err).expect("neither opening nor reading failed")
        }
    };
    error.to_string()
}

fn all(path: &Path) -> Vec<Row> {
    read_all(&Tables::open(&captioned(path)).unwrap(), 100)
}

fn urls_only(path: &Path) -> TableConfig {
    TableConfig { caption_col: None, ..captioned(path) }
}

#[test]
fn f01_a_panic_of_a_library_is_an_error_that_names_the_file() {
    let error = walled(Path::new("t.csv"), 7, || -> Result<(), TableError> { panic!("page 3\nis odd") });
    let message = error.unwrap_err().to_string();
    assert!(message.starts_with("t.csv: the reader panicked at "), "{message}");
    assert!(message.ends_with(": page 3 is odd, after row 7; please report this"), "{message}");
    let place = pairmill_shards::guard::tally().into_iter().find(|caught| caught.place.contains("faults.rs"));
    assert!(place.is_some_and(|caught| caught.count >= 1), "panics are counted by place");
}

#[test]
fn f02_one_huge_text_in_every_row_is_no_block() {
    // 64 kB on disk, 3 GB if every row had its own text.
    let dir = tempfile::tempdir().unwrap();
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(30 << 20)]));
    let captions = DictionaryArray::<Int32Type>::new(Int32Array::from(vec![0; 100]), text);
    let urls: ArrayRef = Arc::new(StringArray::from(vec!["http://h/1.jpg"; 100]));
    let batch =
        RecordBatch::try_from_iter([("url", urls), ("caption", Arc::new(captions) as ArrayRef)]).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(::parquet::basic::Compression::ZSTD(Default::default()))
        .set_dictionary_page_size_limit(60 << 20)
        .set_statistics_enabled(::parquet::file::properties::EnabledStatistics::None)
        .build();
    let path = dir.path().join("t.parquet");
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), Some(properties))
            .unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 64 << 10);
    let message = error_of(&captioned(&path));
    assert!(message.contains("rows from row 0 hold more than 256 MiB of text"), "{message}");
    // A shard of few rows is read.
    let block = Tables::open(&captioned(&path)).unwrap().blocks(2).next().unwrap().unwrap();
    assert_eq!(block.rows.num_rows(), 2);
}

#[test]
fn f02_a_line_of_ten_gigabytes_in_a_small_gzip_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    // 40 MiB here; nothing is read after the first 16.
    for (name, head) in [
        ("t.csv.gz", "url,caption\n"),
        ("t.txt.bz2", ""),
        ("t.jsonl.zst", "{\"url\": \""),
        ("t.json.gz", "[{\"url\": \""),
    ] {
        let path = text_file(dir.path(), name, [head.as_bytes(), &vec![b'x'; 40 << 20]].concat());
        assert!(std::fs::metadata(&path).unwrap().len() < 1 << 20);
        let message = error_of(&urls_only(&path));
        assert!(message.contains("is longer than 16 MiB"), "{name}: {message}");
    }
}

#[test]
fn f02_a_cell_of_millions_of_values_is_no_cell() {
    let dir = tempfile::tempdir().unwrap();
    let many = format!(
        "{{\"url\": \"u1\", \"caption\": [{}0]}}\n{{\"url\": \"u2\", \"caption\": \"c\"}}\n",
        "0,".repeat(3_000_000)
    );
    let path = text_file(dir.path(), "t.jsonl", many);
    assert_eq!(all(&path), [row(&["∅", "∅"]), row(&["c", "u2"])]);
    let nested =
        format!("{{\"url\": {}1{}}}\n{{\"url\": \"u2\"}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let path = text_file(dir.path(), "d.json", format!("[{}]", nested.replace('\n', ",")));
    assert_eq!(
        read_all(&Tables::open(&urls_only(&path)).unwrap_or_else(|e| panic!("{e}")), 9),
        [row(&["∅"]), row(&["u2"])]
    );
}

#[test]
fn f11_a_footer_that_says_zero_rows_is_refused_also_in_a_folder() {
    let Some(path) = shared("footer-says-0-rows.parquet") else { return };
    let says =
        "the footer says 0 rows, but the row groups hold 7; the file contradicts itself, write it again";
    let config = urls_only(&path);
    let config = TableConfig {
        url_col: Tables::column_names(&config).map_or_else(|_| "url".to_owned(), |names| names[0].clone()),
        ..config
    };
    assert!(error_of(&config).ends_with(says), "{}", error_of(&config));
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(&path, dir.path().join("b.parquet")).unwrap();
    let urls: ArrayRef = Arc::new(StringArray::from(vec!["u1"]));
    parquet_file(dir.path(), "a.parquet", vec![("url", urls)], 9);
    let message = error_of(&urls_only(dir.path()));
    assert!(message.contains("b.parquet") && message.ends_with(says), "{message}");
}

#[test]
fn f19_a_comma_in_an_unquoted_url_is_a_row_without_url() {
    let dir = tempfile::tempdir().unwrap();
    let built = text_file(dir.path(), "t.csv", "url,caption\nhttp://h/x.jpg?crop=1,2,x0,y0,cap\n");
    for path in [Some(built), shared("unquoted-comma-in-url.csv")].into_iter().flatten() {
        let tables = Tables::open(&captioned(&path)).unwrap();
        let mut blocks = tables.blocks(9);
        let rows: Vec<Row> = blocks.by_ref().flat_map(|block| rows_of(&block.unwrap().rows)).collect();
        assert_eq!(rows, [row(&["∅", "∅"])], "{}", path.display());
        assert_eq!(blocks.oddities().ragged_rows, 1);
    }
    // A file that was cut short ends in half a URL.
    let cut = text_file(dir.path(), "cut.csv", "url,caption\nhttp://h/1.jpg,one\nhttp://h/2.j");
    assert_eq!(all(&cut), [row(&["one", "http://h/1.jpg"]), row(&["∅", "∅"])]);
}

#[test]
fn f19_semicolons_are_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let expected = [row(&["a dog, brown", "http://h/1.jpg?a=1,2"])];
    let path = text_file(dir.path(), "t.csv", "url;caption\r\nhttp://h/1.jpg?a=1,2;\"a dog, brown\"\r\n");
    assert_eq!(all(&path), expected);
    let path = text_file(dir.path(), "q.csv", "\"url\";\"cap,tion\"\nu;c\n");
    let config = TableConfig { caption_col: Some("cap,tion".to_owned()), ..captioned(&path) };
    assert_eq!(read_all(&Tables::open(&config).unwrap(), 9), [row(&["c", "u"])]);
    let path = text_file(dir.path(), "h.csv", "http://h/1.jpg?a=1,2;a dog, brown\n");
    let config = TableConfig { headerless: Some(vec!["url".into(), "caption".into()]), ..captioned(&path) };
    assert_eq!(read_all(&Tables::open(&config).unwrap(), 9), expected);
    // A comma is a comma where there is one.
    let path = text_file(dir.path(), "c.csv", "url,cap;tion\nu,c\n");
    let config = TableConfig { caption_col: Some("cap;tion".to_owned()), ..captioned(&path) };
    assert_eq!(read_all(&Tables::open(&config).unwrap(), 9), [row(&["c", "u"])]);
}

#[test]
fn f22_every_form_that_pandas_writes_json_in_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let expected = [
        row(&["one", "http://h/0.jpg"]),
        row(&["two, \"q\"", "http://h/1.jpg"]),
        row(&["∅", "http://h/2.jpg"]),
    ];
    let cells =
        [("http://h/0.jpg", "\"one\""), ("http://h/1.jpg", "\"two, \\\"q\\\"\""), ("http://h/2.jpg", "null")];
    let column = |of: &dyn Fn(&(&str, &str)) -> String| -> Vec<String> { cells.iter().map(of).collect() };
    let urls = column(&|cell| format!("\"{}\"", cell.0));
    let captions = column(&|cell| cell.1.to_owned());
    let keyed = |values: &[String]| {
        let members: Vec<String> =
            values.iter().enumerate().map(|(at, value)| format!("\"{at}\":{value}")).collect();
        format!("{{{}}}", members.join(", "))
    };
    let rows: Vec<String> = urls
        .iter()
        .zip(&captions)
        .map(|(url, caption)| format!("{{\"url\": {url}, \"n\": NaN, \"caption\": {caption}}}"))
        .collect();
    let arrays: Vec<String> =
        urls.iter().zip(&captions).map(|(url, caption)| format!("[{caption},\n {url}, [1, {{}}]]")).collect();
    for (name, text) in [
        (
            "columns.json",
            format!(
                "{{\"url\": {}, \"x\": {}, \"caption\": {}}}\n",
                keyed(&urls),
                keyed(&urls),
                keyed(&captions)
            ),
        ),
        (
            "index.json",
            format!(
                "{{{}}}",
                rows.iter()
                    .enumerate()
                    .map(|(at, row)| format!("\"{at}\": {row}"))
                    .collect::<Vec<_>>()
                    .join(",")
            ),
        ),
        (
            "split.json",
            format!(
                "{{\"columns\":[\"caption\",\"url\",\"x\"],\"index\":[0,1,2],\"data\":[{}]}}",
                arrays.join(",")
            ),
        ),
        (
            "table.json",
            format!("{{\"schema\":{{\"fields\":[{{\"name\":\"url\"}}]}},\"data\":[{}]}}", rows.join(",")),
        ),
        ("records.json", format!("[{}]", rows.join(","))),
        ("packed.json.gz", format!("{{\"url\": {}, \"caption\": {}}}", keyed(&urls), keyed(&captions))),
    ] {
        let path = text_file(dir.path(), name, text);
        let tables = Tables::open(&captioned(&path)).unwrap_or_else(|error| panic!("{name}: {error}"));
        for per_block in [2, 100] {
            assert_eq!(read_all(&tables, per_block), expected, "{name}");
        }
    }
    if let Some(path) = shared("pandas-columns.json") {
        let rows = all(&path);
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[1], row(&["two, with comma", "http://127.0.0.1:18322/u/1.jpg"]));
        assert_eq!(rows[3], row(&["vier ü 日本 😀", "http://127.0.0.1:18322/u/3.jpg"]));
    }
}

#[test]
fn f28_an_object_of_arrays_as_sbu_is_released_in_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = text_file(
        dir.path(),
        "sbu.json",
        "{\"image_urls\": [\"http://h/0.jpg\", \"http://h/1.jpg\"], \"user_ids\": [\"a\", \"b\"],\n \"captions\": [\"one\", \"two ]\"]}",
    );
    let config = TableConfig {
        url_col: "image_urls".to_owned(),
        caption_col: Some("captions".to_owned()),
        save_additional_columns: vec!["user_ids".to_owned()],
        ..captioned(&path)
    };
    let expected = [row(&["a", "one", "http://h/0.jpg"]), row(&["b", "two ]", "http://h/1.jpg"])];
    assert_eq!(read_all(&Tables::open(&config).unwrap(), 1), expected);
    assert_eq!(Tables::column_names(&config).unwrap(), ["image_urls", "user_ids", "captions"]);
    let missing = error_of(&TableConfig { url_col: "url".to_owned(), ..config });
    assert!(
        missing.contains("no column `url` (--url-col); the columns are image_urls, user_ids, captions"),
        "{missing}"
    );
}

#[test]
fn f22_columns_that_do_not_belong_together_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text, says) in [
        (
            "a.json",
            "{\"url\": [\"u1\", \"u2\"], \"caption\": [\"c1\"]}",
            "the columns `url` and `caption` have other numbers of rows",
        ),
        (
            "b.json",
            "{\"url\": {\"0\": \"u\"}, \"caption\": {\"1\": \"c\"}}",
            "the columns `url` and `caption` have other keys",
        ),
        (
            "c.json",
            "{\"url\": \"u\", \"caption\": \"c\"}",
            "a json table is one array of objects, or one object of columns",
        ),
        ("d.json", "{\"url\": [\"u\"], \"caption\": [\"c\"", "the object has no end; the file is cut short"),
    ] {
        let path = text_file(dir.path(), name, text);
        let message = error_of(&captioned(&path));
        assert!(message.contains(says), "{name}: {message}");
    }
}

#[test]
fn f22_bzip2_and_xz_tables_are_read_and_their_memory_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let text = "url,caption\nu1,a\nu2,b\n";
    assert_eq!(all(&text_file(dir.path(), "t.csv.bz2", text)), [row(&["a", "u1"]), row(&["b", "u2"])]);
    // Two streams of xz: the text, and `u3,c`.
    let packed = unhex(
        "fd377a585a000004e6d6b4460200210116000000742fe5a301001575726c2c63617074696f6e0a75312c610a75322c620a000000896dd3988390450800012e16560955df1fb6f37d010000000004595a",
    );
    let second = unhex(
        "fd377a585a000004e6d6b446020021010c0000008f98419c01000475332c630a0000000043acd407bddf807700011d05b82d80af1fb6f37d010000000004595a",
    );
    let path = dir.path().join("t.csv.xz");
    std::fs::write(&path, [packed.as_slice(), &second].concat()).unwrap();
    assert_eq!(all(&path), [row(&["a", "u1"]), row(&["b", "u2"]), row(&["c", "u3"])]);
    std::fs::write(&path, &packed[..packed.len() - 30]).unwrap();
    let message = error_of(&captioned(&path));
    assert!(message.contains("broken xz data") && message.ends_with("fetch it again"), "{message}");
    // The same with a header that asks for a dictionary of 3 GiB.
    let greedy = unhex("0200210127000000b0b072eb");
    std::fs::write(&path, [&packed[..12], &greedy, &packed[12 + greedy.len()..]].concat()).unwrap();
    let message = error_of(&captioned(&path));
    assert!(
        message.ends_with(
            "unpacking this xz file takes more memory than it gets; pack it again with default settings"
        ),
        "{message}"
    );
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect()
}

#[test]
fn f22_pointers_and_pages_under_a_tables_name_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 83886080\n";
    let page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>";
    for name in ["t.parquet", "t.csv", "t.tsv", "t.json", "t.jsonl", "t.txt", "t.csv.gz"] {
        let path = dir.path().join(name);
        std::fs::write(&path, pointer).unwrap();
        let message = error_of(&urls_only(&path));
        assert!(message.ends_with(": this is a Git LFS pointer to a file of 83886080 bytes, not the file; fetch it with `git lfs pull`"), "{message}");
        std::fs::write(&path, page).unwrap();
        let message = error_of(&urls_only(&path));
        assert!(message.contains(": this is an HTML page, "), "{message}");
    }
}
