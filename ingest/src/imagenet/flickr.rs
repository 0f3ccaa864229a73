//! `imagenet_captions.json`: one JSON list of objects, 131 MB in the original. Read once for where each object lies;
//! texts are read again when asked for, so memory is an index of file names (some 80 bytes for each of 463,622).

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::captions::Order;
use super::error::ImageNetError;
use crate::yfcc::text::strip;

/// Largest object.
const MAX_OBJECT_BYTES: usize = 16 << 20;

/// What Flickr had about one image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Text {
    filename: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Text {
    /// The parts there are, joined by spaces; tags of HTML dropped, line ends and runs of blanks one space.
    pub fn join(&self, order: Order) -> String {
        let title = self.title.as_deref().unwrap_or_default();
        let description = self.description.as_deref().unwrap_or_default();
        let tags = self.tags.as_deref().unwrap_or_default().join(" ");
        let parts: &[&str] = match order {
            Order::TitleDescriptionTags => &[title, description, &tags],
            Order::TitleTagsDescription => &[title, &tags, description],
            Order::TitleDescription => &[title, description],
            Order::Title => &[title],
        };
        strip(&parts.join(" "))
    }
}

/// The index.
#[derive(Debug)]
pub(super) struct FlickrTexts {
    path: PathBuf,
    file: File,
    places: HashMap<Box<str>, (u64, u32)>,
}

impl FlickrTexts {
    pub fn open(path: &Path) -> Result<Self, ImageNetError> {
        let file = File::open(path).map_err(ImageNetError::unreadable(path))?;
        let copy = file.try_clone().map_err(ImageNetError::unreadable(path))?;
        let mut places = HashMap::new();
        let mut objects = Objects::new(BufReader::with_capacity(1 << 18, copy), path);
        let mut object = Vec::new();
        while let Some(offset) = objects.next_object(&mut object)? {
            let text = parse(path, offset, &object)?;
            // Of two objects for one image the first counts.
            places.entry(text.filename.into_boxed_str()).or_insert((offset, object.len() as u32));
        }
        Ok(Self { path: path.to_owned(), file, places })
    }

    pub fn get(&self, name: &str) -> Result<Option<Text>, ImageNetError> {
        let Some(&(offset, len)) = self.places.get(name) else { return Ok(None) };
        let mut object = vec![0; len as usize];
        self.file.read_exact_at(&mut object, offset).map_err(ImageNetError::unreadable(&self.path))?;
        parse(&self.path, offset, &object).map(Some)
    }
}

fn parse(path: &Path, offset: u64, object: &[u8]) -> Result<Text, ImageNetError> {
    serde_json::from_slice(object).map_err(|error| ImageNetError::Captions {
        path: path.to_owned(),
        offset,
        reason: format!("this is no object with filename, title, description and tags: {error}"),
    })
}

/// Cuts a JSON list into its objects by counting braces outside strings.
struct Objects<'a, R> {
    bytes: std::io::Bytes<R>,
    offset: u64,
    path: &'a Path,
    in_list: bool,
}

impl<'a, R: BufRead> Objects<'a, R> {
    fn new(input: R, path: &'a Path) -> Self {
        Self { bytes: input.bytes(), offset: 0, path, in_list: false }
    }

    fn next_byte(&mut self) -> Result<Option<u8>, ImageNetError> {
        let byte = self.bytes.next().transpose().map_err(ImageNetError::unreadable(self.path))?;
        self.offset += u64::from(byte.is_some());
        Ok(byte)
    }

    fn broken(&self, reason: &str) -> ImageNetError {
        ImageNetError::Captions { path: self.path.to_owned(), offset: self.offset, reason: reason.to_owned() }
    }

    /// The next object and where it begins; `None` behind the list.
    fn next_object(&mut self, object: &mut Vec<u8>) -> Result<Option<u64>, ImageNetError> {
        loop {
            match self.next_byte()? {
                Some(b'[') if !self.in_list => self.in_list = true,
                Some(b'{') if self.in_list => break,
                Some(b',' | b' ' | b'\n' | b'\r' | b'\t') => {}
                Some(b']') if self.in_list => return Ok(None),
                Some(_) => return Err(self.broken("not a JSON list of objects")),
                None => return Err(self.broken("the list does not end; the file is cut short")),
            }
        }
        let start = self.offset - 1;
        object.clear();
        object.push(b'{');
        let (mut depth, mut in_string, mut escaped) = (1u32, false, false);
        while depth > 0 {
            let Some(byte) = self.next_byte()? else {
                return Err(self.broken("an object does not end; the file is cut short"));
            };
            object.push(byte);
            if object.len() > MAX_OBJECT_BYTES {
                return Err(self.broken("an object is larger than 16 MiB"));
            }
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => depth += 1,
                b'}' | b']' if !in_string => depth -= 1,
                _ => {}
            }
        }
        Ok(Some(start))
    }
}
