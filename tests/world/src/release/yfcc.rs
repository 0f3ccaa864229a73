//! YFCC100M (sources.md §1): `yfcc100m_dataset.bz2` in the 25 columns of the current release or the 23 of the first
//! one (no line number, no hash), several bzip2 streams one after the other, and OpenAI's list of line numbers
//! `yfcc100m_subset_data.tsv.bz2`. Line numbers count from 0. Titles, descriptions and tags are form-encoded.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use bzip2::Compression;
use bzip2::write::BzEncoder;
use serde_json::json;

use super::account::{Account, Truth};
use super::{Quirk, Release, ReleaseConfig};
use crate::error::{Error, Result};
use crate::rng::mix;
use crate::source::Source;
use crate::table::{Row, YfccItem, form_encode, yfcc_chance, yfcc_columns};
use crate::world::World;

const KINDS: &[Quirk] = &[
    Quirk::LiteralPlus,
    Quirk::NewlineEscaped,
    Quirk::HtmlTags,
    Quirk::HtmlEntities,
    Quirk::UrlInText,
    Quirk::CameraName,
    Quirk::PercentBroken,
    Quirk::PercentNotUtf8,
    Quirk::TitleEmpty,
    Quirk::DescriptionEmpty,
    Quirk::TextEmpty,
    Quirk::TextLong,
    Quirk::Video,
];
const DATASET: &str = "yfcc100m_dataset.bz2";
const SUBSET: &str = "yfcc100m_subset_data.tsv.bz2";
/// Lines of one bzip2 stream; the next begins a new one, as parallel compressors write them.
const LINES_PER_STREAM: u64 = 50_000;
/// Every tag the world's texts hold, so that the truth needs no parser.
const TAGS: [&str; 6] = [
    "<a href=\"http://www.example.com/set/1\">",
    "<a href=\"http://example.org/?a=1&b=2\" rel=\"nofollow\">",
    "</a>",
    "<b>",
    "</b>",
    "<i>",
];

pub(super) fn write(world: &World, config: &ReleaseConfig, out: &Path, account: &mut Account) -> Result<()> {
    let mut dataset = Streams::create(out.join(DATASET))?;
    let mut subset = Streams::create(out.join(SUBSET))?;
    for row in config.rows(world, Source::Yfcc) {
        let (columns, mut truth) = columns(&row);
        // 15 % of the photos, as OpenAI's list has; no video.
        if !truth.quirks.contains(&Quirk::Video) && mix(row.index ^ 0x6f61_6931) % 20 < 3 {
            truth.quirks.insert(Quirk::Listed);
            subset.line(&format!("{}\t{}\t{}\n", row.index, columns[1], columns[2]))?;
        }
        let line = if config.release == Release::Yfcc23 {
            let kept = columns.iter().enumerate().filter(|(at, _)| *at != 0 && *at != 2);
            kept.map(|(_, column)| column.as_str()).collect::<Vec<_>>().join("\t")
        } else {
            columns.join("\t")
        };
        dataset.line(&format!("{line}\n"))?;
        account.add(DATASET, truth)?;
    }
    dataset.finish()?;
    subset.finish()
}

/// The 25 columns of a row.
fn columns(row: &Row) -> (Vec<String>, Truth) {
    let quirk = Quirk::of_row(KINDS, row.index);
    let id = 2_000_000_000 + row.index * 7;
    let (mut title, mut description) = (row.caption.title.clone(), row.caption.description.clone());
    match quirk {
        Some(Quirk::LiteralPlus) => title = format!("1 + 1 {title}"),
        Some(Quirk::NewlineEscaped) => description = format!("First line\nsecond\tline: {description}"),
        Some(Quirk::HtmlTags) => {
            description =
                format!("{}{}a set{} of {}two{}, 1 < 2", TAGS[5], TAGS[1], TAGS[2], TAGS[3], TAGS[4]);
        }
        Some(Quirk::HtmlEntities) => description = format!("Tom &amp; Jerry &quot;{title}&quot;"),
        Some(Quirk::UrlInText) => {
            description = "see http://www.example.org/p?x=1 and www.example.org now".to_owned();
        }
        Some(Quirk::CameraName) => title = "IMG_0520".to_owned(),
        Some(Quirk::TitleEmpty) => title.clear(),
        Some(Quirk::DescriptionEmpty) => description.clear(),
        Some(Quirk::TextEmpty) => {
            title.clear();
            description.clear();
        }
        Some(Quirk::TextLong) => description = "a long story ".repeat(300).trim().to_owned(),
        _ => {}
    }
    let (mut title_column, description_column) = (form_encode(&title), form_encode(&description));
    match quirk {
        Some(Quirk::PercentBroken) => {
            title_column = "100%+wool+%zz".to_owned();
            title = "100% wool %zz".to_owned();
        }
        Some(Quirk::PercentNotUtf8) => {
            title_column = "caf%E9+%FF".to_owned();
            title = "caf\u{fffd} \u{fffd}".to_owned();
        }
        _ => {}
    }
    let is_placed = yfcc_chance(row) & 3 == 0;
    let item = YfccItem {
        id,
        title: title_column,
        description: description_column,
        place: ["-0.1276", "51.5072", "16"].map(|text| if is_placed { text } else { "" }.to_owned()),
        pages: "www.flickr.com",
        is_video: quirk == Some(Quirk::Video),
    };
    let columns = yfcc_columns(row, item);
    let (title, description) = (plain(&title), plain(&description));
    let caption = [title.as_str(), description.as_str()].join(" ").trim().to_owned();
    let mut truth = Truth::plain(&row.url, &caption, quirk);
    if title.is_empty() {
        truth.quirks.insert(Quirk::TitleEmpty);
    }
    if description.is_empty() {
        truth.quirks.insert(Quirk::DescriptionEmpty);
    }
    if title.is_empty() && description.is_empty() {
        truth.quirks.insert(Quirk::TextEmpty);
    }
    truth.more.insert("photo_id".to_owned(), json!(id));
    truth.more.insert("title".to_owned(), json!(title));
    truth.more.insert("description".to_owned(), json!(description));
    (columns, truth)
}

/// Tags gone, blanks of every kind one space.
fn plain(text: &str) -> String {
    let without = TAGS.iter().fold(text.to_owned(), |text, tag| text.replace(tag, ""));
    without.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A file of bzip2 streams one after the other, under a temporary name until it is whole.
struct Streams {
    encoder: Option<BzEncoder<BufWriter<File>>>,
    lines: u64,
    part: PathBuf,
    path: PathBuf,
}

impl Streams {
    fn create(path: PathBuf) -> Result<Self> {
        let part = path.with_extension("bz2.part");
        let file = BufWriter::new(File::create(&part).map_err(Error::io(&part))?);
        Ok(Self { encoder: Some(BzEncoder::new(file, Compression::fast())), lines: 0, part, path })
    }

    fn line(&mut self, line: &str) -> Result<()> {
        if self.lines > 0
            && self.lines.is_multiple_of(LINES_PER_STREAM)
            && let Some(encoder) = self.encoder.take()
        {
            let file = encoder.finish().map_err(Error::io(&self.part))?;
            self.encoder = Some(BzEncoder::new(file, Compression::fast()));
        }
        self.lines += 1;
        self.encoder
            .as_mut()
            .map_or(Ok(()), |encoder| encoder.write_all(line.as_bytes()))
            .map_err(Error::io(&self.part))
    }

    fn finish(mut self) -> Result<()> {
        if let Some(encoder) = self.encoder.take() {
            let mut file = encoder.finish().map_err(Error::io(&self.part))?;
            file.flush().map_err(Error::io(&self.part))?;
        }
        fs::rename(&self.part, &self.path).map_err(Error::io(&self.path))
    }
}
