//! reference.py in Rust: values from a formula, and digests of arrays too large to keep. Which file says why.

use tch::{Kind, Tensor};

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
const PROJECTIONS: usize = 4;
const SAMPLES: usize = 4;

/// Numbers in a digest: a norm, products, samples.
pub const DIGEST: usize = 1 + PROJECTIONS + SAMPLES;

/// FNV-1a, 64 bits.
fn seed(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
}

/// SplitMix64, `index` + 1 steps on from `seed`.
fn bits(seed: u64, index: usize) -> u64 {
    let mut z = seed.wrapping_add((index as u64 + 1).wrapping_mul(STEP));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn uniform(seed: u64, index: usize) -> f32 {
    (bits(seed, index) >> 40) as f32 * (-23f32).exp2() - 1.0
}

fn spread(name: &str, shape: &[i64]) -> (f64, f64) {
    let is = |names: &[&str]| names.contains(&name);
    let ends = |endings: &[&str]| endings.iter().any(|end| name.ends_with(end));
    if name == "logit_scale" {
        return ((1.0f64 / 0.07).ln(), 0.0);
    }
    if ends(&["running_var"]) {
        return (1.0, 0.2);
    }
    if ends(&["running_mean"]) {
        return (0.0, 0.1);
    }
    if ends(&["bias", "embedding"]) || name == "token_embedding.weight" {
        return (0.0, 0.05);
    }
    if shape.len() == 1 {
        return (1.0, 0.2);
    }
    let last = is(&["visual.proj", "text_projection", "visual.attnpool.c_proj.weight"]);
    let inputs =
        if is(&["visual.proj", "text_projection"]) { shape[0] } else { shape[1..].iter().product::<i64>() };
    (0.0, (3.0 / inputs as f64).sqrt() * if last { 0.25 } else { 1.0 })
}

/// The weight of that name.
pub fn weight(name: &str, shape: &[i64]) -> Tensor {
    let (middle, half) = spread(name, shape);
    let (middle, half, seed) = (middle as f32, half as f32, seed(name));
    let count = shape.iter().product::<i64>() as usize;
    let values: Vec<f32> = (0..count).map(|i| middle + half * uniform(seed, i)).collect();
    Tensor::from_slice(&values).reshape(shape)
}

/// Numbers in [-1, 1) by name.
pub fn uniform_values(name: &str, count: usize) -> Tensor {
    let seed = seed(name);
    Tensor::from_slice(&(0..count).map(|i| uniform(seed, i)).collect::<Vec<_>>())
}

/// Coarse patches under fine noise: count×3×size×size.
pub fn pixels(count: usize, size: usize) -> Tensor {
    let (coarse, fine) = (seed("coarse"), seed("fine"));
    let values: Vec<f32> = (0..count * 3 * size * size)
        .map(|i| {
            let (x, y, nc) = (i % size, i / size % size, i / size / size);
            let patch = (nc * 8 + y * 8 / size) * 8 + x * 8 / size;
            1.2 * uniform(coarse, patch) + 0.4 * uniform(fine, i)
        })
        .collect();
    let (count, size) = (count as i64, size as i64);
    Tensor::from_slice(&values).reshape([count, 3, size, size])
}

/// Start, words, end, zeros: count×context. The first text fills the context.
pub fn tokens(count: usize, context: usize, vocabulary: usize) -> Tensor {
    let seed = seed("tokens");
    let mut ids = vec![0i64; count * context];
    for (n, row) in ids.chunks_mut(context).enumerate() {
        let words = if n == 0 { context - 2 } else { 1 + n * 7 % (context - 3) };
        row[0] = vocabulary as i64 - 2;
        for (i, id) in row[1..=words].iter_mut().enumerate() {
            *id = 1 + (bits(seed, n * context + i) % (vocabulary as u64 - 3)) as i64;
        }
        row[1 + words] = vocabulary as i64 - 1;
    }
    Tensor::from_slice(&ids).reshape([count as i64, context as i64])
}

/// L2 norm, products with vectors of signs, values at a few places.
pub fn digest(name: &str, tensor: &Tensor) -> [f64; DIGEST] {
    let flat: Vec<f32> = Vec::try_from(tensor.to_kind(Kind::Float).contiguous().view(-1)).unwrap();
    let (signs, places) = (seed(&format!("signs {name}")), seed(&format!("places {name}")));
    let mut found = [0.0; DIGEST];
    for (i, &value) in flat.iter().enumerate().filter(|(_, value)| **value != 0.0) {
        let (value, signs) = (f64::from(value), bits(signs, i));
        found[0] += value * value;
        for p in 0..PROJECTIONS {
            found[1 + p] += if signs >> p & 1 == 1 { -value } else { value };
        }
    }
    found[0] = found[0].sqrt();
    for s in 0..SAMPLES {
        found[1 + PROJECTIONS + s] = f64::from(flat[(bits(places, s) % flat.len() as u64) as usize]);
    }
    found
}
