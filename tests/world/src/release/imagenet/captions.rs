//! `imagenet_captions.json` (sources.md §9): one JSON list, an object for two images in five, with the Flickr title,
//! description and tags; any of them may be empty.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::super::account::Truth;
use super::super::{Quirk, one_line};
use super::ascii_json;
use crate::error::{Error, Result};
use crate::source::Source;
use crate::table::sink::Sink;
use crate::world::World;

const KINDS: &[Quirk] = &[
    Quirk::NewlineEscaped,
    Quirk::LinkInDescription,
    Quirk::TitleEmpty,
    Quirk::DescriptionEmpty,
    Quirk::TagsEmpty,
    Quirk::TagsForeign,
    Quirk::TextEmpty,
];
const LINK: &str = "<a href=\"http://www.flickr.com/groups/x/\" rel=\"nofollow\">";

pub(super) struct Captions {
    sink: Sink,
    written: usize,
    path: std::path::PathBuf,
}

impl Captions {
    pub fn create(out: &Path) -> Result<Self> {
        let path = out.join("imagenet_captions.json");
        let mut sink = Sink::create(&path)?;
        sink.write_all(b"[").map_err(Error::io(&path))?;
        Ok(Self { sink, written: 0, path })
    }

    /// Writes the object of a training image if it has one, and its caption into the truth: title, description and
    /// tags, tags of HTML gone, blanks collapsed.
    pub fn describe(
        &mut self,
        world: &World,
        index: u64,
        wnid: &str,
        name: &str,
        truth: &mut Truth,
    ) -> Result<()> {
        if index % 5 >= 2 {
            return Ok(());
        }
        let quirk = KINDS[self.written % KINDS.len()];
        let caption = world.caption(Source::Yfcc, index);
        let mut title = one_line(&caption.title);
        let mut description = format!("a {} of 日本", one_line(&caption.title));
        let mut tags = caption.keywords;
        match quirk {
            Quirk::NewlineEscaped => description = format!("{description}\n\nsecond line"),
            Quirk::LinkInDescription => {
                description = format!("{description} {LINK}in a group</a> http://x.example")
            }
            Quirk::TitleEmpty => title.clear(),
            Quirk::DescriptionEmpty => description.clear(),
            Quirk::TagsEmpty => tags.clear(),
            Quirk::TagsForeign => {
                tags = vec!["chien".to_owned(), "\u{72ac}".to_owned(), "c\u{e3}o".to_owned()]
            }
            _ => {
                title.clear();
                description.clear();
                tags.clear();
            }
        }
        let object = json!({
            "filename": name, "wnid": wnid, "title": title, "description": description, "tags": tags,
        });
        let comma = if self.written == 0 { "" } else { ", " };
        write!(self.sink, "{comma}{}", ascii_json(&object)).map_err(Error::io(&self.path))?;
        self.written += 1;
        let description = description.replace(LINK, "").replace("</a>", "");
        let parts = [title.clone(), description.clone(), tags.join(" ")].join(" ");
        truth.caption = Some(parts.split_whitespace().collect::<Vec<_>>().join(" "));
        truth.quirks.insert(Quirk::Captioned);
        truth.quirks.insert(quirk);
        for (is_empty, quirk) in [
            (title.is_empty(), Quirk::TitleEmpty),
            (description.is_empty(), Quirk::DescriptionEmpty),
            (tags.is_empty(), Quirk::TagsEmpty),
        ] {
            if is_empty {
                truth.quirks.insert(quirk);
            }
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<()> {
        self.sink.write_all(b"]\n").map_err(Error::io(&self.path))?;
        self.sink.finish()
    }
}
