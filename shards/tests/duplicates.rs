//! `subset --drop-duplicate-images`: which samples go, what is said of them, and what it does not depend on.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "helpers of tests; clippy knows only functions marked as tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, imageops};
use pairmill_shards::tar::{MappedTar, TarWriter};

/// Waves of light that are others for each seed.
fn picture(seed: u32, width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
        let wave = |k: u32| (f64::from((seed * 7 + k * 13) % 29) * (x + f64::from(k) * y)).sin();
        let light = 127.0 + 40.0 * (wave(1) + wave(2) + wave(3));
        image::Rgb([light as u8, (light * 0.8) as u8, 255 - light as u8])
    })
}

fn jpeg(picture: &image::RgbImage, quality: u8) -> Vec<u8> {
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, quality).encode_image(picture).unwrap();
    out
}

fn png(picture: &image::RgbImage) -> Vec<u8> {
    let mut out = Vec::new();
    let (width, height) = picture.dimensions();
    PngEncoder::new(&mut out).write_image(picture, width, height, ExtendedColorType::Rgb8).unwrap();
    out
}

/// Two tars. By name: `a`, `b`, `c`, `d` are pictures; what follows says which copy it is.
fn set(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let [a, b, c, d] = [1, 2, 3, 4].map(|seed| picture(seed, 200, 150));
    let small = imageops::resize(&a, 100, 75, imageops::FilterType::Triangle);
    let blank = png(&image::RgbImage::from_pixel(90, 60, image::Rgb([250, 250, 250])));
    let broken = jpeg(&d, 90)[..300].to_vec();
    let first = [
        ("a", "jpg", jpeg(&a, 90)),
        ("b", "jpg", jpeg(&b, 90)),
        ("a same", "jpg", jpeg(&a, 90)),
        ("c", "jpg", jpeg(&c, 90)),
        ("broken", "jpg", broken.clone()),
        ("blank", "png", blank.clone()),
    ];
    let second = [
        ("a small", "jpg", jpeg(&small, 40)),
        ("c png", "png", png(&c)),
        ("d", "jpg", jpeg(&d, 90)),
        ("broken again", "jpg", broken),
        ("blank again", "png", blank),
    ];
    for (number, samples) in [&first[..], &second[..]].into_iter().enumerate() {
        let mut tar = TarWriter::new(fs::File::create(folder.join(format!("{number:05}.tar"))).unwrap());
        for (at, (caption, ext, bytes)) in samples.iter().enumerate() {
            let members = [(*ext, bytes.as_slice()), ("txt", caption.as_bytes())];
            tar.append(&format!("{number}{at}"), &members).unwrap();
        }
        if number == 1 {
            tar.append("15", &[("txt", b"no image")]).unwrap();
        }
        tar.finish().unwrap();
    }
}

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pairmill-shards")).args(args).output().unwrap()
}

/// Runs `subset`; its standard output.
#[track_caller]
fn subset(from: &Path, out: &Path, args: &[&str]) -> String {
    let paths = ["subset", from.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let done = run(&[&paths[..], args].concat());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn captions(folder: &Path) -> Vec<String> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "tar"));
    paths.sort();
    let caption = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let all = |path| {
        let tar = MappedTar::open(path).unwrap();
        tar.iter().map(|sample| caption(sample.caption().unwrap())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(all).collect()
}

/// Key of the repeated sample and bits apart, by key of the one that was dropped.
fn listed(out: &Path) -> BTreeMap<String, (String, u32)> {
    let text = fs::read_to_string(out.join("_pairmill/duplicates.tsv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap(), "shard\tkey\trepeats_shard\trepeats_key\tdistance");
    let cells = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
    let told = |line: Vec<String>| {
        assert!(line[0].ends_with(&format!("0000{}.tar", &line[1][..1])), "{line:?}");
        assert!(line[2].ends_with(&format!("0000{}.tar", &line[3][..1])), "{line:?}");
        (line[1].clone(), (line[3].clone(), line[4].parse().unwrap()))
    };
    lines.map(|line| told(cells(line))).collect()
}

fn card(out: &Path) -> serde_json::Value {
    let cards: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("_pairmill/card.json")).unwrap()).unwrap();
    cards["runs"][0].clone()
}

#[test]
fn exact_drops_equal_bytes_whatever_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (from, out) = (dir.path().join("set"), dir.path().join("out"));
    set(&from);
    let printed = subset(&from, &out, &["--drop-duplicate-images", "exact"]);
    let kept = ["a", "b", "c", "broken", "blank", "a small", "c png", "d", "no image"];
    assert_eq!(captions(&out), kept);
    let expected = [("02", ("00", 0)), ("13", ("04", 0)), ("14", ("05", 0))];
    assert_eq!(
        listed(&out),
        expected.map(|(key, (of, bits))| (key.to_owned(), (of.to_owned(), bits))).into()
    );
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 4, "{printed}");
    assert!(lines[0].starts_with("samples in") && lines[0].ends_with(" 12"), "{printed}");
    assert!(lines[1].starts_with("- duplicate_image") && lines[1].ends_with("25.0%  left 9"), "{printed}");
    assert_eq!(lines[3], "9 of 12 samples in 1 shards");
    let card = card(&out);
    assert_eq!(card["rules"], serde_json::json!([{"rule": "duplicate_image", "rows_in": 12, "dropped": 3}]));
    assert_eq!(
        (&card["rows_in"], &card["rows_kept"], &card["without_image"]),
        (&12.into(), &9.into(), &1.into())
    );
    let text = fs::read_to_string(out.join("DATASET.md")).unwrap();
    assert!(text.contains("| dropped by `duplicate_image` | 3 (25.0% of what it saw) |"), "{text}");
    // What is written once is not written again.
    assert!(subset(&from, &out, &["--drop-duplicate-images", "exact"]).contains("1 of them found"));
    assert_eq!(listed(&out).len(), 3);
}

#[test]
fn near_drops_copies_and_keeps_what_it_cannot_see() {
    let dir = tempfile::tempdir().unwrap();
    let (from, out) = (dir.path().join("set"), dir.path().join("out"));
    set(&from);
    subset(&from, &out, &["--drop-duplicate-images", "near", "--threads", "1"]);
    let kept = ["a", "b", "c", "broken", "blank", "d", "broken again", "blank again", "no image"];
    assert_eq!(captions(&out), kept);
    let found = listed(&out);
    let of = |key: &str| found[key].0.as_str();
    assert_eq!((found.len(), of("02"), of("10"), of("11")), (3, "00", "00", "03"));
    assert!(found["02"].1 == 0 && found["10"].1 <= 4, "{found:?}");
    let card = card(&out);
    assert_eq!(card["rules"][0], serde_json::json!({"rule": "near_duplicate", "rows_in": 12, "dropped": 3}));
    let unseen = ["without_image", "unreadable", "flat"].map(|what| card[what].as_u64().unwrap());
    assert_eq!(unseen, [1, 2, 2]);

    // With bits to spare for none, what was encoded again is another picture, if any of its bits differ.
    let strict = dir.path().join("strict");
    subset(&from, &strict, &["--drop-duplicate-images", "near:0"]);
    assert_eq!(listed(&strict).len(), found.values().filter(|(_, bits)| *bits == 0).count());

    // Nothing depends on the threads.
    let many = dir.path().join("many");
    subset(&from, &many, &["--drop-duplicate-images", "near", "--threads", "5"]);
    for name in ["00000.tar", "sizes.json", "_pairmill/duplicates.tsv", "_pairmill/card.json", "DATASET.md"] {
        assert!(fs::read(out.join(name)).unwrap() == fs::read(many.join(name)).unwrap(), "{name}");
    }
}

#[test]
fn a_subset_is_drawn_of_what_the_rule_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("set");
    set(&from);
    let prefix = dir.path().join("prefix");
    subset(&from, &prefix, &["--drop-duplicate-images", "exact", "--size", "4", "--prefix"]);
    assert_eq!(captions(&prefix), ["a", "b", "c", "broken"], "the copy of `a` does not count");
    let rules = card(&prefix)["rules"].clone();
    assert_eq!(rules[1], serde_json::json!({"rule": "subset", "rows_in": 9, "dropped": 5}));
    let all = dir.path().join("all");
    subset(&from, &all, &["--drop-duplicate-images", "near"]);
    let distinct = captions(&all);
    let mut larger: Option<Vec<String>> = None;
    for size in [8, 5, 2] {
        let out = dir.path().join(size.to_string());
        let arguments = ["--drop-duplicate-images", "near", "--seed", "3", "--shuffle", "1", "--size"];
        subset(&from, &out, &[&arguments[..], &[&size.to_string()]].concat());
        let drawn = captions(&out);
        assert_eq!(drawn.len(), size);
        assert!(drawn.iter().all(|caption| distinct.contains(caption)), "{drawn:?}");
        assert!(larger.is_none_or(|larger| drawn.iter().all(|c| larger.contains(c))), "nested");
        larger = Some(drawn);
    }
}

#[test]
fn parquet_image_shards_are_taken_as_their_tars_are() {
    let dir = tempfile::tempdir().unwrap();
    let [from, parquet, of_tars, of_parquet] = ["set", "parquet", "1", "2"].map(|name| dir.path().join(name));
    set(&from);
    let converted = run(&["convert", "--hf-images", from.to_str().unwrap(), parquet.to_str().unwrap()]);
    assert!(converted.status.success(), "{}", String::from_utf8_lossy(&converted.stderr));
    subset(&from, &of_tars, &["--drop-duplicate-images", "near"]);
    subset(&parquet, &of_parquet, &["--drop-duplicate-images", "near"]);
    assert_eq!(captions(&of_parquet), captions(&of_tars));
    let list = fs::read_to_string(of_parquet.join("_pairmill/duplicates.tsv")).unwrap();
    let shard = parquet.join("00001.parquet");
    assert!(list.contains(&format!("{}\t10\t", shard.display())), "{list}");
}

#[test]
fn what_cannot_be_meant_is_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let (from, out) = (dir.path().join("set"), dir.path().join("out"));
    set(&from);
    let (from, to) = (from.to_str().unwrap(), out.to_str().unwrap());
    let refused = |args: &[&str]| {
        let done = run(&[&["subset", from, "--out", to], args].concat());
        assert_eq!(done.status.code(), Some(2), "{args:?}");
        String::from_utf8(done.stderr).unwrap()
    };
    assert!(refused(&["--drop-duplicate-images", "near:16"]).contains("near:D"));
    assert!(refused(&["--drop-duplicate-images", "near", "--prefix"]).contains("--size"));
    assert!(refused(&[]).contains("--size"));
    subset(Path::new(from), &out, &["--drop-duplicate-images", "near"]);
    let other = refused(&["--drop-duplicate-images", "near:5"]);
    assert!(other.contains("other settings") && other.trim_end().lines().count() == 1, "{other}");
}
