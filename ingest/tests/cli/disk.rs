//! Disks that refuse: a clear error, exit code 1 or 2, nothing half-written visible.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::harness::{Job, finish, hidden, stderr};

/// Every tar there is belongs to a finished shard.
fn assert_nothing_half_written(out: &Path) {
    assert_eq!(hidden(out), Vec::<String>::new());
    for entry in fs::read_dir(out).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(shard) = name.strip_suffix(".tar") {
            assert!(out.join(format!("{shard}_stats.json")).exists(), "{name} has no stats");
        }
    }
}

#[test]
fn a_file_size_limit_ends_the_run_with_one_line() {
    let job = Job::new();
    let (table, out) = (job.table("t.csv", 200), job.path("out"));
    // The shell's limit fails writes as a full disk would, and needs no privileges: 40 blocks of 512 bytes.
    let run = job.run(&table, &out);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 40; exec \"$@\"", "sh"])
        .arg(run.get_program())
        .args(run.get_args());
    let output = finish(limited.stdin(Stdio::null()), 1);
    let text = stderr(&output);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("error: ") && text.contains(".tar"), "{text}");
    assert_nothing_half_written(&out);
    finish(&mut job.run(&table, &out), 0);
}

#[test]
fn a_full_disk_ends_the_run_and_room_lets_it_go_on() {
    let job = Job::new();
    let (table, disk) = (job.table("t.csv", 600), job.path("disk"));
    fs::create_dir(&disk).unwrap();
    let mount = |options: &str| {
        Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&disk).output()
    };
    if !mount("size=300k").is_ok_and(|o| o.status.success()) {
        eprintln!("SKIPPED: a small file system can only be mounted by root");
        return;
    }
    let out = disk.join("out");
    let output = finish(&mut job.run(&table, &out), 1);
    let text = stderr(&output);
    assert!(text.contains("disk is full") && text.lines().count() == 1, "{text}");
    assert_nothing_half_written(&out);
    assert!(mount("remount,size=64m").unwrap().status.success());
    finish(&mut job.run(&table, &out), 0);
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
}

#[test]
fn a_folder_that_vanishes_is_an_error_and_not_a_hang() {
    let job = Job::new();
    let (table, out) = (job.table("t.csv", 3000), job.path("out"));
    let child = job.run(&table, &out).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while !out.join("00000_stats.json").exists() {
        thread::sleep(Duration::from_millis(2));
    }
    // Files may appear while the folder is being emptied.
    while fs::remove_dir_all(&out).is_err() {}
    let output = child.wait_with_output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.lines().count() == 1 && text.contains("removed"), "{text}");
}

#[test]
fn an_output_that_cannot_be_a_folder_is_refused() {
    let job = Job::new();
    let table = job.table("t.csv", 60);
    let file = job.path("file");
    fs::write(&file, "mine").unwrap();
    let output = finish(&mut job.run(&table, &file), 1);
    assert!(stderr(&output).contains("--output-folder"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let output = finish(&mut job.run(&table, Path::new("/proc/pairmill")), 1);
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
}
