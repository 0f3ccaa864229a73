//! `crop_dump SIDE [planes] [no-dct] < REQUESTS > PIXELS`: what `Cropper` makes of files, for comparison with other tools.
//! A request is a line `PATH<tab>centre` or `PATH<tab>LEFT TOP WIDTH HEIGHT`; the answer is `SIDE * SIDE * 3` bytes.
#![allow(clippy::print_stderr, reason = "an example that is run by hand and by tests/peers")]

use std::error::Error;
use std::io::{BufRead, Write};

use pairmill_pixels::{CropBox, CropConfig, Cropper, Placement, View};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let side = args.first().ok_or("usage: crop_dump SIDE [planes] [no-dct] < REQUESTS > PIXELS")?.parse()?;
    let has = |word: &str| args.iter().any(|arg| arg == word);
    let config =
        CropConfig { side, planes: has("planes"), dct_scaling: !has("no-dct"), ..CropConfig::default() };
    let mut cropper = Cropper::new(&config)?;
    let mut pixels = vec![0; cropper.out_bytes()];
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (path, wanted) = line.split_once('\t').ok_or("a request has no tab")?;
        let view = match wanted {
            "centre" => View::Centre,
            numbers => {
                let numbers: Vec<u32> = numbers.split(' ').map(str::parse).collect::<Result<_, _>>()?;
                let [left, top, width, height] = numbers[..] else {
                    return Err("a window has four numbers".into());
                };
                View::Crop(CropBox { left, top, width, height })
            }
        };
        let bytes = std::fs::read(path).map_err(|e| format!("{path}: {e}"))?;
        cropper
            .write(&bytes, |_, _| Placement { view, mirrored: false }, &mut pixels)
            .map_err(|e| format!("{path}: {e}"))?;
        out.write_all(&pixels)?;
    }
    Ok(())
}
