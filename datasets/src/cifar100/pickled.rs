//! The pickles of `cifar-100-python`: dicts whose keys are byte strings, with lists and one NumPy array of bytes.

use super::{LABEL_BYTES, MAX_RECORDS, RECORD_BYTES, Records};
use crate::error::{DatasetError, shown};
use pairmill_pickle::{Dialect, Node, Value, Values, run};

/// Bytes of pixels of a picture.
const PIXEL_BYTES: usize = RECORD_BYTES - LABEL_BYTES;

/// The names of the fine labels in `meta`.
pub(super) fn names(file: &str, program: &[u8]) -> Result<Vec<String>, DatasetError> {
    let values = parsed(file, program)?;
    let names = entry(file, &values, "fine_label_names")?;
    let name = |&name: &Value| values.bytes(name).and_then(|name| String::from_utf8(name.to_vec()).ok());
    let names = values.list(names).and_then(|names| names.iter().map(name).collect());
    names.ok_or_else(|| DatasetError::wrong(file, "fine_label_names is no list of text"))
}

/// Labels of `train` or `test`, and where the pixels stand in it.
pub(super) fn records(name: &str, file: &str, program: &[u8]) -> Result<Records, DatasetError> {
    let values = parsed(file, program)?;
    let labels = entry(file, &values, "fine_labels")?;
    let label = |&label: &Value| match label {
        Value::Int(label) => u32::try_from(label).ok(),
        _ => None,
    };
    let labels: Option<Vec<u32>> = values.list(labels).and_then(|labels| labels.iter().map(label).collect());
    let labels = labels.ok_or_else(|| DatasetError::wrong(file, "fine_labels is no list of labels"))?;
    let Some(Node::Array(data)) = values.node(entry(file, &values, "data")?) else {
        return Err(DatasetError::wrong(file, "data is no NumPy array"));
    };
    let dtype = values.slice(&data.dtype);
    let is_bytes = matches!(dtype, b"u1" | b"|u1" | b"B" | b"uint8") && !data.by_columns;
    let pictures = labels.len() as u64;
    let is_whole = data.shape == [labels.len() as i64, PIXEL_BYTES as i64]
        && data.data.len() as u64 == pictures * PIXEL_BYTES as u64;
    if !is_bytes || !is_whole || pictures > MAX_RECORDS {
        let rule = format!(
            "data is an array of shape {:?} and format {} in {} bytes; {} labels want {} rows of {PIXEL_BYTES} bytes, row by row",
            data.shape,
            shown(&String::from_utf8_lossy(dtype)),
            data.data.len(),
            labels.len(),
            labels.len(),
        );
        return Err(DatasetError::wrong(file, rule));
    }
    Ok(Records { name: name.to_owned(), start: data.data.start as u64, label_bytes: 0, labels })
}

fn parsed<'a>(file: &str, program: &'a [u8]) -> Result<Values<'a>, DatasetError> {
    run(program, Dialect::NumPy).map_err(|error| {
        let rule = format!("{error}; fetch it again, or use cifar-100-binary.tar.gz");
        DatasetError::wrong(file, rule)
    })
}

fn entry(file: &str, values: &Values<'_>, key: &str) -> Result<Value, DatasetError> {
    let found = values.entry(values.root, key);
    found.ok_or_else(|| DatasetError::wrong(file, format!("its pickle has no entry {key}")))
}
