//! Captions: what each kind of source would write beside a scene, from careful description to shop title, with the
//! defects of the real ones (blank, copied, foreign, entities, emoji, file names, cut-off ends) at the rates of
//! [`Source::rates`].

mod noise;
mod phrase;
mod style;

pub use style::Style;

use crate::rng::Rng;
use crate::scene::Scene;
use crate::source::Source;

/// A caption and the forms of it that some tables store beside it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caption {
    /// The caption. Empty where the source left it blank.
    pub text: String,
    /// Title alone (YFCC, WIT's page title).
    pub title: String,
    /// Description alone (YFCC), may be empty.
    pub description: String,
    /// Before the source cleaned it (RedCaps' raw title).
    pub raw: String,
    /// Key words (YFCC's user tags).
    pub keywords: Vec<String>,
    /// Whether it describes its own picture, in any language or detail.
    pub faithful: bool,
}

/// Writes a caption for `scene` as `source` would.
pub(crate) fn write(scene: &Scene, source: Source, rng: &mut Rng) -> Caption {
    let rates = source.rates();
    let keywords = phrase::keywords(scene, rng);
    if rng.chance(rates.blank) {
        return Caption { keywords, ..Caption::default() };
    }
    let foreign = rng.chance(rates.foreign);
    let mut text = if foreign { phrase::foreign(scene, rng) } else { style::write(scene, source, rng) };
    if source == Source::Yfcc {
        return yfcc(scene, text, keywords, rng.chance(rates.noisy), rng);
    }
    let raw = if source == Source::RedCaps { noise::raw_title(&text, rng) } else { String::new() };
    let faithful = !rng.chance(rates.noisy) || noise::spoil(&mut text, rng);
    let title = phrase::title(scene);
    Caption { text, title, description: String::new(), raw, keywords, faithful }
}

/// A caption copied from a row nearby, or a stock phrase.
pub(crate) fn duplicate(earlier: &Scene, source: Source, rng: &mut Rng) -> Caption {
    let text = match rng.below(3) {
        0 => rng.pick(&["image", "photo", "Untitled", "click to enlarge", "product image", "1"]).to_owned(),
        _ => style::write(earlier, source, &mut Rng::of(&[earlier.grain_seed])),
    };
    let raw = text.clone();
    Caption { title: text.clone(), text, raw, ..Caption::default() }
}

/// Flickr has a title, often the camera's file name, and sometimes a description with links.
fn yfcc(scene: &Scene, text: String, keywords: Vec<String>, noisy: bool, rng: &mut Rng) -> Caption {
    let title = if noisy { noise::camera_file(rng) } else { phrase::title(scene) };
    let described = noisy || rng.chance(55.0);
    let mut description = if described { text } else { String::new() };
    if described && rng.chance(20.0) {
        description.push_str(" <a href=\"http://www.example.com/set/1\">more of these</a>");
    }
    let text = if described { format!("{title} {description}") } else { title.clone() };
    Caption { text, title, description, raw: String::new(), keywords, faithful: true }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::source::Source;
    use crate::world::{World, WorldConfig};

    #[test]
    fn captions_hold_no_control_characters_but_rare_newlines() {
        let world = World::new(WorldConfig::default());
        for &source in Source::ALL {
            for index in 0..2_000 {
                let caption = world.caption(source, index);
                let bad = caption.text.chars().find(|c| c.is_control() && *c != '\n');
                assert_eq!(bad, None, "{source} {index}: {:?}", caption.text);
            }
        }
    }

    #[test]
    fn defects_come_at_the_stated_rates() {
        let world = World::new(WorldConfig::default());
        let source = Source::Laion;
        let rates = source.rates();
        let n = 20_000;
        let captions: Vec<_> = (0..n).map(|i| world.caption(source, i)).collect();
        let percent = |count: usize| count as f32 * 100.0 / n as f32;
        let blank = percent(captions.iter().filter(|c| c.text.is_empty()).count());
        assert!((blank - rates.blank).abs() < 0.25, "{blank} % blank");
        let faithful = percent(captions.iter().filter(|c| c.faithful).count());
        assert!((86.0..96.0).contains(&faithful), "{faithful} % faithful");
        let not_ascii = percent(captions.iter().filter(|c| !c.text.is_ascii()).count());
        assert!(not_ascii > 2.0, "{not_ascii} % with other scripts or emoji");
    }

    #[test]
    fn most_captions_name_what_is_shown() {
        let world = World::new(WorldConfig::default());
        let mut named = BTreeMap::new();
        for &source in Source::ALL {
            let hits = (0..1_000)
                .filter(|&i| {
                    let colour = world.picture(source, i).scene.subject().colour;
                    world.caption(source, i).text.to_lowercase().contains(colour.as_str())
                })
                .count();
            named.insert(source, hits);
        }
        // Templates and titles that leave the colour out are part of every source, so no source names all.
        assert!(named.values().all(|&hits| (350..1_000).contains(&hits)), "{named:?}");
    }
}
