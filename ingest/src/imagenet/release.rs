//! Where the files of a release lie: all in one folder, under the names they were given, unless the config says
//! otherwise.

use std::path::{Path, PathBuf};

use super::ImageNetConfig;
use super::captions::Captions;

const TRAIN: &str = "ILSVRC2012_img_train.tar";
const DEVKIT: &str = "ILSVRC2012_devkit_t12.tar.gz";
const TEMPLATES: &str = "templates.txt";
const CLASS_NAMES: &str = "class_names.txt";
const FLICKR: &str = "imagenet_captions.json";

/// The kinds of captions, with their lists under the names they have in a release's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptionKind {
    /// None.
    Labels,
    /// Prompts about the class.
    Template,
    /// What photographers wrote.
    Flickr,
}

impl ImageNetConfig {
    /// What a source begins from.
    pub fn of(kind: CaptionKind) -> Self {
        let captions = match kind {
            CaptionKind::Labels => Captions::Labels,
            CaptionKind::Template => {
                Captions::Template { templates: TEMPLATES.into(), class_names: CLASS_NAMES.into(), seed: 0 }
            }
            CaptionKind::Flickr => Captions::Flickr {
                captions: FLICKR.into(),
                order: super::Order::default(),
                profanity: None,
                drop_duplicates: false,
            },
        };
        Self { captions, ..Self::default() }
    }

    /// The images at `input` and this config with its files found: the training archive in a folder that holds it, the
    /// devkit beside it, and lists by a relative name that stands for no file here, beside it too.
    #[must_use]
    pub fn locate(&self, input: &Path) -> (PathBuf, Self) {
        let folder = if input.is_dir() { input } else { input.parent().unwrap_or(Path::new("")) };
        let train = folder.join(TRAIN);
        let images = if input.is_dir() && train.is_file() { train } else { input.to_owned() };
        let mut found = self.clone();
        let devkit = folder.join(DEVKIT);
        if found.synsets.is_none() && devkit.is_file() {
            found.synsets = Some(devkit);
        }
        let beside = |path: &mut PathBuf| {
            // Also where it is not there either, so that the error says where it belongs.
            if path.is_relative() && !path.exists() {
                *path = folder.join(&*path);
            }
        };
        found.synsets.iter_mut().chain(found.labels.iter_mut()).for_each(beside);
        match &mut found.captions {
            Captions::Labels => {}
            Captions::Template { templates, class_names, .. } => {
                [templates, class_names].into_iter().for_each(beside);
            }
            Captions::Flickr { captions, profanity, .. } => {
                std::iter::once(captions).chain(profanity.iter_mut()).for_each(beside);
            }
        }
        (images, found)
    }
}
