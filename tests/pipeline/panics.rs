//! Pictures that break a decoder or claim too much cost their row, are counted, and the run goes on.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;

use pairmill_ingest::run;
use pairmill_shards::folder::{DatasetFolder, ShardFile};
use pairmill_shards::stats::ShardStats;
use pairmill_shards::table::message;
use pairmill_tests::{config, rows_of};

/// Answers each request for `/N` with body N, on a port of its own.
fn serve(bodies: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that hangs up is no matter of this server's.
            let _ = answer(stream, &bodies);
        }
    });
    url
}

fn answer(stream: TcpStream, bodies: &[Vec<u8>]) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let number = first
        .split(&[' ', '?'][..])
        .nth(1)
        .and_then(|path| path.trim_start_matches('/').parse::<usize>().ok());
    let body = number.and_then(|number| bodies.get(number)).map_or(&[][..], Vec::as_slice);
    let mut stream = stream;
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(body)
}

/// A PNG of 60×40 pixels whose 3,000 EXIF tags claim the same 30,000 bytes of text.
fn overlapping_exif() -> Vec<u8> {
    fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], body: &[u8]) {
        let checked = [kind.as_slice(), body].concat();
        let crc = !checked.iter().fold(!0_u32, |crc, byte| {
            (0..8)
                .fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
        });
        out.extend((body.len() as u32).to_be_bytes());
        out.extend(checked);
        out.extend(crc.to_be_bytes());
    }
    let mut exif = b"MM\0*\0\0\0\x08".to_vec();
    exif.extend(3_000_u16.to_be_bytes());
    for tag in 1..=3_000_u16 {
        exif.extend(tag.to_be_bytes());
        exif.extend(b"\0\x02\0\0\x75\x30");
        exif.extend((14 + 12 * 3_000_u32).to_be_bytes());
    }
    exif.resize(14 + 12 * 3_000 + 30_000, b'A');
    let rows = vec![0; 40 * (1 + 60 * 3)];
    let (a, b) = (1_u32, rows.len() as u32);
    let mut zlib = vec![0x78, 0x01, 0x01];
    zlib.extend((rows.len() as u16).to_le_bytes());
    zlib.extend((!(rows.len() as u16)).to_le_bytes());
    zlib.extend(rows);
    zlib.extend((b << 16 | a).to_be_bytes());
    let mut out = b"\x89PNG\r\n\x1A\n".to_vec();
    chunk(&mut out, b"IHDR", &[0, 0, 0, 60, 0, 0, 0, 40, 8, 2, 0, 0, 0]);
    chunk(&mut out, b"eXIf", &exif);
    chunk(&mut out, b"IDAT", &zlib);
    chunk(&mut out, b"IEND", &[]);
    out
}

#[test]
fn f01_a_decoder_that_panics_costs_its_row_and_is_named_in_the_stats() {
    let attacks = concat!(env!("CARGO_MANIFEST_DIR"), "/../pixels/attacks");
    let planar = std::fs::read(format!("{attacks}/planar-tiled.tiff")).unwrap();
    let good =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../pixels/tests/reference/restart.jpg")).unwrap();
    let url = serve(vec![good, planar, overlapping_exif()]);
    let dir = tempfile::tempdir().unwrap();
    let (table, out) = (dir.path().join("t.csv"), dir.path().join("out"));
    // Row after row, so that each worker meets both kinds; the query makes each URL another one.
    let rows: String = (0..60).map(|row| format!("{url}/{}?{row},a caption\n", row % 3)).collect();
    std::fs::write(&table, format!("URL,TEXT\n{rows}")).unwrap();
    let report = run::run(&config(&table, &out), &AtomicBool::new(false)).unwrap();
    assert!(report.complete);

    let ends: Vec<String> = rows_of(&out).unwrap().into_iter().map(|row| row.outcome).collect();
    let expected: Vec<&str> = (0..60).map(|row| if row % 3 == 1 { "corrupt" } else { "success" }).collect();
    assert_eq!(ends, expected);
    let mut sum = ShardStats::default();
    for shard in DatasetFolder::scan(&out).unwrap().shards.values() {
        sum.merge(&ShardStats::read(shard.get(ShardFile::Stats).unwrap()).unwrap());
    }
    assert_eq!((sum.count, sum.successes, sum.failed_to_resize), (60, 40, 20));
    assert_eq!(sum.status_dict.get(message::DECODER_PANICKED), 20);
    let places: Vec<(&String, &u64)> = sum.panics.iter().collect();
    assert!(matches!(places.as_slice(), [(place, 20)] if place.starts_with("tiff-")), "{places:?}");
    assert_eq!(sum.exif_dropped, 20, "f02: EXIF beyond the limits is dropped and counted, the image stays");
    let notes = report.account.notes().join("\n");
    assert!(
        notes.contains("20 rows made a decoder panic at tiff-") && notes.contains("20 rows have EXIF"),
        "{notes}"
    );
}
