//! Noun phrases for what a scene shows: "two striped red stars", "a heart on a blue background", and the same in
//! four other languages.

use crate::rng::Rng;
use crate::scene::{Backdrop, Colour, Object, Scene, Shape, Texture};

/// Common names of a shape; the first is its own word and the most frequent.
fn names(shape: Shape) -> &'static [&'static str] {
    match shape {
        Shape::Circle => &["circle", "disc", "round dot"],
        Shape::Square => &["square", "box", "tile"],
        Shape::Triangle => &["triangle", "pyramid", "wedge"],
        Shape::Star => &["star", "five-pointed star", "starfish"],
        Shape::Ring => &["ring", "hoop", "donut"],
        Shape::Cross => &["cross", "plus sign", "plus"],
        Shape::Heart => &["heart", "love heart", "valentine"],
        Shape::Crescent => &["crescent", "crescent moon", "moon"],
        Shape::Diamond => &["diamond", "rhombus", "kite"],
        Shape::Hexagon => &["hexagon", "honeycomb cell", "hex nut"],
        Shape::Arrow => &["arrow", "pointer", "direction sign"],
        Shape::Leaf => &["leaf", "petal", "almond"],
    }
}

fn texture_word(texture: Texture, rng: &mut Rng) -> &'static str {
    match texture {
        Texture::Solid => rng.pick(&["", "", "", "plain", "solid"]),
        Texture::Striped => rng.pick(&["striped", "striped", "stripy"]),
        Texture::Checked => rng.pick(&["checked", "checked", "checkered"]),
        Texture::Dotted => rng.pick(&["dotted", "dotted", "polka dot", "spotted"]),
        Texture::Shaded => rng.pick(&["shaded", "shaded", "ombre"]),
        Texture::Speckled => rng.pick(&["speckled", "speckled", "mottled"]),
        Texture::Wavy => rng.pick(&["wavy", "wavy", "rippled"]),
        Texture::Ringed => rng.pick(&["ringed", "ringed", "bullseye"]),
    }
}

pub(super) fn number(count: usize) -> &'static str {
    match count {
        1 => "one",
        2 => "two",
        3 => "three",
        4 => "four",
        _ => "five",
    }
}

pub(super) fn plural(noun: &str) -> String {
    match noun {
        "leaf" => "leaves".to_owned(),
        "starfish" => "starfish".to_owned(),
        _ if noun.ends_with('s') || noun.ends_with('x') => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

pub(super) fn article(phrase: &str) -> &'static str {
    if phrase.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// Which of an object's traits a phrase names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detail {
    pub colour: bool,
    pub texture: bool,
    /// Percent of nouns that are a synonym.
    pub synonyms: f32,
}

impl Detail {
    /// Names each trait with a chance in percent.
    pub(super) fn draw(colour: f32, texture: f32, synonyms: f32, rng: &mut Rng) -> Self {
        Self { colour: rng.chance(colour), texture: rng.chance(texture), synonyms }
    }
}

/// "striped red star", or "striped red stars" for more than one; no article or number.
pub(super) fn noun(object: &Object, count: usize, detail: Detail, rng: &mut Rng) -> String {
    let mut words: Vec<&str> = Vec::with_capacity(3);
    if detail.texture {
        words.push(texture_word(object.texture, rng));
    }
    if detail.colour {
        words.push(object.colour.as_str());
    }
    let all = names(object.shape);
    let name = if rng.chance(detail.synonyms) { rng.pick(&all[1..]) } else { all[0] };
    let name = if count > 1 { plural(name) } else { name.to_owned() };
    words.push(&name);
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

/// "a red star", "three red stars".
pub(super) fn counted(object: &Object, count: usize, detail: Detail, rng: &mut Rng) -> String {
    let noun = noun(object, count, detail, rng);
    if count == 1 { format!("{} {noun}", article(&noun)) } else { format!("{} {noun}", number(count)) }
}

/// "on a blue background", "under a blue sky".
pub(super) fn behind(scene: &Scene, rng: &mut Rng) -> String {
    let colour = scene.backdrop_colour;
    let article = article(colour.as_str());
    match scene.backdrop {
        Backdrop::Plain => {
            let phrase = rng.pick(&["on {a} {c} background", "against {a} {c} wall", "isolated on {c}"]);
            fill(phrase, article, colour)
        }
        Backdrop::Gradient => fill(rng.pick(&["on {a} {c} gradient", "fading into {c}"]), article, colour),
        Backdrop::Horizon => fill(rng.pick(&["under {a} {c} sky", "above {a} {c} horizon"]), article, colour),
        Backdrop::Cloudy => fill(rng.pick(&["in {c} mist", "among {c} clouds"]), article, colour),
    }
}

fn fill(phrase: &str, article: &str, colour: Colour) -> String {
    phrase.replace("{a}", article).replace("{c}", colour.as_str())
}

/// Where a lone subject sits.
pub(super) fn place(object: &Object) -> &'static str {
    match (object.x, object.y) {
        (_, y) if y < 0.42 => "at the top",
        (_, y) if y > 0.58 => "at the bottom",
        (x, _) if x < 0.42 => "on the left",
        (x, _) if x > 0.58 => "on the right",
        _ => "in the middle",
    }
}

/// "Red star".
pub(super) fn title(scene: &Scene) -> String {
    let subject = scene.subject();
    let name = names(subject.shape)[0];
    let name = if scene.count > 1 { plural(name) } else { name.to_owned() };
    capital(&format!("{} {name}", subject.colour))
}

pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Key words in the order of weight.
pub(super) fn keywords(scene: &Scene, rng: &mut Rng) -> Vec<String> {
    let subject = scene.subject();
    let mut words = vec![names(subject.shape)[0].to_owned(), subject.colour.as_str().to_owned()];
    if subject.texture != Texture::Solid {
        words.push(texture_word(subject.texture, rng).to_owned());
    }
    words.push(scene.backdrop_colour.as_str().to_owned());
    words.extend(scene.extras().iter().map(|extra| names(extra.shape)[0].to_owned()));
    for _ in 0..rng.below(4) {
        words.push(
            rng.pick(&["design", "art", "nature", "travel", "canon", "2009", "macro", "vintage"]).to_owned(),
        );
    }
    words.dedup();
    words
}

/// The subject in German, Spanish, French or Japanese.
pub(super) fn foreign(scene: &Scene, rng: &mut Rng) -> String {
    let subject = scene.subject();
    let (shape, colour) = (subject.shape as usize, subject.colour as usize);
    match rng.below(4) {
        0 => format!("{} in {}", GERMAN.0[shape], GERMAN.1[colour]),
        1 => format!("{} de color {}", SPANISH.0[shape], SPANISH.1[colour]),
        2 => format!("{}, couleur {}", FRENCH.0[shape], FRENCH.1[colour]),
        _ => format!("{}の{}", JAPANESE.1[colour], JAPANESE.0[shape]),
    }
}

/// Shapes and colours in the order of the vocabularies.
type Language = ([&'static str; 12], [&'static str; 12]);

const GERMAN: Language = (
    [
        "Kreis", "Quadrat", "Dreieck", "Stern", "Ring", "Kreuz", "Herz", "Sichel", "Raute", "Sechseck",
        "Pfeil", "Blatt",
    ],
    ["Rot", "Orange", "Gelb", "Grün", "Petrol", "Blau", "Lila", "Rosa", "Braun", "Schwarz", "Weiß", "Grau"],
);
const SPANISH: Language = (
    [
        "Círculo",
        "Cuadrado",
        "Triángulo",
        "Estrella",
        "Anillo",
        "Cruz",
        "Corazón",
        "Media luna",
        "Rombo",
        "Hexágono",
        "Flecha",
        "Hoja",
    ],
    [
        "rojo", "naranja", "amarillo", "verde", "turquesa", "azul", "morado", "rosa", "marrón", "negro",
        "blanco", "gris",
    ],
);
const FRENCH: Language = (
    [
        "Cercle",
        "Carré",
        "Triangle",
        "Étoile",
        "Anneau",
        "Croix",
        "Cœur",
        "Croissant",
        "Losange",
        "Hexagone",
        "Flèche",
        "Feuille",
    ],
    [
        "rouge", "orange", "jaune", "verte", "sarcelle", "bleue", "violette", "rose", "brune", "noire",
        "blanche", "grise",
    ],
);
const JAPANESE: Language = (
    ["円", "四角", "三角", "星", "輪", "十字", "ハート", "三日月", "ひし形", "六角形", "矢印", "葉"],
    ["赤", "オレンジ", "黄色", "緑", "青緑", "青", "紫", "ピンク", "茶色", "黒", "白", "灰色"],
);
