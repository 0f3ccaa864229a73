use proptest::prelude::*;

use super::*;

fn words(rule: &str, caption: &str) -> Vec<String> {
    let mut words = Words::default();
    let mut splitter = Splitter::new(&rule.parse().unwrap());
    // What an earlier caption left behind must not show.
    splitter.split("something else, MUCH longer than what follows: ÄÖÜ 12345", &mut words);
    splitter.split(caption, &mut words);
    words.iter().map(str::to_owned).collect()
}

/// The rule as it is written: lower case, then what the expression matches.
fn letters_by_regex(caption: &str) -> Vec<String> {
    let regex = Regex::new(r"\p{L}+").unwrap();
    regex.find_iter(&caption.to_lowercase()).map(|m| m.as_str().to_owned()).collect()
}

#[test]
fn letters_are_runs_of_lower_case_letters() {
    assert_eq!(words("letters", "Don't PANIC: 42x the_end"), ["don", "t", "panic", "x", "the", "end"]);
    assert_eq!(words("letters", "ΟΔΟΣ ΣΟΦΟΣ!"), ["οδος", "σοφος"], "final sigma");
    assert_eq!(words("letters", "İZMİR"), ["i", "zmi", "r"], "İ becomes i and a combining dot");
    assert_eq!(words("letters", "北京 2008年"), ["北京", "年"]);
    assert!(words("letters", "12:30 – !").is_empty());
}

#[test]
fn words_follow_unicode_boundaries_without_stop_words() {
    assert_eq!(words("words", "The cat's 3.5 mats, and THE dog"), ["cat's", "3.5", "mats", "dog"]);
}

#[test]
fn nouns_are_singular_and_without_person() {
    let found =
        words("nouns", "Two women with flowers and a person sit on benches near the leaves of old trees");
    for noun in ["woman", "flower", "bench", "leaf", "tree"] {
        assert!(found.iter().any(|w| w == noun), "{noun} in {found:?}");
    }
    for other in ["person", "sit", "with", "women", "two"] {
        assert!(!found.iter().any(|w| w == other), "{other} in {found:?}");
    }
}

#[test]
fn singulars() {
    for (plural, expected) in [
        ("cats", "cat"),
        ("glass", "glass"),
        ("boxes", "box"),
        ("cities", "city"),
        ("people", "people"),
        ("men", "man"),
    ] {
        assert_eq!(nouns::singular(plural), expected);
    }
}

#[test]
fn an_own_expression_sees_the_caption_as_it_stands() {
    assert_eq!(words("regex:[A-Z][a-z]+", "Red Bull and blue Sky"), ["Red", "Bull", "Sky"]);
    let error = "regex:(".parse::<WordRule>().unwrap_err();
    assert!(error.contains("unclosed group") && !error.contains('\n'), "{error}");
    assert!("letter".parse::<WordRule>().unwrap_err().contains("letters"));
}

#[test]
fn stop_words_are_sorted() {
    assert!(stop_words().is_sorted() && stop_words().len() > 100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_fast_path_is_the_expression(caption in "[ -~\t\n]{0,200}") {
        prop_assert_eq!(words("letters", &caption), letters_by_regex(&caption));
    }

    #[test]
    fn any_text_is_cut_as_the_expression_cuts_it(caption in "([ -~]|\\p{L}|\\p{M}|\\p{N}|.|[ΣσςİıßŒé]){0,90}") {
        prop_assert_eq!(words("letters", &caption), letters_by_regex(&caption));
    }
}
