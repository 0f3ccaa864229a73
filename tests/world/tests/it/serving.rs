//! The server in good order: pictures, files, hosts, counts, keep-alive, shutdown.

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use pairmill_world::{HostBehaviour, Server, ServerConfig, Source, World, WorldConfig};

use crate::client::{Client, End, small_world};

#[test]
fn pictures_are_the_generators_to_the_byte() {
    let config = WorldConfig { seed: 11, ..WorldConfig::default() };
    let server = Server::start(ServerConfig { world: config, ..ServerConfig::default() }).unwrap();
    let world = World::new(config);
    let mut client = Client::connect(server.address());
    for &source in Source::ALL {
        for index in [0, 1, 2, 1_000_000] {
            let picture = world.picture(source, index);
            let answer = client.get(&format!("/{source}/{index}.{}", picture.encoding.extension()));
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("content-type").as_deref(), Some(picture.encoding.content_type()));
            assert!(answer.body == picture.bytes().unwrap(), "{source} {index}");
        }
    }
    let stats = server.stats();
    assert_eq!((stats.requests, stats.connections), (28, 1), "all on one connection");
}

#[test]
fn every_row_without_fault_is_served() {
    let server = small_world();
    let config = pairmill_world::TableConfig::new(Source::Laion, 50, server.base_url());
    let mut client = Client::connect(server.address());
    for row in server.world().rows(&config) {
        let answer = client.get(row.url.strip_prefix(&server.base_url()).unwrap());
        let decoded = image::load_from_memory(&answer.body).unwrap();
        assert_eq!((decoded.width(), decoded.height()), (row.width, row.height), "{}", row.url);
    }
}

#[test]
fn keep_alive_pipelining_head_and_old_clients_work() {
    let server = small_world();
    let mut client = Client::connect(server.address());
    let whole = client.get("/laion/1.jpg");
    let head = client.head("/laion/1.jpg");
    assert_eq!(head.header("content-length").unwrap(), whole.body.len().to_string());
    client.send("GET /laion/1.jpg HTTP/1.1\r\n\r\nGET /wit/2.jpg HTTP/1.1\r\n\r\n");
    assert!(client.answer(false).body == whole.body);
    assert_eq!(client.answer(false).status, 200);
    client.send("GET /laion/1.jpg HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(client.answer(false).end, End::Whole);
    assert_eq!(client.answer(false).end, End::Closed);
    let mut old = Client::connect(server.address());
    old.send("GET /fault/chunked/laion/1.jpg HTTP/1.0\r\n\r\n");
    let answer = old.answer(false);
    assert_eq!((answer.end, answer.header("transfer-encoding")), (End::Whole, None));
    assert_eq!(old.answer(false).end, End::Closed);
}

#[test]
fn what_is_not_there_or_not_asked_properly_gets_its_status() {
    let server = small_world();
    let mut client = Client::connect(server.address());
    for path in
        ["/nowhere/1.jpg", "/laion/x.jpg", "/fault/nope/laion/1.jpg", "/files/x.jpg", "/laion/1.jpg/2"]
    {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    assert!(String::from_utf8(client.get("/robots.txt").body).unwrap().starts_with("User-agent: *"));
    let home = String::from_utf8(client.get("/").body).unwrap();
    assert!(home.contains("/fault/slow-drip/") && home.contains("/redcaps/0.jpg"));
    client.send("POST /laion/1.jpg HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.answer(false).status, 405);
    let mut client = Client::connect(server.address());
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.answer(false).status, 400);
    let mut client = Client::connect(server.address());
    client.send(&format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(20_000)));
    assert_eq!(client.answer(false).status, 431);
}

#[test]
fn a_root_folder_is_served_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(dir.path().join("a b.jpg"), b"first").unwrap();
    fs::write(dir.path().join("sub/c.png"), b"second").unwrap();
    let config = ServerConfig { root: Some(dir.path().to_owned()), ..ServerConfig::default() };
    let server = Server::start(config).unwrap();
    // Served from memory: the folder may go.
    drop(dir);
    assert_eq!(server.file_names(), ["a b.jpg", "sub/c.png"]);
    let mut client = Client::connect(server.address());
    let list = String::from_utf8(client.get("/files.txt").body).unwrap();
    let base = server.base_url();
    assert_eq!(list, format!("{base}/files/a%20b.jpg\n{base}/files/sub/c.png\n"));
    assert_eq!(client.get("/files/a%20b.jpg?copy=7").body, b"first");
    let answer = client.get("/files/sub/c.png");
    assert_eq!(
        (answer.body.as_slice(), answer.header("content-type").as_deref()),
        (&b"second"[..], Some("image/png"))
    );
    assert_eq!(client.get("/files/../Cargo.toml").status, 404);
}

#[test]
fn hosts_have_addresses_behaviour_and_counts_of_their_own() {
    let hosts = vec![
        HostBehaviour::Normal,
        HostBehaviour::Slow { latency_ms: 150 },
        HostBehaviour::Down,
        HostBehaviour::Unavailable,
    ];
    let server = Server::start(ServerConfig { hosts, ..ServerConfig::default() }).unwrap();
    let addresses: Vec<std::net::SocketAddr> =
        server.base_urls().iter().map(|url| url.strip_prefix("http://").unwrap().parse().unwrap()).collect();
    assert_eq!(addresses[3].ip().to_string(), "127.0.0.4");
    assert!(addresses.iter().all(|a| a.port() == server.address().port()));
    let get = |host: usize| Client::connect(addresses[host]).get("/cc3m/1.jpg");
    assert_eq!(get(0).status, 200);
    let began = Instant::now();
    assert_eq!(get(1).status, 200);
    assert!(began.elapsed() >= Duration::from_millis(150));
    assert_eq!(get(2).end, End::Reset);
    assert_eq!(get(3).status, 503);
    let stats = server.stats();
    assert_eq!(stats.hosts.iter().map(|h| h.requests).collect::<Vec<_>>(), [1, 1, 1, 1]);
    assert_eq!(stats.hosts[1].address, addresses[1].to_string());
}

#[test]
fn the_server_sees_how_a_client_behaves() {
    let hosts = vec![HostBehaviour::Slow { latency_ms: 300 }];
    let server = Server::start(ServerConfig { hosts, ..ServerConfig::default() }).unwrap();
    let address = server.address();
    let threads: Vec<_> = (0..5)
        .map(|i| std::thread::spawn(move || Client::connect(address).get(&format!("/wit/{i}.jpg"))))
        .collect();
    threads.into_iter().for_each(|t| assert_eq!(t.join().unwrap().status, 200));
    let stats = server.stats();
    assert_eq!((stats.max_in_flight, stats.hosts[0].max_in_flight), (5, 5));
    assert_eq!(stats.user_agents.get("raw/1"), Some(&5));
    assert_eq!(stats.paths.get("/wit/3.jpg"), Some(&1));
    let json: serde_json::Value =
        serde_json::from_slice(&Client::connect(address).get("/stats").body).unwrap();
    assert_eq!(json["hosts"][0]["max_in_flight"], 5);
    server.reset();
    assert_eq!(server.stats().requests, 0);
}

#[test]
fn a_dropped_world_is_gone_even_amid_an_endless_answer() {
    let server = small_world();
    let address = server.address();
    let mut client = Client::connect(address);
    client.send("GET /fault/endless-plain/laion/1.jpg HTTP/1.1\r\n\r\n");
    let mut waiting = Client::connect(address);
    waiting.send("GET /fault/no-answer/laion/1.jpg HTTP/1.1\r\n\r\n");
    std::thread::sleep(Duration::from_millis(100));
    let stats = server.shutdown();
    assert_eq!(stats.requests, 2);
    assert!(TcpStream::connect(address).is_err());
    assert_ne!(waiting.answer(false).end, End::Silent);
}

#[test]
fn a_taken_port_is_a_clear_error() {
    let server = small_world();
    let port = server.address().port();
    let error = Server::start(ServerConfig { port, ..ServerConfig::default() }).unwrap_err().to_string();
    assert!(error.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{error}");
    assert!(error.contains("choose another port"), "{error}");
}
