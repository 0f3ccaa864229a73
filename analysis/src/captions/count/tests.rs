use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

/// Counts with `num_threads` counters of `budget` bytes.
fn count(captions: &[Vec<String>], num_threads: usize, budget: usize) -> (Counted, bool) {
    let spill = Arc::new(Spill::new(&std::env::temp_dir()));
    let mut counters: Vec<_> = (0..num_threads).map(|_| Counter::new(budget, Arc::clone(&spill))).collect();
    for (n, caption) in captions.iter().enumerate() {
        let counter = &mut counters[n % num_threads];
        let text = caption.concat();
        let mut start = 0;
        for word in caption {
            counter.add(text.as_bytes(), start, start + word.len());
            start += word.len();
        }
        counter.next_caption().unwrap();
    }
    let spilled = spill.is_used();
    (Counted::new(counters, spill, budget / 64).unwrap(), spilled)
}

fn reference(captions: &[Vec<String>]) -> BTreeMap<String, (u64, u64)> {
    let mut counts = BTreeMap::new();
    for caption in captions {
        let mut here = BTreeMap::new();
        for word in caption {
            *here.entry(word.clone()).or_insert(0) += 1;
        }
        for (word, n) in here {
            let entry: &mut (u64, u64) = counts.entry(word).or_default();
            entry.0 += n;
            entry.1 += 1;
        }
    }
    counts
}

fn all(counted: &Counted) -> BTreeMap<String, (u64, u64)> {
    let mut found = BTreeMap::new();
    counted
        .each(|e| {
            assert_eq!(found.insert(e.word.to_owned(), (e.count, e.captions)), None, "{} twice", e.word)
        })
        .unwrap();
    found
}

/// Captions over a vocabulary of `size` words of 1 to 40 bytes.
fn captions(num: u64, size: u64) -> Vec<Vec<String>> {
    let word = |n: u64| {
        let text = format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        text.repeat(3)[..1 + (n % 40) as usize].to_owned()
    };
    (0..num).map(|n| (0..12).map(|k| word((n * 31 + k * k * 7) % size)).collect()).collect()
}

#[test]
fn spilling_changes_nothing() {
    let captions = captions(3000, 5000);
    let expected = reference(&captions);
    let (whole, spilled) = count(&captions, 1, 64 << 20);
    assert!(!spilled);
    assert_eq!(all(&whole), expected);
    for num_threads in [1, 3] {
        let (parts, spilled) = count(&captions, num_threads, 1 << 14);
        assert!(spilled);
        assert_eq!(all(&parts), expected, "{num_threads} threads");
        assert_eq!(parts.num_distinct, expected.len() as u64);
        assert_eq!(parts.num_total, 36_000);
        assert_eq!(parts.top(50).unwrap(), whole.top(50).unwrap());
    }
}

#[test]
fn the_order_of_output_is_that_of_counts_then_words() {
    let captions = captions(2000, 3000);
    let mut expected: Vec<_> = reference(&captions).into_iter().collect();
    expected.sort_by(|a, b| b.1.0.cmp(&a.1.0).then_with(|| a.0.cmp(&b.0)));
    for budget in [1 << 14, 64 << 20] {
        let (counted, _) = count(&captions, 2, budget);
        let mut found = Vec::new();
        counted
            .each_by_count(&std::env::temp_dir(), |e| {
                found.push((e.word.to_owned(), (e.count, e.captions)));
                Ok::<(), SpillError>(())
            })
            .unwrap();
        assert_eq!(found, expected, "budget {budget}");
        let top: Vec<_> =
            counted.top(7).unwrap().into_iter().map(|e| (e.word, (e.count, e.captions))).collect();
        assert_eq!(top, expected[..7]);
    }
}

#[test]
fn one_caption_with_more_words_than_the_table_takes_is_counted_once() {
    let caption: Vec<String> = (0..20_000).map(|n| format!("w{}", n % 10_000)).collect();
    let (counted, _) = count(&[caption.clone(), caption], 1, 1 << 10);
    assert_eq!(counted.num_distinct, 10_000);
    counted.each(|e| assert_eq!((e.count, e.captions), (4, 2), "{}", e.word)).unwrap();
}

proptest! {
    #[test]
    fn any_strings_are_counted(captions in proptest::collection::vec(proptest::collection::vec("[a-bé\0]{0,18}", 0..6), 0..40)) {
        for budget in [1 << 12, 1 << 20] {
            prop_assert_eq!(all(&count(&captions, 2, budget).0), reference(&captions));
        }
    }
}
