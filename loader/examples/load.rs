//! `load SHARDS SAMPLES [batch=64] [threads=1] [planes=false]`: runs the loader over that many samples as
//! training would, 224 pixels and 77 token ids, and prints its statistics as JSON. `bench/loader.sh` measures it.
#![allow(clippy::print_stdout, reason = "an example that is run by the bench")]

use std::cell::RefCell;
use std::error::Error;
use std::sync::Arc;

use pairmill_loader::{
    Dataset, DatasetConfig, Encode, HeapBuffer, ImageTransform, Loader, LoaderConfig, SourceSpec,
};
use pairmill_tokens::{Encoder, Tokenizer, Truncation};

fn option(args: &[String], name: &str) -> Option<String> {
    args.iter().find_map(|arg| arg.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
}

/// CLIP token ids as open_clip has them, an encoder a thread.
fn tokenise() -> Result<Encode, Box<dyn Error>> {
    thread_local! {
        static ENCODER: RefCell<Option<Encoder>> = const { RefCell::new(None) };
    }
    let tokenizer = Tokenizer::new()?;
    Ok(Arc::new(move |caption, ids| {
        ENCODER.with_borrow_mut(|encoder| {
            let encoder = encoder.get_or_insert_with(|| tokenizer.encoder());
            encoder.tokenize_into(caption, Truncation::default(), ids);
        });
    }))
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
    let encode = tokenise()?;
    let mut loader = Loader::start(dataset, &config, encode, HeapBuffer::pool(&config))?;
    while let Some(batch) = loader.next()? {
        loader.recycle(batch.images);
    }
    println!("{}", serde_json::to_string(&loader.stats())?);
    Ok(())
}
