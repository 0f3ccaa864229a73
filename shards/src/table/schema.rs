//! Which columns a sidecar has, and in which order (FORMAT.md §4).

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use sha2::Digest;

use super::{TableError, column, final_url};
use crate::json;
use crate::status::UnknownWord;

/// Hash of an image's bytes as downloaded. The word is the column's and the JSON field's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashKind {
    /// MD5
    Md5,
    /// SHA-256, img2dataset's default
    Sha256,
    /// SHA-512
    Sha512,
}

impl HashKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Md5, Self::Sha256, Self::Sha512];

    /// The option's word and the column's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Lower-case hex digest of `bytes`.
    pub fn hex_digest(self, bytes: &[u8]) -> String {
        match self {
            Self::Md5 => json::to_hex(&md5::Md5::digest(bytes)),
            Self::Sha256 => json::to_hex(&sha2::Sha256::digest(bytes)),
            Self::Sha512 => json::to_hex(&sha2::Sha512::digest(bytes)),
        }
    }
}

impl fmt::Display for HashKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for HashKind {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|k| k.as_str() == word).ok_or_else(|| UnknownWord(word.to_owned()))
    }
}

/// Names that no input column may have, whatever the options: img2dataset refuses the same (but for `caption`, `url`
/// and the verify-hash column, which the reader itself has renamed), and the last four are Pairmill's.
pub const RESERVED_COLUMNS: [&str; 12] = [
    column::KEY,
    column::STATUS,
    column::ERROR_MESSAGE,
    column::WIDTH,
    column::HEIGHT,
    column::ORIGINAL_WIDTH,
    column::ORIGINAL_HEIGHT,
    column::EXIF,
    column::FAILURE_CLASS,
    column::ATTEMPTS,
    column::FINAL_URL,
    column::RETRY_OF,
];

/// Which optional columns a sidecar has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SidecarOptions {
    /// A column `exif`.
    pub exif: bool,
    /// A hash column. When the reader's columns already hold one of that name, it is the verify-hash column.
    pub hash: Option<HashKind>,
    /// Image bytes in the last column; the word is the encoded format (`jpg`, `png`, `webp`) and the column's name.
    pub image: Option<String>,
    /// The image column is Hugging Face's `image: struct<bytes: binary, path: string>` instead.
    pub image_as_struct: bool,
    /// A column `retry_of`: the shard is made by `retry`.
    pub retry: bool,
    /// The column `final_url` holds whole addresses, with user names, passwords and queries.
    pub whole_final_url: bool,
}

/// The columns of one dataset's sidecars.
#[derive(Debug, Clone, PartialEq)]
pub struct SidecarSchema {
    reader_fields: Fields,
    options: SidecarOptions,
    schema: SchemaRef,
    verify_hash_at: Option<usize>,
}

impl SidecarSchema {
    /// The schema for rows of `reader_fields`: additional columns, `caption`, the verify-hash column, `url`, in the
    /// reader's order and under those names.
    ///
    /// # Errors
    /// When a reader's column has a name that the sidecar needs, or two have the same.
    pub fn new(reader_fields: &Fields, options: SidecarOptions) -> Result<Self, TableError> {
        // Cells may be null whatever the input promised: a retry shard, say, mixes inputs.
        let reader_fields: Fields =
            reader_fields.iter().map(|f| Arc::new(f.as_ref().clone().with_nullable(true))).collect();
        for (i, field) in reader_fields.iter().enumerate() {
            let name = field.name().as_str();
            let image = options.image.as_deref();
            let taken = RESERVED_COLUMNS.contains(&name)
                || image.is_some_and(|ext| name == ext || options.image_as_struct && name == column::IMAGE)
                // A hash column is welcome only as the verify-hash column of the same kind.
                || HashKind::ALL.iter().any(|k| k.as_str() == name && options.hash != Some(*k));
            if taken {
                return Err(TableError::ReservedColumn(name.to_owned()));
            }
            if reader_fields.iter().take(i).any(|f| f.name() == name) {
                return Err(TableError::DuplicateColumn(name.to_owned()));
            }
        }
        let verify_hash_at =
            options.hash.and_then(|kind| reader_fields.iter().position(|f| f.name() == kind.as_str()));
        let mut fields: Vec<FieldRef> = reader_fields.iter().cloned().collect();
        if let Some(at) = verify_hash_at {
            fields[at] = nullable(reader_fields[at].name(), DataType::Utf8);
        }
        for name in [column::KEY, column::STATUS, column::ERROR_MESSAGE] {
            fields.push(nullable(name, DataType::Utf8));
        }
        for name in [column::WIDTH, column::HEIGHT, column::ORIGINAL_WIDTH, column::ORIGINAL_HEIGHT] {
            fields.push(nullable(name, DataType::Int32));
        }
        if options.exif {
            fields.push(nullable(column::EXIF, DataType::Utf8));
        }
        if let (Some(kind), None) = (options.hash, verify_hash_at) {
            fields.push(nullable(kind.as_str(), DataType::Utf8));
        }
        fields.push(nullable(column::FAILURE_CLASS, DataType::Utf8));
        fields.push(nullable(column::ATTEMPTS, DataType::Int32));
        let final_url = Field::new(column::FINAL_URL, DataType::Utf8, true);
        // On the field, so that it goes where the column goes.
        let whole = || HashMap::from([(final_url::WHOLE_KEY.to_owned(), final_url::WHOLE.to_owned())]);
        fields.push(Arc::new(match options.whole_final_url {
            true => final_url.with_metadata(whole()),
            false => final_url,
        }));
        if options.retry {
            fields.push(nullable(column::RETRY_OF, DataType::Utf8));
        }
        if let Some(ext) = &options.image {
            if options.image_as_struct {
                fields.push(nullable(column::IMAGE, DataType::Struct(image_struct_fields())));
            } else {
                fields.push(nullable(ext, DataType::Binary));
            }
        }
        let metadata = image_metadata(options.image.is_some() && options.image_as_struct);
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        Ok(Self { reader_fields, options, schema, verify_hash_at })
    }

    /// All columns, in order.
    pub fn arrow_schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns rows are expected to have, in order.
    pub fn reader_fields(&self) -> &Fields {
        &self.reader_fields
    }

    /// Which optional columns there are.
    pub fn options(&self) -> &SidecarOptions {
        &self.options
    }

    /// Place of the verify-hash column among the reader's.
    pub fn verify_hash_at(&self) -> Option<usize> {
        self.verify_hash_at
    }
}

/// Schema metadata of an image shard: in struct form, what makes Hugging Face datasets decode the column untold.
pub(crate) fn image_metadata(image_as_struct: bool) -> HashMap<String, String> {
    let features = r#"{"info": {"features": {"image": {"_type": "Image"}}}}"#;
    let features = image_as_struct.then(|| ("huggingface".to_owned(), features.to_owned()));
    features.into_iter().collect()
}

/// Hugging Face's image: the encoded bytes and a file name.
pub(crate) fn image_struct_fields() -> Fields {
    Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)])
}

fn nullable(name: &str, data_type: DataType) -> FieldRef {
    Arc::new(Field::new(name, data_type, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(names: &[&str]) -> Fields {
        names.iter().map(|n| Field::new(*n, DataType::Utf8, false)).collect()
    }

    fn names(schema: &SidecarSchema) -> Vec<String> {
        schema.arrow_schema().fields().iter().map(|f| f.name().clone()).collect()
    }

    #[test]
    fn columns_come_in_img2datasets_order_with_ours_behind() {
        let options =
            SidecarOptions { exif: true, hash: Some(HashKind::Sha256), ..SidecarOptions::default() };
        let schema = SidecarSchema::new(&fields(&["uid", "caption", "url"]), options).unwrap();
        assert_eq!(
            names(&schema).join(" "),
            "uid caption url key status error_message width height original_width original_height exif sha256 \
             failure_class attempts final_url"
        );
    }

    #[test]
    fn a_verified_hash_keeps_its_place_and_images_come_last() {
        let options = SidecarOptions {
            hash: Some(HashKind::Md5),
            image: Some("webp".to_owned()),
            retry: true,
            ..SidecarOptions::default()
        };
        let schema = SidecarSchema::new(&fields(&["caption", "md5", "url"]), options).unwrap();
        assert_eq!(
            names(&schema).join(" "),
            "caption md5 url key status error_message width height original_width original_height failure_class \
             attempts final_url retry_of webp"
        );
        assert_eq!(schema.verify_hash_at(), Some(1));
    }

    #[test]
    fn names_the_output_needs_are_refused() {
        let plain = SidecarOptions::default;
        let hashed = || SidecarOptions { hash: Some(HashKind::Sha256), ..plain() };
        for (name, options) in
            [("key", plain()), ("md5", hashed()), ("sha256", plain()), ("retry_of", plain())]
        {
            let refused = SidecarSchema::new(&fields(&[name, "url"]), options);
            assert!(matches!(refused, Err(TableError::ReservedColumn(n)) if n == name), "{name}");
        }
        let twice = SidecarSchema::new(&fields(&["url", "url"]), plain());
        assert!(matches!(twice, Err(TableError::DuplicateColumn(_))));
    }

    #[test]
    fn digests_are_those_of_hashlib() {
        assert_eq!(HashKind::Md5.hex_digest(b"abc"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(
            HashKind::Sha256.hex_digest(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(HashKind::Sha512.hex_digest(b"abc").starts_with("ddaf35a193617abacc417349ae204131"));
    }
}
