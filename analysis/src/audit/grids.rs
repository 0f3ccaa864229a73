//! Checks of what was tried: which runs a value was chosen from.

use std::collections::{BTreeMap, BTreeSet};

use pairmill_shards::results::{Selection, Shots, Split};

use super::{Defect, listed};
use crate::study::{shots_label, task_label, task_named};
use crate::transfer::{Estimate, Rule, Series, Study, compared};

/// Warm-up steps of the study's fine-tuning.
const WARM_UP_STEPS: u32 = 500;

/// Every compared cell with a value.
fn cells(study: &Study<'_>) -> Vec<(String, String, Shots, Estimate)> {
    let mut cells = Vec::new();
    for us in &study.lineup.sources {
        for ds in &study.lineup.tasks {
            for &shots in &study.lineup.shots {
                if let Some(estimate) = study.source(us, ds, shots) {
                    cells.push((us.clone(), ds.clone(), shots, estimate));
                }
            }
        }
    }
    cells
}

/// Values that the test set chose.
pub fn chosen_on_test(study: &Study<'_>) -> Defect {
    let id = "chosen-on-test";
    let statement =
        "Compared values that the test set chose, the best epoch, the best of several runs, or both.";
    let (mut found, mut of, mut epochs, mut grids) = (0, 0, 0, 0);
    for (us, ds, shots, estimate) in cells(study) {
        of += 1;
        let by_epoch = study.results.rows[estimate.row].row.selection == Selection::TestBest;
        let rows = study.picker.rows_of(&study.lineup.series(&us), &ds, shots);
        let settings: BTreeSet<String> =
            rows.iter().map(|&at| study.results.rows[at].row.config.hash()).collect();
        let has_val = rows.iter().any(|&at| study.results.rows[at].row.split == Split::Val);
        let chose_settings = match study.picker.rule() {
            Rule::MaxOverGrid => true,
            Rule::ValidationSelected => false,
            Rule::MeanOverSeeds => !has_val,
        };
        let by_grid = chose_settings && settings.len() > 1;
        epochs += usize::from(by_epoch);
        grids += usize::from(by_grid);
        found += usize::from(by_epoch || by_grid);
    }
    let details = vec![format!("{epochs} by epoch, {grids} by the best of several settings")];
    Defect::counted(id, statement, found, of).with(if found > 0 { details } else { Vec::new() })
}

/// Best runs at the end of what was tried.
pub fn at_the_edge(study: &Study<'_>) -> Defect {
    let id = "best-at-the-edge";
    let statement = "Compared cells whose best run has the largest learning rate tried for that cell: a larger one may be better.";
    let (mut found, mut of) = (BTreeMap::<String, (usize, usize)>::new(), 0);
    for (us, ds, shots, _) in cells(study) {
        let rows = study.picker.rows_of(&study.lineup.series(&us), &ds, shots);
        let tried = |at: usize| study.results.rows[at].row.config.ds_lr;
        let test: Vec<usize> =
            rows.into_iter().filter(|&at| study.results.rows[at].row.split == Split::Test).collect();
        let value = |at: usize| study.results.rows[at].row.value;
        let top = test.iter().map(|&at| value(at)).fold(f64::NEG_INFINITY, f64::max);
        // Few-shot test subsets give many ties; of equals the one with the largest rate counts.
        let best = test.iter().filter(|at| value(**at) == top).filter_map(|&at| tried(at)).reduce(f64::max);
        let largest = test.iter().filter_map(|&at| tried(at)).reduce(f64::max);
        let smallest = test.iter().filter_map(|&at| tried(at)).reduce(f64::min);
        let (Some(best), Some(largest), Some(smallest)) = (best, largest, smallest) else {
            continue;
        };
        // One learning rate is no grid and has no edge.
        if largest == smallest {
            continue;
        }
        of += 1;
        let entry = found.entry(ds).or_default();
        entry.0 += usize::from(best == largest);
        entry.1 += 1;
    }
    let num = found.values().map(|f| f.0).sum();
    let details =
        found.iter().map(|(ds, (n, of))| format!("{}: {n} of {of} cells", task_label(ds))).collect();
    Defect::counted(id, statement, num, of).with(details)
}

/// Sources compared over different settings.
pub fn unequal(study: &Study<'_>) -> Defect {
    let id = "unequal-grids";
    let statement = "Comparisons (figure, task, shots) whose series were not tried with the same settings: the one with more tries has the better maximum by chance alone.";
    let lineup = &study.lineup;
    let mut groups = vec![("fig7", lineup.sources.iter().map(|us| lineup.series(us)).collect::<Vec<_>>())];
    groups.extend(compared());
    let (mut found, mut of, mut details) = (0, 0, Vec::new());
    for (figure, series) in &groups {
        for ds in &lineup.tasks {
            let mut unequal = Vec::new();
            for &shots in &lineup.shots {
                // The grid of each series, and how many have it.
                let mut grids: BTreeMap<BTreeSet<String>, usize> = BTreeMap::new();
                for one in series {
                    let grid = grid_of(study, one, ds, shots);
                    if !grid.is_empty() {
                        *grids.entry(grid).or_default() += 1;
                    }
                }
                if grids.values().sum::<usize>() < 2 {
                    continue;
                }
                of += 1;
                if grids.len() > 1 {
                    found += 1;
                    let sizes: BTreeSet<usize> = grids.keys().map(BTreeSet::len).collect();
                    let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
                    unequal.push(format!("{} grids of {} settings ({shots})", grids.len(), sizes.join("/")));
                }
            }
            if !unequal.is_empty() {
                details.push(format!("{figure}, {}: {}", task_label(ds), listed(&unequal, 5)));
            }
        }
    }
    Defect::counted(id, statement, found, of).with(details)
}

/// The settings a cell was tried with.
fn grid_of(study: &Study<'_>, series: &Series, ds: &str, shots: Shots) -> BTreeSet<String> {
    let rows = study.picker.rows_of(series, ds, shots);
    let setting = |&at: &usize| {
        let c = &study.results.rows[at].row.config;
        format!("{:?} epochs, {:?} images, {:?}", c.ds_epochs, c.ds_bs, c.ds_lr)
    };
    rows.iter().map(setting).collect()
}

/// Runs that end before their warm-up does.
pub fn warm_up(study: &Study<'_>) -> Defect {
    let id = "warm-up-longer-than-training";
    let statement = "Compared cells whose best run has fewer steps than the study’s 500 of warm-up, so its learning rate is never reached (assumes that warm-up).";
    let (mut found, mut of) = (BTreeMap::<String, Vec<String>>::new(), 0);
    let mut num_found = 0;
    for (_, ds, shots, estimate) in cells(study) {
        let config = &study.results.rows[estimate.row].row.config;
        let (Some(task), Some(epochs), Some(batch)) = (task_named(&ds), config.ds_epochs, config.ds_bs)
        else {
            continue;
        };
        let images = match shots {
            Shots::PerClass(k) => k.saturating_mul(task.num_classes).min(task.num_train),
            Shots::All => task.num_train,
            Shots::Zero => continue,
        };
        of += 1;
        let steps = u64::from(images.div_ceil(batch.max(1))) * u64::from(epochs);
        if steps < u64::from(WARM_UP_STEPS) {
            num_found += 1;
            let shown = shots_label(shots);
            let entry = found.entry(ds).or_default();
            if !entry.contains(&shown) {
                entry.push(shown);
            }
        }
    }
    let shown: Vec<String> = study
        .lineup
        .tasks
        .iter()
        .filter_map(|ds| Some((ds, found.get(ds)?)))
        .map(|(ds, s)| format!("{}: {}", task_label(ds), s.join(", ")))
        .collect();
    Defect::counted(id, statement, num_found, of).with(shown)
}
