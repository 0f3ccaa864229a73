//! `meta.mat`: MATLAB's level 5 format (MathWorks, "MAT-File Format"), one zlib-compressed struct array `synsets` with
//! the devkit's eight fields, the classes first and three inner nodes of WordNet behind them.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::{WNIDS, devkit_id};

// Data types.
const INT8: u32 = 1;
const UINT8: u32 = 2;
const UINT16: u32 = 4;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
// Array classes.
const STRUCT: u32 = 2;
const CHAR: u32 = 4;
const DOUBLE: u32 = 6;

const FIELDS: [&str; 8] = [
    "ILSVRC2012_ID",
    "WNID",
    "words",
    "gloss",
    "num_children",
    "children",
    "wordnet_height",
    "num_train_images",
];
const FIELD_NAME_BYTES: usize = 32;
const INNER: [&str; 3] = ["n00001740", "n00001930", "n00002684"];

pub(super) fn write(words: &[&str], rows: u64) -> io::Result<Vec<u8>> {
    let mut file =
        format!("{:<124}", "MATLAB 5.0 MAT-file, Platform: GLNXA64, Created by: the miniature web")
            .into_bytes();
    file.extend([0x00, 0x01, b'I', b'M']);
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(&synsets(words, rows))?;
    let packed = zlib.finish()?;
    file.extend(COMPRESSED.to_le_bytes());
    file.extend((packed.len() as u32).to_le_bytes());
    file.extend(packed);
    Ok(file)
}

fn synsets(words: &[&str], rows: u64) -> Vec<u8> {
    let num_classes = WNIDS.len();
    let mut label_of = vec![0; num_classes + 1];
    (0..num_classes).for_each(|label| label_of[devkit_id(label)] = label);
    let mut cells = Vec::new();
    for id in 1..=num_classes + INNER.len() {
        let inner = id > num_classes;
        let label = if inner { 0 } else { label_of[id] };
        let (wnid, word) = if inner {
            (INNER[id - num_classes - 1], "entity")
        } else {
            (WNIDS[label], words.get(label).copied().unwrap_or_default())
        };
        let children: Vec<f64> = if inner { (1..=4).map(f64::from).collect() } else { Vec::new() };
        let images = if inner { 0 } else { rows.div_ceil(num_classes as u64) };
        cells.extend(doubles(&[id as f64]));
        cells.extend(chars(wnid));
        cells.extend(chars(&format!("{word}, miniature {word}")));
        cells.extend(chars("a figure of the miniature web; with “quotes”"));
        cells.extend(doubles(&[children.len() as f64]));
        cells.extend(doubles(&children));
        cells.extend(doubles(&[f64::from(u8::from(inner))]));
        cells.extend(doubles(&[images as f64]));
    }
    let mut names = Vec::new();
    for field in FIELDS {
        names.extend(field.bytes());
        names.resize(names.len().next_multiple_of(FIELD_NAME_BYTES), 0);
    }
    let body = [element(INT32, &(FIELD_NAME_BYTES as u32).to_le_bytes()), element(INT8, &names), cells];
    matrix(STRUCT, [num_classes + INNER.len(), 1], "synsets", &body.concat())
}

fn doubles(values: &[f64]) -> Vec<u8> {
    // MATLAB stores whole numbers in the smallest type that holds them.
    let bytes: Vec<u8> = values.iter().flat_map(|&value| (value as u16).to_le_bytes()).collect();
    matrix(DOUBLE, [usize::from(!values.is_empty()), values.len()], "", &element(UINT16, &bytes))
}

fn chars(text: &str) -> Vec<u8> {
    let units: Vec<u16> = text.encode_utf16().collect();
    // And text in bytes where it can.
    let data = match text.is_ascii() {
        true => element(UINT8, text.as_bytes()),
        false => element(UINT16, &units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<_>>()),
    };
    matrix(CHAR, [1, units.len()], "", &data)
}

fn matrix(class: u32, dimensions: [usize; 2], name: &str, body: &[u8]) -> Vec<u8> {
    let flags = [class.to_le_bytes(), [0; 4]].concat();
    let dimensions: Vec<u8> = dimensions.iter().flat_map(|&d| (d as u32).to_le_bytes()).collect();
    let parts =
        [element(UINT32, &flags), element(INT32, &dimensions), element(INT8, name.as_bytes()), body.to_vec()];
    element(MATRIX, &parts.concat())
}

/// Tag and data, padded to eight bytes; up to four bytes of data go into the tag itself.
fn element(data_type: u32, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 16);
    if data.len() <= 4 && !data.is_empty() && data_type != MATRIX {
        out.extend((data_type | (data.len() as u32) << 16).to_le_bytes());
        out.extend(data);
    } else {
        out.extend(data_type.to_le_bytes());
        out.extend((data.len() as u32).to_le_bytes());
        out.extend(data);
    }
    out.resize(out.len().next_multiple_of(8), 0);
    out
}
