//! `table_rows < REQUESTS > ANSWERS`: reads whole tables and counts their rows, for comparison with other tools. A request is
//! a line of JSON with `path`, `url_col` and `columns` (the further ones to read); an answer one with `rows`, or with `error`.
#![allow(clippy::print_stdout, reason = "an example that is run by tests/corpora")]

use std::io::BufRead;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Context;
use pairmill_ingest::table::{InputFormat, TableConfig, Tables};
use serde_json::{Value, json};

fn main() -> anyhow::Result<()> {
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let text = |key: &str| request[key].as_str().map(str::to_owned).with_context(|| format!("no {key}"));
        let columns = request["columns"].as_array().context("no columns")?;
        let config = TableConfig {
            url_list: text("path")?,
            input_format: Some(InputFormat::Parquet),
            url_col: text("url_col")?,
            save_additional_columns: columns.iter().filter_map(|c| c.as_str().map(str::to_owned)).collect(),
            ..TableConfig::default()
        };
        let answer = match catch_unwind(AssertUnwindSafe(|| count(&config))) {
            Ok(Ok(rows)) => json!({ "rows": rows }),
            Ok(Err(error)) => json!({ "error": format!("{error:#}") }),
            Err(_) => json!({ "error": "panic" }),
        };
        println!("{answer}");
    }
    Ok(())
}

fn count(config: &TableConfig) -> anyhow::Result<u64> {
    let mut rows = 0;
    for block in Tables::open(config)?.blocks(1_000) {
        rows += block?.rows.num_rows() as u64;
    }
    Ok(rows)
}
