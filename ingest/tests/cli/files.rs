//! Few open files: rows are fetched a few at a time, none fails for it, and the dataset is the same.

use std::process::{Command, Stdio};

use crate::harness::{Job, bytes_of, command, finish, stderr};

#[test]
fn f14_a_low_limit_on_open_files_costs_time_and_no_row() {
    let job = Job::new();
    let (table, plenty) = (job.table("t.csv", 600), job.path("plenty"));
    let run = |out: &std::path::Path| {
        // As users run it: the default number of rows in flight, and small shards, each of which has files open.
        let mut run = command();
        run.arg("run").arg("--url-list").arg(&table).arg("--output-folder").arg(out);
        run.args(["--caption-col", "caption", "--output-format", "webdataset", "--image-size", "32"]);
        run.args(["--number-sample-per-shard", "20", "--allow-private-addresses"]);
        run
    };
    finish(&mut run(&plenty), 0);
    for limit in [64, 100, 512] {
        let out = job.path(&format!("limit-{limit}"));
        let whole = run(&out);
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -n {limit}; exec \"$@\""), "sh"]);
        limited.arg(whole.get_program()).args(whole.get_args()).stdin(Stdio::null());
        let output = finish(&mut limited, 0);
        assert!(bytes_of(&out) == bytes_of(&plenty), "{limit} open files change the dataset");
        let text = stderr(&output);
        assert!(text.contains("ulimit -n"), "the user hears of it: {text}");
    }
}
