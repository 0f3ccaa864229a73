//! WIT (sources.md §6): gzipped TSV with a header and 17 columns, every language, more rows without a reference
//! caption than with one, and the same image under other captions. Fields that hold a tab, a line end or a quote are
//! quoted with the quotes doubled, which is what the usual readers of these files expect.

use std::path::Path;

use csv::QuoteStyle;

use super::account::{Account, Truth};
use super::{Quirk, ReleaseConfig};
use crate::error::{Error, Result};
use crate::rng::mix;
use crate::scene::Shape;
use crate::source::Source;
use crate::table::sink::Sink;
use crate::table::{Row, TableConfig, WIT_COLUMNS};
use crate::world::World;

const KINDS: &[Quirk] = &[
    Quirk::LanguageOther,
    Quirk::ReferenceNull,
    Quirk::MimeSvg,
    Quirk::MimeTiff,
    Quirk::MimeGif,
    Quirk::MimePng,
    Quirk::MimeWebp,
    Quirk::ImageRecaptioned,
    Quirk::FieldQuoted,
    Quirk::UrlWikimedia,
    Quirk::OriginalHuge,
    Quirk::ReferenceNull,
    Quirk::LanguageOther,
];
const FILES: u64 = 2;

pub(super) fn write(world: &World, config: &ReleaseConfig, out: &Path, account: &mut Account) -> Result<()> {
    let table = TableConfig::new(Source::Wit, config.rows, config.base_url.clone());
    let per_file = config.rows.div_ceil(FILES);
    for number in 0..FILES {
        let file = format!("wit_v1.train.all-{number:05}-of-00010.tsv.gz");
        let path = out.join(&file);
        let failed = |e: csv::Error| Error::io(&path)(std::io::Error::other(e));
        let mut sink = Sink::create(&path)?;
        let mut tsv = csv::WriterBuilder::new()
            .delimiter(b'\t')
            .quote_style(QuoteStyle::Necessary)
            .from_writer(&mut sink);
        tsv.write_record(WIT_COLUMNS).map_err(failed)?;
        for index in number * per_file..((number + 1) * per_file).min(config.rows) {
            let (fields, truth) = fields(&world.row(&table, index), |earlier| world.row(&table, earlier).url);
            tsv.write_record(&fields).map_err(failed)?;
            account.add(&file, truth)?;
        }
        tsv.flush().map_err(Error::io(&path))?;
        drop(tsv);
        sink.finish()?;
    }
    Ok(())
}

/// `url_of` gives the URL of an earlier row.
fn fields(row: &Row, url_of: impl Fn(u64) -> String) -> (Vec<String>, Truth) {
    let quirk = Quirk::of_row(KINDS, row.index);
    let chance = mix(row.index ^ 0x0077_6974);
    let shape = Shape::ALL[(chance % 12) as usize];
    let language = match quirk {
        Some(Quirk::LanguageOther) => ["de", "fr", "ja", "zh-TW"][(chance >> 8) as usize % 4],
        _ => "en",
    };
    let reference = match quirk {
        Some(Quirk::ReferenceNull) => String::new(),
        Some(Quirk::FieldQuoted) => format!("The \"{shape}\":\n{}\tin 1900", row.caption.text),
        Some(Quirk::ImageRecaptioned) => format!("{} (detail)", row.caption.text),
        _ => row.caption.text.clone(),
    };
    let name = format!("{shape}_%C3%A9t%C3%A9_{}", row.index);
    let commons = |ending: &str| {
        format!(
            "http://upload.wikimedia.org/wikipedia/commons/{0:x}/{0:x}{1:x}/{name}.{ending}",
            chance % 16,
            (chance >> 4) % 16
        )
    };
    let url = match quirk {
        Some(Quirk::MimeSvg) => commons("svg"),
        Some(Quirk::MimeTiff) => commons("tif"),
        Some(Quirk::UrlWikimedia) => commons("jpg"),
        Some(Quirk::ImageRecaptioned) => url_of(row.index - 1),
        _ => row.url.clone(),
    };
    let mime_type = match quirk {
        Some(Quirk::MimeSvg) => "image/svg+xml",
        Some(Quirk::MimeTiff) => "image/tiff",
        Some(Quirk::MimeGif) => "image/gif",
        Some(Quirk::MimePng) => "image/png",
        Some(Quirk::MimeWebp) => "image/webp",
        _ => "image/jpeg",
    };
    let (width, height) = match quirk {
        Some(Quirk::OriginalHuge) => (18_000, 12_000),
        _ => (row.width, row.height),
    };
    let word = |b: bool| if b { "true" } else { "false" }.to_owned();
    let fields = vec![
        language.to_owned(),
        format!("https://{language}.wikipedia.org/wiki/{shape}"),
        url.clone(),
        if row.caption.title.is_empty() { shape.to_string() } else { row.caption.title.clone() },
        "History".to_owned(),
        format!("{shape} / History"),
        reference.clone(),
        format!("English: {}", row.caption.text),
        if chance & 1 == 0 { row.caption.text.clone() } else { String::new() },
        mime_type.to_owned(),
        height.to_string(),
        width.to_string(),
        word(chance & 2 == 0),
        word(chance & 4 == 0),
        word(chance & 8 == 0),
        format!("The {shape} is a figure with a long history."),
        String::new(),
    ];
    let mut truth = Truth::plain(&url, &reference, quirk);
    if reference.is_empty() {
        truth.quirks.insert(Quirk::ReferenceNull);
    }
    (fields, truth)
}
