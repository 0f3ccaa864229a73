//! What augmentation makes of pictures, for comparison with timm, and how long it takes.
//!
//! `augment_dump SIDE < REQUESTS > PIXELS`: a request is a line `PATH<tab>OP<tab>ARGUMENT`, the file `SIDE * SIDE * 3` bytes of
//! RGB, as is the answer. Operations have timm's names; translations are shares of the side; where there is no argument, any.
//!
//! `augment_dump SIDE time < REQUESTS`: instead a line `OP<tab>MICROSECONDS` of CPU a picture for each request, then one for
//! the step to normalised floats.
#![allow(clippy::print_stdout, reason = "an example that is run by hand and by tests/peers")]

use std::error::Error;
use std::io::{BufRead, Write};

use pairmill_pixels::{Normalisation, Op, Rgb8Mut, Scratch};

/// Of the augmentations' default: ImageNet's mean.
const FILL: [u8; 3] = [124, 116, 104];
/// CPU seconds that a measurement takes: its clock has steps of 0.01.
const MEASURED_S: f64 = 1.0;

/// CPU seconds of this process, user and system, from /proc/self/stat.
fn cpu_s() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / 100.0)
}

fn op(name: &str, argument: f64, side: u32) -> Result<Op, Box<dyn Error>> {
    Ok(match name {
        "auto_contrast" => Op::AutoContrast,
        "equalize" => Op::Equalize,
        "invert" => Op::Invert,
        "rotate" => Op::Rotate { degrees: argument },
        "posterize" => Op::Posterize { bits: argument as u8 },
        "solarize" => Op::Solarize { threshold: argument as u16 },
        "solarize_add" => Op::SolarizeAdd { add: argument as u8 },
        "color" => Op::Color(argument),
        "contrast" => Op::Contrast(argument),
        "brightness" => Op::Brightness(argument),
        "sharpness" => Op::Sharpness(argument),
        "shear_x" => Op::ShearX(argument),
        "shear_y" => Op::ShearY(argument),
        "translate_x_rel" => Op::TranslateX(argument * f64::from(side)),
        "translate_y_rel" => Op::TranslateY(argument * f64::from(side)),
        _ => return Err(format!("no operation {name}").into()),
    })
}

/// Microseconds of CPU for one call.
fn measure(mut call: impl FnMut()) -> Result<f64, Box<dyn Error>> {
    let (begun, mut calls) = (cpu_s()?, 0);
    loop {
        (0..100).for_each(|_| call());
        calls += 100;
        let taken = cpu_s()? - begun;
        if taken >= MEASURED_S {
            return Ok(taken * 1e6 / f64::from(calls));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let side: u32 = args.first().ok_or("usage: augment_dump SIDE [time] < REQUESTS")?.parse()?;
    let timed = args.get(1).is_some_and(|word| word == "time");
    let mut scratch = Scratch::default();
    let mut pixels = Vec::new();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let [path, name, argument] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err("a request has three fields".into());
        };
        let op = op(name, argument.parse().unwrap_or(0.0), side)?;
        pixels = std::fs::read(path).map_err(|e| format!("{path}: {e}"))?;
        if !timed {
            op.apply(&mut Rgb8Mut::new(&mut pixels, side, side)?, FILL, &mut scratch);
            out.write_all(&pixels)?;
            continue;
        }
        let before = pixels.clone();
        Rgb8Mut::new(&mut pixels, side, side)?;
        let taken = measure(|| {
            // Each time the same picture; the copy counts.
            pixels.copy_from_slice(&before);
            if let Ok(mut picture) = Rgb8Mut::new(&mut pixels, side, side) {
                op.apply(&mut picture, FILL, &mut scratch);
            }
        })?;
        writeln!(out, "{name}\t{taken:.1}")?;
    }
    if timed {
        let table = Normalisation::Imagenet.table();
        let mut planes = vec![0.0; pixels.len()];
        table.to_planes(&pixels, &mut planes)?;
        let taken = measure(|| {
            let _ = table.to_planes(std::hint::black_box(&pixels), &mut planes);
        })?;
        writeln!(out, "normalise\t{taken:.1}")?;
    }
    Ok(())
}
