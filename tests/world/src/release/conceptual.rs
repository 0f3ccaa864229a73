//! Conceptual Captions (sources.md §4, §5): headerless TSV without quoting, caption first in CC3M and URL first in
//! CC12M. Some URLs answer with a page and status 200.

use std::io::Write;
use std::path::Path;

use super::account::{Account, Truth};
use super::{Quirk, Release, ReleaseConfig, one_line};
use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::source::Source;
use crate::table::sink::Sink;
use crate::world::World;

const CC3M: &[Quirk] = &[Quirk::QuoteUnbalanced, Quirk::QuotesBalanced, Quirk::HtmlBody];
const CC12M: &[Quirk] = &[
    Quirk::PersonToken,
    Quirk::Backtick,
    Quirk::HtmlEntities,
    Quirk::QuoteUnbalanced,
    Quirk::QuotesBalanced,
    Quirk::HtmlBody,
];

pub(super) fn write(world: &World, config: &ReleaseConfig, out: &Path, account: &mut Account) -> Result<()> {
    let (source, kinds, file) = if config.release == Release::Cc3m {
        (Source::Cc3m, CC3M, "Train_GCC-training.tsv")
    } else {
        (Source::Cc12m, CC12M, "cc12m.tsv")
    };
    let path = out.join(file);
    let mut sink = Sink::create(&path)?;
    for row in config.rows(world, source) {
        let quirk = Quirk::of_row(kinds, row.index);
        let text = one_line(&row.caption.text);
        let caption = match quirk {
            Some(Quirk::QuoteUnbalanced) => format!("\"{text}"),
            Some(Quirk::QuotesBalanced) => format!("a sign that says \"{text}\" ."),
            Some(Quirk::PersonToken) => format!("<PERSON> and <PERSON> with {text}"),
            Some(Quirk::Backtick) => format!("``{text}`` by day"),
            Some(Quirk::HtmlEntities) => format!("{text} &amp; more"),
            _ => text,
        };
        let url = match quirk {
            Some(Quirk::HtmlBody) => Fault::Html.url(&config.base_url, source, row.index),
            _ => row.url,
        };
        let (first, second) = if source == Source::Cc3m { (&caption, &url) } else { (&url, &caption) };
        writeln!(sink, "{first}\t{second}").map_err(Error::io(&path))?;
        let mut truth = Truth::plain(&url, &caption, quirk);
        if caption.contains("<PERSON>") {
            truth.quirks.insert(Quirk::PersonToken);
        }
        account.add(file, truth)?;
    }
    sink.finish()
}
