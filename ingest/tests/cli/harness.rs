//! A folder per test, a served world, and the command to run on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pairmill_world::{
    Fault, FaultMix, HostBehaviour, Row, Server, ServerConfig, ServerHandle, SizeClass, Source, TableConfig,
    World, WorldConfig,
};
use tempfile::TempDir;

/// One test's folder and web.
pub struct Job {
    dir: TempDir,
    pub world: World,
    pub server: ServerHandle,
}

impl Job {
    pub fn new() -> Self {
        let config = WorldConfig { seed: 1, sizes: SizeClass::Small, distinct: Some(64) };
        let world = World::new(config);
        let hosts = vec![HostBehaviour::Normal; 2];
        let server = Server::start(ServerConfig { world: config, hosts, ..ServerConfig::default() }).unwrap();
        Self { dir: tempfile::tempdir().unwrap(), world, server }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A csv of `rows` rows, a fifth of them faulty with faults that answer at once and the same every time.
    pub fn table(&self, name: &str, rows: u64) -> PathBuf {
        // A 429 pauses its host, and a name server's silence costs seconds.
        let slow = [Fault::NoSuchHost, Fault::RateLimited, Fault::RateLimitedLong, Fault::RateLimitedDate];
        let steady =
            |row: &Row| row.fault.is_none_or(|f| f.failures_before_ok().is_none() && !slow.contains(&f));
        self.table_of(name, rows, FaultMix::Quick, steady)
    }

    pub fn table_of(&self, name: &str, rows: u64, mix: FaultMix, keep: impl Fn(&Row) -> bool) -> PathBuf {
        let mut config =
            TableConfig::new(Source::Laion, rows * 2, self.server.base_url()).with_faults(0.2, mix);
        config.base_urls = self.server.base_urls();
        let mut text = "url,caption\n".to_owned();
        for row in self.world.rows(&config).filter(|r| keep(r)).take(rows as usize) {
            let quote = |s: &str| format!("\"{}\"", s.replace('"', "\"\""));
            text.push_str(&format!("{},{}\n", quote(&row.url), quote(&row.caption.text)));
        }
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// `run` of `table` into `out` with small shards.
    pub fn run(&self, table: &Path, out: &Path) -> Command {
        let mut command = command();
        command.arg("run").arg("--url-list").arg(table).arg("--output-folder").arg(out);
        command.args(["--caption-col", "caption", "--output-format", "webdataset"]);
        command.args(["--number-sample-per-shard", "50", "--image-size", "32", "--allow-private-addresses"]);
        command.args(["--thread-count", "32", "--timeout", "5", "--quiet"]);
        command
    }
}

pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pairmill-ingest"));
    command.stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

/// Runs to the end and insists on an exit code.
#[track_caller]
pub fn finish(command: &mut Command, code: i32) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{}", stderr(&output));
    output
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Content of every finished file of a dataset folder that must not depend on when it was made.
pub fn bytes_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        // Stats hold the time of the run.
        if entry.file_type().unwrap().is_file() && !name.ends_with("_stats.json") {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

/// Names that no reader may take for data: what a killed run may leave, hidden.
pub fn hidden(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|n| n.starts_with('.')).collect()
}
