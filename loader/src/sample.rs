//! One encoded sample and what the dataset's configuration makes of its members: image bytes, caption, class number.

use std::borrow::Cow;

use pairmill_shards::json::parse_python_json;
use pairmill_shards::sample::METADATA_EXT;
use pairmill_shards::tar::BadMember;
use serde_json::{Map, Value};

use crate::config::{BlankCaptions, CaptionFrom, DatasetConfig, LabelFrom};
use crate::skipped::BadReason;
use crate::text::{Text, decoded};

/// The members of a sample's JSON, and whether its text was recoded.
type Metadata = (Map<String, Value>, bool);

/// A sample as its shard holds it; bytes are borrowed from the shard or from a worker's scratch memory.
#[derive(Debug, Default)]
pub(crate) struct RawSample<'a> {
    pub key: Cow<'a, str>,
    /// Extension and bytes of every member.
    pub members: Vec<(&'a str, &'a [u8])>,
    /// Whether the caption is a list of captions in JSON, as those of a list column are handed on.
    pub is_caption_list: bool,
    /// Why it cannot be used, if the shard's reader knows that already.
    pub problem: Option<BadMember>,
}

/// What a batch needs of a sample.
#[derive(Debug)]
pub(crate) struct Chosen<'a> {
    pub image: &'a [u8],
    pub caption: Cow<'a, str>,
    pub label: Option<i64>,
    /// Whether the caption was in another encoding than UTF-8.
    pub is_recoded: bool,
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

    /// Picks image, caption and label. `draw` says which of so many captions is taken.
    pub fn choose(
        &self,
        config: &DatasetConfig,
        draw: impl FnOnce(usize) -> usize,
    ) -> Result<Chosen<'a>, BadReason> {
        if let Some(problem) = &self.problem {
            return Err(BadReason::Member(problem.clone()));
        }
        let image = config
            .images
            .iter()
            .find_map(|ext| self.get(ext))
            .ok_or_else(|| BadReason::NoImage { wanted: config.images.join(", "), seen: self.seen() })?;
        let Text { text, is_recoded } = self.caption(config, draw)?;
        let blank = config.blank_captions == BlankCaptions::Drop && text.trim().is_empty();
        if blank && config.caption != CaptionFrom::Nowhere {
            return Err(BadReason::BlankCaption);
        }
        Ok(Chosen { image, caption: text, label: self.label(&config.label)?, is_recoded })
    }

    fn caption(
        &self,
        config: &DatasetConfig,
        draw: impl FnOnce(usize) -> usize,
    ) -> Result<Text<'a>, BadReason> {
        let missing = |wanted: String| BadReason::NoCaption { wanted, seen: self.seen() };
        let Text { text, is_recoded } = match &config.caption {
            CaptionFrom::Nowhere => return Ok(Text { text: Cow::Borrowed(""), is_recoded: false }),
            CaptionFrom::Member(ext) => {
                let bytes = self.get(ext).ok_or_else(|| missing(format!("`{ext}` member")))?;
                let found = decoded(bytes).ok_or_else(|| BadReason::NotUtf8(ext.clone()))?;
                match self.is_caption_list {
                    true => {
                        let list = serde_json::from_str(&found.text);
                        let list = list.map_err(|error| BadReason::Json(error.to_string()))?;
                        let drawn = one_of(list, draw);
                        Text {
                            text: drawn.ok_or_else(|| missing(format!("text in the list `{ext}`")))?.into(),
                            ..found
                        }
                    }
                    false if config.caption_lines => line_of(found, draw),
                    false => found,
                }
            }
            CaptionFrom::Json(field) => {
                let wanted = || missing(format!("text field `{field}` in a `json` member"));
                let (mut json, is_recoded) = self.metadata()?.ok_or_else(wanted)?;
                let drawn = match json.remove(field) {
                    Some(Value::String(text)) if config.caption_lines => {
                        line_of(Text { text: text.into(), is_recoded }, draw).text
                    }
                    Some(Value::String(text)) => text.into(),
                    Some(Value::Array(list)) => one_of(list, draw).ok_or_else(wanted)?.into(),
                    _ => return Err(wanted()),
                };
                Text { text: drawn, is_recoded }
            }
        };
        Ok(Text { text, is_recoded })
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
                let value = self.metadata()?.and_then(|(mut json, _)| json.remove(field));
                if let Some(label) = value.as_ref().and_then(Value::as_i64) {
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

    /// The metadata, as Python may have written them, and whether they were recoded.
    fn metadata(&self) -> Result<Option<Metadata>, BadReason> {
        let Some(bytes) = self.get(METADATA_EXT) else { return Ok(None) };
        let Text { text, is_recoded } =
            decoded(bytes).ok_or_else(|| BadReason::NotUtf8(METADATA_EXT.to_owned()))?;
        match parse_python_json(&text) {
            Ok(Value::Object(fields)) => Ok(Some((fields, is_recoded))),
            Ok(_) => Err(BadReason::Json("it is no object".to_owned())),
            Err(error) => Err(BadReason::Json(error.to_string())),
        }
    }
}

/// One text of a JSON list. Items that are no text or blank do not count.
fn one_of(list: Vec<Value>, draw: impl FnOnce(usize) -> usize) -> Option<String> {
    let texts = list.into_iter().filter_map(|item| match item {
        Value::String(text) if !text.trim().is_empty() => Some(text),
        _ => None,
    });
    let mut texts: Vec<String> = texts.collect();
    match texts.len() {
        0 => None,
        1 => texts.pop(),
        count => Some(texts.swap_remove(draw(count).min(count - 1))),
    }
}

/// One line of a text; the whole of one that is blank.
fn line_of<'a>(found: Text<'a>, draw: impl FnOnce(usize) -> usize) -> Text<'a> {
    let lines: Vec<&str> = found.text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line = match lines.len() {
        0 => return found,
        1 => lines[0],
        count => lines[draw(count).min(count - 1)],
    };
    Text { text: Cow::Owned(line.to_owned()), is_recoded: found.is_recoded }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample<'a>(members: &[(&'a str, &'a str)]) -> RawSample<'a> {
        let members = members.iter().map(|(ext, text)| (*ext, text.as_bytes())).collect();
        RawSample { key: Cow::Borrowed("0"), members, ..RawSample::default() }
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
        let chosen = raw.choose(&plain, |_| 0).unwrap();
        assert_eq!((chosen.image, chosen.caption.as_ref(), chosen.label), (&b"i"[..], "a cat", Some(3)));
        let json = DatasetConfig {
            caption: CaptionFrom::Json("alt".to_owned()),
            label: LabelFrom::Json("class".to_owned()),
            ..DatasetConfig::default()
        };
        let chosen = raw.choose(&json, |_| 0).unwrap();
        assert_eq!((chosen.caption.as_ref(), chosen.label), ("b", Some(7)));
    }

    #[test]
    fn what_is_missing_is_named_with_what_is_there() {
        let config = DatasetConfig::default();
        let reason = sample(&[("jpg", "i"), ("cls", "3")]).choose(&config, |_| 0).unwrap_err();
        assert_eq!(reason.to_string(), "no `txt` member; members seen: jpg, cls");
        let reason = sample(&[("txt", "a")]).choose(&config, |_| 0).unwrap_err();
        assert_eq!(reason.to_string(), "no image member (jpg, png, jpeg, webp); members seen: txt");
        let drop = DatasetConfig { blank_captions: BlankCaptions::Drop, ..config.clone() };
        let blank = sample(&[("jpg", "i"), ("txt", " \n")]);
        assert_eq!(blank.choose(&drop, |_| 0).unwrap_err(), BadReason::BlankCaption);
        assert_eq!(blank.choose(&config, |_| 0).unwrap().caption, " \n");
        let labels = DatasetConfig { label: LabelFrom::Member("cls".to_owned()), ..config };
        let reason = sample(&[("jpg", "i"), ("txt", ""), ("cls", "cat")]).choose(&labels, |_| 0).unwrap_err();
        assert_eq!(reason.to_string(), "no class number in a `cls` member; it holds `cat`");
    }

    #[test]
    fn t06_json_as_python_writes_it_is_read() {
        let text = r#"{"caption": "a \"NaN\" cat", "similarity": NaN, "size": -Infinity, "class": 7}"#;
        let config = DatasetConfig {
            caption: CaptionFrom::Json("caption".to_owned()),
            label: LabelFrom::Json("class".to_owned()),
            ..DatasetConfig::default()
        };
        let chosen = sample(&[("jpg", "i"), ("json", text)]).choose(&config, |_| 0).unwrap();
        assert_eq!((chosen.caption.as_ref(), chosen.label), ("a \"NaN\" cat", Some(7)));
        for (text, name) in [("[NaN]", "json"), ("{\"caption\": NaN}", "no_caption"), ("{NaN", "json")] {
            let reason = sample(&[("jpg", "i"), ("json", text)]).choose(&config, |_| 0).unwrap_err();
            assert_eq!(reason.name(), name, "{text}");
        }
    }

    #[test]
    fn t14_one_of_several_captions_is_taken() {
        let drawn = |raw: &RawSample<'_>, config: &DatasetConfig| {
            let all: Vec<String> =
                (0..3).map(|at| raw.choose(config, |_| at).unwrap().caption.into_owned()).collect();
            all.join("|")
        };
        let json = DatasetConfig { caption: CaptionFrom::Json("all".to_owned()), ..DatasetConfig::default() };
        let raw = sample(&[("jpg", "i"), ("json", r#"{"all": ["one", " ", null, "two", "three"]}"#)]);
        assert_eq!(drawn(&raw, &json), "one|two|three");
        let raw = sample(&[("jpg", "i"), ("txt", "one\n\n two\r\nthree\n")]);
        assert_eq!(raw.choose(&DatasetConfig::default(), |_| 1).unwrap().caption, "one\n\n two\r\nthree\n");
        let lines = DatasetConfig { caption_lines: true, ..DatasetConfig::default() };
        assert_eq!(drawn(&raw, &lines), "one|two|three");
        let raw =
            RawSample { is_caption_list: true, ..sample(&[("jpg", "i"), ("txt", r#"["one", "two"]"#)]) };
        assert_eq!(drawn(&raw, &lines), "one|two|two");
        let none = sample(&[("jpg", "i"), ("json", r#"{"all": []}"#)]).choose(&json, |_| 0).unwrap_err();
        assert_eq!(none.name(), "no_caption");
    }
}
