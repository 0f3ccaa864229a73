//! What a holder of Shutterstock metadata may have (sources.md §7): a headerless TSV of URL and description, or a CSV
//! or JSONL export whose columns have other names.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::account::{Account, Truth};
use super::{Quirk, Release, ReleaseConfig, one_line};
use crate::error::{Error, Result};
use crate::source::Source;
use crate::table::Row;
use crate::table::sink::Sink;
use crate::world::World;

const TSV: &[Quirk] = &[Quirk::QuoteUnbalanced, Quirk::HtmlEntities, Quirk::CaptionEmpty];
const EXPORT: &[Quirk] =
    &[Quirk::FieldWithDelimiter, Quirk::HtmlEntities, Quirk::CaptionEmpty, Quirk::CaptionNull];

pub(super) fn write(world: &World, config: &ReleaseConfig, out: &Path, account: &mut Account) -> Result<()> {
    let file = match config.release {
        Release::ShutterstockCsv => "shutterstock.csv",
        Release::ShutterstockJsonl => "shutterstock.jsonl",
        _ => "shutterstock.tsv",
    };
    let path = out.join(file);
    let mut sink = Sink::create(&path)?;
    match config.release {
        Release::ShutterstockCsv => {
            let failed = |e: csv::Error| Error::io(&path)(std::io::Error::other(e));
            let mut csv = csv::WriterBuilder::new().from_writer(&mut sink);
            csv.write_record(["id", "preview_url", "description", "keywords"]).map_err(failed)?;
            for row in config.rows(world, Source::Shutterstock) {
                let (truth, caption) = caption(EXPORT, &row, false);
                let id = (1_000_000 + row.index).to_string();
                let keywords = row.caption.keywords.join(",");
                csv.write_record([&id, &row.url, &caption, &keywords]).map_err(failed)?;
                account.add(file, truth)?;
            }
            csv.flush().map_err(Error::io(&path))?;
        }
        Release::ShutterstockJsonl => {
            for row in config.rows(world, Source::Shutterstock) {
                let (truth, caption) = caption(EXPORT, &row, true);
                let mut object = json!({ "id": 1_000_000 + row.index, "image_url": row.url });
                // A row without a title has no key for it.
                if truth.caption.is_some() {
                    object["title"] = json!(caption);
                }
                object["keywords"] = json!(row.caption.keywords);
                writeln!(sink, "{object}").map_err(Error::io(&path))?;
                account.add(file, truth)?;
            }
        }
        _ => {
            for row in config.rows(world, Source::Shutterstock) {
                let (truth, caption) = caption(TSV, &row, false);
                writeln!(sink, "{}\t{caption}", row.url).map_err(Error::io(&path))?;
                account.add(file, truth)?;
            }
        }
    }
    sink.finish()
}

/// The caption as written; `nulls` where the format tells a null from an empty text.
fn caption(kinds: &[Quirk], row: &Row, nulls: bool) -> (Truth, String) {
    let quirk = Quirk::of_row(kinds, row.index);
    let text = one_line(&row.caption.text);
    let caption = match quirk {
        Some(Quirk::QuoteUnbalanced) => format!("12\" print of {text}"),
        Some(Quirk::HtmlEntities) => format!("{text} &amp; more"),
        Some(Quirk::FieldWithDelimiter) => format!("{text}, \"isolated\",\nwhite background"),
        Some(Quirk::CaptionEmpty | Quirk::CaptionNull) => String::new(),
        _ => text,
    };
    let mut truth = Truth::plain(&row.url, &caption, quirk);
    if quirk == Some(Quirk::CaptionNull) && nulls {
        truth.caption = None;
    }
    (truth, caption)
}
