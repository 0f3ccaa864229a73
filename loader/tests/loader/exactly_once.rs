//! Every sample exactly once, on any number of ranks; the same bytes whatever the threads; the order a pure function.

use std::collections::BTreeMap;

use pairmill_loader::{LastBatch, LoaderConfig, Order, Origin};
use proptest::prelude::*;

use crate::shards::{Folder, config, ids, open, run};

fn every_sample(counts: &[usize]) -> Vec<(i32, i32)> {
    let shards = counts.iter().enumerate();
    shards.flat_map(|(shard, count)| (0..*count).map(move |i| (shard as i32, i as i32))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Uneven shards, empty ones too: together the ranks deliver every sample once, in equally many batches, and the
    /// ranks' parts put side by side are the batches of a single rank.
    #[test]
    fn ranks_share_an_epoch_without_loss_or_repeat(
        counts in prop::collection::vec(0_usize..9, 1..7),
        per_rank in 1_usize..4,
        seed in any::<u64>(),
    ) {
        prop_assume!(counts.iter().sum::<usize>() > 0);
        let folder = Folder::with_tars(&counts);
        let dataset = open(&folder);
        let base = LoaderConfig { seed, last_batch: LastBatch::Short, ..config(per_rank * 4) };
        let alone = run(&dataset, &base).unwrap();
        let mut sorted = ids(&alone);
        sorted.sort_unstable();
        prop_assert_eq!(sorted, every_sample(&counts));
        for world in [2, 4] {
            let ranks: Vec<_> = (0..world).map(|rank| {
                let config = LoaderConfig { world, rank, batch_size: per_rank * 4 / world, ..base.clone() };
                run(&dataset, &config).unwrap()
            }).collect();
            for (step, whole) in alone.iter().enumerate() {
                let parts: Vec<_> = ranks.iter().map(|rank| &rank[step]).collect();
                let joined: Vec<_> = parts.iter().flat_map(|got| got.ids.clone()).collect();
                prop_assert_eq!(&joined, &whole.ids);
                let pixels: Vec<u8> = parts.iter().flat_map(|got| got.pixels.clone()).collect();
                prop_assert_eq!(&pixels, &whole.pixels);
                prop_assert!(parts.iter().all(|got| got.state == whole.state));
            }
            prop_assert!(ranks.iter().all(|rank| rank.len() == alone.len()));
        }
    }
}

#[test]
fn threads_and_prefetch_change_no_byte() {
    let folder = Folder::with_tars(&[7, 3, 11, 5]);
    let dataset = open(&folder);
    let base = LoaderConfig { epochs: Some(3), ..config(4) };
    let one = run(&dataset, &LoaderConfig { threads: 1, prefetch: 1, ..base.clone() }).unwrap();
    let many = run(&dataset, &LoaderConfig { threads: 7, prefetch: 5, ..base }).unwrap();
    assert_eq!(one.len(), 3 * (26 / 4));
    assert_eq!(one, many);
}

#[test]
fn epochs_and_seeds_differ_and_the_pixels_are_the_samples_own() {
    let folder = Folder::with_tars(&[20, 20]);
    let dataset = open(&folder);
    let got = run(&dataset, &LoaderConfig { epochs: Some(2), ..config(8) }).unwrap();
    let (first, second) = (ids(&got[..5]), ids(&got[5..]));
    assert_ne!(first, second);
    assert_ne!(first, ids(&run(&dataset, &LoaderConfig { seed: 1, ..config(8) }).unwrap()));
    for got in &got {
        for (id, picture) in got.ids.iter().zip(got.pixels.chunks(8 * 8 * 3)) {
            let (shard, sample) = id.unwrap();
            assert!(picture.chunks(3).all(|p| p == [shard as u8, sample as u8, 200]), "{id:?}");
        }
    }
}

#[test]
fn in_disk_order_every_sample_comes_as_written_and_a_short_batch_ends_empty() {
    let folder = Folder::with_tars(&[3, 0, 4]);
    let config = LoaderConfig { order: Order::Sequential, last_batch: LastBatch::Short, ..config(4) };
    let got = run(&open(&folder), &config).unwrap();
    assert_eq!(ids(&got), every_sample(&[3, 0, 4]));
    assert_eq!(got[1].origins, [Origin::Own, Origin::Own, Origin::Own, Origin::Empty]);
    assert!(got[1].pixels[3 * 192..].iter().all(|byte| *byte == 0));
}

#[test]
fn what_does_not_fill_a_batch_is_left_out_and_is_another_part_each_epoch() {
    let folder = Folder::with_tars(&[5, 5]);
    let got = run(&open(&folder), &LoaderConfig { epochs: Some(6), ..config(4) }).unwrap();
    assert_eq!(got.len(), 12);
    let mut times: BTreeMap<(i32, i32), usize> = BTreeMap::new();
    for id in ids(&got) {
        *times.entry(id).or_default() += 1;
    }
    assert_eq!(times.len(), 10, "some sample never came: {times:?}");
    assert!(times.values().all(|n| *n <= 6));
}
