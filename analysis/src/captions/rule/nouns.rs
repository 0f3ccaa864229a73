//! The rule `nouns`: what the study's Table 3 seems to be made of. Words in lower case go through harper's Brill
//! tagger, trained on Universal Dependencies; what it calls NOUN (the Penn tags NN and NNS; names are PROPN) is put
//! into the singular and counted, except `person`, stop words and single letters.

use std::collections::HashMap;
use std::sync::LazyLock;

use harper_brill::{BrillTagger, FreqDict, Tagger, UPOS};
use unicode_segmentation::UnicodeSegmentation;

use super::stop_words::is_stop_word;
use super::{Shared, Words, lower_case};

/// Left out, because the study's lists must have left it out: it is what CC3M and CC12M put for every name.
const LEFT_OUT: &str = "person";
/// Singulars that are remembered; more words than this are looked up each time.
const MAX_REMEMBERED: usize = 1 << 15;

static TAGGER: LazyLock<Shared<BrillTagger<FreqDict>>> = LazyLock::new(harper_brill::brill_tagger);

/// Plurals that no ending tells, and words that only look like plurals. Sorted.
const IRREGULAR: &[(&str, &str)] = &[
    ("bus", "bus"),
    ("calves", "calf"),
    ("canvas", "canvas"),
    ("children", "child"),
    ("christmas", "christmas"),
    ("clothes", "clothes"),
    ("feet", "foot"),
    ("gas", "gas"),
    ("geese", "goose"),
    ("glasses", "glasses"),
    ("halves", "half"),
    ("jeans", "jeans"),
    ("knives", "knife"),
    ("leaves", "leaf"),
    ("lens", "lens"),
    ("lives", "life"),
    ("loaves", "loaf"),
    ("men", "man"),
    ("mice", "mouse"),
    ("news", "news"),
    ("oxen", "ox"),
    ("people", "people"),
    ("scissors", "scissors"),
    ("series", "series"),
    ("sheep", "sheep"),
    ("shelves", "shelf"),
    ("species", "species"),
    ("teeth", "tooth"),
    ("thieves", "thief"),
    ("trousers", "trousers"),
    ("wives", "wife"),
    ("wolves", "wolf"),
    ("women", "woman"),
];

/// Endings of plurals and what they become, longest first: WordNet's rules for nouns.
const ENDINGS: &[(&str, &str)] = &[
    ("ches", "ch"),
    ("shes", "sh"),
    ("sses", "ss"),
    ("xes", "x"),
    ("zes", "z"),
    ("ies", "y"),
    ("men", "man"),
    ("s", ""),
];

/// The rule, with the sentence and the singulars it remembers.
#[derive(Debug, Default)]
pub struct Nouns {
    sentence: Vec<String>,
    singulars: HashMap<String, String>,
}

impl Nouns {
    pub(super) fn split(&mut self, caption: &str, words: &mut Words) {
        let lower = lower_case(caption);
        // Strings are used again, since the tagger wants each word as one.
        let mut num_words = 0;
        for word in lower.split_word_bounds().filter(|w| !w.trim().is_empty()) {
            match self.sentence.get_mut(num_words) {
                Some(held) => {
                    held.clear();
                    held.push_str(word);
                }
                None => self.sentence.push(word.to_owned()),
            }
            num_words += 1;
        }
        let sentence = &self.sentence[..num_words];
        let tags = TAGGER.tag_sentence(sentence);
        for (word, _) in sentence.iter().zip(tags).filter(|(_, tag)| *tag == Some(UPOS::NOUN)) {
            let mut letters = word.chars();
            if letters.next().is_none_or(|c| !c.is_alphabetic())
                || letters.next().is_none()
                || is_stop_word(word)
            {
                continue;
            }
            if let Some(singular) = self.singulars.get(word) {
                if singular != LEFT_OUT {
                    words.push(singular);
                }
                continue;
            }
            let found = singular(word);
            if found != LEFT_OUT {
                words.push(&found);
            }
            if self.singulars.len() < MAX_REMEMBERED {
                self.singulars.insert(word.clone(), found);
            }
        }
    }
}

/// The singular of a noun: by the list, else by the first ending whose result the tagger's dictionary knows as a
/// noun, else as it stands.
pub(super) fn singular(word: &str) -> String {
    if let Ok(at) = IRREGULAR.binary_search_by_key(&word, |(plural, _)| plural) {
        return IRREGULAR[at].1.to_owned();
    }
    if word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") {
        return word.to_owned();
    }
    for (ending, becomes) in ENDINGS {
        let Some(stem) = word.strip_suffix(ending) else { continue };
        let singular = format!("{stem}{becomes}");
        if matches!(TAGGER.tag_sentence(std::slice::from_ref(&singular))[..], [Some(UPOS::NOUN)]) {
            return singular;
        }
    }
    word.to_owned()
}
