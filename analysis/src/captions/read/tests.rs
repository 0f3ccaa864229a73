use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::file::properties::WriterProperties;
use arrow::array::{ArrayRef, DictionaryArray, Int64Array, LargeStringArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use pairmill_shards::tar::TarWriter;

use super::*;

fn write_parquet(path: &Path, columns: &[(&str, ArrayRef)], rows_per_group: usize) {
    let batch = RecordBatch::try_from_iter(columns.iter().map(|(n, c)| (*n, Arc::clone(c)))).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows_per_group)).build();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn source(paths: &[PathBuf]) -> Source {
    Source { name: "s".to_owned(), paths: paths.to_vec() }
}

/// Every caption, in order, and the rows that had failed.
fn read(paths: &[PathBuf], column: Option<&str>) -> Result<(Vec<Option<String>>, u64), CaptionsError> {
    let (mut captions, mut num_failed) = (Vec::new(), 0);
    for piece in plan(&source(paths), column)? {
        let mut reader = Reader::open(&piece)?;
        while let Some(batch) = reader.next_batch()? {
            captions.extend(batch.captions.iter().map(|c| c.map(str::to_owned)));
            num_failed += batch.num_failed;
        }
    }
    Ok((captions, num_failed))
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|t| Some((*t).to_owned())).collect()
}

#[test]
fn every_format_gives_the_same_captions() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let texts = ["a \"red\" cat", "Straße, nass", "x"];
    let strings: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    let large: ArrayRef = Arc::new(LargeStringArray::from(texts.to_vec()));
    let dictionary: ArrayRef = Arc::new(texts.into_iter().collect::<DictionaryArray<Int32Type>>());
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    for (name, column) in [("a.parquet", strings), ("b.parquet", large), ("c.parquet", dictionary)] {
        write_parquet(&at(name), &[("id", Arc::clone(&numbers)), ("TEXT", column)], 2);
    }
    std::fs::write(at("a.csv"), "id,TEXT\n1,\"a \"\"red\"\" cat\"\n2,\"Straße, nass\"\n3,x\n").unwrap();
    std::fs::write(at("a.tsv"), "TEXT\tid\n\"a \"\"red\"\" cat\"\t1\nStraße, nass\t2\nx\t3\n").unwrap();
    let json: String =
        texts.iter().map(|t| serde_json::json!({"id": 1, "TEXT": t}).to_string() + "\n\n").collect();
    std::fs::write(at("a.jsonl"), &json).unwrap();
    let mut gz =
        flate2::write::GzEncoder::new(File::create(at("b.jsonl.gz")).unwrap(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gz, json.as_bytes()).unwrap();
    gz.finish().unwrap();
    for name in ["a.parquet", "b.parquet", "c.parquet", "a.csv", "a.tsv", "a.jsonl", "b.jsonl.gz"] {
        for column in [None, Some("TEXT")] {
            assert_eq!(read(&[at(name)], column).unwrap(), (some(&texts), 0), "{name}");
        }
    }
}

#[test]
fn tables_without_header_are_read_by_number_and_their_quotes_are_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cc3m.tsv");
    std::fs::write(&path, "a \"cat\thttp://a\n\"dog\thttp://b\n").unwrap();
    assert_eq!(read(std::slice::from_ref(&path), Some("0")).unwrap().0, some(&["a \"cat", "\"dog"]));
    let error = read(&[path], Some("2")).unwrap_err().to_string();
    assert!(error.contains("0 to 1"), "{error}");
}

#[test]
fn nulls_stay_nulls_and_failed_rows_of_a_sidecar_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000.parquet");
    let text = |values: Vec<Option<&str>>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let columns = [
        ("caption", text(vec![Some("kept"), Some("gone"), None])),
        ("key", text(vec![Some("0"), Some("1"), Some("2")])),
        ("status", text(vec![Some("success"), Some("failed_to_download"), Some("success")])),
        ("error_message", text(vec![None, Some("HTTP Error 404: Not Found"), None])),
    ];
    write_parquet(&path, &columns, 10);
    assert_eq!(read(&[path], None).unwrap(), (vec![Some("kept".to_owned()), None], 1));
    // Another tool's table has a `status` of its own.
    let path = dir.path().join("theirs.parquet");
    write_parquet(&path, &columns[..3], 10);
    let all = vec![Some("kept".to_owned()), Some("gone".to_owned()), None];
    assert_eq!(read(&[path], None).unwrap(), (all, 0));
}

#[test]
fn tars_give_txt_members_or_a_field_of_the_json() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000.tar");
    let mut tar = TarWriter::new(Vec::new());
    let mut add = |key: &str, members: &[(&str, &[u8])]| {
        tar.append(key, members).unwrap();
    };
    add("0", &[("jpg", b"not looked at"), ("txt", b"first")]);
    add("1", &[("json", br#"{"caption": "second", "subreddit": "cats"}"#)]);
    add("2", &[("txt", b"not utf-8: \xff")]);
    add("3", &[("jpg", b"no caption")]);
    std::fs::write(&path, tar.finish().unwrap().0).unwrap();
    let expected = [Some("first"), Some("second"), Some("not utf-8: \u{fffd}"), None];
    let (captions, _) = read(std::slice::from_ref(&path), None).unwrap();
    assert_eq!(captions.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
}

#[test]
fn f22_compressed_tars_give_the_same_captions() {
    let dir = tempfile::tempdir().unwrap();
    let mut tar = TarWriter::new(Vec::new());
    tar.append("0", &[("txt", b"first")]).unwrap();
    tar.append("1", &[("json", br#"{"caption": "second"}"#)]).unwrap();
    let plain = tar.finish().unwrap().0;
    for name in ["00000.tar.gz", "00000.tgz"] {
        let path = dir.path().join(name);
        let file = File::create(&path).unwrap();
        let mut gz = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        std::io::Write::write_all(&mut gz, &plain).unwrap();
        gz.finish().unwrap();
        assert_eq!(read(&[path], None).unwrap().0, some(&["first", "second"]), "{name}");
    }
}

#[test]
fn f10_a_tar_that_is_not_sorted_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000.tar");
    let mut tar = TarWriter::new(Vec::new());
    tar.append("0", &[("jpg", b"picture")]).unwrap();
    tar.append("1", &[("jpg", b"picture")]).unwrap();
    tar.append("0", &[("txt", b"caption")]).unwrap();
    std::fs::write(&path, tar.finish().unwrap().0).unwrap();
    let message = read(&[path], None).unwrap_err().to_string();
    assert!(message.contains("key `0` returns") && message.contains("tar --sort=name"), "{message}");
}

#[test]
fn what_does_not_fit_is_told_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    write_parquet(&at("text.parquet"), &[("TEXT", Arc::clone(&text)), ("URL", Arc::clone(&text))], 9);
    write_parquet(&at("caption.parquet"), &[("caption", Arc::clone(&text))], 9);
    write_parquet(&at("number.parquet"), &[("caption", Arc::clone(&number)), ("id", number)], 9);
    write_parquet(&at("none.parquet"), &[("a", Arc::clone(&text)), ("b", text)], 9);
    std::fs::write(at("torn.parquet"), b"PAR1").unwrap();
    std::fs::write(at("torn.jsonl"), b"{\"caption\": \"a\"}\n{\"caption\n").unwrap();
    std::fs::write(at("a.txt"), b"x").unwrap();
    for (names, column, parts) in [
        (&["text.parquet"][..], Some("text"), &["text.parquet", "did you mean `TEXT`?"][..]),
        (&["text.parquet"], Some("zzz"), &["`TEXT`, `URL`"]),
        (&["none.parquet"], None, &["`a`, `b`", "--caption-col"]),
        (&["number.parquet"], None, &["Int64, not text"]),
        (&["text.parquet", "caption.parquet"], None, &["mixes schemas", "`TEXT`", "`caption`"]),
        (&["torn.parquet"], None, &["torn.parquet", "not a readable Parquet"]),
        (&["torn.jsonl"], None, &["torn.jsonl", "line 2"]),
        (&["a.txt"], None, &["a.txt", ".parquet"]),
    ] {
        let paths: Vec<PathBuf> = names.iter().map(|n| at(n)).collect();
        let message = read(&paths, column).unwrap_err().to_string();
        assert!(parts.iter().all(|p| message.contains(p)) && !message.contains('\n'), "{message}");
    }
}

#[test]
fn f02_a_record_without_end_is_refused_before_it_is_held() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let long = "x".repeat(40 << 20);
    std::fs::write(at("a.csv"), format!("caption\n\"{long}")).unwrap();
    std::fs::write(at("a.tsv"), format!("caption\n{long}\n")).unwrap();
    std::fs::write(at("a.jsonl"), format!("{{\"caption\": \"{long}\"}}\n")).unwrap();
    for name in ["a.csv", "a.tsv", "a.jsonl"] {
        let message = read(&[at(name)], None).unwrap_err().to_string();
        assert!(message.contains("is longer than 16 MiB"), "{name}: {message}");
    }
    // Values that nobody asked for are not built.
    let many =
        format!("{{\"caption\": \"one\", \"x\": [{}0]}}\n{{\"caption\": null}}\n", "0,".repeat(4_000_000));
    std::fs::write(at("b.jsonl"), many).unwrap();
    assert_eq!(read(&[at("b.jsonl")], None).unwrap().0, [Some("one".to_owned()), None]);
}

#[test]
fn f11_a_table_that_contradicts_itself_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["one", "two", "three"]));
    write_parquet(&path, &[("caption", texts)], 9);
    let bytes = std::fs::read(&path).unwrap();
    // The footer's number of rows: an i64 (0x16) of 3 after the schema; the row group's comes later.
    let footer =
        bytes.len() - 8 - u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap()) as usize;
    let found = bytes[footer..].windows(3).position(|window| window == [0x16, 0x06, 0x19]).unwrap();
    let mut lies = bytes;
    lies[footer + found + 1] = 0;
    std::fs::write(&path, lies).unwrap();
    let message = read(&[path], None).unwrap_err().to_string();
    assert!(message.contains("the footer says 0 rows, but the row groups hold 3"), "{message}");
}

#[test]
fn f22_a_pointer_under_a_tables_name_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.parquet", "a.csv", "a.jsonl"] {
        let path = dir.path().join(name);
        std::fs::write(&path, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n").unwrap();
        let message = read(&[path], None).unwrap_err().to_string();
        assert!(message.contains("this is a Git LFS pointer to a file of 9 bytes"), "{message}");
    }
}
