"""What both sides of the parity tests agree on: values from a formula, and digests of arrays too large to keep.

formula.rs is this file in Rust. A value depends on a name and an index alone, so weights of any size need no file.
"""

import math

import numpy as np

MASK = (1 << 64) - 1
STEP = 0x9E3779B97F4A7C15


def seed(name: str) -> int:
    """FNV-1a, 64 bits."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 & MASK
    return h


def bits(name: str, index: np.ndarray) -> np.ndarray:
    """SplitMix64 of the name's seed, `index` + 1 steps on."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed(name)) + (index.astype(np.uint64) + np.uint64(1)) * np.uint64(STEP)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(name: str, index: np.ndarray) -> np.ndarray:
    """f32 in [-1, 1), exact in 24 bits."""
    return (bits(name, index) >> np.uint64(40)).astype(np.float32) * np.float32(2**-23) - np.float32(1)


def spread(name: str, shape: tuple) -> tuple[float, float]:
    """Middle and half width of the values of a weight: like a trained one's, so that features are of order 1/4."""
    if name == "logit_scale":
        return math.log(1 / 0.07), 0.0
    if name.endswith("running_var"):
        return 1.0, 0.2
    if name.endswith("running_mean"):
        return 0.0, 0.1
    if name.endswith("bias") or name.endswith("embedding") or name == "token_embedding.weight":
        return 0.0, 0.05
    if len(shape) == 1:
        return 1.0, 0.2
    last = name in ("visual.proj", "text_projection", "visual.attnpool.c_proj.weight")
    inputs = shape[0] if name in ("visual.proj", "text_projection") else math.prod(shape[1:])
    return 0.0, math.sqrt(3 / inputs) * (0.25 if last else 1.0)


def weight(name: str, shape: tuple) -> np.ndarray:
    middle, half = spread(name, shape)
    values = uniform(name, np.arange(math.prod(shape)))
    return (np.float32(middle) + np.float32(half) * values).reshape(shape)


def pixels(count: int, size: int) -> np.ndarray:
    """Coarse patches under fine noise: pictures that differ."""
    n, c, y, x = np.meshgrid(np.arange(count), np.arange(3), np.arange(size), np.arange(size), indexing="ij")
    coarse = uniform("coarse", ((n * 3 + c) * 8 + y * 8 // size) * 8 + x * 8 // size)
    fine = uniform("fine", ((n * 3 + c) * size + y) * size + x)
    return np.float32(1.2) * coarse + np.float32(0.4) * fine


def tokens(count: int, context: int, vocabulary: int) -> np.ndarray:
    """Start, words, end, zeros. The first text fills the context."""
    ids = np.zeros((count, context), dtype=np.int64)
    for n in range(count):
        words = context - 2 if n == 0 else 1 + n * 7 % (context - 3)
        index = np.arange(n * context, n * context + words)
        ids[n, 0] = vocabulary - 2
        ids[n, 1 : 1 + words] = 1 + (bits("tokens", index) % np.uint64(vocabulary - 3)).astype(np.int64)
        ids[n, 1 + words] = vocabulary - 1
    return ids


PROJECTIONS = 4
SAMPLES = 4


def digest(name: str, array: np.ndarray) -> np.ndarray:
    """L2 norm, products with four vectors of signs, four values.

    Two arrays of equal digests are equal but for a chance that no rounding error meets: each product of the difference
    with random signs is about as large as the difference's norm."""
    flat = array.reshape(-1).astype(np.float64)
    index = np.arange(flat.size)
    signs = bits("signs " + name, index)
    products = [np.where(signs >> np.uint64(p) & np.uint64(1), -flat, flat).sum() for p in range(PROJECTIONS)]
    places = bits("places " + name, np.arange(SAMPLES)) % np.uint64(flat.size)
    return np.array([np.linalg.norm(flat), *products, *flat[places.astype(np.int64)]], dtype=np.float64)
