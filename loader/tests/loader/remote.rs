//! Shards by URL, from a server in the test that fails as servers do.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use pairmill_loader::http::{Client, Sink};
use pairmill_loader::{Counts, Dataset, DatasetConfig, LoaderConfig, LoaderError, RemoteConfig, SourceSpec};

use crate::shards::{Folder, config, ids, run};

/// What happens to the next request for a file; without one, it is served.
#[derive(Clone, Copy)]
enum Fault {
    Status(u16),
    /// The connection ends in the middle of the body.
    Cut,
}

/// A folder by HTTP, with ranges.
#[derive(Clone)]
struct Server {
    folder: PathBuf,
    address: String,
    faults: Arc<Mutex<HashMap<String, Vec<Fault>>>>,
    /// Path, and first byte of the range asked for.
    requests: Arc<Mutex<Vec<(String, u64)>>>,
}

impl Server {
    fn new(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server =
            Self { folder: folder.to_owned(), address, faults: Arc::default(), requests: Arc::default() };
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = serving.clone();
                std::thread::spawn(move || server.answer(stream));
            }
        });
        server
    }

    fn url(&self, name: &str) -> String {
        format!("http://{}/set/{name}", self.address)
    }

    fn fail(&self, name: &str, faults: &[Fault]) {
        self.faults.lock().unwrap().insert(name.to_owned(), faults.to_vec());
    }

    /// Requests for shards and the bytes they began at.
    fn shards_asked(&self) -> Vec<(String, u64)> {
        let all = self.requests.lock().unwrap();
        all.iter().filter(|(name, _)| name.ends_with(".tar")).cloned().collect()
    }

    fn answer(&self, stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let Some(first) = lines.next() else { return };
        let name = first.split(' ').nth(1).unwrap().trim_start_matches("/set/").to_owned();
        let mut from = 0;
        for line in lines.take_while(|line| !line.is_empty()) {
            if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                from = range.trim_end_matches('-').parse().unwrap();
            }
        }
        self.requests.lock().unwrap().push((name.clone(), from));
        let mut faults = self.faults.lock().unwrap();
        let next = faults.get_mut(&name).filter(|faults| !faults.is_empty()).map(|faults| faults.remove(0));
        drop(faults);
        let mut stream = stream;
        let mut say = |status: u16, more: &str, length: usize, body: &[u8]| {
            let head =
                format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n");
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        };
        let file = fs::read(self.folder.join(&name));
        match (next, file) {
            (Some(Fault::Status(status)), _) => say(status, "", 0, &[]),
            (_, Err(_)) => say(404, "", 0, &[]),
            (next, Ok(bytes)) => {
                let body = &bytes[from as usize..];
                let sent = if next.is_some() { &body[..body.len() / 2] } else { body };
                let range = format!(
                    "ETag: \"1\"\r\nContent-Range: bytes {from}-{}/{}\r\n",
                    bytes.len() - 1,
                    bytes.len()
                );
                say(if from > 0 { 206 } else { 200 }, &range, body.len(), sent);
            }
        }
    }
}

pub fn by_url(cache: &Folder) -> DatasetConfig {
    let remote = RemoteConfig { cache: Some(cache.path().to_owned()), ..RemoteConfig::default() };
    DatasetConfig { remote, ..DatasetConfig::default() }
}

pub fn cached(cache: &Folder) -> Vec<String> {
    let mut names = Vec::new();
    for folder in fs::read_dir(cache.path()).unwrap() {
        for entry in fs::read_dir(folder.unwrap().path()).unwrap() {
            names.push(entry.unwrap().file_name().into_string().unwrap());
        }
    }
    names.retain(|name| !name.ends_with(".lock"));
    names.sort();
    names
}

fn open(server: &Server, spec: &str, config: &DatasetConfig) -> Result<Dataset, LoaderError> {
    Dataset::open(&[SourceSpec::new(server.url(spec))], config)
}

#[test]
fn urls_give_what_the_files_give_and_are_fetched_once() {
    let (folder, cache) = (Folder::with_tars(&[3, 5, 4]), Folder::new());
    fs::write(folder.path().join("sizes.json"), r#"{"00000.tar": 3, "00001.tar": 5, "00002.tar": 4}"#)
        .unwrap();
    let server = Server::new(folder.path());
    let local = Dataset::open(&[folder.spec()], &DatasetConfig::default()).unwrap();
    let remote = open(&server, "{00000..00002}.tar", &by_url(&cache)).unwrap();
    assert_eq!(server.shards_asked(), [], "counted by sizes.json");
    assert_eq!(remote.sources()[0].counts, [3, 5, 4]);
    assert_eq!(remote.fingerprint(), local.fingerprint(), "a run may move from files to URLs");
    let loader = LoaderConfig { window_shards: 2, epochs: Some(2), ..config(4) };
    assert_eq!(run(&remote, &loader).unwrap(), run(&local, &loader).unwrap());
    let mut asked = server.shards_asked();
    asked.sort();
    assert_eq!(asked, ["00000.tar", "00001.tar", "00002.tar"].map(|name| (name.to_owned(), 0)));
    assert_eq!(cached(&cache), ["00000.tar", "00001.tar", "00002.tar", "sizes.json"]);
}

#[test]
fn counts_come_from_beside_or_from_the_shard() {
    let (folder, cache) = (Folder::with_tars(&[3, 5]), Folder::new());
    fs::write(folder.path().join("00000_stats.json"), r#"{"successes": 3}"#).unwrap();
    let server = Server::new(folder.path());
    let dataset = open(&server, "{00000..00001}.tar", &by_url(&cache)).unwrap();
    assert_eq!(dataset.sources()[0].counts, [3, 5]);
    assert_eq!(server.shards_asked(), [("00001.tar".to_owned(), 0)], "nothing beside it says how many");
    let scan = DatasetConfig { counts: Counts::Scan, ..by_url(&cache) };
    assert_eq!(open(&server, "{00000..00001}.tar", &scan).unwrap().num_samples(), 8);
}

#[test]
fn a_busy_server_is_asked_again_and_a_broken_transfer_goes_on() {
    let (folder, cache) = (Folder::with_tars(&[6]), Folder::new());
    let server = Server::new(folder.path());
    server.fail("00000.tar", &[Fault::Status(503), Fault::Cut, Fault::Cut]);
    open(&server, "00000.tar", &by_url(&cache)).unwrap();
    let whole = fs::metadata(folder.path().join("00000.tar")).unwrap().len();
    let starts: Vec<u64> = server.shards_asked().into_iter().map(|(_, from)| from).collect();
    assert_eq!(starts, [0, 0, whole / 2, whole / 2 + (whole - whole / 2) / 2]);
    let path = open(&server, "00000.tar", &by_url(&cache)).unwrap().sources()[0].shards[0].path.clone();
    assert!(fs::read(path).unwrap() == fs::read(folder.path().join("00000.tar")).unwrap());
    assert_eq!(cached(&cache), ["00000.tar"]);
}

#[test]
fn what_cannot_be_fetched_names_url_and_status_and_leaves_nothing() {
    let (folder, cache) = (Folder::with_tars(&[2]), Folder::new());
    let server = Server::new(folder.path());
    match open(&server, "00007.tar", &by_url(&cache)).unwrap_err() {
        error @ LoaderError::Fetch { status: Some(404), .. } => {
            let message = error.to_string();
            assert_eq!(
                message,
                format!("cannot fetch {}: the server says 404 Not Found", server.url("00007.tar"))
            );
        }
        other => panic!("{other}"),
    }
    server.fail("00000.tar", &[Fault::Status(502); 9]);
    let mut impatient = by_url(&cache);
    impatient.remote.retry_s = 0;
    let message = open(&server, "00000.tar", &impatient).unwrap_err().to_string();
    assert!(message.ends_with("00000.tar: the server says 502 Bad Gateway, 5 times in a row"), "{message}");
    fs::write(folder.path().join("sizes.json"), "[]").unwrap();
    let message = open(&server, "00000.tar", &by_url(&cache)).unwrap_err().to_string();
    assert!(message.starts_with(&server.url("sizes.json")), "{message}");
    assert_eq!(cached(&cache), ["sizes.json"]);
    let message = open(&server, "s3.zip", &by_url(&cache)).unwrap_err().to_string();
    assert!(message.contains("must name one .tar"), "{message}");
}

/// A file of this test's own.
struct Plain(fs::File);

impl Sink for Plain {
    fn file(&self) -> &fs::File {
        &self.0
    }

    fn version(&self) -> Option<String> {
        None
    }

    fn keep_version(&mut self, _version: Option<String>) -> io::Result<()> {
        Ok(())
    }

    fn hear(&mut self, _at: u64, _promised: Option<u64>) -> Result<(), String> {
        Ok(())
    }
}

#[test]
fn f09_a_server_that_is_away_for_a_while_is_waited_for_by_time_not_by_count() {
    let folder = Folder::with_tars(&[2]);
    let server = Server::new(folder.path());
    server.fail("00000.tar", &[Fault::Status(503); 8]);
    let mut part = Plain(tempfile::tempfile().unwrap());
    let client = Client::new(Duration::from_millis(1), Duration::from_secs(60));
    client.fetch(&server.url("00000.tar"), &mut part).unwrap();
    assert_eq!(server.shards_asked().len(), 9);
}

#[test]
fn the_cache_stays_within_its_bytes() {
    let (folder, cache) = (Folder::with_tars(&[4; 6]), Folder::new());
    let server = Server::new(folder.path());
    let shard = fs::metadata(folder.path().join("00000.tar")).unwrap().len();
    let mut small = by_url(&cache);
    small.remote.cache_bytes = 2 * shard;
    small.remote.connections = 1;
    // A killed process left this an hour and more ago; the other one may still be fetching.
    let folder_of_urls = cache.path().join("0123");
    fs::create_dir(&folder_of_urls).unwrap();
    for (name, age_s) in [(".old.part", 4000), (".new.part", 10)] {
        let part = fs::File::create(folder_of_urls.join(name)).unwrap();
        part.set_modified(SystemTime::now() - Duration::from_secs(age_s)).unwrap();
    }
    let dataset = open(&server, "{00000..00005}.tar", &small).unwrap();
    let local = Dataset::open(&[folder.spec()], &DatasetConfig::default()).unwrap();
    let loader = LoaderConfig { window_shards: 3, epochs: Some(2), ..config(4) };
    assert_eq!(
        ids(&run(&dataset, &loader).unwrap()),
        ids(&run(&local, &loader).unwrap()),
        "evicted ones are fetched again"
    );
    // A loader that is dropped does not wait for the shard that was on its way: that one is whole soon, and another
    // goes for it.
    let parts =
        || -> Vec<String> { cached(&cache).into_iter().filter(|name| name.ends_with(".part")).collect() };
    let give_up = Instant::now() + Duration::from_secs(30);
    while (parts().len() > 1 || cached(&cache).len() > 3) && Instant::now() < give_up {
        std::thread::yield_now();
    }
    let left = parts();
    assert_eq!(left, [".new.part"]);
    assert!(cached(&cache).len() <= 2 + left.len(), "{:?}", cached(&cache));
}
