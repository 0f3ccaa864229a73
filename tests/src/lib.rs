//! What the cross-crate tests share: a served world, a config for it, and the account of a folder read back.

use std::path::Path;

use arrow::array::{Array, StringArray};
use pairmill_ingest::config::{Config, OutputFormat};
use pairmill_world::{
    ClientPolicy, HostBehaviour, Server, ServerConfig, ServerHandle, SizeClass, TableConfig, World,
    WorldConfig,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A world with small pictures and its server.
///
/// # Errors
/// When no port is free.
pub fn serve() -> anyhow::Result<(World, ServerHandle)> {
    let config = WorldConfig { seed: 1, sizes: SizeClass::Small, distinct: Some(200) };
    let hosts = vec![HostBehaviour::Normal; 2];
    let server = Server::start(ServerConfig { world: config, hosts, ..ServerConfig::default() })?;
    Ok((World::new(config), server))
}

/// A quick, quiet run of the LAION-like `table` into `out`, loopback allowed.
pub fn config(table: &Path, out: &Path) -> Config {
    let mut config = Config::default();
    config.input.url_list = table.display().to_string();
    config.input.url_col = "URL".to_owned();
    config.input.caption_col = Some("TEXT".to_owned());
    config.output.output_folder = out.to_owned();
    config.output.output_format = OutputFormat::Webdataset;
    config.output.number_sample_per_shard = 50;
    config.pixels.image_size = 32;
    config.fetch.allow_private_addresses = true;
    config.fetch.concurrency = 64;
    config.runtime.quiet = true;
    config
}

/// One row of a sidecar: its key and `success` or its failure class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowEnd {
    /// The key.
    pub key: String,
    /// `success` or the class.
    pub outcome: String,
}

/// Every row of every sidecar in `folder`, in order of the shards.
///
/// # Errors
/// When a sidecar cannot be read.
pub fn rows_of(folder: &Path) -> anyhow::Result<Vec<RowEnd>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "parquet") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut rows = Vec::new();
    for path in paths {
        for batch in ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path)?)?.build()? {
            let batch = batch?;
            let column = |name: &str| -> anyhow::Result<StringArray> {
                let column = batch.column_by_name(name).ok_or_else(|| anyhow::anyhow!("no column {name}"))?;
                let strings = column.as_any().downcast_ref::<StringArray>();
                Ok(strings.ok_or_else(|| anyhow::anyhow!("{name} holds no strings"))?.clone())
            };
            let (keys, status, class) = (column("key")?, column("status")?, column("failure_class")?);
            for row in 0..batch.num_rows() {
                let outcome = if class.is_valid(row) { class.value(row) } else { status.value(row) };
                rows.push(RowEnd { key: keys.value(row).to_owned(), outcome: outcome.to_owned() });
            }
        }
    }
    Ok(rows)
}

/// Writes the LAION parquet of `config` and returns the outcome every row must have.
///
/// # Errors
/// When the table cannot be written.
pub fn write_table(
    world: &World,
    config: &TableConfig,
    policy: &ClientPolicy,
    path: &Path,
) -> anyhow::Result<Vec<String>> {
    world.write_table(config, path)?;
    Ok(world.rows(config).map(|row| row.outcome(policy).unwrap_or("unknown").to_owned()).collect())
}
