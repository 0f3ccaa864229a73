//! How far apart the perceptual hashes of a folder's pictures are from those of their copies, and from each other: what
//! the default of `pairmill-shards subset --drop-duplicate-images near` rests on.
//!
//! ```text
//! cargo run --release -p pairmill-pixels --example near_duplicates -- FOLDER
//! ```
#![allow(clippy::print_stdout, reason = "an example for the command line")]

use std::error::Error;
use std::time::Instant;

use pairmill_pixels::{EncodeFormat, Limits, ResizeMode, TransformConfig, Transformer, perceptual_hash};

const DISTANCES: [u32; 8] = [0, 2, 4, 5, 6, 8, 10, 12];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("give a folder of pictures, each other than the rest")?;
    let mut paths: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    paths.sort();
    let pictures: Vec<Vec<u8>> = paths.iter().map(std::fs::read).collect::<Result<_, _>>()?;
    let hash = |bytes: &[u8]| perceptual_hash(bytes, &Limits::default()).ok().flatten();
    let begun = Instant::now();
    let hashes: Vec<Option<u64>> = pictures.iter().map(|bytes| hash(bytes)).collect();
    let each = begun.elapsed().as_secs_f64() * 1e3 / pictures.len() as f64;
    let known: Vec<u64> = hashes.iter().copied().flatten().collect();
    println!("{} pictures, {} with a hash, {each:.2} ms each", pictures.len(), known.len());
    let mut apart = Vec::new();
    for (at, one) in known.iter().enumerate() {
        apart.extend(known[..at].iter().map(|other| (one ^ other).count_ones()));
    }
    apart.sort_unstable();
    let mean = apart.iter().sum::<u32>() as f64 / apart.len() as f64;
    let variance = apart.iter().map(|d| (f64::from(*d) - mean).powi(2)).sum::<f64>() / apart.len() as f64;
    println!(
        "{} pairs: mean {mean:.1}, deviation {:.2}, least {:?}",
        apart.len(),
        variance.sqrt(),
        &apart[..8]
    );
    println!("{:<24} share of copies within {DISTANCES:?} bits, most", "");
    for (name, config) in copies() {
        let mut transformer = Transformer::new(&config)?;
        let copied = |bytes: &Vec<u8>| transformer.transform(bytes).ok().and_then(|done| hash(&done.image));
        let copies: Vec<Option<u64>> = pictures.iter().map(copied).collect();
        let apart: Vec<u32> = hashes
            .iter()
            .zip(&copies)
            .filter_map(|(a, b)| Some((a.as_ref()? ^ b.as_ref()?).count_ones()))
            .collect();
        let within = |most: u32| apart.iter().filter(|d| **d <= most).count() as f64 / apart.len() as f64;
        let shares: Vec<String> = DISTANCES.iter().map(|most| format!("{:.3}", within(*most))).collect();
        println!("{name:<24} {}  {}", shares.join(" "), apart.iter().max().unwrap_or(&0));
    }
    Ok(())
}

fn copies() -> Vec<(String, TransformConfig)> {
    let keep = TransformConfig { resize_mode: ResizeMode::No, ..TransformConfig::default() };
    let mut all: Vec<(String, TransformConfig)> = [95, 75, 50, 30, 10]
        .map(|quality| {
            (format!("JPEG, quality {quality}"), TransformConfig { encode_quality: quality, ..keep.clone() })
        })
        .into();
    let other =
        |format, quality| TransformConfig { encode_format: format, encode_quality: quality, ..keep.clone() };
    all.push(("WebP, quality 80".to_owned(), other(EncodeFormat::Webp, 80)));
    all.push(("PNG".to_owned(), other(EncodeFormat::Png, 6)));
    for side in [64, 128, 256, 512, 1024] {
        let config = TransformConfig {
            resize_mode: ResizeMode::KeepRatioLargest,
            image_size: side,
            encode_quality: 90,
            ..keep.clone()
        };
        all.push((format!("longer side {side}, q 90"), config));
    }
    let square = TransformConfig { image_size: 224, encode_quality: 90, ..keep.clone() };
    all.push((
        "with a border, square".to_owned(),
        TransformConfig { resize_mode: ResizeMode::Border, ..square.clone() },
    ));
    all.push((
        "cropped to a square".to_owned(),
        TransformConfig { resize_mode: ResizeMode::CenterCrop, ..square },
    ));
    all
}
