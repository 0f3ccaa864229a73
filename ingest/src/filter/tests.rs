//! Rules over batches built here: each row is dropped by the first rule it fails, and counted there alone.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use proptest::prelude::*;

use super::subset::Smallest;
use super::*;
use crate::table::{TableConfig, Tables};

fn batch(rows: &[(Option<&str>, Option<&str>)]) -> RecordBatch {
    let urls: ArrayRef = Arc::new(rows.iter().map(|(url, _)| *url).collect::<StringArray>());
    let captions: ArrayRef = Arc::new(rows.iter().map(|(_, caption)| *caption).collect::<StringArray>());
    RecordBatch::try_from_iter_with_nullable([("caption", captions, true), ("url", urls, true)]).unwrap()
}

fn captions(batch: &RecordBatch) -> Vec<String> {
    let column = batch.column_by_name("caption").unwrap().as_string::<i32>();
    (0..column.len())
        .map(|row| if column.is_valid(row) { column.value(row).to_owned() } else { "∅".to_owned() })
        .collect()
}

fn of_captions(texts: &[&str]) -> RecordBatch {
    batch(&texts.iter().map(|&text| (Some("http://a"), Some(text))).collect::<Vec<_>>())
}

fn sieve(config: &FilterConfig) -> Sieve {
    Sieve::new(config, None, 256, true).unwrap()
}

#[test]
fn a_row_is_dropped_by_the_first_rule_it_fails() {
    let config = FilterConfig {
        blank_caption: true,
        min_caption_chars: Some(3),
        max_caption_chars: Some(20),
        min_caption_words: Some(2),
        duplicate_url: true,
        duplicate_caption: true,
        ..FilterConfig::default()
    };
    let mut sieve = sieve(&config);
    let rows = [
        (Some("http://a/0"), Some("a dog")),
        (None, Some("a dog")),
        (Some("http://a/1"), None),
        (Some("http://a/1"), Some("\t")),
        (Some("http://a/2"), Some("é b")),
        (Some("http://a/3"), Some("éé")),
        (Some("http://a/4"), Some("aword")),
        (Some("http://a/5"), Some("a caption of many, many words")),
        (Some("http://a/0"), Some("another dog")),
        (Some("http://a/6"), Some("a dog ")),
        (Some("http://a/7"), Some("ééééé éééé éééé éééé")),
    ];
    // In two batches: what was seen before is not forgotten between them.
    let first = sieve.sift(batch(&rows[..5])).unwrap();
    let second = sieve.sift(batch(&rows[5..])).unwrap();
    assert_eq!(captions(&first), ["a dog", "é b"]);
    assert_eq!(captions(&second), ["ééééé éééé éééé éééé"]);
    let funnel = sieve.funnel();
    let steps: Vec<_> = funnel.steps().collect();
    let told: Vec<_> = steps.iter().map(|step| (step.rule.as_str(), step.rows_in, step.dropped)).collect();
    assert_eq!(
        told,
        [
            ("no_url", 11, 1),
            ("blank_caption", 10, 2),
            ("caption_length", 8, 3),
            ("duplicate_url", 5, 1),
            ("duplicate_caption", 4, 1)
        ]
    );
    assert_eq!((funnel.rows_in, funnel.kept()), (11, 3));
    let text = funnel.to_string();
    assert!(text.lines().count() == 7 && text.contains("caption_length") && text.contains("37.5%"), "{text}");
}

#[test]
fn scores_are_read_from_any_type_and_absent_ones_fail() {
    let scores = |column: ArrayRef| {
        let urls: ArrayRef = Arc::new(StringArray::from(vec!["http://a"; column.len()]));
        let columns = [("url", urls, true), (Column::Similarity.name(), column, true)];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    let config = FilterConfig { min_similarity: Some(0.3), ..FilterConfig::default() };
    let kept = |column: ArrayRef| {
        let mut sieve = Sieve::new(&config, None, 256, false).unwrap();
        sieve.sift(scores(column)).unwrap().num_rows()
    };
    let numbers = [Some(0.3), Some(0.29), None, Some(f64::NAN), Some(6016.0), Some(1.0)];
    assert_eq!(kept(Arc::new(Float64Array::from(numbers.to_vec()))), 2);
    assert_eq!(kept(Arc::new(StringArray::from(vec!["0.31", "", "high", "-1", "0.3"]))), 2);
}

#[test]
fn words_are_matched_as_words_whatever_their_case() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("words.txt");
    std::fs::write(&path, "\u{feff}damn\r\n\n  Bloody   hell \n").unwrap();
    let config = FilterConfig { profanity: Some(path.clone()), ..FilterConfig::default() };
    let texts = ["DAMN!", "a (damn) dog", "damnation", "bloody, hell", "bloody shell", "hell bloody", "fine"];
    let kept = sieve(&config).sift(of_captions(&texts)).unwrap();
    assert_eq!(captions(&kept), ["damnation", "bloody shell", "hell bloody", "fine"]);

    std::fs::write(&path, "\n \n").unwrap();
    let message = Sieve::new(&config, None, 256, true).unwrap_err().to_string();
    assert!(message.contains("words.txt") && message.contains("[filter] profanity"), "{message}");
}

#[test]
fn only_what_is_surely_another_language_is_dropped() {
    let config = FilterConfig { english: true, ..FilterConfig::default() };
    let english = [
        "a group of people walking along the beach at sunset with their dogs",
        "The new house was built on the side of a hill overlooking the lake",
        "Nissan 370Z",
        "IMG_0520",
        "",
    ];
    let others = [
        "Eine Gruppe von Menschen geht bei Sonnenuntergang mit ihren Hunden am Strand spazieren",
        "Un groupe de personnes marche le long de la plage au coucher du soleil avec leurs chiens",
        "夕暮れの海岸を犬と一緒に歩く人々",
        "Группа людей гуляет по пляжу на закате со своими собаками",
    ];
    let mut sieve = sieve(&config);
    assert_eq!(captions(&sieve.sift(of_captions(&english)).unwrap()), english);
    assert_eq!(sieve.sift(of_captions(&others)).unwrap().num_rows(), 0);
    assert_eq!(sieve.funnel().dropped(Rule::NotEnglish), 4);
}

#[test]
fn memory_for_duplicates_is_bounded_by_the_config() {
    let config = FilterConfig { duplicate_caption: true, max_distinct: 3, ..FilterConfig::default() };
    let mut sieve = sieve(&config);
    assert_eq!(sieve.sift(of_captions(&["a", "b", "a", "c", "b"])).unwrap().num_rows(), 3);
    assert_eq!(sieve.sift(of_captions(&["a", "b", "c"])).unwrap().num_rows(), 0, "known ones need no room");
    let message = sieve.sift(of_captions(&["d"])).unwrap_err().to_string();
    assert!(message.contains("duplicate_caption") && message.contains("max_distinct"), "{message}");
}

#[test]
fn caption_rules_need_captions() {
    let config = FilterConfig { min_caption_words: Some(1), ..FilterConfig::default() };
    let message = Sieve::new(&config, None, 256, false).unwrap_err().to_string();
    assert!(message.contains("min_caption_words") && message.contains("--caption-col"), "{message}");
}

/// The rows of `all` that a draw of `rows` takes, in order.
fn draw(all: &[(String, String)], rows: u64, seed: u64) -> Vec<(String, String)> {
    let batches = || {
        all.chunks(7).map(|rows| {
            batch(
                &rows
                    .iter()
                    .map(|(url, caption)| (Some(url.as_str()), Some(caption.as_str())))
                    .collect::<Vec<_>>(),
            )
        })
    };
    let config = FilterConfig::default();
    let mut smallest = Smallest::new(rows);
    let mut first = sieve(&config);
    batches().for_each(|batch| first.draw(batch, seed, &mut smallest).unwrap());
    let subset = SubsetConfig { rows: Some(rows), seed, ..SubsetConfig::default() };
    let mut second = sieve(&config).with_subset(&subset, smallest.threshold());
    let mut taken = Vec::new();
    for batch in batches() {
        let kept = second.sift(batch).unwrap();
        let urls = kept.column_by_name("url").unwrap().as_string::<i32>().clone();
        taken.extend((0..urls.len()).map(|row| urls.value(row).to_owned()).zip(captions(&kept)));
    }
    assert_eq!(second.funnel().kept(), taken.len() as u64);
    taken
}

fn sorted(mut rows: Vec<(String, String)>) -> Vec<(String, String)> {
    rows.sort();
    rows
}

/// Whether every row of `part` is in `whole`, as often.
fn is_within(part: &[(String, String)], whole: &[(String, String)]) -> bool {
    let mut whole = sorted(whole.to_vec());
    part.iter().all(|row| whole.iter().position(|other| other == row).map(|at| whole.remove(at)).is_some())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_draw_is_exact_nested_and_of_any_order(
        // Few different values, so that equal rows are common.
        all in prop::collection::vec((0..40_u32, 0..3_u32), 1..120),
        sizes in prop::collection::vec(1..140_u64, 2..4),
        seed in any::<u64>(),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..100),
    ) {
        let all: Vec<(String, String)> =
            all.iter().map(|(url, caption)| (format!("http://a/{url}"), format!("caption {caption}"))).collect();
        let mut sizes = sizes;
        sizes.sort_unstable();
        let mut shuffled = all.clone();
        for (a, b) in &swaps {
            let (a, b) = (a.index(all.len()), b.index(all.len()));
            shuffled.swap(a, b);
        }
        let mut smaller: Vec<(String, String)> = Vec::new();
        for size in sizes {
            let drawn = draw(&all, size, seed);
            prop_assert_eq!(drawn.len() as u64, size.min(all.len() as u64));
            prop_assert!(is_within(&drawn, &all));
            prop_assert!(is_within(&smaller, &drawn), "a smaller draw is part of a larger one");
            prop_assert_eq!(sorted(draw(&shuffled, size, seed)), sorted(drawn.clone()));
            smaller = drawn;
        }
    }
}

#[test]
fn a_draw_is_uniform_and_depends_on_the_seed() {
    let all: Vec<(String, String)> =
        (0..4_000).map(|row| (format!("http://a/{row}"), format!("caption {}", row % 10))).collect();
    let number = |url: &str| url.rsplit('/').next().unwrap().parse::<usize>().unwrap();
    let (first, second) = (draw(&all, 1_000, 0), draw(&all, 1_000, 1));
    for drawn in [&first, &second] {
        // Of ten equal parts each has 100 ± 8.7 (hypergeometric); five deviations either way.
        let mut parts = [0_i32; 10];
        drawn.iter().for_each(|(url, _)| parts[number(url) / 400] += 1);
        assert!(parts.iter().all(|part| (part - 100).abs() < 44), "{parts:?}");
    }
    // Independent draws share a quarter, 250 ± 11.9.
    let shared = first.iter().filter(|row| second.contains(row)).count() as i32;
    assert!((shared - 250).abs() < 60, "{shared}");
}

#[test]
fn a_shuffle_is_the_same_however_many_files_it_goes_by() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    let lines: String = (0..5_000).map(|row| format!("http://a/{row},caption {}\n", row % 7)).collect();
    std::fs::write(&path, format!("url,caption\n{lines}")).unwrap();
    let config = TableConfig {
        url_list: path.to_str().unwrap().to_owned(),
        caption_col: Some("caption".to_owned()),
        ..TableConfig::default()
    };
    let tables = Tables::open(&config).unwrap();
    let stop = AtomicBool::new(false);
    let urls = |input_bytes: u64| {
        let sieve = || Ok(sieve(&FilterConfig::default()));
        let rows = FilteredRows::open(&tables, sieve, &SubsetConfig::default(), &stop).unwrap().unwrap();
        let schema = tables.kept_schema();
        let mut rows = ShuffledRows::deal(rows, schema, 9, input_bytes, dir.path(), &stop).unwrap().unwrap();
        let mut urls = Vec::new();
        while let Some(batch) = rows.next_rows().unwrap() {
            let column = batch.column_by_name("url").unwrap().as_string::<i32>().clone();
            urls.extend((0..column.len()).map(|row| column.value(row).to_owned()));
        }
        assert_eq!(rows.funnel().kept(), 5_000);
        urls
    };
    // One bucket, three that go to files, and so many that none has enough rows for one.
    let one = urls(0);
    assert_eq!(urls(100 << 20), one);
    assert_eq!(urls(u64::MAX), one);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "the files have no names");
    let mut sorted = one.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 5_000);
    assert_ne!(one[..100], (0..100).map(|row| format!("http://a/{row}")).collect::<Vec<_>>()[..]);
}

#[test]
fn a_prefix_is_the_first_rows_that_pass() {
    let subset = SubsetConfig { prefix: Some(3), ..SubsetConfig::default() };
    let config = FilterConfig { blank_caption: true, ..FilterConfig::default() };
    let mut sieve = sieve(&config).with_subset(&subset, None);
    assert_eq!(captions(&sieve.sift(of_captions(&["a", "", "b"])).unwrap()), ["a", "b"]);
    assert!(!sieve.is_full());
    assert_eq!(captions(&sieve.sift(of_captions(&["", "c", "d"])).unwrap()), ["c"]);
    assert!(sieve.is_full());
    assert_eq!(sieve.funnel().dropped(Rule::Subset), 1);
}
