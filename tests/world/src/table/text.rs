//! The text tables, row by row: headerless TSV in both column orders, WIT's TSV with header, YFCC's 25 columns,
//! RedCaps' JSON object, and plain csv, tsv, json, jsonl and txt.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Row, TableFormat};
use crate::rng::mix;
use crate::scene::Shape;

/// Writes every row in `format`, which must be a text format.
pub(super) fn write(
    format: TableFormat,
    rows: impl Iterator<Item = Row>,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        TableFormat::Csv => return separated(b',', rows, out),
        TableFormat::Tsv => return separated(b'\t', rows, out),
        TableFormat::Json => return list(rows, out, plain_object),
        TableFormat::RedCapsJson => return redcaps(rows, out),
        TableFormat::WitTsv => writeln!(out, "{}", WIT_COLUMNS.join("\t"))?,
        _ => {}
    }
    for row in rows {
        match format {
            TableFormat::CaptionUrlTsv => writeln!(out, "{}\t{}", one_line(&row.caption.text), row.url)?,
            TableFormat::UrlCaptionTsv => writeln!(out, "{}\t{}", row.url, one_line(&row.caption.text))?,
            TableFormat::WitTsv => writeln!(out, "{}", wit(&row).join("\t"))?,
            TableFormat::YfccText => writeln!(out, "{}", yfcc(&row).join("\t"))?,
            TableFormat::Jsonl => writeln!(out, "{}", plain_object(&row))?,
            // An empty line would be no row at all; a dash is as little a URL.
            _ => writeln!(out, "{}", if row.url.is_empty() { "-" } else { &row.url })?,
        }
    }
    Ok(())
}

/// The headerless sources cannot hold tabs or line ends and know no quoting.
fn one_line(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}

fn separated(delimiter: u8, rows: impl Iterator<Item = Row>, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(out);
    writer.write_record(["url", "caption"])?;
    for row in rows {
        writer.write_record([row.url.as_str(), row.caption.text.as_str()])?;
    }
    writer.flush()
}

fn plain_object(row: &Row) -> Value {
    json!({ "url": row.url, "caption": row.caption.text })
}

fn list(
    rows: impl Iterator<Item = Row>,
    out: &mut dyn Write,
    object: impl Fn(&Row) -> Value,
) -> io::Result<()> {
    out.write_all(b"[")?;
    for (i, row) in rows.enumerate() {
        out.write_all(if i == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *out, &object(&row))?;
    }
    out.write_all(b"\n]\n")
}

/// `{"info": …, "annotations": […]}` (sources.md §3).
fn redcaps(rows: impl Iterator<Item = Row>, out: &mut dyn Write) -> io::Result<()> {
    let filter = |model: &str| json!({ "num_removed": 0, "model": model, "confidence_threshold": 0.9 });
    let info = json!({
        "start_date": "2017-01-01", "end_date": "2017-12-31", "url": "https://redcaps.example", "version": "1.0",
        "word_filter": { "num_removed": 0 }, "nsfw_filter": filter("none"), "face_filter": filter("none"),
    });
    write!(out, "{{\"info\": {info},\n\"annotations\": ")?;
    list(rows, out, |row| {
        let chance = mix(row.index ^ 0x7265_6464);
        let id = base36(row.index + 0x5_0000_0000);
        let subreddit = ["pics", "itookapicture", "somethingimade", "earthporn"][(chance % 4) as usize];
        json!({
            "image_id": id,
            "author": format!("user{}", chance % 5000),
            "url": row.url,
            "raw_caption": row.caption.raw,
            "caption": row.caption.text,
            "subreddit": subreddit,
            "score": 2 + (chance >> 20) % 3000,
            "created_utc": 1_483_228_800 + (chance >> 30) % 31_536_000,
            "permalink": format!("/r/{subreddit}/comments/{id}/post/"),
            "crosspost_parents": Value::Null,
        })
    })?;
    out.write_all(b"}\n")
}

pub(crate) fn base36(mut n: u64) -> String {
    let mut digits = Vec::new();
    while n > 0 {
        digits.push(char::from_digit((n % 36) as u32, 36).unwrap_or('0'));
        n /= 36;
    }
    digits.into_iter().rev().collect()
}

/// WIT's columns in order (sources.md §6).
pub(crate) const WIT_COLUMNS: [&str; 17] = [
    "language",
    "page_url",
    "image_url",
    "page_title",
    "section_title",
    "hierarchical_section_title",
    "caption_reference_description",
    "caption_attribution_description",
    "caption_alt_text_description",
    "mime_type",
    "original_height",
    "original_width",
    "is_main_image",
    "attribution_passes_lang_id",
    "page_changed_recently",
    "context_page_description",
    "context_section_description",
];

fn wit(row: &Row) -> Vec<String> {
    let chance = mix(row.index ^ 0x0077_6974);
    let caption = one_line(&row.caption.text);
    let title = row.caption.title.clone();
    let bool_word = |b: bool| if b { "true" } else { "false" }.to_owned();
    let shape = Shape::ALL[(chance % 12) as usize];
    // Three rows in five are in another language; the reference text is missing in a third, whatever the language.
    let language = ["en", "en", "de", "fr", "ja"][(chance >> 8) as usize % 5];
    let reference = if (chance >> 16).is_multiple_of(3) { String::new() } else { caption.clone() };
    vec![
        language.to_owned(),
        format!("https://{language}.wiki.example/wiki/{shape}"),
        row.url.clone(),
        title,
        "History".to_owned(),
        format!("{shape} / History"),
        reference,
        format!("English: {caption}"),
        if chance & 1 == 0 { caption } else { String::new() },
        row.encoding.content_type().to_owned(),
        row.height.to_string(),
        row.width.to_string(),
        bool_word(chance & 2 == 0),
        bool_word(chance & 4 == 0),
        bool_word(chance & 8 == 0),
        format!("The {shape} is a figure with a long history."),
        String::new(),
    ]
}

fn yfcc(row: &Row) -> Vec<String> {
    yfcc_columns(
        row,
        YfccItem {
            id: 2_000_000_000 + row.index,
            title: form_encode(&row.caption.title),
            description: form_encode(&row.caption.description),
            place: Default::default(),
            pages: "www.flickr.example",
            is_video: false,
        },
    )
}

/// What YFCC100M's tables and releases say differently of a row.
pub(crate) struct YfccItem {
    pub id: u64,
    /// Form-encoded.
    pub title: String,
    /// Form-encoded.
    pub description: String,
    /// Longitude, latitude and accuracy; blank for most.
    pub place: [String; 3],
    /// Host of the photo's page.
    pub pages: &'static str,
    pub is_video: bool,
}

/// YFCC100M's 25 columns (sources.md §1).
pub(crate) fn yfcc_columns(row: &Row, item: YfccItem) -> Vec<String> {
    let YfccItem { id, title, description, place: [longitude, latitude, accuracy], pages, is_video } = item;
    let chance = yfcc_chance(row);
    let user = format!("{}@N00", 10_000_000 + chance % 1_000_000);
    let tags: Vec<_> = row.caption.keywords.iter().map(|word| form_encode(word)).collect();
    let digits = |shift: u32| format!("{:010x}", (chance >> shift) & 0xff_ffff_ffff);
    vec![
        row.index.to_string(),
        id.to_string(),
        format!("{:016x}{:016x}", mix(id), mix(id ^ 1)),
        user.clone(),
        format!("photographer+{}", chance % 5000),
        format!("2009-0{}-1{} 12:{:02}:00.0", 1 + chance % 9, chance % 10, chance % 60),
        (1_250_000_000 + chance % 50_000_000).to_string(),
        "Canon+EOS+400D".to_owned(),
        title,
        description,
        tags.join(","),
        String::new(),
        longitude,
        latitude,
        accuracy,
        format!("http://{pages}/photos/{user}/{id}/"),
        row.url.clone(),
        "Attribution License".to_owned(),
        "http://creativecommons.org/licenses/by/2.0/".to_owned(),
        (chance % 8000).to_string(),
        (1 + chance % 9).to_string(),
        digits(4),
        digits(20),
        if is_video { "mp4" } else { row.encoding.extension() }.to_owned(),
        u8::from(is_video).to_string(),
    ]
}

/// What a row's incidental columns are drawn from.
pub(crate) fn yfcc_chance(row: &Row) -> u64 {
    mix(row.index ^ 0x7966_6363)
}

/// `application/x-www-form-urlencoded`: a plus for a space, percent for the rest.
pub(crate) fn form_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'.' | b'*' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
