//! Labelled pictures of the miniature web, two towers of fresh weights, and the binary.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pairmill_shards::results::{ResultRow, read_parquet};
use pairmill_train::checkpoint::export_weights;
use pairmill_train::model::{Architecture, Clip};
use pairmill_train::torch::rng;
use pairmill_world::{Shift, Split, Task, World, WorldConfig};
use tempfile::TempDir;

/// Pictures a class to train and to test on.
pub const TRAIN: u64 = 8;
pub const TEST: u64 = 4;

/// A folder with `counts/` and `backdrops/` (class-per-folder sets), `a.safetensors` and `b.safetensors` (of rn-tiny), and
/// `grid.toml`.
pub struct Bench {
    pub folder: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world =
            World::new(WorldConfig { seed: 4, sizes: pairmill_world::SizeClass::Small, distinct: None });
        for task in [Task::Counts, Task::Backdrops] {
            for (split, count) in [(Split::Train, TRAIN), (Split::Test, TEST)] {
                let dir = folder.path().join(task.to_string()).join(split.to_string());
                task.write(&world, split, Shift::None, count, &dir).unwrap();
                fs::remove_file(dir.join("classes.txt")).unwrap();
            }
        }
        for (name, seed) in [("a", 1), ("b", 2)] {
            rng::seed(seed);
            let clip = Clip::new(&Architecture::find("rn-tiny").unwrap(), tch::Device::Cpu).unwrap();
            export_weights(clip.weights(), &folder.path().join(format!("{name}.safetensors"))).unwrap();
        }
        let grid = "\
shots = [2, \"full\"]
methods = [\"zero-shot\", \"linear-probe\", \"fine-tune\", \"lp-ft\"]
seeds = [0, 1]
alphas = [0.5]
strengths = [1.0, 100.0]
templates = [\"a photo of {}.\", \"{}\"]
[tune]
lr = [1e-3]
epochs = [3]
batch_size = [8]
[runtime]
device = \"cpu\"
threads = 2
together = 3
[[source]]
name = \"A\"
checkpoint = \"a.safetensors\"
model = \"rn-tiny\"
[[source]]
name = \"B\"
checkpoint = \"b.safetensors\"
model = \"rn-tiny\"
[[task]]
kind = \"folder\"
root = \"counts\"
[[task]]
kind = \"folder\"
root = \"backdrops\"
shots = [1]
lr = [1e-3, 3e-4]
";
        fs::write(folder.path().join("grid.toml"), grid).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `pairmill-train sweep grid.toml --out OUT`.
    pub fn sweep(&self, out: &str, more: &[&str]) -> Command {
        let mut command = pairmill_train();
        command.arg("sweep").arg(self.path("grid.toml")).arg("--out").arg(self.path(out)).args(more);
        command
    }

    /// `pairmill-train transfer a.safetensors` to the counts.
    pub fn transfer(&self, out: &str, more: &[&str]) -> Command {
        let mut command = pairmill_train();
        command.arg("transfer").arg(self.path("a.safetensors")).args(["--model", "rn-tiny", "--name", "A"]);
        command.args(["--task", "folder", "--device", "cpu", "--data"]).arg(self.path("counts"));
        command.arg("--out").arg(self.path(out)).args(more);
        command
    }

    pub fn rows(&self, out: &str) -> Vec<ResultRow> {
        let path = self.path(out).join("results.parquet");
        read_parquet(&path, fs::read(&path).unwrap().into()).unwrap()
    }

    /// Every number of a sweep by what it is of; times left out.
    pub fn numbers(&self, out: &str) -> BTreeMap<String, u64> {
        let key = |row: &ResultRow| {
            format!("{} {} {} {:?} {}", row.run, row.config.loss(), row.shots, row.split, row.metric)
        };
        let rows = self.rows(out);
        let numbers: BTreeMap<_, _> = rows.iter().map(|row| (key(row), row.value.to_bits())).collect();
        assert_eq!(numbers.len(), rows.len(), "two rows of one meaning");
        numbers
    }
}

pub fn pairmill_train() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pairmill-train"))
}

/// Runs to the end and expects success.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Folders of runs that have a record, and of those that are only begun.
pub fn runs(out: &Path) -> (usize, usize) {
    let Ok(entries) = fs::read_dir(out.join("runs")) else { return (0, 0) };
    let folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    let done = folders.iter().filter(|folder| folder.join("result.json").exists()).count();
    (done, folders.len() - done)
}
