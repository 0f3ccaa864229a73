//! One seed, one web: for ever.

use std::sync::Arc;

use pairmill_world::{FaultMix, SizeClass, Source, TableConfig, TableFormat, World, WorldConfig};

/// FNV-1a, 64 bits: enough to notice a change.
fn fnv(bytes: &[u8], mut hash: u64) -> u64 {
    for &byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}

const START: u64 = 0xcbf2_9ce4_8422_2325;

fn world(seed: u64, sizes: SizeClass) -> World {
    World::new(WorldConfig { seed, sizes, distinct: None })
}

/// If this fails, the web of every seed has changed: stored results no longer match. Change the numbers only with a
/// line in the changelog that says why it was worth it.
#[test]
fn the_web_of_seed_1_is_what_it_always_was() {
    let world = world(1, SizeClass::Web);
    let mut pixels = START;
    let mut captions = START;
    for &source in Source::ALL {
        for index in 0..12 {
            let picture = world.picture(source, index);
            pixels = fnv(&picture.width.to_le_bytes(), pixels);
            pixels = fnv(&picture.height.to_le_bytes(), pixels);
            pixels = fnv(&picture.pixels().rgb, pixels);
            captions = fnv(world.caption(source, index).text.as_bytes(), captions);
        }
    }
    let hashes = [pixels, captions].map(|hash| format!("{hash:016x}"));
    assert_eq!(hashes, ["1f0d08593eba5ba7", "0544634209de3940"], "pixels, captions");
}

#[test]
fn the_tables_of_seed_1_are_what_they_always_were() {
    let world = world(1, SizeClass::Web);
    let dir = tempfile::tempdir().unwrap();
    let mut hash = START;
    for &source in Source::ALL {
        // Parquet's bytes may change with its writer; the rows must not.
        let path = dir.path().join(format!("{source}.jsonl"));
        let config = TableConfig::new(source, 200, "http://127.0.0.1:1234").with_faults(0.3, FaultMix::Web);
        world.write_table_as(&config, TableFormat::Jsonl, &path).unwrap();
        hash = fnv(&std::fs::read(&path).unwrap(), hash);
    }
    assert_eq!(format!("{hash:016x}"), "59e0ed840ac0df2d");
}

#[test]
fn bytes_do_not_depend_on_the_run_the_thread_or_the_order() {
    let first = world(7, SizeClass::Web);
    let bytes: Vec<_> = (0..8).map(|i| first.picture(Source::Laion, i).bytes().unwrap()).collect();
    let again = Arc::new(world(7, SizeClass::Web));
    let threads: Vec<_> = (0..8)
        .rev()
        .map(|i| {
            let world = Arc::clone(&again);
            (i, std::thread::spawn(move || world.picture(Source::Laion, i).bytes().unwrap()))
        })
        .collect();
    for (i, thread) in threads {
        assert_eq!(thread.join().unwrap(), bytes[i as usize]);
    }
}

#[test]
fn tables_are_equal_byte_for_byte_on_every_run() {
    let dir = tempfile::tempdir().unwrap();
    for &source in Source::ALL {
        let write = |name: &str| {
            let path = dir.path().join(format!("{name}.{}", TableFormat::of(source).extension()));
            let config =
                TableConfig::new(source, 300, "http://127.0.0.1:1234").with_faults(0.5, FaultMix::Every);
            world(4, SizeClass::Web).write_table(&config, &path).unwrap();
            std::fs::read(path).unwrap()
        };
        assert!(write("a") == write("b"), "{source}");
    }
}

#[test]
fn seeds_sources_and_indexes_all_matter() {
    let of = |seed, source, index| world(seed, SizeClass::Small).picture(source, index).bytes().unwrap();
    let here = of(1, Source::Wit, 5);
    assert_ne!(here, of(2, Source::Wit, 5));
    assert_ne!(here, of(1, Source::Yfcc, 5));
    assert_ne!(here, of(1, Source::Wit, 6));
}

#[test]
fn distinct_repeats_pictures_and_not_urls() {
    let world = World::new(WorldConfig { seed: 1, sizes: SizeClass::Small, distinct: Some(16) });
    assert_eq!(world.picture(Source::Laion, 3), world.picture(Source::Laion, 19));
    let config = TableConfig::new(Source::Cc3m, 500, "http://h");
    let urls: std::collections::BTreeSet<_> = world.rows(&config).map(|row| row.url).collect();
    assert!(urls.len() > 480, "{}", urls.len());
}

#[test]
fn sources_differ_in_what_they_show() {
    // Total variation distance between the shape distributions of two sources.
    let shapes = |source| {
        let mut counts = [0.0f64; 12];
        let world = world(1, SizeClass::Small);
        for index in 0..3000 {
            counts[world.picture(source, index).scene.subject().shape as usize] += 1.0 / 3000.0;
        }
        counts
    };
    let distance =
        |a: [f64; 12], b: [f64; 12]| a.iter().zip(b).map(|(x, y)| (x - y).abs()).sum::<f64>() / 2.0;
    assert!(distance(shapes(Source::RedCaps), shapes(Source::Wit)) > 0.2);
    assert!(distance(shapes(Source::Shutterstock), shapes(Source::Yfcc)) > 0.1);
}

#[test]
fn sizes_span_the_web() {
    let world = world(1, SizeClass::Web);
    let sizes: Vec<(u32, u32)> =
        (0..3000).map(|i| world.picture(Source::Laion, i)).map(|p| (p.width, p.height)).collect();
    let longer = |&(w, h): &(u32, u32)| w.max(h);
    let share = |keep: &dyn Fn(&(u32, u32)) -> bool| {
        sizes.iter().filter(|size| keep(size)).count() as f64 / sizes.len() as f64
    };
    assert!(share(&|s| (200..=700).contains(&longer(s))) > 0.85);
    assert!(share(&|s| longer(s) >= 2000) > 0.004);
    assert!(share(&|s| longer(s) <= 40) > 0.005);
    assert!(share(&|s| longer(s) >= 3 * s.0.min(s.1) && s.0.min(s.1) > 40) > 0.01);
}
