//! Which column of another tool's table holds the images. Such tables name it as they like, and have neither key nor status.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Fields};

use super::column;
use crate::sample::IMAGE_EXTS;

/// How other tools call the column of images, beside [`IMAGE_EXTS`].
pub const IMAGE_NAMES: [&str; 3] = [column::IMAGE, "img", "picture"];

/// The type of a column's values, also where the column is a dictionary of them (pandas' `category`).
pub fn value_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => value_type(values),
        plain => plain,
    }
}

/// Whether a column's values are bytes.
pub fn is_binary(data_type: &DataType) -> bool {
    matches!(value_type(data_type), DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

/// Whether they are Hugging Face's struct of bytes and path.
pub fn is_image_struct(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Struct(fields) if fields.iter().any(|f| f.name() == "bytes" && is_binary(f.data_type())))
}

/// The column of images: one of bytes called as images are, or else the only struct of bytes and path.
pub fn image_column(columns: &Fields) -> Option<usize> {
    let holds_bytes = |at: usize| {
        let data_type = columns[at].data_type();
        is_binary(data_type) || is_image_struct(data_type)
    };
    let called = |name: &&str| columns.iter().position(|c| c.name() == *name).filter(|at| holds_bytes(*at));
    let mut structs = (0..columns.len()).filter(|at| is_image_struct(columns[*at].data_type()));
    let only_struct = structs.next().filter(|_| structs.next().is_none());
    IMAGE_EXTS.iter().chain(&IMAGE_NAMES).find_map(called).or(only_struct)
}

/// Whether each row of a column of images has bytes; `None` when the column is of a kind that is not read.
pub fn have_bytes(column: &ArrayRef) -> Option<Vec<bool>> {
    let bytes = match column.as_struct_opt() {
        Some(image) => image.column_by_name("bytes")?,
        None => column,
    };
    let bytes = cast(bytes, &DataType::Binary).ok()?;
    let bytes = bytes.as_binary::<i32>();
    let has = |row: usize| column.is_valid(row) && bytes.is_valid(row) && !bytes.value(row).is_empty();
    Some((0..column.len()).map(has).collect())
}
