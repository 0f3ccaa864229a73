//! A loader goes on exactly where it was, also on another number of ranks; on other data it refuses.

use pairmill_loader::{
    Dataset, DatasetConfig, HeapBuffer, LastBatch, Loader, LoaderConfig, LoaderState, Order,
};

use crate::shards::{Folder, config, drain, encode, ids, open, run};

#[test]
fn from_any_batch_on_one_two_and_four_ranks() {
    let folder = Folder::with_tars(&[7, 2, 9, 6, 1]);
    let dataset = open(&folder);
    for order in [Order::Shuffle, Order::WithReplacement, Order::Sequential] {
        let base = LoaderConfig { order, epochs: Some(2), last_batch: LastBatch::Short, ..config(4) };
        let whole = run(&dataset, &base).unwrap();
        for (at, got) in whole.iter().enumerate() {
            // Through JSON, as a checkpoint keeps it.
            let state: LoaderState =
                serde_json::from_str(&serde_json::to_string(&got.state).unwrap()).unwrap();
            for world in [1, 2, 4] {
                let ranks: Vec<_> = (0..world)
                    .map(|rank| {
                        let config = LoaderConfig { world, rank, batch_size: 4 / world, ..base.clone() };
                        let pool = HeapBuffer::pool(&config);
                        drain(Loader::resume(dataset.clone(), &config, encode(), pool, &state).unwrap())
                            .unwrap()
                    })
                    .collect();
                for (step, expected) in whole[at + 1..].iter().enumerate() {
                    let pixels: Vec<u8> = ranks.iter().flat_map(|rank| rank[step].pixels.clone()).collect();
                    assert_eq!(pixels, expected.pixels, "{order:?}, from {at}, {world} ranks, step {step}");
                    let ids: Vec<_> = ranks.iter().flat_map(|rank| rank[step].ids.clone()).collect();
                    assert_eq!(ids, expected.ids);
                    assert_eq!(ranks[0][step].state, expected.state);
                }
                assert!(ranks.iter().all(|rank| rank.len() == whole.len() - at - 1));
            }
        }
    }
}

#[test]
fn with_another_batch_size_the_rest_of_the_epoch_is_the_same() {
    let folder = Folder::with_tars(&[10, 10]);
    let dataset = open(&folder);
    let base = LoaderConfig { last_batch: LastBatch::Short, ..config(6) };
    let whole = run(&dataset, &base).unwrap();
    let other = LoaderConfig { batch_size: 5, ..base };
    let pool = HeapBuffer::pool(&other);
    let rest = drain(Loader::resume(dataset, &other, encode(), pool, &whole[0].state).unwrap()).unwrap();
    assert_eq!(ids(&rest), ids(&whole)[6..]);
}

#[test]
fn other_data_or_another_order_is_refused_by_name() {
    let folder = Folder::with_tars(&[8]);
    let dataset = open(&folder);
    let state = run(&dataset, &config(4)).unwrap()[0].state.clone();
    let refusal = |dataset: &Dataset, config: &LoaderConfig| {
        let pool = HeapBuffer::pool(config);
        let refused = Loader::resume(dataset.clone(), config, encode(), pool, &state);
        refused.map(|_| ()).unwrap_err().to_string()
    };
    let more = Folder::with_tars(&[9]);
    assert!(refusal(&open(&more), &config(4)).contains("the set of shards"));
    assert!(refusal(&dataset, &LoaderConfig { seed: 5, ..config(4) }).contains("the seed was 0 and is 5"));
    assert!(refusal(&dataset, &LoaderConfig { window_shards: 1, ..config(4) }).contains("window_shards"));
    // The same shards elsewhere are the same data.
    let moved = Folder::with_tars(&[8]);
    let again = Dataset::open(&[moved.spec()], &DatasetConfig::default()).unwrap();
    assert_eq!(again.fingerprint(), dataset.fingerprint());
}
