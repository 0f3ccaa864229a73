//! Sets with the real ones' counts (one tiny picture for all): asserted counts hold. How long each takes to open is said
//! (`--no-capture`), not tested.

use pairmill_datasets::{Counts, LabelledSet};
use pairmill_world::{Dataset, Form, LabelledConfig};

use crate::bench::Bench;

#[test]
fn a_whole_copy_passes_its_counts() {
    for (dataset, train, val, test) in [
        (Dataset::Dtd, 1_880, 1_880, 1_880),
        (Dataset::Caltech101, 3_060, 0, 6_084),
        (Dataset::Pets, 3_680, 0, 3_669),
        (Dataset::Clipart, 33_525, 0, 14_604),
        (Dataset::Eurosat, 21_600, 0, 5_400),
        (Dataset::Cassava, 17_117, 0, 4_280),
        (Dataset::CameraTraps, 13_552, 3_482, 15_825),
    ] {
        let bench =
            Bench::of(&LabelledConfig { real_size: true, ..LabelledConfig::new(dataset, 1, Form::Archive) });
        let start = std::time::Instant::now();
        let set = LabelledSet::open(&bench.config().with_counts(Counts::Asserted)).unwrap();
        eprintln!("{dataset}: opened in {:.2} s", start.elapsed().as_secs_f64());
        assert_eq!(
            (set.train.len(), set.val.map_or(0, |val| val.len()), set.test.len()),
            (train, val, test),
            "{dataset}"
        );
    }
}
