//! The recipes of the justfile as a user types them: what reaches the commands, and from which folder. The commands are
//! stand-ins that print what they were given.
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A build folder whose binaries, and a `cargo` before the real one, print their folder and arguments a line each.
struct FrontDoor {
    folder: tempfile::TempDir,
}

impl FrontDoor {
    /// None, said aloud, where `just` is not installed (`./justw` installs it).
    fn open() -> anyhow::Result<Option<Self>> {
        if Command::new("just").arg("--version").output().is_err() {
            eprintln!("SKIPPED: just is not installed, so the recipes were NOT tested");
            return Ok(None);
        }
        let door = Self { folder: tempfile::tempdir()? };
        fs::create_dir_all(door.target().join("release"))?;
        fs::create_dir_all(door.standing())?;
        door.script("cargo", "exit 0")?;
        for name in ["pairmill-ingest", "pairmill-train", "pairmill-report"] {
            door.script(&format!("target/release/{name}"), "pwd; printf '%s\\n' \"$@\"")?;
        }
        Ok(Some(door))
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    /// Where the user stands.
    fn standing(&self) -> PathBuf {
        self.folder.path().join("elsewhere")
    }

    fn script(&self, name: &str, body: &str) -> anyhow::Result<()> {
        let path = self.folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// The lines that the stand-in prints.
    fn run(&self, words: &[&str]) -> anyhow::Result<Vec<String>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH")?);
        let done = Command::new("just")
            .args(["--justfile".as_ref(), root.join("justfile").as_os_str()])
            .args(["--working-directory".as_ref(), root.as_os_str()])
            .args(words)
            .current_dir(self.standing())
            .env("PATH", path)
            .env("CARGO_TARGET_DIR", self.target())
            .output()?;
        anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(String::from_utf8(done.stdout)?.lines().map(str::to_owned).collect())
    }
}

#[test]
fn an_argument_with_spaces_and_shell_characters_stays_one_argument() -> anyhow::Result<()> {
    let Some(door) = FrontDoor::open()? else { return Ok(()) };
    let filter = "similarity > 0.3 AND TEXT NOT LIKE '%$HOME `id`%'";
    let lines = door.run(&["shards", "laion400m", "in put.parquet", "out", "--where", filter])?;
    assert_eq!(
        &lines[1..],
        [
            "run",
            "--source",
            "laion400m",
            "--url-list",
            "in put.parquet",
            "--output-folder",
            "out",
            "--where",
            filter
        ]
    );
    let report = door.run(&["report", "results > all.tsv", "--out", "a page.html"])?;
    assert_eq!(&report[1..], ["report", "results > all.tsv", "--out", "a page.html"]);
    Ok(())
}

#[test]
fn a_relative_path_is_taken_from_where_the_user_stands() -> anyhow::Result<()> {
    let Some(door) = FrontDoor::open()? else { return Ok(()) };
    let here = fs::canonicalize(door.standing())?;
    let recipes: [&[&str]; 5] = [
        &["shards", "laion400m", "meta", "out"],
        &["train", "clip-rn50", "out", "run"],
        &["transfer", "run", "cassava", "data", "out"],
        &["sweep", "grid.toml", "out"],
        &["report", "results.tsv"],
    ];
    for recipe in recipes {
        let lines = door.run(recipe)?;
        assert_eq!(fs::canonicalize(&lines[0])?, here, "{recipe:?}");
    }
    assert_eq!(fs::read_dir(&here)?.count(), 0, "a recipe wrote a file where the user stands");
    Ok(())
}

#[test]
fn a_recipe_hands_on_the_exit_code_of_its_command() -> anyhow::Result<()> {
    let Some(door) = FrontDoor::open()? else { return Ok(()) };
    door.script("target/release/pairmill-report", "exit 2")?;
    let failed =
        door.run(&["report", "nothing.tsv"]).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(failed.contains("exit code 2"), "{failed}");
    Ok(())
}
