//! What the codecs themselves cost, so that the pipeline can be held against it: CPU milliseconds per image of every
//! JPEG in a folder, by path and by stage.
//!
//! ```text
//! cargo run --release -p pairmill-pixels --example codec_time -- FOLDER [ROUNDS] [whole]
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measuring tool for developers"
)]

use std::path::PathBuf;

use fast_image_resize as fir;
use pairmill_pixels::{DctScaling, Interpolation, ResizeMode, TransformConfig, Transformer, resize_rgb};
use turbojpeg::{Compressor, Decompressor, Image, PixelFormat, ScalingFactor, Subsamp, YuvImage};

const SIDE: usize = 256;

/// CPU seconds of this process, user and system, from /proc/self/stat (in hundredths).
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this example needs /proc");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn target(width: usize, height: usize) -> (usize, usize) {
    let scale = SIDE as f64 / width.min(height) as f64;
    ((width as f64 * scale).round() as usize, (height as f64 * scale).round() as usize)
}

fn measure(name: &str, files: &[Vec<u8>], rounds: usize, mut work: impl FnMut(&[u8]) -> usize) {
    let mut bytes = 0;
    let start = cpu_s();
    for _ in 0..rounds {
        bytes += files.iter().map(|file| work(file)).sum::<usize>();
    }
    let each_ms = (cpu_s() - start) * 1e3 / (rounds * files.len()) as f64;
    println!(
        "{name:<58} {each_ms:7.3} ms   {:6.1} kB out",
        bytes as f64 / 1e3 / (rounds * files.len()) as f64
    );
}

fn main() {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().expect("give a folder of JPEGs"));
    let rounds: usize = args.next().map_or(3, |n| n.parse().expect("ROUNDS is a number"));
    let only_whole = args.next().is_some_and(|stages| stages == "whole");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("readable folder").map(|e| e.unwrap().path()).collect();
    paths.retain(|p| {
        p.extension().is_some_and(|e| e.eq_ignore_ascii_case("jpg") || e.eq_ignore_ascii_case("jpeg"))
    });
    paths.sort();
    let files: Vec<Vec<u8>> = paths.iter().map(|p| std::fs::read(p).expect("readable file")).collect();
    let megabytes = files.iter().map(Vec::len).sum::<usize>() as f64 / 1e6;
    println!(
        "{} files, {:.1} kB each, {rounds} rounds, shortest side to {SIDE}",
        files.len(),
        megabytes * 1e3 / files.len() as f64
    );

    let config = TransformConfig {
        resize_mode: ResizeMode::KeepRatio,
        image_size: SIDE as u32,
        extract_exif: false,
        ..TransformConfig::default()
    };
    let mut whole = Transformer::new(&config).unwrap();
    measure("pairmill: whole transform", &files, rounds, |f| whole.transform(f).map_or(0, |t| t.image.len()));
    if only_whole {
        return;
    }
    let mut plain =
        Transformer::new(&TransformConfig { dct_scaling: DctScaling::Off, ..config.clone() }).unwrap();
    measure("pairmill: whole transform, all pixels decoded", &files, rounds, |f| {
        plain.transform(f).map_or(0, |t| t.image.len())
    });
    let mut lanczos =
        Transformer::new(&TransformConfig { downscale: Interpolation::Lanczos, ..config }).unwrap();
    measure("pairmill: whole transform, RGB path (lanczos)", &files, rounds, |f| {
        lanczos.transform(f).map_or(0, |t| t.image.len())
    });

    let mut codec = Decompressor::new().unwrap();
    let mut buffer = Vec::new();
    for (name, factor) in [
        ("libjpeg-turbo: decode to planes", ScalingFactor::ONE),
        ("libjpeg-turbo: decode to planes at 1/4", ScalingFactor::ONE_QUARTER),
        ("libjpeg-turbo: at 1/8 (entropy decoding, little else)", ScalingFactor::ONE_EIGHTH),
    ] {
        codec.set_scaling_factor(factor).unwrap();
        measure(name, &files, rounds, |f| {
            let Ok(h) = codec.read_header(f) else { return 0 };
            let h = h.scaled(factor);
            let Ok(len) = turbojpeg::yuv_pixels_len(h.width, 1, h.height, h.subsamp) else { return 0 };
            buffer.resize(len, 0);
            let image = YuvImage {
                pixels: buffer.as_mut_slice(),
                width: h.width,
                align: 1,
                height: h.height,
                subsamp: h.subsamp,
            };
            let _ = codec.decompress_to_yuv(f, image);
            0
        });
    }
    codec.set_scaling_factor(ScalingFactor::ONE).unwrap();
    measure("libjpeg-turbo: decode to RGB", &files, rounds, |f| decode_rgb(&mut codec, f).map_or(0, |_| 0));
    measure("zune-jpeg (through `image`): decode to RGB", &files, rounds, |f| {
        let Ok(mut decoder) = image::codecs::jpeg::JpegDecoder::new(std::io::Cursor::new(f)) else {
            return 0;
        };
        let _ = image::ImageDecoder::set_limits(&mut decoder, image::Limits::no_limits());
        buffer.resize(image::ImageDecoder::total_bytes(&decoder) as usize, 0);
        let _ = image::ImageDecoder::read_image(decoder, &mut buffer);
        0
    });

    // Resize and encode apart, on pictures decoded beforehand (a few, to bound the memory).
    let few: Vec<_> = files.iter().take(100).filter_map(|f| decode_rgb(&mut codec, f)).collect();
    let mut resizer = fir::Resizer::new();
    let start = cpu_s();
    let mut small = Vec::new();
    for (pixels, width, height) in &few {
        for round in 0..rounds {
            let (w, h) = target(*width, *height);
            let source =
                fir::images::ImageRef::new(*width as u32, *height as u32, pixels, fir::PixelType::U8x3)
                    .unwrap();
            let mut out = fir::images::Image::new(w as u32, h as u32, fir::PixelType::U8x3);
            let options =
                fir::ResizeOptions::new().resize_alg(fir::ResizeAlg::Convolution(fir::FilterType::Box));
            resizer.resize(&source, &mut out, &options).unwrap();
            if round == 0 {
                small.push((out.into_vec(), w, h));
            }
        }
    }
    let each = |start: f64| (cpu_s() - start) * 1e3 / (few.len() * rounds) as f64;
    println!("{:<58} {:7.3} ms", "fast_image_resize: RGB, box", each(start));
    let start = cpu_s();
    for (pixels, width, height) in &few {
        let image =
            pairmill_pixels::Rgb8 { width: *width as u32, height: *height as u32, data: pixels.clone() };
        let (w, h) = target(*width, *height);
        for _ in 0..rounds {
            resize_rgb(&image, w as u32, h as u32, Interpolation::Area).unwrap();
        }
    }
    println!("{:<58} {:7.3} ms", "pairmill: RGB, exact area", each(start));
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(95).unwrap();
    compressor.set_subsamp(Subsamp::Sub2x2).unwrap();
    let start = cpu_s();
    for (pixels, width, height) in &small {
        for _ in 0..rounds {
            let image = Image {
                pixels: pixels.as_slice(),
                width: *width,
                pitch: width * 3,
                height: *height,
                format: PixelFormat::RGB,
            };
            compressor.compress_to_vec(image).unwrap();
        }
    }
    println!("{:<58} {:7.3} ms", "libjpeg-turbo: encode RGB, 4:2:0 q95", each(start));
    let yuv: Vec<_> = small
        .iter()
        .map(|(pixels, w, h)| {
            let image = Image {
                pixels: pixels.as_slice(),
                width: *w,
                pitch: w * 3,
                height: *h,
                format: PixelFormat::RGB,
            };
            turbojpeg::decompress_to_yuv(&compressor.compress_to_vec(image).unwrap()).unwrap()
        })
        .collect();
    let start = cpu_s();
    for image in &yuv {
        for _ in 0..rounds {
            compressor.compress_yuv_to_vec(image.as_deref()).unwrap();
        }
    }
    println!("{:<58} {:7.3} ms", "libjpeg-turbo: encode planes, 4:2:0 q95", each(start));
}

fn decode_rgb(codec: &mut Decompressor, file: &[u8]) -> Option<(Vec<u8>, usize, usize)> {
    let header = codec.read_header(file).ok()?;
    let (width, height) = (header.width, header.height);
    let mut pixels = vec![0; width * height * 3];
    let image =
        Image { pixels: pixels.as_mut_slice(), width, pitch: width * 3, height, format: PixelFormat::RGB };
    let _ = codec.decompress(file, image);
    Some((pixels, width, height))
}
