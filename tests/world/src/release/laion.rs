//! LAION's Parquet parts (sources.md §2): the eight columns of LAION-400M, the floats and swapped sizes of 2B-en, the
//! language of 2B-multi, the hash and scores of `-joined`, the digests of `-md5`, and Re-LAION's lower-case names.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Float64Array, Int32Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use md5::{Digest, Md5};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::json;

use super::account::{Account, Truth};
use super::{Quirk, Release, ReleaseConfig};
use crate::error::{Error, Result};
use crate::rng::mix;
use crate::source::Source;
use crate::table::Row;
use crate::table::sink::Sink;
use crate::world::World;

const KINDS: &[Quirk] = &[
    Quirk::NsfwUnsure,
    Quirk::NsfwNsfw,
    Quirk::NsfwEmpty,
    Quirk::NsfwNull,
    Quirk::SimilarityOutlier,
    Quirk::SimilarityNull,
    Quirk::SimilarityLow,
    Quirk::SampleIdRepeated,
    Quirk::HtmlEntities,
    Quirk::SizeNull,
    Quirk::SizeZero,
    Quirk::UrlNull,
    Quirk::CaptionNull,
    Quirk::CaptionEmpty,
    Quirk::CaptionLong,
];
/// Those that need a column which only some releases have.
const SCORES: &[Quirk] = &[Quirk::PunsafeHigh, Quirk::PwatermarkHigh, Quirk::ScoreNull];

const PARTS: u64 = 2;
const ROWS_PER_BATCH: u64 = 8 * 1024;
const ROWS_PER_GROUP: usize = 64 * 1024;
/// The longest text seen in LAION, in characters: one row has that; what is long elsewhere.
const LONGEST: usize = 61_192;
const LONG: usize = 2_000;

/// A row in the union of all columns.
struct Cells {
    id: i64,
    url: Option<String>,
    text: Option<String>,
    size: Option<(u32, u32)>,
    licence: &'static str,
    language: &'static str,
    nsfw: Option<&'static str>,
    similarity: Option<f64>,
    scores: Option<(f32, f32)>,
    md5: Option<String>,
    status: &'static str,
}

fn kinds(release: Release) -> Vec<Quirk> {
    let mut kinds = KINDS.to_vec();
    match release {
        Release::LaionJoined => kinds.extend(SCORES),
        Release::Laion2bMulti => kinds.push(Quirk::LanguageOther),
        Release::LaionMd5 => kinds.push(Quirk::Md5Changed),
        Release::Relaion => {
            kinds.retain(|kind| !kind.as_str().starts_with("nsfw") && *kind != Quirk::SampleIdRepeated);
            kinds.extend(SCORES);
            kinds.push(Quirk::StatusFailed);
        }
        _ => {}
    }
    kinds
}

fn has_swapped_sizes(release: Release) -> bool {
    matches!(release, Release::Laion2b | Release::Laion2bMulti | Release::LaionJoined)
}

pub(super) fn write(world: &World, config: &ReleaseConfig, out: &Path, account: &mut Account) -> Result<()> {
    let kinds = kinds(config.release);
    let table = crate::table::TableConfig::new(Source::Laion, config.rows, config.base_url.clone());
    let per_part = config.rows.div_ceil(PARTS);
    for part in 0..PARTS {
        let file = file_name(config.release, part);
        let path = out.join(&file);
        let mut writer = None;
        let (mut next, end) = (part * per_part, ((part + 1) * per_part).min(config.rows));
        while next < end {
            let batch_end = (next + ROWS_PER_BATCH).min(end);
            let mut cells = Vec::with_capacity((batch_end - next) as usize);
            for index in next..batch_end {
                let row = world.row(&table, index);
                let (cell, truth) = cells_of(world, config.release, &kinds, &row)?;
                account.add(&file, truth)?;
                cells.push(cell);
            }
            let batch = batch(config.release, &cells)
                .map_err(|source| Error::Arrow { path: path.clone(), source })?;
            let failed = |source| Error::Parquet { path: path.clone(), source };
            let writer = match &mut writer {
                Some(writer) => writer,
                none => {
                    let properties = WriterProperties::builder()
                        .set_compression(Compression::SNAPPY)
                        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
                        .build();
                    let sink = Sink::create(&path)?;
                    none.insert(ArrowWriter::try_new(sink, batch.schema(), Some(properties)).map_err(failed)?)
                }
            };
            writer.write(&batch).map_err(failed)?;
            next = batch_end;
        }
        if let Some(writer) = writer {
            writer.into_inner().map_err(|source| Error::Parquet { path: path.clone(), source })?.finish()?;
        }
    }
    Ok(())
}

fn file_name(release: Release, part: u64) -> String {
    let uuid = match release {
        Release::Laion2b => "5114fd87-297e-42b0-9d11-50f1df323dfa",
        Release::Laion2bMulti => "fc82da14-99c9-4ff6-ab6a-ac853ac82819",
        _ => "5b54c5d5-bbcf-484d-a2ce-0d6f73df1a36",
    };
    format!("part-{part:05}-{uuid}-c000.snappy.parquet")
}

fn cells_of(world: &World, release: Release, kinds: &[Quirk], row: &Row) -> Result<(Cells, Truth)> {
    let quirk = Quirk::of_row(kinds, row.index);
    let chance = mix(row.index ^ 0x6c61_696f);
    let id = |index: u64| (mix(index ^ 0x7361_6d70) >> 1) as i64;
    let mut text = Some(row.caption.text.clone());
    let mut cells = Cells {
        id: id(row.index),
        url: Some(row.url.clone()),
        text: None,
        size: Some((row.width, row.height)),
        licence: if (chance >> 8).is_multiple_of(20) { "cc-by-2.0" } else { "?" },
        language: "en",
        nsfw: Some("UNLIKELY"),
        similarity: Some(0.3 + ((chance >> 24) % 2000) as f64 / 10_000.0),
        scores: Some(((chance % 400) as f32 / 1000.0, ((chance >> 10) % 700) as f32 / 1000.0)),
        md5: None,
        status: "success",
    };
    match quirk {
        Some(Quirk::NsfwUnsure) => cells.nsfw = Some("UNSURE"),
        // A label only: every picture of the world is harmless.
        Some(Quirk::NsfwNsfw) => cells.nsfw = Some("NSFW"),
        Some(Quirk::NsfwEmpty) => cells.nsfw = Some(""),
        Some(Quirk::NsfwNull) => cells.nsfw = None,
        Some(Quirk::SimilarityOutlier) => cells.similarity = Some(6016.0),
        Some(Quirk::SimilarityNull) => cells.similarity = None,
        Some(Quirk::SimilarityLow) => cells.similarity = Some(0.2),
        Some(Quirk::SampleIdRepeated) => cells.id = id(row.index - 1),
        Some(Quirk::HtmlEntities) => {
            text = text.map(|text| format!("Tom &amp; Jerry&#39;s &quot;{text}&quot;"))
        }
        Some(Quirk::SizeNull) => cells.size = None,
        Some(Quirk::SizeZero) => cells.size = Some((0, 0)),
        Some(Quirk::UrlNull) => cells.url = None,
        Some(Quirk::CaptionNull) => text = None,
        Some(Quirk::CaptionEmpty) => text = Some(String::new()),
        Some(Quirk::CaptionLong) => {
            let len = if row.index < 3 * kinds.len() as u64 { LONGEST } else { LONG };
            text = Some("best price ".chars().cycle().take(len).collect());
        }
        Some(Quirk::PunsafeHigh) => cells.scores = Some((0.9, 0.1)),
        Some(Quirk::PwatermarkHigh) => cells.scores = Some((0.1, 0.95)),
        Some(Quirk::ScoreNull) => cells.scores = None,
        Some(Quirk::LanguageOther) => cells.language = "de",
        Some(Quirk::StatusFailed) => cells.status = "failed_to_download",
        _ => {}
    }
    cells.text.clone_from(&text);
    if release == Release::LaionMd5 {
        let bytes = world.picture(Source::Laion, row.picture).bytes()?;
        let changed: &[u8] = if quirk == Some(Quirk::Md5Changed) { b"since then" } else { b"" };
        let digest = Md5::new().chain_update(&bytes).chain_update(changed).finalize();
        cells.md5 = Some(digest.iter().map(|byte| format!("{byte:02x}")).collect());
    }
    let mut truth = Truth {
        url: cells.url.clone(),
        fetch_url: cells.url.clone(),
        caption: text,
        more: serde_json::Map::new(),
        quirks: quirk.into_iter().collect(),
    };
    if has_swapped_sizes(release) && cells.size.is_some_and(|(width, height)| width != height) {
        truth.quirks.insert(Quirk::SizesSwapped);
    }
    truth.more.insert("width".to_owned(), json!(cells.size.map(|(width, _)| width)));
    truth.more.insert("height".to_owned(), json!(cells.size.map(|(_, height)| height)));
    Ok((cells, truth))
}

fn batch(release: Release, rows: &[Cells]) -> std::result::Result<RecordBatch, arrow::error::ArrowError> {
    let texts = |cell: fn(&Cells) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(cell).collect::<StringArray>())
    };
    let swapped = has_swapped_sizes(release);
    let sizes = |wide: bool| -> ArrayRef {
        let size = rows.iter().map(|row| row.size.map(|(w, h)| if wide != swapped { w } else { h }));
        if release == Release::Laion2b {
            Arc::new(size.map(|side| side.map(f64::from)).collect::<Float64Array>())
        } else {
            Arc::new(size.map(|side| side.map(|side| side as i32)).collect::<Int32Array>())
        }
    };
    let ids = || -> ArrayRef {
        if release == Release::Laion2b {
            Arc::new(rows.iter().map(|row| Some(row.id as f64)).collect::<Float64Array>())
        } else {
            Arc::new(rows.iter().map(|row| Some(row.id)).collect::<Int64Array>())
        }
    };
    let similarities =
        || -> ArrayRef { Arc::new(rows.iter().map(|row| row.similarity).collect::<Float64Array>()) };
    // MurmurHash3 of URL and text in the real ones; here any number that rows do not share.
    let hashes = || -> ArrayRef { Arc::new(rows.iter().map(|row| Some(!row.id)).collect::<Int64Array>()) };
    let scores = |score: fn((f32, f32)) -> f32| -> ArrayRef {
        Arc::new(rows.iter().map(|row| row.scores.map(score)).collect::<Float32Array>())
    };
    let mut columns: Vec<(&str, ArrayRef)>;
    if release == Release::Relaion {
        let keys: StringArray =
            rows.iter().map(|row| Some(format!("{:012}", row.id % 1_000_000_000))).collect();
        columns = vec![
            ("url", texts(|row| row.url.as_deref())),
            ("caption", texts(|row| row.text.as_deref())),
            ("similarity", similarities()),
            ("hash", hashes()),
            ("punsafe", scores(|(unsafe_, _)| unsafe_)),
            ("pwatermark", scores(|(_, watermark)| watermark)),
            ("key", Arc::new(keys)),
            ("status", texts(|row| Some(row.status))),
            ("error_message", texts(|row| (row.status != "success").then_some("HTTP Error 404: Not Found"))),
            ("width", sizes(true)),
            ("height", sizes(false)),
            ("original_width", sizes(true)),
            ("original_height", sizes(false)),
            ("exif", texts(|_| Some("{}"))),
        ];
    } else {
        columns = vec![
            ("SAMPLE_ID", ids()),
            ("URL", texts(|row| row.url.as_deref())),
            ("TEXT", texts(|row| row.text.as_deref())),
            ("HEIGHT", sizes(false)),
            ("WIDTH", sizes(true)),
            ("LICENSE", texts(|row| Some(row.licence))),
        ];
        if release == Release::Laion2bMulti {
            columns.push(("LANGUAGE", texts(|row| Some(row.language))));
        }
        columns.push(("NSFW", texts(|row| row.nsfw)));
        columns.push(("similarity", similarities()));
        if release == Release::LaionJoined {
            columns.push(("hash", hashes()));
            columns.push(("punsafe", scores(|(unsafe_, _)| unsafe_)));
            columns.push(("pwatermark", scores(|(_, watermark)| watermark)));
        }
        if release == Release::LaionMd5 {
            columns.push(("md5", texts(|row| row.md5.as_deref())));
        }
    }
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
}
