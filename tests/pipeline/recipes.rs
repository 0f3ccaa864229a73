//! Recipes that messages and documents print for a user to run. The trainer's own tests run those that need torch
//! (`train/tests/recipes.rs`); here, no text may name a call that would run what a foreign file holds.

use std::fs;
use std::path::{Path, PathBuf};

/// Files of the repository that a user reads or is shown, without what is built.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "corpus" {
                sources(&path, found);
            }
        } else if ["rs", "md", "toml", "py", "sh"]
            .iter()
            .any(|ext| path.extension().is_some_and(|e| e == *ext))
        {
            found.push(path);
        }
    }
}

#[test]
fn f25_every_recipe_loads_weights_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    sources(root, &mut files);
    // Put together, so that this file is none of those it looks for.
    let call = ["torch.lo", "ad("].concat();
    assert!(files.len() > 100, "the repository's files are looked at: {}", files.len());
    for path in files {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (at, _) in text.match_indices(&call) {
            // A test that looks for the call in a message is no recipe.
            let is_quoted = text[..at].ends_with('"');
            if is_quoted {
                continue;
            }
            let end = text[at..].find(')').map_or(text.len(), |end| at + end);
            let rest = text[at..].find("weights_only=True").map_or(usize::MAX, |found| at + found);
            assert!(rest < end.max(at + 120), "{}: {}", path.display(), &text[at..end]);
        }
    }
}
