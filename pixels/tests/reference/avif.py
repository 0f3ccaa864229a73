"""Writes the AVIF files of `tests/formats.rs` (Pillow 13.0.0, libavif): the picture of `formula.py` in the kinds the web has.

python3 avif.py
"""

import pathlib

import numpy
from PIL import Image

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT = 47, 33

y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH]
planes = [x * 200 // WIDTH, y * 200 // HEIGHT, (x + y) * 200 // (WIDTH + HEIGHT)]
rgb = numpy.stack(planes, axis=-1).astype(numpy.uint8)
alpha = ((x * 7 + y * 13) % 256).astype(numpy.uint8)[..., None]
opaque = Image.fromarray(rgb)
transparent = Image.fromarray(numpy.concatenate([rgb, alpha], axis=-1))

# The tile of the grid that the test puts together: 64 pixels on a side, the least that is allowed.
y, x = numpy.mgrid[0:64, 0:64]
tile = Image.fromarray(numpy.stack([x * 3, y * 3, (x + y)], axis=-1).astype(numpy.uint8))

for name, image, options in [
    ("tile", tile, {"subsampling": "4:2:0"}),
    ("444", opaque, {"subsampling": "4:4:4"}),
    ("422", opaque, {"subsampling": "4:2:2"}),
    ("420", opaque, {"subsampling": "4:2:0"}),
    ("limited", opaque, {"subsampling": "4:2:0", "range": "limited"}),
    ("grey", opaque.convert("L"), {"subsampling": "4:0:0"}),
    ("alpha", transparent, {"subsampling": "4:4:4"}),
    ("premultiplied", transparent, {"subsampling": "4:4:4", "alpha_premultiplied": True}),
    ("lossless", opaque, {"quality": 100, "subsampling": "4:4:4", "advanced": {"lossless": "1"}}),
]:
    image.save(HERE / f"{name}.avif", **({"quality": 95, "speed": 6} | options))
