//! Rows of a shard with one URL: fetched once, each with its own caption, key and account.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use pairmill_ingest::config::OutputFormat;
use pairmill_ingest::run;
use pairmill_shards::folder::DatasetFolder;
use pairmill_shards::stats::ShardStats;
use pairmill_shards::tar::MappedTar;
use pairmill_tests::{config, rows_of, serve};
use pairmill_world::{Fault, FaultMix, Source, TableConfig};

/// Rows: seven URLs, the last of which is gone, in two shards of 50, round and round.
const URLS: usize = 7;
const ROWS: usize = 100;

#[test]
fn a_url_is_asked_for_once_a_shard_and_every_row_has_its_end() {
    let (world, server) = serve().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("t.csv"), dir.path().join("out"));
    let mut table = TableConfig::new(Source::Laion, 400, server.base_url()).with_faults(0.5, FaultMix::Every);
    table.base_urls = server.base_urls();
    let rows: Vec<_> = world.rows(&table).collect();
    let good = rows.iter().filter(|row| row.fault.is_none()).map(|row| row.url.clone()).take(URLS - 1);
    let gone = rows.iter().find(|row| row.fault == Some(Fault::NotFound)).map(|row| row.url.clone()).unwrap();
    let urls: Vec<String> = good.chain([gone]).collect();
    let mut text = "URL,TEXT\n".to_owned();
    for row in 0..ROWS {
        text.push_str(&format!("{},caption {row}\n", urls[row % URLS]));
    }
    std::fs::write(&path, text).unwrap();

    let mut config = config(&path, &out);
    config.fetch.retries = 2;
    config.output.output_format = OutputFormat::Webdataset;
    let report = run::run(&config, &AtomicBool::new(false)).unwrap();
    assert!(report.complete);

    // Twice each, once a shard; what is gone is not asked for again.
    let asked: BTreeMap<String, u64> = server.stats().paths;
    assert_eq!((asked.len(), asked.values().sum::<u64>()), (URLS, 2 * URLS as u64), "{asked:?}");

    let found = rows_of(&out).unwrap();
    assert_eq!(found.len(), ROWS);
    for (row, end) in found.iter().enumerate() {
        let expected = if row % URLS == URLS - 1 { "http_4xx" } else { "success" };
        assert_eq!(
            (end.outcome.as_str(), end.key.as_str()),
            (expected, format!("{:05}{:02}", row / 50, row % 50).as_str())
        );
    }
    let folder = DatasetFolder::scan(&out).unwrap();
    let mut captions = Vec::new();
    for shard in folder.shards.values() {
        let stats = shard.get(pairmill_shards::folder::ShardFile::Stats).unwrap();
        let stats = ShardStats::read(stats).unwrap();
        assert_eq!((stats.count, stats.fetches_saved), (50, 50 - URLS as u64));
        assert_eq!(stats.successes + stats.failed_to_download, 50);
        let tar = MappedTar::open(shard.get(pairmill_shards::folder::ShardFile::Tar).unwrap()).unwrap();
        captions
            .extend(tar.iter().map(|sample| String::from_utf8(sample.caption().unwrap().to_vec()).unwrap()));
    }
    let expected = (0..ROWS).filter(|row| row % URLS != URLS - 1).map(|row| format!("caption {row}"));
    assert_eq!(captions, expected.collect::<Vec<_>>());

    // A shard made again alone is the same to the byte.
    let before: Vec<_> =
        ["00001.tar", "00001.parquet"].map(|name| std::fs::read(out.join(name)).unwrap()).into();
    std::fs::remove_file(out.join("00001_stats.json")).unwrap();
    assert!(run::run(&config, &AtomicBool::new(false)).unwrap().complete);
    let after: Vec<_> =
        ["00001.tar", "00001.parquet"].map(|name| std::fs::read(out.join(name)).unwrap()).into();
    assert!(before == after);
    assert_eq!(server.stats().requests, 3 * URLS as u64);
}
