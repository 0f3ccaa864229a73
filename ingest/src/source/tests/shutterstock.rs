//! Whatever the user has: tsv, csv, JSON lines, with header and without.

use super::*;

#[test]
fn every_form_gives_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    let expected = [
        ("http://a/1.jpg".to_owned(), "Red, \"fresh\" apple".to_owned()),
        ("http://a/2.jpg".to_owned(), "Flat vector icon".to_owned()),
    ];
    let files = [
        ("bare.tsv", "http://a/1.jpg\tRed, \"fresh\" apple\nhttp://a/2.jpg\tFlat vector icon\n"),
        ("bare.csv", "http://a/1.jpg,\"Red, \"\"fresh\"\" apple\"\nhttp://a/2.jpg,Flat vector icon\n"),
        (
            "headed.tsv",
            "id\tdescription\tpreview_url\n1\tRed, \"fresh\" apple\thttp://a/1.jpg\n2\tFlat vector icon\thttp://a/2.jpg\n",
        ),
        (
            "headed.csv",
            "title,Image_URL,keywords\n\"Red, \"\"fresh\"\" apple\",http://a/1.jpg,apple\nFlat vector icon,http://a/2.jpg,\n",
        ),
        (
            "list.jsonl",
            "{\"image_url\":\"http://a/1.jpg\",\"description\":\"Red, \\\"fresh\\\" apple\",\"id\":1}\n\
             {\"id\":2,\"image_url\":\"http://a/2.jpg\",\"description\":\"Flat vector icon\"}\n",
        ),
    ];
    for (name, text) in files {
        let taken = take(&config(Source::Shutterstock, &file(dir.path(), name, text)));
        assert_eq!(taken.rows, expected, "{name}");
    }
}

#[test]
fn of_several_caption_columns_the_first_known_name_wins() {
    let dir = tempfile::tempdir().unwrap();
    let text = "{\"title\":\"t\",\"url\":\"http://a\",\"caption\":\"c\",\"description\":\"d\"}\n\
                {\"title\":\"t\",\"url\":\"http://a\",\"caption\":null,\"description\":\"d\"}\n";
    let taken = take(&config(Source::Shutterstock, &file(dir.path(), "list.jsonl", text)));
    assert_eq!((taken.captions(), taken.dropped()), (vec!["c"], vec![("blank_caption", 1)]));
}

#[test]
fn without_a_word_about_rights_nothing_is_done() {
    let mut config = config(Source::Shutterstock, Path::new("x.tsv"));
    config.source.accept_terms = false;
    let message = try_take(&config).unwrap_err().to_string();
    assert!(message.contains("--accept-terms"), "{message}");
}
