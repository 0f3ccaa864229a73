//! One table, three containers: the same samples come out of each, and they are what the world served.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use pairmill_ingest::config::OutputFormat;
use pairmill_ingest::run;
use pairmill_pixels::ResizeMode;
use pairmill_tests::{config, serve};
use pairmill_world::{Source, TableConfig};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use sha2::{Digest, Sha256};

/// Key → (hash of the image bytes, caption).
type Samples = BTreeMap<String, (String, String)>;

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn from_files(folder: &Path) -> Samples {
    let mut samples = Samples::new();
    for shard in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        for file in std::fs::read_dir(&shard).unwrap().map(|e| e.unwrap().path()) {
            if file.extension().is_some_and(|e| e == "jpg") {
                let caption = std::fs::read_to_string(file.with_extension("txt")).unwrap();
                let key = file.file_stem().unwrap().to_str().unwrap().to_owned();
                samples.insert(key, (hash(&std::fs::read(&file).unwrap()), caption));
            }
        }
    }
    samples
}

fn shards_with(folder: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == extension));
    paths.sort();
    paths
}

fn from_tars(folder: &Path) -> Samples {
    let mut samples = Samples::new();
    for path in shards_with(folder, "tar") {
        let file = std::fs::File::open(&path).unwrap();
        for sample in pairmill_shards::tar::TarReader::new(file, &path) {
            let sample = sample.unwrap();
            let image = hash(sample.get("jpg").unwrap());
            let caption = String::from_utf8(sample.caption().unwrap().to_vec()).unwrap();
            samples.insert(sample.key.clone(), (image, caption));
        }
    }
    samples
}

fn from_parquet(folder: &Path) -> Samples {
    let mut samples = Samples::new();
    for path in shards_with(folder, "parquet") {
        let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
        let fields = reader.metadata().file_metadata().schema().get_fields().to_vec();
        let at = |name: &str| fields.iter().position(|f| f.name() == name).unwrap();
        assert_eq!(at("jpg"), fields.len() - 1, "the image column is the last");
        for row in reader.get_row_iter(None).unwrap().map(Result::unwrap) {
            if row.get_string(at("status")).unwrap() == "success" {
                let caption = row.get_string(at("caption")).map_or(String::new(), String::clone);
                let image = hash(row.get_bytes(at("jpg")).unwrap().data());
                samples.insert(row.get_string(at("key")).unwrap().clone(), (image, caption));
            }
        }
    }
    samples
}

#[test]
fn containers_agree_and_untouched_bytes_are_the_webs() {
    let (world, server) = serve().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let table = TableConfig::new(Source::Laion, 120, server.base_url());
    world.write_table(&table, &path).unwrap();
    let run_to = |format: OutputFormat, name: &str| {
        let out = dir.path().join(name);
        let mut config = config(&path, &out);
        config.output.output_format = format;
        config.pixels.resize_mode = ResizeMode::No;
        config.pixels.disable_all_reencoding = true;
        run::run(&config, &AtomicBool::new(false)).unwrap();
        out
    };
    let tars = from_tars(&run_to(OutputFormat::Webdataset, "tars"));
    assert_eq!(tars.len(), 120);
    assert_eq!(from_files(&run_to(OutputFormat::Files, "files")), tars);
    assert_eq!(from_parquet(&run_to(OutputFormat::Parquet, "parquet")), tars);
    for (row, (key, (image, caption))) in world.rows(&table).zip(&tars) {
        assert_eq!(*image, hash(&world.picture(Source::Laion, row.picture).bytes().unwrap()), "{key}");
        assert_eq!(*caption, row.caption.text, "{key}");
    }
}

#[test]
fn the_same_run_gives_the_same_bytes_whatever_the_threads() {
    let (world, server) = serve().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    world.write_table(&TableConfig::new(Source::Laion, 200, server.base_url()), &path).unwrap();
    let bytes_with = |name: &str, workers: usize, concurrency: usize, reorder_bytes: u64| {
        let out = dir.path().join(name);
        let mut config = config(&path, &out);
        config.runtime.workers = workers;
        config.runtime.reorder_bytes = reorder_bytes;
        config.fetch.concurrency = concurrency;
        run::run(&config, &AtomicBool::new(false)).unwrap();
        let mut paths = shards_with(&out, "tar");
        paths.extend(shards_with(&out, "parquet"));
        paths.extend(shards_with(&out, "idx"));
        paths.into_iter().map(|p| hash(&std::fs::read(p).unwrap())).collect::<Vec<_>>()
    };
    let one = bytes_with("one", 1, 1, 1 << 20);
    assert_eq!(one.len(), 4 * 4);
    assert_eq!(bytes_with("many", 5, 64, 1 << 20), one);
    // With no memory for reordering everything early is spilled to disk.
    assert_eq!(bytes_with("spilled", 5, 64, 0), one);
}
