//! Ranks that are not about to do the same refuse, all of them, and say why; and none waits for a rank that is gone.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::{Bench, pairmill_train, succeed};
use crate::ranks::{as_rank, free_port};

/// Far more than a refusal takes, far less than the ranks' own timeout of ten minutes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Ends that came by themselves, as exit code and standard error.
pub fn ends(ranks: Vec<Child>) -> Vec<(Option<i32>, String)> {
    let deadline = Instant::now() + PATIENCE;
    ranks
        .into_iter()
        .map(|child| {
            let pid = child.id().to_string();
            let (send, receive) = mpsc::sync_channel::<Output>(1);
            std::thread::spawn(move || send.send(child.wait_with_output().unwrap()));
            match receive.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(output) => (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()),
                Err(_) => {
                    Command::new("kill").args(["-KILL", &pid]).status().unwrap();
                    panic!("a rank hangs: {:?}", receive.recv());
                }
            }
        })
        .collect()
}

fn spawn(command: &mut Command, rank: usize, world: usize, port: u16) -> Child {
    as_rank(command, rank, world, port).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

/// Two ranks with commands of their own.
pub fn two(mut commands: [Command; 2]) -> Vec<Child> {
    let port = free_port();
    commands.iter_mut().enumerate().map(|(rank, command)| spawn(command, rank, 2, port)).collect()
}

/// Both refuse with exit code 2 and one line that contains all `words`.
pub fn assert_refused(ends: &[(Option<i32>, String)], words: &[&str]) {
    for (rank, (code, message)) in ends.iter().enumerate() {
        assert_eq!(*code, Some(2), "rank {rank}: {message}");
        assert_eq!(message.lines().count(), 1, "rank {rank}: {message}");
        for words in words {
            assert!(message.contains(words), "rank {rank}: {words:?} is not in {message}");
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn t02_ranks_that_see_different_checkpoints_refuse_and_name_both_steps() {
    let bench = Bench::new(1, 16);
    let steps = ["--duration", "12", "--set", "checkpoint.every=6", "--quiet"];
    succeed(&mut bench.run("a", &["--duration", "6", "--set", "checkpoint.every=6"]));
    let refused = ends(two([bench.run("a", &["--duration", "6"]), bench.run("b", &["--duration", "6"])]));
    assert_refused(
        &refused,
        &["differs from rank 0 in the checkpoint: step 6 (epoch_3) on rank 0, no checkpoint on rank 1"],
    );
    // The other way round, and nothing was written where nothing was.
    let refused = ends(two([bench.run("b", &["--duration", "6"]), bench.run("a", &["--duration", "6"])]));
    assert_refused(&refused, &["no checkpoint on rank 0, step 6 (epoch_3) on rank 1"]);
    assert!(!bench.path("b").exists());

    // Of the same name and step, but of another run.
    succeed(&mut bench.run("whole", &steps));
    copy(&bench.path("whole"), &bench.path("other"));
    let state = bench.path("other/checkpoints/epoch_6/state.json");
    let text = fs::read_to_string(&state).unwrap().replace("\"samples_seen\": 96", "\"samples_seen\": 88");
    fs::write(&state, text).unwrap();
    let refused = ends(two([bench.run("whole", &steps), bench.run("other", &steps)]));
    assert_refused(&refused, &["in the checkpoint; first difference: state is "]);
}

#[test]
fn t02_rank_0_decides_which_checkpoint_the_run_goes_on_from() {
    let bench = Bench::new(1, 16);
    let steps =
        ["--duration", "12", "--set", "checkpoint.every=3", "--set", "checkpoint.keep.last=9", "--quiet"];
    succeed(&mut bench.run("one", &steps));
    let kept = "checkpoints/step-00000009";
    copy(&bench.path("one").join(kept), &bench.path("zero").join(kept));
    // Rank 1 would go on from the end.
    for (code, message) in ends(two([bench.run("zero", &steps), bench.run("one", &steps)])) {
        assert_eq!(code, Some(0), "{message}");
    }
    let (one, zero) = (bench.losses("one"), bench.losses("zero"));
    assert_eq!(zero.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [10, 11, 12]);
    for ((step, a), (_, b)) in one[9..].iter().zip(&zero) {
        assert!((a - b).abs() <= 1e-5 * a.abs(), "step {step}: {a} and {b}");
    }
}

#[test]
fn t02_ranks_that_see_different_shards_refuse_and_name_the_first() {
    let bench = Bench::new(3, 16);
    let mut few = pairmill_train();
    few.args(["run", "clip-vit-tiny", "--device", "cpu", "--batch-size", "8", "--duration", "2", "--quiet"]);
    few.args(["--set", "runtime.threads=1", "--set", "log.every_steps=1", "--set", "log.tensorboard=false"]);
    few.arg("--out").arg(bench.path("out")).arg("--data").arg(bench.path("data/{00000..00001}.tar"));
    let refused = ends(two([bench.run("out", &["--duration", "2", "--quiet"]), few]));
    assert_refused(
        &refused,
        &[
            "in the shards to train on: 3 shards of 48 samples on rank 0, 2 shards of 32 samples on rank 1",
            "sources[0].shards[2] is 00002.tar with 16 samples",
            "absent on rank 1",
        ],
    );

    // The same names, counts and lengths with other bytes.
    let other = Bench { folder: tempfile::tempdir().unwrap() };
    copy(&bench.path("data"), &other.path("data"));
    let changed = other.path("data/00001.tar");
    let mut bytes = fs::read(&changed).unwrap();
    let at = bytes.windows(4).position(|bytes| bytes == b".txt").unwrap() + 512;
    bytes[at] ^= 1;
    fs::write(&changed, bytes).unwrap();
    let refused = ends(two([bench.run("out", &["--duration", "2"]), other.run("out", &["--duration", "2"])]));
    assert_refused(&refused, &["sources[0].shards[1] is 00001.tar with 16 samples"]);
    assert!(!bench.path("out").exists(), "nothing was begun");
}

#[test]
fn t02_ranks_with_other_settings_or_another_architecture_refuse() {
    let bench = Bench::new(1, 16);
    let run = |more: &[&str]| bench.run("out", &[&["--duration", "2"], more].concat());
    let refused = ends(two([run(&[]), run(&["--lr", "0.5"])]));
    assert_refused(
        &refused,
        &["the settings; first difference: optim.lr is 0.001 on rank 0 and 0.5 on rank 1"],
    );
    // What only one rank measures would leave the others waiting.
    let task = bench.path("data").to_string_lossy().into_owned();
    let refused = ends(two([run(&["--validation", &task]), run(&[])]));
    assert_refused(&refused, &["eval.validation is true on rank 0 and false on rank 1"]);

    let file = |layers: u32| {
        let path = bench.path(&format!("{layers}/mine.toml"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = format!(
            "name = 'mine'\nembed_dim = 32\n[visual]\nkind = 'transformer'\nimage_size = 32\npatch_size = 8\n\
             layers = {layers}\nwidth = 32\nhead_width = 16\n[text]\nwidth = 32\nheads = 2\nlayers = 1\n"
        );
        fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    };
    let refused = ends(two([run(&["--model", &file(1)]), run(&["--model", &file(2)])]));
    assert_refused(
        &refused,
        &["the architecture; first difference: visual.layers is 1 on rank 0 and 2 on rank 1"],
    );
    assert!(!bench.path("out").exists(), "nothing was begun");
}

#[test]
fn t02_a_rank_that_cannot_begin_brings_the_others_down_with_its_reason() {
    let bench = Bench::new(1, 16);
    let run = |more: &[&str]| bench.run("out", &[&["--duration", "2"], more].concat());
    let none = bench.path("none").to_string_lossy().into_owned();
    for (more, words) in [
        // A setting, read before the ranks have met.
        (["--set", "optim.lrr=1"], "unknown field `lrr`"),
        // A file, looked for when they have.
        (["--init-from", &none], "none"),
    ] {
        for ill in [0, 1] {
            let commands = [0, 1].map(|rank| if rank == ill { run(&more) } else { run(&[]) });
            let ends = ends(two(commands));
            for (rank, (code, message)) in ends.iter().enumerate() {
                assert_eq!(*code, Some(2), "rank {rank}: {message}");
                assert!(message.contains(words), "rank {rank}: {message}");
                assert_eq!(rank != ill, message.contains(&format!("rank {ill} ended: ")), "{message}");
            }
        }
    }
    // A command line that is not understood.
    let ends = ends(two([run(&["--no-such-flag"]), run(&[])]));
    assert!(ends[0].1.contains("--no-such-flag"), "{ends:?}");
    assert_refused(&ends[1..], &["rank 0 ended: its command line is wrong"]);
}

#[test]
fn t02_a_world_of_another_size_is_refused() {
    let bench = Bench::new(1, 16);
    let port = free_port();
    let run = || bench.run("out", &["--duration", "2"]);
    let ranks = vec![spawn(&mut run(), 0, 2, port), spawn(&mut run(), 1, 4, port)];
    for (code, message) in ends(ranks) {
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains("WORLD_SIZE is 2 on rank 0 and 4 on rank 1"), "{message}");
    }
}

#[cfg(unix)]
#[test]
fn t02_a_rank_that_is_killed_brings_the_others_down() {
    let bench = Bench::new(1, 32);
    for dead in [1, 0] {
        let out = format!("out-{dead}");
        let run = || bench.run(&out, &["--duration", "4000", "--quiet"]);
        let mut ranks = two([run(), run()]);
        let patience = Instant::now() + PATIENCE;
        while !bench.path(&out).join("metrics.jsonl").exists() || bench.losses(&out).len() < 2 {
            assert!(Instant::now() < patience && ranks[0].try_wait().unwrap().is_none(), "never took a step");
            sleep(Duration::from_millis(5));
        }
        let mut killed = ranks.remove(dead);
        killed.kill().unwrap();
        killed.wait().unwrap();
        let [(code, message)] = &ends(ranks)[..] else { unreachable!() };
        assert_eq!(*code, Some(1), "{message}");
        assert!(message.contains(&format!("rank {dead} ended: it was killed")), "{message}");
    }
}

#[test]
fn t02_an_evaluation_by_several_ranks_compares_what_it_is_about_to_do() {
    let bench = Bench::new(2, 16);
    for (out, seed) in [("a", "1"), ("b", "2")] {
        succeed(&mut bench.run(out, &["--duration", "1", "--seed", seed]));
    }
    let evaluate = |out: &str, shards: &str| {
        let mut command = pairmill_train();
        command.args(["evaluate", "--device", "cpu", "--validation"]);
        command.arg(bench.path(shards)).arg(bench.path(out));
        command
    };
    let refused = ends(two([evaluate("a", "data"), evaluate("b", "data")]));
    assert_refused(&refused, &["in the weights; first difference: file is "]);
    let refused = ends(two([evaluate("a", "data"), evaluate("a", "data/00000.tar")]));
    assert_refused(
        &refused,
        &["in the shards to evaluate on: 2 shards of 32 samples on rank 0, 1 shard of 16"],
    );
    for (code, message) in ends(two([evaluate("a", "data"), evaluate("a", "data")])) {
        assert_eq!(code, Some(0), "{message}");
    }
}
