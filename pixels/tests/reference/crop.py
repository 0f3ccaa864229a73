"""What torchvision makes of pictures through PIL (bicubic, antialiased), as block means, for tests/crop.rs.

    python -m venv venv && venv/bin/pip install torch torchvision pillow numpy
    venv/bin/python crop.py FOLDER_OF_JPEGS > crop.json

Two parts. `real`: 50 of the folder's JPEGs, the evaluation transforms of open_clip and of timm and a random window each, as the means of 8 x 8
blocks and the number of the pixels' mean: small, and enough to see a shift, a swapped channel or another filter.
tests/peers/read_pixels.py compares every pixel. `formula`: pictures by a formula that the test repeats, as PNG, with
every pixel of the result.
"""

import base64
import io
import json
import pathlib
import sys

import numpy as np
import PIL
import PIL.Image
import torch
import torchvision
import torchvision.transforms.v2 as transforms
import torchvision.transforms.v2.functional as vision
from formula import noise

SIDE = 224
# timm's evaluation: the centre of a picture whose shorter side is this.
RESIZE = 256
BLOCKS = 8
BICUBIC = transforms.InterpolationMode.BICUBIC
FORMULA_SIDE = 32
FORMULA_RESIZE = 37
FORMULA_SIZES = [(100, 80), (40, 61), (33, 200), (20, 24), (64, 64)]


def centre_of(image, resize, side):
    return vision.center_crop(vision.resize(image, resize, BICUBIC), [side, side])


def window(image, box, side):
    left, top, width, height = box
    return vision.resized_crop(image, top, left, height, width, [side, side], BICUBIC)


def random_box(image, scale):
    params = transforms.RandomResizedCrop(SIDE, scale=scale).make_params([image])
    return [params[name] for name in ("left", "top", "width", "height")]


def blocks(image):
    pixels = np.asarray(image, dtype=np.float64)
    size = SIDE // BLOCKS
    means = pixels.reshape(BLOCKS, size, BLOCKS, size, 3).mean(axis=(1, 3))
    return base64.b64encode(np.rint(means).astype(np.uint8).tobytes()).decode()


def main():
    torch.manual_seed(0)
    folder = pathlib.Path(sys.argv[1])
    real = []
    for number, path in enumerate(sorted(folder.iterdir())[::4][:50]):
        image = PIL.Image.open(path).convert("RGB")
        box = random_box(image, (0.9, 1.0) if number % 2 else (0.08, 1.0))
        real.append({"file": path.name, "box": box, "centre": blocks(centre_of(image, SIDE, SIDE)),
                     "centre_of": blocks(centre_of(image, RESIZE, SIDE)),
                     "window": blocks(window(image, box, SIDE))})
    formula = []
    for width, height in FORMULA_SIZES:
        image = PIL.Image.fromarray(noise(width, height))
        buffer = io.BytesIO()
        image.save(buffer, "png")
        box = [width // 7, height // 5, width - width // 3, height - height // 4]
        made = {"centre": centre_of(image, FORMULA_SIDE, FORMULA_SIDE),
                "centre_of": centre_of(image, FORMULA_RESIZE, FORMULA_SIDE),
                "window": window(image, box, FORMULA_SIDE)}
        pixels = {name: base64.b64encode(np.asarray(pixels).tobytes()).decode() for name, pixels in made.items()}
        formula.append({"width": width, "height": height, "box": box} | pixels)
    versions = {"pillow": PIL.__version__, "torchvision": torchvision.__version__}
    json.dump({"versions": versions, "side": SIDE, "resize": RESIZE, "blocks": BLOCKS, "formula_side": FORMULA_SIDE,
               "formula_resize": FORMULA_RESIZE, "real": real, "formula": formula}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
