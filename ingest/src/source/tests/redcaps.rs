//! One object a file, posts under `annotations`.

use super::*;

const POSTS: &str = r#"[
  {"image_id": "a1", "subreddit": "birding", "url": "https://i.redd.it/a1.jpg", "caption": "a \u00e9gret", "raw_caption": "An \u00c9gret [OC]", "score": 5, "author": "x", "created_utc": 1500000000, "permalink": "/r/birding/a1", "crosspost_parents": null},
  {"image_id": "a2", "subreddit": "birding", "url": "https://imgur.com/XyZ", "caption": "found by <usr>", "raw_caption": "found by @me"},
  {"image_id": "a3", "subreddit": "birding", "url": "https://imgur.com/a/album", "caption": "many"},
  {"image_id": "a4", "subreddit": "birding", "url": "https://www.reddit.com/gallery/g", "caption": "more"},
  {"image_id": "a5", "subreddit": "birding", "url": "https://i.redd.it/a5.jpg", "caption": "", "raw_caption": "[OC]"},
  {"image_id": "a6", "subreddit": "birding", "url": "http://i.imgur.com/removed.png", "caption": "gone"},
  {"image_id": "a7", "subreddit": "birding", "url": "https://i.redd.it/a7.jpg", "caption": "braces } ] { in \" text"}
]"#;

const INFO: &str = r#"{"start_date": "2018", "annotations": "not these", "filters": [{"num_removed": 3, "text": "} ] \" {"}]}"#;

fn check(text: &str) -> Taken {
    let dir = tempfile::tempdir().unwrap();
    let taken = take(&config(Source::Redcaps, &file(dir.path(), "birding_2018.json", text)));
    assert_eq!(taken.captions(), ["a \u{e9}gret", "found by <usr>", "braces } ] { in \" text"]);
    taken
}

#[test]
fn posts_are_found_within_the_object_and_links_resolved() {
    for text in [
        format!("{{\"info\": {INFO}, \"annotations\": {POSTS}}}"),
        format!("\n {{ \"annotations\" : {POSTS} , \"info\" : {INFO}, \"n\": 1.5e3, \"s\": \"x\" }}\n"),
        POSTS.to_owned(),
    ] {
        let taken = check(&text);
        assert_eq!(
            taken.urls(),
            ["https://i.redd.it/a1.jpg", "https://i.imgur.com/XyZ.jpg", "https://i.redd.it/a7.jpg"]
        );
        assert_eq!(taken.dropped(), [("album", 2), ("removed_image", 1), ("blank_caption", 1)]);
        assert_eq!(taken.columns, ["image_id", "subreddit", "caption", "url"]);
    }
}

#[test]
fn the_titles_as_they_were_are_an_option() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "birding_2018.json", format!("{{\"annotations\": {POSTS}}}"));
    let mut config = config(Source::Redcaps, &path);
    config.input.caption_col = Some("raw_caption".to_owned());
    let taken = take(&config);
    assert_eq!(taken.captions(), ["An \u{c9}gret [OC]", "found by @me", "[OC]"]);
}

#[test]
fn a_folder_of_subreddits_is_one_table() {
    let dir = tempfile::tempdir().unwrap();
    for (subreddit, year) in [("cats", 2012), ("birding", 2018), ("birding", 2017)] {
        let post = format!(
            "{{\"image_id\":\"x\",\"subreddit\":\"{subreddit}\",\"url\":\"https://i.redd.it/x.jpg\",\"caption\":\"{subreddit} {year}\"}}"
        );
        file(dir.path(), &format!("{subreddit}_{year}.json"), format!("{{\"annotations\":[{post}]}}"));
    }
    file(dir.path(), "dogs_2010.json", "{\"info\": {}, \"annotations\": []}");
    let taken = take(&config(Source::Redcaps, dir.path()));
    assert_eq!(taken.captions(), ["birding 2017", "birding 2018", "cats 2012"]);
}

#[test]
fn what_is_no_such_object_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for (text, expected) in [
        ("{\"info\": {}, \"posts\": []}", "no `annotations`"),
        ("{\"annotations\": {}}", "one array of objects"),
        ("{\"annotations\": 5}", "one array of objects"),
        ("{\"info\": \"never closed", "cut short"),
        (
            "{\"annotations\": [{\"url\": \"http://a\", \"caption\": \"x\", \"image_id\": \"1\", \"subreddit\": \"s\"}",
            "cut short",
        ),
        (
            "{\"annotations\": [{\"url\": \"http://a\", \"caption\": \"x\", \"image_id\": \"1\", \"subreddit\": \"s\"}]",
            "cut short",
        ),
        ("{\"annotations\": [] 5}", "name of a member"),
        ("{annotations: []}", "name of a member"),
    ] {
        let path = file(dir.path(), "cats_2012.json", text);
        let error = try_take(&config(Source::Redcaps, &path)).unwrap_err();
        let message = error.to_string();
        assert!(error.is_bad_input(), "{message}");
        assert!(message.contains("cats_2012.json") && message.contains("row"), "{message}");
        assert!(message.contains(expected), "`{expected}` not in: {message}");
    }
}
