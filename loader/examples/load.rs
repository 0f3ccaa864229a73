//! `load SHARDS SAMPLES [batch=64] [threads=1] [planes=false]`: runs the loader over that many samples as
//! training would, 224 pixels, and prints its statistics as JSON. `bench/loader.sh` measures it.
#![allow(clippy::print_stdout, reason = "an example that is run by the bench")]

use std::error::Error;
use std::sync::Arc;

use pairmill_loader::{
    Dataset, DatasetConfig, Encode, HeapBuffer, ImageTransform, Loader, LoaderConfig, SourceSpec,
};

fn option(args: &[String], name: &str) -> Option<String> {
    args.iter().find_map(|arg| arg.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [shards, samples, ..] = args.as_slice() else {
        return Err("usage: load SHARDS SAMPLES [OPTION=VALUE...]".into());
    };
    let number = |name: &str, default: usize| option(&args, name).map_or(Ok(default), |n| n.parse());
    let mut image = ImageTransform::training(224);
    image.pixels.planes = option(&args, "planes").is_some_and(|word| word == "true");
    let dataset = Dataset::open(&[SourceSpec::new(shards)], &DatasetConfig::default())?;
    let config = LoaderConfig {
        batch_size: number("batch", 64)?,
        threads: number("threads", 1)?,
        epoch_samples: Some(samples.parse()?),
        epochs: Some(1),
        image,
        ..LoaderConfig::default()
    };
    let encode: Encode = Arc::new(|_, _| {});
    let mut loader = Loader::start(dataset, &config, encode, HeapBuffer::pool(&config))?;
    while let Some(batch) = loader.next()? {
        loader.recycle(batch.images);
    }
    println!("{}", serde_json::to_string(&loader.stats())?);
    Ok(())
}
