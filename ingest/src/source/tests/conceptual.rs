//! Two columns, no header, bare quotes, opposite orders.

use super::*;

const CC3M: &str = "a dog \"runs\t1\n"; // a quote that never closes, and no URL

#[test]
fn cc3m_is_caption_first_and_quotes_are_characters() {
    let dir = tempfile::tempdir().unwrap();
    let text = "a very typical bus station\thttp://a/1.jpg\n\
                the \" best place\thttp://a/2.jpg\n\
                \"person said\thttp://a/3.jpg\n\
                 \thttp://a/4.jpg\n\
                no url\t\n\
                a very typical bus station\thttp://a/1.jpg\n\
                caf\u{e9} &amp; bar\thttp://a/5.jpg";
    let path = file(dir.path(), "Train_GCC-training.tsv", text);
    let taken = take(&config(Source::Cc3m, &path));
    assert_eq!(
        taken.captions(),
        [
            "a very typical bus station",
            "the \" best place",
            "\"person said",
            "a very typical bus station",
            "caf\u{e9} &amp; bar"
        ]
    );
    assert_eq!(taken.urls()[1], "http://a/2.jpg");
    assert_eq!(taken.dropped(), [("no_url", 1), ("blank_caption", 1)]);
    assert_eq!(taken.oddities, Oddities::default());
}

#[test]
fn cc12m_is_url_first_and_persons_stay() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        "https://a/1.jpg\t<PERSON> at the ``Gala''\nhttps://a/2.jpg\t\"Quoted\" \u{2013} by <PERSON>\n";
    let taken = take(&config(Source::Cc12m, &file(dir.path(), "cc12m.tsv", text)));
    assert_eq!(
        taken.rows,
        [
            ("https://a/1.jpg".to_owned(), "<PERSON> at the ``Gala''".to_owned()),
            ("https://a/2.jpg".to_owned(), "\"Quoted\" \u{2013} by <PERSON>".to_owned())
        ]
    );
}

#[test]
fn a_header_that_was_added_is_one_and_the_labels_file_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let headed = file(dir.path(), "headed.tsv", "url\tcaption\nhttp://a/1.jpg\tone\n");
    // In the other order than the source's own, so only the header can tell.
    assert_eq!(take(&config(Source::Cc3m, &headed)).rows, [("http://a/1.jpg".to_owned(), "one".to_owned())]);
    let labels = file(
        dir.path(),
        "labels.tsv",
        "one\thttp://a/1.jpg\tdog,cat\t/m/0bt9lr,/m/01yrx\t0.9,0.8\ntwo\thttp://a/2.jpg\t\t\t\n",
    );
    let taken = take(&config(Source::Cc3m, &labels));
    assert_eq!((taken.captions(), taken.oddities), (vec!["one", "two"], Oddities::default()));
}

#[test]
fn a_file_of_another_source_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "odd.tsv", CC3M);
    let message = try_take(&config(Source::Cc3m, &path)).unwrap_err().to_string();
    assert!(message.contains("odd.tsv") && message.contains("no column `caption`"), "{message}");
}
