//! Several sources by weight, epochs of a given length, and drawing with replacement.

use pairmill_loader::{Dataset, DatasetConfig, LoaderConfig, LoaderError, Order, SourceSpec};

use crate::shards::{Folder, config, good, ids, open, run};

/// Source 0 has captions with shard 0, source 1 with shard 1.
fn two_sources(weights: [Option<f64>; 2]) -> (Vec<Folder>, Result<Dataset, LoaderError>) {
    let folders: Vec<Folder> = [40, 10]
        .into_iter()
        .enumerate()
        .map(|(source, count)| {
            let folder = Folder::new();
            folder.tar("a.tar", (0..count).map(|i| good(source, i)));
            folder
        })
        .collect();
    let sources: Vec<SourceSpec> =
        folders.iter().zip(weights).map(|(folder, weight)| SourceSpec { weight, ..folder.spec() }).collect();
    let dataset = Dataset::open(&sources, &DatasetConfig::default());
    (folders, dataset)
}

#[test]
fn weights_hold_and_each_source_runs_through_its_own_passes() {
    let (_folders, dataset) = two_sources([Some(1.0), Some(3.0)]);
    let config = LoaderConfig { epoch_samples: Some(4096), ..config(64) };
    let got = ids(&run(&dataset.unwrap(), &config).unwrap());
    let of = |source: i32| got.iter().filter(move |id| id.0 == source).map(|id| id.1).collect::<Vec<_>>();
    assert_eq!((of(0).len(), of(1).len()), (1024, 3072));
    // Any 10 in a row of the smaller source, counted from its start, are its 10 samples.
    for pass in of(1).chunks_exact(10) {
        let mut pass = pass.to_vec();
        pass.sort_unstable();
        assert_eq!(pass, (0..10).collect::<Vec<_>>());
    }
}

#[test]
fn without_weights_sources_share_by_size_and_ranks_agree() {
    let (_folders, dataset) = two_sources([None, None]);
    let dataset = dataset.unwrap();
    let base = LoaderConfig { epoch_samples: Some(4096), ..config(64) };
    let alone = run(&dataset, &base).unwrap();
    let share = ids(&alone).iter().filter(|id| id.0 == 0).count() as f64 / 4096.0;
    assert!((share - 0.8).abs() < 1e-3, "{share}");
    let ranks: Vec<_> = (0..2)
        .map(|rank| run(&dataset, &LoaderConfig { rank, world: 2, batch_size: 32, ..base.clone() }).unwrap())
        .collect();
    for (step, whole) in alone.iter().enumerate() {
        let joined: Vec<_> = ranks.iter().flat_map(|rank| rank[step].ids.clone()).collect();
        assert_eq!(joined, whole.ids);
    }
}

#[test]
fn a_weight_of_nothing_is_refused() {
    let (_folders, dataset) = two_sources([Some(1.0), Some(0.0)]);
    let message = run(&dataset.unwrap(), &config(4)).unwrap_err().to_string();
    assert!(message.contains("weight 0"), "{message}");
}

#[test]
fn an_epoch_of_given_length_goes_on_where_the_last_one_ended() {
    let folder = Folder::with_tars(&[6, 6]);
    let config = LoaderConfig { epoch_samples: Some(8), epochs: Some(3), ..config(4) };
    let got = ids(&run(&open(&folder), &config).unwrap());
    assert_eq!(got.len(), 24);
    for pass in got.chunks(12) {
        let mut pass = pass.to_vec();
        pass.sort_unstable();
        pass.dedup();
        assert_eq!(pass.len(), 12);
    }
}

#[test]
fn with_replacement_shards_repeat_and_the_draw_is_the_seeds() {
    let folder = Folder::with_tars(&[4; 12]);
    let dataset = open(&folder);
    let config = LoaderConfig { order: Order::WithReplacement, ..config(6) };
    let got = run(&dataset, &config).unwrap();
    assert_eq!(got, run(&dataset, &LoaderConfig { threads: 1, ..config.clone() }).unwrap());
    let shards: std::collections::BTreeSet<i32> = ids(&got).iter().map(|id| id.0).collect();
    assert_eq!(ids(&got).len(), 48);
    assert!(shards.len() < 12, "12 draws with replacement hit all 12 shards");
    assert_ne!(ids(&got), ids(&run(&dataset, &LoaderConfig { seed: 1, ..config }).unwrap()));
}
