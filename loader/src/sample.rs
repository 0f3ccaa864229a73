//! One encoded sample and what the dataset's configuration makes of its members: image bytes, caption, class number.

use std::borrow::Cow;

use pairmill_shards::sample::METADATA_EXT;
use pairmill_shards::tar::BadMember;

use crate::config::{BlankCaptions, CaptionFrom, DatasetConfig, LabelFrom};
use crate::skipped::BadReason;

/// A sample as its shard holds it; bytes are borrowed from the shard or from a worker's scratch memory.
#[derive(Debug, Default)]
pub(crate) struct RawSample<'a> {
    pub key: Cow<'a, str>,
    /// Extension and bytes of every member.
    pub members: Vec<(&'a str, &'a [u8])>,
    /// Why it cannot be used, if the shard's reader knows that already.
    pub problem: Option<BadMember>,
}

/// What a batch needs of a sample.
#[derive(Debug)]
pub(crate) struct Chosen<'a> {
    pub image: &'a [u8],
    pub caption: Cow<'a, str>,
    pub label: Option<i64>,
}

impl<'a> RawSample<'a> {
    fn get(&self, ext: &str) -> Option<&'a [u8]> {
        self.members.iter().find(|(e, _)| *e == ext).map(|(_, bytes)| *bytes)
    }

    fn seen(&self) -> String {
        self.members.iter().map(|(ext, _)| *ext).collect::<Vec<_>>().join(", ")
    }

    /// Bytes of all members.
    pub fn num_bytes(&self) -> u64 {
        self.members.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    /// Picks image, caption and label.
    pub fn choose(&self, config: &DatasetConfig) -> Result<Chosen<'a>, BadReason> {
        if let Some(problem) = &self.problem {
            return Err(BadReason::Member(problem.clone()));
        }
        let image = config
            .images
            .iter()
            .find_map(|ext| self.get(ext))
            .ok_or_else(|| BadReason::NoImage { wanted: config.images.join(", "), seen: self.seen() })?;
        let no_caption = |wanted: String| BadReason::NoCaption { wanted, seen: self.seen() };
        let caption = match &config.caption {
            CaptionFrom::Nowhere => Cow::Borrowed(""),
            CaptionFrom::Member(ext) => {
                let bytes = self.get(ext).ok_or_else(|| no_caption(format!("`{ext}` member")))?;
                Cow::Borrowed(std::str::from_utf8(bytes).map_err(|_| BadReason::NotUtf8(ext.clone()))?)
            }
            CaptionFrom::Json(field) => match self.metadata()?.and_then(|mut json| json.remove(field)) {
                Some(serde_json::Value::String(text)) => Cow::Owned(text),
                _ => return Err(no_caption(format!("text field `{field}` in a `json` member"))),
            },
        };
        let blank = config.blank_captions == BlankCaptions::Drop && caption.trim().is_empty();
        if blank && config.caption != CaptionFrom::Nowhere {
            return Err(BadReason::BlankCaption);
        }
        Ok(Chosen { image, caption, label: self.label(&config.label)? })
    }

    fn label(&self, from: &LabelFrom) -> Result<Option<i64>, BadReason> {
        let (wanted, found) = match from {
            LabelFrom::Nowhere => return Ok(None),
            LabelFrom::Member(ext) => {
                let text = self.get(ext).and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::trim);
                if let Some(label) = text.and_then(|text| text.parse().ok()) {
                    return Ok(Some(label));
                }
                let found =
                    text.map(|text| format!("it holds `{}`", text.chars().take(40).collect::<String>()));
                (format!("a `{ext}` member"), found)
            }
            LabelFrom::Json(field) => {
                let value = self.metadata()?.and_then(|mut json| json.remove(field));
                if let Some(label) = value.as_ref().and_then(serde_json::Value::as_i64) {
                    return Ok(Some(label));
                }
                (
                    format!("field `{field}` of a `json` member"),
                    value.map(|value| format!("it holds {value}")),
                )
            }
        };
        let found = found.unwrap_or_else(|| format!("members seen: {}", self.seen()));
        Err(BadReason::Label { wanted, found })
    }

    fn metadata(&self) -> Result<Option<serde_json::Map<String, serde_json::Value>>, BadReason> {
        let Some(bytes) = self.get(METADATA_EXT) else { return Ok(None) };
        serde_json::from_slice(bytes).map(Some).map_err(|e| BadReason::Json(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample<'a>(members: &[(&'a str, &'a str)]) -> RawSample<'a> {
        let members = members.iter().map(|(ext, text)| (*ext, text.as_bytes())).collect();
        RawSample { key: Cow::Borrowed("0"), members, problem: None }
    }

    #[test]
    fn captions_and_labels_come_from_members_or_json() {
        let raw = sample(&[
            ("jpg", "i"),
            ("txt", "a cat"),
            ("json", r#"{"alt": "b", "class": 7}"#),
            ("cls", " 3\n"),
        ]);
        let plain = DatasetConfig { label: LabelFrom::Member("cls".to_owned()), ..DatasetConfig::default() };
        let chosen = raw.choose(&plain).unwrap();
        assert_eq!((chosen.image, chosen.caption.as_ref(), chosen.label), (&b"i"[..], "a cat", Some(3)));
        let json = DatasetConfig {
            caption: CaptionFrom::Json("alt".to_owned()),
            label: LabelFrom::Json("class".to_owned()),
            ..DatasetConfig::default()
        };
        let chosen = raw.choose(&json).unwrap();
        assert_eq!((chosen.caption.as_ref(), chosen.label), ("b", Some(7)));
    }

    #[test]
    fn what_is_missing_is_named_with_what_is_there() {
        let config = DatasetConfig::default();
        let reason = sample(&[("jpg", "i"), ("cls", "3")]).choose(&config).unwrap_err();
        assert_eq!(reason.to_string(), "no `txt` member; members seen: jpg, cls");
        let reason = sample(&[("txt", "a")]).choose(&config).unwrap_err();
        assert_eq!(reason.to_string(), "no image member (jpg, png, jpeg, webp); members seen: txt");
        let drop = DatasetConfig { blank_captions: BlankCaptions::Drop, ..config.clone() };
        let blank = sample(&[("jpg", "i"), ("txt", " \n")]);
        assert_eq!(blank.choose(&drop).unwrap_err(), BadReason::BlankCaption);
        assert_eq!(blank.choose(&config).unwrap().caption, " \n");
        let labels = DatasetConfig { label: LabelFrom::Member("cls".to_owned()), ..config };
        let reason = sample(&[("jpg", "i"), ("txt", ""), ("cls", "cat")]).choose(&labels).unwrap_err();
        assert_eq!(reason.to_string(), "no class number in a `cls` member; it holds `cat`");
    }
}
