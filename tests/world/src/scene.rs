//! What a picture shows, as ground truth: a subject (a number of equal objects), a few extras, a background. Drawn
//! from a source's or a task's [`Distribution`]; captions and labels are read from it, and `raster` paints it.

use crate::rng::Rng;
use crate::words::word_enum;

word_enum! {
    /// The kinds of object.
    Shape, "shape" {
        Circle = "circle",
        Square = "square",
        Triangle = "triangle",
        Star = "star",
        Ring = "ring",
        Cross = "cross",
        Heart = "heart",
        Crescent = "crescent",
        Diamond = "diamond",
        Hexagon = "hexagon",
        Arrow = "arrow",
        Leaf = "leaf",
    }
}

word_enum! {
    /// What an object's surface looks like.
    Texture, "texture" {
        Solid = "solid",
        Striped = "striped",
        Checked = "checked",
        Dotted = "dotted",
        Shaded = "shaded",
        Speckled = "speckled",
        Wavy = "wavy",
        Ringed = "ringed",
    }
}

word_enum! {
    /// Named colours; a picture uses a jittered shade of one.
    Colour, "colour" {
        Red = "red",
        Orange = "orange",
        Yellow = "yellow",
        Green = "green",
        Teal = "teal",
        Blue = "blue",
        Purple = "purple",
        Pink = "pink",
        Brown = "brown",
        Black = "black",
        White = "white",
        Grey = "grey",
    }
}

word_enum! {
    /// What is behind the objects.
    Backdrop, "backdrop" {
        Plain = "plain",
        Gradient = "gradient",
        Horizon = "horizon",
        Cloudy = "cloudy",
    }
}

impl Colour {
    /// The middle of the colour's shades, RGB 0–255.
    pub const fn rgb(self) -> [u8; 3] {
        match self {
            Self::Red => [206, 32, 36],
            Self::Orange => [240, 130, 24],
            Self::Yellow => [244, 214, 36],
            Self::Green => [40, 150, 58],
            Self::Teal => [24, 160, 160],
            Self::Blue => [36, 76, 200],
            Self::Purple => [126, 44, 168],
            Self::Pink => [244, 130, 178],
            Self::Brown => [122, 76, 36],
            Self::Black => [26, 26, 28],
            Self::White => [240, 240, 238],
            Self::Grey => [136, 136, 140],
        }
    }
}

/// One painted object. Lengths are shares of the picture's shorter side, places shares of its width and height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Object {
    /// Kind of object.
    pub shape: Shape,
    /// Surface.
    pub texture: Texture,
    /// Named colour.
    pub colour: Colour,
    /// The shade used, RGB.
    pub shade: [u8; 3],
    /// Centre, 0 (left) to 1 (right).
    pub x: f32,
    /// Centre, 0 (top) to 1 (bottom).
    pub y: f32,
    /// Half the size, share of the shorter side.
    pub radius: f32,
    /// Turn in shares of a full one, 0 to 1.
    pub turn: f32,
    /// Stripes, checks or dots across the object.
    pub repeats: f32,
}

/// How the scene is drawn; the base of the tasks' shifted test sets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finish {
    /// Outlines in dark ink on paper in place of filled, coloured objects.
    pub sketch: bool,
    /// Peak-to-peak sensor noise added to every pixel, 0–255 levels.
    pub grain: u8,
    /// Every block of this many pixels (a side) gets one colour; 1 leaves the picture sharp.
    pub block: u32,
    /// Levels added to every pixel after everything else.
    pub brightness: i16,
}

impl Default for Finish {
    fn default() -> Self {
        Self { sketch: false, grain: 0, block: 1, brightness: 0 }
    }
}

/// Everything a picture shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// The subject's `count` equal objects first, then the extras; painted in reverse, so the subject is on top.
    pub objects: Vec<Object>,
    /// How many of `objects` are the subject (1–5).
    pub count: usize,
    /// What is behind them.
    pub backdrop: Backdrop,
    /// The backdrop's named colour.
    pub backdrop_colour: Colour,
    /// The backdrop's two shades, RGB.
    pub backdrop_shades: [[u8; 3]; 2],
    /// How it is drawn.
    pub finish: Finish,
    /// Seed of textures and noise.
    pub grain_seed: u64,
}

impl Scene {
    /// The first object of the subject: the one labels and captions speak of.
    pub fn subject(&self) -> &Object {
        &self.objects[0]
    }

    /// The objects that are not the subject.
    pub fn extras(&self) -> &[Object] {
        &self.objects[self.count.min(self.objects.len())..]
    }
}

/// What to draw scenes from: relative weights in the order of each vocabulary's `ALL`.
#[derive(Debug, Clone)]
pub struct Distribution {
    /// Weight of each [`Shape`].
    pub shapes: [u32; 12],
    /// Weight of each [`Texture`].
    pub textures: [u32; 8],
    /// Weight of each [`Colour`].
    pub colours: [u32; 12],
    /// Weight of each [`Backdrop`].
    pub backdrops: [u32; 4],
    /// Weight of each [`Colour`] of the backdrop.
    pub backdrop_colours: [u32; 12],
    /// Weight of 1, 2, 3, 4 and 5 equal objects.
    pub counts: [u32; 5],
    /// Most extras in a picture.
    pub max_extras: u32,
    /// Strongest noise, levels.
    pub max_grain: u32,
}

impl Distribution {
    /// Every value as likely as any other, few extras, little noise.
    pub const EVEN: Self = Self {
        shapes: [1; 12],
        textures: [1; 8],
        colours: [1; 12],
        backdrops: [1; 4],
        backdrop_colours: [1; 12],
        counts: [1; 5],
        max_extras: 1,
        max_grain: 12,
    };

    /// Draws a scene. The subject's colour always differs from the backdrop's, so every object can be seen.
    pub fn draw(&self, rng: &mut Rng) -> Scene {
        let shape = Shape::ALL[rng.weighted(&self.shapes)];
        let texture = Texture::ALL[rng.weighted(&self.textures)];
        let colour = Colour::ALL[rng.weighted(&self.colours)];
        let count = 1 + rng.weighted(&self.counts);
        let backdrop = Backdrop::ALL[rng.weighted(&self.backdrops)];
        let mut backdrop_weights = self.backdrop_colours;
        backdrop_weights[colour as usize] = 0;
        if backdrop_weights.iter().all(|&w| w == 0) {
            backdrop_weights = [1; 12];
            backdrop_weights[colour as usize] = 0;
        }
        let backdrop_colour = Colour::ALL[rng.weighted(&backdrop_weights)];
        let shade = jitter(colour, 14, rng);
        let backdrop_shades = [jitter(backdrop_colour, 10, rng), soften(jitter(backdrop_colour, 30, rng))];
        let num_extras = rng.below(u64::from(self.max_extras) + 1) as usize;
        let repeats = rng.span(2.5, 5.0);
        let turn = rng.span(-0.06, 0.06);
        let places = places(count + num_extras, rng);
        let mut objects = Vec::with_capacity(places.len());
        for (i, [x, y, room]) in places.into_iter().enumerate() {
            let turn = turn + rng.span(-0.02, 0.02);
            let (shape, texture, colour, shade, share) = if i < count {
                (shape, texture, colour, shade, rng.span(0.80, 0.95))
            } else {
                // An extra is another shape in another colour, and smaller, so that the subject stays the subject.
                let shape = Shape::ALL[(shape as usize + 1 + rng.below(11) as usize) % 12];
                let mut colour = Colour::ALL[rng.below(12) as usize];
                while colour == backdrop_colour {
                    colour = Colour::ALL[rng.below(12) as usize];
                }
                (shape, Texture::Solid, colour, jitter(colour, 14, rng), rng.span(0.40, 0.55))
            };
            objects.push(Object { shape, texture, colour, shade, x, y, radius: room * share, turn, repeats });
        }
        let grain = rng.below(u64::from(self.max_grain) + 1) as u8;
        Scene {
            objects,
            count,
            backdrop,
            backdrop_colour,
            backdrop_shades,
            finish: Finish { grain, ..Finish::default() },
            grain_seed: rng.next_u64(),
        }
    }
}

/// Centres and free room (radius) of `n` objects that do not overlap: cells of a grid, jittered.
fn places(n: usize, rng: &mut Rng) -> Vec<[f32; 3]> {
    let side = match n {
        0 | 1 => 1,
        2..=4 => 2,
        _ => 3,
    };
    let mut cells: Vec<usize> = (0..side * side).collect();
    for i in (1..cells.len()).rev() {
        cells.swap(i, rng.below(i as u64 + 1) as usize);
    }
    let cell = 1.0 / side as f32;
    let room = cell * if side == 1 { rng.span(0.26, 0.46) } else { rng.span(0.36, 0.46) };
    // A lone object may sit anywhere it fits; in a grid each keeps to its cell.
    let slack = cell / 2.0 - room;
    cells
        .into_iter()
        .take(n)
        .map(|c| {
            let (column, row) = ((c % side) as f32, (c / side) as f32);
            let x = (column + 0.5) * cell + rng.span(-slack, slack);
            let y = (row + 0.5) * cell + rng.span(-slack, slack);
            [x, y, room]
        })
        .collect()
}

/// A shade of `colour` at most `spread` levels off in each channel.
fn jitter(colour: Colour, spread: u32, rng: &mut Rng) -> [u8; 3] {
    colour.rgb().map(|level| {
        let off = rng.below(u64::from(spread) * 2 + 1) as i32 - spread as i32;
        (i32::from(level) + off).clamp(0, 255) as u8
    })
}

/// A quarter of the way to white: the far end of gradients and the light side of clouds.
fn soften(shade: [u8; 3]) -> [u8; 3] {
    shade.map(|level| level + (255 - level) / 4)
}
