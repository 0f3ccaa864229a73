//! 17 columns, gzip, a header; languages, nulls, drawings.

use super::*;

const HEADER: &str = "language\tpage_url\timage_url\tpage_title\tsection_title\thierarchical_section_title\t\
    caption_reference_description\tcaption_attribution_description\tcaption_alt_text_description\tmime_type\t\
    original_height\toriginal_width\tis_main_image\tattribution_passes_lang_id\tpage_changed_recently\t\
    context_page_description\tcontext_section_description\n";

fn line(language: &str, file: &str, caption: &str, mime: &str, size: (u32, u32)) -> String {
    format!(
        "{language}\thttps://en.wikipedia.org/wiki/X\thttps://upload.wikimedia.org/wikipedia/commons/a/ab/{file}\tX\t\tX\t\
         {caption}\tattribution\talt\t{mime}\t{}\t{}\ttrue\ttrue\tfalse\t\"context\nover \"\"two\"\" lines\"\t\n",
        size.1, size.0
    )
}

fn sample() -> String {
    [
        line("en", "A.jpg", "A \"\"bare\"\" quote", "image/jpeg", (4000, 3000)),
        line("de", "B.jpg", "Ein Hund", "image/jpeg", (4000, 3000)),
        line("en", "C.jpg", "", "image/jpeg", (4000, 3000)),
        line("en", "D.svg", "A map", "image/svg+xml", (100, 100)),
        line("en", "E.gif", "A wave", "image/gif", (100, 100)),
        line("en", "F.tif", "A scan", "image/tiff", (9000, 9000)),
        line("en", "A.jpg", "The same, said otherwise", "image/jpeg", (4000, 3000)),
        line("en", "G%C3%A9.png", "Small", "image/png", (200, 150)),
    ]
    .concat()
}

#[test]
fn english_reference_descriptions_and_thumbnails_of_their_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "wit_v1.train.all-00000-of-00010.tsv.gz", HEADER.to_owned() + &sample());
    let mut config = config(Source::Wit, &path);
    let taken = take(&config);
    assert_eq!(taken.captions(), ["A \"\"bare\"\" quote", "The same, said otherwise", "Small"]);
    let thumbnail = "https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/A.jpg/500px-A.jpg";
    let original = "https://upload.wikimedia.org/wikipedia/commons/a/ab/G%C3%A9.png";
    assert_eq!(taken.urls(), [thumbnail, thumbnail, original]);
    assert_eq!(taken.dropped(), [("mime_type", 3), ("language", 1), ("blank_caption", 1)]);
    assert_eq!(taken.oddities.ragged_rows, 0);

    config.filter.duplicate_url = true;
    config.filter.mime_types.push("image/svg+xml".to_owned());
    let taken = take(&config);
    assert_eq!(taken.captions(), ["A \"\"bare\"\" quote", "A map", "Small"]);
    assert!(taken.urls()[1].ends_with("/thumb/a/ab/D.svg/330px-D.svg.png"), "{:?}", taken.urls());
}

#[test]
fn a_gzip_that_is_cut_short_names_file_and_row() {
    let dir = tempfile::tempdir().unwrap();
    let rows = sample().repeat(2_000);
    let path = file(dir.path(), "wit.tsv.gz", HEADER.to_owned() + &rows);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = try_take(&config(Source::Wit, &path)).unwrap_err();
    let message = error.to_string();
    assert!(error.is_bad_input());
    for word in ["wit.tsv.gz", "gzip", "after row", "fetch it again"] {
        assert!(message.contains(word), "`{word}` not in: {message}");
    }
}
