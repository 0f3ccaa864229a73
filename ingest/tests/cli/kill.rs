//! Crashes: whatever moment a run dies at, going on loses no row, doubles none, and ends in the same bytes.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Job, bytes_of, finish, hidden, stderr};

#[test]
fn twenty_kills_end_in_the_bytes_of_an_undisturbed_run() {
    let job = Job::new();
    let (table, calm, rough) = (job.table("t.csv", 1200), job.path("calm"), job.path("rough"));
    let started = Instant::now();
    finish(&mut job.run(&table, &calm), 0);
    let whole = started.elapsed();
    let (mut kills, mut attempts) = (0u32, 0u32);
    // Moments over the whole of a run, in a scattered but fixed order; a run that gets through is begun anew.
    while kills < 20 {
        attempts += 1;
        assert!(attempts < 200, "only {kills} kills came before the end");
        let mut child = job.run(&table, &rough).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(whole * (attempts * 7 % 20) / 30);
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        let ended = child.wait().unwrap();
        if ended.success() {
            assert_eq!(bytes_of(&rough), bytes_of(&calm), "after {kills} kills");
            fs::remove_dir_all(&rough).unwrap();
            continue;
        }
        let names =
            fs::read_dir(&rough).map(|d| d.map(|e| e.unwrap().file_name().into_string().unwrap()).collect());
        for name in names.unwrap_or_else(|_| Vec::<String>::new()) {
            if let Some(shard) = name.strip_suffix("_stats.json") {
                // Whatever is called finished is finished.
                for suffix in [".tar", ".parquet", ".idx", ".tar.idx"] {
                    let file = format!("{shard}{suffix}");
                    assert_eq!(
                        fs::read(rough.join(&file)).unwrap(),
                        fs::read(calm.join(&file)).unwrap(),
                        "{file}"
                    );
                }
            }
        }
    }
    finish(&mut job.run(&table, &rough), 0);
    assert_eq!(bytes_of(&rough), bytes_of(&calm));
    assert_eq!(hidden(&rough), Vec::<String>::new(), "leftovers of killed runs");
}

#[test]
fn ctrl_c_keeps_whole_shards_and_says_how_to_go_on() {
    let job = Job::new();
    let (table, calm, rough) = (job.table("t.csv", 1500), job.path("calm"), job.path("rough"));
    finish(&mut job.run(&table, &calm), 0);
    let child = job.run(&table, &rough).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let first_shard = rough.join("00000_stats.json");
    while !first_shard.exists() {
        thread::sleep(Duration::from_millis(2));
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("give the same command again to go on"), "{}", stderr(&output));
    assert_eq!(hidden(&rough), Vec::<String>::new());
    assert!(!rough.join("sizes.json").exists(), "the run is not over");
    finish(&mut job.run(&table, &rough), 0);
    assert_eq!(bytes_of(&rough), bytes_of(&calm));
}

#[test]
fn shard_ranges_of_several_processes_make_the_same_folder() {
    let job = Job::new();
    let (table, whole, parts) = (job.table("t.csv", 400), job.path("whole"), job.path("parts"));
    finish(&mut job.run(&table, &whole), 0);
    let range = |range: &str| job.run(&table, &parts).args(["--shards", range]).spawn().unwrap();
    let processes = [range("0..3"), range("3..6"), range("6..8")];
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    // The closing run finds every shard made and only finishes the folder.
    finish(&mut job.run(&table, &parts), 0);
    assert_eq!(bytes_of(&parts), bytes_of(&whole));
}
