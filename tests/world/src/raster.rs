//! Scene to RGB pixels. Only `+ - * /` and square roots on f32, which IEEE 754 defines to the bit, so that a picture
//! is the same on every machine. Objects are signed distance functions evaluated inside their bounding boxes.

use crate::rng::mix;
use crate::scene::{Backdrop, Object, Scene, Shape, Texture};

/// An RGB picture, 8 bits a channel, rows top to bottom without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

/// Paints `scene` at `width` × `height` (at least 1 × 1).
pub fn render(scene: &Scene, width: u32, height: u32) -> Pixels {
    let (width, height) = (width.max(1), height.max(1));
    let mut pixels = Pixels { width, height, rgb: vec![0; width as usize * height as usize * 3] };
    paint_backdrop(scene, &mut pixels);
    for object in scene.objects.iter().rev() {
        paint_object(object, scene, &mut pixels);
    }
    if scene.finish.block > 1 {
        coarsen(&mut pixels, scene.finish.block);
    }
    if scene.finish.grain > 0 || scene.finish.brightness != 0 {
        add_grain(scene, &mut pixels);
    }
    pixels
}

const PAPER: [u8; 3] = [246, 244, 238];
const INK: [u8; 3] = [40, 38, 42];

fn lerp(a: [u8; 3], b: [u8; 3], t: f32) -> [u8; 3] {
    // Fixed point with 8 fractional bits: exact on every machine, and quick.
    let t = (t.clamp(0.0, 1.0) * 256.0) as i32;
    std::array::from_fn(|c| (i32::from(a[c]) + (((i32::from(b[c]) - i32::from(a[c])) * t) >> 8)) as u8)
}

fn fill(row: &mut [u8], colour: [u8; 3]) {
    for pixel in row.chunks_exact_mut(3) {
        pixel.copy_from_slice(&colour);
    }
}

fn paint_backdrop(scene: &Scene, pixels: &mut Pixels) {
    let (width, height) = (pixels.width as usize, pixels.height);
    let [near, far] = scene.backdrop_shades;
    let horizon = 0.45 + 0.2 * ((scene.grain_seed & 0xff) as f32 / 255.0);
    for (y, row) in pixels.rgb.chunks_exact_mut(width * 3).enumerate() {
        let v = (y as f32 + 0.5) / height as f32;
        if scene.finish.sketch {
            fill(row, PAPER);
            continue;
        }
        match scene.backdrop {
            Backdrop::Plain => fill(row, near),
            Backdrop::Gradient => fill(row, lerp(near, far, v)),
            Backdrop::Horizon if v < horizon => fill(row, lerp(near, far, v / horizon)),
            Backdrop::Horizon => {
                // The ground is the backdrop's colour two thirds as bright.
                fill(row, near.map(|level| (u16::from(level) * 2 / 3) as u8));
            }
            Backdrop::Cloudy => cloudy_row(row, v, width, height, [near, far], scene.grain_seed),
        }
    }
}

/// One row of smooth value noise: six lattice cells along the shorter side, interpolated linearly.
fn cloudy_row(row: &mut [u8], v: f32, width: usize, height: u32, shades: [[u8; 3]; 2], seed: u64) {
    let step = 6.0 / (width as f32).min(height as f32);
    let fy = v * height as f32 * step;
    let (cell_y, ty) = (fy as u64, fy - (fy as u64) as f32);
    let corner = |cx: u64, cy: u64| (mix(seed ^ (cx << 32) ^ cy) >> 40) as f32 / (1u64 << 24) as f32;
    let mut x = 0;
    let mut cell_x = 0;
    while x < width {
        let left = corner(cell_x, cell_y) * (1.0 - ty) + corner(cell_x, cell_y + 1) * ty;
        let right = corner(cell_x + 1, cell_y) * (1.0 - ty) + corner(cell_x + 1, cell_y + 1) * ty;
        while x < width {
            let tx = x as f32 * step - cell_x as f32;
            if tx >= 1.0 {
                break;
            }
            let shade = lerp(shades[0], shades[1], left + (right - left) * tx);
            row[x * 3..x * 3 + 3].copy_from_slice(&shade);
            x += 1;
        }
        cell_x += 1;
    }
}

fn paint_object(object: &Object, scene: &Scene, pixels: &mut Pixels) {
    let (width, height) = (pixels.width as f32, pixels.height as f32);
    let radius = (object.radius * width.min(height)).max(0.5);
    let (centre_x, centre_y) = (object.x * width, object.y * height);
    let (sine, cosine) = sine_cosine(object.turn);
    // Every shape lies within 1.2 radii of its centre.
    let reach = radius * 1.2 + 1.0;
    let columns = ((centre_x - reach).max(0.0) as usize)..((centre_x + reach).min(width) as usize);
    let rows = ((centre_y - reach).max(0.0) as usize)..((centre_y + reach).min(height) as usize);
    let sketch = scene.finish.sketch;
    let line = (radius * 0.06).max(1.0);
    let accent = accent(object.shade);
    for y in rows {
        let dy = (y as f32 + 0.5 - centre_y) / radius;
        let start = y * pixels.width as usize * 3;
        for x in columns.clone() {
            let dx = (x as f32 + 0.5 - centre_x) / radius;
            let (u, v) = (dx * cosine + dy * sine, dy * cosine - dx * sine);
            let distance = distance(object.shape, u, v) * radius;
            let alpha = if sketch { line / 2.0 + 0.5 - distance.abs() } else { 0.5 - distance };
            if alpha <= 0.0 {
                continue;
            }
            let paint = if sketch { INK } else { surface(object, accent, u, v, scene.grain_seed) };
            let pixel = &mut pixels.rgb[start + x * 3..start + x * 3 + 3];
            if alpha >= 1.0 {
                pixel.copy_from_slice(&paint);
            } else {
                let blended = lerp([pixel[0], pixel[1], pixel[2]], paint, alpha);
                pixel.copy_from_slice(&blended);
            }
        }
    }
}

/// Sine and cosine of `turn` full turns, |turn| ≤ 0.25, by Taylor series to the ninth order (error below 1e-5).
fn sine_cosine(turn: f32) -> (f32, f32) {
    let a = turn * std::f32::consts::TAU;
    let q = a * a;
    let sine = a * (1.0 - q / 6.0 * (1.0 - q / 20.0 * (1.0 - q / 42.0 * (1.0 - q / 72.0))));
    let cosine = 1.0 - q / 2.0 * (1.0 - q / 12.0 * (1.0 - q / 30.0 * (1.0 - q / 56.0)));
    (sine, cosine)
}

fn length(u: f32, v: f32) -> f32 {
    (u * u + v * v).sqrt()
}

/// Distance of (u, v) to the shape's edge, negative inside, in units of its radius. Not all are exact far away;
/// near the edge, where it matters, they are close enough for smooth borders.
fn distance(shape: Shape, u: f32, v: f32) -> f32 {
    let (au, av) = (u.abs(), v.abs());
    match shape {
        Shape::Circle => length(u, v) - 0.9,
        Shape::Square => au.max(av) - 0.78,
        Shape::Triangle => (v - 0.5).max(0.866 * au - 0.5 * v - 0.5),
        Shape::Star => star(u, v),
        Shape::Ring => (length(u, v) - 0.7).abs() - 0.22,
        Shape::Cross => (au - 0.28).max(av - 0.92).min((av - 0.28).max(au - 0.92)),
        Shape::Heart => {
            let body = (au + (v - 0.12).abs() - 0.74) * std::f32::consts::FRAC_1_SQRT_2;
            body.min(length(au - 0.37, v + 0.25) - 0.5233)
        }
        Shape::Crescent => (length(u, v) - 0.92).max(0.78 - length(u - 0.42, v)),
        Shape::Diamond => (au * 0.832 + av * 0.555) - 0.54,
        Shape::Hexagon => (av * 0.866 + au * 0.5).max(au) - 0.8,
        Shape::Arrow => {
            let head = (0.05 - u).max(av * 0.79 + (u - 0.95) * 0.61);
            head.min((u + 0.42).abs().max(0.0).max(av + 0.32) - 0.53)
        }
        Shape::Leaf => length(au + 0.62, v) - 1.15,
    }
}

/// A five-pointed star, tip up: fold the plane into one half-spike, then measure against its edge.
fn star(u: f32, v: f32) -> f32 {
    // Normals of the mirror lines at 36° steps.
    const K1: [f32; 2] = [0.809_017, -0.587_785_3];
    const K2: [f32; 2] = [-0.809_017, -0.587_785_3];
    let (mut x, mut y) = (u.abs(), -v);
    let fold = (K1[0] * x + K1[1] * y).max(0.0) * 2.0;
    (x, y) = (x - fold * K1[0], y - fold * K1[1]);
    let fold = (K2[0] * x + K2[1] * y).max(0.0) * 2.0;
    (x, y) = (x - fold * K2[0], y - fold * K2[1]);
    x = x.abs();
    y -= 1.0;
    // Edge from the tip (0, 0) towards the inner corner.
    let edge = [0.45 * 0.587_785_3, 0.45 * 0.809_017 - 1.0];
    let along = ((x * edge[0] + y * edge[1]) / (edge[0] * edge[0] + edge[1] * edge[1])).clamp(0.0, 1.0);
    let away = length(x - edge[0] * along, y - edge[1] * along);
    if y * edge[0] - x * edge[1] < 0.0 { -away } else { away }
}

/// The second shade of a patterned surface: lighter on dark objects, darker on light ones.
fn accent(shade: [u8; 3]) -> [u8; 3] {
    let luma = (u32::from(shade[0]) * 77 + u32::from(shade[1]) * 150 + u32::from(shade[2]) * 29) >> 8;
    if luma < 120 {
        shade.map(|level| level + ((255 - u16::from(level)) * 3 / 5) as u8)
    } else {
        shade.map(|level| (u16::from(level) * 2 / 5) as u8)
    }
}

fn surface(object: &Object, accent: [u8; 3], u: f32, v: f32, seed: u64) -> [u8; 3] {
    let k = object.repeats;
    // Offsets keep every index positive, so that truncation is flooring.
    let odd = |t: f32| (t + 64.0) as u32 & 1 == 1;
    let part = |t: f32| {
        let t = t + 64.0;
        t - (t as u32) as f32
    };
    let second = match object.texture {
        Texture::Solid => false,
        Texture::Striped => odd(u * k),
        Texture::Checked => odd(u * k) ^ odd(v * k),
        Texture::Dotted => {
            let (pu, pv) = (part(u * k) - 0.5, part(v * k) - 0.5);
            pu * pu + pv * pv < 0.09
        }
        Texture::Shaded => return lerp(object.shade, accent, (v + 0.9) / 1.8),
        Texture::Speckled => {
            let cell = |t: f32| (t * k * 4.0 + 512.0) as u64;
            mix(seed ^ (cell(u) << 24) ^ cell(v)) & 3 == 0
        }
        Texture::Wavy => {
            let bend = part(u * k * 0.5) - 0.5;
            odd(v * k + bend.abs() * 1.6)
        }
        Texture::Ringed => odd(length(u, v) * k),
    };
    if second { accent } else { object.shade }
}

fn coarsen(pixels: &mut Pixels, block: u32) {
    let (width, height, block) = (pixels.width as usize, pixels.height as usize, block as usize);
    for y in 0..height {
        for x in 0..width {
            let from = ((y / block * block) * width + x / block * block) * 3;
            let to = (y * width + x) * 3;
            pixels.rgb.copy_within(from..from + 3, to);
        }
    }
}

fn add_grain(scene: &Scene, pixels: &mut Pixels) {
    let amplitude = i32::from(scene.finish.grain);
    let offset = i32::from(scene.finish.brightness) - amplitude / 2;
    let mut state = scene.grain_seed | 1;
    // Four noise values from each step of a 64-bit multiplicative generator.
    for quad in pixels.rgb.chunks_mut(12) {
        state = state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(0x9e37_79b9);
        let mut bits = state >> 24;
        for pixel in quad.chunks_mut(3) {
            let noise = (((bits & 0xff) as i32 * amplitude) >> 8) + offset;
            bits >>= 8;
            for level in pixel {
                *level = (i32::from(*level) + noise).clamp(0, 255) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::scene::{Colour, Distribution};

    #[test]
    fn every_shape_paints_a_fair_share_of_its_box_and_stays_inside_it() {
        for &shape in Shape::ALL {
            let mut inside = 0;
            for y in -120..=120 {
                for x in -120..=120 {
                    let (u, v) = (x as f32 / 100.0, y as f32 / 100.0);
                    if distance(shape, u, v) < 0.0 {
                        inside += 1;
                        assert!(u.abs() < 1.2 && v.abs() < 1.2, "{shape} leaves its box at {u}, {v}");
                    }
                }
            }
            let share = inside as f32 / 40_000.0;
            assert!((0.12..0.75).contains(&share), "{shape} covers {share} of its box");
        }
    }

    #[test]
    fn the_subject_has_its_colour_where_it_is_painted() {
        let mut rng = Rng::of(&[3]);
        let mut scene = Distribution::EVEN.draw(&mut rng);
        scene.objects.truncate(1);
        scene.count = 1;
        scene.objects[0] = Object {
            shape: Shape::Circle,
            texture: Texture::Solid,
            x: 0.5,
            y: 0.5,
            radius: 0.3,
            ..scene.objects[0]
        };
        scene.objects[0].colour = Colour::Red;
        scene.objects[0].shade = Colour::Red.rgb();
        scene.finish.grain = 0;
        let pixels = render(&scene, 101, 61);
        let middle = (30 * 101 + 50) * 3;
        assert_eq!(pixels.rgb[middle..middle + 3], Colour::Red.rgb());
        assert_ne!(pixels.rgb[..3], Colour::Red.rgb());
    }
}
