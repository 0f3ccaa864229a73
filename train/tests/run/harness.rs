//! Shards of the miniature web, and the binary with everything a run needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pairmill_shards::tar::TarWriter;
use pairmill_world::{Source, World, WorldConfig};
use serde_json::Value;
use tempfile::TempDir;

/// A folder of its own with shards in it.
pub struct Bench {
    pub folder: TempDir,
}

impl Bench {
    /// `shards` tars of `samples` captioned pictures each.
    pub fn new(shards: u64, samples: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let world =
            World::new(WorldConfig { seed: 3, sizes: pairmill_world::SizeClass::Small, distinct: None });
        for shard in 0..shards {
            let file = fs::File::create(data.join(format!("{shard:05}.tar"))).unwrap();
            let mut tar = TarWriter::new(file);
            for sample in 0..samples {
                let index = shard * samples + sample;
                let picture = world.picture(Source::Shutterstock, index).bytes().unwrap();
                let caption = world.caption(Source::Shutterstock, index).text;
                let members: [(&str, &[u8]); 2] = [("jpg", &picture), ("txt", caption.as_bytes())];
                tar.append(&format!("{index:09}"), &members).unwrap();
            }
            tar.finish().unwrap();
        }
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `pairmill-train run` of the tiny transformer into `out`, one step a line, on one thread so that sums have one
    /// order.
    pub fn run(&self, out: &str, more: &[&str]) -> Command {
        let mut command = pairmill_train();
        command.args(["run", "clip-vit-tiny", "--device", "cpu", "--batch-size", "8"]);
        command.args([
            "--set",
            "runtime.threads=1",
            "--set",
            "log.every_steps=1",
            "--set",
            "log.tensorboard=false",
        ]);
        command.arg("--data").arg(self.path("data")).arg("--out").arg(self.path(out)).args(more);
        command
    }

    /// Losses by step, as written down.
    pub fn losses(&self, out: &str) -> Vec<(u64, f64)> {
        let text = fs::read_to_string(self.path(out).join("metrics.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| Some((line.get("step")?.as_u64()?, line.get("loss")?.as_f64()?))).collect()
    }
}

pub fn pairmill_train() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pairmill-train"));
    // Ranks of a surrounding job are none of the tests' business.
    for variable in ["RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_NTASKS", "SLURM_PROCID"] {
        command.env_remove(variable);
    }
    command
}

/// Runs to the end and expects success.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Names of the checkpoints in a run's folder.
pub fn checkpoints(run: &Path) -> Vec<String> {
    let entries = fs::read_dir(run.join("checkpoints")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
