//! Where blocks begin and end, that skipping equals reading, and that memory follows the block and not the file.

use arrow::array::StringArray;
use proptest::prelude::*;

use super::*;

/// A folder of CSV or Parquet files with these numbers of rows; URLs count through.
fn folder_of(format: &str, rows: &[usize]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut next = 0;
    for (index, &rows) in rows.iter().enumerate() {
        let urls: Vec<String> = (next..next + rows).map(|n| format!("http://h/{n}")).collect();
        next += rows;
        let name = format!("{index:03}.{format}");
        match format {
            "parquet" => {
                let urls: ArrayRef = Arc::new(StringArray::from(urls));
                parquet_file(dir.path(), &name, vec![("url", urls)], 7);
            }
            "jsonl" => {
                let lines = urls.iter().map(|url| format!("{{\"url\": \"{url}\"}}\n")).collect::<String>();
                text_file(dir.path(), &name, lines);
            }
            "json" => {
                let objects: Vec<_> = urls.iter().map(|url| format!("{{\"url\": \"{url}\"}}")).collect();
                text_file(dir.path(), &name, format!("[{}]", objects.join(",")));
            }
            "txt" => drop(text_file(dir.path(), &name, urls.join("\n"))),
            _ => drop(text_file(dir.path(), &name, format!("url\n{}\n", urls.join("\n")))),
        }
    }
    dir
}

fn open(dir: &tempfile::TempDir) -> Tables {
    let url_list = dir.path().to_str().unwrap().to_owned();
    Tables::open(&TableConfig { url_list, ..TableConfig::default() }).unwrap()
}

/// (file stem, first row in it, first URL, rows)
fn outline(block: &RowBlock) -> (String, u64, String, usize) {
    let stem = block.file.file_stem().unwrap().to_string_lossy().into_owned();
    let url = rows_of(&block.rows.slice(0, 1))[0][0].clone().unwrap();
    (stem, block.first_row, url, block.rows.num_rows())
}

#[test]
fn a_block_never_spans_two_files() {
    for format in ["csv", "parquet", "jsonl", "json", "txt"] {
        let dir = folder_of(format, &[25, 3, 0, 10]);
        let tables = open(&dir);
        assert_eq!(tables.files().len(), 4);
        let outlines: Vec<_> = tables.blocks(10).map(|block| outline(&block.unwrap())).collect();
        let expected = [
            ("000", 0, 0, 10),
            ("000", 10, 10, 10),
            ("000", 20, 20, 5),
            ("001", 0, 25, 3),
            ("003", 0, 28, 10),
        ]
        .map(|(stem, first, url, rows)| (stem.to_owned(), first, format!("http://h/{url}"), rows));
        assert_eq!(outlines, expected, "{format}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn skipping_a_block_is_reading_it_without_looking(
        format in prop::sample::select(vec!["csv", "parquet", "jsonl", "json", "txt"]),
        mut files in prop::collection::vec(0usize..40, 1..4),
        per_block in 1u64..15,
        skips in prop::collection::vec(any::<bool>(), 60),
    ) {
        files.push(5);
        let dir = folder_of(format, &files);
        let tables = open(&dir);
        let read: Vec<_> = tables.blocks(per_block).map(|block| block.unwrap()).collect();
        let mut blocks = tables.blocks(per_block);
        for (index, skip) in skips.iter().cycle().take(read.len() + 1).enumerate() {
            let expected = read.get(index);
            if *skip {
                let skipped = blocks.skip_block().unwrap();
                prop_assert_eq!(skipped, expected.map(|block| block.rows.num_rows() as u64));
            } else {
                let block = blocks.next().map(|block| block.unwrap());
                prop_assert_eq!(block.as_ref().map(outline), expected.map(outline));
                prop_assert_eq!(block.map(|b| b.rows), expected.map(|block| block.rows.clone()));
            }
        }
    }
}

/// Incompressible captions, so that bytes read from disk tell how much of the file was needed.
fn noisy_captions(rows: usize) -> Vec<String> {
    let mut state = 1u64;
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:016x}", state ^ (state >> 29))
    };
    (0..rows).map(|_| (0..16).map(|_| word()).collect()).collect()
}

#[test]
fn the_first_block_needs_only_the_beginning_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let captions = noisy_captions(60_000);
    let urls: Vec<String> = (0..captions.len()).map(|n| format!("http://h/{n}")).collect();
    // One row group for the whole file, as some writers make them.
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("url", Arc::new(StringArray::from(urls.clone()))),
        ("caption", Arc::new(StringArray::from(captions.clone()))),
    ];
    parquet_file(dir.path(), "t.parquet", columns, usize::MAX);
    let lines: Vec<_> = urls.iter().zip(&captions).map(|(url, caption)| format!("{url},{caption}")).collect();
    text_file(dir.path(), "t.csv", format!("url,caption\n{}\n", lines.join("\n")));
    let objects: Vec<_> = urls
        .iter()
        .zip(&captions)
        .map(|(url, caption)| format!("{{\"url\":\"{url}\",\"caption\":\"{caption}\"}}"))
        .collect();
    text_file(dir.path(), "t.json", format!("[{}]", objects.join(",\n")));
    text_file(dir.path(), "t.jsonl.gz", objects.join("\n"));

    for name in ["t.parquet", "t.csv", "t.json", "t.jsonl.gz"] {
        let tables = Tables::open(&captioned(&dir.path().join(name))).unwrap();
        let mut blocks = tables.blocks(500);
        let first = blocks.next().unwrap().unwrap();
        assert_eq!(first.rows.num_rows(), 500);
        let (read, whole) = (blocks.bytes_read(), tables.files()[0].bytes);
        assert!(whole > 6 << 20, "{name}: {whole} bytes");
        // Two columns of Parquet pages of up to a megabyte with their dictionaries, or some text buffers.
        assert!(read < whole / 3, "{name}: {read} of {whole} bytes for 500 of 60,000 rows");
        // No block drags the buffers of a larger one along.
        for block in blocks.take(20) {
            let block = block.unwrap();
            assert!(block.rows.get_array_memory_size() < 1 << 20, "{name}");
        }
    }
}

#[test]
fn skipping_parquet_reads_next_to_nothing() {
    let dir = folder_of("parquet", &[5_000]);
    let tables = open(&dir);
    let mut blocks = tables.blocks(1_000);
    let footer = {
        blocks.skip_block().unwrap();
        blocks.bytes_read()
    };
    for _ in 0..3 {
        blocks.skip_block().unwrap();
    }
    assert_eq!(blocks.bytes_read(), footer);
    assert_eq!(outline(&blocks.next().unwrap().unwrap()).2, "http://h/4000");
    assert_eq!(blocks.skip_block().unwrap(), None);
}

#[test]
fn f09_a_stop_ends_the_scan_for_types() {
    let dir = tempfile::tempdir().unwrap();
    let path = text_file(dir.path(), "t.csv", format!("url,caption,n\n{}", "u,c,1\n".repeat(10_000)));
    let config = TableConfig { save_additional_columns: vec!["n".to_owned()], ..captioned(&path) };
    assert!(Tables::open_until(&config, &AtomicBool::new(true)).unwrap().is_none());
    assert!(Tables::open_until(&config, &AtomicBool::new(false)).unwrap().is_some());
}
