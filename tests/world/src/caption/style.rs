//! The voices of the sources: one function per caption style, and which styles a source mixes.

use super::phrase::{self, Detail, capital, counted, noun};
use crate::rng::Rng;
use crate::scene::Scene;
use crate::source::Source;
use crate::words::word_enum;

word_enum! {
    /// How a caption is written.
    Style, "caption style" {
        AltText = "alt-text",
        Description = "description",
        Tokenised = "tokenised",
        Keywords = "keywords",
        Title = "title",
        Stock = "stock",
        Reference = "reference",
        Template = "template",
    }
}

/// Writes in one of the styles `source` mixes.
pub(super) fn write(scene: &Scene, source: Source, rng: &mut Rng) -> String {
    let style = match source {
        Source::Laion => [Style::AltText, Style::AltText, Style::Stock, Style::Keywords, Style::Template],
        Source::RedCaps => [Style::Title; 5],
        Source::Cc3m => [Style::Tokenised; 5],
        Source::Cc12m => {
            [Style::Description, Style::Description, Style::AltText, Style::Stock, Style::Template]
        }
        Source::Wit => [Style::Reference; 5],
        Source::Yfcc => {
            [Style::Title, Style::Description, Style::Description, Style::Keywords, Style::Reference]
        }
        Source::Shutterstock => {
            [Style::Stock, Style::Stock, Style::Stock, Style::Keywords, Style::Description]
        }
    };
    let mut text = rng.pick(&style).write(scene, rng);
    if source == Source::Cc12m && rng.chance(6.0) {
        // CC12M puts this token wherever a person was named.
        text = format!("{text} by <PERSON>");
    }
    if source == Source::RedCaps {
        text.make_ascii_lowercase();
    }
    text
}

impl Style {
    /// Writes a caption for `scene` in this style.
    pub fn write(self, scene: &Scene, rng: &mut Rng) -> String {
        match self {
            Self::AltText => alt_text(scene, rng),
            Self::Description => capital(&description(scene, rng)),
            Self::Tokenised => format!("{} .", description(scene, rng).replace(',', " ,")),
            Self::Keywords => phrase::keywords(scene, rng).join(", "),
            Self::Title => reddit_title(scene, rng),
            Self::Stock => stock(scene, rng),
            Self::Reference => reference(scene, rng),
            Self::Template => template(scene, rng),
        }
    }
}

fn alt_text(scene: &Scene, rng: &mut Rng) -> String {
    let detail = Detail::draw(85.0, 55.0, 30.0, rng);
    let thing = capital(&noun(scene.subject(), scene.count, detail, rng));
    match rng.below(6) {
        0 => format!("{thing} Wall Art Print {}x{}", rng.pick(&[20, 30, 40]), rng.pick(&[30, 50, 60])),
        1 => format!("{thing} - {}", rng.pick(&["Sticker", "T-Shirt", "Poster", "Mug", "Phone Case"])),
        2 => format!("{thing} {}", phrase::behind(scene, rng)),
        3 => format!("Set of {} {thing}", scene.count),
        4 => format!("{thing} stock image {}", rng.pick(&["free download", "HD", "clip art", "png"])),
        _ => thing,
    }
}

fn description(scene: &Scene, rng: &mut Rng) -> String {
    let detail = Detail::draw(92.0, 75.0, 15.0, rng);
    let mut text = counted(scene.subject(), scene.count, detail, rng);
    if let Some(extra) = scene.extras().first()
        && rng.chance(70.0)
    {
        let detail = Detail { colour: true, texture: false, synonyms: 15.0 };
        text =
            format!("{text} {} {}", rng.pick(&["and", "beside", "next to"]), counted(extra, 1, detail, rng));
    }
    if rng.chance(75.0) {
        text = format!("{text} {}", phrase::behind(scene, rng));
    }
    if scene.count == 1 && rng.chance(20.0) {
        text = format!("{text}, {}", phrase::place(scene.subject()));
    }
    text
}

fn reddit_title(scene: &Scene, rng: &mut Rng) -> String {
    let detail = Detail::draw(65.0, 40.0, 35.0, rng);
    let thing = noun(scene.subject(), scene.count, detail, rng);
    let whole = counted(scene.subject(), scene.count, detail, rng);
    let these = if scene.count > 1 { "these" } else { "this" };
    match rng.below(8) {
        0 => format!("found {these} {thing} in my yard this morning"),
        1 => format!("my first attempt at {whole}, any advice?"),
        2 => format!("{these} {thing} i made for my mum"),
        3 => format!("look at {these} {thing} {}", phrase::behind(scene, rng)),
        4 => format!("finally finished {whole}"),
        5 => format!("what do you think of {these} {thing}"),
        6 => {
            format!("{thing}, {}", rng.pick(&["oregon", "scotland", "after the rain", "iso 400", "at last"]))
        }
        _ => format!("{whole} {}", phrase::behind(scene, rng)),
    }
}

fn stock(scene: &Scene, rng: &mut Rng) -> String {
    let detail = Detail::draw(95.0, 85.0, 10.0, rng);
    let thing = capital(&counted(scene.subject(), scene.count, detail, rng));
    let medium =
        rng.pick(&["Vector illustration", "Flat icon", "3d rendering", "Close-up", "Seamless pattern"]);
    let ending = rng.pick(&["concept of design", "for web and print", "symbol", "copy space", "decoration"]);
    format!("{thing} {}. {medium}, {ending}", phrase::behind(scene, rng))
}

fn reference(scene: &Scene, rng: &mut Rng) -> String {
    let detail = Detail::draw(80.0, 60.0, 10.0, rng);
    let thing = capital(&counted(scene.subject(), scene.count, detail, rng));
    let place = rng.pick(&["Oslo", "Kyoto", "Lima", "Accra", "Vienna", "Quebec"]);
    match rng.below(5) {
        0 => format!("{thing} {}, {place}, {}", phrase::behind(scene, rng), rng.between(1890, 2019)),
        1 => format!("{thing}, as used in the coat of arms of {place}"),
        2 => format!("{thing} in the collection of the {place} museum"),
        3 => format!("Diagram showing {}", thing.to_lowercase()),
        _ => thing,
    }
}

fn template(scene: &Scene, rng: &mut Rng) -> String {
    let detail = Detail { colour: rng.chance(80.0), texture: rng.chance(60.0), synonyms: 0.0 };
    let thing = counted(scene.subject(), scene.count, detail, rng);
    format!("{} {thing}", rng.pick(&["a photo of", "an image of", "a picture of", "there is"]))
}
