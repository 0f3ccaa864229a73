//! Every fault of the web ends in its typed class, in the row it belongs to, and the run ends.

use std::sync::atomic::AtomicBool;

use pairmill_ingest::run;
use pairmill_tests::{config, rows_of, serve, write_table};
use pairmill_world::{ClientPolicy, Fault, FaultMix, Source, TableConfig};

/// Runs `table` and compares every row's end with the world's ground truth.
fn account_of(retries: u32, mix: FaultMix, rows: u64) {
    let (world, server) = serve().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("t.parquet"), dir.path().join("out"));
    let mut table = TableConfig::new(Source::Laion, rows, server.base_url()).with_faults(1.0, mix);
    table.base_urls = server.base_urls();
    let policy = ClientPolicy { retries, ..ClientPolicy::default() };
    let expected = write_table(&world, &table, &policy, &path).unwrap();
    let mut config = config(&path, &out);
    config.fetch.retries = retries;
    // One host serves all faults here, so its breaker must not hide the later ones.
    config.fetch.breaker.failures = 0;
    config.fetch.timeout_ms = 4_000;
    config.fetch.min_bytes_per_s = 1_000;
    config.fetch.grace_ms = 1_000;
    config.fetch.max_bytes = 8 << 20;
    config.fetch.backoff_base_ms = 20;
    config.fetch.max_retry_after_ms = 2_000;
    let report = run::run(&config, &AtomicBool::new(false)).unwrap();
    assert!(report.complete);
    let rows_found = rows_of(&out).unwrap();
    assert_eq!(rows_found.len(), expected.len(), "a row is missing or doubled");
    let wrong: Vec<String> = (0u64..)
        .zip(rows_found.iter().zip(&expected))
        .filter(|(_, (row, expected))| row.outcome != **expected)
        .map(|(index, (row, expected))| {
            let row_of_table = world.row(&table, index);
            format!("{} {:?} ended {}, not {expected}", row.key, row_of_table.fault, row.outcome)
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_fault_has_its_class() {
    account_of(0, FaultMix::Every, Fault::ALL.len() as u64);
}

#[test]
fn retries_save_what_recovers_and_nothing_else() {
    account_of(2, FaultMix::Quick, Fault::ALL.len() as u64);
}

#[test]
fn without_leave_no_private_address_is_reached() {
    let (world, server) = serve().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("t.parquet"), dir.path().join("out"));
    let table = TableConfig::new(Source::Laion, 40, server.base_url());
    let policy = ClientPolicy { allow_private_addresses: false, ..ClientPolicy::default() };
    write_table(&world, &table, &policy, &path).unwrap();
    let mut config = config(&path, &out);
    config.fetch.allow_private_addresses = false;
    run::run(&config, &AtomicBool::new(false)).unwrap();
    assert!(rows_of(&out).unwrap().iter().all(|row| row.outcome == "private_address"));
    assert_eq!(server.stats().requests, 0, "the address is checked before it is connected to");
}
