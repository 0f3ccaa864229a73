//! Input that is not what the source's should be: one line with the file and the fix, before anything is fetched.

use super::*;

#[track_caller]
fn refused(source: Source, name: &str, bytes: &[u8], expected: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), name, bytes);
    let error = try_take(&config(source, &path)).unwrap_err();
    let message = error.to_string();
    assert!(error.is_bad_input() && !message.contains('\n'), "{message}");
    for word in expected.iter().chain(&[name]) {
        assert!(message.contains(word), "`{word}` not in: {message}");
    }
}

#[test]
fn each_names_the_file_and_what_is_wrong() {
    refused(Source::Laion400m, "part.parquet", b"PAR1 not really PAR1", &["parquet"]);
    refused(Source::Laion400m, "t.csv", b"link,words\nhttp://a,x\n", &["TEXT|text|caption", "link, words"]);
    refused(
        Source::Wit,
        "wit.tsv",
        b"language\timage_url\nen\thttp://a\n",
        &["caption_reference_description"],
    );
    refused(Source::Wit, "wit.tsv.gz", b"", &["empty"]);
    refused(Source::Cc3m, "cc.tsv", b"\xff\xfea\0\t\0", &["UTF-16", "iconv"]);
    refused(Source::Cc3m, "one.tsv", b"http://only.one/column\n", &["row 0 has 1"]);
    refused(Source::Redcaps, "cats_2012.json", b"[1, 2]", &["JSON object"]);
    refused(
        Source::Shutterstock,
        "s.jsonl",
        b"{\"picture\": \"http://a\"}\n",
        &["caption|description|title|text", "picture"],
    );
}

#[test]
fn invalid_utf8_costs_characters_and_no_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "cc12m.tsv", b"http://a/1\tcaf\xe9\nhttp://a/2\tok\n");
    let taken = take(&config(Source::Cc12m, &path));
    assert_eq!(taken.captions(), ["caf\u{fffd}", "ok"]);
    assert_eq!(taken.oddities.invalid_utf8, 1);
}

#[test]
fn json_posts_that_do_not_parse_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let good = "{\"image_id\":\"1\",\"subreddit\":\"s\",\"url\":\"http://a/1\",\"caption\":\"x\"}";
    let text = format!("{{\"annotations\":[{good},{{\"url\": http}},{good}]}}");
    let taken = take(&config(Source::Redcaps, &file(dir.path(), "s_2012.json", text)));
    assert_eq!((taken.rows.len(), taken.dropped()), (2, vec![("no_url", 1)]));
    assert_eq!(taken.oddities.malformed_rows, 1);
}
