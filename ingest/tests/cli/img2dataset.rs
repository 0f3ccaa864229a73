//! Command lines of img2dataset: they can be kept, and what is not here is told in one line.

use std::fs;

use crate::harness::{Job, command, finish, stderr};

/// `run` with this and nothing else but what a test needs; exit code and standard error.
#[track_caller]
fn run(job: &Job, number: usize, line: &[&str], code: i32) -> String {
    let mut command = command();
    command.arg("run").args(line);
    command.arg(format!("--output_folder={}", job.path(&format!("out-{number}")).display()));
    command.args(["--allow_private_addresses", "--image_size=32"]);
    stderr(&finish(&mut command, code))
}

#[test]
fn f21_a_command_line_of_img2dataset_can_be_kept() {
    let job = Job::new();
    let table = job.table("t.csv", 20).to_str().unwrap().to_owned();
    let input = format!("--url_list={table}");
    // Each is from img2dataset's own examples, or what its documentation shows.
    for (number, line) in [
        &["--input_format=csv", "--url_col=url", "--caption_col=caption", "--enable_wandb=False"][..],
        &["--enable_wandb", "False", "--wandb_project", "x", "--output_format=webdataset"],
        &[
            "--distributor",
            "multiprocessing",
            "--subjob_size=1000",
            "--processes_count=2",
            "--thread_count=64",
        ],
        &["--bbox_col", "None", "--caption_col", "None", "--save_additional_columns", "None"],
        &["--verify_hash", "None", "--compute_hash", "None", "--user_agent_token", "None"],
        &[
            "--noextract_exif",
            "--noskip_reencode",
            "--resize_mode=keep_ratio",
            "--resize_only_if_bigger=True",
        ],
        &["--save_additional_columns", "[\"caption\"]", "--disallowed_header_directives", "[]"],
        &["--ignore_ssl_certificate", "True", "--retries=1", "--incremental_mode", "incremental"],
        &["--max_image_area", "inf", "--max_aspect_ratio=inf", "--min_image_size", "0"],
        &["--number_sample_per_shard=10_000", "--oom_shard_count=5", "--disable_all_reencoding", "True"],
    ]
    .into_iter()
    .enumerate()
    {
        let line: Vec<&str> = [input.as_str(), "--quiet"].into_iter().chain(line.iter().copied()).collect();
        assert_eq!(run(&job, number, &line, 0), "", "{line:?}");
    }
}

#[test]
fn f21_what_is_not_here_is_told_in_a_line() {
    let job = Job::new();
    let table = job.table("t.csv", 5).to_str().unwrap().to_owned();
    let noted = run(&job, 0, &["--url_list", &table, "--enable_wandb", "--max_shard_retry=3"], 0);
    let notes: Vec<&str> = noted.lines().filter(|line| line.starts_with("note: ")).collect();
    assert_eq!(notes.len(), 2, "{noted}");
    assert!(notes[0].contains("--metrics FILE") && notes[1].contains("--max-shard-retry"), "{noted}");
    for (number, (line, expected)) in [
        (["--output_format", "tfrecord"], "webdataset"),
        (["--output_format", "dummy"], "--dry-run"),
        (["--distributor", "pyspark"], "--shards FIRST..END"),
        (["--distributor", "ray"], "--shards FIRST..END"),
        (["--bbox_col", "boxes"], "nothing is blurred here"),
    ]
    .into_iter()
    .enumerate()
    {
        let text = run(&job, 10 + number, &["--url_list", &table, line[0], line[1]], 2);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(&line[0].replace('_', "-")), "{text}");
        assert!(text.contains(line[1]) && text.contains(expected), "{text}");
        assert!(!job.path(&format!("out-{}", 10 + number)).exists(), "wrote something");
    }
}

#[test]
fn f28_none_in_a_command_line_outranks_the_file() {
    let job = Job::new();
    let table = job.table("t.csv", 5);
    let (toml, out) = (job.path("run.toml"), job.path("out"));
    fs::write(
        &toml,
        "[input]\ncaption_col = \"caption\"\nsave_additional_columns = [\"nowhere\"]\n\
         [fetch]\ndisallowed_header_directives = []\n",
    )
    .unwrap();
    let mut command = command();
    command.arg("run").arg("--url_list").arg(&table).arg("--output_folder").arg(&out);
    command.arg("--config").arg(&toml).args(["--allow_private_addresses", "--quiet", "--image_size=32"]);
    command.args(["--caption_col=None", "--save_additional_columns", "None"]);
    command.args(["--disallowed_header_directives", "None"]);
    finish(&mut command, 0);
    let noted = fs::read_to_string(out.join("_pairmill/runs/00000.toml")).unwrap();
    assert!(!noted.contains("caption_col") && noted.contains("save_additional_columns = []"), "{noted}");
    assert!(noted.contains("noimageindex"), "{noted}");
}
