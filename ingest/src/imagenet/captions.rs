//! What an ImageNet image is captioned with: nothing, a prompt about its class, or what its photographer wrote.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::ImageNetError;
use super::flickr::FlickrTexts;
use super::synsets::{Classes, read_small};

/// The variants of ImageNet as a source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Captions {
    /// `imagenet`: labels alone.
    #[default]
    Labels,
    /// `imagenet-template`: a prompt with the class name.
    Template {
        /// Prompts, one a line, `{}` for the class name. Of several, each image gets one, drawn by seed and name.
        templates: PathBuf,
        /// Names, one a line, in the order of the sorted WNIDs.
        class_names: PathBuf,
        /// Of the draw.
        #[serde(default)]
        seed: u64,
    },
    /// `imagenet-flickr`: ImageNet-Captions, joined on the file name. Images without a text are dropped.
    Flickr {
        /// `imagenet_captions.json`.
        captions: PathBuf,
        /// How title, description and tags are joined.
        #[serde(default)]
        order: Order,
        /// Words, one a line; a caption that holds one of them, whatever the case, is dropped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profanity: Option<PathBuf>,
        /// Whether a caption that came before is dropped.
        #[serde(default)]
        drop_duplicates: bool,
    },
}

/// Order of an ImageNet-Captions text. Which one the study used is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Title, description, tags.
    #[default]
    TitleDescriptionTags,
    /// Title, tags, description.
    TitleTagsDescription,
    /// Title and description.
    TitleDescription,
    /// The title alone.
    Title,
}

/// What became of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep(Option<String>),
    Drop(Rule),
}

/// Why an image is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Uncaptioned,
    Blank,
    Profane,
    Duplicate,
}

/// Captions, ready to be asked for.
#[derive(Debug)]
pub(super) enum Captioner {
    Labels,
    Template { templates: Vec<String>, names: Vec<String>, seed: u64 },
    Flickr { texts: FlickrTexts, order: Order, profane: HashSet<String>, seen: Option<HashSet<u64>> },
}

impl Captioner {
    pub fn open(captions: &Captions, classes: &Classes) -> Result<Self, ImageNetError> {
        Ok(match captions {
            Captions::Labels => Self::Labels,
            Captions::Template { templates, class_names, seed } => {
                let names = lines(class_names)?;
                if names.len() != classes.wnids.len() {
                    let (found, expected) = (names.len(), classes.wnids.len());
                    return Err(ImageNetError::ClassNames { path: class_names.clone(), found, expected });
                }
                let prompts = lines(templates)?;
                let without = prompts.iter().position(|prompt| !prompt.contains("{}"));
                if let Some(at) = without.or(prompts.is_empty().then_some(0)) {
                    return Err(ImageNetError::Line {
                        path: templates.clone(),
                        line: at + 1,
                        reason: "a prompt without `{}`; write {} where the class name goes".to_owned(),
                    });
                }
                Self::Template { templates: prompts, names, seed: *seed }
            }
            Captions::Flickr { captions, order, profanity, drop_duplicates } => {
                let profane = profanity.as_deref().map(lines).transpose()?.unwrap_or_default();
                Self::Flickr {
                    texts: FlickrTexts::open(captions)?,
                    order: *order,
                    profane: profane.iter().map(|word| word.to_lowercase()).collect(),
                    seen: drop_duplicates.then(HashSet::new),
                }
            }
        })
    }

    /// Whether there are captions at all.
    pub fn has_captions(&self) -> bool {
        !matches!(self, Self::Labels)
    }

    pub fn caption(&mut self, name: &str, label: usize) -> Result<Verdict, ImageNetError> {
        let caption = match self {
            Self::Labels => return Ok(Verdict::Keep(None)),
            Self::Template { templates, names, seed } => {
                let drawn = hash(name, *seed) % templates.len().max(1) as u64;
                let prompt = templates.get(drawn as usize).map_or("{}", String::as_str);
                prompt.replace("{}", names.get(label).map_or("", String::as_str))
            }
            Self::Flickr { texts, order, profane, seen } => {
                let Some(text) = texts.get(name)? else { return Ok(Verdict::Drop(Rule::Uncaptioned)) };
                let caption = text.join(*order);
                if caption.is_empty() {
                    return Ok(Verdict::Drop(Rule::Blank));
                }
                if !profane.is_empty() && words(&caption).any(|word| profane.contains(&word)) {
                    return Ok(Verdict::Drop(Rule::Profane));
                }
                if let Some(seen) = seen
                    && !seen.insert(hash(&caption, 0))
                {
                    return Ok(Verdict::Drop(Rule::Duplicate));
                }
                caption
            }
        };
        Ok(Verdict::Keep(Some(caption)))
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Lines that are not blank, trimmed.
fn lines(path: &Path) -> Result<Vec<String>, ImageNetError> {
    let text = String::from_utf8_lossy(&read_small(path)?).into_owned();
    Ok(text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect())
}

/// FNV-1a and SplitMix64's finaliser: the same everywhere and for ever, unlike the standard library's hasher.
fn hash(text: &str, seed: u64) -> u64 {
    let mut z = text.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, |h, byte| {
        (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
