//! Token ids of real captions, against what open_clip makes of them (`tests/peers/token_reference.py`).

use std::fs::File;
use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::DataType;
use pairmill_tokens::{END, START, Tokenizer};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// FNV-1a of the ids of ten captions a line.
const EXPECTED: &str = include_str!("tokens_laion.txt");
const BLOCK: usize = 10;

#[test]
fn real_captions_have_the_ids_of_open_clip() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/laion_sample_3000.parquet");
    let Ok(file) = File::open(&path) else {
        eprintln!("SKIPPED: {} is not there; token ids of real captions were NOT compared", path.display());
        return;
    };
    let mut captions = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let text =
            arrow::compute::cast(batch.unwrap().column_by_name("TEXT").unwrap(), &DataType::Utf8).unwrap();
        captions.extend(text.as_string::<i32>().iter().map(|c| c.unwrap_or_default().to_owned()));
    }
    let mut encoder = Tokenizer::new().unwrap().encoder();
    let expected: Vec<&str> = EXPECTED.lines().collect();
    assert_eq!(captions.len(), expected.len() * BLOCK);
    for (number, (block, expected)) in captions.chunks(BLOCK).zip(expected).enumerate() {
        let mut ids = Vec::new();
        for caption in block {
            ids.push(START);
            encoder.encode(caption, &mut ids);
            ids.push(END);
        }
        let bytes = ids.iter().flat_map(|id| (*id as u16).to_le_bytes());
        let hash =
            bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        assert_eq!(
            format!("{hash:016x}"),
            expected,
            "captions {} to {}",
            number * BLOCK,
            number * BLOCK + BLOCK - 1
        );
    }
}
