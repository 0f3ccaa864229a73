//! Downloads from a server of this machine that answers as servers do: ranges, resets in the middle, other files.

use std::time::Duration;

use md5::{Digest, Md5};
use pairmill_datasets::catalogue::RemoteFile;
use pairmill_datasets::fetch::{Fetched, Fetcher};

use crate::server::{Answer, Server};

fn body() -> Vec<u8> {
    (0..300_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn fetcher() -> Fetcher {
    Fetcher::with_pause(Duration::from_millis(1))
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_reset_transfer_goes_on_where_it_broke() {
    let body = body();
    let server = Server::start(
        body.clone(),
        vec![Answer::Busy, Answer::Reset(500_000), Answer::Reset(200_000), Answer::Whole],
    );
    let folder = tempfile::tempdir().unwrap();
    let md5 = md5(&body);
    let file =
        RemoteFile { path: "a/set.zip", url: &server.url, bytes: None, md5: Some(&md5), unpacked: None };
    let mut last = (0, None);
    let fetched = fetcher().fetch(&file, folder.path(), &mut |at, all| last = (at, all)).unwrap();
    assert_eq!(std::fs::read(folder.path().join("a/set.zip")).unwrap(), body);
    assert_eq!(names(&folder.path().join("a")), ["set.zip"]);
    assert_eq!(fetched, Fetched::Bytes(body.len() as u64), "no byte comes twice");
    assert_eq!(last, (body.len() as u64, Some(body.len() as u64)));
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked, [None, None, Some("bytes=500000-".into()), Some("bytes=700000-".into())]);
    // It is there: nothing more is asked.
    assert_eq!(fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap(), Fetched::There);
    assert_eq!(server.asked.lock().unwrap().len(), 4);
}

#[test]
fn another_call_goes_on_and_a_changed_file_begins_anew() {
    let body = body();
    let resets = vec![Answer::Reset(400_000), Answer::Gone, Answer::Whole];
    let server = Server::start(body.clone(), resets);
    let folder = tempfile::tempdir().unwrap();
    let bytes = Some(body.len() as u64);
    let file = RemoteFile { path: "set.zip", url: &server.url, bytes, md5: None, unpacked: None };
    let error = fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("404 Not Found") && !error.contains('\n'), "{error}");
    assert_eq!(names(folder.path()), [".set.zip.part", ".set.zip.part.version"]);
    *server.etag.lock().unwrap() = Some("\"v2\"".to_owned());
    let fetched = fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap();
    assert_eq!(fetched, Fetched::Bytes(body.len() as u64), "If-Range says it is another file: all of it");
    assert_eq!(names(folder.path()), ["set.zip"]);
    assert_eq!(std::fs::read(folder.path().join("set.zip")).unwrap(), body);

    // The same file still: only the rest.
    let server = Server::start(body.clone(), vec![Answer::Reset(400_000), Answer::Gone, Answer::Whole]);
    let file = RemoteFile { url: &server.url, path: "b.zip", ..file };
    fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap_err();
    let fetched = fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap();
    assert_eq!(fetched, Fetched::Bytes(body.len() as u64 - 400_000));
    // Nor does a server matter that knows no ranges.
    let server = Server::start(body.clone(), vec![Answer::Reset(400_000), Answer::NoRanges]);
    let file = RemoteFile { url: &server.url, path: "c.zip", ..file };
    fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap();
    assert_eq!(std::fs::read(folder.path().join("c.zip")).unwrap(), body);
}

#[test]
fn another_file_is_refused_and_nothing_is_left() {
    let body = body();
    let server = Server::start(body.clone(), vec![Answer::Whole]);
    let folder = tempfile::tempdir().unwrap();
    let wrong = "0123456789abcdef0123456789abcdef";
    let file =
        RemoteFile { path: "set.zip", url: &server.url, bytes: None, md5: Some(wrong), unpacked: None };
    let error = fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap_err().to_string();
    let found = md5(&body);
    assert!(error.contains("set.zip") && error.contains(wrong) && error.contains(&found), "{error}");
    assert!(names(folder.path()).is_empty());
    // One of another length, where that is all that is known.
    let file = RemoteFile { bytes: Some(5), md5: None, ..file };
    let error = fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("1200000 bytes in place of 5"), "{error}");
    // One that lies there already.
    std::fs::write(folder.path().join("set.zip"), "other").unwrap();
    let file = RemoteFile { md5: Some(wrong), ..file };
    let error = fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("it is there, but its MD5 is") && error.contains("remove it"), "{error}");
}

#[test]
fn a_server_that_stays_away_is_given_up() {
    let server = Server::start(Vec::new(), vec![Answer::Busy]);
    let folder = tempfile::tempdir().unwrap();
    let file = RemoteFile { path: "set.zip", url: &server.url, bytes: None, md5: None, unpacked: None };
    let error = fetcher().fetch(&file, folder.path(), &mut |_, _| {}).unwrap_err().to_string();
    let asked = server.asked.lock().unwrap().len();
    assert!(asked >= 5, "{asked}");
    let all = format!("503 Service Unavailable, {asked} times in a row; the same command goes on");
    assert!(error.contains(&all), "{error}");
}
