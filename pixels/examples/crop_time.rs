//! `crop_time FOLDER [ROUNDS]`: milliseconds a picture from JPEG bytes in memory to a 224 × 224 square, over planes and
//! over RGB, for windows of three sizes, in CPU time.
#![allow(clippy::print_stdout, reason = "an example that is run by hand")]

use std::error::Error;

use pairmill_pixels::{CropBox, CropConfig, Cropper, Placement, View};

/// CPU seconds of this process, user and system, from /proc/self/stat (in hundredths).
fn cpu_s() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / 100.0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: crop_time FOLDER [ROUNDS]")?;
    let rounds: u32 = args.next().map_or(Ok(3), |n| n.parse())?;
    let mut paths: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    paths.sort();
    let pictures: Vec<Vec<u8>> = paths.iter().map(std::fs::read).collect::<Result<_, _>>()?;
    // A window of `share` of both sides, off the corner.
    let window = |share: f64| {
        move |width: u32, height: u32| {
            let part = |side: u32| ((f64::from(side) * share) as u32).max(1);
            let (across, down) = (part(width), part(height));
            let (left, top) = ((width - across) / 3, (height - down) / 3);
            let view = View::Crop(CropBox { left, top, width: across, height: down });
            Placement { view, mirrored: false }
        }
    };
    for (name, share) in [("0.95 of the sides", 0.95), ("0.7", 0.7), ("0.4", 0.4)] {
        for planes in [true, false] {
            let config = CropConfig { planes, ..CropConfig::default() };
            let mut cropper = Cropper::new(&config)?;
            let mut out = vec![0; cropper.out_bytes()];
            let mut best = f64::MAX;
            for _ in 0..rounds {
                let begun = cpu_s()?;
                for picture in &pictures {
                    cropper.write(picture, window(share), &mut out)?;
                }
                best = best.min((cpu_s()? - begun) * 1e3 / pictures.len() as f64);
            }
            let path = if planes { "planes" } else { "RGB" };
            println!("{name:<20} {path:<8} {best:6.3} ms");
        }
    }
    Ok(())
}
