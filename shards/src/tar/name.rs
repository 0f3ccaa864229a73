//! What the name of a shard's file says. The content decides how a file is read; names decide which files of a folder are
//! shards, and what the files beside them are called.

/// How tars are called, plain ones first.
const SUFFIXES: [&str; 8] = [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.zst", ".tzst"];
/// How Parquet shards are called.
const PARQUET: &str = ".parquet";

/// Whether a file of this name is a tar, compressed or not.
pub fn is_tar_name(name: &str) -> bool {
    SUFFIXES.iter().any(|suffix| name.len() > suffix.len() && name.ends_with(suffix))
}

/// Whether a tar of this name can have indexes beside it: places in a compressed one are of no use.
pub fn has_indexes(name: &str) -> bool {
    name.ends_with(SUFFIXES[0])
}

/// `00000` of `00000.tar`, `00000.tar.gz` and `00000.parquet`: what the files of one shard have in common. Other names lose
/// their extension.
pub fn shard_stem(name: &str) -> &str {
    let suffix = SUFFIXES.iter().chain([&PARQUET]).filter(|suffix| name.ends_with(**suffix));
    match suffix.max_by_key(|suffix| suffix.len()) {
        Some(suffix) if name.len() > suffix.len() => &name[..name.len() - suffix.len()],
        _ => name.rfind('.').filter(|dot| *dot > 0).map_or(name, |dot| &name[..dot]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_shard_have_one_stem() {
        for name in ["a.b.tar", "a.b.tar.gz", "a.b.tgz", "a.b.tar.zst", "a.b.tar.bz2", "a.b.parquet", "a.b.x"]
        {
            assert_eq!(shard_stem(name), "a.b", "{name}");
        }
        assert_eq!((shard_stem("a"), shard_stem(".tar")), ("a", ".tar"));
        assert!(is_tar_name("0.tgz") && !is_tar_name(".tar") && !is_tar_name("0.gz"));
        assert!(has_indexes("0.tar") && !has_indexes("0.tar.gz"));
    }
}
