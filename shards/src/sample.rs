//! One image with its caption and metadata, still encoded: what a tar holds between two keys and what flows from
//! readers to writers. The image stays the bytes it was stored as; decoding is the last step of a loader, not the
//! first.

/// Extensions under which a sample's image is looked for, first present wins: open_clip's `--image-key` order.
pub const IMAGE_EXTS: [&str; 4] = ["jpg", "png", "jpeg", "webp"];
/// Extension of the caption, UTF-8.
pub const CAPTION_EXT: &str = "txt";
/// Extension of the metadata, one JSON object.
pub const METADATA_EXT: &str = "json";

/// One file of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What follows the key and its dot, lower-case: `jpg`, `txt`, `seg.png`.
    pub ext: String,
    /// The file's bytes.
    pub data: Vec<u8>,
}

/// One sample, owning its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// Name up to the first dot of the base name, as found in the tar, so it may hold folders.
    pub key: String,
    /// The sample's files in the order they were stored.
    pub members: Vec<Member>,
}

impl Sample {
    /// The member called `ext`, if there is one.
    pub fn get(&self, ext: &str) -> Option<&[u8]> {
        self.members.iter().find(|m| m.ext == ext).map(|m| m.data.as_slice())
    }

    /// The image and its extension: the first of [`IMAGE_EXTS`] that is present.
    pub fn image(&self) -> Option<&Member> {
        IMAGE_EXTS.iter().find_map(|ext| self.members.iter().find(|m| m.ext == *ext))
    }

    /// The caption's bytes. Meant to be UTF-8; a foreign tar may break that.
    pub fn caption(&self) -> Option<&[u8]> {
        self.get(CAPTION_EXT)
    }

    /// The metadata's bytes. Meant to be a JSON object; a foreign tar may break that.
    pub fn metadata(&self) -> Option<&[u8]> {
        self.get(METADATA_EXT)
    }

    /// Bytes of all members together.
    pub fn num_bytes(&self) -> u64 {
        self.members.iter().map(|m| m.data.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_the_first_present_in_open_clips_order() {
        let member = |ext: &str| Member { ext: ext.to_owned(), data: ext.as_bytes().to_vec() };
        let sample =
            Sample { key: "0".to_owned(), members: vec![member("json"), member("webp"), member("png")] };
        assert_eq!(sample.image().map(|m| m.ext.as_str()), Some("png"));
        assert_eq!(sample.metadata(), Some(&b"json"[..]));
        assert_eq!(sample.caption(), None);
        assert_eq!(sample.num_bytes(), 11);
    }
}
