//! Files forged byte by byte, since no writer makes them: headers that promise what is not there, counts that disagree.

use std::io::Write as _;

use arrow::array::{Array, AsArray};

use super::*;

const UNCOMPRESSED: i64 = 0;
const GZIP: i64 = 2;
const ZSTD: i64 = 6;
const PLAIN: i64 = 0;
const RLE_DICTIONARY: i64 = 8;
const DELTA_LENGTH: i64 = 6;
const DELTA_BYTE_ARRAY: i64 = 7;

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn zigzag(value: i64) -> Vec<u8> {
    varint(((value << 1) ^ (value >> 63)) as u64)
}

/// Thrift: the parts of a struct one after the other.
fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn text(value: &str) -> Vec<u8> {
    join(&[&varint(value.len() as u64), value.as_bytes()])
}

/// A page whose header says what it is told to.
fn page(dictionary: bool, values: i64, encoding: i64, unpacked: i64, body: &[u8]) -> Vec<u8> {
    let kind = zigzag(if dictionary { 2 } else { 0 });
    let sizes = join(&[&[0x15], &kind, &[0x15], &zigzag(unpacked), &[0x15], &zigzag(body.len() as i64)]);
    let counts = join(&[&[0x15], &zigzag(values), &[0x15], &zigzag(encoding)]);
    let inner = if dictionary {
        join(&[&[0x4c], &counts, &[0]])
    } else {
        join(&[&[0x2c], &counts, &[0x15], &zigzag(3), &[0x15], &zigzag(3), &[0]])
    };
    join(&[&sizes, &inner, &[0], body])
}

/// What the footer says.
struct Footer {
    rows: i64,
    group_rows: i64,
    values: i64,
    codec: i64,
    dictionary_bytes: usize,
}

impl Footer {
    fn of(rows: i64) -> Self {
        Self { rows, group_rows: rows, values: rows, codec: UNCOMPRESSED, dictionary_bytes: 0 }
    }
}

/// Schema of one required text column `url`.
fn schema() -> Vec<u8> {
    let root = join(&[&[0x48], &text("m"), &[0x15], &zigzag(1), &[0]]);
    let leaf =
        join(&[&[0x15], &zigzag(6), &[0x25], &zigzag(0), &[0x18], &text("url"), &[0x25], &zigzag(0), &[0]]);
    join(&[&[0x19, 0x2c], &root, &leaf])
}

fn with_tail(pages: &[u8], footer: &[u8]) -> Vec<u8> {
    join(&[b"PAR1", pages, footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"])
}

fn forge(pages: &[u8], footer: &Footer) -> Vec<u8> {
    let Footer { rows, group_rows, values, codec, dictionary_bytes } = footer;
    let size = zigzag(pages.len() as i64);
    let data_at = zigzag(4 + *dictionary_bytes as i64);
    let dictionary = if *dictionary_bytes > 0 { join(&[&[0x26], &zigzag(4)]) } else { Vec::new() };
    let column = join(&[
        &[0x26],
        &zigzag(4),
        &[0x1c, 0x15],
        &zigzag(6),
        &[0x19, 0x15],
        &zigzag(0),
        &[0x19, 0x18],
        &text("url"),
        &[0x15],
        &zigzag(*codec),
        &[0x16],
        &zigzag(*values),
        &[0x16],
        &size,
        &[0x16],
        &size,
        &[0x26],
        &data_at,
        &dictionary,
        &[0, 0],
    ]);
    let group = join(&[&[0x19, 0x1c], &column, &[0x16], &size, &[0x16], &zigzag(*group_rows), &[0]]);
    let footer =
        join(&[&[0x15], &zigzag(1), &schema(), &[0x16], &zigzag(*rows), &[0x19, 0x1c], &group, &[0]]);
    with_tail(pages, &footer)
}

/// Plain values.
fn plain(values: &[&[u8]]) -> Vec<u8> {
    values.iter().flat_map(|value| join(&[&(value.len() as u32).to_le_bytes(), value])).collect()
}

fn open(bytes: Vec<u8>) -> Result<ParquetFile, ParquetFault> {
    ParquetFile::open(ParquetInput::memory(bytes))
}

/// Rows read to the end, by both ways, or the error they end in.
fn read(bytes: Vec<u8>) -> Result<u64, String> {
    let file = open(bytes).map_err(|fault| fault.to_string())?;
    let plan = ReadPlan { batch_rows: 1_000, ..ReadPlan::default() };
    let (mut rows, mut plain_rows) = (0, 0);
    for batch in file.views(&plan).map_err(|fault| fault.to_string())? {
        rows += batch.map_err(|fault| fault.to_string())?.num_rows() as u64;
    }
    for batch in file.batches(&plan).map_err(|fault| fault.to_string())? {
        plain_rows += batch.map_err(|fault| fault.to_string())?.num_rows() as u64;
    }
    assert_eq!(rows, plain_rows);
    assert_eq!(rows, file.num_rows());
    Ok(rows)
}

fn refusal(bytes: Vec<u8>) -> String {
    read(bytes).unwrap_err()
}

fn seven() -> (Vec<u8>, i64) {
    let values = [b"a".as_slice(), b"b", b"c", b"d", b"e", b"f", b"g"];
    let body = plain(&values);
    (page(false, 7, PLAIN, body.len() as i64, &body), 7)
}

#[test]
fn an_honest_forgery_is_read() {
    let (pages, rows) = seven();
    assert_eq!(read(forge(&pages, &Footer::of(rows))), Ok(7));
}

#[test]
fn f11_a_footer_that_denies_its_row_groups_is_refused() {
    let (pages, rows) = seven();
    let message = refusal(forge(&pages, &Footer { rows: 0, ..Footer::of(rows) }));
    assert_eq!(
        message,
        "the footer says 0 rows, but the row groups hold 7; the file contradicts itself, write it again"
    );
    assert!(refusal(forge(&pages, &Footer { rows: -7, ..Footer::of(rows) })).contains("is -7"));
}

#[test]
fn f11_a_row_group_and_its_column_chunks_must_agree() {
    let (pages, rows) = seven();
    let message = refusal(forge(&pages, &Footer { values: 6, ..Footer::of(rows) }));
    assert!(message.starts_with("row group 0 has 7 rows, but column `url` has 6 values in it"), "{message}");
}

#[test]
fn f11_a_column_chunk_and_its_pages_must_agree() {
    let (pages, _) = seven();
    let more = refusal(forge(&pages, &Footer::of(6)));
    assert!(more.starts_with("column `url` has more values in its pages than the 6 values"), "{more}");
    let fewer = refusal(forge(&pages, &Footer::of(8)));
    assert!(fewer.starts_with("column `url` has fewer values in its pages than the 8 values"), "{fewer}");
    // Surplus pages are noticed although nobody wants their rows.
    let twice = [pages.clone(), pages].concat();
    let surplus = refusal(forge(&twice, &Footer::of(7)));
    assert!(surplus.starts_with("column `url` has more values in its pages"), "{surplus}");
}

#[test]
fn f02_a_page_that_promises_500_megabytes_in_64_kilobytes_is_refused() {
    let body = vec![0; 64 << 10];
    for codec in [ZSTD, GZIP, 1] {
        let pages = page(false, 7, PLAIN, 500 << 20, &body);
        let message = refusal(forge(&pages, &Footer { codec, ..Footer::of(7) }));
        assert!(message.starts_with("a page of 65536 bytes that unpacks to 524288000"), "{message}");
    }
    let pages = page(true, 1, PLAIN, 500 << 20, &body);
    let message =
        refusal(forge(&pages, &Footer { codec: ZSTD, dictionary_bytes: pages.len(), ..Footer::of(7) }));
    assert!(message.starts_with("a page of 65536 bytes that unpacks to 524288000"), "{message}");
}

#[test]
fn f02_a_gzip_page_that_unpacks_to_more_than_its_header_says_is_refused() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&vec![0; 32 << 20]).unwrap();
    let pages = page(false, 7, PLAIN, 100, &packer.finish().unwrap());
    let message = refusal(forge(&pages, &Footer { codec: GZIP, ..Footer::of(7) }));
    assert_eq!(message, "a page that unpacks to more than the 100 bytes of its header");
}

#[test]
fn f02_one_large_value_in_every_row_is_never_copied_for_all_of_them() {
    // A dictionary of one value of 8 MiB, and 1,000 rows that name it: 8 GB if each had its own.
    let value = vec![b'x'; 8 << 20];
    let dictionary = plain(&[&value]);
    let dictionary = page(true, 1, PLAIN, dictionary.len() as i64, &dictionary);
    // One run of 1,000 zeros, of no bits each.
    let indices = join(&[&[0], &varint(1_000 << 1)]);
    let pages = join(&[&dictionary, &page(false, 1_000, RLE_DICTIONARY, indices.len() as i64, &indices)]);
    let file =
        open(forge(&pages, &Footer { dictionary_bytes: dictionary.len(), ..Footer::of(1_000) })).unwrap();
    let plan = ReadPlan { batch_rows: 1_000, ..ReadPlan::default() };
    let views = file.views(&plan).unwrap().next().unwrap().unwrap();
    assert_eq!(views.num_rows(), 1_000);
    assert!(views.column(0).get_array_memory_size() < 20 << 20);
    assert_eq!(unpacked_bytes(views.column(0)), 1_000 * ((8 << 20) + 4));
    let mut rows = 0;
    for batch in file.batches(&plan).unwrap().take(3) {
        let batch = batch.unwrap();
        assert!(unpacked_bytes(batch.column(0)) <= MAX_BATCH_BYTES);
        assert_eq!(batch.column(0).as_string::<i32>().value(0).len(), 8 << 20);
        rows += batch.num_rows();
    }
    assert!((3..30).contains(&rows), "{rows}");
}

#[test]
fn f02_a_dictionary_has_room_for_the_values_it_counts() {
    let body = plain(&[b"a"]);
    let dictionary = page(true, i32::MAX.into(), PLAIN, body.len() as i64, &body);
    let indices = join(&[&[0], &varint(7 << 1)]);
    let pages = join(&[&dictionary, &page(false, 7, RLE_DICTIONARY, indices.len() as i64, &indices)]);
    let message = refusal(forge(&pages, &Footer { dictionary_bytes: dictionary.len(), ..Footer::of(7) }));
    assert!(message.starts_with("a dictionary of 5 bytes cannot hold the 2147483647 values"), "{message}");
}

#[test]
fn f02_delta_lengths_that_no_page_has_are_refused() {
    // Blocks of 128, one miniblock, 2^31 - 1 values.
    let billions = join(&[&varint(128), &varint(1), &varint(i32::MAX as u64), &zigzag(0), &zigzag(0), &[0]]);
    for encoding in [DELTA_LENGTH, DELTA_BYTE_ARRAY] {
        let pages = page(false, 7, encoding, billions.len() as i64, &billions);
        let message = refusal(forge(&pages, &Footer::of(7)));
        assert!(message.contains("delta-encoded texts is damaged"), "{message}");
    }
}

#[test]
fn f02_texts_that_repeat_each_others_beginnings_are_added_up() {
    // A first text of 1 MiB, then 1,023 that have all of it for a prefix and add nothing: 1 GiB.
    let rows = 1_024_u64;
    let mebibyte = 1_i64 << 20;
    // The format's delta stream: a first length, then one delta that differs from 0 (0 → 2^20 or 2^20 → 0).
    let stream = |first: i64, step: i64| {
        let mut bytes =
            join(&[&varint(1_024), &varint(1), &varint(rows), &zigzag(first), &zigzag(step.min(0)), &[21]]);
        let mut packed = vec![0_u8; 1_024 / 8 * 21];
        let mut put = |at: usize, value: u64| {
            for bit in 0..21 {
                if value >> bit & 1 == 1 {
                    packed[(at * 21 + bit) / 8] |= 1 << ((at * 21 + bit) % 8);
                }
            }
        };
        for at in 0..rows as usize - 1 {
            put(at, (if at == 0 { step } else { 0 } - step.min(0)) as u64);
        }
        bytes.extend(packed);
        bytes
    };
    let body = join(&[&stream(0, mebibyte), &stream(mebibyte, -mebibyte), &vec![b'x'; mebibyte as usize]]);
    let pages = page(false, rows as i64, DELTA_BYTE_ARRAY, body.len() as i64, &body);
    let message = refusal(forge(&pages, &Footer::of(rows as i64)));
    assert!(message.contains("whose texts unpack to 1073741824"), "{message}");
}

#[test]
fn f02_a_footer_is_not_believed() {
    let (pages, _) = seven();
    let start = join(&[&[0x15], &zigzag(1)]);
    // 2^31 - 1 row groups.
    let groups =
        join(&[&start, &schema(), &[0x16], &zigzag(7), &[0x19, 0xfc], &varint(i32::MAX as u64), &[0]]);
    assert!(refusal(with_tail(&pages, &groups)).starts_with("more than 32768 row groups"));
    // A group that claims 2^31 - 1 children.
    let root = join(&[&[0x48], &text("m"), &[0x15], &zigzag(i32::MAX.into()), &[0]]);
    let children = join(&[&start, &[0x19, 0x1c], &root, &[0]]);
    assert_eq!(refusal(with_tail(&pages, &children)), "the footer's schema is damaged");
    // Ten thousand groups, each inside the one before.
    let nested = |last: bool| {
        let children = if last { Vec::new() } else { join(&[&[0x15], &zigzag(1)]) };
        join(&[&[0x35], &zigzag(1), &[0x18], &text("g"), &children, &[0]])
    };
    let deep: Vec<u8> = (0..10_000).flat_map(|at| nested(at == 9_999)).collect();
    let deep = join(&[&start, &[0x19, 0xfc], &varint(10_000), &deep, &[0]]);
    assert_eq!(refusal(with_tail(&pages, &deep)), "a schema more than 64 levels deep");
    // A value of fixed length of 2 GB.
    let leaf = join(&[
        &[0x15],
        &zigzag(7),
        &[0x15],
        &zigzag(i32::MAX.into()),
        &[0x15],
        &zigzag(0),
        &[0x18],
        &text("x"),
        &[0],
    ]);
    let root = join(&[&[0x48], &text("m"), &[0x15], &zigzag(1), &[0]]);
    let wide = join(&[&start, &[0x19, 0x2c], &root, &leaf, &[0]]);
    assert!(refusal(with_tail(&pages, &wide)).starts_with("a column of 2147483647 bytes a value"));
    // A footer longer than the file, and larger than any.
    let claim = |bytes: u32| join(&[b"PAR1", &bytes.to_le_bytes(), b"PAR1"]);
    assert_eq!(refusal(claim(1_000)), "the footer is longer than the file");
    assert!(refusal(claim(u32::MAX)).starts_with("a footer of 4294967295 bytes"));
}

#[test]
fn f22_what_is_no_parquet_is_named() {
    let page = b"<!DOCTYPE html><html><body>Sign in</body></html>".to_vec();
    assert!(refusal(page).starts_with("this is an HTML page"));
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n".to_vec();
    assert!(refusal(pointer).starts_with("this is a Git LFS pointer to a file of 123 bytes"));
    assert_eq!(refusal(b"PAR1....".to_vec()), "the file has no footer; it is cut short, fetch it again");
    assert_eq!(refusal(Vec::new()), "the file is empty");
    assert!(refusal(b"PAR1\0\0\0\0PARE".to_vec()).starts_with("the file is encrypted"));
}

#[test]
fn rows_are_passed_over_and_groups_chosen() {
    let (pages, rows) = seven();
    let file = open(forge(&pages, &Footer::of(rows))).unwrap();
    let plan = ReadPlan { first_row: 5, batch_rows: 3, ..ReadPlan::default() };
    let batches: Vec<_> = file.batches(&plan).unwrap().map(Result::unwrap).collect();
    let values: Vec<_> =
        batches.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten()).collect();
    assert_eq!(values, ["f", "g"]);
    let none = ReadPlan { row_groups: Some(1..9), ..ReadPlan::default() };
    assert_eq!(file.views(&none).unwrap().count(), 0);
}
