"""Pictures by formulas that the tests repeat."""

import numpy as np


def noise(width, height):
    """A smooth ramp plus pseudo-random noise; 32-bit arithmetic that Rust repeats."""
    at = np.arange(width * height * 3, dtype=np.uint32)
    mixed = at * np.uint32(2_654_435_761)
    mixed ^= mixed >> np.uint32(15)
    mixed = mixed * np.uint32(2_246_822_519)
    mixed ^= mixed >> np.uint32(13)
    ramp = at % np.uint32(width * 3) * np.uint32(128) // np.uint32(width * 3)
    return (ramp + mixed % np.uint32(128)).astype(np.uint8).reshape(height, width, 3)
