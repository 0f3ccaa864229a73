//! Paints and encodes pictures and nothing else, to be timed from outside:
//! `time cargo run --release -p pairmill-world --example paint -- small 20000`.
#![allow(clippy::print_stdout, reason = "a program talks to its user")]

use anyhow::{Context, Result};
use pairmill_world::{Source, World, WorldConfig};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let sizes = args.next().context("give a size class: web or small")?.parse()?;
    let count: u64 = args.next().context("give the number of pictures")?.parse()?;
    let world = World::new(WorldConfig { seed: 1, sizes, distinct: None });
    let mut num_bytes = 0;
    for index in 0..count {
        num_bytes += world.picture(Source::Laion, index).bytes()?.len();
    }
    println!("{count} pictures, {num_bytes} bytes");
    Ok(())
}
