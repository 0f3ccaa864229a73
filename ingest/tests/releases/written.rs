//! A release of the world in a folder of its own, and the truth about its rows.

use std::path::PathBuf;

use pairmill_world::{Quirk, Release, ReleaseConfig, ReleaseSummary, World, WorldConfig};
use serde_json::Value;

pub struct Written {
    pub dir: tempfile::TempDir,
    pub summary: ReleaseSummary,
    /// One object a row, in the order of the files.
    pub truth: Vec<Value>,
}

impl Written {
    pub fn new(release: Release, rows: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = ReleaseConfig { release, rows, base_url: "http://127.0.0.1:9".to_owned() };
        let summary = World::new(WorldConfig::default()).write_release(&config, dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join("truth.jsonl")).unwrap();
        let truth = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Self { dir, summary, truth }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn count(&self, quirk: Quirk) -> u64 {
        self.summary.quirks.get(&quirk).copied().unwrap_or(0)
    }

    /// Truth of the rows that have all of `with` and none of `without`.
    pub fn rows(&self, with: &[Quirk], without: &[Quirk]) -> Vec<&Value> {
        let has = |row: &Value, quirk: &Quirk| {
            row["quirks"].as_array().unwrap().iter().any(|found| found == quirk.as_str())
        };
        let keep = |row: &&Value| with.iter().all(|q| has(row, q)) && !without.iter().any(|q| has(row, q));
        self.truth.iter().filter(keep).collect()
    }
}
